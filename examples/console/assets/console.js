// The shell: bar, pages by address, live updates, keys.

import { api, follow } from "./api.js";
import { debounce, failure, fill, h, link } from "./dom.js";
import * as format from "./format.js";
import * as map from "./map.js";
import * as items from "./items.js";
import * as ci from "./ci.js";
import * as metrics from "./metrics.js";
import * as query from "./query.js";
import * as rules from "./rules.js";
import * as alerts from "./alerts.js";
import * as changes from "./changes.js";
import * as health from "./health.js";

const PAGES = [
  { name: "map", title: "Map", page: map },
  { name: "items", title: "Items", page: items },
  { name: "alerts", title: "Alerts", page: alerts },
  { name: "metrics", title: "Metrics", page: metrics },
  { name: "query", title: "Query", page: query },
  { name: "rules", title: "Rules", page: rules },
  { name: "changes", title: "Changes", page: changes },
  { name: "health", title: "Health", page: health },
  { name: "ci", title: "Item", page: ci, hidden: true },
];
const main = document.getElementById("main");
let current = { page: null, name: "" };

function parse() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name = "map", argument] = path.split("/");
  return { name: name || "map", argument: argument && decodeURIComponent(argument), params: new URLSearchParams(search) };
}

async function show() {
  const { name, argument, params } = parse();
  const entry = PAGES.find((one) => one.name === name) ?? PAGES[0];
  current.page?.leave?.();
  current = { page: entry.page, name: entry.name };
  const mine = current;
  document.title = `${entry.title} – itom`;
  for (const item of document.querySelectorAll("#nav a")) {
    if (item.dataset.page === entry.name) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  main.className = `page-${entry.name}`;
  const root = h("div", { class: "page" });
  fill(main, root);
  try {
    await entry.page.show(root, { argument, params });
    if (mine === current) document.body.dataset.page = entry.name;
  } catch (error) {
    if (mine === current) fill(root, failure(error, show));
  }
}

function drawNav() {
  const visible = PAGES.filter((one) => !one.hidden);
  fill(document.getElementById("nav"), visible.map((one, index) =>
    link(one.name, one.title, { "data-page": one.name, title: `${one.title} (${index + 1})` })));
}

async function drawBar() {
  const overview = await api.overview();
  const { host, engine, alerts: counts } = overview;
  fill(document.getElementById("host"), h("b", {}, host?.name ?? ""), h("span", {}, ` ${format.plural(engine.cis, "item")} · ${format.plural(engine.series, "series", "series")}`));
  document.getElementById("host").title = `${host ? `${host.os}, ${host.kernel}; ` : ""}round ${engine.rounds}, ${format.number(engine.facts)} facts`;
  const levels = ["critical", "major", "minor", "warning", "info"].filter((level) => counts[level] > 0);
  fill(document.getElementById("alert-counts"), levels.length === 0
    ? link("alerts", "no alerts", { class: "quiet" })
    : levels.map((level) => link("alerts", [h("b", {}, counts[level]), ` ${level}`], { class: `count sev-${level}` })),
    counts.suppressed > 0 && link("alerts", `${counts.suppressed} suppressed`, { class: "quiet" }));
}

const refreshBar = debounce(400, () => drawBar().catch(() => {}));
const pending = new Set();
const refreshPage = debounce(600, async () => {
  const kinds = new Set(pending);
  pending.clear();
  if (document.hidden) { kinds.forEach((kind) => pending.add(kind)); return; }
  try { await current.page?.refresh?.(kinds); } catch { /* what is shown stays; the live mark says when the server is gone */ }
});

function setLive(state) {
  const live = document.getElementById("live");
  const was = live.dataset.state;
  live.dataset.state = state;
  live.lastChild.textContent = state;
  if (state === "live" && was === "reconnecting") { pending.add("round"); refreshPage(); refreshBar(); }
}

const KEYS = [["/", "search on this page"], ["1 … 8", "pages"], ["f", "fit the map"], ["Esc", "close the panel"], ["?", "this help"]];

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
  if (event.key === "Escape") {
    if (typing) document.activeElement.blur();
    else current.page?.escape?.();
  } else if (!typing && event.key === "/") {
    const search = main.querySelector("input[type=search], textarea");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  } else if (!typing && event.key === "?") {
    const help = document.getElementById("help");
    fill(help, h("h2", {}, "Keys"), h("dl", {}, KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
      h("form", { method: "dialog" }, h("button", {}, "Close")));
    help.showModal();
  } else if (!typing && /^[1-8]$/.test(event.key)) {
    location.hash = `#/${PAGES[Number(event.key) - 1].name}`;
  } else if (!typing) {
    current.page?.key?.(event);
  }
}

window.itom = {
  nodes: () => map.nodes(),
  select: async (id) => {
    if (current.name !== "map") { location.hash = "#/map"; await map.ready(); }
    return map.select(id);
  },
};

drawNav();
addEventListener("hashchange", show);
addEventListener("keydown", keys);
document.addEventListener("visibilitychange", () => { if (!document.hidden && pending.size > 0) refreshPage(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => current.page?.theme?.());
// `?live=off` shows one moment and keeps no stream open: for printing and for browsers that wait for all requests to end.
if (new URLSearchParams(location.search).get("live") === "off") setLive("paused");
else follow(setLive, (kind) => { pending.add(kind); refreshPage(); refreshBar(); });
drawBar().catch(() => {});
show();
