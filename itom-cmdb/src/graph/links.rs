//! The hot adjacency: per node a compact run of links inside a shared page.
//!
//! A relation that carries failure is kept as a *pair* of links: one at the supplier (in the store "who feels my
//! failure") and one at the dependent ("what I need"). Each link knows the position of its twin, so that removal at a
//! hub with a million links is as cheap as anywhere else: scan the shorter end, swap-remove at both. Pages are shared
//! between snapshots and copied when first written.

use std::sync::Arc;

/// Nodes in one page. Smaller pages make a first write after a snapshot cheaper, larger ones the snapshot.
const PAGE: usize = 128;

/// One end of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Link {
    /// The node at the other end.
    pub(crate) node: u32,
    /// Kind of relation and flags.
    pub(crate) tag: Tag,
}

/// Kind of relation (the low 29 bits) and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Tag(u32);

impl Tag {
    /// The relation reads dependent → supplier.
    const REVERSED: u32 = 1 << 29;
    /// No failure travels here.
    const SILENT: u32 = 1 << 30;
    /// Failure passes on without any gate.
    const PLAIN: u32 = 1 << 31;
    /// Largest number of kinds.
    pub(crate) const KINDS: u32 = 1 << 29;

    pub(crate) const fn new(kind: u32) -> Self {
        Self(kind)
    }
    pub(crate) const fn reversed(self) -> Self {
        Self(self.0 | Self::REVERSED)
    }
    pub(crate) const fn silent(self) -> Self {
        Self(self.0 | Self::SILENT)
    }
    pub(crate) const fn with_plain(self, plain: Plain) -> Self {
        match plain {
            Plain::Yes => Self(self.0 | Self::PLAIN),
            Plain::No => Self(self.0 & !Self::PLAIN),
        }
    }
    /// The tag without what its gate says.
    pub(crate) const fn relation(self) -> Self {
        self.with_plain(Plain::No)
    }
    pub(crate) const fn kind(self) -> u32 {
        self.0 & (Self::KINDS - 1)
    }
    pub(crate) const fn is_reversed(self) -> bool {
        self.0 & Self::REVERSED != 0
    }
    pub(crate) const fn is_silent(self) -> bool {
        self.0 & Self::SILENT != 0
    }
    pub(crate) const fn is_plain(self) -> bool {
        self.0 & Self::PLAIN != 0
    }
    /// Whether it is the same relation, whatever its gate.
    pub(crate) const fn same_relation(self, other: Self) -> bool {
        self.relation().0 == other.relation().0
    }
}

/// The links of one node.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run<'a> {
    nodes: &'a [u32],
    ends: &'a [End],
}

/// What is kept of a link besides the other end.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    tag: Tag,
    /// Where the twin is.
    twin: u32,
}

impl<'a> Run<'a> {
    pub(crate) const fn len(self) -> usize {
        self.nodes.len()
    }

    #[inline]
    pub(crate) fn iter(self) -> impl Iterator<Item = Link> + 'a {
        self.nodes.iter().zip(self.ends).map(|(node, end)| Link { node: *node, tag: end.tag })
    }

    /// The nodes at the other ends.
    pub(crate) const fn nodes(self) -> &'a [u32] {
        self.nodes
    }

    pub(crate) fn get(self, at: usize) -> Option<Link> {
        Some(Link { node: *self.nodes.get(at)?, tag: self.ends.get(at)?.tag })
    }

    /// Where the link to a node by this relation is.
    pub(crate) fn position(self, node: u32, tag: Tag) -> Option<u32> {
        let same = |(at, other): (usize, &u32)| *other == node && self.ends[at].tag.same_relation(tag);
        self.nodes.iter().enumerate().position(same).map(|at| at as u32)
    }
}

/// Whether failure passes a link without a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    start: u32,
    len: u32,
    cap: u32,
    /// How many of them have a gate.
    gated: u32,
}

/// What a search reads of a slot, eight to a cache line.
#[derive(Debug, Clone, Copy)]
struct Hot {
    start: u32,
    /// The length, and [`Hot::GATED`] when a link has a gate.
    len: u32,
}

impl Hot {
    const GATED: u32 = 1 << 31;

    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..(self.start + (self.len & !Self::GATED)) as usize
    }
}

/// What only a change reads of a slot.
#[derive(Debug, Clone, Copy)]
struct Cold {
    cap: u32,
    gated: u32,
}

#[derive(Debug, Clone)]
struct Page {
    hot: [Hot; PAGE],
    cold: [Cold; PAGE],
    nodes: Vec<u32>,
    ends: Vec<End>,
    /// Entries that belong to no slot any more.
    dead: usize,
}

impl Page {
    const fn new() -> Self {
        Self {
            hot: [Hot { start: 0, len: 0 }; PAGE],
            cold: [Cold { cap: 0, gated: 0 }; PAGE],
            nodes: Vec::new(),
            ends: Vec::new(),
            dead: 0,
        }
    }

    const fn slot(&self, slot: usize) -> Slot {
        let (Hot { start, len }, Cold { cap, gated }) = (self.hot[slot], self.cold[slot]);
        Slot { start, len: len & !Hot::GATED, cap, gated }
    }

    const fn set_slot(&mut self, slot: usize, Slot { start, len, cap, gated }: Slot) {
        self.hot[slot] = Hot { start, len: if gated > 0 { len | Hot::GATED } else { len } };
        self.cold[slot] = Cold { cap, gated };
    }

    /// Makes room for one more entry in a slot by moving it to the end of the page.
    fn grow(&mut self, slot: usize) {
        if self.dead > 64 && self.dead * 2 > self.nodes.len() {
            self.compact();
        }
        let Slot { start, len, cap, gated } = self.slot(slot);
        let wider = (len + (len / 2).max(2)) as usize;
        let at = start as usize..(start + len) as usize;
        let start = if (start + cap) as usize == self.nodes.len() {
            start as usize
        } else {
            let moved = self.nodes.len();
            self.nodes.extend_from_within(at.clone());
            self.ends.extend_from_within(at);
            self.dead += cap as usize;
            moved
        };
        self.nodes.resize(start + wider, 0);
        self.ends.resize(start + wider, End::default());
        self.set_slot(slot, Slot { start: start as u32, len, cap: wider as u32, gated });
    }

    fn compact(&mut self) {
        let live: usize = self.cold.iter().map(|cold| cold.cap as usize).sum();
        let mut nodes = Vec::with_capacity(live);
        let mut ends = Vec::with_capacity(live);
        for number in 0..PAGE {
            let slot = self.slot(number);
            let at = slot.start as usize..(slot.start + slot.cap) as usize;
            self.set_slot(number, Slot { start: nodes.len() as u32, ..slot });
            nodes.extend_from_slice(&self.nodes[at.clone()]);
            ends.extend_from_slice(&self.ends[at]);
        }
        (self.nodes, self.ends, self.dead) = (nodes, ends, 0);
    }
}

/// The links of all nodes in one direction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    pages: Vec<Arc<Page>>,
}

impl Links {
    /// Makes room for nodes below `bound`.
    pub(crate) fn reach(&mut self, bound: usize) {
        if self.pages.len() * PAGE < bound {
            let empty = Arc::new(Page::new());
            self.pages.resize(bound.div_ceil(PAGE), empty);
        }
    }

    /// Lays the nodes out exactly, with room for `lengths[node]` links each, to be filled by [`push`](Self::push).
    pub(crate) fn with_room(lengths: &[u32]) -> Self {
        let pages = lengths
            .chunks(PAGE)
            .map(|chunk| {
                let mut page = Page::new();
                let mut start = 0;
                for (number, cap) in chunk.iter().enumerate() {
                    page.set_slot(number, Slot { start, len: 0, cap: *cap, gated: 0 });
                    start += cap;
                }
                page.nodes = vec![0; start as usize];
                page.ends = vec![End::default(); start as usize];
                Arc::new(page)
            })
            .collect();
        Self { pages }
    }

    /// The links of a node, in no particular order.
    #[inline]
    pub(crate) fn of(&self, node: u32) -> Run<'_> {
        let page = &*self.pages[node as usize / PAGE];
        let at = page.hot[node as usize % PAGE].range();
        Run { nodes: &page.nodes[at.clone()], ends: &page.ends[at] }
    }

    /// The other ends of a node's links when none of them has a gate: all that a plain search reads.
    #[inline]
    pub(crate) fn plain(&self, node: u32) -> Option<&[u32]> {
        let page = &*self.pages[node as usize / PAGE];
        let hot = page.hot[node as usize % PAGE];
        (hot.len & Hot::GATED == 0).then(|| &page.nodes[hot.range()])
    }

    /// Where the twin of a link is, in the run of the node it points to.
    pub(crate) fn twin(&self, node: u32, at: u32) -> u32 {
        let page = &*self.pages[node as usize / PAGE];
        page.ends[(page.hot[node as usize % PAGE].start + at) as usize].twin
    }

    fn page_mut(&mut self, node: u32) -> (&mut Page, usize) {
        (Arc::make_mut(&mut self.pages[node as usize / PAGE]), node as usize % PAGE)
    }

    /// Adds a link and says at which position.
    pub(crate) fn push(&mut self, node: u32, link: Link, twin: u32) -> u32 {
        let (page, slot) = self.page_mut(node);
        if page.slot(slot).len == page.slot(slot).cap {
            page.grow(slot);
        }
        let Slot { start, len, cap, gated } = page.slot(slot);
        page.nodes[(start + len) as usize] = link.node;
        page.ends[(start + len) as usize] = End { tag: link.tag, twin };
        let gated = gated + u32::from(!link.tag.is_plain());
        page.set_slot(slot, Slot { start, len: len + 1, cap, gated });
        len
    }

    /// Removes a link; the last one takes its place. Gives the one that moved, with the position of its twin.
    pub(crate) fn swap_remove(&mut self, node: u32, at: u32) -> Option<(Link, u32)> {
        let (page, slot) = self.page_mut(node);
        let Slot { start, len, cap, gated } = page.slot(slot);
        let (hole, last) = ((start + at) as usize, (start + len - 1) as usize);
        let gated = gated - u32::from(!page.ends[hole].tag.is_plain());
        page.nodes[hole] = page.nodes[last];
        page.ends[hole] = page.ends[last];
        page.set_slot(slot, Slot { start, len: len - 1, cap, gated });
        let End { tag, twin } = page.ends[hole];
        let moved = (hole != last).then(|| (Link { node: page.nodes[hole], tag }, twin));
        if len == 1 {
            page.set_slot(slot, Slot::default());
            page.dead += cap as usize;
        }
        moved
    }

    pub(crate) fn set_twin(&mut self, node: u32, at: u32, twin: u32) {
        let (page, slot) = self.page_mut(node);
        let index = (page.hot[slot].start + at) as usize;
        page.ends[index].twin = twin;
    }

    pub(crate) fn set_tag(&mut self, node: u32, at: u32, tag: Tag) {
        let (page, slot) = self.page_mut(node);
        let index = (page.hot[slot].start + at) as usize;
        let gates = |tag: Tag| u32::from(!tag.is_plain());
        let known = page.slot(slot);
        page.set_slot(slot, Slot { gated: known.gated + gates(tag) - gates(page.ends[index].tag), ..known });
        page.ends[index].tag = tag;
    }
}
