//! What the engine's rule set says beside how to derive: how failure travels, and what is expected of items.

use std::sync::{Arc, Mutex, PoisonError};

use itom_cmdb::View;
use itom_cmdb::graph::RelationModel;
use itom_cmdb::health::{Health, HealthReport, HealthRules};
use itom_cmdb::ruleset::{Misfit, RuleSet};
use itom_core::Timestamp;

/// The rules about items and relations that the engine goes by.
#[derive(Debug)]
pub(super) struct Model {
    rules: Option<Arc<RuleSet>>,
    relations: RelationModel,
    /// Follows the views it is asked about, at the cost of what changed in between.
    health: Mutex<Health>,
}

impl Model {
    /// That of a rule set; without one, the defaults.
    pub(super) fn new(rules: Option<Arc<RuleSet>>) -> Self {
        let (relations, health) = match rules.as_deref() {
            Some(rules) => (rules.relation_model(), HealthRules::from(rules)),
            None => (RelationModel::default(), HealthRules::default()),
        };
        Self { rules, relations, health: Mutex::new(Health::new(health)) }
    }

    pub(super) const fn rules(&self) -> Option<&Arc<RuleSet>> {
        self.rules.as_ref()
    }

    pub(super) fn relations(&self) -> RelationModel {
        self.relations.clone()
    }

    pub(super) fn health(&self, view: &View, now: Timestamp, list: usize) -> HealthReport {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.update(view);
        health.report(now, list)
    }

    pub(super) fn misfits(&self, view: &View) -> Vec<Misfit> {
        self.rules.as_ref().map_or_else(Vec::new, |rules| rules.misfits(view))
    }
}
