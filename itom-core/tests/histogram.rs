//! Histograms as data: bounds, spans, text, and whatever bytes claim to be one.

use itom_core::{Buckets, CounterReset, CustomBounds, Histogram, HistogramError, Schema, Span};
use proptest::prelude::*;

fn schema(number: i32) -> Schema {
    Schema::new(number).expect("within -4 and 8")
}

#[test]
fn bounds_are_those_of_the_specification() {
    assert_eq!(schema(0).bound(0), 1.0);
    assert_eq!(schema(0).bound(-1), 0.5);
    assert_eq!(schema(-4).bound(1), 65_536.0);
    assert_eq!(schema(1).bound(1), std::f64::consts::SQRT_2);
    assert_eq!(schema(8).bound(256), 2.0);
    // 2^1024 is beyond floats: the bucket that reaches it ends at the largest float.
    assert_eq!((schema(0).bound(1024), schema(0).bound(1025)), (f64::MAX, f64::INFINITY));
    assert_eq!((schema(-4).bound(64), schema(-4).bound(65)), (f64::MAX, f64::INFINITY));
    assert_eq!((schema(0).bound(-1074), schema(0).bound(-1076)), (f64::from_bits(1), 0.0));
    assert_eq!((schema(8).bound(i32::MIN), schema(-4).bound(i32::MAX)), (0.0, f64::INFINITY));
    assert!(Schema::new(9).is_err() && Schema::new(-53).is_err());
    assert!(schema(8) == Schema::MAX && schema(-4) == Schema::MIN);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let custom = |bounds: &[f64], counts: &[f64]| {
        let mut histogram = Histogram::custom(CustomBounds::new(bounds)?);
        histogram.positive = Buckets::dense(0, counts)?;
        histogram.validate()
    };
    assert_eq!(custom(&[1.0, 2.0], &[1.0, 2.0, 3.0]), Ok(()));
    assert_eq!(custom(&[1.0], &[1.0, 2.0, 3.0]), Err(HistogramError::CustomIndex { index: 2, bounds: 1 }));
    assert_eq!(custom(&[1.0, 1.0], &[]), Err(HistogramError::Bounds { position: 1, bound: 1.0 }));
    assert!(custom(&[f64::INFINITY], &[]).is_err() && custom(&[f64::NAN], &[]).is_err());
    assert!(custom(&[1.0], &[-1.0]).is_err());
    let mut histogram = Histogram::custom(CustomBounds::new(&[]).expect("one bucket"));
    histogram.zero_count = 1.0;
    assert_eq!(histogram.validate(), Err(HistogramError::CustomSides));
    let spans = [Span { offset: 0, length: u32::MAX }, Span { offset: 0, length: u32::MAX }];
    assert!(matches!(Buckets::from_spans(&spans, &[1.0]), Err(HistogramError::SpanCounts { .. })));
    let spans = [Span { offset: 0, length: 1 }, Span { offset: -1, length: 1 }];
    let error = Buckets::from_spans(&spans, &[1.0, 1.0]).unwrap_err();
    assert_eq!(error, HistogramError::SpanOffset { span: 1, offset: -1 });
}

#[test]
fn it_prints_as_prometheus_prints_it() {
    let mut histogram = Histogram::exponential(schema(0));
    (histogram.zero_threshold, histogram.zero_count) = (0.001, 1.0);
    (histogram.count, histogram.sum) = (1e6, -0.000_05);
    histogram.positive = Buckets::dense(1, &[2.5, 0.0]).expect("near");
    histogram.negative = Buckets::dense(0, &[1.0, 2.0]).expect("near");
    let text = "{count:1e+06, sum:-5e-05, [-2,-1):2, [-1,-0.5):1, [-0.001,0.001]:1, (1,2]:2.5}";
    assert_eq!(histogram.to_string(), text);
}

#[test]
fn what_serializes_no_histogram_is_refused() {
    for text in [
        r#"{"schema":9,"count":1,"sum":1}"#,
        r#"{"schema":0,"bounds":[1],"count":1,"sum":1}"#,
        r#"{"schema":-53,"bounds":[2,1],"count":1,"sum":1}"#,
        r#"{"schema":0,"count":1,"sum":1,"reset":"perhaps"}"#,
        r#"{"schema":0,"count":1,"sum":1,"positive":[[0,[1,1]],[1,[1]]]}"#,
        r#"{"schema":0,"count":1,"sum":1,"positive":[[2147483647,[1,1]]]}"#,
        r#"{"schema":0,"count":1,"sum":1,"positve":[]}"#,
    ] {
        assert!(serde_json::from_str::<Histogram>(text).is_err(), "{text}");
    }
}

fn buckets() -> impl Strategy<Value = Buckets> {
    let index = prop_oneof![-20..20_i32, any::<i32>(), Just(i32::MAX), Just(i32::MIN)];
    prop::collection::vec((index, -5.0..50.0_f64), 0..12).prop_map(|entries| {
        let mut buckets = Buckets::new();
        for (index, count) in entries {
            buckets.add(index, count);
        }
        buckets
    })
}

fn any_histogram() -> impl Strategy<Value = Histogram> {
    (buckets(), buckets(), -4..=8_i32, any::<f64>(), any::<f64>(), prop::option::of(0..5_usize), 0..4_usize)
        .prop_map(|(positive, negative, number, sum, zero, custom, hint)| {
            let mut histogram = match custom {
                Some(n) => Histogram::custom(
                    CustomBounds::new(&(0..n).map(|n| n as f64).collect::<Vec<_>>()).expect("ascending"),
                ),
                None => Histogram::exponential(schema(number)),
            };
            histogram.reset =
                [CounterReset::Unknown, CounterReset::Reset, CounterReset::NotReset, CounterReset::Gauge]
                    [hint];
            (histogram.positive, histogram.negative) = (positive, negative);
            (histogram.sum, histogram.zero_threshold, histogram.zero_count) = (sum, zero, -zero);
            histogram
        })
}

proptest! {
    #[test]
    fn l10_any_histogram_shows_itself_and_reads_back(histogram in any_histogram()) {
        let _ = histogram.validate();
        let text = histogram.to_string();
        let framed = text.starts_with("{count:") && text.ends_with('}');
        prop_assert!(framed, "{text}");
        let listed = histogram.buckets().count();
        prop_assert_eq!(histogram.buckets().rev().count(), listed);
        let counts: Vec<f64> = histogram.positive.counts().collect();
        let spans = histogram.positive.spans();
        prop_assert_eq!(Buckets::from_spans(&spans, &counts).unwrap(), histogram.positive.clone());
        let text = serde_json::to_string(&histogram).unwrap();
        let read: Histogram = serde_json::from_str(&text).unwrap();
        prop_assert!(read.same_bits(&histogram) || histogram.sum.is_nan() || histogram.zero_threshold.is_nan(), "{text}");
        prop_assert_eq!(read.reset, histogram.reset);
    }

    #[test]
    fn l10_any_spans_are_refused_or_ascending(
        spans in prop::collection::vec((any::<i32>(), prop_oneof![0..4_u32, any::<u32>()]), 0..6),
        counts in prop::collection::vec(any::<f64>(), 0..12),
    ) {
        let spans: Vec<Span> = spans.into_iter().map(|(offset, length)| Span { offset, length }).collect();
        if let Ok(buckets) = Buckets::from_spans(&spans, &counts) {
            let indexes: Vec<i32> = buckets.iter().map(|entry| entry.0).collect();
            prop_assert!(indexes.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(buckets.len(), counts.len());
        }
    }

    #[test]
    fn a_bucket_fits_into_one_of_a_coarser_schema(index in -2000..2000_i32, fine in -4..=8_i32, coarse in -4..=8_i32) {
        prop_assume!(coarse <= fine);
        let (fine, coarse) = (schema(fine), schema(coarse));
        let wide = fine.index_in(coarse, index);
        prop_assert!(fine.bound(index) <= coarse.bound(wide) && coarse.bound(wide - 1) <= fine.bound(index - 1));
    }
}
