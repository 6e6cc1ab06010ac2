use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use itom_core::{Batch, Coverage, Scope, StableHasher, kind};
use proptest::prelude::*;

use super::*;
use crate::scheduler::Outcome;
use crate::{CollectContext, CollectError, Descriptor, collector_fn};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const SECOND: Duration = Duration::from_secs(1);

/// A collector that takes a while and then ends as a hash decides; it counts how many of its runs are alive.
fn erratic(seed: u64, index: u64, clock: &VirtualClock, alive: &Arc<AtomicU32>) -> impl Collector + use<> {
    let descriptor = Descriptor::new("erratic")
        .target(format!("t{index}"))
        .every((5 + (index % 7) as u32) * SECOND)
        .timeout(4 * SECOND);
    let (clock, alive, runs) = (clock.clone(), Arc::clone(alive), AtomicU64::new(0));
    collector_fn(descriptor, move |cx: &CollectContext, batch: &mut Batch| {
        struct Alive(Arc<AtomicU32>);
        impl Drop for Alive {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }
        let run = runs.fetch_add(1, Ordering::AcqRel);
        let mut hasher = StableHasher::new();
        [seed, index, run].into_iter().for_each(|part| hasher.int(part as i64));
        let hash = hasher.finish();
        let (clock, alive) = (clock.clone(), Arc::clone(&alive));
        Box::pin(async move {
            assert_eq!(alive.fetch_add(1, Ordering::AcqRel), 0, "two runs of one collector are alive");
            let _alive = Alive(alive);
            batch.ci("before", kind::HOST);
            for step in 0..hash % 5 {
                clock.sleep_until(cx.now() + Duration::from_millis(hash >> (8 * step) & 0x7ff)).await;
                cx.checkpoint().await?;
            }
            match (hash >> 48) % 6 {
                0 => Err(CollectError::Unavailable { what: "it".into(), source: "planted".into() }),
                1 => std::future::pending().await,
                _ => {
                    batch.ci("after", kind::HOST);
                    Ok(Coverage::new().complete(Scope::cis(kind::HOST)))
                }
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn l11_real_collectors_never_overlap_and_leave_nothing(
        seed: u64,
        removals in prop::collection::vec((0_u64..8, 1_u64..60), 0..8),
    ) {
        let mut simulation = Simulation::new(SchedulerConfig::default(), START);
        let clock = simulation.clock().clone();
        let alive: Vec<Arc<AtomicU32>> = (0..8).map(|_| Arc::default()).collect();
        for (index, alive) in (0..).zip(&alive) {
            simulation.add(erratic(seed, index, &clock, alive)).expect("a good name");
        }
        let check = |at: Timestamp, step: &Step| {
            let Step::Ended { report, .. } = step else { return };
            assert!(report.duration <= 4 * SECOND, "{:?} at {at}", report.duration);
            assert!(!matches!(report.outcome, Outcome::Failed { kind: itom_core::ErrorKind::Bug, .. }),
                "{:?}", report.error);
            // What was pushed before counts, and only a good run is believed about absence.
            assert!(!report.batch.items().is_empty());
            assert_eq!(
                report.batch.coverage().covers_ci(&kind::HOST, None),
                report.outcome == Outcome::Ok
            );
        };
        for (index, wait) in removals {
            simulation.run_for(Duration::from_secs(wait), check);
            let target = SourceName::new(format!("erratic@t{index}")).expect("a good name");
            simulation.tell(Input::Remove { target });
        }
        simulation.run_for(60 * SECOND, check);
        simulation.tell(Input::Shutdown { grace: SECOND });
        let mut drained = false;
        simulation.run_for(10 * SECOND, |at, step| {
            check(at, step);
            drained |= matches!(step, Step::Said(Output::Drained));
        });
        prop_assert!(drained);
        prop_assert_eq!(simulation.running(), 0);
        prop_assert_eq!(clock.sleepers(), 0, "cancelled runs leave no sleep behind");
        prop_assert!(alive.iter().all(|alive| alive.load(Ordering::Acquire) == 0));
    }
}

#[test]
fn the_same_simulation_goes_the_same_way_each_time() {
    let play = || {
        let mut simulation = Simulation::new(SchedulerConfig::default(), START);
        let clock = simulation.clock().clone();
        for index in 0..20 {
            simulation.add(erratic(7, index, &clock, &Arc::default())).expect("a good name");
        }
        let mut trace = Vec::new();
        simulation.run_for(120 * SECOND, |at, step| match step {
            Step::Said(output) => trace.push(format!("{at} {output:?}")),
            Step::Ended { target, run, report } => {
                trace.push(format!(
                    "{at} {target} {run} {:?} {:?}",
                    report.outcome,
                    report.batch.items().len()
                ));
            }
        });
        trace
    };
    let once = play();
    assert!(once.len() > 100);
    assert_eq!(once, play());
}

#[test]
fn ten_thousand_real_collectors_all_run() {
    let mut simulation = Simulation::new(SchedulerConfig::default(), START);
    let clock = simulation.clock().clone();
    for index in 0..10_000 {
        let clock = clock.clone();
        let descriptor = Descriptor::new("probe").target(format!("t{index}"));
        let probe = collector_fn(descriptor, move |cx: &CollectContext, batch: &mut Batch| {
            let clock = clock.clone();
            Box::pin(async move {
                clock.sleep_until(cx.now() + Duration::from_millis(200)).await;
                batch.ci("it", kind::HOST);
                Ok(Coverage::new())
            })
        });
        simulation.add(probe).expect("a good name");
    }
    let mut seen = std::collections::BTreeSet::new();
    simulation.run_for(60 * SECOND, |_, step| {
        if let Step::Ended { target, report, .. } = step {
            assert_eq!(report.outcome, Outcome::Ok);
            seen.insert(target.clone());
        }
    });
    assert_eq!(seen.len(), 10_000);
}
