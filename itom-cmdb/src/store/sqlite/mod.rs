//! The embedded durable store.

mod compaction;
mod file;
mod format;
mod snapshot;
mod writer;

use std::path::Path;
use std::sync::Mutex;
use std::thread::JoinHandle;

use async_trait::async_trait;

use super::desk::{Desk, Job};
use super::{Compacted, Compaction, Cursor, Description, Page, Snapshot, Store, StoreError};
use crate::fact::Fact;
use crate::history::Mark;
use writer::Own;

/// How a SQLite store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// Most bytes the file may take; unlimited if `None`. Reaching it is [`StoreError::Exhausted`].
    pub max_bytes: Option<u64>,
    /// How many appends may wait for the writer.
    pub queue: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { max_bytes: None, queue: 64 }
    }
}

impl SqliteOptions {
    /// Limits the size of the file.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }
}

/// Facts in one SQLite file: write-ahead log, full synchronisation, one writer thread with a bounded queue.
///
/// Appends that wait together share one transaction (group commit), so that many small batches cost one sync. The file
/// is locked exclusively while it is open, and the addresses of its facts are kept in memory (about 30 bytes each) in
/// place of an index, so that appending writes at the end of the file only. Each fact is checked against its address and
/// a sum over its times when it is read. The file carries an application id and a format version; anything else than a store
/// of a known format is refused and left as it is; an older format is led to the present one in one transaction. A
/// [snapshot](Snapshot) is kept in a table of its own. Dropping the store writes what waits, then closes the file.
///
/// ```no_run
/// # async fn run() -> Result<(), itom_cmdb::store::StoreError> {
/// use itom_cmdb::store::{SqliteStore, Store as _};
/// let store = SqliteStore::open("/var/lib/itom/facts.db")?;
/// store.append(&[]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    desk: Desk<Own>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Newer`], [`StoreError::Foreign`], [`StoreError::Corrupt`],
    /// [`StoreError::Open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, &SqliteOptions::default())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, StoreError> {
        let path = path.as_ref().to_path_buf();
        let file = file::File::open(&path, options)?;
        let (desk, queue) = Desk::open(what(&path), options.queue);
        let spawned =
            std::thread::Builder::new().name("itom-facts".into()).spawn(move || writer::run(file, queue));
        match spawned {
            Ok(thread) => Ok(Self { desk, thread: Mutex::new(Some(thread)) }),
            Err(error) => Err(StoreError::Open { what: what(&path), source: error.into() }),
        }
    }

    /// Copies everything into a new file while the store stays in use; the copy is consistent and can be opened.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the copy cannot be written.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let to = to.as_ref().to_path_buf();
        self.desk.ask(|reply| Job::Other(Own::Backup { to, reply })).await
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.desk.close();
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            // What waits is written; a panic of the writer was answered as `Closed` already.
            let _ = thread.join();
        }
    }
}

fn what(path: &Path) -> String {
    format!("the SQLite store {}", path.display())
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        self.desk.append(facts).await
    }

    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        self.desk.load(after, page).await
    }

    async fn describe(&self) -> Result<Description, StoreError> {
        self.desk.describe().await
    }

    async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        self.desk.end().await
    }

    async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        self.desk.horizon().await
    }

    async fn compact(&self, plan: &Compaction) -> Result<Compacted, StoreError> {
        self.desk.compact(plan).await
    }

    fn keeps_snapshots(&self) -> bool {
        true
    }

    async fn snapshot(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.desk.ask(|reply| Job::Other(Own::Snapshot { reply })).await
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        // Encoded by the thread that writes it, so that the asker does not wait for it.
        let snapshot = Box::new(snapshot.clone());
        self.desk.ask(|reply| Job::Other(Own::Keep { snapshot, reply })).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.desk.flush().await
    }
}
