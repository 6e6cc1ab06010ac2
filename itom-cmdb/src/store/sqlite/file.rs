//! The file: its format, its checks, and what its errors mean.

use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use itom_core::{BoxError, RunId, Timestamp};
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, params};

use super::format::{FORMAT, INSERT, create, migrate, seal};
use super::{SqliteOptions, what};
use crate::fact::{Fact, FactId};
use crate::history::Mark;
use crate::store::row::{Row, Stored};
use crate::store::{Cursor, Description, Page, StoreError};

/// `itom`, as SQLite's application id.
const APPLICATION: i64 = 0x6974_6f6d;
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    /// Where each fact is. Only looked up, so its order reaches nothing.
    pub(super) places: HashMap<FactId, i64>,
    /// The position of the last fact ever appended.
    end: i64,
    /// What was compacted: states before it are gone.
    pub(super) horizon: Option<Mark>,
}

impl File {
    pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|error| StoreError::Open { what: what(path), source: error.into() })?;
        // A file in use is said to be so at once; waiting is for the caller to decide.
        connection
            .busy_timeout(std::time::Duration::ZERO)
            .map_err(|error| classify(path, "opening", error))?;
        let mut file =
            Self { path: path.to_path_buf(), connection, places: HashMap::new(), end: 0, horizon: None };
        file.prepare(options)?;
        Ok(file)
    }

    fn prepare(&mut self, options: &SqliteOptions) -> Result<(), StoreError> {
        let opening = |error| classify(&self.path, "opening", error);
        let pragma = |name: &str| -> Result<i64, StoreError> {
            self.connection.pragma_query_value(None, name, |row| row.get(0)).map_err(opening)
        };
        // Exclusive before anything is read: with the write-ahead log it also keeps the index out of shared memory.
        self.connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(opening)?;
        let tables: i64 = self
            .connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(opening)?;
        let (application, format) = (pragma("application_id")?, pragma("user_version")?);
        let fresh = tables == 0 && application == 0 && format == 0;
        if !fresh && application != APPLICATION {
            let why = format!("its application id is {application:#x}");
            return Err(StoreError::Foreign { what: what(&self.path), why });
        }
        if format > FORMAT {
            return Err(StoreError::Newer { what: what(&self.path), found: format, known: FORMAT });
        }
        if !fresh {
            let verdict: String =
                self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(opening)?;
            if verdict != "ok" {
                return Err(StoreError::Corrupt { what: what(&self.path), why: verdict });
            }
        }
        self.connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
            .map_err(opening)?;
        self.connection.pragma_update(None, "synchronous", "FULL").map_err(opening)?;
        // Takes the exclusive lock now, and holds it: a second engine is refused at once, not at its first write.
        self.connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;").map_err(opening)?;
        if fresh {
            create(&self.connection, APPLICATION).map_err(opening)?;
        } else if format < FORMAT {
            migrate(&self.connection, format).map_err(|error| classify(&self.path, "migrating", error))?;
        }
        if let Some(bytes) = options.max_bytes {
            let size = pragma("page_size")?.max(512);
            let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / size;
            self.connection
                .query_row(&format!("PRAGMA max_page_count = {}", pages.max(1)), [], |_| Ok(()))
                .map_err(opening)?;
        }
        self.find_places()
    }

    fn find_places(&mut self) -> Result<(), StoreError> {
        let reading = |error| classify(&self.path, "reading", error);
        let mut select = self.connection.prepare("SELECT seq, id FROM fact ORDER BY seq").map_err(reading)?;
        let mut rows = select.query([]).map_err(reading)?;
        while let Some(row) = rows.next().map_err(reading)? {
            let seq: i64 = row.get(0).map_err(reading)?;
            let id: [u8; 16] = row.get(1).map_err(|error| misread(&self.path, seq, error))?;
            self.places.insert(FactId::from_bytes(id), seq);
            self.end = seq;
        }
        self.horizon = super::format::horizon(&self.connection).map_err(reading)?;
        // The last fact may have been compacted away: its position is not given again.
        let compacted = self.horizon.map_or(0, |horizon| i64::try_from(horizon.position).unwrap_or(i64::MAX));
        self.end = self.end.max(compacted);
        Ok(())
    }

    pub(super) fn append<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a Row, &'a str)>,
    ) -> Result<(), StoreError> {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let path = self.path.clone();
        let writing = |error| classify(&path, "writing to", error);
        // Dropping it without a commit rolls it back.
        let transaction = self.connection.transaction().map_err(writing)?;
        // Only believed once it is committed.
        let mut added: HashMap<FactId, i64> = HashMap::new();
        {
            let mut insert = transaction.prepare_cached(INSERT).map_err(writing)?;
            for (row, body) in rows {
                if let Some(seq) = self.places.get(&row.id).or_else(|| added.get(&row.id)) {
                    join(&transaction, *seq, row).map_err(writing)?;
                    continue;
                }
                let seq = self.end + 1 + i64::try_from(added.len()).unwrap_or(i64::MAX);
                insert.execute(values(seq, row, body)).map_err(writing)?;
                added.insert(row.id, seq);
            }
        }
        transaction.commit().map_err(writing)?;
        self.end += i64::try_from(added.len()).unwrap_or(i64::MAX);
        self.places.extend(added);
        Ok(())
    }

    /// The position of the last fact.
    pub(super) fn end(&self) -> Option<Cursor> {
        u64::try_from(self.end).ok().filter(|end| *end > 0).map(Cursor::new)
    }

    pub(super) fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        let reading = |error| classify(&self.path, "reading", error);
        let page = page.max(1);
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT seq, id, source, run, observed, recorded, body, seal FROM fact WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )
            .map_err(reading)?;
        let after = after.map_or(0, |cursor| i64::try_from(cursor.position()).unwrap_or(i64::MAX));
        let limit = i64::try_from(page).unwrap_or(i64::MAX);
        let mut rows = select.query(params![after, limit]).map_err(reading)?;
        let mut facts = Vec::new();
        let mut last = None;
        while let Some(row) = rows.next().map_err(reading)? {
            let seq: i64 = row.get(0).map_err(reading)?;
            facts.push(self.fact(seq, row)?);
            last = u64::try_from(seq).ok().map(Cursor::new);
        }
        Ok(if facts.len() == page { Page::new(facts, last) } else { Page::ending(facts, last) })
    }

    pub(super) fn fact(&self, seq: i64, row: &rusqlite::Row<'_>) -> Result<Fact, StoreError> {
        let reading = |error| misread(&self.path, seq, error);
        let text = |index: usize| -> Result<&str, StoreError> {
            row.get_ref(index).map_err(reading)?.as_str().map_err(|error| reading(error.into()))
        };
        let stored = Stored {
            seq,
            id: row.get(1).map_err(reading)?,
            source: text(2)?,
            run: row.get(3).map_err(reading)?,
            observed: row.get(4).map_err(reading)?,
            recorded: row.get(5).map_err(reading)?,
            body: text(6)?,
        };
        let what = what(&self.path);
        let fact = stored.fact(&what)?;
        let sealed: i64 = row.get(7).map_err(reading)?;
        if sealed != seal(fact.id(), fact.run(), fact.observed(), fact.recorded()) {
            return Err(stored.corrupt(&what, "its times are not those it was stored with"));
        }
        Ok(fact)
    }

    pub(super) const fn horizon(&self) -> Option<Mark> {
        self.horizon
    }

    pub(super) fn describe(&self) -> Result<Description, StoreError> {
        let reading = |error| classify(&self.path, "reading", error);
        let size = |name: &str| -> Result<i64, StoreError> {
            self.connection.pragma_query_value(None, name, |row| row.get(0)).map_err(reading)
        };
        let pages = size("page_count")?.saturating_sub(size("freelist_count")?);
        let bytes = size("page_size")?.saturating_mul(pages);
        Ok(Description::new(what(&self.path), self.places.len() as u64, u64::try_from(bytes).ok()))
    }

    pub(super) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.connection.backup(MAIN_DB, to, None).map_err(|error| classify(to, "backing up into", error))
    }
}

/// Takes in what is known about a fact that is there: the earliest times stand.
fn join(transaction: &Connection, seq: i64, row: &Row) -> rusqlite::Result<()> {
    let mut select = transaction.prepare_cached("SELECT run, observed, recorded FROM fact WHERE seq = ?1")?;
    let (run, observed, recorded) = select.query_row([seq], |row| {
        let (run, observed, recorded): ([u8; 16], i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((RunId::from_bytes(run), Timestamp::from_micros(observed), Timestamp::from_micros(recorded)))
    })?;
    let earliest = (row.observed, row.run).min((observed, run));
    let learned = row.recorded.min(recorded);
    if (earliest, learned) == ((observed, run), recorded) {
        return Ok(());
    }
    let (observed, run) = earliest;
    transaction
        .prepare_cached("UPDATE fact SET run = ?2, observed = ?3, recorded = ?4, seal = ?5 WHERE seq = ?1")?
        .execute(params![
            seq,
            run.as_bytes(),
            observed.as_micros(),
            learned.as_micros(),
            seal(row.id, run, observed, learned)
        ])?;
    Ok(())
}

/// The values of a row, as [`INSERT`] wants them.
pub(super) fn values<'a>(seq: i64, row: &'a Row, body: &'a str) -> impl rusqlite::Params + use<'a> {
    let seal = seal(row.id, row.run, row.observed, row.recorded);
    (
        seq,
        row.id.as_bytes(),
        row.source.as_str(),
        *row.run.as_bytes(),
        row.observed.as_micros(),
        row.recorded.as_micros(),
        seal,
        body,
    )
}

/// What an error means that came with one row: SQLite's own are as everywhere, any other says that the row is not what was
/// stored.
fn misread(path: &Path, seq: i64, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(_) => classify(path, "reading", error),
        None => StoreError::Corrupt { what: what(path), why: format!("fact {seq}: {error}") },
    }
}

/// What an error of SQLite means for the caller.
pub(super) fn classify(path: &Path, doing: &'static str, error: rusqlite::Error) -> StoreError {
    let what = what(path);
    let code = error.sqlite_error_code();
    let source: BoxError = Box::new(error);
    match code {
        Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory) => {
            StoreError::Exhausted { what, source: Some(source) }
        }
        Some(ErrorCode::NotADatabase) => StoreError::Foreign { what, why: source.to_string() },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt { what, why: source.to_string() },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            StoreError::InUse { what }
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            StoreError::Open { what, source }
        }
        _ => StoreError::Unavailable { doing, what, source },
    }
}
