//! Single points of failure of a whole estate, and pairs that are one together.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::CiId;

use super::felled::{Felling, Limits};
use super::lanes::{LANES, LaneCounts, Lanes, Word};
use super::marks::Marks;
use super::points::single_points_of_failure;
use super::snapshot::Snapshot;
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
        weak_points(self, services, Limits::for_nodes(self.ci_count()))
    }

    /// Pairs of items that bring `service` down together and not alone. Exact among the items looked at.
    pub fn weak_pairs(&self, service: CiId, options: &PairOptions) -> WeakPairs {
        weak_pairs(self, service, options)
    }
}

/// How often each bit of each word was set, counted in all bits of a word at once: one digit after the other.
struct Columns {
    digits: Vec<[u32; Self::DIGITS]>,
    /// By bit: what the digits could not hold.
    rest: Vec<usize>,
}

impl Columns {
    const DIGITS: usize = 8;

    #[inline]
    fn add(&mut self, at: usize, word: u32) {
        let mut carry = word;
        for digit in &mut self.digits[at] {
            if carry == 0 {
                return;
            }
            (*digit, carry) = (*digit ^ carry, *digit & carry);
        }
        while carry != 0 {
            self.rest[at * 32 + carry.trailing_zeros() as usize] += 1 << Self::DIGITS;
            carry &= carry - 1;
        }
    }

    fn of(&self, slot: u32) -> usize {
        let digits = self.digits[slot as usize / 32].iter().enumerate();
        let small: usize = digits.map(|(at, digit)| ((digit >> (slot % 32)) as usize & 1) << at).sum();
        small + self.rest[slot as usize]
    }
}

pub(super) fn weak_points(graph: &RelationGraph, services: &BTreeSet<CiId>, limits: Limits) -> WeakPoints {
    let mut asked = Marks::default();
    asked.fit(graph.bound());
    let mut roots: Vec<u32> = services.iter().filter_map(|ci| graph.node(*ci)).collect();
    roots.sort_unstable();
    roots.iter().for_each(|node| {
        asked.set(*node);
    });
    let snapshot = Snapshot::of(graph, &roots, &asked);
    let numbered = || (0_u32..).zip(snapshot.nodes().iter().copied());
    let words = snapshot.slot_count().div_ceil(32);
    let mut shown = vec![0_u32; words];
    for (number, _) in numbered().filter(|(_, node)| asked.has(*node)) {
        let slot = snapshot.slots(number).start;
        shown[slot as usize / 32] |= 1 << (slot % 32);
    }
    let mut columns = Columns { digits: vec![[0; Columns::DIGITS]; words], rest: vec![0; words * 32] };
    let mut fells = vec![0_usize; snapshot.len()];
    let left = Felling::new(&snapshot, limits).run(|node, fell| {
        for (at, word) in fell.words() {
            let services = word & shown[at as usize];
            fells[node as usize] += services.count_ones() as usize;
            columns.add(at as usize, services);
        }
    });
    let mut points = vec![0_usize; snapshot.len()];
    let (mut lanes, mut felled) = (Lanes::new(&snapshot), LaneCounts::default());
    for batch in left.chunks(LANES) {
        lanes.fall(batch.iter().enumerate().map(|(lane, node)| (*node, Word::lane(lane))));
        felled.clear();
        for node in lanes.touched().iter().filter(|node| asked.has(snapshot.nodes()[**node as usize])) {
            let fallen = lanes.fallen(*node);
            points[*node as usize] += fallen.count();
            felled.add(fallen);
        }
        for (lane, node) in batch.iter().enumerate() {
            fells[*node as usize] = felled.of(lane);
        }
    }
    let mut answer = WeakPoints::default();
    for (number, node) in numbered() {
        let mut services = fells[number as usize];
        if asked.has(node) {
            // Each fells itself, and was counted from either side.
            services -= 1;
            let points = points[number as usize] + columns.of(snapshot.slots(number).start) - 1;
            if points > 0 {
                answer.exposed.push(Exposure { ci: graph.id(node), points });
            }
        }
        if services > 0 {
            answer.points.push(WeakPoint { ci: graph.id(node), services });
        }
    }
    answer.points.sort_unstable_by_key(|point| (std::cmp::Reverse(point.services), point.ci));
    answer.exposed.sort_unstable_by_key(|exposed| (std::cmp::Reverse(exposed.points), exposed.ci));
    answer
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
    let mut shown = Marks::default();
    shown.fit(view.bound());
    let snapshot = Snapshot::of(view, &[start], &shown);
    let numbers: BTreeMap<u32, u32> = snapshot.nodes().iter().copied().zip(0..).collect();
    let mut lanes = Lanes::new(&snapshot);
    let mut pairs = Vec::new();
    for (at, (_, one, node)) in harmless.iter().enumerate() {
        for others in harmless[at + 1..].chunks(LANES) {
            let each =
                others.iter().enumerate().map(|(lane, (.., other))| (numbers[other], Word::lane(lane)));
            lanes.fall(std::iter::once((numbers[node], Word::ALL)).chain(each));
            let fell = lanes.fallen(numbers[&start]);
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
