use std::collections::BTreeSet;
use std::time::Duration;

use itom_core::{ChangeKind, ChangeSource, CiChange, CiId, Interval, Timestamp, attr};
use proptest::prelude::*;

use super::{ChangeHistory, ChangeRecord, RecentChanges, RiskQuestion};
use crate::impact::naive::{any_estate, ci};
use crate::impact::tests::{any_change, apply};

proptest! {
    #[test]
    fn risk_grows_with_each_factor(
        estate in any_estate(),
        items in proptest::collection::btree_set((0..7_usize).prop_map(ci), 1..3),
        recent in 0.0..20.0_f64,
        failed in 0..5_u32,
        more in 0..5_u32,
    ) {
        let graph = estate.graph();
        let question = RiskQuestion::new(&graph, estate.cis.iter().copied());
        let risk = |record: ChangeRecord| question.risk(&items, &move |_| record);
        let base = risk(ChangeRecord { recent, failed, made: 10 });
        for value in [&base.reach, &base.exposure, &base.restlessness, &base.record] {
            prop_assert!((0.0..=1.0).contains(&value.value), "{}", value);
        }
        prop_assert!((0.0..=100.0).contains(&base.score));
        let restless = risk(ChangeRecord { recent: recent + f64::from(more), failed, made: 10 });
        prop_assert!(restless.score >= base.score);
        let worse = risk(ChangeRecord { recent, failed: failed + more, made: 10 });
        prop_assert!(worse.score >= base.score);
        let down = estate.impact(&items).down;
        let services: BTreeSet<CiId> = base.services.iter().copied().collect();
        prop_assert_eq!(services, down.into_keys().collect::<BTreeSet<_>>());
        let ranked = question.rank(items.iter().copied(), &move |_| ChangeRecord { recent, failed, made: 10 });
        prop_assert!(ranked.windows(2).all(|two| two[0].score >= two[1].score));
        prop_assert_eq!(ranked.len(), items.intersection(&estate.cis).count());
    }

    #[test]
    fn l7_a_simulated_change_gives_the_points_of_the_changed_estate(
        estate in any_estate(),
        changes in proptest::collection::vec(any_change(), 0..6),
    ) {
        let mut changed = estate.clone();
        let made: Vec<_> = changes.into_iter().filter(|change| apply(&mut changed, change)).collect();
        let graph = estate.graph();
        let effect = RiskQuestion::new(&graph, estate.cis.iter().copied()).simulate(&made, usize::MAX).unwrap();
        let (mut new, mut removed) = (BTreeSet::new(), BTreeSet::new());
        for service in estate.cis.intersection(&changed.cis) {
            // An item that was taken away and put back is another one with the same id: left out on both sides.
            if made.contains(&crate::impact::GraphChange::RemoveCi(*service)) {
                continue;
            }
            let (before, after) = (estate.points(*service), changed.points(*service));
            new.extend(after.difference(&before).map(|point| (*service, *point)));
            removed.extend(before.difference(&after).map(|point| (*service, *point)));
        }
        let of = |points: &[super::PointChange]| -> BTreeSet<_> {
            points.iter().map(|point| (point.service, point.point)).collect()
        };
        prop_assert_eq!(of(&effect.new_points), new);
        prop_assert_eq!(of(&effect.removed_points), removed);
    }
}

#[derive(Debug)]
struct Feed(Vec<CiChange>);

impl ChangeSource for Feed {
    fn changes(&self, range: Interval) -> Vec<CiChange> {
        self.0.iter().filter(|change| range.contains(change.at)).cloned().collect()
    }
}

#[test]
fn recent_changes_fade() {
    let change = |at: i64| CiChange {
        at: Timestamp::from_secs(at),
        ci: ci(1),
        change: ChangeKind::Attribute(attr::OS_VERSION),
        before: None,
        after: None,
        source: None,
    };
    let feed = Feed(vec![change(0), change(900), change(1000)]);
    let now = Timestamp::from_secs(1000);
    let recent = RecentChanges::read(&feed, now, Duration::from_secs(500), Duration::from_secs(100));
    assert_eq!(
        recent.record(ci(1)).recent,
        0.5,
        "one is too old, one is half as much, one is not before now"
    );
    assert_eq!(recent.record(ci(2)), ChangeRecord::default());
    let recent = recent.with_outcomes(ci(1), 1, 4);
    assert_eq!((recent.record(ci(1)).failed, recent.record(ci(1)).made), (1, 4));
}
