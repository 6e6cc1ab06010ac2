// The engine and its collectors: what ran, what could not be read, what comes next.

import { api } from "./api.js";
import { ciLink, fill, h, link, section, table, tag } from "./dom.js";
import { colourOf } from "./kinds.js";
import * as format from "./format.js";

let root = null;

export async function show(place) {
  root = place;
  await refresh();
}

/** A collector for something that this machine does not have: nothing is wrong. */
const absent = (one) => String(one.outcome ?? "").startsWith("unsupported");

export async function refresh() {
  const [overview, quality] = await Promise.all([api.overview(), api.quality()]);
  const { engine, collectors } = overview;
  // Before the first round the machine is not known yet.
  const host = overview.host;
  const figure = (title, value, note) => h("div", { class: "figure" }, h("b", {}, value), h("span", {}, title), note && h("small", {}, note));
  const now = new Date(engine.now).getTime();
  const faults = collectors.filter((one) => !absent(one)).flatMap((one) => one.faults.map((fault) => ({ ...fault, collector: one.name })));
  fill(root,
    h("div", { class: "tools" }, h("h1", {}, host?.name ?? "Health"), h("span", { class: "dim" }, !host ? "The first round of collectors is on its way." : `${host.os} · ${host.kernel} · ${format.plural(host.cpus, "CPU")} · ${format.bytes(host.memory_bytes)} · up ${format.span(host.uptime_s)}`)),
    h("div", { class: "figures" },
      figure("items", format.number(engine.cis)), figure("relations", format.number(engine.relations)), figure("facts", format.number(engine.facts)),
      figure("series", format.number(engine.series)), figure("samples", format.number(engine.samples)), figure("rounds", format.number(engine.rounds), `running for ${format.span((now - new Date(engine.started_at).getTime()) / 1000)}`),
      figure("dropped", format.number(engine.dropped), engine.dropped > 0 ? "a limit was reached" : "nothing was turned away"), figure("store", h("code", {}, format.value(engine.store)))),
    section("Collectors", format.number(collectors.length), table([
      { title: "Collector", cell: (row) => h("code", {}, row.name), class: "name" },
      { title: "Outcome", cell: (row) => tag(absent(row) ? String(row.outcome).replace(/^unsupported: /, "not here: ") : String(row.outcome ?? "not run yet").replace("_", " "), { "data-outcome": row.outcome ?? "waiting" }) },
      { title: "Took", cell: (row) => !row.last_run ? "–" : format.span(row.duration_ms / 1000), class: "num" },
      { title: "Last run", cell: (row) => row.last_run ? h("time", { title: row.last_run }, format.ago(row.last_run, now)) : "–", class: "num" },
      { title: "Faults", cell: (row) => row.faults.length > 0 && !absent(row) ? h("b", { class: "warn" }, format.number(row.faults.reduce((sum, fault) => sum + fault.count, 0))) : h("span", { class: "dim" }, "0"), class: "num" },
    ], collectors, { empty: "No collectors are set up.", label: "Collectors" })),
    section("What could not be read", format.number(faults.length), table([
      { title: "Collector", cell: (row) => h("code", {}, row.collector) },
      { title: "What", cell: (row) => h("code", {}, row.what), class: "name" },
      { title: "Kind", cell: (row) => tag(row.kind.replace("_", " ")) },
      { title: "In words", cell: (row) => row.message },
      { title: "Times", cell: (row) => format.number(row.count), class: "num" },
    ], faults, { empty: "Everything that was asked for could be read.", label: "Faults" })),
    section("Data", quality.rules ?? "default rules", table([
      { title: "Measure", cell: (row) => row.title, class: "name" },
      { title: "Good", cell: (row) => `${format.number(row.good)} of ${format.number(row.of)}`, class: "num" },
      { title: "Share", cell: (row) => row.share === null ? "–" : h("b", row.share < 1 ? { class: "warn" } : {}, `${(Math.floor(row.share * 1000) / 10).toFixed(1)} %`), class: "num" },
      { title: "To mend", cell: (row) => row.items.length === 0 ? h("span", { class: "dim" }, "nothing") : h("details", {}, h("summary", {}, row.items.length < row.of - row.good ? `the first ${row.items.length}` : format.plural(row.items.length, "entry", "entries")),
        h("ul", {}, row.items.map((item) => h("li", {}, ciLink(item), ` ${item.problem}`)))) },
    ], quality.measures, { empty: "Nothing was measured yet.", label: "Quality of the data" })),
    section("Kinds", format.number(overview.kinds.length), h("div", { class: "chips" }, overview.kinds.map((one) =>
      link(`items?kind=${encodeURIComponent(one.kind)}`, [h("i", { class: "swatch", style: { background: colourOf(one.kind) } }), one.kind, h("b", {}, format.number(one.count))], { class: "chip" })))));
}
