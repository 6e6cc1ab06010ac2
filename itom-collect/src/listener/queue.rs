//! A bounded queue between listeners and whoever takes their batches.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;
use futures::future::BoxFuture;
use itom_core::Batch;

use super::{BatchSink, Offer};

/// A bounded queue: listeners offer at one end, the engine takes at the other. Room for at least one batch.
#[must_use]
pub fn batch_queue(capacity: usize) -> (BatchQueue, BatchReceiver) {
    let shared = Arc::new(Shared { capacity: capacity.max(1), state: Mutex::new(State::default()) });
    shared.state().senders = 1;
    (BatchQueue { shared: Arc::clone(&shared) }, BatchReceiver { shared })
}

struct Shared {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Batch>,
    senders: usize,
    closed: bool,
    refused_batches: u64,
    refused_observations: u64,
    receiver: Option<Waker>,
    waiting: Vec<Waker>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every method writes the state in one go: a panic elsewhere cannot leave it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Batch> {
        let (batch, waiting) = {
            let mut state = self.state();
            (state.batches.pop_front(), std::mem::take(&mut state.waiting))
        };
        waiting.into_iter().for_each(Waker::wake);
        batch
    }
}

/// The end of the queue that listeners hold; clones share it.
pub struct BatchQueue {
    shared: Arc<Shared>,
}

impl BatchQueue {
    /// How many batches were refused because the queue was full.
    #[must_use]
    pub fn refused_batches(&self) -> u64 {
        self.shared.state().refused_batches
    }

    /// How many observations were in them.
    #[must_use]
    pub fn refused_observations(&self) -> u64 {
        self.shared.state().refused_observations
    }
}

impl BatchSink for BatchQueue {
    fn offer(&self, batch: Batch) -> Offer {
        let waker = {
            let mut state = self.shared.state();
            if state.closed {
                return Offer::Closed;
            }
            if state.batches.len() >= self.shared.capacity {
                state.refused_batches += 1;
                state.refused_observations += batch.items().len() as u64;
                return Offer::Full;
            }
            state.batches.push_back(batch);
            state.receiver.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Offer::Accepted
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::poll_fn(|cx| {
            let mut state = self.shared.state();
            if state.closed || state.batches.len() < self.shared.capacity {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        }))
    }
}

impl Clone for BatchQueue {
    fn clone(&self) -> Self {
        self.shared.state().senders += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for BatchQueue {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.shared.state();
            state.senders -= 1;
            if state.senders == 0 { state.receiver.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl fmt::Debug for BatchQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state();
        f.debug_struct("BatchQueue")
            .field("capacity", &self.shared.capacity)
            .field("queued", &state.batches.len())
            .field("refused_batches", &state.refused_batches)
            .field("refused_observations", &state.refused_observations)
            .finish_non_exhaustive()
    }
}

/// The end of the queue that takes batches: a stream that ends when every [`BatchQueue`] is gone and it is empty.
/// Dropping it closes the queue.
pub struct BatchReceiver {
    shared: Arc<Shared>,
}

impl BatchReceiver {
    /// The oldest batch, if there is one now.
    pub fn try_next(&mut self) -> Option<Batch> {
        self.shared.take()
    }
}

impl Stream for BatchReceiver {
    type Item = Batch;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        if let Some(batch) = self.shared.take() {
            return Poll::Ready(Some(batch));
        }
        let mut state = self.shared.state();
        if !state.batches.is_empty() {
            // Offered between the two looks: come again.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if state.senders == 0 {
            return Poll::Ready(None);
        }
        state.receiver = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for BatchReceiver {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.shared.state();
            state.closed = true;
            state.batches.clear();
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for BatchReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchReceiver").field("queued", &self.shared.state().batches.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};
    use itom_core::{SourceName, Timestamp, kind};

    use super::*;

    fn batch(items: usize) -> Batch {
        let mut batch = Batch::new(SourceName::literal("t"), Timestamp::EPOCH);
        for index in 0..items {
            batch.ci(index.to_string(), kind::HOST);
        }
        batch
    }

    #[test]
    fn a_full_queue_refuses_and_counts() {
        let (sink, mut receiver) = batch_queue(2);
        assert_eq!(sink.offer(batch(1)), Offer::Accepted);
        assert_eq!(sink.clone().offer(batch(2)), Offer::Accepted);
        assert_eq!(sink.offer(batch(3)), Offer::Full);
        assert_eq!((sink.refused_batches(), sink.refused_observations()), (1, 3));
        let mut ready = sink.ready();
        assert!((&mut ready).now_or_never().is_none());
        assert_eq!(receiver.try_next().map(|batch| batch.items().len()), Some(1));
        assert!(ready.now_or_never().is_some());
        assert_eq!(sink.offer(batch(4)), Offer::Accepted);
    }

    #[test]
    fn the_stream_ends_with_the_last_sender_and_a_lost_receiver_closes() {
        let (sink, mut receiver) = batch_queue(2);
        let second = sink.clone();
        second.offer(batch(1));
        drop(second);
        assert!(receiver.next().now_or_never().flatten().is_some());
        assert!(receiver.next().now_or_never().is_none(), "one sender is left");
        drop(sink);
        assert_eq!(receiver.next().now_or_never(), Some(None));

        let (sink, receiver) = batch_queue(1);
        sink.offer(batch(1));
        let mut ready = sink.ready();
        assert!((&mut ready).now_or_never().is_none());
        drop(receiver);
        assert!(ready.now_or_never().is_some());
        assert_eq!(sink.offer(batch(1)), Offer::Closed);
    }
}
