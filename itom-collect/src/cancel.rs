//! The signal to stop.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Tells a run to stop: loops ask [`is_cancelled`](Self::is_cancelled), waits race with
/// [`cancelled`](Self::cancelled). Clones share the signal, and a signal once given stays given.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Signal>);

#[derive(Default)]
struct Signal {
    given: AtomicBool,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Signal {
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        // Every method writes the state in one go: a panic elsewhere cannot leave it half-changed.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cancel {
    /// A signal that has not been given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal.
    pub fn cancel(&self) {
        self.0.given.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut self.0.waiters().wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    /// Whether it was given.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.given.load(Ordering::Acquire)
    }

    /// Completes once the signal is given.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        Cancelled { signal: Arc::clone(&self.0), place: None }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

struct Cancelled {
    signal: Arc<Signal>,
    place: Option<u64>,
}

impl Future for Cancelled {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let signal = Arc::clone(&self.signal);
        let mut waiters = signal.waiters();
        // Asked under the lock: `cancel` sets the flag before it takes the wakers.
        if signal.given.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| {
            waiters.next += 1;
            waiters.next
        });
        waiters.wakers.insert(place, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.signal.waiters().wakers.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn waiting_ends_with_the_signal_and_leaves_nothing_behind() {
        let cancel = Cancel::new();
        let mut waiting = Box::pin(cancel.cancelled());
        assert!((&mut waiting).now_or_never().is_none());
        let abandoned = Box::pin(cancel.clone().cancelled());
        drop(abandoned);
        assert_eq!(cancel.0.waiters().wakers.len(), 1);
        cancel.clone().cancel();
        assert!(waiting.now_or_never().is_some());
        assert!(cancel.cancelled().now_or_never().is_some(), "a signal once given stays given");
        assert!(cancel.0.waiters().wakers.is_empty());
    }
}
