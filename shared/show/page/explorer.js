// The explorer of results/index.html: its state, and what is shown of it. The page contains weights,
// latents and images in the element "explorer-data", packed by explorer.py. In this folder,
// explorer_model.js has the computations, explorer_pictures.js the drawing, and explorer_input.js
// the pointer, the keys and the pen, and explorer_share.js the URL.
"use strict";

const LENS = 4; // half the side of the magnified plane, in sigma of q(z|x)
const LABEL = 22; // least distance in pixels between the labels of two classes
const MORPH = 700; // ms in which the points move from one epoch to the other
const FAR = 4; // q(z|x) draws a z that is farther from its mean, in sigma, once in 3,000 times
const SAMPLES = 40; // samples of one q(z|x) that the magnified plane keeps

const element = (id) => document.getElementById(id);

function explorer(data, weights) {
  const { image_shape: shape, limit, ticks, colours, classes } = data;
  const epochs = data.epochs.map((packed) => unpackEpoch(packed, data.z_step));
  const labels = new Uint16Array(bytes(data.labels).buffer);
  epochs.at(-1).weights = weights;
  const scatter = document.createElement("canvas"); // the points, which are not drawn again at every move
  // While an image x is shown, z and ε give each other: z = μ + σ · ε. `given` is the one that a
  // user chose last, and the other follows from it when x or the weights change.
  const state = { epoch: epochs.at(-1), z: [0, 0], held: false, x: null, strokes: [], samples: [] };
  Object.assign(state, { epsilon: noise(), given: "epsilon" });
  const tests = []; // the test images {x, name}, whose buttons are in the page
  const half = () => state.epoch.limit ?? limit; // of the plane; a file's weights have their own
  let view; // the plane at its current size
  let rows = 0; // of the manifold: which drawing of it is the last one

  function drawScatter({ zMeans, centres, labels: own = labels }) {
    const [, side] = sharpen(element("plane")), context = scatter.getContext("2d");
    [scatter.width, scatter.height] = [element("plane").width, element("plane").height];
    context.scale(scatter.width / side, scatter.width / side);
    view = plane(side, [0, 0], half());
    drawGrid(context, view);
    const radius = Math.max(0.8, side * Math.min(0.006, 0.22 / Math.sqrt(own.length)));
    drawPoints(context, view, zMeans, own, colours, radius);
    Object.assign(context, { font: "bold 24px system-ui, sans-serif", textAlign: "center" });
    const inside = (v) => Math.min(side - 12, Math.max(12, v));
    apart(centres.map((z) => view.at(...z).map(inside)), LABEL).forEach(([x, y], n) =>
      drawText(context, classes[n], x, y + 8, colours[n % colours.length], "#fff"));
  }

  function drawPlane() {
    const context = element("plane").getContext("2d");
    context.clearRect(0, 0, view.side, view.side);
    context.drawImage(scatter, 0, 0, view.side, view.side);
    if (state.q) drawPosterior(context, view, state.q);
    drawMarker(context, view, state.z, state.held);
  }

  // Says where z comes from, and whether q(z|x) would draw it.
  function tellOrigin() {
    const sigmas = distance(state.epsilon), far = state.given === "z" && sigmas > FAR;
    const values = { sigmas: sigmas.toFixed(sigmas < 10 ? 1 : 0) };
    const from = text(far ? "explorer-far" : "explorer-near", values);
    element("origin").textContent = state.given === "z" ? from : text("explorer-drawn");
    element("origin").classList.toggle("warn", far);
    element("far").textContent = far ? from : "";
    element("net-epsilon").classList.toggle("far", far);
    element("release").disabled = !state.held;
  }

  // Shows the decoder at the current z, and the graph of the current sample.
  function drawSample() {
    const values = logits(state.epoch.weights, state.z);
    element("z").value = `z = ${pair(state.z)}`;
    drawImage(element("digit"), sigmoid(values), shape);
    drawGraph(state, values, shape);
    tellOrigin();
    drawPlane();
    document.dispatchEvent(new Event("sample"));
  }

  function moveTo(z) {
    state.z = z.map((value) => Math.min(half(), Math.max(-half(), value)));
    state.given = "z";
    state.epsilon = noiseOf(state.q, state.z);
    drawSample();
  }

  // Samples z from q(z|x); it may lie outside the plane.
  function sampleWith(epsilon) {
    Object.assign(state, { epsilon, given: "epsilon", held: false });
    state.z = reparameterize(state.q, epsilon);
    state.samples = [...state.samples, state.z].slice(-SAMPLES);
    drawSample();
    drawLens();
  }

  function drawLens() {
    const [context, side] = sharpen(element("lens"));
    const reach = LENS * Math.exp(Math.max(...state.q.zLogVar) / 2);
    const near = plane(side, Array.from(state.q.zMean), reach);
    drawPoints(context, near, state.epoch.zMeans, state.epoch.labels ?? labels, colours, 2);
    drawPosterior(context, near, state.q);
    drawSamples(context, near, state.samples, state.z);
  }

  function show(x) {
    Object.assign(state, { x, q: encode(state.epoch.weights, x), samples: [] });
    tellPosterior();
    drawImage(element("seen"), x, shape);
    drawImage(element("reconstruction"), decode(state.epoch.weights, state.q.zMean), shape);
    if (state.given === "epsilon") return sampleWith(state.epsilon);
    moveTo(state.z);
    drawLens();
  }

  function tellPosterior() {
    const values = { mean: pair(state.q.zMean), sigma: pair(sigma(state.q)), kl: shown(kl(state.q)) };
    element("posterior").value = text("explorer-posterior", values);
  }

  // Shows a test image, whose button is marked, or a drawing, with a sample of its q(z|x).
  function load(x, button) {
    for (const each of element("tests").children) each.ariaPressed = String(each === button);
    if (state.given === "z") Object.assign(state, { epsilon: noise(), given: "epsilon" });
    show(x);
  }

  function drawManifold() {
    const context = element("manifold").getContext("2d"), last = ticks.length - 1, drawing = ++rows;
    const drawRow = (row) => {
      if (drawing !== rows) return; // another epoch was chosen in the meantime
      ticks.forEach((z0, column) => {
        const image = imageData(decode(state.epoch.weights, [z0, ticks[last - row]]), shape);
        context.putImageData(image, column * shape[1], row * shape[0]);
      });
      if (row < last) setTimeout(drawRow, 0, row + 1); // all rows at once would block the page
    };
    setTimeout(drawRow, 0, 0);
  }

  // Moves the points from one epoch to the other; everything else changes immediately.
  function travel(from, to) {
    const other = from.file || to.file; // their points are of other images
    const still = other || matchMedia("(prefers-reduced-motion: reduce)").matches;
    const begin = performance.now();
    const step = (now) => {
      if (state.epoch !== to) return; // another epoch was chosen in the meantime
      const t = still ? 1 : Math.min(1, Math.max(0, (now - begin) / MORPH)), s = t * t * (3 - 2 * t);
      const between = (a, b) => a + s * (b - a);
      if (t === 1) drawScatter(to);
      else drawScatter({
        zMeans: from.zMeans.map((a, i) => between(a, to.zMeans[i])),
        centres: from.centres.map((c, n) => c.map((a, axis) => between(a, to.centres[n][axis]))),
      });
      drawPlane();
      if (t < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  // Shows everything after an epoch, or as soon as its weights are unpacked.
  function choose(epoch) {
    state.wanted = epoch;
    tellEpoch(epoch);
    if (!epoch.weights || epoch === state.epoch) return;
    const before = state.epoch;
    state.epoch = epoch;
    show(state.x);
    travel(before, epoch);
    drawManifold();
  }

  function tellEpoch({ epoch, file }) {
    const values = { epoch, last: epochs.at(-1).epoch };
    const said = file ? text("own-weights", { file }) : text("explorer-epoch-value", values);
    element("epoch-value").value = said;
    element("epoch").ariaValueText = said;
    if (!file) element("epoch").value = epochs.findIndex((each) => each.epoch === epoch);
  }

  // Takes the weights of the other epochs, from the last but one to the first.
  async function unpackRest(rest) {
    let n = epochs.length - 1;
    for await (const unpacked of rest) {
      epochs[--n].weights = unpacked;
      if (epochs[n] === state.wanted) choose(epochs[n]);
    }
  }

  function redraw() {
    if (!element("plane").clientWidth) return; // the page is hidden
    drawScatter(state.epoch);
    drawSample();
    drawLens();
  }

  function addTests() {
    const pixels = bytes(data.tests.pixels), size = shape[0] * shape[1];
    data.tests.labels.forEach((label, n) => {
      const x = Float64Array.from(pixels.subarray(n * size, (n + 1) * size), (value) => value / 255);
      tests.push({ x, name: classes[label] });
      const button = document.createElement("button"), canvas = document.createElement("canvas");
      button.type = "button";
      button.dataset.textAriaLabel = "explorer-test";
      button.dataset.textValues = JSON.stringify({ name: classes[label] });
      canvas.className = "image";
      drawImage(canvas, x, shape);
      button.append(canvas);
      button.addEventListener("click", () => { parts.clear(); load(x, button); });
      element("tests").append(button);
    });
    translate(element("tests"));
  }

  const parts = {
    epochs, state, shape, classes, tests, limit, ticks, colours, zStep: data.z_step, encode, decode, likeMnist, moveTo,
    view: () => view, load, choose, sampleWith, drawSample, unpackRest,
  };
  addTests();
  if (shape[0] !== SIDE || shape[1] !== SIDE) // likeMnist only makes images of MNIST's size
    for (const id of ["drawing", "how"]) element(id).hidden = true;
  Object.assign(parts, followPad(parts));
  followPlane(parts);
  followTimes(parts);
  drawScatter(state.epoch);
  parts.drawPad();
  tellEpoch(state.epoch);
  element("tests").firstElementChild.click(); // so that every canvas has an image from the start
  const [height, width] = shape.map((pixels) => pixels * ticks.length);
  Object.assign(element("manifold"), { height, width });
  drawManifold();
  window.addEventListener("resize", () => { // a phone's address bar also changes the height
    if (element("plane").clientWidth === view.side) return;
    redraw();
    parts.drawPad();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("language", () => {
    redraw();
    parts.drawPad();
    tellPosterior();
    tellEpoch(state.epoch);
  });
  shareExplorer(parts);
  return parts;
}

async function startExplorer() {
  const data = JSON.parse(element("explorer-data").textContent);
  const weights = unpackedWeights(data.weights);
  const parts = explorer(data, (await weights.next()).value);
  element("loading").hidden = true;
  performance.mark("explorer usable"); // for benchmarks/page_drag.py
  // The other sections, which show what the explorer does, begin with this event.
  document.dispatchEvent(new CustomEvent("explorer", { detail: parts }));
  await parts.unpackRest(weights);
  performance.mark("explorer complete");
  // For use in the browser's console: vae.decode(vae.epochs[0].weights, [0, 0])
  window.vae = parts;
}

// After the first paint, so that the text of the page is displayed before the data are unpacked.
requestAnimationFrame(() => setTimeout(() => startExplorer().catch((error) => {
  element("loading").textContent = text("explorer-broken");
  throw error;
})));
