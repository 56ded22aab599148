"""Computes one training step on the Keras backend of this process, with given weights and noise.

    KERAS_BACKEND=jax python tests/helpers/backend_step.py CASES RESULTS

Each .npz in the folder CASES holds weights by canonical name, a batch `x` and `epsilon`. The file
of the same name in RESULTS/float32 and RESULTS/float64 gets the loss, the gradient of each weight,
and each weight after one step of the optimizer.

Keras 3.15 itself rounds to float32 in two places, which are avoided here, so that the mathematics
of the project is compared in float64 on all backends. On JAX and PyTorch, products and means of
float64 are computed in float32, for alignment with JAX's default: the table BIT64_TO_BIT32_DTYPE
is emptied. On TensorFlow, `ops.cast` of a Python number goes through float32: the optimizer gets
decay rates that are float32 numbers.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from keras.src.backend.common import dtypes

from keras_vae.checkpoint import assign, gather
from keras_vae.model import build
from shared.config import from_dict
from shared.elbo import kl_to_standard_normal, negative_elbo, reparameterize
from shared.likelihoods import log_likelihood
from shared.training.optimizer import build_optimizer


def loss_of(model, x, epsilon):
    """The loss, computed by the model's parts with the given noise in place of its own."""
    q = model.encoder(x)
    given_z = log_likelihood(model.config, x, model.decoder(reparameterize(*q, epsilon)))
    return negative_elbo(given_z, kl_to_standard_normal(*q), model.config.beta)


def gradients(variables, loss):
    """The loss and its gradients, by the backend's own differentiation."""
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss()
        return value, tape.gradient(value, [v.value for v in variables])
    if name == "jax":
        import jax

        def of(values):
            mapping = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                return loss()

        return jax.value_and_grad(of)([v.value for v in variables])
    value = loss()
    value.backward()
    return value, [v.value.grad for v in variables]


def compute(case, result, floatx):
    """Reads a case and writes its result."""
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    with np.load(case) as file:
        arrays = {name: file[name] for name in file.files}
    config = from_dict(json.loads(str(arrays.pop("config"))))
    x, epsilon = (arrays.pop(name).astype(floatx) for name in ("x", "epsilon"))
    model = build(config, x.shape[1])
    assign(model, {name: array.astype(floatx) for name, array in arrays.items()})
    optimizer = build_optimizer(config, len(x), model.trainable_variables)
    for rate in {"beta_1", "beta_2", "rho"} & vars(optimizer).keys():
        setattr(optimizer, rate, float(np.float32(getattr(optimizer, rate))))
    inputs = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(epsilon)
    value, slopes = gradients(model.trainable_variables, lambda: loss_of(model, *inputs))
    named = {id(variable): name for name, variable in model.named_weights.items()}
    results = {"loss": keras.ops.convert_to_numpy(value)}
    for variable, slope in zip(model.trainable_variables, slopes, strict=True):
        results[f"gradient/{named[id(variable)]}"] = keras.ops.convert_to_numpy(slope)
    if keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            optimizer.apply(slopes, model.trainable_variables)
    else:
        optimizer.apply(slopes, model.trainable_variables)
    np.savez(result, **results, **{f"after/{k}": v for k, v in gather(model).items()})


def main(cases, results):
    """Computes all cases, first in float32."""
    for floatx in ("float32", "float64"):
        if floatx == "float64":
            dtypes.BIT64_TO_BIT32_DTYPE.clear()
        folder = Path(results) / floatx
        folder.mkdir(parents=True)
        for case in Path(cases).glob("*.npz"):
            compute(case, folder / case.name, floatx)


if __name__ == "__main__":
    main(*sys.argv[1:])
