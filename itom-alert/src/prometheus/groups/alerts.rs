//! The alerts of one rule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use itom_core::{CiId, LabelName, Labels, SampleValue, Text, Timestamp, WrittenSample};

use super::contract::Found;
use crate::prometheus::Alerting;

/// How long a resolved alert is remembered and handed on again.
const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// What an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// It was pending or firing and is over.
    Inactive,
    /// Its condition holds, not yet for long enough.
    Pending,
    /// Its condition holds (or held so lately that it is kept firing).
    Firing,
}

impl AlertState {
    /// Its name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// One alert of a rule.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupAlert {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// The item it is about, as far as known.
    pub subject: Option<CiId>,
    /// Its annotations as of the last time its condition held.
    pub annotations: BTreeMap<LabelName, Text>,
    /// The value as of the last time its condition held.
    pub value: SampleValue,
    /// What it is.
    pub state: AlertState,
    /// Since when its condition holds.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Option<Timestamp>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// Since when it only goes on firing because of `keep_firing_for`.
    pub keep_firing_since: Option<Timestamp>,
    /// When it was last handed on.
    pub last_sent_at: Option<Timestamp>,
    /// Until when whoever it was handed on to may believe it.
    pub valid_until: Option<Timestamp>,
}

/// The alerts of a rule, by their labels.
pub(super) type Active = BTreeMap<Labels, GroupAlert>;

/// Takes the samples of an evaluation in. Says how many alerts are pending or firing.
pub(super) fn advance(active: &mut Active, rule: &Alerting, found: Vec<Found>, now: Timestamp) -> usize {
    let mut present = BTreeSet::new();
    for Found { labels, subject, value, annotations } in found {
        present.insert(labels.clone());
        match active.get_mut(&labels).filter(|alert| alert.state != AlertState::Inactive) {
            Some(alert) => (alert.value, alert.annotations, alert.subject) = (value, annotations, subject),
            None => {
                drop(active.insert(labels.clone(), GroupAlert::new(labels, subject, value, annotations, now)))
            }
        }
    }
    let mut counted = 0;
    active.retain(|labels, alert| {
        if present.contains(labels) {
            alert.keep_firing_since = None;
        } else {
            let kept = alert.state == AlertState::Firing && !rule.keep_firing_for.is_zero() && {
                let since = *alert.keep_firing_since.get_or_insert(now);
                now.since(since) < rule.keep_firing_for
            };
            if !kept {
                let resolved = alert.resolved_at.unwrap_or(now);
                match alert.state {
                    AlertState::Pending => return false,
                    AlertState::Inactive if now.since(resolved) > RESOLVED_RETENTION => return false,
                    AlertState::Inactive => {}
                    AlertState::Firing => {
                        alert.state = AlertState::Inactive;
                        alert.resolved_at = Some(now);
                    }
                }
                return true;
            }
        }
        counted += 1;
        let long_enough = now.since(alert.active_at) >= rule.hold;
        match alert.state {
            AlertState::Pending if long_enough => {
                alert.state = AlertState::Firing;
                alert.fired_at = Some(now);
            }
            // `for` was raised meanwhile.
            AlertState::Firing if !long_enough => {
                alert.state = AlertState::Pending;
                (alert.fired_at, alert.last_sent_at, alert.keep_firing_since) = (None, None, None);
            }
            _ => {}
        }
        true
    });
    counted
}

impl GroupAlert {
    const fn new(
        labels: Labels,
        subject: Option<CiId>,
        value: SampleValue,
        annotations: BTreeMap<LabelName, Text>,
        now: Timestamp,
    ) -> Self {
        Self {
            labels,
            subject,
            annotations,
            value,
            state: AlertState::Pending,
            active_at: now,
            fired_at: None,
            resolved_at: None,
            keep_firing_since: None,
            last_sent_at: None,
            valid_until: None,
        }
    }

    /// The two series that say what it is and since when.
    pub(super) fn samples(&self, at: Timestamp) -> [WrittenSample; 2] {
        const NAME: LabelName = LabelName::literal("__name__");
        const STATE: LabelName = LabelName::literal("alertstate");
        let named = |name: &'static str| self.labels.to_builder().set(NAME, Text::literal(name));
        let alerts = named("ALERTS").set(STATE, Text::literal(self.state.as_str())).build();
        let state = named("ALERTS_FOR_STATE").build();
        let since = SampleValue::Float(self.active_at.as_secs() as f64);
        [WrittenSample::new(alerts, at, SampleValue::Float(1.0)), WrittenSample::new(state, at, since)]
    }

    /// Whether it is to be handed on now; if so, that is noted.
    pub(super) fn take_send(&mut self, now: Timestamp, resend: Duration, interval: Duration) -> bool {
        let due = match (self.state, self.last_sent_at) {
            (AlertState::Pending, _) => false,
            (_, None) => true,
            (_, Some(sent)) => {
                self.resolved_at.is_some_and(|resolved| resolved > sent) || sent + resend < now
            }
        };
        if due {
            self.last_sent_at = Some(now);
            self.valid_until = Some(now + 4 * interval.max(resend));
        }
        due
    }
}
