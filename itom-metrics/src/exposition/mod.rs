//! Expositions: how programs show their metrics to whoever asks.
//!
//! Three formats are read: Prometheus's text
//! ([0.0.4 and 1.0.0](https://prometheus.io/docs/instrumenting/exposition_formats/), names of any UTF-8 in quotes),
//! [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/), and Prometheus's delimited protobuf with
//! native histograms. [`families`] gives all that one says; [`TextReader`] gives line by line without copying;
//! [`Scraper`] stores one exposition after the other of one target, at the cost of what changed.
//!
//! ```
//! use itom_metrics::exposition::{Format, Limits, families};
//! let text = b"# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} 1027 1395066363000\n";
//! let found = families(text, Format::Text, &Limits::default())?;
//! assert_eq!(found[0].name.as_str(), "http_requests_total");
//! assert_eq!(found[0].samples[0].value.as_float(), Some(1027.0));
//!
//! let error = families(b"up{job=\"a} 1\n", Format::Text, &Limits::default()).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "line 1, column 8 of the exposition: the quote before the value of the label is never closed"
//! );
//! # Ok::<(), itom_metrics::exposition::ExpositionError>(())
//! ```

mod error;
mod family;
mod number;
mod protobuf;
mod scrape;
mod series;
mod strict;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub use error::ExpositionError;
pub use family::{Family, FamilySample, SampleExemplar, families, families_strict};
pub use scrape::{
    Description, ScrapeFailure, ScrapeOptions, ScrapeReport, ScrapeSink, ScrapedSample, Scraper,
};
pub use series::SeriesText;
pub use text::{ExemplarText, Line, TextReader, ValueText};

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus's text format, version 0.0.4 or 1.0.0.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Delimited messages `io.prometheus.client.MetricFamily`.
    Protobuf,
}

impl Format {
    /// The header `Accept` that asks for all of them, the richest first.
    pub const ACCEPT: &'static str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
         application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";

    /// What a header `Content-Type` says; `None` when it is no format of these.
    ///
    /// ```
    /// use itom_metrics::exposition::Format;
    /// let format = Format::of_content_type("application/openmetrics-text; version=1.0.0; charset=utf-8");
    /// assert_eq!(format, Some(Format::OpenMetrics));
    /// assert_eq!(Format::of_content_type("text/html"), None);
    /// ```
    #[must_use]
    pub fn of_content_type(header: &str) -> Option<Self> {
        let mut parts = header.split(';').map(str::trim);
        let kind = parts.next()?.to_ascii_lowercase();
        match kind.as_str() {
            "application/openmetrics-text" => Some(Self::OpenMetrics),
            "text/plain" => Some(Self::Text),
            "application/vnd.google.protobuf" => {
                let delimited = parts.all(|part| match part.split_once('=') {
                    Some(("proto", name)) => name == "io.prometheus.client.MetricFamily",
                    Some(("encoding", name)) => name == "delimited",
                    _ => true,
                });
                delimited.then_some(Self::Protobuf)
            }
            _ => None,
        }
    }
}

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum FamilyKind {
    /// Nobody said.
    #[default]
    Unknown,
    /// Goes up and down.
    Gauge,
    /// Only grows, and starts again at zero.
    Counter,
    /// How often values fell into which bucket.
    Histogram,
    /// The same for values that come and go.
    GaugeHistogram,
    /// Quantiles that the exposing program calculated.
    Summary,
    /// Text about something, as labels of the value 1.
    Info,
    /// Which of some states is the case.
    StateSet,
}

impl FamilyKind {
    /// The word of the formats; `unknown` for what is not known.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    fn from_word(word: &str, open: bool) -> Option<Self> {
        let all = [
            Self::Unknown,
            Self::Gauge,
            Self::Counter,
            Self::Histogram,
            Self::GaugeHistogram,
            Self::Summary,
            Self::Info,
            Self::StateSet,
        ];
        // `untyped` is the older word, which OpenMetrics does not have.
        let untyped = (word == "untyped" && !open).then_some(Self::Unknown);
        all.into_iter().find(|kind| kind.as_str() == word).or(untyped)
    }

    /// What may follow the family's name in the names of its samples.
    const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Unknown | Self::Gauge | Self::StateSet => &[""],
            Self::Counter => &["_total", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Self::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
            Self::Summary => &["", "_count", "_sum", "_created"],
            Self::Info => &["_info"],
        }
    }
}

/// How large an exposition may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most bytes. Default: 128 MiB.
    pub bytes: usize,
    /// Most bytes of one line, or of one metric family's message. Default: 16 MiB.
    pub line_bytes: usize,
    /// Most labels of one series. Default: 256.
    pub labels: usize,
    /// Most bytes of one label value. Default: 1 MiB.
    pub label_value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 128 << 20, line_bytes: 16 << 20, labels: 256, label_value_bytes: 1 << 20 }
    }
}

impl Limits {
    /// How many bytes the names of the series of a message may have once they are written out: as many as a text may
    /// have, so that a few bytes do not become many.
    pub(crate) fn written_out(&self) -> usize {
        self.bytes.min(u32::MAX as usize)
    }

    /// Sets the most bytes.
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets the most bytes of a line.
    #[must_use]
    pub const fn line_bytes(mut self, bytes: usize) -> Self {
        self.line_bytes = bytes;
        self
    }

    /// Sets the most labels of a series.
    #[must_use]
    pub const fn labels(mut self, labels: usize) -> Self {
        self.labels = labels;
        self
    }

    /// Sets the most bytes of a label value.
    #[must_use]
    pub const fn label_value_bytes(mut self, bytes: usize) -> Self {
        self.label_value_bytes = bytes;
        self
    }
}
