"""Keras and TensorFlow as their tutorials use them: one call per step, without XLA."""

import time

from shared.command.implementation import quiet

__all__ = ["fit_epochs", "tape_epochs"]


def fit_epochs(config, data, count):
    """Trains by `fit` on an array, with its defaults; returns the seconds of each epoch.

    Args:
        config: shared.config.Config.
        data: shared.data.Data.
        count: number of epochs, or 0 for a single step.
    """
    with quiet():
        import keras

        from keras_vae.model import build

    model = build(config, data.input_dim)
    model.compile(optimizer=keras.optimizers.RMSprop(config.learning_rate))
    x, seconds = data.x_train if count else data.x_train[: config.batch_size], []

    class Clock(keras.callbacks.Callback):
        """Times what keras_vae and tf_vae time: from the start of an epoch to its last step."""

        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            self.seconds = time.perf_counter() - self.started

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(self.seconds)

    model.fit(x, batch_size=config.batch_size, epochs=max(count, 1), callbacks=[Clock()], verbose=0)
    return seconds


def tape_epochs(config, data, count):
    """Trains by a `tf.function` per step over a `tf.data` pipeline; the arguments are as above."""
    with quiet():
        import keras
        import tensorflow as tf

        from shared import elbo
        from tf_vae.model import build

    model = build(config, data.input_dim)
    optimizer = keras.optimizers.RMSprop(config.learning_rate)

    @tf.function
    def train_step(x):
        with tf.GradientTape() as tape:
            z_mean, z_log_var = model.encoder(x)
            z = elbo.reparameterize(z_mean, z_log_var, tf.random.normal(tf.shape(z_mean)))
            log_likelihood = elbo.bernoulli_log_likelihood(x, model.decoder(z)["logits"])
            kl = elbo.kl_to_standard_normal(z_mean, z_log_var)
            loss = elbo.negative_elbo(log_likelihood, kl)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    batches = tf.data.Dataset.from_tensor_slices(data.x_train).shuffle(data.n_train)
    batches = batches.batch(config.batch_size).prefetch(tf.data.AUTOTUNE)
    seconds = []
    for _ in range(max(count, 1)):
        started = time.perf_counter()
        for x in batches if count else batches.take(1):
            loss = train_step(x)
        float(loss)  # waits until the last step is computed
        seconds.append(time.perf_counter() - started)
    return seconds
