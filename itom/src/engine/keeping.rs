//! A snapshot beside the facts, now and then and at the end, so that the next opening is quick.

use std::sync::Arc;

use futures::future::{Either, select};
use itom_cmdb::Cmdb;
use itom_cmdb::history::Mark;
use itom_cmdb::store::{Cursor, Opened, SnapshotUse, Store, StoreError};
use itom_core::{Clock, ErrorChain, Timestamp};
use tracing::{debug, info, warn};

use super::ingest::Writing;
use super::run::Loop;

/// What the store answered.
pub(super) enum Kept {
    /// Where its facts end, and what was compacted.
    Place(Result<Place, StoreError>),
    Kept(Result<(), StoreError>),
}

type Place = (Option<Cursor>, Option<Mark>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Waiting,
    /// The store is asked where its facts end. Nothing is appended meanwhile, so that they are the ones known here.
    Asking,
    /// The store keeps one that covers so many facts more than the one before.
    Keeping(u64),
}

/// When a snapshot is due.
#[derive(Debug)]
pub(super) struct Keeping {
    every: u64,
    /// Facts that the snapshot of the store does not cover, and of how many the next one is due.
    fresh: u64,
    due: u64,
    /// Others append, too: they hear of the facts in an order of their own.
    shared: bool,
    step: Step,
}

impl Keeping {
    pub(super) fn new(opened: &Opened, every: u64) -> Self {
        let fresh = match &opened.snapshot {
            SnapshotUse::Used { .. } => opened.by_moments,
            SnapshotUse::Refused(why) => {
                info!(%why, "the snapshot of the store was not used");
                opened.facts
            }
            _ => opened.facts,
        };
        Self { every, fresh, due: every, shared: false, step: Step::Waiting }
    }

    /// Whether appends wait for it.
    pub(super) fn is_asking(&self) -> bool {
        self.step == Step::Asking
    }

    pub(super) const fn took_in(&mut self, facts: usize) {
        self.fresh = self.fresh.saturating_add(facts as u64);
    }

    /// Facts came from elsewhere.
    pub(super) const fn is_shared(&mut self) {
        self.shared = true;
    }

    /// What was kept, or is being kept, fits no longer.
    pub(super) fn outdated(&mut self) {
        self.fresh = self.fresh.max(self.due);
        if let Step::Keeping(covers) = &mut self.step {
            *covers = 0;
        }
    }

    /// It did not work: the next chance comes after as many facts again.
    fn put_off(&mut self) {
        self.due = self.fresh.saturating_add(self.every);
    }

    fn is_of_use(&self, store: &dyn Store) -> bool {
        self.fresh > 0 && !self.shared && store.keeps_snapshots()
    }

    /// The last one, once everything is stored. Nothing depends on it: it is given the time that is left.
    pub(super) async fn at_end(&self, cmdb: &Cmdb, store: &dyn Store, clock: &dyn Clock, until: Timestamp) {
        if !self.is_of_use(store) {
            return;
        }
        let keep = Box::pin(async {
            let (end, horizon) = place(store).await?;
            match end.and_then(|end| cmdb.snapshot(end, horizon)) {
                Some(snapshot) => store.keep_snapshot(&snapshot).await,
                None => Ok(()),
            }
        });
        match select(keep, clock.sleep_until(until)).await {
            Either::Left((Ok(()), _)) => {}
            Either::Left((Err(error), _)) => {
                warn!(error = %ErrorChain(&error), "no snapshot could be kept; the next opening is slower");
            }
            Either::Right(_) => {
                warn!("the store kept no snapshot within the grace; the next opening is slower")
            }
        }
    }
}

/// Both are asked before anything is appended again.
async fn place(store: &dyn Store) -> Result<Place, StoreError> {
    Ok((store.end().await?, store.horizon().await?))
}

impl Loop {
    /// Has a snapshot kept that is due.
    pub(super) fn keep(&mut self) {
        let store = &self.parts.store;
        let calm = matches!(self.writing, Writing::Idle)
            && self.waits.compacting.is_none()
            && self.keeping.step == Step::Waiting
            && self.ending.is_none();
        if !calm || self.keeping.fresh < self.keeping.due || !self.keeping.is_of_use(store.as_ref()) {
            return;
        }
        self.keeping.step = Step::Asking;
        let store = Arc::clone(store);
        self.waits.keeping = Some(Box::pin(async move { Kept::Place(place(store.as_ref()).await) }));
    }

    /// The store answered.
    pub(super) fn kept(&mut self, answer: Kept) {
        let own = &mut self.keeping;
        let step = std::mem::replace(&mut own.step, Step::Waiting);
        match answer {
            Kept::Place(Ok((end, horizon))) => {
                let Some(snapshot) = end.and_then(|end| self.cmdb.snapshot(end, horizon)) else {
                    debug!("facts did not come in as a replay tells them: there is no snapshot to keep");
                    return own.put_off();
                };
                own.step = Step::Keeping(own.fresh);
                let store = Arc::clone(&self.parts.store);
                self.waits.keeping =
                    Some(Box::pin(async move { Kept::Kept(store.keep_snapshot(&snapshot).await) }));
            }
            Kept::Kept(Ok(())) => {
                if let Step::Keeping(covers) = step {
                    own.fresh = own.fresh.saturating_sub(covers);
                }
                own.due = own.every;
            }
            Kept::Place(Err(error)) | Kept::Kept(Err(error)) => {
                own.put_off();
                warn!(error = %ErrorChain(&error), "no snapshot could be kept; the next opening is slower");
            }
        }
    }
}
