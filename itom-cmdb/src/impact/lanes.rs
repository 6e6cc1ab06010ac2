//! Many questions at once: one bit for each.
//!
//! Every lane is a failure of its own. A node holds one bit a lane, links without a gate are an *or* of words, redundant
//! suppliers an *and*; one pass in order of dependency answers all lanes. Lanes that share much of what they bring down
//! share nearly all of the work.

use crate::graph::{Effect, Gate, View};

const WORDS: usize = 4;
/// Failures answered in one pass.
pub(super) const LANES: usize = 64 * WORDS;

/// One bit a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Word([u64; WORDS]);

impl Word {
    pub(super) const ALL: Self = Self([u64::MAX; WORDS]);

    pub(super) const fn lane(lane: usize) -> Self {
        let mut word = [0; WORDS];
        word[lane / 64] = 1 << (lane % 64);
        Self(word)
    }
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
    pub(super) fn has(self, lane: usize) -> bool {
        self.0[lane / 64] & (1 << (lane % 64)) != 0
    }
    pub(super) fn count(self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
    fn with(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }
    fn both(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }
    pub(super) fn without(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & !other.0[at]))
    }
    /// The lanes whose bit is set.
    pub(super) fn lanes(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(at, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                (left != 0).then(|| {
                    left &= left - 1;
                    at * 64 + bit
                })
            })
        })
    }
}

/// The state of all lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    fallen: Vec<Word>,
    touched: Vec<u32>,
    /// When a node is looked at: suppliers before dependents as far as circles let them.
    ranks: Vec<u32>,
    at: Vec<u32>,
    /// By rank: the word grew, or a supplier behind a gate fell.
    grown: Vec<u64>,
    asked: Vec<u64>,
}

impl Lanes {
    /// For a view whose nodes are best looked at in this order. Nodes that are not in it are never entered.
    pub(super) fn new(bound: usize, order: Vec<u32>) -> Self {
        let mut ranks = vec![u32::MAX; bound];
        for (rank, node) in order.iter().enumerate() {
            ranks[*node as usize] = rank as u32;
        }
        let words = order.len().div_ceil(64);
        Self {
            fallen: vec![Word::default(); bound],
            touched: Vec::new(),
            ranks,
            at: order,
            grown: vec![0; words],
            asked: vec![0; words],
        }
    }

    /// In which lanes a node is down.
    pub(super) fn fallen(&self, node: u32) -> Word {
        self.fallen[node as usize]
    }

    /// Every node that is down in any lane.
    pub(super) fn touched(&self) -> &[u32] {
        &self.touched
    }

    fn grow(&mut self, node: u32, by: Word) -> bool {
        let rank = self.ranks[node as usize];
        let own = &mut self.fallen[node as usize];
        if rank == u32::MAX || by.without(*own).is_empty() {
            return false;
        }
        if own.is_empty() {
            self.touched.push(node);
        }
        *own = own.with(by);
        self.grown[rank as usize / 64] |= 1 << (rank % 64);
        true
    }

    /// Computes what falls when each node fails in the lanes given with it.
    pub(super) fn fall(&mut self, view: &impl View, seeds: impl Iterator<Item = (u32, Word)>) {
        for node in self.touched.drain(..) {
            self.fallen[node as usize] = Word::default();
        }
        let mut word = usize::MAX;
        for (node, lanes) in seeds {
            if self.grow(node, lanes) {
                word = word.min(self.ranks[node as usize] as usize / 64);
            }
        }
        while word < self.grown.len() {
            let waiting = self.grown[word] | self.asked[word];
            if waiting == 0 {
                word += 1;
                continue;
            }
            let bit = 1_u64 << waiting.trailing_zeros();
            let node = self.at[word * 64 + waiting.trailing_zeros() as usize];
            if self.asked[word] & bit != 0 {
                self.asked[word] &= !bit;
                let through = self.through_gates(view, node);
                self.grow(node, through);
            }
            if self.grown[word] & bit == 0 {
                continue;
            }
            self.grown[word] &= !bit;
            let own = self.fallen[node as usize];
            for link in view.outward(node) {
                let rank = self.ranks[link.node as usize];
                if rank == u32::MAX {
                    continue;
                }
                if link.tag.is_plain() {
                    if !self.grow(link.node, own) {
                        continue;
                    }
                } else if own.without(self.fallen[link.node as usize]).is_empty() {
                    continue;
                } else {
                    self.asked[rank as usize / 64] |= 1 << (rank % 64);
                }
                word = word.min(rank as usize / 64);
            }
        }
    }

    /// In which lanes a gate of the node has fallen.
    fn through_gates(&self, view: &impl View, node: u32) -> Word {
        let mut through = Word::default();
        let mut gates: Vec<Group> = Vec::new();
        for link in view.inward(node).filter(|link| !link.tag.is_plain()) {
            let kind = link.tag.kind();
            let (gate, effect) = view.rule(node, kind);
            if effect == Effect::Degraded {
                continue;
            }
            let weight = match gate {
                Gate::Weighted { .. } => gate.weight(view.id(link.node)),
                _ => 1,
            };
            let lost = self.fallen[link.node as usize];
            match gates.iter_mut().find(|group| group.kind == kind) {
                Some(group) => {
                    group.any = group.any.with(lost);
                    group.all = group.all.both(lost);
                    group.total = group.total.saturating_add(weight);
                }
                None => gates.push(Group { kind, any: lost, all: lost, total: weight }),
            }
        }
        for Group { kind, any, all, total } in gates {
            let (gate, _) = view.rule(node, kind);
            let needed = gate.needed(total);
            let fell = match gate {
                _ if needed == 0 => Word::default(),
                Gate::Weighted { .. } => self.by_weight(view, node, kind, any, total),
                _ if needed == total => any,
                _ if needed == 1 => all,
                _ => self.by_weight(view, node, kind, any, total),
            };
            through = through.with(fell);
        }
        through
    }

    /// Lane by lane, for gates that neither one nor all suppliers decide.
    fn by_weight(&self, view: &impl View, node: u32, kind: u32, any: Word, total: u64) -> Word {
        let (gate, _) = view.rule(node, kind);
        let mut failed = [0_u64; LANES];
        for link in view.inward(node).filter(|link| link.tag.kind() == kind) {
            let weight = match gate {
                Gate::Weighted { .. } => gate.weight(view.id(link.node)),
                _ => 1,
            };
            for lane in self.fallen[link.node as usize].lanes() {
                failed[lane] = failed[lane].saturating_add(weight);
            }
        }
        any.lanes()
            .filter(|lane| gate.falls(failed[*lane], total))
            .fold(Word::default(), |fell, lane| fell.with(Word::lane(lane)))
    }
}

struct Group {
    kind: u32,
    any: Word,
    all: Word,
    total: u64,
}
