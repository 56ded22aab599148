"""Project 7, solved: probabilistic PCA by EM and in closed form."""

import numpy as np


def log_likelihood(x, W, noise):
    """Returns log p(x) of each row under N(0, W Wᵀ + noise · I), (n,) nats."""
    covariance = W @ W.T + noise * np.eye(len(W))
    _, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
    return -0.5 * (np.sum(x * np.linalg.solve(covariance, x.T).T, axis=1) + log_determinant)


def closed_form(x, latent_dim):
    """Returns the W and the noise with the largest likelihood, from the eigenvalues of the covariance."""
    values, vectors = np.linalg.eigh(x.T @ x / len(x))  # the smallest first
    noise = values[:-latent_dim].mean()  # what no latent explains
    W = vectors[:, -latent_dim:] * np.sqrt(np.maximum(values[-latent_dim:] - noise, 0))
    return W, noise


def em_step(x, W, noise):
    """Returns W and noise after one step of EM: the posterior of z first, then the best W and noise."""
    inverse = np.linalg.inv(W.T @ W + noise * np.eye(W.shape[1]))
    mean = x @ W @ inverse  # of p(z|x), whose covariance is noise · inverse
    second = len(x) * noise * inverse + mean.T @ mean  # the sum of E[z zᵀ]
    W = x.T @ mean @ np.linalg.inv(second)
    noise = (np.sum(x**2) - 2 * np.sum(mean * (x @ W)) + np.trace(second @ W.T @ W)) / x.size
    return W, noise
