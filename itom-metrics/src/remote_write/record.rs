//! Samples as the queue keeps them.

use std::sync::Arc;

use itom_core::SampleValue;

use super::WriteSample;
use crate::LabelSet;
use crate::chunk::histogram;
use crate::code::{Put as _, Take};

/// Bytes before the content of a record: its length and its checksum.
pub(super) const HEAD: usize = 8;

/// A record of samples, head included.
pub(super) fn encode(samples: &[WriteSample]) -> Vec<u8> {
    let mut out = vec![0; HEAD];
    out.varint(samples.len() as u64);
    for sample in samples {
        out.varint(sample.labels.len() as u64);
        for (name, value) in sample.labels.iter() {
            out.text(name);
            out.text(value);
        }
        out.zigzag(sample.at);
        match &sample.value {
            SampleValue::Histogram(found) => {
                let bytes = histogram::encode(found);
                out.push(1);
                out.varint(bytes.len() as u64);
                out.extend_from_slice(&bytes);
            }
            value => {
                out.push(0);
                out.fixed64(value.as_float().unwrap_or(f64::NAN).to_bits());
            }
        }
    }
    let content = out.get(HEAD..).unwrap_or_default();
    let (length, sum) = (content.len() as u32, crc32fast::hash(content));
    if let Some(head) = out.first_chunk_mut::<HEAD>() {
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&sum.to_le_bytes());
    }
    out
}

/// The content of the first record and its whole length; `None` when it is cut off or damaged.
pub(super) fn first(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut take = Take(bytes);
    let length = take.fixed32()? as usize;
    let sum = take.fixed32()?;
    let content = take.bytes(length)?;
    (crc32fast::hash(content) == sum).then_some((content, HEAD + length))
}

/// How many samples a record has.
pub(super) fn count(content: &[u8]) -> u64 {
    Take(content).varint().unwrap_or(0)
}

/// The samples of a record.
pub(super) fn decode(content: &[u8]) -> Option<Vec<WriteSample>> {
    let mut take = Take(content);
    // A sample takes three bytes at least.
    let count = take.count(3)?;
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        let labels = take.count(2)?;
        let mut pairs = Vec::with_capacity(labels);
        for _ in 0..labels {
            pairs.push((take.text()?, take.text()?));
        }
        let at = take.zigzag()?;
        let value = match take.byte()? {
            0 => SampleValue::Float(f64::from_bits(take.fixed64()?)),
            1 => {
                let length = take.size()?;
                SampleValue::Histogram(Arc::new(histogram::decode(&mut Take(take.bytes(length)?))?))
            }
            _ => return None,
        };
        out.push(WriteSample { labels: LabelSet::from_pairs(pairs), at, value });
    }
    take.is_empty().then_some(out)
}
