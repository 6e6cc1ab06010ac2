// Pick a metric, see its series.

import { api } from "./api.js";
import { debounce, failure, fill, h } from "./dom.js";
import { chartOf, forget, recolour } from "./charts.js";
import * as format from "./format.js";

const SPANS = [["15 min", 15], ["1 h", 60], ["6 h", 360], ["24 h", 1440]];
let place = null;
let state = { q: "", metric: null, minutes: 60 };
let known = [];

export async function show(root, { params }) {
  state = { q: params.get("q") ?? "", metric: params.get("metric"), minutes: Number(params.get("minutes")) || 60 };
  const search = h("input", { type: "search", placeholder: "Find a metric  /", "aria-label": "Find a metric", value: state.q });
  place = { list: h("ul", { class: "metric-list plain" }), chart: h("div", { class: "metric-chart" }), count: h("small", { class: "dim" }), spans: h("div", { class: "segmented", role: "group", "aria-label": "Time" }) };
  search.addEventListener("input", debounce(150, () => { state.q = search.value.trim(); load().catch((error) => fill(place.list, failure(error))); }));
  search.addEventListener("keydown", (event) => { if (event.key === "Enter" && known[0]) pick(known[0].metric); });
  fill(place.spans, SPANS.map(([title, minutes]) => h("button", { "data-minutes": minutes, onclick: () => { state.minutes = minutes; draw(); } }, title)));
  fill(root, h("aside", { class: "picker" }, search, place.count, place.list), place.chart);
  await load();
  if (!state.metric && known.length > 0) state.metric = (known.find((one) => one.metric === "node_cpu_seconds_total") ?? known[0]).metric;
  draw();
}

export function leave() {
  forget();
  place = null;
}

export const theme = recolour;

async function load() {
  const { items } = await api.metrics(state.q);
  if (!place) return;
  known = items;
  place.count.textContent = format.plural(items.length, "metric");
  fill(place.list, items.map((one) => h("li", {}, h("button", { class: "text", "data-metric": one.metric, onclick: () => pick(one.metric) },
    h("span", {}, one.metric), h("small", { title: `${one.kind}, ${one.series} series` }, one.kind === "counter" ? "rate " : "", format.number(one.series))))));
  mark();
}

function mark() {
  for (const button of place.list.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.metric === state.metric));
  for (const button of place.spans.children) button.setAttribute("aria-pressed", String(Number(button.dataset.minutes) === state.minutes));
}

function pick(metric) {
  state.metric = metric;
  draw();
}

function draw() {
  forget();
  mark();
  if (!state.metric) { fill(place.chart, h("p", { class: "empty" }, "No metric has been measured yet.")); return; }
  history.replaceState(null, "", `#/metrics?${new URLSearchParams({ metric: state.metric, minutes: state.minutes })}`);
  const info = known.find((one) => one.metric === state.metric);
  fill(place.chart,
    h("div", { class: "tools" }, h("h1", {}, state.metric), info && h("span", { class: "tag" }, info.kind), info && h("span", { class: "dim" }, format.plural(info.series, "series", "series")), place.spans),
    h("div", { class: "card" }, chartOf({ metric: state.metric, kind: info?.kind, height: 420, minutes: state.minutes, title: false })));
}
