//! What the durable store reads of memory, and takes out of it once it has moved it.

use itom_core::{CiId, Labels, MetricName, SampleKind};

use super::starts::{Starts, times_of};
use super::{Encoded, SeriesStore, read};
use crate::chunk::Raw;
use crate::selector::Condition;

/// A series with its samples.
#[derive(Debug, Clone)]
pub(crate) struct Scanned {
    pub(crate) metric: MetricName,
    pub(crate) labels: Labels,
    pub(crate) kind: SampleKind,
    pub(crate) subject: Option<CiId>,
    pub(crate) samples: Vec<Raw>,
    pub(crate) histograms: Vec<Encoded>,
    pub(crate) starts: Starts,
}

impl SeriesStore {
    /// Hands over each series that fits and has samples with `from <= time <= to`, sorted by metric and labels.
    pub(crate) fn scan<E>(
        &self,
        conditions: &[Condition],
        (from, to): (i64, i64),
        mut each: impl FnMut(Scanned) -> Result<(), E>,
    ) -> Result<(), E> {
        for series in self.series_matching(conditions) {
            let (snapshot, histograms, subject, starts) = {
                let state = series.lock();
                let (snapshot, histograms) =
                    (state.body.snapshot(from, to), state.histograms_within(from, to));
                (snapshot, histograms, state.subject, state.starts.clone())
            };
            let samples = snapshot.read(from, to);
            let starts = starts.map_or_else(Starts::default, |starts| {
                starts.of_times(times_of(&samples, &histograms).into_iter())
            });
            if !samples.is_empty() || !histograms.is_empty() {
                let (metric, labels) = (series.metric().clone(), series.labels().clone());
                each(Scanned { metric, labels, kind: series.kind(), subject, samples, histograms, starts })?;
            }
        }
        Ok(())
    }

    /// Metric and labels of each series that fits.
    pub(crate) fn described(&self, conditions: &[Condition]) -> Vec<(MetricName, Labels)> {
        let series = self.series_matching(conditions);
        series.iter().map(|one| (one.metric().clone(), one.labels().clone())).collect()
    }

    /// Says that samples up to this time are about to be moved out of memory: series that are made from now on may have
    /// had such.
    pub(crate) fn moving(&self, through: i64) {
        self.moved.fetch_max(through, std::sync::atomic::Ordering::AcqRel);
    }

    /// Removes the samples of one series with `from <= time <= to`, which were moved, if they are exactly so many; how
    /// many went.
    pub(crate) fn cut_moved(
        &self,
        metric: &MetricName,
        labels: &Labels,
        (from, to): (i64, i64),
        count: usize,
    ) -> usize {
        let Some(entry) = read(&self.metrics).get(metric).cloned() else { return 0 };
        let Some(series) = read(&entry.index).get(labels).cloned() else { return 0 };
        let mut state = series.lock();
        let floats = state.body.snapshot(from, to).read(from, to);
        let histograms = state.histograms_within(from, to);
        if floats.len() + histograms.len() != count {
            return 0;
        }
        let newest = floats.last().map(|one| one.0).max(histograms.last().map(|one| one.0));
        state.moved = state.moved.max(newest.unwrap_or(i64::MIN));
        self.cut_locked(&mut state, from, to)
    }
}
