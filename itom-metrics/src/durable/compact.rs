//! Moving old samples from memory to segments, merging segments, retention: one step, called by the driver.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use itom_core::{Labels, MetricName, Timestamp};

use super::read::joined;
use super::segment::{Cache, Segment, SegmentError, SegmentWriter};
use super::store::{DurableStore, lock, segment_name, tombstone_name};
use super::{DurableConfig, DurableError, doing, of_segment};

/// Segments of like size that are merged at once.
const MERGE: usize = 4;

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactReport {
    /// Samples moved from memory to a new segment.
    pub moved: u64,
    /// Segments merged into one.
    pub merged: u64,
    /// Segments removed by retention.
    pub expired: u64,
}

/// What is known about a segment when it is decided what to merge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) range: (i64, i64),
}

impl Shape {
    /// Whether none is more than four times as large as another and all together span no more than that.
    pub(super) fn alike(some: &[Self], span: i64) -> bool {
        let largest = some.iter().map(|shape| shape.bytes).max().unwrap_or(0);
        let smallest = some.iter().map(|shape| shape.bytes).min().unwrap_or(0);
        let from = some.iter().map(|shape| shape.range.0).min().unwrap_or(0);
        let to = some.iter().map(|shape| shape.range.1).max().unwrap_or(0);
        largest <= smallest.saturating_mul(4) && to.saturating_sub(from) <= span
    }
}

/// Which segments to merge next: the first four neighbours of which none is more than four times as large as another
/// and that together do not span too much time; two neighbours that overlap are merged first, whatever their size.
fn plan(shapes: &[Shape], max_span: Duration) -> Vec<u64> {
    let span = i64::try_from(max_span.as_millis()).unwrap_or(i64::MAX);
    let numbers = |some: &[Shape]| some.iter().map(|shape| shape.number).collect();
    for pair in shapes.windows(2) {
        if pair[1].range.0 <= pair[0].range.1 && pair[1].range.1.saturating_sub(pair[0].range.0) <= span {
            return numbers(pair);
        }
    }
    for some in shapes.windows(MERGE) {
        if Shape::alike(some, span) {
            return numbers(some);
        }
    }
    Vec::new()
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl DurableStore {
    /// One step of maintenance: call it every minute or so, from one thread. Reads go on meanwhile; appends wait only
    /// while the log is written anew with what stays in memory.
    ///
    /// # Errors
    /// [`DurableError::Io`]: nothing is lost, the next step tries again.
    pub fn compact(&self, now: Timestamp) -> Result<CompactReport, DurableError> {
        let _exclusive = lock(&self.exclusive);
        let now = now.max(Timestamp::from_micros(self.now.load(Ordering::Relaxed)));
        let mut report = CompactReport::default();
        let DurableConfig { keep_in_memory, segment_after, .. } = self.config;
        if self.oldest.load(Ordering::Relaxed) < (now - segment_after).as_millis() {
            report.moved = self.move_before((now - keep_in_memory).as_millis())?;
        }
        self.make_tiers(self.oldest.load(Ordering::Relaxed).min((now - keep_in_memory).as_millis()))?;
        report.expired = self.expire(now)?;
        report.merged = self.merge()?;
        self.tend_tiers(now)?;
        Ok(report)
    }

    /// Moves everything in memory to a segment, whatever its age: before a backup, or to measure.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub fn flush(&self) -> Result<u64, DurableError> {
        let _exclusive = lock(&self.exclusive);
        self.move_before(i64::MAX)
    }

    fn move_before(&self, cut: i64) -> Result<u64, DurableError> {
        let range = (i64::MIN, cut.saturating_sub(1));
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let name = segment_name(number);
        let failed = |error| of_segment("write", &name, error);
        let mut writer = SegmentWriter::new(Arc::clone(&self.folder), &name).map_err(failed)?;
        let mut written: Vec<(MetricName, Labels, usize)> = Vec::new();
        self.memory
            .scan(&[], range, |series| {
                written.push((
                    series.metric.clone(),
                    series.labels.clone(),
                    series.samples.len() + series.histograms.len(),
                ));
                writer.add(series)
            })
            .map_err(failed)?;
        let (samples, newest) = (writer.samples(), writer.newest());
        if !writer.finish().map_err(failed)? {
            self.oldest.store(cut, Ordering::Relaxed);
            return Ok(0);
        }
        let range_written = self.take_into_service(number)?;
        // While the log has these samples still: nothing of it is forgotten in a crash.
        self.samples_changed(range_written.0, range_written.1)?;
        let mut log = lock(&self.writer);
        self.oldest.store(cut, Ordering::Relaxed);
        self.memory.moving(newest);
        for (metric, labels, count) in &written {
            // A series that got older samples meanwhile stays as it is: readers see each time once, and the next step
            // finds it again.
            if self.memory.cut_moved(metric, labels, range, *count) != *count {
                self.oldest.store(range.0, Ordering::Relaxed);
            }
        }
        // Before series that have nothing left leave: what of them came since a reader last looked is in the segment only.
        self.change_past();
        let expired = self.memory.apply_retention(Timestamp::from_micros(self.now.load(Ordering::Relaxed)));
        if expired > 0 {
            self.change_past();
        }
        self.checkpoint(&mut log)?;
        Ok(samples)
    }

    /// The first and the last time that it has.
    fn take_into_service(&self, number: u64) -> Result<(i64, i64), DurableError> {
        let name = segment_name(number);
        let segment =
            Segment::open(self.folder.as_ref(), &name).map_err(|error| of_segment("read", &name, error))?;
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let range = segment.range();
        segments.insert(number, Arc::new(segment));
        Ok(range)
    }

    /// Removes segments that are older than the retention as a whole, and the oldest while there are too many bytes.
    fn expire(&self, now: Timestamp) -> Result<u64, DurableError> {
        let floor = now.as_millis().saturating_sub(millis(self.config.retention));
        let mut segments = self.segments();
        segments.sort_by_key(|(number, segment)| (segment.range().1, *number));
        let mut bytes: u64 = segments.iter().map(|(_, segment)| segment.bytes()).sum();
        let mut expired = 0;
        for (number, segment) in segments {
            let too_many = self.config.max_bytes.is_some_and(|most| bytes > most);
            if segment.range().1 >= floor && !too_many {
                continue;
            }
            bytes -= segment.bytes();
            self.samples_gone(segment.range().1.saturating_add(1))?;
            let removed = self.remove(number);
            self.change_past();
            removed?;
            expired += 1;
        }
        Ok(expired)
    }

    fn remove(&self, number: u64) -> Result<(), DurableError> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        // The segment first: its deletes must not come back to life without it.
        for name in [segment_name(number), tombstone_name(number)] {
            match self.folder.remove(&name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(doing("remove", &name)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn merge(&self) -> Result<u64, DurableError> {
        let segments = self.segments();
        let mut shapes: Vec<Shape> = segments
            .iter()
            .map(|(number, segment)| Shape {
                number: *number,
                bytes: segment.bytes(),
                range: segment.range(),
            })
            .collect();
        shapes.sort_by_key(|shape| (shape.range, shape.number));
        let chosen = plan(&shapes, self.config.max_segment);
        if chosen.is_empty() {
            return Ok(0);
        }
        let mut parts: Vec<(u64, Arc<Segment>)> =
            segments.into_iter().filter(|(number, _)| chosen.contains(number)).collect();
        parts.sort_by_key(|(number, _)| *number);
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        match self.write_merged(number, &parts) {
            Ok(kept) => {
                if kept {
                    self.take_into_service(number)?;
                }
            }
            Err((part, SegmentError::Corrupt(_))) if part != number => {
                self.quarantine(part);
                return Ok(0);
            }
            Err((part, error)) => return Err(of_segment("merge", &segment_name(part), error)),
        }
        // Where two segments had different values for one time, another one of them may be the first now.
        let removed = parts.iter().try_for_each(|(part, _)| self.remove(*part));
        self.change_past();
        removed?;
        Ok(parts.len() as u64)
    }

    /// Writes one segment of several, series after series; whether it holds anything. The error names the segment.
    fn write_merged(&self, number: u64, parts: &[(u64, Arc<Segment>)]) -> Result<bool, (u64, SegmentError)> {
        let own = |error| (number, error);
        let mut writer = SegmentWriter::new(Arc::clone(&self.folder), &segment_name(number)).map_err(own)?;
        walk(
            parts,
            |segment, series, cache| segment.read(series, (i64::MIN, i64::MAX), cache),
            joined,
            |series| writer.add(series),
        )
        .map_err(|(part, error)| (part.unwrap_or(number), error))?;
        writer.finish().map_err(own)
    }
}

/// Hands over each series of several files, sorted by metric and labels, its parts joined in the order of the files. The
/// error names the file that could not be read, if it was one.
pub(super) fn walk<T>(
    parts: &[(u64, Arc<Segment>)],
    read: impl Fn(&Segment, u32, &mut Cache) -> Result<Option<T>, SegmentError>,
    join: impl Fn(T, T) -> T,
    mut each: impl FnMut(T) -> Result<(), SegmentError>,
) -> Result<(), (Option<u64>, SegmentError)> {
    let mut places = vec![0_u32; parts.len()];
    let mut caches = vec![Cache::new(); parts.len()];
    let describe = |(_, segment): &(u64, Arc<Segment>), place: u32| {
        segment.describe(place).map(|(metric, labels, _)| (metric, labels))
    };
    let mut heads: Vec<Option<(MetricName, Labels)>> = parts.iter().map(|part| describe(part, 0)).collect();
    while let Some(next) = heads.iter().flatten().min().cloned() {
        let mut whole: Option<T> = None;
        let files = parts.iter().zip(&mut heads).zip(places.iter_mut().zip(&mut caches));
        for ((part, head), (place, cache)) in files {
            if head.as_ref() != Some(&next) {
                continue;
            }
            let series = read(&part.1, *place, cache).map_err(|error| (Some(part.0), error))?;
            *place += 1;
            *head = describe(part, *place);
            whole = match (whole, series) {
                (Some(whole), Some(series)) => Some(join(whole, series)),
                (whole, series) => whole.or(series),
            };
        }
        if let Some(series) = whole {
            each(series).map_err(|error| (None, error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_like_size_are_merged_and_overlaps_first() {
        let hour = 3_600_000;
        let shape = |number: u64, bytes: u64| {
            let from = number as i64 * hour;
            Shape { number, bytes, range: (from, from + hour - 1) }
        };
        let day = Duration::from_secs(86_400);
        let four: Vec<Shape> = (1..5).map(|number| shape(number, 100)).collect();
        assert_eq!(plan(&four, day), [1, 2, 3, 4]);
        assert!(plan(&four[..3], day).is_empty());
        assert!(plan(&four, Duration::from_secs(3 * 3_600)).is_empty());
        let mut uneven = four.clone();
        uneven[0].bytes = 1_000;
        assert!(plan(&uneven, day).is_empty());
        uneven[0].range.1 += hour;
        assert_eq!(plan(&uneven, day), [1, 2]);
    }
}
