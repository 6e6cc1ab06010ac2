//! A store that fails at any call: the engine ends where it would have ended, loses nothing it was promised, and says
//! nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::executor::block_on;
use proptest::prelude::*;

use crate::support::{START, builder, secs};
use itom::cmdb::fact::{Fact, FactId};
use itom::cmdb::history::Mark;
use itom::cmdb::store::{
    Compacted, Compaction, Cursor, Description, MemoryStore, Page, Retention, Snapshot, Store, StoreError,
};
use itom::cmdb::testing::{Fault, FaultyStore};
use itom::cmdb::{Cmdb, CmdbConfig};
use itom::core::{CiChange, VirtualClock};
use itom::prelude::*;
use itom::{Delivery, EngineEvent, EngineLimits, RunError, Simulation, Subscription};

/// Notes what the store around it acknowledged.
#[derive(Debug, Clone)]
struct Noted {
    inner: FaultyStore,
    promised: Arc<Mutex<BTreeSet<FactId>>>,
    compacted: Arc<Mutex<BTreeSet<FactId>>>,
}

#[async_trait]
impl Store for Noted {
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        self.inner.append(facts).await?;
        self.promised.lock().unwrap().extend(facts.iter().map(Fact::id));
        Ok(())
    }
    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        self.inner.load(after, page).await
    }
    async fn describe(&self) -> Result<Description, StoreError> {
        self.inner.describe().await
    }
    async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        self.inner.end().await
    }
    async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        self.inner.horizon().await
    }
    async fn compact(&self, plan: &Compaction) -> Result<Compacted, StoreError> {
        // Asked to take them out, it may do so whatever it answers.
        self.compacted.lock().unwrap().extend(plan.dropped());
        self.inner.compact(plan).await
    }
    fn keeps_snapshots(&self) -> bool {
        self.inner.keeps_snapshots()
    }
    async fn snapshot(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.snapshot().await
    }
    async fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.inner.keep_snapshot(snapshot).await
    }
    async fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush().await
    }
}

/// One round of one of two sources.
#[derive(Debug, Clone)]
struct Round {
    source: usize,
    gap: u64,
    items: Vec<(u8, u8)>,
    complete: bool,
    related: bool,
}

fn history() -> impl Strategy<Value = Vec<Round>> {
    let round = (
        0..2_usize,
        1..90_u64,
        prop::collection::vec((0..5_u8, 0..3_u8), 0..5),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(source, gap, items, complete, related)| Round {
            source,
            gap,
            items,
            complete,
            related,
        });
    prop::collection::vec(round, 4..14)
}

fn batch(round: &Round, at: Timestamp) -> Batch {
    let mut batch = Batch::new(SourceName::literal(["agent", "cloud"][round.source]), at);
    for (item, version) in &round.items {
        let name = format!("web-{item}");
        batch
            .ci(name.as_str(), kind::HOST)
            .key(Key::serial(&format!("SERIAL-{item}")).unwrap())
            .attr(attr::HOST_NAME, name.as_str())
            .attr(attr::OS_KERNEL_RELEASE, format!("6.{version}"));
    }
    if let Some((item, _)) = round.items.first().filter(|_| round.related) {
        batch.relation(relation::CONNECTS_TO, format!("web-{item}"), "web-0");
    }
    batch.finish(if round.complete {
        Coverage::new().complete(Scope::cis(kind::HOST)).complete(Scope::relations(relation::CONNECTS_TO))
    } else {
        Coverage::new()
    });
    batch
}

/// What is left at the end of a history.
#[derive(Debug, PartialEq)]
struct End {
    shown: u64,
    derived: u64,
    /// What was told to have changed, round by round.
    told: Vec<(SourceName, usize)>,
    changes: BTreeMap<String, usize>,
}

#[derive(Clone)]
struct World {
    clock: VirtualClock,
    memory: Arc<MemoryStore>,
    store: Noted,
    retention: Option<Retention>,
}

impl World {
    fn new(retention: Option<Retention>) -> Self {
        let memory = Arc::new(MemoryStore::new());
        let inner = FaultyStore::around(Arc::clone(&memory) as Arc<dyn Store>);
        let store = Noted { inner, promised: Arc::default(), compacted: Arc::default() };
        Self { clock: VirtualClock::new(START), memory, store, retention }
    }

    fn fail(mut self, call: u64, fault: Fault) -> Self {
        self.store.inner = self.store.inner.fail(call, fault);
        self
    }

    /// Starts an engine; one that could not read its facts is started again, as whoever runs it would.
    fn start(&self) -> (Simulation, Subscription) {
        loop {
            let mut limits = EngineLimits::default();
            (limits.compact_every, limits.warm_up) = (secs(120), secs(1));
            (limits.self_every, limits.grace) = (secs(3600), secs(60));
            limits.snapshot_every = 6;
            let mut engine = builder(&self.clock).limits(limits).store(self.store.clone());
            if let Some(retention) = &self.retention {
                engine = engine.retention(retention.clone());
            }
            let engine = Simulation::new(self.clock.clone(), engine.build().unwrap());
            let events = engine.handle().subscribe(10_000);
            if !engine.has_ended() {
                return (engine, events);
            }
            let outcome = engine.stop();
            assert!(matches!(outcome, Err(RunError::Load(_))), "{outcome:?}");
        }
    }

    /// Plays a history, with an orderly restart before one of its rounds.
    fn play(&self, history: &[Round], restart: usize) -> End {
        let (mut engine, mut events) = self.start();
        let (mut told, mut changes) = (Vec::new(), BTreeMap::new());
        let mut note = |events: &mut Subscription| {
            while let Some(Some(Delivery::Event(event))) = events.next().now_or_never() {
                match event {
                    EngineEvent::Ingested { source, observations, changes: own, .. } => {
                        told.push((source, observations));
                        for change in own.iter() {
                            *changes.entry(words(change)).or_default() += 1;
                        }
                    }
                    EngineEvent::Learned { facts, .. } => panic!("nobody else appended {facts} facts"),
                    _ => {}
                }
            }
        };
        for (index, round) in history.iter().enumerate() {
            if index == restart {
                // A flush that fails is told; everything was acknowledged before.
                let stopped = engine.stop();
                assert!(matches!(stopped, Ok(_) | Err(RunError::Unsaved { facts: 0, .. })), "{stopped:?}");
                note(&mut events);
                (engine, events) = self.start();
            }
            engine.advance(secs(round.gap));
            engine.handle().submit(batch(round, self.clock.now())).unwrap();
            // Long enough for what failed to be tried again: the next round must not say more than it would have.
            engine.advance(secs(5));
            note(&mut events);
        }
        engine.advance(secs(300));
        let shown = engine.handle().view().state_hash();
        let graph = engine.handle().graph();
        let view = engine.handle().view();
        let there = view.cis().filter(|ci| ci.state().is_active()).count();
        assert_eq!(graph.ci_count(), there, "the graph follows");
        let end = self.clock.now();
        let stopped = engine.stop();
        assert!(matches!(stopped, Ok(_) | Err(RunError::Unsaved { facts: 0, .. })), "{stopped:?}");
        note(&mut events);
        let facts = block_on(self.memory.load(None, usize::MAX)).unwrap().facts;
        let there: BTreeSet<FactId> = facts.iter().map(Fact::id).collect();
        assert_eq!(there.len(), facts.len(), "no fact twice");
        let compacted = self.store.compacted.lock().unwrap();
        for id in self.store.promised.lock().unwrap().iter() {
            assert!(there.contains(id) || compacted.contains(id), "{id} was acknowledged and is lost");
        }
        let mut cmdb = Cmdb::new(CmdbConfig::default());
        cmdb.ingest(facts);
        cmdb.expire(end);
        End { shown, derived: cmdb.state_hash(), told, changes }
    }
}

/// A change without the time at which it was learned.
fn words(change: &CiChange) -> String {
    format!("{:?}", (&change.ci, &change.change, &change.before, &change.after, &change.source))
}

/// Every call fails in turn, in every way.
fn check(history: &[Round], restart: usize, retention: Option<&Retention>) -> Vec<&'static str> {
    let whole = World::new(retention.cloned());
    let expected = whole.play(history, restart);
    let calls = whole.store.inner.calls();
    for fault in Fault::ALL {
        for (number, doing) in (0..).zip(&calls) {
            let world = World::new(retention.cloned()).fail(number, fault);
            let end = world.play(history, restart);
            assert_eq!(world.store.inner.struck(), [(number, fault)], "the fault came");
            assert_eq!(end, expected, "{fault:?} at call {number} ({doing})");
        }
    }
    calls
}

fn cases(usual: u32) -> ProptestConfig {
    let set = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: set.unwrap_or(usual), max_shrink_iters: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn l9_a_store_that_fails_at_any_call_changes_nothing(history in history(), restart in 0..14_usize) {
        check(&history, restart, None);
    }

    /// The same while old facts are summed up every two minutes.
    #[test]
    fn l9_a_store_that_fails_at_any_call_of_a_compaction_changes_nothing(
        history in history(),
        restart in 0..14_usize,
        sightings in 1..200_u64,
        kept in prop::option::of(1..400_u64),
    ) {
        let mut retention = Retention::new().sightings(secs(sightings)).spacing(secs(60));
        retention.history = kept.map(secs);
        let with = check(&history, restart, Some(&retention));
        // It is what it would be had nothing been summed up.
        let (summed, whole) = (World::new(Some(retention)), World::new(None));
        let (summed, whole) = (summed.play(&history, restart), whole.play(&history, restart));
        prop_assert_eq!(&summed, &whole, "{:?}", with);
    }

    /// A store that goes away for a while, from any call on.
    #[test]
    fn l9_a_store_that_goes_away_from_any_call_on_changes_nothing(history in history()) {
        let expected = World::new(None).play(&history, usize::MAX);
        for from in 0..history.len() as u64 {
            let world = World::new(None);
            let store = world.store.inner.clone();
            let (mut engine, mut events) = world.start();
            store.go_away_at(store.calls().len() as u64 + from);
            let mut heard = 0;
            for round in &history {
                engine.advance(secs(round.gap));
                engine.handle().submit(batch(round, world.clock.now())).unwrap();
                engine.advance(secs(5));
            }
            store.come_back();
            engine.advance(secs(300));
            while let Some(Some(Delivery::Event(event))) = events.next().now_or_never() {
                heard += usize::from(matches!(event, EngineEvent::Ingested { .. }));
            }
            prop_assert_eq!(heard, history.len(), "each round once, away from call {}", from);
            prop_assert_eq!(engine.handle().view().state_hash(), expected.shown, "away from call {}", from);
            engine.stop().unwrap();
        }
    }
}

/// What the properties above rest on: the histories do reach every kind of call.
#[test]
fn a_history_reaches_every_call_that_the_engine_makes() {
    let rounds: Vec<Round> = (0..12)
        .map(|index| Round {
            source: index % 2,
            gap: 60,
            items: vec![(0, 0), (1, (index / 4) as u8)],
            complete: true,
            related: index % 3 == 0,
        })
        .collect();
    let retention = Retention::new().sightings(secs(60)).history(secs(120)).spacing(secs(30));
    let calls = check(&rounds, 6, Some(&retention));
    let kinds: BTreeSet<&str> = calls.iter().copied().collect();
    let every = [
        "appending to",
        "compacting",
        "finding the end of",
        "finding the horizon of",
        "flushing",
        "keeping a snapshot in",
        "reading",
        "reading the snapshot of",
    ];
    assert_eq!(kinds, BTreeSet::from(every));
    let world = World::new(Some(retention));
    world.play(&rounds, 6);
    assert!(block_on(world.memory.horizon()).unwrap().is_some(), "something was summed up");
}
