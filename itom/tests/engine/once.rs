//! One look: `run_once`, and what building does not do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{START, TestJournal, TestNotifier, TestStore, builder, host, secs, trouble};
use futures::executor::block_on;
use itom::alert::life::ConditionState;
use itom::core::VirtualClock;
use itom::prelude::*;
use itom::{EngineLimits, RunError};

fn counting(name: &'static str, count: &Arc<AtomicU64>, wait: u64) -> impl Collector + use<> {
    let count = Arc::clone(count);
    collector_fn(Descriptor::new(name).every(secs(1)).timeout(secs(60)), move |_, batch| {
        let count = Arc::clone(&count);
        Box::pin(async move {
            let number = count.fetch_add(1, Ordering::SeqCst);
            for _ in 0..wait {
                yield_once().await;
            }
            batch.ci(format!("{name}-{number}"), kind::SERVICE).attr(attr::SERVICE_NAME, name);
            Ok(Coverage::new())
        })
    })
}

/// Lets others run once.
async fn yield_once() {
    let mut first = true;
    std::future::poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(())
    })
    .await;
}

#[test]
fn building_starts_nothing() {
    let (clock, count, store) = (VirtualClock::new(START), Arc::default(), TestStore::new());
    let engine = builder(&clock).collector(counting("a", &count, 0)).store(store.clone()).build().unwrap();
    let handle = engine.handle();
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!((store.attempts.load(Ordering::SeqCst), clock.sleepers()), (0, 0));
    assert_eq!(handle.status().rounds, 0);
}

#[test]
fn one_look_collects_relates_judges_and_tells_nobody() {
    let clock = VirtualClock::new(START);
    let (journal, notifier, store) = (TestJournal::new(), TestNotifier::new(), TestStore::new());
    let engine = builder(&clock)
        .collector(host("db-1", 60, |_| 1.0))
        .rule(trouble())
        .notifier("pager", notifier.clone())
        .journal(journal.clone())
        .store(store.clone())
        .build()
        .unwrap();
    let handle = engine.handle();
    let mut submitted = Batch::new(SourceName::literal("import"), START);
    submitted.ci("shop", kind::SERVICE).attr(attr::SERVICE_NAME, "shop");
    submitted.relation(relation::RUNS_ON, "shop", itom::core::Subject::Key(Key::fqdn("db-1.example.com")));
    handle.submit(submitted).unwrap();

    let summary = block_on(engine.run_once()).unwrap();
    assert_eq!(summary.rounds, 2);
    assert_eq!(summary.facts, store.facts().len() as u64);
    assert_eq!(summary.undelivered, 0, "nobody was to be told");
    let db = handle.view().by_kind(&kind::HOST)[0].id();
    assert_eq!(handle.graph().impact(&[db].into()).down().len(), 1, "the shop needs its host");
    let alerts = handle.alerts();
    assert_eq!(alerts.len(), 1, "the rule saw what was collected");
    assert_eq!((alerts[0].alert.condition, alerts[0].alert.instance.ci), (ConditionState::Firing, Some(db)));
    assert!(notifier.inner.notices().is_empty() && journal.records().is_empty());
    assert!(matches!(
        handle.submit(Batch::new(SourceName::literal("late"), START)),
        Err(itom::HandleError::Ended)
    ));
}

#[test]
fn each_collector_runs_once_however_long_the_others_take() {
    let clock = VirtualClock::new(START);
    let (quick, slow) = (Arc::default(), Arc::default());
    let engine = builder(&clock)
        .collector(counting("quick", &quick, 0))
        .collector(counting("slow", &slow, 50))
        .build()
        .unwrap();
    let mut pool = futures::executor::LocalPool::new();
    let mut once = Box::pin(engine.run_once());
    // Time passes while the slow one is at work.
    let summary = pool.run_until(std::future::poll_fn(|cx| {
        clock.advance_to(itom::core::Clock::now(&clock) + secs(1));
        cx.waker().wake_by_ref();
        once.as_mut().poll(cx)
    }));
    assert_eq!(summary.unwrap().rounds, 2);
    assert!(itom::core::Clock::now(&clock) > START + secs(5), "it took a while");
    assert_eq!((quick.load(Ordering::SeqCst), slow.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_store_that_refuses_is_an_error_after_the_grace() {
    let clock = VirtualClock::new(START);
    let store = TestStore::new();
    store.refuse(true);
    let mut limits = EngineLimits::default();
    limits.grace = secs(5);
    let engine = builder(&clock)
        .collector(host("db-1", 60, |_| 1.0))
        .store(store.clone())
        .limits(limits)
        .build()
        .unwrap();
    let handle = engine.handle();
    let mut pool = futures::executor::LocalPool::new();
    let mut once = Box::pin(engine.run_once());
    let outcome = pool.run_until(std::future::poll_fn(|cx| {
        clock.advance_to(clock.next_deadline().unwrap_or(START));
        cx.waker().wake_by_ref();
        once.as_mut().poll(cx)
    }));
    assert!(matches!(outcome, Err(RunError::Unsaved { facts: 2.., .. })), "{outcome:?}");
    assert_eq!(handle.view().cis().count(), 0, "what is not stored is not believed");
    assert!(store.attempts.load(Ordering::SeqCst) > 1, "it was tried again");
}

#[test]
fn a_run_can_be_spawned_on_any_executor() {
    fn check<T: Send + 'static>(_: T) {}
    check(Engine::builder().build().unwrap().run(async {}));
    check(Engine::builder().build().unwrap().run_once());
}
