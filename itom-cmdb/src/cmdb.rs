//! The facade: facts in, a current view out, at the cost of what changed.

mod compact;
mod conclude;
mod delta;
mod explain;
mod heard;
mod identify;
mod inherit;
mod settle;
mod touched;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use itom_core::{
    AttrName, Batch, ChangeSource, CiChange, CiId, Deadline, Interval, Observation, Retraction, SourceName,
    Timestamp,
};

use crate::config::CmdbConfig;
use crate::fact::{Fact, FactBody, FactId, FactLog, Inserted, run_fact};
use crate::history::{ChangeFeed, FieldVersion, field_history};
use crate::identity::{Object, OpenObject, Resolver};
use crate::temporal::{Memo, Past, Point};
use crate::view::presence::{ItemKey, SourceState, Touch};
use crate::view::shared::Shared;
use crate::view::{ProposedRetirement, RelationId, View};

use heard::Heard;
use touched::Touched;

pub use delta::{Applied, Explanation, GraphDelta, PairExplanation, Redirect, Split};

/// An item of a source, as an index key.
type ItemRef = Arc<(SourceName, ItemKey)>;

/// Chains of deltas longer than this are cut by a full listing.
const MAX_DEPTH: usize = 32;

#[derive(Debug, Clone, Default)]
struct ClusterRecord {
    /// Numbers of the resolver, ascending.
    objects: Vec<u32>,
    aliases: Vec<CiId>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct RelationEntry {
    relation: Option<RelationId>,
    ends: Option<(CiId, CiId)>,
    live: bool,
}

/// Configuration items, kept current. See the [crate](crate) for an example.
///
/// Everything it says is a function of the facts, the configuration and the latest time it was told: the order of
/// arrival, repetition and restarts do not show. It has no clock: `now` comes with the calls.
#[derive(Debug, Clone)]
pub struct Cmdb {
    config: CmdbConfig,
    log: FactLog,
    now: Timestamp,
    sources: BTreeMap<SourceName, SourceState>,
    /// The sources with a held mass retirement.
    holding: BTreeSet<SourceName>,
    resolver: Resolver,
    /// The item of each object, by its number.
    cis: Vec<Option<CiId>>,
    /// Objects that fit several items.
    open: BTreeMap<u32, Vec<OpenObject>>,
    /// Objects with a part that counts only until they are seen again.
    late: BTreeSet<u32>,
    /// When statements about sameness end.
    words_end: BTreeSet<Timestamp>,
    clusters: BTreeMap<CiId, ClusterRecord>,
    relations: BTreeMap<ItemRef, RelationEntry>,
    /// What makes each relation, in the order of its sources.
    supports: BTreeMap<RelationId, Vec<ItemRef>>,
    /// Relations that refer to an object or a value, by its number; looked up only.
    by_object: HashMap<u32, BTreeSet<ItemRef>>,
    by_ident: HashMap<u32, BTreeSet<ItemRef>>,
    /// The ids that values and objects give, by their numbers: deriving one is a hash.
    ident_ids: Vec<Option<CiId>>,
    object_ids: Vec<Option<CiId>>,
    deadlines: BTreeSet<(Timestamp, ItemRef)>,
    armed: BTreeMap<ItemRef, Timestamp>,
    view: View,
    shared: Shared,
    feed: ChangeFeed,
    heard: Heard,
    past: Memo,
}

impl Cmdb {
    /// An empty one.
    #[must_use]
    pub fn new(config: CmdbConfig) -> Self {
        let rules = config.rules_hash();
        Self {
            resolver: Resolver::new(config.identity().clone()),
            config,
            log: FactLog::new(),
            now: Timestamp::MIN,
            sources: BTreeMap::new(),
            holding: BTreeSet::new(),
            cis: Vec::new(),
            open: BTreeMap::new(),
            late: BTreeSet::new(),
            words_end: BTreeSet::new(),
            clusters: BTreeMap::new(),
            relations: BTreeMap::new(),
            supports: BTreeMap::new(),
            by_object: HashMap::new(),
            by_ident: HashMap::new(),
            ident_ids: Vec::new(),
            object_ids: Vec::new(),
            deadlines: BTreeSet::new(),
            armed: BTreeMap::new(),
            view: View::under(rules),
            shared: Shared::default(),
            feed: ChangeFeed::default(),
            heard: Heard::default(),
            past: Memo::new(),
        }
    }

    /// The facts of a batch in their shortest form: what the source said before is referred to, not repeated. Changes
    /// nothing: store the facts, then [`ingest`](Self::ingest) them.
    #[must_use]
    pub fn plan(&self, batch: &Batch, now: Timestamp) -> Vec<Fact> {
        let make = |body| Fact::new(batch.source().clone(), batch.run(), batch.taken_at(), now, body);
        let state = self.sources.get(batch.source());
        let item = |key: &ItemKey| state.and_then(|state| state.items.get(key));
        let mut facts = Vec::new();
        let mut seen = Vec::with_capacity(batch.items().len());
        let state_it = |body: FactBody, facts: &mut Vec<Fact>| {
            // Said again even when it was said long ago: a compaction may have taken it.
            let fact = make(body);
            let id = fact.id();
            facts.push(fact);
            id
        };
        for observation in batch.items() {
            match observation {
                Observation::Ci(ci) => {
                    let known = item(&ItemKey::Ci(ci.subject.clone()));
                    seen.push(match known.filter(|known| known.ci() == Some(ci)) {
                        Some(known) => known.statement.id(),
                        None => state_it(FactBody::Ci(ci.clone()), &mut facts),
                    });
                }
                Observation::Relation(relation) => {
                    let key = ItemKey::relation(&relation.kind, &relation.from, &relation.to);
                    seen.push(match item(&key).filter(|known| known.relation() == Some(relation)) {
                        Some(known) => known.statement.id(),
                        None => state_it(FactBody::Relation(relation.clone()), &mut facts),
                    });
                }
                Observation::Retract(retraction) => facts.push(make(FactBody::Retract(retraction.clone()))),
                Observation::SameAs(said) => facts.push(make(FactBody::SameAs(said.clone()))),
                Observation::NotSame(said) => facts.push(make(FactBody::NotSame(said.clone()))),
                // Samples and events are not configuration.
                _ => {}
            }
        }
        seen.sort_unstable();
        seen.dedup();
        let head = state
            .filter(|state| state.last_at().is_some_and(|last| last < batch.taken_at()))
            .and_then(SourceState::head);
        let run = match head {
            Some(head) if *head.members == *seen => {
                run_fact(batch, Some(head.anchor), Vec::new(), Vec::new())
            }
            Some(head) if head.depth < MAX_DEPTH => {
                let lacks = |set: &[FactId], id: &FactId| set.binary_search(id).is_err();
                let gone: Vec<FactId> = head.members.iter().filter(|id| lacks(&seen, id)).copied().collect();
                let new: Vec<FactId> = seen.iter().filter(|id| lacks(&head.members, id)).copied().collect();
                if gone.len() + new.len() < seen.len() {
                    run_fact(batch, Some(head.anchor), gone, new)
                } else {
                    run_fact(batch, None, Vec::new(), seen)
                }
            }
            _ => run_fact(batch, None, Vec::new(), seen),
        };
        facts.push(make(FactBody::Run(run)));
        facts
    }

    /// Takes facts in. Taking the same facts in again changes nothing.
    pub fn ingest(&mut self, facts: Vec<Fact>) -> Applied {
        let now = facts.iter().map(Fact::recorded).max().unwrap_or(self.now);
        self.take(facts, now)
    }

    /// As [`ingest`](Self::ingest), judged at `now` whatever the facts say about when they were learned.
    pub(crate) fn ingest_at(&mut self, facts: Vec<Fact>, now: Timestamp) -> Applied {
        self.take(facts, now)
    }

    fn take(&mut self, facts: Vec<Fact>, now: Timestamp) -> Applied {
        self.tell_past(&facts, now);
        let mut applied = Applied::default();
        let mut rounds: BTreeMap<SourceName, BTreeSet<Timestamp>> = BTreeMap::new();
        let mut refold: BTreeSet<SourceName> = BTreeSet::new();
        let mut touched = Touched::default();
        let mut stated = false;
        let mut moment = self.moment(now);
        for fact in facts {
            let (id, source, at) = (fact.id(), fact.source().clone(), fact.observed());
            let recorded = fact.recorded();
            let kind = fact.body().clone_kind();
            match self.log.insert(fact) {
                Inserted::Known => continue,
                Inserted::Earlier => {
                    moment.again(recorded, &self.log, id);
                    self.relearn(id, &mut touched);
                    continue;
                }
                Inserted::New => applied.new_facts += 1,
            }
            moment.add(recorded);
            if self.sources.get(&source).is_some_and(|state| state.awaits(id)) {
                refold.insert(source.clone());
            }
            match kind {
                FactKind::Round => {
                    rounds.entry(source).or_default().insert(at);
                }
                FactKind::Stated => stated = true,
                FactKind::Checkpoint => {
                    refold.insert(source);
                }
                FactKind::Approval(about) => {
                    refold.insert(about);
                }
                FactKind::Statement => {}
            }
        }
        self.heard = moment.end();
        let looked_at: BTreeSet<SourceName> = rounds.keys().chain(&refold).cloned().collect();
        for (source, mut times) in rounds {
            let state = self.sources.entry(source.clone()).or_default();
            let all = times.len();
            times.retain(|at| Some(*at) > state.base());
            applied.too_late += all - times.len();
            if times.is_empty() {
                continue;
            }
            let earliest = times.first().copied();
            if refold.contains(&source) || earliest <= state.last_at() && state.last_at().is_some() {
                refold.insert(source);
                continue;
            }
            for at in times {
                for (key, touch) in state.step(&self.log, &self.config, &source, at) {
                    touched.add(Arc::new((source.clone(), key)), touch);
                }
            }
        }
        for source in refold {
            let state = SourceState::fold(&self.log, &self.config, &source);
            let before = self.sources.insert(source.clone(), state).unwrap_or_default();
            for (key, item) in self.sources.get(&source).into_iter().flat_map(|state| &state.items) {
                if before.items.get(key) != Some(item) {
                    touched.add(Arc::new((source.clone(), key.clone())), Touch::Dirty);
                }
            }
        }
        for source in looked_at {
            if self.sources.get(&source).is_some_and(|state| !state.held.is_empty()) {
                self.holding.insert(source);
            } else {
                self.holding.remove(&source);
            }
        }
        self.advance(now, &mut touched);
        self.settle(touched, stated, &mut applied);
        self.show_past();
        applied
    }

    /// What is about to be taken in, for the past if it is fed.
    fn tell_past(&mut self, facts: &[Fact], now: Timestamp) {
        let due = self.next_deadline().map(|deadline| deadline.at);
        if let Some(past) = self.past.fed() {
            past.before(&self.log, facts, now, due);
        }
    }

    fn show_past(&mut self) {
        if let Some(past) = self.past.fed() {
            past.after(self.now, self.view.clone());
        }
    }

    /// Takes the time in: leases that ran out, claims that are no longer fresh. Time never goes back.
    pub fn expire(&mut self, now: Timestamp) -> Applied {
        self.heard.passes(self.next_deadline(), now);
        self.tell_past(&[], now);
        let mut applied = Applied::default();
        let mut touched = Touched::default();
        self.advance(now, &mut touched);
        self.settle(touched, false, &mut applied);
        self.show_past();
        applied
    }

    /// When [`expire`](Self::expire) may have something to do. It can be early: what was renewed since is only looked at
    /// then, and the deadline moves on.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline> {
        let item = self
            .deadlines
            .first()
            .map(|(at, _)| Deadline::new(*at, "a lease, a lock or the freshness of a claim may end"));
        let word = self.words_end.first().map(|at| Deadline::new(*at, "a statement about sameness ends"));
        match (item, word) {
            (Some(item), Some(word)) => Some(if word.at < item.at { word } else { item }),
            (item, word) => item.or(word),
        }
    }

    /// The current view, as a snapshot.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// What changed lately, as a snapshot.
    #[must_use]
    pub fn feed(&self) -> ChangeFeed {
        self.feed.clone()
    }

    /// The hash of everything that is believed and proposed: equal facts, configuration and time give equal hashes.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        let mut hasher = itom_core::StableHasher::new();
        hasher.int(self.view.state_hash() as i64);
        for proposal in self.proposed_retirements() {
            hasher.text(&format!("{proposal:?}"));
        }
        for record in self.clusters.values() {
            let proofs = record.objects.first().map(|object| self.proofs(*object));
            hasher.text(&format!("{:?}", proofs.unwrap_or_default()));
        }
        hasher.finish()
    }

    /// Every mass retirement that waits for the next complete run or an approval, ascending.
    #[must_use]
    pub fn proposed_retirements(&self) -> Vec<ProposedRetirement> {
        let holding = self.holding.iter().filter_map(|source| self.sources.get(source));
        holding.flat_map(|state| state.held.values().cloned()).collect()
    }

    /// Everything that any source ever said about an attribute of an item, by time. Follows merges; the cost is that of
    /// walking the runs of its sources.
    #[must_use]
    pub fn field_history(&self, ci: CiId, attribute: &AttrName) -> Vec<FieldVersion> {
        let record = self.view.current(ci).and_then(|id| self.clusters.get(&id));
        record.map_or_else(Vec::new, |record| {
            let mut objects: Vec<Object> =
                record.objects.iter().map(|object| self.resolver.names.object_name(*object)).collect();
            objects.sort();
            field_history(&self.log, &objects, attribute)
        })
    }

    /// Its past on two axes, at speed: free until the first question, fed from then on.
    #[must_use]
    pub const fn past(&self) -> Past<'_> {
        Past::new(self, &self.past)
    }

    /// What was believed at `recorded` about `valid`: see [`Past::view`].
    #[must_use]
    pub fn view_at(&self, valid: Timestamp, recorded: Timestamp) -> View {
        self.past().view(Point::new(valid, recorded))
    }

    /// An engine with the facts learned by `recorded` about times up to `valid`: with everything that can be asked of it,
    /// proofs and questions included. It is what a view of the past is defined as.
    ///
    /// The cost is that of deriving those facts anew.
    #[must_use]
    pub fn at(&self, valid: Timestamp, recorded: Timestamp) -> Self {
        let mut past = Self::new(self.config.clone());
        let known = self.log.iter().filter(|fact| fact.recorded() <= recorded);
        let about = known.filter(|fact| fact.is_statement() || fact.observed() <= valid).cloned().collect();
        // Leases are judged at the time asked about, as far as time had come.
        past.take(about, valid.min(recorded).min(self.now));
        past
    }

    /// The facts it rests on.
    #[must_use]
    pub const fn facts(&self) -> &FactLog {
        &self.log
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &CmdbConfig {
        &self.config
    }

    /// An earlier time of a known statement was learned: the item shows it.
    fn relearn(&mut self, id: FactId, touched: &mut Touched) {
        let Some(fact) = self.log.shared(id) else { return };
        let Some(key) = ItemKey::of(fact.body()) else { return };
        let source = fact.source().clone();
        let item = self.sources.get_mut(&source).and_then(|state| state.items.get_mut(&key));
        if let Some(item) = item.filter(|item| item.statement.id() == id) {
            item.statement = Arc::clone(fact);
            touched.add(Arc::new((source, key)), Touch::Dirty);
        }
    }
}

enum FactKind {
    Statement,
    Round,
    Stated,
    Approval(SourceName),
    Checkpoint,
}

impl FactBody {
    fn clone_kind(&self) -> FactKind {
        match self {
            Self::Ci(_) | Self::Relation(_) => FactKind::Statement,
            Self::Run(_) | Self::Retract(Retraction::Ci(_) | Retraction::Relation { .. }) => FactKind::Round,
            Self::Retract(_) => FactKind::Round,
            Self::SameAs(_) | Self::NotSame(_) => FactKind::Stated,
            Self::Approve(approval) => FactKind::Approval(approval.source.clone()),
            Self::Checkpoint(_) => FactKind::Checkpoint,
        }
    }
}

impl ChangeSource for Cmdb {
    fn changes(&self, range: Interval) -> Vec<CiChange> {
        self.feed.changes(range)
    }
}

impl itom_core::Inventory for Cmdb {
    fn cis(&self, kind: &itom_core::CiKind) -> Vec<itom_core::CiSummary> {
        itom_core::Inventory::cis(&self.view, kind)
    }
    fn ci(&self, id: CiId) -> Option<itom_core::CiSummary> {
        self.view.summary(id)
    }
}
