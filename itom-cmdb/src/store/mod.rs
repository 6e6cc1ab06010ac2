//! Where facts are kept. Derived state is never stored: it can always be derived again. A [snapshot](Snapshot) beside the
//! facts only makes [opening](open) quick, and can be thrown away.
//!
//! [`MemoryStore`] keeps them while the process lives; `SqliteStore` (feature `sqlite`) keeps them in one file;
//! `PostgresStore` (feature `postgres`) shares them between engines, and so keeps no snapshot. Other implementations run
//! the conformance suite in `testing` (feature `testing`).

mod compaction;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod desk;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod replay;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod row;
mod snapshot;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;

use async_trait::async_trait;
use itom_core::{BoxError, Classify, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::fact::Fact;
use crate::history::Mark;

pub use compaction::{Compacted, Compaction, Retention, compact};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use replay::replay;
pub(crate) use snapshot::Cover;
pub use snapshot::{Opened, Refusal, Snapshot, SnapshotUse, open};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteStore};

/// Keeps facts.
///
/// Contract: `append` is atomic and durable when it returns `Ok`; appending a known fact keeps the earliest times and is
/// no error; dropping a future at any point leaves either all or none of its facts; nothing acknowledged is lost. Run
/// `testing::check_store` (feature `testing`) over your own.
///
/// A store around another that counts what it acknowledged:
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use itom_cmdb::fact::Fact;
/// use itom_cmdb::store::{Cursor, Description, MemoryStore, Page, Store, StoreError};
///
/// #[derive(Debug, Default)]
/// struct Counted {
///     inner: MemoryStore,
///     facts: AtomicUsize,
/// }
///
/// #[async_trait::async_trait]
/// impl Store for Counted {
///     async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
///         self.inner.append(facts).await?;
///         self.facts.fetch_add(facts.len(), Ordering::Relaxed);
///         Ok(())
///     }
///     async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
///         self.inner.load(after, page).await
///     }
///     async fn describe(&self) -> Result<Description, StoreError> {
///         self.inner.describe().await
///     }
///     async fn flush(&self) -> Result<(), StoreError> {
///         self.inner.flush().await
///     }
/// }
/// ```
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Adds facts. When it returns `Ok`, they are durable.
    ///
    /// # Errors
    /// [`StoreError`]; then none of these facts is acknowledged, and what was acknowledged before is still there.
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError>;

    /// Reads every fact, in pages of at most `page` facts, in the order of their first appending, each fact once: call
    /// with `None` first, then with the cursor that came back, until there is none. Later, call with the last one to
    /// read what came since.
    ///
    /// # Errors
    /// [`StoreError`], such as a stored fact that is not what its address says.
    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError>;

    /// What it is and how much it holds.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    async fn describe(&self) -> Result<Description, StoreError>;

    /// The position of the last fact: loading after it gives what was appended since, in the order of its appending.
    /// `None` when there is no fact. A durable store's positions outlive the process; compaction does not move them.
    ///
    /// The default reads everything.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        let mut end = None;
        loop {
            let page = self.load(end, 4096).await?;
            end = page.last.or(end);
            if page.next.is_none() {
                return Ok(end);
            }
        }
    }

    /// The first state that is whole: states before this position or this time were compacted away. `None` when nothing
    /// was.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        Ok(None)
    }

    /// Takes out what a plan takes out, puts its checkpoints in at the last of the positions that they empty, and moves
    /// the horizon: all of it or nothing. Applying a plan again does nothing. No other position moves.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the store implements it; [`StoreError::Disturbed`] when facts that the planner
    /// did not know speak of what goes. Nothing has changed then.
    async fn compact(&self, plan: &Compaction) -> Result<Compacted, StoreError> {
        let _ = plan;
        Err(StoreError::Unsupported { doing: "compacting", what: format!("{self:?}") })
    }

    /// Whether it [keeps](Self::keep_snapshot) a snapshot: making one for a store that does not is in vain. A store that
    /// several engines append to does not, since each of them hears of the facts in an order of its own.
    fn keeps_snapshots(&self) -> bool {
        false
    }

    /// The bytes of the snapshot that was kept last, as they were.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read. Nothing depends on them: [`open`] goes without.
    async fn snapshot(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    /// Keeps a snapshot ([encoded](Snapshot::encode)) in place of the one before: all of it or nothing. The default keeps
    /// none.
    ///
    /// # Errors
    /// [`StoreError`]; then the one before may still be there. Facts are never touched.
    async fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let _ = snapshot;
        Ok(())
    }

    /// Waits until everything handed in before is durable or refused.
    ///
    /// # Errors
    /// [`StoreError`] when the store no longer works.
    async fn flush(&self) -> Result<(), StoreError>;
}

const _: Option<&dyn Store> = None;

/// Where a load goes on. Only meaningful to the store that gave it; for a durable store also after it was opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(u64);

impl Cursor {
    /// A cursor of this position, for implementations.
    #[must_use]
    pub const fn new(position: u64) -> Self {
        Self(position)
    }

    /// The position.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.0
    }
}

/// Some facts, and where to go on; `None` when these were the last.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The facts.
    pub facts: Vec<Fact>,
    /// Where the next page starts.
    pub next: Option<Cursor>,
    /// The position of the last of these facts.
    pub last: Option<Cursor>,
}

impl Page {
    /// A page, for implementations.
    #[must_use]
    pub const fn new(facts: Vec<Fact>, next: Option<Cursor>) -> Self {
        Self { facts, next, last: next }
    }

    /// The last page, whose last fact is at `last`.
    #[must_use]
    pub const fn ending(facts: Vec<Fact>, last: Option<Cursor>) -> Self {
        Self { facts, next: None, last }
    }
}

/// What a store is and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// What it is, for a person (`memory`, `SQLite at /var/lib/itom/facts.db`).
    pub what: String,
    /// How many facts it holds.
    pub facts: u64,
    /// How many bytes it takes on disk, if it is on disk.
    pub bytes: Option<u64>,
}

impl Description {
    /// A description, for implementations.
    #[must_use]
    pub const fn new(what: String, facts: u64, bytes: Option<u64>) -> Self {
        Self { what, facts, bytes }
    }
}

/// What a store cannot do, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be opened.
    #[error(
        "{what} cannot be opened; check that it is where it is looked for and that this user may write there"
    )]
    Open {
        /// The store.
        what: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// Somebody else has it open.
    #[error("{what} is in use by another engine; stop that one or give this one its own store")]
    InUse {
        /// The store.
        what: String,
    },
    /// A newer version of this software wrote it.
    #[error(
        "{what} has format {found}, this version reads up to {known}; use the newer version (nothing was changed)"
    )]
    Newer {
        /// The store.
        what: String,
        /// The format found.
        found: i64,
        /// The newest format known.
        known: i64,
    },
    /// It is something else.
    #[error("{what} is not a store of facts: {why}; choose another path (nothing was changed)")]
    Foreign {
        /// The store.
        what: String,
        /// What it is instead.
        why: String,
    },
    /// It is damaged.
    #[error("{what} is damaged: {why}; restore a backup (nothing was changed)")]
    Corrupt {
        /// The store.
        what: String,
        /// What was found.
        why: String,
    },
    /// There is no room.
    #[error(
        "{what} is full; make room or raise the limit, then append again (what was acknowledged is kept)"
    )]
    Exhausted {
        /// The store.
        what: String,
        /// Why.
        #[source]
        source: Option<BoxError>,
    },
    /// It does not work just now.
    #[error("{doing} {what} failed; try again")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// The store.
        what: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// It did not answer in time: whether it was done is not known.
    #[error("{doing} {what} got no answer in time; try again, doing it twice does no harm")]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// The store.
        what: String,
        /// Why.
        #[source]
        source: Option<BoxError>,
    },
    /// The state that was asked for is no longer there.
    #[error(
        "{what} keeps no state before position {} and {}, and position {} at {} was asked for; start again from the present view",
        kept.position, kept.at, asked.position, asked.at
    )]
    Compacted {
        /// The store.
        what: String,
        /// The state that was asked for.
        asked: Mark,
        /// The first state that is kept.
        kept: Mark,
    },
    /// Somebody appended facts that a compaction did not know of.
    #[error(
        "facts about what a compaction takes away came into {what} meanwhile; take them in and plan again (nothing was changed)"
    )]
    Disturbed {
        /// The store.
        what: String,
    },
    /// The store cannot do this at all.
    #[error("{doing} is nothing that {what} can do; use a store that can")]
    Unsupported {
        /// What was asked.
        doing: &'static str,
        /// The store.
        what: String,
    },
    /// It was closed, or its thread ended.
    #[error("{what} is closed; open it again")]
    Closed {
        /// The store.
        what: String,
    },
}

impl Classify for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open { .. } | Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::TimedOut { .. } => ErrorKind::Timeout,
            Self::InUse { .. } | Self::Disturbed { .. } => ErrorKind::Conflict,
            Self::Newer { .. } | Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Compacted { .. } => ErrorKind::NotFound,
            Self::Foreign { .. } | Self::Corrupt { .. } => ErrorKind::Invalid,
            Self::Exhausted { .. } => ErrorKind::Exhausted,
            Self::Closed { .. } => ErrorKind::Cancelled,
        }
    }
}
