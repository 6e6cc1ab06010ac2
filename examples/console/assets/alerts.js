// Alerts: what fires, why, and who was told.

import { api } from "./api.js";
import { ciLink, failure, fill, h, severity, table, tag, toast } from "./dom.js";
import * as format from "./format.js";

const RANK = ["critical", "major", "minor", "warning", "info", "cleared"];
const CONDITIONS = ["firing", "pending", "recovering", "no_data", "error", "normal"];
let place = null;
let open = null;

export async function show(root, { argument }) {
  open = argument ?? null;
  place = { list: h("div", { class: "alert-list" }), panel: h("aside", { class: "explain", hidden: true, "aria-label": "Explanation" }), count: h("span", { class: "dim" }) };
  fill(root, h("div", { class: "alert-main" }, h("div", { class: "tools" }, h("h1", {}, "Alerts"), place.count), place.list), place.panel);
  await load();
}

export function leave() {
  place = null;
}

export async function refresh(kinds) {
  if (kinds.has("alert") || kinds.has("round")) await load();
}

export function escape() {
  if (open) location.hash = "#/alerts";
}

const rank = (list, one) => { const at = list.indexOf(one); return at < 0 ? list.length : at; };

/** The visibility is a list of causes for silence; empty or just "visible" when people see it. */
const hidden = (alert) => (alert.visibility ?? []).filter((cause) => cause !== "visible");

async function load() {
  const { items } = await api.alerts();
  if (!place) return;
  items.sort((a, b) => (hidden(a).length > 0) - (hidden(b).length > 0) || rank(CONDITIONS, a.condition) - rank(CONDITIONS, b.condition)
    || rank(RANK, a.severity) - rank(RANK, b.severity) || (a.since < b.since ? 1 : a.since > b.since ? -1 : a.id < b.id ? -1 : 1));
  const firing = items.filter((one) => one.condition === "firing" && hidden(one).length === 0).length;
  place.count.textContent = `${firing} firing, ${items.length} in all`;
  fill(place.list, table([
    { title: "Severity", cell: (row) => severity(row.severity) },
    { title: "Alert", cell: (row) => h("a", { href: `#/alerts/${encodeURIComponent(row.id)}`, "data-alert": row.id }, row.summary || row.rule, h("small", { class: "why" }, row.rule)), class: "name" },
    { title: "Item", cell: (row) => ciLink(row.ci) },
    { title: "Condition", cell: (row) => [tag(row.condition.replace("_", " "), { "data-condition": row.condition }), hidden(row).map((cause) => tag(cause.replace("_", " "), { class: "tag muted" }))] },
    { title: "Operator", cell: (row) => row.operator && row.operator !== "unacknowledged" ? tag(row.operator, { class: "tag ok" }) : h("span", { class: "dim" }, "–") },
    { title: "Value", cell: (row) => format.number(row.value), class: "num" },
    { title: "Since", cell: (row) => h("time", { title: row.since }, format.ago(row.since)), class: "num" },
  ], items, { empty: "Nothing fires and nothing is pending.", row: (row) => ({ class: [row.id === open ? "open" : "", hidden(row).length > 0 ? "hushed" : ""].join(" ") }), label: "Alerts" }));
  if (open) await explain(open);
  else place.panel.hidden = true;
}

async function explain(id) {
  place.panel.hidden = false;
  let alert;
  try { alert = await api.alert(id); } catch (error) { fill(place.panel, failure(error)); return; }
  if (!place || open !== id) return;
  const why = alert.explanation ?? {};
  const acknowledged = alert.operator && alert.operator !== "unacknowledged";
  fill(place.panel,
    h("header", {}, h("div", {}, severity(alert.severity), h("h2", {}, alert.summary || alert.rule)),
      h("a", { class: "close", href: "#/alerts", "aria-label": "Close (Esc)" }, "×")),
    h("p", { class: "badges" }, tag(alert.condition.replace("_", " "), { "data-condition": alert.condition }), hidden(alert).map((cause) => tag(cause.replace("_", " "), { class: "tag muted" })), h("span", { class: "dim" }, `since ${format.time(alert.since)}, ${format.ago(alert.since)}`)),
    h("dl", { class: "facts" },
      h("dt", {}, "item"), h("dd", {}, ciLink(alert.ci)),
      h("dt", {}, "rule"), h("dd", {}, h("code", {}, alert.rule)),
      why.condition && [h("dt", {}, "condition"), h("dd", {}, h("code", {}, format.value(why.condition)))],
      why.threshold !== undefined && why.threshold !== null && [h("dt", {}, "threshold"), h("dd", {}, typeof why.threshold === "number" ? format.number(why.threshold) : format.value(why.threshold))],
      h("dt", {}, "value"), h("dd", {}, format.number(alert.value)),
      Object.keys(alert.labels ?? {}).length > 0 && [h("dt", {}, "labels"), h("dd", {}, h("code", {}, format.labels(alert.labels)))],
      h("dt", {}, "operator"), h("dd", {}, alert.operator ?? "–")),
    readings(why),
    list("Why", why.why), list("Who was told", why.told, "Nobody yet."),
    acknowledged ? null : acknowledge(alert));
}

const list = (title, texts, empty) => (texts?.length > 0 || empty) && [h("h3", {}, title), texts?.length > 0 ? h("ul", { class: "reasons" }, texts.map((text) => h("li", {}, text))) : h("p", { class: "empty" }, empty)];

function acknowledge(alert) {
  const by = h("input", { name: "by", required: true, maxlength: 80, placeholder: "Your name", "aria-label": "Your name", value: localStorage.getItem("itom.by") ?? "", autocomplete: "name" });
  const form = h("form", { class: "ack" }, by, h("button", { class: "primary" }, "Acknowledge"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = by.value.trim();
    if (!name) return;
    localStorage.setItem("itom.by", name);
    form.querySelector("button").disabled = true;
    try {
      await api.acknowledge(alert.id, name);
      toast("Acknowledged.");
      await load();
    } catch (error) {
      toast(error.message);
      form.querySelector("button").disabled = false;
    }
  });
  return form;
}

/** The readings that led here, as a small line with the threshold. */
function readings(why) {
  const points = (why.readings ?? []).filter(([, value]) => typeof value === "number").map(([at, value]) => [typeof at === "number" ? at : Date.parse(at) / 1000, value]);
  if (points.length < 2) return null;
  const limit = typeof why.threshold === "number" ? why.threshold : null;
  const values = points.map((point) => point[1]).concat(limit ?? []);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const x = (at) => (last === first ? 0 : ((at - first) / (last - first)) * 320);
  const y = (value) => 6 + (high === low ? 26 : (1 - (value - low) / (high - low)) * 52);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 320 64");
  svg.setAttribute("class", "spark");
  svg.setAttribute("preserveAspectRatio", "none");
  const line = (d, name) => { const path = document.createElementNS("http://www.w3.org/2000/svg", "path"); path.setAttribute("d", d); path.setAttribute("class", name); svg.append(path); };
  if (limit !== null) line(`M0 ${y(limit)}H320`, "limit");
  line(points.map(([at, value], index) => `${index === 0 ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join(""), "readings");
  return h("div", { class: "readings" }, svg, h("div", { class: "ends" }, h("span", {}, format.time(first * 1000)), limit !== null && h("span", { class: "limit" }, `threshold ${format.number(limit)}`), h("span", {}, format.time(last * 1000))));
}
