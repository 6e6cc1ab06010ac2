//! Making, merging and dropping the files of tiers: part of a step of maintenance.

use std::sync::Arc;
use std::time::Duration;

use itom_core::Timestamp;

use super::super::compact::{Shape, walk};
use super::super::read::{joined, merged};
use super::super::segment::{Segment, SegmentError, SegmentWriter};
use super::super::store::DurableStore;
use super::super::{DurableError, doing, of_segment};
use super::{FileKey, Row, deleted_name, encoded, file_name, row_of};
use crate::HistogramPoint;
use crate::queryable::{bucket_end, buckets_of, histogram, histogram_buckets_of};
use crate::store::Scanned;

/// Files of like size that are merged at once.
const MERGE: usize = 4;
/// How many of the longest raw segments a merged file of a tier may span.
const SPAN: i64 = 20;

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl DurableStore {
    /// Makes the buckets of all that is complete; `before` is a time before which all samples are in segments.
    pub(in super::super) fn make_tiers(&self, before: i64) -> Result<(), DurableError> {
        for tier in &self.config.tiers {
            let length = tier.length();
            // The last bucket that ends before the first sample that may be missing.
            let complete = before.saturating_sub(1).div_euclid(length).saturating_mul(length);
            let oldest = self.segments().iter().map(|(_, segment)| segment.range().0).min();
            let made = self.tiers_now().state.made.get(&length).copied();
            let mut through = match (made, oldest) {
                (Some(made), _) => made.through,
                (None, Some(oldest)) => bucket_end(oldest, length).saturating_sub(length).min(complete),
                (None, None) => continue,
            };
            if let Some((from, to)) = made.and_then(|made| made.dirty) {
                let first = bucket_end(from, length).saturating_sub(length).max(self.first_whole(length));
                self.make_stretch(length, first, bucket_end(to, length).min(through))?;
                self.set_made(length, through)?;
            }
            let most = millis(self.config.max_segment).div_euclid(length).max(1).saturating_mul(length);
            while through < complete {
                let end = complete.min(through.saturating_add(most));
                self.make_stretch(length, through.max(self.first_whole(length)), end)?;
                self.set_made(length, end)?;
                through = end;
            }
        }
        Ok(())
    }

    /// The beginning of the first bucket that all samples are there for.
    fn first_whole(&self, length: i64) -> i64 {
        let from = self.tiers_now().state.samples_from;
        if from == i64::MIN { from } else { bucket_end(from.saturating_sub(1), length) }
    }

    fn set_made(&self, length: i64, through: i64) -> Result<(), DurableError> {
        self.change_state(|state| {
            state.made.insert(length, super::Made { through, dirty: None });
        })
    }

    /// Writes a file with the buckets of `after < t <= through`.
    fn make_stretch(&self, length: i64, after: i64, through: i64) -> Result<(), DurableError> {
        let range = (after.saturating_add(1), through);
        let overlap = |segment: &Segment| segment.range().0 <= range.1 && segment.range().1 >= range.0;
        let parts: Vec<(u64, Arc<Segment>)> =
            self.segments().into_iter().filter(|(_, segment)| overlap(segment)).collect();
        if after >= through || parts.is_empty() {
            return Ok(());
        }
        let number = self.next_number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let key = (length, number, number);
        let name = file_name(key);
        let failed = |error| of_segment("write", &name, error);
        let mut writer = SegmentWriter::of_tier(Arc::clone(&self.folder), &name).map_err(failed)?;
        let walked = walk(
            &parts,
            |segment, series, cache| segment.read(series, range, cache),
            joined,
            |mut series: Scanned| {
                let rows: Vec<Row> = buckets_of(&series.samples, length).iter().map(row_of).collect();
                let points = std::mem::take(&mut series.histograms).into_iter().filter_map(histogram);
                let points: Vec<HistogramPoint> = points.collect();
                series.histograms = histogram_buckets_of(&points, length).iter().map(encoded).collect();
                writer.add_rows(series, &rows)
            },
        );
        match walked {
            Ok(()) => {}
            Err((Some(part), SegmentError::Corrupt(_))) => {
                // The rest is made with the next step.
                self.quarantine(part);
                return self.make_stretch(length, after, through);
            }
            Err((_, error)) => return Err(failed(error)),
        }
        if writer.finish().map_err(failed)? {
            self.take_tier(key)?;
        }
        Ok(())
    }

    fn take_tier(&self, key: FileKey) -> Result<(), DurableError> {
        let name = file_name(key);
        let segment = Segment::open(self.folder.as_ref(), &name);
        let segment = segment.map_err(|error| of_segment("read", &name, error))?;
        self.tiers_mut().files.insert(key, Arc::new(segment));
        Ok(())
    }

    fn remove_tier(&self, key: FileKey) -> Result<(), DurableError> {
        self.tiers_mut().files.remove(&key);
        // The file first: its deletes must not come back to life without it.
        for name in [file_name(key), deleted_name(key)] {
            match self.folder.remove(&name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(doing("remove", &name)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes files that are older than their tier keeps, and merges one set of neighbours.
    pub(in super::super) fn tend_tiers(&self, now: Timestamp) -> Result<(), DurableError> {
        for tier in &self.config.tiers {
            let length = tier.length();
            let floor = now.as_millis().saturating_sub(millis(tier.keep));
            let files: Vec<(FileKey, Arc<Segment>)> = {
                let tiers = self.tiers_now();
                let of_length = tiers.files.range((length, 0, 0)..(length.saturating_add(1), 0, 0));
                of_length.map(|(key, segment)| (*key, Arc::clone(segment))).collect()
            };
            let (kept, expired): (Vec<_>, Vec<_>) =
                files.into_iter().partition(|(_, segment)| segment.range().1 >= floor);
            for (key, _) in expired {
                self.remove_tier(key)?;
            }
            let span = millis(self.config.max_segment).saturating_mul(SPAN);
            // Neighbours in order only: of a bucket that several have, the last one counts.
            let fit = |some: &&[(FileKey, Arc<Segment>)]| {
                let shapes = some.iter().map(|(_, segment)| Shape {
                    number: 0,
                    bytes: segment.bytes(),
                    range: segment.range(),
                });
                Shape::alike(&shapes.collect::<Vec<_>>(), span)
            };
            if let Some(some) = kept.windows(MERGE).find(fit) {
                self.merge_tier(length, some)?;
            }
        }
        Ok(())
    }

    fn merge_tier(&self, length: i64, some: &[(FileKey, Arc<Segment>)]) -> Result<(), DurableError> {
        let number = self.next_number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let order = some.last().map_or(number, |(key, _)| key.1);
        let key = (length, order, number);
        let name = file_name(key);
        let failed = |error| of_segment("write", &name, error);
        let mut writer = SegmentWriter::of_tier(Arc::clone(&self.folder), &name).map_err(failed)?;
        // The last one first: its buckets stay.
        let parts: Vec<(u64, Arc<Segment>)> =
            (0..).zip(some.iter().rev()).map(|(place, (_, segment))| (place, Arc::clone(segment))).collect();
        let walked = walk(
            &parts,
            |segment, series, cache| segment.read_rows(series, (i64::MIN, i64::MAX), cache),
            |(mut first, rows), (other, others)| {
                first.histograms = merged(std::mem::take(&mut first.histograms), other.histograms);
                (first, merged(rows, others))
            },
            |(series, rows)| writer.add_rows(series, &rows),
        );
        match walked {
            Ok(()) => {}
            Err((Some(place), SegmentError::Corrupt(_))) => {
                if let Some((key, _)) =
                    usize::try_from(place).ok().and_then(|place| some.iter().rev().nth(place))
                {
                    self.quarantine_tier(*key);
                }
                return Ok(());
            }
            Err((_, error)) => return Err(failed(error)),
        }
        if writer.finish().map_err(failed)? {
            self.take_tier(key)?;
        }
        some.iter().try_for_each(|(key, _)| self.remove_tier(*key))
    }

    /// Takes a damaged file out of service and gives it another name.
    pub(super) fn quarantine_tier(&self, key: FileKey) {
        if self.tiers_mut().files.remove(&key).is_some() {
            self.quarantined.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            for name in [file_name(key), deleted_name(key)] {
                // As with segments: whether or not it can be renamed, it is served no more.
                let _ = self.folder.rename(&name, &format!("{name}.quarantined"));
            }
        }
    }
}
