//! The messages of remote write: [1.0](https://prometheus.io/docs/specs/prw/remote_write_spec/) and
//! [2.0](https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/).

use std::collections::BTreeMap;

use hashbrown::HashMap;
use itom_core::{Buckets, CounterReset, Histogram, SampleValue};

use super::{Protocol, WriteSample};
use crate::LabelSet;
use crate::code::Put as _;

/// Largest whole number that a float holds with all its neighbours.
const WHOLE: f64 = 9_007_199_254_740_992.0;

fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    out.varint(field << 3 | wire);
}

fn bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    key(out, field, 2);
    out.varint(bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, 1);
    out.fixed64(value.to_bits());
}

fn whole(out: &mut Vec<u8>, field: u64, value: u64) {
    key(out, field, 0);
    out.varint(value);
}

fn signed(out: &mut Vec<u8>, field: u64, value: i64) {
    key(out, field, 0);
    out.zigzag(value);
}

/// The message for samples, not yet compressed. Samples of a series keep their order.
pub(super) fn request(samples: &[WriteSample], protocol: Protocol) -> Vec<u8> {
    let mut series: BTreeMap<&LabelSet, Vec<&WriteSample>> = BTreeMap::new();
    for sample in samples {
        series.entry(&sample.labels).or_default().push(sample);
    }
    let mut out = Vec::new();
    let mut symbols = Symbols::default();
    for (labels, samples) in series {
        let mut one = Vec::new();
        match protocol {
            Protocol::V1 => {
                for (name, value) in labels.iter() {
                    let mut pair = Vec::new();
                    bytes(&mut pair, 1, name.as_bytes());
                    bytes(&mut pair, 2, value.as_bytes());
                    bytes(&mut one, 1, &pair);
                }
            }
            Protocol::V2 => {
                let mut places = Vec::new();
                for (name, value) in labels.iter() {
                    places.varint(symbols.place(name));
                    places.varint(symbols.place(value));
                }
                bytes(&mut one, 1, &places);
            }
        }
        let histograms = match protocol {
            Protocol::V1 => 4,
            Protocol::V2 => 3,
        };
        for sample in samples {
            let mut message = Vec::new();
            match &sample.value {
                SampleValue::Histogram(found) => {
                    histogram(&mut message, found, sample.at);
                    bytes(&mut one, histograms, &message);
                }
                value => {
                    double(&mut message, 1, value.as_float().unwrap_or(f64::NAN));
                    whole(&mut message, 2, sample.at.cast_unsigned());
                    bytes(&mut one, 2, &message);
                }
            }
        }
        bytes(&mut out, if protocol == Protocol::V1 { 1 } else { 5 }, &one);
    }
    if protocol == Protocol::V1 {
        return out;
    }
    let mut with_symbols = Vec::new();
    for symbol in &symbols.texts {
        bytes(&mut with_symbols, 4, symbol.as_bytes());
    }
    with_symbols.extend_from_slice(&out);
    with_symbols
}

/// The texts of a message of 2.0, each once; the first is the empty one.
struct Symbols<'a> {
    texts: Vec<&'a str>,
    /// Looked up only, never iterated.
    places: HashMap<&'a str, u64>,
}

impl Default for Symbols<'_> {
    fn default() -> Self {
        Self { texts: vec![""], places: HashMap::from_iter([("", 0)]) }
    }
}

impl<'a> Symbols<'a> {
    fn place(&mut self, text: &'a str) -> u64 {
        let Self { texts, places } = self;
        *places.entry(text).or_insert_with(|| {
            texts.push(text);
            texts.len() as u64 - 1
        })
    }
}

fn histogram(out: &mut Vec<u8>, found: &Histogram, at: i64) {
    // Counts that are all whole go as whole numbers, the form that Prometheus itself measures in.
    let is_whole = |count: f64| count >= 0.0 && count.fract() == 0.0 && count < WHOLE;
    let counts = [found.count, found.zero_count].into_iter();
    let mut counts = counts.chain(found.positive.counts()).chain(found.negative.counts());
    let whole_numbers = counts.all(is_whole);
    if whole_numbers {
        whole(out, 1, found.count as u64);
    } else {
        double(out, 2, found.count);
    }
    double(out, 3, found.sum);
    signed(out, 4, i64::from(found.schema()));
    double(out, 5, found.zero_threshold);
    if whole_numbers {
        whole(out, 6, found.zero_count as u64);
    } else {
        double(out, 7, found.zero_count);
    }
    side(out, 8, &found.negative, whole_numbers);
    side(out, 11, &found.positive, whole_numbers);
    let hint = match found.reset {
        CounterReset::Unknown => 0,
        CounterReset::Reset => 1,
        CounterReset::NotReset => 2,
        CounterReset::Gauge => 3,
    };
    whole(out, 14, hint);
    whole(out, 15, at.cast_unsigned());
    if let Some(bounds) = found.custom_bounds() {
        let mut packed = Vec::new();
        bounds.as_slice().iter().for_each(|bound| packed.fixed64(bound.to_bits()));
        bytes(out, 16, &packed);
    }
}

/// Spans in a field, differences in the next one, or counts in the one after that.
fn side(out: &mut Vec<u8>, field: u64, buckets: &Buckets, whole_numbers: bool) {
    for span in buckets.spans() {
        let mut message = Vec::new();
        signed(&mut message, 1, i64::from(span.offset));
        whole(&mut message, 2, u64::from(span.length));
        bytes(out, field, &message);
    }
    if buckets.is_empty() {
        return;
    }
    let mut packed = Vec::new();
    if whole_numbers {
        let mut before = 0_i64;
        for count in buckets.counts() {
            packed.zigzag(count as i64 - before);
            before = count as i64;
        }
        bytes(out, field + 1, &packed);
    } else {
        buckets.counts().for_each(|count| packed.fixed64(count.to_bits()));
        bytes(out, field + 2, &packed);
    }
}
