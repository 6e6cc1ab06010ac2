//! What one verdict does to one alert: the transition function of the first axis.

use std::time::Duration;

use itom_core::{Severity, Text, Timestamp};

use super::alert::{Alert, ConditionState};
use crate::rule::{CompiledRule, Effect, MissingPolicy, Verdict};

/// What to do with the condition once policies are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Holds(Severity),
    /// It holds, and whoever judged says: not for long enough.
    Waits(Severity),
    Clear,
    Keep,
    Unknown(ConditionState, Option<Text>),
}

/// Applies the policies for missing data and errors.
pub(super) fn judge(rule: &CompiledRule, verdict: &Verdict) -> Step {
    let (policy, state, reason) = match verdict {
        Verdict::Holds(severity) => return Step::Holds(*severity),
        Verdict::Pending(severity) => return Step::Waits(*severity),
        Verdict::Clear => return Step::Clear,
        Verdict::NoData => (rule.rule().no_data, ConditionState::NoData, None),
        Verdict::Error(reason) => (rule.rule().on_error, ConditionState::Error, Some(reason.clone())),
    };
    match policy {
        MissingPolicy::Unknown => Step::Unknown(state, reason),
        MissingPolicy::Keep => Step::Keep,
        MissingPolicy::Fire => Step::Holds(rule.rule().severity),
        MissingPolicy::Resolve => Step::Clear,
    }
}

/// The next condition. Opening and ending follow from it: an alert opens when it first fires and ends when it is normal.
pub(super) fn next(alert: &Alert, rule: &CompiledRule, step: &Step, now: Timestamp) -> ConditionState {
    use ConditionState::{Error, Firing, NoData, Normal, Pending, Recovering};
    let open = alert.is_open();
    match step {
        Step::Keep => alert.condition,
        Step::Unknown(state, _) => *state,
        // It holds: what is open stays open, whether a restart lost since when or its waiting time was made longer.
        Step::Waits(_) if open => Firing,
        Step::Waits(_) => Pending,
        Step::Holds(_) if open => Firing,
        Step::Holds(_) => match alert.condition {
            Pending if now.since(alert.since) >= rule.rule().hold => Firing,
            _ if rule.rule().hold.is_zero() => Firing,
            Pending | Normal | NoData | Error | Firing | Recovering => Pending,
        },
        Step::Clear if !open => Normal,
        Step::Clear => {
            let keep = rule.rule().keep_firing_for;
            match alert.condition {
                // While it flaps it stays: otherwise every swing would be an open and a close.
                _ if alert.flapping => Recovering,
                Recovering if now.since(alert.since) >= keep => Normal,
                Recovering => Recovering,
                _ if keep.is_zero() => Normal,
                _ => Recovering,
            }
        }
    }
}

/// When the condition changes by itself, if no result comes before.
pub(super) fn due(alert: &Alert, rule: Option<&CompiledRule>, abandon_after: Duration) -> Option<Timestamp> {
    match alert.condition {
        ConditionState::Pending if alert.held.is_some() && alert.trouble.is_none() => {
            Some(alert.since + rule?.rule().hold)
        }
        ConditionState::Recovering if !alert.flapping && alert.held.is_none() && alert.trouble.is_none() => {
            Some(alert.since + rule?.rule().keep_firing_for)
        }
        ConditionState::NoData | ConditionState::Error if alert.is_open() => {
            Some(alert.since + abandon_after)
        }
        _ => None,
    }
}

/// Whether an open alert says that its item is down.
pub(super) fn takes_down(rule: &CompiledRule, severity: Severity) -> bool {
    match rule.rule().effect {
        Effect::Down => true,
        Effect::None => false,
        Effect::BySeverity => severity == Severity::Critical,
    }
}
