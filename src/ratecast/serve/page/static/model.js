// The model's card and its evaluation.

import { getText } from "./api.js";
import { find } from "./draw.js";
import { model } from "./page.js";

export async function showModel() {
  const { name, version } = model();
  find("model-title").textContent = `${name} ${version}`;
  const [card, report] = await Promise.all([getText("card", { model: name }), getText("report", { model: name })]);
  if (name !== model().name) return; // another one was chosen meanwhile
  find("card").innerHTML = card; // made by the service from Markdown, without any HTML of the card's own
  find("report").srcdoc = report;
}
