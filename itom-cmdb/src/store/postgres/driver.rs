//! The one task that talks to the database for a store.

use futures::StreamExt as _;
use futures::channel::{mpsc, oneshot};

use super::database::{Database, Place};
use crate::fact::Fact;
use crate::store::{Cursor, Description, Page, StoreError};

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) enum Job {
    Append { facts: Vec<Fact>, reply: Reply<()> },
    Load { after: Option<Cursor>, page: usize, reply: Reply<Page> },
    Describe { reply: Reply<Description> },
    End { reply: Reply<Option<Cursor>> },
}

/// Serves jobs in order until every sender is gone. A job is done as a whole even when its asker no longer listens, so
/// that a dropped future leaves no transaction half open.
pub(super) async fn run(place: Place, database: Database, mut queue: mpsc::Receiver<Job>) {
    let mut open = Some(database);
    while let Some(job) = queue.next().await {
        let usable = open.take().filter(|database| !database.is_closed());
        let database = match usable {
            Some(database) => Ok(database),
            None => Database::open(&place).await,
        };
        match database {
            Ok(mut database) => {
                answer(&mut database, job).await;
                open = Some(database);
            }
            Err(error) => refuse(job, error),
        }
    }
}

async fn answer(database: &mut Database, job: Job) {
    // An asker who no longer listens is no error: the answer goes nowhere.
    match job {
        Job::Append { facts, reply } => drop(reply.send(database.append(&facts).await)),
        Job::Load { after, page, reply } => drop(reply.send(database.load(after, page).await)),
        Job::Describe { reply } => drop(reply.send(database.describe().await)),
        Job::End { reply } => drop(reply.send(database.end().await)),
    }
}

fn refuse(job: Job, error: StoreError) {
    match job {
        Job::Append { reply, .. } => drop(reply.send(Err(error))),
        Job::Load { reply, .. } => drop(reply.send(Err(error))),
        Job::Describe { reply } => drop(reply.send(Err(error))),
        Job::End { reply } => drop(reply.send(Err(error))),
    }
}
