// Numbers and times as people read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

export function span(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const s = Math.abs(seconds);
  if (s === 0) return "0 s";
  if (s < 1e-3) return `${trim(seconds * 1e6)} µs`;
  if (s < 1) return `${trim(seconds * 1e3)} ms`;
  if (s < 60) return `${trim(seconds)} s`;
  const whole = Math.round(s);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export const trim = (value, digits = 3) => Number(value.toPrecision(digits)).toString();

export function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number" || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return value.toLocaleString("en").replaceAll(",", " ");
  for (const [unit, factor] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e4]]) {
    if (size >= factor) return `${trim(value / (unit === "k" ? 1e3 : factor))} ${unit}`;
  }
  return trim(value, 4);
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  let size = value;
  while (Math.abs(size) >= 1024 && at < units.length - 1) { size /= 1024; at += 1; }
  return `${trim(size)} ${units[at]}`;
}

/** How to write values of a metric, after the units in Prometheus names. */
export function unitOf(metric, rate) {
  const base = metric.replace(/_(total|sum|count)$/, "");
  if (/_bytes$/.test(base)) return (v) => v === null || v === undefined ? "–" : `${bytes(v)}${rate ? "/s" : ""}`;
  if (/_(ratio|percent)$/.test(base)) return (v) => v === null || v === undefined ? "–" : `${trim(/_ratio$/.test(base) ? v * 100 : v)} %`;
  if (/_timestamp_seconds$|_time_seconds$|_boot_time/.test(base) && !rate) return (v) => v > 1e8 ? time(v * 1000) : span(v);
  if (/_seconds$/.test(base)) return (v) => v === null || v === undefined ? "–" : rate ? `${trim(v)} s/s` : span(v);
  return (v) => v === null || v === undefined ? "–" : `${number(v)}${rate ? " /s" : ""}`;
}

/** 14:02:11 today, 3 Mar 14:02:11 otherwise; the exact text goes into the title. */
export function time(at) {
  const date = new Date(at);
  if (at === null || at === undefined || Number.isNaN(date.getTime())) return "–";
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock.format(date) : `${day.format(date)} ${clock.format(date)}`;
}

export function ago(at, now = Date.now()) {
  const seconds = (now - new Date(at).getTime()) / 1000;
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0) return seconds > -1.5 ? "now" : `in ${coarse(-seconds)}`;
  return seconds < 1.5 ? "now" : `${coarse(seconds)} ago`;
}

function coarse(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** A value of an attribute: JSON as the server sends it, tagged where JSON has no type for it. */
export function value(v) {
  if (v === null || v === undefined) return "–";
  if (typeof v === "string") return v;
  if (typeof v !== "object") return String(v);
  if (Array.isArray(v)) return v.map(value).join(", ");
  if (v.$unknown) return "unknown";
  if (v.$not_applicable) return "n/a";
  if (v.$withheld) return "withheld";
  if ("$time" in v) return String(v.$time);
  if ("$float" in v) return String(v.$float);
  return Object.entries(v).map(([k, inner]) => `${k}: ${value(inner)}`).join(", ");
}

/** A value of an attribute whose name says what it counts: sizes in bytes, moments in local time; the rest as it is. */
export function attribute(name, v) {
  const text = value(v);
  if (text === "") return "none";
  if (/(^|[._])size$|_bytes$|\.bytes$/.test(name ?? "") && /^\d+$/.test(text)) return bytes(Number(text));
  if (/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text)) return `${time(text)} (${ago(text)})`;
  return text;
}

/** Why a claim is believed, or not. */
export const why = (reason) => ({ only: "the only source" })[reason] ?? String(reason ?? "").replaceAll("_", " ");

/** A change as words: "appeared", "host.name", "depends_on → …"; the server may send text or the tagged form. */
export function change(what) {
  if (typeof what === "string") return what;
  if (what?.attribute) return String(what.attribute);
  for (const [word, sign] of [["related", "+"], ["unrelated", "−"]]) {
    if (what?.[word]) return `${sign} ${what[word].kind} → ${what[word].name ?? what[word].to}`;
  }
  return JSON.stringify(what);
}

export const labels = (set) => Object.entries(set ?? {}).map(([k, v]) => `${k}="${v}"`).join(", ");
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
