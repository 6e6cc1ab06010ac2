//! Single points of failure: size-1 cut sets on the gate graph.

use itom_core::CiId;

use super::fixpoint::{ImpactScratch, Stop};
use super::marks::Marks;
use crate::graph::{View, Way, walk};

/// Only what the service needs matters, and an item known to be a point of failure answers for all that fells it.
struct Within<'a> {
    needed: &'a Marks,
    points: &'a Marks,
}

impl Stop for Within<'_> {
    fn admits(&self, node: u32) -> bool {
        self.needed.has(node)
    }
    fn ends_at(&self, node: u32) -> bool {
        self.points.has(node)
    }
}

/// Items whose failure alone brings `service` down.
///
/// Two facts keep this far below one search for each ancestor. If `a` fells `b` and `b` is a point of failure, so is
/// `a`: a search ends there. If `a` does not fell the service, nothing that `a` fells does: a failed search answers for
/// all it reached. What is connected to the service by plain links needs no search of its own at all.
pub(super) fn single_points_of_failure(view: &impl View, service: CiId) -> Vec<CiId> {
    let Some(start) = view.node(service) else { return Vec::new() };
    let ancestors = walk(view, start, Way::Inward, None, &mut Marks::default());
    let [mut needed, mut points, mut harmless] = [Marks::default(), Marks::default(), Marks::default()];
    for marks in [&mut needed, &mut points, &mut harmless] {
        marks.fit(view.bound());
    }
    ancestors.iter().for_each(|(node, _)| {
        needed.set(*node);
    });

    let mut plain = vec![start];
    points.set(start);
    while let Some(node) = plain.pop() {
        for link in view.inward(node) {
            if link.tag.is_plain() && points.set(link.node) {
                plain.push(link.node);
            }
        }
    }
    let mut scratch = ImpactScratch::default();
    // The farthest first: they reach most.
    for (node, _) in ancestors.iter().rev() {
        if points.has(*node) || harmless.has(*node) {
            continue;
        }
        let within = Within { needed: &needed, points: &points };
        if scratch.fall(view, std::iter::once(*node), u32::MAX, &within) {
            scratch.down_order.iter().for_each(|(fallen, _)| {
                harmless.set(*fallen);
            });
        } else {
            points.set(*node);
        }
    }
    let mut found: Vec<(u32, CiId)> = ancestors
        .iter()
        .filter(|(node, _)| *node != start && points.has(*node))
        .map(|(node, distance)| (*distance, view.id(*node)))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, id)| id).collect()
}
