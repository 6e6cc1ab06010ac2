//! A store that is full or slow, and what goes on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{START, TROUBLE, TestNotifier, TestStore, builder, host, secs, series, trouble};
use futures::{FutureExt as _, StreamExt as _};
use itom::alert::notify::NoticeKind;
use itom::core::{Clock as _, ErrorKind, SampleKind, SampleObservation, VirtualClock};
use itom::prelude::*;
use itom::{Delivery, EngineEvent, EngineLimits, HandleError, RunError, Simulation, StoreStatus};

#[test]
fn a_full_store_stops_facts_and_nothing_else() {
    let (clock, store, notifier) = (VirtualClock::new(START), TestStore::new(), TestNotifier::new());
    let engine = builder(&clock)
        .collector(host("db-1", 15, |second| f64::from(u8::from((600..1200).contains(&second)))))
        .rule(trouble())
        .notifier("pager", notifier.clone())
        .store(store.clone())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    let mut events = simulation.handle().subscribe(10_000);
    simulation.advance(secs(300));
    let (stored, before) = (store.facts(), simulation.handle().status());
    assert_eq!(before.store, StoreStatus::Accepting);
    assert_eq!(before.facts, stored.len() as u64);

    store.refuse(true);
    simulation.advance(secs(600));
    let during = simulation.handle().status();
    assert!(
        matches!(&during.store, StoreStatus::Refusing { since, kind: ErrorKind::Exhausted, .. } if *since > START + secs(295)),
        "{:?}",
        during.store
    );
    assert_eq!(
        (during.facts, store.facts().len()),
        (before.facts, stored.len()),
        "nothing is believed to be stored"
    );
    assert!(
        during.samples > before.samples + 40,
        "samples go on: {} then {}",
        before.samples,
        during.samples
    );
    assert_eq!(notifier.kinds(), [NoticeKind::Open], "and so do alerts");
    assert!(during.dropped.is_empty(), "facts wait: {:?}", during.dropped);
    let refusing = series(&simulation.handle().samples(), "itom_engine_store_refusing");
    assert_eq!(refusing[0].1.last(), Some(&1.0));
    let retries = store.attempts.load(Ordering::SeqCst);
    assert!((10..100).contains(&retries), "{retries} attempts");

    store.refuse(false);
    simulation.advance(secs(900));
    let after = simulation.handle().status();
    assert_eq!(after.store, StoreStatus::Accepting);
    assert_eq!(after.facts, store.facts().len() as u64);
    assert!(stored.iter().all(|fact| store.facts().iter().any(|kept| kept.id() == fact.id())));
    assert_eq!(notifier.kinds(), [NoticeKind::Open, NoticeKind::Close]);
    // Every round once: none was stored twice, none is missing.
    let trouble = series(&simulation.handle().samples(), "test_trouble");
    assert_eq!(trouble.len(), 1, "one series, not one without its item: {trouble:?}");
    assert_eq!(trouble[0].1.len() as u64, after.rounds);
    let duplicates = series(&simulation.handle().samples(), "itom_metrics_samples_duplicate_total");
    assert_eq!(duplicates[0].1.last(), Some(&0.0));
    let mut said = Vec::new();
    while let Some(Some(Delivery::Event(event))) = events.next().now_or_never() {
        if let EngineEvent::Store { error, .. } = event {
            said.push(error.map(|(kind, _)| kind));
        }
    }
    assert_eq!(said, [Some(ErrorKind::Exhausted), None], "said once each");
}

#[test]
fn samples_of_what_is_new_wait_for_it_to_be_stored() {
    let (clock, store) = (VirtualClock::new(START), TestStore::new());
    store.refuse(true);
    let engine = builder(&clock).collector(host("db-1", 15, |_| 1.0)).store(store.clone()).build().unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(120));
    assert!(series(&simulation.handle().samples(), "test_trouble").is_empty());
    store.refuse(false);
    simulation.advance(secs(60));
    let found = series(&simulation.handle().samples(), "test_trouble");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.contains("item=true"));
    assert_eq!(found[0].1.len() as u64, simulation.handle().status().rounds);
}

#[test]
fn facts_beyond_the_queue_are_dropped_and_counted_while_the_store_refuses() {
    let (clock, store) = (VirtualClock::new(START), TestStore::new());
    let mut limits = EngineLimits::default();
    limits.batches = 4;
    let engine = builder(&clock)
        .collector(host("db-1", 10, |_| 1.0))
        .limits(limits)
        .store(store.clone())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(60));
    store.refuse(true);
    simulation.advance(secs(600));
    let status = simulation.handle().status();
    let dropped = status.dropped.get("facts").copied().unwrap_or(0);
    assert!(
        (50..60).contains(&dropped),
        "each run states one item; four and the first wait: {:?}",
        status.dropped
    );
    assert_eq!(status.dropped.get("samples_unknown_item"), None, "the host is known");
    let queue = series(&simulation.handle().samples(), "itom_engine_queue_length");
    assert!(queue[0].1.iter().all(|length| *length <= 5.0), "{queue:?}");
    store.refuse(false);
    simulation.advance(secs(60));
    assert_eq!(simulation.handle().view().cis().count(), 1);
    simulation.stop().unwrap();
}

/// A collector that counts its runs.
fn counted(name: &'static str, runs: &Arc<AtomicU64>) -> impl Collector + use<> {
    let runs = Arc::clone(runs);
    collector_fn(Descriptor::new(name).every(secs(10)), move |_, batch| {
        runs.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            batch.ci(name, kind::SERVICE).attr(attr::SERVICE_NAME, name);
            Ok(Coverage::new())
        })
    })
}

#[test]
fn a_slow_store_holds_collectors_and_submitters_back() {
    let (clock, store, runs) = (VirtualClock::new(START), TestStore::new(), Arc::default());
    let mut limits = EngineLimits::default();
    (limits.batches, limits.submitted) = (3, 2);
    let mut engine = builder(&clock).limits(limits).store(store.clone());
    for name in ["a", "b", "c", "d", "e", "f"] {
        engine = engine.collector(counted(name, &runs));
    }
    let mut simulation = Simulation::new(clock, engine.build().unwrap());
    simulation.advance(secs(60));
    let fresh = runs.load(Ordering::SeqCst);
    assert!(fresh >= 30, "{fresh} runs");

    store.gate.shut();
    simulation.advance(secs(600));
    let held = runs.load(Ordering::SeqCst) - fresh;
    // One append under way (one run), three batches in the queue, and each collector at most one run further.
    assert!(held <= 1 + 3 + 6, "{held} runs against a store that does not answer");
    let handle = simulation.handle().clone();
    let batch = |second| Batch::new(SourceName::literal("agent"), START + secs(second));
    assert!(handle.submit(batch(1)).is_ok() && handle.submit(batch(2)).is_ok());
    assert!(matches!(handle.submit(batch(3)), Err(HandleError::Busy)));
    assert_eq!(handle.status().dropped.get("submitted"), Some(&1));
    assert_eq!(handle.status().store, StoreStatus::Accepting, "slow is not refusing");

    store.gate.open();
    simulation.advance(secs(60));
    assert!(runs.load(Ordering::SeqCst) >= fresh + held + 24, "they go on");
    let status = handle.status();
    assert_eq!(status.rounds, runs.load(Ordering::SeqCst) + 2, "nothing that was taken is lost");
    simulation.stop().unwrap();
    assert!(matches!(handle.submit(batch(4)), Err(HandleError::Ended)));
}

#[test]
fn what_cannot_be_stored_to_the_end_is_an_error_in_time() {
    for hangs in [false, true] {
        let (clock, store) = (VirtualClock::new(START), TestStore::new());
        let engine =
            builder(&clock).collector(host("db-1", 15, |_| 1.0)).store(store.clone()).build().unwrap();
        let mut simulation = Simulation::new(clock.clone(), engine);
        simulation.advance(secs(60));
        if hangs {
            store.gate.shut();
        } else {
            store.refuse(true);
        }
        simulation.advance(secs(60));
        let before = simulation.now();
        let outcome = simulation.stop();
        assert!(matches!(outcome, Err(RunError::Unsaved { facts: 3.., .. })), "hangs {hangs}: {outcome:?}");
        assert!(clock.now().since(before) <= secs(10), "within the grace");
    }
}

#[test]
fn shutdown_asks_a_store_that_refused_once_more_and_takes_in_what_was_submitted() {
    let (clock, store) = (VirtualClock::new(START), TestStore::new());
    let engine = builder(&clock).collector(host("db-1", 15, |_| 1.0)).store(store.clone()).build().unwrap();
    let mut simulation = Simulation::new(clock, engine);
    store.refuse(true);
    simulation.advance(secs(600));
    store.refuse(false);
    let handle = simulation.handle().clone();
    let mut batch = Batch::new(SourceName::literal("agent"), START);
    batch.ci("late", kind::SERVICE).attr(attr::SERVICE_NAME, "late");
    let mut sample = SampleObservation::new(TROUBLE, SampleKind::Gauge, 1.0);
    sample.on("late");
    batch.sample(sample);
    handle.submit(batch).unwrap();
    let summary = simulation.stop().unwrap();
    assert_eq!(summary.facts, store.facts().len() as u64);
    assert_eq!(handle.view().cis().count(), 2, "the host and what was submitted last");
}

/// A relation whose end is gone is no part of the graph, and takes nothing else out of it.
#[test]
fn a_restart_shows_the_graph_that_was_shown_before() {
    let (clock, store) = (VirtualClock::new(START), TestStore::new());
    let round = |second, names: &[&'static str]| {
        let mut batch = Batch::new(SourceName::literal("agent"), START + secs(second));
        for name in names {
            batch.ci(*name, kind::SERVICE).attr(attr::SERVICE_NAME, *name);
        }
        batch.relation(relation::DEPENDS_ON, "web", "db");
        batch.finish(Coverage::new().complete(Scope::cis(kind::SERVICE)));
        batch
    };
    let start = || Simulation::new(clock.clone(), builder(&clock).store(store.clone()).build().unwrap());
    let mut engine = start();
    engine.handle().submit(round(0, &["web", "db", "cache"])).unwrap();
    engine.advance(secs(1));
    assert_eq!((engine.handle().graph().ci_count(), engine.handle().graph().relation_count()), (3, 1));
    engine.handle().submit(round(1, &["web", "cache"])).unwrap();
    engine.advance(secs(1));
    assert_eq!((engine.handle().graph().ci_count(), engine.handle().graph().relation_count()), (2, 0));
    engine.stop().unwrap();
    let engine = start();
    assert_eq!((engine.handle().graph().ci_count(), engine.handle().graph().relation_count()), (2, 0));
}
