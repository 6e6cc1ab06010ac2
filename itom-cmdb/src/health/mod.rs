//! How good the configuration data itself is: completeness, correctness, staleness, duplicates, each with the items
//! that would mend it.
//!
//! [`HealthRules`] say what is expected of which kind. [`Health`] keeps the problems of every item current at the cost of
//! what changed, and [`Health::report`] counts them at a time.

mod report;
mod rules;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, CiKind, Text, Timestamp};

use crate::view::{Ci, View};

pub use report::{HealthReport, Measure, Problem};
pub use rules::{HealthRules, Requirement};

/// What is kept of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    /// How many attributes were asked for, required and recommended.
    asked: [u32; 2],
    problems: BTreeSet<Problem>,
    stale_at: Option<Timestamp>,
    name: Option<(CiKind, Text)>,
    wants_relations: bool,
}

/// The problems of a view that moves on.
///
/// ```
/// use itom_cmdb::health::{Health, HealthRules, Requirement};
/// use itom_cmdb::{Cmdb, CmdbConfig};
/// use itom_core::{Batch, SourceName, Timestamp, attr, kind};
///
/// let now = Timestamp::from_secs(1_700_000_000);
/// let mut batch = Batch::new(SourceName::literal("demo"), now);
/// batch.ci("web", kind::HOST).attr(attr::HOST_NAME, "web");
/// let mut cmdb = Cmdb::new(CmdbConfig::default());
/// let facts = cmdb.plan(&batch, now);
/// cmdb.ingest(facts);
///
/// let mut health = Health::new(HealthRules::empty().attribute(kind::HOST, attr::OS_VERSION, Requirement::Required));
/// health.update(&cmdb.view());
/// let report = health.report(now, 10);
/// assert_eq!((report.completeness.good, report.completeness.of), (0, 1));
/// ```
#[derive(Debug, Clone)]
pub struct Health {
    rules: HealthRules,
    view: View,
    items: BTreeMap<CiId, Standing>,
    /// Items by kind and name, for kinds whose names are unique.
    names: BTreeMap<(CiKind, Text), BTreeSet<CiId>>,
    /// When items become stale.
    stale: BTreeSet<(Timestamp, CiId)>,
}

impl Health {
    /// Nothing looked at yet.
    #[must_use]
    pub fn new(rules: HealthRules) -> Self {
        Self {
            rules,
            view: View::default(),
            items: BTreeMap::new(),
            names: BTreeMap::new(),
            stale: BTreeSet::new(),
        }
    }

    /// Looks at what changed since the view of the last call.
    pub fn update(&mut self, view: &View) {
        let differences = view.differences(&self.view);
        let mut touched: BTreeSet<CiId> = differences.items.iter().copied().collect();
        touched.extend(view.ends_of(&self.view, &view.reshaped(&self.view, &differences.relations)));
        for id in touched {
            self.forget(id);
            if let Some(ci) = view.ci(id).filter(|ci| ci.state().is_active() && !ci.is_loose_end()) {
                self.take(view, ci);
            }
        }
        self.view = view.clone();
    }

    fn forget(&mut self, id: CiId) {
        let Some(standing) = self.items.remove(&id) else { return };
        if let Some(at) = standing.stale_at {
            self.stale.remove(&(at, id));
        }
        if let Some(name) = standing.name
            && let Some(ids) = self.names.get_mut(&name)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.names.remove(&name);
            }
        }
    }

    fn take(&mut self, view: &View, ci: &Ci) {
        let standing = self.rules.look_at(view, ci);
        if let Some(at) = standing.stale_at {
            self.stale.insert((at, ci.id()));
        }
        if let Some(name) = &standing.name {
            self.names.entry(name.clone()).or_default().insert(ci.id());
        }
        self.items.insert(ci.id(), standing);
    }

    /// The problems counted at a time, each measure with at most `list` of its items.
    #[must_use]
    pub fn report(&self, now: Timestamp, list: usize) -> HealthReport {
        report::of(self, now, list)
    }

    /// The problems of one item at a time.
    #[must_use]
    pub fn of(&self, ci: CiId, now: Timestamp) -> BTreeSet<Problem> {
        let Some(standing) = self.items.get(&ci) else { return BTreeSet::new() };
        let mut problems = standing.problems.clone();
        if let Some(since) = standing.stale_at.filter(|at| *at <= now) {
            problems.insert(Problem::Stale { since });
        }
        if let Some(others) = standing.name.as_ref().and_then(|name| self.names.get(name))
            && others.len() > 1
        {
            problems
                .insert(Problem::Duplicate { of: others.iter().copied().filter(|id| *id != ci).collect() });
        }
        problems
    }
}
