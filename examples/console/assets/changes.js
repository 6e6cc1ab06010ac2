// What changed, newest first.

import { api } from "./api.js";
import { ciLink, fill, h, table } from "./dom.js";
import { colourOf } from "./kinds.js";
import * as format from "./format.js";

let place = null;

export async function show(root) {
  const search = h("input", { type: "search", placeholder: "Filter  /", "aria-label": "Filter changes" });
  place = { list: h("div", {}), count: h("span", { class: "dim" }), search, items: [] };
  search.addEventListener("input", draw);
  fill(root, h("div", { class: "tools" }, h("h1", {}, "Changes"), search, place.count), place.list);
  await refresh();
}

export async function refresh() {
  place.items = (await api.changes(500)).items;
  draw();
}

function draw() {
  const wanted = place.search.value.trim().toLowerCase();
  const text = (row) => `${row.ci?.name} ${row.ci?.kind} ${format.change(row.change)} ${format.value(row.before)} ${format.value(row.after)} ${row.source}`.toLowerCase();
  const items = wanted === "" ? place.items : place.items.filter((row) => text(row).includes(wanted));
  place.count.textContent = format.plural(items.length, "change");
  fill(place.list, table([
    { title: "When", cell: (row) => h("time", { datetime: row.at, title: row.at }, format.time(row.at)), class: "num" },
    { title: "Item", cell: (row) => [h("i", { class: "swatch", style: { background: colourOf(row.ci?.kind ?? "") } }), ciLink(row.ci), h("small", { class: "why" }, row.ci?.kind)], class: "name" },
    { title: "Change", cell: (row) => h("code", {}, format.change(row.change)) },
    { title: "Before", cell: (row) => h("span", { class: "value dim" }, format.attribute(row.change, row.before)) },
    { title: "After", cell: (row) => h("span", { class: "value" }, format.attribute(row.change, row.after)) },
    { title: "Source", cell: (row) => h("span", { class: "dim" }, row.source ?? "–") },
  ], items, { empty: "Nothing has changed yet.", label: "Changes" }));
}
