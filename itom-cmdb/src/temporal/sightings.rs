//! When what was learned: which facts a question about two times rests on.

use itom_core::Timestamp;

/// Times of facts that have one: when they were recorded, with a bound over everything recorded up to then.
#[derive(Debug, Clone, Default)]
pub(super) struct Sightings {
    /// Recorded, observed; by recorded.
    all: Vec<(Timestamp, Timestamp)>,
    /// The latest observed of everything up to each place.
    latest: Vec<Timestamp>,
}

impl Sightings {
    pub(super) fn add(&mut self, recorded: Timestamp, observed: Timestamp) {
        let place = self.all.partition_point(|(own, _)| *own <= recorded);
        self.all.insert(place, (recorded, observed));
        self.latest.truncate(place);
        for (_, observed) in self.all.get(place..).unwrap_or(&[]) {
            let before = self.latest.last().copied().unwrap_or(Timestamp::MIN);
            self.latest.push(before.max(*observed));
        }
    }

    /// The latest time that facts recorded up to `recorded` speak of.
    pub(super) fn latest(&self, recorded: Timestamp) -> Timestamp {
        let place = self.all.partition_point(|(own, _)| *own <= recorded);
        place.checked_sub(1).and_then(|place| self.latest.get(place)).copied().unwrap_or(Timestamp::MIN)
    }

    /// What was recorded after `after` and up to `until`.
    pub(super) fn between(&self, after: Timestamp, until: Timestamp) -> &[(Timestamp, Timestamp)] {
        let from = self.all.partition_point(|(own, _)| *own <= after);
        let to = self.all.partition_point(|(own, _)| *own <= until);
        self.all.get(from..to).unwrap_or(&[])
    }

    /// For each observed time, the latest recorded time of everything observed up to it and recorded up to `horizon`.
    pub(super) fn learned(&self, horizon: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let known = self.between(Timestamp::MIN, horizon);
        let mut learned: Vec<(Timestamp, Timestamp)> =
            known.iter().map(|(recorded, observed)| (*observed, *recorded)).collect();
        learned.sort_unstable();
        let mut latest = Timestamp::MIN;
        for (_, recorded) in &mut learned {
            latest = latest.max(*recorded);
            *recorded = latest;
        }
        learned
    }
}
