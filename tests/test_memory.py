"""Memory that a training step frees is used by the next step, in whatever order modules load.

Otherwise the pages of its buffers are requested again and again, and `fit` takes 1.7 times as long.
"""

import subprocess
import sys

import pytest

TRAINING = """
import resource
{first}
import numpy as np
from shared.config import recipe
from shared.data import load_data
from keras_vae.train import train

faults = []
train(
    recipe("post-keras", epochs=6, picture_epochs=()),
    load_data("mnist-5k"),
    verbose=0,
    on_epoch=lambda row: faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt),
)
print(*np.diff(faults)[1:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has mallopt")
@pytest.mark.parametrize(
    "first",
    [
        "from shared.run.implementation import quiet\nwith quiet():\n    pass",  # as in a notebook
        "import keras",
    ],
)
def test_a_step_of_fit_does_not_ask_for_its_memory_again(first):
    code = TRAINING.format(first=first)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # An epoch has 40 steps and a validation. Without the setting, it had 700 faults per step more.
    assert min(map(int, done.stdout.split())) < 40 * 300
