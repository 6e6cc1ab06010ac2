//! How risky a change is: what it can break, how little stands behind it, how restless it was lately, and how changes of
//! it went before.
//!
//! `risk = 100 × consequence × likelihood`, each between 0 and 1:
//!
//! * **consequence** = reach × (¼ + ¾ × exposure). *Reach* grows with the logarithm of how many services and items go
//!   down when the changed items fail. *Exposure* is 1 where a service goes down, and less the more redundancy is left.
//! * **likelihood** = 1 − (1 − record) × (1 − restlessness ⁄ 2). *Record* is the share of changes that failed, with one
//!   failure in five assumed before anything is known. *Restlessness* is how often it changed lately: 1 − ½^(changes ⁄ 4).
//!
//! Every factor says its reason. The numbers rank; they are no probabilities.
//!
//! ```
//! use itom_cmdb::graph::{RelationGraph, RelationModel};
//! use itom_cmdb::risk::{ChangeRecord, RiskQuestion};
//! use itom_core::{CiId, kind, relation};
//!
//! let [web, db, cache] = ["web", "db", "cache"].map(|name| CiId::derive(&[name]));
//! let mut graph = RelationGraph::new(RelationModel::default());
//! for ci in [web, db, cache] {
//!     graph.upsert_ci(ci, kind::SERVICE, "x")?;
//! }
//! graph.relate(relation::DEPENDS_ON, web, db)?;
//! let question = RiskQuestion::new(&graph, [web]);
//! let ranked = question.rank([db, cache], &|ci| ChangeRecord { recent: 3.0, failed: 0, made: u32::from(ci == db) });
//! assert_eq!(ranked[0].items, [db], "the database first: a service stands on it");
//! # Ok::<(), itom_cmdb::graph::GraphError>(())
//! ```

mod effect;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use itom_core::{CiId, Text};

use crate::graph::RelationGraph;
use crate::impact::{ImpactOptions, ImpactScratch};

pub use effect::{ChangeEffect, PointChange};
pub use record::RecentChanges;

/// How changes of an item went.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ChangeRecord {
    /// How often it changed lately; older changes may count less than one.
    pub recent: f64,
    /// How many changes of it failed or caused an incident.
    pub failed: u32,
    /// How many changes of it were made.
    pub made: u32,
}

/// Who knows how changes of items went: a change log, a ticket system.
pub trait ChangeHistory {
    /// The record of an item; the default when nothing is known.
    fn record(&self, ci: CiId) -> ChangeRecord;
}

impl<F: Fn(CiId) -> ChangeRecord> ChangeHistory for F {
    fn record(&self, ci: CiId) -> ChangeRecord {
        self(ci)
    }
}

/// One factor of a risk.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Factor {
    /// Between 0 (calm) and 1.
    pub value: f64,
    /// Why.
    pub reason: Text,
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}: {}", self.value, self.reason)
    }
}

/// How risky a change is, and why.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ChangeRisk {
    /// What is changed, sorted.
    pub items: Vec<CiId>,
    /// From 0 to 100.
    pub score: f64,
    /// How much goes down when the changed items fail.
    pub reach: Factor,
    /// How little stands behind it.
    pub exposure: Factor,
    /// How often it changed lately.
    pub restlessness: Factor,
    /// How changes of it went.
    pub record: Factor,
    /// The services that go down when the changed items fail, nearest first.
    pub services: Vec<CiId>,
}

/// A graph, and the services that matter.
#[derive(Debug, Clone)]
pub struct RiskQuestion<'g> {
    graph: &'g RelationGraph,
    services: BTreeSet<CiId>,
}

impl<'g> RiskQuestion<'g> {
    /// About these services.
    #[must_use]
    pub fn new(graph: &'g RelationGraph, services: impl IntoIterator<Item = CiId>) -> Self {
        Self { graph, services: services.into_iter().filter(|ci| graph.contains(*ci)).collect() }
    }

    /// The risk of each of these items by itself, highest first, then by id. Items that are not in the graph are left
    /// out.
    #[must_use]
    pub fn rank(&self, cis: impl IntoIterator<Item = CiId>, history: &impl ChangeHistory) -> Vec<ChangeRisk> {
        let cis: BTreeSet<CiId> = cis.into_iter().filter(|ci| self.graph.contains(*ci)).collect();
        let mut scratch = ImpactScratch::default();
        let mut all: Vec<ChangeRisk> =
            cis.into_iter().map(|ci| self.risk_with(&BTreeSet::from([ci]), history, &mut scratch)).collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.items.cmp(&b.items)));
        all
    }

    /// The risk of changing these items together: as if all of them failed at once.
    #[must_use]
    pub fn risk(&self, cis: &BTreeSet<CiId>, history: &impl ChangeHistory) -> ChangeRisk {
        self.risk_with(cis, history, &mut ImpactScratch::default())
    }

    fn risk_with(
        &self,
        cis: &BTreeSet<CiId>,
        history: &impl ChangeHistory,
        scratch: &mut ImpactScratch,
    ) -> ChangeRisk {
        let down = self.graph.brings_down(cis, scratch);
        let services: Vec<CiId> =
            cis.iter().chain(&down).copied().filter(|ci| self.services.contains(ci)).collect();
        let reach = self.reach(down.len(), services.len());
        let exposure = self.exposure(cis, &services, scratch);
        let (restlessness, record) = of_history(cis, history);
        let consequence = reach.value * (0.25 + 0.75 * exposure.value);
        let likelihood = 1.0 - (1.0 - record.value) * (1.0 - restlessness.value / 2.0);
        ChangeRisk {
            items: cis.iter().copied().collect(),
            score: 100.0 * consequence * likelihood,
            reach,
            exposure,
            restlessness,
            record,
            services,
        }
    }

    fn reach(&self, down: usize, services: usize) -> Factor {
        let share = |part: usize, whole: usize| (part as f64).ln_1p() / (whole.max(1) as f64).ln_1p();
        let by_items = share(down, self.graph.ci_count());
        let by_services = if services == 0 { 0.0 } else { 0.5 + 0.5 * share(services, self.services.len()) };
        let reason =
            format!("{down} items and {services} of {} services go down when it fails", self.services.len());
        Factor { value: by_items.max(by_services).min(1.0), reason: reason.into() }
    }

    fn exposure(&self, cis: &BTreeSet<CiId>, services: &[CiId], scratch: &mut ImpactScratch) -> Factor {
        if !services.is_empty() {
            let reason = format!("nothing stands in for it: {} services need it", services.len());
            return Factor { value: 1.0, reason: reason.into() };
        }
        let impact = self.graph.impact_with(cis, &ImpactOptions::default(), scratch);
        if let Some(least) = impact.redundancy_lost().iter().min_by_key(|lost| (lost.margin(), lost.ci)) {
            let reason = format!(
                "{} redundant groups lose something; {} is left with {} where {} must stand",
                impact.redundancy_lost().len(),
                least.ci,
                least.standing,
                least.needed,
            );
            let value = 0.75 / (1.0 + least.margin() as f64);
            return Factor { value, reason: reason.into() };
        }
        let value = if impact.down().is_empty() { 0.0 } else { 0.5 };
        Factor { value, reason: "no service and no redundant group notices its failure".into() }
    }
}

/// Of several items, the most restless one, and their records together.
fn of_history(cis: &BTreeSet<CiId>, history: &impl ChangeHistory) -> (Factor, Factor) {
    let (mut recent, mut failed, mut made) = (0.0_f64, 0_u64, 0_u64);
    for ci in cis {
        let record = history.record(*ci);
        recent = recent.max(if record.recent.is_finite() { record.recent.max(0.0) } else { 0.0 });
        failed += u64::from(record.failed.min(record.made));
        made += u64::from(record.made);
    }
    let restlessness = Factor {
        value: 1.0 - 0.5_f64.powf(recent / 4.0),
        reason: format!("it changed {recent:.1} times lately").into(),
    };
    let record = Factor {
        value: (failed as f64 + 1.0) / (made as f64 + 5.0),
        reason: if made == 0 {
            "no change of it is on record".into()
        } else {
            format!("{failed} of {made} changes of it failed").into()
        },
    };
    (restlessness, record)
}
