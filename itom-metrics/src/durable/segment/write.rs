//! Writing a segment, series after series.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use itom_core::{SampleKind, Text};

use super::super::folder::{Folder, Sink, UNFINISHED};
use super::super::tier::{COLUMNS, Row};
use super::values::{CHUNK_MAX, encode, encode_times};
use super::{MAGIC, Piece, STARTS, SegmentError, TIER_MAGIC};
use crate::code::Put;
use crate::store::{Encoded, Scanned, Starts};

/// Distinct time columns remembered to be shared: targets scraped together, not all of history.
const SHARED_TIMES: usize = 4_096;
/// Written to the file at once.
const BUFFER: usize = 1 << 20;

struct Times {
    piece: Piece,
    count: u32,
}

struct Chunk {
    times: u32,
    values: Piece,
}

struct Entry {
    series: Scanned,
    chunks: Vec<Chunk>,
    /// How many histograms, and where.
    distributions: Vec<(u32, Piece)>,
}

/// A segment that is being written; it exists under its name once [`finish`](Self::finish) returned.
pub(in crate::durable) struct SegmentWriter {
    folder: Arc<dyn Folder>,
    name: String,
    sink: Arc<dyn Sink>,
    buffer: Vec<u8>,
    offset: u64,
    times: Vec<Times>,
    /// Looked up only, never iterated: its order reaches nothing.
    known: HashMap<Vec<i64>, u32>,
    entries: Vec<Entry>,
    range: Option<(i64, i64)>,
    samples: u64,
}

impl SegmentWriter {
    /// For samples, which [`add`](Self::add) adds.
    pub(in crate::durable) fn new(folder: Arc<dyn Folder>, name: &str) -> Result<Self, SegmentError> {
        Self::beginning(MAGIC, folder, name)
    }

    /// For a tier, whose series [`add_rows`](Self::add_rows) adds.
    pub(in crate::durable) fn of_tier(folder: Arc<dyn Folder>, name: &str) -> Result<Self, SegmentError> {
        Self::beginning(TIER_MAGIC, folder, name)
    }

    fn beginning(magic: &[u8; 8], folder: Arc<dyn Folder>, name: &str) -> Result<Self, SegmentError> {
        let sink = folder.create(&format!("{name}{UNFINISHED}"))?;
        Ok(Self {
            folder,
            name: name.to_owned(),
            sink,
            buffer: magic.to_vec(),
            offset: 0,
            times: Vec::new(),
            known: HashMap::new(),
            entries: Vec::new(),
            range: None,
            samples: 0,
        })
    }

    /// How many samples it holds so far.
    pub(in crate::durable) const fn samples(&self) -> u64 {
        self.samples
    }

    /// The newest time so far.
    pub(in crate::durable) fn newest(&self) -> i64 {
        self.range.map_or(i64::MIN, |range| range.1)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<Piece, SegmentError> {
        let length = u32::try_from(bytes.len()).map_err(|_| SegmentError::Corrupt("a column is too long"))?;
        let offset = self.offset + self.buffer.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(Piece { offset, length, sum: crc32fast::hash(bytes) })
    }

    fn flush(&mut self) -> Result<(), SegmentError> {
        self.sink.write(&self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn times(&mut self, times: Vec<i64>) -> Result<u32, SegmentError> {
        if let Some(known) = self.known.get(&times) {
            return Ok(*known);
        }
        let bytes = encode_times(&times).ok_or(SegmentError::Corrupt("times cannot be compressed"))?;
        let piece = self.put(&bytes)?;
        let number = self.times.len() as u32;
        self.times.push(Times { piece, count: times.len() as u32 });
        if self.known.len() >= SHARED_TIMES {
            self.known.clear();
        }
        self.known.insert(times, number);
        Ok(number)
    }

    /// Takes times into the range.
    fn widen(&mut self, times: [Option<i64>; 2]) {
        for at in times.into_iter().flatten() {
            let (from, to) = self.range.unwrap_or((at, at));
            self.range = Some((from.min(at), to.max(at)));
        }
    }

    /// Writes histograms, or buckets of them.
    fn distributions(&mut self, histograms: &[Encoded]) -> Result<Vec<(u32, Piece)>, SegmentError> {
        let mut out = Vec::new();
        for part in histograms.chunks(CHUNK_MAX) {
            let mut bytes = Vec::new();
            let mut before = 0_i64;
            for (at, histogram) in part {
                bytes.zigzag(at.wrapping_sub(before));
                bytes.varint(histogram.len() as u64);
                bytes.extend_from_slice(histogram);
                before = *at;
            }
            out.push((part.len() as u32, self.put(&bytes)?));
        }
        Ok(out)
    }

    /// Adds a series; they come sorted by metric and labels, each once, their samples by time.
    pub(in crate::durable) fn add(&mut self, mut series: Scanned) -> Result<(), SegmentError> {
        let samples = std::mem::take(&mut series.samples);
        let histograms = std::mem::take(&mut series.histograms);
        if samples.is_empty() && histograms.is_empty() {
            return Ok(());
        }
        self.widen([samples.first(), samples.last()].map(|sample| sample.map(|sample| sample.0)));
        self.widen([histograms.first(), histograms.last()].map(|one| one.map(|one| one.0)));
        self.samples += (samples.len() + histograms.len()) as u64;
        let distributions = self.distributions(&histograms)?;
        let mut chunks = Vec::with_capacity(1);
        for part in samples.chunks(CHUNK_MAX) {
            let times = self.times(part.iter().map(|sample| sample.0).collect())?;
            let bits: Vec<u64> = part.iter().map(|sample| sample.1).collect();
            let bytes = encode(&bits).ok_or(SegmentError::Corrupt("values cannot be compressed"))?;
            chunks.push(Chunk { times, values: self.put(&bytes)? });
        }
        self.entries.push(Entry { series, chunks, distributions });
        Ok(())
    }

    /// Adds a series of a tier instead of one of samples: its rows, in order of time, and as its histograms their
    /// buckets.
    pub(in crate::durable) fn add_rows(
        &mut self,
        mut series: Scanned,
        rows: &[Row],
    ) -> Result<(), SegmentError> {
        let histograms = std::mem::take(&mut series.histograms);
        if rows.is_empty() && histograms.is_empty() {
            return Ok(());
        }
        series.samples = Vec::new();
        series.starts = Starts::default();
        self.widen([rows.first(), rows.last()].map(|row| row.map(|row| row.0)));
        self.widen([histograms.first(), histograms.last()].map(|one| one.map(|one| one.0)));
        self.samples += (rows.len() + histograms.len()) as u64;
        let distributions = self.distributions(&histograms)?;
        let mut chunks = Vec::with_capacity(COLUMNS);
        for part in rows.chunks(CHUNK_MAX) {
            let times = self.times(part.iter().map(|row| row.0).collect())?;
            for column in 0..COLUMNS {
                let bits: Vec<u64> = part.iter().filter_map(|row| row.1.get(column).copied()).collect();
                let bytes = encode(&bits).ok_or(SegmentError::Corrupt("values cannot be compressed"))?;
                chunks.push(Chunk { times, values: self.put(&bytes)? });
            }
        }
        self.entries.push(Entry { series, chunks, distributions });
        Ok(())
    }

    fn index(&self) -> Vec<u8> {
        let mut symbols: BTreeMap<&str, u64> = BTreeMap::new();
        for Entry { series, .. } in &self.entries {
            symbols.insert(series.metric.as_str(), 0);
            for (name, value) in series.labels.iter() {
                symbols.insert(name.as_str(), 0);
                symbols.insert(Text::as_str(value), 0);
            }
        }
        let mut out = Vec::new();
        let (from, to) = self.range.unwrap_or_default();
        out.zigzag(from);
        out.zigzag(to);
        out.varint(symbols.len() as u64);
        for (number, (symbol, place)) in (0..).zip(&mut symbols) {
            *place = number;
            out.text(symbol);
        }
        let number = |symbol: &str| symbols.get(symbol).copied().unwrap_or(0);
        let put_piece = |out: &mut Vec<u8>, piece: &Piece| {
            out.varint(piece.offset);
            out.varint(u64::from(piece.length));
            out.extend_from_slice(&piece.sum.to_le_bytes());
        };
        out.varint(self.times.len() as u64);
        for times in &self.times {
            out.varint(u64::from(times.count));
            put_piece(&mut out, &times.piece);
        }
        out.varint(self.entries.len() as u64);
        for Entry { series, chunks, distributions } in &self.entries {
            let counter = u8::from(series.kind == SampleKind::Counter);
            let starts = if series.starts.is_empty() { 0 } else { STARTS };
            out.push(counter | u8::from(series.subject.is_some()) << 1 | starts);
            if let Some(subject) = series.subject {
                out.extend_from_slice(subject.as_bytes());
            }
            out.varint(number(series.metric.as_str()));
            out.varint(series.labels.len() as u64);
            for (name, value) in series.labels.iter() {
                out.varint(number(name.as_str()));
                out.varint(number(value));
            }
            out.varint(chunks.len() as u64);
            for chunk in chunks {
                out.varint(u64::from(chunk.times));
                put_piece(&mut out, &chunk.values);
            }
            out.varint(distributions.len() as u64);
            for (count, piece) in distributions {
                out.varint(u64::from(*count));
                put_piece(&mut out, piece);
            }
            if starts == STARTS {
                out.varint(series.starts.0.len() as u64);
                let mut before = 0_i64;
                for (at, start) in &series.starts.0 {
                    out.zigzag(at.wrapping_sub(before));
                    out.zigzag(at.wrapping_sub(*start));
                    before = *at;
                }
            }
        }
        out
    }

    /// Writes the index and puts the file in place; `false` when it would hold nothing.
    pub(in crate::durable) fn finish(mut self) -> Result<bool, SegmentError> {
        let unfinished = format!("{}{UNFINISHED}", self.name);
        if self.entries.is_empty() {
            self.folder.remove(&unfinished)?;
            return Ok(false);
        }
        let index = self.index();
        let offset = self.offset + self.buffer.len() as u64;
        let mut footer = Vec::new();
        footer.fixed64(offset);
        footer.fixed64(index.len() as u64);
        footer.extend_from_slice(&crc32fast::hash(&index).to_le_bytes());
        footer.extend_from_slice(&crc32fast::hash(&footer).to_le_bytes());
        self.buffer.extend_from_slice(&index);
        self.buffer.extend_from_slice(&footer);
        self.flush()?;
        self.sink.sync()?;
        self.folder.rename(&unfinished, &self.name)?;
        self.folder.sync()?;
        Ok(true)
    }
}
