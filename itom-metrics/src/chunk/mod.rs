//! Compressed runs of samples of one series.
//!
//! Two encodings: **xor** for runs that still grow (as in Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time
//! Series Database", VLDB 2015) and, when a run is sealed and it is smaller, **decimal**: values that are whole
//! multiples of a power of ten become integers, and their differences are packed with one common width. Counters and
//! `/proc` figures with two decimals are of that sort. Both give back every bit, NaN payloads and `-0` included.

mod bits;
#[cfg(feature = "durable")]
pub(crate) mod decimal;
#[cfg(not(feature = "durable"))]
mod decimal;
pub(crate) mod histogram;
mod time;
mod xor;

use std::sync::Arc;

pub(crate) use xor::{Head, WORST_SAMPLE_BYTES};

/// A time in milliseconds and the bits of a value.
pub(crate) type Raw = (i64, u64);

/// First byte of a sealed run: which encoding follows.
const XOR: u8 = 0;
const DECIMAL: u8 = 1;

/// A sealed run. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    min: i64,
    max: i64,
    count: u16,
    data: Arc<[u8]>,
}

/// What a sealed run costs beside its bytes: the counts of the shared allocation.
const SHARED_OVERHEAD: usize = 16;

impl Sealed {
    /// Seals samples that are sorted by time, each time once; `None` when there are none or more than fit.
    pub(crate) fn encode(samples: &[Raw]) -> Option<Self> {
        Self::seal(&Head::from_samples(samples), samples)
    }

    /// Seals a run that has grown; `None` when it is empty.
    pub(crate) fn from_head(head: &Head) -> Option<Self> {
        Self::seal(head, &head.samples())
    }

    fn seal(xor: &Head, samples: &[Raw]) -> Option<Self> {
        let (first, last) = (samples.first()?, samples.last()?);
        let count = u16::try_from(samples.len()).ok()?;
        let packed = decimal::encode(samples).filter(|packed| packed.len() < xor.bytes().len());
        let (tag, body) = packed.as_deref().map_or((XOR, xor.bytes()), |packed| (DECIMAL, packed));
        let data = [&[tag], body].concat().into();
        Some(Self { min: first.0, max: last.0, count, data })
    }

    pub(crate) const fn min(&self) -> i64 {
        self.min
    }

    pub(crate) const fn max(&self) -> i64 {
        self.max
    }

    pub(crate) const fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.data.len() + SHARED_OVERHEAD
    }

    /// Adds the samples with `from <= time <= to` to `out`.
    pub(crate) fn read(&self, from: i64, to: i64, out: &mut Vec<Raw>) {
        match self.data.split_first() {
            Some((&DECIMAL, body)) => decimal::decode(body, self.count(), from, to, out),
            Some((_, body)) => xor::decode(body, self.count(), from, to, out),
            None => {}
        }
    }

    pub(crate) fn samples(&self) -> Vec<Raw> {
        let mut out = Vec::with_capacity(self.count());
        self.read(i64::MIN, i64::MAX, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            any::<f64>().prop_map(f64::to_bits),
            (-1000_i64..1000).prop_map(|n| (n as f64).to_bits()),
            (-100_000_i64..100_000).prop_map(|n| (n as f64 / 100.0).to_bits()),
            Just((-0.0_f64).to_bits()),
            Just(0x7ff0_0000_0000_0002_u64),
        ]
    }

    fn decimals() -> impl Strategy<Value = u64> {
        (-1_000_000_i64..1_000_000).prop_map(|n| (n as f64 / 1000.0).to_bits())
    }

    fn check(times: Vec<i64>, values: Vec<u64>) {
        let mut times = times;
        times.sort_unstable();
        times.dedup();
        let samples: Vec<Raw> = times.into_iter().zip(values).collect();
        let sealed = Sealed::encode(&samples);
        assert_eq!(sealed.is_none(), samples.is_empty());
        if let Some(sealed) = sealed {
            assert_eq!(sealed.samples(), samples);
            let head = Head::from_samples(&samples);
            assert_eq!(head.samples(), samples);
        }
    }

    proptest! {
        #[test]
        fn l10_a_run_gives_back_every_bit(
            times in proptest::collection::vec(any::<i64>(), 0..200),
            values in proptest::collection::vec(value(), 200),
        ) {
            check(times, values);
        }

        #[test]
        fn l10_decimal_runs_give_back_every_bit(
            start in any::<i64>(),
            steps in proptest::collection::vec(0_i64..100_000, 1..200),
            values in proptest::collection::vec(decimals(), 200),
        ) {
            let mut at = start;
            let times = steps.iter().map(|step| { at = at.saturating_add(*step); at }).collect();
            check(times, values);
        }
    }

    #[test]
    fn a_steady_counter_costs_about_a_byte_a_sample() {
        let samples: Vec<Raw> = (0..120_i64)
            .map(|n| (1_700_000_000_000 + n * 15_000, ((1_000_000 + n * 90 + n % 7) as f64).to_bits()))
            .collect();
        let sealed = Sealed::encode(&samples).expect("not empty");
        assert!(sealed.data.len() <= 120, "{} bytes for 120 samples", sealed.data.len());
    }
}
