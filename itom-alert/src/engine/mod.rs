//! Everything together: rules, life, suppression and outbox behind one facade for an engine's loop.

mod rules;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use itom_core::{AlertId, CiId, Deadline, Machine, Text, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::explain::{Explanation, Names, explain};
use crate::life::{Alert, AlertMachine, LifeConfig, LifeInput, LifeOutput, OperatorAction, Transition};
use crate::notify::{Notice, NoticeKind};
use crate::outbox::{
    Intent, Outbox, OutboxConfig, OutboxCounts, OutboxInput, OutboxOutput, Send, SendFailure,
};
use crate::rule::{CompiledRule, Outcome, Ports};
use crate::suppress::{Cause, Sight, Silence, Window};

pub use rules::{Evaluated, RuleEngine};
pub use view::AlertView;

/// What is to be remembered across restarts: a body in JSON under a key, or nothing under it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `alert/…`, `notice/…`, `silence/…` or `window/…`.
    pub key: Text,
    /// What to store; `None` to remove.
    pub body: Option<Text>,
}

/// What the alert engine is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AlertInput {
    /// A rule is added, or replaced if its name is known.
    Rule(CompiledRule),
    /// All rules that are evaluated elsewhere, before the first tick: what is restored of others is over.
    Elsewhere(BTreeSet<Text>),
    /// Outcomes of a rule that is evaluated elsewhere. An instance that was there before and is not among them has no
    /// data.
    Outcomes {
        /// The rule.
        rule: CompiledRule,
        /// Every outcome.
        outcomes: Vec<Outcome>,
    },
    /// A rule is taken away; its alerts end.
    RemoveRule(Text),
    /// An operator did something.
    Operator {
        /// To which alert.
        alert: AlertId,
        /// Who.
        by: Text,
        /// What.
        action: OperatorAction,
    },
    /// A silence is added or replaced.
    Silence(Silence),
    /// A silence is taken away.
    Unsilence(Text),
    /// A maintenance window is added or replaced.
    Window(Window),
    /// A maintenance window is taken away.
    EndWindow(Text),
    /// An attempt ended.
    Sent {
        /// The notice's key.
        key: Text,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        result: Result<(), SendFailure>,
    },
    /// The records as they were stored: once, before the first tick, after the rules were added.
    Restore(Vec<Record>),
}

/// What the alert engine wants done. Do it in order: a record must be durable before a later [`Send`](Self::Send) is
/// started.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AlertOutput {
    /// Something happened to an alert.
    Transition(Transition),
    /// Store (or remove) a record.
    Persist(Record),
    /// Make an attempt and report it with [`AlertInput::Sent`].
    Send(Box<Send>),
    /// A notice will not be told.
    GaveUp {
        /// Whom it was for.
        receiver: Text,
        /// The notice.
        notice: Box<Notice>,
        /// Why.
        reason: Text,
    },
    /// An input was refused, with the reason.
    Refused(Text),
}

/// How the alert engine behaves.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct AlertConfig {
    /// The life of alerts, inhibit rules included.
    pub life: LifeConfig,
    /// Receivers and how they are told.
    pub outbox: OutboxConfig,
}

/// Rules, alerts, suppression and outbox.
///
/// A driver calls [`tick`](Self::tick) whenever [`poll_deadline`](Self::poll_deadline) has come,
/// [`handle`](Self::handle) for inputs, and does what [`poll_output`](Self::poll_output) says after each.
///
/// ```
/// use itom_alert::{AlertConfig, AlertEngine, AlertInput, rule};
/// use itom_core::Timestamp;
///
/// let mut engine = AlertEngine::new(AlertConfig::default());
/// for rule in rule::default_rules() {
///     engine.handle(Timestamp::EPOCH, AlertInput::Rule(rule.compile(None)?));
/// }
/// engine.tick(Timestamp::EPOCH, &rule::Ports::new());
/// while let Some(output) = engine.poll_output() {
///     // store records, make attempts, show transitions
///     # let _ = output;
/// }
/// # Ok::<(), rule::RuleError>(())
/// ```
#[derive(Debug, Clone)]
pub struct AlertEngine {
    rules: RuleEngine,
    life: AlertMachine,
    outbox: Outbox,
    sight: Sight,
    names: Names,
    /// The rules that are evaluated elsewhere.
    elsewhere: BTreeSet<Text>,
    /// Restored alerts still have to be compared with what was told.
    reconcile: bool,
    outputs: VecDeque<AlertOutput>,
}

fn record<T: Serialize>(kind: &str, key: &str, value: &T) -> AlertOutput {
    let body = match serde_json::to_string(value) {
        Ok(text) => text,
        // Plain data with text keys always has a JSON form.
        Err(error) => {
            return AlertOutput::Refused(format!("record {kind}/{key} cannot be written: {error}").into());
        }
    };
    AlertOutput::Persist(Record { key: format!("{kind}/{key}").into(), body: Some(body.into()) })
}

fn removal(kind: &str, key: &str) -> AlertOutput {
    AlertOutput::Persist(Record { key: format!("{kind}/{key}").into(), body: None })
}

impl AlertEngine {
    /// An engine without rules.
    #[must_use]
    pub fn new(config: AlertConfig) -> Self {
        Self {
            rules: RuleEngine::new(),
            life: AlertMachine::new(config.life),
            outbox: Outbox::new(config.outbox),
            sight: Sight::default(),
            names: Names::new(),
            elsewhere: BTreeSet::new(),
            reconcile: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input. Nothing opens here: that needs a look at the topology, at the next [`tick`](Self::tick).
    pub fn handle(&mut self, now: Timestamp, input: AlertInput) {
        match input {
            AlertInput::Rule(rule) => self.rules.add(rule),
            AlertInput::Elsewhere(rules) => {
                self.elsewhere = rules;
                return;
            }
            AlertInput::Outcomes { rule, outcomes } => {
                // The next tick looks at the topology and decides who is told.
                return self.life(now, LifeInput::Outcomes { rule, outcomes });
            }
            AlertInput::RemoveRule(name) => {
                self.rules.remove(&name);
                self.life(now, LifeInput::RuleRemoved(name));
            }
            AlertInput::Operator { alert, by, action } => {
                self.life(now, LifeInput::Operator { alert, by, action });
            }
            AlertInput::Silence(silence) => {
                self.outputs.push_back(record("silence", silence.id(), &silence));
                self.life(now, LifeInput::Silence(silence));
            }
            AlertInput::Unsilence(id) => {
                self.outputs.push_back(removal("silence", &id));
                self.life(now, LifeInput::Unsilence(id));
            }
            AlertInput::Window(window) => {
                self.outputs.push_back(record("window", &window.id, &window));
                self.life(now, LifeInput::Window(window));
            }
            AlertInput::EndWindow(id) => {
                self.outputs.push_back(removal("window", &id));
                self.life(now, LifeInput::EndWindow(id));
            }
            AlertInput::Sent { key, attempt, result } => {
                self.outbox(now, OutboxInput::Sent { key, attempt, result });
                return;
            }
            AlertInput::Restore(records) => {
                self.restore(now, records);
                return;
            }
        }
        // What was seen last serves until the next tick.
        self.life(now, LifeInput::Look(self.sight.clone()));
    }

    /// Evaluates the rules that are due, lets deadlines pass, looks at the topology and decides who is told.
    pub fn tick(&mut self, now: Timestamp, ports: &Ports<'_>) {
        if std::mem::take(&mut self.reconcile) {
            self.reconcile(now);
        }
        for evaluated in self.rules.evaluate_due(now, ports, &self.life) {
            let Evaluated { rule, outcomes } = evaluated;
            self.life(now, LifeInput::Outcomes { rule, outcomes });
        }
        // Timers first, then the look: what a timer opens is hidden by what is seen now.
        self.life.ring_due(now);
        self.drain_life(now);
        if self.life.wants_look(now) {
            self.sight = match ports.topology {
                Some(topology) => {
                    let facts = self.life.facts();
                    Sight::read(topology, &facts, self.life.windows())
                }
                None => Sight::default(),
            };
            self.life(now, LifeInput::Look(self.sight.clone()));
            self.learn_names(ports);
        }
        self.outbox.handle_deadline(now);
        self.drain_outbox();
    }

    /// When [`tick`](Self::tick) is to be called next. A rule that was never evaluated is due at `Timestamp::MIN`.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Deadline> {
        let first = Deadline::earliest(self.rules.poll_deadline(), self.life.poll_deadline());
        Deadline::earliest(first, self.outbox.poll_deadline())
    }

    /// The next thing to do, oldest cause first.
    pub fn poll_output(&mut self) -> Option<AlertOutput> {
        self.outputs.pop_front()
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &RuleEngine {
        &self.rules
    }

    /// The alerts with everything about them: open and pending ones, and others that have trouble. Worst first, then
    /// eldest, then by id.
    #[must_use]
    pub fn alerts(&self) -> Vec<AlertView> {
        let mut views: Vec<AlertView> = self
            .life
            .alerts()
            .filter(|alert| alert.condition != crate::life::ConditionState::Normal || alert.flapping)
            .map(|alert| AlertView::new(alert, &self.names, |id| self.summary_of(id)))
            .collect();
        views.sort_by(|a, b| {
            let (a, b) = (&a.alert, &b.alert);
            (b.is_open(), b.severity, a.since, a.id).cmp(&(a.is_open(), a.severity, b.since, b.id))
        });
        views
    }

    /// One alert, also when it is normal.
    #[must_use]
    pub fn alert(&self, id: AlertId) -> Option<&Alert> {
        self.life.alert(id)
    }

    /// The silences in force or to come.
    #[must_use]
    pub fn silences(&self) -> &[Silence] {
        self.life.silences()
    }

    /// The windows in force or to come.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        self.life.windows()
    }

    /// What the outbox did.
    #[must_use]
    pub const fn counts(&self) -> OutboxCounts {
        self.outbox.counts()
    }

    /// Why an alert is as it is.
    #[must_use]
    pub fn explain(&self, id: AlertId) -> Option<Explanation> {
        Some(explain(self.life.alert(id)?, &self.names, &self.outbox, |id| self.summary_of(id)))
    }

    fn summary_of(&self, id: AlertId) -> Option<Text> {
        self.life.alert(id).map(|alert| alert.summary.clone())
    }

    fn life(&mut self, now: Timestamp, input: LifeInput) {
        self.life.handle(now, input);
        self.drain_life(now);
    }

    fn outbox(&mut self, now: Timestamp, input: OutboxInput) {
        self.outbox.handle(now, input);
        self.drain_outbox();
    }

    fn drain_life(&mut self, now: Timestamp) {
        while let Some(output) = self.life.poll_output() {
            match output {
                LifeOutput::Transition(transition) => {
                    self.outputs.push_back(AlertOutput::Transition(transition));
                }
                LifeOutput::Store(alert) => {
                    self.outputs.push_back(record("alert", &alert.id.to_string(), &alert));
                }
                LifeOutput::Forget(id) => self.outputs.push_back(removal("alert", &id.to_string())),
                // The record of what is to be told comes before whatever follows from the alert.
                LifeOutput::Notice(notice) => self.outbox(now, OutboxInput::Enqueue(notice)),
                LifeOutput::Refused(refusal) => {
                    self.outputs.push_back(AlertOutput::Refused(refusal.to_string().into()));
                }
            }
        }
    }

    fn drain_outbox(&mut self) {
        while let Some(output) = self.outbox.poll_output() {
            self.outputs.push_back(match output {
                OutboxOutput::Persist(intent) => record("notice", &intent.key, &intent),
                OutboxOutput::Forget(key) => removal("notice", &key),
                OutboxOutput::Send(send) => AlertOutput::Send(send),
                OutboxOutput::GaveUp { receiver, notice, reason } => {
                    AlertOutput::GaveUp { receiver, notice, reason }
                }
            });
        }
    }

    fn learn_names(&mut self, ports: &Ports<'_>) {
        let mut wanted: BTreeSet<CiId> = BTreeSet::new();
        for alert in self.life.alerts().filter(|alert| !alert.causes.is_empty()) {
            wanted.extend(alert.causes.iter().filter_map(|cause| match cause {
                Cause::Unreachable { by } | Cause::Settling { by, .. } => Some(*by),
                _ => None,
            }));
        }
        self.names.retain(|id, _| wanted.contains(id));
        if let Some(inventory) = ports.inventory {
            for id in wanted {
                if let Some(ci) = inventory.ci(id) {
                    self.names.insert(id, ci.name);
                }
            }
        }
    }

    fn restore(&mut self, now: Timestamp, records: Vec<Record>) {
        let (mut alerts, mut intents): (Vec<Alert>, Vec<Intent>) = (Vec::new(), Vec::new());
        for Record { key, body } in records {
            let Some(body) = body else { continue };
            let read = match key.split_once('/').map(|(kind, _)| kind) {
                Some("alert") => self.read(&key, &body).map(|alert| alerts.push(alert)),
                Some("notice") => self.read(&key, &body).map(|intent| intents.push(intent)),
                Some("silence") => {
                    self.read(&key, &body).map(|silence| self.life(now, LifeInput::Silence(silence)))
                }
                Some("window") => {
                    self.read(&key, &body).map(|window| self.life(now, LifeInput::Window(window)))
                }
                _ => None,
            };
            if read.is_none() {
                self.outputs.push_back(AlertOutput::Refused(format!("record `{key}` was left out").into()));
            }
        }
        // A close that was written down is a decision: the alert it is about is over, even if its own record was not
        // removed in time.
        let over: BTreeSet<&Text> =
            intents.iter().filter(|intent| intent.closing()).map(|intent| &intent.episode).collect();
        let (ended, alive): (Vec<Alert>, Vec<Alert>) = alerts.into_iter().partition(|alert| {
            alert
                .episode
                .as_ref()
                .is_some_and(|episode| over.contains(&Notice::episode_key(alert.id, episode.opened_at)))
        });
        for alert in ended {
            self.outputs.push_back(removal("alert", &alert.id.to_string()));
        }
        self.life(now, LifeInput::Restore(alive));
        self.outbox(now, OutboxInput::Restore(intents));
        self.reconcile = true;
    }

    fn read<T: DeserializeOwned>(&mut self, key: &str, body: &str) -> Option<T> {
        match serde_json::from_str(body) {
            Ok(value) => Some(value),
            Err(error) => {
                let text = format!("record `{key}` cannot be read: {error}");
                self.outputs.push_back(AlertOutput::Refused(text.into()));
                None
            }
        }
    }

    /// After a restart: every announced alert has its open written down, every written open has its alert.
    fn reconcile(&mut self, now: Timestamp) {
        let mut open: BTreeMap<Text, Notice> = BTreeMap::new();
        let mut gone: BTreeSet<Text> = BTreeSet::new();
        for alert in self.life.alerts() {
            if !self.rules.contains(&alert.rule) && !self.elsewhere.contains(&alert.rule) {
                gone.insert(alert.rule.clone());
            } else if let Some(episode) = &alert.episode {
                let notice = Notice::of(alert, episode.opened_at, NoticeKind::Open, now);
                if episode.announced {
                    open.insert(notice.episode.clone(), notice);
                }
            }
        }
        for rule in gone {
            self.life(now, LifeInput::RuleRemoved(rule));
        }
        let orphans: Vec<Notice> = self
            .outbox
            .intents()
            .filter(|intent| !intent.closing() && !open.contains_key(&intent.episode))
            .map(|intent| {
                let mut close = intent.last.clone();
                (close.kind, close.at, close.ended_at) = (NoticeKind::Close, now, Some(now));
                close.ending = Some(crate::life::Ending::Recovered);
                close
            })
            .collect();
        for notice in open.into_values().chain(orphans) {
            self.outbox(now, OutboxInput::Enqueue(Box::new(notice)));
        }
    }
}
