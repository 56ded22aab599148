// The section of the page that trains a VAE: its controls, and what they show. The worker computes
// (trainer_worker.js); the images are in the element "trainer-data", packed by trainer.py.
// trainer_pictures.js has the drawing.
"use strict";

const BETAS = [0, 0.01, 0.03, 0.1, 0.3, 1, 2, 4, 8, 15, 30, 60]; // of the slider
const RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2];
const COLLAPSED = 0.25; // nats: below this KL, q(z|x) is N(0, I) for all that a reader sees
const FIRST_EPOCHS = 3; // before, the KL of a new model is small, too
const NEAR = 2; // root mean square of the coordinates of all dots, which is 1 for N(0, I)
const ROWS = 6; // runs in the table
const CALM = 1000; // ms between two pictures where a reader has asked for reduced motion

const rootMeanSquare = (values) =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

function startTrainer(data) {
  const { hiddenDim, batchSize } = data.settings;
  const perEpoch = Math.ceil(data.count / batchSize);
  const labels = new Uint16Array(bytes(data.labels).buffer);
  const state = {
    worker: null, playing: false, broken: false, failed: false, z: [0, 0], picture: null,
    runs: [], drawn: 0, waiting: false,
  };
  const at = (name) => element(`trainer-${name}`);
  const run = () => state.runs.at(-1);

  // ---- the worker

  function makeWorker() {
    const code = ["trainer-math", "trainer-worker"].map((id) => element(id).textContent);
    const url = URL.createObjectURL(new Blob(code, { type: "text/javascript" }));
    const worker = new Worker(url);
    worker.onmessage = (event) => receive(event.data);
    worker.onerror = fail;
    return worker;
  }

  const post = (name, fields = {}) => state.worker.postMessage({ name, ...fields });

  // Begins when the section comes near the window, so that it costs nothing before.
  async function load() {
    try {
      const pixels = await inflated(data.pixels);
      state.worker = makeWorker();
      post("load", { pixels, inputDim: pixels.length / data.count, at: data.ticks });
    } catch {
      return fail();
    }
    for (const name of ["play", "step", "restart"]) at(name).disabled = false;
    restart();
  }

  function fail() {
    state.failed = true;
    say("failed");
  }

  function receive(message) {
    if (message.run !== run().number) return; // of a run that was ended in the meantime
    const { result, step } = message;
    if (result) addStep(result, step);
    if (message.zMean) {
      state.picture = message;
      run().spread = message.spread;
      if (message.paused) say("paused");
      show();
    }
  }

  // Adds the results of a step to the curves, as means over the last epoch's number of steps.
  function addStep(result, step) {
    const current = run();
    current.results.push(result);
    if (current.results.length > perEpoch) current.results.shift();
    const rows = current.results.reduce((sum, each) => sum + each.rows, 0);
    for (const name of ["loss", "logLikelihood", "kl"]) {
      const sum = current.results.reduce((total, each) => total + each.rows * each[name], 0);
      current.curves[name].push([step / perEpoch, sum / rows]);
    }
    current.step = step;
    if (Number.isFinite(result.loss)) return;
    Object.assign(state, { broken: true, playing: false });
    controls();
    say("broken");
  }

  // ---- the controls

  const settings = () => ({
    ...data.settings,
    latentDim: 2,
    beta: BETAS[at("beta").value],
    rate: Number(at("rate").value),
    seed: Number(at("seed").value),
  });

  // Begins a new run with the settings of the controls, which goes on if the last one was training.
  function restart() {
    if (!state.worker) return;
    const chosen = settings(), number = (run()?.number ?? 0) + 1;
    const curves = { loss: [], logLikelihood: [], kl: [] };
    if (run()?.step === 0) state.runs.pop(); // nothing was trained
    state.runs.push({ number, settings: chosen, step: 0, results: [], curves, spread: 0 });
    state.broken = false;
    post("start", { run: number, settings: chosen });
    if (state.playing) post("play");
    controls();
    say(state.playing ? "training" : "ready");
  }

  function play(playing) {
    if (state.broken && playing) restart();
    state.playing = playing;
    post(playing ? "play" : "pause");
    controls();
    if (playing) say("training");
  }

  function step() {
    if (state.playing) play(false);
    if (!state.broken) post("step");
  }

  function controls() {
    const beta = BETAS[at("beta").value];
    at("play").dataset.text = state.playing ? "trainer-pause" : "trainer-play";
    at("play").textContent = text(at("play").dataset.text);
    at("beta-value").value = beta;
    at("beta").setAttribute("aria-valuetext", `β = ${beta}`);
    for (const each of element("trainer").querySelectorAll("[data-beta]"))
      each.ariaPressed = String(Number(each.dataset.beta) === beta);
  }

  function chooseBeta(beta) {
    at("beta").value = BETAS.indexOf(beta);
    restart();
  }

  // ---- what is shown

  const last = (name) => run()?.curves[name].at(-1)?.[1];
  const number = (value) => (value === undefined ? "–" : shown(value));

  // Says what has begun or ended; numbers that change all the time are not said.
  function say(what) {
    state.said = what;
    const values = { ...run()?.settings, step: run()?.step, loss: number(last("loss")) };
    at("status").textContent = text(`trainer-status-${what}`, { ...values, kl: number(last("kl")) });
  }

  function lesson() {
    const { settings: { beta }, step } = run(), name =
      step < FIRST_EPOCHS * perEpoch ? "start"
      : beta === 0 ? "autoencoder"
      : last("kl") < COLLAPSED ? "collapse"
      : rootMeanSquare(state.picture.zMean) > NEAR ? "forming" : "vae";
    const words = text(`trainer-lesson-${name}`, { beta });
    if (at("lesson").textContent !== words) at("lesson").textContent = words;
  }

  function table() {
    const rows = state.runs.filter((each) => each.step > 0).slice(-ROWS).map((each) => {
      const { beta, rate, seed } = each.settings, row = document.createElement("tr");
      const terms = ["loss", "logLikelihood", "kl"].map((name) => each.curves[name].at(-1)[1]);
      const epochs = +(each.step / perEpoch).toFixed(1);
      row.className = each === run() ? "current" : "";
      row.append(...[beta, rate, seed, epochs, ...[...terms, each.spread].map(number)].map((value) => {
        const cell = document.createElement("td");
        Object.assign(cell, { className: "number", textContent: value });
        return cell;
      }));
      return row;
    });
    at("rows").replaceChildren(...rows);
  }

  // Shows the newest picture with the next frame.
  function show() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const early = calm && state.playing && performance.now() - state.drawn < CALM;
    if (state.waiting || early || !at("plane").clientWidth) return;
    state.waiting = true;
    requestAnimationFrame(() => {
      state.waiting = false;
      state.drawn = performance.now();
      draw();
    });
  }

  function draw() {
    const before = state.runs.at(-2);
    state.view = drawTrainerPlane(at("plane"), { ...state.picture, labels, z: state.z }, data);
    drawTrainerGrid(at("grid"), state.picture.grid, data);
    drawDigit();
    drawTrainerCurves([at("losses"), at("kl")], run().curves, before?.curves);
    lesson();
    table();
  }

  function drawDigit() {
    drawImage(at("digit"), trainerMath.images(state.picture.decoder, Float32Array.from(state.z)),
      data.image_shape);
    at("z").value = pair(state.z);
  }

  function moveTo(z) {
    if (!state.view) return;
    state.z = z.map((value) => Math.min(state.view.half, Math.max(-state.view.half, value)));
    show();
  }

  function speakAgain() {
    at("lead").textContent = text("trainer-lead", { hidden: hiddenDim, count: data.count });
    at("curves-note").textContent = text("trainer-curves-note", { steps: perEpoch });
    controls();
    say(state.failed ? "failed" : state.said ?? "waiting");
    if (state.picture) show();
  }

  // ---- pointer and keys

  function follow() {
    const canvas = at("plane");
    const move = (event) => {
      const box = canvas.getBoundingClientRect();
      if (state.view) moveTo(state.view.z(event.clientX - box.left, event.clientY - box.top));
    };
    for (const name of ["pointerdown", "pointermove"]) canvas.addEventListener(name, move);
    canvas.addEventListener("keydown", (event) => {
      const way = KEYS[event.key];
      if (!state.view || (!way && event.key !== "Home")) return;
      const size = (state.view.half / 50) * (event.shiftKey ? 5 : 1);
      moveTo(way ? state.z.map((value, axis) => value + size * way[axis]) : [0, 0]);
      event.preventDefault(); // the page must not scroll
    });
  }

  function listen() {
    at("play").addEventListener("click", () => play(!state.playing));
    at("step").addEventListener("click", step);
    at("restart").addEventListener("click", restart);
    at("beta").addEventListener("input", controls);
    for (const name of ["beta", "rate"]) at(name).addEventListener("change", restart);
    at("seed").addEventListener("change", () => {
      at("seed").value = Math.round(Math.min(999999, Math.max(0, Number(at("seed").value))));
      restart();
    });
    for (const each of element("trainer").querySelectorAll("[data-beta]"))
      each.addEventListener("click", () => chooseBeta(Number(each.dataset.beta)));
    follow();
    document.addEventListener("language", speakAgain);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && state.playing) play(false); // nobody watches
    });
    const redraw = () => { if (state.picture) show(); };
    window.addEventListener("resize", redraw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  at("beta").max = BETAS.length - 1;
  at("beta").value = BETAS.indexOf(1);
  at("rate").append(...RATES.map((rate) => new Option(String(rate), rate)));
  at("rate").value = data.settings.rate;
  if (!at("rate").value) at("rate").value = RATES[2];
  at("seed").value = data.settings.seed;
  listen();
  speakAgain();
  const near = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    near.disconnect();
    load();
  }, { rootMargin: "400px" });
  near.observe(element("trainer"));
  // For use in the browser's console: training.play(true), training.state.picture
  return { state, play, step, restart, chooseBeta, moveTo };
}

// After the explorer, which is above.
requestAnimationFrame(() => setTimeout(() => {
  window.training = startTrainer(JSON.parse(element("trainer-data").textContent));
}));
