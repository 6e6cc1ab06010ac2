// What an item takes along: on the map and in words.

import { ciLink, h } from "./dom.js";
import { colourOf } from "./kinds.js";
import { plural } from "./format.js";

const GROUPS = [
  { name: "down", css: "down", title: "Down", note: "cannot work without it" },
  { name: "degraded", css: "degraded", title: "Degraded", note: "works, but with something missing" },
  { name: "redundancy_lost", css: "lost", title: "Redundancy lost", note: "works; the next failure takes it down" },
];

export function mark(cy, impact) {
  unmark(cy);
  if (!impact) return;
  cy.batch(() => {
    const hit = new Set([impact.root.id]);
    for (const group of GROUPS) for (const one of impact[group.name] ?? []) { cy.getElementById(one.id).addClass(group.css); hit.add(one.id); }
    if (hit.size > 1) {
      cy.nodes("[!band]").forEach((node) => { if (!hit.has(node.id())) node.addClass("faded"); });
      cy.edges().forEach((edge) => { edge.addClass(hit.has(edge.source().id()) && hit.has(edge.target().id()) ? "hit" : "faded"); });
    } else {
      const near = cy.getElementById(impact.root.id).closedNeighborhood();
      cy.elements("[!band]").not(near).addClass("faded");
      near.edges().addClass("hover");
    }
  });
}

export function unmark(cy) {
  cy?.batch(() => cy.elements().removeClass("down degraded lost faded hit hover"));
}

/** What people use comes before what it is made of; otherwise the nearest first, as given. */
const USED = ["business_service", "application", "service"];
const weight = (one) => (USED.includes(one.kind?.split(".")[0]) ? 0 : 1);

/** The lists with reasons and the way the failure takes. */
export function impactList(impact, open) {
  const groups = GROUPS.map((group) => ({ ...group, items: [...(impact[group.name] ?? [])].sort((a, b) => weight(a) - weight(b)) })).filter((group) => group.items.length > 0);
  if (groups.length === 0) return h("p", { class: "empty" }, "Nothing that is known depends on it.");
  return h("div", { class: "impact" }, groups.map((group) => [
    h("h4", { class: `is-${group.css}` }, h("b", {}, group.items.length), ` ${group.title}`, h("small", {}, group.note)),
    h("ul", { class: "plain" }, group.items.map((one) => h("li", { "data-impact-ci": one.id, class: `is-${group.css}` },
      h("div", { class: "row" }, h("i", { class: "swatch", style: { background: colourOf(one.kind) } }),
        open ? h("button", { class: "text", onclick: () => open(one.id), title: `${one.kind} ${one.id}` }, one.name) : ciLink(one), h("small", {}, one.kind)),
      one.reason && h("p", {}, one.reason),
      one.path?.length > 0 && way(impact.root, one.path)))),
  ]), h("p", { class: "dim" }, `${plural(groups.reduce((sum, group) => sum + group.items.length, 0), "item")} affected in all.`));
}

function way(root, path) {
  const steps = path[0]?.id === root.id ? path.slice(1) : path;
  return h("p", { class: "way" }, h("span", {}, root.name), steps.map((step) => [h("i", {}, step.outward ? ` → ${step.relation} → ` : ` ← ${step.relation} ← `), h("span", {}, step.name)]));
}
