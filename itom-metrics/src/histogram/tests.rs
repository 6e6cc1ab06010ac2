//! The rules on examples (figures worked out by hand or from the definition) and their laws on anything.

use itom_core::{Buckets, CounterReset, CustomBounds, Histogram, Layout, Schema};
use proptest::prelude::*;

use super::*;

fn schema(number: i32) -> Schema {
    Schema::new(number).unwrap()
}

/// Exponential, with a zero bucket of one.
fn exponential() -> Histogram {
    let mut histogram = Histogram::exponential(schema(0));
    (histogram.zero_threshold, histogram.zero_count) = (0.001, 1.0);
    (histogram.count, histogram.sum) = (34.0, 123.75);
    histogram.positive = Buckets::dense(0, &[2.0, 4.0, 8.0, 16.0]).unwrap();
    histogram.negative = Buckets::dense(0, &[1.0, 2.0]).unwrap();
    histogram
}

fn custom(bounds: &[f64], counts: &[f64], sum: f64) -> Histogram {
    let mut histogram = Histogram::custom(CustomBounds::new(bounds).unwrap());
    histogram.positive = Buckets::dense(0, counts).unwrap();
    (histogram.count, histogram.sum) = (counts.iter().sum(), sum);
    histogram
}

#[track_caller]
fn close(a: f64, b: f64) {
    assert!(
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3) || (a.is_nan() && b.is_nan()) || a == b,
        "{a} {b}"
    );
}

fn upper(histogram: &Histogram, limit: f64) -> Histogram {
    let mut trimmed = histogram.clone();
    trim_upper(&mut trimmed, limit);
    trimmed
}

fn lower(histogram: &Histogram, limit: f64) -> Histogram {
    let mut trimmed = histogram.clone();
    trim_lower(&mut trimmed, limit);
    trimmed
}

#[test]
fn trims_interpolate_in_the_bucket_that_they_cut() {
    let whole = exponential();
    let root = std::f64::consts::SQRT_2;
    for (trimmed, count, sum) in [
        (upper(&whole, root), 8.0, 0.257_093_886_6),
        (lower(&whole, root), 26.0, 116.500_670_65),
        (lower(&whole, 0.0), 30.5, 120.208_402_801_713_08),
        (upper(&whole, 0.0), 3.5, -3.535_783_905_932_737),
        (upper(&whole, -1.0), 2.0, -2.828_427_124_746_19),
        (lower(&whole, f64::INFINITY), 0.0, 0.0),
        (lower(&whole, f64::NEG_INFINITY), 34.0, 123.75),
    ] {
        close(trimmed.count, count);
        assert!((trimmed.sum - sum).abs() < 1e-6, "{} {sum}", trimmed.sum);
    }
    assert_eq!(lower(&whole, 2.0).positive.spans()[0].offset, 2);

    let bounds = custom(&[5.0, 10.0, 15.0, 20.0], &[1.0, 6.0, 4.0, 3.0, 1.0], 172.5);
    for (trimmed, count, sum) in [
        (upper(&bounds, 13.0), 9.4, 75.1),
        (lower(&bounds, 13.0), 5.6, 94.9),
        (upper(&bounds, 7.5), 4.0, 21.25),
        (upper(&bounds, 50.0), 14.0, 150.0),
        (upper(&bounds, f64::INFINITY), 15.0, 172.5),
        (lower(&bounds, 0.0), 15.0, 172.5),
        (upper(&bounds, 0.0), 0.0, 0.0),
    ] {
        close(trimmed.count, count);
        close(trimmed.sum, sum);
    }
    let negative = custom(&[-10.0, 5.0, 10.0], &[2.0, 1.0, 6.0], 0.0);
    close(upper(&negative, 2.0).sum, -23.2);
    close(upper(&negative, -15.0).sum, -30.0);
    let open = custom(&[-5.0], &[1.0, 100.0], 33.0);
    for (limit, sum) in [(-10.0, -500.0), (-2.0, -200.0), (0.0, 0.0), (10.0, 1000.0)] {
        close(lower(&open, limit).sum, sum);
    }
    let from_zero = custom(&[5.0], &[1.0, 100.0], 33.0);
    for (limit, count, sum) in [(-10.0, 100.0, 500.0), (0.0, 101.0, 33.0), (2.0, 100.6, 502.1)] {
        close(lower(&from_zero, limit).count, count);
        close(lower(&from_zero, limit).sum, sum);
    }
    assert_eq!(upper(&custom(&[], &[100.0], 100.0), 10.0).count, 0.0);
}

#[test]
fn a_zero_bucket_leans_to_the_side_that_has_observations() {
    let mut positive = Histogram::exponential(schema(0));
    (positive.zero_threshold, positive.zero_count) = (0.5, 2.0);
    (positive.count, positive.sum) = (12.0, 8.0);
    positive.positive = Buckets::dense(0, &[10.0]).unwrap();
    close(lower(&positive, 0.1).zero_count, 1.6);
    close(upper(&positive, 0.1).sum, 0.02);
    close(upper(&positive, 0.0).count, 0.0);
    close(quantile(0.1, &positive).value, 0.3);
    close(fraction(0.0, 0.25, &positive).value, 1.0 / 12.0);
    let mut alone = Histogram::exponential(schema(0));
    (alone.zero_threshold, alone.zero_count, alone.count) = (0.1, 5.0, 5.0);
    close(upper(&alone, 0.05).sum, -0.093_75);
    close(quantile(0.25, &alone).value, -0.05);
}

#[test]
fn quantiles_follow_the_layout() {
    let mut histogram = Histogram::exponential(schema(0));
    histogram.positive = Buckets::dense(1, &[4.0]).unwrap();
    (histogram.count, histogram.sum) = (4.0, 6.0);
    // Half of the observations in (1, 2] lie below the geometric middle.
    close(quantile(0.5, &histogram).value, std::f64::consts::SQRT_2);
    close(fraction(1.0, std::f64::consts::SQRT_2, &histogram).value, 0.5);
    let bounds = custom(&[5.0, 10.0], &[2.0, 2.0, 4.0], 0.0);
    close(quantile(0.125, &bounds).value, 2.5);
    close(quantile(0.375, &bounds).value, 7.5);
    close(quantile(0.9, &bounds).value, 10.0);
    assert_eq!(quantile(-0.1, &bounds).value, f64::NEG_INFINITY);
    assert_eq!(quantile(1.1, &bounds).value, f64::INFINITY);
    close(fraction(f64::NEG_INFINITY, 7.5, &bounds).value, 3.0 / 8.0);
    // Two of six observations are NaN: they are above all others.
    histogram.count = 6.0;
    histogram.sum = f64::NAN;
    let skewed = quantile(0.5, &histogram);
    assert!(skewed.skewed_by_nan && skewed.value > 1.6);
    let lost = quantile(0.9, &histogram);
    assert!(lost.among_nan && lost.value.is_nan());
    close(fraction(f64::NEG_INFINITY, f64::INFINITY, &histogram).value, 4.0 / 6.0);
    assert!(fraction(2.0, 3.0, &Histogram::default()).value.is_nan());
}

#[test]
fn sums_reconcile_what_differs() {
    let mut fine = Histogram::exponential(schema(1));
    fine.positive = Buckets::dense(1, &[1.0, 2.0]).unwrap();
    (fine.zero_threshold, fine.zero_count, fine.count) = (0.6, 3.0, 6.0);
    let mut sum = exponential();
    // The zero bucket cannot end within (0.5, 1], which is populated on both sides.
    assert_eq!(add(&mut sum, &fine), Ok(Merged::default()));
    assert_eq!((sum.zero_threshold, sum.zero_count, sum.count), (1.0, 1.0 + 2.0 + 1.0 + 3.0, 40.0));
    assert_eq!(sum.positive.iter().collect::<Vec<_>>(), [(1, 7.0), (2, 8.0), (3, 16.0)]);
    let mut sum = custom(&[2.0, 4.0, 6.0], &[1.0, 2.0, 3.0, 4.0], 1.0);
    let merged = add(&mut sum, &custom(&[3.0, 4.0, 5.0, 6.0], &[1.0, 1.0, 1.0, 1.0, 1.0], 2.0)).unwrap();
    assert!(merged.bounds_reconciled);
    assert_eq!(sum.custom_bounds().unwrap().as_slice(), [4.0, 6.0]);
    assert_eq!(sum.positive.counts().collect::<Vec<_>>(), [5.0, 5.0, 5.0]);
    assert_eq!(add(&mut sum, &fine), Err(Incompatible));
    let mut again = exponential();
    again.reset = CounterReset::Reset;
    let mut on = exponential();
    on.reset = CounterReset::NotReset;
    assert!(add(&mut again, &on).unwrap().reset_collision);
    assert_eq!(again.reset, CounterReset::Unknown);
    div(&mut again, -2.0);
    assert_eq!((again.reset, again.count), (CounterReset::Gauge, -34.0));
    div(&mut again, 0.0);
    assert!(again.positive.is_empty() && has_overflow(&again));
}

#[test]
fn a_restart_shows_in_any_bucket() {
    let before = exponential();
    let mut after = before.clone();
    assert!(!detect_reset(&after, &before));
    (after.count, after.sum) = (40.0, 0.0);
    after.positive.add(9, 6.0);
    assert!(!detect_reset(&after, &before));
    let mut gone = after.clone();
    gone.positive.retain(|index, _| index != 1);
    assert!(detect_reset(&gone, &before));
    gone.reset = CounterReset::NotReset;
    assert!(!detect_reset(&gone, &before));
    let coarse = copy_to_schema(&after, schema(-1)).unwrap();
    assert!(!detect_reset(&coarse, &before) && detect_reset(&before, &coarse));
    let mut wide = after.clone();
    wide.zero_threshold = 0.75;
    assert!(detect_reset(&wide, &before));
    let rolled = custom(&[5.0], &[4.0, 5.0], 0.0);
    assert!(!detect_reset(&rolled, &custom(&[2.0, 5.0], &[2.0, 2.0, 5.0], 0.0)));
    assert!(detect_reset(&rolled, &custom(&[2.0, 5.0], &[2.0, 3.0, 4.0], 0.0)));
    assert!(detect_reset(&rolled, &before));
}

#[test]
fn classic_buckets_become_custom_ones() {
    let mut parts = ClassicHistogram::default();
    for (le, count) in [(1.0, 1.0), (0.5, 1.0), (f64::INFINITY, 4.0)] {
        parts.bucket(le, count).unwrap();
    }
    let native = parts.sum(3.0).convert().unwrap();
    assert_eq!(native.positive.iter().collect::<Vec<_>>(), [(0, 1.0), (2, 3.0)]);
    assert_eq!((native.count, native.validate()), (4.0, Ok(())));
    assert!(parts.bucket(1.0, 2.0).is_err() && parts.bucket(f64::NAN, 2.0).is_err());
    assert!(parts.bucket(2.0, 0.0).unwrap().convert().is_err());
    // Without a bucket for everything the count says what is beyond the last.
    let mut parts = ClassicHistogram::default();
    parts.bucket(1.0, 1.0).unwrap();
    assert_eq!(parts.count(3.0).convert().unwrap().positive.get(1), Some(2.0));
}

#[test]
fn moments_take_the_middle_of_each_bucket() {
    let mut histogram = Histogram::exponential(schema(0));
    histogram.positive = Buckets::dense(1, &[1.0, 1.0]).unwrap();
    (histogram.count, histogram.sum) = (2.0, 3.0 * std::f64::consts::SQRT_2);
    // The middles are sqrt 2 and 2 sqrt 2, the mean lies between them.
    close(avg(&histogram), 1.5 * std::f64::consts::SQRT_2);
    close(stdvar(&histogram), 0.5);
    close(stddev(&histogram), 0.5_f64.sqrt());
}

fn side() -> impl Strategy<Value = Buckets> {
    (-12..12_i32, prop::collection::vec((0..4_i32, 0..50_u32), 0..10)).prop_map(|(start, runs)| {
        let (mut index, mut buckets) = (start, Buckets::new());
        for (gap, count) in runs {
            index += gap;
            buckets.add(index, f64::from(count));
            index += 1;
        }
        buckets
    })
}

prop_compose! {
    /// Whole counts, so that sums are exact in any order.
    fn measured()(
        positive in side(), negative in side(), number in -4..=8_i32, zero in 0..20_u32,
        threshold in prop::sample::select(vec![0.0, 0.001, 0.3, 1.0, 5.0]), sum in -1000..1000_i32,
    ) -> Histogram {
        let mut histogram = Histogram::exponential(schema(number));
        (histogram.zero_threshold, histogram.zero_count) = (threshold, f64::from(zero));
        // What lies below the zero bucket's end does not happen in a measured histogram.
        let Layout::Exponential(own) = histogram.layout.clone() else { unreachable!() };
        (histogram.positive, histogram.negative) = (positive, negative);
        for side in [&mut histogram.positive, &mut histogram.negative] {
            side.retain(|index, _| own.bound(index.saturating_sub(1)) >= threshold);
        }
        histogram.count = observations(&histogram);
        histogram.sum = f64::from(sum);
        histogram
    }
}

prop_compose! {
    fn classic()(counts in prop::collection::vec((1..5_u32, 0..50_u32), 1..8), first in -10..10_i32, sum in -9..9_i32) -> Histogram {
        let mut bound = f64::from(first);
        let bounds: Vec<f64> = counts.iter().skip(1).map(|(step, _)| { bound += f64::from(*step); bound }).collect();
        let counts: Vec<f64> = counts.iter().map(|(_, count)| f64::from(*count)).collect();
        custom(&bounds, &counts, f64::from(sum))
    }
}

fn observations(histogram: &Histogram) -> f64 {
    histogram.zero_count + histogram.positive.counts().sum::<f64>() + histogram.negative.counts().sum::<f64>()
}

fn any_layout() -> impl Strategy<Value = Histogram> {
    prop_oneof![measured(), classic()]
}

proptest! {
    #[test]
    fn adding_commutes_and_counts_everything((a, b) in prop_oneof![(measured(), measured()), (classic(), classic())]) {
        let (mut left, mut right) = (a.clone(), b.clone());
        prop_assert_eq!(add(&mut left, &b).unwrap(), add(&mut right, &a).unwrap());
        compact(&mut left);
        compact(&mut right);
        prop_assert!(left.same_bits(&right), "{left} {right}");
        prop_assert_eq!(observations(&left), a.count + b.count);
        let mut compensated = CompensatedHistogram::new(a.clone());
        compensated.add(&b).unwrap();
        let mut total = compensated.total();
        compact(&mut total);
        prop_assert!(total.same_bits(&left), "{total} {left}");
        prop_assert!(!detect_reset(&left, &a) || a.layout != left.layout || a.zero_threshold != left.zero_threshold);
        sub(&mut left, &b).unwrap();
        prop_assert_eq!(observations(&left), a.count);
    }

    #[test]
    fn a_coarser_copy_counts_the_same(histogram in measured(), number in -4..=8_i32) {
        let own = histogram.schema();
        match copy_to_schema(&histogram, schema(number)) {
            Ok(copy) => {
                prop_assert_eq!(observations(&copy), observations(&histogram));
                prop_assert!(number == own || !detect_reset(&copy, &histogram));
            }
            Err(_) => prop_assert!(number > own),
        }
    }

    #[test]
    fn quantiles_rise_and_shares_are_their_reverse(histogram in any_layout(), mut q in prop::collection::vec(0.0..=1.0_f64, 2..8)) {
        q.sort_by(f64::total_cmp);
        let values: Vec<f64> = q.iter().map(|q| quantile(*q, &histogram).value).collect();
        if histogram.count == 0.0 {
            prop_assert!(values.iter().all(|value| value.is_nan()));
        } else {
            let slack = |value: f64| 1e-9 * value.abs().max(1e-9);
            prop_assert!(values.windows(2).all(|pair| pair[0] <= pair[1] + slack(pair[1])), "{histogram} {values:?}");
            let all = fraction(f64::NEG_INFINITY, f64::INFINITY, &histogram).value;
            prop_assert_eq!(all, 1.0);
        }
    }

    #[test]
    fn trims_partition_the_count(histogram in measured(), limit in prop_oneof![-40.0..40.0_f64, (-5..5_i32).prop_map(|e| 2_f64.powi(e))]) {
        let (below, above) = (upper(&histogram, limit), lower(&histogram, limit));
        prop_assert!((below.count + above.count - histogram.count).abs() < 1e-6, "{histogram}: {below} {above}");
        let share = fraction(f64::NEG_INFINITY, limit, &histogram).value;
        prop_assert!(histogram.count == 0.0 || (share * histogram.count - below.count).abs() < 1e-6);
        prop_assert!((observations(&below) - below.count).abs() < 1e-6);
    }

    #[test]
    fn l10_any_numbers_are_calculated_with(
        numbers in prop::collection::vec(any::<f64>(), 12), indexes in prop::collection::vec(any::<i32>(), 8),
        schemas in (-4..=8_i32, -4..=8_i32), bounds in prop::collection::vec(any::<f64>(), 0..4),
    ) {
        let mut bounds = bounds;
        bounds.sort_by(f64::total_cmp);
        let make = |from: usize, number: i32, bounds: &[f64]| {
            let mut histogram = match CustomBounds::new(bounds) {
                Ok(bounds) if !bounds.as_slice().is_empty() => Histogram::custom(bounds),
                _ => Histogram::exponential(schema(number)),
            };
            (histogram.zero_threshold, histogram.zero_count) = (numbers[from], numbers[from + 1]);
            (histogram.count, histogram.sum) = (numbers[from + 2], numbers[from + 3]);
            for n in 0..4 {
                histogram.positive.add(indexes[n], numbers[from + 4 - n % 2]);
                histogram.negative.add(indexes[7 - n], numbers[from + n]);
            }
            histogram
        };
        let (a, b) = (make(0, schemas.0, &bounds), make(6, schemas.1, bounds.get(1..).unwrap_or(&[])));
        let mut sum = a.clone();
        let _ = add(&mut sum, &b);
        let mut total = CompensatedHistogram::new(a.clone());
        let _ = total.add(&b);
        let _ = (detect_reset(&a, &b), quantile(numbers[11], &a), fraction(numbers[10], numbers[11], &b));
        let _ = (stddev(&a), upper(&b, numbers[11]), lower(&total.total(), numbers[10]), size(&sum));
    }
}
