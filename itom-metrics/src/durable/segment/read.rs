//! Reading a segment.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use itom_core::{CiId, LabelName, Labels, LabelsBuilder, MetricName, SampleKind, Text};
use roaring::RoaringBitmap;

use super::super::folder::{Folder, Source};
use super::super::log::kind;
use super::super::tier::{COLUMNS, Row, decoded};
use super::super::tombstone::Tombstones;
use super::values::{CHUNK_MAX, decode, decode_times};
use super::{FOOTER, MAGIC, OLDEST, Piece, STARTS, SegmentError, TIER_MAGIC};
use crate::chunk::Raw;
use crate::code::Take;
use crate::selector::{Condition, Test};
use crate::store::{Encoded, Scanned, Starts, times_of};

#[derive(Debug)]
struct Chunk {
    times: u32,
    values: Piece,
}

#[derive(Debug)]
struct Entry {
    metric: u32,
    kind: SampleKind,
    subject: Option<CiId>,
    labels: Box<[(u32, u32)]>,
    chunks: Box<[Chunk]>,
    distributions: Box<[(u32, Piece)]>,
    /// Few series have any.
    starts: Option<Box<Starts>>,
}

/// Series by label and value, both by number; made when first asked for, so that opening is fast.
type Postings = BTreeMap<u32, BTreeMap<u32, RoaringBitmap>>;

/// Times decoded during one read: series scraped together share them.
pub(in crate::durable) type Cache = BTreeMap<u32, Arc<Vec<i64>>>;

/// An open segment.
#[derive(Debug)]
pub(in crate::durable) struct Segment {
    name: String,
    source: Arc<dyn Source>,
    bytes: u64,
    range: (i64, i64),
    samples: u64,
    /// Sorted, so the number orders like the text.
    symbols: Vec<Text>,
    times: Vec<(Piece, u32)>,
    series: Vec<Entry>,
    postings: OnceLock<Postings>,
    tombstones: RwLock<Arc<Tombstones>>,
}

/// The number under which the metric's name is indexed: no symbol has it.
const METRIC: u32 = u32::MAX;

fn piece(take: &mut Take<'_>, end: u64) -> Option<Piece> {
    let (offset, length) = (take.varint()?, u32::try_from(take.varint()?).ok()?);
    // Nothing is reserved for a piece that cannot be there.
    (offset.checked_add(u64::from(length))? <= end).then_some(())?;
    Some(Piece { offset, length, sum: take.fixed32()? })
}

/// The starts of a series, in order of time.
fn starts(take: &mut Take<'_>) -> Option<Starts> {
    let mut starts = Starts::default();
    let mut at = 0_i64;
    for _ in 0..take.count(2)? {
        at = at.wrapping_add(take.zigzag()?);
        if starts.0.last().is_some_and(|last| last.0 >= at) {
            return None;
        }
        starts.0.push((at, at.wrapping_sub(take.zigzag()?)));
    }
    Some(starts)
}

impl Segment {
    /// Reads and checks the index.
    pub(in crate::durable) fn open(folder: &dyn Folder, name: &str) -> Result<Self, SegmentError> {
        let source = folder.open(name)?;
        let bytes = source.len()?;
        let corrupt = SegmentError::Corrupt;
        let data_end = bytes.checked_sub(FOOTER as u64).ok_or(corrupt("it is too short"))?;
        let magic = source.read_at(0, MAGIC.len().min(bytes as usize))?;
        let known = |format: &u8| (OLDEST..=TIER_MAGIC[7]).contains(format);
        if !magic.split_last().is_some_and(|(format, name)| name == b"itomseg" && known(format)) {
            return Err(match magic.split_last() {
                Some((version, b"itomseg")) if Some(version) > TIER_MAGIC.last() => {
                    SegmentError::Newer(*version)
                }
                _ => corrupt("it does not begin like a segment"),
            });
        }
        let footer = source.read_at(data_end, FOOTER)?;
        let mut take = Take(&footer);
        let (offset, length, sum, own_sum) =
            (|| Some((take.fixed64()?, take.fixed64()?, take.fixed32()?, take.fixed32()?)))()
                .ok_or(corrupt("its end is missing"))?;
        let intact = footer.get(..FOOTER - 4).is_some_and(|checked| crc32fast::hash(checked) == own_sum);
        if !intact || offset.checked_add(length) != Some(data_end) {
            return Err(corrupt("its end is damaged"));
        }
        let length = usize::try_from(length).map_err(|_| corrupt("its index is too long"))?;
        let index = source.read_at(offset, length)?;
        if crc32fast::hash(&index) != sum {
            return Err(corrupt("its index is damaged"));
        }
        let mut segment = Self {
            name: name.to_owned(),
            source,
            bytes,
            range: (0, 0),
            samples: 0,
            symbols: Vec::new(),
            times: Vec::new(),
            series: Vec::new(),
            postings: OnceLock::new(),
            tombstones: RwLock::default(),
        };
        segment.parse(&mut Take(&index), offset).ok_or(corrupt("its index does not make sense"))?;
        Ok(segment)
    }

    fn parse(&mut self, take: &mut Take<'_>, end: u64) -> Option<()> {
        self.range = (take.zigzag()?, take.zigzag()?);
        let symbols = take.count(1)?;
        self.symbols.reserve(symbols);
        for _ in 0..symbols {
            let text = take.text()?;
            if self.symbols.last().is_some_and(|last| last.as_str() >= text) {
                return None;
            }
            self.symbols.push(text.into());
        }
        let symbol =
            |take: &mut Take<'_>| u32::try_from(take.varint()?).ok().filter(|n| (*n as usize) < symbols);
        for _ in 0..take.count(7)? {
            let count = u32::try_from(take.varint()?).ok().filter(|count| *count as usize <= CHUNK_MAX)?;
            self.times.push((piece(take, end)?, count));
        }
        let series = take.count(6)?;
        self.series.reserve(series);
        for _ in 0..series {
            let flags = take.byte()?;
            let subject =
                if flags & 2 == 2 { Some(CiId::from_bytes(take.bytes(16)?.try_into().ok()?)) } else { None };
            let metric = symbol(take)?;
            let labels = take.count(2)?;
            let labels = (0..labels).map(|_| Some((symbol(take)?, symbol(take)?))).collect::<Option<_>>()?;
            let mut chunks = Vec::with_capacity(take.clone().count(7)?);
            for _ in 0..take.count(7)? {
                let times = u32::try_from(take.varint()?).ok()?;
                self.samples += u64::from(self.times.get(times as usize)?.1);
                chunks.push(Chunk { times, values: piece(take, end)? });
            }
            let mut distributions = Vec::new();
            for _ in 0..take.count(7)? {
                let count =
                    u32::try_from(take.varint()?).ok().filter(|count| *count as usize <= CHUNK_MAX)?;
                self.samples += u64::from(count);
                distributions.push((count, piece(take, end)?));
            }
            let (chunks, distributions) = (chunks.into(), distributions.into());
            let starts = if flags & STARTS == 0 { None } else { Some(Box::new(starts(take)?)) };
            self.series.push(Entry {
                metric,
                kind: kind(flags & 1)?,
                subject,
                labels,
                chunks,
                distributions,
                starts,
            });
        }
        take.is_empty().then_some(())
    }

    pub(in crate::durable) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the file.
    pub(in crate::durable) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The first and the last time.
    pub(in crate::durable) const fn range(&self) -> (i64, i64) {
        self.range
    }

    pub(in crate::durable) const fn samples(&self) -> u64 {
        self.samples
    }

    pub(in crate::durable) const fn series(&self) -> u64 {
        self.series.len() as u64
    }

    pub(in crate::durable) fn tombstones(&self) -> Arc<Tombstones> {
        Arc::clone(&self.tombstones.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::durable) fn set_tombstones(&self, tombstones: Tombstones) {
        *self.tombstones.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tombstones);
    }

    fn postings(&self) -> &Postings {
        self.postings.get_or_init(|| {
            let mut postings = Postings::new();
            let mut add = |name: u32, value: u32, series: u32| {
                postings.entry(name).or_default().entry(value).or_default().insert(series);
            };
            for (number, entry) in (0..).zip(&self.series) {
                add(METRIC, entry.metric, number);
                for (name, value) in &entry.labels {
                    add(*name, *value, number);
                }
            }
            postings
        })
    }

    fn symbol(&self, text: &str) -> Option<u32> {
        self.symbols.binary_search_by(|have| have.as_str().cmp(text)).ok().map(|found| found as u32)
    }

    fn text(&self, symbol: u32) -> &str {
        self.symbols.get(symbol as usize).map_or("", Text::as_str)
    }

    /// The numbers of the series that fit every condition.
    pub(in crate::durable) fn matching(&self, conditions: &[Condition]) -> RoaringBitmap {
        let all = || RoaringBitmap::from_sorted_iter(0..self.series.len() as u32).unwrap_or_default();
        let mut wanted: Option<RoaringBitmap> = None;
        let mut unwanted = RoaringBitmap::new();
        for condition in conditions {
            // A series without the label fits when the empty value does: then those with a value that does not go.
            let absent_fits = condition.holds("");
            let values = if condition.is_on_metric() {
                self.postings().get(&METRIC)
            } else {
                self.symbol(condition.name.as_str()).and_then(|name| self.postings().get(&name))
            };
            let mut found = RoaringBitmap::new();
            if let Some(values) = values {
                let fits = |value: &str| condition.holds(value) != absent_fits;
                let mut add = |value: &str| {
                    if let Some(bitmap) = self.symbol(value).and_then(|symbol| values.get(&symbol))
                        && fits(value)
                    {
                        found |= bitmap;
                    }
                };
                match &condition.test {
                    Test::Equal(value) if condition.negated == absent_fits => add(value),
                    Test::OneOf(named) if condition.negated == absent_fits => {
                        named.iter().for_each(|one| add(one))
                    }
                    _ => {
                        for bitmap in
                            values.iter().filter(|(value, _)| fits(self.text(**value))).map(|(_, b)| b)
                        {
                            found |= bitmap;
                        }
                    }
                }
            }
            if absent_fits {
                unwanted |= found;
            } else {
                wanted = Some(match wanted {
                    Some(have) => have & found,
                    None => found,
                });
            }
        }
        wanted.unwrap_or_else(all) - unwanted
    }

    fn checked(&self, piece: Piece) -> Result<Vec<u8>, SegmentError> {
        let bytes = self.source.read_at(piece.offset, piece.length as usize)?;
        if crc32fast::hash(&bytes) == piece.sum {
            Ok(bytes)
        } else {
            Err(SegmentError::Corrupt("a column is damaged"))
        }
    }

    fn times(&self, number: u32, cache: &mut Cache) -> Result<Arc<Vec<i64>>, SegmentError> {
        if let Some(times) = cache.get(&number) {
            return Ok(Arc::clone(times));
        }
        let senseless = SegmentError::Corrupt("times do not make sense");
        let Some((piece, count)) = self.times.get(number as usize) else { return Err(senseless) };
        let times = Arc::new(decode_times(&self.checked(*piece)?, *count as usize).ok_or(senseless)?);
        cache.insert(number, Arc::clone(&times));
        Ok(times)
    }

    /// Whether a series has samples with `from <= time <= to` that are not deleted. No value is read, and where all of
    /// the segment lies within, no time either.
    #[cfg(feature = "api")]
    pub(in crate::durable) fn has_within(
        &self,
        number: u32,
        (from, to): (i64, i64),
        cache: &mut Cache,
    ) -> Result<bool, SegmentError> {
        let Some(entry) = self.series.get(number as usize) else { return Ok(false) };
        let tombstones = self.tombstones();
        if from <= self.range.0 && self.range.1 <= to && !tombstones.touches(number) {
            return Ok(true);
        }
        for chunk in &entry.chunks {
            let times = self.times(chunk.times, cache)?;
            let start = times.partition_point(|at| *at < from);
            let mut within = times.iter().skip(start).take_while(|at| **at <= to);
            if within.any(|at| !tombstones.covers(number, *at)) {
                return Ok(true);
            }
        }
        Ok(!self.histograms(number, entry, (from, to), &tombstones)?.is_empty())
    }

    /// A series with its samples with `from <= time <= to` that are not deleted.
    pub(in crate::durable) fn read(
        &self,
        number: u32,
        (from, to): (i64, i64),
        cache: &mut Cache,
    ) -> Result<Option<Scanned>, SegmentError> {
        let senseless = SegmentError::Corrupt("a column does not make sense");
        let Some(entry) = self.series.get(number as usize) else { return Ok(None) };
        let tombstones = self.tombstones();
        let mut samples: Vec<Raw> = Vec::new();
        for chunk in &entry.chunks {
            let times = self.times(chunk.times, cache)?;
            let (start, end) =
                (times.partition_point(|at| *at < from), times.partition_point(|at| *at <= to));
            if start >= end {
                continue;
            }
            let Some(values) = decode(&self.checked(chunk.values)?, times.len()) else {
                return Err(senseless);
            };
            let part = times.iter().copied().zip(values).skip(start).take(end - start);
            samples.extend(part.filter(|(at, _)| !tombstones.covers(number, *at)));
        }
        let histograms = self.histograms(number, entry, (from, to), &tombstones)?;
        if samples.is_empty() && histograms.is_empty() {
            return Ok(None);
        }
        // A crafted file could give the chunks of a series in any order.
        let ascending = samples.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && histograms.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !ascending {
            return Err(senseless);
        }
        let starts = entry.starts.as_ref().map_or_else(Starts::default, |starts| {
            starts.of_times(times_of(&samples, &histograms).into_iter())
        });
        let unnamed = |_| SegmentError::Corrupt("a name is not one");
        let mut labels = LabelsBuilder::default();
        for (name, value) in &entry.labels {
            labels = labels.set(LabelName::new(self.text(*name)).map_err(unnamed)?, self.value(*value));
        }
        let metric = MetricName::new(self.text(entry.metric)).map_err(unnamed)?;
        Ok(Some(Scanned {
            metric,
            labels: labels.build(),
            kind: entry.kind,
            subject: entry.subject,
            samples,
            histograms,
            starts,
        }))
    }

    /// A series of a tier, without samples, with its rows with `from <= time <= to` that are not deleted, and the buckets
    /// of its histograms likewise.
    pub(in crate::durable) fn read_rows(
        &self,
        number: u32,
        (from, to): (i64, i64),
        cache: &mut Cache,
    ) -> Result<Option<(Scanned, Vec<Row>)>, SegmentError> {
        let senseless = || SegmentError::Corrupt("a row does not make sense");
        let Some(entry) = self.series.get(number as usize) else { return Ok(None) };
        let tombstones = self.tombstones();
        let mut rows: Vec<Row> = Vec::new();
        for group in entry.chunks.chunks(COLUMNS) {
            let (Some(first), COLUMNS) = (group.first(), group.len()) else { return Err(senseless()) };
            let times = self.times(first.times, cache)?;
            let (start, end) =
                (times.partition_point(|at| *at < from), times.partition_point(|at| *at <= to));
            if start >= end {
                continue;
            }
            let begin = rows.len();
            rows.extend(times.iter().skip(start).take(end - start).map(|at| (*at, [0; COLUMNS])));
            for (column, chunk) in group.iter().enumerate() {
                let values = decode(&self.checked(chunk.values)?, times.len()).ok_or_else(senseless)?;
                if chunk.times != first.times {
                    return Err(senseless());
                }
                for (row, value) in rows.iter_mut().skip(begin).zip(values.into_iter().skip(start)) {
                    if let Some(place) = row.1.get_mut(column) {
                        *place = value;
                    }
                }
            }
        }
        rows.retain(|(at, _)| !tombstones.covers(number, *at));
        let histograms = self.histograms(number, entry, (from, to), &tombstones)?;
        let ascending = rows.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && histograms.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !ascending {
            return Err(senseless());
        }
        if rows.is_empty() && histograms.is_empty() {
            return Ok(None);
        }
        let unnamed = || SegmentError::Corrupt("a name is not one");
        let (metric, labels, kind) = self.describe(number).ok_or_else(unnamed)?;
        let (samples, starts) = (Vec::new(), Starts::default());
        let subject = entry.subject;
        Ok(Some((Scanned { metric, labels, kind, subject, samples, histograms, starts }, rows)))
    }

    fn histograms(
        &self,
        number: u32,
        entry: &Entry,
        (from, to): (i64, i64),
        tombstones: &Tombstones,
    ) -> Result<Vec<Encoded>, SegmentError> {
        let mut out = Vec::new();
        for (count, piece) in &entry.distributions {
            let bytes = self.checked(*piece)?;
            let mut take = Take(&bytes);
            let mut at = 0_i64;
            for _ in 0..*count {
                let found = (|| {
                    at = at.wrapping_add(take.zigzag()?);
                    let length = take.size()?;
                    take.bytes(length)
                })();
                let found = found.ok_or(SegmentError::Corrupt("histograms do not make sense"))?;
                if at >= from && at <= to && !tombstones.covers(number, at) {
                    out.push((at, found.into()));
                }
            }
        }
        Ok(out)
    }

    /// The metric's name, labels and kind of a series, without samples.
    pub(in crate::durable) fn describe(&self, number: u32) -> Option<(MetricName, Labels, SampleKind)> {
        let entry = self.series.get(number as usize)?;
        let mut labels: LabelsBuilder = LabelsBuilder::default();
        for (name, value) in &entry.labels {
            labels = labels.set(LabelName::new(self.text(*name)).ok()?, self.value(*value));
        }
        Some((MetricName::new(self.text(entry.metric)).ok()?, labels.build(), entry.kind))
    }

    /// Shares the text instead of copying it.
    fn value(&self, symbol: u32) -> Text {
        self.symbols.get(symbol as usize).cloned().unwrap_or_default()
    }

    /// Reads every column: what a check of the whole file does.
    pub(in crate::durable) fn verify(&self) -> Result<(), SegmentError> {
        let mut cache = Cache::new();
        for number in 0..self.series.len() as u32 {
            self.read(number, (i64::MIN, i64::MAX), &mut cache)?;
        }
        Ok(())
    }

    /// The same of a file of a tier.
    pub(in crate::durable) fn verify_rows(&self) -> Result<(), SegmentError> {
        let mut cache = Cache::new();
        for number in 0..self.series.len() as u32 {
            let found = self.read_rows(number, (i64::MIN, i64::MAX), &mut cache)?;
            let mut histograms = found.iter().flat_map(|(series, _)| &series.histograms);
            if !histograms.all(|one| decoded(one).is_some()) {
                return Err(SegmentError::Corrupt("a bucket of histograms does not make sense"));
            }
        }
        Ok(())
    }
}
