// How the map looks, from the colours of the style sheet.

import { css } from "./dom.js";
import { CARD } from "./layout.js";

export function style() {
  const text = css("--text");
  const font = "system-ui, sans-serif";
  const ring = (level) => ({ selector: `node[severity = "${level}"]`, style: { "border-width": 3, "border-color": css(`--sev-${level}`), "border-opacity": 1 } });
  const hit = (name, colour) => ({
    selector: `node.${name}`,
    style: { opacity: 1, "background-color": colour, "border-color": colour, "border-opacity": 1, color: "#fff", "text-opacity": 1, "underlay-color": colour, "underlay-opacity": 0.2, "underlay-padding": 5 },
  });
  return [
    {
      selector: "node", style: {
        shape: "round-rectangle", width: CARD.width, height: CARD.height, "corner-radius": 6,
        color: text, "font-family": font, "font-size": 11.5, "text-valign": "center", "text-halign": "center", "text-max-width": CARD.width - 14, "text-wrap": "ellipsis", "min-zoomed-font-size": 4,
      },
    },
    {
      selector: "node[colour]", style: {
        label: "data(label)", "background-color": "data(tint)", "border-color": "data(colour)", "border-width": 1.2, "border-opacity": 0.75,
      },
    },
    {
      selector: "node[band = 1]", style: {
        width: "data(width)", height: "data(height)", "corner-radius": 10, "background-color": css("--band"), "border-width": 0, "z-index": 0, events: "no", "z-compound-depth": "bottom",
      },
    },
    {
      selector: "node[band = 2]", style: {
        width: 1, height: 1, "background-opacity": 0, "border-width": 0, label: "data(label)", color: css("--dim"), "font-family": font, "font-size": 13, "font-weight": 600,
        "text-halign": "right", "text-valign": "center", "text-wrap": "none", events: "no", "z-index": 0,
      },
    },
    { selector: "node[loose = 1]", style: { "border-style": "dashed", "background-color": css("--card"), "border-opacity": 0.9 } },
    { selector: 'node[state = "retired"], node[state = "gone"]', style: { opacity: 0.45 } },
    ...["info", "warning", "minor", "major", "critical"].map(ring),
    {
      selector: "edge", style: {
        width: 1.2, "curve-style": "bezier", "line-color": css("--edge"), "target-arrow-color": css("--edge"), "target-arrow-shape": "triangle", "arrow-scale": 0.75, opacity: 0.75, "z-index": 1,
        "font-family": font, "font-size": 10, color: css("--dim"), "text-background-color": css("--bg"), "text-background-opacity": 0.9, "text-background-padding": 2, "control-point-step-size": 24,
      },
    },
    { selector: "edge[hub = 1]", style: { opacity: 0.2, width: 0.8, "target-arrow-shape": "none" } },
    { selector: ".missed", style: { opacity: 0.13 } },
    { selector: "node[band].missed", style: { opacity: 1 } },
    { selector: ".faded", style: { opacity: 0.2 } },
    { selector: "edge.faded", style: { opacity: 0.07 } },
    { selector: "node[band].faded", style: { opacity: 1 } },
    hit("down", css("--down")), hit("degraded", css("--degraded")), hit("lost", css("--lost")),
    { selector: "edge.hit", style: { opacity: 0.95, width: 2, "line-color": css("--down"), "target-arrow-color": css("--down"), "target-arrow-shape": "triangle", "z-index": 5 } },
    { selector: "edge.hit[hub = 1]", style: { opacity: 0.3, width: 1, "target-arrow-shape": "none" } },
    { selector: "node.hover, node.found", style: { "border-opacity": 1, "border-width": 2.5 } },
    { selector: "edge.hover", style: { opacity: 1, width: 1.8, label: "data(kind)", "line-color": css("--accent"), "target-arrow-color": css("--accent"), "target-arrow-shape": "triangle", "z-index": 9 } },
    { selector: "node:selected", style: { opacity: 1, "border-width": 3, "border-color": css("--accent"), "border-opacity": 1, "underlay-color": css("--accent"), "underlay-opacity": 0.22, "underlay-padding": 6, "z-index": 10 } },
    { selector: "node:active, edge:active", style: { "overlay-opacity": 0 } },
  ];
}
