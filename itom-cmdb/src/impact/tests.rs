use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, relation};
use proptest::prelude::*;

use super::felled::Limits;
use super::naive::{KINDS, Naive, any_estate, any_gate, ci, kind, model};
use super::{Affected, GraphChange, ImpactOptions, ImpactScratch, PairOptions};
use crate::graph::{Gate, GraphError, RelationGraph, RelationModel};

fn rounds(hits: &[Affected]) -> BTreeMap<CiId, u32> {
    hits.iter().map(|hit| (hit.ci, hit.distance)).collect()
}

fn sorted(hits: &[Affected]) -> bool {
    hits.is_sorted_by(|a, b| (a.distance, a.ci) < (b.distance, b.ci))
}

fn any_failed() -> impl Strategy<Value = BTreeSet<CiId>> {
    proptest::collection::btree_set((0..8_usize).prop_map(ci), 0..4)
}

proptest! {
    #[test]
    fn l7_impact_is_the_naive_fixed_point(estate in any_estate(), failed in any_failed()) {
        let expected = estate.impact(&failed);
        let graph = estate.graph();
        let impact = graph.impact(&failed);
        let mut down = rounds(impact.down());
        down.extend(impact.failed().iter().map(|id| (*id, 0)));
        prop_assert_eq!(&down, &expected.down);
        prop_assert_eq!(rounds(impact.degraded()), expected.degraded);
        prop_assert!(sorted(impact.down()) && sorted(impact.degraded()));
        let lost: Vec<_> =
            impact.redundancy_lost().iter().map(|lost| (lost.ci, lost.relation.clone())).collect();
        prop_assert_eq!(lost, estate.redundancy_lost(&failed));
        let mut scratch = ImpactScratch::default();
        let ids: Vec<CiId> = impact.down().iter().map(|hit| hit.ci).collect();
        prop_assert_eq!(graph.brings_down_count(&failed, &mut scratch), ids.len());
        prop_assert_eq!(graph.brings_down(&failed, &mut scratch), ids);
    }

    #[test]
    fn l7_every_hit_has_a_path_that_exists(estate in any_estate(), failed in any_failed()) {
        let impact = estate.graph().impact(&failed);
        for hit in impact.down().iter().chain(impact.degraded()) {
            let (start, steps) = impact.path(hit.ci).expect("every hit has a path");
            prop_assert!(failed.contains(&start));
            prop_assert_eq!(steps.len(), hit.distance as usize);
            let mut before = start;
            for step in &steps {
                let related = estate.relations.contains(&(step.relation.clone(), before, step.ci))
                    || estate.relations.contains(&(step.relation.clone(), step.ci, before));
                prop_assert!(related);
                before = step.ci;
            }
            prop_assert_eq!(before, hit.ci);
            prop_assert!(hit.cause.standing < hit.cause.needed);
            prop_assert!(hit.cause.needed <= hit.cause.total);
        }
    }

    #[test]
    fn l7_impact_is_monotone(estate in any_estate(), failed in any_failed(), more in any_failed()) {
        let graph = estate.graph();
        let both: BTreeSet<CiId> = failed.union(&more).copied().collect();
        let (few, many) = (graph.impact(&failed), graph.impact(&both));
        let many_down: BTreeSet<CiId> =
            many.down().iter().map(|hit| hit.ci).chain(many.failed().iter().copied()).collect();
        for hit in few.down() {
            prop_assert!(many_down.contains(&hit.ci));
        }
    }

    #[test]
    fn l7_single_points_of_failure_are_those_of_brute_force(estate in any_estate()) {
        let graph = estate.graph();
        for service in &estate.cis {
            let points = graph.single_points_of_failure(*service);
            let found: BTreeSet<CiId> = points.iter().copied().collect();
            prop_assert_eq!(points.len(), found.len());
            prop_assert_eq!(found, estate.points(*service));
        }
    }

    #[test]
    fn l7_weak_points_of_an_estate_are_those_of_brute_force(
        estate in any_estate(),
        services in proptest::collection::btree_set((0..8_usize).prop_map(ci), 0..8),
        (words, steps, kept) in (0..2_usize, 0..5_usize, 0..5_usize),
    ) {
        let graph = estate.graph();
        let found = graph.weak_points(&services);
        let tight = Limits { words, steps, kept };
        prop_assert_eq!(&found, &super::weak_points::weak_points(&graph, &services, tight), "by lanes, too");
        let mut points: BTreeMap<CiId, usize> = BTreeMap::new();
        let mut exposed: BTreeMap<CiId, usize> = BTreeMap::new();
        for service in services.iter().filter(|id| estate.cis.contains(id)) {
            for point in estate.points(*service) {
                *points.entry(point).or_default() += 1;
                *exposed.entry(*service).or_default() += 1;
            }
        }
        prop_assert!(found.points.is_sorted_by_key(|point| (std::cmp::Reverse(point.services), point.ci)));
        let all: BTreeMap<CiId, usize> = found.points.iter().map(|point| (point.ci, point.services)).collect();
        prop_assert_eq!(all, points);
        prop_assert!(found.exposed.is_sorted_by_key(|one| (std::cmp::Reverse(one.points), one.ci)));
        let all: BTreeMap<CiId, usize> = found.exposed.iter().map(|one| (one.ci, one.points)).collect();
        prop_assert_eq!(all, exposed);
    }

    #[test]
    fn l7_a_remedy_removes_the_point(estate in any_estate()) {
        let graph = estate.graph();
        for service in &estate.cis {
            for point in graph.single_points_of_failure(*service) {
                for remedy in graph.remedies(*service, point, 20) {
                    let mut changed = estate.clone();
                    for change in &remedy.changes {
                        prop_assert!(apply(&mut changed, change), "a remedy can be made");
                    }
                    let left = changed.points(*service);
                    prop_assert!(!left.contains(&point));
                    prop_assert_eq!(left.len(), remedy.points_left);
                }
            }
        }
    }

    #[test]
    fn l7_weak_pairs_are_those_of_brute_force(estate in any_estate()) {
        let graph = estate.graph();
        for service in &estate.cis {
            let found = graph.weak_pairs(*service, &PairOptions::default());
            prop_assert!(found.pairs.is_sorted());
            let pairs: BTreeSet<(CiId, CiId)> = found.pairs.iter().map(|pair| (pair.first, pair.second)).collect();
            let expected: BTreeSet<(CiId, CiId)> =
                estate.pairs(*service).into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
            prop_assert_eq!(pairs, expected);
        }
    }

    #[test]
    fn l7_blame_is_sound_and_enough(estate in any_estate(), failed in any_failed()) {
        let graph = estate.graph();
        for item in &estate.cis {
            let others: BTreeSet<CiId> = failed.iter().copied().filter(|id| id != item).collect();
            let named = graph.brought_down_by(*item, &failed);
            prop_assert!(named.is_sorted() && named.iter().all(|id| others.contains(id)));
            let falls = estate.impact(&others).down.contains_key(item);
            prop_assert_eq!(!named.is_empty(), falls);
            let named: BTreeSet<CiId> = named.into_iter().collect();
            if falls {
                prop_assert!(estate.impact(&named).down.contains_key(item), "the named are enough");
            }
            for alone in others.iter().filter(|id| estate.cis.contains(*id)) {
                if estate.impact(&BTreeSet::from([*alone])).down.contains_key(item) {
                    prop_assert!(named.contains(alone), "what is enough alone is named");
                }
            }
        }
    }

    #[test]
    fn l2_an_overlay_answers_as_the_changed_graph(
        estate in any_estate(),
        changes in proptest::collection::vec(any_change(), 0..12),
        failed in any_failed(),
    ) {
        let graph = estate.graph();
        let mut changed = estate.clone();
        let made: Vec<GraphChange> =
            changes.into_iter().filter(|change| apply(&mut changed, change)).collect();
        let overlay = graph.simulate(&made).unwrap();
        let rebuilt = changed.graph();
        prop_assert_eq!(overlay.impact(&failed), rebuilt.impact(&failed));
        for item in (0..9).map(ci) {
            prop_assert_eq!(overlay.single_points_of_failure(item), rebuilt.single_points_of_failure(item));
            prop_assert_eq!(overlay.depends_on(item), rebuilt.depends_on(item));
            prop_assert_eq!(overlay.dependents(item), rebuilt.dependents(item));
            prop_assert_eq!(overlay.brought_down_by(item, &failed), rebuilt.brought_down_by(item, &failed));
        }
    }

    #[test]
    fn limits_keep_the_nearest(estate in any_estate(), failed in any_failed(), results in 0..4_usize, depth in 0..4_u32) {
        let graph = estate.graph();
        let full = graph.impact(&failed);
        let options = ImpactOptions::default().results(results);
        let some = graph.impact_with(&failed, &options, &mut ImpactScratch::default());
        prop_assert_eq!(some.down(), &full.down()[..full.down().len().min(results)]);
        let lengths = |impact: &super::Impact| {
            impact.down().len() + impact.degraded().len() + impact.redundancy_lost().len()
        };
        prop_assert_eq!(lengths(&some) + some.left_out(), lengths(&full));
        let near = graph.impact_with(&failed, &ImpactOptions::default().depth(depth), &mut ImpactScratch::default());
        let expected: Vec<&Affected> = full.down().iter().filter(|hit| hit.distance <= depth).collect();
        prop_assert_eq!(near.down().iter().collect::<Vec<_>>(), expected);
    }
}

pub(crate) fn any_change() -> impl Strategy<Value = GraphChange> {
    let ends = (0..KINDS.len(), 0..9_usize, 0..9_usize);
    prop_oneof![
        (0..9_usize).prop_map(|at| GraphChange::AddCi(ci(at))),
        (0..9_usize).prop_map(|at| GraphChange::RemoveCi(ci(at))),
        ends.clone().prop_map(|(of, from, to)| GraphChange::Relate {
            kind: kind(KINDS[of]),
            from: ci(from),
            to: ci(to)
        }),
        ends.prop_map(|(of, from, to)| GraphChange::Unrelate {
            kind: kind(KINDS[of]),
            from: ci(from),
            to: ci(to)
        }),
        (0..9_usize, 0..6_usize, any_gate()).prop_map(|(item, of, gate)| GraphChange::SetGate {
            ci: ci(item),
            kind: kind(KINDS[of]),
            gate
        }),
    ]
}

/// Makes the change in the naive model; whether it can be made.
pub(crate) fn apply(estate: &mut Naive, change: &GraphChange) -> bool {
    match change {
        GraphChange::AddCi(item) => {
            estate.cis.insert(*item);
        }
        GraphChange::RemoveCi(item) => {
            estate.cis.remove(item);
            estate.relations.retain(|(_, from, to)| from != item && to != item);
            estate.gates.retain(|(owner, _), _| owner != item);
        }
        GraphChange::Relate { kind, from, to } => {
            if !estate.cis.contains(from) || !estate.cis.contains(to) {
                return false;
            }
            estate.relations.insert((kind.clone(), *from, *to));
        }
        GraphChange::Unrelate { kind, from, to } => {
            estate.relations.remove(&(kind.clone(), *from, *to));
        }
        GraphChange::SetGate { ci, kind, gate } => {
            if !estate.cis.contains(ci) {
                return false;
            }
            estate.gates.insert((*ci, kind.clone()), gate.clone());
        }
    }
    true
}

proptest! {
    #[test]
    fn l2_updates_give_the_rebuilt_graph(
        estate in any_estate(),
        changes in proptest::collection::vec(any_change(), 0..60),
        failed in any_failed(),
    ) {
        let mut graph = estate.graph();
        let before = graph.clone();
        let mut changed = estate.clone();
        for change in &changes {
            let possible = apply(&mut changed, change);
            let made = match change {
                GraphChange::AddCi(item) => graph.upsert_ci(*item, itom_core::kind::SERVICE, "x").is_ok(),
                GraphChange::RemoveCi(item) => {
                    graph.remove_ci(*item);
                    true
                }
                GraphChange::Relate { kind, from, to } => graph.relate(kind.clone(), *from, *to).is_ok(),
                GraphChange::Unrelate { kind, from, to } => {
                    graph.unrelate(kind, *from, *to);
                    true
                }
                GraphChange::SetGate { ci, kind, gate } => graph.set_gate(*ci, kind, gate.clone()).is_ok(),
            };
            prop_assert_eq!(made, possible);
        }
        let rebuilt = changed.graph();
        prop_assert_eq!(graph.cis(), rebuilt.cis());
        prop_assert_eq!(graph.relations(), rebuilt.relations());
        prop_assert_eq!(graph.relations().len(), changed.relations.len());
        prop_assert_eq!(graph.relation_count(), changed.relations.len());
        prop_assert_eq!(graph.own_gates(), rebuilt.own_gates());
        prop_assert_eq!(graph.impact(&failed), rebuilt.impact(&failed));
        prop_assert_eq!(graph.cycles(), rebuilt.cycles());
        prop_assert_eq!(graph.components(), rebuilt.components());
        for item in (0..9).map(ci) {
            prop_assert_eq!(graph.relations_of(item), rebuilt.relations_of(item));
        }
        // The snapshot taken before saw nothing of it.
        let untouched = estate.graph();
        prop_assert_eq!(before.cis(), untouched.cis());
        prop_assert_eq!(before.relations(), untouched.relations());
        prop_assert_eq!(before.impact(&failed), untouched.impact(&failed));
    }
}

#[test]
fn a_redundant_service_says_what_it_lost() {
    let [web, one, two] = [ci(1), ci(2), ci(3)];
    let mut graph = RelationGraph::new(RelationModel::default());
    for id in [web, one, two] {
        graph.upsert_ci(id, itom_core::kind::SERVICE, "x").unwrap();
    }
    graph.relate(relation::PROVIDED_BY, web, one).unwrap();
    graph.relate(relation::PROVIDED_BY, web, two).unwrap();
    let impact = graph.impact(&BTreeSet::from([one]));
    assert!(impact.down().is_empty() && impact.degraded().is_empty());
    let lost = &impact.redundancy_lost()[0];
    assert_eq!((lost.ci, lost.standing, lost.needed, lost.total, lost.margin()), (web, 1, 1, 2, 0));
    let impact = graph.impact(&BTreeSet::from([one, two]));
    assert_eq!(
        impact.down()[0].cause.to_string(),
        format!("0 of 2 left where 1 must stand (provided_by), last lost {}", one.min(two))
    );
    assert_eq!(graph.brought_down_by(web, &BTreeSet::from([one])), []);
    let both = graph.brought_down_by(web, &BTreeSet::from([one, two]));
    assert_eq!(both, BTreeSet::from([one, two]).into_iter().collect::<Vec<_>>());
}

#[test]
fn refusals_say_what_to_do() {
    let mut graph = RelationGraph::new(model());
    graph.upsert_ci(ci(1), itom_core::kind::HOST, "one").unwrap();
    let missing = graph.relate(kind("a"), ci(1), ci(2)).unwrap_err();
    assert_eq!(missing, GraphError::UnknownCi { doing: "relate", ci: ci(2) });
    assert_eq!(
        missing.to_string(),
        format!("cannot relate: item {} is not in the graph; add it first", ci(2))
    );
    assert!(matches!(graph.set_gate(ci(1), &kind("z"), Gate::Any), Err(GraphError::NoFlow { .. })));
    assert!(graph.simulate(&[GraphChange::Relate { kind: kind("a"), from: ci(1), to: ci(2) }]).is_err());
}

#[test]
fn what_would_remove_a_point_of_failure() {
    let [web, one, two, host] = [ci(1), ci(2), ci(3), ci(4)];
    let mut graph = RelationGraph::new(RelationModel::default());
    for id in [web, one, two, host] {
        graph.upsert_ci(id, itom_core::kind::SERVICE, "x").unwrap();
    }
    graph.relate(relation::PROVIDED_BY, web, one).unwrap();
    graph.relate(relation::PROVIDED_BY, web, two).unwrap();
    graph.relate(relation::RUNS_ON, one, host).unwrap();
    graph.relate(relation::RUNS_ON, two, host).unwrap();
    let remedies = graph.remedies(web, host, 100);
    // Either process could move, or the service could get another process.
    let places: BTreeSet<CiId> = remedies.iter().map(|remedy| remedy.dependent).collect();
    assert_eq!(places, BTreeSet::from([web, one, two]));
    assert!(remedies.iter().all(|remedy| remedy.points_left == 0));
    assert!(remedies[0].to_string().ends_with("; 0 single points of failure are left"), "{}", remedies[0]);
    assert!(graph.remedies(web, one, 100).is_empty(), "it is none");
    // Two hosts that are both needed, though they are alike: perhaps one is enough.
    let mut graph = RelationGraph::new(RelationModel::default());
    for id in [web, one, two] {
        graph.upsert_ci(id, itom_core::kind::SERVICE, "x").unwrap();
    }
    graph.relate(relation::DEPENDS_ON, web, one).unwrap();
    graph.relate(relation::DEPENDS_ON, web, two).unwrap();
    let remedies = graph.remedies(web, one, 100);
    assert!(remedies.iter().any(|remedy| remedy.kind == super::RemedyKind::Tolerate { needed: 1, of: 2 }));
}
