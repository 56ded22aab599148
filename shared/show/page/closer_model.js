// The computations of the section "Look closer": images between two digits, and the loss by pixel.
// They use explorer_model.js, and access nothing of the page; closer.js shows the results.
"use strict";

// Returns the images between a and b: those of the decoder at z on the line between the means of
// q(z|a) and q(z|b), and the mixtures of the pixels of a and b. Both begin with t = 0 and end with 1.
function between(weights, a, b, count) {
  const means = [a, b].map((x) => encode(weights, x).zMean);
  const at = (from, to, t) => Array.from(from, (value, i) => (1 - t) * value + t * to[i]);
  const shares = Array.from({ length: count }, (_, n) => n / (count - 1));
  const zs = shares.map((t) => at(...means, t));
  return { shares, zs, decoded: zs.map((z) => decode(weights, z)), mixed: shares.map((t) => at(a, b, t)) };
}

// Returns the loss of each pixel in nats: minus its log-likelihood, whose sum is -log p(x|z).
const pixelLosses = (x, values) => values.map((value, i) => -logLikelihood([x[i]], [value]));

// Says where a loss is high: its sum, the pixel with the highest, and the share of the sum in a tenth of
// the pixels, those with the highest.
function summary(losses) {
  const sum = losses.reduce((total, loss) => total + loss, 0);
  const sorted = Array.from(losses).sort((a, b) => b - a);
  const tenth = Math.ceil(losses.length / 10);
  const most = sorted.slice(0, tenth).reduce((total, loss) => total + loss, 0);
  return { sum, highest: losses.indexOf(sorted[0]), tenth, share: sum > 0 ? most / sum : 0 };
}

// The colours of 0 to HOT nats in equal steps, from black to light yellow ("inferno" of Matplotlib).
const HOT = 3; // the loss of a white pixel at p = 0.05
const HEAT = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];

// Returns red, green and blue of a loss; those of more than HOT nats are alike.
function heatColour(loss) {
  const last = HEAT.length - 1, at = last * Math.min(1, Math.max(0, loss / HOT));
  const n = Math.min(last - 1, Math.floor(at));
  return HEAT[n].map((low, channel) => Math.round(low + (at - n) * (HEAT[n + 1][channel] - low)));
}
