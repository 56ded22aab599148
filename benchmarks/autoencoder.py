"""Compares an autoencoder with a VAE: equal networks, with and without variance of q(z|x) and KL.

The post describes an autoencoder as a VAE whose variance is zero. Both reconstruct images, but only
the VAE's latents have the distribution N(0, I), so only its samples from the prior show digits of
every class. This script prints the numbers and draws the figure.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from scipy.stats import entropy
from sklearn.neighbors import KNeighborsClassifier

from shared.command.implementation import import_implementation
from shared.command.line import exit_status
from shared.config import recipe
from shared.data import load_data
from shared.machine.process import end_process
from shared.show.figures import lessons
from shared.show.figures.of_run import prior_samples, save_figure

SHOWN, SAMPLES = 12, 1000


@dataclass
class Autoencoder:
    """Train a VAE and an autoencoder on the same data; compare reconstructions and samples."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or the path of an .npz."""
    epochs: int = 50
    """Epochs of each model."""
    latent_dim: int = 2
    """Number of latent dimensions."""
    seed: int = 0
    """Seed of both models."""
    implementation: str = "tf_vae"
    """tf_vae or keras_vae."""
    out: Path = Path("runs/autoencoder.png")
    """Path of the figure."""


def effective_classes(images, data):
    """Returns the effective number of classes: exp of the entropy of the nearest test labels."""
    nearest = KNeighborsClassifier(1, algorithm="brute").fit(data.x_test, data.y_test)
    counts = np.unique(nearest.predict(images), return_counts=True)[1]
    return float(np.exp(entropy(counts)))


def main():
    """Trains both models, prints a row for each, and draws the figure."""
    job = tyro.cli(Autoencoder, prog="benchmarks/autoencoder.py")
    configs = {
        name: recipe(
            "post-keras",
            epochs=job.epochs,
            latent_dim=job.latent_dim,
            seed=job.seed,
            posterior=posterior,
        )
        for name, posterior in (("VAE", "gaussian"), ("autoencoder", "delta"))
    }
    data = load_data(job.data)
    implementation = import_implementation(job.implementation)
    from shared.measure.diagnostics import nearest_distance

    shown = np.linspace(0, len(data.x_test) - 1, SHOWN).astype(int)  # spread over the set
    rows = {"test images": data.x_test[shown]}
    prior = prior_samples(configs["VAE"], SAMPLES)
    size = f"{data.name}, {job.epochs} epochs, {job.latent_dim}-D z"
    print(f"{size}, seed {job.seed}, {job.implementation}")
    header = ("squared error", "spread of z_mean", "sample to nearest", "classes sampled")
    print(f"{'':<16}" + "".join(f"{name:>20}" for name in header))
    for name, config in configs.items():
        model, _ = implementation.train(config, data)
        z_mean = implementation.encode(model, data.x_test)[0]
        reconstructed = implementation.decode(model, z_mean)
        sampled = implementation.decode(model, prior)
        error = np.square(reconstructed - data.x_test).sum(axis=1).mean()
        spread = z_mean.std(axis=0).mean()
        distance = nearest_distance(sampled, data.x_test).mean()
        classes = effective_classes(sampled, data)
        numbers = (error, spread, distance, classes)
        print(f"{name:<16}" + "".join(f"{number:>20.2f}" for number in numbers))
        rows[f"{name}: reconstruction"] = reconstructed[shown]
        rows[f"{name}: z ~ N(0, I)"] = sampled[:SHOWN]
    real = data.x_train[:SAMPLES]
    numbers = (nearest_distance(real, data.x_test).mean(), effective_classes(real, data))
    print(f"{'training images':<56}" + "".join(f"{number:>20.2f}" for number in numbers))

    kinds = [f"{name}: {kind}" for kind in ("reconstruction", "z ~ N(0, I)") for name in configs]
    order = ["test images", *kinds]
    text = (
        f"{job.implementation} · post-keras, {job.latent_dim}-D z, epoch {job.epochs} ·"
        f" {data.name} · seed {job.seed}"
    )
    figure = lessons.image_rows({name: rows[name] for name in order}, data.image_shape, text)
    save_figure(figure, job.out.parent, job.out.name)
    print(job.out)


if __name__ == "__main__":
    end_process(exit_status(main))
