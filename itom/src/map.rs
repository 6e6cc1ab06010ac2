//! What a map shows: a choice of items and relations from a view.

use std::collections::BTreeSet;

use itom_cmdb::View;
use itom_cmdb::export::{MapDocument, MapEdge, MapNode};
use itom_cmdb::view::{Ci, Relation};
use itom_core::{CiId, CiKind, RelationKind, Text, kind, relation};

/// How much a map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Detail {
    /// Services, what they depend on (known or not), applications, and the hosts they run on.
    #[default]
    Services,
    /// Also the processes, containers and units behind them.
    Processes,
    /// Everything that is there.
    All,
}

/// A text that is not a [`Detail`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not how much a map shows; use services, processes or all")]
pub struct ParseDetailError(String);

impl std::str::FromStr for Detail {
    type Err = ParseDetailError;
    fn from_str(text: &str) -> Result<Self, ParseDetailError> {
        match text {
            "services" => Ok(Self::Services),
            "processes" => Ok(Self::Processes),
            "all" => Ok(Self::All),
            _ => Err(ParseDetailError(text.chars().take(80).collect())),
        }
    }
}

/// The kinds of items that a map of services shows besides what they depend on.
const SERVICE_KINDS: [CiKind; 5] =
    [kind::SERVICE, kind::APPLICATION, kind::BUSINESS_SERVICE, kind::HOST, kind::DEVICE];
const SERVICE_RELATIONS: [RelationKind; 3] = [relation::DEPENDS_ON, relation::RUNS_ON, relation::MEMBER_OF];
const PROCESS_KINDS: [CiKind; 3] = [kind::PROCESS, kind::CONTAINER, kind::UNIT];
const PROCESS_RELATIONS: [RelationKind; 3] =
    [relation::PROVIDED_BY, relation::MANAGED_BY, relation::CHILD_OF];

fn is_any(item: &CiKind, kinds: &[CiKind]) -> bool {
    kinds.iter().any(|kind| item.is_a(kind))
}

/// The map of what is there now. Items and relations that are gone are left out.
#[must_use]
pub fn map(view: &View, detail: Detail) -> MapDocument {
    let there = |id: CiId| view.ci(id).is_some_and(|ci| ci.state().is_active());
    let active = |edge: &&Relation| edge.state.is_active() && there(edge.from) && there(edge.to);
    // Both ends of a dependency are shown whatever they are: that is what the map is for. But packages of bills of
    // materials need each other by the hundred, and none of them runs.
    let ends: BTreeSet<CiId> = view
        .relations()
        .filter(|edge| edge.kind == relation::DEPENDS_ON)
        .filter(active)
        .flat_map(|edge| [edge.from, edge.to])
        .filter(|id| view.ci(*id).is_some_and(|ci| !ci.kind().is_a(&kind::SOFTWARE)))
        .collect();
    let shown = |ci: &Ci| match detail {
        Detail::All => true,
        Detail::Processes => {
            ends.contains(&ci.id()) || is_any(ci.kind(), &SERVICE_KINDS) || is_any(ci.kind(), &PROCESS_KINDS)
        }
        Detail::Services => {
            ends.contains(&ci.id()) || (is_any(ci.kind(), &SERVICE_KINDS) && !ci.is_loose_end())
        }
    };
    let drawn = |kind: &RelationKind| match detail {
        Detail::All => true,
        Detail::Processes => SERVICE_RELATIONS.contains(kind) || PROCESS_RELATIONS.contains(kind),
        Detail::Services => SERVICE_RELATIONS.contains(kind),
    };
    let chosen: Vec<&Ci> = view.cis().filter(|ci| ci.state().is_active()).filter(|ci| shown(ci)).collect();
    let ids: BTreeSet<CiId> = chosen.iter().map(|ci| ci.id()).collect();
    let nodes = chosen.into_iter().map(|ci| {
        let mut node = MapNode::new(ci.id().to_string(), ci.kind().clone()).named(ci.name().clone());
        node.attributes = ci
            .attributes()
            .iter()
            .map(|(name, attribute)| (name.clone(), attribute.value().clone()))
            .collect();
        node
    });
    let edges = view
        .relations()
        .filter(|edge| drawn(&edge.kind) && ids.contains(&edge.from) && ids.contains(&edge.to))
        .filter(active)
        .map(|edge| MapEdge::new(edge.kind.clone(), edge.from.to_string(), edge.to.to_string()));
    MapDocument::new(title(view), nodes, edges)
}

/// The name of the only host, or how many there are.
fn title(view: &View) -> Text {
    let hosts: Vec<&Ci> = view
        .by_kind(&kind::HOST)
        .into_iter()
        .filter(|ci| ci.state().is_active() && !ci.is_loose_end())
        .collect();
    match hosts.as_slice() {
        [one] => one.name().clone(),
        many => Text::from(format!("{} hosts", many.len())),
    }
}
