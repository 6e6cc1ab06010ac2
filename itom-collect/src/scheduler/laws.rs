//! The laws of the scheduler, over random scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use itom_core::machine::testing::check_laws;
use itom_core::{ErrorKind, Machine, Retry, SourceName, Timestamp};
use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn name(index: usize) -> SourceName {
    SourceName::new(format!("probe@host-{index}")).expect("a source name")
}

fn config() -> SchedulerConfig {
    SchedulerConfig::default()
        .concurrency(NonZeroUsize::new(3).expect("not zero"))
        .group_concurrency(NonZeroUsize::MIN)
        .first_run_within(5 * SECOND)
        .backoff(2 * SECOND, 40 * SECOND)
        .longest_retry_after(60 * SECOND)
        .breaker(NonZeroU32::new(3).expect("not zero"), 50 * SECOND)
}

/// The longest a target of the tests below waits after a run: backoff, the breaker, `After`, or its interval.
const LONGEST_WAIT: Duration = Duration::from_secs(61);

fn schedule(index: usize) -> Schedule {
    let schedule = Schedule::new((7 + index as u32 % 20) * SECOND, 5 * SECOND);
    if index.is_multiple_of(2) { schedule.group(format!("group-{}", index % 4)) } else { schedule }
}

/// How long a run takes and how it ends, by target and run: what a real collector would decide.
fn behaviour(seed: u64, target: &SourceName, run: u64) -> (Duration, Outcome) {
    let mut hasher = itom_core::StableHasher::new();
    hasher.text(target.as_str());
    hasher.int(seed as i64);
    hasher.int(run as i64);
    let hash = hasher.finish();
    let took = Duration::from_millis(hash % 9_000);
    let failed = |kind: ErrorKind, retry| Outcome::Failed { kind, retry };
    let outcome = match (hash >> 32) % 8 {
        0 => failed(ErrorKind::Unavailable, Retry::Backoff),
        1 => failed(ErrorKind::Denied, Retry::Never),
        2 => failed(ErrorKind::Exhausted, Retry::After(Duration::from_secs((hash >> 40) % 500))),
        3 => Outcome::TimedOut,
        _ => Outcome::Ok,
    };
    (took, outcome)
}

/// A driver that checks what the scheduler promises at each of its outputs.
struct Judge {
    scheduler: Scheduler,
    seed: u64,
    now: Timestamp,
    pending: BTreeMap<(Timestamp, u64), Input>,
    sequence: u64,
    running: BTreeMap<SourceName, (u64, Timestamp, bool)>,
    gone: BTreeSet<SourceName>,
    ended: BTreeMap<SourceName, Timestamp>,
    starts: BTreeMap<SourceName, Vec<Timestamp>>,
    shut_down: bool,
    drained: bool,
    trace: Vec<String>,
}

impl Judge {
    fn new(seed: u64) -> Self {
        Self {
            scheduler: Scheduler::new(config()),
            seed,
            now: START,
            pending: BTreeMap::new(),
            sequence: 0,
            running: BTreeMap::new(),
            gone: BTreeSet::new(),
            ended: BTreeMap::new(),
            starts: BTreeMap::new(),
            shut_down: false,
            drained: false,
            trace: Vec::new(),
        }
    }

    fn later(&mut self, after: Duration, input: Input) {
        self.sequence += 1;
        self.pending.insert((self.now + after, self.sequence), input);
    }

    fn tell(&mut self, input: Input) {
        match &input {
            Input::Remove { target } | Input::Pause { target } => {
                self.gone.insert(target.clone());
                self.ended.remove(target);
            }
            Input::Add { target, .. } | Input::Resume { target } => {
                self.gone.remove(target);
                self.ended.remove(target);
            }
            Input::Finished { target, run, .. } => {
                let ran = self.running.remove(target).expect("only what runs finishes");
                assert_eq!(ran.0, *run);
                self.ended.insert(target.clone(), self.now);
            }
            Input::Shutdown { .. } => self.shut_down = true,
            Input::RunNow { .. } => {}
        }
        self.scheduler.handle(self.now, input);
        self.check_outputs();
    }

    fn check_outputs(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            self.trace.push(format!("{} {output:?}", self.now));
            assert!(!self.drained, "something came after Drained: {output:?}");
            match output {
                Output::Start { target, run, scheduled, deadline } => {
                    assert!(!self.shut_down, "a start after shutdown");
                    assert!(!self.gone.contains(&target), "{target} is removed or paused");
                    assert!(scheduled <= self.now);
                    assert_eq!(deadline, self.now + 5 * SECOND);
                    if let Some(ended) = self.ended.get(&target) {
                        let wait = scheduled.since(*ended);
                        assert!(wait <= LONGEST_WAIT, "{target} had to wait {wait:?}");
                    }
                    self.starts.entry(target.clone()).or_default().push(self.now);
                    let before = self.running.insert(target.clone(), (run, deadline, false));
                    assert_eq!(before, None, "runs of {target} overlap");
                    assert!(self.running.len() <= 3, "too many runs");
                    let (took, outcome) = behaviour(self.seed, &target, run);
                    if took < 5 * SECOND {
                        self.later(took, Input::Finished { target, run, outcome });
                    }
                }
                Output::Cancel { target, run, reason } => {
                    let (running, deadline, cancelled) =
                        self.running.get_mut(&target).expect("only what runs is cancelled");
                    assert_eq!(*running, run);
                    assert!(!*cancelled, "a run is cancelled once");
                    *cancelled = true;
                    match reason {
                        CancelReason::Timeout => assert!(self.now >= *deadline),
                        CancelReason::Removed => assert!(self.gone.contains(&target)),
                        CancelReason::Shutdown => assert!(self.shut_down),
                    }
                    // The driver needs a moment to stop it. Runs that would have ended by themselves do so still.
                    let (took, _) = behaviour(self.seed, &target, run);
                    if took >= 5 * SECOND {
                        let outcome = Outcome::Cancelled;
                        self.later(Duration::from_millis(300), Input::Finished { target, run, outcome });
                    }
                }
                Output::Drained => {
                    assert!(self.shut_down && self.running.is_empty());
                    self.drained = true;
                }
                Output::Missed { ticks, .. } => assert!(ticks > 0),
                Output::BreakerOpened { failures, .. } => assert!(failures >= 3),
                Output::BreakerClosed { .. } | Output::Refused { .. } => {}
            }
        }
        for (target, (_, deadline, cancelled)) in &self.running {
            assert!(*cancelled || self.now < *deadline, "{target} runs past its deadline");
        }
        let groups = self.running.keys().filter_map(|target| {
            let index: usize = target.as_str().rsplit_once('-')?.1.parse().ok()?;
            index.is_multiple_of(2).then_some(index % 4)
        });
        let mut seen = BTreeSet::new();
        assert!(groups.into_iter().all(|group| seen.insert(group)), "too many runs of one group");
    }

    fn run_until(&mut self, until: Timestamp) {
        for _ in 0..200_000 {
            let deadline = self.scheduler.poll_deadline().map(|deadline| deadline.at);
            let input = self.pending.keys().next().map(|(at, _)| *at);
            let Some(next) = [deadline, input].into_iter().flatten().min().filter(|next| *next <= until)
            else {
                self.now = until;
                return;
            };
            self.now = self.now.max(next);
            if input.is_some_and(|at| at <= self.now) {
                let (_, input) = self.pending.pop_first().expect("just seen");
                self.tell(input);
            } else {
                self.scheduler.handle_deadline(self.now);
                let after = self.scheduler.poll_deadline().map(|deadline| deadline.at);
                assert!(after.is_none_or(|after| after > self.now), "spinning at {}", self.now);
                self.check_outputs();
            }
        }
        panic!("the scheduler storms");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Tell(Input),
    Wait(Duration),
}

fn any_step() -> impl Strategy<Value = Step> {
    let target = (0_usize..8).prop_map(name);
    prop_oneof![
        3 => (0_usize..8).prop_map(|index| Step::Tell(Input::Add {
            target: name(index),
            schedule: schedule(index),
        })),
        1 => target.clone().prop_map(|target| Step::Tell(Input::Remove { target })),
        1 => target.clone().prop_map(|target| Step::Tell(Input::Pause { target })),
        1 => target.clone().prop_map(|target| Step::Tell(Input::Resume { target })),
        1 => target.prop_map(|target| Step::Tell(Input::RunNow { target })),
        4 => (0_u64..60_000).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
    ]
}

fn play(seed: u64, steps: &[Step]) -> Judge {
    let mut judge = Judge::new(seed);
    for step in steps {
        match step {
            Step::Tell(input) => {
                // A pause is only kept in mind for targets that exist.
                let known = match input {
                    Input::Pause { target } | Input::Remove { target } | Input::Resume { target } => {
                        judge.scheduler.status(target).is_some()
                    }
                    _ => true,
                };
                let paused = |judge: &Judge, target: &SourceName| {
                    judge.scheduler.status(target).is_some_and(|status| status.paused)
                };
                judge.tell(input.clone());
                match input {
                    Input::Add { target, .. } if paused(&judge, target) => {
                        judge.gone.insert(target.clone());
                    }
                    Input::Pause { target } | Input::Remove { target } | Input::Resume { target }
                        if !known =>
                    {
                        judge.gone.remove(target);
                    }
                    _ => {}
                }
            }
            Step::Wait(span) => judge.run_until(judge.now + *span),
        }
    }
    judge
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn l11_no_run_overlaps_and_limits_deadlines_and_pauses_hold(
        seed: u64,
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut judge = play(seed, &steps);
        judge.tell(Input::Shutdown { grace: 2 * SECOND });
        judge.run_until(judge.now + 60 * SECOND);
        prop_assert!(judge.drained, "a shutdown ends: {:?}", judge.running);
        prop_assert_eq!(judge.scheduler.running(), 0);
    }

    #[test]
    fn every_target_runs_again_whatever_happened(
        seed: u64,
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut judge = play(seed, &steps);
        let active: Vec<SourceName> = judge
            .scheduler
            .targets()
            .filter(|target| judge.scheduler.status(target).is_some_and(|status| !status.paused))
            .cloned()
            .collect();
        let before: Vec<usize> =
            active.iter().map(|target| judge.starts.get(target).map_or(0, Vec::len)).collect();
        // Eight targets, three at a time, none longer than 5.3 s, none waiting longer than a minute.
        judge.run_until(judge.now + 180 * SECOND);
        for (target, before) in active.iter().zip(before) {
            let status = judge.scheduler.status(target);
            let left = status.is_none_or(|status| status.paused);
            prop_assert!(left || judge.starts.get(target).map_or(0, Vec::len) > before, "{} starved", target);
        }
    }

    #[test]
    fn late_is_late_not_lost_and_leaps_do_not_storm(seed: u64, leap_days in 1_u64..4_000) {
        let mut judge = Judge::new(seed);
        for index in 0..8 {
            let schedule = Schedule { every: 10 * SECOND, ..schedule(index) };
            judge.tell(Input::Add { target: name(index), schedule });
        }
        // The clock leaps ahead before anything ran: each target runs once, not once for each tick of years.
        judge.now = judge.now + Duration::from_secs(86_400 * leap_days);
        judge.scheduler.handle_deadline(judge.now);
        judge.check_outputs();
        judge.run_until(judge.now + 9 * SECOND);
        for index in 0..8 {
            let starts = judge.starts.get(&name(index)).map_or(0, Vec::len);
            // Its own tick, and retries of what failed at once.
            prop_assert!(starts <= 5, "{starts} runs within one interval");
        }
        judge.run_until(judge.now + 120 * SECOND);
        for index in 0..8 {
            prop_assert!(judge.starts.contains_key(&name(index)), "{index} was lost");
        }
    }

    #[test]
    fn a_clock_that_steps_back_neither_hangs_nor_storms(back in 1_u64..1_000_000, when in 1_u64..60) {
        let mut scheduler = Scheduler::new(config());
        let mut now = START;
        for index in 0..8 {
            let schedule = Schedule::new(10 * SECOND, 5 * SECOND);
            scheduler.handle(now, Input::Add { target: name(index), schedule });
        }
        let mut starts = Vec::new();
        let mut truth = Duration::ZERO;
        for tick in 0..600 {
            now = now + Duration::from_millis(100);
            truth += Duration::from_millis(100);
            if tick == when * 10 {
                now = now - Duration::from_secs(back);
            }
            scheduler.handle_deadline(now);
            let outputs: Vec<Output> = std::iter::from_fn(|| scheduler.poll_output()).collect();
            for output in outputs {
                if let Output::Start { target, run, .. } = output {
                    starts.push((truth, target.clone()));
                    scheduler.handle(now, Input::Finished { target, run, outcome: Outcome::Ok });
                }
            }
        }
        for index in 0..8 {
            let own: Vec<Duration> =
                starts.iter().filter(|(_, target)| *target == name(index)).map(|(at, _)| *at).collect();
            // One minute at ten seconds, one tick moved by the step.
            prop_assert!((5..=9).contains(&own.len()), "{} runs of {index}", own.len());
            for pair in own.windows(2) {
                prop_assert!(pair[1] - pair[0] <= 21 * SECOND, "a pause of {:?}", pair[1] - pair[0]);
            }
        }
    }
}

/// Each case plays its script dozens of times on clones: fewer cases than elsewhere, `PROPTEST_CASES` raises them.
fn few() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(16);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn scheduler_obeys_the_machine_laws(
        seed: u64,
        steps in prop::collection::vec(any_step(), 1..40),
        back in prop::collection::vec(0_u64..100_000, 40),
    ) {
        // Some steps go back a little, as clocks do.
        let mut now = START;
        let mut script = Vec::new();
        for (step, back) in steps.iter().zip(back) {
            match step {
                Step::Tell(input) => script.push((now, input.clone())),
                Step::Wait(span) => {
                    now = now + *span;
                    if back < 20_000 {
                        now = now - Duration::from_millis(back);
                    }
                }
            }
        }
        let react = |output: &Output| match output {
            Output::Start { target, run, .. } => {
                let (took, outcome) = behaviour(seed, target, *run);
                let finished = Input::Finished { target: target.clone(), run: *run, outcome };
                if took < 5 * SECOND { vec![(took, finished)] } else { vec![] }
            }
            Output::Cancel { target, run, .. } => {
                let (took, _) = behaviour(seed, target, *run);
                let outcome = Outcome::Cancelled;
                let finished = Input::Finished { target: target.clone(), run: *run, outcome };
                if took >= 5 * SECOND { vec![(Duration::from_millis(300), finished)] } else { vec![] }
            }
            _ => vec![],
        };
        let make = || Scheduler::new(config());
        prop_assert_eq!(check_laws(make, &script, react), Ok(()));
        script.push((now + 100 * SECOND, Input::Shutdown { grace: 2 * SECOND }));
        prop_assert_eq!(check_laws(make, &script, react), Ok(()));
    }
}
