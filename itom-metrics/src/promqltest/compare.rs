//! Whether an answer is what is expected, within the tolerance of the scripts.

use std::collections::BTreeMap;
use std::sync::Arc;

use itom_core::{Histogram, is_stale_nan};

use super::notation::{SequenceValue, SeriesLine};
use crate::eval::{MatrixSeries, VectorSample};
use crate::{LabelSet, METRIC_NAME};
use itom_core::SampleValue;

/// Relative difference that is still equal.
const EPSILON: f64 = 1e-6;

pub(super) fn almost(a: f64, b: f64) -> bool {
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    if !a.is_finite() || !b.is_finite() {
        return false;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

fn same_histogram(wanted: &Histogram, hinted: bool, found: &Histogram) -> bool {
    let buckets = |one: &itom_core::Buckets| -> Vec<(i32, f64)> {
        one.iter().filter(|(_, count)| *count != 0.0).collect()
    };
    let same_buckets = |a: &itom_core::Buckets, b: &itom_core::Buckets| {
        let (a, b) = (buckets(a), buckets(b));
        a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| x.0 == y.0 && almost(x.1, y.1))
    };
    let bounds = |one: &Histogram| one.custom_bounds().map(|bounds| bounds.as_slice().to_vec());
    wanted.schema() == found.schema()
        && bounds(wanted) == bounds(found)
        && almost(wanted.count, found.count)
        && almost(wanted.sum, found.sum)
        && wanted.zero_threshold == found.zero_threshold
        && almost(wanted.zero_count, found.zero_count)
        && same_buckets(&wanted.positive, &found.positive)
        && same_buckets(&wanted.negative, &found.negative)
        && (!hinted || wanted.reset == found.reset)
}

/// What an instant answer has wrong.
pub(super) fn vector(rows: &[SeriesLine], found: &[VectorSample], ordered: bool) -> Option<String> {
    let wanted: BTreeMap<&LabelSet, (usize, &SeriesLine)> =
        rows.iter().enumerate().map(|(place, row)| (&row.labels, (place, row))).collect();
    let mut seen: BTreeMap<&LabelSet, ()> = BTreeMap::new();
    for (place, sample) in found.iter().enumerate() {
        let name = shown(&sample.labels);
        let Some((expected_at, row)) = wanted.get(&sample.labels) else {
            return Some(format!("{name} is in the answer and was not expected"));
        };
        if seen.insert(&sample.labels, ()).is_some() {
            return Some(format!("{name} is in the answer twice"));
        }
        if ordered && place != *expected_at {
            return Some(format!("{name} is at place {} and not at {}", place + 1, expected_at + 1));
        }
        let same = match (row.values.first(), &sample.value) {
            (Some(SequenceValue::Float(wanted)), SampleValue::Float(found)) => almost(*wanted, *found),
            (Some(SequenceValue::Histogram { histogram, hinted }), SampleValue::Histogram(found)) => {
                same_histogram(histogram, *hinted, found)
            }
            _ => false,
        };
        if !same {
            return Some(format!(
                "{name} is {} and not {}",
                value(&sample.value),
                wanted_value(row.values.first())
            ));
        }
    }
    let missing = rows.iter().find(|row| !seen.contains_key(&row.labels));
    missing.map(|row| format!("{} is missing in the answer", shown(&row.labels)))
}

/// What an answer over time has wrong.
pub(super) fn matrix(rows: &[SeriesLine], found: &[MatrixSeries], start: i64, step: i64) -> Option<String> {
    let wanted: BTreeMap<&LabelSet, &SeriesLine> = rows.iter().map(|row| (&row.labels, row)).collect();
    for series in found {
        let name = shown(&series.labels);
        let Some(row) = wanted.get(&series.labels) else {
            return Some(format!("{name} is in the answer and was not expected"));
        };
        let times = (0_i64..).map(|index| start.saturating_add(index.saturating_mul(step)));
        let mut floats = series.points.floats.iter();
        let mut histograms = series.points.histograms.iter();
        for (t, wanted) in times.zip(&row.values) {
            let (same, got) = match wanted {
                SequenceValue::Omitted => continue,
                SequenceValue::Float(wanted) => match floats.next() {
                    Some(point) => {
                        (point.t == t && almost(*wanted, point.v), format!("{} at {}", point.v, point.t))
                    }
                    None => (false, "nothing".to_owned()),
                },
                SequenceValue::Histogram { histogram, hinted } => match histograms.next() {
                    Some(point) => {
                        let same = point.t == t && same_histogram(histogram, *hinted, &point.h);
                        (same, format!("{} at {}", point.h, point.t))
                    }
                    None => (false, "nothing".to_owned()),
                },
            };
            if !same {
                return Some(format!("{name} is {got} and not {} at {t}", wanted_value(Some(wanted))));
            }
        }
        if let Some(t) = floats.next().map(|p| p.t).or(histograms.next().map(|p| p.t)) {
            return Some(format!("{name} has more values than expected, one at {t}"));
        }
    }
    let sorted = found.windows(2).all(|pair| pair[0].labels <= pair[1].labels);
    if !sorted {
        return Some("the series of the answer are not sorted by their labels".to_owned());
    }
    let missing = rows.iter().find(|row| !found.iter().any(|series| series.labels == row.labels));
    missing.map(|row| format!("{} is missing in the answer", shown(&row.labels)))
}

fn wanted_value(value: Option<&SequenceValue>) -> String {
    match value {
        Some(SequenceValue::Float(value)) => value.to_string(),
        Some(SequenceValue::Histogram { histogram, .. }) => histogram.to_string(),
        _ => "nothing".to_owned(),
    }
}

fn value(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => value.to_string(),
        SampleValue::Histogram(histogram) => {
            let histogram: &Arc<Histogram> = histogram;
            histogram.to_string()
        }
        other => format!("{other:?}"),
    }
}

/// A series as people write it.
pub(super) fn shown(labels: &LabelSet) -> String {
    let rest = labels.filtered(|name| name != METRIC_NAME);
    if rest.is_empty() && !labels.metric().is_empty() {
        labels.metric().to_owned()
    } else {
        format!("{}{rest}", labels.metric())
    }
}
