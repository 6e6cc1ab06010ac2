//! The database: its tables, its statements, and what its errors mean.

use itom_core::{BoxError, Secret};
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Connection, Row as SqlRow, Socket};

use super::tls;
use crate::fact::Fact;
use crate::store::row::{Row, Rows, Stored};
use crate::store::{Cursor, Description, Page, StoreError};

/// The format this version writes.
const FORMAT: i32 = 2;

/// Where new facts are told.
pub(super) const CHANNEL: &str = "itom_fact";

/// `itomfact`: the advisory lock that appends and migrations hold.
pub(super) const LOCK: i64 = 0x6974_6f6d_6661_6374;

/// What leads from each format to the next; the first makes everything.
const MIGRATIONS: [&str; FORMAT as usize] = [
    "
CREATE TABLE itom_store (format integer NOT NULL);
INSERT INTO itom_store VALUES (0);
CREATE TABLE itom_fact (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       bytea NOT NULL UNIQUE,
    source   text NOT NULL,
    run      bytea NOT NULL,
    observed bigint NOT NULL,
    recorded bigint NOT NULL,
    body     text NOT NULL
);
",
    "
CREATE TABLE itom_horizon (
    one      integer PRIMARY KEY CHECK (one = 1),
    position bigint NOT NULL,
    at       bigint NOT NULL
);
",
];

/// `greatest` leaves out what is NULL.
const END: &str = "SELECT greatest((SELECT max(seq) FROM itom_fact), (SELECT position FROM itom_horizon))";

const INSERT: &str = "
INSERT INTO itom_fact AS own (id, source, run, observed, recorded, body)
SELECT id, source, run, observed, recorded, body
FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::text[]) WITH ORDINALITY
    AS new (id, source, run, observed, recorded, body, place)
ORDER BY place
ON CONFLICT (id) DO UPDATE SET
    run = CASE WHEN (excluded.observed, excluded.run) < (own.observed, own.run)
        THEN excluded.run ELSE own.run END,
    observed = least(own.observed, excluded.observed),
    recorded = least(own.recorded, excluded.recorded)
WHERE excluded.recorded < own.recorded OR (excluded.observed, excluded.run) < (own.observed, own.run)
";

pub(super) const SELECT: &str = "
SELECT seq, id, source, run, observed, recorded, body FROM itom_fact WHERE seq > $1 ORDER BY seq LIMIT $2
";

/// How to get there. Its `Debug` shows no password.
#[derive(Clone)]
pub(super) struct Place {
    config: Config,
    tls: tls::Connector,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what())
    }
}

impl Place {
    pub(super) fn new(url: &Secret) -> Result<Self, StoreError> {
        // The reason of the parser may quote the text, so it is not handed on.
        let unreadable = |why: &str| StoreError::Open {
            what: "a PostgreSQL store".into(),
            source: format!("the connection string cannot be read: {why}").into(),
        };
        let (rest, mut wanted) = tls::split(url.expose()).map_err(|why| unreadable(&why))?;
        let mut config: Config = rest.parse().map_err(|_: tokio_postgres::Error| {
            unreadable("it wants key=value pairs or a postgres:// URL")
        })?;
        let is_local = |host: &Host| !matches!(host, Host::Tcp(_));
        if !config.get_hosts().is_empty() && config.get_hosts().iter().all(is_local) {
            wanted.mode = tls::Mode::Disable;
        }
        config.ssl_mode(wanted.driver_mode());
        if config.get_application_name().is_none() {
            config.application_name("itom-cmdb");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(std::time::Duration::from_secs(10));
        }
        if config.get_tcp_user_timeout().is_none() {
            // A server that is cut off in the middle of a write is noticed.
            config.tcp_user_timeout(std::time::Duration::from_secs(30));
        }
        let mut place = Self { config, tls: tls::Connector::default() };
        let what = place.what();
        place.tls = wanted.connector().map_err(|source| StoreError::Open { what, source })?;
        Ok(place)
    }

    pub(super) fn what(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".into(),
        };
        let port = self.config.get_ports().first().map_or_else(String::new, |port| format!(":{port}"));
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres");
        format!("the PostgreSQL store {host}{port}/{database}")
    }
}

pub(super) struct Database {
    pub(super) what: String,
    pub(super) client: Client,
}

impl Database {
    /// Connects; the connection is served by a task of its own.
    pub(super) async fn open(place: &Place) -> Result<Self, StoreError> {
        Self::open_with(place, |connection| {
            tokio::spawn(async move {
                // Its end is seen by the next request, as a closed client.
                let _ = connection.await;
            });
        })
        .await
    }

    pub(super) async fn open_with(
        place: &Place,
        serve: impl FnOnce(Connection<Socket, tls::Encrypted<Socket>>),
    ) -> Result<Self, StoreError> {
        let what = place.what();
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(StoreError::Open { what, source: "it needs a tokio runtime".into() });
        }
        let opened = place.config.connect(place.tls.clone()).await;
        let (client, connection) =
            opened.map_err(|error| StoreError::Open { what: what.clone(), source: error.into() })?;
        serve(connection);
        let mut database = Self { what, client };
        database.migrate().await?;
        Ok(database)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The error of a connection that broke while nothing was asked.
    pub(super) fn lost(&self) -> StoreError {
        StoreError::Unavailable {
            doing: "listening to",
            what: self.what.clone(),
            source: "the connection was closed".into(),
        }
    }

    pub(super) async fn run(&self, sql: &str, doing: &'static str) -> Result<(), StoreError> {
        self.client.batch_execute(sql).await.map_err(|error| self.classify(doing, error))
    }

    async fn migrate(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "preparing the tables of";
        let what = self.what.clone();
        let failed = |error| classify(&what, DOING, error);
        let transaction = self.client.transaction().await.map_err(failed)?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
        let there: bool = transaction
            .query_one("SELECT to_regclass('itom_store') IS NOT NULL", &[])
            .await
            .map_err(failed)?
            .get(0);
        let found: i32 = if there {
            transaction.query_one("SELECT format FROM itom_store", &[]).await.map_err(failed)?.get(0)
        } else {
            0
        };
        if found > FORMAT {
            return Err(StoreError::Newer { what, found: found.into(), known: FORMAT.into() });
        }
        let done = usize::try_from(found).unwrap_or(0);
        if done == MIGRATIONS.len() {
            return Ok(());
        }
        for step in MIGRATIONS.iter().skip(done) {
            transaction.batch_execute(step).await.map_err(failed)?;
        }
        transaction.execute("UPDATE itom_store SET format = $1", &[&FORMAT]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    pub(super) async fn append(&mut self, rows: &Rows) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        // One statement cannot touch a row twice: repeats are joined first, the order of first mention is kept.
        let joined = rows.joined();
        let columns = Columns::of(&joined);
        let what = self.what.clone();
        let failed = |error| classify(&what, "writing to", error);
        // Dropping it without a commit rolls it back.
        let transaction = self.client.transaction().await.map_err(failed)?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
        let insert = transaction.prepare(INSERT).await.map_err(failed)?;
        transaction
            .execute(
                &insert,
                &[
                    &columns.ids,
                    &columns.sources,
                    &columns.runs,
                    &columns.observed,
                    &columns.recorded,
                    &columns.bodies,
                ],
            )
            .await
            .map_err(failed)?;
        transaction.execute("SELECT pg_notify($1, '')", &[&CHANNEL]).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    pub(super) async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        let page = page.max(1);
        let after = after.map_or(0, |cursor| i64::try_from(cursor.position()).unwrap_or(i64::MAX));
        let limit = i64::try_from(page).unwrap_or(i64::MAX);
        let rows = self
            .client
            .query(SELECT, &[&after, &limit])
            .await
            .map_err(|error| self.classify("reading", error))?;
        let mut facts = Vec::with_capacity(rows.len());
        let mut last = None;
        for row in &rows {
            let (seq, fact) = fact(&self.what, row)?;
            facts.push(fact);
            last = u64::try_from(seq).ok().map(Cursor::new);
        }
        Ok(if facts.len() == page { Page::new(facts, last) } else { Page::ending(facts, last) })
    }

    /// The last position that was given out; the fact there may have been compacted away.
    pub(super) async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        let row = self.client.query_one(END, &[]).await;
        let row = row.map_err(|error| self.classify("reading", error))?;
        let end: Option<i64> = row.try_get(0).map_err(|error| self.classify("reading", error))?;
        Ok(end.and_then(|end| u64::try_from(end).ok()).map(Cursor::new))
    }

    pub(super) async fn describe(&self) -> Result<Description, StoreError> {
        let sql = "SELECT count(*), pg_total_relation_size('itom_fact') FROM itom_fact";
        let row = self.client.query_one(sql, &[]).await.map_err(|error| self.classify("reading", error))?;
        let number = |index: usize| -> Result<u64, StoreError> {
            let number: i64 = row.try_get(index).map_err(|error| self.classify("reading", error))?;
            Ok(u64::try_from(number).unwrap_or(0))
        };
        Ok(Description::new(self.what.clone(), number(0)?, Some(number(1)?)))
    }

    fn classify(&self, doing: &'static str, error: tokio_postgres::Error) -> StoreError {
        classify(&self.what, doing, error)
    }
}

/// The columns of rows.
struct Columns<'a> {
    ids: Vec<&'a [u8]>,
    sources: Vec<&'a str>,
    runs: Vec<&'a [u8]>,
    observed: Vec<i64>,
    recorded: Vec<i64>,
    bodies: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a [(Row, &'a str)]) -> Self {
        Self {
            ids: rows.iter().map(|(row, _)| &row.id.as_bytes()[..]).collect(),
            sources: rows.iter().map(|(row, _)| row.source.as_str()).collect(),
            runs: rows.iter().map(|(row, _)| &row.run.as_bytes()[..]).collect(),
            observed: rows.iter().map(|(row, _)| row.observed.as_micros()).collect(),
            recorded: rows.iter().map(|(row, _)| row.recorded.as_micros()).collect(),
            bodies: rows.iter().map(|(_, body)| *body).collect(),
        }
    }
}

/// The fact of a row of [`SELECT`], and its position.
pub(super) fn fact(what: &str, row: &SqlRow) -> Result<(i64, Fact), StoreError> {
    let reading = |error| classify(what, "reading", error);
    let mut stored = Stored {
        seq: row.try_get(0).map_err(reading)?,
        id: [0; 16],
        source: row.try_get(2).map_err(reading)?,
        run: [0; 16],
        observed: row.try_get(4).map_err(reading)?,
        recorded: row.try_get(5).map_err(reading)?,
        body: row.try_get(6).map_err(reading)?,
    };
    for (index, run) in [(1, false), (3, true)] {
        let bytes: &[u8] = row.try_get(index).map_err(reading)?;
        let bytes: [u8; 16] =
            bytes.try_into().map_err(|_| stored.corrupt(what, format!("an id of {} bytes", bytes.len())))?;
        *(if run { &mut stored.run } else { &mut stored.id }) = bytes;
    }
    Ok((stored.seq, stored.fact(what)?))
}

/// What an error of PostgreSQL means for the caller.
pub(super) fn classify(what: &str, doing: &'static str, error: tokio_postgres::Error) -> StoreError {
    let what = what.to_owned();
    let code = error.code().cloned();
    let source: BoxError = Box::new(error);
    match code {
        Some(code) if code == SqlState::DISK_FULL || code == SqlState::OUT_OF_MEMORY => {
            StoreError::Exhausted { what, source: Some(source) }
        }
        Some(code) if code == SqlState::DATA_CORRUPTED || code == SqlState::INDEX_CORRUPTED => {
            StoreError::Corrupt { what, why: source.to_string() }
        }
        Some(code)
            if code == SqlState::INSUFFICIENT_PRIVILEGE || code == SqlState::READ_ONLY_SQL_TRANSACTION =>
        {
            StoreError::Open { what, source }
        }
        // `statement_timeout` and `lock_timeout`, which the connection string can set.
        Some(code) if code == SqlState::QUERY_CANCELED || code == SqlState::LOCK_NOT_AVAILABLE => {
            StoreError::TimedOut { doing, what, source: Some(source) }
        }
        _ => StoreError::Unavailable { doing, what, source },
    }
}
