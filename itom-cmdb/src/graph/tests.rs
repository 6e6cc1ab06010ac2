use std::collections::{BTreeMap, BTreeSet, VecDeque};

use itom_core::{CiId, Topology, relation};
use petgraph::algo::connected_components;
use proptest::prelude::*;

use super::{Flaw, Flow, Gate, RelationGraph, RelationModel};
use crate::impact::naive::{Naive, any_estate, ci, model};
use crate::testing::estate::{EstateSize, generate};

/// Dependency steps from an item to everything it needs, by plain search over the relation list.
fn steps_down(estate: &Naive, start: CiId) -> BTreeMap<CiId, usize> {
    let needs = |item: CiId| {
        estate.relations.iter().flat_map(move |(kind, from, to)| match model().spec(kind).flow {
            Flow::ToFrom if *from == item => vec![*to],
            Flow::FromTo if *to == item => vec![*from],
            Flow::Both => {
                [(*from, *to), (*to, *from)].into_iter().filter(|(a, _)| *a == item).map(|(_, b)| b).collect()
            }
            _ => vec![],
        })
    };
    let mut found = BTreeMap::new();
    let mut queue: VecDeque<(CiId, usize)> = needs(start).map(|next| (next, 1)).collect();
    while let Some((item, distance)) = queue.pop_front() {
        if let std::collections::btree_map::Entry::Vacant(entry) = found.entry(item) {
            entry.insert(distance);
            queue.extend(needs(item).map(|next| (next, distance + 1)));
        }
    }
    found
}

proptest! {
    #[test]
    fn l7_topology_answers_are_sorted_and_those_of_a_plain_search(estate in any_estate()) {
        let graph = estate.graph();
        let down: BTreeMap<CiId, BTreeMap<CiId, usize>> =
            estate.cis.iter().map(|id| (*id, steps_down(&estate, *id))).collect();
        for item in &estate.cis {
            let mut expected: Vec<(usize, CiId)> = down[item].iter().map(|(id, at)| (*at, *id)).collect();
            expected.sort_unstable();
            let expected: Vec<CiId> = expected.into_iter().map(|(_, id)| id).collect();
            prop_assert_eq!(Topology::dependencies(&graph, *item), expected);
            let mut expected: Vec<(usize, CiId)> =
                down.iter().filter_map(|(id, needs)| needs.get(item).map(|at| (*at, *id))).collect();
            expected.sort_unstable();
            let expected: Vec<CiId> = expected.into_iter().map(|(_, id)| id).collect();
            prop_assert_eq!(Topology::dependents(&graph, *item), expected);
            for other in &estate.cis {
                let steps = |a: &CiId, b: &CiId| if a == b { Some(0) } else { down[a].get(b).copied() };
                let nearest = [steps(item, other), steps(other, item)].into_iter().flatten().min();
                prop_assert_eq!(graph.distance(*item, *other), nearest);
                let path = graph.path(*item, *other);
                prop_assert_eq!(path.as_ref().map(Vec::len), steps(item, other));
                if let Some(last) = path.as_ref().and_then(|path| path.last()) {
                    prop_assert_eq!(last.ci, *other);
                }
            }
        }
        let cyclic: BTreeSet<CiId> = graph.cycles().into_iter().flat_map(|cycle| cycle.members).collect();
        let expected: BTreeSet<CiId> = estate.cis.iter().copied().filter(|id| down[id].contains_key(id)).collect();
        prop_assert_eq!(cyclic, expected);
    }

    #[test]
    fn articulation_points_are_those_of_removal(estate in any_estate()) {
        let graph = estate.graph();
        let islands = graph.components().len();
        prop_assert_eq!(connected_components(&graph.petgraph_v0_8()), islands);
        let expected: Vec<CiId> = estate
            .cis
            .iter()
            .copied()
            .filter(|id| {
                let mut without = graph.clone();
                without.remove_ci(*id);
                without.components().len() > islands
            })
            .collect();
        prop_assert_eq!(graph.articulation_points(), expected);
    }
}

#[test]
fn an_estate_is_the_same_every_time_and_built_either_way() {
    let size = EstateSize { cis: 3_000, relations: 12_000 };
    let (estate, again) = (generate(5, size), generate(5, size));
    assert_eq!((&estate.cis, &estate.relations), (&again.cis, &again.relations));
    assert_eq!((estate.cis.len(), estate.relations.len()), (3_000, 12_000));
    let bulk = estate.graph().unwrap();
    let mut single = RelationGraph::new(RelationModel::default());
    for (id, kind, name) in &estate.cis {
        single.upsert_ci(*id, kind.clone(), name.clone()).unwrap();
    }
    for (kind, from, to) in &estate.relations {
        single.relate(kind.clone(), *from, *to).unwrap();
    }
    assert_eq!(bulk.relations(), single.relations());
    assert_eq!(bulk.relation_count(), single.relation_count());
    let hub = estate.relations[0].2;
    assert_eq!(bulk.impact(&BTreeSet::from([hub])), single.impact(&BTreeSet::from([hub])));
}

#[test]
fn a_hub_grows_and_shrinks() {
    let mut graph = RelationGraph::new(RelationModel::default());
    (0..5_000).for_each(|at| graph.upsert_ci(ci(at), itom_core::kind::HOST, "x").unwrap());
    for round in 0..3 {
        for at in 1..5_000 {
            assert_eq!(graph.relate(relation::DEPENDS_ON, ci(at), ci(0)), Ok(true));
            assert_eq!(graph.relate(relation::DEPENDS_ON, ci(at), ci(0)), Ok(false));
        }
        assert_eq!(graph.dependents(ci(0)).len(), 4_999);
        if round == 2 {
            assert!(graph.remove_ci(ci(0)));
        } else {
            (1..5_000).rev().for_each(|at| assert!(graph.unrelate(&relation::DEPENDS_ON, ci(at), ci(0))));
        }
        assert_eq!(graph.relation_count(), 0);
    }
}

#[test]
fn circles_and_long_chains_do_not_need_a_deep_stack() {
    let mut graph = RelationGraph::new(RelationModel::default());
    let size = 50_000;
    (0..size).for_each(|at| graph.upsert_ci(ci(at), itom_core::kind::HOST, "x").unwrap());
    (0..size)
        .for_each(|at| assert!(graph.relate(relation::DEPENDS_ON, ci(at), ci((at + 1) % size)).unwrap()));
    assert_eq!(graph.cycles().len(), 1);
    assert_eq!(graph.articulation_points(), []);
    assert_eq!(graph.impact(&BTreeSet::from([ci(7)])).down().len(), size - 1);
    assert_eq!(graph.single_points_of_failure(ci(3)).len(), size - 1);
    assert!(graph.depends_on(ci(3)).contains(&ci(3)));
}

#[test]
fn what_nobody_can_have_meant_is_said_and_answered_for() {
    let mut graph = RelationGraph::new(RelationModel::default());
    for number in 0..6 {
        graph.upsert_ci(ci(number), itom_core::kind::SERVICE, "x").unwrap();
    }
    let [box_one, box_two, web, db, other, lone] = [0, 1, 2, 3, 4, 5].map(ci);
    assert_eq!(graph.flaws(), []);
    // A circle of containment: each goes down with any, and it is said.
    graph.relate(relation::CONTAINS, box_one, box_two).unwrap();
    graph.relate(relation::CONTAINS, box_two, box_one).unwrap();
    assert_eq!(graph.single_points_of_failure(box_one), [box_two]);
    // More than there is: every supplier is needed.
    graph.relate(relation::DEPENDS_ON, web, db).unwrap();
    graph.relate(relation::DEPENDS_ON, web, other).unwrap();
    graph.set_gate(web, &relation::DEPENDS_ON, Gate::KOfN(3)).unwrap();
    let expected: BTreeSet<CiId> = [db, other].into();
    assert_eq!(graph.single_points_of_failure(web).into_iter().collect::<BTreeSet<_>>(), expected);
    // Nothing at all: it never falls.
    graph.relate(relation::PROVIDED_BY, db, lone).unwrap();
    graph.set_gate(db, &relation::PROVIDED_BY, Gate::KOfN(0)).unwrap();
    assert_eq!(graph.single_points_of_failure(db), []);
    // Itself, and a weight for somebody else.
    graph.relate(relation::RUNS_ON, lone, lone).unwrap();
    graph.relate(relation::STORED_ON, other, lone).unwrap();
    let weights = BTreeMap::from([(web, 7)]);
    graph.set_gate(other, &relation::STORED_ON, Gate::Weighted { threshold: 1, weights }).unwrap();
    assert_eq!(graph.single_points_of_failure(lone), []);

    let mut members = vec![box_one, box_two];
    members.sort_unstable();
    let mut flaws = vec![
        Flaw::ContainmentCircle { members },
        Flaw::AsksTooMuch { ci: web, relation: relation::DEPENDS_ON, needed: 3, total: 2 },
        Flaw::AsksNothing { ci: db, relation: relation::PROVIDED_BY },
        Flaw::SelfRelation { ci: lone, relation: relation::RUNS_ON },
        Flaw::WeighsStranger { ci: other, relation: relation::STORED_ON, stranger: web },
    ];
    flaws.sort_unstable();
    assert_eq!(graph.flaws(), flaws);
    assert!(flaws.iter().all(|flaw| flaw.to_string().contains("; ")), "each says what to do");
}

#[test]
fn a_gate_that_is_no_gate_is_refused() {
    for text in [
        r#"{"k_of_n": -1}"#,
        r#"{"k_of_n": 1.5}"#,
        r#"{"k_of_n": null}"#,
        r#"{"weighted": {"threshold": -3}}"#,
        r#"{"weighted": {"threshold": NaN}}"#,
        r#"{"weighted": {"threshold": 1e3, "weights": {}}}"#,
        r#"{"weighted": {"threshold": 1, "weights": {"11ea9733-a751-5b2a-9eb2-fa4c203ab571": -1}}}"#,
        r#"{"weighted": {"threshold": 1, "weights": {"nobody": 1}}}"#,
        r#"{"none_of": 3}"#,
    ] {
        assert!(serde_json::from_str::<Gate>(text).is_err(), "{text}");
    }
}
