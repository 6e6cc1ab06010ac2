// The map: what there is, what needs what, and what breaks.

import { api } from "./api.js";
import { ciLink, debounce, failure, fill, h, severity, tag } from "./dom.js";
import * as format from "./format.js";
import { colourOf, drawLegend, resetColours, tintOf } from "./kinds.js";
import { arrange, BANDS } from "./layout.js";
import { style } from "./mapstyle.js";
import { impactList, mark, unmark } from "./impact.js";

let cy = null;
let place = {};
let known = { nodes: [], edges: [] };
let detail = "services";
let selected = null;
let moved = false;
let announce;
const SIDE = 16;
let first = new Promise((resolve) => { announce = resolve; });

export const ready = () => first;
export const nodes = () => known.nodes.map(({ id, kind, name }) => ({ id, kind, name }));

export async function show(root, { params }) {
  detail = params.get("detail") ?? localStorage.getItem("itom.detail") ?? "services";
  const details = ["services", "processes", "all"];
  if (!details.includes(detail)) detail = "services";
  place = {
    canvas: h("div", { id: "map", role: "application", "aria-label": "Dependency map" }),
    search: h("input", { type: "search", placeholder: "Find an item  /", "aria-label": "Find an item", list: "map-names" }),
    names: h("datalist", { id: "map-names" }),
    count: h("b", { id: "node-count" }, "0"),
    links: h("span", {}),
    details: h("div", { class: "segmented", role: "group", "aria-label": "Detail" }),
    legend: h("div", { id: "legend", "aria-label": "Legend" }),
    panel: h("aside", { id: "panel", hidden: true, "aria-label": "Selected item" }),
    empty: h("p", { class: "empty", hidden: true }, "Nothing has been found yet. The first round of collectors is on its way."),
  };
  fill(place.details, details.map((one) => h("button", { "aria-pressed": String(one === detail), onclick: () => setDetail(one) }, one)));
  place.search.addEventListener("input", debounce(120, () => find(place.search.value)));
  place.search.addEventListener("keydown", (event) => { if (event.key === "Enter") openFound(); });
  place.tools = h("div", { class: "map-tools" }, place.search, place.names, place.details,
    h("button", { title: "Fit the map (f)", onclick: () => fit() }, "Fit"),
    h("span", { class: "dim" }, place.count, " items", place.links));
  fill(root,
    h("div", { class: "map-wrap" }, place.canvas, place.empty, place.tools, place.legend),
    place.panel);
  cy = window.cytoscape({ container: place.canvas, style: style(), minZoom: 0.08, maxZoom: 2.5, boxSelectionEnabled: false });
  cy.on("tap", "node[!band]", (event) => select(event.target.id()).catch((error) => fill(place.panel, failure(error))));
  cy.on("tap", (event) => { if (event.target === cy) escape(); });
  cy.on("mouseover", "node[!band]", (event) => { event.target.addClass("hover"); event.target.connectedEdges().addClass("hover"); place.canvas.style.cursor = "pointer"; });
  cy.on("mouseout", "node[!band]", (event) => { event.target.removeClass("hover"); event.target.connectedEdges().removeClass("hover"); place.canvas.style.cursor = ""; });
  cy.on("dragpan scrollzoom pinchzoom", () => { moved = true; });
  sizes.observe(place.canvas);
  known = { nodes: [], edges: [] };
  await load(true);
  const wanted = params.get("select");
  if (wanted) await select(wanted);
}

const sizes = new ResizeObserver(() => settle());

export function leave() {
  sizes.disconnect();
  cy?.destroy();
  cy = null;
  selected = null;
  first = new Promise((resolve) => { announce = resolve; });
}

export async function refresh() {
  if (cy) await load(false);
}

export function theme() {
  resetColours();
  if (!cy) return;
  cy.style(style());
  cy.nodes("[!band]").forEach((node) => { node.data({ colour: colourOf(node.data("kind")), tint: tintOf(node.data("kind")) }); });
  drawLegend(place.legend, known.nodes);
}

export function key(event) {
  if (event.key === "f") fit();
}

export function escape() {
  if (!cy) return;
  selected = null;
  unmark(cy);
  cy.nodes().unselect();
  place.panel.hidden = true;
  place.search.value = "";
  find("");
  settle();
}

async function setDetail(to) {
  detail = to;
  localStorage.setItem("itom.detail", to);
  for (const button of place.details.children) button.setAttribute("aria-pressed", String(button.textContent === to));
  escape();
  known = { nodes: [], edges: [] };
  await load(true);
}

const shape = (graph) => JSON.stringify([graph.nodes.map((n) => [n.id, n.layer]).sort(), graph.edges.map((e) => [e.from, e.kind, e.to]).sort()]);

async function load(refit) {
  const graph = await api.map(detail);
  if (!cy) return;
  const ids = new Set(graph.nodes.map((node) => node.id));
  graph.edges = graph.edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to));
  const changed = shape(graph) !== shape(known);
  known = graph;
  if (changed) rebuild(graph);
  else cy.batch(() => graph.nodes.forEach((node) => cy.getElementById(node.id).data(dataOf(node))));
  place.count.textContent = String(graph.nodes.length);
  place.links.textContent = ` · ${format.plural(graph.edges.length, "relation")}`;
  place.empty.hidden = graph.nodes.length > 0;
  drawLegend(place.legend, graph.nodes);
  fill(place.names, graph.nodes.map((node) => h("option", { value: node.name }, node.kind)));
  if (changed && refit) fit();
  if (selected && cy.getElementById(selected.id).nonempty()) mark(cy, selected.impact);
  document.body.dataset.ready = "1";
  announce();
}

const dataOf = (node) => ({
  id: node.id, name: node.name, kind: node.kind, layer: node.layer, state: node.state ?? "",
  severity: node.severity ?? "", loose: node.loose_end ? 1 : 0, colour: colourOf(node.kind), tint: tintOf(node.kind),
  label: node.name.length > 26 ? `${node.name.slice(0, 12)}…${node.name.slice(-12)}` : node.name,
});

/** Relations that nearly everything has to one item (runs_on the host) would bury the others: they stay faint. */
function hubs(edges) {
  const degree = new Map();
  for (const edge of edges) {
    const end = `${edge.kind} ${edge.to}`;
    degree.set(end, (degree.get(end) ?? 0) + 1);
    const start = `${edge.from} ${edge.kind}`;
    degree.set(start, (degree.get(start) ?? 0) + 1);
  }
  return (edge) => Math.max(degree.get(`${edge.kind} ${edge.to}`), degree.get(`${edge.from} ${edge.kind}`)) > 9;
}

function rebuild(graph) {
  const hub = hubs(graph.edges);
  const box = place.canvas.getBoundingClientRect();
  const [top, bottom] = covered();
  const { positions, bands } = arrange(graph, (box.width || 1200) / Math.max((box.height || 800) - top - bottom, 80), hub);
  cy.batch(() => {
    cy.elements().remove();
    cy.add(bands.map((band) => ({
      group: "nodes", data: { id: `band ${band.layer}`, band: 1, width: band.width, height: band.height },
      position: { x: band.x, y: band.y }, selectable: false, grabbable: false, pannable: true,
    })));
    cy.add(bands.map((band) => ({
      group: "nodes", data: { id: `band ${band.layer} name`, band: 2, label: BANDS[band.layer] ?? band.layer },
      position: { x: band.left, y: band.y }, selectable: false, grabbable: false, pannable: true,
    })));
    cy.add(graph.nodes.map((node) => ({ group: "nodes", data: dataOf(node), position: positions.get(node.id) })));
    cy.add(graph.edges.map((edge) => ({
      group: "edges", data: { id: `${edge.from} ${edge.kind} ${edge.to}`, source: edge.from, target: edge.to, kind: edge.kind, hub: hub(edge) ? 1 : 0 }, pannable: true,
    })));
  });
  for (const id of selected ? [selected.id] : []) cy.getElementById(id).select();
}

/** What the tools above and the legend below cover. */
const covered = () => [place.tools.offsetTop + place.tools.offsetHeight + 14, place.legend.offsetHeight + 22];

/** Shows everything between the tools above and the legend below. */
function fit() {
  if (!cy || cy.nodes().empty()) return;
  moved = false;
  cy.resize();
  const box = cy.nodes().boundingBox({ includeLabels: false });
  const [top, bottom] = covered();
  const [width, height] = [cy.width() - 2 * SIDE, Math.max(cy.height() - top - bottom, 80)];
  // A handful of items need not fill the screen.
  const zoom = Math.max(cy.minZoom(), Math.min(width / box.w, height / box.h, 1.35));
  cy.viewport({ zoom, pan: { x: SIDE + (width - box.w * zoom) / 2 - box.x1 * zoom, y: top + (height - box.h * zoom) / 2 - box.y1 * zoom } });
}

/** After the room has changed: everything stays in sight unless somebody has chosen another view. */
function settle() {
  if (!cy) return;
  cy.resize();
  if (!moved) fit();
}

const matching = (text) => {
  const wanted = text.trim().toLowerCase();
  return wanted === "" ? [] : known.nodes.filter((node) => `${node.name} ${node.kind} ${node.id}`.toLowerCase().includes(wanted));
};

function find(text) {
  if (!cy) return;
  const found = new Set(matching(text).map((node) => node.id));
  cy.batch(() => {
    cy.elements().removeClass("found missed");
    if (text.trim() === "") return;
    cy.nodes("[!band]").forEach((node) => { node.addClass(found.has(node.id()) ? "found" : "missed"); });
    cy.edges().addClass("missed");
  });
}

function openFound() {
  const text = place.search.value.trim().toLowerCase();
  const found = matching(text);
  const best = found.find((node) => node.name.toLowerCase() === text) ?? found[0];
  if (!best) return;
  place.search.blur();
  select(best.id).catch((error) => fill(place.panel, failure(error)));
  find("");
}

/** Opens the panel of an item, marks what it takes along, and gives back the impact that is shown. */
export async function select(id) {
  await ready();
  const node = known.nodes.find((one) => one.id === id);
  unmark(cy);
  cy.nodes().unselect();
  const element = cy.getElementById(id);
  element.select();
  place.panel.hidden = false;
  settle();
  const summary = h("div", { class: "summary" }, h("p", { class: "dim" }, "…"));
  const impactPlace = h("div", {}, h("p", { class: "dim" }, "Working out what would break…"));
  fill(place.panel,
    h("header", {},
      h("div", {}, h("span", { class: "kind" }, h("i", { class: "swatch", style: { background: colourOf(node?.kind ?? "") } }), node?.kind ?? "item"),
        h("h2", {}, node?.name ?? id)),
      h("button", { class: "close", "aria-label": "Close (Esc)", onclick: escape }, "×")),
    h("p", { class: "badges" }, node?.state && tag(node.state), node?.severity && severity(node.severity), node?.loose_end && tag("loose end", { title: "Seen only from one side: nothing known stands behind it" }),
      ciLink({ id, name: "Open item →", kind: node?.kind }, { class: "open" })),
    summary, h("h3", {}, "What breaks if this goes down"), impactPlace);
  selected = { id, impact: null };
  const mine = selected;
  api.ci(id).then((item) => { if (mine === selected) summarise(summary, item); }).catch((error) => fill(summary, failure(error)));
  const impact = await api.impact(id);
  if (mine !== selected || !cy) return impact;
  mine.impact = impact;
  mark(cy, impact);
  reveal(element);
  fill(impactPlace, impactList(impact, (other) => select(other)));
  return impact;
}

/** Moves the map only when the item would be hidden. */
function reveal(element) {
  if (element.empty()) return;
  const box = element.renderedBoundingBox({ includeLabels: false });
  if (box.x1 < 0 || box.y1 < 60 || box.x2 > cy.width() || box.y2 > cy.height()) cy.animate({ center: { eles: element } }, { duration: 180 });
}

const FIRST = ["service.version", "service.type", "process.pid", "process.command_line", "process.executable.path", "process.owner", "server.address", "server.port", "network.peer.address", "systemd.unit", "os.description", "host.cpu.model.name", "host.cpu.count", "host.memory.size", "host.boot.time", "host.ip", "host.arch", "size"];

function summarise(place, item) {
  const rank = (name) => { const at = FIRST.indexOf(name); return at < 0 ? FIRST.length : at; };
  const shown = [...item.attributes].filter((one) => one.value !== null).sort((a, b) => rank(a.name) - rank(b.name)).slice(0, 6);
  fill(place,
    h("dl", { class: "facts" }, shown.map((one) => [h("dt", {}, one.name), h("dd", { title: format.value(one.value) }, format.attribute(one.name, one.value))]),
      h("dt", {}, "seen"), h("dd", {}, `since ${format.time(item.first_seen)}, last ${format.ago(item.last_seen)}`)),
    item.alerts.length > 0 && h("ul", { class: "plain" }, item.alerts.map((alert) => h("li", {}, severity(alert.severity), " ", alert.summary))));
}
