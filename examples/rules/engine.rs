//! `promql-engine`: an engine behind a pipe, so that another program can judge it.
//!
//! Requests and answers are one JSON object a line. `{"op":"clear"}` and `{"op":"load","series":[…],"nhcb_series":[…]}`
//! answer `{"ok":true}`; `{"op":"eval","kind":"instant","query":…,"time_ms":…}` and
//! `{"op":"eval","kind":"range","query":…,"start_ms":…,"end_ms":…,"step_ms":…}` answer the value with its type, or
//! `{"error":…}`. A value is a number, `"NaN"`, `"+Inf"`, `"-Inf"`, `"stale"`, or `{"h":{…}}` for a histogram.

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use itom::core::SampleValue;
use itom::core::{Buckets, CounterReset, CustomBounds, Histogram, STALE_NAN_BITS, Schema, is_stale_nan};
use itom::metrics::eval::{Answer, Engine, EngineOptions, QueryValue};
use itom::metrics::promql::{self, ParseOptions};
use itom::metrics::{LabelSet, MemorySeries};
use serde_json::{Value, json};

pub(crate) fn run() -> Result<i32, Box<dyn Error>> {
    let options = EngineOptions::default()
        .lookback(Duration::from_secs(300))
        .max_samples(10_000)
        .delayed_name_removal(true)
        .start_timestamps(true);
    let engine = Engine::new(options);
    let mut series = MemorySeries::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = serde_json::from_str::<Value>(&line)
            .map_err(|error| error.to_string())
            .and_then(|request| answer(&engine, &mut series, &request))
            .unwrap_or_else(|error| json!({ "error": error }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(0)
}

fn answer(engine: &Engine, series: &mut MemorySeries, request: &Value) -> Result<Value, String> {
    match request["op"].as_str() {
        Some("clear") => {
            series.clear();
            Ok(json!({ "ok": true }))
        }
        Some("load") => {
            for list in ["series", "nhcb_series"] {
                request[list].as_array().into_iter().flatten().try_for_each(|own| load(series, own))?;
            }
            Ok(json!({ "ok": true }))
        }
        Some("eval") => evaluate(engine, series, request),
        _ => Err("`op` is one of clear, load and eval".to_owned()),
    }
}

fn whole(value: &Value, name: &str) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("`{name}` is a whole number of milliseconds"))
}

fn load(series: &mut MemorySeries, request: &Value) -> Result<(), String> {
    let labels = request["labels"].as_object().ok_or("a series has `labels`")?;
    let labels = LabelSet::from_pairs(
        labels.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())),
    );
    for sample in request["samples"].as_array().into_iter().flatten() {
        let t = whole(&sample[0], "time")?;
        let start = sample[2].as_i64().unwrap_or(0);
        let stored = match &sample[1] {
            Value::Object(value) => series.append_histogram(&labels, t, histogram(&value["h"])?, start),
            value => series.append_float(&labels, t, number(value)?, start),
        };
        stored.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn evaluate(engine: &Engine, series: &MemorySeries, request: &Value) -> Result<Value, String> {
    let query = request["query"].as_str().ok_or("`query` is a text")?;
    let expr = promql::parse_with(query, &ParseOptions::EXPERIMENTAL).map_err(|error| error.to_string())?;
    let time = |name: &str| whole(&request[name], name);
    let answered = if request["kind"] == "range" {
        engine.range(&expr, series, time("start_ms")?, time("end_ms")?, time("step_ms")?)
    } else {
        engine.instant(&expr, series, time("time_ms")?)
    };
    let Answer { value, annotations, .. } = answered.map_err(|error| error.to_string())?;
    let mut json = match value {
        QueryValue::Scalar(_, value) => json!({ "type": "scalar", "value": shown(value) }),
        QueryValue::String(text) => {
            json!({ "type": "string", "value": String::from_utf8_lossy(text.as_bytes()) })
        }
        QueryValue::Vector(samples) => {
            let row = |labels: &LabelSet, value: &SampleValue| {
                let value = match value {
                    SampleValue::Float(value) => shown(*value),
                    SampleValue::Histogram(value) => shown_histogram(value),
                    // No other kind of sample is known to the protocol.
                    _ => Value::Null,
                };
                json!({ "labels": shown_labels(labels), "value": value })
            };
            let rows: Vec<Value> = samples.iter().map(|sample| row(&sample.labels, &sample.value)).collect();
            json!({ "type": "vector", "rows": rows })
        }
        QueryValue::Matrix(list) => {
            let rows: Vec<Value> = list
                .iter()
                .map(|own| {
                    let floats = own.points.floats.iter().map(|point| (point.t, shown(point.v)));
                    let histograms =
                        own.points.histograms.iter().map(|point| (point.t, shown_histogram(&point.h)));
                    let mut points: Vec<(i64, Value)> = floats.chain(histograms).collect();
                    points.sort_by_key(|(t, _)| *t);
                    json!({ "labels": shown_labels(&own.labels), "points": points })
                })
                .collect();
            json!({ "type": "matrix", "rows": rows })
        }
    };
    json["warnings"] = json!(annotations.warnings(query));
    json["infos"] = json!(annotations.infos(query));
    Ok(json)
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::String(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "+Inf" => Ok(f64::INFINITY),
            "-Inf" => Ok(f64::NEG_INFINITY),
            "stale" => Ok(f64::from_bits(STALE_NAN_BITS)),
            other => Err(format!("{other:?} is no value")),
        },
        value => value.as_f64().ok_or_else(|| format!("{value} is no value")),
    }
}

fn shown(value: f64) -> Value {
    if is_stale_nan(value) {
        json!("stale")
    } else if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        json!(value)
    }
}

fn shown_labels(labels: &LabelSet) -> Value {
    labels
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.as_str())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn numbers(value: &Value) -> Result<Vec<f64>, String> {
    value.as_array().into_iter().flatten().map(number).collect()
}

fn histogram(value: &Value) -> Result<Histogram, String> {
    let refused = |error: itom::core::HistogramError| error.to_string();
    let small = |value: &Value, name: &str| {
        value
            .as_i64()
            .and_then(|value| i32::try_from(value).ok())
            .ok_or_else(|| format!("`{name}` is a small number"))
    };
    let schema = small(&value["schema"], "schema")?;
    let mut own = if schema == -53 {
        Histogram::custom(CustomBounds::new(&numbers(&value["custom_values"])?).map_err(refused)?)
    } else {
        Histogram::exponential(Schema::new(schema).map_err(refused)?)
    };
    let side = |side: &Value| {
        Buckets::dense(small(&side["offset"], "offset")?, &numbers(&side["buckets"])?).map_err(refused)
    };
    own.count = number(&value["count"])?;
    own.sum = number(&value["sum"])?;
    own.zero_threshold = number(&value["zero_threshold"])?;
    own.zero_count = number(&value["zero_count"])?;
    own.positive = side(&value["pos"])?;
    own.negative = side(&value["neg"])?;
    own.reset = value["hint"].as_str().and_then(CounterReset::from_name).unwrap_or_default();
    Ok(own)
}

fn shown_histogram(own: &Histogram) -> Value {
    let side = |buckets: &Buckets| {
        let Some((first, _)) = buckets.iter().next() else { return json!({ "offset": 0, "buckets": [] }) };
        let last = buckets.iter().next_back().map_or(first, |(index, _)| index);
        let dense: Vec<Value> =
            (first..=last).map(|index| shown(buckets.get(index).unwrap_or(0.0))).collect();
        json!({ "offset": first, "buckets": dense })
    };
    let mut json = json!({
        "schema": own.schema(),
        "count": shown(own.count),
        "sum": shown(own.sum),
        "zero_threshold": shown(own.zero_threshold),
        "zero_count": shown(own.zero_count),
        "pos": side(&own.positive),
        "neg": side(&own.negative),
        "hint": own.reset.as_str(),
    });
    if let Some(bounds) = own.custom_bounds() {
        json["custom_values"] = json!(bounds.as_slice());
    }
    json!({ "h": json })
}
