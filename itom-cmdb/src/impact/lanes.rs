//! Many questions at once: one bit for each.
//!
//! Every lane is a failure of its own. A node holds one bit a lane, links without a gate are an *or* of words, redundant
//! suppliers an *and*; one pass in order of dependency answers all lanes. Lanes that share much of what they bring down
//! share nearly all of the work.

use super::snapshot::{Snapshot, Tolerant};

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
    fn one(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] ^ other.0[at]))
    }
    fn without(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & !other.0[at]))
    }
    /// The lanes whose bit is set.
    fn lanes(self) -> impl Iterator<Item = usize> {
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

/// How often each lane was set, counted in all lanes at once: one word for each binary digit.
#[derive(Debug, Default)]
pub(super) struct LaneCounts(Vec<Word>);

impl LaneCounts {
    pub(super) fn add(&mut self, word: Word) {
        let mut carry = word;
        for digit in &mut self.0 {
            if carry.is_empty() {
                return;
            }
            (*digit, carry) = (digit.one(carry), digit.both(carry));
        }
        if !carry.is_empty() {
            self.0.push(carry);
        }
    }

    pub(super) fn of(&self, lane: usize) -> usize {
        self.0.iter().enumerate().map(|(digit, word)| usize::from(word.has(lane)) << digit).sum()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The state of all lanes.
#[derive(Debug)]
pub(super) struct Lanes<'a> {
    snapshot: &'a Snapshot,
    fallen: Vec<Word>,
    touched: Vec<u32>,
    /// By node: its word grew, or a supplier behind one of its gates fell.
    grown: Vec<u64>,
    asked: Vec<u64>,
}

impl<'a> Lanes<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let words = snapshot.len().div_ceil(64);
        Self {
            snapshot,
            fallen: vec![Word::default(); snapshot.len()],
            touched: Vec::new(),
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

    #[inline]
    fn grow(&mut self, node: u32, by: Word) -> bool {
        let own = &mut self.fallen[node as usize];
        if by.without(*own).is_empty() {
            return false;
        }
        if own.is_empty() {
            self.touched.push(node);
        }
        *own = own.with(by);
        self.grown[node as usize / 64] |= 1 << (node % 64);
        true
    }

    /// Computes what falls when each node fails in the lanes given with it.
    pub(super) fn fall(&mut self, seeds: impl Iterator<Item = (u32, Word)>) {
        for node in self.touched.drain(..) {
            self.fallen[node as usize] = Word::default();
        }
        let mut word = usize::MAX;
        for (node, lanes) in seeds {
            if self.grow(node, lanes) {
                word = word.min(node as usize / 64);
            }
        }
        let snapshot = self.snapshot;
        while word < self.grown.len() {
            let waiting = self.grown[word] | self.asked[word];
            if waiting == 0 {
                word += 1;
                continue;
            }
            let bit = 1_u64 << waiting.trailing_zeros();
            let node = word as u32 * 64 + waiting.trailing_zeros();
            if self.asked[word] & bit != 0 {
                self.asked[word] &= !bit;
                for slot in snapshot.slots(node) {
                    let through = self.through(snapshot.gate(slot));
                    self.grow(node, through);
                }
            }
            if self.grown[word] & bit == 0 {
                continue;
            }
            self.grown[word] &= !bit;
            let own = self.fallen[node as usize];
            for dependent in snapshot.plain(node) {
                if self.grow(*dependent, own) {
                    word = word.min(*dependent as usize / 64);
                }
            }
            for slot in snapshot.gated(node) {
                let dependent = snapshot.gate(*slot).dependent as usize;
                if !own.without(self.fallen[dependent]).is_empty() {
                    self.asked[dependent / 64] |= 1 << (dependent % 64);
                    word = word.min(dependent / 64);
                }
            }
        }
    }

    /// In which lanes a gate has fallen.
    fn through(&self, gate: &Tolerant) -> Word {
        let suppliers = self.snapshot.suppliers(gate);
        if gate.takes_all() {
            let each = suppliers.iter().map(|(supplier, _)| self.fallen[*supplier as usize]);
            return each.reduce(Word::both).unwrap_or_default();
        }
        let (mut lost, mut any) = ([0_u64; LANES], Word::default());
        for (supplier, weight) in suppliers {
            let fallen = self.fallen[*supplier as usize];
            any = any.with(fallen);
            fallen.lanes().for_each(|lane| lost[lane] = lost[lane].saturating_add(*weight));
        }
        any.lanes()
            .filter(|lane| gate.falls(lost[*lane]))
            .fold(Word::default(), |fell, lane| fell.with(Word::lane(lane)))
    }
}
