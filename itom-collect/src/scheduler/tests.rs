use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use itom_core::{Batch, ErrorKind, Machine, Observation, Retry, SourceName, Timestamp};

use super::*;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const FAILED: Outcome = Outcome::Failed { kind: ErrorKind::Unavailable, retry: Retry::Backoff };

fn target() -> SourceName {
    SourceName::literal("host@web-1")
}

fn with_one(config: SchedulerConfig) -> Scheduler {
    let mut scheduler = Scheduler::new(config);
    scheduler.handle(START, Input::Add { target: target(), schedule: Schedule::new(MINUTE, MINUTE / 2) });
    scheduler
}

fn outputs(scheduler: &mut Scheduler) -> Vec<Output> {
    std::iter::from_fn(|| scheduler.poll_output()).collect()
}

/// Runs the next due run to `outcome` at once; gives back when it started.
fn one_run(scheduler: &mut Scheduler, outcome: Outcome) -> Timestamp {
    let at = scheduler.poll_deadline().expect("something is due").at;
    scheduler.handle_deadline(at);
    let run = outputs(scheduler)
        .into_iter()
        .find_map(|output| if let Output::Start { run, .. } = output { Some(run) } else { None })
        .expect("a start");
    scheduler.handle(at, Input::Finished { target: target(), run, outcome });
    at
}

#[test]
fn phase_is_stable_across_restarts() {
    let mut first = with_one(SchedulerConfig::default());
    one_run(&mut first, Outcome::Ok);
    let tick = one_run(&mut first, Outcome::Ok);
    assert_eq!(one_run(&mut first, Outcome::Ok), tick + MINUTE);

    let restarted_at = START + Duration::from_secs(7_777);
    let mut second = Scheduler::new(SchedulerConfig::default());
    second.handle(restarted_at, Input::Add { target: target(), schedule: Schedule::new(MINUTE, MINUTE / 2) });
    let early = one_run(&mut second, Outcome::Ok);
    assert!(
        early.since(restarted_at) <= Duration::from_secs(30),
        "the first run does not wait for the phase"
    );
    let again = one_run(&mut second, Outcome::Ok);
    assert_eq!(again.since(tick).as_micros() % MINUTE.as_micros(), 0, "{tick} and {again} share a phase");
}

#[test]
fn phases_are_spread() {
    let mut scheduler = Scheduler::new(SchedulerConfig::default());
    for index in 0..600 {
        let target = SourceName::new(format!("host@{index}")).expect("a source name");
        scheduler.handle(START, Input::Add { target, schedule: Schedule::new(2 * MINUTE, MINUTE) });
    }
    let mut buckets = [0_usize; 30];
    for name in scheduler.targets() {
        let Some(TargetState::Waiting { due }) = scheduler.status(name).map(|status| status.state) else {
            panic!("{name} does not wait");
        };
        buckets[(due.since(START).as_secs() as usize).min(29)] += 1;
    }
    assert!(buckets.iter().all(|count| (5..60).contains(count)), "{buckets:?}");
}

#[test]
fn failures_back_off_then_the_breaker_opens_and_a_good_probe_closes_it() {
    let config = SchedulerConfig::default()
        .backoff(Duration::from_secs(2), Duration::from_secs(8))
        .breaker(NonZeroU32::new(4).expect("not zero"), 10 * MINUTE);
    let mut scheduler = with_one(config);
    let mut at = one_run(&mut scheduler, FAILED);
    for (least, most) in [(1, 2), (2, 4), (4, 8)] {
        let next = one_run(&mut scheduler, FAILED);
        let pause = next.since(at).as_secs_f64();
        assert!((f64::from(least)..=f64::from(most)).contains(&pause), "{pause} s, not {least} to {most}");
        at = next;
    }
    let opened = outputs(&mut scheduler);
    assert_eq!(opened, [Output::BreakerOpened { target: target(), failures: 4 }]);
    assert!(scheduler.status(&target()).is_some_and(|status| status.breaker_open));
    let probe = scheduler.poll_deadline().expect("a probe").at;
    let pause = probe.since(at);
    assert!(pause >= 5 * MINUTE && pause <= 10 * MINUTE, "{pause:?}");
    scheduler.handle_deadline(probe);
    let seen = outputs(&mut scheduler);
    assert!(
        matches!(seen[0], Output::Missed { ticks: 5..=10, why: MissedWhy::BackedOff, .. }),
        "the ticks passed are counted: {seen:?}"
    );
    assert!(matches!(seen[1], Output::Start { run: 5, .. }), "{seen:?}");
    scheduler.handle(probe, Input::Finished { target: target(), run: 5, outcome: Outcome::Ok });
    assert_eq!(outputs(&mut scheduler), [Output::BreakerClosed { target: target() }]);
    assert!(scheduler.poll_deadline().expect("the next tick").at.since(probe) <= MINUTE);
}

#[test]
fn what_cannot_be_helped_is_not_retried_before_its_tick() {
    let mut scheduler = with_one(SchedulerConfig::default());
    one_run(&mut scheduler, Outcome::Ok);
    let denied = Outcome::Failed { kind: ErrorKind::Denied, retry: Retry::Never };
    let at = one_run(&mut scheduler, denied);
    assert_eq!(scheduler.poll_deadline().expect("the next tick").at, at + MINUTE);
}

#[test]
fn who_asks_for_time_gets_it_up_to_a_limit() {
    let mut scheduler = with_one(SchedulerConfig::default());
    let retry = Retry::After(Duration::from_secs(200));
    let at = one_run(&mut scheduler, Outcome::Failed { kind: ErrorKind::Exhausted, retry });
    assert_eq!(scheduler.poll_deadline().expect("due").at, at + Duration::from_secs(200));
    let retry = Retry::After(Duration::MAX);
    let at = one_run(&mut scheduler, Outcome::Failed { kind: ErrorKind::Exhausted, retry });
    assert_eq!(scheduler.poll_deadline().expect("due").at, at + Duration::from_secs(3_600));
}

#[test]
fn a_run_past_its_deadline_is_cancelled_once_and_missed_ticks_are_counted() {
    let mut scheduler = with_one(SchedulerConfig::default().without_breaker());
    one_run(&mut scheduler, Outcome::Ok);
    let started = scheduler.poll_deadline().expect("due").at;
    scheduler.handle_deadline(started);
    outputs(&mut scheduler);
    let deadline = scheduler.poll_deadline().expect("the run's deadline").at;
    assert_eq!(deadline, started + MINUTE / 2);
    scheduler.handle_deadline(deadline);
    let cancel = Output::Cancel { target: target(), run: 2, reason: CancelReason::Timeout };
    assert_eq!(outputs(&mut scheduler), [cancel]);
    assert_eq!(scheduler.poll_deadline(), None, "nothing starts before the run has ended");
    let ended = started + 5 * MINUTE / 2;
    scheduler.handle(ended, Input::Finished { target: target(), run: 2, outcome: Outcome::Cancelled });
    let missed = Output::Missed { target: target(), ticks: 2, why: MissedWhy::Late };
    assert_eq!(outputs(&mut scheduler), [missed]);
    assert_eq!(scheduler.status(&target()).and_then(|status| status.last), Some(Outcome::TimedOut));
}

#[test]
fn pause_resume_and_run_now() {
    let mut scheduler = with_one(SchedulerConfig::default());
    scheduler.handle(START, Input::Pause { target: target() });
    assert_eq!(scheduler.poll_deadline(), None);
    scheduler.handle(START, Input::RunNow { target: target() });
    let refused = Output::Refused { target: Some(target()), why: RefusedWhy::Paused };
    assert_eq!(outputs(&mut scheduler), [refused]);
    let later = START + 10 * MINUTE;
    scheduler.handle(later, Input::Resume { target: target() });
    let missed = Output::Missed { target: target(), ticks: 10, why: MissedWhy::Paused };
    assert_eq!(outputs(&mut scheduler), [missed]);
    scheduler.handle(later, Input::RunNow { target: target() });
    assert!(matches!(outputs(&mut scheduler)[..], [Output::Start { run: 1, .. }]));
    scheduler.handle(later, Input::RunNow { target: target() });
    scheduler.handle(later, Input::Finished { target: target(), run: 1, outcome: Outcome::Ok });
    assert!(matches!(outputs(&mut scheduler)[..], [Output::Start { run: 2, .. }]), "once more afterwards");
}

#[test]
fn a_removed_target_is_cancelled_and_forgotten_and_stale_ends_are_refused() {
    let mut scheduler = with_one(SchedulerConfig::default());
    scheduler.handle(START, Input::RunNow { target: target() });
    scheduler.handle(START, Input::Finished { target: target(), run: 9, outcome: Outcome::Ok });
    scheduler.handle(START, Input::Remove { target: target() });
    let seen = outputs(&mut scheduler);
    assert!(matches!(seen[1], Output::Refused { why: RefusedWhy::UnknownRun, .. }), "{seen:?}");
    assert!(matches!(seen[2], Output::Cancel { reason: CancelReason::Removed, .. }), "{seen:?}");
    scheduler.handle(START, Input::Finished { target: target(), run: 1, outcome: Outcome::Cancelled });
    assert!(scheduler.is_empty());
    assert_eq!((scheduler.running(), scheduler.poll_deadline()), (0, None));
    let stats = scheduler.stats(START);
    assert_eq!((stats.collectors["host"].targets, stats.collectors["host"].cancelled), (0, 1));
}

#[test]
fn shutdown_without_runs_drains_at_once_and_with_runs_after_its_grace() {
    let mut idle = with_one(SchedulerConfig::default());
    idle.handle(START, Input::Shutdown { grace: MINUTE });
    assert_eq!(outputs(&mut idle), [Output::Drained]);
    assert_eq!(idle.poll_deadline(), None);

    let mut busy = with_one(SchedulerConfig::default());
    busy.handle(START, Input::RunNow { target: target() });
    busy.handle(START, Input::Shutdown { grace: MINUTE / 6 });
    outputs(&mut busy);
    let grace = busy.poll_deadline().expect("the grace").at;
    assert_eq!(grace, START + MINUTE / 6);
    busy.handle_deadline(grace);
    let cancel = Output::Cancel { target: target(), run: 1, reason: CancelReason::Shutdown };
    assert_eq!(outputs(&mut busy), [cancel]);
    busy.handle(grace, Input::Finished { target: target(), run: 1, outcome: Outcome::Cancelled });
    assert_eq!(outputs(&mut busy), [Output::Drained]);
}

/// Ten thousand targets through a narrow door: everyone gets in, the oldest first.
#[test]
fn ten_thousand_targets_share_the_limit_fairly() {
    let config = SchedulerConfig::default().concurrency(NonZeroUsize::new(50).expect("not zero"));
    let mut scheduler = Scheduler::new(config);
    for index in 0..10_000 {
        let target = SourceName::new(format!("snmp@device-{index}")).expect("a source name");
        let schedule = Schedule::new(MINUTE, MINUTE / 2).group(format!("device-{}", index / 10));
        scheduler.handle(START, Input::Add { target, schedule });
    }
    // Each run takes 0.4 s, so that 50 at a time make 125 a second and a round of all takes 80 s: more than a minute.
    let mut running = std::collections::VecDeque::new();
    let mut counts = std::collections::BTreeMap::<SourceName, u32>::new();
    let mut now = START;
    let end = START + 10 * MINUTE;
    let mut last_due = START;
    let mut out_of_order = 0_u32;
    while now < end {
        while let Some(output) = scheduler.poll_output() {
            if let Output::Start { target, run, scheduled, .. } = output {
                *counts.entry(target.clone()).or_default() += 1;
                // Only the limit of two a group may let a younger one pass.
                out_of_order += u32::from(scheduled < last_due);
                last_due = scheduled;
                running.push_back((now + Duration::from_millis(400), target, run));
            }
        }
        let next_end = running.front().map(|(at, _, _)| *at);
        let wake = scheduler.poll_deadline().map(|deadline| deadline.at);
        now = now.max([next_end, wake].into_iter().flatten().min().expect("never idle"));
        if next_end.is_some_and(|at| at <= now) {
            let (_, target, run) = running.pop_front().expect("just seen");
            scheduler.handle(now, Input::Finished { target, run, outcome: Outcome::Ok });
        } else {
            scheduler.handle_deadline(now);
        }
        assert!(running.len() <= 50);
    }
    assert_eq!(counts.len(), 10_000, "everyone ran");
    let (least, most) = (counts.values().min().expect("some"), counts.values().max().expect("some"));
    assert!(*least >= 5 && most - least <= 2, "between {least} and {most} runs in ten minutes");
    let starts: u32 = counts.values().sum();
    assert!(out_of_order < starts / 20, "{out_of_order} of {starts} starts were out of order");
    let stats = scheduler.stats(now);
    assert!(stats.collectors["snmp"].missed_late > 0, "the overload is visible");
    assert!(stats.waiting > 0 && stats.lag > Duration::ZERO);
}

#[test]
fn stats_become_samples() {
    let mut scheduler = with_one(SchedulerConfig::default());
    one_run(&mut scheduler, Outcome::Ok);
    one_run(&mut scheduler, FAILED);
    let mut batch = Batch::new(SourceName::literal("scheduler"), START);
    scheduler.stats(START).push_into(&mut batch);
    let value = |metric: &str, label: Option<(&str, &str)>| {
        batch.items().iter().find_map(|item| match item {
            Observation::Sample(sample)
                if sample.metric.as_str() == metric
                    && label.is_none_or(|(name, value)| sample.labels.get(name) == Some(value)) =>
            {
                Some(sample.value)
            }
            _ => None,
        })
    };
    assert_eq!(value("itom_collect_runs_total", Some(("outcome", "ok"))), Some(1.0));
    assert_eq!(value("itom_collect_runs_total", Some(("outcome", "error"))), Some(1.0));
    assert_eq!(value("itom_collect_targets", Some(("collector", "host"))), Some(1.0));
    assert_eq!(value("itom_collect_run_duration_seconds_count", None), Some(2.0));
    assert_eq!(value("itom_collect_waiting", None), Some(0.0));
}
