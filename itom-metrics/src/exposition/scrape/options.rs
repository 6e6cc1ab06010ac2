//! What a target may expose, and how it is stored.

use crate::exposition::Limits;

/// How the expositions of a target are stored. The names are those of Prometheus's scrape configuration.
///
/// ```
/// use itom_metrics::exposition::ScrapeOptions;
/// let options = ScrapeOptions::default().honor_labels(true).sample_limit(Some(50_000));
/// assert!(options.honor_labels);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrapeOptions {
    /// Whether an exposed label wins over one of the target. If not, it is renamed to `exported_…`. Default: no.
    pub honor_labels: bool,
    /// Whether times in the exposition are used. Default: yes.
    pub honor_timestamps: bool,
    /// Whether classic buckets are stored beside a native histogram. Default: no.
    pub always_scrape_classic_histograms: bool,
    /// Whether `_created` lines of OpenMetrics say since when the counter, histogram or summary beside them counts, and
    /// are no series of their own. A Prometheus does so with its feature flag `created-timestamp-zero-ingestion`, and
    /// without it stores them as series. In protobuf such times are no series, and are always taken. Default: no.
    pub created_timestamps: bool,
    /// Whether `le` and `quantile` of histograms and summaries are spelled in one way in all formats (`1.0`, not `1`),
    /// as Prometheus 3 does. Default: yes.
    pub normalize_bounds: bool,
    /// Whether names that are not of Prometheus's classic form are refused. Default: no.
    pub classic_names_only: bool,
    /// Most samples; with more the scrape fails. Default: any number.
    pub sample_limit: Option<usize>,
    /// Most labels of a series, those of the target and the metric's name included. Default: any number.
    pub label_limit: Option<usize>,
    /// Most bytes of a label name. Default: any number.
    pub label_name_length_limit: Option<usize>,
    /// Most bytes of a label value. Default: any number.
    pub label_value_length_limit: Option<usize>,
    /// How large an exposition may be.
    pub limits: Limits,
}

impl Default for ScrapeOptions {
    fn default() -> Self {
        Self {
            honor_labels: false,
            honor_timestamps: true,
            always_scrape_classic_histograms: false,
            created_timestamps: false,
            normalize_bounds: true,
            classic_names_only: false,
            sample_limit: None,
            label_limit: None,
            label_name_length_limit: None,
            label_value_length_limit: None,
            limits: Limits::default(),
        }
    }
}

impl ScrapeOptions {
    /// Sets [`honor_labels`](Self::honor_labels).
    #[must_use]
    pub const fn honor_labels(mut self, on: bool) -> Self {
        self.honor_labels = on;
        self
    }

    /// Sets [`honor_timestamps`](Self::honor_timestamps).
    #[must_use]
    pub const fn honor_timestamps(mut self, on: bool) -> Self {
        self.honor_timestamps = on;
        self
    }

    /// Sets [`always_scrape_classic_histograms`](Self::always_scrape_classic_histograms).
    #[must_use]
    pub const fn always_scrape_classic_histograms(mut self, on: bool) -> Self {
        self.always_scrape_classic_histograms = on;
        self
    }

    /// Sets [`created_timestamps`](Self::created_timestamps).
    #[must_use]
    pub const fn created_timestamps(mut self, on: bool) -> Self {
        self.created_timestamps = on;
        self
    }

    /// Sets [`normalize_bounds`](Self::normalize_bounds).
    #[must_use]
    pub const fn normalize_bounds(mut self, on: bool) -> Self {
        self.normalize_bounds = on;
        self
    }

    /// Sets [`classic_names_only`](Self::classic_names_only).
    #[must_use]
    pub const fn classic_names_only(mut self, on: bool) -> Self {
        self.classic_names_only = on;
        self
    }

    /// Sets [`sample_limit`](Self::sample_limit).
    #[must_use]
    pub const fn sample_limit(mut self, most: Option<usize>) -> Self {
        self.sample_limit = most;
        self
    }

    /// Sets [`label_limit`](Self::label_limit).
    #[must_use]
    pub const fn label_limit(mut self, most: Option<usize>) -> Self {
        self.label_limit = most;
        self
    }

    /// Sets [`label_name_length_limit`](Self::label_name_length_limit).
    #[must_use]
    pub const fn label_name_length_limit(mut self, most: Option<usize>) -> Self {
        self.label_name_length_limit = most;
        self
    }

    /// Sets [`label_value_length_limit`](Self::label_value_length_limit).
    #[must_use]
    pub const fn label_value_length_limit(mut self, most: Option<usize>) -> Self {
        self.label_value_length_limit = most;
        self
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}
