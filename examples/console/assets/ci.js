// One item: what is known, who says so, what it is related to, what changed.

import { api } from "./api.js";
import { ciLink, failure, fill, h, link, section, severity, table, tag } from "./dom.js";
import { colourOf } from "./kinds.js";
import { chartOf, forget } from "./charts.js";
import { impactList } from "./impact.js";
import * as format from "./format.js";

let shown = null;

export async function show(root, { argument }) {
  shown = { id: argument, root, open: new Set(), impact: null };
  await load();
}

export function leave() {
  forget();
  shown = null;
}

export async function refresh(kinds) {
  // Charts refresh themselves; the rest only when something was learned.
  if (shown && (kinds.has("change") || kinds.has("alert"))) await load();
}

async function load() {
  const mine = shown;
  const item = await api.ci(mine.id);
  if (mine !== shown) return;
  document.title = `${item.name} – itom`;
  const scroll = document.getElementById("main").scrollTop;
  if (!mine.metrics) mine.metrics = charts(item);
  if (!mine.impact) mine.impact = impactBox(item);
  fill(mine.root,
    h("div", { class: "tools" },
      h("div", {}, h("span", { class: "kind" }, h("i", { class: "swatch", style: { background: colourOf(item.kind) } }), item.kind), h("h1", {}, item.name)),
      tag(item.state, { "data-state": item.state }), item.alerts.map((alert) => severity(alert.severity)),
      h("span", { class: "dim" }, `seen since ${format.time(item.first_seen)}, last ${format.ago(item.last_seen)}`),
      link(`map?select=${encodeURIComponent(item.id)}`, "Show on the map", { class: "button" })),
    h("div", { class: "columns" },
      h("div", {}, attributes(item), mine.metrics, history(item)),
      h("div", {}, item.alerts.length > 0 && alerts(item), mine.impact, relations(item), keys(item))));
  document.getElementById("main").scrollTop = scroll;
}

function attributes(item) {
  const rows = item.attributes.flatMap((one) => [{ ...one, winner: true }, ...(one.others ?? []).map((other) => ({ ...other, name: "", winner: false }))]);
  return section("Attributes", format.number(item.attributes.length), table([
    { title: "Attribute", cell: (row) => row.winner ? h("code", {}, row.name) : "", class: "attr" },
    { title: "Value", cell: (row) => row.winner ? h("span", { class: "value", title: format.value(row.value) }, format.attribute(row.name, row.value)) : h("s", { class: "value", title: "Another source says this; it lost" }, format.value(row.value)) },
    { title: "From", cell: (row) => [h("span", {}, row.source), row.why && h("small", { class: "why" }, format.why(row.why))], class: "from" },
    { title: "Observed", cell: (row) => h("time", { title: row.observed }, format.ago(row.observed)), class: "num" },
  ], rows, { row: (row) => ({ class: row.winner ? "" : "loser" }), label: "Attributes" }));
}

function relations(item) {
  const rows = [...item.relations].sort((a, b) => (a.direction < b.direction ? 1 : a.direction > b.direction ? -1 : 0) || (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0));
  return section("Relations", format.number(rows.length), table([
    { title: "", cell: (row) => h("span", { class: "dim", title: row.direction === "out" ? "from this item" : "to this item" }, row.direction === "out" ? "→" : "←") },
    { title: "Relation", cell: (row) => h("code", {}, row.kind), class: "attr" },
    { title: "Item", cell: (row) => [ciLink(row.other), h("small", { class: "why" }, row.other.kind)], class: "name" },
    { title: "Said by", cell: (row) => h("span", { class: "dim", title: `since ${row.first_seen}` }, row.sources.join(", ")) },
  ], rows, { empty: "No relations are known.", label: "Relations" }));
}

const keys = (item) => section("Known by", "what identifies it", table([
  { title: "Key", cell: (row) => h("code", {}, row.kind) },
  { title: "Value", cell: (row) => h("span", { class: "value" }, row.value) },
  { title: "Realm", cell: (row) => h("span", { class: "dim" }, row.realm) },
  { title: "Strength", cell: (row) => row.strength },
], item.keys, { empty: "No keys.", label: "Keys" }));

const alerts = (item) => section("Alerts", format.number(item.alerts.length), h("ul", { class: "plain" }, item.alerts.map((alert) =>
  h("li", {}, severity(alert.severity), " ", link(`alerts/${encodeURIComponent(alert.id)}`, alert.summary || alert.rule), " ", h("small", { class: "dim" }, format.ago(alert.since))))));

function history(item) {
  return section("History", format.number(item.history.length), table([
    { title: "When", cell: (row) => h("time", { title: row.at }, format.time(row.at)), class: "num" },
    { title: "Change", cell: (row) => h("code", {}, format.change(row.change)) },
    { title: "Before", cell: (row) => h("span", { class: "value dim" }, format.attribute(row.change, row.before)) },
    { title: "After", cell: (row) => h("span", { class: "value" }, format.attribute(row.change, row.after)) },
    { title: "Source", cell: (row) => h("span", { class: "dim" }, row.source ?? "–") },
  ], item.history, { empty: "Nothing has changed since it was first seen.", label: "History" }));
}

function impactBox(item) {
  const place = h("div", {}, h("p", { class: "dim" }, "…"));
  api.impact(item.id).then((impact) => fill(place, impactList(impact))).catch((error) => fill(place, failure(error)));
  return section("What breaks if this goes down", null, place);
}

/** One chart per metric; they load when they come into view. */
function charts(item) {
  const byMetric = new Map();
  for (const one of item.metrics) {
    if (!byMetric.has(one.metric)) byMetric.set(one.metric, { metric: one.metric, kind: one.kind, series: 0 });
    byMetric.get(one.metric).series += 1;
  }
  const metrics = [...byMetric.values()];
  if (metrics.length === 0) return null;
  return section("Metrics", format.plural(item.metrics.length, "series", "series"), h("div", { class: "charts" },
    metrics.map((one) => chartOf({ metric: one.metric, kind: one.kind, ci: item.id, height: 130, minutes: 60 }))));
}
