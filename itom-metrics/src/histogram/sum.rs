//! Adding, subtracting, scaling.

use itom_core::{Buckets, CounterReset, Histogram, Layout};

use super::shape::{coarser, intersect, reconcile_zero_buckets, rolled_up};

/// Two histograms that cannot be calculated with together: one has exponential buckets, the other custom bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one histogram has exponential buckets and the other custom bounds")]
#[non_exhaustive]
pub struct Incompatible;

impl itom_core::Classify for Incompatible {
    fn kind(&self) -> itom_core::ErrorKind {
        itom_core::ErrorKind::Invalid
    }
}

/// What there is to say about a sum or difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Merged {
    /// One side says that it began again, the other that it did not.
    pub reset_collision: bool,
    /// The custom bounds differed; the result has those that both had.
    pub bounds_reconciled: bool,
}

impl Merged {
    /// Both remarks of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            reset_collision: self.reset_collision || other.reset_collision,
            bounds_reconciled: self.bounds_reconciled || other.bounds_reconciled,
        }
    }
}

/// Adds `other`. Resolution, zero bucket and custom bounds become those that both can be written in; a gauge stays a
/// gauge. The result may list empty buckets, see [`compact`](super::compact).
///
/// # Errors
/// [`Incompatible`]; the histogram is unchanged then.
pub fn add(histogram: &mut Histogram, other: &Histogram) -> Result<Merged, Incompatible> {
    merge(histogram, None, other, 1.0)
}

/// Subtracts `other`, as [`add`] adds it. PromQL's operator `-` marks the result as a gauge besides.
///
/// # Errors
/// [`Incompatible`]; the histogram is unchanged then.
pub fn sub(histogram: &mut Histogram, other: &Histogram) -> Result<Merged, Incompatible> {
    merge(histogram, None, other, -1.0)
}

/// Multiplies every count and the sum; a negative factor makes it a gauge.
pub fn mul(histogram: &mut Histogram, factor: f64) {
    scale(histogram, |count| count * factor);
    if factor < 0.0 {
        histogram.reset = CounterReset::Gauge;
    }
}

/// Divides every count and the sum; a negative divisor makes it a gauge, and dividing by zero leaves no buckets.
pub fn div(histogram: &mut Histogram, divisor: f64) {
    scale(histogram, |count| count / divisor);
    if divisor == 0.0 {
        histogram.positive = Buckets::new();
        histogram.negative = Buckets::new();
    } else if divisor < 0.0 {
        histogram.reset = CounterReset::Gauge;
    }
}

pub(super) fn scale(histogram: &mut Histogram, change: impl Fn(f64) -> f64) {
    for number in [&mut histogram.zero_count, &mut histogram.count, &mut histogram.sum] {
        *number = change(*number);
    }
    histogram.positive.map(&change);
    histogram.negative.map(&change);
}

/// One step of Neumaier's compensated summation.
pub(super) fn step(sum: &mut f64, compensation: &mut f64, value: f64) {
    let total = *sum + value;
    if total.is_infinite() {
        *compensation = 0.0;
    } else if sum.abs() >= value.abs() {
        *compensation += (*sum - total) + value;
    } else {
        *compensation += (value - total) + *sum;
    }
    *sum = total;
}

/// Which restart is known of a sum, and whether the two contradict each other.
const fn merged_reset(a: CounterReset, b: CounterReset) -> (CounterReset, bool) {
    use CounterReset::{Gauge, NotReset, Reset, Unknown};
    match (a, b) {
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Reset, NotReset) | (NotReset, Reset) => (Unknown, true),
        (Unknown, _) | (_, Unknown) => (Unknown, false),
        (Reset, Reset) => (Reset, false),
        (NotReset, NotReset) => (NotReset, false),
    }
}

/// Adds `sign * other` to the sum, and what rounding loses to the compensation.
pub(super) fn merge(
    sum: &mut Histogram,
    mut compensation: Option<&mut Histogram>,
    other: &Histogram,
    sign: f64,
) -> Result<Merged, Incompatible> {
    let mut merged = Merged::default();
    let mut plain = 0.0;
    match (sum.layout.clone(), &other.layout) {
        (Layout::Custom(own), Layout::Custom(others)) => {
            let mut addend = None;
            if own != *others {
                merged.bounds_reconciled = true;
                let shared = intersect(&own, others);
                addend = Some(rolled_up(&other.positive, others, &shared));
                for side in [Some(&mut *sum), compensation.as_deref_mut()].into_iter().flatten() {
                    side.positive = rolled_up(&side.positive, &own, &shared);
                    side.layout = Layout::Custom(shared.clone());
                }
            }
            let addend = addend.as_ref().unwrap_or(&other.positive);
            let lost = compensation.as_deref_mut().map(|histogram| &mut histogram.positive);
            add_buckets(&mut sum.positive, lost, addend.iter(), sign);
        }
        (Layout::Exponential(_), Layout::Exponential(theirs)) => {
            let zero = reconcile_zero_buckets(sum, other, compensation.as_deref_mut());
            let lost = compensation.as_deref_mut().map_or(&mut plain, |histogram| &mut histogram.zero_count);
            step(&mut sum.zero_count, lost, sign * zero);
            add_sides(sum, compensation.as_deref_mut(), other, *theirs, sign);
        }
        _ => return Err(Incompatible),
    }
    (sum.reset, merged.reset_collision) = merged_reset(sum.reset, other.reset);
    let (mut count, mut total) = (0.0, 0.0);
    let (count, total) = match compensation {
        Some(histogram) => (&mut histogram.count, &mut histogram.sum),
        None => (&mut count, &mut total),
    };
    step(&mut sum.count, count, sign * other.count);
    step(&mut sum.sum, total, sign * other.sum);
    Ok(merged)
}

/// Adds both sides of exponential buckets, in the coarser of the two resolutions and outside of the zero bucket.
fn add_sides(
    sum: &mut Histogram,
    mut compensation: Option<&mut Histogram>,
    other: &Histogram,
    theirs: itom_core::Schema,
    sign: f64,
) {
    let Layout::Exponential(own) = sum.layout else { return };
    let schema = own.min(theirs);
    if own > schema {
        for side in [Some(&mut *sum), compensation.as_deref_mut()].into_iter().flatten() {
            side.positive = coarser(&side.positive, own, schema);
            side.negative = coarser(&side.negative, own, schema);
            side.layout = Layout::Exponential(schema);
        }
    }
    // Counted in the zero bucket already. Told by their own bounds: merged ones may reach beyond it.
    let threshold = sum.zero_threshold;
    let reduced = |buckets: &Buckets| {
        let mut merged = Buckets::new();
        for (index, count) in buckets.iter().skip_while(|(index, _)| theirs.bound(*index) <= threshold) {
            merged.add(theirs.index_in(schema, index), count);
        }
        merged
    };
    let (lost_positive, lost_negative) = match compensation {
        Some(histogram) => (Some(&mut histogram.positive), Some(&mut histogram.negative)),
        None => (None, None),
    };
    for (target, lost, source) in [
        (&mut sum.positive, lost_positive, reduced(&other.positive)),
        (&mut sum.negative, lost_negative, reduced(&other.negative)),
    ] {
        add_buckets(target, lost, source.iter(), sign);
    }
}

/// Adds buckets in ascending order, keeping the compensation's buckets the same as the sum's.
fn add_buckets(
    sum: &mut Buckets,
    lost: Option<&mut Buckets>,
    other: impl Iterator<Item = (i32, f64)>,
    sign: f64,
) {
    let mut nothing = Buckets::new();
    let compensated = lost.is_some();
    let lost = lost.unwrap_or(&mut nothing);
    let mut result = Buckets::new();
    let mut result_lost = Buckets::new();
    {
        let mut own = sum.iter().peekable();
        let mut own_lost = lost.iter().peekable();
        let mut emit = |index: i32, mut count: f64, mut rest: f64, value: Option<f64>| {
            if let Some(value) = value {
                step(&mut count, &mut rest, sign * value);
            }
            result.add(index, count);
            if compensated {
                result_lost.add(index, rest);
            }
        };
        let mut take_lost = |index: i32| {
            while own_lost.next_if(|entry| entry.0 < index).is_some() {}
            own_lost.next_if(|entry| entry.0 == index).map_or(0.0, |entry| entry.1)
        };
        for (index, value) in other {
            while let Some((before, count)) = own.next_if(|entry| entry.0 < index) {
                emit(before, count, take_lost(before), None);
            }
            let count = own.next_if(|entry| entry.0 == index).map_or(0.0, |entry| entry.1);
            emit(index, count, take_lost(index), Some(value));
        }
        for (index, count) in own {
            emit(index, count, take_lost(index), None);
        }
    }
    *sum = result;
    *lost = result_lost;
}
