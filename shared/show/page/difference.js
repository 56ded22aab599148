// The section of the page on the two programs: which block's code is shown, and which change.
// The measured growth is in the element "difference-data"; difference.py has packed it.
"use strict";

function startDifference(growth) {
  const section = element("difference");
  const buttons = [...section.querySelectorAll("[data-block]")];
  const changes = [...section.querySelectorAll("[data-change]")];
  const chosen = () => section.querySelector("input[name=difference]:checked").value;

  function showBlock(name) {
    for (const button of buttons) {
      const same = button.dataset.block === name;
      button.ariaPressed = String(same);
      element(`difference-${button.dataset.block}`).hidden = !same;
    }
  }

  function showChange() {
    for (const each of changes) each.hidden = each.dataset.change !== chosen();
    drawGrowth();
  }

  // Draws the largest difference of a weight by steps; the chosen change is drawn last, on the others.
  function drawGrowth() {
    const names = Object.keys(growth).sort((a, b) => (a === chosen()) - (b === chosen()));
    const points = (name) => growth[name].steps
      .map((step, n) => [step, growth[name].weights[n]]).filter(([, value]) => value > 0);
    const lines = names.map((name) => ({
      points: points(name), className: name === chosen() ? "line-0 chosen" : "line-other",
    }));
    const values = lines.flatMap((line) => line.points.map(([, value]) => value));
    const end = Math.max(...Object.values(growth).map(({ steps }) => steps.at(-1)));
    drawChart(element("difference-chart"), {
      lines,
      x: { low: 1, high: Math.max(2, end), log: true, label: text("difference-axis-step") },
      y: { low: Math.min(...values) / 2, high: Math.max(...values) * 2, log: true,
        label: text("difference-axis-weight") },
    });
  }

  for (const button of buttons)
    for (const name of ["click", "focus", "pointerenter"])
      button.addEventListener(name, () => showBlock(button.dataset.block));
  section.addEventListener("change", showChange);
  document.addEventListener("language", drawGrowth);
  window.addEventListener("resize", drawGrowth);
  showBlock(buttons[0].dataset.block);
  showChange();
  return { showBlock };
}

window.differences = startDifference(JSON.parse(element("difference-data").textContent));
