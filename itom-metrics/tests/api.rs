//! The query API: what `promtool` says of it, and what a real Prometheus answers to the same requests.

#[expect(dead_code, reason = "other tests use more of it")]
mod peer;

use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use itom_core::{Labels, SystemClock, Timestamp};
use itom_metrics::api::{AlertView, Api, Browsable, RuleGroupView, RuleView, Rules};
use itom_metrics::eval::Engine;
use itom_metrics::exposition::{Format, ScrapeOptions, Scraper};
use itom_metrics::{
    LabelMatcher, LabelSet, MemorySeries, Queryable, QueryableError, SelectHints, SelectedSeries,
    SeriesStore, StoreConfig, TimeRange,
};
use serde_json::{Value, json};

use peer::{Folder, Server, encoded, free_port, get, get_json, post};

const START: i64 = 1_700_000_000;

#[derive(Debug)]
struct TwoRules;

impl Rules for TwoRules {
    fn groups(&self) -> Vec<RuleGroupView> {
        let pairs = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into_iter().collect();
        let alert = AlertView {
            labels: pairs("alertname", "Down"),
            state: "firing".to_owned(),
            value: "0e+00".to_owned(),
            ..AlertView::default()
        };
        let alerting = RuleView::Alerting {
            state: "firing".to_owned(),
            name: "Down".to_owned(),
            query: "up == 0".to_owned(),
            duration: 300.0,
            keep_firing_for: 0.0,
            labels: pairs("severity", "page"),
            annotations: pairs("summary", "it is down"),
            alerts: vec![alert],
            health: "ok".to_owned(),
            last_error: String::new(),
            evaluation_time: 0.001,
            last_evaluation: "2023-11-14T22:13:20Z".to_owned(),
        };
        let recording = RuleView::Recording {
            name: "job:up:sum".to_owned(),
            query: "sum by (job) (up)".to_owned(),
            labels: std::collections::BTreeMap::new(),
            health: "ok".to_owned(),
            last_error: String::new(),
            evaluation_time: 0.001,
            last_evaluation: "2023-11-14T22:13:20Z".to_owned(),
        };
        vec![RuleGroupView {
            name: "g".to_owned(),
            file: "rules.yml".to_owned(),
            rules: vec![alerting, recording],
            interval: 15.0,
            ..RuleGroupView::default()
        }]
    }
}

/// Serves an API until the test ends; its port.
fn serve(api: Api) -> (tokio::runtime::Runtime, u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let port = free_port();
    let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", port))).unwrap();
    runtime.spawn(async move { axum::serve(listener, api.router()).await });
    (runtime, port)
}

/// OpenMetrics text with times, and the same in memory.
fn data() -> (String, MemorySeries) {
    let mut series = MemorySeries::new();
    let mut text = String::new();
    for (metric, job, path, add) in [
        ("http_requests_total", "web", "/", 3.0),
        ("http_requests_total", "web", "/login", 1.0),
        ("http_requests_total", "api", "/", 7.5),
        ("temperature", "lab", "", -0.25),
    ] {
        let labels = LabelSet::from_pairs([("__name__", metric), ("job", job), ("path", path)]);
        let mut value = 100.0;
        for number in 0..80_i64 {
            if number % 17 == 13 {
                continue;
            }
            value = if number == 40 { 0.0 } else { value + add * (number % 5) as f64 };
            let at = START + 15 * number;
            series.append_float(&labels, at * 1_000, value, 0).unwrap();
            let path = if path.is_empty() { String::new() } else { format!(",path=\"{path}\"") };
            text.push_str(&format!("{metric}{{job=\"{job}\"{path}}} {value} {at}\n"));
        }
    }
    text.push_str("# EOF\n");
    (text, series)
}

/// Numbers without their last digits: `avg` and `rate` round in another order since the peer's version.
fn rounded(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(number) = text.parse::<f64>().ok().filter(|_| text.len() > 12 && text.contains('.')) {
                *text = format!("{number:.12e}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rounded),
        Value::Object(fields) => fields.values_mut().for_each(rounded),
        _ => {}
    }
}

/// Vectors have no order unless sorted: by labels, then.
fn sorted(mut answer: Value) -> Value {
    rounded(&mut answer);
    let is_vector = answer["data"]["resultType"] == "vector";
    let result = answer.pointer_mut("/data/result").and_then(Value::as_array_mut);
    if let Some(result) = result.filter(|_| is_vector) {
        result.sort_by_key(|one| one["metric"].to_string());
    }
    answer
}

#[test]
fn conformance_api_answers_as_prometheus_does() {
    if !peer::is_there("prometheus") || !peer::is_there("promtool") {
        return;
    }
    let folder = Folder::new("api");
    let (text, series) = data();
    peer::backfill(&folder.0, &text);
    let real = Server::prometheus(&folder.0, &[]);
    let (_runtime, ours) = serve(Api::new(Arc::new(series), Engine::default(), Arc::new(SystemClock::new())));
    // Seven seconds after a sample: windows are closed at their beginning in the peer and open here.
    let at = START + 907;
    let range = format!("start={}&end={}", START, START + 1_200);
    let query = |text: &str| format!("/api/v1/query?time={at}&query={}", encoded(text));
    let query_range =
        |text: &str, step: &str| format!("/api/v1/query_range?{range}&step={step}&query={}", encoded(text));
    let requests = [
        query("http_requests_total"),
        query("sum by (job) (rate(http_requests_total[5m]))"),
        query("topk(1, http_requests_total)"),
        query("http_requests_total{path=~\"/l.*\"}[2m]"),
        query("1e300 * 1e10"),
        query("-1/0"),
        query("1e21 + 0.5"),
        query("0.0000001"),
        query("vector(0/0)"),
        query("\"a text\""),
        query("absent(nothing{job=\"x\"})"),
        query("http_requests_total offset 10m"),
        query("http_requests_total @ end()"),
        query("label_replace(temperature, \"x\", \"$1-é\", \"job\", \"(.*)\")"),
        format!("{}&timeout=5s", query("temperature")),
        format!("/api/v1/query?time=2023-11-14T22:28:20.5Z&query={}", encoded("temperature")),
        query_range("http_requests_total", "60"),
        query_range("avg(http_requests_total)", "1m"),
        query_range("time()", "1m30s"),
        query_range("5", "300"),
        query_range("quantile(0.5, http_requests_total) > 150", "45.5"),
        format!("/api/v1/series?match[]=http_requests_total&{range}"),
        format!("/api/v1/series?match[]=temperature&match[]={}&{range}", encoded("{job=\"api\"}")),
        format!("/api/v1/labels?{range}"),
        format!("/api/v1/labels?match[]=temperature&{range}"),
        format!("/api/v1/label/job/values?{range}"),
        format!("/api/v1/label/__name__/values?{range}"),
        format!("/api/v1/label/path/values?match[]={}&{range}", encoded("{job=\"web\"}")),
        format!("/api/v1/label/nothing/values?{range}"),
        "/api/v1/rules".to_owned(),
        "/api/v1/alerts".to_owned(),
        "/api/v1/metadata".to_owned(),
        format!("/api/v1/query_exemplars?{range}&query=temperature"),
        format!("/api/v1/format_query?query={}", encoded("sum(a)by(b)+  c")),
        // What is wrong is wrong in the same way.
        query("sum("),
        query(""),
        query("rate(http_requests_total)"),
        query("http_requests_total * on(job) http_requests_total"),
        query("label_replace(temperature, \"x\", \"\", \"job\", \"(\")"),
        "/api/v1/query?time=yesterday&query=up".to_owned(),
        "/api/v1/query?timeout=long&query=up".to_owned(),
        query_range("http_requests_total[5m]", "60"),
        query_range("up", "0"),
        query_range("up", "-1"),
        query_range("up", "0.01"),
        "/api/v1/query_range?start=10&end=5&step=1&query=up".to_owned(),
        "/api/v1/query_range?start=1&step=1&query=up".to_owned(),
        "/api/v1/series".to_owned(),
        "/api/v1/series?match[]={}".to_owned(),
        format!("/api/v1/series?match[]={}", encoded("a{")),
        "/api/v1/rules?type=other".to_owned(),
    ];
    let mut different = Vec::new();
    for request in &requests {
        let (status, theirs) = get_json(real.port, request);
        let (our_status, our) = get_json(ours, request);
        let same = if theirs["status"] == "success" {
            sorted(theirs.clone())["data"] == sorted(our.clone())["data"]
        } else {
            theirs["errorType"] == our["errorType"]
        };
        if !same || status != our_status || theirs["status"] != our["status"] {
            different.push(format!("{request}\n  {status} {theirs}\n  {our_status} {our}"));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {} differ:\n{}",
        different.len(),
        requests.len(),
        different.join("\n")
    );
    println!("{} requests", requests.len());
}

#[test]
fn conformance_api_promtool_queries_it() {
    if !peer::is_there("promtool") {
        return;
    }
    let (_, series) = data();
    let (_runtime, port) = serve(Api::new(Arc::new(series), Engine::default(), Arc::new(SystemClock::new())));
    let server = format!("http://127.0.0.1:{port}");
    let (start, end) = (START.to_string(), (START + 1_200).to_string());
    let promtool = |words: &[&str]| {
        let output = Command::new("promtool").args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let time = format!("--time={end}");
    let (good, out, error) = promtool(&["query", "instant", &time, &server, "temperature"]);
    assert!(good, "{error}");
    assert!(out.starts_with("temperature{job=\"lab\"} => "), "{out}");
    let (start_flag, end_flag) = (format!("--start={start}"), format!("--end={end}"));
    let words = ["query", "range", &start_flag, &end_flag, "--step=5m", &server, "sum(http_requests_total)"];
    let (good, out, error) = promtool(&words);
    assert!(good, "{error}");
    assert_eq!(out.lines().filter(|line| line.contains(" @[")).count(), 5, "{out}");
    let (good, out, error) =
        promtool(&["query", "series", "--match={job=\"web\"}", &start_flag, &end_flag, &server]);
    assert!(good, "{error}");
    assert_eq!(out.lines().count(), 2, "{out}");
    let (good, out, error) = promtool(&["query", "labels", &start_flag, &end_flag, &server, "job"]);
    assert!(good, "{error}");
    assert_eq!(out, "api\nlab\nweb\n");
    let (good, _, error) = promtool(&["query", "instant", &server, "sum("]);
    assert!(!good && error.contains("parse error"), "{error}");
    assert_eq!(get(port, "/-/healthy").unwrap().0, 200);
}

#[test]
fn everything_else_that_a_client_may_ask() {
    let store = SeriesStore::new(StoreConfig::default());
    let target = Labels::from_pairs([("job", "j")]).unwrap();
    let body = b"# TYPE h histogram\n# HELP h How long\nh_bucket{le=\"+Inf\"} 2 # {trace_id=\"t\"} 0.5 1700000000.25\n# EOF\n";
    let mut scraper = Scraper::new(target, ScrapeOptions::default());
    for at in [START, START + 15] {
        let (at, took) = (Timestamp::from_secs(at), std::time::Duration::ZERO);
        let report = scraper.store(&store, at, took, Format::OpenMetrics, body);
        assert!(report.is_up(), "{report:?}");
    }
    let api =
        Api::new(Arc::new(store), Engine::default(), Arc::new(SystemClock::new())).rules(Arc::new(TwoRules));
    let (_runtime, port) = serve(api);
    let data = |path: &str| {
        let (status, answer) = get_json(port, path);
        assert_eq!((status, answer["status"].as_str()), (200, Some("success")), "{path}: {answer}");
        answer["data"].clone()
    };
    assert_eq!(
        data("/api/v1/metadata?metric=h"),
        json!({"h": [{"type": "histogram", "help": "How long", "unit": ""}]})
    );
    assert_eq!(
        data("/api/v1/query_exemplars?query=h_bucket&start=0&end=2000000000"),
        json!([{
            "seriesLabels": {"__name__": "h_bucket", "job": "j", "le": "+Inf"},
            "exemplars": [{"labels": {"trace_id": "t"}, "value": "0.5", "timestamp": 1_700_000_000.25}]
        }])
    );
    assert_eq!(data("/api/v1/status/buildinfo")["version"], "3.0.0");
    assert_eq!(data("/api/v1/rules")["groups"][0]["rules"].as_array().unwrap().len(), 2);
    assert_eq!(data("/api/v1/rules?type=record")["groups"][0]["rules"][0]["name"], "job:up:sum");
    assert_eq!(data("/api/v1/rules?type=alert")["groups"][0]["rules"][0]["keepFiringFor"], 0.0);
    assert_eq!(data("/api/v1/rules?rule_name[]=other")["groups"], json!([]));
    assert_eq!(data("/api/v1/alerts")["alerts"][0]["state"], "firing");
    let stats = data(&format!("/api/v1/query?query=up&stats=all&time={START}"));
    assert!(stats["stats"]["timings"]["evalTotalTime"].is_number(), "{stats}");

    let (_, limited) =
        get_json(port, &format!("/api/v1/query?query={}&limit=1&time={START}", encoded("{job=\"j\"}")));
    assert_eq!(limited["data"]["result"].as_array().unwrap().len(), 1);
    assert_eq!(limited["warnings"], json!(["results truncated due to limit"]));
    let (_, infos) =
        get_json(port, &format!("/api/v1/query?query={}&time={}", encoded("rate(up[5m])"), START + 15));
    assert!(
        infos["infos"][0].as_str().unwrap().starts_with("PromQL info: metric might not be a counter"),
        "{infos}"
    );

    let form = format!("query=h_bucket&time={START}");
    let (status, body) =
        post(port, "/api/v1/query", "application/x-www-form-urlencoded", form.as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &answer["data"]["result"][0]["value"]), (200, &json!([START, "2"])));
    assert_eq!(get(port, "/-/ready").unwrap().0, 200);
    assert_eq!(get(port, "/api/v1/nothing").unwrap().0, 404);
    let (status, answer) = get_json(port, "/api/v1/query?query=up&timeout=0s");
    assert_eq!((status, answer["errorType"].as_str()), (503, Some("timeout")), "{answer}");
}

/// A store whose reads wait until they are let go.
#[derive(Debug, Default)]
struct Gate {
    /// Reads that go on, the most at a time so far, and whether they may end.
    state: Mutex<(usize, usize, bool)>,
    changed: Condvar,
}

impl Queryable for Gate {
    fn select(
        &self,
        _: &[LabelMatcher],
        _: TimeRange,
        _: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        state.1 = state.1.max(state.0);
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| !state.2).unwrap();
        state.0 -= 1;
        Ok(Vec::new())
    }
}

impl Browsable for Gate {}

#[test]
fn no_more_are_evaluated_at_a_time_than_may_be() {
    let gate = Arc::new(Gate::default());
    let store: Arc<dyn Browsable> = gate.clone();
    let api = Api::new(store, Engine::default(), Arc::new(SystemClock::new())).concurrency(2);
    let (_runtime, port) = serve(api);
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..6).map(|_| scope.spawn(|| get(port, "/api/v1/query?query=up"))).collect();
        let two = |state: &mut (usize, usize, bool)| state.0 < 2;
        let patience = std::time::Duration::from_secs(30);
        let (state, late) =
            gate.changed.wait_timeout_while(gate.state.lock().unwrap(), patience, two).unwrap();
        drop(state);
        // What needs no evaluation is answered meanwhile, and the others come in.
        for _ in 0..50 {
            assert_eq!(get(port, "/-/healthy").unwrap().0, 200);
        }
        gate.state.lock().unwrap().2 = true;
        gate.changed.notify_all();
        for one in asked {
            assert_eq!(one.join().unwrap().unwrap().0, 200);
        }
        assert!(!late.timed_out(), "two are evaluated");
    });
    assert_eq!(gate.state.lock().unwrap().1, 2);
}
