//! A plan against the positions of a store: the same arithmetic for every store.

use super::Compaction;
use crate::fact::{Fact, FactId};
use crate::history::Mark;
use crate::store::{Cursor, StoreError};

/// A fact that a checkpoint takes the position of others with.
#[derive(Debug)]
pub(in crate::store) struct Landing<'a> {
    pub(in crate::store) at: u64,
    pub(in crate::store) checkpoint: &'a Fact,
}

/// What goes from where, and what comes where.
#[derive(Debug)]
pub(in crate::store) struct Layout<'a> {
    /// Positions that are emptied.
    pub(in crate::store) dropped: Vec<(FactId, u64)>,
    pub(in crate::store) landings: Vec<Landing<'a>>,
    pub(in crate::store) horizon: Mark,
}

impl Compaction {
    /// Where a reader must be to have read everything that the planner knew.
    pub(in crate::store) const fn checked_after(&self) -> Option<Cursor> {
        self.known_to
    }

    /// Refuses when a fact that the planner did not know speaks of what goes.
    pub(in crate::store) fn check<'f>(
        &self,
        what: &str,
        unknown: impl IntoIterator<Item = &'f Fact>,
    ) -> Result<(), StoreError> {
        if self.known_to.is_some() && unknown.into_iter().any(|fact| self.disturbed_by(fact)) {
            return Err(StoreError::Disturbed { what: what.to_owned() });
        }
        Ok(())
    }

    /// The layout in a store that has facts where `place` says.
    ///
    /// A checkpoint takes the last of the positions that it empties. So whoever reads on from a cursor has read all that
    /// it stands for, or reads it.
    pub(in crate::store) fn lay_out(
        &self,
        place: impl Fn(FactId) -> Option<u64>,
        before: Option<Mark>,
    ) -> Layout<'_> {
        let mut dropped = Vec::new();
        let mut landings = Vec::new();
        let mut floor = before.map_or(0, |mark| mark.position);
        for fold in &self.folds {
            let places: Vec<(FactId, u64)> =
                fold.dropped.iter().filter_map(|id| Some((*id, place(*id)?))).collect();
            let kept = fold.kept.iter().filter_map(|id| place(*id));
            let last = places.iter().map(|(_, at)| *at).max();
            floor = floor.max(last.into_iter().chain(kept).max().unwrap_or(0));
            match last {
                Some(at) if place(fold.checkpoint.id()).is_none() => {
                    landings.push(Landing { at, checkpoint: &fold.checkpoint });
                }
                // It is there, or what it stands for went by another compaction that has its own sum.
                _ => {}
            }
            dropped.extend(places);
        }
        let rest = self.thinned.iter().flat_map(|(_, _, runs)| runs).chain(&self.spent);
        dropped.extend(rest.filter_map(|id| Some((*id, place(*id)?))));
        floor = dropped.iter().map(|(_, at)| *at).fold(floor, u64::max);
        let at = before.map_or(self.horizon, |mark| mark.at.max(self.horizon));
        Layout { dropped, landings, horizon: Mark::new(floor, at) }
    }
}
