//! What is no longer as it was: a baseline against now, each difference with its owner, when it began and why probably.
//!
//! A [`Baseline`] is a name for a state: a valid and a recorded time. [`drift`] compares the view of that state with
//! another one. What nobody calls drift (processes that come and go, counters) is left out by [`DriftRules`]; what
//! somebody planned is marked by a [`ChangeWindow`] instead of being left out.

mod cause;
mod owner;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use itom_core::{AttrName, CiId, CiKind, Interval, SourceName, Text, Timestamp, attr, kind};
use serde::{Deserialize, Serialize};

use crate::history::{FeedChange, FeedEvent, events};
use crate::view::View;

pub use cause::Cause;
pub use owner::Owner;

/// A name for a state of the configuration: what was believed at `recorded` about `valid`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Baseline {
    /// What people call it.
    pub name: Text,
    /// The time it describes.
    pub valid: Timestamp,
    /// As it was known at this time.
    pub recorded: Timestamp,
    /// Who set it.
    pub owner: Text,
}

impl Baseline {
    /// The state at a time as it was known then.
    #[must_use]
    pub fn new(name: impl Into<Text>, at: Timestamp, owner: impl Into<Text>) -> Self {
        Self { name: name.into(), valid: at, recorded: at, owner: owner.into() }
    }
}

/// A planned change: differences that begin within it are expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChangeWindow {
    /// What it is called: the id of a change request, say.
    pub name: Text,
    /// When.
    pub during: Interval,
    /// The items it is about; every item if empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub items: BTreeSet<CiId>,
    /// The kinds it is about; every kind if empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub kinds: BTreeSet<CiKind>,
}

impl ChangeWindow {
    /// A window for all items.
    #[must_use]
    pub fn new(name: impl Into<Text>, during: Interval) -> Self {
        Self { name: name.into(), during, items: BTreeSet::new(), kinds: BTreeSet::new() }
    }

    /// Only for these items.
    #[must_use]
    pub fn for_items(mut self, items: impl IntoIterator<Item = CiId>) -> Self {
        self.items.extend(items);
        self
    }

    /// Only for items of this kind.
    #[must_use]
    pub fn for_kind(mut self, kind: CiKind) -> Self {
        self.kinds.insert(kind);
        self
    }

    fn covers(&self, drift: &Drift) -> bool {
        self.during.contains(drift.since)
            && (self.items.is_empty() || self.items.contains(&drift.ci))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| drift.kind.is_a(kind)))
    }
}

/// What counts as drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftRules {
    kinds: BTreeSet<CiKind>,
    attributes: BTreeSet<AttrName>,
    windows: Vec<ChangeWindow>,
}

/// Processes and addresses come and go, and a start of a host is no change of its configuration.
impl Default for DriftRules {
    fn default() -> Self {
        Self {
            kinds: [kind::PROCESS, kind::NETWORK_ADDRESS].into(),
            attributes: [
                attr::HOST_BOOT_ID,
                attr::HOST_BOOT_TIME,
                // The packages themselves say what was updated.
                attr::OS_UPDATE_TIME,
                attr::PROCESS_PID,
                attr::PROCESS_PARENT_PID,
                attr::PROCESS_CREATION_TIME,
                attr::SYSTEMD_RESTARTS,
                attr::STATE,
                attr::NETWORK_INTERFACE_STATE,
            ]
            .into(),
            windows: Vec::new(),
        }
    }
}

impl DriftRules {
    /// Every difference counts.
    #[must_use]
    pub const fn everything() -> Self {
        Self { kinds: BTreeSet::new(), attributes: BTreeSet::new(), windows: Vec::new() }
    }

    /// Items of this kind do not count.
    #[must_use]
    pub fn without_kind(mut self, kind: CiKind) -> Self {
        self.kinds.insert(kind);
        self
    }

    /// This attribute does not count.
    #[must_use]
    pub fn without_attribute(mut self, attribute: AttrName) -> Self {
        self.attributes.insert(attribute);
        self
    }

    /// What begins within this window is expected.
    #[must_use]
    pub fn window(mut self, window: ChangeWindow) -> Self {
        self.windows.push(window);
        self
    }

    fn counts(&self, kind: &CiKind, what: &FeedChange) -> bool {
        let ignored = |kind: &CiKind| self.kinds.iter().any(|own| kind.is_a(own));
        !ignored(kind)
            && match what {
                FeedChange::Attribute { name, .. } => !self.attributes.contains(name),
                _ => true,
            }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drift {
    /// The item.
    pub ci: CiId,
    /// Its kind.
    pub kind: CiKind,
    /// Its name.
    pub name: Text,
    /// What is different.
    pub what: FeedChange,
    /// Since when it is so, as far as its sources say: first seen in this form.
    pub since: Timestamp,
    /// Who said so first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// Who answers for the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// What probably brought it about.
    pub cause: Cause,
    /// The planned change that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Text>,
}

/// What is different in `now` against the view of a baseline, by item and then by relation. The cost follows the
/// differences when both views came from one [`Cmdb`](crate::Cmdb).
///
/// ```
/// use itom_cmdb::drift::{DriftRules, drift};
/// use itom_cmdb::{Cmdb, CmdbConfig};
/// use itom_core::{Batch, SourceName, Timestamp, attr, kind};
///
/// let mut cmdb = Cmdb::new(CmdbConfig::default());
/// let mut say = |at: i64, version: &str| {
///     let mut batch = Batch::new(SourceName::literal("agent"), Timestamp::from_secs(at));
///     batch.ci("web", kind::HOST).attr(attr::OS_VERSION, version);
///     let facts = cmdb.plan(&batch, batch.taken_at());
///     cmdb.ingest(facts);
///     cmdb.view()
/// };
/// let (before, now) = (say(60, "11"), say(120, "12"));
/// let found = drift(&before, &now, &DriftRules::default());
/// assert_eq!(found.len(), 1);
/// assert_eq!(found[0].since, Timestamp::from_secs(120));
/// ```
#[must_use]
pub fn drift(baseline: &View, now: &View, rules: &DriftRules) -> Vec<Drift> {
    let at = now.as_of().unwrap_or(Timestamp::MIN);
    let events = events(baseline, now, at);
    let appeared = |event: &FeedEvent| matches!(event.what, FeedChange::Appeared { .. }).then_some(event.ci);
    let new: BTreeSet<CiId> = events.iter().filter_map(appeared).collect();
    let mut found = Vec::new();
    for event in events {
        // What is new has all of its attributes for the first time: that it is new says so.
        if new.contains(&event.ci) && matches!(event.what, FeedChange::Attribute { .. }) {
            continue;
        }
        let Some(ci) = now.ci(event.ci).or_else(|| baseline.ci(event.ci)) else { continue };
        if ci.is_loose_end() || !rules.counts(ci.kind(), &event.what) {
            continue;
        }
        let (since, source) = cause::since(baseline, now, &event);
        let mut drift = Drift {
            ci: event.ci,
            kind: ci.kind().clone(),
            name: ci.name().clone(),
            since,
            source,
            owner: owner::owner_of(now, event.ci).or_else(|| owner::owner_of(baseline, event.ci)),
            cause: cause::cause_of(baseline, now, &event),
            what: event.what,
            expected: None,
        };
        drift.expected =
            rules.windows.iter().find(|window| window.covers(&drift)).map(|window| window.name.clone());
        found.push(drift);
    }
    found
}
