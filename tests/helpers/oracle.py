"""An independent computation of the VAE from its formulas, in NumPy float64.

It is for finding errors that both implementations have in common, so it does not import `shared`.
Weights are {canonical name: array}.
"""

import numpy as np


def log_sigmoid(logits):
    """log(1 / (1 + exp(-l))), without overflow."""
    return -np.logaddexp(0.0, -logits)


def bernoulli_log_likelihood(x, logits):
    """Σ x log p + (1 - x) log(1 - p), as in the derivation."""
    return np.sum(x * log_sigmoid(logits) + (1 - x) * log_sigmoid(-logits), axis=-1)


def kl_to_standard_normal(z_mean, z_log_var):
    """-½ Σ (1 + log σ² - μ² - σ²), as in Kingma & Welling, appendix B."""
    return -0.5 * np.sum(1 + z_log_var - z_mean**2 - np.exp(z_log_var), axis=-1)


def log_normal(x, mean, log_var):
    """Log density of a diagonal Gaussian, summed over the last axis."""
    return -0.5 * np.sum(np.log(2 * np.pi) + log_var + (x - mean) ** 2 / np.exp(log_var), axis=-1)


def importance_bound(log_weights):
    """log of the mean of the weights over axis 0."""
    top = log_weights.max(axis=0)
    return top + np.log(np.mean(np.exp(log_weights - top), axis=0))


ACTIVATIONS = {
    "relu": (lambda h: np.maximum(h, 0), lambda a: (a > 0).astype(np.float64)),
    "tanh": (np.tanh, lambda a: 1 - a**2),
}


def layers(weights, part, inputs, activation):
    """The inputs of the encoder or decoder and its hidden layers: a list of arrays."""
    act, _ = ACTIVATIONS[activation]
    hidden = [np.asarray(inputs, np.float64)]
    while f"{part}/hidden_{len(hidden)}/kernel" in weights:
        hidden.append(act(dense(weights, f"{part}/hidden_{len(hidden)}", hidden[-1])))
    return hidden


def dense(weights, name, h):
    """One layer without its activation."""
    kernel, bias = (weights[f"{name}/{each}"].astype(np.float64) for each in ("kernel", "bias"))
    return h @ kernel + bias


def decode(weights, z, activation):
    """The logits at each z."""
    return dense(weights, "decoder/logits", layers(weights, "decoder", z, activation)[-1])


def forward(weights, x, epsilon, activation):
    """Everything the network computes, hidden activations included: a dict of arrays."""
    encoder = layers(weights, "encoder", x, activation)
    z_mean = dense(weights, "encoder/z_mean", encoder[-1])
    z_log_var = dense(weights, "encoder/z_log_var", encoder[-1])
    z = z_mean + np.sqrt(np.exp(z_log_var)) * epsilon.astype(np.float64)
    logits = decode(weights, z, activation)
    return {
        "z_mean": z_mean,
        "z_log_var": z_log_var,
        "z": z,
        "logits": logits,
        "log_likelihood": bernoulli_log_likelihood(x.astype(np.float64), logits),
        "kl": kl_to_standard_normal(z_mean, z_log_var),
        "encoder": encoder,
        "decoder": layers(weights, "decoder", z, activation),
    }


def loss(weights, x, epsilon, activation, beta):
    """-mean(log_likelihood - beta · kl)."""
    out = forward(weights, x, epsilon, activation)
    return float(np.mean(beta * out["kl"] - out["log_likelihood"]))


def gradient(weights, x, epsilon, activation, beta):
    """d loss / d weight for every weight, by the chain rule written out."""
    out = forward(weights, x, epsilon, activation)
    _, slope = ACTIVATIONS[activation]
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    grads = {}

    def back(name, h, delta):
        """Gradients of one dense layer with input `h`; returns that of the input."""
        grads[f"{name}/kernel"], grads[f"{name}/bias"] = h.T @ delta, delta.sum(axis=0)
        return delta @ w[f"{name}/kernel"].T

    def back_hidden(part, layers, delta):
        for number in range(len(layers) - 1, 0, -1):
            delta = back(
                f"{part}/hidden_{number}", layers[number - 1], delta * slope(layers[number])
            )
        return delta

    n = len(x)
    probs = np.exp(log_sigmoid(out["logits"]))
    delta = back("decoder/logits", out["decoder"][-1], (probs - x) / n)
    d_z = back_hidden("decoder", out["decoder"], delta)
    sigma = np.sqrt(np.exp(out["z_log_var"]))
    d_mean = d_z + beta * out["z_mean"] / n
    d_log_var = d_z * epsilon * sigma / 2 + beta * (sigma**2 - 1) / 2 / n
    delta = back("encoder/z_mean", out["encoder"][-1], d_mean)
    delta = delta + back("encoder/z_log_var", out["encoder"][-1], d_log_var)
    back_hidden("encoder", out["encoder"], delta)
    return grads
