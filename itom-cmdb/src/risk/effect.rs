//! What a set of changes would do: to the services now, and to what they stand on.

use std::collections::BTreeSet;

use itom_core::CiId;

use super::RiskQuestion;
use crate::graph::GraphError;
use crate::impact::GraphChange;

/// A single point of failure that a service would get or lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PointChange {
    /// The service.
    pub service: CiId,
    /// The item whose failure alone brings, or brought, the service down.
    pub point: CiId,
}

/// What changes would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct ChangeEffect {
    /// Services that go down when the items that are taken away fail first, as they do when somebody pulls the plug:
    /// nearest first.
    pub down_meanwhile: Vec<CiId>,
    /// Single points of failure that services would get, sorted.
    pub new_points: Vec<PointChange>,
    /// Single points of failure that services would lose, sorted.
    pub removed_points: Vec<PointChange>,
    /// Services that would be needed by something that is left, and are not there any more, sorted.
    pub removed_services: Vec<CiId>,
    /// How many services the changes touch, directly or through others.
    pub touched_services: usize,
    /// How many of them were not looked at because of the limit.
    pub not_looked_at: usize,
}

impl RiskQuestion<'_> {
    /// Simulates changes. Of the services that the changes touch at most `most` are compared, those with the smallest
    /// ids.
    ///
    /// # Errors
    /// [`GraphError`] for the first change that could not be made.
    pub fn simulate(&self, changes: &[GraphChange], most: usize) -> Result<ChangeEffect, GraphError> {
        let overlay = self.graph.simulate(changes)?;
        let mut touched = BTreeSet::new();
        let mut taken_away = BTreeSet::new();
        for change in changes {
            match change {
                GraphChange::AddCi(ci) => drop(touched.insert(*ci)),
                GraphChange::RemoveCi(ci) => {
                    touched.insert(*ci);
                    taken_away.insert(*ci);
                }
                GraphChange::Relate { from, to, .. } | GraphChange::Unrelate { from, to, .. } => {
                    touched.extend([*from, *to]);
                }
                GraphChange::SetGate { ci, .. } => drop(touched.insert(*ci)),
            }
        }
        let mut services: BTreeSet<CiId> = BTreeSet::new();
        for ci in &touched {
            let around =
                std::iter::once(*ci).chain(self.graph.dependents(*ci)).chain(overlay.dependents(*ci));
            services.extend(around.filter(|ci| self.services.contains(ci)));
        }
        let mut effect = ChangeEffect {
            touched_services: services.len(),
            not_looked_at: services.len().saturating_sub(most),
            ..ChangeEffect::default()
        };
        let meanwhile = self.graph.impact(&taken_away);
        effect.down_meanwhile = meanwhile
            .down()
            .iter()
            .map(|hit| hit.ci)
            .filter(|ci| self.services.contains(ci) && !taken_away.contains(ci))
            .collect();
        effect.removed_services = services.intersection(&taken_away).copied().collect();
        for service in services.into_iter().take(most).filter(|service| !taken_away.contains(service)) {
            let before: BTreeSet<CiId> = self.graph.single_points_of_failure(service).into_iter().collect();
            let after: BTreeSet<CiId> = overlay.single_points_of_failure(service).into_iter().collect();
            let each = |points: &BTreeSet<CiId>, others: &BTreeSet<CiId>| {
                points
                    .difference(others)
                    .map(|point| PointChange { service, point: *point })
                    .collect::<Vec<_>>()
            };
            effect.new_points.extend(each(&after, &before));
            effect.removed_points.extend(each(&before, &after));
        }
        Ok(effect)
    }
}
