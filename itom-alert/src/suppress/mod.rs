//! Who is told: a pure function from alerts, topology, silences, windows and inhibit rules to sets of causes.
//!
//! Suppression only hides. It never stops evaluation, and an alert that was announced is always closed.
//!
//! The laws, held by property tests against a naive model:
//! - nothing is hidden without a stored cause;
//! - whoever follows the causes of a hidden alert reaches a visible alert or a mute of an operator
//!   (a [`Cause::Settling`] is bounded in time instead);
//! - causes never form a circle, whatever circles the topology has;
//! - taking a mute away never hides anything.

mod matchers;
#[cfg(test)]
mod tests;
mod visibility;

use std::collections::BTreeSet;

use itom_core::{AlertId, CiId, Classify, ErrorKind, Interval, LabelName, Labels, Matcher, Text, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use matchers::{Matchers, compile_regex};
pub use visibility::{AlertFacts, Sight, Standing, View, visibility};

/// Why an alert is not told to anybody (or, for [`Flapping`](Self::Flapping), why its changes are not).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// An item it depends on is down, and that has an alert of its own.
    Unreachable {
        /// The item that is down.
        by: CiId,
    },
    /// An inhibit rule and another alert.
    Inhibited {
        /// The other alert.
        by: AlertId,
        /// The inhibit rule.
        rule: Text,
    },
    /// A silence.
    Silenced {
        /// Its id.
        silence: Text,
        /// Who made it.
        by: Text,
    },
    /// A maintenance window.
    InWindow {
        /// Its id.
        window: Text,
    },
    /// An item it depends on may be about to go down: wait a little.
    Settling {
        /// The item with the pending alert.
        by: CiId,
        /// When waiting ends.
        until: Timestamp,
    },
    /// An operator put it off.
    Snoozed {
        /// Who.
        by: Text,
        /// Until when.
        until: Timestamp,
    },
    /// An operator put it away.
    Shelved {
        /// Who.
        by: Text,
    },
    /// It changes too often: it stays open and its changes are not told.
    Flapping,
}

impl Cause {
    /// Whether this cause hides the alert altogether.
    #[must_use]
    pub const fn hides(&self) -> bool {
        !matches!(self, Self::Flapping)
    }

    /// Whether an operator chose it.
    #[must_use]
    pub const fn is_mute(&self) -> bool {
        matches!(
            self,
            Self::Silenced { .. } | Self::InWindow { .. } | Self::Snoozed { .. } | Self::Shelved { .. }
        )
    }
}

/// Why a silence, window or inhibit rule was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuppressError {
    /// A matcher's regular expression is wrong.
    #[error("{what}: the matcher on label `{label}` is not a regular expression: {reason}")]
    Matcher {
        /// The silence, window or rule.
        what: String,
        /// The label.
        label: String,
        /// What is wrong.
        reason: String,
    },
    /// It would fit everything.
    #[error("{what} would hide every alert; give it a matcher or an item")]
    Everything {
        /// The silence, window or rule.
        what: String,
    },
}

impl Classify for SuppressError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// A silence: alerts that fit are not told for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SilenceWire", into = "SilenceWire")]
pub struct Silence {
    wire: SilenceWire,
    compiled: Matchers,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceWire {
    id: Text,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<Matcher>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    cis: BTreeSet<CiId>,
    from: Timestamp,
    to: Timestamp,
    by: Text,
    #[serde(default)]
    comment: Text,
}

impl Default for SilenceWire {
    fn default() -> Self {
        Self {
            id: Text::literal(""),
            matchers: Vec::new(),
            cis: BTreeSet::new(),
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            by: Text::literal(""),
            comment: Text::literal(""),
        }
    }
}

impl TryFrom<SilenceWire> for Silence {
    type Error = SuppressError;
    fn try_from(wire: SilenceWire) -> Result<Self, SuppressError> {
        let what = format!("silence `{}`", wire.id);
        if wire.matchers.is_empty() && wire.cis.is_empty() {
            return Err(SuppressError::Everything { what });
        }
        let compiled = Matchers::compile(&what, &wire.matchers)?;
        Ok(Self { wire, compiled })
    }
}
impl From<Silence> for SilenceWire {
    fn from(silence: Silence) -> Self {
        silence.wire
    }
}

impl Silence {
    /// A silence over alerts whose labels fit every matcher and, if items are given, that are about one of them.
    ///
    /// # Errors
    /// [`SuppressError`] when a regular expression is wrong, or nothing at all is asked of the alerts.
    pub fn new(
        id: impl Into<Text>,
        by: impl Into<Text>,
        during: Interval,
        matchers: Vec<Matcher>,
        cis: BTreeSet<CiId>,
    ) -> Result<Self, SuppressError> {
        let (from, to) = (during.from(), during.to());
        SilenceWire { id: id.into(), matchers, cis, from, to, by: by.into(), ..SilenceWire::default() }
            .try_into()
    }

    /// With a remark.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<Text>) -> Self {
        self.wire.comment = comment.into();
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Text {
        &self.wire.id
    }

    /// Who made it.
    #[must_use]
    pub fn by(&self) -> &Text {
        &self.wire.by
    }

    /// When it is in force.
    #[must_use]
    pub fn during(&self) -> Interval {
        Interval::new(self.wire.from, self.wire.to)
    }

    pub(crate) fn fits(&self, labels: &Labels, ci: Option<CiId>, now: Timestamp) -> bool {
        self.during().contains(now)
            && (self.wire.cis.is_empty() || ci.is_some_and(|ci| self.wire.cis.contains(&ci)))
            && self.compiled.fit(labels)
    }
}

/// Whether a window also covers what depends on its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The items only.
    #[default]
    Items,
    /// The items and everything that depends on them.
    Dependents,
}

/// Planned work on items: their alerts are not told meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Window {
    /// Its id.
    pub id: Text,
    /// The items worked on.
    pub cis: BTreeSet<CiId>,
    /// Whether their dependents are covered too.
    #[serde(default)]
    pub reach: Reach,
    /// When.
    pub during: Interval,
    /// Who planned it.
    pub by: Text,
    /// Why.
    #[serde(default)]
    pub comment: Text,
}

impl Window {
    /// A window over items.
    #[must_use]
    pub fn new(
        id: impl Into<Text>,
        by: impl Into<Text>,
        during: Interval,
        cis: BTreeSet<CiId>,
        reach: Reach,
    ) -> Self {
        Self { id: id.into(), cis, reach, during, by: by.into(), comment: Text::literal("") }
    }
}

/// While an alert that fits `source` is open, alerts that fit `target` and have the same values of the `equal` labels
/// are not told. As in Alertmanager a missing label equals an empty one, and an alert that fits both sides is not
/// inhibited by another that fits both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "InhibitWire", into = "InhibitWire")]
pub struct InhibitRule {
    wire: InhibitWire,
    source: Matchers,
    target: Matchers,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InhibitWire {
    name: Text,
    source: Vec<Matcher>,
    target: Vec<Matcher>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    equal: Vec<LabelName>,
}

impl TryFrom<InhibitWire> for InhibitRule {
    type Error = SuppressError;
    fn try_from(wire: InhibitWire) -> Result<Self, SuppressError> {
        let what = format!("inhibit rule `{}`", wire.name);
        if wire.source.is_empty() || wire.target.is_empty() {
            return Err(SuppressError::Everything { what });
        }
        let source = Matchers::compile(&what, &wire.source)?;
        let target = Matchers::compile(&what, &wire.target)?;
        Ok(Self { wire, source, target })
    }
}
impl From<InhibitRule> for InhibitWire {
    fn from(rule: InhibitRule) -> Self {
        rule.wire
    }
}

impl InhibitRule {
    /// A rule; both sides need at least one matcher.
    ///
    /// # Errors
    /// [`SuppressError`] when a side is empty or a regular expression is wrong.
    pub fn new(
        name: impl Into<Text>,
        source: Vec<Matcher>,
        target: Vec<Matcher>,
        equal: Vec<LabelName>,
    ) -> Result<Self, SuppressError> {
        InhibitWire { name: name.into(), source, target, equal }.try_into()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Text {
        &self.wire.name
    }
}
