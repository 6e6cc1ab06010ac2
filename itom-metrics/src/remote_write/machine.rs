//! When to send, when to wait, when to give a batch up.

use std::collections::VecDeque;
use std::time::Duration;

use itom_core::{Deadline, Machine, StableHasher, Timestamp};

/// How long to wait before a batch is tried again: twice as long each time, between a half and all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The first pause. Default: 50 ms.
    pub shortest: Duration,
    /// The longest pause. Default: 30 s.
    pub longest: Duration,
    /// What spreads the pauses of several senders: give each its own. Default: 0.
    pub seed: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { shortest: Duration::from_millis(50), longest: Duration::from_secs(30), seed: 0 }
    }
}

impl Backoff {
    /// Sets the first pause and the longest.
    #[must_use]
    pub const fn between(mut self, shortest: Duration, longest: Duration) -> Self {
        (self.shortest, self.longest) = (shortest, longest);
        self
    }

    /// Sets the seed.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The pause after so many attempts in a row have failed.
    fn pause(&self, failed: u32) -> Duration {
        let whole = self.shortest.saturating_mul(1 << failed.min(20)).min(self.longest);
        let mut hasher = StableHasher::new();
        hasher.int(self.seed.cast_signed());
        hasher.int(i64::from(failed));
        let share = (hasher.finish() >> 32) as u32;
        whole / 2 + (whole / 2).mul_f64(f64::from(share) / f64::from(u32::MAX))
    }
}

/// What became of a batch that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the machine handles each")]
pub enum Verdict {
    /// The receiver has it.
    Accepted,
    /// The receiver will never take it.
    Refused,
    /// Try again, not before this time has passed.
    Again(Option<Duration>),
}

impl Verdict {
    /// What an HTTP status means: 2xx is accepted; 429, 408 and 5xx are tried again; all else is refused.
    #[must_use]
    pub const fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            200..=299 => Self::Accepted,
            408 | 429 | 500.. => Self::Again(retry_after),
            _ => Self::Refused,
        }
    }
}

/// What happens to a [`Sender`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver makes all of them")]
pub enum SenderInput {
    /// There are samples in the queue that were not there before.
    Queued,
    /// There was nothing to send.
    Empty,
    /// The batch that was sent has an answer.
    Answered(Verdict),
}

/// What a [`Sender`] wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver does all of them")]
pub enum SenderOutput {
    /// Send the oldest batch and say what became of it, or that there is none.
    Send,
    /// The batch is done with: take it out of the queue.
    Done {
        /// Whether the receiver has it.
        accepted: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Sending,
    Waiting(Timestamp),
}

/// Sends one batch after the other, so that samples of a series arrive in their order. The state machine of remote
/// write: it knows neither queue nor network.
///
/// ```
/// use itom_core::{Machine as _, Timestamp};
/// use itom_metrics::remote_write::{Backoff, Sender, SenderInput, SenderOutput, Verdict};
/// let mut sender = Sender::new(Backoff::default());
/// let now = Timestamp::EPOCH;
/// sender.handle(now, SenderInput::Queued);
/// assert_eq!(sender.poll_output(), Some(SenderOutput::Send));
/// sender.handle(now, SenderInput::Answered(Verdict::of_status(503, None)));
/// assert!(sender.poll_deadline().is_some_and(|deadline| deadline.at > now), "it waits before it tries again");
/// ```
#[derive(Debug, Clone)]
pub struct Sender {
    backoff: Backoff,
    state: State,
    failed: u32,
    /// Something was queued since the last batch was asked for.
    more: bool,
    outputs: VecDeque<SenderOutput>,
}

impl Sender {
    /// A sender that has nothing to send yet.
    #[must_use]
    pub const fn new(backoff: Backoff) -> Self {
        Self { backoff, state: State::Idle, failed: 0, more: false, outputs: VecDeque::new() }
    }

    fn send(&mut self) {
        self.state = State::Sending;
        self.more = false;
        self.outputs.push_back(SenderOutput::Send);
    }
}

impl Machine for Sender {
    type Input = SenderInput;
    type Output = SenderOutput;

    fn handle(&mut self, now: Timestamp, input: SenderInput) {
        match (self.state, input) {
            (State::Idle, SenderInput::Queued) => self.send(),
            (_, SenderInput::Queued) => self.more = true,
            (State::Sending, SenderInput::Empty) if self.more => self.send(),
            (State::Sending, SenderInput::Empty) => self.state = State::Idle,
            (State::Sending, SenderInput::Answered(Verdict::Again(after))) => {
                let pause = self.backoff.pause(self.failed);
                self.failed = self.failed.saturating_add(1);
                self.state = State::Waiting(now + pause.max(after.unwrap_or_default()));
            }
            (State::Sending, SenderInput::Answered(verdict)) => {
                self.failed = 0;
                self.outputs.push_back(SenderOutput::Done { accepted: verdict == Verdict::Accepted });
                self.send();
            }
            // An answer to nothing that is under way.
            _ => {}
        }
    }

    fn handle_deadline(&mut self, now: Timestamp) {
        if matches!(self.state, State::Waiting(at) if at <= now) {
            self.send();
        }
    }

    fn poll_deadline(&self) -> Option<Deadline> {
        match self.state {
            State::Waiting(at) => Some(Deadline::new(at, "a batch is tried again")),
            _ => None,
        }
    }

    fn poll_output(&mut self) -> Option<SenderOutput> {
        self.outputs.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use itom_core::machine::testing::assert_laws;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sender_obeys_the_machine_laws(
            script in prop::collection::vec((0..120_u64, 0..6_u8), 0..40),
            answers in prop::collection::vec(0..5_u8, 1..8),
        ) {
            let mut at = 0;
            let script: Vec<_> = script
                .into_iter()
                .map(|(step, what)| {
                    at += step;
                    let input = match what {
                        0..=2 => SenderInput::Queued,
                        3 => SenderInput::Empty,
                        4 => SenderInput::Answered(Verdict::Accepted),
                        _ => SenderInput::Answered(Verdict::Again(Some(Duration::from_secs(7)))),
                    };
                    (Timestamp::from_secs(at as i64), input)
                })
                .collect();
            let answer = answers[0];
            assert_laws(|| Sender::new(Backoff::default()), &script, |output| match output {
                SenderOutput::Send => vec![(Duration::from_secs(1), match answer {
                    0 => SenderInput::Empty,
                    1 => SenderInput::Answered(Verdict::Again(None)),
                    _ => SenderInput::Empty,
                })],
                SenderOutput::Done { .. } => Vec::new(),
            });
        }
    }

    #[test]
    fn pauses_grow_are_spread_and_heed_the_receiver() {
        let mut sender = Sender::new(Backoff::default().seed(7));
        let now = Timestamp::EPOCH;
        sender.handle(now, SenderInput::Queued);
        let mut pauses = Vec::new();
        for _ in 0..14 {
            assert_eq!(sender.poll_output(), Some(SenderOutput::Send));
            sender.handle(now, SenderInput::Answered(Verdict::Again(None)));
            pauses.push(sender.poll_deadline().unwrap().at.since(now));
            sender.handle_deadline(now + Duration::from_secs(60));
        }
        for (number, pause) in pauses.iter().enumerate() {
            let whole = Duration::from_millis(50 << number).min(Duration::from_secs(30));
            assert!((whole / 2..=whole).contains(pause), "{pauses:?}");
        }
        assert_eq!(sender.poll_output(), Some(SenderOutput::Send));
        sender.handle(now, SenderInput::Answered(Verdict::of_status(429, Some(Duration::from_secs(90)))));
        assert_eq!(sender.poll_deadline().unwrap().at, now + Duration::from_secs(90));
        assert_eq!(Verdict::of_status(400, None), Verdict::Refused);
        assert_eq!(Verdict::of_status(204, None), Verdict::Accepted);
    }

    #[test]
    fn what_is_queued_while_sending_is_not_forgotten() {
        let mut sender = Sender::new(Backoff::default());
        let now = Timestamp::EPOCH;
        sender.handle(now, SenderInput::Queued);
        assert_eq!(sender.poll_output(), Some(SenderOutput::Send));
        sender.handle(now, SenderInput::Queued);
        sender.handle(now, SenderInput::Empty);
        assert_eq!(sender.poll_output(), Some(SenderOutput::Send));
        sender.handle(now, SenderInput::Answered(Verdict::Refused));
        assert_eq!(sender.poll_output(), Some(SenderOutput::Done { accepted: false }));
        assert_eq!(sender.poll_output(), Some(SenderOutput::Send));
        sender.handle(now, SenderInput::Empty);
        assert_eq!(sender.poll_output(), None);
    }
}
