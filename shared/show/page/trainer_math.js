// The mathematics of the training in the browser: the VAE of post-keras with one hidden layer, its
// loss as in shared/elbo.py, the gradients by the chain rule, and the RMSprop of Keras 2. Nothing
// here accesses the page: trainer_worker.js trains with it in a worker, trainer.js decodes with it.
// Arrays are flat, row by row, and have the type of the weights: Float32Array in the page, where
// every number is rounded to float32 when it is stored, and Float64Array in a test.
"use strict";

const trainerMath = (() => {
  const RHO = 0.9, EPSILON = 1e-7; // of Keras' RMSprop, as shared/training/optimizer.py has them
  const ENCODER = ["encoder/hidden_1", "encoder/z_mean", "encoder/z_log_var"];
  const DECODER = ["decoder/hidden_1", "decoder/logits"];

  // ---- random numbers: each is a function of (seed, role, index), as in shared/seeds.py

  // Returns a function that draws from [0, 1): mulberry32, started with the FNV-1a hash of a text.
  function uniform(...key) {
    let state = 0x811c9dc5;
    for (const each of key.join("/")) state = Math.imul(state ^ each.charCodeAt(0), 0x01000193);
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  // Returns draws from N(0, 1) (Box and Muller 1958); 1 - random() is never 0.
  function normal(random, count) {
    const out = new Float32Array(count);
    for (let i = 0; i < count; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - random())), angle = 2 * Math.PI * random();
      out[i] = radius * Math.cos(angle);
      if (i + 1 < count) out[i + 1] = radius * Math.sin(angle);
    }
    return out;
  }

  // Returns a random order of 0 … n - 1 (Fisher and Yates).
  function shuffled(random, n) {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor((i + 1) * random());
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  // ---- the weights

  function widths({ inputDim, hiddenDim, latentDim }) {
    return {
      "encoder/hidden_1": [inputDim, hiddenDim],
      "encoder/z_mean": [hiddenDim, latentDim],
      "encoder/z_log_var": [hiddenDim, latentDim],
      "decoder/hidden_1": [latentDim, hiddenDim],
      "decoder/logits": [hiddenDim, inputDim],
    };
  }

  // Returns the initial weights of a seed: kernels by Glorot's uniform rule, biases of zero.
  function initialWeights(settings) {
    const weights = {};
    for (const [name, [rows, columns]] of Object.entries(widths(settings))) {
      const random = uniform(settings.seed, "weights", name), limit = Math.sqrt(6 / (rows + columns));
      const kernel = Float32Array.from({ length: rows * columns }, () => limit * (2 * random() - 1));
      Object.assign(weights, { [`${name}/kernel`]: kernel, [`${name}/bias`]: new Float32Array(columns) });
    }
    return weights;
  }

  function zerosLike(weights) {
    const zeros = ([name, array]) => [name, new array.constructor(array.length)];
    return Object.fromEntries(Object.entries(weights).map(zeros));
  }

  // ---- layers

  // The loops below add four products at a time, because a stored sum is read, rounded and written
  // once for the four; and they leave out products with 0, which are many: black pixels, and hidden
  // units after relu. `used` is a list of the others, filled up to a multiple of four with 0.

  let used = new Uint32Array(1024), factors = new Float64Array(1024);

  // Lists the numbers that are not 0 of every `every`-th of `values`, from `first` on.
  function listUsed(values, first, every, length) {
    if (length + 4 > used.length)
      [used, factors] = [new Uint32Array(2 * length + 4), new Float64Array(2 * length + 4)];
    let count = 0;
    for (let i = 0; i < length; i++) {
      const value = values[first + i * every];
      if (value === 0) continue;
      used[count] = i;
      factors[count++] = value;
    }
    for (; count % 4; count++) {
      used[count] = 0;
      factors[count] = 0;
    }
    return count;
  }

  // Adds to out[at …] the rows of a matrix that are listed, each times its factor.
  function addRows(out, at, matrix, width, count) {
    for (let n = 0; n < count; n += 4) {
      const [a, b, c, d] = [used[n] * width, used[n + 1] * width, used[n + 2] * width, used[n + 3] * width];
      const [p, q, r, s] = [factors[n], factors[n + 1], factors[n + 2], factors[n + 3]];
      for (let j = 0; j < width; j++)
        out[at + j] += p * matrix[a + j] + q * matrix[b + j] + r * matrix[c + j] + s * matrix[d + j];
    }
  }

  // Computes h · kernel + bias for each row of h.
  function dense(weights, name, h, rows) {
    const kernel = weights[`${name}/kernel`], bias = weights[`${name}/bias`];
    const width = bias.length, inputs = h.length / rows, out = new kernel.constructor(rows * width);
    for (let row = 0; row < rows; row++) {
      out.set(bias, row * width);
      addRows(out, row * width, kernel, width, listUsed(h, row * inputs, 1, inputs));
    }
    return out;
  }

  // Adds the gradients of a layer with the inputs h to `gradients`, given that of its outputs.
  function addGradients(gradients, name, h, delta, rows) {
    const kernel = gradients[`${name}/kernel`], bias = gradients[`${name}/bias`];
    const width = bias.length, inputs = h.length / rows;
    for (let row = 0; row < rows; row++)
      for (let j = 0; j < width; j++) bias[j] += delta[row * width + j];
    for (let i = 0; i < inputs; i++)
      addRows(kernel, i * width, delta, width, listUsed(h, i, inputs, rows));
  }

  // Adds delta · kernelᵀ, the gradient of a layer's inputs, to `out`; with `active`, only where these
  // are positive, which is the gradient of relu.
  function addInputGradient(out, weights, name, delta, rows, active) {
    const kernel = weights[`${name}/kernel`], width = delta.length / rows, inputs = out.length / rows;
    for (let row = 0; row < rows; row++)
      for (let i = 0; i < inputs; i++) {
        if (active && !(active[row * inputs + i] > 0)) continue;
        const start = i * width, base = row * width;
        let even = 0, odd = 0; // two sums, so that one product need not wait for the other
        for (let j = 0; j + 1 < width; j += 2) {
          even += kernel[start + j] * delta[base + j];
          odd += kernel[start + j + 1] * delta[base + j + 1];
        }
        if (width % 2) even += kernel[start + width - 1] * delta[base + width - 1];
        out[row * inputs + i] += even + odd;
      }
  }

  function relu(h) {
    for (let i = 0; i < h.length; i++) if (h[i] < 0) h[i] = 0;
    return h;
  }

  // ---- the model

  // Returns the hidden units, and the mean and the natural log of the variance of q(z|x).
  function encode(weights, x, rows) {
    const hidden = relu(dense(weights, ENCODER[0], x, rows));
    const [zMean, zLogVar] = ENCODER.slice(1).map((name) => dense(weights, name, hidden, rows));
    return { hidden, zMean, zLogVar };
  }

  // Returns the hidden units and the logits of the pixels at each z.
  function decode(weights, z, rows) {
    const hidden = relu(dense(weights, DECODER[0], z, rows));
    return { hidden, logits: dense(weights, DECODER[1], hidden, rows) };
  }

  const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));

  // Returns the probabilities of the pixels at each z.
  const images = (weights, z) => decode(weights, z, z.length / 2).logits.map(sigmoid);

  // The sums over a batch of log p(x|z), x · l - softplus(l) summed over pixels, and of the KL.
  function sums(x, q, logits) {
    let logLikelihood = 0, kl = 0;
    for (let i = 0; i < logits.length; i++) {
      const l = logits[i], softplus = Math.max(l, 0) + Math.log1p(Math.exp(-Math.abs(l)));
      logLikelihood += x[i] * l - softplus;
    }
    for (let i = 0; i < q.zMean.length; i++) {
      const m = q.zMean[i], v = q.zLogVar[i];
      kl += 0.5 * (Math.expm1(v) - v + m * m); // expm1(v) - v keeps its digits near v = 0
    }
    return { logLikelihood, kl };
  }

  // Returns the loss of a batch, its two terms and the gradient of every weight.
  // x: (rows, inputDim) in [0, 1]; epsilon: (rows, latentDim), drawn from N(0, I).
  function lossAndGradients(weights, x, epsilon, beta, rows) {
    const type = weights["decoder/logits/kernel"].constructor;
    const q = encode(weights, x, rows), sigma = q.zLogVar.map((v) => Math.exp(0.5 * v));
    const z = q.zMean.map((m, i) => m + sigma[i] * epsilon[i]);
    const out = decode(weights, z, rows), total = sums(x, q, out.logits);
    const [logLikelihood, kl] = [total.logLikelihood / rows, total.kl / rows];

    const gradients = zerosLike(weights);
    // Of the logits: softplus'(l) - x is the probability minus the pixel.
    const dLogits = out.logits.map((l, i) => (sigmoid(l) - x[i]) / rows);
    addGradients(gradients, DECODER[1], out.hidden, dLogits, rows);
    const dDecoder = new type(out.hidden.length);
    addInputGradient(dDecoder, weights, DECODER[1], dLogits, rows, out.hidden);
    addGradients(gradients, DECODER[0], z, dDecoder, rows);
    const dZ = new type(z.length);
    addInputGradient(dZ, weights, DECODER[0], dDecoder, rows);
    // z = mean + sigma · epsilon, and the KL is 0.5 · (exp(v) - 1 - v + m²).
    const dMean = dZ.map((d, i) => d + (beta * q.zMean[i]) / rows);
    const dLogVar = dZ.map((d, i) =>
      0.5 * (d * epsilon[i] * sigma[i] + (beta * Math.expm1(q.zLogVar[i])) / rows));
    const dEncoder = new type(q.hidden.length);
    [dMean, dLogVar].forEach((delta, n) => {
      addGradients(gradients, ENCODER[n + 1], q.hidden, delta, rows);
      addInputGradient(dEncoder, weights, ENCODER[n + 1], delta, rows, q.hidden);
    });
    addGradients(gradients, ENCODER[0], x, dEncoder, rows);
    return { loss: beta * kl - logLikelihood, logLikelihood, kl, gradients };
  }

  // Moves the weights by one step of RMSprop with epsilon outside the root, g / (√a + ε), where a
  // is the running mean of the squared gradients.
  function rmsprop(weights, means, gradients, rate) {
    for (const name of Object.keys(weights)) {
      const weight = weights[name], mean = means[name], gradient = gradients[name];
      for (let i = 0; i < weight.length; i++) {
        const g = gradient[i];
        mean[i] = RHO * mean[i] + (1 - RHO) * g * g;
        weight[i] -= (rate * g) / (Math.sqrt(mean[i]) + EPSILON);
      }
    }
  }

  // ---- a training

  // Begins a training. data: { x: n images in [0, 1], inputDim }; settings: { seed, beta, rate,
  // batchSize, hiddenDim, latentDim }.
  function begin(data, settings) {
    const weights = initialWeights({ ...settings, inputDim: data.inputDim });
    return { data, settings, weights, means: zerosLike(weights), step: 0, order: null };
  }

  // Returns the images of the given numbers.
  function batchOf({ x, inputDim }, numbers) {
    const batch = new Float32Array(numbers.length * inputDim);
    numbers.forEach((number, row) =>
      batch.set(x.subarray(number * inputDim, (number + 1) * inputDim), row * inputDim));
    return batch;
  }

  const count = ({ x, inputDim }) => x.length / inputDim;
  const stepsPerEpoch = (data, batchSize) => Math.ceil(count(data) / batchSize);

  // Trains on the next batch; every epoch has all images, in an order of its own. Returns the loss,
  // its terms and the number of images.
  function trainStep(training) {
    const { data, settings, weights, means } = training, { seed, batchSize } = settings;
    const perEpoch = stepsPerEpoch(data, batchSize), inEpoch = training.step % perEpoch;
    if (inEpoch === 0)
      training.order = shuffled(uniform(seed, "order", training.step / perEpoch + 1), count(data));
    const numbers = training.order.subarray(inEpoch * batchSize, (inEpoch + 1) * batchSize);
    const rows = numbers.length;
    const epsilon = normal(uniform(seed, "noise", training.step), rows * settings.latentDim);
    const found = lossAndGradients(weights, batchOf(data, numbers), epsilon, settings.beta, rows);
    rmsprop(weights, means, found.gradients, settings.rate);
    training.step += 1;
    return { loss: found.loss, logLikelihood: found.logLikelihood, kl: found.kl, rows };
  }

  // Returns the mean and the log variance of q(z|x) of all images.
  function posteriors({ data, weights }) {
    const { zMean, zLogVar } = encode(weights, data.x, count(data));
    return { zMean, zLogVar };
  }

  // Returns the standard deviation of the means over the images, as root mean square of the latents.
  function spread(zMean, latentDim) {
    const n = zMean.length / latentDim, centre = new Float64Array(latentDim);
    zMean.forEach((m, i) => { centre[i % latentDim] += m / n; });
    const square = zMean.reduce((sum, m, i) => sum + (m - centre[i % latentDim]) ** 2, 0);
    return Math.sqrt(square / zMean.length);
  }

  return {
    begin, encode, decode, images, initialWeights, lossAndGradients, normal, posteriors, rmsprop,
    shuffled, sigmoid, spread, stepsPerEpoch, trainStep, uniform, zerosLike,
  };
})();
