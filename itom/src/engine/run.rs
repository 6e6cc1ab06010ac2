//! The loop: waits, hands inputs to the machines, carries out what they want done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use itom_cmdb::graph::RelationGraph;
use itom_collect::scheduler::{Input as Schedule, Output as Order};
use itom_collect::{Cancel, Collector, RunSpec, Scheduler, run_collector};
use itom_core::{Classify as _, Deadline, ErrorChain, ErrorKind, Machine as _, SourceName, Text, Timestamp};
use tracing::{debug, info, warn};

use super::closing::Ending;
use super::compacting::Compacting;
use super::event::EndOfEvents;
use super::handle::Command;
use super::ingest::Writing;
use super::keeping::Keeping;
use super::listeners::Listening;
#[cfg(feature = "prometheus")]
use super::remember;
use super::samples::Taken;
use super::wake::{Ran, Room, Waits, Wake};
use super::{Engine, EngineSummary, Parts, RunError, alerting, ingest};

/// When the loop ends.
pub(super) enum Mode {
    /// When told.
    UntilShutdown(BoxFuture<'static, ()>),
    /// After one run of every collector.
    Once,
}

/// The state of a running engine.
pub(super) struct Loop {
    pub(super) parts: Parts,
    pub(super) shared: Arc<super::Shared>,
    pub(super) cmdb: itom_cmdb::Cmdb,
    pub(super) graph: RelationGraph,
    /// The graph as handles are shown it: cloned anew only when it changed.
    pub(super) shown_graph: Arc<RelationGraph>,
    pub(super) alerts: alerting::Alerting,
    #[cfg(feature = "prometheus")]
    pub(super) grouping: Option<super::groups::Grouping>,
    pub(super) scheduler: Scheduler,
    pub(super) waits: Waits,
    pub(super) listening: Listening,
    cancels: BTreeMap<(SourceName, u64), Cancel>,
    starts: BTreeMap<SourceName, Timestamp>,
    /// Batches that wait for the store.
    pub(super) pending: VecDeque<Taken>,
    pub(super) writing: Writing,
    pub(super) compacting: Option<Compacting>,
    pub(super) keeping: Keeping,
    pub(super) started_at: Timestamp,
    next_self: Timestamp,
    /// The latest time seen, to notice a clock that was set back.
    last: Timestamp,
    /// In `Once`: the collectors whose run has not been taken in yet.
    pub(super) once: Option<BTreeSet<SourceName>>,
    pub(super) ending: Option<Ending>,
    /// Until when rules wait, and for which collectors; `None` once they no longer do.
    pub(super) warming: Option<(Timestamp, BTreeSet<SourceName>)>,
    /// However the loop ends, subscriptions end with it.
    _events: EndOfEvents,
}

impl Loop {
    /// Reads what is stored and prepares the machines.
    pub(super) async fn open(engine: Engine, mode: Mode) -> Result<Self, RunError> {
        let Engine {
            parts,
            cmdb,
            mut alerts,
            #[cfg(feature = "prometheus")]
            mut grouping,
            shared,
            commands,
            submitted,
            events,
        } = engine;
        let now = parts.clock.now();
        let config = cmdb.config().clone();
        let opened =
            itom_cmdb::store::open(parts.store.as_ref(), config, now).await.map_err(RunError::Load)?;
        let keeping = Keeping::new(&opened, parts.limits.snapshot_every);
        let (cmdb, loaded, known_to) = (opened.cmdb, opened.facts, opened.end);
        let graph = ingest::graph(&cmdb, shared.model.relations());
        let shown_graph = Arc::new(graph.clone());
        let once = match &mode {
            Mode::Once => Some(parts.collectors.keys().cloned().collect::<BTreeSet<_>>()),
            Mode::UntilShutdown(_) => None,
        };
        if once.is_none() {
            let kept = parts.journal.load().await.map_err(RunError::Journal)?;
            #[cfg(feature = "prometheus")]
            let kept = remember::recall(grouping.as_mut(), kept);
            alerts.restore(now, kept);
        }
        info!(facts = loaded, collectors = parts.collectors.len(), "engine opened");

        let mut scheduler = Scheduler::new(parts.scheduler.clone());
        for (target, (_, schedule)) in &parts.collectors {
            scheduler.handle(now, Schedule::Add { target: target.clone(), schedule: schedule.clone() });
            if once.is_some() {
                scheduler.handle(now, Schedule::RunNow { target: target.clone() });
            }
        }
        let shutdown = match mode {
            Mode::UntilShutdown(shutdown) => Some(shutdown),
            Mode::Once => None,
        };
        let waits = Waits {
            shutdown,
            commands: commands.1,
            submitted: Some(submitted),
            runs: FuturesUnordered::new(),
            finished: VecDeque::new(),
            listeners: FuturesUnordered::new(),
            deliveries: FuturesUnordered::new(),
            appending: None,
            compacting: None,
            keeping: None,
            remembering: None,
        };
        let warm_until = now + parts.limits.warm_up;
        let every = parts.limits.compact_every;
        let retention = parts.retention.clone().filter(|_| once.is_none());
        let mut engine = Self {
            keeping,
            compacting: retention.map(|retention| Compacting::new(retention, every, known_to, now)),
            warming: Some((warm_until, parts.collectors.keys().cloned().collect())),
            next_self: now + parts.limits.self_every,
            parts,
            shared,
            cmdb,
            graph,
            shown_graph,
            alerts,
            #[cfg(feature = "prometheus")]
            grouping,
            scheduler,
            waits,
            listening: Listening::default(),
            cancels: BTreeMap::new(),
            starts: BTreeMap::new(),
            pending: VecDeque::new(),
            writing: Writing::Idle,
            started_at: now,
            last: now,
            once,
            ending: None,
            _events: events,
        };
        if engine.once.is_none() {
            engine.start_listeners(now);
        }
        engine.publish();
        Ok(engine)
    }

    pub(super) async fn run(mut self) -> Result<EngineSummary, RunError> {
        loop {
            let now = self.now();
            self.work(now);
            if self.is_done(now) {
                return self.close(now).await;
            }
            let deadline = self.deadline(now);
            let sleep = self.parts.clock.sleep_until(deadline);
            let room = self.room();
            let wake = self.waits.next(room, sleep).await;
            let now = self.now();
            self.react(now, wake);
        }
    }

    /// The time. A clock that was set back moves what the loop itself waits for; the machines do that for themselves.
    fn now(&mut self) -> Timestamp {
        let now = self.parts.clock.now();
        if now < self.last {
            let by = self.last.since(now);
            warn!(?by, "the clock was set back");
            self.next_self = self.next_self - by;
            self.started_at = self.started_at - by;
            if let Some(ending) = &mut self.ending {
                ending.until = ending.until - by;
            }
            self.writing.step_back(by);
            if let Some(compacting) = &mut self.compacting {
                compacting.step_back(by);
            }
            self.alerts.step_back(by);
            self.listening.step_back(by);
            if let Some((until, _)) = &mut self.warming {
                *until = *until - by;
            }
        }
        self.last = now;
        now
    }

    /// Takes one wake-up in.
    fn react(&mut self, now: Timestamp, wake: Wake) {
        match wake {
            Wake::Shutdown => self.begin_end(now),
            Wake::Command(command) => self.command(now, command),
            Wake::Appended(result) => self.written(now, result),
            Wake::Compacted(answer) => self.compacted(now, answer),
            Wake::Kept(answer) => self.kept(answer),
            Wake::Remembered(result) => self.remembered(now, result),
            Wake::Delivered(delivered) => self.alerts.delivered(now, delivered),
            Wake::Ran(ran) => self.ran(now, *ran),
            Wake::Submitted(batch) => self.take_in(now, *batch),
            Wake::ListenerEnded(end) => self.listener_ended(now, end),
            Wake::Deadline => {}
        }
    }

    /// Lets every machine do what is due, and carries out what they want, until all are quiet.
    fn work(&mut self, now: Timestamp) {
        self.scheduler.handle_deadline(now);
        while let Some(order) = self.scheduler.poll_output() {
            self.order(now, order);
        }
        self.restart_listeners(now);
        if self.once.is_some() {
            for batch in self.waits.take_submitted() {
                self.take_in(now, batch);
            }
        } else if now >= self.next_self {
            self.next_self = now + self.parts.limits.self_every;
            self.report_on_self(now);
        }
        if self.cmdb.next_deadline().is_some_and(|due| due.at <= now)
            && self.writing.holds_time(now).is_none()
        {
            self.expire(now);
        }
        self.compact(now);
        self.keep();
        self.write(now);
        // One look is judged once, when everything has been seen: rules that ran before would have seen nothing.
        let seen = if self.once.is_none() { self.is_warm(now) } else { self.has_looked() };
        if seen {
            self.judge(now);
        }
    }

    fn order(&mut self, now: Timestamp, order: Order) {
        match order {
            Order::Start { target, run, deadline, .. } => self.start(now, target, run, deadline),
            Order::Cancel { target, run, reason } => {
                debug!(collector = %target, ?reason, "run cancelled");
                if let Some(cancel) = self.cancels.get(&(target, run)) {
                    cancel.cancel();
                }
            }
            Order::Missed { target, ticks, why } => {
                debug!(collector = %target, ticks, why = why.as_str(), "ticks passed without a run");
            }
            Order::BreakerOpened { target, failures } => {
                warn!(collector = %target, failures, "collector fails again and again; it is only probed now");
            }
            Order::BreakerClosed { target } => info!(collector = %target, "collector works again"),
            Order::Refused { target, why } => debug!(?target, ?why, "the scheduler refused"),
            Order::Drained => {
                if let Some(ending) = &mut self.ending {
                    ending.drained = true;
                }
            }
            // The scheduler may learn to say more; what the loop does not know it need not do.
            _ => {}
        }
    }

    fn start(&mut self, now: Timestamp, target: SourceName, run: u64, deadline: Timestamp) {
        if self.once.is_some() {
            // One run is what was asked for, however long the others take.
            self.scheduler.handle(now, Schedule::Pause { target: target.clone() });
        }
        let Some((collector, _)) = self.parts.collectors.get(&target) else { return };
        let collector: Arc<dyn Collector> = Arc::clone(collector);
        let cancel = Cancel::new();
        let spec = RunSpec::new(target.clone(), Arc::clone(&self.parts.clock), deadline)
            .started(now)
            .cancel(cancel.clone())
            .limits(self.parts.limits.batch)
            .questions(self.cmdb.questions(&target));
        self.starts.insert(target.clone(), now);
        self.cancels.insert((target.clone(), run), cancel);
        self.waits.runs.push(Box::pin(async move {
            let report = run_collector(collector.as_ref(), spec).await;
            Ran { target, run, report }
        }));
    }

    fn ran(&mut self, now: Timestamp, ran: Ran) {
        let Ran { target, run, report } = ran;
        self.cancels.remove(&(target.clone(), run));
        if let Some((_, unheard)) = &mut self.warming {
            unheard.remove(&target);
        }
        let started = self.starts.get(&target).copied().unwrap_or(now);
        self.shared.ran(&target, started, &report);
        if let Some(error) = &report.error {
            if error.kind() == ErrorKind::Unsupported {
                // Nothing is wrong: this machine has no such thing.
                debug!(collector = %target, error = %ErrorChain(error), "not on this system");
            } else {
                warn!(collector = %target, error = %ErrorChain(error), "run failed");
            }
        }
        self.scheduler
            .handle(now, Schedule::Finished { target: target.clone(), run, outcome: report.outcome });
        self.shared.count_dropped(Text::literal("observations"), report.batch.dropped());
        self.take_in(now, report.batch);
        if let Some(waiting) = &mut self.once {
            waiting.remove(&target);
        }
    }

    fn command(&mut self, now: Timestamp, command: Command) {
        match command {
            Command::Acknowledge { alert, by, reply } => {
                // A requester that has gone away needs no answer.
                let _ = reply.send(self.alerts.acknowledge(now, alert, by));
            }
            Command::Explain { alert, reply } => {
                let _ = reply.send(self.alerts.explain(alert));
            }
            Command::Past(question) => question.answer(&self.cmdb),
            // One look runs each collector once, whatever is asked for.
            Command::RunNow(_) | Command::Pause(_) | Command::Resume(_) if self.once.is_some() => {}
            Command::RunNow(target) => self.scheduler.handle(now, Schedule::RunNow { target }),
            Command::Pause(target) => self.scheduler.handle(now, Schedule::Pause { target }),
            Command::Resume(target) => self.scheduler.handle(now, Schedule::Resume { target }),
        }
    }

    /// When the next machine wants to be woken.
    fn deadline(&self, now: Timestamp) -> Timestamp {
        let mut next = self.scheduler.poll_deadline();
        if self.once.is_none() {
            let alerts = match self.warming {
                Some((until, _)) => Some(Deadline::new(until, "the warm-up is over")),
                None => self.alerts.poll_deadline(),
            };
            #[cfg(feature = "prometheus")]
            if self.warming.is_none()
                && let Some(grouping) = &self.grouping
            {
                next = Deadline::earliest(next, grouping.poll_deadline());
            }
            next = Deadline::earliest(next, alerts);
            next = Deadline::earliest(next, Some(Deadline::new(self.next_self, "own metrics")));
        }
        let runs_out = self.cmdb.next_deadline();
        let held =
            |due: Deadline| self.writing.holds_time(now).filter(|until| until.at > due.at).unwrap_or(due);
        next = Deadline::earliest(next, runs_out.map(held));
        next = Deadline::earliest(next, self.listening.deadline());
        next = Deadline::earliest(next, self.writing.deadline());
        if self.ending.is_none() {
            let compacting = self.compacting.as_ref();
            next = Deadline::earliest(next, compacting.and_then(|compacting| compacting.deadline(now)));
        }
        if let Some(ending) = &self.ending {
            next = Deadline::earliest(next, Some(Deadline::new(ending.until, "the grace is over")));
        }
        next.map_or(now + Duration::from_secs(3600), |deadline| deadline.at)
    }

    /// Whether every collector was heard of since the start, or has had its time: before, rules would take what was not
    /// asked yet for missing.
    fn is_warm(&mut self, now: Timestamp) -> bool {
        let Some((until, unheard)) = &self.warming else { return true };
        let stored = self.pending.is_empty() && matches!(self.writing, Writing::Idle);
        let heard = unheard.is_empty() && (stored || self.writing.refuses());
        if heard || now >= *until {
            self.warming = None;
        }
        self.warming.is_none()
    }

    /// While the store accepts, a full queue holds collectors back; when it refuses, they go on for the sake of metrics
    /// and alerts, and the facts of what does not fit are dropped and counted.
    fn room(&self) -> Room {
        if self.pending.len() < self.parts.limits.batches || self.writing.refuses() {
            Room::Some
        } else {
            Room::None
        }
    }
}
