//! What is told about a change: the event of the feed, made from two states of the view.

use std::collections::BTreeSet;

use itom_core::{AttrName, CiId, CiKind, RelationKind, SourceName, Text, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::view::{Attribute, Ci, ClaimReason, Departure, LifeCycle, LifeState, Relation, View};

/// Why a value is believed: the claim that won.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Why {
    /// Who says so.
    pub source: SourceName,
    /// Since when the source says this.
    pub observed: Timestamp,
    /// When that was learned first.
    pub recorded: Timestamp,
    /// How the claim won.
    pub reason: ClaimReason,
}

/// What happened to an item. The order of the variants is the order in which the events of one item are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeedChange {
    /// It is there for the first time.
    Appeared {
        /// Its kind.
        kind: CiKind,
        /// Its name.
        name: Text,
    },
    /// Another item turned out to be this one; [`Cmdb::explain`](crate::Cmdb::explain) has the proof.
    Merged {
        /// The id that was; it leads here from now on.
        from: CiId,
    },
    /// It turned out to be several: the others are named. Unless it is [`Removed`](Self::Removed) too, it stays one of
    /// them.
    Split {
        /// The other items, ascending.
        into: Vec<CiId>,
    },
    /// Its id is no longer an item's own: the item is the same, or what was only referred to is known now.
    Redirected {
        /// The id that holds now what this one was derived from.
        to: CiId,
    },
    /// Nothing is known under this id any longer: it was split, or no fact speaks of it.
    Removed,
    /// It was gone and is there again.
    Returned,
    /// It is believed gone.
    Retired {
        /// Since when.
        since: Timestamp,
        /// How the last source let it go.
        why: Departure,
    },
    /// Its sources agree on another kind.
    Kind {
        /// The kind before.
        before: CiKind,
        /// The kind now.
        after: CiKind,
    },
    /// People call it something else.
    Name {
        /// The name before.
        before: Text,
        /// The name now.
        after: Text,
    },
    /// An attribute has another value.
    Attribute {
        /// Which.
        name: AttrName,
        /// The value before, if anybody said one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Value>,
        /// The value now, if anybody says one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Value>,
        /// The claim that won, when there is a value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Why>,
    },
    /// It is related to another item.
    Related {
        /// The kind of relation, read from this item.
        kind: RelationKind,
        /// The other end.
        to: CiId,
        /// Who says so, ascending.
        sources: Vec<SourceName>,
    },
    /// It is no longer related to another item.
    Unrelated {
        /// The kind of relation, read from this item.
        kind: RelationKind,
        /// The other end.
        to: CiId,
    },
    /// It is in another part of its life: stale, under maintenance, purged, … That it is retired or has returned is told
    /// by [`Retired`](Self::Retired) and [`Returned`](Self::Returned).
    Life {
        /// Where it was.
        before: LifeCycle,
        /// Where it is.
        after: LifeCycle,
    },
}

/// One thing that happened to one item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeedEvent {
    /// When it was learned.
    pub at: Timestamp,
    /// The item.
    pub ci: CiId,
    /// What happened.
    #[serde(flatten)]
    pub what: FeedChange,
}

/// The events of one item between two states, in the order of [`FeedChange`].
pub(crate) fn ci_events(
    at: Timestamp,
    (before, after): (&View, &View),
    (old, new): (Option<&Ci>, Option<&Ci>),
    events: &mut Vec<FeedEvent>,
) {
    let Some(id) = new.or(old).map(Ci::id) else { return };
    let first = events.len();
    let mut tell = |ci, what| events.push(FeedEvent { at, ci, what });
    match (old, new) {
        (None, Some(ci)) => {
            tell(id, FeedChange::Appeared { kind: ci.kind().clone(), name: ci.name().clone() });
            if let LifeState::Retired { since, why } = ci.state() {
                tell(id, FeedChange::Retired { since, why });
            }
            let names = ci.attributes().iter();
            names.for_each(|(name, attribute)| tell(id, valued(name, None, Some(attribute))));
        }
        (Some(ci), None) => tell_departed(before, after, ci, &mut tell),
        (Some(old), Some(new)) => {
            let others = heirs(after, old).into_iter().filter(|heir| *heir != id).collect::<Vec<_>>();
            if !others.is_empty() {
                tell(id, FeedChange::Split { into: others });
            }
            tell_changed(old, new, &mut tell);
        }
        (None, None) => {}
    }
    events[first..].sort();
}

/// The items that hold the objects of an item now, ascending.
fn heirs(after: &View, ci: &Ci) -> BTreeSet<CiId> {
    ci.objects().iter().filter_map(|object| after.current(object.ci_id())).collect()
}

fn tell_departed(before: &View, after: &View, ci: &Ci, tell: &mut impl FnMut(CiId, FeedChange)) {
    let mut heirs = heirs(after, ci);
    heirs.extend(after.current(ci.id()).filter(|_| heirs.is_empty()));
    let into: Vec<CiId> = heirs.into_iter().collect();
    match into.as_slice() {
        [] => tell(ci.id(), FeedChange::Removed),
        // What was there before took it in; what is new is the same item under another id.
        [heir] if before.ci(*heir).is_some() && !ci.is_loose_end() => {
            tell(*heir, FeedChange::Merged { from: ci.id() });
            tell(ci.id(), FeedChange::Redirected { to: *heir });
        }
        [heir] => tell(ci.id(), FeedChange::Redirected { to: *heir }),
        _ => {
            tell(ci.id(), FeedChange::Split { into });
            tell(ci.id(), FeedChange::Removed);
        }
    }
}

fn tell_changed(old: &Ci, new: &Ci, tell: &mut impl FnMut(CiId, FeedChange)) {
    let id = new.id();
    match (old.state(), new.state()) {
        (LifeState::Active, LifeState::Retired { since, why }) => {
            tell(id, FeedChange::Retired { since, why });
        }
        (LifeState::Retired { .. }, LifeState::Active) => tell(id, FeedChange::Returned),
        _ => {}
    }
    let (before, after) = (old.life(), new.life());
    let told = matches!(after, LifeCycle::Retired { .. })
        || (after == LifeCycle::Active && !old.state().is_active());
    if before.as_str() != after.as_str() && !told {
        tell(id, FeedChange::Life { before, after });
    }
    if old.kind() != new.kind() {
        tell(id, FeedChange::Kind { before: old.kind().clone(), after: new.kind().clone() });
    }
    if old.name() != new.name() {
        tell(id, FeedChange::Name { before: old.name().clone(), after: new.name().clone() });
    }
    let names: BTreeSet<&AttrName> = old.attributes().keys().chain(new.attributes().keys()).collect();
    for name in names {
        let (was, is) = (old.attributes().get(name), new.attributes().get(name));
        if was.map(Attribute::value) != is.map(Attribute::value) {
            tell(id, valued(name, was, is));
        }
    }
}

fn valued(name: &AttrName, before: Option<&Attribute>, after: Option<&Attribute>) -> FeedChange {
    let why = after.map(|attribute| Why {
        source: attribute.winner.source.clone(),
        observed: attribute.winner.observed,
        recorded: attribute.winner.recorded,
        reason: attribute.winner.reason,
    });
    let value = |attribute: Option<&Attribute>| attribute.map(|attribute| attribute.value().clone());
    FeedChange::Attribute { name: name.clone(), before: value(before), after: value(after), why }
}

/// The event of a relation between two states, if it began or ended to hold.
pub(crate) fn relation_event(
    at: Timestamp,
    before: Option<&Relation>,
    after: Option<&Relation>,
) -> Option<FeedEvent> {
    let relation = after.or(before)?;
    let holds = |relation: Option<&Relation>| relation.is_some_and(|relation| relation.state.is_active());
    let (kind, to) = (relation.kind.clone(), relation.to);
    let what = match (holds(before), holds(after)) {
        (false, true) => {
            FeedChange::Related { kind, to, sources: relation.sources.iter().cloned().collect() }
        }
        (true, false) => FeedChange::Unrelated { kind, to },
        _ => return None,
    };
    Some(FeedEvent { at, ci: relation.from, what })
}

/// Everything that is different in `after` against `before`, as events learned at `at`: items by id, then relations by
/// id. The cost follows the differences when one view came from the other.
#[must_use]
pub fn events(before: &View, after: &View, at: Timestamp) -> Vec<FeedEvent> {
    let mut events = Vec::new();
    before.changed_cis(after, |_, old, new| ci_events(at, (before, after), (old, new), &mut events));
    before.changed_relations(after, |_, old, new| events.extend(relation_event(at, old, new)));
    events
}
