"""The .keras file: loaded in a new process, in safe mode and without custom_objects."""

import subprocess
import sys

import numpy as np

from shared.config import recipe

RELOAD = """
import sys
import keras
import numpy as np
import keras_vae.model  # registers the classes

model = keras.saving.load_model(sys.argv[1])
arrays = np.load(sys.argv[2])
z_mean, z_log_var = keras_vae.model.encode(model, arrays["x"])
probs = keras_vae.model.decode(model, z_mean)
assert model.config.beta == 3.0
model.sampling.start_evaluation_noise(2)
history = model.fit(arrays["x"], epochs=1, batch_size=50, verbose=0).history  # compiled as saved
np.savez(sys.argv[3], z_mean=z_mean, z_log_var=z_log_var, probs=probs, loss=history["loss"])
"""


def test_a_saved_model_is_the_model(implementations, data, tmp_path):
    implementation = implementations["keras_vae"]
    config = recipe("post-keras", epochs=1, hidden_dims=(12,), beta=3.0, seed=2, step_losses=True)
    model, _ = implementation.train(config, data, tmp_path / "run", verbose=0)
    np.savez(tmp_path / "x.npz", x=data.x_test)
    paths = [str(tmp_path / name) for name in ("run/model.keras", "x.npz", "out.npz")]
    subprocess.run([sys.executable, "-c", RELOAD, *paths], check=True)
    z_mean, z_log_var = implementation.encode(model, data.x_test)
    with np.load(tmp_path / "out.npz") as out:
        assert out["z_mean"].tobytes() == z_mean.tobytes()
        assert out["z_log_var"].tobytes() == z_log_var.tobytes()
        assert out["probs"].tobytes() == implementation.decode(model, z_mean).tobytes()
        assert np.isfinite(out["loss"]).all()
