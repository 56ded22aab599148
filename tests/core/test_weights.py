"""Names, shapes and initial bias of the weights."""

import numpy as np
import pytest

from shared.config import recipe
from shared.machine.checks import UsageError
from shared.training.optimizer import build_optimizer, optimizer_slots
from shared.weights import check_size, head_widths, initial_bias, slot_shapes, weight_shapes
from tf_vae.model import build

RANDOM = np.random.RandomState(3)


@pytest.mark.parametrize(
    ("changes", "heads"),
    [
        ({}, {"logits": 36}),
        ({"likelihood": "continuous-bernoulli"}, {"logits": 36}),
        ({"likelihood": "categorical"}, {"logits": 36 * 8}),
        ({"likelihood": "categorical", "levels": 3}, {"logits": 36 * 3}),
        ({"likelihood": "gaussian"}, {"mean": 36, "log_var": 36}),
        ({"likelihood": "gaussian", "fixed_sigma": 0.1}, {"mean": 36}),
    ],
)
@pytest.mark.parametrize("posterior", ["gaussian", "delta"])
def test_weights_have_the_names_and_shapes_of_their_layers(changes, heads, posterior):
    config = recipe("post-keras", hidden_dims=(7, 5), latent_dim=3, posterior=posterior, **changes)
    assert list(head_widths(config, 36).items()) == list(heads.items())
    layers = {"encoder/hidden_1": (36, 7), "encoder/hidden_2": (7, 5), "encoder/z_mean": (5, 3)}
    if posterior == "gaussian":
        layers["encoder/z_log_var"] = (5, 3)
    layers |= {"decoder/hidden_1": (3, 5), "decoder/hidden_2": (5, 7)}
    layers |= {f"decoder/{name}": (7, width) for name, width in heads.items()}
    wanted = []
    for name, shape in layers.items():
        wanted += [(f"{name}/kernel", shape), (f"{name}/bias", shape[1:])]
    assert list(weight_shapes(config, 36).items()) == wanted


def test_the_weights_of_one_hidden_layer():
    assert weight_shapes(recipe("post-keras", hidden_dims=(4,)), 6) == {
        "encoder/hidden_1/kernel": (6, 4),
        "encoder/hidden_1/bias": (4,),
        "encoder/z_mean/kernel": (4, 2),
        "encoder/z_mean/bias": (2,),
        "encoder/z_log_var/kernel": (4, 2),
        "encoder/z_log_var/bias": (2,),
        "decoder/hidden_1/kernel": (2, 4),
        "decoder/hidden_1/bias": (4,),
        "decoder/logits/kernel": (4, 6),
        "decoder/logits/bias": (6,),
    }


def test_the_initial_bias_is_the_logit_of_the_mean_image():
    x = RANDOM.uniform(size=(50, 6)).astype(np.float32)
    x[:, 0], x[:, 1] = 0, 1  # black and white in every image
    (name, bias), *others = initial_bias(recipe("nats"), x).items()
    assert name == "decoder/logits/bias" and not others
    assert bias.shape == (6,) and bias.dtype == np.float32
    mean = x.astype(np.float64).sum(axis=0) / 50
    # The mean is at least half an image in 50, which is 1/100, and at most 99/100.
    mean[:2] = 0.01, 0.99
    # 1e-7: the result is rounded to float32.
    np.testing.assert_allclose(bias, np.log(mean) - np.log1p(-mean), rtol=1e-7)
    np.testing.assert_allclose(1 / (1 + np.exp(-bias.astype(np.float64))), mean, rtol=1e-6)


def test_the_mean_image_is_summed_in_float64():
    x = np.full((200_000, 1), 0.1, np.float32)
    x[::2] = 0.3
    bias = initial_bias(recipe("nats"), x)["decoder/logits/bias"]
    mean = (float(np.float32(0.1)) + float(np.float32(0.3))) / 2
    # A float32 sum over the images would have a relative error of about 1e-5.
    np.testing.assert_allclose(bias, np.log(mean / (1 - mean)), rtol=1e-7)


def test_a_bias_of_zero_gives_no_entry():
    assert initial_bias(recipe("post-keras"), np.zeros((4, 6), np.float32)) == {}


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd"])
def test_the_slots_are_those_of_the_optimizer_of_keras(optimizer):
    config = recipe("post-keras", hidden_dims=(5,), latent_dim=2, optimizer=optimizer)
    model = build(config, 9)
    built = build_optimizer(config, 100, model.trainable_variables)
    slots = {name: tuple(v.shape) for name, v in optimizer_slots(model, built).items()}
    assert slot_shapes(config, weight_shapes(config, 9)) == slots


def test_a_refusal_states_both_sizes(monkeypatch):
    monkeypatch.setattr("shared.weights.machine_memory", lambda: 3 * 2**30)
    config = recipe("post-keras", hidden_dims=(2**20,), latent_dim=2**10)
    # Of 2^20 · (784 + 3 · 2^10 + 784) weights, nearly all of the size, four times 4 bytes.
    with pytest.raises(UsageError, match=r"needs 74 GiB; this machine has 3 GiB of memory"):
        check_size(config, 784, 60_000)
