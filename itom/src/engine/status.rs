//! What the engine knows about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{ErrorKind, Fault, Text, Timestamp};

/// How one collector is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectorStatus {
    /// Its source name.
    pub name: Text,
    /// When its last run began.
    pub last_run: Option<Timestamp>,
    /// How its last run ended: `None` before the first, else the kind of error or success.
    pub outcome: Option<Result<(), (ErrorKind, Text)>>,
    /// How long its last run took.
    pub duration: Duration,
    /// How many observations its last run had.
    pub observations: usize,
    /// What its last run could not read.
    pub faults: Vec<Fault>,
    /// How many runs were taken in.
    pub runs: u64,
}

impl CollectorStatus {
    pub(crate) const fn new(name: Text) -> Self {
        Self {
            name,
            last_run: None,
            outcome: None,
            duration: Duration::ZERO,
            observations: 0,
            faults: Vec::new(),
            runs: 0,
        }
    }
}

/// How the store is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreStatus {
    /// It accepts facts.
    Accepting,
    /// It refuses; what waits is tried again.
    Refusing {
        /// Since when.
        since: Timestamp,
        /// The kind of error.
        kind: ErrorKind,
        /// In words.
        error: Text,
    },
}

/// The engine at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStatus {
    /// When it began.
    pub started_at: Timestamp,
    /// When this was taken.
    pub at: Timestamp,
    /// How many runs and submitted batches were taken in.
    pub rounds: u64,
    /// How many facts the store acknowledged in this run of the engine.
    pub facts: u64,
    /// How many samples were stored.
    pub samples: u64,
    /// What was lost, by reason (`submitted`, `facts`, `samples_too_old`, …).
    pub dropped: BTreeMap<Text, u64>,
    /// How the store is doing.
    pub store: StoreStatus,
    /// The collectors, in the order of their names.
    pub collectors: Vec<CollectorStatus>,
}
