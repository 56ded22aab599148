// The input of the explorer: pointer and keys on the plane, the slider of the epochs, and the pen on
// the pad. explorer.js has what they change.
"use strict";

const TAP = 6; // pixels that a finger moves sideways before it drags z; up or down, it scrolls the page
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

// Returns the place of a pointer in a canvas, from [0, 0] in the upper left corner to [1, 1].
function place(event, canvas) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

function followPlane({ state, limit, ticks, view, moveTo, drawSample }) {
  const canvas = element("plane");
  const move = (event) => moveTo(view().z(...place(event, canvas).map((v) => v * view().side)));
  const pin = (event) => {
    state.held = true;
    move(event);
  };
  const release = () => {
    state.held = false;
    drawSample();
  };
  let finger = null; // where it was put down, until it has moved sideways
  const waits = (event) => {
    if (event.pointerType !== "touch" || !finger) return false;
    const [across, along] = [event.clientX - finger[0], event.clientY - finger[1]].map(Math.abs);
    if (across > TAP && across > along) finger = null;
    return finger !== null;
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") { // it may be the beginning of scrolling
      finger = [event.clientX, event.clientY];
      return;
    }
    canvas.setPointerCapture(event.pointerId);
    pin(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (waits(event)) return;
    if (event.pointerType === "touch") pin(event);
    // After a click has fixed z, only a drag that began on the plane moves it.
    else if (!state.held || canvas.hasPointerCapture(event.pointerId)) move(event);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (event.pointerType === "touch") pin(event); // a tap, or the end of a drag
  });
  canvas.addEventListener("dblclick", release);
  element("release").addEventListener("click", release);
  canvas.addEventListener("keydown", (event) => {
    const step = (limit / 50) * (event.shiftKey ? 5 : 1), key = KEYS[event.key];
    if (event.key === "Escape") return release();
    if (!key && event.key !== "Home") return;
    state.held = true;
    moveTo(key ? state.z.map((value, axis) => value + step * key[axis]) : [0, 0]);
    event.preventDefault(); // the page must not scroll
  });
  element("manifold").addEventListener("click", (event) => {
    const last = ticks.length - 1, cell = (v) => Math.min(last, Math.floor(v * ticks.length));
    const [column, row] = place(event, element("manifold")).map(cell);
    state.held = true;
    moveTo([ticks[column], ticks[last - row]]);
  });
}

function followTimes({ epochs, choose }) {
  const slider = element("epoch");
  slider.max = epochs.length - 1;
  slider.hidden = epochs.length === 1;
  slider.addEventListener("input", () => choose(epochs[slider.value]));
}

// Follows the pen; returns functions that draw the pad again, and clear it.
function followPad({ state, load, sampleWith }) {
  const canvas = element("pad");

  function drawPad() {
    const [context, side] = sharpen(canvas);
    Object.assign(context, { lineWidth: (side * PEN) / SIDE, strokeStyle: "#fff" });
    Object.assign(context, { lineCap: "round", lineJoin: "round" });
    if (!state.strokes.length) {
      Object.assign(context, { fillStyle: "#aaa", font: "18px system-ui, sans-serif" });
      context.textAlign = "center";
      context.fillText(text("explorer-here"), side / 2, side / 2);
    }
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

  function draw(event) {
    state.strokes.at(-1).push(place(event, canvas));
    drawPad();
    load(likeMnist(state.strokes));
  }

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
  return { drawPad, clear };
}
