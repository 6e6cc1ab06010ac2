//! The one thread that touches the file.

use std::path::PathBuf;

use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::executor::block_on;

use super::file::File;
use crate::store::Snapshot;
use crate::store::desk::{self, Reply};
use crate::store::row::Rows;

/// What only a file can do.
#[derive(Debug)]
pub(super) enum Own {
    Backup { to: PathBuf, reply: Reply<()> },
    Snapshot { reply: Reply<Option<Vec<u8>>> },
    Keep { snapshot: Box<Snapshot>, reply: Reply<()> },
}

type Job = desk::Job<Own>;

/// Most facts that share a transaction: bounds the time an append can wait for others.
const GROUP: usize = 10_000;

/// Serves jobs in order until every sender is gone.
pub(super) fn run(mut file: File, mut queue: mpsc::Receiver<Job>) {
    let mut next = block_on(queue.next());
    while let Some(job) = next.take() {
        match job {
            Job::Append { rows, reply } => next = append(&mut file, &mut queue, rows, reply),
            // An asker who no longer listens is no error: the answer goes nowhere.
            Job::Load { after, page, reply } => drop(reply.send(file.load(after, page))),
            Job::Describe { reply } => drop(reply.send(file.describe())),
            Job::End { reply } => drop(reply.send(Ok(file.end()))),
            Job::Horizon { reply } => drop(reply.send(Ok(file.horizon()))),
            Job::Compact { plan, reply } => drop(reply.send(file.compact(&plan))),
            Job::Other(Own::Backup { to, reply }) => drop(reply.send(file.backup(&to))),
            Job::Other(Own::Snapshot { reply }) => drop(reply.send(file.snapshot())),
            Job::Other(Own::Keep { snapshot, reply }) => drop(reply.send(file.keep_snapshot(&snapshot))),
        }
        if next.is_none() {
            next = block_on(queue.next());
        }
    }
}

/// Writes this append and those that wait behind it in one transaction; returns the first other job.
fn append(file: &mut File, queue: &mut mpsc::Receiver<Job>, rows: Rows, reply: Reply<()>) -> Option<Job> {
    let mut size = rows.len();
    let mut group = vec![(rows, reply)];
    let mut other = None;
    while size < GROUP {
        match queue.try_recv() {
            Ok(Job::Append { rows, reply }) => {
                size += rows.len();
                group.push((rows, reply));
            }
            Ok(job) => {
                other = Some(job);
                break;
            }
            // Empty for now, or closed.
            Err(_) => break,
        }
    }
    let whole = file.append(group.iter().flat_map(|(rows, _)| rows.iter()));
    let alone = group.len() == 1;
    let mut whole = Some(whole);
    for (rows, reply) in group {
        let answer = match whole.take() {
            Some(Ok(())) => {
                whole = Some(Ok(()));
                Ok(())
            }
            Some(Err(error)) if alone => Err(error),
            // The group failed as a whole (and was rolled back): each append gets its own attempt and its own answer.
            _ => file.append(rows.iter()),
        };
        drop(reply.send(answer));
    }
    other
}
