// Draws curves into an SVG element, with axes that are linear or logarithmic. trainer.js and
// difference.js call drawChart; the style sheets have the colours.
"use strict";

const CHART = { left: 56, right: 12, top: 10, bottom: 38 }; // pixels around the curves
const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

// Returns round values between two numbers: at most about `count`, or powers of ten.
function chartTicks({ low, high, log }, count) {
  if (log) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const every = Math.max(1, Math.ceil((last - first + 1) / count)), exponents = [];
    for (let n = first; n <= last; n += every) exponents.push(n);
    return exponents.map((n) => 10 ** n);
  }
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough), values = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) values.push(n * step);
  return values;
}

function tickText(value, log) {
  const exponent = Math.round(Math.log10(value));
  if (!log || (exponent >= 0 && exponent <= 3)) return String(+value.toPrecision(6)).replace("-", "−");
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPT[digit]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

// Draws the axes and the curves.
// svg: an empty or old chart, with a width and a height by its style sheet.
// lines: [{ points: [[x, y], …], className }]; x, y: { low, high, label, log }.
function drawChart(svg, { lines, x, y }) {
  const width = svg.clientWidth, height = svg.clientHeight;
  if (!width) return; // the page is hidden
  const make = (name, attributes, content = "") => {
    const each = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) each.setAttribute(key, value);
    each.textContent = content;
    return each;
  };
  const scale = ({ low, high, log }, from, to) => {
    const at = log ? Math.log10 : (value) => value, range = at(high) - at(low) || 1;
    const clipped = (value) => Math.min(high, Math.max(low, value));
    return (value) => from + ((at(clipped(value)) - at(low)) / range) * (to - from);
  };
  const bottom = height - CHART.bottom, right = width - CHART.right;
  const [atX, atY] = [scale(x, CHART.left, right), scale(y, bottom, CHART.top)], parts = [];
  for (const value of chartTicks(y, 5)) {
    const at = atY(value);
    parts.push(make("path", { d: `M${CHART.left} ${at}H${right}`, class: "grid" }));
    const place = { x: CHART.left - 6, y: at + 4, "text-anchor": "end" };
    parts.push(make("text", place, tickText(value, y.log)));
  }
  for (const value of chartTicks(x, Math.max(2, Math.min(6, width / 70)))) {
    const place = { x: atX(value), y: bottom + 16, "text-anchor": "middle" };
    parts.push(make("text", place, tickText(value, x.log)));
  }
  parts.push(make("text", { x: right, y: height - 4, "text-anchor": "end" }, x.label));
  const middle = (CHART.top + bottom) / 2, turn = `rotate(-90 12 ${middle})`;
  parts.push(make("text", { x: 12, y: middle, "text-anchor": "middle", transform: turn }, y.label));
  for (const { points, className } of lines) {
    const text = points.map(([a, b]) => `${atX(a).toFixed(1)},${atY(b).toFixed(1)}`).join(" ");
    parts.push(make("polyline", { points: text, class: className }));
  }
  svg.replaceChildren(...parts);
}
