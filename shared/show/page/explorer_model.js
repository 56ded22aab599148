// The computations of the explorer: unpacking its data, the encoder and the decoder, and converting
// a drawing to an image like MNIST's. Nothing here accesses the page; explorer.js shows the results.
"use strict";

const PEN = 2.8; // pixels of 28: the median stroke width of MNIST's ones (ink divided by length)
const SIDE = 28, BOX = 20; // pixels: the side of MNIST's images, and of the box that their ink fits into

// ---- unpacking

function bytes(base64) {
  const text = atob(base64), out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

const integers = (base64) => new Int16Array(bytes(base64).buffer);

function unpackEpoch(packed, zStep) {
  const zMeans = Float32Array.from(integers(packed.z_mean), (n) => n * zStep); // z[0], z[1], z[0], …
  return { epoch: packed.epoch, centres: packed.centres, zMeans };
}

async function inflated(base64) {
  const stream = new Blob([bytes(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Unpacks the weights of each epoch, the last one first, as packing.py packed them: float32 biases,
// and kernels as integers less those of the next epoch, modulo 256.
async function* unpackedWeights({ kernels, biases, epochs }) {
  let later = null;
  for (let epoch = epochs.length - 1; epoch >= 0; epoch--) {
    const content = await inflated(epochs[epoch]), weights = {};
    let at = 0;
    for (const [name, length] of biases) {
      weights[name] = new Float32Array(content.buffer, at, length);
      at += 4 * length;
    }
    const numbers = new Int8Array(content.subarray(at));
    if (later) for (let i = 0; i < numbers.length; i++) numbers[i] += later[i];
    later = numbers;
    let first = 0;
    for (const [name, text, rows] of kernels) {
      const steps = new Float32Array(bytes(text).buffer), end = first + rows * steps.length;
      weights[name] = scaled(numbers.subarray(first, end), steps);
      first = end;
    }
    yield weights;
  }
}

// Returns integers, row by row, in units of the step of their column.
function scaled(numbers, steps) {
  const out = new Float32Array(numbers.length);
  for (let i = 0; i < out.length; i++) out[i] = numbers[i] * steps[i % steps.length];
  return out;
}

// ---- the model, in float64 on the rounded weights

// Computes h · kernel + bias, row by row of the kernel, which is its order in memory.
function dense(weights, name, h) {
  const kernel = weights[`${name}/kernel`], out = Float64Array.from(weights[`${name}/bias`]);
  for (let i = 0; i < h.length; i++) {
    if (h[i] === 0) continue; // many are 0: black pixels, and hidden units after relu
    const row = i * out.length;
    for (let j = 0; j < out.length; j++) out[j] += h[i] * kernel[row + j];
  }
  return out;
}

function hidden(weights, part, h) {
  for (let n = 1; `${part}/hidden_${n}/kernel` in weights; n++)
    h = dense(weights, `${part}/hidden_${n}`, h).map((a) => Math.max(a, 0));
  return h;
}

// Returns q(z|x): its mean, and the natural log of its variance.
function encode(weights, x) {
  const h = hidden(weights, "encoder", x);
  const [zMean, zLogVar] = ["z_mean", "z_log_var"].map((n) => dense(weights, `encoder/${n}`, h));
  return { zMean, zLogVar };
}

const logits = (weights, z) => dense(weights, "decoder/logits", hidden(weights, "decoder", z));

const sigmoid = (values) => values.map((logit) => 1 / (1 + Math.exp(-logit)));

// Returns the probability of each pixel at z.
const decode = (weights, z) => sigmoid(logits(weights, z));

// Returns log p(x|z) in nats, as in shared/elbo.py: x · l - softplus(l), summed over pixels.
function logLikelihood(x, values) {
  const softplus = (l) => Math.max(l, 0) + Math.log1p(Math.exp(-Math.abs(l)));
  return values.reduce((sum, l, i) => sum + x[i] * l - softplus(l), 0);
}

// Returns the distance of a z from the mean of q(z|x) in units of σ, which is that of its ε from 0.
const distance = (epsilon) => Math.hypot(...epsilon);

// Returns two independent draws from N(0, 1) (Box and Muller 1958); 1 - random() is never 0.
function noise() {
  const radius = Math.sqrt(-2 * Math.log(1 - Math.random())), angle = 2 * Math.PI * Math.random();
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

// z = μ + σ · ε, and the ε that gives a z.
const sigma = ({ zLogVar }) => Array.from(zLogVar, (v) => Math.exp(v / 2));
const reparameterize = (q, epsilon) => sigma(q).map((s, i) => q.zMean[i] + s * epsilon[i]);
const noiseOf = (q, z) => sigma(q).map((s, i) => (z[i] - q.zMean[i]) / s);

// Returns KL(q(z|x) || N(0, I)) in nats, as in shared/elbo.py: expm1(v) - v keeps the digits that
// exp(v) - 1 - v loses near the prior.
function kl({ zMean, zLogVar }) {
  const terms = zMean.map((m, i) => Math.expm1(zLogVar[i]) - zLogVar[i] + m * m);
  return 0.5 * terms.reduce((sum, term) => sum + term, 0);
}

// ---- from a drawing to an image like MNIST's

// Returns the image of strokes of the pen, of [x, y] in pixels from 0 to 28 from the upper left.
function ink(strokes) {
  const image = new Float64Array(SIDE * SIDE), reach = PEN / 2 + 0.5;
  for (const stroke of strokes)
    stroke.forEach(([bx, by], n) => {
      const [ax, ay] = stroke[Math.max(n - 1, 0)], dx = bx - ax, dy = by - ay;
      const rows = [Math.min(ay, by) - reach, Math.max(ay, by) + reach];
      const columns = [Math.min(ax, bx) - reach, Math.max(ax, bx) + reach];
      for (let r = Math.max(0, Math.floor(rows[0])); r < Math.min(SIDE, rows[1]); r++)
        for (let c = Math.max(0, Math.floor(columns[0])); c < Math.min(SIDE, columns[1]); c++) {
          const x = c + 0.5 - ax, y = r + 0.5 - ay; // the pixel's centre
          const along = Math.min(1, Math.max(0, (x * dx + y * dy) / (dx * dx + dy * dy || 1)));
          const distance = Math.hypot(x - along * dx, y - along * dy);
          // Anti-aliasing: a pixel at the edge of the line is partly covered.
          const cover = Math.min(1, Math.max(0, reach - distance));
          image[r * SIDE + c] = Math.max(image[r * SIDE + c], cover);
        }
    });
  return image;
}

// Converts strokes in any unit to an image whose ink fits 20 × 20, with its centre of mass at (14, 14).
function likeMnist(strokes) {
  const points = strokes.flat(), ends = [0, 1].map((axis) => {
    const along = points.map((point) => point[axis]);
    return [Math.min(...along), Math.max(...along)];
  });
  const extent = Math.max(...ends.map(([low, high]) => high - low));
  const scale = (BOX - PEN) / (extent || 1), middle = ends.map(([low, high]) => (low + high) / 2);
  const placed = (shift) => ink(strokes.map((stroke) => stroke.map((point) =>
    point.map((value, axis) => (value - middle[axis]) * scale + SIDE / 2 + shift[axis]))));
  const image = placed([0, 0]), mass = image.reduce((sum, value) => sum + value, 0);
  const moment = (index) => image.reduce((sum, value, i) => sum + value * index(i), 0) / mass;
  // By whole pixels, as in MNIST: all its images have the centre of mass at 13.5 to 14.5.
  const centre = [moment((i) => i % SIDE), moment((i) => Math.floor(i / SIDE))];
  return placed(centre.map((value) => SIDE / 2 - Math.round(value)));
}
