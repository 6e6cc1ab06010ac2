//! What changed: the change feed, the difference of two views, the past of one item.

mod cloud;
mod event;
mod feed;
mod field;

use std::collections::VecDeque;
use std::sync::Arc;

use itom_core::{ChangeKind, ChangeSource, CiChange, Interval, Timestamp};

use crate::view::{Ci, Relation, View};

pub use cloud::CloudEvent;
pub use event::{FeedChange, FeedEvent, Why, events};
pub use feed::{Delivery, FeedCursor, Follower, Mark};
pub use field::FieldVersion;
pub(crate) use field::field_history;

/// Changes a block holds before a new one begins.
const BLOCK: usize = 1024;

/// The latest changes, oldest first, up to a set number. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ChangeFeed {
    blocks: VecDeque<Arc<Vec<CiChange>>>,
    /// How many changes at the front of the first block are forgotten.
    skipped: usize,
    forgotten_until: Option<Timestamp>,
}

impl ChangeFeed {
    pub(crate) fn push(&mut self, changes: &[CiChange], limit: usize) {
        for change in changes {
            match self.blocks.back_mut() {
                Some(block) if block.len() < BLOCK => Arc::make_mut(block).push(change.clone()),
                _ => self.blocks.push_back(Arc::new(vec![change.clone()])),
            }
        }
        self.drop_first(self.len().saturating_sub(limit));
    }

    /// The feed that these are the changes of, oldest first.
    pub(crate) fn of(changes: Vec<CiChange>, forgotten_until: Option<Timestamp>) -> Self {
        let mut feed = Self { forgotten_until, ..Self::default() };
        let mut changes = changes.into_iter();
        loop {
            let block: Vec<CiChange> = changes.by_ref().take(BLOCK).collect();
            if block.is_empty() {
                return feed;
            }
            feed.blocks.push_back(Arc::new(block));
        }
    }

    /// Forgets every change up to a time.
    pub(crate) fn forget(&mut self, until: Timestamp) {
        // They came in the order of their times.
        self.drop_first(self.iter().take_while(|change| change.at <= until).count());
        self.forgotten_until = self.forgotten_until.max(Some(until));
    }

    /// Every change that is remembered, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CiChange> {
        self.blocks.iter().flat_map(|block| block.iter()).skip(self.skipped)
    }

    fn drop_first(&mut self, mut count: usize) {
        while count > 0
            && let Some(first) = self.blocks.front()
        {
            let gone = count.min(first.len() - self.skipped);
            count -= gone;
            self.skipped += gone;
            let last = self.skipped.checked_sub(1).and_then(|last| first.get(last));
            self.forgotten_until = last.map(|change| change.at).max(self.forgotten_until);
            if self.skipped == first.len() {
                self.blocks.pop_front();
                self.skipped = 0;
            }
        }
    }

    /// Changes up to this time may be missing: they were more than the feed remembers. Replay the facts to see them.
    #[must_use]
    pub const fn forgotten_until(&self) -> Option<Timestamp> {
        self.forgotten_until
    }

    /// How many changes are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.len()).sum::<usize>() - self.skipped
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ChangeSource for ChangeFeed {
    fn changes(&self, range: Interval) -> Vec<CiChange> {
        let mut changes: Vec<CiChange> =
            self.iter().filter(|change| range.contains(change.at)).cloned().collect();
        changes.sort();
        changes
    }
}

/// What happened to an item between two states of it.
pub(crate) fn ci_changes(
    at: Timestamp,
    before: Option<&Ci>,
    after: Option<&Ci>,
    changes: &mut Vec<CiChange>,
) {
    let Some(id) = after.or(before).map(Ci::id) else { return };
    let active = |ci: Option<&Ci>| ci.is_some_and(|ci| ci.state().is_active());
    let life = match (before, active(before), active(after)) {
        (None, _, true) => Some(ChangeKind::Appeared),
        (Some(_), false, true) => Some(ChangeKind::Returned),
        (_, true, false) => Some(ChangeKind::Retired),
        _ => None,
    };
    let source = |ci: Option<&Ci>| ci.and_then(|ci| ci.sources().first().cloned());
    if let Some(change) = life {
        changes.push(CiChange {
            at,
            ci: id,
            change,
            before: None,
            after: None,
            source: source(after.or(before)),
        });
    }
    let (Some(old), Some(new)) = (before, after) else { return };
    if old.shares_body(new) {
        return;
    }
    let (mut was, mut is) = (old.attributes().iter().peekable(), new.attributes().iter().peekable());
    loop {
        // Both are in the order of their names.
        let (name, was, is) = match (was.peek(), is.peek()) {
            (None, None) => return,
            (Some((a, _)), Some((b, _))) if a == b => {
                let (Some((name, one)), Some((_, other))) = (was.next(), is.next()) else { return };
                (name, Some(one), Some(other))
            }
            (Some((a, _)), other) if other.is_none_or(|(b, _)| a < b) => {
                let Some((name, one)) = was.next() else { return };
                (name, Some(one), None)
            }
            _ => {
                let Some((name, other)) = is.next() else { return };
                (name, None, Some(other))
            }
        };
        let (value_was, value_is) = (was.map(|a| a.value()), is.map(|a| a.value()));
        if value_was != value_is {
            changes.push(CiChange {
                at,
                ci: id,
                change: ChangeKind::Attribute(name.clone()),
                before: value_was.cloned(),
                after: value_is.cloned(),
                source: is.or(was).map(|attribute| attribute.winner.source.clone()),
            });
        }
    }
}

/// What happened to a relation, told at its start.
pub(crate) fn relation_changes(
    at: Timestamp,
    before: Option<&Relation>,
    after: Option<&Relation>,
    changes: &mut Vec<CiChange>,
) {
    let Some(relation) = after.or(before) else { return };
    let active = |relation: Option<&Relation>| relation.is_some_and(|relation| relation.state.is_active());
    let (kind, to) = (relation.kind.clone(), relation.to);
    let change = match (active(before), active(after)) {
        (false, true) => ChangeKind::Related { kind, to },
        (true, false) => ChangeKind::Unrelated { kind, to },
        _ => return,
    };
    let source = relation.sources.first().cloned();
    changes.push(CiChange { at, ci: relation.from, change, before: None, after: None, source });
}

/// What is different in `b` against `a`, as changes learned at `at`, by item.
///
/// The cost follows the differences when one view came from the other; else it is that of walking both.
#[must_use]
pub fn diff(a: &View, b: &View, at: Timestamp) -> Vec<CiChange> {
    let mut changes = Vec::new();
    a.changed_cis(b, |_, before, after| ci_changes(at, before, after, &mut changes));
    a.changed_relations(b, |_, before, after| relation_changes(at, before, after, &mut changes));
    changes.sort();
    changes
}
