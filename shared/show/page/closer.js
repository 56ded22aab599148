// The section "Look closer": the images between two digits, and the loss of each pixel of the image
// x that the explorer shows. closer_model.js has the computations, own_weights.js the third part.
"use strict";

const IMAGES_BETWEEN = 9; // in a row, both ends included
const ENDS = ["2", "7"]; // the classes of the first choice

function startCloser(vae) {
  const { state, shape, tests } = vae;
  const at = (name) => element(`closer-${name}`);
  const selects = [at("from"), at("to")];
  let drawn = []; // of which weights and images the rows are
  let pixel = null; // under the pointer
  let losses = [], probs = [], waiting = false;

  function addChoices() {
    selects.forEach((select, end) => {
      const own = new Option(text("closer-own"), "x");
      own.dataset.text = "closer-own";
      select.append(own, ...tests.map(({ name }, n) => new Option(numbered(name, n), n)));
      const first = tests.findIndex(({ name }) => name === ENDS[end]);
      select.value = first < 0 ? Math.min(end, tests.length - 1) : first;
      select.addEventListener("change", drawBetween);
    });
    for (const row of ["decoded", "mixed"])
      at(row).append(...Array.from({ length: IMAGES_BETWEEN }, () => {
        const canvas = document.createElement("canvas");
        canvas.className = "image";
        return canvas;
      }));
  }

  // Returns the name of a test image: its class, and which image of the class it is after the first.
  function numbered(name, n) {
    const which = tests.slice(0, n).filter((test) => test.name === name).length;
    return which ? `${name} (${which + 1})` : name;
  }

  function drawBetween() {
    const ends = selects.map(({ value }) => (value === "x" ? state.x : tests[value].x));
    const now = [state.epoch.weights, ...ends];
    if (now.every((each, n) => each === drawn[n])) return;
    drawn = now;
    const { decoded, mixed } = between(state.epoch.weights, ...ends, IMAGES_BETWEEN);
    [...at("decoded").children].forEach((canvas, n) => drawImage(canvas, decoded[n], shape));
    [...at("mixed").children].forEach((canvas, n) => drawImage(canvas, mixed[n], shape));
  }

  function drawHeat() {
    const values = logits(state.epoch.weights, state.z);
    [losses, probs] = [pixelLosses(state.x, values), sigmoid(values)];
    drawImage(at("x"), state.x, shape);
    drawImage(at("p"), probs, shape);
    const [rows, columns] = shape, image = new ImageData(columns, rows);
    losses.forEach((loss, i) => image.data.set([...heatColour(loss), 255], 4 * i));
    Object.assign(at("map"), { width: columns, height: rows });
    at("map").getContext("2d").putImageData(image, 0, 0);
    tellSum();
  }

  function tellSum() {
    const { sum, tenth, share, highest } = summary(losses), count = losses.length;
    const values = { count, sum: shown(sum), mean: (sum / count).toFixed(3), tenth };
    at("sum").value = text("closer-sum", { ...values, share: Math.round(100 * share) });
    const i = pixel ?? highest;
    const told = { row: Math.floor(i / shape[1]) + 1, column: (i % shape[1]) + 1, loss: shown(losses[i]) };
    Object.assign(told, { x: shown(state.x[i]), p: probs[i].toFixed(3) });
    at("pixel").textContent = text(pixel === null ? "closer-highest" : "closer-pixel", told);
  }

  // Draws with the next frame, since z can change several times before it.
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      drawHeat();
      drawBetween();
    });
  }

  function point(event) {
    const [u, v] = place(event, at("map"));
    const within = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
    pixel = event.type === "pointerleave" ? null
      : within(v, shape[0]) * shape[1] + within(u, shape[1]);
    tellSum();
  }

  addChoices();
  const stops = HEAT.map((rgb) => `rgb(${rgb})`).join(", ");
  at("bar").style.background = `linear-gradient(to right, ${stops})`;
  for (const name of ["pointermove", "pointerdown", "pointerleave"]) at("map").addEventListener(name, point);
  document.addEventListener("sample", draw);
  document.addEventListener("language", tellSum);
  drawHeat();
  drawBetween();
  // Chooses the ends by the name of a class, for lecture.js.
  return {
    choose(names) {
      names.forEach((name, end) => {
        const n = tests.findIndex((test) => test.name === name);
        if (n >= 0) selects[end].value = n;
      });
      drawBetween();
    },
  };
}
