//! What each item fells alone, for all items at once: dependents first, each from what its dependents fell.
//!
//! What an item fells is itself, what its plain dependents fell, and what falls through gates because all of that fell
//! *together*. A gate can fall newly only where two of those parts meet, so each part is kept with the gates it has taken
//! something from. The parts are sparse bit sets over slots; dependency order keeps them short. A set that grows beyond
//! its limits is not kept: that item, and all that stand below it, are left to [`Lanes`](super::lanes::Lanes).

use super::snapshot::Snapshot;

const BITS: u32 = u32::BITS;

/// How much may be spent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Words of one set.
    pub(super) words: usize,
    /// Items looked at for one set beyond those whose own sets are kept.
    pub(super) steps: usize,
    /// Words of all sets kept at one time.
    pub(super) kept: usize,
}

impl Limits {
    /// Memory of the order of the graph's own.
    pub(super) const fn for_nodes(nodes: usize) -> Self {
        Self { words: 4096, steps: 4096, kept: (1 << 20) + 16 * nodes }
    }
}

/// One word of a set: slots of items that are down, and slots of gates that have lost something and stand.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    at: u32,
    down: u32,
    touched: u32,
}

#[derive(Debug, Clone, Default)]
enum Kept {
    /// Not computed yet, or no longer kept: to be walked through.
    #[default]
    No,
    Set(Box<[Entry]>),
    /// Too large.
    GivenUp,
}

/// The set that is being computed: entries by word, and which of them are in use.
#[derive(Debug, Default)]
struct Desk {
    words: Vec<Entry>,
    /// Gates touched from two sides.
    doubtful: Vec<u32>,
    in_use: Vec<u32>,
    in_doubt: Vec<u32>,
}

impl Desk {
    fn with_slots(slots: usize) -> Self {
        let words = slots.div_ceil(BITS as usize);
        Self { words: vec![Entry::default(); words], doubtful: vec![0; words], ..Self::default() }
    }

    #[inline]
    fn add(&mut self, Entry { at, down, touched }: Entry) {
        let word = &mut self.words[at as usize];
        if word.down | word.touched == 0 {
            self.in_use.push(at);
        }
        let twice = word.touched & touched;
        word.down |= down;
        word.touched |= touched;
        if twice != 0 {
            let doubtful = &mut self.doubtful[at as usize];
            if *doubtful == 0 {
                self.in_doubt.push(at);
            }
            *doubtful |= twice;
        }
    }

    #[inline]
    fn is_down(&self, slot: u32) -> bool {
        self.words[(slot / BITS) as usize].down & (1 << (slot % BITS)) != 0
    }

    /// A gate to look at: touched from two sides and not known to have fallen.
    fn doubt(&mut self) -> Option<u32> {
        loop {
            let at = *self.in_doubt.last()?;
            let doubtful = &mut self.doubtful[at as usize];
            *doubtful &= !self.words[at as usize].down;
            if *doubtful == 0 {
                self.in_doubt.pop();
                continue;
            }
            let bit = doubtful.trailing_zeros();
            *doubtful &= *doubtful - 1;
            return Some(at * BITS + bit);
        }
    }

    fn clear(&mut self) {
        for at in self.in_use.drain(..) {
            self.words[at as usize] = Entry::default();
        }
        for at in self.in_doubt.drain(..) {
            self.doubtful[at as usize] = 0;
        }
    }
}

/// What one item fells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fell<'a>(&'a Desk);

impl Fell<'_> {
    /// Words of slots with their places, in no particular order.
    pub(super) fn words(self) -> impl Iterator<Item = (u32, u32)> {
        self.0.in_use.iter().map(|at| (*at, self.0.words[*at as usize].down))
    }
}

/// Computes the sets.
#[derive(Debug)]
pub(super) struct Felling<'a> {
    snapshot: &'a Snapshot,
    limits: Limits,
    sets: Vec<Kept>,
    /// Suppliers that have not been looked at.
    waiting: Vec<u32>,
    kept: usize,
    desk: Desk,
    /// By node: for which item it was last walked through.
    seen: Vec<u32>,
    stack: Vec<u32>,
}

impl<'a> Felling<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, limits: Limits) -> Self {
        let mut waiting = vec![0_u32; snapshot.len()];
        for node in 0..snapshot.len() as u32 {
            snapshot.plain(node).iter().for_each(|dependent| waiting[*dependent as usize] += 1);
        }
        Self {
            snapshot,
            limits,
            sets: vec![Kept::No; snapshot.len()],
            waiting,
            kept: 0,
            desk: Desk::with_slots(snapshot.slot_count()),
            seen: vec![u32::MAX; snapshot.len()],
            stack: Vec::new(),
        }
    }

    /// Gives `each` every item with what it fells, itself included. Gives back the items whose sets are too large.
    pub(super) fn run(mut self, mut each: impl FnMut(u32, Fell<'_>)) -> Vec<u32> {
        let mut left = Vec::new();
        for node in (0..self.snapshot.len() as u32).rev() {
            let complete = self.fell(node);
            if complete {
                each(node, Fell(&self.desk));
            } else {
                left.push(node);
            }
            self.keep(node, complete);
            self.desk.clear();
            for dependent in self.snapshot.plain(node) {
                let waiting = &mut self.waiting[*dependent as usize];
                *waiting -= 1;
                if *waiting == 0 {
                    self.release(*dependent);
                }
            }
        }
        left
    }

    /// Whether the slots of a node stand for gates: then anything below it may need its set again.
    fn has_gates(&self, node: u32) -> bool {
        self.snapshot.slots(node).any(|slot| self.snapshot.gate(slot).is_gate())
    }

    fn release(&mut self, node: u32) {
        if self.has_gates(node) {
            return;
        }
        if let Kept::Set(set) = &mut self.sets[node as usize] {
            self.kept -= set.len();
            self.sets[node as usize] = Kept::No;
        }
    }

    fn keep(&mut self, node: u32, complete: bool) {
        if self.waiting[node as usize] == 0 && !self.has_gates(node) {
            return;
        }
        let desk = &self.desk;
        if !complete || self.kept + desk.in_use.len() > self.limits.kept {
            self.sets[node as usize] = Kept::GivenUp;
            return;
        }
        let words = desk.in_use.iter().map(|at| {
            let Entry { down, touched, .. } = desk.words[*at as usize];
            Entry { at: *at, down, touched: touched & !down }
        });
        let set: Box<[Entry]> = words.collect();
        self.kept += set.len();
        self.sets[node as usize] = Kept::Set(set);
    }

    /// Lays out on the desk what an item fells; whether it came to an end within the limits.
    fn fell(&mut self, item: u32) -> bool {
        let snapshot = self.snapshot;
        let mut steps = 0;
        self.stack.clear();
        self.stack.push(item);
        loop {
            while let Some(node) = self.stack.pop() {
                if self.seen[node as usize] == item {
                    continue;
                }
                self.seen[node as usize] = item;
                match &self.sets[node as usize] {
                    Kept::GivenUp => return false,
                    Kept::Set(set) => set.iter().for_each(|entry| self.desk.add(*entry)),
                    Kept::No => {
                        steps += 1;
                        if steps > self.limits.steps {
                            return false;
                        }
                        let bit = |slot: u32| 1 << (slot % BITS);
                        for slot in snapshot.slots(node) {
                            self.desk.add(Entry { at: slot / BITS, down: bit(slot), touched: 0 });
                        }
                        for slot in snapshot.gated(node) {
                            self.desk.add(Entry { at: slot / BITS, down: 0, touched: bit(*slot) });
                        }
                        for dependent in snapshot.plain(node).iter().rev() {
                            let slots = snapshot.slots(*dependent);
                            if slots.is_empty() || !self.desk.is_down(slots.start) {
                                self.stack.push(*dependent);
                            }
                        }
                    }
                }
                if self.desk.in_use.len() > self.limits.words {
                    return false;
                }
            }
            let Some(slot) = self.desk.doubt() else { return true };
            let gate = snapshot.gate(slot);
            let lost = snapshot
                .suppliers(gate)
                .iter()
                .filter(|(supplier, _)| self.desk.is_down(snapshot.slots(*supplier).start))
                .map(|(_, weight)| *weight)
                .fold(0, u64::saturating_add);
            if gate.falls(lost) {
                self.stack.push(gate.dependent);
            }
        }
    }
}
