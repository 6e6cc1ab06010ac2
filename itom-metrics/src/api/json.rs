//! Results as Prometheus's API writes them.

use itom_core::{Histogram, SampleValue};

use crate::eval::format::{go_api, go_f};
use crate::eval::{MatrixSeries, QueryValue, VectorSample};
use crate::{LabelSet, Points};

/// A text with its quotes.
pub(super) fn text(out: &mut String, text: &str) {
    // Serializing a text to memory does not fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Milliseconds as seconds.
pub(super) fn time(out: &mut String, at: i64) {
    let (seconds, fraction) = (at.unsigned_abs() / 1_000, at.unsigned_abs() % 1_000);
    if at < 0 {
        out.push('-');
    }
    out.push_str(&seconds.to_string());
    if fraction != 0 {
        out.push_str(&format!(".{fraction:03}"));
    }
}

/// Items between brackets.
pub(super) fn list<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (number, one) in items.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        item(out, one);
    }
    out.push(']');
}

pub(super) fn labels(out: &mut String, labels: &LabelSet) {
    out.push('{');
    for (number, (name, value)) in labels.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        text(out, name);
        out.push(':');
        text(out, value);
    }
    out.push('}');
}

fn number(out: &mut String, value: f64) {
    out.push('"');
    out.push_str(&go_api(value));
    out.push('"');
}

fn point(out: &mut String, at: i64, value: f64) {
    out.push('[');
    time(out, at);
    out.push(',');
    number(out, value);
    out.push(']');
}

fn histogram_point(out: &mut String, at: i64, histogram: &Histogram) {
    out.push('[');
    time(out, at);
    out.push_str(",{\"count\":");
    number(out, histogram.count);
    out.push_str(",\"sum\":");
    number(out, histogram.sum);
    let buckets: Vec<_> = histogram.buckets().filter(|bucket| bucket.count != 0.0).collect();
    if !buckets.is_empty() {
        out.push_str(",\"buckets\":");
        list(out, buckets, |out, bucket| {
            let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            out.push_str(&format!("[{rule},"));
            number(out, bucket.lower);
            out.push(',');
            number(out, bucket.upper);
            out.push(',');
            number(out, bucket.count);
            out.push(']');
        });
    }
    out.push_str("}]");
}

fn vector(out: &mut String, sample: &VectorSample) {
    out.push_str("{\"metric\":");
    labels(out, &sample.labels);
    match &sample.value {
        SampleValue::Histogram(histogram) => {
            out.push_str(",\"histogram\":");
            histogram_point(out, sample.t, histogram);
        }
        value => {
            out.push_str(",\"value\":");
            point(out, sample.t, value.as_float().unwrap_or(f64::NAN));
        }
    }
    out.push('}');
}

fn matrix(out: &mut String, series: &MatrixSeries) {
    out.push_str("{\"metric\":");
    labels(out, &series.labels);
    let Points { floats, histograms, .. } = &series.points;
    if !floats.is_empty() {
        out.push_str(",\"values\":");
        list(out, floats, |out, one| point(out, one.t, one.v));
    }
    if !histograms.is_empty() {
        out.push_str(",\"histograms\":");
        list(out, histograms, |out, one| histogram_point(out, one.t, &one.h));
    }
    out.push('}');
}

/// Type and value of a result, without the closing brace; `at` is the time of the evaluation.
pub(super) fn result(value: &QueryValue, at: i64) -> String {
    let mut out = String::new();
    let word = match value {
        QueryValue::Scalar(..) => "scalar",
        QueryValue::String(_) => "string",
        QueryValue::Vector(_) => "vector",
        QueryValue::Matrix(_) => "matrix",
    };
    out.push_str(&format!("{{\"resultType\":\"{word}\",\"result\":"));
    match value {
        // Scalars never have an exponent in Prometheus.
        QueryValue::Scalar(at, value) => {
            out.push('[');
            time(&mut out, *at);
            out.push_str(&format!(",\"{}\"]", go_f(*value)));
        }
        QueryValue::String(found) => {
            out.push('[');
            time(&mut out, at);
            out.push(',');
            text(&mut out, &found.to_string());
            out.push(']');
        }
        QueryValue::Vector(samples) => list(&mut out, samples, vector),
        QueryValue::Matrix(series) => list(&mut out, series, matrix),
    }
    out
}
