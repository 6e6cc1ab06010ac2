//! The one thread that touches the file.

use std::path::PathBuf;

use futures::StreamExt as _;
use futures::channel::{mpsc, oneshot};
use futures::executor::block_on;

use super::file::File;
use crate::fact::Fact;
use crate::store::{Cursor, Description, Page, StoreError};

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) enum Job {
    Append { facts: Vec<Fact>, reply: Reply<()> },
    Load { after: Option<Cursor>, page: usize, reply: Reply<Page> },
    Describe { reply: Reply<Description> },
    End { reply: Reply<Option<Cursor>> },
    Backup { to: PathBuf, reply: Reply<()> },
}

/// Most facts that share a transaction: bounds the time an append can wait for others.
const GROUP: usize = 10_000;

/// Serves jobs in order until every sender is gone.
pub(super) fn run(mut file: File, mut queue: mpsc::Receiver<Job>) {
    let mut next = block_on(queue.next());
    while let Some(job) = next.take() {
        match job {
            Job::Append { facts, reply } => next = append(&mut file, &mut queue, facts, reply),
            // An asker who no longer listens is no error: the answer goes nowhere.
            Job::Load { after, page, reply } => drop(reply.send(file.load(after, page))),
            Job::Describe { reply } => drop(reply.send(file.describe())),
            Job::End { reply } => drop(reply.send(Ok(file.end()))),
            Job::Backup { to, reply } => drop(reply.send(file.backup(&to))),
        }
        if next.is_none() {
            next = block_on(queue.next());
        }
    }
}

/// Writes this append and those that wait behind it in one transaction; returns the first other job.
fn append(
    file: &mut File,
    queue: &mut mpsc::Receiver<Job>,
    facts: Vec<Fact>,
    reply: Reply<()>,
) -> Option<Job> {
    let mut group = vec![(facts, reply)];
    let mut size = group[0].0.len();
    let mut other = None;
    while size < GROUP {
        match queue.try_recv() {
            Ok(Job::Append { facts, reply }) => {
                size += facts.len();
                group.push((facts, reply));
            }
            Ok(job) => {
                other = Some(job);
                break;
            }
            // Empty for now, or closed.
            Err(_) => break,
        }
    }
    let whole = file.append(group.iter().flat_map(|(facts, _)| facts));
    let alone = group.len() == 1;
    let mut whole = Some(whole);
    for (facts, reply) in group {
        let answer = match whole.take() {
            Some(Ok(())) => {
                whole = Some(Ok(()));
                Ok(())
            }
            Some(Err(error)) if alone => Err(error),
            // The group failed as a whole (and was rolled back): each append gets its own attempt and its own answer.
            _ => file.append(facts.iter()),
        };
        drop(reply.send(answer));
    }
    other
}
