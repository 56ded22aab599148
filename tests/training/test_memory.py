"""Memory that a training step frees is used by the next step.

Otherwise the pages of its buffers are requested again and again, and `fit` takes 1.7 times as long.
This happens once TensorFlow has built a `Dataset.from_generator`: on Python 3.11 and later, it
sets M_MMAP_THRESHOLD of glibc to 128 kB for the whole process (ApplyPython311MemoryPatch), and
every larger buffer is then mapped and unmapped, unless there happens to be room in an arena.
"""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.batches import training_batches
from shared.config import recipe

TRAINING = """
import resource
{first}
import numpy as np
from shared.config import recipe
from shared.data import load_data
from {package}.train import train

faults = []
train(
    recipe("post-keras", epochs=6, picture_epochs=()),
    load_data("mnist-5k"),
    verbose=0,
    on_epoch=lambda row: faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt),
)
print(*np.diff(faults)[1:])
"""


IN_A_NOTEBOOK = """
from shared.command.implementation import quiet
with quiet():
    pass
"""
AFTER_TENSORFLOW = """
import tensorflow as tf
x = tf.random.normal((500, 500))
tf.function(lambda x: tf.reduce_sum(x @ x), jit_compile=True)(x)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted on Linux")
@pytest.mark.parametrize("package", ["keras_vae", "tf_vae"])
@pytest.mark.parametrize("first", [IN_A_NOTEBOOK, "import keras", AFTER_TENSORFLOW])
def test_a_step_does_not_ask_for_its_memory_again(first, package):
    code = TRAINING.format(first=first, package=package)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # An epoch has 40 steps and a validation. Measured: up to 60 faults per step, and with a
    # generator in the feed 390 to 900.
    assert min(map(int, done.stdout.split())) < 40 * 200


def test_the_feed_of_fit_has_no_generator():
    """The cause itself, which does not depend on how much room the arenas of a process have."""
    feed = training_batches(np.zeros((4, 2), np.float32), recipe("post-keras"))
    policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    graph = feed._as_serialized_graph(external_state_policy=policy).numpy()
    assert b"FlatMapDataset" in graph and b"GeneratorDataset" not in graph
