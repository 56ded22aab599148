# %% [markdown]
# # 1. Where the loss of a VAE comes from
#
# ## What you will learn
#
# - why `KL − log-likelihood` is the loss, and why nothing in it may be averaged or weighted.

# %%
# Set-up. On your own machine: nothing to do, after `make setup`. On Colab: fill in the address.
REPOSITORY = ""  # of a copy of this repository, e.g. "https://github.com/YOU/REPOSITORY"

import os
import subprocess
import sys

if "google.colab" in sys.modules:
    if not REPOSITORY:
        raise SystemExit("REPOSITORY is empty: fill in the address of a copy, in the line above")
    if not os.path.exists("vae"):
        subprocess.run(["git", "clone", "--depth", "1", REPOSITORY, "vae"], check=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "-r", "vae/requirements.txt"], check=True)
    sys.path.insert(0, "vae")

# %%
from shared import plots
from shared.config import recipe
from shared.data import load_data
from shared.notebook import check, fast, show
from tf_vae.model import encode
from tf_vae.train import train

data = load_data("mnist-5k")
model, run = train(recipe("post-keras", epochs=fast(20, 2)), data, verbose=0)
z_mean, z_log_var = encode(model, data.x_test)
show(plots.latent_scatter(z_mean, data.y_test, plots.latent_limit(z_mean), "post-keras"))

# %% [markdown]
# ## Exercises

# %%
answer_1 = None  # your answer

check("exercise 1", answer_1, lambda nats: nats > 0, "A number above 0 is wanted.")
