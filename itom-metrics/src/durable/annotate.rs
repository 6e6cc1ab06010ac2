//! What comes with samples and is no sample, kept in the log: help and unit of metrics, exemplars, start times.

use itom_core::{EvaluateError, Interval, Labels, Matcher, MetricName, Timestamp};

use super::DurableError;
use super::log;
use super::store::{DurableStore, Writer, lock};
use crate::store::Reach;
use crate::{Exemplar, ExemplarSeries, MetricMetadata, NewStart};

impl DurableStore {
    /// Writes what `make` stored, if anything, and returns when it is on the disk.
    fn annotate(&self, make: impl FnOnce(&mut Writer) -> Option<Vec<u8>>) -> Result<(), DurableError> {
        let mut writer = lock(&self.writer);
        if writer.unsure {
            self.checkpoint(&mut writer)?;
        }
        if let Some(record) = make(&mut writer) {
            self.write(&mut writer, &record)?;
        }
        let ticket = writer.written;
        drop(writer);
        self.wait_for_disk(ticket)
    }

    /// Keeps what is known about metrics, as [`SeriesStore::set_metadata`](crate::SeriesStore::set_metadata) does, and
    /// returns when it is on the disk. What is known already is not written again. How many were kept.
    ///
    /// # Errors
    /// [`DurableError::Io`]: sending them again is right.
    pub fn set_metadata(&self, all: &[(MetricName, MetricMetadata)]) -> Result<u64, DurableError> {
        let mut kept = 0;
        self.annotate(|_| {
            let mut changed = Vec::new();
            for one in all {
                let known = self.memory.knows(&one.0, &one.1);
                if self.memory.set_metadata(&one.0, one.1.clone()) {
                    kept += 1;
                    changed.extend((!known).then_some(one));
                }
            }
            (!changed.is_empty())
                .then(|| log::metadata(changed.into_iter().map(|(name, about)| (name, about))))
        })?;
        Ok(kept)
    }

    /// What is known about metrics, sorted by name; of one metric or of all.
    #[must_use]
    pub fn metadata(&self, metric: Option<&MetricName>) -> Vec<(MetricName, MetricMetadata)> {
        self.memory.metadata(metric)
    }

    /// Keeps exemplars, as [`SeriesStore::append_exemplar`](crate::SeriesStore::append_exemplar) does, and returns when
    /// they are on the disk. The newest [`max_exemplars`](crate::StoreConfig::max_exemplars) stay. How many were kept.
    ///
    /// # Errors
    /// [`DurableError::Io`]: sending them again is right.
    pub fn append_exemplars(
        &self,
        exemplars: &[(MetricName, Labels, Exemplar)],
    ) -> Result<u64, DurableError> {
        let mut kept = 0;
        self.annotate(|_| {
            let new = |one: &&(MetricName, Labels, Exemplar)| {
                self.memory.append_exemplar(&one.0, &one.1, one.2.clone())
            };
            let new: Vec<_> = exemplars.iter().filter(new).collect();
            kept = new.len() as u64;
            let parts = new.iter().map(|(metric, labels, exemplar)| (metric, labels, exemplar));
            (!new.is_empty()).then(|| log::exemplars(parts))
        })?;
        Ok(kept)
    }

    /// The exemplars of the series that fit all matchers, with `range.from() <= time < range.to()`, sorted by metric and
    /// labels.
    ///
    /// # Errors
    /// [`EvaluateError::Invalid`] when a regular expression is wrong.
    pub fn exemplars(
        &self,
        matchers: &[Matcher],
        range: Interval,
    ) -> Result<Vec<ExemplarSeries>, EvaluateError> {
        self.memory.exemplars(matchers, range)
    }

    /// Takes down since when counters count, as [`SeriesStore::set_starts`](crate::SeriesStore::set_starts) does, and
    /// returns when that is on the disk. It moves to segments with its samples. A series that had moved as a whole and
    /// goes on is to be told again. How many changed something.
    ///
    /// # Errors
    /// [`DurableError::Io`]: sending them again is right.
    pub fn set_starts(&self, starts: &[NewStart]) -> Result<u64, DurableError> {
        let mut changed = Vec::new();
        self.annotate(|writer| {
            self.memory.set_starts_noting(starts, Reach::One, |index, kind| changed.push((index, kind)));
            let changed = changed.iter().filter_map(|(index, kind)| Some((starts.get(*index)?, *kind)));
            let parts = changed.map(|(one, kind)| {
                let start = one.start.map_or(0, Timestamp::as_millis);
                ((&one.metric, &one.labels, kind, None), one.at.as_millis(), start)
            });
            let parts: Vec<_> = parts.collect();
            (!parts.is_empty()).then(|| writer.encoder.starts(Reach::One, parts.into_iter()))
        })?;
        Ok(changed.len() as u64)
    }
}
