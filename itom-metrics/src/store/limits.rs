//! What the store may hold, and how it says no.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{Classify, ErrorKind, Labels, MetricName};

/// How much a store holds and for how long. Reaching a limit refuses what is new and keeps what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreConfig {
    /// How long samples are kept. Default: 2 hours.
    pub retention: Duration,
    /// How much older than the newest sample of its series a sample may be. Default: 10 minutes.
    pub out_of_order: Duration,
    /// How far ahead of `now` a sample may be: one wrong clock must not make all later samples too old. Default: 5
    /// minutes.
    pub ahead: Duration,
    /// Most series. Default: 1,000,000.
    pub max_series: u64,
    /// Most series of one metric: a label with ever new values must not take the room of all others. Default: 200,000.
    pub max_series_per_metric: u64,
    /// Most samples. Default: 500,000,000.
    pub max_samples: u64,
    /// Most bytes, as the store counts them (see [`StoreStats::memory_bytes`](crate::StoreStats)). Default: 1 GiB.
    pub max_memory_bytes: u64,
    /// Most labels of one series. Default: 64.
    pub max_labels: usize,
    /// Most bytes of one label value. Default: 4,096.
    pub max_label_value_bytes: usize,
    /// Most samples that one read may look at. Default: 50,000,000.
    pub max_samples_read: u64,
    /// Most exemplars of all series together; the oldest go. Default: 10,000.
    pub max_exemplars: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(2 * 3600),
            out_of_order: Duration::from_secs(600),
            ahead: Duration::from_secs(300),
            max_series: 1_000_000,
            max_series_per_metric: 200_000,
            max_samples: 500_000_000,
            max_memory_bytes: 1 << 30,
            max_labels: 64,
            max_label_value_bytes: 4_096,
            max_samples_read: 50_000_000,
            max_exemplars: 10_000,
        }
    }
}

/// Why a sample was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Older than the retention, or older than the out-of-order window before the newest sample of its series.
    #[error(
        "the sample is older than the retention or the out-of-order window; send sooner or widen the window"
    )]
    TooOld,
    /// Too far ahead of the store's time.
    #[error("the sample's time is too far in the future; check the clock of the machine that measured it")]
    TooFarAhead,
    /// The series has another value for this time; the first one stays.
    #[error("the series has another value for this time; two sources may be writing the same series")]
    Conflict,
    /// The metric is known as a gauge and this says counter, or the other way round.
    #[error("the metric is known with the other kind (gauge or counter); give one of the two another name")]
    KindMismatch,
    /// There are as many series as the store may hold.
    #[error("the store holds as many series as it may; raise max_series or drop labels")]
    SeriesLimit,
    /// There are as many series of this metric as there may be.
    #[error(
        "the metric has as many series as it may; raise max_series_per_metric or drop the label that varies"
    )]
    MetricSeriesLimit,
    /// There are as many samples as the store may hold.
    #[error("the store holds as many samples as it may; raise max_samples or shorten the retention")]
    SampleLimit,
    /// The store takes as much memory as it may.
    #[error("the store takes as much memory as it may; raise max_memory_bytes or shorten the retention")]
    MemoryLimit,
    /// Too many labels, or a label value that is too long.
    #[error("the series has too many labels or a label value that is too long; drop or shorten labels")]
    LabelLimit,
    /// The histogram is none that can be measured: negative counts, buckets beyond the bounds.
    #[error("the histogram has negative counts or buckets that it cannot have; see what exposes it")]
    InvalidHistogram,
}

impl Refusal {
    /// All reasons, in order.
    pub const ALL: [Self; 10] = [
        Self::TooOld,
        Self::TooFarAhead,
        Self::Conflict,
        Self::KindMismatch,
        Self::SeriesLimit,
        Self::MetricSeriesLimit,
        Self::SampleLimit,
        Self::MemoryLimit,
        Self::LabelLimit,
        Self::InvalidHistogram,
    ];

    /// The value of the label `reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::TooFarAhead => "too_far_ahead",
            Self::Conflict => "conflict",
            Self::KindMismatch => "kind_mismatch",
            Self::SeriesLimit => "series_limit",
            Self::MetricSeriesLimit => "metric_series_limit",
            Self::SampleLimit => "sample_limit",
            Self::MemoryLimit => "memory_limit",
            Self::LabelLimit => "label_limit",
            Self::InvalidHistogram => "invalid_histogram",
        }
    }
}

impl Classify for Refusal {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooOld | Self::TooFarAhead | Self::KindMismatch | Self::InvalidHistogram => {
                ErrorKind::Invalid
            }
            Self::Conflict => ErrorKind::Conflict,
            Self::SeriesLimit
            | Self::MetricSeriesLimit
            | Self::SampleLimit
            | Self::MemoryLimit
            | Self::LabelLimit => ErrorKind::Exhausted,
        }
    }
}

/// Samples refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// How many.
    pub count: u64,
    /// The metric of the first of them.
    pub metric: MetricName,
    /// The labels of the first of them.
    pub labels: Labels,
}

/// What became of appended samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendReport {
    /// How many are stored.
    pub stored: u64,
    /// How many were there already, with the same value: neither stored again nor refused.
    pub duplicates: u64,
    /// What was not stored, by reason.
    pub refused: BTreeMap<Refusal, Refused>,
}

impl AppendReport {
    /// How many were refused for any reason.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.values().map(|refused| refused.count).sum()
    }

    pub(crate) fn refuse(&mut self, reason: Refusal, metric: &MetricName, labels: &Labels) {
        match self.refused.get_mut(&reason) {
            Some(refused) => refused.count += 1,
            None => {
                let refused = Refused { count: 1, metric: metric.clone(), labels: labels.clone() };
                self.refused.insert(reason, refused);
            }
        }
    }
}

/// What became of one sample that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is stored.
    Stored,
    /// The same was there already.
    Duplicate,
}
