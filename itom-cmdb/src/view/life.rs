//! The life cycle of an item: what follows from who holds it and when it was seen, and what people state beside.

use std::collections::BTreeMap;
use std::fmt;

use itom_core::{AttrName, CiObservation, SourceName, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::presence::Item;
use super::{Attribute, LifeState};
use crate::config::CmdbConfig;
use crate::identity::Object;
use crate::lock::{ends, is_lock};

/// Where people state it: the attribute `lifecycle.state`, with one of the words of [`StatedLife`].
pub(crate) const STATED: AttrName = AttrName::literal("lifecycle.state");

/// What somebody states about the life of an item: with [`Lock::life`](crate::Lock::life), which has an owner, a reason
/// and an end; or as the value of the attribute `lifecycle.state` by any source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StatedLife {
    /// It will be there; what is seen is no longer only planned.
    Planned,
    /// Somebody works on it.
    Maintenance,
    /// It serves no longer, whether or not it still runs.
    Decommissioned,
}

impl StatedLife {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Maintenance => "maintenance",
            Self::Decommissioned => "decommissioned",
        }
    }

    fn of(value: &Value) -> Option<Self> {
        let word = value.as_text()?;
        [Self::Planned, Self::Maintenance, Self::Decommissioned]
            .into_iter()
            .find(|stated| stated.as_str() == word)
    }
}

/// Where an item is in its life. Derived at the time of the view; every bound belongs to the later state.
///
/// What nobody holds any more is [`Retired`](Self::Retired), and after the time its kind's rule gives
/// [`Purged`](Self::Purged), whatever is stated about it. Of what is held, a statement beats what follows from
/// sightings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LifeCycle {
    /// Stated, and only documents and people speak of it so far.
    Planned,
    /// It is there.
    #[default]
    Active,
    /// It is held to be there, and nothing that looks again and again saw it in time. Documents and locks neither age
    /// an item nor keep it fresh.
    Stale {
        /// Since when.
        since: Timestamp,
    },
    /// Stated: somebody works on it.
    Maintenance,
    /// Stated: it serves no longer.
    Decommissioned,
    /// Every source let it go.
    Retired {
        /// Since when.
        since: Timestamp,
    },
    /// It was retired so long ago that [lists](super::View::listed) leave it out. Its history stays.
    Purged {
        /// Since when.
        since: Timestamp,
    },
}

impl LifeCycle {
    /// Its name: `active`, `stale`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => StatedLife::Planned.as_str(),
            Self::Active => "active",
            Self::Stale { .. } => "stale",
            Self::Maintenance => StatedLife::Maintenance.as_str(),
            Self::Decommissioned => StatedLife::Decommissioned.as_str(),
            Self::Retired { .. } => "retired",
            Self::Purged { .. } => "purged",
        }
    }

    /// Since when, where that follows from a bound.
    #[must_use]
    pub const fn since(self) -> Option<Timestamp> {
        match self {
            Self::Stale { since } | Self::Retired { since } | Self::Purged { since } => Some(since),
            _ => None,
        }
    }
}

impl fmt::Display for LifeCycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        self.since().map_or(Ok(()), |since| write!(f, " since {since}"))
    }
}

impl From<LifeState> for LifeCycle {
    fn from(state: LifeState) -> Self {
        match state {
            LifeState::Active => Self::Active,
            LifeState::Retired { since, .. } => Self::Retired { since },
        }
    }
}

/// The latest of bounds; `None` when there is none, or one that never comes.
fn last(bounds: impl Iterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    let mut last = None;
    for bound in bounds {
        last = last.max(Some(bound?));
    }
    last
}

/// Where an item of these descriptions is in its life.
pub(super) fn life_cycle(
    config: &CmdbConfig,
    now: Timestamp,
    state: LifeState,
    described: &[(&Object, &Item, &CiObservation)],
    attributes: &BTreeMap<AttrName, Attribute>,
) -> LifeCycle {
    let items = || described.iter().map(|(_, item, _)| *item);
    if let LifeState::Retired { since, .. } = state {
        let bounds = held_by(described.iter().map(|(object, item, _)| (&object.source, *item)));
        let bound = last(bounds.map(|item| item.purged_at(config, now)));
        return match bound.filter(|bound| *bound <= now) {
            Some(since) => LifeCycle::Purged { since },
            None => LifeCycle::Retired { since },
        };
    }
    match stated(config, now, described, attributes) {
        Some(StatedLife::Planned) if items().all(|item| !item.ages(config)) => return LifeCycle::Planned,
        Some(StatedLife::Maintenance) => return LifeCycle::Maintenance,
        Some(StatedLife::Decommissioned) => return LifeCycle::Decommissioned,
        Some(StatedLife::Planned) | None => {}
    }
    if !config.is_ageing() {
        return LifeCycle::Active;
    }
    let bound = last(items().filter(|item| item.ages(config)).map(|item| item.stale_at(config)));
    match bound.filter(|bound| *bound <= now) {
        Some(since) => LifeCycle::Stale { since },
        None => LifeCycle::Active,
    }
}

/// What decides whether an item is there: what sources say. A lock holds values, not the item, unless nothing else
/// speaks of it.
pub(super) fn held_by<'a>(
    items: impl Iterator<Item = (&'a SourceName, &'a Item)> + Clone,
) -> impl Iterator<Item = &'a Item> {
    let only_locks = items.clone().all(|(source, _)| is_lock(source));
    items.filter(move |(source, _)| only_locks || !is_lock(source)).map(|(_, item)| item)
}

/// What is stated now: a statement that ended, or whose source no longer holds the item, states nothing.
fn stated(
    config: &CmdbConfig,
    now: Timestamp,
    described: &[(&Object, &Item, &CiObservation)],
    attributes: &BTreeMap<AttrName, Attribute>,
) -> Option<StatedLife> {
    let winner = &attributes.get(&STATED)?.winner;
    let holds = described.iter().any(|(object, item, ci)| {
        object.source == winner.source
            && ci.attributes.get(&STATED) == Some(&winner.value)
            && item.departure(config, now).is_none()
            && config
                .trust(&ci.kind, &STATED, &object.source)
                .1
                .is_none_or(|span| item.last_seen + span > now)
            && (!is_lock(&object.source) || ends(&ci.attributes).is_none_or(|end| end > now))
    });
    StatedLife::of(&winner.value).filter(|_| holds)
}
