//! A set of nodes that is cheap to fill and to empty.

/// One bit a node; emptied by naming what was set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks(Vec<u64>);

impl Marks {
    /// Makes room for nodes below `bound`.
    pub(crate) fn fit(&mut self, bound: usize) {
        let words = bound.div_ceil(64);
        if self.0.len() < words {
            self.0.resize(words, 0);
        }
    }

    /// Sets a mark; whether it was not set before.
    #[inline]
    pub(crate) fn set(&mut self, node: u32) -> bool {
        let (word, bit) = (&mut self.0[node as usize / 64], 1_u64 << (node % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    #[inline]
    pub(crate) fn has(&self, node: u32) -> bool {
        self.0[node as usize / 64] & (1 << (node % 64)) != 0
    }

    pub(crate) fn unset(&mut self, node: u32) {
        self.0[node as usize / 64] &= !(1 << (node % 64));
    }

    /// Takes these marks away, with whatever shares their words.
    pub(crate) fn clear(&mut self, nodes: impl Iterator<Item = u32>) {
        nodes.for_each(|node| self.0[node as usize / 64] = 0);
    }
}
