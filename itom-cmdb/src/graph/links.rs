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
    /// Where the slot begins in [`Page::search`].
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

/// Words of [`Page::search`] before the nodes: two for each slot, as [`Hot`] has them.
const HEAD: usize = PAGE * 2;

#[derive(Debug, Clone)]
struct Page {
    /// All that a search reads, in one piece of memory, so that it waits for few of them: where the slots are, then the
    /// nodes at the other ends, then room for more.
    search: Arc<[u32]>,
    rest: Arc<Rest>,
}

#[derive(Debug, Clone)]
struct Rest {
    cold: [Cold; PAGE],
    /// One for each node of [`Page::search`], the room behind them left out.
    ends: Vec<End>,
}

impl Page {
    /// A page without links, with room for so many.
    fn new(room: usize) -> Self {
        let rest = Rest { cold: [Cold { cap: 0, gated: 0 }; PAGE], ends: Vec::with_capacity(room) };
        Self { search: std::iter::repeat_n(0, HEAD + room).collect(), rest: Arc::new(rest) }
    }

    #[inline]
    fn hot(&self, slot: usize) -> Hot {
        Hot { start: self.search[slot * 2], len: self.search[slot * 2 + 1] }
    }

    fn slot(&self, slot: usize) -> Slot {
        let (Hot { start, len }, Cold { cap, gated }) = (self.hot(slot), self.rest.cold[slot]);
        Slot { start, len: len & !Hot::GATED, cap, gated }
    }

    fn write(&mut self) -> Written<'_> {
        Written { search: Arc::make_mut(&mut self.search), rest: Arc::make_mut(&mut self.rest) }
    }

    /// Makes room for one more entry in a slot by moving it behind the others.
    fn grow(&mut self, slot: usize) {
        let Slot { len, .. } = self.slot(slot);
        let wider = len + (len / 2).max(2);
        if HEAD + self.rest.ends.len() + wider as usize > self.search.len() {
            *self = self.rebuilt(wider as usize);
        }
        let Slot { start, len, cap, gated } = self.slot(slot);
        let Written { search, rest } = self.write();
        let behind = HEAD + rest.ends.len();
        let start = if (start + cap) as usize == behind {
            start as usize
        } else {
            let at = start as usize..(start + len) as usize;
            rest.ends.extend_from_within(at.start.saturating_sub(HEAD)..at.end.saturating_sub(HEAD));
            search.copy_within(at, behind);
            behind
        };
        rest.ends.resize(start - HEAD + wider as usize, End::default());
        Written { search, rest }.set_slot(slot, Slot { start: start as u32, len, cap: wider, gated });
    }

    /// The page without entries that belong to no slot any more, with room for `wider` more and some growth.
    fn rebuilt(&self, wider: usize) -> Self {
        let live: usize = self.rest.cold.iter().map(|cold| cold.cap as usize).sum();
        let mut page = Self::new(live + wider + live / 4);
        let Written { search, rest } = page.write();
        for number in 0..PAGE {
            let slot = self.slot(number);
            let start = HEAD + rest.ends.len();
            if slot.cap > 0 {
                let at = slot.start as usize..(slot.start + slot.cap) as usize;
                rest.ends.extend_from_slice(&self.rest.ends[at.start - HEAD..at.end - HEAD]);
                search[start..start + slot.cap as usize].copy_from_slice(&self.search[at]);
            }
            Written { search, rest }.set_slot(number, Slot { start: start as u32, ..slot });
        }
        page
    }
}

/// A page that is written to, shared with nobody.
struct Written<'a> {
    search: &'a mut [u32],
    rest: &'a mut Rest,
}

impl Written<'_> {
    fn set_slot(&mut self, slot: usize, Slot { start, len, cap, gated }: Slot) {
        self.search[slot * 2] = start;
        self.search[slot * 2 + 1] = if gated > 0 { len | Hot::GATED } else { len };
        self.rest.cold[slot] = Cold { cap, gated };
    }

    fn slot(&self, slot: usize) -> Slot {
        let Cold { cap, gated } = self.rest.cold[slot];
        Slot { start: self.search[slot * 2], len: self.search[slot * 2 + 1] & !Hot::GATED, cap, gated }
    }

    const fn end_mut(&mut self, at: usize) -> &mut End {
        &mut self.rest.ends.as_mut_slice()[at - HEAD]
    }
}

/// The links of all nodes in one direction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    pages: Vec<Page>,
}

impl Links {
    /// Makes room for nodes below `bound`.
    pub(crate) fn reach(&mut self, bound: usize) {
        if self.pages.len() * PAGE < bound {
            self.pages.resize(bound.div_ceil(PAGE), Page::new(0));
        }
    }

    /// Lays the nodes out exactly, with room for `lengths[node]` links each, to be filled by [`push`](Self::push).
    pub(crate) fn with_room(lengths: &[u32]) -> Self {
        let pages = lengths
            .chunks(PAGE)
            .map(|chunk| {
                let room = chunk.iter().map(|cap| *cap as usize).sum();
                let mut page = Page::new(room);
                let mut written = page.write();
                let mut start = HEAD as u32;
                for (number, cap) in chunk.iter().enumerate() {
                    written.set_slot(number, Slot { start, len: 0, cap: *cap, gated: 0 });
                    start += cap;
                }
                written.rest.ends.resize(room, End::default());
                page
            })
            .collect();
        Self { pages }
    }

    /// The links of a node, in no particular order.
    #[inline]
    pub(crate) fn of(&self, node: u32) -> Run<'_> {
        let page = &self.pages[node as usize / PAGE];
        let at = page.hot(node as usize % PAGE).range();
        if at.is_empty() {
            return Run::default();
        }
        Run { nodes: &page.search[at.clone()], ends: &page.rest.ends[at.start - HEAD..at.end - HEAD] }
    }

    /// The other ends of a node's links when none of them has a gate: all that a plain search reads.
    #[inline]
    pub(crate) fn plain(&self, node: u32) -> Option<&[u32]> {
        let page = &self.pages[node as usize / PAGE];
        let hot = page.hot(node as usize % PAGE);
        (hot.len & Hot::GATED == 0).then(|| &page.search[hot.range()])
    }

    /// Where the twin of a link is, in the run of the node it points to.
    pub(crate) fn twin(&self, node: u32, at: u32) -> u32 {
        let page = &self.pages[node as usize / PAGE];
        page.rest.ends[(page.hot(node as usize % PAGE).start + at) as usize - HEAD].twin
    }

    fn page_mut(&mut self, node: u32) -> (&mut Page, usize) {
        (&mut self.pages[node as usize / PAGE], node as usize % PAGE)
    }

    /// Adds a link and says at which position.
    pub(crate) fn push(&mut self, node: u32, link: Link, twin: u32) -> u32 {
        let (page, slot) = self.page_mut(node);
        let Slot { len, cap, .. } = page.slot(slot);
        if len == cap {
            page.grow(slot);
        }
        let mut page = page.write();
        let Slot { start, len, cap, gated } = page.slot(slot);
        let at = (start + len) as usize;
        page.search[at] = link.node;
        *page.end_mut(at) = End { tag: link.tag, twin };
        let gated = gated + u32::from(!link.tag.is_plain());
        page.set_slot(slot, Slot { start, len: len + 1, cap, gated });
        len
    }

    /// Removes a link; the last one takes its place. Gives the one that moved, with the position of its twin.
    pub(crate) fn swap_remove(&mut self, node: u32, at: u32) -> Option<(Link, u32)> {
        let (page, slot) = self.page_mut(node);
        let mut page = page.write();
        let Slot { start, len, cap, gated } = page.slot(slot);
        let (hole, last) = ((start + at) as usize, (start + len - 1) as usize);
        let gated = gated - u32::from(!page.end_mut(hole).tag.is_plain());
        page.search[hole] = page.search[last];
        *page.end_mut(hole) = *page.end_mut(last);
        let left = Slot { start, len: len - 1, cap, gated };
        page.set_slot(slot, if len == 1 { Slot::default() } else { left });
        let End { tag, twin } = *page.end_mut(hole);
        (hole != last).then(|| (Link { node: page.search[hole], tag }, twin))
    }

    pub(crate) fn set_twin(&mut self, node: u32, at: u32, twin: u32) {
        let (page, slot) = self.page_mut(node);
        let index = (page.hot(slot).start + at) as usize - HEAD;
        Arc::make_mut(&mut page.rest).ends[index].twin = twin;
    }

    pub(crate) fn set_tag(&mut self, node: u32, at: u32, tag: Tag) {
        let (page, slot) = self.page_mut(node);
        let mut page = page.write();
        let known = page.slot(slot);
        let gates = |tag: Tag| u32::from(!tag.is_plain());
        let end = page.end_mut((known.start + at) as usize);
        let gated = known.gated + gates(tag) - gates(end.tag);
        end.tag = tag;
        page.set_slot(slot, Slot { gated, ..known });
    }
}
