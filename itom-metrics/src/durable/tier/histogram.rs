//! Buckets of histograms as bytes.

use std::sync::Arc;

use itom_core::{Histogram, Layout, Schema};

use crate::HistogramBucket;
use crate::chunk::histogram::{decode, encode};
use crate::code::{Put, Take};
use crate::queryable::Said;
use crate::store::Encoded;

const GAUGE: u8 = 1;
const RESET: u8 = 2;
const NOT_RESET: u8 = 4;
const SUM_RECONCILED: u8 = 8;
const LOST: u8 = 16;
const BEGAN_AGAIN: u8 = 32;
const CUSTOMS: u8 = 64;
const ALL: u8 = 127;

/// No schema.
const NONE: i64 = -53;

/// The end of a bucket, and all else that there is about it.
pub(super) fn encoded(bucket: &HistogramBucket) -> Encoded {
    let said = bucket.said;
    let flags = [
        (said.gauge, GAUGE),
        (said.reset, RESET),
        (said.not_reset, NOT_RESET),
        (said.sum_reconciled, SUM_RECONCILED),
        (!bucket.lost.is_empty(), LOST),
        (bucket.began_again.is_some(), BEGAN_AGAIN),
        (bucket.customs, CUSTOMS),
    ];
    let mut out = vec![flags.iter().filter(|flag| flag.0).fold(0, |all, flag| all | flag.1)];
    let ago = |at: i64| bucket.end.saturating_sub(at).unsigned_abs();
    out.varint(bucket.count);
    out.varint(ago(bucket.first_at));
    out.extend(encode(&bucket.first));
    if bucket.count > 1 {
        out.varint(ago(bucket.last_at));
        out.zigzag(bucket.coarsest.map_or(NONE, |schema| i64::from(schema.number())));
        out.extend(encode(&bucket.last));
        out.push(u8::from(bucket.sum.is_some()));
        bucket.sum.iter().for_each(|sum| out.extend(encode(sum)));
    }
    if !bucket.lost.is_empty() {
        out.varint(bucket.lost.len() as u64);
        bucket.lost.iter().for_each(|lost| out.extend(encode(lost)));
    }
    if let Some(layout) = &bucket.began_again {
        let mut empty = Histogram::default();
        empty.layout = layout.clone();
        out.extend(encode(&empty));
    }
    (bucket.end, out.into())
}

/// The reverse; `None` when the bytes are no bucket.
pub(in crate::durable) fn decoded((end, bytes): &Encoded) -> Option<HistogramBucket> {
    let mut take = Take(bytes);
    let flags = take.byte().filter(|flags| flags & !ALL == 0)?;
    let has = |flag: u8| flags & flag != 0;
    let at = |take: &mut Take<'_>| end.checked_sub(i64::try_from(take.varint()?).ok()?);
    let histogram = |take: &mut Take<'_>| Some(Arc::new(decode(take)?));
    let count = take.varint().filter(|count| *count > 0)?;
    let first_at = at(&mut take)?;
    let first = histogram(&mut take)?;
    let mut bucket = HistogramBucket {
        end: *end,
        count,
        first: Arc::clone(&first),
        first_at,
        last: Arc::clone(&first),
        last_at: first_at,
        sum: Some(first),
        lost: Vec::new(),
        began_again: None,
        coarsest: None,
        customs: has(CUSTOMS),
        said: Said {
            gauge: has(GAUGE),
            reset: has(RESET),
            not_reset: has(NOT_RESET),
            sum_reconciled: has(SUM_RECONCILED),
        },
    };
    if count > 1 {
        bucket.last_at = at(&mut take).filter(|at| *at > first_at)?;
        bucket.coarsest = match take.zigzag()? {
            NONE => None,
            schema => Some(Schema::new(i32::try_from(schema).ok()?).ok()?),
        };
        bucket.last = histogram(&mut take)?;
        bucket.sum = match take.byte()? {
            0 => None,
            1 => Some(histogram(&mut take)?),
            _ => return None,
        };
    }
    if has(LOST) {
        let lost = take.count(8).filter(|lost| *lost > 0)?;
        bucket.lost = (0..lost).map(|_| histogram(&mut take)).collect::<Option<_>>()?;
    }
    if has(BEGAN_AGAIN) {
        let layout: Layout = decode(&mut take)?.layout;
        bucket.began_again = Some(layout);
    }
    take.is_empty().then_some(bucket)
}

#[cfg(test)]
mod tests {
    use itom_core::{Buckets, CounterReset, CustomBounds};
    use proptest::prelude::*;

    use super::*;
    use crate::HistogramPoint;

    fn points() -> impl Strategy<Value = Vec<HistogramPoint>> {
        let one = (-4..=8_i32, any::<bool>(), 0..4_usize, prop::collection::vec(0..90_u32, 0..4));
        prop::collection::vec((1..500_i64, one), 1..9).prop_map(|all| {
            let mut t = 0;
            let mut out = Vec::new();
            for (gap, (schema, custom, hint, counts)) in all {
                t += gap;
                let mut h = if custom {
                    let bounds: Vec<f64> = (0..4 + schema.rem_euclid(3)).map(f64::from).collect();
                    Histogram::custom(CustomBounds::new(&bounds).unwrap())
                } else {
                    Histogram::exponential(Schema::new(schema).unwrap())
                };
                use CounterReset::{Gauge, NotReset, Reset, Unknown};
                h.reset = [Unknown, Reset, NotReset, Gauge][hint];
                let counts: Vec<f64> = counts.into_iter().map(|n| f64::from(n) / 4.0).collect();
                (h.count, h.sum) = (counts.iter().sum(), counts.len() as f64 / 3.0);
                h.positive = Buckets::dense(0, &counts).unwrap();
                out.push(HistogramPoint { t, h: Arc::new(h) });
            }
            out
        })
    }

    #[test]
    fn the_bytes_of_a_bucket_stay_what_they_are() {
        let point = |t, schema: i32, count: f64| {
            let mut h = Histogram::exponential(Schema::new(schema).unwrap());
            (h.count, h.sum) = (count, count / 2.0);
            h.positive = Buckets::dense(1, &[count]).unwrap();
            HistogramPoint { t, h: Arc::new(h) }
        };
        // It begins again with the second and with the fourth.
        let points = [point(1, 3, 5.0), point(2, 2, 1.0), point(3, 2, 4.0), point(4, 2, 2.0)];
        let (end, bytes) = encoded(&HistogramBucket::of(10, &points).unwrap());
        assert_eq!(end, 10);
        assert_eq!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), BYTES);
    }

    const BYTES: &str = "300409060000001401000000000000044001021400060404000000080401020800010400000030180102300001040000001008010210000400000000000000";

    proptest! {
        #[test]
        fn l10_a_bucket_of_histograms_reads_back(points in points(), late in 0..100_i64) {
            let bucket = HistogramBucket::of(points.last().unwrap().t + late, &points).unwrap();
            let (end, bytes) = encoded(&bucket);
            prop_assert_eq!(decoded(&(end, Arc::clone(&bytes))), Some(bucket));
            for length in 0..bytes.len() {
                prop_assert_eq!(decoded(&(end, bytes[..length].into())), None);
            }
        }

        #[test]
        fn l10_any_bytes_as_a_bucket_of_histograms(
            end in any::<i64>(), bytes in prop::collection::vec(any::<u8>(), 0..80), points in points(), at in any::<usize>(), bit in 0..8,
        ) {
            let _ = decoded(&(end, bytes.into()));
            let (_, good) = encoded(&HistogramBucket::of(end, &points).unwrap());
            let mut bad = good.to_vec();
            let at = at % bad.len();
            bad[at] ^= 1_u8 << bit;
            let _ = decoded(&(end, bad.into()));
        }
    }
}
