//! The graph and its changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use itom_core::{CiId, CiKind, RelationKind, Text};

use super::links::{Link, Links, Plain, Run, Tag};
use super::nodes::{Node, Nodes};
use super::{Effect, Flow, Gate, GraphError, RelationModel, RelationSpec};

/// An item of the graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Ci {
    /// Its id.
    pub id: CiId,
    /// Its kind.
    pub kind: CiKind,
    /// What people call it.
    pub name: Text,
}

/// A relation, read `from` → `to`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Relation {
    /// Its kind.
    pub kind: RelationKind,
    /// Where it starts.
    pub from: CiId,
    /// Where it ends.
    pub to: CiId,
}

/// The kinds of relation met so far, numbered.
#[derive(Debug, Clone, Default)]
struct Kinds {
    numbers: BTreeMap<RelationKind, u32>,
    entries: Vec<(RelationKind, RelationSpec)>,
}

/// Configuration items and the relations between them.
///
/// Cloning is cheap (some thousands of reference counts for a million items) and gives a snapshot that later changes do
/// not touch: writers keep one graph and hand `Arc<RelationGraph>` clones to readers.
///
/// ```
/// use std::collections::BTreeSet;
/// use itom_cmdb::graph::{RelationGraph, RelationModel};
/// use itom_core::{CiId, kind, relation};
///
/// let [web, db, host] = ["web", "db", "host"].map(|name| CiId::derive(&[name]));
/// let mut graph = RelationGraph::new(RelationModel::default());
/// graph.upsert_ci(web, kind::SERVICE, "web")?;
/// graph.upsert_ci(db, kind::SERVICE, "db")?;
/// graph.upsert_ci(host, kind::HOST, "host-1")?;
/// graph.relate(relation::DEPENDS_ON, web, db)?;
/// graph.relate(relation::RUNS_ON, db, host)?;
///
/// let impact = graph.impact(&BTreeSet::from([host]));
/// assert_eq!(impact.down().iter().map(|hit| hit.ci).collect::<Vec<_>>(), [db, web]);
/// assert_eq!(graph.single_points_of_failure(web), [db, host]);
/// # Ok::<(), itom_cmdb::graph::GraphError>(())
/// ```
#[derive(Clone)]
pub struct RelationGraph {
    model: Arc<RelationModel>,
    kinds: Arc<Kinds>,
    pub(super) nodes: Nodes,
    /// Supplier → who feels its failure.
    pub(super) outward: Links,
    /// Dependent → what it needs.
    pub(super) inward: Links,
    /// `from` → `to` of relations that carry no failure: kept apart, so that no search has to step over them.
    pub(super) silent_outward: Links,
    /// `to` → `from` of those.
    pub(super) silent_inward: Links,
    /// Gates that differ from their kind's, by dependent and kind.
    gates: Arc<BTreeMap<(u32, u32), Gate>>,
    pub(super) relations: usize,
}

impl std::fmt::Debug for RelationGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelationGraph")
            .field("cis", &self.ci_count())
            .field("relations", &self.relations)
            .finish_non_exhaustive()
    }
}

/// A relation as pairs of links: supplier, dependent and tag.
pub(crate) type Pairs = [Option<(u32, u32, Tag)>; 2];

pub(crate) fn pairs(spec: &RelationSpec, kind: u32, from: u32, to: u32) -> Pairs {
    let tag = Tag::new(kind);
    match spec.flow {
        Flow::ToFrom => [Some((to, from, tag.reversed())), None],
        Flow::FromTo => [Some((from, to, tag)), None],
        Flow::Both => [Some((from, to, tag)), Some((to, from, tag.reversed()))],
        Flow::None => [Some((from, to, tag.silent())), None],
    }
}

impl RelationGraph {
    /// A graph without items.
    #[must_use]
    pub fn new(model: RelationModel) -> Self {
        Self {
            model: Arc::new(model),
            kinds: Arc::default(),
            nodes: Nodes::new(),
            outward: Links::default(),
            inward: Links::default(),
            silent_outward: Links::default(),
            silent_inward: Links::default(),
            gates: Arc::default(),
            relations: 0,
        }
    }

    /// A graph from all its parts at once: some times faster than one by one. Relations said twice count once.
    ///
    /// # Errors
    /// [`GraphError::UnknownCi`] for the first relation whose end is not among the items.
    pub fn from_parts(
        model: RelationModel,
        cis: impl IntoIterator<Item = (CiId, CiKind, Text)>,
        relations: impl IntoIterator<Item = (RelationKind, CiId, CiId)>,
    ) -> Result<Self, GraphError> {
        let mut graph = Self::new(model);
        for (id, kind, name) in cis {
            graph.insert(Node { id, kind, name })?;
        }
        let mut linked = Vec::new();
        for (kind, from, to) in relations {
            let (from, to) = (graph.known("relate", from)?, graph.known("relate", to)?);
            let (number, spec) = graph.number(&kind)?;
            let plain = if spec.is_plain() { Plain::Yes } else { Plain::No };
            let [first, second] = pairs(spec, number, from, to);
            linked.extend(
                [first, second].into_iter().flatten().map(|(s, d, tag)| (s, d, tag.with_plain(plain))),
            );
        }
        linked.sort_unstable();
        linked.dedup();
        graph.relations = linked.iter().filter(|(_, _, tag)| graph.reports(*tag)).count();

        let bound = graph.nodes.bound();
        let room = |silent: bool, end: fn(&(u32, u32, Tag)) -> u32| {
            let mut lengths = vec![0_u32; bound];
            let pairs = linked.iter().filter(|(_, _, tag)| tag.is_silent() == silent);
            pairs.for_each(|pair| lengths[end(pair) as usize] += 1);
            Links::with_room(&lengths)
        };
        graph.outward = room(false, |pair| pair.0);
        graph.inward = room(false, |pair| pair.1);
        graph.silent_outward = room(true, |pair| pair.0);
        graph.silent_inward = room(true, |pair| pair.1);
        for (supplier, dependent, tag) in linked {
            graph.link(supplier, dependent, tag);
        }
        Ok(graph)
    }

    /// How relations carry failure.
    #[must_use]
    pub fn model(&self) -> &RelationModel {
        &self.model
    }

    /// How many items there are.
    #[must_use]
    pub const fn ci_count(&self) -> usize {
        self.nodes.len()
    }

    /// How many relations there are.
    #[must_use]
    pub const fn relation_count(&self) -> usize {
        self.relations
    }

    /// Whether an item is in the graph.
    #[must_use]
    pub fn contains(&self, ci: CiId) -> bool {
        self.nodes.find(ci).is_some()
    }

    /// An item.
    #[must_use]
    pub fn ci(&self, ci: CiId) -> Option<Ci> {
        let node = self.nodes.at(self.nodes.find(ci)?);
        Some(Ci { id: node.id, kind: node.kind.clone(), name: node.name.clone() })
    }

    /// All items, sorted by id.
    #[must_use]
    pub fn cis(&self) -> Vec<Ci> {
        let mut all: Vec<Ci> = self
            .nodes
            .iter()
            .map(|(_, node)| Ci { id: node.id, kind: node.kind.clone(), name: node.name.clone() })
            .collect();
        all.sort_unstable_by_key(|ci| ci.id);
        all
    }

    /// All relations, sorted by kind, then by their ends.
    #[must_use]
    pub fn relations(&self) -> Vec<Relation> {
        let mut all: Vec<Relation> = self
            .nodes
            .iter()
            .flat_map(|(supplier, _)| self.all_outward(supplier).map(move |link| (supplier, link)))
            .filter(|(_, link)| self.reports(link.tag))
            .map(|(supplier, link)| self.relation(supplier, link.node, link.tag))
            .collect();
        all.sort_unstable();
        all
    }

    /// The relations that start or end at an item, sorted by kind, then by their ends.
    #[must_use]
    pub fn relations_of(&self, ci: CiId) -> Vec<Relation> {
        let Some(node) = self.nodes.find(ci) else { return Vec::new() };
        let outward = self.all_outward(node).map(|link| self.relation(node, link.node, link.tag));
        let inward = self.all_inward(node).map(|link| self.relation(link.node, node, link.tag));
        let mut all: Vec<Relation> = outward.chain(inward).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(super) fn all_outward(&self, node: u32) -> impl Iterator<Item = Link> {
        self.outward.of(node).iter().chain(self.silent_outward.of(node).iter())
    }

    pub(super) fn all_inward(&self, node: u32) -> impl Iterator<Item = Link> {
        self.inward.of(node).iter().chain(self.silent_inward.of(node).iter())
    }

    fn relation(&self, supplier: u32, dependent: u32, tag: Tag) -> Relation {
        let (supplier, dependent) = (self.nodes.at(supplier).id, self.nodes.at(dependent).id);
        let (from, to) = if tag.is_reversed() { (dependent, supplier) } else { (supplier, dependent) };
        Relation { kind: self.kind_name(tag.kind()).clone(), from, to }
    }

    /// Whether this pair stands for its relation when relations are counted (of two pairs, one does).
    fn reports(&self, tag: Tag) -> bool {
        self.spec_of(tag.kind()).flow != Flow::Both || !tag.is_reversed()
    }

    /// Adds an item, or sets the kind and name of one that is there.
    ///
    /// # Errors
    /// [`GraphError::Full`] when there is no room for another.
    pub fn upsert_ci(&mut self, ci: CiId, kind: CiKind, name: impl Into<Text>) -> Result<(), GraphError> {
        self.insert(Node { id: ci, kind, name: name.into() }).map(|_| ())
    }

    fn insert(&mut self, node: Node) -> Result<u32, GraphError> {
        let index = self
            .nodes
            .upsert(node)
            .ok_or(GraphError::Full { what: "configuration items", limit: u64::from(u32::MAX) })?;
        for links in [&mut self.outward, &mut self.inward, &mut self.silent_outward, &mut self.silent_inward]
        {
            links.reach(self.nodes.bound());
        }
        Ok(index)
    }

    /// Removes an item with its relations and gates; whether it was there.
    pub fn remove_ci(&mut self, ci: CiId) -> bool {
        let Some(node) = self.nodes.find(ci) else { return false };
        for relation in self.relations_of(ci) {
            self.unrelate(&relation.kind, relation.from, relation.to);
        }
        let owned: Vec<(u32, u32)> =
            self.gates.range((node, 0)..=(node, u32::MAX)).map(|(key, _)| *key).collect();
        if !owned.is_empty() {
            let gates = Arc::make_mut(&mut self.gates);
            owned.iter().for_each(|key| drop(gates.remove(key)));
        }
        self.nodes.remove(node);
        true
    }

    /// Relates two items; whether they were not related so before.
    ///
    /// # Errors
    /// [`GraphError::UnknownCi`] when an end is not in the graph, [`GraphError::Full`] when there is no room for
    /// another kind of relation.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a new kind is kept; the well-known ones are constants"
    )]
    pub fn relate(&mut self, kind: RelationKind, from: CiId, to: CiId) -> Result<bool, GraphError> {
        let (from, to) = (self.known("relate", from)?, self.known("relate", to)?);
        let (number, spec) = self.number(&kind)?;
        let plain_by_kind = spec.is_plain();
        let [first, second] = pairs(spec, number, from, to);
        if let Some((supplier, dependent, tag)) = first
            && self.find_pair(supplier, dependent, tag).is_some()
        {
            return Ok(false);
        }
        for (supplier, dependent, tag) in [first, second].into_iter().flatten() {
            let plain =
                plain_by_kind && (self.gates.is_empty() || !self.gates.contains_key(&(dependent, number)));
            self.link(supplier, dependent, tag.with_plain(if plain { Plain::Yes } else { Plain::No }));
        }
        self.relations += 1;
        Ok(true)
    }

    /// Removes a relation; whether it was there.
    pub fn unrelate(&mut self, kind: &RelationKind, from: CiId, to: CiId) -> bool {
        let Some(number) = self.kinds.numbers.get(kind).copied() else { return false };
        let (Some(from), Some(to)) = (self.nodes.find(from), self.nodes.find(to)) else { return false };
        let both = pairs(self.spec_of(number), number, from, to);
        let mut removed = false;
        for (supplier, dependent, tag) in both.into_iter().flatten() {
            let Some((at, twin)) = self.find_pair(supplier, dependent, tag) else { continue };
            removed = true;
            let (outward, inward) = self.links_mut(tag);
            if let Some((moved, moved_twin)) = outward.swap_remove(supplier, at) {
                inward.set_twin(moved.node, moved_twin, at);
            }
            if let Some((moved, moved_twin)) = inward.swap_remove(dependent, twin) {
                outward.set_twin(moved.node, moved_twin, twin);
            }
        }
        self.relations -= usize::from(removed);
        removed
    }

    /// Whether two items are related so.
    #[must_use]
    pub fn related(&self, kind: &RelationKind, from: CiId, to: CiId) -> bool {
        let (Some(number), Some(from), Some(to)) =
            (self.kinds.numbers.get(kind).copied(), self.nodes.find(from), self.nodes.find(to))
        else {
            return false;
        };
        pairs(self.spec_of(number), number, from, to)[0]
            .is_some_and(|(supplier, dependent, tag)| self.find_pair(supplier, dependent, tag).is_some())
    }

    /// Gives an item a gate of its own for what it needs by one kind of relation.
    ///
    /// # Errors
    /// [`GraphError::UnknownCi`], [`GraphError::NoFlow`] when the kind carries no failure, or [`GraphError::Full`].
    pub fn set_gate(&mut self, ci: CiId, kind: &RelationKind, gate: Gate) -> Result<(), GraphError> {
        let node = self.known("set a gate", ci)?;
        let (number, spec) = self.number(kind)?;
        if spec.flow == Flow::None {
            return Err(GraphError::NoFlow { ci, kind: kind.clone() });
        }
        Arc::make_mut(&mut self.gates).insert((node, number), gate);
        self.retag(node, number, Plain::No);
        Ok(())
    }

    /// Gives an item its kind's gate again; whether it had its own.
    pub fn clear_gate(&mut self, ci: CiId, kind: &RelationKind) -> bool {
        let (Some(node), Some(number)) = (self.nodes.find(ci), self.kinds.numbers.get(kind).copied()) else {
            return false;
        };
        if !self.gates.contains_key(&(node, number)) {
            return false;
        }
        Arc::make_mut(&mut self.gates).remove(&(node, number));
        let plain = if self.spec_of(number).is_plain() { Plain::Yes } else { Plain::No };
        self.retag(node, number, plain);
        true
    }

    /// The gate of an item for what it needs by one kind of relation: its own, or the kind's.
    #[must_use]
    pub fn gate(&self, ci: CiId, kind: &RelationKind) -> Gate {
        match (self.nodes.find(ci), self.kinds.numbers.get(kind)) {
            (Some(node), Some(number)) => self.rule_of(node, *number).0.clone(),
            _ => self.model.spec(kind).gate,
        }
    }

    /// The gates that items have of their own, sorted by item and kind.
    #[must_use]
    pub fn own_gates(&self) -> Vec<(CiId, RelationKind, Gate)> {
        let mut all: Vec<_> = self
            .gates
            .iter()
            .map(|((node, kind), gate)| {
                (self.nodes.at(*node).id, self.kind_name(*kind).clone(), gate.clone())
            })
            .collect();
        all.sort_unstable();
        all
    }

    fn retag(&mut self, dependent: u32, kind: u32, plain: Plain) {
        for at in 0..self.inward.of(dependent).len() as u32 {
            let Some(link) = self.inward.of(dependent).get(at as usize) else { continue };
            if link.tag.kind() == kind {
                let twin = self.inward.twin(dependent, at);
                self.inward.set_tag(dependent, at, link.tag.with_plain(plain));
                self.outward.set_tag(link.node, twin, link.tag.with_plain(plain));
            }
        }
    }

    fn link(&mut self, supplier: u32, dependent: u32, tag: Tag) {
        let (outward, inward) = self.links_mut(tag);
        let twin = inward.of(dependent).len() as u32;
        let at = outward.push(supplier, Link { node: dependent, tag }, twin);
        inward.push(dependent, Link { node: supplier, tag }, at);
    }

    const fn links(&self, tag: Tag) -> (&Links, &Links) {
        if tag.is_silent() {
            (&self.silent_outward, &self.silent_inward)
        } else {
            (&self.outward, &self.inward)
        }
    }

    const fn links_mut(&mut self, tag: Tag) -> (&mut Links, &mut Links) {
        if tag.is_silent() {
            (&mut self.silent_outward, &mut self.silent_inward)
        } else {
            (&mut self.outward, &mut self.inward)
        }
    }

    /// Where a pair is: its position at the supplier and at the dependent. Scans the shorter of the two.
    pub(crate) fn find_pair(&self, supplier: u32, dependent: u32, tag: Tag) -> Option<(u32, u32)> {
        let (outward_links, inward_links) = self.links(tag);
        let (outward, inward) = (outward_links.of(supplier), inward_links.of(dependent));
        if outward.len() <= inward.len() {
            outward.position(dependent, tag).map(|at| (at, outward_links.twin(supplier, at)))
        } else {
            inward.position(supplier, tag).map(|at| (inward_links.twin(dependent, at), at))
        }
    }

    fn known(&self, doing: &'static str, ci: CiId) -> Result<u32, GraphError> {
        self.nodes.find(ci).ok_or(GraphError::UnknownCi { doing, ci })
    }

    /// The number of a kind, given when it is first met.
    fn number(&mut self, kind: &RelationKind) -> Result<(u32, &RelationSpec), GraphError> {
        if let Some(number) = self.kinds.numbers.get(kind).copied() {
            return Ok((number, self.spec_of(number)));
        }
        let number = self.kinds.entries.len() as u32;
        if number >= Tag::KINDS {
            return Err(GraphError::Full { what: "kinds of relation", limit: u64::from(Tag::KINDS) });
        }
        let spec = self.model.spec(kind);
        let kinds = Arc::make_mut(&mut self.kinds);
        kinds.numbers.insert(kind.clone(), number);
        kinds.entries.push((kind.clone(), spec));
        Ok((number, self.spec_of(number)))
    }

    pub(crate) fn spec_of(&self, kind: u32) -> &RelationSpec {
        &self.kinds.entries[kind as usize].1
    }

    pub(crate) fn kind_name(&self, kind: u32) -> &RelationKind {
        &self.kinds.entries[kind as usize].0
    }

    pub(crate) fn kind_number(&self, kind: &RelationKind) -> Option<u32> {
        self.kinds.numbers.get(kind).copied()
    }

    /// The number the next new kind of relation would get.
    pub(crate) fn kind_bound(&self) -> u32 {
        self.kinds.entries.len() as u32
    }

    /// The gate that a dependent has of its own.
    pub(crate) fn own_gate_of(&self, dependent: u32, kind: u32) -> Option<&Gate> {
        self.gates.get(&(dependent, kind))
    }

    pub(crate) fn outward_links(&self, node: u32) -> Run<'_> {
        self.outward.of(node)
    }

    pub(crate) fn inward_links(&self, node: u32) -> Run<'_> {
        self.inward.of(node)
    }

    /// Gate and effect of a dependent for a kind.
    pub(crate) fn rule_of(&self, dependent: u32, kind: u32) -> (&Gate, Effect) {
        let spec = self.spec_of(kind);
        (self.gates.get(&(dependent, kind)).unwrap_or(&spec.gate), spec.effect)
    }
}
