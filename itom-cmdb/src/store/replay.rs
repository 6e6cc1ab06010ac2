//! A state of the past from a store.

use super::{Cursor, Store, StoreError};
use crate::history::Mark;
use crate::{Cmdb, CmdbConfig};

/// Facts read at once.
const PAGE: usize = 4096;

/// The state at a mark, from the facts of a store: what a [`Follower`](crate::history::Follower) resumes from.
/// [`Mark::START`] gives an empty one. What an engine starts from is [opened](super::open).
///
/// # Errors
/// [`StoreError::Compacted`] when the state is older than what the store keeps whole, [`StoreError`] when the store cannot
/// be read.
///
/// ```
/// # async fn run(store: &dyn itom_cmdb::store::Store, cursor: itom_cmdb::history::FeedCursor)
/// # -> Result<(), itom_cmdb::store::StoreError> {
/// use itom_cmdb::history::Follower;
/// use itom_cmdb::{CmdbConfig, store::replay};
/// let from = replay(store, CmdbConfig::default(), cursor.from()).await?;
/// let to = replay(store, CmdbConfig::default(), cursor.to()).await?;
/// let follower = Follower::resume(cursor, from.view(), to.view());
/// # Ok(())
/// # }
/// ```
pub async fn replay(store: &dyn Store, config: CmdbConfig, mark: Mark) -> Result<Cmdb, StoreError> {
    // Looked at again at the end: a compaction may come in between.
    check(store, mark).await?;
    let mut cmdb = Cmdb::new(config);
    let mut facts = Vec::new();
    let mut after = None;
    let mut size = PAGE;
    let end = Cursor::new(mark.position);
    while after.is_none_or(|after| after < end) && mark.position > 0 {
        let page = store.load(after, size).await?;
        let Some(last) = page.last else { break };
        if last > end && size > 1 {
            // Positions have gaps: a shorter page ends at or before the mark.
            size /= 2;
            continue;
        }
        if last > end {
            break;
        }
        facts.extend(page.facts);
        after = Some(last);
        if page.next.is_none() {
            break;
        }
    }
    check(store, mark).await?;
    cmdb.ingest_at(facts, mark.at);
    Ok(cmdb)
}

async fn check(store: &dyn Store, mark: Mark) -> Result<(), StoreError> {
    let kept = store.horizon().await?.filter(|kept| mark.position < kept.position || mark.at < kept.at);
    match kept.filter(|_| mark.position > 0) {
        Some(kept) => Err(StoreError::Compacted { what: store.describe().await?.what, asked: mark, kept }),
        None => Ok(()),
    }
}
