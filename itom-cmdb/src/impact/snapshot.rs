//! The part of a graph that a question about many failures looks at, packed in order of dependency.
//!
//! Nodes are numbered suppliers first, as far as circles let them, so that what belongs together lies together. Whatever
//! one supplier decides alone is a plain link, whatever its gate was called; only gates that need several losses are left
//! as gates, each with a *slot*.

use super::marks::Marks;
use crate::graph::{Effect, Gate, View};

/// A gate that no single supplier decides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tolerant {
    /// Who falls with it.
    pub(super) dependent: u32,
    /// Weight that may be lost.
    tolerance: u64,
    /// Whether it takes the loss of every supplier.
    all: bool,
    first: u32,
    last: u32,
}

/// See the [module](self). All node numbers are those of the snapshot.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// The nodes of the view.
    nodes: Vec<u32>,
    plain: Rows,
    gated: Rows,
    /// First slot of each node.
    slots: Vec<u32>,
    /// By slot. A slot without suppliers only stands for its node.
    gates: Vec<Tolerant>,
    /// Of all gates: the supplier and its weight.
    suppliers: Vec<(u32, u64)>,
}

/// Compressed rows.
#[derive(Debug, Default)]
struct Rows {
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl Rows {
    fn of(len: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0_u32; len + 2];
        for (from, _) in pairs {
            starts[*from as usize + 2] += 1;
        }
        for at in 2..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut ends = vec![0_u32; pairs.len()];
        for (from, to) in pairs {
            let at = &mut starts[*from as usize + 1];
            ends[*at as usize] = *to;
            *at += 1;
        }
        starts.pop();
        Self { starts, ends }
    }

    #[inline]
    fn of_node(&self, node: u32) -> &[u32] {
        &self.ends[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }
}

impl Snapshot {
    /// All that these nodes need. `shown` are nodes that get a slot in any case.
    pub(super) fn of(view: &impl View, roots: &[u32], shown: &Marks) -> Self {
        let nodes = suppliers_first(view, roots);
        let mut numbers = vec![u32::MAX; view.bound()];
        for (number, node) in nodes.iter().enumerate() {
            numbers[*node as usize] = number as u32;
        }
        let mut snapshot = Self::default();
        let (mut plain, mut gated) = (Vec::with_capacity(nodes.len() * 4), Vec::new());
        // Gates by dependent; their slots are known once it is known which suppliers have one.
        let mut tolerant: Vec<Tolerant> = Vec::new();
        let mut own: Vec<(u32, u32, u64)> = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let dependent = number as u32;
            own.clear();
            for link in view.inward(*node) {
                let supplier = numbers[link.node as usize];
                if link.tag.is_plain() {
                    plain.push((supplier, dependent));
                } else {
                    own.push((link.tag.kind(), supplier, 1));
                }
            }
            own.sort_unstable();
            for group in own.chunk_by_mut(|(a, ..), (b, ..)| a == b) {
                let (gate, effect) = view.rule(*node, group[0].0);
                if effect == Effect::Degraded {
                    continue;
                }
                if let Gate::Weighted { .. } = gate {
                    group.iter_mut().for_each(|(_, supplier, weight)| {
                        *weight = gate.weight(view.id(nodes[*supplier as usize]));
                    });
                }
                let total = group.iter().map(|own| own.2).fold(0, u64::saturating_add);
                let needed = gate.needed(total);
                if needed > 0 {
                    let alone = snapshot.close(dependent, group, total - needed, &mut tolerant);
                    plain.extend(alone);
                }
            }
        }
        for gate in &tolerant {
            let suppliers = &snapshot.suppliers[gate.first as usize..gate.last as usize];
            gated.extend(suppliers.iter().map(|(supplier, _)| (*supplier, gate.dependent)));
        }
        snapshot.plain = Rows::of(nodes.len(), &plain);
        drop(plain);
        let counts_for = Rows::of(nodes.len(), &gated);
        let mut tolerant = tolerant.into_iter().peekable();
        for (number, node) in nodes.iter().enumerate() {
            snapshot.slots.push(snapshot.gates.len() as u32);
            let number = number as u32;
            while let Some(gate) = tolerant.next_if(|gate| gate.dependent == number) {
                snapshot.gates.push(gate);
            }
            let has_own = snapshot.slots.last().is_some_and(|first| *first < snapshot.gates.len() as u32);
            if !has_own && (shown.has(*node) || !counts_for.of_node(number).is_empty()) {
                snapshot.gates.push(Tolerant { dependent: number, ..Tolerant::default() });
            }
        }
        snapshot.slots.push(snapshot.gates.len() as u32);
        gated.clear();
        for (slot, gate) in snapshot.gates.iter().enumerate() {
            let suppliers = &snapshot.suppliers[gate.first as usize..gate.last as usize];
            gated.extend(suppliers.iter().map(|(supplier, _)| (*supplier, slot as u32)));
        }
        snapshot.gated = Rows::of(nodes.len(), &gated);
        snapshot.nodes = nodes;
        snapshot
    }

    /// Adds one gate, and gives the links of suppliers that decide it alone.
    fn close(
        &mut self,
        dependent: u32,
        group: &[(u32, u32, u64)],
        tolerance: u64,
        gates: &mut Vec<Tolerant>,
    ) -> impl Iterator<Item = (u32, u32)> {
        let first = self.suppliers.len();
        let mut alone = Vec::new();
        // Where each needs the other, one supplier may be there twice.
        for supplier in group.chunk_by(|(_, a, _), (_, b, _)| a == b) {
            let weight = supplier.iter().map(|(.., weight)| *weight).fold(0, u64::saturating_add);
            if weight > tolerance {
                alone.push((supplier[0].1, dependent));
            } else if weight > 0 {
                self.suppliers.push((supplier[0].1, weight));
            }
        }
        let others = &self.suppliers[first..];
        let sum: u128 = others.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let least = others.iter().map(|(_, weight)| *weight).min().unwrap_or(0);
        if sum > u128::from(tolerance) {
            let all = sum - u128::from(least) <= u128::from(tolerance);
            let (first, last) = (first as u32, self.suppliers.len() as u32);
            gates.push(Tolerant { dependent, tolerance, all, first, last });
        } else {
            self.suppliers.truncate(first);
        }
        alone.into_iter()
    }

    pub(super) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How many slots there are.
    pub(super) const fn slot_count(&self) -> usize {
        self.gates.len()
    }

    /// The nodes of the view, by number.
    pub(super) fn nodes(&self) -> &[u32] {
        &self.nodes
    }

    /// Who falls with a node alone.
    #[inline]
    pub(super) fn plain(&self, node: u32) -> &[u32] {
        self.plain.of_node(node)
    }

    /// The gates that a node counts for, by slot.
    #[inline]
    pub(super) fn gated(&self, node: u32) -> &[u32] {
        self.gated.of_node(node)
    }

    /// The slots of a node: its gates, or one that stands for it, or none.
    #[inline]
    pub(super) fn slots(&self, node: u32) -> std::ops::Range<u32> {
        self.slots[node as usize]..self.slots[node as usize + 1]
    }

    #[inline]
    pub(super) fn gate(&self, slot: u32) -> &Tolerant {
        &self.gates[slot as usize]
    }

    pub(super) fn suppliers(&self, gate: &Tolerant) -> &[(u32, u64)] {
        &self.suppliers[gate.first as usize..gate.last as usize]
    }
}

impl Tolerant {
    /// Whether the loss of this weight is too much.
    pub(super) const fn falls(&self, lost: u64) -> bool {
        lost > self.tolerance
    }

    /// Whether it takes the loss of every supplier.
    pub(super) const fn takes_all(&self) -> bool {
        self.all
    }

    pub(super) const fn is_gate(&self) -> bool {
        self.first < self.last
    }
}

/// All that these nodes need and they themselves, each after all it needs as far as circles let them. It starts from
/// those that nothing else needs, so that what serves one of them lies together.
fn suppliers_first(view: &impl View, roots: &[u32]) -> Vec<u32> {
    let (mut needed, mut used) = (Marks::default(), Marks::default());
    needed.fit(view.bound());
    used.fit(view.bound());
    let mut stack: Vec<u32> = roots.iter().copied().filter(|root| needed.set(*root)).collect();
    let starts = stack.clone();
    let mut count = 0;
    while let Some(node) = stack.pop() {
        count += 1;
        for link in view.inward(node) {
            used.set(link.node);
            if needed.set(link.node) {
                stack.push(link.node);
            }
        }
    }
    let mut order = Vec::with_capacity(count);
    let (tops, others): (Vec<u32>, Vec<u32>) = starts.into_iter().partition(|root| !used.has(*root));
    let mut path = Vec::new();
    for root in tops.into_iter().chain(others) {
        if !needed.has(root) {
            continue;
        }
        needed.unset(root);
        path.push((root, view.inward(root)));
        while let Some((node, links)) = path.last_mut() {
            match links.next() {
                Some(link) if needed.has(link.node) => {
                    needed.unset(link.node);
                    path.push((link.node, view.inward(link.node)));
                }
                Some(_) => {}
                None => {
                    order.push(*node);
                    path.pop();
                }
            }
        }
    }
    order
}
