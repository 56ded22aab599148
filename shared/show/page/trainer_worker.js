// The worker that trains in the browser: trainer.js makes it from the text of trainer_math.js and of
// this file. It gets actions { name, … }, trains step by step, and answers with the results of every
// step and, a few times per second, with a picture of the model.
"use strict";

const PICTURES = 120; // ms between two pictures of the model

let data = null, training = null, ticks = [], run = 0, timer = null, pictured = 0;

const actions = {
  // The pixels of the images, and the z[0] and z[1] at which the decoder's images are shown.
  load({ pixels, inputDim, at }) {
    data = { x: Float32Array.from(pixels, (value) => value / 255), inputDim };
    ticks = at;
  },
  start(action) {
    run = action.run;
    training = trainerMath.begin(data, action.settings);
    postMessage(picture());
  },
  play() {
    timer ??= setTimeout(next);
  },
  pause() {
    stop();
    postMessage({ ...picture(), paused: true }); // of the weights after the last step
  },
  step() {
    postMessage({ ...stepped(), ...picture() });
  },
};

function stop() {
  clearTimeout(timer);
  timer = null;
}

function stepped() {
  const result = trainerMath.trainStep(training);
  return { run, step: training.step, result };
}

// Trains for one step; between two steps, the actions of the page are done.
function next() {
  const message = stepped(), broken = !Number.isFinite(message.result.loss);
  const due = broken || performance.now() - pictured > PICTURES;
  postMessage(due ? { ...message, ...picture() } : message);
  if (broken) stop(); // the learning rate is too large
  else timer = setTimeout(next);
}

// Returns q(z|x) of all images, the decoder's images on the grid, and the decoder itself, with which
// the page computes its image at the pointer.
function picture() {
  pictured = performance.now();
  const { weights, settings, step } = training, last = ticks.length - 1;
  const grid = ticks.flatMap((_, row) => ticks.flatMap((z0) => [z0, ticks[last - row]])); // z[1] up
  const probs = trainerMath.images(weights, Float32Array.from(grid));
  const decoder = Object.entries(weights).filter(([name]) => name.startsWith("decoder/"));
  const q = trainerMath.posteriors(training);
  return {
    run, step,
    ...q,
    spread: trainerMath.spread(q.zMean, settings.latentDim),
    grid: Uint8Array.from(probs, (p) => Math.round(255 * p)),
    decoder: Object.fromEntries(decoder), // copied by postMessage
  };
}

onmessage = (event) => actions[event.data.name](event.data);
