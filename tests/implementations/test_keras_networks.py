"""What Keras defines for a network holds in both implementations, to the same bits."""

import keras
import numpy as np
import own_networks
import pytest
import tensorflow as tf
from keras import layers

from shared.config import recipe
from shared.machine.checks import UsageError

CONFIG = recipe("post-keras", epochs=2, batch_size=50)
# (kind, whether with XLA; None chooses); compiling each takes seconds, so most are long.
SHORT = [("batch_norm", None), ("activity_penalty", None), ("convolutional", False)]
LONG = [
    *((kind, None) for kind in ("made_frozen", "dropout", "noise", "added_loss", "shared_layer")),
    *((kind, None) for kind in ("frozen", "wrapped", "weight_penalty", "image_shaped")),
    *((kind, False) for kind in ("batch_norm", "wrapped", "activity_penalty", "noise")),
    ("constrained", None),
]
PAIRS = [*SHORT, *(pytest.param(*each, marks=pytest.mark.long) for each in LONG)]


def assembled(implementation, kind, config=CONFIG, xla=None):
    keras.utils.set_random_seed(7)
    return implementation.assemble(*getattr(own_networks, kind)(), config, 36, xla)


def trained(implementation, kind, data, config=CONFIG, xla=None):
    """The variables at the start and at the end of a training, and its history."""
    model = assembled(implementation, kind, config, xla)
    start = implementation.gather(model)
    _, run = implementation.train(config, data, model=model, verbose=0)
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]
    return start, implementation.gather(model), history


@pytest.mark.parametrize("kind, xla", PAIRS)
def test_both_implementations_have_the_same_bits(implementations, data, kind, xla):
    runs = [trained(each, kind, data, xla=xla) for each in implementations.values()]
    (start, end, history), (other_start, other_end, other_history) = runs
    assert list(end) == list(other_end)
    for name, array in end.items():
        assert start[name].tobytes() == other_start[name].tobytes(), name
        assert array.tobytes() == other_end[name].tobytes(), name
    assert history == other_history
    assert any((end[name] != start[name]).any() for name in end)


@pytest.mark.parametrize("kind", ["frozen", "made_frozen"])
def test_a_frozen_layer_stays_as_it_is(implementation, data, kind):
    start, end, _ = trained(implementation, kind, data, xla=False)
    same = [name for name in end if (start[name] == end[name]).all()]
    assert same == ["encoder/0/kernel", "encoder/1/bias"]


def test_moving_statistics_are_those_of_the_batches(implementation, data):
    """One step on one batch: momentum · start + (1 - momentum) · statistics, in float64."""
    config = recipe("post-keras", steps=1, batch_size=len(data.x_train))
    start, end, _ = trained(implementation, "batch_norm", data, config, xla=False)
    h = data.x_train.astype(np.float64) @ start["encoder/0/kernel"] + start["encoder/1/bias"]
    h = np.maximum(h, 0)
    # 1e-5: float32 sums over 300 images.
    np.testing.assert_allclose(end["encoder/4/moving_mean"], 0.1 * h.mean(axis=0), rtol=1e-5)
    variance = 0.9 + 0.1 * h.var(axis=0)
    np.testing.assert_allclose(end["encoder/5/moving_variance"], variance, rtol=1e-5)


def test_dropout_acts_in_a_step_and_not_in_an_evaluation(implementation, data):
    model = assembled(implementation, "dropout", xla=False)
    once, again = (implementation.encode(model, data.x_test)[0] for _ in range(2))
    assert (once == again).all()
    seeds = [v for name, v in implementation.gather(model).items() if "seed" in name]
    implementation.train(CONFIG, data, model=model, verbose=0)
    after = [v for name, v in implementation.gather(model).items() if "seed" in name]
    # One draw per step, and none in the two validations.
    steps = CONFIG.total_steps(len(data.x_train))
    assert [int(b[1]) - int(a[1]) for a, b in zip(seeds, after, strict=True)] == [steps]


PENALTIES = {
    "weight_penalty": lambda k, h: 0.3 * (k**2).sum(),
    "activity_penalty": lambda k, h: 0.2 * h.sum() / len(h),
    "added_loss": lambda k, h: 0.1 * (h**2).mean(),
}


@pytest.mark.parametrize("kind", PENALTIES)
def test_a_penalty_is_a_part_of_the_loss_of_a_step_only(implementation, data, kind):
    config = recipe("post-keras", steps=1, batch_size=len(data.x_train), step_losses=True)
    start, _, [row] = trained(implementation, kind, data, config, xla=False)
    kernel = start["encoder/0/kernel"].astype(np.float64)
    h = np.maximum(data.x_train.astype(np.float64) @ kernel + start["encoder/1/bias"], 0)
    assert row["penalty"] == pytest.approx(PENALTIES[kind](kernel, h), rel=1e-5)
    # 1e-5 nats: sums of float32 numbers of this size.
    assert row["loss"] == pytest.approx(
        row["kl"] - row["log_likelihood"] + row["penalty"], abs=1e-5
    )
    assert row["val_loss"] == pytest.approx(row["val_kl"] - row["val_log_likelihood"], abs=1e-5)


def test_the_penalty_of_a_shared_layer_counts_once(implementation, data):
    config = recipe("post-keras", steps=1, batch_size=len(data.x_train))
    start, _, [row] = trained(implementation, "shared_layer", data, config, xla=False)
    assert not [name for name in start if name.startswith("decoder/") and "/0/" in name]
    kernel = start["encoder/2/kernel"].astype(np.float64)
    assert kernel.shape == (2, 2)
    assert row["penalty"] == pytest.approx(0.3 * (kernel**2).sum(), rel=1e-5)


def test_a_constraint_holds_after_every_step(implementation, data):
    start, end, _ = trained(implementation, "constrained", data, xla=False)
    assert start["encoder/0/kernel"].min() < 0 <= end["encoder/0/kernel"].min()


def test_all_state_goes_from_one_implementation_to_the_other(implementations, data):
    """Moving statistics, frozen weights and seeds of noise, by name and in every bit."""
    for kind in ("made_frozen", "wrapped"):
        for giver, taker in (("keras_vae", "tf_vae"), ("tf_vae", "keras_vae")):
            given = assembled(implementations[giver], kind, xla=False)
            implementations[giver].train(CONFIG, data, model=given, verbose=0)
            taken = implementations[taker].assemble(
                *getattr(own_networks, kind)(), CONFIG, 36, False
            )
            state = implementations[giver].gather(given)
            implementations[taker].assign(taken, state)
            after = implementations[taker].gather(taken)
            assert list(state) == list(after)
            assert all(state[name].tobytes() == after[name].tobytes() for name in state)


def test_weights_of_another_network_are_refused(implementation):
    model = assembled(implementation, "batch_norm")
    state = implementation.gather(model)
    before = {name: array.copy() for name, array in state.items()}
    short = {name: array + 1 for name, array in state.items() if "moving_mean" not in name}
    for bad, message in (
        (short, r"encoder/4/moving_mean: no such weight, the model: \(5,\)"),
        ({**state, "encoder/9/extra": np.zeros(3)}, r"encoder/9/extra: \(3,\), the model: no such"),
        ({**state, "encoder/1/bias": np.zeros(4)}, r"encoder/1/bias: \(4,\), the model: \(5,\)"),
    ):
        with pytest.raises(UsageError, match=message):
            implementation.assign(model, bad)
    after = implementation.gather(model)
    assert all((before[name] == after[name]).all() for name in before)


def test_a_module_that_takes_training_gets_it(implementations, data):
    encoder = own_networks.Counting()
    each = implementations["tf_vae"]
    model = each.assemble(encoder, own_networks.plain_decoder(), CONFIG, 36)
    assert int(encoder.calls) == 0  # what finds the variables executes no step
    each.train(CONFIG, data, model=model, verbose=0)
    assert int(encoder.calls) == CONFIG.total_steps(len(data.x_train))
    assert list(each.gather(model)) == ["encoder/0/Variable", "encoder/1/calls", "decoder/0/kernel"]


def test_a_function_does_not_train_the_frozen_layers_that_it_holds(implementations, data):
    """A function says nothing of its layers; those that it encloses and reads are found."""
    backbone, head = layers.Dense(5, "relu"), layers.Dense(4)
    unread = layers.Dense(3, kernel_regularizer="l2")
    unread.build((None, 36))
    bag = {"backbone": backbone, "unread": unread}

    def encoder(x, training=False):
        h = head(bag["backbone"](x))
        return [h[:, :2], h[:, 2:]]

    encoder(tf.zeros((1, 36)))
    backbone.trainable = False
    before = [backbone.get_weights(), head.get_weights()]
    each = implementations["tf_vae"]
    model = each.assemble(encoder, own_networks.plain_decoder(), CONFIG, 36)
    _, run = each.train(CONFIG, data, model=model, verbose=0)
    assert (backbone.get_weights()[0] == before[0][0]).all()
    assert (head.get_weights()[0] != before[1][0]).any()
    assert "penalty" not in run.history[0]  # the layer with a penalty is not used
    assert len(each.gather(model)) == 5


@pytest.mark.parametrize("last", ["sigmoid", "softmax"])
def test_probabilities_in_place_of_logits_are_refused(implementation, last):
    with pytest.raises(UsageError, match=r"all lie in \[0, 1\], as they do after a sigmoid"):
        implementation.assemble(*own_networks.pair(last=last), CONFIG, 36)


def test_logits_that_may_start_in_the_unit_interval_are_taken(implementation):
    """A last layer of zeros, and one whose output is never negative."""
    encoder, decoder = own_networks.pair()
    decoder.layers[-1].set_weights([np.zeros((5, 36)), np.zeros(36)])
    implementation.assemble(encoder, decoder, CONFIG, 36)
    implementation.assemble(*own_networks.pair(last="relu"), CONFIG, 36)


def test_images_of_a_shape_are_fed_and_returned_as_rows(implementation, data):
    keras.utils.set_random_seed(0)
    shaped = implementation.assemble(*own_networks.pair(image=True), CONFIG, 36)
    flat = implementation.assemble(*own_networks.pair(), CONFIG, 36)
    implementation.assign(flat, implementation.gather(shaped))
    ours, theirs = (implementation.encode(model, data.x_test) for model in (shaped, flat))
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    images = [implementation.decode(model, ours[0]) for model in (shaped, flat)]
    assert images[0].shape == (len(data.x_test), 36) and (images[0] == images[1]).all()


def test_a_network_of_another_input_is_refused_in_one_line(implementation):
    x = keras.Input((6, 7))
    h = layers.Flatten()(x)
    wrong = keras.Model(x, [layers.Dense(2)(h), layers.Dense(2)(h)])
    with pytest.raises(
        UsageError, match=r"the encoder cannot be called on .*\(batch, 36\)"
    ) as refusal:
        implementation.assemble(wrong, own_networks.pair()[1], CONFIG, 36)
    assert "\n" not in str(refusal.value)
