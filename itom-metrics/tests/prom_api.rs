//! Rules and queries over real servers.

#[expect(dead_code, reason = "other tests use more of it")]
mod peer;

use std::sync::Arc;

use itom_core::{RuleLanguage, SampleValue, Timestamp};
use itom_metrics::client::{ApiError, PromApi, PromApiRules};
use itom_metrics::eval::{Engine, EngineOptions, PromqlRules, QueryValue};
use itom_metrics::http::Endpoint;
use itom_metrics::promql::ParseOptions;
use itom_metrics::{LabelMatcher, LabelSet, MemorySeries, SelectHints, TimeRange, promql};

use peer::{Folder, Server, get, post};

const START: i64 = 1_700_000_000;

/// Series as Prometheus's text with times, as OpenMetrics, and in memory.
fn data() -> (String, String, MemorySeries) {
    let mut series = MemorySeries::new();
    let (mut text, mut open) = (String::new(), String::new());
    for (number, (job, path)) in
        [("web", "/"), ("web", "/login"), ("api", "/"), ("api", "é\\\"x")].iter().enumerate()
    {
        let labels = LabelSet::from_pairs([("__name__", "requests_total"), ("job", *job), ("path", *path)]);
        let path = path.replace('\\', "\\\\").replace('"', "\\\"");
        for step in 0..61_i64 {
            let (at, value) = (START + 15 * step, 10_000.0 + (step * (number as i64 + 1)) as f64);
            series.append_float(&labels, at * 1_000, value, 0).unwrap();
            text.push_str(&format!(
                "requests_total{{job=\"{job}\",path=\"{path}\"}} {value} {}\n",
                at * 1_000
            ));
            open.push_str(&format!("requests_total{{job=\"{job}\",path=\"{path}\"}} {value} {at}\n"));
        }
    }
    open.push_str("# EOF\n");
    (text, open, series)
}

fn api(port: u16) -> Arc<PromApi> {
    let endpoint = Endpoint::builder(format!("http://127.0.0.1:{port}")).build().unwrap();
    Arc::new(PromApi::new(endpoint).unwrap())
}

/// The same rules here and there give the same samples; the same selectors give the same series.
fn compare(port: u16, series: MemorySeries, expressions: &[&str]) {
    let api = api(port);
    let there: Arc<dyn RuleLanguage> = Arc::new(PromApiRules::new(Arc::clone(&api), ParseOptions::default()));
    let series = Arc::new(series);
    let here: Arc<dyn RuleLanguage> = Arc::new(PromqlRules::new(
        Engine::default(),
        Arc::<MemorySeries>::clone(&series),
        ParseOptions::default(),
    ));
    let at = Timestamp::from_secs(START + 907);
    let evaluate = |language: &Arc<dyn RuleLanguage>| -> Vec<_> {
        let compiled: Vec<_> = expressions.iter().map(|one| language.compile(one).unwrap()).collect();
        let answers = language.evaluate(&compiled, at);
        answers
            .into_iter()
            .map(|answer| {
                let mut samples: Vec<_> = answer
                    .unwrap()
                    .samples
                    .into_iter()
                    .map(|sample| match sample.value {
                        SampleValue::Float(value) => (sample.labels.to_string(), (value * 1e6).round()),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                samples.sort_by(|a, b| a.0.cmp(&b.0));
                samples
            })
            .collect()
    };
    for ((here, there), expression) in evaluate(&here).into_iter().zip(evaluate(&there)).zip(expressions) {
        assert_eq!(here, there, "{expression}");
        assert!(!here.is_empty(), "{expression}");
    }

    let matchers = [
        LabelMatcher::equal("__name__", "requests_total"),
        LabelMatcher::new("path", itom_core::MatchOp::NotRegex, "/l.*").unwrap(),
    ];
    let range = TimeRange { from: (START + 90) * 1_000, to: (START + 600) * 1_000 };
    let select = |from: &dyn itom_metrics::Queryable| {
        let found = from.select(&matchers, range, &SelectHints::default()).unwrap();
        found.into_iter().map(|one| (one.labels.to_string(), one.samples.floats)).collect::<Vec<_>>()
    };
    assert_eq!(select(&*series), select(&*api));
    let engine = Engine::new(EngineOptions::default());
    let expr = promql::parse("max by (job) (rate(requests_total[2m]))").unwrap();
    let (start, end) = ((START + 307) * 1_000, (START + 607) * 1_000);
    let value =
        |from: &dyn itom_metrics::Queryable| engine.range(&expr, from, start, end, 60_000).unwrap().value;
    assert_eq!(value(&*series), value(&*api));

    let QueryValue::Matrix(found) = api.range("count(requests_total)", (start, end, 60_000)).unwrap().value
    else {
        panic!("a matrix");
    };
    assert_eq!(found[0].points.floats.len(), 6);
    let error = api.instant("sum(", start).unwrap_err();
    assert!(matches!(error, ApiError::Refused { status: 400 | 422, .. }), "{error}");
}

#[test]
fn conformance_prom_api_over_prometheus() {
    if !peer::is_there("prometheus") || !peer::is_there("promtool") {
        return;
    }
    let folder = Folder::new("prom-api");
    let (_, open, series) = data();
    peer::backfill(&folder.0, &open);
    let server = Server::prometheus(&folder.0, &[]);
    compare(
        server.port,
        series,
        &[
            "requests_total > 10100",
            "sum by (job) (rate(requests_total[5m])) > 0",
            "histogram_quantile(0.9, requests_total) or vector(1)",
            "requests_total{path=~\".+x\"}",
            "7",
        ],
    );
}

#[test]
fn conformance_prom_api_over_victoria_metrics() {
    if !peer::is_there("victoria-metrics") {
        return;
    }
    let folder = Folder::new("prom-api-vm");
    let (text, _, series) = data();
    let server = Server::victoria_metrics(&folder.0);
    let (status, _) = post(server.port, "/api/v1/import/prometheus", "text/plain", text.as_bytes()).unwrap();
    assert_eq!(status, 204);
    assert_eq!(get(server.port, "/internal/force_flush").unwrap().0, 200);
    compare(
        server.port,
        series,
        &["requests_total > 10100", "sum by (job) (requests_total)", "count(requests_total)", "7"],
    );
}

#[test]
fn a_service_that_is_not_there_is_no_data_but_an_error() {
    let api = api(peer::free_port());
    let rules = PromApiRules::unchecked(api);
    let compiled = rules.compile("anything at all").unwrap();
    let answer = rules.evaluate(&[compiled], Timestamp::from_secs(START)).remove(0);
    assert!(matches!(answer, Err(itom_core::EvaluateError::Unavailable(_))), "{answer:?}");
}
