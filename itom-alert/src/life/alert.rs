//! One alert and its four axes.

use std::collections::BTreeSet;

use itom_core::{AlertId, Labels, Severity, Text, Timestamp};
use serde::{Deserialize, Serialize};

use super::Flap;
use crate::rule::{Evidence, Instance};
use crate::suppress::Cause;

/// The first axis: what the rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConditionState {
    /// Clear.
    Normal,
    /// It holds, not yet for long enough.
    Pending,
    /// It holds.
    Firing,
    /// It is clear, not yet for long enough.
    Recovering,
    /// There is no data. An alert that was open stays open.
    NoData,
    /// It cannot be evaluated. An alert that was open stays open.
    Error,
}

/// The third axis: what an operator said. It ends with the alert, except for shelving.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperatorState {
    /// Nobody has looked yet.
    #[default]
    Unacknowledged,
    /// Somebody knows.
    Acknowledged {
        /// Who.
        by: Text,
        /// When.
        at: Timestamp,
    },
    /// Somebody works on it.
    Assigned {
        /// Who works on it.
        to: Text,
        /// Who said so.
        by: Text,
    },
    /// Not now.
    Snoozed {
        /// Until when.
        until: Timestamp,
        /// Who said so.
        by: Text,
    },
    /// Not at all, until it is taken out again.
    Shelved {
        /// Who said so.
        by: Text,
    },
}

/// Why an alert ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// The condition is clear.
    Recovered,
    /// There was no data (or only errors) for so long that nobody believes it any more.
    Abandoned,
    /// The rule is gone.
    RuleRemoved,
    /// An operator closed it.
    Closed,
}

/// One stretch from open to close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Episode {
    /// When it opened; with the alert's id it identifies the episode.
    pub opened_at: Timestamp,
    /// Whether receivers were told (the fourth axis is kept per receiver by the outbox).
    pub announced: bool,
    /// The worst severity so far.
    pub worst: Severity,
}

/// One instance of one rule: identified by rule, labels and item, never by a text made for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Alert {
    /// Its id, derived from rule, labels and item.
    pub id: AlertId,
    /// The rule.
    pub rule: Text,
    /// What it is about.
    pub instance: Instance,
    /// The labels of instance and rule, and `alertname`.
    pub labels: Labels,
    /// The item's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_name: Option<Text>,
    /// The item's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_kind: Option<Text>,
    /// The first axis.
    pub condition: ConditionState,
    /// Since when.
    pub since: Timestamp,
    /// How bad it is; `Cleared` when it neither is open nor pending.
    pub severity: Severity,
    /// The second axis: why nobody is told. Empty means visible.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub causes: BTreeSet<Cause>,
    /// The third axis.
    #[serde(default)]
    pub operator: OperatorState,
    /// The open episode, if it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode: Option<Episode>,
    /// What was read last.
    #[serde(default)]
    pub evidence: Evidence,
    /// Why it cannot be said, while it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Text>,
    /// One line for people.
    pub summary: Text,
    /// More lines for people.
    #[serde(default)]
    pub description: Text,
    /// Where it says what to do.
    #[serde(default)]
    pub runbook_url: Text,
    /// The changes among the last results.
    #[serde(default)]
    pub flap: Flap,
    /// Whether it changes too often.
    #[serde(default)]
    pub flapping: bool,
    /// When it was last evaluated with a result, or anything else happened to it.
    pub touched: Timestamp,
    /// Whether an open alert says that its item is down.
    #[serde(default)]
    pub takes_down: bool,
    /// The severity the condition last held at: `None` when it was clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<Severity>,
    /// Whether something changed that receivers have not heard of.
    #[serde(default)]
    pub(crate) untold: bool,
}

impl Alert {
    /// The id of the alert of a rule about an instance.
    #[must_use]
    pub fn id_of(rule: &str, instance: &Instance) -> AlertId {
        let labels = instance.labels.to_string();
        let ci = instance.ci.map(|ci| ci.to_string()).unwrap_or_default();
        AlertId::derive(&[rule, &labels, &ci])
    }

    /// Whether it is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.episode.is_some()
    }

    /// Whether it is open and hidden.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.causes.iter().any(Cause::hides)
    }
}

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperatorAction {
    /// Knows of it.
    Acknowledge,
    /// Takes acknowledgement, assignment, snooze or shelving back.
    Reset,
    /// Gives it to somebody.
    Assign {
        /// To whom.
        to: Text,
    },
    /// Puts it off.
    Snooze {
        /// Until when.
        until: Timestamp,
    },
    /// Puts it away until [`Reset`](Self::Reset).
    Shelve,
    /// Ends it. If the condition still holds at the next evaluation, it opens again as a new episode.
    Close,
}

/// Something that happened to an alert: for history and for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// The alert.
    pub alert: AlertId,
    /// Its rule.
    pub rule: Text,
    /// What it is about.
    pub instance: Instance,
    /// What happened.
    pub change: TransitionKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TransitionKind {
    /// The condition changed.
    Condition {
        /// Before.
        from: ConditionState,
        /// After.
        to: ConditionState,
        /// How bad it is now.
        severity: Severity,
    },
    /// It is as it was, at another severity.
    Severity {
        /// Before.
        from: Severity,
        /// After.
        to: Severity,
    },
    /// It opened.
    Opened {
        /// How bad it is.
        severity: Severity,
    },
    /// It ended.
    Ended {
        /// Why.
        ending: Ending,
    },
    /// The causes why nobody is told changed.
    Visibility {
        /// All causes now; empty means visible.
        causes: BTreeSet<Cause>,
    },
    /// An operator did something.
    Operator {
        /// Who.
        by: Text,
        /// What.
        action: OperatorAction,
    },
    /// It began (or ceased) to change too often.
    Flapping {
        /// How much, in percent, rounded.
        percent: u8,
        /// Whether it flaps now.
        #[serde(rename = "now")]
        flapping: bool,
    },
}
