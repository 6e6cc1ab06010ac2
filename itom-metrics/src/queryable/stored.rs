//! The embedded stores read and followed by PromQL: floats and histograms, without start times.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{
    FloatPoint, Followable, Followed, FollowedSeries, HistogramPoint, LabelMatcher, LabelSet, Points,
    Queryable, QueryableError, SelectHints, SelectedSeries, SeriesHandle, TimeRange,
};
use crate::SeriesStore;
use crate::chunk::Raw;
use crate::chunk::histogram::decode;
use crate::code::Take;
use crate::selector::Condition;
use crate::store::{Encoded, News, Scanned};

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

fn float((t, bits): Raw) -> FloatPoint {
    FloatPoint { t, v: f64::from_bits(bits) }
}

fn histogram((t, bytes): Encoded) -> Option<HistogramPoint> {
    Some(HistogramPoint { t, h: Arc::new(decode(&mut Take(&bytes))?) })
}

fn selected(series: Scanned) -> SelectedSeries {
    let mut samples = Points::of_floats(series.samples.into_iter().map(float).collect());
    samples.histograms = series.histograms.into_iter().filter_map(histogram).collect();
    SelectedSeries { labels: LabelSet::of_metric(&series.metric, &series.labels), samples }
}

/// Adds what is new.
fn tell(news: News, out: &mut Points) -> Followed {
    match news {
        News::Revised => return Followed::Revised,
        News::One(sample) => out.floats.push(float(sample)),
        News::Some(floats, histograms) => {
            out.floats.extend(floats.into_iter().map(float));
            out.histograms.extend(histograms.into_iter().filter_map(histogram));
        }
    }
    Followed::Continued
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

    fn as_followable(&self) -> Option<&dyn Followable> {
        Some(self)
    }
}

impl Followable for SeriesStore {
    fn series_generation(&self) -> u64 {
        self.came_and_went()
    }

    fn past_generation(&self) -> u64 {
        self.deleted()
    }

    fn floor(&self) -> i64 {
        self.floor.load(Ordering::Relaxed)
    }

    fn resolve(&self, matchers: &[LabelMatcher]) -> Vec<FollowedSeries> {
        conditions(matchers).map_or_else(Vec::new, |conditions| self.followed(&conditions))
    }

    fn follow(
        &self,
        series: &SeriesHandle,
        after: i64,
        through: i64,
        revision: &mut u64,
        out: &mut Points,
    ) -> Result<Followed, QueryableError> {
        Ok(tell(self.news(series, after, through, revision), out))
    }
}

#[cfg(feature = "durable")]
mod durable {
    use super::*;
    use crate::durable::{DurableError, DurableStore};

    fn unreadable(error: DurableError) -> QueryableError {
        match error {
            DurableError::Evaluate(itom_core::EvaluateError::Limit { what, limit }) => {
                QueryableError::Limit { what, limit }
            }
            other => QueryableError::Unavailable(other.into()),
        }
    }

    impl Queryable for DurableStore {
        fn select(
            &self,
            matchers: &[LabelMatcher],
            range: TimeRange,
            hints: &SelectHints,
        ) -> Result<Vec<SelectedSeries>, QueryableError> {
            let Some(conditions) = conditions(matchers) else { return Ok(Vec::new()) };
            let gathered = self.gather(&conditions, (range.from, range.to)).map_err(unreadable)?;
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
}
