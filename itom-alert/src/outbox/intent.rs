//! Receivers, and what is still to be told to them.

use std::collections::VecDeque;

use itom_core::{Matcher, Severity, Text, Timestamp};
use serde::{Deserialize, Serialize};

use crate::notify::{Notice, NoticeKind};
use crate::suppress::{Matchers, SuppressError};

/// Somebody who is told, and of what. A close is told to whoever was told the open.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    name: Text,
    min_severity: Severity,
    matchers: Matchers,
}

impl Receiver {
    /// A receiver of everything.
    #[must_use]
    pub fn new(name: impl Into<Text>) -> Self {
        Self { name: name.into(), min_severity: Severity::Info, matchers: Matchers::none() }
    }

    /// Only what is at least this bad. An alert that becomes so later is opened then.
    #[must_use]
    pub const fn min_severity(mut self, severity: Severity) -> Self {
        self.min_severity = severity;
        self
    }

    /// Only alerts whose labels fit every matcher.
    ///
    /// # Errors
    /// [`SuppressError::Matcher`] when a regular expression is wrong.
    pub fn matching(mut self, matchers: &[Matcher]) -> Result<Self, SuppressError> {
        self.matchers = Matchers::compile(&format!("receiver `{}`", self.name), matchers)?;
        Ok(self)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// Whether it wants to be told.
    #[must_use]
    pub fn wants(&self, notice: &Notice) -> bool {
        notice.severity >= self.min_severity && self.matchers.fit(&notice.labels)
    }
}

/// What is still to be told to one receiver about one episode, and what was told: the durable record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Intent {
    /// Receiver and episode; the record's key.
    pub key: Text,
    /// The receiver.
    pub receiver: Text,
    /// The episode.
    pub episode: Text,
    /// Still to be told, in order.
    pub queue: VecDeque<Notice>,
    /// What was told (or put into the queue) last: from it a close can be made after a crash.
    pub last: Notice,
    /// How many notices got a key.
    pub numbered: u32,
    /// Whether the first of the queue was attempted: then it must not change any more.
    pub attempted: bool,
    /// Whether the open was refused for good: nothing more is told.
    pub refused: bool,
    /// Attempts at the first of the queue that failed.
    pub failures: u32,
    /// When the first of the queue may be attempted.
    pub not_before: Timestamp,
}

impl Intent {
    pub(crate) fn key_of(receiver: &str, episode: &str) -> Text {
        format!("{receiver}|{episode}").into()
    }

    /// Whether a close is in the queue.
    #[must_use]
    pub fn closing(&self) -> bool {
        self.queue.back().is_some_and(|notice| notice.kind == NoticeKind::Close)
    }

    /// Gives a notice the next key of this sequence.
    pub(crate) fn number(&mut self, mut notice: Notice) -> Notice {
        notice.key = format!("{}#{}", self.key, self.numbered).into();
        self.numbered += 1;
        notice
    }
}
