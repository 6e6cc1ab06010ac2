//! What the machine is told, what it wants done, and what it shows.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{Annotations, LabelName, Labels, RefusedSample, SampleValue, Text, Timestamp, WrittenSample};

use super::alerts::GroupAlert;
use crate::prometheus::{GroupRule, RuleGroup};

/// How groups behave where their files do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupConfig {
    /// How often a group is evaluated that does not say.
    pub interval: Duration,
    /// How far in the past a group is evaluated that does not say.
    pub query_offset: Duration,
    /// After a start: how old a stored state may be to be taken up again.
    pub outage_tolerance: Duration,
    /// After a start: how long an alert waits at least before it fires, if it would have fired during the outage. Rules
    /// that wait less are not restored.
    pub grace_period: Duration,
    /// How long after an alert was handed on it is handed on again.
    pub resend_delay: Duration,
    /// Whether the pending times of the groups loaded first are restored from what `ALERTS_FOR_STATE` says.
    pub restore: bool,
}

impl Default for GroupConfig {
    /// As Prometheus: every minute, no offset, an outage of an hour, ten minutes of grace, resent each minute, restored.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            query_offset: Duration::ZERO,
            outage_tolerance: Duration::from_secs(3600),
            grace_period: Duration::from_secs(600),
            resend_delay: Duration::from_secs(60),
            restore: true,
        }
    }
}

/// A group is its file and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The file.
    pub file: Text,
    /// The name.
    pub name: Text,
}

impl GroupKey {
    /// That of a group.
    #[must_use]
    pub fn of(group: &RuleGroup) -> Self {
        Self { file: group.file.clone(), name: group.name.clone() }
    }
}

/// One sample that an expression gave, with the rule's labels and, for alerts, its annotations.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The labels as they are stored or as the alert has them.
    pub labels: Labels,
    /// The item it is about, as far as known.
    pub subject: Option<itom_core::CiId>,
    /// The value.
    pub value: SampleValue,
    /// The annotations, expanded.
    pub annotations: BTreeMap<LabelName, Text>,
}

/// What an evaluation of one rule found: samples with different labels, or why there are none.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Which rule of the group, from 0.
    pub rule: usize,
    /// What was found.
    pub found: Result<Vec<Found>, Text>,
    /// What the language has to say.
    pub annotations: Annotations,
    /// How many stored samples were looked at.
    pub samples_read: u64,
}

/// A pending or firing time that was stored before a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredState {
    /// Which rule of the group, from 0.
    pub rule: usize,
    /// The alert's labels.
    pub labels: Labels,
    /// When the state was last stored.
    pub at: Timestamp,
    /// The time it says, in seconds since the epoch; Prometheus's marker when the alert had ended.
    pub value: f64,
}

/// What the machine is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum GroupInput {
    /// The groups there are from now on. What did not change goes on; what changed keeps the state of its rules.
    Load(Vec<RuleGroup>),
    /// The answer to [`GroupOutput::Evaluate`].
    Evaluated {
        /// The group.
        group: GroupKey,
        /// The slot it was asked for.
        slot: Timestamp,
        /// One result for each rule that was asked for.
        results: Vec<Evaluated>,
    },
    /// What of a [`GroupOutput::Write`] was refused.
    Written {
        /// The group.
        group: GroupKey,
        /// Which rule of the group.
        rule: usize,
        /// What was refused.
        refused: Vec<RefusedSample>,
    },
    /// The answer to [`GroupOutput::ReadState`].
    Restored {
        /// The group.
        group: GroupKey,
        /// What was found.
        states: Vec<StoredState>,
    },
}

/// Rules to be evaluated together.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluate {
    /// The group.
    pub group: GroupKey,
    /// The time that `for` and templates count by.
    pub slot: Timestamp,
    /// The time at which expressions are evaluated.
    pub at: Timestamp,
    /// Which rules, with their place in the group.
    pub rules: Vec<(usize, GroupRule)>,
}

/// What the machine wants done. Do it in order: a later evaluation reads what an earlier output wrote.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum GroupOutput {
    /// Evaluate rules and answer with [`GroupInput::Evaluated`].
    Evaluate(Evaluate),
    /// Store samples and answer with [`GroupInput::Written`].
    Write {
        /// The group.
        group: GroupKey,
        /// Which rule of the group.
        rule: usize,
        /// What to store.
        samples: Vec<WrittenSample>,
    },
    /// Read what `ALERTS_FOR_STATE` says about the rules and answer with [`GroupInput::Restored`].
    ReadState {
        /// The group.
        group: GroupKey,
        /// From when on.
        from: Timestamp,
        /// Which rules, with their place in the group.
        rules: Vec<(usize, GroupRule)>,
    },
    /// All alerts of a rule after an evaluation, or why it could not be evaluated (they are as they were then).
    Alerts {
        /// The group.
        group: GroupKey,
        /// Which rule of the group.
        rule: usize,
        /// The alert's name.
        name: Text,
        /// Pending, firing and lately resolved ones, sorted by labels.
        alerts: Vec<GroupAlert>,
        /// What went wrong.
        error: Option<Text>,
    },
    /// Alerts to be handed on to an Alertmanager: firing and resolved ones whose time has come.
    Send(Vec<GroupAlert>),
    /// A rule is no longer there: nothing will be heard of its alerts.
    Removed {
        /// The group.
        group: GroupKey,
        /// Which rule of the group.
        rule: usize,
        /// The alert's name.
        name: Text,
    },
    /// The group was evaluated.
    Finished {
        /// The group.
        group: GroupKey,
        /// For which slot.
        slot: Timestamp,
        /// How many slots before it were missed.
        missed: u64,
    },
}

/// How a rule does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Health {
    /// It was not evaluated yet.
    #[default]
    Unknown,
    /// The last evaluation worked.
    Good,
    /// The last evaluation did not, or could not be stored.
    Bad(Text),
}

/// What is known about a rule.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RuleStatus {
    /// Its name.
    pub name: Text,
    /// Its expression.
    pub expression: Text,
    /// Whether it gives alerts; otherwise it records.
    pub is_alerting: bool,
    /// How long an alert is pending before it fires.
    pub hold: Duration,
    /// How long an alert goes on firing after its series is gone.
    pub keep_firing_for: Duration,
    /// The labels that it adds, templates as they were written.
    pub labels: BTreeMap<LabelName, Text>,
    /// The annotations of its alerts, templates as they were written.
    pub texts: BTreeMap<LabelName, Text>,
    /// How it does.
    pub health: Health,
    /// For which slot it was last evaluated.
    pub last: Option<Timestamp>,
    /// How many samples it gave last.
    pub series: usize,
    /// How many stored samples that took.
    pub samples_read: u64,
    /// What the language had to say.
    pub annotations: Annotations,
    /// Its alerts.
    pub alerts: Vec<GroupAlert>,
}

/// What is known about a group.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupStatus {
    /// Which group.
    pub key: GroupKey,
    /// How often it is evaluated.
    pub interval: Duration,
    /// How many series or alerts one of its rules may give; 0 for any number.
    pub limit: usize,
    /// For which slot it was last evaluated.
    pub last: Option<Timestamp>,
    /// How many evaluations there were.
    pub evaluations: u64,
    /// How many slots were missed.
    pub missed: u64,
    /// In how many steps it is evaluated: rules that do not read each other share one.
    pub steps: usize,
    /// Its rules.
    pub rules: Vec<RuleStatus>,
}
