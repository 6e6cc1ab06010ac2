//! The alert engine in the loop: what it may see, what it wants remembered, whom it tells.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use itom_alert::life::OperatorAction;
use itom_alert::notify::Notifier;
use itom_alert::outbox::{Receiver, Send, SendFailure};
use itom_alert::rule::{Ports, Rule};
use itom_alert::{AlertConfig, AlertEngine, AlertInput, AlertOutput, AlertView, Explanation, Record};
use itom_core::{AlertId, Classify as _, Deadline, ErrorChain, Evaluator, Text, Timestamp};
use tracing::{debug, error, info, warn};

use super::BuildError;
use super::event::EngineEvent;
use super::run::Loop;
use super::shared::backoff;
use super::wake::Delivered;

/// The alert engine and what it wants done that is not done yet.
pub(super) struct Alerting {
    engine: AlertEngine,
    /// In order: a record is durable before a later attempt starts.
    todo: VecDeque<AlertOutput>,
    /// The records of notices that are still to be told.
    open_notices: BTreeSet<Text>,
    /// How often the journal has refused in a row, and when it is asked again.
    stuck: Option<(u32, Timestamp)>,
    shown: Arc<[AlertView]>,
}

/// How long the first pause is after the journal refused.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

impl Alerting {
    pub(super) fn new(
        now: Timestamp,
        rules: &[Rule],
        receivers: Vec<Receiver>,
        evaluator: Option<&dyn Evaluator>,
    ) -> Result<Self, BuildError> {
        let mut config = AlertConfig::default();
        config.outbox.receivers = receivers;
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
            open_notices: BTreeSet::new(),
            stuck: None,
            shown: Arc::from([]),
        })
    }

    /// Takes back what the journal kept.
    pub(super) fn restore(&mut self, now: Timestamp, kept: BTreeMap<String, String>) {
        let records: Vec<Record> =
            kept.into_iter().map(|(key, body)| Record { key: key.into(), body: Some(body.into()) }).collect();
        self.open_notices =
            records.iter().filter(|record| is_notice(&record.key)).map(|record| record.key.clone()).collect();
        if !records.is_empty() {
            info!(records = records.len(), "alerts and notices restored");
        }
        self.engine.handle(now, AlertInput::Restore(records));
    }

    pub(super) fn alerts(&self) -> Arc<[AlertView]> {
        Arc::clone(&self.shown)
    }

    pub(super) fn poll_deadline(&self) -> Option<Deadline> {
        let retry = self.stuck.map(|(_, at)| Deadline::new(at, "the journal is tried again"));
        Deadline::earliest(self.engine.poll_deadline(), retry)
    }

    /// How many notices are still to be told.
    pub(super) fn undelivered(&self) -> usize {
        self.open_notices.len()
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
        let before = self.todo.len();
        while let Some(output) = self.engine.poll_output() {
            self.todo.push_back(output);
        }
        if !due && self.todo.len() == before {
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

fn is_notice(key: &str) -> bool {
    key.starts_with("notice/")
}

impl Loop {
    /// Evaluates what is due and does what follows from it.
    pub(super) async fn judge(&mut self, now: Timestamp) {
        let (view, changes) = (self.cmdb.view(), self.cmdb.feed());
        let ports = Ports::new()
            .samples(self.parts.samples.as_ref())
            .inventory(&view)
            .changes(&changes)
            .topology(&self.graph);
        if matches!(self.alerts.tick(now, &ports), Judged::Anew) {
            self.publish();
        }
        self.act(now).await;
    }

    /// Does what the alert engine wants, in order, as far as the journal allows.
    async fn act(&mut self, now: Timestamp) {
        if self.alerts.stuck.is_some_and(|(_, at)| now < at) {
            return;
        }
        while !self.alerts.todo.is_empty() {
            let records = self.leading_records();
            if !records.is_empty() && !self.remember(now, &records).await {
                return;
            }
            self.alerts.todo.drain(..records.len());
            while let Some(output) = self.alerts.todo.front() {
                if matches!(output, AlertOutput::Persist(_)) {
                    break;
                }
                if let Some(output) = self.alerts.todo.pop_front() {
                    self.carry_out(now, output);
                }
            }
        }
    }

    fn leading_records(&self) -> Vec<Record> {
        self.alerts
            .todo
            .iter()
            .map_while(|output| match output {
                AlertOutput::Persist(record) => Some(record.clone()),
                _ => None,
            })
            .collect()
    }

    /// Makes records durable; whether that worked.
    async fn remember(&mut self, now: Timestamp, records: &[Record]) -> bool {
        for record in records.iter().filter(|record| is_notice(&record.key)) {
            if record.body.is_some() {
                self.alerts.open_notices.insert(record.key.clone());
            } else {
                self.alerts.open_notices.remove(&record.key);
            }
        }
        if self.is_once() {
            return true;
        }
        let changes = records
            .iter()
            .map(|record| (record.key.to_string(), record.body.as_ref().map(ToString::to_string)))
            .collect();
        match self.parts.journal.apply(changes).await {
            Ok(()) => {
                self.alerts.stuck = None;
                true
            }
            Err(refusal) => {
                let attempt = self.alerts.stuck.map_or(0, |(attempt, _)| attempt + 1);
                error!(error = %ErrorChain(&refusal), "the journal refuses; nobody is told until it accepts");
                self.alerts.stuck = Some((attempt, now + backoff(JOURNAL_RETRY, attempt)));
                false
            }
        }
    }

    fn carry_out(&mut self, now: Timestamp, output: AlertOutput) {
        match output {
            AlertOutput::Transition(transition) => {
                info!(alert = %transition.alert, rule = %transition.rule, change = ?transition.change, "alert");
                let transition = Arc::new(transition);
                self.shared.events.send(&EngineEvent::Alert { at: now, transition });
            }
            AlertOutput::Send(send) => self.send(*send),
            AlertOutput::GaveUp { receiver, notice, reason } => {
                warn!(%receiver, notice = %notice.key, %reason, "a notice will not be told");
                self.shared.count_dropped(Text::literal("notices"), 1);
            }
            AlertOutput::Refused(reason) => debug!(%reason, "the alert engine refused"),
            // Records are handled before; what else it may learn to say needs nothing done.
            _ => {}
        }
    }

    fn send(&mut self, send: Send) {
        if self.is_once() {
            return;
        }
        let Some(notifier) = self.parts.notifiers.get(&send.receiver) else { return };
        let notifier: Arc<dyn Notifier> = Arc::clone(notifier);
        self.waits.deliveries.push(Box::pin(async move {
            let result = notifier.notify(&send.notice).await.map_err(|error| SendFailure {
                retry: error.retry(),
                reason: Text::from(ErrorChain(&error).to_string()),
            });
            Delivered { key: send.notice.key, attempt: send.attempt, result }
        }));
    }
}
