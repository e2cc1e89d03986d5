// Products with their scores, and the trend of one or all.

import { get, turns } from "./api.js";
import { find, make, rounded, trend, whole } from "./draw.js";
import { attempt, model } from "./page.js";

const STEP = 25;
const tableTurn = turns();
const trendTurn = turns();
let offset = 0;
let chosen = null;
let shownModel = null;

async function showTrend() {
  const points = await get("trend", { model: model().name, item: chosen, by: find("by").value }, trendTurn());
  find("trend-title").textContent = chosen ?? "All products over time";
  find("all").hidden = chosen === null;
  find("trend").replaceChildren(points.length ? trend(points, model().scale) : "");
  find("trend-caption").textContent = points.length
    ? "Mean predicted rating; the band holds the mean with 95 % probability."
    : "Nothing was kept of this model yet. Rate a table of reviews with “Keep them” ticked, or send reviews to the service.";
}

function row(product) {
  const scale = model().scale;
  const share = (rating) => `${(100 * (Math.min(Math.max(rating, scale.low), scale.high) - scale.low)) / (scale.high - scale.low)}%`;
  const range = make("i");
  range.style.left = share(product.interval[0]);
  range.style.right = `calc(100% - ${share(product.interval[1])})`;
  const words = `${rounded(product.interval[0])} to ${rounded(product.interval[1])}`;
  const choose = () => attempt(async () => {
    chosen = product.item;
    await showTrend();
    find("trend-title").scrollIntoView({ block: "center" });
  });
  return make("tr", {},
    make("td", {}, make("button", { type: "button", onclick: choose }, product.item)),
    make("td", { class: "number" }, whole(product.reviews)),
    make("td", { class: "number" }, make("b", {}, rounded(product.score))),
    make("td", {}, make("div", { class: "span", role: "img", "aria-label": words, title: words }, range), make("small", {}, words)));
}

async function showTable() {
  const page = await get("products", { model: model().name, order: find("order").value, offset, limit: STEP }, tableTurn());
  find("products-table").tBodies[0].replaceChildren(...page.products.map(row));
  find("products-table").hidden = !page.total;
  find("products-total").textContent = page.total
    ? `${whole(offset + 1)} to ${whole(offset + page.products.length)} of ${whole(page.total)} products`
    : "There are no products yet: reviews need a column that names the product.";
  find("products-before").hidden = find("products-after").hidden = page.total <= STEP;
  find("products-before").disabled = offset === 0;
  find("products-after").disabled = offset + STEP >= page.total;
}

export async function showProducts() {
  if (shownModel !== model().name) [shownModel, offset, chosen] = [model().name, 0, null];
  await Promise.all([showTrend(), showTable()]);
}

export function startProducts() {
  const turn = (step) => attempt(() => { offset += step; return showTable(); });
  find("products-before").addEventListener("click", () => turn(-STEP));
  find("products-after").addEventListener("click", () => turn(STEP));
  find("order").addEventListener("change", () => attempt(() => { offset = 0; return showTable(); }));
  find("by").addEventListener("change", () => attempt(showTrend));
  find("all").addEventListener("click", () => attempt(() => { chosen = null; return showTrend(); }));
}
