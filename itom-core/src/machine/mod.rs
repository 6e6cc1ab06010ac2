//! The shape of everything in which time or order matters.

#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::borrow::Cow;

use crate::Timestamp;

/// When a machine wants to be woken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// The time.
    pub at: Timestamp,
    /// Why, in words: shown by drivers and simulators.
    pub reason: Cow<'static, str>,
}

impl Deadline {
    /// A deadline with a fixed reason.
    #[must_use]
    pub const fn new(at: Timestamp, reason: &'static str) -> Self {
        Self { at, reason: Cow::Borrowed(reason) }
    }

    /// The earlier of two; the first when they are equal.
    #[must_use]
    pub fn earliest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

/// A synchronous state machine: time and inputs in, outputs out. It never blocks, never reads a clock, never fails: a
/// refusal is an output.
///
/// A driver calls [`handle`](Self::handle) for each input, [`handle_deadline`](Self::handle_deadline) once
/// [`poll_deadline`](Self::poll_deadline) has come, and drains [`poll_output`](Self::poll_output) after each.
///
/// ```
/// use std::time::Duration;
/// use itom_core::{Deadline, Machine, Timestamp};
///
/// /// Rings once, a while after it was wound up.
/// #[derive(Clone, Default)]
/// struct Egg { due: Option<Timestamp>, rings: u32 }
///
/// impl Machine for Egg {
///     type Input = Duration;
///     type Output = &'static str;
///     fn handle(&mut self, now: Timestamp, after: Duration) {
///         self.due = Some(now + after);
///     }
///     fn handle_deadline(&mut self, now: Timestamp) {
///         if self.due.is_some_and(|due| due <= now) {
///             self.due = None;
///             self.rings += 1;
///         }
///     }
///     fn poll_deadline(&self) -> Option<Deadline> {
///         self.due.map(|at| Deadline::new(at, "the egg is done"))
///     }
///     fn poll_output(&mut self) -> Option<&'static str> {
///         self.rings = self.rings.checked_sub(1)?;
///         Some("ring")
///     }
/// }
///
/// let mut egg = Egg::default();
/// egg.handle(Timestamp::EPOCH, Duration::from_secs(300));
/// let due = egg.poll_deadline().expect("it is wound up").at;
/// egg.handle_deadline(due);
/// assert_eq!((egg.poll_output(), egg.poll_output()), (Some("ring"), None));
/// ```
///
/// The laws, checked for any machine by `machine::testing::check_laws` (feature `testing`), which says precisely what
/// each promises:
/// 1. *deterministic*: the same script gives the same outputs;
/// 2. *idle calls are free*: an early `handle_deadline` changes nothing, nor does polling;
/// 3. *no spinning*: handling a due deadline moves it later or removes it;
/// 4. *drain when you like*: outputs do not depend on when they are taken, as long as it is before time moves on;
/// 5. *late is late, not lost*: a deadline handled late still does its work;
/// 6. *a clone continues as the original would*.
pub trait Machine {
    /// What it is told.
    type Input;
    /// What it wants done.
    type Output;

    /// Takes an input. `now` may step backwards, as clocks do; a machine copes.
    fn handle(&mut self, now: Timestamp, input: Self::Input);

    /// Does what is due at `now`.
    fn handle_deadline(&mut self, now: Timestamp);

    /// When it wants to be woken next.
    fn poll_deadline(&self) -> Option<Deadline>;

    /// The next thing to do, oldest cause first.
    fn poll_output(&mut self) -> Option<Self::Output>;
}
