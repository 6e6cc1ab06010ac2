//! What a run knows about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use itom_core::{Clock, Timestamp};

use crate::CollectError;

/// Tells loops that do not await to stop. Clones share the signal.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A signal that has not been given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was given.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What a run knows about itself: the time, its deadline, whether it should stop.
#[derive(Debug, Clone)]
pub struct CollectContext {
    clock: Arc<dyn Clock>,
    deadline: Timestamp,
    cancel: Cancel,
}

impl CollectContext {
    /// A context for one run; drivers and tests make it.
    #[must_use]
    pub const fn new(clock: Arc<dyn Clock>, deadline: Timestamp, cancel: Cancel) -> Self {
        Self { clock, deadline, cancel }
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
        self.check()
    }
}
