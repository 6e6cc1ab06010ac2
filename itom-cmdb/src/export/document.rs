//! The neutral form of a map, and its JSON.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{AttrName, CiId, CiKind, Classify, ErrorKind, RelationKind, Text, Value};
use serde::{Deserialize, Serialize};

use crate::graph::{Gate, GraphError, RelationGraph, RelationModel};
use crate::impact::Impact;

/// The format of [`MapDocument`] as JSON. A later one that old readers cannot read has another number.
pub const MAP_FORMAT: &str = "itom.map/1";

/// Why a map could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The text is not JSON of this shape.
    #[error("cannot read the map; it should be JSON as `MapDocument::to_json` writes it")]
    Json(#[source] serde_json::Error),
    /// Another format or version.
    #[error("cannot read the map: its format is `{found}`, this software reads `{MAP_FORMAT}`")]
    Format {
        /// What the document says.
        found: String,
    },
    /// Two nodes with one id.
    #[error("cannot read the map: two nodes have the id `{id}`; give each its own")]
    DuplicateNode {
        /// The id.
        id: Text,
    },
    /// A relation or gate names a node that is not there.
    #[error(
        "cannot read the map: {what} names node `{id}`, which is not among the nodes; add it or correct the id"
    )]
    UnknownNode {
        /// The relation or gate.
        what: String,
        /// The id that is not there.
        id: Text,
    },
    /// The graph refused a part of it.
    #[error("cannot make a graph of the map")]
    Graph(#[source] GraphError),
}

impl Classify for MapError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Format { .. } => ErrorKind::Unsupported,
            Self::Graph(error) => error.kind(),
            Self::Json(_) | Self::DuplicateNode { .. } | Self::UnknownNode { .. } => ErrorKind::Invalid,
        }
    }
}

/// Where a node is drawn: from what people pay for, above, to what it stands on, below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MapLayer {
    /// What the business calls a service, and who answers for things.
    Business,
    /// Applications.
    Application,
    /// Services.
    Service,
    /// Processes, units, containers.
    Process,
    /// Machines.
    Host,
    /// Interfaces, networks, devices.
    Network,
    /// Disks and file systems.
    Storage,
    /// Places.
    Place,
    /// Packages, libraries, images.
    Software,
    /// Anything else.
    Other,
}

impl MapLayer {
    /// The layer of a kind of item.
    #[must_use]
    pub fn of(item: &CiKind) -> Self {
        // Refinements before what they refine.
        const LAYERS: &[(&str, MapLayer)] = &[
            ("business_service", MapLayer::Business),
            ("team", MapLayer::Business),
            ("person", MapLayer::Business),
            ("application", MapLayer::Application),
            ("api", MapLayer::Application),
            ("service", MapLayer::Service),
            ("resource", MapLayer::Service),
            ("k8s.service", MapLayer::Service),
            ("k8s.ingress", MapLayer::Service),
            ("cloud.database", MapLayer::Service),
            ("cloud.queue", MapLayer::Service),
            ("cloud.function", MapLayer::Service),
            ("process", MapLayer::Process),
            ("unit", MapLayer::Process),
            ("container", MapLayer::Process),
            ("k8s.pod", MapLayer::Process),
            ("k8s.workload", MapLayer::Process),
            ("host", MapLayer::Host),
            ("cluster", MapLayer::Host),
            ("k8s.node", MapLayer::Host),
            ("k8s.cluster", MapLayer::Host),
            ("network", MapLayer::Network),
            ("cloud.network", MapLayer::Network),
            ("cloud.load_balancer", MapLayer::Network),
            ("device", MapLayer::Network),
            ("disk", MapLayer::Storage),
            ("filesystem", MapLayer::Storage),
            ("storage", MapLayer::Storage),
            ("k8s.volume", MapLayer::Storage),
            ("cloud.volume", MapLayer::Storage),
            ("cloud.bucket", MapLayer::Storage),
            ("location", MapLayer::Place),
            ("rack", MapLayer::Place),
            ("site", MapLayer::Place),
            ("cloud.region", MapLayer::Place),
            ("cloud.zone", MapLayer::Place),
            ("software", MapLayer::Software),
            ("container_image", MapLayer::Software),
        ];
        let fits = |general: &str| {
            item.as_str().strip_prefix(general).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        LAYERS.iter().find(|(general, _)| fits(general)).map_or(Self::Other, |(_, layer)| *layer)
    }

    /// What people call it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Business => "Business",
            Self::Application => "Applications",
            Self::Service => "Services",
            Self::Process => "Processes",
            Self::Host => "Hosts",
            Self::Network => "Network",
            Self::Storage => "Storage",
            Self::Place => "Places",
            Self::Software => "Software",
            Self::Other => "Other",
        }
    }
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MapState {
    /// Nothing is known against it.
    #[default]
    Up,
    /// Up, and something redundant below it is not.
    AtRisk,
    /// Works, but less well.
    Degraded,
    /// Does not work, because of something else.
    Down,
    /// Failed itself.
    Failed,
}

impl MapState {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::AtRisk => "at_risk",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Failed => "failed",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    fn is_up(&self) -> bool {
        *self == Self::Up
    }
}

/// One item of a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MapNode {
    /// Its id within the document: the item's UUID, or a name of your own in a document written by hand.
    pub id: Text,
    /// Its kind.
    pub kind: CiKind,
    /// What people call it; the id if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// Where to draw it; follows from the kind if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<MapLayer>,
    /// How it is.
    #[serde(default, skip_serializing_if = "MapState::is_up")]
    pub state: MapState,
    /// Whether so much uses it that its relations say little: it is drawn without them until somebody asks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hub: bool,
    /// What is known about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttrName, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_false(is: &bool) -> bool {
    !*is
}

impl MapNode {
    /// A node that is up, drawn where its kind belongs.
    #[must_use]
    pub fn new(id: impl Into<Text>, kind: CiKind) -> Self {
        let attributes = BTreeMap::new();
        Self { id: id.into(), kind, name: None, layer: None, state: MapState::Up, hub: false, attributes }
    }

    /// With a name for people.
    #[must_use]
    pub fn named(self, name: impl Into<Text>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// The name, or the id.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    /// Where it is drawn.
    #[must_use]
    pub fn drawn_in(&self) -> MapLayer {
        self.layer.unwrap_or_else(|| MapLayer::of(&self.kind))
    }

    /// The item's id: the UUID that the id is, or one derived from it.
    #[must_use]
    pub fn ci(&self) -> CiId {
        self.id.parse().unwrap_or_else(|_| CiId::derive(&["map", &self.id]))
    }
}

/// One relation of a map, read `from` → `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MapEdge {
    /// Its kind.
    pub kind: RelationKind,
    /// The id of the node where it starts.
    pub from: Text,
    /// The id of the node where it ends.
    pub to: Text,
    /// What is known about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttrName, Value>,
}

impl MapEdge {
    /// A relation without attributes.
    #[must_use]
    pub fn new(kind: RelationKind, from: impl Into<Text>, to: impl Into<Text>) -> Self {
        Self { kind, from: from.into(), to: to.into(), attributes: BTreeMap::new() }
    }
}

/// A gate that a node has of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MapGate {
    /// The id of the node.
    pub node: Text,
    /// For what it needs by this kind of relation.
    pub kind: RelationKind,
    /// The gate.
    pub gate: Gate,
}

/// A map: items, relations, and how failure travels along them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MapDocument {
    /// Always [`MAP_FORMAT`].
    pub format: String,
    /// What the map shows.
    #[serde(default = "untitled")]
    pub title: Text,
    /// How relations carry failure; the default model if not given.
    #[serde(default)]
    pub model: RelationModel,
    /// The items.
    #[serde(default)]
    pub nodes: Vec<MapNode>,
    /// The relations.
    #[serde(default)]
    pub edges: Vec<MapEdge>,
    /// The gates that nodes have of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<MapGate>,
}

const fn untitled() -> Text {
    Text::literal("")
}

impl MapDocument {
    /// A map from its parts; nothing is checked yet.
    #[must_use]
    pub fn new(
        title: impl Into<Text>,
        nodes: impl IntoIterator<Item = MapNode>,
        edges: impl IntoIterator<Item = MapEdge>,
    ) -> Self {
        Self {
            format: MAP_FORMAT.to_owned(),
            title: title.into(),
            model: RelationModel::default(),
            nodes: nodes.into_iter().collect(),
            edges: edges.into_iter().collect(),
            gates: Vec::new(),
        }
    }

    /// The map of a whole graph, sorted.
    #[must_use]
    pub fn from_graph(title: impl Into<Text>, graph: &RelationGraph) -> Self {
        let nodes = graph.cis().into_iter().map(|ci| MapNode::new(ci.id.to_string(), ci.kind).named(ci.name));
        let edges = graph
            .relations()
            .into_iter()
            .map(|relation| MapEdge::new(relation.kind, relation.from.to_string(), relation.to.to_string()));
        let gates = graph
            .own_gates()
            .into_iter()
            .map(|(ci, kind, gate)| MapGate { node: Text::from(ci.to_string()), kind, gate })
            .collect();
        Self { model: graph.model().clone(), gates, ..Self::new(title, nodes, edges) }
    }

    /// Marks nodes with at least this many relations as [hubs](MapNode::hub).
    #[must_use]
    pub fn with_hubs(mut self, relations: usize) -> Self {
        let mut counts = vec![0_usize; self.nodes.len()];
        for (from, to, _) in self.placed_edges() {
            counts[from] += 1;
            counts[to] += 1;
        }
        for (node, count) in self.nodes.iter_mut().zip(counts) {
            node.hub |= count >= relations;
        }
        self
    }

    /// Colours the map with what a failure does.
    #[must_use]
    pub fn with_impact(mut self, impact: &Impact) -> Self {
        let mut states = BTreeMap::new();
        states.extend(impact.redundancy_lost().iter().map(|lost| (lost.ci, MapState::AtRisk)));
        states.extend(impact.degraded().iter().map(|hit| (hit.ci, MapState::Degraded)));
        states.extend(impact.down().iter().map(|hit| (hit.ci, MapState::Down)));
        states.extend(impact.failed().iter().map(|ci| (*ci, MapState::Failed)));
        for node in &mut self.nodes {
            node.state = states.get(&node.ci()).copied().unwrap_or_default();
        }
        self
    }

    /// The document as JSON, indented, ending in a line break.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Names are keys here, so writing cannot fail; an empty object is what a reader would refuse with a clear error.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_else(|_| "{}".to_owned());
        json.push('\n');
        json
    }

    /// A document from JSON, checked.
    ///
    /// # Errors
    /// [`MapError`] when the text is not such JSON, has another format, or names nodes that are not there.
    pub fn from_json(json: &str) -> Result<Self, MapError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let head: Head = serde_json::from_str(json).map_err(MapError::Json)?;
        if head.format != MAP_FORMAT {
            return Err(MapError::Format { found: head.format.chars().take(80).collect() });
        }
        let map: Self = serde_json::from_str(json).map_err(MapError::Json)?;
        map.check()?;
        Ok(map)
    }

    fn check(&self) -> Result<(), MapError> {
        let mut ids = BTreeSet::new();
        for node in &self.nodes {
            if !ids.insert(&node.id) {
                return Err(MapError::DuplicateNode { id: node.id.clone() });
            }
        }
        let known = |what: &dyn Fn() -> String, id: &Text| {
            if ids.contains(id) {
                Ok(())
            } else {
                Err(MapError::UnknownNode { what: what(), id: id.clone() })
            }
        };
        for edge in &self.edges {
            let what = || format!("relation `{}` {} → {}", edge.kind, edge.from, edge.to);
            known(&what, &edge.from)?;
            known(&what, &edge.to)?;
        }
        self.gates.iter().try_for_each(|gate| known(&|| format!("a gate for `{}`", gate.kind), &gate.node))
    }

    /// The map as a graph to ask about failures. Items have the ids that [`MapNode::ci`] says.
    ///
    /// # Errors
    /// [`MapError`] when two nodes are one, or a relation or gate names a node that is not there.
    pub fn to_graph(&self) -> Result<RelationGraph, MapError> {
        self.check()?;
        let ids: BTreeMap<&Text, CiId> = self.nodes.iter().map(|node| (&node.id, node.ci())).collect();
        let mut items = BTreeSet::new();
        for node in &self.nodes {
            if !items.insert(ids[&node.id]) {
                return Err(MapError::DuplicateNode { id: node.id.clone() });
            }
        }
        let cis = self.nodes.iter().map(|node| (ids[&node.id], node.kind.clone(), Text::from(node.label())));
        let relations = self.edges.iter().map(|edge| (edge.kind.clone(), ids[&edge.from], ids[&edge.to]));
        let mut graph =
            RelationGraph::from_parts(self.model.clone(), cis, relations).map_err(MapError::Graph)?;
        for gate in &self.gates {
            graph.set_gate(ids[&gate.node], &gate.kind, gate.gate.clone()).map_err(MapError::Graph)?;
        }
        Ok(graph)
    }

    /// Edges as positions of their ends among the nodes; edges with an end that is not there are left out.
    pub(super) fn placed_edges(&self) -> Vec<(usize, usize, &MapEdge)> {
        let places: BTreeMap<&Text, usize> =
            self.nodes.iter().enumerate().map(|(place, node)| (&node.id, place)).collect();
        self.edges
            .iter()
            .filter_map(|edge| Some((*places.get(&edge.from)?, *places.get(&edge.to)?, edge)))
            .collect()
    }
}
