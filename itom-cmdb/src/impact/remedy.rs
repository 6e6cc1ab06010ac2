//! What would remove a single point of failure, tried out before it is said.

use std::collections::BTreeSet;
use std::fmt;

use itom_core::{CiId, RelationKind};

use super::{GraphChange, ImpactOptions, ImpactScratch};
use crate::graph::{Flow, Gate, RelationGraph, View, Way, walk};
use crate::impact::Marks;

/// How a point of failure could be removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RemedyKind {
    /// The dependent gets a second supplier that can stand in for this one and shares nothing with it.
    StandIn {
        /// The supplier that is not needed alone any more.
        supplier: CiId,
    },
    /// The suppliers that are there can stand in for each other: the dependent needs one less.
    Tolerate {
        /// How many of them it still needs.
        needed: u32,
        /// How many there are.
        of: u32,
    },
}

/// A change that removes a point of failure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Remedy {
    /// How many single points of failure the service has left.
    pub points_left: usize,
    /// Where the redundancy is added.
    pub dependent: CiId,
    /// For what it needs by this kind of relation.
    pub relation: RelationKind,
    /// What is added.
    pub kind: RemedyKind,
    /// The same as changes to [simulate](RelationGraph::simulate): items that are not there yet have made-up ids.
    pub changes: Vec<GraphChange>,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dependent, relation, points_left, .. } = self;
        match &self.kind {
            RemedyKind::StandIn { supplier } => {
                write!(f, "give {dependent} a second supplier beside {supplier} ({relation})")?;
            }
            RemedyKind::Tolerate { needed, of } => {
                write!(f, "let {dependent} work with {needed} of its {of} suppliers ({relation})")?;
            }
        }
        write!(f, "; {points_left} single points of failure are left")
    }
}

impl RelationGraph {
    /// Changes that keep `service` up when `point` fails, each tried by simulation: those that leave the fewest single
    /// points of failure first. At most `tries` changes are tried, nearest to the service first. Empty when `point` is no
    /// single point of failure of it, or when no one change is enough.
    #[must_use]
    pub fn remedies(&self, service: CiId, point: CiId, tries: usize) -> Vec<Remedy> {
        let (Some(start), Some(_)) = (self.node(service), self.node(point)) else { return Vec::new() };
        let failed = BTreeSet::from([point]);
        let mut scratch = ImpactScratch::default();
        let fallen: BTreeSet<CiId> =
            self.brings_down(&failed, &mut scratch).into_iter().chain([point]).collect();
        if point == service || !fallen.contains(&service) {
            return Vec::new();
        }
        let mut candidates = Vec::new();
        for (node, _) in walk(self, start, Way::Inward, None, &mut Marks::default()) {
            if fallen.contains(&self.id(node)) && self.id(node) != point {
                candidates.extend(self.candidates(node, &fallen));
            }
            if candidates.len() >= tries {
                break;
            }
        }
        let mut remedies: Vec<Remedy> = candidates
            .into_iter()
            .take(tries)
            .filter_map(|mut remedy| {
                let overlay = self.simulate(&remedy.changes).ok()?;
                let options = ImpactOptions::default();
                let impact = overlay.impact_with(&failed, &options, &mut scratch);
                if impact.down().iter().any(|hit| hit.ci == service) {
                    return None;
                }
                remedy.points_left = overlay.single_points_of_failure(service).len();
                Some(remedy)
            })
            .collect();
        remedies.sort_unstable();
        remedies
    }

    /// The changes to try at one fallen item.
    fn candidates(&self, node: u32, fallen: &BTreeSet<CiId>) -> Vec<Remedy> {
        let dependent = self.id(node);
        let mut links: Vec<(u32, CiId)> =
            self.inward_links(node).iter().map(|link| (link.tag.kind(), self.id(link.node))).collect();
        links.sort_unstable();
        links.dedup();
        let mut remedies = Vec::new();
        for group in links.chunk_by(|(a, _), (b, _)| a == b) {
            let kind = group[0].0;
            let relation = self.kind_name(kind).clone();
            let (gate, _) = self.rule_of(node, kind);
            let remedy = |kind, changes| Remedy {
                points_left: 0,
                dependent,
                relation: relation.clone(),
                kind,
                changes,
            };
            for (_, supplier) in group.iter().filter(|(_, supplier)| fallen.contains(supplier)) {
                let changes = self.stand_in(dependent, *supplier, kind, gate);
                remedies.push(remedy(RemedyKind::StandIn { supplier: *supplier }, changes));
            }
            let alike: BTreeSet<_> =
                group.iter().filter_map(|(_, supplier)| self.ci(*supplier)).map(|ci| ci.kind).collect();
            let of = group.len() as u32;
            let needed = match gate {
                Gate::All if alike.len() == 1 => of - 1,
                Gate::KOfN(needed) if *needed > 1 => (*needed).min(of) - 1,
                _ => 0,
            };
            if needed > 0 {
                let gate =
                    GraphChange::SetGate { ci: dependent, kind: relation.clone(), gate: Gate::KOfN(needed) };
                remedies.push(remedy(RemedyKind::Tolerate { needed, of }, vec![gate]));
            }
        }
        remedies
    }

    /// A group of the supplier and another in the supplier's place, of which one is enough: whatever the gate of the
    /// dependent is, it stays.
    fn stand_in(&self, dependent: CiId, supplier: CiId, kind: u32, gate: &Gate) -> Vec<GraphChange> {
        let relation = self.kind_name(kind);
        let made_up = |what: &str| {
            let [dependent, supplier] = [dependent, supplier].map(|ci| ci.to_string());
            CiId::derive(&["remedy", what, &dependent, relation.as_str(), &supplier])
        };
        let (group, other) = (made_up("group"), made_up("stand-in"));
        let flow = self.spec_of(kind).flow;
        let ends = |dependent: CiId, supplier: CiId| {
            if flow == Flow::FromTo { (supplier, dependent) } else { (dependent, supplier) }
        };
        let relate = |dependent: CiId, supplier: CiId| {
            let (from, to) = ends(dependent, supplier);
            GraphChange::Relate { kind: relation.clone(), from, to }
        };
        let mut changes = vec![GraphChange::AddCi(group), GraphChange::AddCi(other)];
        // Where each needs the other, the relation may read either way.
        for (from, to) in [ends(dependent, supplier), ends(supplier, dependent)] {
            if self.related(relation, from, to)
                && (flow == Flow::Both || (from, to) == ends(dependent, supplier))
            {
                changes.push(GraphChange::Unrelate { kind: relation.clone(), from, to });
            }
        }
        changes.extend([
            relate(dependent, group),
            relate(group, supplier),
            relate(group, other),
            GraphChange::SetGate { ci: group, kind: relation.clone(), gate: Gate::Any },
        ]);
        if let Gate::Weighted { threshold, weights } = gate {
            let mut weights = weights.clone();
            if let Some(weight) = weights.remove(&supplier) {
                weights.insert(group, weight);
            }
            let gate = Gate::Weighted { threshold: *threshold, weights };
            changes.push(GraphChange::SetGate { ci: dependent, kind: relation.clone(), gate });
        }
        changes
    }
}
