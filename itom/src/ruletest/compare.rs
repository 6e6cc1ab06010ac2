//! What is there against what should be.

use std::collections::BTreeMap;

use itom_alert::prometheus::{ExpectedAlert, ExpectedSample, GroupAlert};
use itom_core::{RuleSample, SampleValue};
use itom_metrics::LabelSet;
use itom_metrics::promqltest::{SequenceValue, histogram_notation, parse_series};

/// Both sides as lines, when they are not the same.
pub(super) type Difference = (Vec<String>, Vec<String>);

/// Labels and annotations of an alert; neither of both has a label of no value unless it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FiringAlert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl FiringAlert {
    pub(super) fn of(alert: &GroupAlert) -> Self {
        let labels = alert.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let annotations =
            alert.annotations.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self { labels, annotations }
    }

    fn shown(&self) -> String {
        let all = |texts: &BTreeMap<String, String>| {
            let pairs: Vec<String> = texts.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            format!("{{{}}}", pairs.join(", "))
        };
        format!("labels {} annotations {}", all(&self.labels), all(&self.annotations))
    }
}

pub(super) fn alerts_differ(
    name: &str,
    expected: &[ExpectedAlert],
    mut got: Vec<FiringAlert>,
) -> Option<Difference> {
    let wanted = |alert: &ExpectedAlert| {
        let (mut labels, annotations) = (alert.labels.clone(), alert.annotations.clone());
        labels.insert("alertname".to_owned(), name.to_owned());
        FiringAlert { labels, annotations }
    };
    let mut expected: Vec<FiringAlert> = expected.iter().map(wanted).collect();
    expected.sort();
    got.sort();
    let lines = |alerts: &[FiringAlert]| alerts.iter().map(FiringAlert::shown).collect();
    (expected != got).then(|| (lines(&expected), lines(&got)))
}

#[derive(Debug, Clone)]
struct Row {
    labels: LabelSet,
    value: f64,
    histogram: String,
}

impl Row {
    fn shown(&self) -> String {
        let Self { labels, value, histogram } = self;
        if histogram.is_empty() { format!("{labels} {value}") } else { format!("{labels} {histogram}") }
    }

    fn is(&self, other: &Self, fuzzy: bool) -> bool {
        let (a, b) = (self.value, other.value);
        let near = fuzzy && (a.next_down() == b || a.next_up() == b);
        self.labels == other.labels && self.histogram == other.histogram && (a == b || near)
    }
}

pub(super) fn samples_differ(
    expected: &[ExpectedSample],
    got: &[RuleSample],
    fuzzy: bool,
) -> Result<Option<Difference>, String> {
    let mut wanted = expected.iter().map(expected_row).collect::<Result<Vec<_>, _>>()?;
    let mut found: Vec<Row> = got.iter().map(found_row).collect();
    wanted.sort_by(|a, b| a.labels.cmp(&b.labels));
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    if wanted.len() == found.len() && wanted.iter().zip(&found).all(|(a, b)| a.is(b, fuzzy)) {
        return Ok(None);
    }
    let lines = |rows: &[Row]| rows.iter().map(Row::shown).collect();
    Ok(Some((lines(&wanted), lines(&found))))
}

fn expected_row(sample: &ExpectedSample) -> Result<Row, String> {
    let text = sample.labels.trim();
    let wrong = |reason: String| format!("labels {text:?}: {reason}");
    let labels = if text.is_empty() {
        LabelSet::empty()
    } else {
        let line = parse_series(text).map_err(|error| wrong(error.to_string()))?;
        if !line.values.is_empty() {
            return Err(wrong("something stands behind the series".to_owned()));
        }
        line.labels
    };
    let Some(histogram) = &sample.histogram else {
        return Ok(Row { labels, value: sample.value, histogram: String::new() });
    };
    let line = parse_series(&format!("{{}} {histogram}")).map_err(|error| wrong(error.to_string()))?;
    match line.values.as_slice() {
        [SequenceValue::Histogram { histogram, .. }] => {
            Ok(Row { labels, value: sample.value, histogram: histogram_notation(histogram) })
        }
        [_] => Err(wrong("expected a histogram".to_owned())),
        values => Err(wrong(format!("expected 1 value, got {}", values.len()))),
    }
}

fn found_row(sample: &RuleSample) -> Row {
    let labels = sample.labels.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let labels = LabelSet::from_pairs(labels);
    match &sample.value {
        SampleValue::Float(value) => Row { labels, value: *value, histogram: String::new() },
        SampleValue::Histogram(histogram) => {
            Row { labels, value: 0.0, histogram: histogram_notation(histogram) }
        }
        other => Row { labels, value: f64::NAN, histogram: format!("{other:?}") },
    }
}
