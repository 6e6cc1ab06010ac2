// The server's JSON API and its stream of events.

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, { headers: { accept: "application/json", ...options?.headers }, ...options });
  } catch {
    throw new Error(`The server does not answer (${path}). Is the console's process still running?`);
  }
  if (!answer.ok) {
    const text = await answer.text().catch(() => "");
    let message = text.slice(0, 300);
    try { message = JSON.parse(text).error ?? message; } catch { /* plain text */ }
    const error = new Error(`${path}: ${answer.status} ${answer.statusText}${message ? ` – ${message}` : ""}`);
    error.reason = message;
    throw error;
  }
  return answer.status === 204 ? null : answer.json();
}

const query = (params) => {
  const set = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== undefined && value !== null && value !== "") set.set(name, value);
  const text = set.toString();
  return text ? `?${text}` : "";
};
const id = encodeURIComponent;

export const api = {
  overview: () => request("/api/overview"),
  quality: () => request("/api/quality"),
  map: (detail) => request(`/api/map${query({ detail })}`),
  cis: (params) => request(`/api/cis${query(params)}`),
  ci: (ci) => request(`/api/ci/${id(ci)}`),
  impact: (ci) => request(`/api/ci/${id(ci)}/impact`),
  alerts: () => request("/api/alerts"),
  alert: (alert) => request(`/api/alerts/${id(alert)}`),
  acknowledge: (alert, by) => request(`/api/alerts/${id(alert)}/ack`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ by }),
  }),
  changes: (limit) => request(`/api/changes${query({ limit })}`),
  metrics: (q) => request(`/api/metrics${query({ q })}`),
  rules: () => request("/api/rules"),
  query: (params) => request(`/api/v1/query${query(params)}`),
  queryRange: (params) => request(`/api/v1/query_range${query(params)}`),
  series: (params) => request(`/api/series${query(params)}`),
};

/** Follows the server's events. `onState` is told "live" or "reconnecting", `onEvent` what happened. */
export function follow(onState, onEvent) {
  let source;
  let wait = 1000;
  const connect = () => {
    source = new EventSource("/api/events");
    source.onopen = () => { wait = 1000; onState("live"); };
    source.onerror = () => {
      onState("reconnecting");
      // The browser retries by itself unless the stream was refused outright.
      if (source.readyState === EventSource.CLOSED) {
        setTimeout(connect, wait);
        wait = Math.min(wait * 2, 30000);
      }
    };
    for (const kind of ["round", "change", "alert"]) {
      source.addEventListener(kind, (event) => {
        let data = {};
        try { data = JSON.parse(event.data); } catch { /* an event without details still says that something happened */ }
        onEvent(kind, data);
      });
    }
  };
  connect();
}
