//! Keeping the observations on one side of a value: PromQL's `</` and `>/`.

use itom_core::{Bucket, Buckets, Histogram};

use super::quantile::position;

/// Keeps the observations at or below `limit`, estimating how many of the bucket that it cuts: PromQL's `</`.
///
/// The sum is estimated from the buckets when anything went. Of a bucket that reaches to infinity nothing can be
/// estimated on its open side, and it goes or stays as a whole.
pub fn trim_upper(histogram: &mut Histogram, limit: f64) {
    trim(histogram, limit, true);
}

/// Keeps the observations above `limit`: PromQL's `>/`; see [`trim_upper`].
pub fn trim_lower(histogram: &mut Histogram, limit: f64) {
    trim(histogram, limit, false);
}

/// What stays of one bucket: how many, and the value that stands for them.
struct Kept {
    count: f64,
    middle: f64,
}

fn trim(histogram: &mut Histogram, limit: f64, keep_below: bool) {
    let custom = histogram.custom_bounds().is_some();
    let (mut count, mut sum) = (0.0, 0.0);
    let mut changed = false;
    let mut keep = |bucket: &Bucket, linear: bool| {
        let kept = if bucket.lower.is_infinite() || bucket.upper.is_infinite() {
            open_bucket(bucket, limit, keep_below)
        } else {
            closed_bucket(bucket, limit, keep_below, linear)
        };
        changed |= kept.count != bucket.count;
        count += kept.count;
        if kept.count != 0.0 {
            sum += kept.count * kept.middle;
        }
        kept.count
    };

    let (mut positive, mut negative) = (Buckets::new(), Buckets::new());
    for mut bucket in histogram.positive_buckets() {
        bucket.lower =
            if custom { bucket.lower } else { bucket.lower.max(histogram.zero_threshold.min(bucket.upper)) };
        positive.add(bucket.index, keep(&bucket, custom));
    }
    for mut bucket in histogram.negative_buckets() {
        bucket.upper = bucket.upper.min((-histogram.zero_threshold).max(bucket.lower));
        negative.add(bucket.index, keep(&bucket, false));
    }
    let mut zero_count = histogram.zero_count;
    if let Some(mut zero) = histogram.zero_bucket().filter(|bucket| bucket.count != 0.0) {
        if histogram.negative.is_empty() && !histogram.positive.is_empty() {
            zero.lower = 0.0;
        } else if histogram.positive.is_empty() && !histogram.negative.is_empty() {
            zero.upper = 0.0;
        }
        zero_count = keep(&zero, true);
    }
    if changed {
        (histogram.count, histogram.sum, histogram.zero_count) = (count, sum, zero_count);
        (histogram.positive, histogram.negative) = (positive, negative);
        super::compact(histogram);
    }
}

/// A bucket with two ends. `linear` says that observations are spread evenly in it, otherwise on a logarithmic scale.
fn closed_bucket(bucket: &Bucket, limit: f64, keep_below: bool, linear: bool) -> Kept {
    let middle = |from: f64, to: f64| {
        if linear { f64::midpoint(from, to) } else { (from * to).sqrt().copysign(from + to) }
    };
    let whole = Kept { count: bucket.count, middle: middle(bucket.lower, bucket.upper) };
    let nothing = Kept { count: 0.0, middle: 0.0 };
    if limit >= bucket.upper {
        return if keep_below { whole } else { nothing };
    }
    if limit <= bucket.lower {
        return if keep_below { nothing } else { whole };
    }
    let below = bucket.count * position(bucket, limit, linear);
    if keep_below {
        Kept { count: below, middle: middle(bucket.lower, limit) }
    } else {
        Kept { count: bucket.count - below, middle: middle(limit, bucket.upper) }
    }
}

/// A bucket that reaches to infinity on one side or both.
fn open_bucket(bucket: &Bucket, limit: f64, keep_below: bool) -> Kept {
    let whole = |middle: f64| Kept { count: bucket.count, middle };
    let nothing = Kept { count: 0.0, middle: 0.0 };
    if bucket.upper.is_infinite() {
        let everything = if keep_below { limit == f64::INFINITY } else { limit == f64::NEG_INFINITY };
        return match (everything, keep_below) {
            (true, _) => whole(if bucket.lower.is_finite() { bucket.lower } else { 0.0 }),
            // The end above is open: what lies below a limit in it is unknown.
            (false, true) => nothing,
            (false, false) if bucket.lower.is_finite() && limit < f64::INFINITY => {
                whole(bucket.lower.max(limit))
            }
            (false, false) => nothing,
        };
    }
    // Open below. One that ends above zero is taken to begin there, as for classic histograms.
    if bucket.upper > 0.0 {
        return if !keep_below && limit < 0.0 && limit != f64::NEG_INFINITY {
            nothing
        } else {
            let mut from_zero = *bucket;
            from_zero.lower = 0.0;
            closed_bucket(&from_zero, limit, keep_below, true)
        };
    }
    match keep_below {
        true if limit == f64::NEG_INFINITY => nothing,
        true => whole(bucket.upper.min(limit)),
        false if limit == f64::NEG_INFINITY => whole(bucket.upper),
        false => nothing,
    }
}
