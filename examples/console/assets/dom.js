// Building elements. Data only ever becomes text nodes and attributes, never markup.

/** h("td", {class: "num"}, "text", child, [more]) */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === undefined || child === null || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** A link into the console; ids are escaped, other schemes cannot occur. */
export const link = (path, text, props) => h("a", { href: `#/${path}`, ...props }, text);

export const ciLink = (ci, props) =>
  ci ? link(`ci/${encodeURIComponent(ci.id)}`, ci.name || ci.id, { title: `${ci.kind ?? ""} ${ci.id}`.trim(), ...props }) : h("span", { class: "dim" }, "–");

export const severity = (level) => h("span", { class: `sev sev-${level}` }, level);

export const tag = (text, props) => h("span", { class: "tag", ...props }, text);

/** Rows of cells as a table; columns: [{title, cell(row), class}]. */
export function table(columns, rows, { empty = "Nothing here.", row: rowProps, label } = {}) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  return h("div", { class: "scroll" }, h("table", { "aria-label": label },
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { class: column.class, scope: "col" }, column.title)))),
    h("tbody", {}, rows.map((row) => h("tr", rowProps?.(row), columns.map((column) => h("td", { class: column.class }, column.cell(row))))))));
}

export const section = (title, note, ...children) =>
  h("section", { class: "card" }, h("h2", {}, title, note !== undefined && note !== null && h("small", {}, note)), children);

export function failure(error, retry) {
  return h("div", { class: "failure", role: "alert" }, h("b", {}, "This could not be loaded."), h("p", {}, error.message),
    retry && h("button", { onclick: retry }, "Try again"));
}

let toastTimer;
export function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  place.dataset.shown = "1";
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => delete place.dataset.shown, 4000);
}

/** Calls at most once per pause, after the last request. */
export function debounce(pause, action) {
  let timer;
  const later = (...args) => { clearTimeout(timer); timer = setTimeout(() => action(...args), pause); };
  later.cancel = () => clearTimeout(timer);
  return later;
}

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
