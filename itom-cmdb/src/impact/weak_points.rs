//! Single points of failure of a whole estate, and pairs that are one together.

use std::collections::BTreeSet;

use itom_core::CiId;

use super::lanes::{LANES, Lanes, Word};
use super::marks::Marks;
use super::points::single_points_of_failure;
use crate::graph::{RelationGraph, View, Way, walk};

/// An item whose failure alone brings services down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct WeakPoint {
    /// The item.
    pub ci: CiId,
    /// How many of the services asked about go down with it, itself not counted.
    pub services: usize,
}

/// A service, and how many single points of failure it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Exposure {
    /// The service.
    pub ci: CiId,
    /// How many items bring it down alone, itself not counted.
    pub points: usize,
}

/// The weak points of an estate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct WeakPoints {
    /// Every item that brings at least one service down alone: most services first, then by id.
    pub points: Vec<WeakPoint>,
    /// Every service that has a single point of failure: most points first, then by id.
    pub exposed: Vec<Exposure>,
}

/// Two items that are harmless alone and bring a service down together, the smaller id first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct WeakPair {
    /// One.
    pub first: CiId,
    /// The other.
    pub second: CiId,
}

/// How far to look for pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairOptions {
    /// Most items to pair, nearest to the service kept: the work grows with the square of it.
    pub candidates: usize,
    /// Most pairs in the answer.
    pub results: usize,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self { candidates: 512, results: 10_000 }
    }
}

impl PairOptions {
    /// Pair at most this many items.
    #[must_use]
    pub const fn candidates(self, candidates: usize) -> Self {
        Self { candidates, ..self }
    }

    /// Keep at most this many pairs.
    #[must_use]
    pub const fn results(self, results: usize) -> Self {
        Self { results, ..self }
    }
}

/// The pairs of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct WeakPairs {
    /// Sorted.
    pub pairs: Vec<WeakPair>,
    /// How many items that the service needs were not paired because of the limit.
    pub not_paired: usize,
    /// How many pairs the limit on results left out.
    pub left_out: usize,
}

impl RelationGraph {
    /// Every item that brings any of these services down alone, with how many, and every service that has such items,
    /// with how many: all at once, and exact for every gate and in circles.
    ///
    /// Which services an item fells is [`brings_down`](Self::brings_down), which items fell a service
    /// [`single_points_of_failure`](Self::single_points_of_failure).
    pub fn weak_points(&self, services: &BTreeSet<CiId>) -> WeakPoints {
        let bound = self.bound();
        let asked: Vec<u32> = services.iter().filter_map(|ci| self.node(*ci)).collect();
        let (mut is_asked, mut needed) = (Marks::default(), Marks::default());
        is_asked.fit(bound);
        needed.fit(bound);
        let mut queue = asked.clone();
        for node in &asked {
            is_asked.set(*node);
            needed.set(*node);
        }
        while let Some(node) = queue.pop() {
            queue.extend(self.outward_of_need(node).filter(|supplier| needed.set(*supplier)));
        }
        let order = self.suppliers_first(&needed);
        let mut batches = alike(self, &order, &needed);
        // What no service needs, and what nothing needs, brings no service down.
        batches.retain(|node| self.outward_links(*node).iter().any(|link| needed.has(link.node)));

        let mut lanes = Lanes::new(bound, order);
        let (mut fells, mut points) = (vec![0_usize; LANES], vec![0_usize; bound]);
        let mut answer = WeakPoints::default();
        for batch in batches.chunks(LANES) {
            fells.fill(0);
            lanes.fall(self, batch.iter().enumerate().map(|(lane, node)| (*node, Word::lane(lane))));
            for node in lanes.touched().iter().filter(|node| is_asked.has(**node)) {
                let fallen = lanes.fallen(*node);
                points[*node as usize] += fallen.count();
                fallen.lanes().for_each(|lane| fells[lane] += 1);
            }
            for (lane, node) in batch.iter().enumerate() {
                if is_asked.has(*node) {
                    points[*node as usize] -= 1;
                    fells[lane] -= 1;
                }
                if fells[lane] > 0 {
                    answer.points.push(WeakPoint { ci: self.id(*node), services: fells[lane] });
                }
            }
        }
        let exposed = asked.iter().filter(|node| points[**node as usize] > 0);
        answer.exposed =
            exposed.map(|node| Exposure { ci: self.id(*node), points: points[*node as usize] }).collect();
        answer.points.sort_unstable_by_key(|point| (std::cmp::Reverse(point.services), point.ci));
        answer.exposed.sort_unstable_by_key(|exposed| (std::cmp::Reverse(exposed.points), exposed.ci));
        answer
    }

    fn outward_of_need(&self, node: u32) -> impl Iterator<Item = u32> {
        self.inward_links(node).iter().map(|link| link.node)
    }

    /// The marked nodes, each after all it needs as far as circles let them.
    fn suppliers_first(&self, within: &Marks) -> Vec<u32> {
        let mut seen = Marks::default();
        seen.fit(self.bound());
        let mut order = Vec::new();
        let mut stack: Vec<(u32, usize)> = Vec::new();
        for root in (0..self.bound() as u32).filter(|node| within.has(*node)) {
            if !seen.set(root) {
                continue;
            }
            stack.push((root, 0));
            while let Some((node, next)) = stack.last_mut() {
                match self.inward_links(*node).get(*next) {
                    Some(link) => {
                        *next += 1;
                        if within.has(link.node) && seen.set(link.node) {
                            stack.push((link.node, 0));
                        }
                    }
                    None => {
                        order.push(*node);
                        stack.pop();
                    }
                }
            }
        }
        order
    }

    /// Pairs of items that bring `service` down together and not alone. Exact among the items looked at.
    pub fn weak_pairs(&self, service: CiId, options: &PairOptions) -> WeakPairs {
        weak_pairs(self, service, options)
    }
}

/// Nodes that share much of what they reach next to each other: each has the smallest hash of all that it reaches, which
/// two nodes have in common as often as they share what they reach.
fn alike(graph: &RelationGraph, order: &[u32], within: &Marks) -> Vec<u32> {
    let mut least: Vec<[u64; 2]> = vec![[u64::MAX; 2]; graph.bound()];
    for node in order.iter().rev() {
        let mut own = [mix(u64::from(*node)), mix(u64::from(*node) ^ 0x5bd1_e995_0000_0000)];
        for link in graph.outward_links(*node).iter().filter(|link| within.has(link.node)) {
            let other = least[link.node as usize];
            own = [own[0].min(other[0]), own[1].min(other[1])];
        }
        least[*node as usize] = own;
    }
    let mut sorted: Vec<([u64; 2], u32)> = order.iter().map(|node| (least[*node as usize], *node)).collect();
    sorted.sort_unstable();
    sorted.into_iter().map(|(_, node)| node).collect()
}

const fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

pub(super) fn weak_pairs(view: &impl View, service: CiId, options: &PairOptions) -> WeakPairs {
    let Some(start) = view.node(service) else { return WeakPairs::default() };
    let ancestors = walk(view, start, Way::Inward, None, &mut Marks::default());
    let alone: BTreeSet<CiId> = single_points_of_failure(view, service).into_iter().collect();
    let mut harmless: Vec<(u32, CiId, u32)> = ancestors
        .iter()
        .skip(1)
        .map(|(node, distance)| (*distance, view.id(*node), *node))
        .filter(|(_, ci, _)| !alone.contains(ci))
        .collect();
    harmless.sort_unstable();
    let not_paired = harmless.len().saturating_sub(options.candidates);
    harmless.truncate(options.candidates);
    let mut lanes =
        Lanes::new(view.bound(), ancestors.iter().rev().map(|(node, _)| *node).collect::<Vec<u32>>());
    let mut pairs = Vec::new();
    for (at, (_, one, node)) in harmless.iter().enumerate() {
        for others in harmless[at + 1..].chunks(LANES) {
            let each = others.iter().enumerate().map(|(lane, (_, _, other))| (*other, Word::lane(lane)));
            lanes.fall(view, std::iter::once((*node, Word::ALL)).chain(each));
            let fell = lanes.fallen(start);
            pairs.extend(
                others
                    .iter()
                    .enumerate()
                    .filter(|(lane, _)| fell.has(*lane))
                    .map(|(_, (_, other, _))| WeakPair { first: *one.min(other), second: *one.max(other) }),
            );
        }
    }
    pairs.sort_unstable();
    let left_out = pairs.len().saturating_sub(options.results);
    pairs.truncate(options.results);
    WeakPairs { pairs, not_paired, left_out }
}
