"""The model in JAX: pure functions, compiled step by step, or a whole epoch in one `scan`."""

import time

__all__ = ["epochs"]

DECAY, EPSILON = 0.9, 1e-7  # Keras' defaults of RMSprop, as in the recipe


def epochs(config, data, count, scan=False):
    """Trains by JAX; returns the seconds of each epoch.

    Args:
        config: shared.config.Config.
        data: shared.data.Data.
        count: number of epochs, or 0 for a single step.
        scan: whether an epoch is a single compiled `lax.scan` over its batches.
    """
    import jax
    import jax.numpy as jnp

    width, pixels = config.hidden_dims[0], data.input_dim
    key = jax.random.key(config.seed)

    def layer(number, inputs, outputs):
        glorot = jax.nn.initializers.glorot_uniform()
        kernel = glorot(jax.random.fold_in(key, number), (inputs, outputs), jnp.float32)
        return {"kernel": kernel, "bias": jnp.zeros(outputs)}

    params = {
        "hidden": layer(0, pixels, width),
        "z_mean": layer(1, width, config.latent_dim),
        "z_log_var": layer(2, width, config.latent_dim),
        "decoder_hidden": layer(3, config.latent_dim, width),
        "logits": layer(4, width, pixels),
    }

    def dense(layer, h):
        return h @ layer["kernel"] + layer["bias"]

    def loss_of(params, x, key):
        h = jax.nn.relu(dense(params["hidden"], x))
        z_mean, z_log_var = dense(params["z_mean"], h), dense(params["z_log_var"], h)
        z = z_mean + jnp.exp(0.5 * z_log_var) * jax.random.normal(key, z_mean.shape)
        logits = dense(params["logits"], jax.nn.relu(dense(params["decoder_hidden"], z)))
        log_likelihood = jnp.sum(x * logits - jax.nn.softplus(logits), axis=-1)
        kl = 0.5 * jnp.sum(jnp.expm1(z_log_var) - z_log_var + z_mean**2, axis=-1)
        return jnp.mean(kl - log_likelihood)

    def step(state, batch):
        params, squares = state
        loss, gradients = jax.value_and_grad(loss_of)(params, *batch)
        squares = jax.tree.map(lambda s, g: DECAY * s + (1 - DECAY) * g**2, squares, gradients)
        params = jax.tree.map(
            lambda p, g, s: p - config.learning_rate * g / (jnp.sqrt(s) + EPSILON),
            params,
            gradients,
            squares,
        )
        return (params, squares), loss

    @jax.jit
    def epoch(state, x_train, key):
        steps = len(x_train) // config.batch_size
        order, noise = jax.random.split(key)
        rows = jax.random.permutation(order, len(x_train))[: steps * config.batch_size]
        batches = x_train[rows.reshape(steps, -1)], jax.random.split(noise, steps)
        return jax.lax.scan(step, state, batches)

    x_train = jnp.asarray(data.x_train[:])
    if not count:
        x_train, count = x_train[: config.batch_size], 1
    one_step, size = jax.jit(step, donate_argnums=0), config.batch_size
    state, seconds = (params, jax.tree.map(jnp.zeros_like, params)), []
    for number in range(count):
        started = time.perf_counter()
        epoch_key = jax.random.fold_in(key, 100 + number)
        if scan:
            state, loss = epoch(state, x_train, epoch_key)
        else:
            rows = jax.random.permutation(epoch_key, len(x_train))
            for start in range(0, len(x_train) - size + 1, size):
                batch_key = jax.random.fold_in(epoch_key, start)
                state, loss = one_step(state, (x_train[rows[start : start + size]], batch_key))
        loss.block_until_ready()
        seconds.append(time.perf_counter() - started)
    return seconds
