"""The model in PyTorch: a module and a loop, eager or with `torch.compile`."""

import time

__all__ = ["epochs"]


def epochs(config, data, count, compiled=False):
    """Trains by PyTorch; returns the seconds of each epoch.

    Args:
        config: shared.config.Config.
        data: shared.data.Data.
        count: number of epochs, or 0 for a single step.
        compiled: whether the loss is compiled by `torch.compile`.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    torch.manual_seed(config.seed)
    width, latent_dim = config.hidden_dims[0], config.latent_dim

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(data.input_dim, width)
            self.z_mean, self.z_log_var = (nn.Linear(width, latent_dim) for _ in range(2))
            self.decoder = nn.Sequential(
                nn.Linear(latent_dim, width), nn.ReLU(), nn.Linear(width, data.input_dim)
            )

        def forward(self, x):
            h = functional.relu(self.hidden(x))
            z_mean, z_log_var = self.z_mean(h), self.z_log_var(h)
            z = z_mean + torch.exp(0.5 * z_log_var) * torch.randn_like(z_mean)
            logits = self.decoder(z)
            cross_entropy = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = 0.5 * torch.sum(torch.expm1(z_log_var) - z_log_var + z_mean**2)
            return (cross_entropy + kl) / len(x)

    model = VAE()
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    # Keras' defaults of RMSprop, as in the recipe
    optimizer = torch.optim.RMSprop(model.parameters(), config.learning_rate, alpha=0.9, eps=1e-7)
    loss_of = torch.compile(model) if compiled else model
    x_train = torch.from_numpy(data.x_train[:])
    size, seconds = config.batch_size, []
    for _ in range(max(count, 1)):
        started = time.perf_counter()
        order = torch.randperm(len(x_train))
        for rows in order.split(size) if count else [order[:size]]:
            optimizer.zero_grad()
            loss = loss_of(x_train[rows])
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds
