//! What wakes the loop, in one fixed order of precedence.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use itom_alert::outbox::SendFailure;
use itom_cmdb::store::StoreError;
use itom_collect::RunReport;
use itom_collect::listener::BatchReceiver;
use itom_core::{Batch, SourceName, Text};

use super::handle::Command;

/// One thing the loop has to react to.
pub(super) enum Wake {
    /// The owner wants the engine to end.
    Shutdown,
    /// A handle asks for something.
    Command(Command),
    /// The store answered.
    Appended(Result<(), StoreError>),
    /// A notifier answered.
    Delivered(Delivered),
    /// A collector's run ended.
    Ran(Box<Ran>),
    /// A batch came from outside.
    Submitted(Box<Batch>),
    /// A listener ended.
    ListenerEnded(SourceName),
    /// The time a machine asked for has come.
    Deadline,
}

/// A run that ended.
pub(super) struct Ran {
    pub(super) target: SourceName,
    pub(super) run: u64,
    pub(super) report: RunReport,
}

/// An attempt to deliver that ended.
pub(super) struct Delivered {
    pub(super) key: Text,
    pub(super) attempt: u32,
    pub(super) result: Result<(), SendFailure>,
}

/// Everything the loop waits for. Dropping it drops the runs, as a crash would.
pub(super) struct Waits {
    pub(super) shutdown: Option<BoxFuture<'static, ()>>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) submitted: BatchReceiver,
    pub(super) runs: FuturesUnordered<BoxFuture<'static, Ran>>,
    pub(super) listeners: FuturesUnordered<BoxFuture<'static, SourceName>>,
    pub(super) deliveries: FuturesUnordered<BoxFuture<'static, Delivered>>,
    pub(super) appending: Option<BoxFuture<'static, Result<(), StoreError>>>,
}

impl Waits {
    /// Waits for the first of them. With `room` false nothing new is taken in: finished runs and submitted batches stay
    /// where they are until the store has caught up.
    pub(super) async fn next(&mut self, room: Room, sleep: impl Future<Output = ()>) -> Wake {
        let mut sleep = pin!(sleep);
        poll_fn(|cx| self.poll(cx, room, sleep.as_mut())).await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        room: Room,
        sleep: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<Wake> {
        if let Some(shutdown) = &mut self.shutdown
            && shutdown.as_mut().poll(cx).is_ready()
        {
            self.shutdown = None;
            return Poll::Ready(Wake::Shutdown);
        }
        if let Poll::Ready(Some(command)) = self.commands.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Command(command));
        }
        if let Some(appending) = &mut self.appending
            && let Poll::Ready(result) = appending.as_mut().poll(cx)
        {
            self.appending = None;
            return Poll::Ready(Wake::Appended(result));
        }
        if let Poll::Ready(Some(delivered)) = self.deliveries.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Delivered(delivered));
        }
        if let Poll::Ready(Some(name)) = self.listeners.poll_next_unpin(cx) {
            return Poll::Ready(Wake::ListenerEnded(name));
        }
        if matches!(room, Room::Some) {
            if let Poll::Ready(Some(ran)) = self.runs.poll_next_unpin(cx) {
                return Poll::Ready(Wake::Ran(Box::new(ran)));
            }
            if let Poll::Ready(Some(batch)) = self.submitted.poll_next_unpin(cx) {
                return Poll::Ready(Wake::Submitted(Box::new(batch)));
            }
        }
        sleep.poll(cx).map(|()| Wake::Deadline)
    }
}

/// Whether the queue of batches that wait to be stored has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Some,
    None,
}
