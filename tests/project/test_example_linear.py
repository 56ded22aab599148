"""The linear networks of examples/: the VAE that they make has the known terms, and is trained."""

import dataclasses

import numpy as np
import pytest
from networks import images

from examples import linear
from shared.config import recipe
from shared.machine.checks import UsageError
from shared.measure.linear import linear_optimum, spectrum


def config_of(**changes):
    settings = {"optimizer": "adam", "learning_rate": 0.05, "batch_size": 50, "latent_dim": 2}
    settings |= {"likelihood": "gaussian", "learning_rate_decay": 20.0, **changes}
    return recipe("post-keras", steps=1500, **settings)


def low_rank(n=200, rank=3):
    """Images of 3 x 4 pixels that vary mostly in a few directions."""
    random = np.random.RandomState(0)
    x = random.standard_normal((n, rank)) @ random.uniform(-1, 1, (rank, 12)) / 10
    x = np.clip(0.5 + x + 0.03 * random.standard_normal((n, 12)), 0, 1)
    return dataclasses.replace(images(n, (3, 4)), x_train=np.float32(x), x_test=np.float32(x))


def test_training_reaches_the_elbo_of_probabilistic_pca(implementation):
    data, config = low_rank(), config_of()
    model, _ = implementation.train(config, data, network=linear.networks, verbose=0)
    optimum = linear_optimum(spectrum(data.x_train)[1], 2)
    terms = [implementation.elbo_terms(model, data.x_train, config, s) for s in range(50)]
    elbo = np.subtract(*np.swapaxes(np.array(terms, np.float64), 0, 1)).mean(axis=1)
    noise = 5 * elbo.std() / np.sqrt(50)
    assert -noise < optimum.elbo - elbo.mean() < 0.2 + noise  # Adam ends near the optimum
    assert optimum.elbo - linear_optimum(spectrum(data.x_train)[1], 1).elbo > 1


def test_a_learned_sigma_is_one_number(implementations):
    vae, data = implementations["tf_vae"], low_rank(50)
    model = vae.assemble(*linear.networks(config_of(), (3, 4)), config_of(), 12)
    heads = model.decoder(np.ones((5, 2), np.float32))
    assert heads["log_var"].shape == (5, 12) and len(np.unique(heads["log_var"])) == 1
    assert vae.encode(model, data.x_train)[1].std() == 0


def test_another_likelihood_is_refused():
    with pytest.raises(UsageError, match="likelihood is bernoulli; the linear VAE needs gaussian"):
        linear.networks(recipe("post-keras"), (3, 4))
