//! A model so plain that it can be believed: sets, rounds, and nothing shared with the engine but the vocabulary.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, RelationKind};
use proptest::prelude::*;

use crate::graph::{Effect, Flow, Gate, RelationGraph, RelationModel, RelationSpec};

/// Items, relations and gates as plain sets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Naive {
    pub(crate) cis: BTreeSet<CiId>,
    pub(crate) relations: BTreeSet<(RelationKind, CiId, CiId)>,
    pub(crate) gates: BTreeMap<(CiId, RelationKind), Gate>,
}

/// Rounds in which items went down, and in which the others were degraded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fallen {
    pub(crate) down: BTreeMap<CiId, u32>,
    pub(crate) degraded: BTreeMap<CiId, u32>,
}

pub(crate) fn ci(number: usize) -> CiId {
    CiId::derive(&[&number.to_string()])
}

/// Every flow and effect, with one letter each.
pub(crate) fn model() -> RelationModel {
    let spec = |flow, gate, effect| RelationSpec::flowing(flow).gated(gate).with_effect(effect);
    RelationModel::empty()
        .with(kind("a"), spec(Flow::ToFrom, Gate::All, Effect::Down))
        .with(kind("b"), spec(Flow::FromTo, Gate::All, Effect::Down))
        .with(kind("c"), spec(Flow::ToFrom, Gate::Any, Effect::Down))
        .with(kind("d"), spec(Flow::Both, Gate::KOfN(2), Effect::Down))
        .with(kind("e"), spec(Flow::ToFrom, Gate::Any, Effect::Degraded))
        .with(kind("f"), spec(Flow::FromTo, Gate::Any, Effect::Capacity))
}

pub(crate) fn kind(letter: &'static str) -> RelationKind {
    RelationKind::literal(letter)
}

/// `z` is in no model.
pub(crate) const KINDS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "z"];

impl Naive {
    /// (supplier, kind) of every relation that an item needs, repeats kept.
    fn needs(&self, item: CiId) -> Vec<(CiId, RelationKind)> {
        let model = model();
        let mut needs = Vec::new();
        for (kind, from, to) in &self.relations {
            let flow = model.spec(kind).flow;
            if *from == item && matches!(flow, Flow::ToFrom | Flow::Both) {
                needs.push((*to, kind.clone()));
            }
            if *to == item && matches!(flow, Flow::FromTo | Flow::Both) {
                needs.push((*from, kind.clone()));
            }
        }
        needs
    }

    pub(crate) fn gate(&self, item: CiId, kind: &RelationKind) -> Gate {
        self.gates.get(&(item, kind.clone())).cloned().unwrap_or_else(|| model().spec(kind).gate)
    }

    /// Whether the loss of `lost` is too much for the gate of an item.
    fn too_much(&self, item: CiId, kind: &RelationKind, lost: &BTreeSet<CiId>) -> bool {
        self.too_much_for(&self.gate(item, kind), item, kind, lost)
    }

    /// As before, for any gate.
    pub(crate) fn too_much_for(
        &self,
        gate: &Gate,
        item: CiId,
        kind: &RelationKind,
        lost: &BTreeSet<CiId>,
    ) -> bool {
        let suppliers: Vec<CiId> =
            self.needs(item).into_iter().filter(|(_, of)| of == kind).map(|(supplier, _)| supplier).collect();
        let (gone, left): (Vec<CiId>, Vec<CiId>) =
            suppliers.iter().partition(|supplier| lost.contains(supplier));
        match gate {
            Gate::All => !gone.is_empty(),
            Gate::Any => left.is_empty() && !gone.is_empty(),
            Gate::KOfN(k) if suppliers.len() < *k as usize => !gone.is_empty(),
            Gate::KOfN(k) => left.len() < *k as usize,
            Gate::Weighted { threshold, weights } => {
                let weigh =
                    |ids: &[CiId]| ids.iter().map(|id| weights.get(id).copied().unwrap_or(1)).sum::<u64>();
                if weigh(&suppliers) < *threshold { weigh(&gone) > 0 } else { weigh(&left) < *threshold }
            }
        }
    }

    pub(crate) fn kinds_needed(&self, item: CiId) -> BTreeSet<RelationKind> {
        self.needs(item).into_iter().map(|(_, kind)| kind).collect()
    }

    /// Round by round, all items at once.
    pub(crate) fn impact(&self, failed: &BTreeSet<CiId>) -> Fallen {
        let mut fallen = Fallen::default();
        fallen.down.extend(failed.iter().filter(|id| self.cis.contains(id)).map(|id| (*id, 0)));
        for round in 1..=self.cis.len() as u32 + 1 {
            let lost: BTreeSet<CiId> = fallen.down.keys().copied().collect();
            for item in &self.cis {
                let falls = self.kinds_needed(*item).iter().any(|kind| {
                    model().spec(kind).effect != Effect::Degraded && self.too_much(*item, kind, &lost)
                });
                if falls {
                    fallen.down.entry(*item).or_insert(round);
                }
            }
        }
        for round in 1..=2 * self.cis.len() as u32 + 2 {
            let lost: BTreeSet<CiId> = fallen
                .down
                .iter()
                .chain(&fallen.degraded)
                .filter(|(_, at)| **at < round)
                .map(|(id, _)| *id)
                .collect();
            for item in self.cis.iter().filter(|item| !fallen.down.contains_key(item)) {
                let falls = self.kinds_needed(*item).iter().any(|kind| match model().spec(kind).effect {
                    Effect::Capacity => {
                        self.needs(*item).iter().any(|(supplier, of)| of == kind && lost.contains(supplier))
                    }
                    Effect::Down | Effect::Degraded => self.too_much(*item, kind, &lost),
                });
                if falls {
                    fallen.degraded.entry(*item).or_insert(round);
                }
            }
        }
        fallen
    }

    /// (item, kind) that lost a supplier and still stand.
    pub(crate) fn redundancy_lost(&self, failed: &BTreeSet<CiId>) -> Vec<(CiId, RelationKind)> {
        let down: BTreeSet<CiId> = self.impact(failed).down.into_keys().collect();
        let mut lost = Vec::new();
        for item in self.cis.iter().filter(|item| !down.contains(item)) {
            for kind in self.kinds_needed(*item) {
                let gate = self.gate(*item, &kind);
                let gone = self.needs(*item).iter().any(|(supplier, of)| {
                    *of == kind && down.contains(supplier) && !matches!(&gate, Gate::Weighted { weights, .. } if weights.get(supplier) == Some(&0))
                });
                if gone && model().spec(&kind).effect != Effect::Degraded {
                    lost.push((*item, kind));
                }
            }
        }
        lost
    }

    pub(crate) fn points(&self, service: CiId) -> BTreeSet<CiId> {
        let fells = |item: &CiId| self.impact(&BTreeSet::from([*item])).down.contains_key(&service);
        self.cis.iter().copied().filter(|item| *item != service && fells(item)).collect()
    }

    /// Pairs that fell a service together and not alone.
    pub(crate) fn pairs(&self, service: CiId) -> BTreeSet<(CiId, CiId)> {
        let alone = self.points(service);
        let others: Vec<CiId> =
            self.cis.iter().copied().filter(|id| *id != service && !alone.contains(id)).collect();
        let mut pairs = BTreeSet::new();
        for (at, first) in others.iter().enumerate() {
            for second in &others[at + 1..] {
                if self.impact(&BTreeSet::from([*first, *second])).down.contains_key(&service) {
                    pairs.insert((*first, *second));
                }
            }
        }
        pairs
    }

    pub(crate) fn graph(&self) -> RelationGraph {
        let cis = self.cis.iter().map(|id| (*id, itom_core::kind::SERVICE, itom_core::Text::literal("x")));
        let mut graph = RelationGraph::from_parts(model(), cis, self.relations.iter().cloned()).unwrap();
        for ((item, kind), gate) in &self.gates {
            graph.set_gate(*item, kind, gate.clone()).unwrap();
        }
        graph
    }
}

pub(crate) fn any_gate() -> impl Strategy<Value = Gate> {
    prop_oneof![
        Just(Gate::All),
        Just(Gate::Any),
        (0..4_u32).prop_map(Gate::KOfN),
        (0..6_u64, proptest::collection::btree_map(0..7_usize, 0..4_u64, 0..4)).prop_map(
            |(threshold, weights)| {
                Gate::Weighted {
                    threshold,
                    weights: weights.into_iter().map(|(at, weight)| (ci(at), weight)).collect(),
                }
            }
        ),
    ]
}

/// A small estate with every kind of relation and gate, circles included.
pub(crate) fn any_estate() -> impl Strategy<Value = Naive> {
    let relation = (0..KINDS.len(), 0..7_usize, 0..7_usize);
    let gate = ((0..7_usize, 0..6_usize), any_gate());
    (1..8_usize, proptest::collection::vec(relation, 0..18), proptest::collection::vec(gate, 0..5)).prop_map(
        |(size, relations, gates)| Naive {
            cis: (0..size).map(ci).collect(),
            relations: relations
                .into_iter()
                .filter(|(_, from, to)| *from < size && *to < size)
                .map(|(of, from, to)| (kind(KINDS[of]), ci(from), ci(to)))
                .collect(),
            gates: gates
                .into_iter()
                .filter(|((item, _), _)| *item < size)
                .map(|((item, of), gate)| ((ci(item), kind(KINDS[of])), gate))
                .collect(),
        },
    )
}
