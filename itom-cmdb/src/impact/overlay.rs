//! What if: a graph seen through changes that have not been made.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use itom_core::{CiId, RelationKind};

use super::{Impact, ImpactOptions, ImpactScratch, answer, blame, points};
use crate::graph::{
    Effect, Flow, Gate, GraphError, Link, Plain, RelationGraph, RelationSpec, Run, Tag, View, Way, closure,
    pairs,
};

/// One change to try.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GraphChange {
    /// There is another item. (Nothing when it is there.)
    AddCi(CiId),
    /// An item is taken away with its relations. (Nothing when it is not there.)
    RemoveCi(CiId),
    /// Two items are related. (Nothing when they are.)
    Relate {
        /// The kind of relation.
        kind: RelationKind,
        /// Where it starts.
        from: CiId,
        /// Where it ends.
        to: CiId,
    },
    /// Two items are no longer related. (Nothing when they are not.)
    Unrelate {
        /// The kind of relation.
        kind: RelationKind,
        /// Where it starts.
        from: CiId,
        /// Where it ends.
        to: CiId,
    },
    /// An item has another gate for a kind of relation.
    SetGate {
        /// The item.
        ci: CiId,
        /// The kind of relation.
        kind: RelationKind,
        /// The gate.
        gate: Gate,
    },
}

#[derive(Debug, Clone, Default)]
struct Delta {
    removed: BTreeSet<(u32, Tag)>,
    added: Vec<Link>,
}

/// A graph as it would be after some changes.
///
/// ```
/// use std::collections::BTreeSet;
/// use itom_cmdb::graph::{Gate, RelationGraph, RelationModel};
/// use itom_cmdb::impact::GraphChange;
/// use itom_core::{CiId, kind, relation};
///
/// let [web, a, b] = ["web", "a", "b"].map(|name| CiId::derive(&[name]));
/// let mut graph = RelationGraph::new(RelationModel::default());
/// for ci in [web, a] {
///     graph.upsert_ci(ci, kind::SERVICE, "x")?;
/// }
/// graph.relate(relation::DEPENDS_ON, web, a)?;
/// assert_eq!(graph.single_points_of_failure(web), [a]);
///
/// let redundant = graph.simulate(&[
///     GraphChange::AddCi(b),
///     GraphChange::Relate { kind: relation::DEPENDS_ON, from: web, to: b },
///     GraphChange::SetGate { ci: web, kind: relation::DEPENDS_ON, gate: Gate::Any },
/// ])?;
/// assert!(redundant.single_points_of_failure(web).is_empty());
/// assert_eq!(graph.single_points_of_failure(web), [a], "the graph itself did not change");
/// # Ok::<(), itom_cmdb::graph::GraphError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Overlay<'graph> {
    base: &'graph RelationGraph,
    /// Items added, as nodes from the base's bound on.
    added: Vec<CiId>,
    numbers: BTreeMap<CiId, u32>,
    /// Looked up, never iterated, as the two maps below.
    removed: HashSet<u32>,
    outward: HashMap<u32, Delta>,
    inward: HashMap<u32, Delta>,
    gates: BTreeMap<(u32, u32), Gate>,
    /// Kinds the base has not met, as numbers from the base's bound on.
    kinds: Vec<(RelationKind, RelationSpec)>,
}

impl<'graph> Overlay<'graph> {
    pub(super) fn new(base: &'graph RelationGraph, changes: &[GraphChange]) -> Result<Self, GraphError> {
        let mut overlay = Self {
            base,
            added: Vec::new(),
            numbers: BTreeMap::new(),
            removed: HashSet::new(),
            outward: HashMap::new(),
            inward: HashMap::new(),
            gates: BTreeMap::new(),
            kinds: Vec::new(),
        };
        changes.iter().try_for_each(|change| overlay.apply(change))?;
        Ok(overlay)
    }

    /// What a failure would do.
    pub fn impact(&self, failed: &BTreeSet<CiId>) -> Impact {
        self.impact_with(failed, &ImpactOptions::default(), &mut ImpactScratch::default())
    }

    /// As [`impact`](Self::impact), within limits and with memory that is used again.
    pub fn impact_with(
        &self,
        failed: &BTreeSet<CiId>,
        options: &ImpactOptions,
        scratch: &mut ImpactScratch,
    ) -> Impact {
        answer::impact(self, failed, options, scratch)
    }

    /// Every item whose failure alone would bring `service` down, nearest first, then by id.
    #[must_use]
    pub fn single_points_of_failure(&self, service: CiId) -> Vec<CiId> {
        points::single_points_of_failure(self, service)
    }

    /// Which of the failed items would bring `ci` down.
    #[must_use]
    pub fn brought_down_by(&self, ci: CiId, failed: &BTreeSet<CiId>) -> Vec<CiId> {
        blame::brought_down_by(self, ci, failed)
    }

    /// What `ci` would need, nearest first, then by id.
    #[must_use]
    pub fn depends_on(&self, ci: CiId) -> Vec<CiId> {
        closure(self, ci, Way::Inward)
    }

    /// What would need `ci`, nearest first, then by id.
    #[must_use]
    pub fn dependents(&self, ci: CiId) -> Vec<CiId> {
        closure(self, ci, Way::Outward)
    }

    fn apply(&mut self, change: &GraphChange) -> Result<(), GraphError> {
        match change {
            GraphChange::AddCi(ci) => self.add_ci(*ci),
            GraphChange::RemoveCi(ci) => {
                self.remove_ci(*ci);
                Ok(())
            }
            GraphChange::Relate { kind, from, to } => {
                let (from, to) = (self.known("relate", *from)?, self.known("relate", *to)?);
                let number = self.number(kind);
                for (supplier, dependent, tag) in
                    pairs(self.spec(number), number, from, to).into_iter().flatten()
                {
                    if !self.has(supplier, dependent, tag) {
                        self.link(supplier, dependent, tag);
                    }
                }
                Ok(())
            }
            GraphChange::Unrelate { kind, from, to } => {
                let (Some(from), Some(to)) = (self.node(*from), self.node(*to)) else { return Ok(()) };
                let number = self.number(kind);
                for (supplier, dependent, tag) in
                    pairs(self.spec(number), number, from, to).into_iter().flatten()
                {
                    self.unlink(supplier, dependent, tag);
                }
                Ok(())
            }
            GraphChange::SetGate { ci, kind, gate } => {
                let node = self.known("set a gate", *ci)?;
                let number = self.number(kind);
                if self.spec(number).flow == Flow::None {
                    return Err(GraphError::NoFlow { ci: *ci, kind: kind.clone() });
                }
                self.gates.insert((node, number), gate.clone());
                let links: Vec<Link> = self.inward(node).filter(|link| link.tag.kind() == number).collect();
                for link in links {
                    self.unlink(link.node, node, link.tag);
                    self.link(link.node, node, link.tag);
                }
                Ok(())
            }
        }
    }

    fn add_ci(&mut self, ci: CiId) -> Result<(), GraphError> {
        if self.node(ci).is_some() {
            return Ok(());
        }
        let number = u32::try_from(self.bound())
            .map_err(|_| GraphError::Full { what: "configuration items", limit: u64::from(u32::MAX) })?;
        self.added.push(ci);
        self.numbers.insert(ci, number);
        Ok(())
    }

    fn remove_ci(&mut self, ci: CiId) {
        let Some(node) = self.node(ci) else { return };
        let (outward, inward): (Vec<Link>, Vec<Link>) =
            (self.outward(node).collect(), self.inward(node).collect());
        outward.into_iter().for_each(|link| self.unlink(node, link.node, link.tag));
        inward.into_iter().for_each(|link| self.unlink(link.node, node, link.tag));
        self.numbers.remove(&ci);
        self.removed.insert(node);
    }

    fn known(&self, doing: &'static str, ci: CiId) -> Result<u32, GraphError> {
        self.node(ci).ok_or(GraphError::UnknownCi { doing, ci })
    }

    fn number(&mut self, kind: &RelationKind) -> u32 {
        if let Some(number) = self.base.kind_number(kind) {
            return number;
        }
        let at = self.kinds.iter().position(|(known, _)| known == kind).unwrap_or_else(|| {
            self.kinds.push((kind.clone(), self.base.model().spec(kind)));
            self.kinds.len() - 1
        });
        self.base.kind_bound() + at as u32
    }

    fn spec(&self, kind: u32) -> &RelationSpec {
        match kind.checked_sub(self.base.kind_bound()) {
            Some(new) => &self.kinds[new as usize].1,
            None => self.base.spec_of(kind),
        }
    }

    fn is_base(&self, node: u32) -> bool {
        (node as usize) < self.base.bound()
    }

    fn in_base(&self, supplier: u32, dependent: u32, tag: Tag) -> bool {
        self.is_base(supplier)
            && self.is_base(dependent)
            && tag.kind() < self.base.kind_bound()
            && self.base.find_pair(supplier, dependent, tag).is_some()
    }

    fn has(&self, supplier: u32, dependent: u32, tag: Tag) -> bool {
        let delta = self.outward.get(&supplier);
        let same = |link: &Link| link.node == dependent && link.tag.same_relation(tag);
        delta.is_some_and(|delta| delta.added.iter().any(same))
            || (!delta.is_some_and(|delta| delta.removed.contains(&(dependent, tag.relation())))
                && self.in_base(supplier, dependent, tag))
    }

    fn link(&mut self, supplier: u32, dependent: u32, tag: Tag) {
        if tag.is_silent() {
            return;
        }
        let own_gate = self.own_gate(dependent, tag.kind()).is_some();
        let plain = if !own_gate && self.spec(tag.kind()).is_plain() { Plain::Yes } else { Plain::No };
        let tag = tag.with_plain(plain);
        self.outward.entry(supplier).or_default().added.push(Link { node: dependent, tag });
        self.inward.entry(dependent).or_default().added.push(Link { node: supplier, tag });
    }

    fn unlink(&mut self, supplier: u32, dependent: u32, tag: Tag) {
        let in_base = self.in_base(supplier, dependent, tag);
        let ends = [(&mut self.outward, supplier, dependent), (&mut self.inward, dependent, supplier)];
        for (links, node, other) in ends {
            let delta = links.entry(node).or_default();
            delta.added.retain(|link| link.node != other || !link.tag.same_relation(tag));
            if in_base {
                delta.removed.insert((other, tag.relation()));
            }
        }
    }

    fn own_gate(&self, dependent: u32, kind: u32) -> Option<&Gate> {
        self.gates.get(&(dependent, kind)).or_else(|| {
            (self.is_base(dependent) && kind < self.base.kind_bound())
                .then(|| self.base.own_gate_of(dependent, kind))
                .flatten()
        })
    }
}

/// The base's links without the removed ones, then the added ones.
fn merged<'a>(base: Run<'a>, delta: Option<&'a Delta>) -> impl Iterator<Item = Link> + 'a {
    let removed = delta.map(|delta| &delta.removed).filter(|removed| !removed.is_empty());
    base.iter()
        .filter(move |link| {
            removed.is_none_or(|removed| !removed.contains(&(link.node, link.tag.relation())))
        })
        .chain(delta.map_or(&[][..], |delta| &delta.added).iter().copied())
}

impl View for Overlay<'_> {
    fn bound(&self) -> usize {
        self.base.bound() + self.added.len()
    }
    fn node(&self, ci: CiId) -> Option<u32> {
        let added = self.numbers.get(&ci).copied();
        added.or_else(|| self.base.node(ci).filter(|node| !self.removed.contains(node)))
    }
    fn id(&self, node: u32) -> CiId {
        match (node as usize).checked_sub(self.base.bound()) {
            Some(added) => self.added[added],
            None => self.base.id(node),
        }
    }
    fn outward(&self, node: u32) -> impl Iterator<Item = Link> {
        let base = if self.is_base(node) { self.base.outward_links(node) } else { Run::default() };
        merged(base, self.outward.get(&node))
    }
    fn inward(&self, node: u32) -> impl Iterator<Item = Link> {
        let base = if self.is_base(node) { self.base.inward_links(node) } else { Run::default() };
        merged(base, self.inward.get(&node))
    }
    fn rule(&self, dependent: u32, kind: u32) -> (&Gate, Effect) {
        let spec = self.spec(kind);
        (self.own_gate(dependent, kind).unwrap_or(&spec.gate), spec.effect)
    }
    fn kind(&self, kind: u32) -> &RelationKind {
        match kind.checked_sub(self.base.kind_bound()) {
            Some(new) => &self.kinds[new as usize].0,
            None => self.base.kind_name(kind),
        }
    }
}
