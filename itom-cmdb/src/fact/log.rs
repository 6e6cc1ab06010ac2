//! The grow-only set of facts, in memory, with the indices that deriving needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use itom_core::{SourceName, Timestamp};

use super::{Checkpoint, Fact, FactBody, FactId, RunFact};

/// What an insertion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inserted {
    /// The fact is new.
    New,
    /// The fact was known; an earlier time was learned.
    Earlier,
    /// Nothing changed.
    Known,
}

/// A grow-only set of facts. Merging is set union (with the earliest times kept): commutative, associative, idempotent.
///
/// ```
/// use itom_cmdb::fact::{FactLog, facts_of};
/// use itom_core::{Batch, SourceName, Timestamp, kind};
/// let mut batch = Batch::new(SourceName::literal("demo"), Timestamp::EPOCH);
/// batch.ci("web", kind::SERVICE);
/// let mut log: FactLog = facts_of(&batch, Timestamp::EPOCH).into_iter().collect();
/// let copy = log.clone();
/// log.merge(&copy);
/// assert_eq!(log, copy);
/// ```
#[derive(Debug, Clone, Default)]
pub struct FactLog {
    facts: BTreeMap<FactId, Arc<Fact>>,
    /// Facts with a time that matters (runs, retractions), per source and time.
    rounds: BTreeMap<SourceName, BTreeMap<Timestamp, Vec<FactId>>>,
    stated: BTreeSet<FactId>,
    approvals: BTreeSet<(SourceName, Timestamp)>,
    checkpoints: BTreeMap<SourceName, BTreeSet<(Timestamp, FactId)>>,
    /// What [`digest`](Self::digest) gives, kept current.
    digest: u64,
}

impl PartialEq for FactLog {
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts
    }
}
impl Eq for FactLog {}

/// A resolved seen set that later runs build upon.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The run fact that names the set.
    pub(crate) anchor: FactId,
    /// The statements, ascending.
    pub(crate) members: Arc<[FactId]>,
    /// How many run facts must be read to know the set.
    pub(crate) depth: usize,
}

/// What resolving a run's seen set gave.
#[derive(Debug)]
pub(crate) enum Resolution {
    /// The set.
    Known(Head),
    /// A run fact that it builds upon is not in the log.
    Missing(FactId),
}

impl FactLog {
    /// An empty log.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            facts: BTreeMap::new(),
            rounds: BTreeMap::new(),
            stated: BTreeSet::new(),
            approvals: BTreeSet::new(),
            checkpoints: BTreeMap::new(),
            digest: 0,
        }
    }

    /// A sum over every fact and when it was learned, in whatever order they came: see [`Fact::digest`].
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// Adds a fact. Adding it again changes nothing.
    pub fn insert(&mut self, fact: Fact) -> Inserted {
        if let Some(known) = self.facts.get_mut(&fact.id()) {
            let earlier = fact.recorded() < known.recorded()
                || (fact.observed(), fact.run()) < (known.observed(), known.run());
            if earlier {
                let known = Arc::make_mut(known);
                self.digest = self.digest.wrapping_sub(known.digest());
                known.join(&fact);
                self.digest = self.digest.wrapping_add(known.digest());
                return Inserted::Earlier;
            }
            return Inserted::Known;
        }
        self.index(&fact);
        self.facts.insert(fact.id(), Arc::new(fact));
        Inserted::New
    }

    fn index(&mut self, fact: &Fact) {
        self.digest = self.digest.wrapping_add(fact.digest());
        match fact.body() {
            FactBody::Run(_) | FactBody::Retract(_) => {
                let times = self.rounds.entry(fact.source().clone()).or_default();
                times.entry(fact.observed()).or_default().push(fact.id());
            }
            FactBody::SameAs(_) | FactBody::NotSame(_) => {
                self.stated.insert(fact.id());
            }
            FactBody::Approve(approval) => {
                self.approvals.insert((approval.source.clone(), approval.run_at));
            }
            FactBody::Checkpoint(_) => {
                let own = self.checkpoints.entry(fact.source().clone()).or_default();
                own.insert((fact.observed(), fact.id()));
            }
            FactBody::Ci(_) | FactBody::Relation(_) => {}
        }
    }

    /// Set union.
    pub fn merge(&mut self, other: &Self) {
        for fact in other.facts.values() {
            self.insert(Fact::clone(fact));
        }
    }

    /// One fact.
    #[must_use]
    pub fn get(&self, id: FactId) -> Option<&Fact> {
        self.facts.get(&id).map(Arc::as_ref)
    }

    pub(crate) fn shared(&self, id: FactId) -> Option<&Arc<Fact>> {
        self.facts.get(&id)
    }

    /// Whether it holds a fact.
    #[must_use]
    pub fn contains(&self, id: FactId) -> bool {
        self.facts.contains_key(&id)
    }

    /// Every fact, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.facts.values().map(Arc::as_ref)
    }

    /// How many facts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// The times of a source at which something was seen or taken back, oldest first, with the facts of each.
    pub(crate) fn rounds(&self, source: &SourceName) -> impl Iterator<Item = (Timestamp, &[FactId])> {
        self.rounds.get(source).into_iter().flatten().map(|(at, ids)| (*at, ids.as_slice()))
    }

    pub(crate) fn round(&self, source: &SourceName, at: Timestamp) -> &[FactId] {
        self.rounds.get(source).and_then(|times| times.get(&at)).map_or(&[], Vec::as_slice)
    }

    /// The `SameAs` and `NotSame` facts, by id.
    pub(crate) fn stated(&self) -> impl Iterator<Item = &Fact> {
        self.stated.iter().filter_map(|id| self.get(*id))
    }

    pub(crate) fn is_approved(&self, source: &SourceName, run_at: Timestamp) -> bool {
        self.approvals.contains(&(source.clone(), run_at))
    }

    /// The sources that said anything with a time, ascending.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &SourceName> {
        self.rounds.keys()
    }

    /// The latest checkpoint of a source; of equal times the one with the greatest address.
    pub(crate) fn checkpoint(&self, source: &SourceName) -> Option<(Timestamp, &Checkpoint)> {
        let (at, id) = self.checkpoints.get(source)?.last()?;
        match self.get(*id)?.body() {
            FactBody::Checkpoint(checkpoint) => Some((*at, checkpoint)),
            _ => None,
        }
    }

    /// The checkpoints of a source, by time.
    pub(crate) fn checkpoints(&self, source: &SourceName) -> impl Iterator<Item = FactId> {
        self.checkpoints.get(source).into_iter().flatten().map(|(_, id)| *id)
    }

    /// Takes facts out, for a compaction.
    pub(crate) fn remove(&mut self, ids: &BTreeSet<FactId>) {
        let facts = std::mem::take(&mut self.facts);
        *self = Self::new();
        for (id, fact) in facts.into_iter().filter(|(id, _)| !ids.contains(id)) {
            self.index(&fact);
            self.facts.insert(id, fact);
        }
    }

    /// The seen set of a run fact. `known` is a set resolved before, where the walk can stop.
    pub(crate) fn resolve(&self, id: FactId, run: &RunFact, known: Option<&Head>) -> Resolution {
        let mut steps: Vec<(FactId, &RunFact)> = vec![(id, run)];
        let mut at = run.basis;
        let mut head = Head { anchor: id, members: Arc::from([]), depth: 0 };
        while let Some(basis) = at {
            if let Some(known) = known.filter(|known| known.anchor == basis) {
                head = known.clone();
                break;
            }
            match self.get(basis).map(Fact::body) {
                Some(FactBody::Run(earlier)) => {
                    steps.push((basis, earlier));
                    at = earlier.basis;
                }
                _ => return Resolution::Missing(basis),
            }
        }
        for (id, step) in steps.into_iter().rev() {
            if step.is_repeat() {
                continue;
            }
            let base = if step.basis.is_some() { Arc::clone(&head.members) } else { Arc::from([]) };
            let kept = base.iter().filter(|member| step.gone.binary_search(member).is_err());
            let mut members: Vec<FactId> = kept.chain(&step.seen).copied().collect();
            members.sort_unstable();
            members.dedup();
            let depth = if step.basis.is_some() { head.depth + 1 } else { 1 };
            head = Head { anchor: id, members: members.into(), depth };
        }
        Resolution::Known(head)
    }
}

impl FromIterator<Fact> for FactLog {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        let mut log = Self::new();
        log.extend(facts);
        log
    }
}
impl Extend<Fact> for FactLog {
    fn extend<I: IntoIterator<Item = Fact>>(&mut self, facts: I) {
        for fact in facts {
            self.insert(fact);
        }
    }
}
