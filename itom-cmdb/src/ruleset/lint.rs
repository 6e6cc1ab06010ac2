//! What of a view does not fit the rules about kinds and relations.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{AttrName, CiId, RelationKind, Value};

use super::{AttributeType, Cardinality, Need, RuleSet};
use crate::view::{RelationId, View};

/// Something that does not fit the rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Misfit {
    /// An attribute that the kind asks for is not there, or nobody knows it.
    Missing {
        /// The item.
        ci: CiId,
        /// The attribute.
        attribute: AttrName,
        /// How much it is asked for.
        need: Need,
    },
    /// A value is of another type.
    Type {
        /// The item.
        ci: CiId,
        /// The attribute.
        attribute: AttrName,
        /// What it should be.
        expected: AttributeType,
    },
    /// No rule names this kind of relation.
    UnknownRelation(RelationId),
    /// A relation joins what it may not join.
    Endpoint(RelationId),
    /// An item has more relations of a kind at one end than it may have.
    TooMany {
        /// The item.
        ci: CiId,
        /// The kind of relation.
        relation: RelationKind,
        /// How many.
        count: usize,
    },
    /// Items contain each other in a circle; ascending.
    Circle(Vec<CiId>),
}

impl RuleSet {
    /// What of the active part of a view does not fit, ascending. Nothing is refused for it: reality does not read rules.
    #[must_use]
    pub fn misfits(&self, view: &View) -> Vec<Misfit> {
        let mut found = Vec::new();
        let mut attributes = BTreeMap::new();
        for ci in view.cis().filter(|ci| ci.state().is_active() && !ci.is_loose_end()) {
            let rules = attributes.entry(ci.kind().clone()).or_insert_with(|| self.attributes_of(ci.kind()));
            for (name, rule) in rules.iter() {
                // That it is not applicable or withheld is an answer.
                match ci.value(name).filter(|value| **value != Value::Unknown) {
                    Some(value) if !rule.kind.fits(value) => {
                        let attribute = name.clone();
                        found.push(Misfit::Type { ci: ci.id(), attribute, expected: rule.kind });
                    }
                    None if rule.need > Need::Optional => {
                        found.push(Misfit::Missing { ci: ci.id(), attribute: name.clone(), need: rule.need });
                    }
                    _ => {}
                }
            }
        }
        let mut starts: BTreeMap<(CiId, &RelationKind), usize> = BTreeMap::new();
        let mut ends: BTreeMap<(CiId, &RelationKind), usize> = BTreeMap::new();
        let mut parts: BTreeMap<CiId, BTreeSet<CiId>> = BTreeMap::new();
        for relation in view.relations().filter(|relation| relation.state.is_active()) {
            let Some((kind, rule)) = self.relations.get_key_value(&relation.kind) else {
                found.push(Misfit::UnknownRelation(relation.id()));
                continue;
            };
            let fits = |end: CiId, kinds: &BTreeSet<itom_core::CiKind>| {
                let own = view.ci(end).filter(|ci| !ci.is_loose_end());
                own.is_none_or(|ci| kinds.is_empty() || kinds.iter().any(|kind| ci.kind().is_a(kind)))
            };
            if !fits(relation.from, &rule.from) || !fits(relation.to, &rule.to) {
                found.push(Misfit::Endpoint(relation.id()));
            }
            if rule.per_source == Cardinality::One {
                *starts.entry((relation.from, kind)).or_default() += 1;
            }
            if rule.per_target == Cardinality::One {
                *ends.entry((relation.to, kind)).or_default() += 1;
            }
            if rule.contains {
                parts.entry(relation.from).or_default().insert(relation.to);
            }
        }
        for ((ci, relation), count) in starts.into_iter().chain(ends).filter(|(_, count)| *count > 1) {
            found.push(Misfit::TooMany { ci, relation: relation.clone(), count });
        }
        found.extend(circles(&parts).into_iter().map(Misfit::Circle));
        found.sort();
        found
    }
}

/// The sets of items that contain each other.
fn circles(parts: &BTreeMap<CiId, BTreeSet<CiId>>) -> Vec<Vec<CiId>> {
    let mut graph = petgraph::Graph::<CiId, ()>::new();
    let all: BTreeSet<CiId> =
        parts.iter().flat_map(|(whole, parts)| parts.iter().chain([whole])).copied().collect();
    let nodes: BTreeMap<CiId, _> = all.into_iter().map(|id| (id, graph.add_node(id))).collect();
    for (whole, parts) in parts {
        for part in parts {
            if let (Some(from), Some(to)) = (nodes.get(whole), nodes.get(part)) {
                graph.add_edge(*from, *to, ());
            }
        }
    }
    let mut circles: Vec<Vec<CiId>> = petgraph::algo::tarjan_scc(&graph)
        .into_iter()
        .filter(|component| component.len() > 1)
        .map(|component| component.into_iter().map(|node| graph[node]).collect())
        .collect();
    circles.iter_mut().for_each(|circle| circle.sort_unstable());
    circles.sort();
    circles
}
