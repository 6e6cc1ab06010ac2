//! What needs what: closures, distances and shortest paths.

use std::collections::BTreeSet;

use itom_core::{CiId, RelationKind, Topology};

use super::{Link, RelationGraph, View};
use crate::impact::{self, Marks};

/// One step of a path: the item reached, and the relation that led there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Step {
    /// The kind of relation between the item before and this one.
    pub relation: RelationKind,
    /// The item reached.
    pub ci: CiId,
}

/// Which way to walk the links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To who feels a failure.
    Outward,
    /// To what is needed.
    Inward,
}

/// Nodes reached from `start` over links that carry failure, nearest first, with their distances; `start` comes first
/// with distance 0. Stops early once `until` is reached.
pub(crate) fn walk(
    view: &impl View,
    start: u32,
    way: Way,
    until: Option<u32>,
    marks: &mut Marks,
) -> Vec<(u32, u32)> {
    marks.fit(view.bound());
    let mut order = vec![(start, 0)];
    marks.set(start);
    let mut head = 0;
    while let Some((node, distance)) = order.get(head).copied() {
        head += 1;
        if Some(node) == until {
            break;
        }
        let mut visit = |link: Link| {
            if marks.set(link.node) {
                order.push((link.node, distance + 1));
            }
        };
        match way {
            Way::Outward => view.outward(node).for_each(&mut visit),
            Way::Inward => view.inward(node).for_each(&mut visit),
        }
    }
    marks.clear(order.iter().map(|(node, _)| *node));
    order
}

/// Ids sorted by distance, then id; the walk's start left out unless it lies on a cycle of its own.
pub(crate) fn closure(view: &impl View, ci: CiId, way: Way) -> Vec<CiId> {
    let Some(start) = view.node(ci) else { return Vec::new() };
    let order = walk(view, start, way, None, &mut Marks::default());
    let mut found: Vec<(u32, CiId)> =
        order[1..].iter().map(|(node, distance)| (*distance, view.id(*node))).collect();
    // A link back to the start closes its cycle one step behind the node it comes from.
    let back = order.iter().find(|(node, _)| {
        let returns = |link: Link| link.node == start;
        match way {
            Way::Outward => view.outward(*node).any(returns),
            Way::Inward => view.inward(*node).any(returns),
        }
    });
    if let Some((_, distance)) = back {
        found.push((distance + 1, ci));
    }
    found.sort_unstable();
    found.into_iter().map(|(_, id)| id).collect()
}

impl RelationGraph {
    /// What `ci` needs, directly and through others, whatever the gates: nearest first, then by id. `ci` itself is only
    /// among them when it lies on a cycle.
    #[must_use]
    pub fn depends_on(&self, ci: CiId) -> Vec<CiId> {
        closure(self, ci, Way::Inward)
    }

    /// What needs `ci`, directly and through others, whatever the gates: nearest first, then by id.
    #[must_use]
    pub fn dependents(&self, ci: CiId) -> Vec<CiId> {
        closure(self, ci, Way::Outward)
    }

    /// The shortest chain from `dependent` to something it needs; empty for the same item, `None` when there is none.
    /// Of several shortest chains it is the one with the smallest ids.
    #[must_use]
    pub fn path(&self, dependent: CiId, supplier: CiId) -> Option<Vec<Step>> {
        let (start, goal) = (self.node(dependent)?, self.node(supplier)?);
        let order = walk(self, goal, Way::Outward, Some(start), &mut Marks::default());
        let mut distances: Vec<(u32, u32)> = order;
        distances.sort_unstable();
        let at = |node: u32| {
            distances.binary_search_by_key(&node, |(node, _)| *node).ok().map(|index| distances[index].1)
        };
        let mut left = at(start)?;
        let (mut node, mut steps) = (start, Vec::new());
        while left > 0 {
            let link = self
                .inward(node)
                .filter(|link| at(link.node) == Some(left - 1))
                .min_by_key(|link| (self.id(link.node), self.kind_name(link.tag.kind())))?;
            steps.push(Step { relation: self.kind_name(link.tag.kind()).clone(), ci: self.id(link.node) });
            (node, left) = (link.node, left - 1);
        }
        Some(steps)
    }
}

impl Topology for RelationGraph {
    fn dependencies(&self, ci: CiId) -> Vec<CiId> {
        self.depends_on(ci)
    }

    fn dependents(&self, ci: CiId) -> Vec<CiId> {
        Self::dependents(self, ci)
    }

    fn brought_down_by(&self, ci: CiId, failed: &BTreeSet<CiId>) -> Vec<CiId> {
        impact::brought_down_by(self, ci, failed)
    }

    fn distance(&self, a: CiId, b: CiId) -> Option<usize> {
        let (a, b) = (self.node(a)?, self.node(b)?);
        let mut marks = Marks::default();
        [Way::Inward, Way::Outward]
            .into_iter()
            .filter_map(|way| {
                let order = walk(self, a, way, Some(b), &mut marks);
                order.into_iter().find(|(node, _)| *node == b).map(|(_, distance)| distance as usize)
            })
            .min()
    }
}
