//! A consumer's place in the changes: ordered, resumable, never more than it asks for.

use itom_core::{CiId, Timestamp};
use serde::{Deserialize, Serialize};

use super::FeedEvent;
use super::event::{ci_events, relation_event};
use crate::view::{RelationId, View};

/// A state: what the facts up to a position of the store say, judged at a time. The same facts and the same time give
/// the same view, so a mark names a view for good, across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mark {
    /// The position of the last fact ([`Store::end`](crate::store::Store::end)); 0 when there is none.
    pub position: u64,
    /// When it was judged ([`View::as_of`]).
    pub at: Timestamp,
}

impl Mark {
    /// Before every fact.
    pub const START: Self = Self { position: 0, at: Timestamp::MIN };

    /// A mark.
    #[must_use]
    pub const fn new(position: u64, at: Timestamp) -> Self {
        Self { position, at }
    }
}

/// How much of a delivery was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Nothing,
    Ci(CiId),
    Cis,
    Relation(RelationId),
}

/// Where a consumer is. Keep it (it serializes) once the events before it are handled: nothing is told twice or missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FeedCursor {
    from: Mark,
    to: Mark,
    told: Told,
}

impl FeedCursor {
    /// Before everything: the first events tell the whole view.
    pub const START: Self = Self::at(Mark::START);

    /// Everything up to a state is known (from a snapshot taken there): what comes after is told, without a gap.
    #[must_use]
    pub const fn at(mark: Mark) -> Self {
        Self { from: mark, to: mark, told: Told::Nothing }
    }

    /// The state that was told completely: its view is needed to [resume](Follower::resume).
    #[must_use]
    pub const fn from(&self) -> Mark {
        self.from
    }

    /// How far the delivery was told, as a text that is different for each place.
    pub(crate) fn told(&self) -> String {
        match self.told {
            Told::Nothing => "0".into(),
            Told::Ci(id) => format!("c{id}"),
            Told::Cis => "c".into(),
            Told::Relation(id) => format!("r{id}"),
        }
    }

    /// The state that was being told: its view is needed too. Equal to [`from`](Self::from) when nothing was.
    #[must_use]
    pub const fn to(&self) -> Mark {
        self.to
    }
}

/// Some events, and where the consumer is once it has handled them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The events: items by id, then relations by id.
    pub events: Vec<FeedEvent>,
    /// Keep this after handling them.
    pub cursor: FeedCursor,
    /// Whether there is more to tell at once.
    pub more: bool,
}

/// A consumer of changes, kept as the view it was told last.
///
/// The engine owes it nothing: no queue grows while it is away. A poll tells the difference between what the consumer
/// knows and what is so now, per item. A consumer that polls after every change hears of every change; one that comes
/// seldom gets the net change of each item, whatever happened in between (two values that changed back are no event).
/// Memory is what the old view does not share with the present one.
///
/// ```
/// use itom_cmdb::history::{FeedCursor, Follower, Mark};
/// use itom_cmdb::{Cmdb, CmdbConfig};
/// use itom_core::{Batch, SourceName, Timestamp, kind};
///
/// let mut cmdb = Cmdb::new(CmdbConfig::default());
/// let mut batch = Batch::new(SourceName::literal("demo"), Timestamp::from_secs(60));
/// batch.ci("web", kind::SERVICE);
/// let mut follower = Follower::new();
/// cmdb.ingest(cmdb.plan(&batch, Timestamp::from_secs(61)));
/// let delivery = follower.poll(&cmdb.view(), Mark::new(2, Timestamp::from_secs(61)), 100);
/// assert_eq!(delivery.events.len(), 1, "the service appeared");
/// assert!(!delivery.more);
/// ```
#[derive(Debug, Clone)]
pub struct Follower {
    known: View,
    telling: View,
    cursor: FeedCursor,
}

impl Default for Follower {
    fn default() -> Self {
        Self::new()
    }
}

impl Follower {
    /// A consumer that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::from_snapshot(View::default(), Mark::START)
    }

    /// A consumer that was handed a view: the changes after it follow without a gap.
    #[must_use]
    pub fn from_snapshot(view: View, mark: Mark) -> Self {
        Self { telling: view.clone(), known: view, cursor: FeedCursor::at(mark) }
    }

    /// Goes on where a consumer was, from the views of the two states that its cursor names
    /// ([`replay`](crate::store::replay) gives them from a store).
    #[must_use]
    pub const fn resume(cursor: FeedCursor, from: View, to: View) -> Self {
        Self { known: from, telling: to, cursor }
    }

    /// Where it is.
    #[must_use]
    pub const fn cursor(&self) -> FeedCursor {
        self.cursor
    }

    /// The next events, those of whole items, at least `limit` of them if there are as many. `now` is the present view
    /// and `mark` names its state; they are only looked at when what was being told has been told.
    pub fn poll(&mut self, now: &View, mark: Mark, limit: usize) -> Delivery {
        if self.cursor.told == Told::Nothing {
            self.telling = now.clone();
            self.cursor.to = mark;
        }
        let told = self.cursor.told;
        let at = self.cursor.to.at;
        let limit = limit.max(1);
        let mut events = Vec::new();
        let mut last = None;
        let mut more = false;
        if told < Told::Cis {
            let (known, telling) = (&self.known, &self.telling);
            known.changed_cis(telling, |id, old, new| {
                if Told::Ci(id) <= told {
                } else if events.len() < limit {
                    ci_events(at, (known, telling), (old, new), &mut events);
                    last = Some(Told::Ci(id));
                } else {
                    more = true;
                }
            });
            if !more {
                last = Some(Told::Cis);
            }
        }
        if !more {
            self.known.changed_relations(&self.telling, |id, old, new| {
                if Told::Relation(id) <= told {
                } else if events.len() < limit {
                    events.extend(relation_event(at, old, new));
                    last = Some(Told::Relation(id));
                } else {
                    more = true;
                }
            });
        }
        if more {
            self.cursor.told = last.unwrap_or(told);
        } else {
            self.known = self.telling.clone();
            self.cursor = FeedCursor::at(self.cursor.to);
        }
        // What came in while an old state was told follows at once.
        let behind = !more && self.cursor.to != mark;
        Delivery { events, cursor: self.cursor, more: more || behind }
    }
}
