//! The one snapshot beside the facts.

use rusqlite::{OptionalExtension as _, params};

use super::file::{File, classify};
use crate::store::{Snapshot, StoreError};

impl File {
    pub(super) fn snapshot(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.connection
            .query_row("SELECT body FROM snapshot", [], |row| row.get(0))
            .optional()
            .map_err(|error| classify(&self.path, "reading the snapshot of", error))
    }

    /// One statement, and so one transaction: a crash leaves the one before or this one.
    pub(super) fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.connection
            .execute("INSERT OR REPLACE INTO snapshot (one, body) VALUES (1, ?1)", params![snapshot.encode()])
            .map(drop)
            .map_err(|error| classify(&self.path, "keeping a snapshot in", error))
    }
}
