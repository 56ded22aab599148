// Sharing what the explorer shows: its state in the URL's fragment, e.g. #epoch=50&z=0.45,-0.06&test=3,
// a button that copies the URL, a button that saves a picture, and ?embed=1 for a frame in slides.
"use strict";

const PAUSE = 400; // ms without a change, after which the URL is written
const PICTURE = 1200; // pixels, the width of a saved picture

// Returns the strokes of the pen as text: two digits per coordinate, in hundredths of the pad's side.
function penText(strokes) {
  const digits = (v) => String(Math.min(99, Math.max(0, Math.round(100 * v)))).padStart(2, "0");
  return strokes.map((stroke) => stroke.map((point) => point.map(digits).join("")).join("")).join(".");
}

function penStrokes(content) {
  return content.split(".").map((stroke) =>
    (stroke.match(/\d{4}/g) ?? []).map((four) => [four.slice(0, 2) / 100, four.slice(2) / 100]))
    .filter((stroke) => stroke.length);
}

function shareExplorer({ state, epochs, limit, drawPad, choose, moveTo, load }) {
  const buttons = () => Array.from(element("tests").children);

  // Returns the URL that shows the same again; z is part of it where a user chose it.
  function url() {
    const values = state.epoch.file ? {} : { epoch: state.epoch.epoch }; // a file is not shared
    if (state.given === "z") values.z = state.z.map((v) => v.toFixed(3)).join(",");
    const test = buttons().findIndex((button) => button.ariaPressed === "true");
    if (test >= 0) values.test = test;
    else values.pen = penText(state.strokes);
    const shared = new URL(location.href);
    shared.hash = Object.entries(values).map(([name, value]) => `${name}=${value}`).join("&");
    return shared.href;
  }

  // Shows the state of the URL; what it lacks, or what is no such value, stays as it is.
  function restore() {
    const values = new URLSearchParams(location.hash.slice(1));
    const epoch = epochs.find((each) => String(each.epoch) === values.get("epoch"));
    if (epoch) choose(epoch);
    const strokes = penStrokes(values.get("pen") ?? "");
    if (strokes.length && !element("drawing").hidden) {
      state.strokes = strokes;
      drawPad();
      load(likeMnist(strokes));
    } else buttons()[values.get("test") ?? NaN]?.click();
    const z = (values.get("z") ?? "").split(",").map(Number);
    if (z.length !== 2 || !z.every((v) => Math.abs(v) <= limit)) return;
    state.held = true;
    moveTo(z);
  }

  let timer;
  function remember() {
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState(null, "", url()), PAUSE);
  }

  async function copy() {
    let copied = true;
    try {
      await navigator.clipboard.writeText(url());
    } catch { // without permission, the link is shown, to be copied by hand
      copied = false;
    }
    Object.assign(element("link"), { hidden: copied, value: url() });
    if (!copied) element("link").select();
    element("shared").textContent = text(copied ? "explorer-copied" : "explorer-copy-by-hand");
  }

  function save() {
    const link = document.createElement("a");
    Object.assign(link, { href: picture().toDataURL(), download: "vae.png" });
    link.click();
  }

  element("copy").addEventListener("click", copy);
  element("save").addEventListener("click", save);
  document.addEventListener("sample", remember);
  window.addEventListener("hashchange", restore);
  restore();
}

// Returns a canvas with the plane, and beside it the other canvases with their captions.
function picture() {
  const names = [["pad", "explorer-draw-a-digit"], ["digit", "explorer-decoder"],
    ["seen", "explorer-seen-image"], ["reconstruction", "explorer-reconstruction-image"]];
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  const margin = 20, line = 26, side = (PICTURE - 4 * margin) / 2, tile = (side - margin) / 2;
  [canvas.width, canvas.height] = [PICTURE, side + 2 * margin + line];
  context.fillStyle = colour("--paper");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(element("plane"), margin, margin, side, side);
  Object.assign(context, { fillStyle: colour("--ink"), font: "18px system-ui, sans-serif" });
  context.fillText(`${element("epoch-value").value}   ${element("z").value}`, margin, side + margin + line);
  context.imageSmoothingEnabled = false; // pixels stay squares
  names.forEach(([name, key], n) => {
    context.fillStyle = colour("--ink");
    const x = side + 2 * margin + (n % 2) * (tile + margin);
    const y = margin + Math.floor(n / 2) * (tile + line);
    context.fillText(text(key), x, y + 16);
    if (!element(name).clientWidth) return; // the pad is hidden on images of another size
    const box = [x, y + line, tile - line, tile - line];
    context.fillStyle = "#000"; // behind the pad, whose canvas is transparent
    context.fillRect(...box);
    context.drawImage(element(name), ...box);
  });
  return canvas;
}

if (new URLSearchParams(location.search).get("embed") === "1")
  document.documentElement.classList.add("embed");
