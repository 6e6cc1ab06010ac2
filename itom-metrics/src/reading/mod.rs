//! Reading meaning out of samples: pure functions over times and values, oldest first.
//!
//! NaN values are left out everywhere. Nothing is extrapolated: PromQL's `rate` stretches what was measured to the
//! whole window, these functions say what was measured between the first and the last sample.

mod downsample;

use itom_core::Timestamp;

pub use downsample::{Bucket, downsample};

type Sample = (Timestamp, f64);

fn numbers(samples: &[Sample]) -> impl DoubleEndedIterator<Item = Sample> {
    samples.iter().copied().filter(|(_, value)| !value.is_nan())
}

/// By how much a counter grew between two neighbouring samples: a counter that fell began again at zero.
fn growth(before: f64, after: f64) -> f64 {
    if after < before { after } else { after - before }
}

/// By how much a counter grew from the first to the last sample, restarts at zero counted. `None` with fewer than two
/// samples.
///
/// ```
/// use itom_core::Timestamp;
/// use itom_metrics::reading::increase;
/// let at = Timestamp::from_secs;
/// assert_eq!(increase(&[(at(0), 5.0), (at(10), 9.0), (at(20), 2.0)]), Some(6.0));
/// ```
#[must_use]
pub fn increase(samples: &[Sample]) -> Option<f64> {
    let mut numbers = numbers(samples);
    let mut before = numbers.next()?.1;
    let mut total = None;
    for (_, value) in numbers {
        total = Some(total.unwrap_or(0.0) + growth(before, value));
        before = value;
    }
    total
}

/// [`increase`] per second between the first and the last sample. `None` with fewer than two samples.
#[must_use]
pub fn rate(samples: &[Sample]) -> Option<f64> {
    let seconds = span(samples)?;
    Some(increase(samples)? / seconds)
}

/// The seconds between the first and the last sample; `None` when not positive.
fn span(samples: &[Sample]) -> Option<f64> {
    let (first, last) = (numbers(samples).next()?.0, numbers(samples).next_back()?.0);
    let seconds = last.as_secs_f64() - first.as_secs_f64();
    (seconds > 0.0).then_some(seconds)
}

/// The growth of a counter per second at each sample but the first, since the sample before it: for charts.
#[must_use]
pub fn rates(samples: &[Sample]) -> Vec<Sample> {
    let numbers: Vec<Sample> = numbers(samples).collect();
    numbers
        .windows(2)
        .filter_map(|pair| {
            let seconds = pair[1].0.as_secs_f64() - pair[0].0.as_secs_f64();
            (seconds > 0.0).then(|| (pair[1].0, growth(pair[0].1, pair[1].1) / seconds))
        })
        .collect()
}

/// The last value minus the first, for gauges. `None` with fewer than two samples.
#[must_use]
pub fn delta(samples: &[Sample]) -> Option<f64> {
    let mut numbers = numbers(samples);
    let first = numbers.next()?.1;
    Some(numbers.next_back()?.1 - first)
}

/// The mean of the values, each counted once whatever the distance between samples. `None` without samples.
#[must_use]
pub fn avg(samples: &[Sample]) -> Option<f64> {
    // A running mean: a plain sum of large values would overflow.
    let mut count = 0.0;
    let mut mean = 0.0;
    for (_, value) in numbers(samples) {
        count += 1.0;
        if f64::is_infinite(mean) || value.is_infinite() {
            mean += value;
        } else {
            mean += value / count - mean / count;
        }
    }
    (count > 0.0).then_some(mean)
}

/// The least value. `None` without samples.
#[must_use]
pub fn min(samples: &[Sample]) -> Option<f64> {
    numbers(samples).map(|(_, value)| value).reduce(f64::min)
}

/// The greatest value. `None` without samples.
#[must_use]
pub fn max(samples: &[Sample]) -> Option<f64> {
    numbers(samples).map(|(_, value)| value).reduce(f64::max)
}

/// The value below which the share `q` of the values lies, interpolated between neighbours as PromQL's
/// `quantile_over_time` does. `None` without samples or when `q` is not within 0 and 1.
#[must_use]
pub fn quantile(samples: &[Sample], q: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let mut values: Vec<f64> = numbers(samples).map(|(_, value)| value).collect();
    values.sort_unstable_by(f64::total_cmp);
    let rank = q * (values.len().checked_sub(1)? as f64);
    let low = *values.get(rank.floor() as usize)?;
    let high = *values.get(rank.ceil() as usize)?;
    let weight = rank - rank.floor();
    // Infinite neighbours would give NaN for a weight of zero.
    Some(if low == high || weight == 0.0 { low } else { low * (1.0 - weight) + high * weight })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(values: &[f64]) -> Vec<Sample> {
        values.iter().enumerate().map(|(n, v)| (Timestamp::from_secs(n as i64 * 10), *v)).collect()
    }

    #[test]
    fn counters_that_restart_are_counted_on() {
        let samples = at(&[10.0, 20.0, f64::NAN, 3.0, 5.0]);
        assert_eq!(increase(&samples), Some(15.0));
        assert_eq!(rate(&samples), Some(15.0 / 40.0));
        assert_eq!(rates(&samples).iter().map(|(_, r)| *r).collect::<Vec<_>>(), [1.0, 0.15, 0.2]);
    }

    #[test]
    fn too_little_is_no_answer() {
        assert_eq!((increase(&at(&[1.0])), rate(&at(&[1.0])), delta(&at(&[1.0]))), (None, None, None));
        assert_eq!((avg(&[]), min(&[]), max(&[]), quantile(&[], 0.5)), (None, None, None, None));
        assert_eq!(quantile(&at(&[1.0]), 1.5), None);
        assert_eq!(avg(&at(&[f64::NAN])), None);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let samples = at(&[4.0, 1.0, 2.0, 3.0]);
        assert_eq!(quantile(&samples, 0.0), Some(1.0));
        assert_eq!(quantile(&samples, 0.5), Some(2.5));
        assert_eq!(quantile(&samples, 1.0), Some(4.0));
        assert_eq!(delta(&samples), Some(-1.0));
    }

    proptest! {
        #[test]
        fn figures_are_ordered(values in proptest::collection::vec(-1e9..1e9_f64, 1..50), q in 0.0..=1.0_f64) {
            let samples = at(&values);
            let (low, high) = (min(&samples).unwrap(), max(&samples).unwrap());
            let slack = 1e-6;
            for figure in [avg(&samples).unwrap(), quantile(&samples, q).unwrap()] {
                prop_assert!(low - slack <= figure && figure <= high + slack);
            }
        }

        #[test]
        fn increase_is_the_sum_over_parts(values in proptest::collection::vec(0_u32..1000, 2..50), cut in 0_usize..50) {
            let samples = at(&values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
            let cut = cut % samples.len();
            let parts = increase(&samples[..=cut]).unwrap_or(0.0) + increase(&samples[cut..]).unwrap_or(0.0);
            prop_assert_eq!(increase(&samples).unwrap(), parts);
            prop_assert!(parts >= 0.0);
        }
    }
}
