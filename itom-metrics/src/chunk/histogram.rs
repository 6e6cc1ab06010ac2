//! A histogram as few bytes: whole numbers as variable-length integers, buckets by their distance.

use itom_core::{Buckets, CounterReset, CustomBounds, Histogram, Layout, Schema};

use crate::code::{Put, Take};

/// Prometheus's number of custom bounds.
const CUSTOM: i64 = -53;
/// Beyond 2^53 a float no longer tells neighbouring integers apart.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Whole numbers as twice their zigzag form, all others as 1 and eight bytes.
fn put_number(out: &mut Vec<u8>, value: f64) {
    let whole = value as i64;
    if value.abs() <= EXACT && (whole as f64).to_bits() == value.to_bits() {
        out.varint((((whole << 1) ^ (whole >> 63)) as u64) << 1);
    } else {
        out.varint(1);
        out.fixed64(value.to_bits());
    }
}

fn number(take: &mut Take<'_>) -> Option<f64> {
    let head = take.varint()?;
    if head == 1 {
        return Some(f64::from_bits(take.fixed64()?));
    }
    let zigzag = head >> 1;
    (head & 1 == 0).then_some(((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)) as f64)
}

fn put_buckets(out: &mut Vec<u8>, buckets: &Buckets) {
    out.varint(buckets.len() as u64);
    let mut next = 0_i64;
    for (index, count) in buckets.iter() {
        out.zigzag(i64::from(index) - next);
        put_number(out, count);
        next = i64::from(index) + 1;
    }
}

fn buckets(take: &mut Take<'_>) -> Option<Buckets> {
    let mut buckets = Buckets::new();
    let mut next = 0_i64;
    for number_of in 0..take.count(2)? {
        let gap = take.zigzag()?;
        if number_of > 0 && gap < 0 {
            return None;
        }
        let index = i32::try_from(next.checked_add(gap)?).ok()?;
        buckets.add(index, number(take)?);
        next = i64::from(index) + 1;
    }
    Some(buckets)
}

/// The bytes of a histogram, every bit of its numbers kept.
pub(crate) fn encode(histogram: &Histogram) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + 3 * (histogram.positive.len() + histogram.negative.len()));
    out.zigzag(i64::from(histogram.schema()));
    if let Some(bounds) = histogram.custom_bounds() {
        out.varint(bounds.as_slice().len() as u64);
        bounds.as_slice().iter().for_each(|bound| put_number(&mut out, *bound));
    }
    out.push(match histogram.reset {
        CounterReset::Unknown => 0,
        CounterReset::Reset => 1,
        CounterReset::NotReset => 2,
        CounterReset::Gauge => 3,
    });
    for value in [histogram.zero_threshold, histogram.zero_count, histogram.count, histogram.sum] {
        put_number(&mut out, value);
    }
    put_buckets(&mut out, &histogram.positive);
    put_buckets(&mut out, &histogram.negative);
    out
}

/// The reverse of [`encode`]; `None` when the bytes are no histogram.
pub(crate) fn decode(take: &mut Take<'_>) -> Option<Histogram> {
    let mut histogram = Histogram::default();
    let schema = take.zigzag()?;
    histogram.layout = if schema == CUSTOM {
        let bounds = (0..take.count(1)?).map(|_| number(take)).collect::<Option<Vec<f64>>>()?;
        Layout::Custom(CustomBounds::new(&bounds).ok()?)
    } else {
        Layout::Exponential(Schema::new(i32::try_from(schema).ok()?).ok()?)
    };
    histogram.reset = match take.byte()? {
        0 => CounterReset::Unknown,
        1 => CounterReset::Reset,
        2 => CounterReset::NotReset,
        3 => CounterReset::Gauge,
        _ => return None,
    };
    (histogram.zero_threshold, histogram.zero_count) = (number(take)?, number(take)?);
    (histogram.count, histogram.sum) = (number(take)?, number(take)?);
    histogram.positive = buckets(take)?;
    histogram.negative = buckets(take)?;
    Some(histogram)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn l10_a_histogram_reads_back_bit_for_bit(
            counts in prop::collection::vec((any::<i32>(), prop_oneof![any::<f64>(), (0..1000_u32).prop_map(f64::from), Just(-0.0)]), 0..20),
            numbers in prop::collection::vec(any::<u64>().prop_map(f64::from_bits), 4), schema in -5..=8_i32, hint in 0..4_usize,
        ) {
            let mut histogram = match Schema::new(schema) {
                Ok(schema) => Histogram::exponential(schema),
                Err(_) => Histogram::custom(CustomBounds::new(&[-1.5, 0.0, 2.0]).unwrap()),
            };
            histogram.reset = [CounterReset::Unknown, CounterReset::Reset, CounterReset::NotReset, CounterReset::Gauge][hint];
            for (n, (index, count)) in counts.into_iter().enumerate() {
                if n % 3 == 0 { histogram.negative.add(index, count) } else { histogram.positive.add(index % 100, count) }
            }
            histogram.zero_threshold = numbers[0].abs();
            (histogram.zero_count, histogram.count, histogram.sum) = (numbers[1], numbers[2], numbers[3]);
            let bytes = encode(&histogram);
            let mut take = Take(&bytes);
            let back = decode(&mut take).unwrap();
            prop_assert!(take.is_empty());
            prop_assert!(back.same_bits(&histogram) || histogram.zero_threshold.is_nan(), "{back} {histogram}");
            prop_assert_eq!(back.reset, histogram.reset);
            prop_assert!(decode(&mut Take(&bytes[..bytes.len() - 1])).is_none());
        }

        #[test]
        fn l10_any_bytes_as_a_histogram(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode(&mut Take(&bytes));
        }
    }
}
