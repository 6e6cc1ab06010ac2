//! Random queries over random series, markers of staleness among their samples, here and in a real Prometheus.
//!
//! `ITOM_DIFFERENTIAL_QUERIES` (300) queries from the seed `ITOM_DIFFERENTIAL_SEED` (1), each at one time and over a
//! range. The peer is a Prometheus 2.42. What differs from it for a known reason is kept out of the queries:
//!
//! - windows and the lookback are open at their beginning since 3.0: times of samples, windows and subqueries never
//!   coincide here;
//! - the extrapolation of `rate` and `increase` treats a late first sample before it looks where the counter was zero
//!   in later versions: counters here stay far from zero, also in proportion to what they lose by beginning again, and
//!   gauges get `delta`. Of 9152.5 and 9074 14.525 s later, the last 6.719 s before the end of a window of a minute,
//!   2.42 takes 9074 · (14.525 + 14.651 + 6.719) / 14.525: the 14.651 s to zero are not late. Later versions halve the
//!   38.756 s that are late first: 9074 · (14.525 + 7.262 + 6.719) / 14.525;
//! - over a range, 2.42 refuses to negate series that are the same without their names even where they are never there
//!   at one time (`-(a or b)`): such an error of the peer alone is passed over if both agree at every time by itself;
//! - `atan2` drops the metric's name, and `stddev` and `stdvar` of one infinite value are NaN, in later versions;
//! - 2.42 moves the window of a selector with `@` within `predict_linear` from step to step;
//! - a comparison that filters and matches several series to one fails here, and in 2.42 only if two are kept;
//! - `topk` and `bottomk` keep one or another of equal values;
//! - Go leaves open what NaN and what is beyond 64 bits is as a whole number: calendar functions differ there;
//! - the last digit of powers and logarithms is the mathematical library's, and `count_values` and remainders show it;
//! - `avg` and the regressions sum in another order: differences up to 1e-9 are allowed, and what rounds or takes
//!   remainders is asked of values that are exact.

#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../peer/mod.rs"]
mod peer;

mod data;
mod load;
mod query;

use std::collections::BTreeMap;

use itom_core::SampleValue;
use itom_metrics::MemorySeries;
use itom_metrics::eval::{Engine, QueryValue};
use itom_metrics::promql::{self};
use serde_json::Value;

use data::{END, Random, START};
use peer::{Folder, Server, encoded, get_json};
use query::Query;

/// Values over time by labels; `Err` when there is no answer.
type Outcome = Result<BTreeMap<String, Vec<(i64, f64)>>, String>;

/// When a query is evaluated: at one time, or from a time to another by a step, in milliseconds.
#[derive(Debug, Clone, Copy)]
enum When {
    At(i64),
    Range(i64, i64, i64),
}

fn ours(series: &MemorySeries, text: &str, when: When) -> Outcome {
    let expr = promql::parse(text).map_err(|error| error.to_string())?;
    let engine = Engine::default();
    let answer = match when {
        When::At(at) => engine.instant(&expr, series, at),
        When::Range(start, end, step) => engine.range(&expr, series, start, end, step),
    };
    let value = answer.map_err(|error| error.to_string())?.value;
    let mut found = BTreeMap::new();
    match value {
        QueryValue::Scalar(at, value) => drop(found.insert(String::new(), vec![(at, value)])),
        QueryValue::String(text) => return Err(format!("a text: {text}")),
        QueryValue::Vector(samples) => {
            for sample in samples {
                let SampleValue::Float(value) = sample.value else { return Err("a histogram".to_owned()) };
                found.insert(sample.labels.to_string(), vec![(sample.t, value)]);
            }
        }
        QueryValue::Matrix(series) => {
            for one in series {
                let points = one.points.floats.iter().map(|point| (point.t, point.v)).collect();
                found.insert(one.labels.to_string(), points);
            }
        }
    }
    Ok(found)
}

fn theirs(port: u16, text: &str, when: When) -> Outcome {
    let query = encoded(text);
    let seconds = |millis: i64| format!("{}.{:03}", millis / 1_000, millis % 1_000);
    let (_, answer) = match when {
        When::At(at) => get_json(port, &format!("/api/v1/query?query={query}&time={}", seconds(at))),
        When::Range(start, end, step) => {
            let (start, end, step) = (seconds(start), seconds(end), seconds(step));
            get_json(port, &format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}"))
        }
    };
    if answer["status"] != "success" {
        return Err(answer["error"].to_string());
    }
    let point = |pair: &Value| {
        let value: f64 = pair[1].as_str().unwrap().parse().unwrap();
        ((pair[0].as_f64().unwrap() * 1_000.0).round() as i64, value)
    };
    let result = &answer["data"]["result"];
    let mut found = BTreeMap::new();
    if answer["data"]["resultType"] == "scalar" {
        found.insert(String::new(), vec![point(result)]);
        return Ok(found);
    }
    for one in result.as_array().unwrap() {
        let labels = one["metric"].as_object().unwrap();
        let labels = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let labels = itom_metrics::LabelSet::from_pairs(labels).to_string();
        let points = match one.get("values") {
            Some(values) => values.as_array().unwrap().iter().map(point).collect(),
            None => vec![point(&one["value"])],
        };
        found.insert(labels, points);
    }
    Ok(found)
}

fn close(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

/// What is different, if anything.
fn difference(ours: &Outcome, theirs: &Outcome) -> Option<String> {
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(_), Err(_)) => return None,
        (Ok(_), Err(error)) => return Some(format!("only there an error: {error}")),
        (Err(error), Ok(_)) => return Some(format!("only here an error: {error}")),
    };
    if ours.keys().ne(theirs.keys()) {
        let missing: Vec<_> = theirs.keys().filter(|labels| !ours.contains_key(*labels)).take(3).collect();
        let more: Vec<_> = ours.keys().filter(|labels| !theirs.contains_key(*labels)).take(3).collect();
        return Some(format!("only there {missing:?}, only here {more:?}"));
    }
    for ((labels, here), there) in ours.iter().zip(theirs.values()) {
        if here.len() != there.len() {
            return Some(format!("{labels}: {} samples here, {} there", here.len(), there.len()));
        }
        for (here, there) in here.iter().zip(there) {
            if here.0 != there.0 || !close(here.1, there.1) {
                return Some(format!("{labels}: {here:?} here, {there:?} there"));
            }
        }
    }
    None
}

const ONLY_THERE_TWICE: &str =
    "only there an error: \"vector cannot contain metrics with the same labelset\"";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn conformance_prometheus_differential() {
    if !peer::is_there("prometheus") {
        return;
    }
    let (queries, seed) = (number("ITOM_DIFFERENTIAL_QUERIES", 300), number("ITOM_DIFFERENTIAL_SEED", 1));
    let folder = Folder::new(&format!("differential-{seed}"));
    let (loaded, series) = data::random(&mut Random::new(seed));
    let markers = loaded.markers;
    let server = Server::prometheus(&folder.0, &["--web.enable-remote-write-receiver"]);
    loaded.send(server.port);
    let compare = |query: &Query, when: When| {
        let text = query.to_string();
        let (here, there) = (ours(&series, &text, when), theirs(server.port, &text, when));
        (difference(&here, &there), there)
    };
    let mut random = Random::new(seed ^ 0x5eed);
    let (mut different, mut errors, mut empty, mut passed) = (Vec::new(), 0, 0, 0);
    for _ in 0..queries {
        let query = query::random(&mut random);
        // Seven seconds after a multiple of 30: no window begins where a sample or a step of a subquery is.
        let span = (END - START) / 30_000;
        let at = START + 30_000 * (1 + random.below(span as u64) as i64) + 7_000;
        let step = 30_000 * (1 + random.below(6) as i64);
        for when in [When::At(at), When::Range(at - 20 * step, at, step)] {
            let (found, there) = compare(&query, when);
            errors += u64::from(there.is_err());
            empty += u64::from(there.is_ok_and(|found| found.is_empty()));
            let Some(mut what) = found else { continue };
            if let When::Range(from, to, step) = when
                && what.contains(ONLY_THERE_TWICE)
                && (from..=to).step_by(step as usize).all(|at| compare(&query, When::At(at)).0.is_none())
            {
                passed += 1;
                continue;
            }
            // The smallest part that is still different says most.
            let mut smallest = &query;
            while let Some((part, said)) =
                smallest.parts().find_map(|part| Some((part, compare(part, when).0?)))
            {
                (smallest, what) = (part, said);
            }
            different.push(format!("{query}\n  {when:?}\n  smallest: {smallest}\n  {what}"));
        }
    }
    println!(
        "{queries} queries of seed {seed} over series with {markers} markers of staleness, each twice: {} differ; \
         {errors} errors, {empty} empty, {passed} passed over",
        different.len()
    );
    assert!(errors + empty < queries, "most queries must have an answer: {errors} errors, {empty} empty");
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}
