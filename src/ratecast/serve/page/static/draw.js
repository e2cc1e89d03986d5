// Elements and charts.

export const find = (id) => document.getElementById(id);

// Makes an element; texts are never read as HTML.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const percent = (share) => `${share > 0 && share < 0.005 ? "<1" : Math.round(100 * share)} %`;
export const rounded = (value) => Number(value).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const whole = (value) => Number(value).toLocaleString("en");

// Bars of the probability of each level.
export function bars(probabilities, scale, wide = false) {
  const highest = Math.max(...probabilities);
  const crowded = probabilities.length > 11;
  const label = scale.labels.map((name, level) => `${name}: ${percent(probabilities[level])}`).join(", ");
  const columns = probabilities.map((share, level) => {
    const bar = make("i");
    bar.style.height = `${(wide ? 70 : 55) * (share / highest)}%`;
    const name = crowded && level % Math.ceil(probabilities.length / 5) ? "" : scale.labels[level];
    return make("li", { title: `${scale.labels[level]}: ${percent(share)}` }, crowded ? "" : percent(share), bar, name || "\u00a0");
  });
  return make("ul", { class: wide ? "bars wide" : "bars", role: "img", "aria-label": label }, ...columns);
}

// A review with its predicted rating; `probabilities` in the order of the scale's levels.
export function review(entry, scale, ...more) {
  const between = entry.interval ? ` between ${rounded(entry.interval[0])} and ${rounded(entry.interval[1])}` : "";
  const tags = [];
  if (entry.item) tags.push(make("li", {}, entry.item));
  if (entry.stars !== null && entry.stars !== undefined) tags.push(make("li", {}, `came with ${entry.stars}`));
  for (const reason of entry.reasons ?? []) {
    tags.push(make("li", { class: "warn" }, reason === "flagged" ? `flagged: ${entry.flag}` : reason));
  }
  for (const warning of entry.warnings ?? []) tags.push(make("li", { class: "warn" }, warning));
  return make("li", {}, make("div", { class: "review" },
    make("div", {},
      entry.title ? make("h3", {}, entry.title) : null,
      make("p", { class: "text", tabindex: (entry.text ?? "").length > 700 ? "0" : null }, entry.text ?? "The text was not kept."),
      tags.length ? make("ul", { class: "tags" }, ...tags) : null),
    make("div", {}, make("p", { class: "rating" }, make("b", {}, rounded(entry.rating)), make("small", {}, between)),
      bars(entry.probabilities, scale)),
    ...more));
}

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

// The mean rating over time, with its band.
export function trend(points, scale) {
  const width = 760, height = 240, left = 40, right = 20, top = 12, bottom = 30;
  const times = points.map((point) => Date.parse(point.start));
  const first = Math.min(...times), last = Math.max(...times);
  const lows = points.map((point) => Math.max(point.interval[0], scale.low));
  const highs = points.map((point) => Math.min(point.interval[1], scale.high));
  let low = Math.min(...lows), high = Math.max(...highs);
  const room = Math.max(0.1 * (high - low), 0.02 * (scale.high - scale.low));
  [low, high] = [Math.max(low - room, scale.low), Math.min(high + room, scale.high)];
  const x = (time) => (last > first ? left + ((time - first) / (last - first)) * (width - left - right) : (width + left) / 2);
  const y = (rating) => top + ((high - rating) / (high - low)) * (height - top - bottom);
  const chart = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img" });
  const ends = points.length === 1 ? points[0].start : `${points[0].start} to ${points.at(-1).start}`;
  chart.setAttribute("aria-label", `Mean rating, ${ends}: from ${rounded(points[0].mean)} to ${rounded(points.at(-1).mean)}`);
  for (let step = 0; step <= 4; step++) {
    const rating = low + ((high - low) * step) / 4;
    chart.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: y(rating), y2: y(rating) }));
    chart.append(shape("text", { x: left - 6, y: y(rating) + 4, "text-anchor": "end" }, rounded(rating)));
  }
  if (points.length > 1) {
    const above = times.map((time, row) => `${x(time)},${y(highs[row])}`);
    const below = times.map((time, row) => `${x(time)},${y(lows[row])}`).reverse();
    chart.append(shape("polygon", { class: "band", points: [...above, ...below].join(" ") }));
    chart.append(shape("polyline", { class: "line", points: times.map((time, row) => `${x(time)},${y(points[row].mean)}`).join(" ") }));
  } else {
    chart.append(shape("line", { class: "line", x1: x(first), x2: x(first), y1: y(lows[0]), y2: y(highs[0]) }));
  }
  points.forEach((point, row) => {
    const dot = shape("circle", { cx: x(times[row]), cy: y(point.mean), r: points.length > 60 ? 2 : 4 });
    dot.append(shape("title", {}, `${point.start}: ${rounded(point.mean)} from ${point.reviews} reviews`));
    chart.append(dot);
  });
  const named = [...new Set([0, Math.floor((points.length - 1) / 2), points.length - 1])];
  for (const row of named) {
    const anchor = row === 0 && points.length > 1 ? "start" : row === points.length - 1 && points.length > 1 ? "end" : "middle";
    chart.append(shape("text", { x: x(times[row]), y: height - 8, "text-anchor": anchor }, points[row].start));
  }
  return chart;
}
