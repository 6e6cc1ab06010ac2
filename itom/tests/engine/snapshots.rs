//! Snapshots beside the facts: kept now and then and at the end, and nothing shows of them but that opening is quick.

use std::sync::Arc;

use futures::executor::block_on;
use proptest::prelude::*;

use crate::support::{START, TestStore, builder, secs};
use itom::cmdb::CmdbConfig;
use itom::cmdb::fact::Fact;
use itom::cmdb::history::Mark;
use itom::cmdb::store::{
    Cursor, Description, MemoryStore, Opened, Page, Retention, SnapshotUse, Store, StoreError, open,
};
use itom::core::{ChangeSource as _, Interval, VirtualClock};
use itom::prelude::*;
use itom::{EngineLimits, Simulation};

/// What a source sees of five services, and after how long.
#[derive(Debug, Clone)]
enum Step {
    See {
        gap: u64,
        source: usize,
        items: Vec<(u8, u8)>,
        complete: bool,
        twice: bool,
    },
    /// Long enough for leases to run out.
    Nothing {
        hours: u64,
    },
    Restart {
        crash: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let items = prop::collection::vec((0..5_u8, 0..3_u8), 0..5);
    let see = (1..7200_u64, 0..2_usize, items, any::<bool>(), any::<bool>())
        .prop_map(|(gap, source, items, complete, twice)| Step::See { gap, source, items, complete, twice });
    let step = prop_oneof![
        6 => see,
        1 => (1..40_u64).prop_map(|hours| Step::Nothing { hours }),
        2 => any::<bool>().prop_map(|crash| Step::Restart { crash }),
    ];
    prop::collection::vec(step, 3..20)
}

fn batch(source: usize, at: Timestamp, items: &[(u8, u8)], complete: bool) -> Batch {
    let mut batch = Batch::new(SourceName::literal(["agent", "cloud"][source]), at);
    for (item, version) in items {
        let name = format!("svc-{item}");
        batch
            .ci(name.as_str(), kind::SERVICE)
            .key(Key::serial(&format!("SERIAL-{item}")).unwrap())
            .attr(attr::SERVICE_NAME, name.as_str())
            .attr(attr::SERVICE_VERSION, i64::from(*version));
    }
    if let Some((item, _)) = items.first() {
        batch.relation(relation::CONNECTS_TO, format!("svc-{item}"), "svc-0");
    }
    let all = Coverage::new().complete(Scope::cis(kind::SERVICE));
    batch.finish(if complete { all } else { Coverage::new() });
    batch
}

fn opened(store: &dyn Store, at: Timestamp) -> Opened {
    block_on(open(store, CmdbConfig::default(), at)).unwrap()
}

/// A store that keeps nothing beside the facts of another.
#[derive(Debug, Clone)]
struct Bare(Arc<MemoryStore>);

#[async_trait]
impl Store for Bare {
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        self.0.append(facts).await
    }
    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        self.0.load(after, page).await
    }
    async fn describe(&self) -> Result<Description, StoreError> {
        self.0.describe().await
    }
    async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        self.0.horizon().await
    }
    async fn flush(&self) -> Result<(), StoreError> {
        self.0.flush().await
    }
}

fn start(clock: &VirtualClock, store: &TestStore, every: u64, retention: Option<&Retention>) -> Simulation {
    let mut limits = EngineLimits::default();
    (limits.snapshot_every, limits.self_every) = (every, secs(3600));
    (limits.compact_every, limits.warm_up) = (secs(4 * 3600), secs(1));
    let mut engine = builder(clock).limits(limits).store(store.clone());
    if let Some(retention) = retention {
        engine = engine.retention(retention.clone());
    }
    Simulation::new(clock.clone(), engine.build().unwrap())
}

fn cases(usual: u32) -> ProptestConfig {
    let set = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: set.unwrap_or(usual), max_shrink_iters: 300, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(24))]

    /// However long it ran, whatever ran out or was summed up meanwhile: what an engine keeps fits, and an engine that
    /// opens by it shows what one shows that took every fact in.
    #[test]
    fn l1_an_engine_that_opens_by_a_snapshot_shows_what_a_replay_shows(
        steps in steps(),
        every in 1..40_u64,
        sightings in prop::option::of((1..50_u64, prop::option::of(1..90_u64))),
    ) {
        let retention = sightings.map(|(sightings, history)| {
            let mut retention = Retention::new().sightings(secs(sightings * 3600)).spacing(secs(3600));
            retention.history = history.map(|hours| secs(hours * 3600));
            retention
        });
        let (clock, store) = (VirtualClock::new(START), TestStore::new());
        let mut engine = start(&clock, &store, every, retention.as_ref());
        for step in steps.into_iter().chain([Step::Restart { crash: false }]) {
            match step {
                Step::See { gap, source, items, complete, twice } => {
                    engine.advance(secs(gap));
                    engine.handle().submit(batch(source, clock.now(), &items, complete)).unwrap();
                    if twice {
                        engine.handle().submit(batch(1 - source, clock.now(), &items, false)).unwrap();
                    }
                    engine.advance(secs(1));
                }
                Step::Nothing { hours } => engine.advance(secs(hours * 3600)),
                Step::Restart { crash } => {
                    if crash {
                        drop(engine);
                    } else {
                        engine.stop().unwrap();
                    }
                    let now = clock.now();
                    let by_way = opened(store.inner.as_ref(), now);
                    if !crash && by_way.facts > 0 {
                        let all = SnapshotUse::Used { facts: by_way.facts };
                        prop_assert_eq!(&by_way.snapshot, &all, "the last one was kept at the end");
                    }
                    let plain = opened(&Bare(Arc::clone(&store.inner)), now).cmdb;
                    engine = start(&clock, &store, every, retention.as_ref());
                    let handle = engine.handle();
                    prop_assert_eq!(handle.view().state_hash(), plain.view().state_hash());
                    let (shown, told) = (handle.changes(), plain.feed());
                    prop_assert_eq!(shown.changes(Interval::ALWAYS), told.changes(Interval::ALWAYS));
                    prop_assert_eq!(shown.forgotten_until(), told.forgotten_until());
                }
            }
        }
    }
}

/// A run of the agent that sees something new each minute.
fn minutes(engine: &mut Simulation, clock: &VirtualClock, count: u8) {
    for minute in 0..count {
        engine.advance(secs(60));
        engine.handle().submit(batch(0, clock.now(), &[(0, minute)], true)).unwrap();
        engine.advance(secs(1));
    }
}

#[test]
fn a_crash_costs_no_more_than_what_came_since_the_last_snapshot() {
    let (clock, store) = (VirtualClock::new(START), TestStore::new());
    let mut engine = start(&clock, &store, 20, None);
    minutes(&mut engine, &clock, 60);
    drop(engine);
    let opened = opened(store.inner.as_ref(), clock.now());
    assert!(matches!(opened.snapshot, SnapshotUse::Used { .. }), "{:?}", opened.snapshot);
    assert!(opened.by_moments < 20 + 3 && opened.facts > 60, "{} of {}", opened.by_moments, opened.facts);
}

#[test]
fn with_no_interval_one_is_kept_at_the_end_only() {
    let (clock, store) = (VirtualClock::new(START), TestStore::new());
    let mut engine = start(&clock, &store, u64::MAX, None);
    minutes(&mut engine, &clock, 60);
    assert_eq!(block_on(store.inner.snapshot()).unwrap(), None);
    engine.stop().unwrap();
    let first = block_on(store.inner.snapshot()).unwrap();
    assert!(first.is_some());
    // Nothing came since: there is nothing to keep.
    start(&clock, &store, u64::MAX, None).stop().unwrap();
    assert_eq!(block_on(store.inner.snapshot()).unwrap(), first);
}

#[test]
fn time_does_not_stand_still_for_a_store_that_hangs() {
    let (clock, store) = (VirtualClock::new(START), TestStore::new());
    let mut engine = start(&clock, &store, 1, None);
    minutes(&mut engine, &clock, 3);
    let active =
        |engine: &Simulation| engine.handle().view().cis().filter(|ci| ci.state().is_active()).count();
    assert_eq!(active(&engine), 1);
    store.gate.shut();
    engine.handle().submit(batch(0, clock.now(), &[(1, 1)], false)).unwrap();
    engine.advance(secs(2 * 86_400));
    assert_eq!(active(&engine), 0, "its lease ran out");
    store.gate.open();
    engine.advance(secs(1));
    engine.stop().unwrap();
    // What was learned before time ran on is told at another moment by a replay: the last snapshot is an earlier one.
    let opened = opened(store.inner.as_ref(), clock.now());
    assert!(matches!(opened.snapshot, SnapshotUse::Used { .. }), "{:?}", opened.snapshot);
    assert!(opened.by_moments > 0);
}
