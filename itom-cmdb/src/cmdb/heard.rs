//! How an engine heard of its facts: only one that heard of them as a replay of the store tells them has the feed that a
//! replay gives, and may keep it as a snapshot.

use itom_core::{Deadline, Timestamp};

use super::settle::next_deadline;
use super::{Applied, Cmdb};
use crate::CmdbConfig;
use crate::fact::{FactId, FactLog};
use crate::history::{ChangeFeed, Mark};
use crate::store::{Compaction, Cover, Cursor, Snapshot};

/// What is known of the order in which facts and time came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// The latest time at which a fact was learned.
    latest: Timestamp,
    /// Until when no state is whole: the horizon of compaction.
    horizon: Timestamp,
    /// Whether no fact came after one that was learned later and after the horizon.
    ascending: bool,
    /// Whether the feed is what a replay by moments gives.
    in_order: bool,
}

impl Default for Heard {
    fn default() -> Self {
        Self { latest: Timestamp::MIN, horizon: Timestamp::MIN, ascending: true, in_order: true }
    }
}

impl Heard {
    /// Time passes: what ran out on the way is told when it ran out, or not as a replay tells it.
    pub(super) fn passes(&mut self, due: Option<Deadline>, now: Timestamp) {
        self.in_order &= due.is_none_or(|due| due.at >= now);
    }

    /// A compaction takes facts out. The feed stays a replay's from the horizon on if every fact up to the last one that
    /// goes was learned by then.
    pub(super) fn forgets(mut self, plan: &Compaction, log: &FactLog) -> Self {
        let mut named = plan.named().filter_map(|id| log.get(id));
        self.in_order &= self.ascending && named.all(|fact| fact.recorded() <= plan.horizon());
        self.horizon = self.horizon.max(plan.horizon());
        self
    }

    /// What a compaction changed, which should be nothing.
    pub(super) fn told(mut self, applied: &Applied) -> Self {
        self.in_order &= applied.changes.is_empty();
        self
    }
}

/// Facts that are taken in together.
pub(super) struct Moment {
    before: Heard,
    heard: Heard,
    /// The time as far as it had come, and as far as it comes now.
    now: (Timestamp, Timestamp),
    due: Option<Timestamp>,
}

impl Moment {
    /// A new fact. In order is: all of a moment were learned at one time, after every one before, and before that time
    /// came by itself or anything ran out that is not told yet.
    pub(super) fn add(&mut self, recorded: Timestamp) {
        let (before, now) = self.now;
        self.heard.in_order &= recorded == now
            && recorded > self.before.latest
            && recorded >= before
            && self.due.is_none_or(|due| due > recorded);
        self.heard.ascending &= recorded >= self.heard.latest || self.heard.latest <= self.heard.horizon;
        self.heard.latest = self.heard.latest.max(recorded);
    }

    /// A known fact, with an earlier time. If that is when it was learned, a replay tells of it at another moment.
    pub(super) fn again(&mut self, recorded: Timestamp, log: &FactLog, id: FactId) {
        let same = log.get(id).is_some_and(|fact| fact.recorded() < recorded);
        self.heard.in_order &= same;
        self.heard.ascending &= same;
    }

    pub(super) const fn end(self) -> Heard {
        self.heard
    }
}

impl Cmdb {
    pub(super) fn moment(&self, now: Timestamp) -> Moment {
        let due = self.next_deadline().map(|deadline| deadline.at);
        Moment { before: self.heard, heard: self.heard, now: (self.now, now.max(self.now)), due }
    }

    /// The latest time at which a fact was learned; [`Timestamp::MIN`] when there is none.
    #[must_use]
    pub const fn learned_until(&self) -> Timestamp {
        self.heard.latest
    }

    /// As [`expire`](Self::expire), but what runs out by then runs out at its own time, one after the other: changes say
    /// when it was. Gives the steps that changed something.
    pub fn run_out(&mut self, now: Timestamp) -> Vec<Applied> {
        let mut steps = Vec::new();
        let mut step = |applied: Applied| {
            if !(applied.changes.is_empty() && applied.graph.is_empty()) {
                steps.push(applied);
            }
        };
        while let Some(due) = self.next_deadline().map(|deadline| deadline.at).filter(|at| *at < now) {
            step(self.expire(due));
        }
        step(self.expire(now));
        steps
    }

    /// Lets run out what runs out by `now`, each at its own time. Time comes no further than that.
    pub(crate) fn run_due(&mut self, now: Timestamp) {
        while let Some(due) = self.next_deadline().map(|deadline| deadline.at).filter(|at| *at <= now) {
            self.expire(due);
        }
    }

    /// What cannot be derived from the facts at once, for a store to keep: see [`store::open`](crate::store::open). The
    /// facts of the engine must be those of the store up to `end`, taken in in that order; `horizon` is the store's.
    ///
    /// `None` when the engine did not hear of its facts as a replay of the store tells them, so that its feed is not the
    /// one that a replay gives: several moments were taken in at once, time ran ahead of facts that were learned before,
    /// or something ran out and was told later ([`run_out`](Self::run_out) tells in time). Opening the store anew gives
    /// one that can.
    #[must_use]
    pub fn snapshot(&self, end: Cursor, horizon: Option<Mark>) -> Option<Snapshot> {
        if !self.heard.in_order {
            return None;
        }
        let mut feed = self.feed.clone();
        if let Some(horizon) = horizon {
            feed.forget(horizon.at);
        }
        let cover = Cover {
            rules: self.view.rules,
            remembered: self.config.ring_size() as u64,
            end,
            at: self.now,
            horizon,
            facts: self.log.len() as u64,
            digest: self.log.digest(),
        };
        Some(Snapshot::new(cover, feed))
    }

    /// An empty one that is about to hear of the facts of a store.
    pub(crate) fn of_store(config: CmdbConfig, horizon: Option<Mark>) -> Self {
        let mut own = Self::new(config);
        own.heard.horizon = horizon.map_or(Timestamp::MIN, |horizon| horizon.at);
        own
    }

    /// Takes a feed over that was kept.
    pub(crate) fn resume_feed(&mut self, feed: ChangeFeed) {
        self.feed = feed;
    }

    /// Forgets the changes up to now: what came before was not whole.
    pub(crate) fn forget_feed(&mut self) {
        self.feed.forget(self.now);
    }

    /// Ends a replay by moments, which is in order by definition. What was armed early and renewed since is armed anew,
    /// so that nothing shows of the way that led here.
    pub(crate) fn replayed(&mut self) {
        self.heard.in_order = true;
        let mut later = Vec::new();
        for (item, at) in &self.armed {
            let next = self.sources.get(&item.0).and_then(|state| state.items.get(&item.1));
            let next = next.and_then(|own| next_deadline(&self.config, &item.0, own, self.now));
            if next != Some(*at) {
                later.push((item.clone(), next));
            }
        }
        let moved = !later.is_empty();
        for (item, next) in later {
            match next {
                Some(next) => self.armed.insert(item, next),
                None => self.armed.remove(&item),
            };
        }
        if moved || self.deadlines.len() != self.armed.len() {
            self.deadlines = self.armed.iter().map(|(item, at)| (*at, item.clone())).collect();
        }
    }
}
