//! What is new in a series since a reader last looked.

use std::sync::atomic::Ordering;

use super::series::Series;
use super::{Encoded, SeriesStore, Starts, times_of};
use crate::chunk::Raw;
use crate::selector::Condition;
use crate::{FollowedSeries, LabelSet, SeriesHandle};

/// What came after a time.
#[derive(Debug)]
pub(crate) enum News {
    /// A sample came that is older than the newest.
    Revised,
    /// One float, the ordinary case.
    One(Raw),
    /// Floats and histograms, and when their counters began.
    Some(Vec<Raw>, Vec<Encoded>, Starts),
    /// What is later than the reader has seen was moved out of memory.
    Elsewhere,
}

impl SeriesStore {
    /// How often a series came or went.
    pub(crate) fn came_and_went(&self) -> u64 {
        let removed = self.counts.series_removed.load(Ordering::Acquire);
        removed.wrapping_add(self.counts.series_created.load(Ordering::Acquire))
    }

    /// How often samples were deleted.
    pub(crate) fn deleted(&self) -> u64 {
        self.deletions.load(Ordering::Acquire)
    }

    /// Up to which time samples may have been moved out of memory.
    #[cfg(feature = "durable")]
    pub(crate) fn moved_through(&self) -> i64 {
        self.moved.load(Ordering::Acquire)
    }

    /// The series that fit, sorted by labels.
    pub(crate) fn followed(&self, conditions: &[Condition]) -> Vec<FollowedSeries> {
        let series = self.series_matching(conditions).into_iter().map(|series| {
            let labels = LabelSet::of_metric(series.metric(), series.labels());
            let revision = u64::from(series.lock().revised);
            FollowedSeries { labels, handle: SeriesHandle::new(series), revision }
        });
        let mut series: Vec<FollowedSeries> = series.collect();
        // By metric and labels is not by labels: upper case comes before `__name__`.
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        series
    }

    /// The samples of a series with `after < time <= through` that are not before the floor.
    pub(crate) fn news(
        &self,
        handle: &SeriesHandle,
        (after, through): (i64, i64),
        floor: i64,
        revision: &mut u64,
    ) -> News {
        let none = News::Some(Vec::new(), Vec::new(), Starts::default());
        let Some(series) = handle.get::<Series>() else { return none };
        let state = series.lock();
        if u64::from(state.revised) != *revision {
            *revision = u64::from(state.revised);
            return News::Revised;
        }
        if state.moved > after {
            return News::Elsewhere;
        }
        if state.newest().is_none_or(|newest| newest <= after) {
            return none;
        }
        let from = after.saturating_add(1).max(floor);
        if state.histograms.is_none()
            && state.starts.is_none()
            && let Some(newest) = state.body.only_after(after).filter(|newest| newest.0 >= from)
        {
            return if newest.0 <= through { News::One(newest) } else { none };
        }
        let (snapshot, histograms) =
            (state.body.snapshot(from, through), state.histograms_within(from, through));
        let starts = state.starts.clone();
        drop(state);
        let samples = snapshot.read(from, through);
        let starts = starts.map_or_else(Starts::default, |starts| {
            starts.of_times(times_of(&samples, &histograms).into_iter())
        });
        News::Some(samples, histograms, starts)
    }
}
