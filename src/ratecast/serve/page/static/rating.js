// Rating what a person pasted or dropped.

import { post, rate } from "./api.js";
import { bars, find, make, review, rounded, whole } from "./draw.js";
import { attempt, model, say } from "./page.js";

const STEP = 50;
let stop = null;
let address = null;

const split = (text, paragraphs) => text.split(paragraphs ? /\n\s*\n/ : /\n/).map((part) => part.trim()).filter(Boolean);

function timeLeft(started, { done, total }) {
  const passed = (performance.now() - started) / 1000;
  if (passed < 2 || done === total) return "";
  const left = Math.ceil((passed / done) * (total - done));
  return left < 90 ? `, ${left} s left` : `, ${Math.ceil(left / 60)} min left`;
}

async function run(path, values, body, type) {
  stop?.abort();
  const own = (stop = new AbortController());
  const asked = model();
  find("results").hidden = true;
  find("progress").hidden = false;
  find("progress-text").textContent = "Reading …";
  find("bar").removeAttribute("value");
  const started = performance.now();
  const onProgress = (piece) => {
    find("bar").value = piece.done / piece.total;
    find("progress-text").textContent = `${whole(piece.done)} of ${whole(piece.total)} reviews rated${timeLeft(started, piece)}`;
  };
  try {
    const keep = find("keep").checked && !find("keep").closest("label").hidden;
    const found = await rate(path, { ...values, model: asked.name, keep }, body, type, onProgress, own.signal);
    if (own === stop) showResult(found, asked.scale);
  } finally {
    if (own === stop) find("progress").hidden = true;
  }
}

function showResult(result, scale) {
  const count = result.reviews.length;
  find("results-title").textContent = `${whole(result.total)} ${result.total === 1 ? "review" : "reviews"} rated`;
  find("mean").textContent = rounded(result.mean);
  const shown = count < result.total ? [`The first ${whole(count)} are shown; the download has all.`] : [];
  find("notes").textContent = [...result.notes, ...shown].join(" ");
  find("distribution").replaceChildren(bars(result.distribution, scale, true));
  const bytes = Uint8Array.from(atob(result.file.base64), (character) => character.charCodeAt(0));
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(new Blob([bytes]));
  find("download").href = address;
  find("download").download = result.file.name;
  find("reviews").replaceChildren();
  let next = 0;
  const more = () => {
    find("reviews").append(...result.reviews.slice(next, next + STEP).map((entry) => review(entry, scale, flagging(entry))));
    next += STEP;
    find("more").hidden = next >= count;
  };
  find("more").onclick = more;
  more();
  find("results").hidden = false;
  find("results-title").focus();
}

// A form that puts a review into the queue; only one that was kept can be.
function flagging(entry) {
  if (!entry.id) return null;
  const why = make("input", { "aria-label": "Why", value: "please read", maxlength: 200, required: true });
  const form = make("form", { class: "decide row" }, make("label", {}, "A person should read this:"), why, make("button", {}, "Flag"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      await post("flags", { prediction_id: entry.id, why: why.value });
      form.replaceWith(make("p", { class: "decide hint" }, `Flagged: ${why.value}`));
      say("The review waits in the queue.");
    });
  });
  return make("details", { class: "decide" }, make("summary", {}, "Flag …"), form);
}

export function startRating(mostBytes) {
  const send = (file) =>
    attempt(async () => {
      if (!model()) throw new Error("There is no model yet.");
      if (file.size > mostBytes()) throw new Error(`${file.name} has ${whole(Math.ceil(file.size / 1e6))} MB; this page takes up to ${whole(mostBytes() / 1e6)} MB. Use ratecast predict for larger tables.`);
      await run("table", { name: file.name }, file, "application/octet-stream");
    });
  find("rate-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const texts = split(find("texts").value, find("paragraphs").checked);
      if (!texts.length) throw new Error("Paste at least one review, or choose a file.");
      if (!model()) throw new Error("There is no model yet.");
      await run("texts", {}, JSON.stringify({ texts }), "application/json");
    });
  });
  find("paragraphs").addEventListener("change", (event) => {
    find("texts-hint").textContent = event.target.checked ? "An empty line between two reviews." : "One review on each line.";
  });
  find("file").addEventListener("change", (event) => {
    if (event.target.files.length) send(event.target.files[0]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  find("cancel").addEventListener("click", () => {
    stop?.abort();
    stop = null;
    find("progress").hidden = true;
    say("Stopped.");
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    find("rate-form").classList.toggle("dropping", !find("rate").hidden);
  });
  for (const end of ["dragleave", "drop"]) addEventListener(end, () => find("rate-form").classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault(); // a browser would open the file in place of this page
    if (!find("rate").hidden && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
}
