//! Retention.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use itom_core::Timestamp;

use super::series::Series;
use super::stats::{add, release};
use super::{SeriesStore, millis_up, read, write};

impl SeriesStore {
    /// Hides what is older than the retention at once, frees runs that are old as a whole, and removes series and
    /// metrics that have nothing left. The horizon never moves back, whatever `now` says. How many samples went.
    pub(crate) fn apply_retention(&self, now: Timestamp) -> usize {
        let floor = millis_up(now - self.config.retention);
        let floor = self.floor.fetch_max(floor, Ordering::Relaxed).max(floor);
        let metrics: Vec<_> =
            read(&self.metrics).iter().map(|(name, metric)| (name.clone(), metric.clone())).collect();
        let mut expired = 0;
        for (name, metric) in metrics {
            let all = read(&metric.index).all().to_vec();
            let mut any_empty = false;
            for series in &all {
                let (samples, empty) = self.expire(series, floor);
                expired += samples;
                any_empty |= empty;
            }
            if !any_empty {
                continue;
            }
            let mut index = write(&metric.index);
            let gone = index.retain(|series| {
                let mut state = series.lock();
                state.retired = state.is_empty();
                !state.retired
            });
            let emptied = index.len() == 0;
            index.retired |= emptied;
            drop(index);
            for series in &gone {
                self.forget(series);
            }
            if emptied {
                let mut metrics = write(&self.metrics);
                if metrics.get(&name).is_some_and(|have| std::sync::Arc::ptr_eq(have, &metric)) {
                    metrics.remove(&name);
                }
            }
        }
        expired
    }

    /// Frees old runs; how many samples went, and whether nothing is left.
    fn expire(&self, series: &Series, floor: i64) -> (usize, bool) {
        let mut state = series.lock();
        let before = state.heap_bytes();
        let expired = state.expire(floor);
        if expired > 0 {
            let after = state.heap_bytes();
            release(&self.counts.memory, before.saturating_sub(after));
            release(&self.counts.samples, expired);
            add(&self.counts.expired, expired);
        }
        (expired, state.is_empty())
    }

    fn forget(&self, series: &Series) {
        let freed = self.interner.lock().unwrap_or_else(PoisonError::into_inner).release(series.labels());
        let body = series.lock().heap_bytes();
        release(&self.counts.memory, freed + body + Series::base_bytes(series.labels()));
        release(&self.counts.series, 1);
        add(&self.counts.series_removed, 1);
    }
}
