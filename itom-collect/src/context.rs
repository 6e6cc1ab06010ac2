//! What a run knows about itself.

use std::sync::Arc;

use futures::FutureExt as _;
use itom_core::{Clock, Question, Timestamp};

use crate::{Cancel, CollectError};

/// What a run knows about itself: the time, its deadline, whether it should stop.
#[derive(Debug, Clone)]
pub struct CollectContext {
    clock: Arc<dyn Clock>,
    deadline: Timestamp,
    cancel: Cancel,
    questions: Arc<[Question]>,
}

impl CollectContext {
    /// A context for one run; drivers and tests make it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, deadline: Timestamp, cancel: Cancel) -> Self {
        Self { clock, deadline, cancel, questions: Arc::from([]) }
    }

    /// The same, with questions that a look could settle.
    #[must_use]
    pub fn with_questions(self, questions: impl Into<Arc<[Question]>>) -> Self {
        Self { questions: questions.into(), ..self }
    }

    /// What is open about things that this source described, and which of their keys would settle it. A collector that
    /// can read one reports it with the thing; it may ignore them all.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When the run is cut off.
    #[must_use]
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Whether the run should go on.
    ///
    /// # Errors
    /// [`CollectError::Cancelled`] after a cancellation, [`CollectError::Timeout`] past the deadline.
    pub fn check(&self) -> Result<(), CollectError> {
        if self.cancel.is_cancelled() {
            return Err(CollectError::Cancelled);
        }
        if self.now() >= self.deadline {
            return Err(CollectError::Timeout { deadline: self.deadline });
        }
        Ok(())
    }

    /// As [`check`](Self::check), and lets others run: for collectors that work for long without awaiting.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub async fn checkpoint(&self) -> Result<(), CollectError> {
        self.check()?;
        yield_once().await;
        self.check()
    }
    /// Waits for `future`, but no longer than the run may take: for waits that would not notice the deadline or a
    /// cancellation themselves. Giving up drops the future.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub async fn bounded<F: Future>(&self, future: F) -> Result<F::Output, CollectError> {
        let mut future = std::pin::pin!(future.fuse());
        let mut cancelled = std::pin::pin!(self.cancel.cancelled().fuse());
        let mut late = std::pin::pin!(self.deadline_passed().fuse());
        futures::select_biased! {
            output = future => Ok(output),
            () = cancelled => Err(CollectError::Cancelled),
            () = late => Err(CollectError::Timeout { deadline: self.deadline }),
        }
    }

    async fn deadline_passed(&self) {
        // A sleep may end early (very long ones are cut, wall clocks step back): look and sleep again, letting
        // others run in between so that a clock that cannot sleep costs time and not the run.
        loop {
            self.clock.sleep_until(self.deadline).await;
            if self.now() >= self.deadline {
                return;
            }
            yield_once().await;
        }
    }
}

/// Lets whatever else the executor has run first.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
