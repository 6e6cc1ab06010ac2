//! Where the intents of the outbox are kept until they are carried out, so that a crash loses none.

mod file;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use itom_core::{Classify, ErrorKind};

pub use file::FileJournal;

/// Why the journal refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("the journal {path} cannot be {doing}")]
    Io {
        /// The file.
        path: String,
        /// What was being done.
        doing: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A line other than the last is damaged.
    #[error(
        "the journal {path} is damaged at line {line}; move it away to start without the notices it holds"
    )]
    Corrupt {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// Why it cannot be read.
        #[source]
        source: serde_json::Error,
    },
    /// The thread that writes it ended.
    #[error("the journal {path} is closed")]
    Closed {
        /// The file.
        path: String,
    },
}

impl Classify for JournalError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::Corrupt { .. } => ErrorKind::Invalid,
            Self::Closed { .. } => ErrorKind::Unavailable,
        }
    }
}

/// A small durable map of keys to texts. What was put is there after a crash, until it is removed.
#[async_trait]
pub trait Journal: Send + Sync + fmt::Debug + 'static {
    /// Everything that is there.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be read; nothing is changed then.
    async fn load(&self) -> Result<BTreeMap<String, String>, JournalError>;

    /// Applies puts (`Some`) and removals (`None`) in order; durable once it returns.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be written; then none or the first of the changes are there.
    async fn apply(&self, changes: Vec<(String, Option<String>)>) -> Result<(), JournalError>;
}

const _: Option<&dyn Journal> = None;

/// A journal that ends with the process: for tests and for programs that keep nothing.
#[derive(Debug, Default)]
pub struct MemoryJournal(Mutex<BTreeMap<String, String>>);

impl MemoryJournal {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

fn apply_to(map: &mut BTreeMap<String, String>, changes: Vec<(String, Option<String>)>) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn load(&self) -> Result<BTreeMap<String, String>, JournalError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn apply(&self, changes: Vec<(String, Option<String>)>) -> Result<(), JournalError> {
        apply_to(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), changes);
        Ok(())
    }
}
