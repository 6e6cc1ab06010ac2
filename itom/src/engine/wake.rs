//! What wakes the loop, in one fixed order of precedence.

use std::collections::VecDeque;
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

use super::compacting::Answer;
use super::handle::Command;
use super::keeping::Kept;
use super::listeners::ListenerEnd;
use crate::JournalError;

/// One thing the loop has to react to.
pub(super) enum Wake {
    /// The owner wants the engine to end.
    Shutdown,
    /// A handle asks for something.
    Command(Command),
    /// The store answered.
    Appended(Result<(), StoreError>),
    /// The store answered about a compaction.
    Compacted(Answer),
    /// The store answered about a snapshot.
    Kept(Kept),
    /// The journal answered.
    Remembered(Result<(), JournalError>),
    /// A notifier answered.
    Delivered(Delivered),
    /// A collector's run ended.
    Ran(Box<Ran>),
    /// A batch came from outside.
    Submitted(Box<Batch>),
    /// A listener ended.
    ListenerEnded(ListenerEnd),
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
    /// `None` once the engine is ending: whoever offers a batch then is told so.
    pub(super) submitted: Option<BatchReceiver>,
    pub(super) runs: FuturesUnordered<BoxFuture<'static, Ran>>,
    /// Runs that ended while there was no room for them. The scheduler does not know yet that they ended, so there are
    /// never more than it lets run at a time.
    pub(super) finished: VecDeque<Ran>,
    pub(super) listeners: FuturesUnordered<BoxFuture<'static, ListenerEnd>>,
    pub(super) deliveries: FuturesUnordered<BoxFuture<'static, Delivered>>,
    pub(super) appending: Option<BoxFuture<'static, Result<(), StoreError>>>,
    pub(super) compacting: Option<BoxFuture<'static, Answer>>,
    pub(super) keeping: Option<BoxFuture<'static, Kept>>,
    pub(super) remembering: Option<BoxFuture<'static, Result<(), JournalError>>>,
}

impl Waits {
    /// Waits for the first of them. Without room nothing new is taken in: runs go on to their end, but how they ended
    /// and what was submitted stays where it is until the store has caught up.
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
        if let Some(()) = poll_slot(&mut self.shutdown, cx) {
            return Poll::Ready(Wake::Shutdown);
        }
        if let Poll::Ready(Some(command)) = self.commands.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Command(command));
        }
        if let Some(result) = poll_slot(&mut self.appending, cx) {
            return Poll::Ready(Wake::Appended(result));
        }
        if let Some(answer) = poll_slot(&mut self.compacting, cx) {
            return Poll::Ready(Wake::Compacted(answer));
        }
        if let Some(answer) = poll_slot(&mut self.keeping, cx) {
            return Poll::Ready(Wake::Kept(answer));
        }
        if let Some(result) = poll_slot(&mut self.remembering, cx) {
            return Poll::Ready(Wake::Remembered(result));
        }
        if let Poll::Ready(Some(delivered)) = self.deliveries.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Delivered(delivered));
        }
        if let Poll::Ready(Some(end)) = self.listeners.poll_next_unpin(cx) {
            return Poll::Ready(Wake::ListenerEnded(end));
        }
        // Without room runs still go on: held back half-way they would miss their deadlines through no fault of theirs.
        while let Poll::Ready(Some(ran)) = self.runs.poll_next_unpin(cx) {
            self.finished.push_back(ran);
        }
        if matches!(room, Room::Some) {
            if let Some(ran) = self.finished.pop_front() {
                return Poll::Ready(Wake::Ran(Box::new(ran)));
            }
            if let Some(submitted) = &mut self.submitted
                && let Poll::Ready(Some(batch)) = submitted.poll_next_unpin(cx)
            {
                return Poll::Ready(Wake::Submitted(Box::new(batch)));
            }
        }
        sleep.poll(cx).map(|()| Wake::Deadline)
    }

    /// What was submitted and not taken in yet.
    pub(super) fn take_submitted(&mut self) -> Vec<Batch> {
        let submitted = self.submitted.as_mut();
        submitted.map_or_else(Vec::new, |queue| std::iter::from_fn(|| queue.try_next()).collect())
    }
}

/// The result of the future in a slot, which is empty then.
fn poll_slot<T>(slot: &mut Option<BoxFuture<'static, T>>, cx: &mut Context<'_>) -> Option<T> {
    match slot.as_mut()?.as_mut().poll(cx) {
        Poll::Ready(result) => {
            *slot = None;
            Some(result)
        }
        Poll::Pending => None,
    }
}

/// Whether the queue of batches that wait to be stored has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Some,
    None,
}
