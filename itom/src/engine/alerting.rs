//! The alert engine in the loop: what it may see, what it wants remembered, whom it tells.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{Either, select};
use itom_alert::life::OperatorAction;
use itom_alert::notify::Notifier;
use itom_alert::outbox::{Intent, Receiver, Send, SendFailure};
use itom_alert::rule::{Ports, Rule};
use itom_alert::{AlertConfig, AlertEngine, AlertInput, AlertOutput, AlertView, Explanation, Record};
use itom_core::{AlertId, Classify as _, Clock, Deadline, ErrorChain, Evaluator, Retry, Text, Timestamp};
use tracing::{debug, error, info, warn};

use super::event::EngineEvent;
use super::run::Loop;
use super::shared::backoff;
use super::wake::Delivered;
use super::{BuildError, RunError};
use crate::JournalError;

/// The alert engine and what it wants done that is not done yet.
pub(super) struct Alerting {
    engine: AlertEngine,
    /// Records and attempts, in order: a record is durable before a later attempt starts.
    todo: VecDeque<AlertOutput>,
    /// How many records at the front of `todo` the journal is writing just now.
    writing: usize,
    /// Outputs that need no record, in order.
    news: VecDeque<AlertOutput>,
    /// The records of notices that are still to be told.
    undelivered: BTreeSet<Text>,
    stuck: Option<Stuck>,
    shown: Arc<[AlertView]>,
    attempt_timeout: Duration,
}

/// The journal refuses.
struct Stuck {
    /// How often in a row, from 0.
    attempt: u32,
    retry_at: Timestamp,
    error: JournalError,
}

/// How long the first pause is after the journal refused.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);
/// After so many refusals in a row (1 + 2 + 4 + 8 + 16 s) notices no longer wait for their records.
const SILENT_ATTEMPTS: u32 = 5;

impl Alerting {
    pub(super) fn new(
        now: Timestamp,
        rules: &[Rule],
        receivers: Vec<Receiver>,
        evaluator: Option<&dyn Evaluator>,
    ) -> Result<Self, BuildError> {
        let mut config = AlertConfig::default();
        config.outbox.receivers = receivers;
        let attempt_timeout = config.outbox.attempt_timeout;
        let mut engine = AlertEngine::new(config);
        let mut names = BTreeSet::new();
        for rule in rules {
            if !names.insert(rule.name().clone()) {
                return Err(BuildError::DuplicateRule { name: rule.name().clone() });
            }
            engine.handle(now, AlertInput::Rule(rule.compile(evaluator)?));
        }
        Ok(Self {
            engine,
            todo: VecDeque::new(),
            writing: 0,
            news: VecDeque::new(),
            undelivered: BTreeSet::new(),
            stuck: None,
            shown: Arc::from([]),
            attempt_timeout,
        })
    }

    /// Takes back what the journal kept.
    pub(super) fn restore(&mut self, now: Timestamp, kept: BTreeMap<String, String>) {
        let records: Vec<Record> =
            kept.into_iter().map(|(key, body)| Record { key: key.into(), body: Some(body.into()) }).collect();
        for record in &records {
            self.note(record);
        }
        if !records.is_empty() {
            info!(records = records.len(), "alerts and notices restored");
        }
        self.engine.handle(now, AlertInput::Restore(records));
    }

    pub(super) fn alerts(&self) -> Arc<[AlertView]> {
        Arc::clone(&self.shown)
    }

    pub(super) fn poll_deadline(&self) -> Option<Deadline> {
        let stuck = self.stuck.as_ref().filter(|_| self.writing == 0);
        let retry = stuck.map(|stuck| Deadline::new(stuck.retry_at, "the journal is tried again"));
        Deadline::earliest(self.engine.poll_deadline(), retry)
    }

    /// How many notices are still to be told.
    pub(super) fn undelivered(&self) -> usize {
        self.undelivered.len()
    }

    /// Whether everything it wants remembered is, and every attempt was started.
    pub(super) fn is_quiet(&self) -> bool {
        self.todo.is_empty()
    }

    /// What the journal did not take.
    pub(super) fn unremembered(&mut self) -> Option<RunError> {
        let records = self.todo.iter().filter(|output| matches!(output, AlertOutput::Persist(_))).count();
        let source = self.stuck.take().map(|stuck| stuck.error);
        (records > 0).then_some(RunError::Unremembered { records, source })
    }

    /// Asks a journal that refused again at this time, if that is sooner.
    pub(super) fn retry_at(&mut self, at: Timestamp) {
        if let Some(stuck) = &mut self.stuck {
            stuck.retry_at = at.min(stuck.retry_at);
        }
    }

    /// The clock was set back.
    pub(super) fn step_back(&mut self, by: Duration) {
        if let Some(stuck) = &mut self.stuck {
            stuck.retry_at = stuck.retry_at - by;
        }
    }

    /// Follows which notices are still to be told: a record is kept on for the close of what was told.
    fn note(&mut self, record: &Record) {
        if !record.key.starts_with("notice/") {
            return;
        }
        let intent = record.body.as_ref().and_then(|body| serde_json::from_str::<Intent>(body).ok());
        if intent.is_some_and(|intent| !intent.queue.is_empty()) {
            self.undelivered.insert(record.key.clone());
        } else {
            self.undelivered.remove(&record.key);
        }
    }

    /// Puts an output where it waits to be carried out.
    fn sort_in(&mut self, output: AlertOutput) {
        match &output {
            AlertOutput::Persist(record) => self.note(&record.clone()),
            AlertOutput::Send(_) => {}
            _ => return self.news.push_back(output),
        }
        // While the journal refuses, the latest word takes the place of the earlier: what waits stays bounded by what
        // there is, and a notice is not attempted for every attempt that was missed.
        if self.stuck.is_some()
            && let Some(known) = self.todo.iter_mut().skip(self.writing).find(|known| is_same(known, &output))
        {
            *known = output;
            return;
        }
        self.todo.push_back(output);
    }

    /// Whether there was such an open alert.
    pub(super) fn acknowledge(&mut self, now: Timestamp, alert: AlertId, by: Text) -> bool {
        if !self.engine.alert(alert).is_some_and(itom_alert::life::Alert::is_open) {
            return false;
        }
        let action = OperatorAction::Acknowledge;
        self.engine.handle(now, AlertInput::Operator { alert, by, action });
        true
    }

    /// Takes in what is judged elsewhere.
    #[cfg(feature = "prometheus")]
    pub(super) fn external(&mut self, now: Timestamp, input: AlertInput) {
        self.engine.handle(now, input);
    }

    /// Has something remembered that is not the alert engine's.
    #[cfg(feature = "prometheus")]
    pub(super) fn remember(&mut self, record: Record) {
        self.sort_in(AlertOutput::Persist(record));
    }

    pub(super) fn explain(&self, alert: AlertId) -> Option<Explanation> {
        self.engine.explain(alert)
    }

    pub(super) fn delivered(&mut self, now: Timestamp, delivered: Delivered) {
        let Delivered { key, attempt, result } = delivered;
        self.engine.handle(now, AlertInput::Sent { key, attempt, result });
    }

    fn tick(&mut self, now: Timestamp, ports: &Ports<'_>) -> Judged {
        let due = self.engine.poll_deadline().is_some_and(|deadline| deadline.at <= now);
        self.engine.tick(now, ports);
        let mut quiet = true;
        while let Some(output) = self.engine.poll_output() {
            quiet = false;
            self.sort_in(output);
        }
        if !due && quiet {
            return Judged::Same;
        }
        self.shown = self.engine.alerts().into();
        Judged::Anew
    }
}

/// Whether there may be something new to show.
enum Judged {
    Same,
    Anew,
}

/// Whether both are about the same record, or the same notice.
fn is_same(known: &AlertOutput, other: &AlertOutput) -> bool {
    match (known, other) {
        (AlertOutput::Persist(known), AlertOutput::Persist(other)) => known.key == other.key,
        (AlertOutput::Send(known), AlertOutput::Send(other)) => known.notice.key == other.notice.key,
        _ => false,
    }
}

impl Loop {
    /// Evaluates what is due and does what follows from it.
    pub(super) fn judge(&mut self, now: Timestamp) {
        #[cfg(feature = "prometheus")]
        self.judge_groups(now);
        let (view, changes) = (self.cmdb.view(), self.cmdb.feed());
        let ports = Ports::new()
            .samples(self.parts.samples.as_ref())
            .inventory(&view)
            .changes(&changes)
            .topology(&self.graph);
        if matches!(self.alerts.tick(now, &ports), Judged::Anew) {
            self.publish();
        }
        while let Some(output) = self.alerts.news.pop_front() {
            self.tell(now, output);
        }
        self.act(now);
    }

    /// Does what the alert engine wants, in order, as far as the journal allows.
    fn act(&mut self, now: Timestamp) {
        if self.once.is_some() {
            // One look only: nothing is remembered and nobody is told.
            self.alerts.todo.clear();
            self.alerts.undelivered.clear();
            return;
        }
        if self.waits.remembering.is_some()
            || self.alerts.stuck.as_ref().is_some_and(|stuck| now < stuck.retry_at)
        {
            return;
        }
        while matches!(self.alerts.todo.front(), Some(AlertOutput::Send(_))) {
            if let Some(AlertOutput::Send(send)) = self.alerts.todo.pop_front() {
                self.send(*send);
            }
        }
        let records = self.alerts.todo.iter().map_while(|output| match output {
            AlertOutput::Persist(record) => {
                Some((record.key.to_string(), record.body.as_ref().map(Text::to_string)))
            }
            _ => None,
        });
        let changes: Vec<_> = records.collect();
        if !changes.is_empty() {
            self.alerts.writing = changes.len();
            let journal = Arc::clone(&self.parts.journal);
            self.waits.remembering = Some(Box::pin(async move { journal.apply(changes).await }));
        }
    }

    /// The journal answered.
    pub(super) fn remembered(&mut self, now: Timestamp, result: Result<(), JournalError>) {
        let written = std::mem::take(&mut self.alerts.writing);
        match result {
            Ok(()) => {
                self.alerts.stuck = None;
                self.alerts.todo.drain(..written);
            }
            Err(refusal) => {
                let attempt = self.alerts.stuck.as_ref().map_or(0, |stuck| stuck.attempt.saturating_add(1));
                error!(error = %ErrorChain(&refusal), "the journal refuses; notices wait for it for half a minute");
                let retry_at = now + backoff(JOURNAL_RETRY, attempt);
                self.alerts.stuck = Some(Stuck { attempt, retry_at, error: refusal });
                if attempt >= SILENT_ATTEMPTS {
                    self.tell_unrecorded();
                }
            }
        }
    }

    /// A disk that stays full must not keep everybody from hearing of it: attempts go out without their records. A crash
    /// now could repeat them; their keys let a receiver see that.
    fn tell_unrecorded(&mut self) {
        let (attempts, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.alerts.todo)
            .into_iter()
            .partition(|output| matches!(output, AlertOutput::Send(_)));
        self.alerts.todo = rest;
        for output in attempts {
            if let AlertOutput::Send(send) = output {
                warn!(receiver = %send.receiver, notice = %send.notice.key, "told although the journal refuses");
                self.send(*send);
            }
        }
    }

    /// Carries out what needs no record.
    fn tell(&self, now: Timestamp, output: AlertOutput) {
        match output {
            AlertOutput::Transition(transition) => {
                info!(alert = %transition.alert, rule = %transition.rule, change = ?transition.change, "alert");
                let transition = Arc::new(transition);
                self.shared.events.send(&EngineEvent::Alert { at: now, transition });
            }
            AlertOutput::GaveUp { receiver, notice, reason } => {
                warn!(%receiver, notice = %notice.key, %reason, "a notice will not be told");
                self.shared.count_dropped(Text::literal("notices"), 1);
            }
            AlertOutput::Refused(reason) => debug!(%reason, "the alert engine refused"),
            // Records and attempts are handled in their order; what else it may learn to say needs nothing done.
            _ => {}
        }
    }

    fn send(&self, send: Send) {
        let notifier = self.parts.notifiers.get(&send.receiver).map(Arc::clone);
        let (clock, timeout) = (Arc::clone(&self.parts.clock), self.alerts.attempt_timeout);
        self.waits.deliveries.push(Box::pin(async move {
            let result = match notifier {
                Some(notifier) => attempt(notifier.as_ref(), clock.as_ref(), timeout, &send).await,
                // An earlier start had it; trying on for ever would help nobody.
                None => Err(failure(Retry::Never, "there is no notifier of this name any more")),
            };
            Delivered { key: send.notice.key, attempt: send.attempt, result }
        }));
    }
}

/// One attempt, no longer than it may take. A panic ends it and nothing else.
async fn attempt(
    notifier: &dyn Notifier,
    clock: &dyn Clock,
    timeout: Duration,
    send: &Send,
) -> Result<(), SendFailure> {
    let guarded = AssertUnwindSafe(notifier.notify(&send.notice)).catch_unwind();
    match select(Box::pin(guarded), clock.sleep_until(clock.now() + timeout)).await {
        Either::Left((Ok(result), _)) => result.map_err(|error| SendFailure {
            retry: error.retry(),
            reason: Text::from(ErrorChain(&error).to_string()),
        }),
        // Tried again all the same: a defect in a notifier must not lose the notice.
        Either::Left((Err(_), _)) => {
            Err(failure(Retry::Backoff, "the notifier panicked; this is a defect in it"))
        }
        Either::Right(_) => Err(failure(Retry::Backoff, "no answer in time; it may have arrived")),
    }
}

const fn failure(retry: Retry, reason: &'static str) -> SendFailure {
    SendFailure { retry, reason: Text::literal(reason) }
}
