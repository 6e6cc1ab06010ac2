//! Rule groups made in Rust instead of read from a file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use itom_core::{LabelName, RuleExpression, Text};

use super::document::Place;
use super::file::{Alerting, GroupRule, RuleGroup, RuleKind};
use super::template::Template;

impl RuleGroup {
    /// A group without rules. File and name are its identity, and that of its alerts.
    #[must_use]
    pub fn new(file: impl Into<Text>, name: impl Into<Text>) -> Self {
        let (interval, query_offset, limit, rules) = (None, None, 0, Vec::new());
        Self { name: name.into(), file: file.into(), interval, query_offset, limit, rules }
    }

    /// Sets how often it is evaluated.
    #[must_use]
    pub const fn every(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Adds a rule behind the others.
    #[must_use]
    pub fn rule(mut self, rule: GroupRule) -> Self {
        self.rules.push(rule);
        self
    }
}

impl GroupRule {
    /// A rule whose samples are stored under a name.
    #[must_use]
    pub fn record(name: impl Into<Text>, expression: Arc<dyn RuleExpression>) -> Self {
        let (labels, kind, place) = (BTreeMap::new(), RuleKind::Recording, Place::default());
        Self { name: name.into(), expression, labels, kind, place }
    }

    /// A rule each of whose samples is an alert.
    #[must_use]
    pub fn alert(name: impl Into<Text>, expression: Arc<dyn RuleExpression>) -> Self {
        let alerting = Alerting {
            hold: Duration::ZERO,
            keep_firing_for: Duration::ZERO,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        Self { kind: RuleKind::Alerting(Box::new(alerting)), ..Self::record(name, expression) }
    }

    fn alerting_mut(&mut self) -> Option<&mut Alerting> {
        match &mut self.kind {
            RuleKind::Recording => None,
            RuleKind::Alerting(alerting) => Some(alerting),
        }
    }

    /// Sets how long an alert is pending before it fires. Recording rules do not wait.
    #[must_use]
    pub fn hold(mut self, hold: Duration) -> Self {
        if let Some(alerting) = self.alerting_mut() {
            alerting.hold = hold;
        }
        self
    }

    /// Sets how long an alert goes on firing after its series is gone. Recording rules have none.
    #[must_use]
    pub fn keep_firing_for(mut self, keep: Duration) -> Self {
        if let Some(alerting) = self.alerting_mut() {
            alerting.keep_firing_for = keep;
        }
        self
    }

    /// Sets a label; of an alert its value is a template.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub fn label(mut self, name: LabelName, value: impl Into<Text>) -> Result<Self, String> {
        let (value, alert): (Text, Text) = (value.into(), self.name.clone());
        if let Some(alerting) = self.alerting_mut() {
            alerting.labels.insert(name.clone(), Template::parse(&alert, &value)?);
        }
        self.labels.insert(name, value);
        Ok(self)
    }

    /// Sets an annotation, a template. Recording rules have none.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub fn annotation(mut self, name: LabelName, text: &str) -> Result<Self, String> {
        let alert = self.name.clone();
        if let Some(alerting) = self.alerting_mut() {
            alerting.annotations.insert(name, Template::parse(&alert, text)?);
        }
        Ok(self)
    }
}
