//! The embedded store read by PromQL.

use itom_core::{EvaluateError, Interval, LabelName, SampleSource, Selector, Timestamp};

use super::{
    FloatPoint, LabelMatcher, LabelSet, METRIC_NAME, Points, Queryable, QueryableError, SelectHints,
    SelectedSeries, TimeRange,
};
use crate::{Samples as _, SeriesStore};

/// The store holds floats without start times.
impl Queryable for SeriesStore {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        let interval = Interval::new(
            Timestamp::from_millis(range.from),
            Timestamp::from_millis(range.to.saturating_add(1)),
        );
        let mut found = Vec::new();
        let mut read = 0_u64;
        for metric in self.metrics() {
            let fits = |name: &LabelMatcher| {
                name.name().as_str() != METRIC_NAME || name.matches(metric.name.as_str())
            };
            if !matchers.iter().all(fits) {
                continue;
            }
            let mut selector = Selector::new(metric.name.clone());
            for matcher in matchers.iter().filter(|matcher| matcher.name().as_str() != METRIC_NAME) {
                // Labels with other names than these are in no series of this store; the check below sees to them.
                if let Ok(name) = LabelName::new(matcher.name().as_str()) {
                    selector = selector.with(name, matcher.op(), matcher.value().clone());
                }
            }
            for series in SampleSource::select(self, &selector, interval).map_err(unreadable)? {
                let labels = LabelSet::of_metric(&metric.name, &series.labels);
                if !matchers.iter().all(|one| one.matches(labels.get(one.name()))) {
                    continue;
                }
                read += series.samples.len() as u64;
                if let Some(limit) = hints.max_samples.filter(|limit| read > *limit) {
                    return Err(QueryableError::Limit { what: "samples", limit });
                }
                let floats = series.samples.iter().map(|(at, v)| FloatPoint { t: at.as_millis(), v: *v });
                found.push(SelectedSeries { labels, samples: Points::of_floats(floats.collect()) });
            }
        }
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}

fn unreadable(error: EvaluateError) -> QueryableError {
    match error {
        EvaluateError::Limit { what, limit } => QueryableError::Limit { what, limit },
        other => QueryableError::Unavailable(other.into()),
    }
}
