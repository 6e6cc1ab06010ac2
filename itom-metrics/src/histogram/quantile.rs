//! Quantiles and shares, interpolated within buckets.

use itom_core::{Bucket, Histogram};

/// A quantile or share, and what observations of NaN did to it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Share {
    /// The answer.
    pub value: f64,
    /// Some observations were NaN: they count as greater than all others (and belong to no share).
    pub skewed_by_nan: bool,
    /// The answer is NaN because the quantile falls among observations of NaN.
    pub among_nan: bool,
}

impl Share {
    const fn plain(value: f64) -> Self {
        Self { value, skewed_by_nan: false, among_nan: false }
    }
}

/// A zero bucket reaches only to the side on which there are observations.
fn one_sided(histogram: &Histogram, bucket: &mut Bucket) {
    if histogram.negative.is_empty() && !histogram.positive.is_empty() {
        bucket.lower = 0.0;
    } else if histogram.positive.is_empty() && !histogram.negative.is_empty() {
        bucket.upper = 0.0;
    }
}

/// How far into a bucket a value lies, from 0 to 1, when observations are spread evenly (`linear`) or evenly on a
/// logarithmic scale.
pub(super) fn position(bucket: &Bucket, value: f64, linear: bool) -> f64 {
    if linear {
        return (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    let at = value.abs().log2();
    if value > 0.0 { (at - low) / (high - low) } else { 1.0 - (at - high) / (low - high) }
}

/// The reverse of [`position`].
fn value_at(bucket: &Bucket, position: f64, linear: bool) -> f64 {
    if linear {
        return bucket.lower + (bucket.upper - bucket.lower) * position;
    }
    let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        (low + (high - low) * position).exp2()
    } else {
        -(high + (low - high) * (1.0 - position)).exp2()
    }
}

/// The value below which the share `q` of the observations lies: PromQL's `histogram_quantile`.
///
/// Interpolates exponentially in exponential buckets and linearly in the zero bucket and between custom bounds. −Inf
/// for `q` below 0, +Inf above 1, NaN without observations.
#[must_use]
pub fn quantile(q: f64, histogram: &Histogram) -> Share {
    if q < 0.0 {
        return Share::plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return Share::plain(f64::INFINITY);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return Share::plain(f64::NAN);
    }
    // Observations of NaN are in `count` and in no bucket, so only counting from below finds the place.
    let upwards = histogram.sum.is_nan() || q < 0.5;
    let (found, mut count, rank) = if upwards {
        let rank = q * histogram.count;
        let (found, count) = reach(histogram.buckets(), rank);
        (found, count, rank)
    } else {
        let rank = (1.0 - q) * histogram.count;
        let (found, count) = reach(histogram.buckets().rev(), rank);
        (found, count, rank)
    };
    let skewed_by_nan = histogram.sum.is_nan() && {
        let in_buckets: f64 = histogram.buckets().map(|bucket| bucket.count).sum();
        in_buckets < histogram.count
    };
    let Some(mut bucket) = found else {
        return Share { value: f64::NAN, skewed_by_nan: false, among_nan: histogram.sum.is_nan() };
    };
    let custom = histogram.custom_bounds().is_some();
    if custom {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return Share { value: bucket.upper, skewed_by_nan, among_nan: false };
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return Share { value: bucket.lower, skewed_by_nan, among_nan: false };
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        one_sided(histogram, &mut bucket);
    }
    // Rounding can make the buckets more than the count.
    count = count.min(histogram.count);
    if count < rank {
        return if histogram.sum.is_nan() {
            Share { value: f64::NAN, skewed_by_nan: false, among_nan: true }
        } else {
            Share::plain(bucket.upper)
        };
    }
    let within = if upwards { rank - (count - bucket.count) } else { count - rank };
    let linear = custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0);
    let value = value_at(&bucket, within / bucket.count, linear);
    Share { value, skewed_by_nan, among_nan: false }
}

/// The bucket in which so many observations are reached, or the last populated one, and how many they are with it.
fn reach(buckets: impl Iterator<Item = Bucket>, rank: f64) -> (Option<Bucket>, f64) {
    let mut count = 0.0;
    let mut last = None;
    for bucket in buckets {
        last = Some(bucket);
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    (last, count)
}

/// The share of the observations between two values: PromQL's `histogram_fraction`, interpolated as by [`quantile`].
/// NaN without observations or with a bound that is NaN.
#[must_use]
pub fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> Share {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return Share::plain(f64::NAN);
    }
    if lower >= upper {
        return Share::plain(0.0);
    }
    let custom = histogram.custom_bounds().is_some();
    let mut below = 0.0;
    let (mut lower_rank, mut upper_rank) = (None, None);
    for mut bucket in histogram.buckets() {
        let mut linear = custom;
        if !custom && bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            linear = true;
            one_sided(histogram, &mut bucket);
        } else if custom && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
            // As for classic histograms: a first bucket that ends above zero begins there.
            bucket.lower = if lower == f64::NEG_INFINITY || lower >= 0.0 { 0.0 } else { bucket.lower };
        }
        for (bound, rank) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if rank.is_some() {
                continue;
            }
            if bucket.lower >= bound {
                *rank = Some(below);
            } else if bucket.upper > bound {
                *rank = Some(if bucket.lower == f64::NEG_INFINITY {
                    // Nothing can be said about where in it they lie.
                    bucket.count
                } else {
                    below + bucket.count * position(&bucket, bound, linear)
                });
            }
        }
        below += bucket.count;
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
    }
    let mut counted = histogram.count;
    let mut skewed_by_nan = false;
    if histogram.sum.is_nan() {
        let in_buckets: f64 = histogram.buckets().map(|bucket| bucket.count).sum();
        skewed_by_nan = in_buckets < histogram.count;
        counted = in_buckets;
    }
    let within = |rank: Option<f64>| rank.filter(|rank| *rank <= counted).unwrap_or(counted);
    let value = (within(upper_rank) - within(lower_rank)) / histogram.count;
    Share { value, skewed_by_nan, among_nan: false }
}
