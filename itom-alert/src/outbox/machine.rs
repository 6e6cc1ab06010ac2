//! The machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use itom_core::{Deadline, Machine, Retry, StableHasher, Text, Timestamp};
use serde::Serialize;

use super::{Intent, Receiver};
use crate::notify::{Notice, NoticeKind};

/// How the outbox behaves.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutboxConfig {
    /// Who is told.
    pub receivers: Vec<Receiver>,
    /// The pause after the first failure; it doubles with each.
    pub backoff: Duration,
    /// The longest pause; also bounds what a receiver may ask for.
    pub max_backoff: Duration,
    /// An open or update older than this is no longer worth telling. A close always is.
    pub expire_after: Duration,
    /// How many attempts at one receiver may run at once.
    pub concurrency: usize,
    /// An attempt whose result is not reported by then counts as failed.
    pub attempt_timeout: Duration,
    /// How many sequences are held; beyond it opens are dropped and counted.
    pub max_intents: usize,
}

impl Default for OutboxConfig {
    /// No receivers; 5 s to 15 min between attempts, expiry after 1 d, 8 at once, 2 min an attempt, 50,000 sequences.
    fn default() -> Self {
        Self {
            receivers: Vec::new(),
            backoff: Duration::from_secs(5),
            max_backoff: Duration::from_secs(900),
            expire_after: Duration::from_secs(86_400),
            concurrency: 8,
            attempt_timeout: Duration::from_secs(120),
            max_intents: 50_000,
        }
    }
}

/// Why an attempt failed, as far as the outbox needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// Whether and when to try again.
    pub retry: Retry,
    /// In words.
    pub reason: Text,
}

/// One attempt to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// Whom to tell.
    pub receiver: Text,
    /// What; its key identifies it.
    pub notice: Notice,
    /// Which attempt it is, from 1. To be given back with the result.
    pub attempt: u32,
}

/// What the outbox is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OutboxInput {
    /// Tell everybody who wants to know.
    Enqueue(Box<Notice>),
    /// An attempt ended.
    Sent {
        /// The notice's key.
        key: Text,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        result: Result<(), SendFailure>,
    },
    /// The records as they were stored.
    Restore(Vec<Intent>),
}

/// What the outbox wants done, in this order: a record must be durable before what follows it is done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum OutboxOutput {
    /// Store this record under its key.
    Persist(Box<Intent>),
    /// Remove the record with this key.
    Forget(Text),
    /// Make an attempt and report how it ended.
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
}

/// What happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct OutboxCounts {
    /// Notices told.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Updates that a later one made unnecessary.
    pub coalesced: u64,
    /// Notices refused for good or expired.
    pub given_up: u64,
    /// Opens that found no room.
    pub dropped: u64,
}

#[derive(Debug, Clone)]
struct Flight {
    attempt: u32,
    gives_up_at: Timestamp,
}

/// Tells receivers, in order, once, whatever crashes. See the [module](super).
#[derive(Debug, Clone)]
pub struct Outbox {
    config: OutboxConfig,
    intents: BTreeMap<Text, Intent>,
    flights: BTreeMap<Text, Flight>,
    /// For each receiver what could be sent: when, and the key of the record.
    ready: BTreeMap<Text, BTreeSet<(Timestamp, Text)>>,
    busy: BTreeMap<Text, usize>,
    counts: OutboxCounts,
    outputs: VecDeque<OutboxOutput>,
}

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub fn new(config: OutboxConfig) -> Self {
        Self {
            config,
            intents: BTreeMap::new(),
            flights: BTreeMap::new(),
            ready: BTreeMap::new(),
            busy: BTreeMap::new(),
            counts: OutboxCounts::default(),
            outputs: VecDeque::new(),
        }
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> OutboxCounts {
        self.counts
    }

    /// The sequences that are not finished, by key.
    pub fn intents(&self) -> impl Iterator<Item = &Intent> {
        self.intents.values()
    }

    /// Who is told.
    #[must_use]
    pub fn receivers(&self) -> &[Receiver] {
        &self.config.receivers
    }

    fn persist(&mut self, key: &Text) {
        if let Some(intent) = self.intents.get(key) {
            self.outputs.push_back(OutboxOutput::Persist(Box::new(intent.clone())));
        }
    }

    fn forget(&mut self, key: &Text) {
        self.unready(key);
        self.intents.remove(key);
        self.outputs.push_back(OutboxOutput::Forget(key.clone()));
    }

    fn unready(&mut self, key: &Text) {
        if let Some(intent) = self.intents.get(key)
            && let Some(ready) = self.ready.get_mut(&intent.receiver)
        {
            ready.remove(&(intent.not_before, key.clone()));
        }
    }

    fn make_ready(&mut self, key: &Text) {
        if let Some(intent) = self.intents.get(key)
            && !intent.queue.is_empty()
            && !self.flights.contains_key(key)
        {
            self.ready.entry(intent.receiver.clone()).or_default().insert((intent.not_before, key.clone()));
        }
    }

    fn give_up(&mut self, receiver: Text, notice: Notice, reason: impl Into<Text>) {
        self.counts.given_up += 1;
        let (notice, reason) = (Box::new(notice), reason.into());
        self.outputs.push_back(OutboxOutput::GaveUp { receiver, notice, reason });
    }

    fn enqueue(&mut self, now: Timestamp, notice: &Notice) {
        let receivers: Vec<(Text, bool)> = self
            .config
            .receivers
            .iter()
            .map(|receiver| (receiver.name().clone(), receiver.wants(notice)))
            .collect();
        for (receiver, wants) in receivers {
            let key = Intent::key_of(&receiver, &notice.episode);
            if self.intents.contains_key(&key) {
                self.append(&key, notice);
            } else if wants && notice.kind != NoticeKind::Close {
                self.begin(now, &key, receiver, notice);
            }
        }
    }

    fn begin(&mut self, now: Timestamp, key: &Text, receiver: Text, notice: &Notice) {
        let mut open = notice.clone();
        open.kind = NoticeKind::Open;
        if self.intents.len() >= self.config.max_intents {
            self.counts.dropped += 1;
            let reason = "there is no room: too much is waiting to be told";
            let (notice, reason) = (Box::new(open), reason.into());
            self.outputs.push_back(OutboxOutput::GaveUp { receiver, notice, reason });
            return;
        }
        let mut intent = Intent {
            key: key.clone(),
            receiver,
            episode: notice.episode.clone(),
            queue: VecDeque::new(),
            last: open.clone(),
            numbered: 0,
            attempted: false,
            refused: false,
            failures: 0,
            not_before: now,
        };
        let open = intent.number(open);
        intent.queue.push_back(open);
        self.intents.insert(key.clone(), intent);
        self.persist(key);
        self.make_ready(key);
    }

    fn append(&mut self, key: &Text, notice: &Notice) {
        let Some(intent) = self.intents.get_mut(key) else { return };
        if intent.closing() || notice.kind == NoticeKind::Open {
            // A second open is how the alerts make sure that there is one; a second close does nothing.
            return;
        }
        if intent.refused {
            if notice.kind == NoticeKind::Close {
                self.forget(key);
            }
            return;
        }
        intent.last = notice.clone();
        // The first of the queue must stay as it is once it was attempted: it may have arrived.
        let fixed = usize::from(intent.attempted).min(intent.queue.len());
        let unsent_open =
            fixed == 0 && intent.queue.front().is_some_and(|first| first.kind == NoticeKind::Open);
        if unsent_open && notice.kind == NoticeKind::Update {
            if let Some(first) = intent.queue.front_mut() {
                let (key, at) = (first.key.clone(), first.at);
                *first = Notice { key, at, kind: NoticeKind::Open, ..notice.clone() };
            }
            self.counts.coalesced += 1;
        } else {
            let keep = fixed.max(usize::from(unsent_open));
            self.counts.coalesced += intent.queue.len().saturating_sub(keep) as u64;
            intent.queue.truncate(keep);
            let numbered = intent.number(notice.clone());
            intent.queue.push_back(numbered);
        }
        self.persist(key);
        self.make_ready(key);
    }

    fn sent(&mut self, now: Timestamp, notice_key: &Text, attempt: u32, result: Result<(), SendFailure>) {
        // `receiver|episode#number`
        let Some((key, _)) = notice_key.rsplit_once('#') else { return };
        let key = Text::from(key);
        if self.flights.get(&key).is_none_or(|flight| flight.attempt != attempt) {
            return;
        }
        let Some(intent) = self.intents.get(&key) else { return };
        if intent.queue.front().is_none_or(|first| first.key != *notice_key) {
            return;
        }
        self.landed(&key);
        match result {
            Ok(()) => {
                self.counts.sent += 1;
                self.done(now, &key);
            }
            Err(failure) => self.failed(now, &key, &failure),
        }
    }

    fn landed(&mut self, key: &Text) {
        if self.flights.remove(key).is_some()
            && let Some(intent) = self.intents.get(key)
            && let Some(busy) = self.busy.get_mut(&intent.receiver)
        {
            *busy = busy.saturating_sub(1);
        }
    }

    /// The first of the queue is done with.
    fn done(&mut self, now: Timestamp, key: &Text) {
        let Some(intent) = self.intents.get_mut(key) else { return };
        let first = intent.queue.pop_front();
        (intent.attempted, intent.failures, intent.not_before) = (false, 0, now);
        if first.is_some_and(|first| first.kind == NoticeKind::Close) || (intent.refused && intent.closing())
        {
            self.forget(key);
        } else {
            self.persist(key);
            self.make_ready(key);
        }
    }

    fn failed(&mut self, now: Timestamp, key: &Text, failure: &SendFailure) {
        self.counts.failed += 1;
        let Some(intent) = self.intents.get_mut(key) else { return };
        let Some(first) = intent.queue.front().cloned() else { return };
        intent.failures = intent.failures.saturating_add(1);
        let expired = first.kind != NoticeKind::Close && now.since(first.at) >= self.config.expire_after;
        if failure.retry == Retry::Never || expired {
            // An expired open was attempted and may have arrived: its close is still told.
            intent.refused = first.kind == NoticeKind::Open && failure.retry == Retry::Never;
            let receiver = intent.receiver.clone();
            self.give_up(receiver, first, failure.reason.clone());
            self.done(now, key);
            return;
        }
        let pause = match failure.retry {
            Retry::After(span) => span.min(self.config.max_backoff),
            Retry::Backoff | Retry::Never => backoff(&self.config, &first.key, intent.failures),
        };
        intent.not_before = now + pause;
        self.persist(key);
        self.make_ready(key);
    }

    /// Starts what can be started.
    fn pump(&mut self, now: Timestamp) {
        let receivers: Vec<Text> = self.ready.keys().cloned().collect();
        for receiver in receivers {
            loop {
                if self.busy.get(&receiver).copied().unwrap_or(0) >= self.config.concurrency.max(1) {
                    break;
                }
                let Some(ready) = self.ready.get_mut(&receiver) else { break };
                let Some((at, key)) = ready.first().cloned() else {
                    self.ready.remove(&receiver);
                    break;
                };
                // A clock that was set back must not keep anybody waiting longer than the longest pause.
                if at > now && at.since(now) <= self.config.max_backoff {
                    break;
                }
                ready.remove(&(at, key.clone()));
                self.start(now, &key);
            }
        }
    }

    fn start(&mut self, now: Timestamp, key: &Text) {
        let Some(intent) = self.intents.get_mut(key) else { return };
        let Some(notice) = intent.queue.front().cloned() else { return };
        let attempt = intent.failures.saturating_add(1);
        let receiver = intent.receiver.clone();
        if !intent.attempted {
            intent.attempted = true;
            // That it may have arrived must be known after a crash: written down before the attempt.
            self.persist(key);
        }
        *self.busy.entry(receiver.clone()).or_default() += 1;
        let gives_up_at = now + self.config.attempt_timeout;
        self.flights.insert(key.clone(), Flight { attempt, gives_up_at });
        self.outputs.push_back(OutboxOutput::Send(Box::new(Send { receiver, notice, attempt })));
    }

    fn restore(&mut self, intents: Vec<Intent>) {
        for intent in intents {
            if !self.intents.contains_key(&intent.key) {
                let key = intent.key.clone();
                self.intents.insert(key.clone(), intent);
                self.make_ready(&key);
            }
        }
    }
}

/// Doubles with each failure; a hash of key and failure takes up to half of it away, so that many do not come at once.
fn backoff(config: &OutboxConfig, key: &str, failures: u32) -> Duration {
    let doubled = config.backoff.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let span = doubled.min(config.max_backoff);
    let mut hasher = StableHasher::new();
    hasher.text(key);
    hasher.int(i64::from(failures));
    let part = (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64;
    span.mul_f64(1.0 - part / 2.0)
}

impl Machine for Outbox {
    type Input = OutboxInput;
    type Output = OutboxOutput;

    fn handle(&mut self, now: Timestamp, input: OutboxInput) {
        match input {
            OutboxInput::Enqueue(notice) => self.enqueue(now, &notice),
            OutboxInput::Sent { key, attempt, result } => self.sent(now, &key, attempt, result),
            OutboxInput::Restore(intents) => self.restore(intents),
        }
        self.pump(now);
    }

    fn handle_deadline(&mut self, now: Timestamp) {
        let late: Vec<Text> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.gives_up_at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in late {
            self.landed(&key);
            let reason = "no result was reported in time".into();
            self.failed(now, &key, &SendFailure { retry: Retry::Backoff, reason });
        }
        self.pump(now);
    }

    fn poll_deadline(&self) -> Option<Deadline> {
        let attempts = self.flights.values().map(|flight| flight.gives_up_at).min();
        let ready = self
            .ready
            .iter()
            .filter(|(receiver, _)| {
                self.busy.get(*receiver).copied().unwrap_or(0) < self.config.concurrency.max(1)
            })
            .filter_map(|(_, ready)| ready.first().map(|(at, _)| *at))
            .min();
        Deadline::earliest(
            ready.map(|at| Deadline::new(at, "try again")),
            attempts.map(|at| Deadline::new(at, "an attempt takes too long")),
        )
    }

    fn poll_output(&mut self) -> Option<OutboxOutput> {
        self.outputs.pop_front()
    }
}
