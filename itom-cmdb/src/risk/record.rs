//! How often items changed lately, from a change feed.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{ChangeSource, CiId, Interval, Timestamp};

use super::{ChangeHistory, ChangeRecord};

/// Changes of items before a moment, each counting half as much for every half-life that has passed since, with the
/// outcomes that the caller knows.
#[derive(Debug, Clone, Default)]
pub struct RecentChanges {
    records: BTreeMap<CiId, ChangeRecord>,
}

impl RecentChanges {
    /// Reads the changes learned within `window` before `now`.
    #[must_use]
    pub fn read(source: &impl ChangeSource, now: Timestamp, window: Duration, half_life: Duration) -> Self {
        let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let from = Timestamp::from_micros(now.as_micros().saturating_sub(micros));
        let mut recent = Self::default();
        for change in source.changes(Interval::new(from, now)) {
            let age = now.since(change.at).as_secs_f64();
            let half = half_life.as_secs_f64().max(f64::MIN_POSITIVE);
            recent.records.entry(change.ci).or_default().recent += 0.5_f64.powf(age / half);
        }
        recent
    }

    /// Adds how planned changes of an item went.
    #[must_use]
    pub fn with_outcomes(mut self, ci: CiId, failed: u32, made: u32) -> Self {
        let record = self.records.entry(ci).or_default();
        (record.failed, record.made) =
            (record.failed.saturating_add(failed), record.made.saturating_add(made));
        self
    }
}

impl ChangeHistory for RecentChanges {
    fn record(&self, ci: CiId) -> ChangeRecord {
        self.records.get(&ci).copied().unwrap_or_default()
    }
}
