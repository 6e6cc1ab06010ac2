//! Where requests to a store wait for the one thread or task that serves it.

use futures::SinkExt as _;
use futures::channel::{mpsc, oneshot};

use super::row::Rows;
use super::{Compacted, Compaction, Cursor, Description, Page, StoreError};
use crate::fact::Fact;
use crate::history::Mark;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A request; `X` is what only one kind of store can do.
pub(super) enum Job<X> {
    Append {
        rows: Rows,
        reply: Reply<()>,
    },
    Load {
        after: Option<Cursor>,
        page: usize,
        reply: Reply<Page>,
    },
    Describe {
        reply: Reply<Description>,
    },
    End {
        reply: Reply<Option<Cursor>>,
    },
    Horizon {
        reply: Reply<Option<Mark>>,
    },
    Compact {
        plan: Box<Compaction>,
        reply: Reply<Compacted>,
    },
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(dead_code, reason = "only the embedded store has requests of its own")
    )]
    Other(X),
}

/// The askers' side: a bounded queue, and answers that come when they come. A request that was handed in is done as a
/// whole even when its asker no longer listens.
#[derive(Debug)]
pub(super) struct Desk<X> {
    what: String,
    jobs: mpsc::Sender<Job<X>>,
}

impl<X> Desk<X> {
    /// A desk of the store `what` with room for `queue` requests, and the end that serves them.
    pub(super) fn open(what: String, queue: usize) -> (Self, mpsc::Receiver<Job<X>>) {
        let (jobs, served) = mpsc::channel(queue);
        (Self { what, jobs }, served)
    }

    pub(super) async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job<X>) -> Result<T, StoreError> {
        let closed = || StoreError::Closed { what: self.what.clone() };
        let (reply, answer) = oneshot::channel();
        // A clone has a slot of its own: the bound is the queue plus the callers that wait.
        self.jobs.clone().send(job(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        let rows = Rows::of(facts, &self.what)?;
        self.ask(|reply| Job::Append { rows, reply }).await
    }

    pub(super) async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        self.ask(|reply| Job::Load { after, page, reply }).await
    }

    pub(super) async fn describe(&self) -> Result<Description, StoreError> {
        self.ask(|reply| Job::Describe { reply }).await
    }

    pub(super) async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        self.ask(|reply| Job::End { reply }).await
    }

    pub(super) async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        self.ask(|reply| Job::Horizon { reply }).await
    }

    pub(super) async fn compact(&self, plan: &Compaction) -> Result<Compacted, StoreError> {
        let plan = Box::new(plan.clone());
        self.ask(|reply| Job::Compact { plan, reply }).await
    }

    /// The queue is served in order: an answer means that everything before was answered.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        self.ask(|reply| Job::Append { rows: Rows::default(), reply }).await
    }

    /// No more requests: what waits is still served.
    #[cfg(feature = "sqlite")]
    pub(super) fn close(&mut self) {
        self.jobs.close_channel();
    }
}

/// Only a server's connection can be lost.
#[cfg(feature = "postgres")]
impl<X> Job<X> {
    /// Answers with an error; gives back what only its own store can answer.
    pub(super) fn refuse(self, error: StoreError) -> Option<(X, StoreError)> {
        match self {
            Self::Append { reply, .. } => drop(reply.send(Err(error))),
            Self::Load { reply, .. } => drop(reply.send(Err(error))),
            Self::Describe { reply } => drop(reply.send(Err(error))),
            Self::End { reply } => drop(reply.send(Err(error))),
            Self::Horizon { reply } => drop(reply.send(Err(error))),
            Self::Compact { reply, .. } => drop(reply.send(Err(error))),
            Self::Other(other) => return Some((other, error)),
        }
        None
    }
}
