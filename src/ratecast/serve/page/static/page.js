// Which view is shown, of which model.

import { KeyNeeded, get, useKey } from "./api.js";
import { find, make } from "./draw.js";
import { showModel } from "./model.js";
import { showProducts, startProducts } from "./products.js";
import { showQueue, startQueue } from "./queue.js";
import { startRating } from "./rating.js";

const VIEWS = { rate: "rate", products: "products", queue: "queue", model: "model-view" };
const state = { models: [], model: null };

// Runs something, and shows what went wrong until the next thing begins. What ends does not hide the problem of another.
export async function attempt(work) {
  find("problem").hidden = true;
  try {
    return await work();
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    if (error instanceof KeyNeeded) find("key").hidden = false;
    find("problem").textContent = error.message;
    find("problem").hidden = false;
    find("problem").scrollIntoView({ block: "nearest" });
    return undefined;
  }
}

export const model = () => state.model;

let silence;
export function say(text) {
  find("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { find("said").textContent = ""; }, 4000);
}

export function showCount(count) {
  find("waiting").textContent = count;
  find("waiting").hidden = !count;
}

async function show() {
  const asked = location.hash.slice(1);
  const view = VIEWS[asked] && (state.store || !["products", "queue"].includes(asked)) ? asked : "rate";
  for (const [name, id] of Object.entries(VIEWS)) find(id).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${document.querySelector(`#${VIEWS[view]} h1`).textContent} – ratecast`;
  find("problem").hidden = true;
  if (!state.model) return;
  await attempt(() => ({ rate: () => {}, products: showProducts, queue: showQueue, model: showModel })[view]());
}

async function start() {
  const found = await get("models");
  find("key").hidden = true;
  state.models = found.models;
  state.store = found.store;
  state.model = found.models[0];
  state.most_bytes = found.most_bytes;
  for (const element of document.querySelectorAll("[data-store]")) element.hidden = !found.store;
  find("model").replaceChildren(...found.models.map((one) => make("option", { value: one.name }, `${one.name} (${one.version})`)));
  if (found.store) attempt(async () => showCount((await get("queue", { model: state.model.name })).sizes.all));
  await show();
}

find("model").addEventListener("change", (event) => {
  state.model = state.models.find((one) => one.name === event.target.value);
  find("results").hidden = true; // they are another model's
  show();
});
find("key").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(find("key-value").value);
  attempt(start);
});
addEventListener("hashchange", () => { if (location.hash !== "#main") show().then(() => find("main").focus()); });
startRating(() => state.most_bytes);
startProducts();
startQueue();
attempt(start);
