//! When the counters of a series began, as said with their samples.

use std::sync::{Arc, PoisonError};

use itom_core::{Labels, MetricName, Timestamp};

use super::series::{Series, State};
use super::stats::{add, release, reserve};
use super::{Encoded, SeriesStore, read};
use crate::chunk::Raw;

/// Where the start changes, in order of time: from which sample on, and since when it counts, both in milliseconds. A
/// start of 0 is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Starts(pub(crate) Vec<(i64, i64)>);

/// Since when a counter counts, as said with one of its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "like NewSample: built by whoever appends")]
pub struct NewStart {
    /// The metric.
    pub metric: MetricName,
    /// What tells this series from others of the metric.
    pub labels: Labels,
    /// The time of the sample that it was said with.
    pub at: Timestamp,
    /// Since when it counts; `None` takes back what an earlier sample said.
    pub start: Option<Timestamp>,
}

impl Starts {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The start that a sample of this time has.
    pub(crate) fn at(&self, time: i64) -> i64 {
        let after = self.0.partition_point(|one| one.0 <= time);
        after.checked_sub(1).and_then(|place| self.0.get(place)).map_or(0, |one| one.1)
    }

    /// Adds where a later sample changes the start.
    pub(crate) fn push(&mut self, time: i64, start: i64) {
        if start != self.0.last().map_or(0, |last| last.1) {
            self.0.push((time, start));
        }
    }

    /// What is needed for samples of these times, which come in order.
    pub(crate) fn of_times(&self, times: impl Iterator<Item = i64>) -> Self {
        let mut out = Self::default();
        if !self.is_empty() {
            times.for_each(|time| out.push(time, self.at(time)));
        }
        out
    }

    /// Says the start of the sample at a time; those of later samples, the next of which is at `next`, stay.
    fn set(&mut self, time: i64, start: i64, next: Option<i64>) {
        if let Some(next) = next
            && !self.0.iter().any(|one| one.0 == next)
        {
            let place = self.0.partition_point(|one| one.0 < next);
            self.0.insert(place, (next, self.at(next)));
        }
        let place = self.0.partition_point(|one| one.0 < time);
        match self.0.get_mut(place).filter(|one| one.0 == time) {
            Some(there) => there.1 = start,
            None => self.0.insert(place, (time, start)),
        }
        let mut last = 0;
        self.0.retain(|one| std::mem::replace(&mut last, one.1) != one.1);
    }

    pub(super) const fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.0.capacity() * size_of::<(i64, i64)>()
    }
}

/// For which samples a start holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The one that it was said with, and those that are to come.
    One,
    /// All from that one on.
    AllLater,
}

/// The times of floats and of histograms, in order.
pub(crate) fn times_of(samples: &[Raw], histograms: &[Encoded]) -> Vec<i64> {
    let mut times: Vec<i64> =
        samples.iter().map(|one| one.0).chain(histograms.iter().map(|one| one.0)).collect();
    times.sort_unstable();
    times
}

impl SeriesStore {
    /// Takes down since when counters count: since their start times, which OpenMetrics calls created. What is said
    /// with a sample holds for it and those that come later, until one says otherwise, so it can be said with every
    /// sample at no cost. It is kept only with a sample that is in the store. Returns how many changed something.
    ///
    /// ```
    /// use itom_core::{Labels, MetricName, SampleKind, Timestamp};
    /// use itom_metrics::{NewSample, NewStart, Samples, SeriesStore, StoreConfig};
    /// let store = SeriesStore::new(StoreConfig::default());
    /// let (metric, labels, at) = (MetricName::new("jobs_total")?, Labels::empty(), Timestamp::from_secs(60));
    /// let (kind, subject, value) = (SampleKind::Counter, None, 7.0);
    /// store.append(at, &[NewSample { metric: metric.clone(), labels: labels.clone(), kind, subject, at, value }]);
    /// let said = NewStart { metric, labels, at, start: Some(Timestamp::from_secs(45)) };
    /// assert_eq!((store.set_starts(&[said.clone()]), store.set_starts(&[said])), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_starts(&self, starts: &[NewStart]) -> u64 {
        let mut changed = 0;
        self.set_starts_noting(starts, Reach::One, |_, _| changed += 1);
        changed
    }

    /// As [`set_starts`](Self::set_starts); `noted` is told the index of each that changed something, and its series.
    pub(crate) fn set_starts_noting(
        &self,
        starts: &[NewStart],
        reach: Reach,
        mut noted: impl FnMut(usize, itom_core::SampleKind),
    ) {
        for (index, one) in starts.iter().enumerate() {
            let Some(entry) = read(&self.metrics).get(&one.metric).cloned() else { continue };
            let Some(series) = read(&entry.index).get(&one.labels).cloned() else { continue };
            let start = one.start.map_or(0, Timestamp::as_millis);
            if self.set_start(&series, one.at.as_millis(), start, reach) {
                noted(index, series.kind());
            }
        }
    }

    fn set_start(&self, series: &Arc<Series>, at: i64, start: i64, reach: Reach) -> bool {
        let mut state = series.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state: &mut State = &mut state;
        if start > at || state.starts.as_ref().map_or(0, |starts| starts.at(at)) == start {
            return false;
        }
        if state.body.latest(at, at).is_none() && !state.has_histogram(at) {
            return false;
        }
        let last = reach == Reach::AllLater || state.newest() == Some(at);
        let next = if last { None } else { state.after(at) };
        let before = state.heap_bytes();
        // Two more places, and what growing reserves.
        let worst = state.starts.as_ref().map_or(0, |starts| starts.heap_bytes()) + 128;
        if !reserve(&self.counts.memory, worst as u64, self.config.max_memory_bytes) {
            return false;
        }
        state.starts.get_or_insert_default().set(at, start, next);
        add(&self.counts.memory, state.heap_bytes());
        release(&self.counts.memory, before + worst);
        // Who follows the series has read the sample without it.
        state.revised = state.revised.wrapping_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_sample_has_the_start_that_was_said_with_it(
            said in prop::collection::vec((0..40_i64, 0..4_i64), 1..60), oldest in 0..40_i64,
        ) {
            let mut starts = Starts::default();
            let mut model: BTreeMap<i64, i64> = BTreeMap::new();
            for (at, start) in said {
                // A new sample has the start of the one before it until something else is said.
                let before = model.range(..=at).next_back().map_or(0, |one| *one.1);
                model.entry(at).or_insert(before);
                prop_assert_eq!(starts.at(at), model[&at]);
                if starts.at(at) != start {
                    starts.set(at, start, model.range(at + 1..).next().map(|one| *one.0));
                    model.insert(at, start);
                }
                for (at, start) in &model {
                    prop_assert_eq!(starts.at(*at), *start);
                }
                prop_assert!(starts.0.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
            }
            let of_times = starts.of_times(model.keys().copied());
            let of_later = starts.of_times(model.range(oldest..).map(|one| *one.0));
            for (at, start) in &model {
                prop_assert_eq!(of_times.at(*at), *start);
                prop_assert!(*at < oldest || of_later.at(*at) == *start);
            }
        }
    }
}
