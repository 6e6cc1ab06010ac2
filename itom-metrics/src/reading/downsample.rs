//! Fewer points for charts.

use itom_core::{Interval, Timestamp};

/// What lies in one stretch of a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bucket {
    /// Where the stretch begins.
    pub from: Timestamp,
    /// How many values are in it, at least one.
    pub count: u64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The mean.
    pub avg: f64,
    /// The newest value.
    pub last: f64,
}

/// Cuts `range` into `buckets` equal stretches and sums up each that has values; peaks survive as `min` and `max`.
/// Samples outside the range and NaN are left out; an endless range or no buckets give nothing.
///
/// ```
/// use itom_core::{Interval, Timestamp};
/// use itom_metrics::reading::downsample;
/// let at = Timestamp::from_secs;
/// let samples = [(at(0), 1.0), (at(1), 9.0), (at(5), 4.0)];
/// let buckets = downsample(&samples, Interval::new(at(0), at(6)), 2);
/// assert_eq!((buckets[0].min, buckets[0].max, buckets[0].avg), (1.0, 9.0, 5.0));
/// assert_eq!((buckets[1].from, buckets[1].count), (at(3), 1));
/// ```
#[must_use]
pub fn downsample(samples: &[(Timestamp, f64)], range: Interval, buckets: u32) -> Vec<Bucket> {
    let (from, to) = (i128::from(range.from().as_micros()), i128::from(range.to().as_micros()));
    let (span, count) = (to - from, i128::from(buckets));
    if span <= 0 || count == 0 || range.from() == Timestamp::MIN || range.to() == Timestamp::MAX {
        return Vec::new();
    }
    let mut out: Vec<(i128, Bucket)> = Vec::new();
    for (at, value) in samples.iter().copied().filter(|(at, value)| range.contains(*at) && !value.is_nan()) {
        let index = (i128::from(at.as_micros()) - from) * count / span;
        match out.last_mut() {
            Some((last, bucket)) if *last == index => {
                bucket.count += 1;
                bucket.min = bucket.min.min(value);
                bucket.max = bucket.max.max(value);
                bucket.avg += (value - bucket.avg) / bucket.count as f64;
                bucket.last = value;
            }
            _ => {
                // The first microsecond whose index this is; it lies within the range, so it fits.
                let start = from + (index * span + count - 1) / count;
                let from = Timestamp::from_micros(i64::try_from(start).unwrap_or(i64::MAX));
                out.push((index, Bucket { from, count: 1, min: value, max: value, avg: value, last: value }));
            }
        }
    }
    out.into_iter().map(|(_, bucket)| bucket).collect()
}
