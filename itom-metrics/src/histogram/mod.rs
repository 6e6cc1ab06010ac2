//! Calculating with native histograms: pure functions over [`itom_core::Histogram`].
//!
//! The rules are those of PromQL as Prometheus 3 evaluates it; functions carry the names of its `FloatHistogram`.
//! What PromQL tells its user beside the result (a collision of restarts, bounds that differed) comes back as a value.

mod classic;
mod compensated;
mod moments;
mod quantile;
mod reset;
mod shape;
mod sum;
mod trim;

#[cfg(test)]
mod tests;

pub use classic::{ClassicError, ClassicHistogram};
pub use compensated::CompensatedHistogram;
pub use moments::{avg, stddev, stdvar};
pub use quantile::{Share, fraction, quantile};
pub use reset::detect_reset;
pub use shape::{compact, copy_to_schema, has_overflow, reconcile_zero_buckets, reduce_resolution, size};
pub use sum::{Incompatible, Merged, add, div, mul, sub};
pub use trim::{trim_lower, trim_upper};
