// The drawing of the explorer on its canvases: images, the plane's grid, points, labels and q(z|x).
// explorer.js in this folder calls these functions.
"use strict";

function imageData(probs, [rows, columns]) {
  const image = new ImageData(columns, rows);
  for (let i = 0; i < probs.length; i++) image.data.fill(Math.round(255 * probs[i]), 4 * i, 4 * i + 3);
  for (let i = 3; i < image.data.length; i += 4) image.data[i] = 255; // opaque
  return image;
}

function drawImage(canvas, probs, shape) {
  [canvas.height, canvas.width] = shape;
  canvas.getContext("2d").putImageData(imageData(probs, shape), 0, 0);
}

// Gives a canvas the resolution of the screen; returns its context and its side, in CSS pixels.
function sharpen(canvas) {
  const ratio = window.devicePixelRatio || 1, side = canvas.clientWidth;
  canvas.width = canvas.height = Math.round(side * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [context, side];
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

// Converts z to pixels of a square canvas and back; z[1] is upward.
function plane(side, centre, half) {
  const unit = side / (2 * half);
  return {
    side, centre, half, unit,
    at: (z0, z1) => [(z0 - centre[0] + half) * unit, (centre[1] + half - z1) * unit],
    z: (x, y) => [x / unit - half + centre[0], centre[1] + half - y / unit],
  };
}

function drawText(context, text, x, y, fillStyle, strokeStyle) {
  Object.assign(context, { fillStyle, strokeStyle, lineWidth: 5, lineJoin: "round" });
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

function drawGrid(context, view) {
  const power = 10 ** Math.floor(Math.log10(view.half / 2));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => view.half / s <= 5);
  const write = (text, x, y, textAlign) => {
    Object.assign(context, { font: "12px system-ui, sans-serif", textAlign });
    drawText(context, text, x, y, colour("--mute"), colour("--paper"));
  };
  for (let n = -Math.floor(view.half / step); n * step <= view.half; n++) {
    const [x, y] = view.at(n * step, n * step), number = String(+(n * step).toPrecision(6));
    context.fillStyle = colour("--line");
    context.fillRect(x, 0, 1, view.side);
    context.fillRect(0, y, view.side, 1);
    if (Math.abs(n * step) > 0.87 * view.half) continue; // the names of the axes are there
    write(number.replace("-", "−"), x, view.side - 6, "center");
    write(number.replace("-", "−"), 5, y + 4, "left");
  }
  write(text("explorer-axis", { axis: 1 }), 5, 16, "left");
  write(text("explorer-axis", { axis: 0 }), view.side - 5, view.side - 22, "right"); // above the numbers
}

function drawPoints(context, view, zMeans, labels, colours, radius) {
  context.globalAlpha = 0.65;
  for (let i = 0; i < labels.length; i++) {
    const [x, y] = view.at(zMeans[2 * i], zMeans[2 * i + 1]);
    if (Math.min(x, y) < 0 || Math.max(x, y) > view.side) continue; // outside: most points of a magnified plane
    context.fillStyle = colours[labels[i] % colours.length];
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
}

function drawPosterior(context, view, { zMean, zLogVar }) {
  for (const sigmas of [2, 1]) {
    const radii = [0, 1].map((axis) => sigmas * Math.exp(zLogVar[axis] / 2) * view.unit);
    context.beginPath();
    context.ellipse(...view.at(...zMean), ...radii, 0, 0, 2 * Math.PI);
    outlined(context, colour("--q"), 2);
  }
}

// Strokes a path in a colour, on a wider line in that of the paper.
function outlined(context, strokeStyle, lineWidth) {
  Object.assign(context, { strokeStyle: colour("--paper"), lineWidth: lineWidth + 2.5 });
  context.stroke();
  Object.assign(context, { strokeStyle, lineWidth });
  context.stroke();
}

// Moves points [x, y] that are closer than `distance` apart, so that labels do not cover each other.
function apart(points, distance) {
  const moved = points.map((point) => [...point]);
  for (let round = 0; round < 50; round++)
    moved.forEach((a, n) => moved.slice(0, n).forEach((b, m) => {
      let [dx, dy] = [a[0] - b[0], a[1] - b[1]];
      const length = Math.hypot(dx, dy), push = (distance - length) / 2;
      if (push <= 0) return;
      // There is no direction between equal points, so each pair is moved in another one.
      if (length < 1e-6) [dx, dy] = [Math.cos(n + 10 * m), Math.sin(n + 10 * m)];
      else [dx, dy] = [dx / length, dy / length];
      [a[0], a[1], b[0], b[1]] = [a[0] + push * dx, a[1] + push * dy, b[0] - push * dx, b[1] - push * dy];
    }));
  return moved;
}

// Draws z as a ring; if it is fixed, as a pin, whose point is at z.
function drawMarker(context, view, z, fixed) {
  const [x, y] = view.at(...z), head = y - 20;
  context.beginPath();
  if (fixed) {
    context.moveTo(x, y);
    context.arc(x, head, 9, 0.8 * Math.PI, 2.2 * Math.PI);
    context.closePath();
  } else context.arc(x, y, 8, 0, 2 * Math.PI);
  outlined(context, colour("--z"), 3);
  if (!fixed) return;
  context.fillStyle = colour("--z");
  context.fill();
  context.beginPath();
  context.arc(x, head, 3.5, 0, 2 * Math.PI);
  context.fillStyle = colour("--paper");
  context.fill();
}

// Draws samples of q(z|x) as small discs, and z as a larger one.
function drawSamples(context, view, samples, z) {
  context.fillStyle = colour("--z");
  for (const [point, radius] of [...samples.map((sample) => [sample, 1.8]), [z, 4.5]]) {
    context.beginPath();
    context.arc(...view.at(...point), radius, 0, 2 * Math.PI);
    context.fill();
  }
}

// Formats a number with two decimals, and without a minus sign if all digits are zero.
function shown(value) {
  const text = value.toFixed(2);
  return text === "-0.00" ? "0.00" : text.replace("-", "−");
}

const pair = (values) => `(${Array.from(values, shown).join(", ")})`;

// Returns an image as the text of a URL, for an SVG.
function imageUrl(probs, shape) {
  const canvas = document.createElement("canvas");
  drawImage(canvas, probs, shape);
  return canvas.toDataURL();
}

// Writes the numbers of one sample into the computational graph of explorer.html; those that differ
// from the last ones are marked for a moment.
function drawGraph({ x, q, epsilon, z, given }, values, shape) {
  const low = Math.min(...values), high = Math.max(...values), range = high - low || 1;
  const terms = { kl: kl(q), likelihood: logLikelihood(x, values) };
  const nats = (value) => text("explorer-nats", { value: shown(value) });
  write("mean", pair(q.zMean));
  write("log-var", pair(q.zLogVar));
  write("noise", text(given === "z" ? "explorer-chosen-epsilon" : "explorer-sampled-epsilon"));
  write("epsilon", pair(epsilon));
  write("z", pair(z));
  write("kl", nats(terms.kl));
  write("low", text("explorer-low", { value: shown(low) }));
  write("high", text("explorer-high", { value: shown(high) }));
  write("likelihood", nats(terms.likelihood));
  write("loss", nats(terms.kl - terms.likelihood));
  const images = { x, logits: values.map((logit) => (logit - low) / range) };
  for (const [name, image] of Object.entries(images))
    document.getElementById(`net-${name}`).setAttribute("href", imageUrl(image, shape));
}

function write(name, content) {
  const place = document.getElementById(`net-${name}`);
  if (place.textContent === content) return;
  place.textContent = content;
  place.classList.remove("changed");
  requestAnimationFrame(() => place.classList.add("changed")); // begins the animation again
}
