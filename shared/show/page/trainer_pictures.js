// The drawing of the training in the browser: the plane with its dots and ellipses, the grid of
// images, and the curves. trainer.js calls these functions.
"use strict";

const LEAST_HALF = 3.2; // half the side of the plane: N(0, I) has 99.7 % of each latent in 3
const GROWTH = 1.25; // the plane grows in such steps, so that the dots do not jump all the time
const ALL_BUT = 0.01; // share of the coordinates that may lie outside
const CURVE_POINTS = 400; // of a long run, only so many are drawn

// Returns half the side of a plane that has almost all means and the circle of N(0, I).
function trainerHalf(zMean) {
  const sorted = Float32Array.from(zMean, Math.abs).sort();
  const needed = 1.1 * sorted[Math.floor((1 - ALL_BUT) * (sorted.length - 1))];
  if (!(needed > LEAST_HALF)) return LEAST_HALF; // also where a mean is not a number
  return LEAST_HALF * GROWTH ** Math.ceil(Math.log(needed / LEAST_HALF) / Math.log(GROWTH));
}

function strokeEllipse(context, view, centre, radii, dashes = []) {
  context.setLineDash(dashes);
  context.beginPath();
  context.ellipse(...view.at(...centre), ...radii.map((r) => r * view.unit), 0, 0, 2 * Math.PI);
  context.stroke();
  context.setLineDash([]);
}

// Draws the dots, q(z|x) of the first image of each class, N(0, I) and z; returns the view.
function drawTrainerPlane(canvas, { zMean, zLogVar, labels, z }, { colours }) {
  const [context, side] = sharpen(canvas), view = plane(side, [0, 0], trainerHalf(zMean));
  drawGrid(context, view);
  drawPoints(context, view, zMean, labels, colours, Math.max(1.8, side / 220));
  const seen = new Set();
  labels.forEach((label, i) => {
    if (seen.has(label)) return;
    seen.add(label);
    const radii = [0, 1].map((axis) => Math.max(0.5 / view.unit, Math.exp(zLogVar[2 * i + axis] / 2)));
    for (const [style, width] of [[colour("--paper"), 4], [colours[label % colours.length], 2]]) {
      Object.assign(context, { strokeStyle: style, lineWidth: width });
      strokeEllipse(context, view, [zMean[2 * i], zMean[2 * i + 1]], radii);
    }
  });
  Object.assign(context, { strokeStyle: colour("--ink"), lineWidth: 1.5 });
  strokeEllipse(context, view, [0, 0], [2, 2], [6, 4]);
  Object.assign(context, { font: "12px system-ui, sans-serif", textAlign: "center" });
  const [x, y] = view.at(0, 2);
  drawText(context, text("trainer-prior"), x, y - 5, colour("--ink"), colour("--paper"));
  drawMarker(context, view, z);
  return view;
}

// Draws the images of the grid, given row by row as grey bytes.
function drawTrainerGrid(canvas, grid, { image_shape: shape, ticks }) {
  const size = shape[0] * shape[1], side = ticks.length;
  const [height, width] = shape.map((pixels) => pixels * side);
  if (canvas.width !== width) Object.assign(canvas, { height, width });
  const context = canvas.getContext("2d");
  for (let n = 0; n < side * side; n++) {
    const probs = Float32Array.from(grid.subarray(n * size, (n + 1) * size), (value) => value / 255);
    context.putImageData(imageData(probs, shape), (n % side) * shape[1], Math.floor(n / side) * shape[0]);
  }
}

const thinned = (points) => {
  const every = Math.ceil(points.length / CURVE_POINTS);
  return points.filter((_, n) => n % every === 0 || n === points.length - 1);
};

// Draws the loss and minus the log-likelihood in one chart and the KL in the other, with the curves
// of the run before.
function drawTrainerCurves([losses, kls], curves, before) {
  const negative = (points) => points.map(([x, y]) => [x, -y]);
  const panels = [
    [losses, text("trainer-axis-loss"), [
      before && [before.loss, "line-before"],
      [negative(curves.logLikelihood), "line-1"],
      [curves.loss, "line-0"],
    ]],
    [kls, text("trainer-axis-kl"), [before && [before.kl, "line-before"], [curves.kl, "line-2"]]],
  ];
  const end = Math.max(1, ...[curves, before].map((each) => each?.loss.at(-1)?.[0] ?? 0));
  for (const [svg, label, all] of panels) {
    const lines = all.filter(Boolean).map(([points, className]) => ({
      points: thinned(points.filter(([, y]) => Number.isFinite(y))), className,
    }));
    // The first steps, in which the loss falls from 784 · ln 2, would hide the others.
    const later = ([x]) => x >= Math.min(1, end / 4);
    const values = lines.flatMap(({ points }) => points.filter(later).map(([, y]) => y));
    const low = svg === kls ? 0 : Math.min(...values), high = Math.max(low + 0.1, ...values);
    const some = values.length > 0, x = { low: 0, high: end, label: text("trainer-axis-epoch") };
    const y = some ? { low, high: high + 0.03 * (high - low), label } : { low: 0, high: 1, label };
    for (const line of lines) line.points = line.points.filter(([, value]) => value <= y.high);
    drawChart(svg, { lines: some ? lines : [], x, y });
  }
}
