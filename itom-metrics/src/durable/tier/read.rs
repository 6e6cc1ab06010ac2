//! Reading buckets, and deleting them.

use std::collections::BTreeMap;
use std::sync::Arc;

use itom_core::{EvaluateError, Labels, MetricName};

use super::super::segment::{Cache, Segment, SegmentError};
use super::super::store::DurableStore;
use super::super::{DurableError, doing};
use super::{FileKey, bucket_of, decoded, deleted_name};
use crate::queryable::{bucket_end, buckets_of, histogram, histogram_buckets_of};
use crate::selector::Condition;
use crate::{Bucket, HistogramBucket, HistogramPoint, TierReach};

/// The buckets of a series by their ends.
#[derive(Debug, Default)]
pub(crate) struct FoundBuckets {
    pub(crate) floats: BTreeMap<i64, Bucket>,
    pub(crate) histograms: BTreeMap<i64, HistogramBucket>,
}

type Found = BTreeMap<(MetricName, Labels), FoundBuckets>;

impl DurableStore {
    fn tier_files(&self, length: i64) -> Vec<(FileKey, Arc<Segment>)> {
        let tiers = self.tiers_now();
        let of_length = tiers.files.range((length, 0, 0)..(length.saturating_add(1), 0, 0));
        of_length.map(|(key, segment)| (*key, Arc::clone(segment))).collect()
    }

    /// The buckets of a length that end in the range, of the series that fit all conditions.
    pub(crate) fn gather_buckets(
        &self,
        conditions: &[Condition],
        (from, to): (i64, i64),
        length: i64,
    ) -> Result<Found, DurableError> {
        let limit = self.config.memory.max_samples_read;
        let mut read = 0_u64;
        let mut count = |buckets: usize| {
            read += buckets as u64;
            if read > limit {
                return Err(DurableError::Evaluate(EvaluateError::Limit { what: "samples", limit }));
            }
            Ok(())
        };
        let mut found = Found::new();
        // Before the files: should more be made meanwhile, it is read of the samples.
        let through = self.tiers_now().state.made.get(&length).map_or(i64::MIN, |made| made.through);
        for (key, segment) in self.tier_files(length) {
            if segment.range().0 > to || segment.range().1 < from {
                continue;
            }
            let mut cache = Cache::new();
            for number in segment.matching(conditions) {
                match segment.read_rows(number, (from, to), &mut cache) {
                    Ok(None) => {}
                    Ok(Some((series, rows))) => {
                        count(rows.len() + series.histograms.len())?;
                        let histograms: Option<Vec<_>> = series.histograms.iter().map(decoded).collect();
                        let Some(histograms) = histograms else {
                            self.quarantine_tier(key);
                            break;
                        };
                        let buckets = found.entry((series.metric, series.labels)).or_default();
                        // Files come in order: what a later one has stays.
                        buckets.floats.extend(rows.iter().map(|row| (row.0, bucket_of(row))));
                        buckets.histograms.extend(histograms.into_iter().map(|one| (one.end, one)));
                    }
                    Err(SegmentError::Io(error)) => return Err(doing("read", segment.name())(error)),
                    Err(_) => {
                        self.quarantine_tier(key);
                        break;
                    }
                }
            }
        }
        let first = from.saturating_sub(length).saturating_add(1).max(through.saturating_add(1));
        if first <= to {
            for (name, series) in self.gather(conditions, (first, to))? {
                let points = series.histograms.into_iter().filter_map(histogram);
                let points: Vec<HistogramPoint> = points.collect();
                let wanted = |end: i64| end >= from && end <= to;
                let mut floats = buckets_of(&series.samples, length);
                floats.retain(|one| wanted(one.end));
                let mut histograms = histogram_buckets_of(&points, length);
                histograms.retain(|one| wanted(one.end));
                if !floats.is_empty() || !histograms.is_empty() {
                    let buckets = found.entry(name).or_default();
                    buckets.floats.extend(floats.into_iter().map(|one| (one.end, one)));
                    buckets.histograms.extend(histograms.into_iter().map(|one| (one.end, one)));
                }
            }
        }
        Ok(found)
    }

    /// Hides the buckets that have samples with `from <= time <= to`, of the series that fit.
    pub(in super::super) fn delete_buckets(
        &self,
        conditions: &[Condition],
        (from, to): (i64, i64),
    ) -> Result<(), DurableError> {
        let files: Vec<(FileKey, Arc<Segment>)> =
            self.tiers_now().files.iter().map(|(key, segment)| (*key, Arc::clone(segment))).collect();
        for (key, segment) in files {
            let (first, last) = (bucket_end(from, key.0), bucket_end(to, key.0));
            if segment.range().0 > last || segment.range().1 < first {
                continue;
            }
            let series = segment.matching(conditions);
            if series.is_empty() {
                continue;
            }
            let mut tombstones = segment.tombstones().as_ref().clone();
            series.iter().for_each(|series| tombstones.add(series, first, last));
            let name = deleted_name(key);
            self.folder.place(&name, &tombstones.to_bytes()).map_err(doing("write", &name))?;
            segment.set_tombstones(tombstones);
        }
        Ok(())
    }

    /// From when on all samples are there.
    pub(crate) fn all_samples_from(&self) -> i64 {
        self.tiers_now().state.samples_from
    }

    /// How far back each tier goes.
    pub(crate) fn reach_of_tiers(&self) -> Vec<TierReach> {
        let now = self.last_told().map_or(i64::MIN, itom_core::Timestamp::as_millis);
        let mut all: Vec<TierReach> = self
            .config
            .tiers
            .iter()
            .map(|tier| {
                let keep = i64::try_from(tier.keep.as_millis()).unwrap_or(i64::MAX);
                TierReach { length: tier.length(), from: now.saturating_sub(keep) }
            })
            .collect();
        all.sort_by_key(|tier| tier.length);
        all
    }
}
