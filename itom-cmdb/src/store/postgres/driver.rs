//! The one task that talks to the database for a store.

use futures::StreamExt as _;
use futures::channel::mpsc;

use super::database::{Database, Place};
use crate::store::desk;

/// There is nothing that only this store can do.
#[derive(Debug)]
pub(super) enum Nothing {}

type Job = desk::Job<Nothing>;

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
            Err(error) => {
                // There is no job of its own to give back.
                let _ = job.refuse(error);
            }
        }
    }
}

async fn answer(database: &mut Database, job: Job) {
    // An asker who no longer listens is no error: the answer goes nowhere.
    match job {
        Job::Append { rows, reply } => drop(reply.send(database.append(&rows).await)),
        Job::Load { after, page, reply } => drop(reply.send(database.load(after, page).await)),
        Job::Describe { reply } => drop(reply.send(database.describe().await)),
        Job::End { reply } => drop(reply.send(database.end().await)),
        Job::Horizon { reply } => drop(reply.send(database.horizon().await)),
        Job::Compact { plan, reply } => drop(reply.send(database.compact(&plan).await)),
        Job::Other(nothing) => match nothing {},
    }
}
