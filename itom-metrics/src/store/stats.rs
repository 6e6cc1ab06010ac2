//! What the store says about itself.

use std::sync::atomic::{AtomicU64, Ordering};

use itom_core::{LabelName, Labels, LabelsBuilder, MetricName, SampleKind};

use super::limits::Refusal;

/// Running counts. Each is right on its own; together they are a moment's impression.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) series: AtomicU64,
    pub(super) samples: AtomicU64,
    pub(super) memory: AtomicU64,
    pub(super) appended: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) series_created: AtomicU64,
    pub(super) series_removed: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

/// Takes `amount` out of what is left below `limit`; all or nothing, also among threads.
pub(super) fn reserve(counter: &AtomicU64, amount: u64, limit: u64) -> bool {
    let before = counter.fetch_add(amount, Ordering::Relaxed);
    let fits = before.checked_add(amount).is_some_and(|after| after <= limit);
    if !fits {
        counter.fetch_sub(amount, Ordering::Relaxed);
    }
    fits
}

pub(super) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}

pub(super) fn release(counter: &AtomicU64, amount: usize) {
    counter.fetch_sub(amount as u64, Ordering::Relaxed);
}

impl Counts {
    pub(super) fn refused(&self, reason: Refusal) {
        if let Some(place) = Refusal::ALL.iter().position(|one| *one == reason) {
            self.refused[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> StoreStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            series: read(&self.series),
            samples: read(&self.samples),
            memory_bytes: read(&self.memory),
            appended: read(&self.appended),
            duplicates: read(&self.duplicates),
            expired: read(&self.expired),
            series_created: read(&self.series_created),
            series_removed: read(&self.series_removed),
            refused: Refusal::ALL
                .iter()
                .zip(&self.refused)
                .map(|(reason, count)| (*reason, read(count)))
                .collect(),
        }
    }
}

/// What a store holds and what it did since it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Series held.
    pub series: u64,
    /// Samples held; those of runs that retention has not yet dropped as a whole included.
    pub samples: u64,
    /// Bytes held for series, labels, index and samples: computed from the sizes of what is kept, without the
    /// allocator's own overhead.
    pub memory_bytes: u64,
    /// Samples stored.
    pub appended: u64,
    /// Samples that were there already.
    pub duplicates: u64,
    /// Samples dropped by retention.
    pub expired: u64,
    /// Series that began.
    pub series_created: u64,
    /// Series that retention removed.
    pub series_removed: u64,
    /// Samples refused, by reason; every reason is listed.
    pub refused: Vec<(Refusal, u64)>,
}

impl StoreStats {
    /// The figures as samples, to be stored or exposed like any other.
    #[must_use]
    pub fn samples_of_self(&self) -> Vec<(MetricName, SampleKind, Labels, f64)> {
        use SampleKind::{Counter, Gauge};
        let plain = [
            ("itom_metrics_series", Gauge, self.series),
            ("itom_metrics_samples", Gauge, self.samples),
            ("itom_metrics_memory_bytes", Gauge, self.memory_bytes),
            ("itom_metrics_samples_appended_total", Counter, self.appended),
            ("itom_metrics_samples_duplicate_total", Counter, self.duplicates),
            ("itom_metrics_samples_expired_total", Counter, self.expired),
            ("itom_metrics_series_created_total", Counter, self.series_created),
            ("itom_metrics_series_removed_total", Counter, self.series_removed),
        ];
        let refused = MetricName::literal("itom_metrics_samples_refused_total");
        let mut out: Vec<_> = plain
            .into_iter()
            .map(|(name, kind, value)| (MetricName::literal(name), kind, Labels::empty(), value as f64))
            .collect();
        out.extend(self.refused.iter().map(|(reason, count)| {
            let labels = LabelsBuilder::default().set(LabelName::literal("reason"), reason.as_str()).build();
            (refused.clone(), Counter, labels, *count as f64)
        }));
        out
    }
}
