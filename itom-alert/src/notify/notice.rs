//! What a receiver gets.

use itom_core::{AlertId, CiId, Labels, Severity, Text, Timestamp};
use serde::{Deserialize, Serialize};

use crate::life::{Alert, ConditionState, Ending, OperatorState};

/// Where a notice stands in the sequence of its episode: one open, any number of updates, exactly one close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// It began.
    Open,
    /// Something about it changed.
    Update,
    /// It ended.
    Close,
}

/// What a receiver gets: a wire format, version 1.
///
/// `key` is the same for every attempt at the same notice and different for any other: a receiver that keeps keys it
/// has seen never acts twice. `episode` is the same for open, updates and close: what other systems call a deduplication
/// or incident key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notice {
    /// The version of this format.
    pub version: u8,
    /// Identifies this notice to this receiver; empty until the outbox has given it one.
    #[serde(default)]
    pub key: Text,
    /// Identifies the episode of the alert.
    pub episode: Text,
    /// Open, update or close.
    pub kind: NoticeKind,
    /// When it was made.
    pub at: Timestamp,
    /// The alert.
    pub alert: AlertId,
    /// The rule.
    pub rule: Text,
    /// How bad it is; at a close how bad it was.
    pub severity: Severity,
    /// What the rule says.
    pub condition: ConditionState,
    /// One line for people.
    pub summary: Text,
    /// More lines for people.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub description: Text,
    /// The labels.
    pub labels: Labels,
    /// The item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<CiId>,
    /// The item's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_name: Option<Text>,
    /// When the episode opened.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// The number compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Why: the condition in words, then what was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Text>,
    /// What an operator said.
    #[serde(default)]
    pub operator: OperatorState,
    /// Where it says what to do.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub runbook_url: Text,
}

fn is_empty(text: &Text) -> bool {
    text.is_empty()
}

impl Notice {
    /// The version written.
    pub const VERSION: u8 = 1;

    /// The episode key of an alert that opened at a time.
    #[must_use]
    pub fn episode_key(alert: AlertId, opened_at: Timestamp) -> Text {
        format!("{alert}@{}", opened_at.as_micros()).into()
    }

    /// What to tell about an alert as it is now.
    pub(crate) fn of(alert: &Alert, opened_at: Timestamp, kind: NoticeKind, at: Timestamp) -> Self {
        let mut reasons = Vec::with_capacity(alert.evidence.readings.len() + 2);
        if !alert.evidence.condition.is_empty() {
            reasons.push(alert.evidence.condition.clone());
        }
        reasons.extend(alert.evidence.readings.iter().cloned());
        reasons.extend(alert.trouble.clone());
        Self {
            version: Self::VERSION,
            key: Text::literal(""),
            episode: Self::episode_key(alert.id, opened_at),
            kind,
            at,
            alert: alert.id,
            rule: alert.rule.clone(),
            severity: alert.severity,
            condition: alert.condition,
            summary: alert.summary.clone(),
            description: alert.description.clone(),
            labels: alert.labels.clone(),
            ci: alert.instance.ci,
            ci_name: alert.ci_name.clone(),
            started_at: opened_at,
            ended_at: None,
            ending: None,
            value: alert.evidence.value,
            reasons,
            operator: alert.operator.clone(),
            runbook_url: alert.runbook_url.clone(),
        }
    }
}
