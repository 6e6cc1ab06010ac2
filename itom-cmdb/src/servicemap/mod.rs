//! Service maps: what a service consists of, as far as it is known, and what people decided about it.
//!
//! A map starts at an entry point, at items with a tag, or both, and follows what its members need. Traffic is evidence
//! and no dependency yet: what members talk to is suggested, with a confidence that falls the more others talk to it, or
//! followed when asked for. What nearly everything uses is a [hub](Role::Hub): shown, and not followed, so that a map
//! does not become the estate. [`Decisions`] of people stay: they are about ids that survive re-discovery, follow
//! merges, and win over every rule here. What is not known is shown, too, as loose ends and in the
//! [completeness](Completeness) of the map.
//!
//! ```
//! use itom_cmdb::servicemap::{Decisions, MapPlan, Role};
//! use itom_cmdb::graph::RelationModel;
//! use itom_cmdb::{Cmdb, CmdbConfig};
//! use itom_core::{Batch, SourceName, Timestamp, attr, kind, relation};
//!
//! let now = Timestamp::from_secs(1_700_000_000);
//! let mut batch = Batch::new(SourceName::literal("demo"), now);
//! batch.ci("shop", kind::SERVICE).attr(attr::NAME, "shop");
//! batch.ci("web-1", kind::HOST_LINUX).attr(attr::NAME, "web-1");
//! batch.relation(relation::DEPENDS_ON, "shop", "web-1");
//! let mut cmdb = Cmdb::new(CmdbConfig::default());
//! let facts = cmdb.plan(&batch, now);
//! cmdb.ingest(facts);
//!
//! let view = cmdb.view();
//! let graph = view.graph(RelationModel::default())?;
//! let shop = view.by_kind(&kind::SERVICE)[0].id();
//! let map = MapPlan::new("shop").entry(shop).draw(&view, &graph, &Decisions::default());
//! assert_eq!(map.members.len(), 2);
//! assert_eq!(map.members[0].role, Role::Entry);
//! assert_eq!(map.completeness.share(), 1.0);
//! # Ok::<(), itom_cmdb::graph::GraphError>(())
//! ```

mod decision;
mod draw;
#[cfg(test)]
mod tests;

use itom_core::{AttrName, CiId, RelationKind, Text, Value};

use crate::graph::RelationGraph;
use crate::view::View;

pub use decision::{About, Decision, Decisions, Verdict};

/// What traffic is good for.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Traffic {
    /// Nothing.
    Ignore,
    /// What members talk to is suggested.
    Suggest,
    /// What members talk to is a member when the confidence is at least this (0 to 1); the rest is suggested.
    Follow(f64),
}

/// How to draw a map.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct MapPlan {
    name: Text,
    entries: Vec<CiId>,
    tags: Vec<(AttrName, Value)>,
    depth: u32,
    most: usize,
    hub_users: usize,
    traffic: Traffic,
}

impl MapPlan {
    /// A map with this name, from nowhere yet: 12 steps deep at most, 5,000 items at most, hubs from 50 users, traffic
    /// suggested.
    pub fn new(name: impl Into<Text>) -> Self {
        Self {
            name: name.into(),
            entries: Vec::new(),
            tags: Vec::new(),
            depth: 12,
            most: 5_000,
            hub_users: 50,
            traffic: Traffic::Suggest,
        }
    }

    /// Starts at an item.
    pub fn entry(mut self, ci: CiId) -> Self {
        self.entries.push(ci);
        self
    }

    /// Starts at every item whose attribute has this value.
    pub fn tag(mut self, name: AttrName, value: impl Into<Value>) -> Self {
        self.tags.push((name, value.into()));
        self
    }

    /// Goes this many steps at most.
    pub const fn depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }

    /// Has this many members at most, nearest first.
    pub const fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Takes an item for a hub when this many others need it or talk to it directly.
    pub const fn hub_users(mut self, users: usize) -> Self {
        self.hub_users = users;
        self
    }

    /// With another use of traffic.
    pub const fn traffic(mut self, traffic: Traffic) -> Self {
        self.traffic = traffic;
        self
    }

    /// Draws the map. Pure: the same view, graph and decisions give the same map.
    pub fn draw(&self, view: &View, graph: &RelationGraph, decisions: &Decisions) -> ServiceMap {
        draw::draw(self, view, graph, decisions)
    }
}

/// What an item is to a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// The map starts here.
    Entry,
    /// Something in the map needs it, talks to it, or a person put it there.
    Member,
    /// It is needed, and so much used by others that it is not followed.
    Hub {
        /// How many need it or talk to it.
        users: usize,
    },
    /// It is needed, and no source describes it.
    LooseEnd,
}

/// How an item came into a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// It was named as an entry.
    Named,
    /// It has a tag.
    Tagged(AttrName),
    /// A member needs it.
    Needed {
        /// The member.
        by: CiId,
        /// By this kind of relation.
        relation: RelationKind,
    },
    /// A member talks to it.
    Traffic {
        /// The member.
        by: CiId,
    },
    /// A person decided so.
    Decided,
}

/// An item of a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Member {
    /// Steps from where the map starts.
    pub distance: u32,
    /// The item.
    pub ci: CiId,
    /// What it is to the map.
    pub role: Role,
    /// How it came into it.
    pub reason: Reason,
}

/// An item that may belong to a map.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Suggestion {
    /// The item.
    pub ci: CiId,
    /// The member that talks to it.
    pub by: CiId,
    /// From 0 to 1: one by how many talk to it.
    pub confidence: f64,
    /// Whether a person looked at it and left it open.
    pub undecided: bool,
}

/// A relation between two items of a map, read `from` → `to`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct MapRelation {
    /// Its kind.
    pub kind: RelationKind,
    /// Where it starts.
    pub from: CiId,
    /// Where it ends.
    pub to: CiId,
}

/// How much of what a map should have is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Completeness {
    /// Members that are described by a source.
    pub known: usize,
    /// Members that are not: what they need is not known either.
    pub loose_ends: usize,
    /// Suggestions about which nobody decided.
    pub undecided: usize,
    /// Items that were left out by the limits of the plan.
    pub cut: usize,
}

impl Completeness {
    /// The known share of all, from 0 to 1; 1 for an empty map.
    #[must_use]
    pub fn share(&self) -> f64 {
        let all = self.known + self.loose_ends + self.undecided + self.cut;
        if all == 0 { 1.0 } else { self.known as f64 / all as f64 }
    }
}

/// A map.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServiceMap {
    /// Its name.
    pub name: Text,
    /// Its items, nearest first, then by id.
    pub members: Vec<Member>,
    /// Relations between them, sorted.
    pub relations: Vec<MapRelation>,
    /// What may belong to it: most confident first, then by id.
    pub suggestions: Vec<Suggestion>,
    /// What a person keeps out of it, as far as it was met, sorted.
    pub excluded: Vec<CiId>,
    /// Decisions about items and relations that the view does not have now, sorted. They stay, and hold again when what
    /// they are about is back.
    pub dormant: Vec<About>,
    /// How much is known.
    pub completeness: Completeness,
}
