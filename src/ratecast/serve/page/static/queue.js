// The reviews that a person should read, and what people decided.

import { get, post, turns } from "./api.js";
import { find, make, review, rounded } from "./draw.js";
import { attempt, model, say, showCount } from "./page.js";

const turn = turns();
const HINTS = {
  "": "The most urgent first. Accept the predicted rating, or give the right one.",
  uncertain: "The model spreads its probability widely.",
  surprising: "The text and the stars that it came with disagree.",
  flagged: "Somebody asked for these to be read.",
  decided: "The latest decisions, with who made them and when.",
};
let after = null;

const reason = () => document.querySelector("input[name=reason]:checked").value;

// Stored probabilities are by level; bars take them in the order of the scale.
function inOrder(entry) {
  const levels = Object.entries(entry.probabilities).sort(([one], [other]) => one - other);
  return { ...entry, probabilities: levels.map(([, share]) => share) };
}

// The model's own scale, or that of the levels that were stored, if the model is no longer served.
function scaleOf(entry) {
  const count = Object.keys(entry.probabilities).length;
  if (entry.model === model().name && model().scale.levels.length === count) return model().scale;
  return { labels: Object.keys(entry.probabilities).map(Number).sort((one, other) => one - other).map(String) };
}

function showSizes(sizes) {
  for (const [name, size] of Object.entries(sizes)) document.querySelector(`[data-size=${name}]`).textContent = size;
  showCount(sizes.all);
}

function deciding(entry) {
  const scale = model().scale;
  const rating = scale.continuous
    ? make("input", { type: "number", min: scale.low, max: scale.high, step: "any", required: true })
    : make("select", {}, ...scale.levels.map((level, row) => make("option", { value: level }, scale.labels[row])));
  const nearest = scale.levels.reduce((one, other) => (Math.abs(other - entry.rating) < Math.abs(one - entry.rating) ? other : one));
  rating.value = scale.continuous ? rounded(entry.rating) : nearest;
  const note = make("input", { placeholder: "Note", "aria-label": "Note", maxlength: 2000 });
  const decide = (verdict) => attempt(async () => {
    const reviewer = find("reviewer");
    if (!reviewer.value.trim()) {
      reviewer.focus();
      throw new Error("Enter your name first: it is kept with what you decide.");
    }
    if (verdict === "correct" && !rating.reportValidity()) return;
    const decision = { prediction_id: entry.id, reviewer: reviewer.value.trim(), verdict, note: note.value };
    if (verdict === "correct") decision.rating = Number(rating.value);
    await post("decisions", decision);
    localStorage.setItem("ratecast-reviewer", reviewer.value.trim());
    say(verdict === "accept" ? "Accepted." : `Corrected to ${rating.value}.`);
    const own = form.closest("ol > li");
    const next = own.nextElementSibling ?? own.previousElementSibling;
    own.remove();
    if (next) next.querySelector("button")?.focus();
    else await showQueue();
    const { sizes } = await get("queue", { model: model().name });
    showSizes(sizes);
  });
  const form = make("div", { class: "decide row" },
    make("button", { type: "button", class: "primary", onclick: () => decide("accept") }, `Accept ${rounded(entry.rating)}`),
    make("label", {}, "Right rating", rating),
    make("button", { type: "button", onclick: () => decide("correct") }, "Correct"),
    note);
  return form;
}

async function showWaiting(signal = turn()) {
  const page = await get("queue", { model: model().name, reason: reason(), after }, signal);
  showSizes(page.sizes);
  after = page.next;
  find("waiting-reviews").append(...page.reviews.map((entry) => review(inOrder(entry), scaleOf(entry), deciding(entry))));
  find("queue-more").hidden = after === null;
  if (!find("waiting-reviews").children.length) find("queue-hint").textContent = "Nothing waits here.";
}

async function showDecided(signal) {
  const found = await get("decisions", {}, signal);
  find("queue-more").hidden = true;
  find("waiting-reviews").append(...found.map(({ decision, prediction }) => {
    const what = decision.verdict === "accept" ? "accepted this" : `corrected it to ${decision.rating}`;
    const when = make("time", { datetime: decision.time }, new Date(decision.time).toLocaleString());
    const note = decision.note ? `: “${decision.note}”` : "";
    return review(inOrder(prediction), scaleOf(prediction),
      make("p", { class: "decide" }, make("b", {}, decision.reviewer), ` ${what} on `, when, note));
  }));
  if (!found.length) find("queue-hint").textContent = "Nobody has decided anything yet.";
}

export async function showQueue() {
  after = null;
  find("queue-hint").textContent = HINTS[reason()];
  find("waiting-reviews").replaceChildren();
  const signal = turn();
  await (reason() === "decided" ? showDecided(signal) : showWaiting(signal));
}

export function startQueue() {
  find("reviewer").value = localStorage.getItem("ratecast-reviewer") ?? "";
  find("queue-more").addEventListener("click", () => attempt(() => showWaiting()));
  for (const choice of document.querySelectorAll("input[name=reason]")) choice.addEventListener("change", () => attempt(showQueue));
}
