//! Which of several failures bring one item down.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use itom_core::CiId;

use super::fixpoint::{ImpactScratch, Stop};
use super::marks::Marks;
use crate::graph::{Effect, View, Way, walk};

/// Only what the item needs matters, and the item's own fall goes no further.
struct Ancestors<'a>(&'a Marks);

impl Stop for Ancestors<'_> {
    fn admits(&self, node: u32) -> bool {
        self.0.has(node)
    }
    fn ends_at(&self, _: u32) -> bool {
        false
    }
}

/// See [`RelationGraph::brought_down_by`](crate::graph::RelationGraph::brought_down_by).
pub(crate) fn brought_down_by(view: &impl View, ci: CiId, failed: &BTreeSet<CiId>) -> Vec<CiId> {
    let Some(item) = view.node(ci) else { return Vec::new() };
    let mut seeds: Vec<u32> =
        failed.iter().filter_map(|id| view.node(*id)).filter(|node| *node != item).collect();
    seeds.sort_unstable();
    // Whether `ci` falls does not depend on where its own fall travels, so it is not followed: the failure enters `ci`
    // through its gates below and nowhere else.
    let ancestors = walk(view, item, Way::Inward, None, &mut Marks::default());
    let mut needed = Marks::default();
    needed.fit(view.bound());
    ancestors.iter().skip(1).for_each(|(node, _)| {
        needed.set(*node);
    });
    let mut scratch = ImpactScratch::default();
    scratch.fall(view, seeds.iter().copied(), u32::MAX, &Ancestors(&needed));

    let mut named = Marks::default();
    named.fit(view.bound());
    named.set(item);
    let mut chain = vec![item];
    let mut culprits = BTreeSet::new();
    while let Some(node) = chain.pop() {
        for supplier in fallen_through(view, &scratch.down, node) {
            if supplier != item && named.set(supplier) {
                if seeds.binary_search(&supplier).is_ok() {
                    culprits.insert(view.id(supplier));
                }
                chain.push(supplier);
            }
        }
    }
    culprits.into_iter().collect()
}

/// The fallen suppliers of a node behind gates that have fallen.
fn fallen_through(view: &impl View, down: &Marks, node: u32) -> Vec<u32> {
    // Failed and total weight by kind. Looked up, never iterated.
    let mut sums: HashMap<u32, (u64, u64)> = HashMap::new();
    for link in view.inward(node).filter(|link| !link.tag.is_plain()) {
        let weight = view.rule(node, link.tag.kind()).0.weight(view.id(link.node));
        let (failed, total) = sums.entry(link.tag.kind()).or_default();
        *total = total.saturating_add(weight);
        *failed = failed.saturating_add(if down.has(link.node) { weight } else { 0 });
    }
    view.inward(node)
        .filter(|link| down.has(link.node))
        .filter(|link| {
            link.tag.is_plain() || {
                let (gate, effect) = view.rule(node, link.tag.kind());
                let (failed, total) = sums.get(&link.tag.kind()).copied().unwrap_or_default();
                effect != Effect::Degraded && gate.falls(failed, total)
            }
        })
        .map(|link| link.node)
        .collect()
}
