//! The embedded stores read by PromQL: floats and histograms, without start times.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{
    FloatPoint, HistogramPoint, LabelMatcher, LabelSet, Points, Queryable, QueryableError, SelectHints,
    SelectedSeries, TimeRange,
};
use crate::SeriesStore;
use crate::chunk::histogram::decode;
use crate::code::Take;
use crate::selector::Condition;
use crate::store::Scanned;

/// The conditions of matchers; `None` when nothing can fit, because a label is asked for that none can have.
pub(crate) fn conditions(matchers: &[LabelMatcher]) -> Option<Vec<Condition>> {
    let mut all = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        match matcher.condition() {
            Some(condition) => all.push(condition),
            None if matcher.matches("") => {}
            None => return None,
        }
    }
    Some(all)
}

fn selected(series: Scanned) -> SelectedSeries {
    let floats = series.samples.into_iter().map(|(t, bits)| FloatPoint { t, v: f64::from_bits(bits) });
    let mut samples = Points::of_floats(floats.collect());
    samples.histograms = series
        .histograms
        .into_iter()
        .filter_map(|(t, bytes)| Some(HistogramPoint { t, h: Arc::new(decode(&mut Take(&bytes))?) }))
        .collect();
    SelectedSeries { labels: LabelSet::of_metric(&series.metric, &series.labels), samples }
}

/// Counts what is read against the reader's limit and the store's.
struct Limit {
    read: u64,
    most: u64,
}

impl Limit {
    fn new(hints: &SelectHints, store: u64) -> Self {
        Self { read: 0, most: hints.max_samples.unwrap_or(u64::MAX).min(store) }
    }

    fn count(&mut self, series: &Scanned) -> Result<(), QueryableError> {
        self.read += (series.samples.len() + series.histograms.len()) as u64;
        if self.read > self.most {
            Err(QueryableError::Limit { what: "samples", limit: self.most })
        } else {
            Ok(())
        }
    }
}

impl Queryable for SeriesStore {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        let Some(conditions) = conditions(matchers) else { return Ok(Vec::new()) };
        let from = range.from.max(self.floor.load(Ordering::Relaxed));
        let mut limit = Limit::new(hints, self.config().max_samples_read);
        let mut found = Vec::new();
        self.scan(&conditions, (from, range.to), |series| {
            limit.count(&series)?;
            found.push(selected(series));
            Ok::<(), QueryableError>(())
        })?;
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}

#[cfg(feature = "durable")]
impl Queryable for crate::durable::DurableStore {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        use crate::durable::DurableError;
        let Some(conditions) = conditions(matchers) else { return Ok(Vec::new()) };
        let gathered = self.gather(&conditions, (range.from, range.to)).map_err(|error| match error {
            DurableError::Evaluate(itom_core::EvaluateError::Limit { what, limit }) => {
                QueryableError::Limit { what, limit }
            }
            other => QueryableError::Unavailable(other.into()),
        })?;
        let mut limit = Limit::new(hints, u64::MAX);
        let mut found = Vec::with_capacity(gathered.len());
        for series in gathered.into_values() {
            limit.count(&series)?;
            found.push(selected(series));
        }
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}
