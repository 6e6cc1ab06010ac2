use std::collections::{BTreeMap, BTreeSet, VecDeque};

use itom_core::{CiId, Topology, relation};
use petgraph::algo::connected_components;
use proptest::prelude::*;

use super::{Flow, RelationGraph, RelationModel};
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
