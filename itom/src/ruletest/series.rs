//! The series of a test: what comes in by and by, what rules write, and what is looked at.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use itom_alert::prometheus::UnitTest;
use itom_core::{RefusedSample, RuleSink, SampleValue, Text, Timestamp, WrittenSample};
use itom_metrics::promqltest::{SequenceValue, parse_series};
use itom_metrics::{
    LabelMatcher, LabelSet, MemorySeries, Queryable, QueryableError, SelectHints, SelectedSeries, TimeRange,
};

use super::TestFailure;

/// Series that can be read while they grow.
#[derive(Debug, Default)]
pub(super) struct TestSeries(RwLock<MemorySeries>);

impl Queryable for TestSeries {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).select(matchers, range, hints)
    }
}

impl RuleSink for TestSeries {
    fn write(&self, _: Timestamp, samples: &[WrittenSample]) -> Vec<RefusedSample> {
        let mut series = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut refused = Vec::new();
        for (index, sample) in samples.iter().enumerate() {
            let labels = sample.labels.iter().map(|(name, value)| (name.as_str(), value.clone()));
            let (labels, at) = (LabelSet::from_pairs(labels), sample.at.as_millis());
            let stored = match &sample.value {
                SampleValue::Float(value) => series.append_float(&labels, at, *value, 0),
                SampleValue::Histogram(histogram) => {
                    series.append_histogram(&labels, at, (**histogram).clone(), 0)
                }
                _ => continue,
            };
            if let Err(error) = stored
                && !sample.value.is_stale()
            {
                refused.push(RefusedSample { index, reason: error.to_string().into() });
            }
        }
        refused
    }
}

/// What a test's input series hold, in order of time within each.
pub(super) struct Input {
    series: BTreeMap<LabelSet, std::vec::IntoIter<(i64, SequenceValue)>>,
}

impl Input {
    /// Expands the input of a test. A series that is there twice has the samples of the later line, as in promtool.
    pub(super) fn of(test: &UnitTest) -> Result<Self, TestFailure> {
        let step = i64::try_from(test.interval.as_millis()).unwrap_or(i64::MAX);
        let start = test.start.as_millis();
        let mut series = BTreeMap::new();
        for input in &test.input_series {
            let line = format!("{} {}", input.series.trim(), input.values.trim());
            let parsed = parse_series(&line).map_err(|error| {
                TestFailure::of(input.place, format!("input series {}", shortened(&line)), error.to_string())
            })?;
            let at = |index: usize| {
                i64::try_from(index).map_or(i64::MAX, |n| start.saturating_add(n.saturating_mul(step)))
            };
            let samples: Vec<_> = parsed
                .values
                .into_iter()
                .enumerate()
                .filter(|(_, value)| *value != SequenceValue::Omitted)
                .map(|(index, value)| (at(index), value))
                .collect();
            series.insert(parsed.labels, samples.into_iter());
        }
        Ok(Self { series })
    }

    /// Adds what has come up to a time.
    pub(super) fn arrive(&mut self, till: Timestamp, into: &TestSeries) -> Result<(), Text> {
        let mut series = into.0.write().unwrap_or_else(PoisonError::into_inner);
        for (labels, samples) in &mut self.series {
            while let Some((at, _)) = samples.as_slice().first()
                && *at <= till.as_millis()
            {
                let stored = match samples.next() {
                    Some((at, SequenceValue::Float(value))) => series.append_float(labels, at, value, 0),
                    Some((at, SequenceValue::Histogram { histogram, .. })) => {
                        series.append_histogram(labels, at, *histogram, 0)
                    }
                    _ => Ok(()),
                };
                stored.map_err(|error| Text::from(error.to_string()))?;
            }
        }
        Ok(())
    }
}

fn shortened(line: &str) -> String {
    let mut short: String = line.chars().take(80).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}
