use std::collections::BTreeSet;

use itom_core::{Batch, CiId, RelationKind, SourceName, Timestamp, attr, kind};
use proptest::prelude::*;

use super::{Traversal, TraverseError, TraverseLimits};
use crate::graph::{Flow, RelationModel, RelationSpec};
use crate::view::View;
use crate::{Cmdb, CmdbConfig};

const USES: RelationKind = RelationKind::literal("uses");
const LIKES: RelationKind = RelationKind::literal("likes");

/// Items 0..n, related as said; every second one is a host.
fn view(items: usize, relations: &BTreeSet<(bool, usize, usize)>) -> (View, Vec<CiId>) {
    let now = Timestamp::from_secs(1_700_000_000);
    let mut batch = Batch::new(SourceName::literal("demo"), now);
    for number in 0..items {
        let kind = if number % 2 == 0 { kind::SERVICE } else { kind::HOST };
        batch.ci(format!("i{number}"), kind).attr(attr::NAME, format!("i{number}"));
    }
    for (uses, from, to) in relations {
        let kind = if *uses { USES } else { LIKES };
        batch.relation(kind, format!("i{from}").as_str(), format!("i{to}").as_str());
    }
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let facts = cmdb.plan(&batch, now);
    cmdb.ingest(facts);
    let view = cmdb.view();
    let id = |number: usize| {
        view.cis().find(|ci| ci.name().as_str() == format!("i{number}")).map(crate::view::Ci::id).unwrap()
    };
    let ids = (0..items).map(id).collect();
    (view.clone(), ids)
}

/// One step of the naive walk: all that is reached from a set.
fn step(
    relations: &BTreeSet<(bool, usize, usize)>,
    from: &BTreeSet<usize>,
    uses: bool,
    out: bool,
) -> BTreeSet<usize> {
    relations
        .iter()
        .filter(|(own, ..)| *own == uses)
        .map(|(_, a, b)| if out { (*a, *b) } else { (*b, *a) })
        .filter(|(a, _)| from.contains(a))
        .map(|(_, b)| b)
        .collect()
}

proptest! {
    #[test]
    fn a_traversal_is_a_walk_by_sets(
        relations in proptest::collection::btree_set((any::<bool>(), 0..7_usize, 0..7_usize), 0..20),
        start in 0..7_usize,
        way in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..4),
        rounds in (0..4_u32, 0..5_u32),
    ) {
        // An item is not related to itself in a view.
        let relations: BTreeSet<_> = relations.into_iter().filter(|(_, from, to)| from != to).collect();
        let (view, ids) = view(7, &relations);
        let mut plan = Traversal::from_items([ids[start]]);
        let mut expected = BTreeSet::from([start]);
        for (uses, out) in way {
            let kind = if uses { USES } else { LIKES };
            plan = if out { plan.out(kind) } else { plan.in_(kind) };
            expected = step(&relations, &expected, uses, out);
        }
        let plan = plan.repeat(rounds.0..=rounds.0 + rounds.1, |inner| inner.out(USES));
        let mut all = BTreeSet::new();
        for round in 0..=rounds.0 + rounds.1 {
            if round >= rounds.0 {
                all.extend(expected.iter().copied());
            }
            expected = step(&relations, &expected, true, true);
        }
        let found = plan.run(&view).unwrap();
        let ids_found: Vec<CiId> = found.items().iter().map(|ci| ci.id()).collect();
        let mut expected: Vec<CiId> = all.iter().map(|number| ids[*number]).collect();
        expected.sort_unstable();
        prop_assert_eq!(&ids_found, &expected);
        for (place, item) in found.items().iter().enumerate() {
            let path = found.path(place).unwrap();
            prop_assert_eq!(path[0].ci, ids[start]);
            prop_assert_eq!(path.last().unwrap().ci, item.id());
            for two in path.windows(2) {
                let kind = two[1].relation.clone().unwrap();
                let related = view.relations().any(|relation| {
                    relation.kind == kind
                        && [(relation.from, relation.to), (relation.to, relation.from)].contains(&(two[0].ci, two[1].ci))
                });
                prop_assert!(related);
            }
        }
        // Along the graph it is the same where the model says that `from` needs `to`.
        let model = RelationModel::empty().with(USES, RelationSpec::flowing(Flow::ToFrom));
        let graph = view.graph(model).unwrap();
        let by_graph = Traversal::from_items([ids[start]]).repeat(1..=7, Traversal::needs).run_with(&view, &graph).unwrap();
        let by_view = Traversal::from_items([ids[start]]).repeat(1..=7, |inner| inner.out(USES)).run(&view).unwrap();
        let of = |found: &super::Found<'_>| found.items().iter().map(|ci| ci.id()).collect::<Vec<_>>();
        prop_assert_eq!(of(&by_graph), of(&by_view));
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let relations: BTreeSet<_> = (1..50).map(|to| (true, 0, to)).collect();
    let (view, ids) = view(50, &relations);
    let limits = TraverseLimits::default().visits(20);
    let refused = Traversal::from_items([ids[0]]).out(USES).limits(limits).run(&view).unwrap_err();
    assert_eq!(refused, TraverseError::TooMuch { limit: 20, step: 1 });
    let few = Traversal::from(kind::HOST).limits(TraverseLimits::default().results(3)).run(&view).unwrap();
    assert_eq!((few.items().len(), few.left_out()), (3, 22));
    let refused = Traversal::from(kind::HOST).needs().run(&view).unwrap_err();
    assert_eq!(refused, TraverseError::NoGraph { step: 1 });
    // A circle ends by itself, however often it may be repeated.
    let (view, ids) = self::view(2, &BTreeSet::from([(true, 0, 1), (true, 1, 0)]));
    let round =
        Traversal::from_items([ids[0]]).repeat(0..=u32::MAX, |inner| inner.out(USES)).run(&view).unwrap();
    assert_eq!(round.items().len(), 2);
}

#[cfg(feature = "cel")]
#[test]
fn expressions_filter_and_what_is_unknown_is_not_kept() {
    let (view, _) = view(6, &BTreeSet::new());
    let now = Timestamp::from_secs(1_700_000_000);
    let hosts = crate::expr::Expression::compile(r#"is_a(ci.kind, "host") && ci.name != "i1""#).unwrap();
    let found =
        Traversal::from_items(view.cis().map(crate::view::Ci::id)).expression(hosts, now).run(&view).unwrap();
    let names: BTreeSet<&str> = found.items().iter().map(|ci| ci.name().as_str()).collect();
    assert_eq!(names, BTreeSet::from(["i3", "i5"]));
    let unknown = crate::expr::Expression::compile(r#"attr["os.name"] == "Debian""#).unwrap();
    assert!(Traversal::from(kind::HOST).expression(unknown, now).run(&view).unwrap().items().is_empty());
}
