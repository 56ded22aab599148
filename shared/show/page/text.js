// The language of the page. TEXTS holds {key: [English, Chinese]} of the files in texts/; an element
// with data-text="key" shows the text, and data-text-NAME="key" gives it the attribute NAME.
// Other scripts call text(key, values), and listen to the event "language" of the document.
"use strict";

const LANGUAGES = ["en", "zh"];
const TEXTS = JSON.parse(document.getElementById("texts").textContent);
const TRANSLATED = ["alt", "aria-label", "content", "placeholder", "title"]; // attributes
let language = chosenLanguage();

// Returns the language of the URL (?lang=zh), else the one chosen last, else that of the browser.
function chosenLanguage() {
  const asked = new URLSearchParams(location.search).get("lang") ?? remembered();
  if (LANGUAGES.includes(asked)) return asked;
  return navigator.language?.startsWith("zh") ? "zh" : "en";
}

function remembered() {
  try {
    return localStorage.getItem("language");
  } catch {
    return null; // a browser may forbid it
  }
}

// Returns a text in the current language, with {name} replaced by values.name.
function text(key, values = {}) {
  const chosen = TEXTS[key][LANGUAGES.indexOf(language)];
  return chosen.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

// Shows the texts below an element in the current language. The values of their placeholders are in
// data-text-values, as JSON.
function translate(root = document) {
  const values = (each) => JSON.parse(each.dataset.textValues ?? "{}");
  for (const each of root.querySelectorAll("[data-text]"))
    each.textContent = text(each.dataset.text, values(each));
  for (const name of TRANSLATED)
    for (const each of root.querySelectorAll(`[data-text-${name}]`))
      each.setAttribute(name, text(each.getAttribute(`data-text-${name}`), values(each)));
}

// Shows the page in a language, and remembers it.
function speak(chosen) {
  language = chosen;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  translate();
  document.dispatchEvent(new Event("language"));
}

function switchLanguage() {
  speak(language === "zh" ? "en" : "zh");
  try {
    localStorage.setItem("language", language);
  } catch { /* then the next visit begins as this one did */ }
  const url = new URL(location.href); // ?lang=… of the URL must not undo the choice
  if (!url.searchParams.has("lang")) return;
  url.searchParams.set("lang", language);
  history.replaceState(null, "", url);
}
