// What is watched, how it does and what it costs.

import { api } from "./api.js";
import { fill, h, link, section, severity, table, tag } from "./dom.js";
import * as format from "./format.js";

let place = null;

export async function show(root) {
  place = root;
  await refresh();
}

export function leave() {
  place = null;
}

export async function refresh() {
  const { thresholds, groups } = await api.rules();
  if (!place) return;
  fill(place, h("h1", {}, "Rules"),
    groups.map((group) => section(group.name, `${group.file} · every ${format.number(group.interval_s)} s · ${group.last ? `last ${format.ago(group.last)}` : "not evaluated yet"} · ${format.plural(group.evaluations, "evaluation")}${group.missed ? `, ${format.number(group.missed)} missed` : ""}`,
      table([
        { title: "State", cell: (rule) => state(rule) },
        { title: "Rule", cell: (rule) => [h("b", {}, rule.name), rule.error && h("p", { class: "problem" }, rule.error)] },
        { title: "Expression", cell: (rule) => link(`query?${new URLSearchParams({ q: rule.expression })}`, h("code", {}, rule.expression)) },
        { title: "For", class: "num", cell: (rule) => (rule.hold_s ? `${format.number(rule.hold_s)} s` : "") },
        { title: "Found", class: "num", cell: (rule) => format.number(rule.series) },
        { title: "Samples read", class: "num", cell: (rule) => format.number(rule.samples_read) },
      ], group.rules, { label: `Rules of ${group.name}` }))),
    section("Threshold rules", format.plural(thresholds.length, "rule"),
      table([
        { title: "Open", class: "num", cell: ({ open }) => (open ? link("alerts", format.number(open)) : "0") },
        { title: "Rule", cell: ({ rule }) => [h("b", {}, rule.name), h("p", { class: "dim" }, rule.summary ?? "")] },
        { title: "Severity", cell: ({ rule }) => [...new Set(found(rule.condition, "severity"))].map((level) => [severity(level), " "]) },
        { title: "Looks at", cell: ({ rule }) => [...new Set(found(rule.condition, "metric"))].map((metric) => [link(`metrics?${new URLSearchParams({ metric })}`, h("code", {}, metric)), " "]) },
      ], thresholds, { empty: "There are no threshold rules.", label: "Threshold rules" })),
    groups.length === 0 && h("p", { class: "dim" }, "Prometheus rule files join with --rule-file FILE, the packs that come with the SDK with --rule-packs."));
}

/** Every text under a field of this name, however deep. */
function found(node, field) {
  if (node === null || typeof node !== "object") return [];
  return Object.entries(node).flatMap(([key, value]) => (key === field && typeof value === "string" ? [value] : found(value, field)));
}

function state(rule) {
  if (rule.health === "error") return h("span", { class: "sev sev-critical" }, "error");
  if (rule.health === "unknown") return tag("unknown");
  if (!rule.alerting) return tag("records");
  const word = rule.state ?? "inactive";
  return h("span", { class: `sev sev-${word === "firing" ? "major" : word === "pending" ? "warning" : "info"}` }, word);
}
