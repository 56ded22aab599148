// A lecture of six questions from docs/teaching.md, in the order of the class there. Each question sets
// the state of the page and scrolls to the part that it is about; lecture.html is below all of it.
"use strict";

const KEYS_OF_LECTURE = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 };
const ABOVE = 14; // pixels above a part, where its mark is
const EARLY = 5; // the first pictured epoch of post-keras

// `at` is the id of the part that is shown, `from` that of the place where it begins in the window if
// it is too high for that, and `then` that of the part that is shown with the answer.
const LECTURE = [
  {
    question: "lecture-question-1", todo: "lecture-do-1", answer: "lecture-answer-1",
    at: "latents", then: "between",
    set(vae) {
      choosePlace(vae, -1, "4");
      vae.closer.choose(["4", "9"]);
    },
  },
  {
    question: "lecture-question-2", todo: "lecture-do-2", answer: "lecture-answer-2",
    at: "train", from: "trainer-play",
    set() { trainWith(0); },
  },
  {
    question: "lecture-question-3", todo: "lecture-do-3", answer: "lecture-answer-3", at: "heat",
    set(vae) { choosePlace(vae, -1, "5"); },
  },
  {
    question: "lecture-question-4", todo: "lecture-do-4", answer: "lecture-answer-4", at: "graph",
    set(vae) {
      choosePlace(vae, -1, "7");
      vae.sampleWith(noise());
    },
  },
  {
    question: "lecture-question-5", todo: "lecture-do-5", answer: "lecture-answer-5", at: "latents",
    set(vae) {
      const early = vae.epochs.findIndex(({ epoch }) => epoch === EARLY);
      choosePlace(vae, Math.max(early, 0), "2");
    },
  },
  {
    question: "lecture-question-6", todo: "lecture-do-6", answer: "lecture-answer-6",
    at: "train", from: "trainer-play",
    set() { trainWith(30); },
  },
];

// Shows a stored epoch, a test image of a class, and z at the mean of its q(z|x).
function choosePlace({ epochs, tests, choose, moveTo, state }, epoch, name) {
  choose(epochs.at(epoch));
  element("tests").children[Math.max(0, tests.findIndex((test) => test.name === name))].click();
  state.held = true;
  moveTo(Array.from(state.q.zMean));
}

// Sets the β of the training in the page, as soon as that has begun.
function trainWith(beta) {
  if (window.training) window.training.chooseBeta(beta);
  else setTimeout(trainWith, 50, beta);
}

function startLecture(vae) {
  const at = (name) => element(`lecture-${name}`);
  const steps = LECTURE.filter((step) => element(step.at)); // a page may lack a section
  let current = null; // number of the question, or null

  // Marks a part of the page, and scrolls to it, or to another one within it.
  function mark(name, from = name) {
    for (const each of document.querySelectorAll(".lecture-at")) each.classList.remove("lecture-at");
    if (!name) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    element(name).classList.add("lecture-at");
    const top = element(from).getBoundingClientRect().top + scrollY - ABOVE;
    scrollTo({ top, behavior: calm ? "auto" : "smooth" });
  }

  function write(name, key, values = {}) {
    at(name).dataset.text = key;
    at(name).dataset.textValues = JSON.stringify(values);
    at(name).textContent = text(key, values);
  }

  function go(number) {
    if (number < 0 || number >= steps.length) return;
    const { question, todo, answer, at: part, from, set } = steps[number];
    current = number;
    at("solution").open = false;
    write("number", "lecture-number", { number: number + 1, count: steps.length });
    write("question", question);
    write("do", todo);
    write("answer", answer);
    at("previous").disabled = number === 0;
    at("next").disabled = number === steps.length - 1;
    element("lecture").hidden = false;
    set(vae);
    makeRoom();
    mark(part, from);
    at("question").focus({ preventScroll: true });
  }

  // Keeps the end of the page above the question.
  function makeRoom() {
    document.body.style.paddingBottom = current === null ? "" : `${element("lecture").offsetHeight + 20}px`;
  }

  function leave() {
    current = null;
    element("lecture").hidden = true;
    if (document.fullscreenElement) document.exitFullscreen();
    mark(null);
    makeRoom();
    at("start").focus();
  }

  function turn(event) {
    if (current === null || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape") return leave();
    const way = KEYS_OF_LECTURE[event.key];
    // Arrow keys in a plane or on a slider are for that.
    if (!way || (event.key.startsWith("Arrow") && event.target.closest("canvas, input, select, pre"))) return;
    event.preventDefault();
    go(current + way);
  }

  at("start").addEventListener("click", () => go(0));
  at("previous").addEventListener("click", () => go(current - 1));
  at("next").addEventListener("click", () => go(current + 1));
  at("leave").addEventListener("click", leave);
  at("screen").hidden = !document.fullscreenEnabled;
  at("screen").addEventListener("click", () => (document.fullscreenElement
    ? document.exitFullscreen() : document.documentElement.requestFullscreen()));
  at("solution").addEventListener("toggle", () => {
    makeRoom();
    if (current !== null && at("solution").open && steps[current].then) mark(steps[current].then);
  });
  document.addEventListener("keydown", turn);
  window.addEventListener("resize", makeRoom);
  document.addEventListener("language", makeRoom);
  at("start").hidden = false;
  // The lecture begins at question n with ?lecture=n in the URL.
  const asked = Number(new URLSearchParams(location.search).get("lecture"));
  if (asked) go(asked - 1);
}

// The questions are about digits.
document.addEventListener("explorer", ({ detail: vae }) => {
  if (["2", "4", "5", "7", "9"].every((name) => vae.classes.includes(name))) startLecture(vae);
});
