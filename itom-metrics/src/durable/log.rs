//! The write-ahead log: checksummed records, each the stored part of one append or a delete.

use std::sync::Arc;

use hashbrown::HashMap;
use itom_core::{
    CiId, LabelName, Labels, LabelsBuilder, MatchOp, Matcher, MetricName, SampleKind, Timestamp,
};

use crate::chunk::histogram::decode;
use crate::code::{Put, Take};
use crate::store::Reach;
use crate::{Exemplar, MetricMetadata, NewHistogram, NewSample, NewStart};

/// The beginning of every log file: what it is, and its format. Format 1 had samples, histograms and deletes only.
pub(super) const MAGIC: &[u8; 8] = b"itomlog\x02";
/// The first format.
const OLDEST: u8 = 1;

const SAMPLES: u8 = 1;
const DELETE: u8 = 2;
const HISTOGRAMS: u8 = 3;
const METADATA: u8 = 4;
const EXEMPLARS: u8 = 5;
const STARTS: u8 = 6;
const STARTS_OF_ALL_LATER: u8 = 7;

/// The most bytes of one record: a longer length is a defect of the file.
const MAX_RECORD: usize = 1 << 28;
/// Length and checksum.
const FRAME: usize = 8;

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Record {
    /// These were stored, by a store whose time was `now`.
    Samples { now: Timestamp, samples: Vec<NewSample> },
    /// Histograms, like samples.
    Histograms { now: Timestamp, histograms: Vec<NewHistogram> },
    /// The samples of series that fit, with `from <= time <= to`, were deleted.
    Delete { matchers: Vec<Matcher>, from: i64, to: i64 },
    /// What is known about metrics.
    Metadata(Vec<(MetricName, MetricMetadata)>),
    /// Exemplars that were stored.
    Exemplars(Vec<(MetricName, Labels, Exemplar)>),
    /// Since when counters count.
    Starts(Reach, Vec<NewStart>),
}

/// What a series is called.
pub(super) type Named<'a> = (&'a MetricName, &'a Labels, SampleKind, Option<CiId>);

/// Writes records of one file: a series is named in full once and by number afterwards.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// Looked up only, never iterated: its order reaches nothing.
    numbers: HashMap<(MetricName, Labels), u64>,
}

impl Encoder {
    /// A framed record of samples.
    pub(super) fn samples<'a>(
        &mut self,
        now: Timestamp,
        samples: impl Iterator<Item = &'a NewSample>,
    ) -> Vec<u8> {
        let mut out = vec![0; FRAME];
        out.push(SAMPLES);
        out.zigzag(now.as_micros());
        let base = now.as_millis();
        for sample in samples {
            self.series(&mut out, &sample.metric, &sample.labels, sample.kind, sample.subject);
            out.zigzag(sample.at.as_millis().wrapping_sub(base));
            out.fixed64(sample.value.to_bits());
        }
        framed(out)
    }

    /// A framed record of histograms, given with their bytes.
    pub(super) fn histograms<'a>(
        &mut self,
        now: Timestamp,
        histograms: impl Iterator<Item = (Named<'a>, i64, &'a [u8])>,
    ) -> Vec<u8> {
        let mut out = vec![0; FRAME];
        out.push(HISTOGRAMS);
        out.zigzag(now.as_micros());
        for ((metric, labels, kind, subject), at, bytes) in histograms {
            self.series(&mut out, metric, labels, kind, subject);
            out.zigzag(at.wrapping_sub(now.as_millis()));
            out.extend_from_slice(bytes);
        }
        framed(out)
    }

    /// A framed record of starts: of which series, from which sample on, since when; in milliseconds.
    pub(super) fn starts<'a>(
        &mut self,
        reach: Reach,
        starts: impl Iterator<Item = (Named<'a>, i64, i64)>,
    ) -> Vec<u8> {
        let mut out = vec![0; FRAME];
        out.push(if reach == Reach::One { STARTS } else { STARTS_OF_ALL_LATER });
        for ((metric, labels, kind, subject), at, start) in starts {
            self.series(&mut out, metric, labels, kind, subject);
            out.zigzag(at);
            out.zigzag(start);
        }
        framed(out)
    }

    fn series(
        &mut self,
        out: &mut Vec<u8>,
        metric: &MetricName,
        labels: &Labels,
        kind: SampleKind,
        subject: Option<CiId>,
    ) {
        let next = self.numbers.len() as u64;
        let number = *self.numbers.entry((metric.clone(), labels.clone())).or_insert(next);
        // A subject may change, so it is written whenever there is one.
        let new = number == next;
        out.varint(number << 2 | u64::from(subject.is_some()) << 1 | u64::from(new));
        if new {
            put_series(out, metric, labels, kind);
        }
        if let Some(subject) = subject {
            out.extend_from_slice(subject.as_bytes());
        }
    }
}

/// A framed record of a delete.
pub(super) fn delete(matchers: &[Matcher], from: i64, to: i64) -> Vec<u8> {
    let mut out = vec![0; FRAME];
    out.push(DELETE);
    out.zigzag(from);
    out.zigzag(to);
    for matcher in matchers {
        out.push(match matcher.op {
            MatchOp::Equal => 0,
            MatchOp::NotEqual => 1,
            MatchOp::Regex => 2,
            MatchOp::NotRegex => 3,
        });
        out.text(matcher.name.as_str());
        out.text(&matcher.value);
    }
    framed(out)
}

/// A framed record of what is known about metrics.
pub(super) fn metadata<'a>(all: impl Iterator<Item = (&'a MetricName, &'a MetricMetadata)>) -> Vec<u8> {
    let mut out = vec![0; FRAME];
    out.push(METADATA);
    for (metric, about) in all {
        out.text(metric.as_str());
        for text in [&about.kind, &about.help, &about.unit] {
            out.text(text);
        }
    }
    framed(out)
}

/// A framed record of exemplars.
pub(super) fn exemplars<'a>(
    all: impl Iterator<Item = (&'a MetricName, &'a Labels, &'a Exemplar)>,
) -> Vec<u8> {
    let mut out = vec![0; FRAME];
    out.push(EXEMPLARS);
    for (metric, labels, exemplar) in all {
        out.text(metric.as_str());
        put_labels(&mut out, labels);
        put_labels(&mut out, &exemplar.labels);
        out.zigzag(exemplar.at.as_micros());
        out.fixed64(exemplar.value.to_bits());
    }
    framed(out)
}

fn framed(mut record: Vec<u8>) -> Vec<u8> {
    let body = record.get(FRAME..).unwrap_or_default();
    let (length, sum) = (body.len() as u32, crc32fast::hash(body));
    for (place, byte) in record.iter_mut().zip(length.to_le_bytes().into_iter().chain(sum.to_le_bytes())) {
        *place = byte;
    }
    record
}

pub(super) fn put_series(out: &mut Vec<u8>, metric: &MetricName, labels: &Labels, kind: SampleKind) {
    out.push(u8::from(kind == SampleKind::Counter));
    out.text(metric.as_str());
    put_labels(out, labels);
}

fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.varint(labels.len() as u64);
    for (name, value) in labels.iter() {
        out.text(name.as_str());
        out.text(value);
    }
}

fn take_labels(take: &mut Take<'_>) -> Option<Labels> {
    let mut labels = LabelsBuilder::default();
    for _ in 0..take.count(2)? {
        labels = labels.set(LabelName::new(take.text()?).ok()?, take.text()?);
    }
    Some(labels.build())
}

fn take_series(take: &mut Take<'_>) -> Option<(MetricName, Labels, SampleKind)> {
    let kind = kind(take.byte()?)?;
    let metric = MetricName::new(take.text()?).ok()?;
    Some((metric, take_labels(take)?, kind))
}

pub(super) const fn kind(byte: u8) -> Option<SampleKind> {
    match byte {
        0 => Some(SampleKind::Gauge),
        1 => Some(SampleKind::Counter),
        _ => None,
    }
}

/// Reads the records of one file.
#[derive(Debug, Default)]
struct Decoder {
    series: Vec<(MetricName, Labels, SampleKind)>,
}

impl Decoder {
    fn record(&mut self, body: &[u8]) -> Option<Record> {
        let mut take = Take(body);
        match take.byte()? {
            SAMPLES => {
                let now = Timestamp::from_micros(take.zigzag()?);
                let mut samples = Vec::new();
                while !take.is_empty() {
                    samples.push(self.sample(&mut take, now)?);
                }
                Some(Record::Samples { now, samples })
            }
            HISTOGRAMS => {
                let now = Timestamp::from_micros(take.zigzag()?);
                let mut histograms = Vec::new();
                while !take.is_empty() {
                    let (metric, labels, kind, subject) = self.named(&mut take)?;
                    let at = Timestamp::from_millis(now.as_millis().wrapping_add(take.zigzag()?));
                    let histogram = Arc::new(decode(&mut take)?);
                    histograms.push(NewHistogram { metric, labels, kind, subject, at, histogram });
                }
                Some(Record::Histograms { now, histograms })
            }
            DELETE => {
                let (from, to) = (take.zigzag()?, take.zigzag()?);
                let mut matchers = Vec::new();
                while !take.is_empty() {
                    let op = match take.byte()? {
                        0 => MatchOp::Equal,
                        1 => MatchOp::NotEqual,
                        2 => MatchOp::Regex,
                        3 => MatchOp::NotRegex,
                        _ => return None,
                    };
                    let name = LabelName::new(take.text()?).ok()?;
                    matchers.push(Matcher { name, op, value: take.text()?.into() });
                }
                Some(Record::Delete { matchers, from, to })
            }
            METADATA => {
                let mut all = Vec::new();
                while !take.is_empty() {
                    let metric = MetricName::new(take.text()?).ok()?;
                    all.push((metric, MetricMetadata::new(take.text()?, take.text()?, take.text()?)));
                }
                Some(Record::Metadata(all))
            }
            EXEMPLARS => {
                let mut all = Vec::new();
                while !take.is_empty() {
                    let metric = MetricName::new(take.text()?).ok()?;
                    let (of, labels) = (take_labels(&mut take)?, take_labels(&mut take)?);
                    let at = Timestamp::from_micros(take.zigzag()?);
                    let value = f64::from_bits(take.fixed64()?);
                    all.push((metric, of, Exemplar { labels, value, at }));
                }
                Some(Record::Exemplars(all))
            }
            kind @ (STARTS | STARTS_OF_ALL_LATER) => {
                let reach = if kind == STARTS { Reach::One } else { Reach::AllLater };
                let mut all = Vec::new();
                while !take.is_empty() {
                    let (metric, labels, _, _) = self.named(&mut take)?;
                    let at = Timestamp::from_millis(take.zigzag()?);
                    let start = Some(take.zigzag()?).filter(|start| *start != 0);
                    all.push(NewStart { metric, labels, at, start: start.map(Timestamp::from_millis) });
                }
                Some(Record::Starts(reach, all))
            }
            _ => None,
        }
    }

    fn named(&mut self, take: &mut Take<'_>) -> Option<(MetricName, Labels, SampleKind, Option<CiId>)> {
        let head = take.varint()?;
        let number = usize::try_from(head >> 2).ok()?;
        if head & 1 == 1 {
            if number != self.series.len() {
                return None;
            }
            self.series.push(take_series(take)?);
        }
        let subject =
            if head & 2 == 2 { Some(CiId::from_bytes(take.bytes(16)?.try_into().ok()?)) } else { None };
        let (metric, labels, kind) = self.series.get(number)?.clone();
        Some((metric, labels, kind, subject))
    }

    fn sample(&mut self, take: &mut Take<'_>, now: Timestamp) -> Option<NewSample> {
        let (metric, labels, kind, subject) = self.named(take)?;
        let at = now.as_millis().wrapping_add(take.zigzag()?);
        let value = f64::from_bits(take.fixed64()?);
        Some(NewSample { metric, labels, kind, subject, at: Timestamp::from_millis(at), value })
    }
}

/// What was found in a log file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    /// Records read.
    pub(super) records: u64,
    /// Bytes at the end that are no whole record: what an interrupted write leaves, or damage.
    pub(super) cut: u64,
    /// The file's format is newer than this program.
    pub(super) newer: bool,
}

/// Hands the records of a file to `each`, up to the first that is not whole.
pub(super) fn replay(bytes: &[u8], mut each: impl FnMut(Record)) -> Replayed {
    let mut replayed = Replayed::default();
    let mut take = Take(bytes);
    match take.bytes(MAGIC.len()) {
        Some([name @ .., format]) if MAGIC.starts_with(name) && (OLDEST..=MAGIC[7]).contains(format) => {}
        Some(magic) if magic.starts_with(b"itomlog") && magic.last() > MAGIC.last() => {
            replayed.newer = true;
            return replayed;
        }
        _ => {
            replayed.cut = bytes.len() as u64;
            return replayed;
        }
    }
    let mut decoder = Decoder::default();
    loop {
        let left = take.0.len() as u64;
        if left == 0 {
            return replayed;
        }
        let body = (|| {
            let length = usize::try_from(take.fixed32()?).ok().filter(|length| *length <= MAX_RECORD)?;
            let sum = take.fixed32()?;
            take.bytes(length).filter(|body| crc32fast::hash(body) == sum)
        })();
        match body.and_then(|body| decoder.record(body)) {
            Some(record) => each(record),
            None => {
                replayed.cut = left;
                return replayed;
            }
        }
        replayed.records += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(n: u8, at: i64, value: f64) -> NewSample {
        NewSample {
            metric: MetricName::literal("m"),
            labels: Labels::from_pairs([("n", n.to_string())]).unwrap(),
            kind: if n.is_multiple_of(2) { SampleKind::Gauge } else { SampleKind::Counter },
            subject: n.is_multiple_of(3).then(|| CiId::derive(&["x"])),
            at: Timestamp::from_millis(at),
            value,
        }
    }

    proptest! {
        #[test]
        fn l10_a_log_cut_anywhere_gives_the_records_before(
            batches in prop::collection::vec(prop::collection::vec((0..6_u8, -1_000_000..1_000_000_i64, any::<f64>()), 0..5), 1..5),
            cut in any::<prop::sample::Index>(), flip in any::<u8>(),
        ) {
            let mut encoder = Encoder::default();
            let mut bytes = MAGIC.to_vec();
            let mut ends = Vec::new();
            for batch in &batches {
                let samples: Vec<NewSample> = batch.iter().map(|(n, at, value)| sample(*n, *at, *value)).collect();
                bytes.extend(encoder.samples(Timestamp::from_secs(1), samples.iter()));
                ends.push(bytes.len());
            }
            let mut read = Vec::new();
            prop_assert_eq!(replay(&bytes, |record| read.push(record)).cut, 0);
            prop_assert_eq!(read.len(), batches.len());
            for (record, batch) in read.iter().zip(&batches) {
                let Record::Samples { samples, .. } = record else { panic!("not a delete") };
                for (sample, (_, at, value)) in samples.iter().zip(batch) {
                    prop_assert_eq!((sample.at.as_millis(), sample.value.to_bits()), (*at, value.to_bits()));
                }
            }
            let at = cut.index(bytes.len());
            let whole = ends.iter().filter(|end| **end <= at).count();
            let mut records = 0;
            replay(&bytes[..at], |_| records += 1);
            prop_assert_eq!(records, whole);
            // Damage within: nothing after it, and no panic.
            bytes[at] ^= flip | 1;
            let mut records = 0;
            replay(&bytes, |_| records += 1);
            // The number of the format is under no sum, and that of an earlier one is right.
            prop_assert!(records <= whole || at == MAGIC.len() - 1);
        }

        #[test]
        fn l10_any_bytes_as_a_log(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            replay(&bytes, |_| {});
            // The same behind a good frame, so that the contents are looked at.
            let mut framed = MAGIC.to_vec();
            framed.extend(super::framed([vec![0; FRAME], bytes].concat()));
            replay(&framed, |_| {});
        }
    }
}
