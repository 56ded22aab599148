// The explorer of results/index.html: its state, and the actions of pointer and keys. The page
// contains weights, latents and images in <script id="explorer-data">, packed by explorer.py.
// explorer_model.js in this folder has the computations, explorer_pictures.js the drawing.
"use strict";

const LENS = 4; // half the side of the magnified plane, in sigma of q(z|x)
const LABEL = 22; // least distance in pixels between the labels of two classes
const MORPH = 700; // ms in which the points move from one epoch to the other
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

const element = (id) => document.getElementById(id);

function explorer(data) {
  const { image_shape: shape, limit, ticks, colours, classes } = data;
  const table = float16Table();
  const epochs = data.epochs.map((packed) => unpackEpoch(packed, table, data.z_step));
  const labels = new Uint16Array(bytes(data.labels).buffer);
  for (const epoch of epochs) epoch.labels = labels;
  const frames = data.frames ? unpackFrames(data.frames, classes.length) : [];
  const scatter = document.createElement("canvas"); // the points, which are not drawn again at every move
  // While an image x is shown, z and ε give each other: z = μ + σ · ε. `given` is the one that a
  // user chose last, and the other follows from it when x or the weights change.
  const state = { epoch: epochs.at(-1), z: [0, 0], held: false, x: null, strokes: [] };
  Object.assign(state, { epsilon: noise(), given: "epsilon" });
  let view; // the plane at its current size

  function drawScatter({ zMeans, centres, labels }) {
    const [, side] = sharpen(element("plane")), context = scatter.getContext("2d");
    [scatter.width, scatter.height] = [element("plane").width, element("plane").height];
    context.scale(scatter.width / side, scatter.width / side);
    view = plane(side, [0, 0], limit);
    drawGrid(context, view);
    const radius = Math.max(0.8, side * Math.min(0.006, 0.3 / Math.sqrt(labels.length)));
    drawPoints(context, view, zMeans, labels, colours, radius);
    Object.assign(context, { font: "bold 24px system-ui, sans-serif", textAlign: "center" });
    const inside = (v) => Math.min(side - 12, Math.max(12, v));
    apart(centres.map((z) => view.at(...z).map(inside)), LABEL).forEach(([x, y], n) =>
      drawText(context, classes[n], x, y + 8, colours[n % colours.length], "#fff"));
  }

  function drawPlane() {
    const context = element("plane").getContext("2d");
    context.clearRect(0, 0, view.side, view.side);
    context.drawImage(scatter, 0, 0, view.side, view.side);
    if (state.q && !state.frame) drawPosterior(context, view, state.q);
    drawMarker(context, view, state.z);
  }

  // Shows the decoder at the current z, and the graph of the current sample.
  function drawSample() {
    const values = logits(state.epoch.weights, state.z);
    element("z").value = pair(state.z);
    drawImage(element("digit"), sigmoid(values), shape);
    if (state.x) drawGraph(state, values, shape);
    drawPlane();
  }

  function moveTo(z) {
    state.z = z.map((value) => Math.min(limit, Math.max(-limit, value)));
    state.given = "z";
    if (state.x) state.epsilon = noiseOf(state.q, state.z);
    drawSample();
  }

  // Samples z from q(z|x); it may lie outside the plane.
  function sampleWith(epsilon) {
    Object.assign(state, { epsilon, given: "epsilon" });
    state.z = reparameterize(state.q, epsilon);
    drawSample();
  }

  function drawLens() {
    const [context, side] = sharpen(element("lens"));
    const half = LENS * Math.exp(Math.max(...state.q.zLogVar) / 2);
    const near = plane(side, Array.from(state.q.zMean), half);
    drawPoints(context, near, state.epoch.zMeans, labels, colours, 2);
    drawPosterior(context, near, state.q);
  }

  function show(x) {
    state.x = x;
    state.q = encode(state.epoch.weights, x);
    element("posterior").value = `mean of q(z|x)\n${pair(state.q.zMean)}\nσ ${pair(sigma(state.q))}` +
      `\nKL ${shown(kl(state.q))} nats`;
    drawImage(element("seen"), x, shape);
    drawImage(element("reconstruction"), decode(state.epoch.weights, state.q.zMean), shape);
    drawLens();
    if (state.given === "z") moveTo(state.z);
    else sampleWith(state.epsilon);
  }

  // Shows a test image, whose button is marked, or a drawing, with a sample of its q(z|x).
  function load(x, button) {
    for (const each of element("tests").children) each.ariaPressed = String(each === button);
    if (state.given === "z") Object.assign(state, { epsilon: noise(), given: "epsilon" });
    show(x);
  }

  function drawManifold(row = 0) {
    const context = element("manifold").getContext("2d"), last = ticks.length - 1;
    ticks.forEach((z0, column) => {
      const image = imageData(decode(state.epoch.weights, [z0, ticks[last - row]]), shape);
      context.putImageData(image, column * shape[1], row * shape[0]);
    });
    if (row < last) setTimeout(drawManifold, 0, row + 1); // all rows at once would block the page
  }

  // Moves the points from one epoch to the other; the decoder changes immediately.
  function travel(from, to) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches, begin = performance.now();
    const step = (now) => {
      if (state.epoch !== to || state.frame) return; // another epoch was chosen in the meantime
      const t = still ? 1 : Math.min(1, Math.max(0, (now - begin) / MORPH)), s = t * t * (3 - 2 * t);
      const between = (a, b) => a + s * (b - a);
      drawScatter({
        zMeans: from.zMeans.map((a, i) => between(a, to.zMeans[i])),
        centres: from.centres.map((c, n) => c.map((a, axis) => between(a, to.centres[n][axis]))),
        labels,
      });
      drawPlane();
      if (t < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  function choose(epoch) {
    const before = state.epoch;
    Object.assign(state, { epoch, frame: null });
    if (frames.length) showFrame(epoch.epoch);
    for (const input of element("epochs").querySelectorAll("input"))
      input.checked = Number(input.value) === epoch.epoch;
    show(state.x);
    travel(before, epoch);
    drawManifold();
  }

  // Sets the slider to an epoch, and says which weights the page uses.
  function showFrame(epoch) {
    element("film").value = frames.findIndex((frame) => frame.epoch === epoch);
    element("film-epoch").value = epoch;
    element("films-note").textContent = state.frame ? `The dots are those after epoch ${epoch}; z, the` +
      ` encoder and the decoder use the weights after epoch ${state.epoch.epoch}.` : "";
    element("films-note").hidden = !state.frame;
  }

  // Shows the dots after any epoch, and everything else too if the page has its weights.
  function chooseFrame(frame) {
    const epoch = epochs.find((each) => each.epoch === frame.epoch);
    if (epoch) return choose(epoch);
    state.frame = frame;
    showFrame(frame.epoch);
    drawScatter(frame);
    drawPlane();
  }

  function redraw() {
    if (!element("plane").clientWidth) return; // the page is hidden
    drawScatter(state.frame ?? state.epoch);
    drawSample();
    if (state.x) drawLens();
  }

  function addEpochs() {
    for (const epoch of epochs) {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "epoch", value: epoch.epoch });
      input.checked = epoch === state.epoch;
      input.addEventListener("change", () => choose(epoch));
      label.append(input, String(epoch.epoch));
      element("epochs").append(label);
    }
  }

  function addFrames() {
    if (!frames.length) return;
    element("films").hidden = false;
    element("film").max = frames.length - 1;
    element("film").addEventListener("input", (event) => chooseFrame(frames[event.target.value]));
    showFrame(state.epoch.epoch);
  }

  function addTests() {
    const pixels = bytes(data.tests.pixels), size = shape[0] * shape[1];
    data.tests.labels.forEach((label, n) => {
      const x = Float64Array.from(pixels.subarray(n * size, (n + 1) * size), (value) => value / 255);
      const button = document.createElement("button"), canvas = document.createElement("canvas");
      Object.assign(button, { type: "button", ariaLabel: `test image of class ${classes[label]}` });
      canvas.className = "image";
      drawImage(canvas, x, shape);
      button.append(canvas);
      button.addEventListener("click", () => { clear(); load(x, button); });
      element("tests").append(button);
    });
  }

  // ---- pointer and keys

  // Returns the place of a pointer in a canvas, from [0, 0] in the upper left corner to [1, 1].
  function place(event, canvas) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  function followPlane() {
    const canvas = element("plane");
    const move = (event) => moveTo(view.z(...place(event, canvas).map((v) => v * view.side)));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      state.held = true;
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      // After a click has fixed z, only a drag that began on the plane moves it.
      if (!state.held || canvas.hasPointerCapture(event.pointerId)) move(event);
    });
    canvas.addEventListener("dblclick", () => { state.held = false; });
    canvas.addEventListener("keydown", (event) => {
      const step = (limit / 50) * (event.shiftKey ? 5 : 1), key = KEYS[event.key];
      if (key) moveTo(state.z.map((value, axis) => value + step * key[axis]));
      else if (event.key === "Home") moveTo([0, 0]);
      else return;
      state.held = true;
      event.preventDefault(); // the page must not scroll
    });
    element("manifold").addEventListener("click", (event) => {
      const last = ticks.length - 1, cell = (v) => Math.min(last, Math.floor(v * ticks.length));
      const [column, row] = place(event, element("manifold")).map(cell);
      moveTo([ticks[column], ticks[last - row]]);
    });
  }

  function drawPad() {
    const [context, side] = sharpen(element("pad"));
    Object.assign(context, { lineWidth: (side * PEN) / SIDE, strokeStyle: "#fff" });
    Object.assign(context, { lineCap: "round", lineJoin: "round" });
    for (const stroke of state.strokes) {
      context.beginPath();
      context.moveTo(stroke[0][0] * side, stroke[0][1] * side);
      for (const [x, y] of stroke) context.lineTo(x * side, y * side);
      context.stroke();
    }
  }

  function clear() {
    state.strokes = [];
    drawPad();
  }

  function followPad() {
    const canvas = element("pad");
    const draw = (event) => {
      state.strokes.at(-1).push(place(event, canvas));
      drawPad();
      load(likeMnist(state.strokes));
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button !== 0) return; // a second finger, or another button
      canvas.setPointerCapture(event.pointerId);
      state.strokes.push([]);
      draw(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      // A pointer that was pressed elsewhere and then enters the field has not begun a stroke.
      if (canvas.hasPointerCapture(event.pointerId)) draw(event);
    });
    element("clear").addEventListener("click", clear);
    element("draw").addEventListener("click", () => sampleWith(noise()));
  }

  addEpochs();
  addFrames();
  addTests();
  if (shape[0] !== SIDE || shape[1] !== SIDE) // likeMnist only makes images of MNIST's size
    for (const id of ["drawing", "how"]) element(id).hidden = true;
  followPlane();
  followPad();
  redraw();
  element("tests").firstElementChild.click(); // so that every canvas has an image from the start
  const [height, width] = shape.map((pixels) => pixels * ticks.length);
  Object.assign(element("manifold"), { height, width });
  drawManifold();
  window.addEventListener("resize", () => { // a phone's address bar also changes the height
    if (element("plane").clientWidth === view.side) return;
    redraw();
    drawPad();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  // For use in the browser's console: vae.decode(vae.epochs[0].weights, [0, 0])
  return { epochs, frames, state, limit, zStep: data.z_step, encode, decode, likeMnist, moveTo };
}

// After the first paint, so that the text of the page is displayed before the data are unpacked.
requestAnimationFrame(() => setTimeout(() => {
  window.vae = explorer(JSON.parse(element("explorer-data").textContent));
}));
