//! Mean and spread.

use itom_core::{Bucket, Histogram};

use super::sum::step;

/// The mean of the observations; NaN without any.
#[must_use]
pub fn avg(histogram: &Histogram) -> f64 {
    histogram.sum / histogram.count
}

/// The value that stands for a bucket's observations: the middle, in exponential buckets the geometric one.
pub(super) fn middle(histogram: &Histogram, bucket: &Bucket) -> f64 {
    if histogram.custom_bounds().is_some() {
        f64::midpoint(bucket.lower, bucket.upper)
    } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
        0.0
    } else {
        (bucket.lower * bucket.upper).sqrt().copysign(bucket.upper)
    }
}

/// The estimated variance of the observations, each taken to lie in the middle of its bucket.
#[must_use]
pub fn stdvar(histogram: &Histogram) -> f64 {
    let mean = avg(histogram);
    let (mut sum, mut lost) = (0.0, 0.0);
    for bucket in histogram.buckets().filter(|bucket| bucket.count != 0.0) {
        let distance = middle(histogram, &bucket) - mean;
        step(&mut sum, &mut lost, bucket.count * distance * distance);
    }
    (sum + lost) / histogram.count
}

/// The square root of [`stdvar`].
#[must_use]
pub fn stddev(histogram: &Histogram) -> f64 {
    stdvar(histogram).sqrt()
}
