//! Random series.

use itom_core::STALE_NAN_BITS;
use itom_metrics::{LabelSet, MemorySeries};

use crate::load::Loaded;

/// Of the first sample, in milliseconds.
pub(crate) const START: i64 = 1_700_000_010_000;
/// Of the last sample.
pub(crate) const END: i64 = START + 3_600_000;

/// A seeded source of numbers (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// How the values of a series go on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Rare,
}

/// A metric, its labels, and how its values go on.
type Named = (String, Vec<(&'static str, String)>, Kind);

/// The marker that a series ended.
const STALE: f64 = f64::from_bits(STALE_NAN_BITS);

/// Random series to be loaded, and the same in memory.
pub(crate) fn random(random: &mut Random) -> (Loaded, MemorySeries) {
    let mut names: Vec<Named> = Vec::new();
    for metric in ["c1_total", "c2_total", "g1", "g2", "r1"] {
        let kind = match &metric[..1] {
            "c" => Kind::Counter,
            "g" => Kind::Gauge,
            _ => Kind::Rare,
        };
        for a in ["x", "y", "z"] {
            for b in ["1", "2"] {
                if !random.one_in(5) {
                    let mut labels = vec![("a", a.to_owned()), ("b", b.to_owned())];
                    if random.one_in(3) {
                        labels.push(("c", "only".to_owned()));
                    }
                    names.push((metric.to_owned(), labels, kind));
                }
            }
        }
    }
    let mut loaded = Loaded::default();
    let mut series = MemorySeries::new();
    for (metric, labels, kind) in names {
        let mut value = match kind {
            Kind::Counter => 20_000.0 + random.below(1_000) as f64,
            _ => random.below(400) as f64 / 4.0 - 50.0,
        };
        let (mut values, mut at) = (Vec::new(), START);
        while at < END {
            // Never a whole second, so that no window begins at a sample.
            let odd = at + 1 + random.below(900) as i64;
            let ends = random.one_in(25);
            if ends {
                values.push((odd, STALE));
            } else if !random.one_in(12) {
                value = next(random, kind, value);
                values.push((odd, value));
            }
            at += match kind {
                // Some go on at once, as one does that a scrape has lost; others are away for some time.
                _ if ends && random.one_in(2) => 15_000 * (1 + random.below(40) as i64),
                Kind::Rare => 15_000 * (1 + random.below(40) as i64),
                _ if random.one_in(60) => 15_000 * (2 + random.below(30) as i64),
                _ => 15_000,
            };
        }
        add(&mut loaded, &mut series, &metric, &labels, &values);
    }
    // Classic histograms: cumulative counters.
    for a in ["x", "y"] {
        let mut counts = [5_000_u64; 6];
        let mut columns: Vec<Vec<(i64, f64)>> = vec![Vec::new(); 6];
        for step in 0..240_i64 {
            let at = START + 15_000 * step + 1 + random.below(900) as i64;
            for count in &mut counts {
                *count += random.below(9);
            }
            // A target that is away ends all its series at once.
            let ends = random.one_in(30);
            let mut total = 0;
            for (column, count) in columns.iter_mut().zip(counts) {
                total += count;
                column.push((at, if ends { STALE } else { total as f64 }));
            }
        }
        for (column, le) in columns.iter().zip(["0.1", "0.5", "1", "2.5", "10", "+Inf"]) {
            add(&mut loaded, &mut series, "h_bucket", &[("a", a.to_owned()), ("le", le.to_owned())], column);
        }
    }
    (loaded, series)
}

fn next(random: &mut Random, kind: Kind, value: f64) -> f64 {
    match kind {
        // A reset goes far down, and stays far from zero: to less than half, so that all later resets together lose no
        // more than is left.
        Kind::Counter if random.one_in(70) => (value * 0.9).floor() / 2.0,
        Kind::Counter => value + random.below(30) as f64 / 2.0,
        _ if random.one_in(80) => *random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0]),
        _ if value.is_finite() => value + random.below(40) as f64 / 4.0 - 5.0,
        _ => random.below(100) as f64,
    }
}

fn add(
    loaded: &mut Loaded,
    series: &mut MemorySeries,
    metric: &str,
    labels: &[(&str, String)],
    values: &[(i64, f64)],
) {
    let name = labels.iter().map(|(name, value)| (*name, value.as_str())).chain([("__name__", metric)]);
    let set = LabelSet::from_pairs(name);
    loaded.add(&set, values);
    for (at, value) in values {
        series.append_float(&set, *at, *value, 0).unwrap();
    }
}
