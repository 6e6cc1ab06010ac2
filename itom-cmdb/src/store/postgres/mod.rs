//! The shared durable store: facts of several engines in one PostgreSQL database.

mod compaction;
mod database;
mod driver;
mod tail;
mod tls;

use async_trait::async_trait;
use futures::stream::BoxStream;
use itom_core::Secret;

use super::desk::Desk;
use super::{Compacted, Compaction, Cursor, Description, Page, Store, StoreError};
use crate::fact::Fact;
use crate::history::Mark;
use driver::Nothing;

/// How many requests may wait for the driver.
const QUEUE: usize = 64;

/// Facts in a PostgreSQL database (12 or newer), shared by any number of engines.
///
/// Appends of several processes are serialized by an advisory lock that is held until their commit is visible, so that
/// positions become visible in their order: whoever reads on from a cursor never skips a fact. A known fact keeps its
/// earliest times. Each append is one transaction; a connection that broke is made anew by the next request.
///
/// One task of the tokio runtime that [`connect`](Self::connect) runs on serves the store. Tables are `itom_fact`,
/// `itom_store` and `itom_horizon` in the first schema of the search path.
///
/// TLS is what `sslmode` in the connection string says, as in libpq: `disable`, `prefer` (the default: encrypted if the
/// server offers it), `require`, `verify-ca`, `verify-full`. Only the last two know who answers: use `verify-full` beyond
/// one machine. `sslrootcert` names the PEM file of the certificates that are trusted; without it, or with `system`,
/// `verify-full` trusts what the operating system trusts. A Unix socket is never encrypted. Channel binding is not offered.
///
/// ```no_run
/// # async fn run() -> Result<(), itom_cmdb::store::StoreError> {
/// use itom_cmdb::store::{PostgresStore, Store as _};
/// use itom_core::Secret;
/// let store = PostgresStore::connect(&Secret::new("host=/run/postgresql user=itom dbname=itom".into())).await?;
/// store.append(&[]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PostgresStore {
    place: database::Place,
    desk: Desk<Nothing>,
}

impl PostgresStore {
    /// Connects, and makes or migrates the tables. `url` is a connection string of libpq (`host=… user=… dbname=…`, or
    /// `postgres://…`); it is never shown.
    ///
    /// # Errors
    /// [`StoreError::Open`] when the database cannot be reached, refuses, or there is no tokio runtime;
    /// [`StoreError::Newer`] when a newer version made the tables.
    pub async fn connect(url: &Secret) -> Result<Self, StoreError> {
        let place = database::Place::new(url)?;
        let database = database::Database::open(&place).await?;
        let (desk, queue) = Desk::open(place.what(), QUEUE);
        tokio::spawn(driver::run(place.clone(), database, queue));
        Ok(Self { place, desk })
    }

    /// Facts as they come, from a position on: those that are there, then those that any process appends, in the order
    /// of their positions, each once, none skipped. Pages are at most `page` facts. It ends with an error when the
    /// connection breaks; go on from the last page's cursor.
    ///
    /// # Errors
    /// [`StoreError::Open`] when the database cannot be reached.
    pub async fn tail(
        &self,
        after: Option<Cursor>,
        page: usize,
    ) -> Result<BoxStream<'static, Result<Page, StoreError>>, StoreError> {
        tail::open(&self.place, after, page).await
    }
}

#[async_trait]
impl Store for PostgresStore {
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

    async fn flush(&self) -> Result<(), StoreError> {
        self.desk.flush().await
    }
}
