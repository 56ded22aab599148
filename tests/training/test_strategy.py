"""Keras' `fit` under a `tf.distribute` strategy: the training of one device, over its replicas.

Devices are made before TensorFlow's first operation, so a process of its own trains.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

TRAIN = """
import json
import sys
import keras
import numpy as np
import tensorflow as tf
from keras_vae.checkpoint import gather
from keras_vae.model import assemble, build
from shared.config import recipe
from shared.machine.checks import UsageError

replicas = int(sys.argv[1])
(cpu,) = tf.config.list_physical_devices("CPU")
virtual = [tf.config.LogicalDeviceConfiguration()] * replicas
tf.config.set_logical_device_configuration(cpu, virtual)
several = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
random = np.random.RandomState(0)
x, held_out = (random.rand(n, 9).astype("float32") for n in (6 * 3 + replicas // 2, 10))
w = random.rand(len(x))

def penalized(config):
    layer = keras.layers.Dense
    dense = lambda n, s: layer(n, kernel_initializer=keras.initializers.GlorotUniform(s))
    x, z = keras.Input((9,)), keras.Input((2,))
    h = layer(4, "relu", kernel_initializer=keras.initializers.GlorotUniform(1),
              kernel_regularizer=keras.regularizers.L2(0.1))(x)
    encoder = keras.Model(x, [dense(2, 2)(h), dense(2, 3)(h)])
    return assemble(encoder, keras.Model(z, {"logits": dense(9, 4)(z)}), config, 9)

CASES = {
    "warm-up, penalty, weights": ({"train_samples": 2, "kl_warmup_steps": 5, "step_losses": True},
                                  {"sample_weight": w}),
    "one sample": ({"step_losses": True}, {}),
    "importance bound": ({"objective": "iwae", "train_samples": 3, "step_losses": True}, {}),
}
if sys.argv[4] == "quick":
    CASES = dict([*CASES.items()][:1])

class Losses(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.objective.step_losses:
            taken.extend(self.model.objective.step_losses.take())

results = {}
for name, (changes, options) in CASES.items():
    config = recipe("post-keras", hidden_dims=(4,), **changes)
    results[name] = []
    for strategy in (tf.distribute.get_strategy(), several):
        taken = []
        with strategy.scope():
            model = penalized(config) if "penalty" in name else build(config, 9)
            model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
        history = model.fit(
            x, batch_size=6, epochs=2, shuffle=False, verbose=0, callbacks=[Losses()],
            validation_data=held_out, validation_batch_size=6, **options
        ).history
        terms = model.predict(held_out, batch_size=6, verbose=0)
        results[name].append({
            **history,
            "steps": taken,
            "terms": np.concatenate([*terms.values()]).tolist(),
            "weights": np.concatenate([v.ravel() for v in gather(model).values()]).tolist(),
        })

refused = {}
def refusal(name, call):
    try:
        call()
    except UsageError as error:
        refused[name] = str(error)

with several.scope():
    model = build(recipe("post-keras", hidden_dims=(4,)), 9)
    model.compile("adam")
refusal("batch", lambda: model.fit(x, batch_size=2 * replicas + 1))
refusal("batch of a validation", lambda: model.fit(
    x, batch_size=6, validation_data=held_out, validation_batch_size=2 * replicas + 1))
model.compile("adam", jit_compile=True)
refusal("XLA", lambda: model.fit(x, batch_size=6))

import keras_vae.train
import tf_vae.train
from shared.data import load_data
data = load_data(sys.argv[2])
for package in (keras_vae, tf_vae):
    with several.scope():
        refusal(package.__name__, lambda: package.train.train(
            recipe("post-keras"), data, sys.argv[3]))
        refusal(package.__name__ + " step_losses", lambda: package.train.step_losses(
            recipe("post-keras"), data, [0]))
with tf.distribute.OneDeviceStrategy("CPU:0").scope():  # which is no strategy of several
    keras_vae.train.train(recipe("post-keras", epochs=1, hidden_dims=(2,)), data, verbose=0)
print(json.dumps([results, refused]))
"""


LONG = [pytest.param(each, marks=pytest.mark.long) for each in ((2, "all"), (3, "all"))]


@pytest.fixture(scope="module", params=[(2, "quick"), *LONG], ids=lambda each: f"{each}")
def trained(request, data_path, tmp_path_factory):
    """{case: [of one device, of several]}, and the messages of what is refused."""
    replicas, cases = request.param
    out = tmp_path_factory.mktemp("run") / "none"
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(replicas), str(data_path), str(out), cases],
        check=True,
        stdout=subprocess.PIPE,
    )
    assert not out.exists()
    return json.loads(done.stdout.splitlines()[-1])


def test_several_replicas_train_as_one_device_does(trained):
    """The last batch has an image more than some replicas, or none for one of them.

    Same noise, same loss, same steps. The tolerance is that of float32 sums in another order, over
    8 steps of SGD.
    """
    for name, (one, several) in trained[0].items():
        assert one.keys() == several.keys()
        for key in one:
            np.testing.assert_allclose(
                several[key], one[key], rtol=2e-5, atol=2e-6, err_msg=f"{name}: {key}"
            )
        assert (
            len(one["steps"]) == len(several["steps"]) == 8 * (name != "importance bound, weights")
        )
        assert ("penalty" in one) == ("penalty" in name)


def test_what_a_strategy_cannot_train_is_refused_in_one_line(trained):
    refused = trained[1]
    assert "the first batch has " in refused["batch"] and "replicas" in refused["batch"]
    assert "the first batch has " in refused["batch of a validation"]
    assert "jit_compile=True under a strategy" in refused["XLA"]
    for name in ("keras_vae", "tf_vae", "keras_vae step_losses", "tf_vae step_losses"):
        assert "--virtual-devices or --workers" in refused[name]
    assert not any("\n" in message for message in refused.values())
