//! Less past: when old facts are summed up, and what others see of it.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::executor::block_on;

use crate::support::{Gate, START, builder, host, secs};
use itom::cmdb::fact::facts_of;
use itom::cmdb::store::{MemoryStore, Retention, Store as _};
use itom::cmdb::testing::FaultyStore;
use itom::core::VirtualClock;
use itom::prelude::*;
use itom::{BuildError, Delivery, EngineEvent, EngineLimits, Simulation, Subscription};

/// 02:00 UTC of the next day.
const NIGHT: Timestamp = Timestamp::from_secs(1_700_013_600);

fn policy() -> Retention {
    Retention::new().sightings(secs(1800)).history(secs(3600)).spacing(secs(600))
}

/// An engine that keeps an hour of the past, and the store behind it.
fn engine(gate: Option<Gate>) -> (Simulation, Arc<MemoryStore>, Subscription) {
    let (clock, memory) = (VirtualClock::new(START), Arc::new(MemoryStore::new()));
    let store = FaultyStore::around(Arc::clone(&memory) as Arc<dyn itom::cmdb::store::Store>);
    let mut limits = EngineLimits::default();
    limits.self_every = secs(600);
    let mut engine =
        builder(&clock).limits(limits).collector(host("a", 60, |_| 0.0)).store(store).retention(policy());
    if let Some(gate) = gate {
        let slow = Descriptor::new("slow").every(secs(60)).timeout(secs(86_400));
        engine = engine.collector(collector_fn(slow, move |_, _| {
            let gate = gate.clone();
            Box::pin(async move {
                gate.pass().await;
                Ok(Coverage::new())
            })
        }));
    }
    let simulation = Simulation::new(clock, engine.build().unwrap());
    let events = simulation.handle().subscribe(10_000);
    (simulation, memory, events)
}

fn events(subscription: &mut Subscription) -> Vec<EngineEvent> {
    std::iter::from_fn(|| match subscription.next().now_or_never() {
        Some(Some(Delivery::Event(event))) => Some(event),
        _ => None,
    })
    .collect()
}

/// When something was summed up.
fn times(events: &[EngineEvent]) -> Vec<Timestamp> {
    let at = |event: &EngineEvent| match event {
        EngineEvent::Compacted { at, dropped, .. } if *dropped > 0 => Some(*at),
        _ => None,
    };
    events.iter().filter_map(at).collect()
}

fn horizon(store: &MemoryStore) -> bool {
    block_on(store.horizon()).unwrap().is_some()
}

#[test]
fn old_facts_are_summed_up_at_night_and_nothing_that_is_shown_changes() {
    let (mut engine, store, mut subscription) = engine(None);
    engine.advance(NIGHT.since(START) - secs(1));
    assert!(!horizon(&store), "not before its time");
    let facts = block_on(store.describe()).unwrap().facts;
    engine.advance(secs(2));
    assert!(horizon(&store));
    let left = block_on(store.describe()).unwrap().facts;
    assert!(left < facts / 2, "{facts} facts became {left}");
    let seen = events(&mut subscription);
    let [at] = times(&seen)[..] else { panic!("once: {:?}", times(&seen)) };
    assert!(at >= NIGHT && at <= NIGHT + secs(1), "{at}");
    assert_eq!(engine.handle().view().cis().count(), 1);
    // Every night, and what comes after builds on what is left.
    engine.advance(secs(86_400));
    assert_eq!(times(&events(&mut subscription)).len(), 1, "the next night");
    assert!(block_on(store.describe()).unwrap().facts < 2 * left + 1440, "it does not grow for good");
    let (before, clock) = (engine.handle().view(), engine.now());
    engine.stop().unwrap();
    let mut derived = itom::cmdb::Cmdb::new(itom::cmdb::CmdbConfig::default());
    derived.ingest(block_on(store.load(None, usize::MAX)).unwrap().facts);
    derived.expire(clock);
    assert_eq!(derived.view().state_hash(), before.state_hash(), "a restart shows the same");
}

#[test]
fn what_another_engine_appended_is_taken_in_first_and_told() {
    let (mut engine, store, mut subscription) = engine(None);
    engine.advance(secs(60));
    let mut theirs = Batch::new(SourceName::literal("elsewhere"), engine.now());
    theirs.ci("db", kind::SERVICE).attr(attr::SERVICE_NAME, "db");
    block_on(store.append(&facts_of(&theirs, engine.now()))).unwrap();
    engine.advance(NIGHT.since(engine.now()) + secs(5));
    let seen = events(&mut subscription);
    let learned: Vec<_> = seen
        .iter()
        .filter_map(|event| match event {
            EngineEvent::Learned { facts, changes, .. } => Some((*facts, changes.len())),
            _ => None,
        })
        .collect();
    let [(2, changes)] = learned[..] else { panic!("{learned:?}") };
    assert!(changes > 0);
    assert_eq!(engine.handle().graph().ci_count(), 2, "the graph follows");
    assert_eq!(engine.handle().view().cis().count(), 2);
    assert!(horizon(&store));
}

#[test]
fn it_waits_for_a_calm_moment_for_an_hour() {
    let gate = Gate::default();
    gate.shut();
    let (mut simulation, store, mut subscription) = engine(Some(gate.clone()));
    simulation.advance(NIGHT.since(START) + secs(1800));
    assert!(!horizon(&store), "something is being collected");
    gate.open();
    simulation.advance(secs(1));
    assert!(horizon(&store), "calm");
    assert_eq!(times(&events(&mut subscription)).len(), 1);

    let gate = Gate::default();
    gate.shut();
    let (mut simulation, store, _subscription) = engine(Some(gate));
    simulation.advance(NIGHT.since(START) + secs(3599));
    assert!(!horizon(&store), "something is being collected");
    simulation.advance(secs(2));
    assert!(horizon(&store), "it never gets calm");
}

#[test]
fn an_interval_of_no_time_is_refused() {
    let mut limits = EngineLimits::default();
    limits.compact_every = secs(0);
    let refused = Engine::builder().limits(limits).build();
    assert!(matches!(refused, Err(BuildError::Limit("compact_every"))), "{refused:?}");
}
