use std::task::Poll;

use futures::executor::block_on;
use itom_core::{ErrorKind, Scope, VirtualClock, kind};

use super::*;
use crate::{Descriptor, collector_fn};

const START: Timestamp = Timestamp::from_secs(1_000);

fn spec(clock: &VirtualClock) -> RunSpec {
    RunSpec::new(SourceName::literal("t"), Arc::new(clock.clone()), START + Duration::from_secs(10))
}

/// Pushes one item and then does `then`.
macro_rules! collector {
    ($then:expr) => {
        collector_fn(Descriptor::new("t"), |_, batch| {
            Box::pin(async move {
                batch.ci("a", kind::HOST);
                $then
            })
        })
    };
}

#[test]
fn a_good_run_keeps_its_coverage() {
    let clock = VirtualClock::new(START);
    let collector = collector!(Ok(Coverage::new().complete(Scope::cis(kind::HOST))));
    let report = block_on(run_collector(&collector, spec(&clock)));
    assert_eq!(report.outcome, Outcome::Ok);
    assert!(report.error.is_none());
    assert!(report.batch.coverage().covers_ci(&kind::HOST, None));
    assert_eq!(clock.sleepers(), 0, "the timeout's sleep is gone with the run");
}

#[test]
fn what_was_pushed_survives_timeout_and_nothing_is_complete() {
    let clock = VirtualClock::new(START);
    let collector = collector!(std::future::pending().await);
    let mut run = Box::pin(run_collector(&collector, spec(&clock)));
    assert!((&mut run).now_or_never().is_none());
    assert_eq!(clock.next_deadline(), Some(START + Duration::from_secs(10)));
    clock.advance_to(START + Duration::from_secs(10));
    let report = block_on(run);
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert_eq!(report.duration, Duration::from_secs(10));
    assert_eq!(report.batch.items().len(), 1);
    assert_eq!(report.batch.coverage(), &Coverage::new());
    assert_eq!(report.batch.faults()[0].kind, ErrorKind::Timeout);
    assert_eq!(clock.sleepers(), 0);
}

#[test]
fn a_cancelled_run_ends_though_it_waits_forever() {
    let clock = VirtualClock::new(START);
    let cancel = Cancel::new();
    let collector = collector!(std::future::pending().await);
    let mut run = Box::pin(run_collector(&collector, spec(&clock).cancel(cancel.clone())));
    assert!((&mut run).now_or_never().is_none());
    cancel.cancel();
    let report = block_on(run);
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert_eq!(report.batch.items().len(), 1);
    assert_eq!(clock.sleepers(), 0);
}

#[test]
fn a_panic_ends_one_run_and_keeps_what_was_pushed() {
    let clock = VirtualClock::new(START);
    let collector = collector!(panic!("planted {}", 7));
    let report = block_on(run_collector(&collector, spec(&clock)));
    assert!(matches!(report.outcome, Outcome::Failed { kind: ErrorKind::Bug, .. }), "{:?}", report.outcome);
    assert_eq!(report.batch.items().len(), 1);
    assert!(report.batch.faults()[0].message.contains("planted 7"), "{:?}", report.batch.faults());
}

#[test]
fn a_panicking_destructor_is_caught_too() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("planted in a destructor");
        }
    }
    let clock = VirtualClock::new(START);
    let collector = collector!({
        let _bomb = Bomb;
        std::future::pending().await
    });
    let mut run = Box::pin(run_collector(&collector, spec(&clock)));
    assert!((&mut run).now_or_never().is_none());
    clock.advance_to(START + Duration::from_secs(60));
    let report = block_on(run);
    assert!(matches!(report.error, Some(CollectError::Panicked { .. })), "{:?}", report.error);
}

#[test]
fn an_error_tells_the_scheduler_whether_a_retry_can_help() {
    let clock = VirtualClock::new(START);
    let collector = collector!(Err(CollectError::Unsupported { what: "x".into() }));
    let report = block_on(run_collector(&collector, spec(&clock)));
    assert_eq!(
        report.outcome,
        Outcome::Failed { kind: ErrorKind::Unsupported, retry: itom_core::Retry::Never }
    );
}

#[test]
fn a_clock_that_cannot_sleep_does_not_starve_the_run() {
    #[derive(Debug)]
    struct Sleepless;
    impl Clock for Sleepless {
        fn now(&self) -> Timestamp {
            START
        }
        fn sleep_until(&self, _: Timestamp) -> futures::future::BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }
    let collector = collector!({
        let mut left = 5;
        std::future::poll_fn(move |cx| {
            left -= 1;
            cx.waker().wake_by_ref();
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        Ok(Coverage::new())
    });
    let run = RunSpec::new(SourceName::literal("t"), Arc::new(Sleepless), START + Duration::from_secs(10));
    assert_eq!(block_on(run_collector(&collector, run)).outcome, Outcome::Ok);
}
