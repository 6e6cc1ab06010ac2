//! The machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use itom_core::{Deadline, Machine, Retry, SourceName, Text, Timestamp};

use super::group::ReadyQueue;
use super::stats::CollectorStats;
use super::target::{Run, Stage, Target, collector_of};
use super::timing::{self, Steady, Ticks};
use super::{
    CancelReason, Input, MissedWhy, Outcome, Output, RefusedWhy, Schedule, SchedulerConfig, SchedulerStats,
    TargetState, TargetStatus,
};

/// Decides when which target runs; see the [module](super) for what it promises.
///
/// Each event costs O(log targets). Internally all times are *steady*: a clock that steps back shifts them, so that no
/// target waits for the time lost; ticks stay on the clock's own time.
#[derive(Debug, Clone)]
pub struct Scheduler {
    config: SchedulerConfig,
    targets: BTreeMap<SourceName, Target>,
    due: BTreeSet<(Timestamp, SourceName)>,
    /// Runs that have not been cancelled.
    deadlines: BTreeSet<(Timestamp, SourceName)>,
    ready: ReadyQueue,
    running: usize,
    shutdown: Shutdown,
    steady: Steady,
    outputs: VecDeque<Output>,
    stats: BTreeMap<Text, CollectorStats>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    No,
    Draining,
    Drained,
}

impl Scheduler {
    /// A scheduler without targets.
    #[must_use]
    pub const fn new(config: SchedulerConfig) -> Self {
        Self {
            config,
            targets: BTreeMap::new(),
            due: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            ready: ReadyQueue::new(),
            running: 0,
            shutdown: Shutdown::No,
            steady: Steady::new(),
            outputs: VecDeque::new(),
            stats: BTreeMap::new(),
        }
    }

    /// How many targets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// How many runs are going on.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.running
    }

    /// The targets' names, sorted.
    pub fn targets(&self) -> impl Iterator<Item = &SourceName> {
        self.targets.keys()
    }

    /// What is known about one target.
    #[must_use]
    pub fn status(&self, target: &SourceName) -> Option<TargetStatus> {
        let known = self.targets.get(target)?;
        let state = match known.stage {
            Stage::Idle => TargetState::Idle,
            Stage::Waiting { due } => TargetState::Waiting { due: self.steady.to_clock(due) },
            Stage::Ready { due } => TargetState::Ready { due: self.steady.to_clock(due) },
            Stage::Running(run) => {
                TargetState::Running { run: known.runs, deadline: self.steady.to_clock(run.deadline) }
            }
        };
        Some(TargetStatus {
            state,
            paused: known.paused,
            breaker_open: known.breaker_open,
            runs: known.runs,
            failures: known.failures,
            last: known.last,
        })
    }

    /// What it counts about itself; [`SchedulerStats::push_into`] makes samples of it.
    #[must_use]
    pub fn stats(&self, now: Timestamp) -> SchedulerStats {
        let now = self.steady.of_clock(now);
        SchedulerStats {
            collectors: self.stats.clone(),
            waiting: self.ready.len() as u64,
            lag: self.ready.oldest().map_or(Duration::ZERO, |due| now.since(due)),
        }
    }

    fn count(&mut self, collector: &Text, change: impl FnOnce(&mut CollectorStats)) {
        match self.stats.get_mut(collector) {
            Some(stats) => change(stats),
            None => change(self.stats.entry(collector.clone()).or_default()),
        }
    }

    fn refuse(&mut self, target: &SourceName, why: RefusedWhy) {
        self.outputs.push_back(Output::Refused { target: Some(target.clone()), why });
    }

    /// Takes a target out of the queues it waits in. Not for running ones.
    fn unqueue(&mut self, name: &SourceName) {
        let Some(target) = self.targets.get_mut(name) else { return };
        let group = target.schedule.group.clone();
        match std::mem::replace(&mut target.stage, Stage::Idle) {
            Stage::Waiting { due } => {
                self.due.remove(&(due, name.clone()));
            }
            Stage::Ready { due } => {
                self.ready.remove(due, name, group.as_ref(), self.config.group_concurrency);
            }
            running @ Stage::Running(_) => target.stage = running,
            Stage::Idle => {}
        }
    }

    /// Lets a target that is in no queue wait until `due`.
    fn wait(&mut self, name: &SourceName, due: Timestamp) {
        let Some(target) = self.targets.get_mut(name) else { return };
        if target.paused || self.shutdown != Shutdown::No {
            target.stage = Stage::Idle;
            return;
        }
        target.stage = Stage::Waiting { due };
        self.due.insert((due, name.clone()));
    }

    /// When a new or resumed target is due: on its next tick, or sooner if that is far.
    fn first_due(&self, name: &SourceName, ticks: Ticks, now: Timestamp) -> Timestamp {
        let soon = now + timing::spread(name.as_str(), self.config.first_run_within);
        self.next_tick(ticks, now).min(soon)
    }

    fn next_tick(&self, ticks: Ticks, now: Timestamp) -> Timestamp {
        self.steady.of_clock(ticks.after(self.steady.to_clock(now)))
    }

    /// Counts the ticks of a target in `(accounted, upto]`, times of the clock.
    fn account(&mut self, name: &SourceName, upto: Timestamp, why: MissedWhy) {
        let Some(target) = self.targets.get_mut(name) else { return };
        let ticks = target.ticks.between(target.accounted, upto);
        target.accounted = upto;
        if ticks > 0 {
            let collector = target.collector.clone();
            self.count(&collector, |stats| stats.count_missed(ticks, why));
            self.outputs.push_back(Output::Missed { target: name.clone(), ticks, why });
        }
    }

    fn add(&mut self, now: Timestamp, name: &SourceName, schedule: Schedule) {
        if self.shutdown != Shutdown::No {
            return self.refuse(name, RefusedWhy::ShuttingDown);
        }
        self.unqueue(name);
        let clock = self.steady.to_clock(now);
        let collector = collector_of(name, &schedule);
        let ticks = Ticks::new(name.as_str(), schedule.every);
        let limit = self.config.group_concurrency;
        match self.targets.get_mut(name) {
            Some(known) => {
                let before = std::mem::replace(&mut known.collector, collector.clone());
                let (paused, open) = (u64::from(known.paused), u64::from(known.breaker_open));
                let running = u64::from(matches!(known.stage, Stage::Running(_)));
                if running == 1 {
                    self.ready.finished(known.schedule.group.as_ref(), limit);
                    self.ready.started(schedule.group.as_ref(), limit);
                }
                known.schedule = schedule;
                known.ticks = ticks;
                known.accounted = clock;
                known.leaving = false;
                self.count(&before, |stats| {
                    stats.targets -= 1;
                    stats.paused -= paused;
                    stats.breaker_open -= open;
                    stats.running -= running;
                });
                self.count(&collector, |stats| {
                    stats.targets += 1;
                    stats.paused += paused;
                    stats.breaker_open += open;
                    stats.running += running;
                });
                if running == 1 {
                    return;
                }
            }
            None => {
                self.targets.insert(name.clone(), Target::new(name, schedule, clock));
                self.count(&collector, |stats| stats.targets += 1);
            }
        }
        let due = self.first_due(name, ticks, now);
        self.wait(name, due);
    }

    fn remove(&mut self, name: &SourceName) {
        let Some(target) = self.targets.get_mut(name).filter(|target| !target.leaving) else {
            return self.refuse(name, RefusedWhy::UnknownTarget);
        };
        let Stage::Running(run) = &mut target.stage else {
            self.unqueue(name);
            return self.forget(name);
        };
        target.leaving = true;
        if run.cancelled.is_none() {
            run.cancelled = Some(CancelReason::Removed);
            self.deadlines.remove(&(run.deadline, name.clone()));
            let run = target.runs;
            self.outputs.push_back(Output::Cancel {
                target: name.clone(),
                run,
                reason: CancelReason::Removed,
            });
        }
    }

    fn forget(&mut self, name: &SourceName) {
        let Some(target) = self.targets.remove(name) else { return };
        self.count(&target.collector, |stats| {
            stats.targets -= 1;
            stats.paused -= u64::from(target.paused);
            stats.breaker_open -= u64::from(target.breaker_open);
        });
    }

    fn finished(&mut self, now: Timestamp, name: &SourceName, number: u64, outcome: Outcome) {
        let Some(target) = self.targets.get_mut(name) else {
            return self.refuse(name, RefusedWhy::UnknownTarget);
        };
        let Stage::Running(run) = target.stage else { return self.refuse(name, RefusedWhy::UnknownRun) };
        if target.runs != number {
            return self.refuse(name, RefusedWhy::UnknownRun);
        }
        // A run that stopped because its time was over timed out, whatever the driver calls it.
        let outcome = match (outcome, run.cancelled) {
            (Outcome::Cancelled, Some(CancelReason::Timeout)) => Outcome::TimedOut,
            (outcome, _) => outcome,
        };
        target.stage = Stage::Idle;
        target.last = Some(outcome);
        let (leaving, collector) = (target.leaving, target.collector.clone());
        self.running -= 1;
        self.deadlines.remove(&(run.deadline, name.clone()));
        self.ready.finished(target.schedule.group.as_ref(), self.config.group_concurrency);
        self.count(&collector, |stats| stats.count_end(outcome, now.since(run.started)));
        if leaving {
            return self.forget(name);
        }
        self.account(name, self.steady.to_clock(now), MissedWhy::Late);
        let due = self.judge(now, name, outcome);
        self.wait(name, due);
    }

    /// What the end of a run says about its target; gives back when it is due next.
    fn judge(&mut self, now: Timestamp, name: &SourceName, outcome: Outcome) -> Timestamp {
        let Some(target) = self.targets.get_mut(name) else { return now };
        let again = std::mem::take(&mut target.again);
        let collector = target.collector.clone();
        let retry = match outcome {
            Outcome::Ok => {
                target.failures = 0;
                if std::mem::take(&mut target.breaker_open) {
                    self.count(&collector, |stats| stats.breaker_open -= 1);
                    self.outputs.push_back(Output::BreakerClosed { target: name.clone() });
                }
                None
            }
            Outcome::Failed { retry, .. } if !target.paused => Some(retry),
            Outcome::TimedOut if !target.paused => Some(Retry::Backoff),
            _ => None,
        };
        let Some(target) = self.targets.get_mut(name) else { return now };
        let (ticks, every) = (target.ticks, target.schedule.every);
        let due = match retry {
            None if target.breaker_open => now + self.config.breaker.map_or(every, |(_, pause)| pause),
            None => self.next_tick(ticks, now),
            Some(retry) => {
                target.failures = target.failures.saturating_add(1);
                let failures = target.failures;
                let config = &self.config;
                let backoff = || {
                    let (first, longest) = (config.backoff_first, config.backoff_longest);
                    timing::backoff(name.as_str(), failures, first, longest)
                };
                let mut opened = false;
                let pause = match config.breaker {
                    Some((limit, pause)) if failures >= limit => {
                        opened = !std::mem::replace(&mut target.breaker_open, true);
                        timing::jittered(name.as_str(), failures, pause)
                    }
                    _ => Duration::ZERO,
                };
                let due = match retry {
                    Retry::Backoff => now + backoff().max(pause),
                    Retry::After(wait) => {
                        now + wait.min(config.longest_retry_after).max(backoff()).max(pause)
                    }
                    Retry::Never => self.next_tick(ticks, now).max(now + pause),
                };
                if opened {
                    self.count(&collector, |stats| stats.breaker_open += 1);
                    self.outputs.push_back(Output::BreakerOpened { target: name.clone(), failures });
                }
                due
            }
        };
        if again { now } else { due }
    }

    fn pause(&mut self, name: &SourceName) {
        let Some(target) = self.targets.get_mut(name).filter(|target| !target.leaving) else {
            return self.refuse(name, RefusedWhy::UnknownTarget);
        };
        if !std::mem::replace(&mut target.paused, true) {
            target.again = false;
            let collector = target.collector.clone();
            self.count(&collector, |stats| stats.paused += 1);
            self.unqueue(name);
        }
    }

    fn resume(&mut self, now: Timestamp, name: &SourceName) {
        let Some(target) = self.targets.get_mut(name).filter(|target| !target.leaving) else {
            return self.refuse(name, RefusedWhy::UnknownTarget);
        };
        if !std::mem::take(&mut target.paused) {
            return;
        }
        let (collector, ticks) = (target.collector.clone(), target.ticks);
        let running = matches!(target.stage, Stage::Running(_));
        self.count(&collector, |stats| stats.paused -= 1);
        if !running {
            self.account(name, self.steady.to_clock(now), MissedWhy::Paused);
            let due = self.first_due(name, ticks, now);
            self.wait(name, due);
        }
    }

    fn run_now(&mut self, now: Timestamp, name: &SourceName) {
        let Some(target) = self.targets.get_mut(name).filter(|target| !target.leaving) else {
            return self.refuse(name, RefusedWhy::UnknownTarget);
        };
        if self.shutdown != Shutdown::No {
            return self.refuse(name, RefusedWhy::ShuttingDown);
        }
        if target.paused {
            return self.refuse(name, RefusedWhy::Paused);
        }
        match target.stage {
            Stage::Running(_) => target.again = true,
            Stage::Ready { .. } => {}
            Stage::Idle | Stage::Waiting { .. } => {
                self.unqueue(name);
                self.wait(name, now);
            }
        }
    }

    fn shut_down(&mut self, now: Timestamp, grace: Duration) {
        if self.shutdown != Shutdown::No {
            self.outputs.push_back(Output::Refused { target: None, why: RefusedWhy::ShuttingDown });
            return;
        }
        self.shutdown = Shutdown::Draining;
        self.due.clear();
        self.ready = ReadyQueue::new();
        let last = now + grace;
        for (name, target) in &mut self.targets {
            match &mut target.stage {
                Stage::Running(run) => {
                    if run.cancelled.is_none() && last < run.deadline {
                        self.deadlines.remove(&(run.deadline, name.clone()));
                        self.deadlines.insert((last, name.clone()));
                        run.deadline = last;
                        run.at_deadline = CancelReason::Shutdown;
                    }
                }
                waiting => *waiting = Stage::Idle,
            }
        }
    }

    /// Does everything that is due: cancels what is over, queues what is due, starts what may start.
    fn settle(&mut self, now: Timestamp) {
        while let Some((_, name)) = pop_due(&mut self.deadlines, now) {
            let Some(target) = self.targets.get_mut(&name) else { continue };
            let Stage::Running(run) = &mut target.stage else { continue };
            run.cancelled = Some(run.at_deadline);
            let (reason, run) = (run.at_deadline, target.runs);
            self.outputs.push_back(Output::Cancel { target: name, run, reason });
        }
        let limit = self.config.group_concurrency;
        while let Some((due, name)) = pop_due(&mut self.due, now) {
            let Some(target) = self.targets.get_mut(&name) else { continue };
            target.stage = Stage::Ready { due };
            self.ready.insert(due, name, target.schedule.group.as_ref(), limit);
        }
        while self.running < self.config.concurrency {
            let Some(name) = self.ready.first().cloned() else { break };
            self.start(now, &name);
        }
        if self.shutdown == Shutdown::Draining && self.running == 0 {
            self.shutdown = Shutdown::Drained;
            self.outputs.push_back(Output::Drained);
        }
    }

    fn start(&mut self, now: Timestamp, name: &SourceName) {
        let Some(Target { stage: Stage::Ready { due }, failures, .. }) = self.targets.get(name) else {
            return;
        };
        let (scheduled, failures) = (self.steady.to_clock(*due), *failures);
        self.unqueue(name);
        // The tick of this run is kept; those before it passed while a failing target was given time.
        let why = if failures > 0 { MissedWhy::BackedOff } else { MissedWhy::Late };
        self.account(name, scheduled - Duration::from_micros(1), why);
        let Some(target) = self.targets.get_mut(name) else { return };
        target.accounted = scheduled;
        target.runs += 1;
        let deadline = now + target.schedule.timeout;
        target.stage = Stage::Running(Run {
            started: now,
            deadline,
            at_deadline: CancelReason::Timeout,
            cancelled: None,
        });
        let (run, collector) = (target.runs, target.collector.clone());
        self.ready.started(target.schedule.group.as_ref(), self.config.group_concurrency);
        self.running += 1;
        self.deadlines.insert((deadline, name.clone()));
        self.count(&collector, |stats| stats.running += 1);
        let deadline = self.steady.to_clock(deadline);
        self.outputs.push_back(Output::Start { target: name.clone(), run, scheduled, deadline });
    }

    /// When something is due, and why.
    fn next(&self) -> Option<(Timestamp, &'static str)> {
        let due = self.due.first().map(|(at, _)| (*at, "a run is due"));
        let deadline = self.deadlines.first().map(|(at, _)| (*at, "a run has reached its deadline"));
        match (deadline, due) {
            (Some(deadline), Some(due)) => Some(if due.0 < deadline.0 { due } else { deadline }),
            (deadline, due) => deadline.or(due),
        }
    }
}

fn pop_due(queue: &mut BTreeSet<(Timestamp, SourceName)>, now: Timestamp) -> Option<(Timestamp, SourceName)> {
    if queue.first()?.0 <= now { queue.pop_first() } else { None }
}

impl Machine for Scheduler {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Timestamp, input: Input) {
        let now = self.steady.note(now);
        match input {
            Input::Add { target, schedule } => self.add(now, &target, schedule),
            Input::Remove { target } => self.remove(&target),
            Input::Finished { target, run, outcome } => self.finished(now, &target, run, outcome),
            Input::Pause { target } => self.pause(&target),
            Input::Resume { target } => self.resume(now, &target),
            Input::RunNow { target } => self.run_now(now, &target),
            Input::Shutdown { grace } => self.shut_down(now, grace),
        }
        self.settle(now);
    }

    fn handle_deadline(&mut self, now: Timestamp) {
        // An early call changes nothing, unless it shows that the clock stepped back: then what is due moves with it.
        let due = self.next().is_some_and(|(at, _)| at <= self.steady.of_clock(now));
        if due || self.steady.stepped_back(now) {
            let now = self.steady.note(now);
            self.settle(now);
        }
    }

    fn poll_deadline(&self) -> Option<Deadline> {
        self.next().map(|(at, reason)| Deadline::new(self.steady.to_clock(at), reason))
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
