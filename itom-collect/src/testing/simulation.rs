//! The scheduler and real collectors on a virtual clock.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, Stream as _};
use itom_core::{Clock as _, Machine as _, NameError, SourceName, Timestamp, VirtualClock};

use crate::scheduler::{Input, Output, Schedule, Scheduler, SchedulerConfig};
use crate::{Cancel, Collector, RunReport, RunSpec, run_collector};

/// Something that happened in a simulation.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// The scheduler said something, and the simulation followed.
    Said(Output),
    /// A run ended.
    Ended {
        /// Its target.
        target: SourceName,
        /// Its number.
        run: u64,
        /// What came of it.
        report: Box<RunReport>,
    },
}

/// Runs collectors under a [`Scheduler`] on a [`VirtualClock`], in one thread: days pass in milliseconds, and the same
/// simulation goes the same way each time. For collectors that wait only for the clock and for themselves; those that
/// wait for threads, files or sockets would not be woken.
///
/// ```
/// use std::time::Duration;
///
/// use itom_collect::scheduler::SchedulerConfig;
/// use itom_collect::testing::{Simulation, Step};
/// use itom_collect::{Descriptor, collector_fn};
/// use itom_core::{Coverage, Timestamp, kind};
///
/// let mut simulation = Simulation::new(SchedulerConfig::default(), Timestamp::EPOCH);
/// simulation.add(collector_fn(Descriptor::new("racks"), |_, batch| {
///     Box::pin(async move {
///         batch.ci("web-1", kind::HOST);
///         Ok(Coverage::new())
///     })
/// }))?;
/// let mut runs = 0;
/// simulation.run_for(Duration::from_secs(3_600), |_, step| {
///     runs += usize::from(matches!(step, Step::Ended { .. }));
/// });
/// assert!((60..=61).contains(&runs), "each minute, and once soon after the start: {runs}");
/// # Ok::<(), itom_core::NameError>(())
/// ```
#[derive(Debug)]
pub struct Simulation {
    clock: VirtualClock,
    scheduler: Scheduler,
    collectors: BTreeMap<SourceName, Arc<dyn Collector>>,
    runs: FuturesUnordered<BoxFuture<'static, (SourceName, u64, RunReport)>>,
    cancels: BTreeMap<SourceName, Cancel>,
    woken: Arc<Woken>,
}

#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Simulation {
    /// A simulation without collectors that begins at `start`.
    #[must_use]
    pub fn new(config: SchedulerConfig, start: Timestamp) -> Self {
        Self {
            clock: VirtualClock::new(start),
            scheduler: Scheduler::new(config),
            collectors: BTreeMap::new(),
            runs: FuturesUnordered::new(),
            cancels: BTreeMap::new(),
            woken: Arc::default(),
        }
    }

    /// The clock; clones share the time.
    #[must_use]
    pub const fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// The scheduler.
    #[must_use]
    pub const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// How many runs are going on.
    #[must_use]
    pub fn running(&self) -> usize {
        self.runs.len()
    }

    /// Adds a collector as its descriptor asks.
    ///
    /// # Errors
    /// [`NameError`] when the descriptor's name is not one.
    pub fn add(&mut self, collector: impl Collector) -> Result<SourceName, NameError> {
        let descriptor = collector.descriptor();
        let target = descriptor.source_name()?;
        self.collectors.insert(target.clone(), Arc::new(collector));
        self.tell(Input::Add { target: target.clone(), schedule: Schedule::of(&descriptor) });
        Ok(target)
    }

    /// Tells the scheduler something.
    pub fn tell(&mut self, input: Input) {
        self.scheduler.handle(self.clock.now(), input);
    }

    /// Lets time pass. `observe` sees everything that happens, with its time.
    pub fn run_for(&mut self, span: std::time::Duration, mut observe: impl FnMut(Timestamp, &Step)) {
        let until = self.clock.now() + span;
        loop {
            self.settle(&mut observe);
            let now = self.clock.now();
            let wake = self.scheduler.poll_deadline().map(|deadline| deadline.at.max(now));
            // A sleep that is over and still there belongs to nobody who is being polled.
            let sleep = self.clock.next_deadline().filter(|at| *at > now);
            let Some(next) = [wake, sleep].into_iter().flatten().min().filter(|next| *next <= until) else {
                self.clock.advance_to(until.max(now));
                return;
            };
            self.clock.advance_to(next);
            self.settle(&mut observe);
            self.scheduler.handle_deadline(next);
        }
    }

    /// Follows the scheduler and polls the runs until neither has anything more to do now.
    fn settle(&mut self, observe: &mut impl FnMut(Timestamp, &Step)) {
        loop {
            while let Some(output) = self.scheduler.poll_output() {
                self.follow(&output);
                observe(self.clock.now(), &Step::Said(output));
            }
            self.woken.0.store(false, Ordering::Release);
            let waker = Waker::from(Arc::clone(&self.woken));
            let polled = Pin::new(&mut self.runs).poll_next(&mut Context::from_waker(&waker));
            if let Poll::Ready(Some((target, run, report))) = polled {
                self.cancels.remove(&target);
                let outcome = report.outcome;
                observe(
                    self.clock.now(),
                    &Step::Ended { target: target.clone(), run, report: Box::new(report) },
                );
                self.tell(Input::Finished { target, run, outcome });
            } else if !self.woken.0.load(Ordering::Acquire) {
                return;
            }
        }
    }

    fn follow(&mut self, output: &Output) {
        match output {
            Output::Start { target, run, deadline, .. } => {
                let Some(collector) = self.collectors.get(target).cloned() else { return };
                let cancel = Cancel::new();
                self.cancels.insert(target.clone(), cancel.clone());
                let spec = RunSpec::new(target.clone(), Arc::new(self.clock.clone()), *deadline);
                let (target, run) = (target.clone(), *run);
                self.runs.push(Box::pin(async move {
                    let report = run_collector(collector.as_ref(), spec.cancel(cancel)).await;
                    (target, run, report)
                }));
            }
            Output::Cancel { target, .. } => {
                if let Some(cancel) = self.cancels.get(target) {
                    cancel.cancel();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
