//! When a difference began and what probably brought it about, from the claims before and after.

use std::fmt;

use itom_core::{SourceName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::history::{FeedChange, FeedEvent};
use crate::view::{Attribute, Ci, Departure, LifeCycle, LifeState, Relation, RelationId, STATED, View};

/// What probably brought a difference about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The world changed: the source that is believed says something else now.
    Changed {
        /// The source.
        source: SourceName,
    },
    /// Another source is believed now; the world need not have changed.
    OtherSource {
        /// Who was believed.
        before: SourceName,
        /// Who is believed.
        after: SourceName,
    },
    /// A source says it for the first time.
    Found {
        /// The source.
        source: SourceName,
    },
    /// The source that said it no longer does.
    Withdrawn {
        /// The source.
        source: SourceName,
    },
    /// It left.
    Left {
        /// How.
        how: Departure,
    },
    /// Nothing moved but what is known about which thing is which.
    Identity,
    /// The facts do not tell.
    Unclear,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { source } => write!(f, "{source} says something else now"),
            Self::OtherSource { before, after } => write!(f, "{after} is believed instead of {before}"),
            Self::Found { source } => write!(f, "{source} says it for the first time"),
            Self::Withdrawn { source } => write!(f, "{source} no longer says anything about it"),
            Self::Left { how: Departure::Absent } => f.write_str("a complete look no longer found it"),
            Self::Left { how: Departure::Retracted } => f.write_str("its source took it back"),
            Self::Left { .. } => f.write_str("nobody saw it in time"),
            Self::Identity => f.write_str("it is known better which thing is which"),
            Self::Unclear => f.write_str("unclear"),
        }
    }
}

/// Since when it is so, and who said so.
pub(super) fn since(before: &View, after: &View, event: &FeedEvent) -> (Timestamp, Option<SourceName>) {
    let item = || after.ci(event.ci).or_else(|| before.ci(event.ci));
    let anybody = || item().and_then(|ci| ci.sources().first().cloned());
    match &event.what {
        FeedChange::Attribute { why: Some(why), .. } => (why.observed, Some(why.source.clone())),
        FeedChange::Attribute { name, .. } => {
            let was = before.ci(event.ci).and_then(|ci| ci.attributes().get(name));
            (item().map_or(event.at, |ci| ci.last_seen()), was.map(|own| own.winner.source.clone()))
        }
        FeedChange::Appeared { .. } => {
            (item().map_or(event.at, |ci| ci.first_seen()), item().and_then(finder))
        }
        FeedChange::Retired { since, .. } => (*since, anybody()),
        FeedChange::Related { kind, to, sources } => {
            let relation = after.relation(RelationId::derive(kind, event.ci, *to));
            let found = relation.and_then(Relation::found_by).or_else(|| sources.first());
            (relation.map_or(event.at, |own| own.first_seen), found.cloned())
        }
        FeedChange::Unrelated { kind, to } => {
            let relation = after.relation(RelationId::derive(kind, event.ci, *to));
            let since = match relation.map(|own| own.state) {
                Some(LifeState::Retired { since, .. }) => since,
                _ => event.at,
            };
            (since, relation.and_then(|own| own.sources.first().cloned()))
        }
        FeedChange::Life { after: is, .. } => {
            let stated = item().and_then(|ci| ci.attributes().get(&STATED));
            match (is.since(), stated) {
                (Some(since), _) => (since, anybody()),
                (None, Some(own)) => (own.winner.observed, Some(own.winner.source.clone())),
                (None, None) => (item().map_or(event.at, |ci| ci.last_seen()), anybody()),
            }
        }
        _ => (event.at, anybody()),
    }
}

/// Who has said of an item for the longest what it says: whoever found it, unless that source says something else by now.
fn finder(ci: &Ci) -> Option<SourceName> {
    let claims = ci.attributes().values().flat_map(|own| std::iter::once(&own.winner).chain(&own.others));
    let first = claims.min_by(|one, other| (one.observed, &one.source).cmp(&(other.observed, &other.source)));
    first.map(|claim| &claim.source).or_else(|| ci.sources().first()).cloned()
}

fn found_by(view: &View, ci: itom_core::CiId) -> Cause {
    let source = view.ci(ci).and_then(finder);
    source.map_or(Cause::Unclear, |source| Cause::Found { source })
}

pub(super) fn cause_of(before: &View, after: &View, event: &FeedEvent) -> Cause {
    match &event.what {
        FeedChange::Attribute { name, .. } => {
            let of = |view: &View| {
                view.ci(event.ci)
                    .and_then(|ci| ci.attributes().get(name))
                    .map(|own: &Attribute| own.winner.source.clone())
            };
            match (of(before), of(after)) {
                (Some(before), Some(after)) if before == after => Cause::Changed { source: after },
                (Some(before), Some(after)) => Cause::OtherSource { before, after },
                (None, Some(source)) => Cause::Found { source },
                (Some(source), None) => Cause::Withdrawn { source },
                (None, None) => Cause::Unclear,
            }
        }
        FeedChange::Appeared { .. } | FeedChange::Returned => found_by(after, event.ci),
        FeedChange::Related { kind, to, sources } => {
            let relation = after.relation(RelationId::derive(kind, event.ci, *to));
            let found = relation.and_then(Relation::found_by).or_else(|| sources.first());
            found.map_or(Cause::Unclear, |source| Cause::Found { source: source.clone() })
        }
        FeedChange::Retired { why, .. } => Cause::Left { how: *why },
        FeedChange::Unrelated { kind, to } => {
            let relation = after.relation(RelationId::derive(kind, event.ci, *to));
            match relation.map(|own| own.state) {
                Some(LifeState::Retired { why, .. }) => Cause::Left { how: why },
                // The relation has other ends now.
                _ => Cause::Identity,
            }
        }
        FeedChange::Merged { .. } | FeedChange::Split { .. } | FeedChange::Redirected { .. } => {
            Cause::Identity
        }
        FeedChange::Kind { .. } | FeedChange::Name { .. } => {
            let sources = |view: &View| view.ci(event.ci).map(|ci| ci.sources().clone()).unwrap_or_default();
            let (was, is) = (sources(before), sources(after));
            let new = is.difference(&was).next().cloned();
            match (new, is.first().cloned()) {
                (Some(source), _) => Cause::Found { source },
                (None, Some(source)) => Cause::Changed { source },
                (None, None) => Cause::Unclear,
            }
        }
        FeedChange::Life { before: was, after: is } => {
            let stated = |view: &View| {
                view.ci(event.ci)
                    .and_then(|ci| ci.attributes().get(&STATED))
                    .map(|own| own.winner.source.clone())
            };
            let state = after.ci(event.ci).map(|ci| ci.state());
            match (was, is, state) {
                (_, LifeCycle::Purged { .. }, Some(LifeState::Retired { why, .. })) => {
                    Cause::Left { how: why }
                }
                (_, LifeCycle::Stale { .. }, _) => Cause::Left { how: Departure::LeaseExpired },
                (LifeCycle::Stale { .. } | LifeCycle::Planned, LifeCycle::Active, _) => {
                    found_by(after, event.ci)
                }
                _ => match stated(after).or_else(|| stated(before)) {
                    Some(source) => Cause::Changed { source },
                    None => Cause::Unclear,
                },
            }
        }
        FeedChange::Removed => Cause::Unclear,
    }
}
