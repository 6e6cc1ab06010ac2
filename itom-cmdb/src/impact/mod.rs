//! What a failure brings down, why, and what would have to fail for that.
//!
//! Every item is up, degraded or down. A failure travels along the relations that carry it
//! ([`RelationModel`](crate::graph::RelationModel)) and through the gates of the items that need each other. The answer
//! is the least fixed point of these rules: it is unique, also where items need each other in circles, and a further
//! failure never makes it smaller.
//!
//! A distance counts rounds: an item with distance 3 falls once what fell in rounds 1 and 2 is gone. An item that is
//! first degraded and then down is reported down only.

mod answer;
mod blame;
mod felled;
mod fixpoint;
mod lanes;
mod live;
mod marks;
mod overlay;
mod points;
mod remedy;
mod snapshot;
mod weak_points;

#[cfg(test)]
pub(crate) mod naive;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;

use itom_core::CiId;

pub use answer::{Affected, Cause, Impact, ImpactOptions, LostRedundancy};
pub use fixpoint::ImpactScratch;
pub use live::{HealthState, ItemHealth, LiveImpact, Redundancy, Turn};
pub use overlay::{GraphChange, Overlay};
pub use remedy::{Remedy, RemedyKind};
pub use weak_points::{Exposure, PairOptions, WeakPair, WeakPairs, WeakPoint, WeakPoints};

pub(crate) use blame::brought_down_by;
pub(crate) use marks::Marks;

use crate::graph::RelationGraph;

impl RelationGraph {
    /// What the failure of these items brings down or degrades, and where redundancy is lost. Items that are not in the
    /// graph are listed as [unknown](Impact::unknown).
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

    /// The ids only of what goes down, sorted by distance, then id: several times cheaper than
    /// [`impact`](Self::impact) where thousands are hit.
    #[must_use]
    pub fn brings_down(&self, failed: &BTreeSet<CiId>, scratch: &mut ImpactScratch) -> Vec<CiId> {
        answer::brings_down(self, failed, scratch)
    }

    /// How many items go down, the failed ones not counted.
    #[must_use]
    pub fn brings_down_count(&self, failed: &BTreeSet<CiId>, scratch: &mut ImpactScratch) -> usize {
        answer::brings_down_count(self, failed, scratch)
    }

    /// Every item whose failure alone brings `service` down, nearest first, then by id; `service` itself is not listed.
    /// Exact for every gate and in circles.
    #[must_use]
    pub fn single_points_of_failure(&self, service: CiId) -> Vec<CiId> {
        points::single_points_of_failure(self, service)
    }

    /// Which of the failed items bring `ci` down: empty when it would still stand, never `ci` itself, sorted by id.
    ///
    /// An item is named when its failure takes part in some chain of falls that ends at `ci`; of redundant items all are
    /// named. Every failed item that would be enough alone is named, and the named ones together are always enough.
    /// Where dependencies run in a circle, an item may be named that only fell along.
    #[must_use]
    pub fn brought_down_by(&self, ci: CiId, failed: &BTreeSet<CiId>) -> Vec<CiId> {
        blame::brought_down_by(self, ci, failed)
    }

    /// The graph as it would be after these changes, to ask the same questions. Costs what the changes cost; the graph
    /// itself is neither copied nor changed.
    ///
    /// # Errors
    /// [`GraphError`](crate::graph::GraphError) for the first change that could not be made.
    pub fn simulate(&self, changes: &[GraphChange]) -> Result<Overlay<'_>, crate::graph::GraphError> {
        Overlay::new(self, changes)
    }
}
