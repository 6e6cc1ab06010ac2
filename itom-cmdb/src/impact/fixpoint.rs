//! The least fixed point: first what goes down, then what is degraded.
//!
//! Down depends on down only, so the two levels are computed one after the other. Links that pass failure on without a
//! gate are followed as a plain search would; only gated links keep a tally. A tally is raised when a supplier is taken
//! from the queue, so an item's distance is the round of the last supplier it needed, whatever order links are in.

use hashbrown::HashMap;

use super::marks::Marks;
use crate::graph::{Effect, Gate, Link, View};

/// Memory that searches use again, one search after another. It holds no answer.
#[derive(Debug, Clone, Default)]
pub struct ImpactScratch {
    pub(super) down: Marks,
    pub(super) degraded: Marks,
    /// What is down, in order of distance; the failed items first.
    pub(super) down_order: Vec<(u32, u32)>,
    /// What is degraded, in order of distance.
    pub(super) degraded_order: Vec<(u32, u32)>,
    /// Down nodes that have gated links.
    gated: Vec<(u32, u32)>,
    /// Failed weight by dependent and kind. Looked up, never iterated.
    down_tally: HashMap<(u32, u32), Tally>,
    degraded_tally: HashMap<(u32, u32), Tally>,
    /// The keys of `down_tally` in the order they were met.
    pub(super) touched: Vec<(u32, u32)>,
    /// The distance of each marked node; what is not marked is left from searches before.
    distances: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) failed: u64,
    pub(super) total: u64,
}

/// Nodes whose links are asked for at once.
const AHEAD: usize = 16;

/// Which level a gate is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Down,
    Degraded,
}

/// Whether a gate has fallen for a level.
fn falls(level: Level, gate: &Gate, effect: Effect, tally: Tally) -> bool {
    match (level, effect) {
        (Level::Down, Effect::Degraded) => false,
        (Level::Degraded, Effect::Capacity) => true,
        _ => gate.falls(tally.failed, tally.total),
    }
}

/// Adds one fallen supplier to the tally of a gated link and says whether the gate falls.
fn raise<V: View>(
    view: &V,
    tallies: &mut HashMap<(u32, u32), Tally>,
    supplier: u32,
    link: Link,
    level: Level,
    first: impl FnOnce(),
) -> bool {
    let key = (link.node, link.tag.kind());
    let (gate, effect) = view.rule(link.node, key.1);
    let tally = tallies.entry(key).or_insert_with(|| {
        first();
        let total = view
            .inward(link.node)
            .filter(|needed| needed.tag.kind() == key.1)
            .map(|needed| weight(view, gate, needed.node))
            .fold(0, u64::saturating_add);
        Tally { failed: 0, total }
    });
    tally.failed = tally.failed.saturating_add(weight(view, gate, supplier));
    falls(level, gate, effect, *tally)
}

fn weight(view: &impl View, gate: &Gate, supplier: u32) -> u64 {
    match gate {
        Gate::Weighted { .. } => gate.weight(view.id(supplier)),
        _ => 1,
    }
}

/// What stops a search early.
pub(super) trait Stop {
    /// Whether failure may enter this node.
    fn admits(&self, node: u32) -> bool;
    /// Whether the search is over once this node has fallen.
    fn ends_at(&self, node: u32) -> bool;
}

/// Nothing stops it.
pub(super) struct Never;
impl Stop for Never {
    #[inline]
    fn admits(&self, _: u32) -> bool {
        true
    }
    #[inline]
    fn ends_at(&self, _: u32) -> bool {
        false
    }
}

impl ImpactScratch {
    /// Forgets the search before, touching only what it touched.
    fn reset(&mut self, bound: usize) {
        self.down.clear(self.down_order.iter().map(|(node, _)| *node));
        self.degraded.clear(self.degraded_order.iter().map(|(node, _)| *node));
        self.down.fit(bound);
        self.degraded.fit(bound);
        self.down_order.clear();
        self.degraded_order.clear();
        self.gated.clear();
        self.touched.clear();
        // A table that was once large is slow to clear for ever after.
        for tallies in [&mut self.down_tally, &mut self.degraded_tally] {
            if tallies.capacity() > 1024 && tallies.len() < tallies.capacity() / 8 {
                *tallies = HashMap::new();
            } else {
                tallies.clear();
            }
        }
    }

    /// Computes what goes down when `failed` do, up to `depth` rounds; whether the search came to its end by itself.
    pub(super) fn fall<V: View>(
        &mut self,
        view: &V,
        failed: impl Iterator<Item = u32>,
        depth: u32,
        stop: &impl Stop,
    ) -> bool {
        self.reset(view.bound());
        for node in failed {
            if self.down.set(node) {
                self.down_order.push((node, 0));
            }
        }
        let mut head = 0;
        let mut ahead: [Option<&[u32]>; AHEAD] = [None; AHEAD];
        let (mut first, mut fetched) = (0, 0);
        while head < self.down_order.len() {
            if head == fetched {
                // What a search waits for is memory: the links of the next nodes are asked for together, not one after
                // the other.
                let next = &self.down_order[head..(head + AHEAD).min(self.down_order.len())];
                for (slot, (node, _)) in ahead.iter_mut().zip(next) {
                    *slot = view.plain(*node);
                }
                (first, fetched) = (head, head + next.len());
                let touched = ahead.iter().flatten().filter_map(|others| others.first());
                std::hint::black_box(touched.fold(0_u32, |sum, other| sum ^ other));
            }
            let (node, distance) = self.down_order[head];
            let others = ahead[head - first];
            head += 1;
            if distance >= depth {
                break;
            }
            if let Some(others) = others {
                let (down, order) = (&mut self.down, &mut self.down_order);
                for other in others {
                    if stop.admits(*other) && down.set(*other) {
                        order.push((*other, distance + 1));
                        if stop.ends_at(*other) {
                            return false;
                        }
                    }
                }
                continue;
            }
            let mut has_gates = false;
            for link in view.outward(node) {
                if !link.tag.is_plain() {
                    has_gates = true;
                    if self.down.has(link.node) || !stop.admits(link.node) {
                        continue;
                    }
                    let key = (link.node, link.tag.kind());
                    let touched = &mut self.touched;
                    let first = || touched.push(key);
                    if !raise(view, &mut self.down_tally, node, link, Level::Down, first) {
                        continue;
                    }
                } else if !stop.admits(link.node) {
                    continue;
                }
                if self.down.set(link.node) {
                    self.down_order.push((link.node, distance + 1));
                    if stop.ends_at(link.node) {
                        return false;
                    }
                }
            }
            if has_gates {
                self.gated.push((node, distance));
            }
        }
        true
    }

    /// Computes what is degraded, after [`fall`](Self::fall).
    pub(super) fn degrade<V: View>(&mut self, view: &V, depth: u32) {
        // Down nodes without gated links have nothing to add: what they reach is down.
        let (mut next_down, mut next_degraded) = (0, 0);
        loop {
            let down = self.gated.get(next_down).copied();
            let degraded = self.degraded_order.get(next_degraded).copied();
            let (node, distance) = match (down, degraded) {
                (None, None) => break,
                (Some(down), Some(degraded)) if down.1 > degraded.1 => {
                    next_degraded += 1;
                    degraded
                }
                (Some(down), _) => {
                    next_down += 1;
                    down
                }
                (None, Some(degraded)) => {
                    next_degraded += 1;
                    degraded
                }
            };
            if distance >= depth {
                continue;
            }
            for link in view.outward(node) {
                if self.down.has(link.node) || self.degraded.has(link.node) {
                    continue;
                }
                let passes = link.tag.is_plain()
                    || raise(view, &mut self.degraded_tally, node, link, Level::Degraded, || ());
                if passes && self.degraded.set(link.node) {
                    self.degraded_order.push((link.node, distance + 1));
                }
            }
        }
    }

    /// Makes [`distance_of`](Self::distance_of) answer for this search.
    pub(super) fn note_distances(&mut self, bound: usize) {
        if self.distances.len() < bound {
            self.distances.resize(bound, 0);
        }
        for (node, distance) in self.down_order.iter().chain(&self.degraded_order) {
            self.distances[*node as usize] = *distance;
        }
    }

    /// The distance of a node that is down or degraded.
    pub(super) fn distance_of(&self, node: u32) -> u32 {
        self.distances[node as usize]
    }

    /// The tally of a gate that was touched.
    pub(super) fn tally(&self, key: (u32, u32)) -> Option<Tally> {
        self.down_tally.get(&key).copied()
    }
}
