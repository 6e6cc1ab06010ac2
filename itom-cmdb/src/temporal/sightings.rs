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
        if self.all.last().is_some_and(|(last, _)| *last <= recorded) {
            // Most questions are about everything known.
            return self.latest.last().copied().unwrap_or(Timestamp::MIN);
        }
        let place = self.all.partition_point(|(own, _)| *own <= recorded);
        place.checked_sub(1).and_then(|place| self.latest.get(place)).copied().unwrap_or(Timestamp::MIN)
    }

    /// Whether facts recorded up to `recorded` speak of nothing later than `valid`.
    pub(super) fn end_by(&self, valid: Timestamp, recorded: Timestamp) -> bool {
        self.latest.last().is_none_or(|latest| *latest <= valid) || self.latest(recorded) <= valid
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

/// What was recorded after a time: the earliest that anything of it speaks of, by when it was recorded.
#[derive(Debug, Clone, Default)]
pub(super) struct Since(Vec<(Timestamp, Timestamp)>);

impl Since {
    pub(super) fn add(&mut self, recorded: Timestamp, observed: Timestamp) {
        let place = self.0.partition_point(|(own, _)| *own <= recorded);
        let before = place.checked_sub(1).and_then(|place| self.0.get(place)).map(|(_, earliest)| *earliest);
        if before.is_some_and(|before| before <= observed) {
            return;
        }
        // Later ones that are no earlier than this say nothing any more.
        let later = self.0.get(place..).unwrap_or(&[]);
        let end = place + later.iter().take_while(|(_, earliest)| *earliest >= observed).count();
        self.0.splice(place..end, [(recorded, observed)]);
    }

    /// The earliest time that anything recorded up to `recorded` speaks of.
    pub(super) fn earliest(&self, recorded: Timestamp) -> Option<Timestamp> {
        let place = self.0.partition_point(|(own, _)| *own <= recorded);
        place.checked_sub(1).and_then(|place| self.0.get(place)).map(|(_, earliest)| *earliest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn l2_the_earliest_since_is_that_of_a_scan(
            added in proptest::collection::vec((0_i64..20, 0_i64..20), 0..40),
        ) {
            let mut since = Since::default();
            for (recorded, observed) in &added {
                since.add(Timestamp::from_secs(*recorded), Timestamp::from_secs(*observed));
            }
            for at in -1..21 {
                let known = added.iter().filter(|(recorded, _)| *recorded <= at);
                let expected = known.map(|(_, observed)| Timestamp::from_secs(*observed)).min();
                prop_assert_eq!(since.earliest(Timestamp::from_secs(at)), expected);
            }
        }
    }
}
