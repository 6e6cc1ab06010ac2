//! Stores that keep, beside the samples, what whole stretches of time amount to.

#[cfg(feature = "durable")]
use itom_core::is_stale_nan;

use super::{HistogramBucket, LabelMatcher, LabelSet, Queryable, QueryableError, TimeRange};

/// What the floats of a series in a stretch of time amount to, markers of staleness left out. Stretches end at multiples
/// of their length; a stretch has its end and not its beginning, as the windows of PromQL.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what every store with tiers knows of a stretch")]
pub struct Bucket {
    /// Its last millisecond since the epoch.
    pub end: i64,
    /// How many samples.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least value; NaN only when there is no number.
    pub min: f64,
    /// The largest value; NaN only when there is no number.
    pub max: f64,
    /// The first value.
    pub first: f64,
    /// The time of the first value.
    pub first_at: i64,
    /// The last value.
    pub last: f64,
    /// The time of the last value.
    pub last_at: i64,
    /// What a counter had each time that it began again within the stretch, all together: the counter grew by
    /// `last - first + lost`.
    pub lost: f64,
}

/// The end of the stretch that a time is in.
#[cfg(feature = "durable")]
pub(crate) fn bucket_end(at: i64, length: i64) -> i64 {
    // The next multiple at or after it.
    let below = at.div_euclid(length).saturating_mul(length);
    if below == at { at } else { below.saturating_add(length) }
}

/// The buckets of samples in order of time.
#[cfg(feature = "durable")]
pub(crate) fn buckets_of(samples: &[(i64, u64)], length: i64) -> Vec<Bucket> {
    let mut out: Vec<Bucket> = Vec::new();
    let mut sum = crate::eval::Sum::default();
    for (at, bits) in samples {
        let (at, value) = (*at, f64::from_bits(*bits));
        if is_stale_nan(value) {
            continue;
        }
        let end = bucket_end(at, length);
        match out.last_mut().filter(|bucket| bucket.end == end) {
            Some(bucket) => {
                bucket.count += 1;
                sum.add(value);
                if value < bucket.min || bucket.min.is_nan() {
                    bucket.min = value;
                }
                if value > bucket.max || bucket.max.is_nan() {
                    bucket.max = value;
                }
                if value < bucket.last {
                    bucket.lost += bucket.last;
                }
                (bucket.last, bucket.last_at) = (value, at);
                bucket.sum = sum.total();
            }
            None => {
                sum = crate::eval::Sum::of(value);
                out.push(Bucket {
                    end,
                    count: 1,
                    sum: value,
                    min: value,
                    max: value,
                    first: value,
                    first_at: at,
                    last: value,
                    last_at: at,
                    lost: 0.0,
                });
            }
        }
    }
    out
}

/// A series and its buckets.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "labels and buckets; every store with tiers builds them")]
pub struct BucketSeries {
    /// Its labels, the metric's name among them.
    pub labels: LabelSet,
    /// The buckets of its floats, in order of time.
    pub buckets: Vec<Bucket>,
    /// The buckets of its native histograms, in order of time. A stretch may have one of each.
    pub histograms: Vec<HistogramBucket>,
}

/// A tier: buckets of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a length and a time")]
pub struct TierReach {
    /// The length of its buckets in milliseconds.
    pub length: i64,
    /// From when on it has all buckets, in milliseconds since the epoch.
    pub from: i64,
}

/// A store with tiers.
pub trait Tiered: Queryable {
    /// From when on all samples are there, in milliseconds since the epoch.
    fn samples_from(&self) -> i64;

    /// The tiers, those of shorter buckets first.
    fn tiers(&self) -> Vec<TierReach>;

    /// The buckets of one length, of the series that fit every matcher, that end in the range; sorted by labels. What is
    /// too new for the tier is made of samples.
    ///
    /// # Errors
    /// [`QueryableError`] when a limit is reached or the store cannot be read.
    fn buckets(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        length: i64,
    ) -> Result<Vec<BucketSeries>, QueryableError>;
}

const _: Option<&dyn Tiered> = None;
