// Charts over time, drawn by uPlot; counters are shown as their rate.

import { api } from "./api.js";
import { css, fill, h, link } from "./dom.js";
import * as format from "./format.js";

const SHOWN = 12;
const BINARY = Array.from({ length: 60 }, (_, power) => 2 ** (power - 4));
const MOMENT = /_timestamp_seconds$|_time_seconds$/;
const alive = new Set();

/** A chart that loads itself when seen (from `source(from, to)` where it is no plain metric), refreshes every 15 seconds and follows its width. */
export function chartOf({ metric = "", kind, ci, height, minutes, title = true, source }) {
  const body = h("div", { class: "chart-body", style: { minHeight: `${height}px` } });
  const note = h("small", { class: "dim" });
  const box = h("figure", { class: "chart" },
    h("figcaption", {}, title && link(`metrics?metric=${encodeURIComponent(metric)}`, metric), kind === "counter" && h("small", { class: "tag" }, "rate"), note), body);
  const chart = { box, body, note, metric, kind, ci, height, minutes, source, plot: null, seen: false, stale: true };
  chart.load = () => load(chart);
  alive.add(chart);
  sight.observe(box);
  width.observe(body);
  box.chart = chart;
  return box;
}

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const chart = entry.target.chart;
    chart.seen = entry.isIntersecting;
    if (chart.seen && chart.stale) chart.load();
  }
}, { rootMargin: "200px" });

const width = new ResizeObserver((entries) => {
  for (const entry of entries) {
    const chart = entry.target.parentElement?.chart;
    const wide = Math.floor(entry.contentRect.width);
    if (chart?.plot && wide > 0 && wide !== chart.plot.width) chart.plot.setSize({ width: wide, height: chart.height });
  }
});

setInterval(() => {
  for (const chart of alive) {
    chart.stale = true;
    if (chart.seen && !document.hidden) chart.load();
  }
}, 15000);

/** Gives up all charts of a page that is left. */
export function forget() {
  for (const chart of alive) {
    sight.unobserve(chart.box);
    width.unobserve(chart.body);
    chart.plot?.destroy();
  }
  alive.clear();
}

async function load(chart) {
  chart.stale = false;
  const to = new Date();
  const from = new Date(to.getTime() - chart.minutes * 60000);
  const rate = chart.kind === "counter";
  try {
    const { series } = chart.source ? await chart.source(from, to) : await api.series({ metric: chart.metric, ci: chart.ci, from: from.toISOString(), to: to.toISOString(), points: 300, rate: rate ? 1 : undefined });
    if (!alive.has(chart)) return;
    draw(chart, series, rate, [from.getTime() / 1000, to.getTime() / 1000]);
  } catch (error) {
    chart.note.textContent = error.message;
  }
}

/** Only the labels that tell the series apart. */
function names(series) {
  const all = series.map((one) => one.labels ?? {});
  const keys = [...new Set(all.flatMap(Object.keys))].filter((key) => new Set(all.map((set) => set[key])).size > 1).sort();
  return series.map((one, index) => keys.map((key) => all[index][key]).filter(Boolean).join(" · ") || one.name || format.labels(one.labels) || "value");
}

function align(series) {
  const times = [...new Set(series.flatMap((one) => one.points.map((point) => point[0])))].sort((a, b) => a - b);
  const at = new Map(times.map((time, index) => [time, index]));
  return [times, ...series.map((one) => {
    const values = new Array(times.length).fill(undefined);
    for (const [time, value] of one.points) values[at.get(time)] = typeof value === "number" ? value : null;
    return values;
  })];
}

function draw(chart, given, rate, [min, max]) {
  const size = (one) => Math.max(0, ...one.points.map((point) => Math.abs(point[1]) || 0));
  const sorted = given.length > SHOWN ? [...given].sort((a, b) => size(b) - size(a)) : given;
  const series = sorted.slice(0, SHOWN);
  chart.note.textContent = given.length > SHOWN ? `the ${SHOWN} largest of ${given.length} series` : "";
  if (series.every((one) => one.points.length === 0)) {
    chart.plot?.destroy();
    chart.plot = null;
    chart.shape = null;
    fill(chart.body, h("p", { class: "empty" }, rate ? "No two samples in this time yet." : "No samples in this time."));
    return;
  }
  const labels = names(series);
  const data = align(series);
  const shape = JSON.stringify([labels, rate]);
  chart.range = [min, max];
  if (chart.plot && chart.shape === shape) {
    chart.plot.setData(data);
    newest(chart.plot);
    return;
  }
  chart.plot?.destroy();
  chart.shape = shape;
  fill(chart.body);
  const unit = format.unitOf(chart.metric, rate);
  const axis = { stroke: css("--dim"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  chart.plot = new window.uPlot({
    width: Math.max(200, Math.floor(chart.body.clientWidth)), height: chart.height, data,
    scales: { x: { range: () => chart.range }, y: { range: (_, low, high) => span(low, high) } },
    axes: [
      { ...axis, size: 26, space: 70, values: [[86400, "{D} {MMM}"], [60, "{HH}:{mm}"], [1, "{HH}:{mm}:{ss}"]].map(([step, text]) => [step, text, null, null, null, null, null, null, 1]) },
      { ...axis, size: MOMENT.test(chart.metric) && !rate ? 104 : 68, space: 32, incrs: /_bytes(_total|_sum)?$/.test(chart.metric) ? BINARY : undefined, values: (_, ticks) => ticks.map((tick) => unit(tick)) },
    ],
    series: [
      { label: "time", value: (_, at) => at === null || at === undefined ? "–" : format.time(at * 1000) },
      ...labels.map((label, index) => ({
        label, stroke: css(`--c${1 + (index % 8)}`), width: 1.6, points: { show: false }, spanGaps: false,
        dash: index >= 8 ? [5, 4] : undefined, value: (_, value) => unit(value),
        fill: labels.length === 1 ? `${css("--c1")}1f` : undefined,
        gaps: holes,
      })),
    ],
    legend: { live: true, show: chart.height > 160 || labels.length > 1 },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
  }, data, chart.body);
  chart.plot.over.addEventListener("mouseleave", () => newest(chart.plot));
  newest(chart.plot);
}

/** Without a pointer on the chart its legend says the newest values. */
async function newest(plot) {
  // uPlot applies what it was given after the current task, and empties the legend then.
  await new Promise((resolve) => setTimeout(resolve, 30));
  if (plot.cursor.left >= 0) return;
  const last = (values) => { let at = values.length - 1; while (at > 0 && (values[at] === undefined || values[at] === null)) at -= 1; return at; };
  plot.setLegend({ idxs: plot.data.map(last) });
}

/** A little air; a series that stays above zero keeps zero in sight unless it hardly moves. */
function span(low, high) {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : low > 0 ? [0, low * 1.25] : [low * 1.25, 0];
  const air = (high - low) * 0.08;
  const floor = low >= 0 && low < (high - low) * 2 ? 0 : low - air;
  return [floor, high + air];
}

/** A line is broken where samples are missing for five times the usual distance. */
function holes(plot, index, from, to, gaps) {
  const times = plot.data[0];
  const values = plot.data[index];
  const present = [];
  for (let at = from; at <= to; at += 1) if (values[at] !== undefined && values[at] !== null) present.push(at);
  if (present.length < 3) return gaps;
  const steps = present.slice(1).map((at, n) => times[at] - times[present[n]]).sort((a, b) => a - b);
  const usual = steps[Math.floor(steps.length / 2)];
  const out = [];
  for (let n = 1; n < present.length; n += 1) {
    if (times[present[n]] - times[present[n - 1]] > usual * 5) {
      out.push([plot.valToPos(times[present[n - 1]], "x", true), plot.valToPos(times[present[n]], "x", true)]);
    }
  }
  return out;
}

/** Draws all charts anew in the colours of the theme. */
export function recolour() {
  for (const chart of alive) { chart.shape = null; if (chart.seen) chart.load(); else chart.stale = true; }
}
