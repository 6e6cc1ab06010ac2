//! The form of the file, and what leads from each older one to it.

use itom_core::{RunId, StableHasher, Timestamp};
use rusqlite::{Connection, params};

use crate::fact::FactId;
use crate::history::Mark;

/// The format this version writes. 1 had an index of addresses and no seal; 2 knew no compaction, 3 no
/// snapshots.
pub(super) const FORMAT: i64 = 4;

/// Facts in the order of their appending. There is no index of addresses: the file has one user, who keeps the addresses
/// in memory, so that an append touches the end of the file only and not a random page per fact.
const TABLE: &str = "
CREATE TABLE fact (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL,
    source   TEXT NOT NULL,
    run      BLOB NOT NULL,
    observed INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    seal     INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;
";

/// At most one row: the position and the time before which states were compacted away.
const HORIZON: &str = "
CREATE TABLE horizon (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL,
    at       INTEGER NOT NULL
) STRICT;
";

/// At most one row: what was kept beside the facts so that opening is quick.
const SNAPSHOT: &str = "
CREATE TABLE snapshot (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    body BLOB NOT NULL
) STRICT;
";

pub(super) const INSERT: &str = "INSERT INTO fact (seq, id, source, run, observed, recorded, seal, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// A sum over what the address of a fact does not cover: the address checks the content, this the times.
pub(super) fn seal(id: FactId, run: RunId, observed: Timestamp, recorded: Timestamp) -> i64 {
    let mut hasher = StableHasher::new();
    hasher.bytes(id.as_bytes());
    hasher.bytes(run.as_bytes());
    hasher.int(observed.as_micros());
    hasher.int(recorded.as_micros());
    hasher.finish() as i64
}

/// Makes the tables of a new file.
pub(super) fn create(connection: &Connection, application: i64) -> rusqlite::Result<()> {
    let marks = format!("PRAGMA application_id = {application}; PRAGMA user_version = {FORMAT};");
    connection.execute_batch(&format!("BEGIN EXCLUSIVE; {TABLE} {HORIZON} {SNAPSHOT} {marks} COMMIT;"))
}

/// Leads an older file to this format, in one transaction: a crash leaves the old one.
pub(super) fn migrate(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    if from < 2 {
        seal_all(&transaction)?;
    }
    let horizon = if from < 3 { HORIZON } else { "" };
    transaction.execute_batch(&format!("{horizon} {SNAPSHOT} PRAGMA user_version = {FORMAT};"))?;
    transaction.commit()
}

/// The horizon of compaction, if there was one.
pub(super) fn horizon(connection: &Connection) -> rusqlite::Result<Option<Mark>> {
    let mut select = connection.prepare("SELECT position, at FROM horizon")?;
    let mut rows = select.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (position, at): (i64, i64) = (row.get(0)?, row.get(1)?);
    Ok(Some(Mark::new(u64::try_from(position).unwrap_or(0), Timestamp::from_micros(at))))
}

/// From the first format to the second.
fn seal_all(transaction: &Connection) -> rusqlite::Result<()> {
    transaction.execute_batch("ALTER TABLE fact RENAME TO fact_1;")?;
    transaction.execute_batch(TABLE)?;
    {
        let mut insert = transaction.prepare(INSERT)?;
        let mut select = transaction
            .prepare("SELECT seq, id, source, run, observed, recorded, body FROM fact_1 ORDER BY seq")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (id, run): ([u8; 16], [u8; 16]) = (row.get(1)?, row.get(3)?);
            let (observed, recorded): (i64, i64) = (row.get(4)?, row.get(5)?);
            let seal = seal(
                FactId::from_bytes(id),
                RunId::from_bytes(run),
                Timestamp::from_micros(observed),
                Timestamp::from_micros(recorded),
            );
            let (seq, source, body): (i64, String, String) = (row.get(0)?, row.get(2)?, row.get(6)?);
            insert.execute(params![seq, id, source, run, observed, recorded, seal, body])?;
        }
    }
    transaction.execute_batch("DROP TABLE fact_1;")
}
