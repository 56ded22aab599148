// Shows the model of a file in the explorer: the weights.npz of a run, which is dropped on the page or
// chosen with a button. npz.js reads it.
"use strict";

const MARGIN = 1.05; // of the plane around the dots
const SHOWN = 0.99; // share of the dots' coordinates that lie in the plane

// Returns the images of the page that have labels: those that it can train with, else the test images.
async function ownImages({ tests, classes, shape }) {
  const packed = JSON.parse(element("trainer-data")?.textContent ?? "null");
  const size = shape[0] * shape[1];
  if (!packed || packed.classes.join() !== classes.join())
    return { images: tests.map(({ x }) => x), labels: tests.map(({ name }) => classes.indexOf(name)) };
  const pixels = await inflated(packed.pixels), labels = new Uint16Array(bytes(packed.labels).buffer);
  const image = (n) => Float64Array.from(pixels.subarray(n * size, (n + 1) * size), (v) => v / 255);
  return { images: Array.from(labels, (_, n) => image(n)), labels };
}

// Returns what the explorer shows of weights: where they encode the images, and the centre of each class.
function ownEpoch(weights, { images, labels }, { classes, limit }, file) {
  const means = images.map((x) => encode(weights, x).zMean);
  const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  const centres = classes.map((_, label) => [0, 1].map((axis) =>
    median(means.filter((_, n) => labels[n] === label).map((z) => z[axis]))));
  const far = means.flatMap((z) => Array.from(z, Math.abs)).sort((a, b) => a - b);
  const reach = MARGIN * far[Math.floor(SHOWN * (far.length - 1))];
  const zMeans = Float32Array.from(means.flatMap((z) => Array.from(z)));
  return { file, weights, zMeans, centres, labels, limit: Math.max(limit, reach) };
}

function startOwn(vae) {
  const { shape, choose, state } = vae;
  let before = null; // the epoch that the page showed
  let said = null; // [key, values] of the line

  function say(key, values = {}, refused = false) {
    said = key && [key, values];
    element("own-status").textContent = key ? text(key, values) : "";
    element("own-status").classList.toggle("warn", refused);
  }

  async function open(file) {
    try {
      if (file.size > NPZ_LIMIT) throw new Refusal("own-large", { limit: NPZ_LIMIT / 2 ** 20 });
      const arrays = await readNpz(await file.arrayBuffer());
      const weights = modelWeights(arrays, shape[0] * shape[1]);
      show(ownEpoch(weights, await ownImages(vae), vae, file.name));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      say(error.key, { file: file.name, ...error.values }, true);
    }
  }

  function show(epoch) {
    if (!state.epoch.file) before = state.epoch;
    choose(epoch);
    element("own-back").hidden = false;
    const widths = Object.entries(epoch.weights).filter(([name]) => name.endsWith("/bias"))
      .filter(([name]) => !name.endsWith("z_log_var/bias")).map(([, bias]) => bias.length);
    const values = { network: [shape[0] * shape[1], ...widths].join("-"), count: epoch.labels.length };
    say("own-shown", { file: epoch.file, ...values });
  }

  function back() {
    choose(before);
    say(null);
    element("own-back").hidden = true;
    element("own-file").value = "";
    element("own-file").focus();
  }

  const dropping = (is) => document.documentElement.classList.toggle("dropping", is);
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault(); // otherwise the browser leaves the page and opens the file
    dropping(true);
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping(false); });
  document.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    dropping(false);
    element("own").scrollIntoView({ block: "nearest" });
    open(event.dataTransfer.files[0]);
  });
  element("own-file").addEventListener("change", (event) => {
    if (event.target.files.length) open(event.target.files[0]);
  });
  element("own-back").addEventListener("click", back);
  document.addEventListener("sample", () => {
    if (state.epoch.file || element("own-back").hidden) return; // an epoch was chosen with the slider
    element("own-back").hidden = true;
    say(null);
  });
  document.addEventListener("language", () => {
    if (said) element("own-status").textContent = text(...said);
  });
}

document.addEventListener("explorer", ({ detail: vae }) => {
  vae.closer = startCloser(vae);
  startOwn(vae);
});
