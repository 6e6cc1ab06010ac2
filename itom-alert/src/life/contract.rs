//! What the machine is told, what it wants done, and how it behaves.

use std::time::Duration;

use itom_core::{AlertId, Text};

use super::alert::{Alert, OperatorAction, Transition};
use crate::notify::Notice;
use crate::rule::{CompiledRule, Outcome};
use crate::suppress::{InhibitRule, Sight, Silence, Window};

/// How the machine behaves.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LifeConfig {
    /// How long an alert waits to be announced while an item it depends on has a pending alert.
    pub parent_settle: Duration,
    /// How long an alert that is not open is remembered after its last result.
    pub retention: Duration,
    /// How long an open alert without data (or with errors only) is believed.
    pub abandon_after: Duration,
    /// Above this many percent of changes an alert flaps.
    pub flap_high: f64,
    /// Below this many percent it no longer does.
    pub flap_low: f64,
    /// How many instances are held at most; what comes beyond is refused and counted.
    pub max_alerts: usize,
    /// How many silences and windows are held at most, each.
    pub max_mutes: usize,
    /// Inhibit rules.
    pub inhibit: Vec<InhibitRule>,
}

impl Default for LifeConfig {
    /// Settle 90 s, retention 1 h, abandon after 7 d, flapping 30 % / 25 % as in Icinga 2, 200,000 alerts, 10,000 mutes.
    fn default() -> Self {
        Self {
            parent_settle: Duration::from_secs(90),
            retention: Duration::from_secs(3600),
            abandon_after: Duration::from_secs(7 * 86_400),
            flap_high: 30.0,
            flap_low: 25.0,
            max_alerts: 200_000,
            max_mutes: 10_000,
            inhibit: Vec::new(),
        }
    }
}

/// What the machine is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LifeInput {
    /// All outcomes of one evaluation of a rule. An instance that was there before and is not among them has no data.
    Outcomes {
        /// The rule as it was evaluated.
        rule: CompiledRule,
        /// Every outcome.
        outcomes: Vec<Outcome>,
    },
    /// The rule is gone: its alerts end.
    RuleRemoved(Text),
    /// An operator did something to an alert.
    Operator {
        /// The alert.
        alert: AlertId,
        /// Who.
        by: Text,
        /// What.
        action: OperatorAction,
    },
    /// A silence is added, or replaced if its id is known.
    Silence(Silence),
    /// A silence is taken away.
    Unsilence(Text),
    /// A window is added, or replaced if its id is known.
    Window(Window),
    /// A window is taken away.
    EndWindow(Text),
    /// The topology was looked at: decide who is told. Without it the machine decides by itself at its next deadline,
    /// with what it saw last.
    Look(Sight),
    /// Alerts as they were stored. Those that are known already are left alone.
    Restore(Vec<Alert>),
}

/// What the machine wants done, oldest cause first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LifeOutput {
    /// Something happened.
    Transition(Transition),
    /// An alert is to be stored under its id.
    Store(Box<Alert>),
    /// An alert is no longer to be stored.
    Forget(AlertId),
    /// Receivers are to be told.
    Notice(Box<Notice>),
    /// An input was refused.
    Refused(Refusal),
}

/// Why an input was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The alert is not known.
    #[error("there is no alert {0}; it may have ended and been forgotten")]
    UnknownAlert(AlertId),
    /// A limit was reached.
    #[error("there are {limit} {what} already; this one is left out")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}
