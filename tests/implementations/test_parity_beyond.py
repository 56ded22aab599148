"""Parity beyond the post: every likelihood, posterior and binarization agrees in every bit."""

import dataclasses

import numpy as np
import pytest
from bits import both, differing, same_bits

from shared.config import recipe

BEYOND_THE_POST = {
    # 1/40 is not a power of two, and there are only 36 outputs: XLA then puts the constants of the
    # objective and the sum of a bias' gradient into one kernel.
    "gaussian": recipe("post-keras", likelihood="gaussian", batch_size=40),
    "gaussian, fixed sigma": recipe(
        "post-keras", likelihood="gaussian", fixed_sigma=0.3, batch_size=40
    ),
    "categorical": recipe("post-keras", likelihood="categorical", levels=4),
    "continuous Bernoulli": recipe("post-keras", likelihood="continuous-bernoulli"),
    "binarized once": recipe("post-keras", binarization="fixed"),
    "autoencoder": recipe("post-keras", posterior="delta"),
    "KL warm-up": recipe("post-keras", kl_warmup_steps=8, beta=2.0),
    "nats": recipe("nats", latent_dim=4),
}


# These compute their outputs differently from the post's recipes; the others differ in training.
NEW_OUTPUTS = (
    "gaussian",
    "gaussian, fixed sigma",
    "categorical",
    "continuous Bernoulli",
    "autoencoder",
)


@pytest.mark.parametrize(
    "name, last",
    [
        *((name, "whole") for name in ("categorical", "continuous Bernoulli")),
        *(pytest.param(name, "partial", marks=pytest.mark.long) for name in BEYOND_THE_POST),
    ],
)
def test_every_likelihood_posterior_and_binarization(
    implementations, name, last, uneven_data, data, tmp_path
):
    """Compares weights, optimizer, losses of every step, evaluation and images, in bits.

    The last batch of training is whole or partial; test_parity.py has a partial one in evaluation.
    """
    if last == "partial":
        data = dataclasses.replace(uneven_data, x_test=data.x_test, y_test=data.y_test)
    config = BEYOND_THE_POST[name]
    batch_size = config.batch_size
    if last == "whole":  # of 300 images
        batch_size = {40: 20}.get(batch_size, 50)
    elif batch_size == 100:
        batch_size = 64
    config = dataclasses.replace(
        config, epochs=2, hidden_dims=(16,), batch_size=batch_size, step_losses=True
    )
    (fit, fit_run), (tape, tape_run) = both(
        implementations, lambda v: v.train(config, data, tmp_path / v.name, verbose=0)
    )
    for file in ("weights.npz", "checkpoints/last.npz"):
        paths = [tmp_path / implementation / file for implementation in ("keras_vae", "tf_vae")]
        assert paths[0].read_bytes() == paths[1].read_bytes(), file
    assert fit_run.step_losses == tape_run.step_losses
    assert np.isfinite(fit_run.step_losses).all()
    assert np.mean(fit_run.step_losses[-6:]) < fit_run.step_losses[0] or config.kl_warmup_steps
    # The other implementation loads the run.
    loaded, loaded_config = implementations["keras_vae"].load(tmp_path / "tf_vae")
    weights = implementations["keras_vae"].gather(loaded), implementations["tf_vae"].gather(tape)
    assert loaded_config == config and differing(*weights) == []
    if name not in NEW_OUTPUTS:
        return
    models = {"keras_vae": fit, "tf_vae": tape}
    evaluated = [implementations[n].evaluate(m, data.x_test, config) for n, m in models.items()]
    assert evaluated[0] == evaluated[1]
    z_mean, other = (implementations[n].encode(m, data.x_test)[0] for n, m in models.items())
    assert same_bits(z_mean, other)
    images, other = (implementations[n].decode(m, z_mean) for n, m in models.items())
    assert same_bits(images, other) and images.shape == data.x_test.shape


def test_a_posterior_without_variance_is_the_autoencoder(implementations, data):
    """With a very small z_log_var, z is z_mean, and log p(x|z) is that of the delta posterior."""
    for implementation in implementations.values():
        config = recipe("post-keras", hidden_dims=(16,))
        model = implementation.build(config, data.input_dim)
        weights = implementation.gather(model)
        weights["encoder/z_log_var/kernel"] = 0 * weights["encoder/z_log_var/kernel"]
        weights["encoder/z_log_var/bias"] = np.full_like(weights["encoder/z_log_var/bias"], -80)
        implementation.assign(model, weights)
        delta = dataclasses.replace(config, posterior="delta")
        autoencoder = implementation.build(delta, data.input_dim)
        kept = {name: array for name, array in weights.items() if "z_log_var" not in name}
        implementation.assign(autoencoder, kept)
        narrow, kl = implementation.elbo_terms(model, data.x_test, config)
        exact, none = implementation.elbo_terms(autoencoder, data.x_test, delta)
        # exp(-40) changes z by 4e-18 of epsilon, below float32: only the order of sums differs.
        np.testing.assert_allclose(narrow, exact, rtol=1e-6)
        assert (none == 0).all() and kl.min() > 70
        assert (implementation.encode(autoencoder, data.x_test)[1] == -np.inf).all()
