// All items as a table.

import { api } from "./api.js";
import { ciLink, debounce, failure, fill, h, table, tag } from "./dom.js";
import { colourOf } from "./kinds.js";
import * as format from "./format.js";

const LIMIT = 500;
let place = null;
let filter = { kind: "", q: "" };

export async function show(root, { params }) {
  filter = { kind: params.get("kind") ?? "", q: params.get("q") ?? "" };
  const search = h("input", { type: "search", placeholder: "Name, key or address  /", "aria-label": "Search items", value: filter.q });
  const kinds = h("select", { "aria-label": "Kind" }, h("option", { value: "" }, "all kinds"));
  place = { list: h("div", {}), count: h("span", { class: "dim" }) };
  const change = debounce(200, () => {
    filter = { kind: kinds.value, q: search.value.trim() };
    const set = new URLSearchParams(Object.entries(filter).filter(([, v]) => v));
    history.replaceState(null, "", `#/items${set.size ? `?${set}` : ""}`);
    load().catch((error) => fill(place.list, failure(error)));
  });
  search.addEventListener("input", change);
  kinds.addEventListener("change", change);
  fill(root, h("div", { class: "tools" }, h("h1", {}, "Items"), search, kinds, place.count), place.list);
  const overview = await api.overview();
  for (const one of overview.kinds) kinds.append(h("option", { value: one.kind }, `${one.kind} (${one.count})`));
  kinds.value = filter.kind;
  await load();
}

async function load() {
  const asked = filter;
  const { total, items } = await api.cis({ ...asked, limit: LIMIT });
  if (asked !== filter) return;
  place.count.textContent = total > items.length ? `${format.number(items.length)} of ${format.number(total)}; narrow the search to see others` : format.plural(total, "item");
  fill(place.list, table([
    { title: "Name", cell: (row) => ciLink(row), class: "name" },
    { title: "Kind", cell: (row) => [h("i", { class: "swatch", style: { background: colourOf(row.kind) } }), row.kind] },
    { title: "State", cell: (row) => tag(row.state, { "data-state": row.state }) },
    { title: "Last seen", cell: (row) => h("time", { datetime: row.last_seen, title: row.last_seen }, format.ago(row.last_seen)), class: "num" },
  ], items, { empty: "No item fits.", label: "Items" }));
}

export const refresh = () => load();
