//! What each source says is there: a fold of its runs in the order of their time.
//!
//! An item stays until its source lets it go: a later run with complete coverage of its scope lacks it, the source takes
//! it back, or its lease runs out. A run that would let go more than a set share of a scope is *held*: the items are
//! proposed for retirement and stay until the next complete run of the scope lacks them too, or somebody approves.

mod carried;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use itom_core::{
    AttrName, CiObservation, Coverage, RelationKind, RelationObservation, Retraction, Scope, SourceName,
    Subject, Text, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::config::CmdbConfig;
use crate::fact::{Fact, FactBody, FactId, FactLog, Head, Resolution};
use crate::lock::is_lock;

/// What a source calls one of its things.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ItemKey {
    Ci(Text),
    /// Apart, since most are items: a map of them has small keys.
    Relation(Arc<(RelationKind, Subject, Subject)>),
}

/// As [`ItemKey`], borrowed, in the same order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named<'a> {
    Ci(&'a Text),
    Relation(&'a RelationKind, &'a Subject, &'a Subject),
}

impl Named<'_> {
    fn key(self) -> ItemKey {
        match self {
            Self::Ci(native) => ItemKey::Ci(native.clone()),
            Self::Relation(kind, from, to) => ItemKey::relation(kind, from, to),
        }
    }
}

/// Why a source let an item go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Departure {
    /// A run that read its whole scope did not see it.
    Absent,
    /// The source took it back.
    Retracted,
    /// Nobody renewed it in time.
    LeaseExpired,
}

/// One item as its source sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) statement: Arc<Fact>,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    /// When it (re)appeared, for the share of a scope that a run may let go.
    entered: Timestamp,
    /// Since when the source says exactly this.
    since: Timestamp,
    /// Attributes that kept their value longer than the whole statement.
    older: BTreeMap<AttrName, Timestamp>,
    proposed: Option<Timestamp>,
    gone: Option<(Timestamp, Departure)>,
}

impl Item {
    pub(crate) fn ci(&self) -> Option<&CiObservation> {
        match self.statement.body() {
            FactBody::Ci(ci) => Some(ci),
            _ => None,
        }
    }

    pub(crate) fn relation(&self) -> Option<&RelationObservation> {
        match self.statement.body() {
            FactBody::Relation(relation) => Some(relation),
            _ => None,
        }
    }

    pub(crate) fn lease(&self, config: &CmdbConfig) -> Option<Duration> {
        if let Some(own) = config.lease_of_source(self.statement.source()) {
            return own;
        }
        match self.statement.body() {
            // What a person holds stays until it ends or is taken back.
            FactBody::Ci(_) if is_lock(self.statement.source()) => None,
            FactBody::Ci(ci) => config.lease_of(&ci.kind),
            _ => config.relation_lease(),
        }
    }

    /// Since when and why it is gone at `now`; `None` while it is there.
    pub(crate) fn departure(&self, config: &CmdbConfig, now: Timestamp) -> Option<(Timestamp, Departure)> {
        self.gone.or_else(|| {
            if config.is_within_leases(self.last_seen, now) {
                return None;
            }
            let end = self.last_seen + self.lease(config)?;
            (end <= now).then_some((end, Departure::LeaseExpired))
        })
    }

    /// Whether its source let it go: not only nobody looked in time.
    pub(crate) const fn is_let_go(&self) -> bool {
        self.gone.is_some()
    }

    /// Whether its source looks again and again: people and documents do not.
    pub(crate) fn ages(&self, config: &CmdbConfig) -> bool {
        let source = self.statement.source();
        !is_lock(source) && config.lease_of_source(source) != Some(None)
    }

    /// When it counts as not seen in time; `None`: never.
    pub(crate) fn stale_at(&self, config: &CmdbConfig) -> Option<Timestamp> {
        let ageing = config.ageing_of(&self.ci()?.kind)?;
        let span = ageing.stale_after.filter(|_| self.ages(config))?;
        Some(self.last_seen + span)
    }

    /// When it counts as gone for good; `None`: never, or it is there.
    pub(crate) fn purged_at(&self, config: &CmdbConfig, now: Timestamp) -> Option<Timestamp> {
        let span = config.ageing_of(&self.ci()?.kind)?.purge_after?;
        Some(self.departure(config, now)?.0 + span)
    }

    /// Since when the source says this value of the attribute.
    pub(crate) fn said_since(&self, attr: &AttrName) -> Timestamp {
        self.older.get(attr).copied().unwrap_or(self.since)
    }

    fn covered_by(&self, scope: &Scope) -> bool {
        match self.statement.body() {
            FactBody::Ci(ci) => scope.covers_ci(&ci.kind, ci.partition.as_deref()),
            FactBody::Relation(relation) => {
                scope.covers_relation(&relation.kind, relation.partition.as_deref())
            }
            _ => false,
        }
    }

    fn restate(&mut self, statement: Arc<Fact>, at: Timestamp) {
        if self.statement.id() == statement.id() {
            self.statement = statement;
            return;
        }
        let mut older = BTreeMap::new();
        if let (FactBody::Ci(new), Some(old)) = (statement.body(), self.ci()) {
            for (name, value) in &new.attributes {
                if old.attributes.get(name) == Some(value) {
                    older.insert(name.clone(), self.said_since(name));
                }
            }
        }
        self.older = older;
        self.since = at;
        self.statement = statement;
    }
}

/// A mass retirement that waits for confirmation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProposedRetirement {
    /// The source whose run would let go so many.
    pub source: SourceName,
    /// The scope it read completely.
    pub scope: Scope,
    /// When the run began; name it in an [`Approval`](crate::fact::Approval).
    pub run_at: Timestamp,
    /// How many items the run lacks.
    pub missing: usize,
    /// Of how many that were there.
    pub of: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// Seen again, unchanged.
    Moved,
    /// Anything else.
    Dirty,
}

#[derive(Debug, Clone)]
struct LastRound {
    at: Timestamp,
    /// The seen set, when the round consisted of one run only.
    sole: Option<Head>,
}

/// The state of one source.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceState {
    pub(crate) items: BTreeMap<ItemKey, Item>,
    pub(crate) held: BTreeMap<Scope, ProposedRetirement>,
    last: Option<LastRound>,
    /// Facts that runs refer to and the log lacks.
    awaited: BTreeSet<FactId>,
    /// The time of the checkpoint it started from.
    base: Option<Timestamp>,
}

/// One time of one source, put together.
#[derive(Default)]
struct Round {
    members: Vec<FactId>,
    sole: Option<Head>,
    coverage: Coverage,
    /// A part of it cannot be read: absence means nothing.
    torn: bool,
    retracted: Vec<ItemKey>,
}

impl SourceState {
    /// Recomputes everything from the log.
    pub(crate) fn fold(log: &FactLog, config: &CmdbConfig, source: &SourceName) -> Self {
        let mut state = log
            .checkpoint(source)
            .map_or_else(Self::default, |(at, carried)| Self::carried(log, source, at, carried));
        let times: Vec<Timestamp> =
            log.rounds(source).map(|(at, _)| at).filter(|at| Some(*at) > state.base).collect();
        for at in times {
            state.step(log, config, source, at);
        }
        state
    }

    pub(crate) fn last_at(&self) -> Option<Timestamp> {
        self.last.as_ref().map(|last| last.at)
    }

    pub(crate) fn awaits(&self, id: FactId) -> bool {
        self.awaited.contains(&id)
    }

    /// The seen set that the next run can be coded against.
    pub(crate) fn head(&self) -> Option<&Head> {
        self.last.as_ref()?.sole.as_ref()
    }

    /// Takes in the round at `at`, which is later than every one before.
    pub(crate) fn step(
        &mut self,
        log: &FactLog,
        config: &CmdbConfig,
        source: &SourceName,
        at: Timestamp,
    ) -> Vec<(ItemKey, Touch)> {
        let round = self.gather(log, source, at);
        let mut touched = match self.repeat_of(&round) {
            Some(before) => self.move_all(config, before, at),
            None => self.see(log, config, source, &round, at),
        };
        for key in &round.retracted {
            if let Some(item) = self.items.get_mut(key) {
                if item.gone.is_none() {
                    item.gone = Some((at, Departure::Retracted));
                }
                touched.push((key.clone(), Touch::Dirty));
            }
        }
        if !round.torn && !self.awaits_any(&round.members) {
            self.let_go(log, config, source, &round.coverage, at, &mut touched);
        }
        self.last = Some(LastRound { at, sole: round.sole });
        touched
    }

    fn awaits_any(&self, members: &[FactId]) -> bool {
        !self.awaited.is_empty() && members.iter().any(|id| self.awaited.contains(id))
    }

    fn gather(&mut self, log: &FactLog, source: &SourceName, at: Timestamp) -> Round {
        let mut round = Round::default();
        let mut heads = Vec::new();
        let known = self.head().cloned();
        for id in log.round(source, at) {
            match log.get(*id).map(Fact::body) {
                Some(FactBody::Run(run)) => match log.resolve(*id, run, known.as_ref()) {
                    Resolution::Known(head) => {
                        run.complete.iter().for_each(|scope| round.coverage.add_complete(scope.clone()));
                        for part in &run.partial {
                            round.coverage.add_partial(part.scope.clone(), part.kind, part.reason.clone());
                        }
                        heads.push(head);
                    }
                    Resolution::Missing(basis) => {
                        self.awaited.insert(basis);
                        round.torn = true;
                    }
                },
                Some(FactBody::Retract(Retraction::Ci(native))) => {
                    round.retracted.push(ItemKey::Ci(native.clone()));
                }
                Some(FactBody::Retract(Retraction::Relation { kind, from, to })) => {
                    round.retracted.push(ItemKey::relation(kind, from, to));
                }
                _ => {}
            }
        }
        round.retracted.sort();
        if let [head] = heads.as_slice() {
            round.members = head.members.to_vec();
            round.sole = if round.torn { None } else { heads.pop() };
        } else {
            round.members = heads.iter().flat_map(|head| head.members.iter().copied()).collect();
            round.members.sort_unstable();
            round.members.dedup();
        }
        round
    }

    /// The time of the round before, if this one saw exactly the same.
    fn repeat_of(&self, round: &Round) -> Option<Timestamp> {
        let last = self.last.as_ref()?;
        let same = last.sole.as_ref()?.anchor == round.sole.as_ref()?.anchor && self.awaited.is_empty();
        same.then_some(last.at)
    }

    fn move_all(&mut self, config: &CmdbConfig, before: Timestamp, at: Timestamp) -> Vec<(ItemKey, Touch)> {
        let mut touched = Vec::with_capacity(self.items.len());
        for (key, item) in &mut self.items {
            if item.last_seen == before {
                touched.push((key.clone(), renew(item, config, at)));
            }
        }
        touched
    }

    fn see(
        &mut self,
        log: &FactLog,
        config: &CmdbConfig,
        source: &SourceName,
        round: &Round,
        at: Timestamp,
    ) -> Vec<(ItemKey, Touch)> {
        let mut seen: Vec<(Named<'_>, &Arc<Fact>)> = Vec::with_capacity(round.members.len());
        for id in &round.members {
            match log.shared(*id) {
                Some(fact) if fact.source() == source => match fact.body() {
                    FactBody::Ci(ci) => seen.push((Named::Ci(&ci.subject), fact)),
                    FactBody::Relation(own) => {
                        seen.push((Named::Relation(&own.kind, &own.from, &own.to), fact));
                    }
                    _ => {}
                },
                Some(_) => {}
                None => {
                    self.awaited.insert(*id);
                }
            }
        }
        // Two descriptions of one thing in one run: the greatest address wins, whatever came first.
        seen.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.id().cmp(&a.1.id())));
        seen.dedup_by(|later, first| later.0 == first.0);
        let mut touched = Vec::with_capacity(seen.len());
        for (named, statement) in seen {
            let key = named.key();
            let touch = match self.items.get_mut(&key) {
                Some(item) if item.statement.id() == statement.id() => renew(item, config, at),
                Some(item) => {
                    item.restate(Arc::clone(statement), at);
                    renew(item, config, at);
                    Touch::Dirty
                }
                None => {
                    let item = Item {
                        statement: Arc::clone(statement),
                        first_seen: at,
                        last_seen: at,
                        entered: at,
                        since: at,
                        older: BTreeMap::new(),
                        proposed: None,
                        gone: None,
                    };
                    self.items.insert(key.clone(), item);
                    Touch::Dirty
                }
            };
            touched.push((key, touch));
        }
        touched
    }

    /// Believes in absence as far as the coverage goes.
    fn let_go(
        &mut self,
        log: &FactLog,
        config: &CmdbConfig,
        source: &SourceName,
        coverage: &Coverage,
        at: Timestamp,
        touched: &mut Vec<(ItemKey, Touch)>,
    ) {
        let scopes = coverage.complete_scopes();
        if scopes.is_empty() {
            return;
        }
        let blocked = |item: &Item| coverage.partial_scopes().iter().any(|part| item.covered_by(&part.scope));
        let mut of = vec![0_usize; scopes.len()];
        let mut missing = vec![0_usize; scopes.len()];
        let mut lacking: Vec<(ItemKey, Vec<usize>)> = Vec::new();
        let mut covering: Vec<usize> = Vec::new();
        for (key, item) in &self.items {
            if item.entered >= at || item.departure_before(config, at) {
                continue;
            }
            covering.clear();
            covering.extend((0..scopes.len()).filter(|index| item.covered_by(&scopes[*index])));
            if covering.is_empty() || blocked(item) {
                continue;
            }
            covering.iter().for_each(|index| of[*index] += 1);
            if item.last_seen < at {
                covering.iter().for_each(|index| missing[*index] += 1);
                lacking.push((key.clone(), covering.clone()));
            }
        }
        let approved = log.is_approved(source, at);
        let held: Vec<bool> =
            (0..scopes.len()).map(|index| !approved && config.is_mass(missing[index], of[index])).collect();
        let mut proposed_now = vec![false; scopes.len()];
        for (key, covering) in lacking {
            let Some(item) = self.items.get_mut(&key) else { continue };
            if covering.iter().all(|index| held[*index]) && item.proposed.is_none() {
                item.proposed = Some(at);
                covering.iter().for_each(|index| proposed_now[*index] = true);
            } else {
                item.gone = Some((item.proposed.take().unwrap_or(at), Departure::Absent));
                touched.push((key, Touch::Dirty));
            }
        }
        for (index, scope) in scopes.iter().enumerate() {
            if proposed_now[index] {
                let proposal = ProposedRetirement {
                    source: source.clone(),
                    scope: scope.clone(),
                    run_at: at,
                    missing: missing[index],
                    of: of[index],
                };
                self.held.insert(scope.clone(), proposal);
            } else {
                self.held.remove(scope);
            }
        }
    }
}

impl Item {
    /// Whether it was gone before this round (a retraction of this very round does not count).
    fn departure_before(&self, config: &CmdbConfig, at: Timestamp) -> bool {
        if self.gone.is_some() {
            return true;
        }
        self.last_seen < at && self.departure(config, at).is_some()
    }
}

fn renew(item: &mut Item, config: &CmdbConfig, at: Timestamp) -> Touch {
    let back = item.departure(config, at).is_some();
    if back {
        item.entered = at;
        item.gone = None;
    }
    item.proposed = None;
    item.last_seen = at;
    if back { Touch::Dirty } else { Touch::Moved }
}
