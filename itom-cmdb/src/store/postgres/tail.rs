//! Facts as they come.

use std::task::Poll;

use futures::channel::mpsc;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, future};
use tokio_postgres::AsyncMessage;

use super::database::{CHANNEL, Database, Place};
use crate::store::{Cursor, Page, StoreError};

struct Tail {
    database: Database,
    /// A word that there is something new; words that nobody waited for are one.
    words: mpsc::Receiver<()>,
    after: Option<Cursor>,
    page: usize,
    broken: bool,
}

/// Listens first, then reads: what is appended in between is found by reading.
pub(super) async fn open(
    place: &Place,
    after: Option<Cursor>,
    page: usize,
) -> Result<BoxStream<'static, Result<Page, StoreError>>, StoreError> {
    let (mut word, words) = mpsc::channel(1);
    let database = Database::open_with(place, |mut connection| {
        tokio::spawn(async move {
            future::poll_fn(|cx| {
                loop {
                    match connection.poll_message(cx) {
                        Poll::Ready(Some(Ok(AsyncMessage::Notification(_)))) => {
                            // A full channel holds a word already.
                            let _ = word.try_send(());
                        }
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await;
        });
    })
    .await?;
    database.run(&format!("LISTEN {CHANNEL}"), "listening to").await?;
    let tail = Tail { database, words, after, page: page.max(1), broken: false };
    Ok(stream::unfold(tail, |mut tail| async move {
        if tail.broken {
            return None;
        }
        loop {
            match tail.database.load(tail.after, tail.page).await {
                Ok(page) if page.facts.is_empty() => {
                    if tail.words.next().await.is_none() {
                        tail.broken = true;
                        let error = tail.database.lost();
                        return Some((Err(error), tail));
                    }
                }
                Ok(page) => {
                    tail.after = page.last.or(tail.after);
                    return Some((Ok(page), tail));
                }
                Err(error) => {
                    tail.broken = true;
                    return Some((Err(error), tail));
                }
            }
        }
    })
    .boxed())
}
