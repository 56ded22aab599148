"""A conditional VAE: the label y stands beside x at the encoder and beside z at the decoder.

Its bound is one on log p(x|y):

    log p(x|y) >= E[log p(x|z, y)] - KL(q(z|x, y) || p(z)),    z ~ q(z|x, y)

The terms are those of the VAE, in shared/elbo.py; the networks and the loop are plain TensorFlow.
With and without the label, and a grid of decoded z and labels in conditional.png:
    python examples/conditional.py
"""

import sys
from pathlib import Path

import numpy as np

from shared.command.implementation import quiet
from shared.seeds import epoch_order, seed_of

with quiet():  # without TensorFlow's messages about the machine
    import keras
    import tensorflow as tf

    from shared import elbo


def networks(input_dim, latent_dim, classes):
    """Returns (encoder, decoder), dense networks that also take a label.

    Args:
        input_dim: pixels per image, times channels.
        latent_dim: number of latents.
        classes: number of classes, one input for each.
    Returns:
        encoder: maps x and y side by side, (batch, input_dim + classes), to z_mean and z_log_var
            side by side, (batch, 2 · latent_dim).
        decoder: maps z and y side by side to logits (batch, input_dim).
    """
    pair = []
    for inputs, outputs in ((input_dim, 2 * latent_dim), (latent_dim, input_dim)):
        hidden = keras.layers.Dense(256, activation="relu")
        pair.append(keras.Sequential([hidden, keras.layers.Dense(outputs)]))
        pair[-1].build((None, inputs + classes))
    return tuple(pair)


def terms(networks, x, y, noise_seed):
    """Computes the two terms of the bound on log p(x|y).

    Args:
        networks: (encoder, decoder).
        x: (batch, input_dim) in [0, 1].
        y: (batch, classes), 1 for the class of the image and 0 for the others.
        noise_seed: (2,) integers, which determine the noise.
    Returns:
        log_likelihood, kl: (batch,) nats each.
    """
    encoder, decoder = networks
    z_mean, z_log_var = tf.split(encoder(tf.concat([x, y], axis=1)), 2, axis=1)
    epsilon = tf.random.stateless_normal(tf.shape(z_mean), noise_seed)
    z = elbo.reparameterize(z_mean, z_log_var, epsilon)
    logits = decoder(tf.concat([z, y], axis=1))
    log_likelihood = elbo.bernoulli_log_likelihood(x, logits)
    return log_likelihood, elbo.kl_to_standard_normal(z_mean, z_log_var)


def training_step(networks, optimizer):
    """Returns a compiled function that does one step, from (x, y, noise_seed) to the loss."""
    weights = [weight for network in networks for weight in network.trainable_variables]
    optimizer.build(weights)

    @tf.function(jit_compile=True)
    def step(x, y, noise_seed):
        with tf.GradientTape() as tape:
            loss = elbo.negative_elbo(*terms(networks, x, y, noise_seed))
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return step


def fit(networks, x, y, epochs, batch_size=100, seed=0, verbose=1):
    """Trains the networks with Adam.

    Args:
        networks: (encoder, decoder).
        x, y: all training images (n, input_dim) and their classes (n, classes), float32 arrays.
        epochs: number of epochs.
        batch_size: images per step; the last batch of an epoch can be smaller.
        seed: seed of the order of the images and of the noise.
        verbose: 1 for a progress bar, 0 for no output.
    """
    step = training_step(networks, keras.optimizers.Adam(2e-3))
    # The bar would show the mean over epochs of a value that is not among stateful_metrics.
    bar = keras.utils.Progbar(epochs, verbose=verbose, stateful_metrics=["loss"], unit_name="epoch")
    number = 0
    for epoch in range(1, epochs + 1):
        order, losses = epoch_order(seed, epoch, len(x)), []
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            noise_seed = tf.constant([seed_of(seed, "noise"), number])
            losses.append(step(tf.constant(x[rows]), tf.constant(y[rows]), noise_seed))
            number += 1
        bar.update(epoch, [("loss", float(tf.reduce_mean(losses)))])


def measure(networks, x, y, seed=0):
    """Returns the means of log-likelihood and KL over images, with one sample of z for each."""
    noise_seed = [seed_of(seed, "evaluation"), 0]
    return [float(tf.reduce_mean(each)) for each in terms(networks, x, y, noise_seed)]


def grid(networks, z, classes):
    """Decodes every z with every label.

    Args:
        networks: (encoder, decoder).
        z: (n, latent_dim) floats.
        classes: number of classes.
    Returns:
        (n, classes, input_dim) float32 array in [0, 1].
    """
    labels = np.eye(classes, dtype=np.float32)
    return np.stack(
        [
            tf.sigmoid(networks[1](np.concatenate([np.tile(each, (classes, 1)), labels], axis=1)))
            for each in np.float32(z)
        ]
    )


def main(
    data: str = "auto",
    epochs: int = 30,
    latent_dim: int = 2,
    seed: int = 0,
    out: Path = Path("conditional.png"),
):
    """Trains with and without the label, compares the bounds, and draws one z per row.

    Args:
        data: auto, mnist, mnist-5k, or the path of an .npz.
        epochs: number of epochs.
        latent_dim: number of latents.
        seed: seed of the initial weights, the order of the images and the noise.
        out: path of the picture, a PNG.
    """
    from shared.config import recipe
    from shared.data import load_data
    from shared.machine.checks import UsageError
    from shared.show.figures import lessons, plots

    recipe("post-keras", epochs=epochs, latent_dim=latent_dim, seed=seed)  # checks the numbers
    if not out.parent.is_dir() or out.is_dir():
        raise UsageError(f"--out is {out}; expected a file in a folder that exists")
    images = load_data(data)
    names = np.unique(images.y_train)
    if not 2 <= len(names) <= 100:
        raise UsageError(f"y_train of {images.name} has {len(names)} classes; expected 2 to 100")
    labels = {
        part: np.float32(y[:, None] == names)
        for part, y in (("train", images.y_train), ("test", images.y_test))
    }
    for name, factor in (("without the label", 0), ("with the label", 1)):
        print(name)
        keras.utils.set_random_seed(seed)
        pair = networks(images.input_dim, latent_dim, len(names))
        fit(pair, images.x_train, np.float32(factor) * labels["train"], epochs, seed=seed)
        test = images.x_test, np.float32(factor) * labels["test"]
        log_likelihood, kl = measure(pair, *test, seed)
        bound = log_likelihood - kl
        print(f"bound, test images: {bound:.2f} nats = {log_likelihood:.2f} - KL {kl:.2f}")
    z = np.random.RandomState(seed_of(seed, "sample")).normal(size=(5, latent_dim))
    rows = {f"z number {i}": row for i, row in enumerate(grid(pair, z, len(names)), start=1)}
    caption = f"{images.name}, seed {seed}, epoch {epochs}: one z per row, one label per column"
    plots.save(lessons.image_rows(rows, images.image_shape, caption), out)
    print(out)


if __name__ == "__main__":
    import tyro

    from shared.command.line import exit_status

    sys.exit(exit_status(lambda: tyro.cli(main)))
