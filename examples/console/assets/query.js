// Ask the series in PromQL: a chart, the values now, and errors at their place.

import { api } from "./api.js";
import { fill, h, table } from "./dom.js";
import { chartOf, forget, recolour } from "./charts.js";
import * as format from "./format.js";

const SPANS = [["15 min", 15], ["1 h", 60], ["6 h", 360], ["24 h", 1440]];
const EXAMPLES = [
  "sum by (mode) (rate(node_cpu_seconds_total[5m]))",
  "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
  "topk(5, rate(node_disk_written_bytes_total[5m]))",
  "predict_linear(node_filesystem_avail_bytes[1h], 4 * 3600) < 0",
];
let place = null;
let state = { q: "", minutes: 60 };
let asked = 0;

export async function show(root, { params }) {
  state = { q: params.get("q") ?? EXAMPLES[0], minutes: Number(params.get("minutes")) || 60 };
  const box = h("textarea", { rows: 3, spellcheck: "false", autocomplete: "off", "aria-label": "PromQL expression", "aria-describedby": "query-problem" });
  box.value = state.q;
  place = { box, problem: h("pre", { class: "problem", id: "query-problem", role: "alert", hidden: true }), notes: h("div", { class: "dim" }), answer: h("div", {}), spans: h("div", { class: "segmented", role: "group", "aria-label": "Time" }) };
  box.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); run(); } });
  fill(place.spans, SPANS.map(([title, minutes]) => h("button", { "data-minutes": minutes, onclick: () => { state.minutes = minutes; run(); } }, title)));
  fill(root,
    h("div", { class: "card ask" }, box, place.problem,
      h("div", { class: "tools" }, h("button", { class: "primary", onclick: run }, "Run"), place.spans, h("small", { class: "dim" }, "Enter runs, Shift-Enter breaks the line"))),
    place.notes, place.answer,
    h("p", { class: "examples dim" }, "Try ", EXAMPLES.map((text) => [h("button", { class: "text", onclick: () => { box.value = text; run(); } }, h("code", {}, text)), " "])));
  await run();
}

export function leave() {
  forget();
  place = null;
}

export const theme = recolour;

/** The place that an error names, as an offset into the query: `line:column`, both from 1. */
function placeOf(reason, text) {
  const found = /(?:^|[^\d])(\d+):(\d+):/.exec(reason);
  if (!found) return null;
  const lines = text.split("\n");
  const line = Number(found[1]) - 1;
  return line < lines.length ? { line, column: Number(found[2]) - 1, text: lines[line] } : null;
}

function complain(error) {
  const reason = error.reason ?? error.message;
  const at = placeOf(reason, state.q);
  place.problem.hidden = false;
  place.box.setAttribute("aria-invalid", "true");
  fill(place.problem, at && [at.text.slice(0, at.column), h("mark", {}, at.text.slice(at.column, at.column + 1) || " "), at.text.slice(at.column + 1), "\n", " ".repeat(at.column), "^ "], reason);
}

async function run() {
  state.q = place.box.value.trim();
  asked += 1;
  const mine = asked;
  const here = place;
  history.replaceState(null, "", `#/query?${new URLSearchParams({ q: state.q, minutes: state.minutes })}`);
  for (const button of here.spans.children) button.setAttribute("aria-pressed", String(Number(button.dataset.minutes) === state.minutes));
  forget();
  here.problem.hidden = true;
  here.box.removeAttribute("aria-invalid");
  fill(here.notes);
  if (state.q === "") { fill(here.answer, h("p", { class: "empty" }, "Ask something.")); return; }
  const began = performance.now();
  try {
    const answer = await api.query({ query: state.q });
    if (place !== here || mine !== asked) return;
    draw(answer, performance.now() - began);
  } catch (error) {
    if (place !== here || mine !== asked) return;
    fill(here.answer);
    complain(error);
  }
}

const shown = (value) => (Array.isArray(value) ? value[1] : value);

function draw(answer, took) {
  const { resultType: type, result } = answer.data;
  const notes = [...(answer.warnings ?? []), ...(answer.infos ?? [])];
  fill(place.notes, notes.map((text) => h("p", { class: "note" }, text)));
  const rows = type === "scalar" || type === "string" ? [{ metric: {}, value: result }] : result;
  const value = (row) => row.value ? shown(row.value) : row.histogram ? `histogram of ${row.histogram[1].count}, sum ${row.histogram[1].sum}` : `${(row.values ?? row.histograms ?? []).length} samples`;
  const floats = type === "scalar" || (type === "vector" && rows.every((row) => row.value));
  const query = state.q;
  const source = async (from, to) => {
    const step = Math.max(1, Math.round((to - from) / 1000 / 300));
    const { data } = await api.queryRange({ query, start: from.toISOString(), end: to.toISOString(), step });
    return { series: data.result.filter((one) => one.values).map((one) => ({ labels: one.metric, points: one.values.map(([time, text]) => [time, Number(text)]) })) };
  };
  fill(place.answer,
    floats && h("div", { class: "card" }, chartOf({ height: 320, minutes: state.minutes, title: false, source })),
    h("div", { class: "card" },
      h("h2", {}, "Now", h("small", {}, `${format.plural(rows.length, "result")}, ${format.number(took)} ms`)),
      table([
        { title: "Series", cell: (row) => h("code", {}, name(row.metric)) },
        { title: "Value", class: "num", cell: (row) => value(row) },
      ], rows.slice(0, 500), { empty: "No series has a value now.", label: "Values now" }),
      rows.length > 500 && h("p", { class: "dim" }, `The first 500 of ${format.number(rows.length)}.`)));
}

function name(metric) {
  const { __name__: own = "", ...labels } = metric;
  const inside = format.labels(labels);
  return inside ? `${own}{${inside}}` : own || "{}";
}
