// A colour for each kind, the same everywhere and on every machine.

import { css, fill, h } from "./dom.js";

// Related kinds share a hue; refinements (service.postgresql) take the colour of what they refine.
const FIXED = {
  service: "--k1", application: "--k1", business_service: "--k1", unit: "--k7", process: "--k2", host: "--k3", device: "--k3",
  container: "--k8", software: "--k4", disk: "--k5", filesystem: "--k5", storage: "--k5", network: "--k6", external: "--k9",
  "network.interface": "--k6", "network.address": "--k6", "network.subnet": "--k6",
};
let cache = new Map();

export function resetColours() {
  cache = new Map();
}

export function colourOf(kind) {
  if (!cache.has(kind)) cache.set(kind, css(variable(kind)) || "#888");
  return cache.get(kind);
}

/** The colour thinned with the card's: opaque, so that lines pass behind. */
export function tintOf(kind) {
  const share = Number(css("--node-tint")) || 0.16;
  const [colour, card] = [colourOf(kind), css("--card")].map(channels);
  return `rgb(${colour.map((channel, index) => Math.round(channel * share + card[index] * (1 - share))).join(",")})`;
}

function channels(hex) {
  const digits = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit).join("") : hex.slice(1);
  return [0, 2, 4].map((at) => Number.parseInt(digits.slice(at, at + 2), 16) || 0);
}

function variable(kind) {
  for (let name = kind; name; name = name.slice(0, Math.max(name.lastIndexOf("."), 0))) if (FIXED[name]) return FIXED[name];
  let sum = 0;
  for (const char of kind) sum = (sum * 31 + char.codePointAt(0)) % 9973;
  return `--k${1 + (sum % 9)}`;
}

/** Kinds on the map with their counts; refinements are counted with what they refine, unless few. */
export function drawLegend(place, nodes) {
  const counts = new Map();
  for (const node of nodes) {
    const base = FIXED[node.kind] ? node.kind : node.kind.split(".")[0];
    counts.set(base, (counts.get(base) ?? 0) + 1);
  }
  const rows = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  fill(place, rows.map(([kind, count]) => h("span", {}, h("i", { class: "swatch", style: { background: colourOf(kind) } }), kind, h("b", {}, count))),
    rows.length > 0 && [h("span", {}, h("i", { class: "swatch ring" }), "alert"), nodes.some((node) => node.loose_end) && h("span", {}, h("i", { class: "swatch dashed" }), "loose end")]);
}
