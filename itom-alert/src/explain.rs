//! Why: data for each alert about why it fired, why nobody was told, and who would have been.

use std::collections::BTreeMap;

use itom_core::{AlertId, CiId, Severity, Text, Timestamp};
use serde::Serialize;

use crate::life::{Alert, ConditionState};
use crate::notify::{Notice, NoticeKind};
use crate::outbox::{Outbox, Receiver};
use crate::suppress::Cause;

/// Why an alert is as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The alert.
    pub alert: AlertId,
    /// What its rule says.
    pub state: ConditionState,
    /// Since when.
    pub since: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// The condition in words.
    pub condition: Text,
    /// The number compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What was read.
    pub readings: Vec<Text>,
    /// Why it cannot be said, while it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Text>,
    /// Why nobody is told (or, for flapping, not of every change).
    pub hidden_by: Vec<CauseText>,
    /// Receivers that were told of this episode, or are about to be.
    pub told: Vec<Text>,
    /// Receivers that would be told if nothing hid it.
    pub would_tell: Vec<Text>,
}

/// One cause, as data and in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CauseText {
    /// The cause.
    pub cause: Cause,
    /// In words, with names as far as known.
    pub text: Text,
}

/// Names of items, as far as known.
pub(crate) type Names = BTreeMap<CiId, Text>;

pub(crate) fn cause_text(
    cause: &Cause,
    names: &Names,
    alert_of: impl Fn(AlertId) -> Option<Text>,
) -> CauseText {
    let ci = |id: &CiId| names.get(id).map_or_else(|| id.to_string(), ToString::to_string);
    let text = match cause {
        Cause::Unreachable { by } => format!("{}, which it depends on, is down", ci(by)),
        Cause::Inhibited { by, rule } => {
            let by = alert_of(*by).map_or_else(|| by.to_string(), |text| format!("`{text}`"));
            format!("inhibit rule `{rule}`, because of {by}")
        }
        Cause::Silenced { silence, by } => format!("silence `{silence}` by {by}"),
        Cause::InWindow { window } => format!("maintenance window `{window}`"),
        Cause::Settling { by, until } => {
            format!("{}, which it depends on, may be about to go down: waiting until {until}", ci(by))
        }
        Cause::Snoozed { by, until } => format!("snoozed by {by} until {until}"),
        Cause::Shelved { by } => format!("shelved by {by}"),
        Cause::Flapping => "it changes too often: changes are not told until it calms down".to_owned(),
    };
    CauseText { cause: cause.clone(), text: text.into() }
}

pub(crate) fn explain(
    alert: &Alert,
    names: &Names,
    outbox: &Outbox,
    alert_of: impl Fn(AlertId) -> Option<Text>,
) -> Explanation {
    let mut told = Vec::new();
    let mut would_tell = Vec::new();
    if let Some(episode) = &alert.episode {
        let key = Notice::episode_key(alert.id, episode.opened_at);
        told.extend(
            outbox.intents().filter(|intent| intent.episode == key).map(|intent| intent.receiver.clone()),
        );
        let notice = Notice::of(alert, episode.opened_at, NoticeKind::Open, episode.opened_at);
        would_tell.extend(
            outbox.receivers().iter().filter(|receiver| receiver.wants(&notice)).map(Receiver::name).cloned(),
        );
    }
    Explanation {
        alert: alert.id,
        state: alert.condition,
        since: alert.since,
        severity: alert.severity,
        condition: alert.evidence.condition.clone(),
        value: alert.evidence.value,
        readings: alert.evidence.readings.clone(),
        trouble: alert.trouble.clone(),
        hidden_by: alert.causes.iter().map(|cause| cause_text(cause, names, &alert_of)).collect(),
        told,
        would_tell,
    }
}
