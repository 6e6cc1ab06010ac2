use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, relation};
use proptest::prelude::*;

use super::{HealthState, LiveImpact};
use crate::graph::{FailureMode, Gate, Modes, Passage, RelationGraph, RelationModel, RelationSpec};
use crate::impact::GraphChange;
use crate::impact::naive::{Naive, any_estate, ci, kind};
use crate::impact::tests::{any_change, apply};

/// What can happen to a live answer.
#[derive(Debug, Clone)]
enum Event {
    Fail(usize, FailureMode),
    Recover(usize),
    Change(GraphChange),
}

fn any_mode() -> impl Strategy<Value = FailureMode> {
    proptest::sample::select(FailureMode::ALL.to_vec())
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..8_usize, any_mode()).prop_map(|(item, mode)| Event::Fail(item, mode)),
        2 => (0..8_usize).prop_map(Event::Recover),
        2 => any_change().prop_map(Event::Change),
    ]
}

/// The naive model with passages of their own: data is lost with a supplier's, and what cannot be reached cuts off.
fn with_passages(model: &RelationModel) -> RelationModel {
    let mut out = RelationModel::empty();
    for (kind, spec) in model.iter() {
        let mut spec = spec.clone();
        match kind.as_str() {
            "a" | "c" => spec.modes.push(Passage::new([FailureMode::DataLoss], FailureMode::DataLoss)),
            "d" => {
                spec.modes.push(Passage::new([FailureMode::DataLoss], FailureMode::Degraded).gated(Gate::All))
            }
            "e" => spec.modes.push(Passage::new([FailureMode::Down], FailureMode::Unreachable)),
            _ => {}
        }
        out = out.with(kind.clone(), spec);
    }
    out
}

/// Round by round until nothing more follows, from the definition of passages alone.
fn naive_modes(
    estate: &Naive,
    model: &RelationModel,
    failed: &BTreeMap<CiId, BTreeSet<FailureMode>>,
) -> BTreeMap<CiId, Modes> {
    use FailureMode::{Degraded, Down, Unreachable};
    let mut modes: BTreeMap<CiId, BTreeSet<FailureMode>> = BTreeMap::new();
    for (item, own) in failed.iter().filter(|(item, _)| estate.cis.contains(item)) {
        modes.entry(*item).or_default().extend(own);
    }
    loop {
        let mut next = modes.clone();
        for own in next.values_mut() {
            if own.contains(&Down) {
                own.insert(Unreachable);
            }
            if own.contains(&Unreachable) {
                own.insert(Degraded);
            }
        }
        for item in &estate.cis {
            for of in estate.kinds_needed(*item) {
                for passage in model.spec(&of).passages() {
                    let counts: BTreeSet<FailureMode> = passage.counts.into();
                    let lost: BTreeSet<CiId> = modes
                        .iter()
                        .filter(|(_, own)| !own.is_disjoint(&counts))
                        .map(|(id, _)| *id)
                        .collect();
                    let gate = passage.gate.clone().unwrap_or_else(|| estate.gate(*item, &of));
                    if estate.too_much_for(&gate, *item, &of, &lost) {
                        next.entry(*item).or_default().insert(passage.gives);
                    }
                }
            }
        }
        if next == modes {
            break;
        }
        modes = next;
    }
    modes
        .into_iter()
        .map(|(item, own)| {
            let worst = [Down, Unreachable, Degraded].into_iter().find(|mode| own.contains(mode));
            let lost = own.contains(&FailureMode::DataLoss).then_some(FailureMode::DataLoss);
            (item, worst.into_iter().chain(lost).collect())
        })
        .filter(|(_, own): &(CiId, Modes)| !own.is_empty())
        .collect()
}

fn graph_of(estate: &Naive, model: &RelationModel) -> RelationGraph {
    let cis = estate.cis.iter().map(|id| (*id, itom_core::kind::SERVICE, itom_core::Text::literal("x")));
    let mut graph = RelationGraph::from_parts(model.clone(), cis, estate.relations.iter().cloned()).unwrap();
    for ((item, kind), gate) in &estate.gates {
        graph.set_gate(*item, kind, gate.clone()).unwrap();
    }
    graph
}

proptest! {
    #[test]
    fn l2_a_live_answer_is_the_recomputed_one(
        estate in any_estate(),
        own_passages in any::<bool>(),
        events in proptest::collection::vec(any_event(), 0..40),
    ) {
        let model = crate::impact::naive::model();
        let model = if own_passages { with_passages(&model) } else { model };
        let mut estate = estate;
        let mut graph = graph_of(&estate, &model);
        let mut live = LiveImpact::new();
        let mut failed: BTreeMap<CiId, BTreeSet<FailureMode>> = BTreeMap::new();
        for event in events {
            let before = live.failing(&graph);
            let turns = match event {
                Event::Fail(item, mode) => {
                    let turns = live.fail(&graph, ci(item), mode);
                    prop_assert_eq!(turns.is_ok(), estate.cis.contains(&ci(item)));
                    if turns.is_ok() {
                        failed.entry(ci(item)).or_default().insert(mode);
                    }
                    turns
                }
                Event::Recover(item) => {
                    failed.remove(&ci(item));
                    live.recover(&graph, ci(item))
                }
                Event::Change(change) => {
                    let possible = apply(&mut estate, &change);
                    if let GraphChange::RemoveCi(item) = &change {
                        failed.remove(item);
                    }
                    let turns = live.apply(&mut graph, &change);
                    prop_assert_eq!(turns.is_ok(), possible);
                    turns
                }
            };
            let expected = naive_modes(&estate, &model, &failed);
            let after = live.failing(&graph);
            prop_assert_eq!(&after, &expected);
            // What it says has turned is what has turned.
            for turn in turns.unwrap_or_default() {
                let was = before.get(&turn.ci).copied().unwrap_or_default();
                prop_assert_eq!((turn.before, turn.after), (was, live.modes(&graph, turn.ci)));
                prop_assert_ne!(turn.before, turn.after);
            }
            let again = LiveImpact::of(&graph, failed.iter().flat_map(|(item, own)| own.iter().map(|mode| (*item, *mode))));
            prop_assert_eq!(again.unwrap().failing(&graph), after);
        }
    }

    #[test]
    fn l7_down_and_degraded_are_those_of_the_one_time_answer(
        estate in any_estate(),
        failed in proptest::collection::btree_set((0..8_usize).prop_map(ci), 0..4),
    ) {
        let graph = estate.graph();
        let there = failed.iter().filter(|item| estate.cis.contains(item));
        let live = LiveImpact::of(&graph, there.map(|item| (*item, FailureMode::Down))).unwrap();
        let impact = graph.impact(&failed);
        let in_mode = |mode: FailureMode| -> BTreeSet<CiId> {
            live.failing(&graph).into_iter().filter(|(_, modes)| modes.contains(mode)).map(|(id, _)| id).collect()
        };
        let down: BTreeSet<CiId> =
            impact.down().iter().map(|hit| hit.ci).chain(impact.failed().iter().copied()).collect();
        prop_assert_eq!(in_mode(FailureMode::Down), down);
        let degraded: BTreeSet<CiId> = impact.degraded().iter().map(|hit| hit.ci).collect();
        prop_assert_eq!(in_mode(FailureMode::Degraded), degraded);
        for item in &estate.cis {
            let health = live.health(&graph, *item).unwrap();
            let Some((start, steps)) = health.chain else {
                prop_assert!(health.modes.is_empty());
                continue;
            };
            prop_assert!(failed.contains(&start));
            let mut before = start;
            for step in &steps {
                let related = estate.relations.contains(&(step.relation.clone(), before, step.ci))
                    || estate.relations.contains(&(step.relation.clone(), step.ci, before));
                prop_assert!(related);
                before = step.ci;
            }
            prop_assert_eq!(before, *item);
        }
        // The redundancy that is left, item by item, is that of the one-time answer.
        let lost: BTreeSet<(CiId, String, u64, u64, u64)> = impact
            .redundancy_lost()
            .iter()
            .map(|lost| (lost.ci, lost.relation.to_string(), lost.standing, lost.needed, lost.total))
            .collect();
        let below: BTreeSet<(CiId, String, u64, u64, u64)> = live
            .roll_up(&graph, estate.cis.iter().copied())
            .into_iter()
            .flat_map(|health| health.redundancy)
            .map(|lost| (lost.ci, lost.relation.to_string(), lost.standing, lost.needed, lost.total))
            .collect();
        prop_assert_eq!(below, lost);
    }
}

#[test]
fn a_service_says_how_it_is_and_why() {
    let [shop, web, one, two, net] = [ci(1), ci(2), ci(3), ci(4), ci(5)];
    let mut graph = RelationGraph::new(RelationModel::default());
    for id in [shop, web, one, two, net] {
        graph.upsert_ci(id, itom_core::kind::SERVICE, "x").unwrap();
    }
    graph.relate(relation::DEPENDS_ON, shop, web).unwrap();
    graph.relate(relation::PROVIDED_BY, web, one).unwrap();
    graph.relate(relation::PROVIDED_BY, web, two).unwrap();
    graph.relate(relation::ROUTES_VIA, two, net).unwrap();
    let mut live = LiveImpact::new();
    live.fail(&graph, one, FailureMode::Down).unwrap();
    let health = live.health(&graph, shop).unwrap();
    assert_eq!((health.state, health.chain.is_none()), (HealthState::AtRisk, true));
    assert_eq!(health.redundancy[0].margin(), 0);
    assert_eq!(
        health.redundancy[0].to_string(),
        format!("1 of 2 left where 1 must stand (provided_by of {web})")
    );
    // The other one cannot be reached any more: the service cannot be reached either, though nothing more is down.
    live.fail(&graph, net, FailureMode::Down).unwrap();
    let all = live.roll_up(&graph, [shop, web, two, one]);
    let states: Vec<(CiId, HealthState)> = all.iter().map(|health| (health.ci, health.state)).collect();
    let mut cut_off = [shop, web, two];
    cut_off.sort_unstable();
    assert_eq!(states[0], (one, HealthState::Failed));
    assert_eq!(states[1..], cut_off.map(|id| (id, HealthState::Unreachable)));
    let chain = live.health(&graph, shop).unwrap().chain.unwrap();
    assert_eq!(chain.1.last().map(|step| step.ci), Some(shop));
    live.recover(&graph, net).unwrap();
    assert_eq!(live.health(&graph, shop).unwrap().state, HealthState::AtRisk);
}

#[test]
fn data_is_lost_when_the_last_copy_is() {
    let stored = kind("stored");
    let model = RelationModel::empty().with(
        stored.clone(),
        RelationSpec::flowing(crate::graph::Flow::ToFrom)
            .gated(Gate::Any)
            .passing(Passage::new([FailureMode::DataLoss], FailureMode::DataLoss)),
    );
    let mut graph = RelationGraph::new(model);
    (0..3).for_each(|at| graph.upsert_ci(ci(at), itom_core::kind::SERVICE, "x").unwrap());
    graph.relate(stored.clone(), ci(0), ci(1)).unwrap();
    graph.relate(stored, ci(0), ci(2)).unwrap();
    let mut live = LiveImpact::new();
    assert_eq!(live.fail(&graph, ci(1), FailureMode::DataLoss).unwrap().len(), 1);
    live.fail(&graph, ci(2), FailureMode::DataLoss).unwrap();
    let health = live.health(&graph, ci(0)).unwrap();
    assert_eq!((health.state, health.modes), (HealthState::Up, FailureMode::DataLoss.into()));
}
