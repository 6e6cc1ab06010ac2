//! Rules as data, compiled once and then unable to fail structurally.
//!
//! A [`Rule`] is what people write (in Rust or JSON, [`parse_rules`]); [`Rule::compile`] checks all of it and gives a
//! [`CompiledRule`]; [`CompiledRule::evaluate`] is a pure function of what the [`Ports`] show at a time.

mod compile;
mod condition;
mod evaluate;
mod file;
mod pack;
pub(crate) mod reduce;
pub(crate) mod template;
#[cfg(test)]
mod tests;

use std::time::Duration;

use itom_core::time::serde_duration;
use itom_core::{LabelName, Labels, NameError, Severity, Text};
use serde::{Deserialize, Serialize};

pub use compile::{CompiledRule, RuleError};
pub use condition::{
    Absent, AbsentOf, Across, AcrossOp, ChangeCheck, ChangeOf, Combination, Compare, Condition,
    ExpressionCheck, Level, Query, Ratio, Reduce, Signal, StateCheck, Test, Threshold,
};
pub use evaluate::{Evidence, Instance, Outcome, Ports, Told, Verdict};
pub use file::{MAX_RULES_BYTES, parse_rules, rules_to_json};
pub use pack::default_rules;

/// What becomes of an alert when there is no data, or evaluation fails. Missing data is not recovery: only
/// [`Resolve`](Self::Resolve), chosen on purpose, makes it one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissingPolicy {
    /// The condition says so (`no_data`, `error`); an open alert stays open.
    #[default]
    Unknown,
    /// The condition stays what it was; a running `for` stands still.
    Keep,
    /// As if the condition held at the rule's own severity.
    Fire,
    /// As if the condition were clear.
    Resolve,
}

/// What an open alert says about the item it is on, for those that depend on the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// The item is down while the alert is critical.
    #[default]
    BySeverity,
    /// The item is down whatever the severity.
    Down,
    /// The item stands, whatever the severity.
    None,
}

/// A rule, as people write it. [`compile`](Self::compile) checks it.
///
/// ```
/// use std::time::Duration;
/// use itom_alert::rule::{Compare, Condition, Level, Query, Reduce, Rule};
/// use itom_core::{MetricName, Selector, Severity};
///
/// let load = Query::new(
///     Selector::new(MetricName::new("node_load5")?),
///     Reduce::Last,
///     Duration::from_secs(300),
/// );
/// let rule = Rule::new("load", Condition::threshold(load, [Level::new(Severity::Warning, Compare::Above, 8.0)]))
///     .hold_for(Duration::from_secs(600))
///     .summary("{{ci.name}} has a load of {{value}}");
/// assert!(rule.compile(None).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub(crate) name: Text,
    pub(crate) condition: Condition,
    #[serde(default = "default_severity")]
    pub(crate) severity: Severity,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub(crate) labels: Labels,
    #[serde(default, skip_serializing_if = "empty")]
    pub(crate) summary: Text,
    #[serde(default, skip_serializing_if = "empty")]
    pub(crate) description: Text,
    #[serde(default, skip_serializing_if = "empty")]
    pub(crate) runbook_url: Text,
    #[serde(rename = "for", default, with = "serde_duration", skip_serializing_if = "Duration::is_zero")]
    pub(crate) hold: Duration,
    #[serde(default, with = "serde_duration", skip_serializing_if = "Duration::is_zero")]
    pub(crate) keep_firing_for: Duration,
    #[serde(default = "default_interval", with = "serde_duration")]
    pub(crate) interval: Duration,
    #[serde(default)]
    pub(crate) no_data: MissingPolicy,
    #[serde(default)]
    pub(crate) on_error: MissingPolicy,
    #[serde(default)]
    pub(crate) effect: Effect,
}

const fn default_severity() -> Severity {
    Severity::Warning
}
const fn default_interval() -> Duration {
    Duration::from_secs(60)
}
fn empty(text: &Text) -> bool {
    text.is_empty()
}
const EMPTY: Text = Text::literal("");

impl Rule {
    /// A rule of severity warning, evaluated every minute, that fires at once.
    #[must_use]
    pub fn new(name: impl Into<Text>, condition: Condition) -> Self {
        Self {
            name: name.into(),
            condition,
            severity: default_severity(),
            labels: Labels::empty(),
            summary: EMPTY,
            description: EMPTY,
            runbook_url: EMPTY,
            hold: Duration::ZERO,
            keep_firing_for: Duration::ZERO,
            interval: default_interval(),
            no_data: MissingPolicy::default(),
            on_error: MissingPolicy::default(),
            effect: Effect::default(),
        }
    }

    /// How bad it is where the condition has no levels of its own.
    #[must_use]
    pub const fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Adds a label to every alert of the rule. It takes no part in the identity of alerts.
    ///
    /// # Errors
    /// [`NameError`] when `name` is not a label name.
    pub fn label(mut self, name: &str, value: impl Into<Text>) -> Result<Self, NameError> {
        self.labels = self.labels.to_builder().set(LabelName::new(name)?, value).build();
        Ok(self)
    }

    /// One line for people, with placeholders such as `{{ci.name}}`, `{{value.percent}}`, `{{labels.device}}`.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<Text>) -> Self {
        self.summary = summary.into();
        self
    }

    /// More lines for people, with the same placeholders.
    #[must_use]
    pub fn description(mut self, description: impl Into<Text>) -> Self {
        self.description = description.into();
        self
    }

    /// Where it says what to do: an `http` or `https` address.
    #[must_use]
    pub fn runbook_url(mut self, url: impl Into<Text>) -> Self {
        self.runbook_url = url.into();
        self
    }

    /// How long the condition must hold before the alert fires (`for`).
    #[must_use]
    pub const fn hold_for(mut self, span: Duration) -> Self {
        self.hold = span;
        self
    }

    /// How long the alert goes on firing after the condition is clear.
    #[must_use]
    pub const fn keep_firing_for(mut self, span: Duration) -> Self {
        self.keep_firing_for = span;
        self
    }

    /// How often it is evaluated.
    #[must_use]
    pub const fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// What becomes of an alert without data.
    #[must_use]
    pub const fn no_data(mut self, policy: MissingPolicy) -> Self {
        self.no_data = policy;
        self
    }

    /// What becomes of an alert whose evaluation fails.
    #[must_use]
    pub const fn on_error(mut self, policy: MissingPolicy) -> Self {
        self.on_error = policy;
        self
    }

    /// What an open alert says about its item.
    #[must_use]
    pub const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// What it looks for.
    #[must_use]
    pub const fn condition(&self) -> &Condition {
        &self.condition
    }

    /// How often it is evaluated.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }
}
