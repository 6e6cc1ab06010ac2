//! Samples over time for the `itom` SDK.
//!
//! **What lives here**: the [series store](SeriesStore) (labels interned and indexed, samples compressed, limits that
//! refuse with a reason), the [`Samples`] trait that other stores implement too, [selectors](CompiledSelector) with
//! RE2's regular expressions, and [`reading`]: rates, quantiles and fewer points for charts as pure functions.
//!
//! **Deliberately absent** without optional features: a clock (`now` is handed in), threads, files, and anything that knows where samples come
//! from.
//!
//! Samples are marked with a time in whole milliseconds, as in Prometheus. A series that stops is absent from instant
//! reads once its last sample is older than the reader's lookback, or at once where a [scraper](exposition::Scraper) left
//! Prometheus's marker of staleness. Every other NaN is a value like any other, and every bit of its payload is kept.

#[cfg(feature = "api")]
pub mod api;
mod chunk;
#[cfg(feature = "prom-api")]
pub mod client;
#[cfg_attr(
    not(any(feature = "durable", feature = "remote-write")),
    expect(dead_code, reason = "the forms of the log are among them")
)]
mod code;
#[cfg(feature = "durable")]
pub mod durable;
pub mod eval;
pub mod exposition;
pub mod histogram;
#[cfg(feature = "http")]
pub mod http;
pub mod promql;
#[cfg(any(test, feature = "testing"))]
pub mod promqltest;
mod queryable;
pub mod reading;
#[cfg(feature = "remote-write")]
pub mod remote_write;
mod selector;
mod store;

pub use queryable::{
    AppendError, Bucket, BucketSeries, FloatPoint, Followable, Followed, FollowedSeries, HistogramBucket,
    HistogramPoint, LabelMatcher, LabelSet, METRIC_NAME, MemorySeries, Points, Queryable, QueryableError,
    SelectHints, SelectedSeries, SeriesHandle, TierReach, Tiered, TimeRange,
};
pub use selector::CompiledSelector;
pub use store::{
    AppendReport, Appended, Exemplar, ExemplarSeries, HistogramSeries, InstantSample, MetricInfo,
    MetricMetadata, NewHistogram, NewSample, NewStart, Refusal, Refused, Samples, SeriesInfo, SeriesRef,
    SeriesStore, StoreConfig, StoreStats,
};
