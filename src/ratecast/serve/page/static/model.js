// The model's card and its evaluation.

import { KeyNeeded, getText } from "./api.js";
import { find, make } from "./draw.js";
import { model } from "./page.js";

// The text, or an Error that says why there is none: a model has a card without a report where nothing was measured.
const orError = (asked) =>
  asked.catch((error) => {
    if (error instanceof KeyNeeded) throw error;
    return error;
  });

export async function showModel() {
  const { name, version } = model();
  find("model-title").textContent = `${name} ${version}`;
  const [card, report] = await Promise.all(["card", "report"].map((what) => orError(getText(what, { model: name }))));
  if (name !== model().name) return; // another one was chosen meanwhile
  if (card instanceof Error) find("card").replaceChildren(make("p", { class: "hint" }, card.message));
  else find("card").innerHTML = card; // made by the service from Markdown, without any HTML of the card's own
  find("report").hidden = report instanceof Error;
  find("report-hint").textContent = report instanceof Error ? report.message : "";
  if (!(report instanceof Error)) find("report").srcdoc = report;
}
