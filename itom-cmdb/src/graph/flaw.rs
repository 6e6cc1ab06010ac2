//! What a graph says that nobody can have meant.

use std::collections::BTreeMap;
use std::fmt;

use itom_core::{CiId, RelationKind, relation};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::{Effect, Gate, RelationGraph};

/// Something in a graph that is allowed, answered for as documented, and most likely a mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Flaw {
    /// An item is related to itself. Behind a gate it counts as its own supplier, and hides that others are missing.
    SelfRelation {
        /// The item.
        ci: CiId,
        /// By this kind of relation.
        relation: RelationKind,
    },
    /// Items contain each other in a circle: each goes down with any.
    ContainmentCircle {
        /// The items, sorted.
        members: Vec<CiId>,
    },
    /// A gate asks for more than there is: then every supplier is needed.
    AsksTooMuch {
        /// The owner of the gate.
        ci: CiId,
        /// For what it needs by this kind of relation.
        relation: RelationKind,
        /// What it asks for.
        needed: u64,
        /// What there is.
        total: u64,
    },
    /// A gate asks for nothing: it never falls, and what is behind it is no dependency.
    AsksNothing {
        /// The owner of the gate.
        ci: CiId,
        /// For what it needs by this kind of relation.
        relation: RelationKind,
    },
    /// A gate weighs an item that is no supplier behind it.
    WeighsStranger {
        /// The owner of the gate.
        ci: CiId,
        /// For what it needs by this kind of relation.
        relation: RelationKind,
        /// The item.
        stranger: CiId,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfRelation { ci, relation } => {
                write!(f, "{ci} is related to itself ({relation}); take the relation away")
            }
            Self::ContainmentCircle { members } => {
                let names: Vec<String> = members.iter().map(ToString::to_string).collect();
                write!(f, "{} contain each other in a circle; take one `contains` away", names.join(", "))
            }
            Self::AsksTooMuch { ci, relation, needed, total } => write!(
                f,
                "the gate of {ci} asks for {needed} where there are {total} ({relation}), so all are needed; \
                 lower it, or add what is missing"
            ),
            Self::AsksNothing { ci, relation } => write!(
                f,
                "the gate of {ci} asks for nothing ({relation}), so it never falls; ask for one at least"
            ),
            Self::WeighsStranger { ci, relation, stranger } => write!(
                f,
                "the gate of {ci} weighs {stranger}, which is no supplier of it ({relation}); correct the weights"
            ),
        }
    }
}

impl RelationGraph {
    /// What is most likely a mistake, sorted. Looks at every relation once.
    #[must_use]
    pub fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for (node, item) in self.nodes.iter() {
            let itself = self.all_outward(node).filter(|link| link.node == node);
            flaws.extend(itself.map(|link| Flaw::SelfRelation {
                ci: item.id,
                relation: self.kind_name(link.tag.kind()).clone(),
            }));
            // The suppliers behind each gate.
            let mut gates: BTreeMap<u32, Vec<CiId>> = BTreeMap::new();
            for link in self.inward.of(node).iter().filter(|link| !link.tag.is_plain()) {
                gates.entry(link.tag.kind()).or_default().push(self.nodes.at(link.node).id);
            }
            for (kind, suppliers) in gates {
                self.doubt_gate(item.id, node, kind, &suppliers, &mut flaws);
            }
        }
        flaws.extend(self.containment_circles());
        flaws.sort_unstable();
        flaws.dedup();
        flaws
    }

    fn doubt_gate(&self, ci: CiId, node: u32, kind: u32, suppliers: &[CiId], flaws: &mut Vec<Flaw>) {
        let (gate, effect) = self.rule_of(node, kind);
        let relation = || self.kind_name(kind).clone();
        let total = suppliers.iter().map(|id| gate.weight(*id)).fold(0, u64::saturating_add);
        let needed = match gate {
            Gate::All | Gate::Any => return,
            Gate::KOfN(needed) => u64::from(*needed),
            Gate::Weighted { threshold, weights } => {
                let strangers = weights.keys().filter(|id| !suppliers.contains(id));
                flaws.extend(strangers.map(|stranger| Flaw::WeighsStranger {
                    ci,
                    relation: relation(),
                    stranger: *stranger,
                }));
                *threshold
            }
        };
        if needed > total {
            flaws.push(Flaw::AsksTooMuch { ci, relation: relation(), needed, total });
        }
        // A gate with the effect of capacity still says that something is degraded.
        if needed == 0 && effect != Effect::Capacity {
            flaws.push(Flaw::AsksNothing { ci, relation: relation() });
        }
    }

    fn containment_circles(&self) -> Vec<Flaw> {
        let Some(contains) = self.kind_number(&relation::CONTAINS) else { return Vec::new() };
        let parts: Vec<(u32, u32)> = self
            .nodes
            .iter()
            .flat_map(|(node, _)| self.all_outward(node).map(move |link| (node, link)))
            .filter(|(_, link)| link.tag.kind() == contains)
            .map(|(node, link)| (node, link.node))
            .collect();
        kosaraju_scc(&DiGraph::<(), ()>::from_edges(parts))
            .into_iter()
            .filter(|circle| circle.len() > 1)
            .map(|circle| {
                let ids = circle.iter().map(|node: &NodeIndex| self.nodes.at(node.index() as u32).id);
                let mut members: Vec<CiId> = ids.collect();
                members.sort_unstable();
                Flaw::ContainmentCircle { members }
            })
            .collect()
    }
}
