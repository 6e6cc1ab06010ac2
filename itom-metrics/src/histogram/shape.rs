//! The same observations in other buckets.

use std::mem::swap;

use itom_core::{Buckets, CustomBounds, Histogram, HistogramError, Layout, Schema};

/// Drops listed buckets that are empty.
pub fn compact(histogram: &mut Histogram) {
    histogram.positive.retain(|_, count| count != 0.0);
    histogram.negative.retain(|_, count| count != 0.0);
}

/// The histogram with a coarser (or the same) resolution: neighbouring buckets are merged, nothing is lost.
///
/// # Errors
/// [`HistogramError::Schema`] when the histogram has custom bounds or is coarser already.
pub fn copy_to_schema(histogram: &Histogram, schema: Schema) -> Result<Histogram, HistogramError> {
    let mut copy = histogram.clone();
    reduce_resolution(&mut copy, schema)?;
    Ok(copy)
}

/// [`copy_to_schema`] in place.
///
/// # Errors
/// As [`copy_to_schema`]; the histogram is unchanged then.
pub fn reduce_resolution(histogram: &mut Histogram, schema: Schema) -> Result<(), HistogramError> {
    match histogram.layout {
        Layout::Exponential(own) if own == schema => Ok(()),
        Layout::Exponential(own) if own > schema => {
            histogram.positive = coarser(&histogram.positive, own, schema);
            histogram.negative = coarser(&histogram.negative, own, schema);
            histogram.layout = Layout::Exponential(schema);
            Ok(())
        }
        _ => Err(HistogramError::Schema { number: schema.number() }),
    }
}

/// The buckets merged into those of a coarser schema.
pub(super) fn coarser(buckets: &Buckets, own: Schema, schema: Schema) -> Buckets {
    let mut merged = Buckets::new();
    for (index, count) in buckets.iter() {
        merged.add(own.index_in(schema, index), count);
    }
    merged
}

/// The zero count that a histogram has when its zero bucket grows to at least `wanted`: where that lies within a
/// populated bucket, the zero bucket grows to the end of it.
pub(super) fn zero_count_for(histogram: &Histogram, wanted: f64) -> (f64, f64) {
    let mut threshold = wanted;
    loop {
        let mut count = histogram.zero_count;
        for bucket in histogram.positive_buckets() {
            if bucket.lower >= threshold {
                break;
            }
            count += bucket.count;
            if bucket.upper > threshold {
                if bucket.count != 0.0 {
                    threshold = bucket.upper;
                }
                break;
            }
        }
        let mut grown = false;
        for bucket in histogram.negative_buckets() {
            if bucket.upper <= -threshold {
                break;
            }
            count += bucket.count;
            if bucket.lower < -threshold {
                if bucket.count != 0.0 {
                    // The positive side has to be counted again. It ends: each round reaches a further bound.
                    threshold = -bucket.lower;
                    grown = true;
                }
                break;
            }
        }
        if !grown {
            return (count, threshold);
        }
    }
}

/// Widens the histogram's zero bucket, swallowing the buckets within it.
fn widen_zero(histogram: &mut Histogram, wanted: f64) {
    let (count, threshold) = zero_count_for(histogram, wanted);
    (histogram.zero_count, histogram.zero_threshold) = (count, threshold);
    let bound = |layout: &Layout, index: i32| layout.bound(index.saturating_sub(1));
    let layout = histogram.layout.clone();
    histogram.positive.retain(|index, count| count != 0.0 && bound(&layout, index) >= threshold);
    histogram.negative.retain(|index, count| count != 0.0 && bound(&layout, index) >= threshold);
}

/// Gives the histogram a zero bucket that holds those of both and ends within no populated bucket of either. Returns
/// the zero count that `other` would have with it.
///
/// `compensation` is changed along, when there is one: what belongs to the swallowed buckets moves to its zero count.
pub fn reconcile_zero_buckets(
    histogram: &mut Histogram,
    other: &Histogram,
    mut compensation: Option<&mut Histogram>,
) -> f64 {
    let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
    // Thresholds that are NaN compare with nothing and are left as they are.
    loop {
        if histogram.zero_threshold > threshold {
            (count, threshold) = zero_count_for(other, histogram.zero_threshold);
        } else if threshold > histogram.zero_threshold {
            widen_zero(histogram, threshold);
            if let Some(compensation) = compensation.as_deref_mut() {
                swallow(compensation, &histogram.layout, histogram.zero_threshold);
            }
        } else {
            break;
        }
    }
    count
}

/// Moves everything below the threshold to the zero count, whatever its size.
fn swallow(compensation: &mut Histogram, layout: &Layout, threshold: f64) {
    let mut moved = 0.0;
    let mut keep = |index: i32, count: f64| {
        let outside = layout.bound(index.saturating_sub(1)) >= threshold;
        if !outside {
            moved += count;
        }
        outside
    };
    compensation.positive.retain(&mut keep);
    compensation.negative.retain(&mut keep);
    compensation.zero_count += moved;
    compensation.zero_threshold = threshold;
}

/// Bounds that both have.
pub(super) fn intersect(a: &CustomBounds, b: &CustomBounds) -> CustomBounds {
    let (mut few, mut many) = (a.as_slice(), b.as_slice());
    if few.len() > many.len() {
        swap(&mut few, &mut many);
    }
    let mut rest = many.iter().peekable();
    let mut shared = Vec::with_capacity(few.len());
    for bound in few {
        while rest.next_if(|next| *next < bound).is_some() {}
        if rest.peek() == Some(&bound) {
            shared.push(*bound);
        }
    }
    // A subset of ascending bounds is ascending.
    CustomBounds::new(&shared).unwrap_or_else(|_| a.clone())
}

/// The buckets of custom bounds merged into those between fewer of the same bounds.
pub(super) fn rolled_up(buckets: &Buckets, own: &CustomBounds, fewer: &CustomBounds) -> Buckets {
    let mut merged = Buckets::new();
    for (index, count) in buckets.iter() {
        let upper = own.bound(index);
        let target = fewer.as_slice().partition_point(|bound| *bound < upper);
        merged.add(i32::try_from(target).unwrap_or(i32::MAX), count);
    }
    merged
}

/// Whether any number of it became infinite.
#[must_use]
pub fn has_overflow(histogram: &Histogram) -> bool {
    let sides = histogram.positive.counts().chain(histogram.negative.counts());
    [histogram.zero_count, histogram.count, histogram.sum].into_iter().chain(sides).any(f64::is_infinite)
}

/// The bytes that Prometheus would account for it: what its query limits count.
#[must_use]
pub fn size(histogram: &Histogram) -> usize {
    let spans = histogram.positive.spans().len() + histogram.negative.spans().len();
    let bounds = histogram.custom_bounds().map_or(0, |bounds| bounds.as_slice().len());
    168 + 8 * (spans + histogram.positive.len() + histogram.negative.len() + bounds)
}
