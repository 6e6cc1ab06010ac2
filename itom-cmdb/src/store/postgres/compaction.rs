//! Compaction of the shared tables: under the lock of appends, in one transaction.

use std::collections::BTreeMap;

use itom_core::Timestamp;
use tokio_postgres::{Client, Transaction};

use super::database::{Database, LOCK, SELECT, classify, fact};
use crate::fact::{Fact, FactId};
use crate::history::Mark;
use crate::store::row::Rows;
use crate::store::{Compacted, Compaction, StoreError};

const HORIZON: &str = "SELECT position, at FROM itom_horizon";

/// How many facts of others are looked at together.
const PAGE: i64 = 4_096;

const INSERT: &str = "
INSERT INTO itom_fact (seq, id, source, run, observed, recorded, body) OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, $4, $5, $6, $7)
";

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn unsigned(position: i64) -> u64 {
    u64::try_from(position).unwrap_or(0)
}

impl Database {
    pub(super) async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        let reading = |error| classify(&self.what, "reading", error);
        let client: &Client = &self.client;
        let row = client.query_opt(HORIZON, &[]).await.map_err(reading)?;
        row.map(|row| mark(&row)).transpose().map_err(reading)
    }

    pub(super) async fn compact(&mut self, plan: &Compaction) -> Result<Compacted, StoreError> {
        let what = self.what.clone();
        let failed = |error| classify(&what, "compacting", error);
        // Dropping it without a commit rolls it back.
        let transaction = self.client.transaction().await.map_err(failed)?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
        if let Some(after) = plan.checked_after() {
            let mut after = signed(after.position());
            loop {
                let rows = transaction.query(SELECT, &[&after, &PAGE]).await.map_err(failed)?;
                let facts: Vec<(i64, Fact)> =
                    rows.iter().map(|row| fact(&what, row)).collect::<Result<_, StoreError>>()?;
                let Some((last, _)) = facts.last() else { break };
                after = *last;
                let facts: Vec<Fact> = facts.into_iter().map(|(_, fact)| fact).collect();
                plan.check(&what, &facts)?;
            }
        }
        let before = transaction.query_opt(HORIZON, &[]).await.map_err(failed)?;
        let before = before.map(|row| mark(&row)).transpose().map_err(failed)?;
        let places = places(&transaction, plan).await.map_err(failed)?;
        let layout = plan.lay_out(|id| places.get(&id).copied(), before);
        if layout.dropped.is_empty() && layout.landings.is_empty() {
            return Ok(Compacted::default());
        }
        let dropped: Vec<i64> = layout.dropped.iter().map(|(_, at)| signed(*at)).collect();
        transaction
            .execute("DELETE FROM itom_fact WHERE seq = ANY($1)", &[&dropped])
            .await
            .map_err(failed)?;
        let sums: Vec<Fact> = layout.landings.iter().map(|landing| landing.checkpoint.clone()).collect();
        let rows = Rows::of(&sums, &what)?;
        for (landing, (row, body)) in layout.landings.iter().zip(rows.iter()) {
            transaction
                .execute(
                    INSERT,
                    &[
                        &signed(landing.at),
                        &&row.id.as_bytes()[..],
                        &row.source.as_str(),
                        &&row.run.as_bytes()[..],
                        &row.observed.as_micros(),
                        &row.recorded.as_micros(),
                        &body,
                    ],
                )
                .await
                .map_err(failed)?;
        }
        transaction
            .execute(
                "INSERT INTO itom_horizon (one, position, at) VALUES (1, $1, $2)
                ON CONFLICT (one) DO UPDATE SET position = excluded.position, at = excluded.at",
                &[&signed(layout.horizon.position), &layout.horizon.at.as_micros()],
            )
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Compacted::new(layout.dropped.len() as u64, layout.landings.len() as u64))
    }
}

fn mark(row: &tokio_postgres::Row) -> Result<Mark, tokio_postgres::Error> {
    let (position, at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Mark::new(unsigned(position), Timestamp::from_micros(at)))
}

/// Where the facts of a plan are.
async fn places(
    transaction: &Transaction<'_>,
    plan: &Compaction,
) -> Result<BTreeMap<FactId, u64>, tokio_postgres::Error> {
    let named: Vec<FactId> = plan.named().collect();
    let ids: Vec<&[u8]> = named.iter().map(|id| &id.as_bytes()[..]).collect();
    let rows = transaction.query("SELECT id, seq FROM itom_fact WHERE id = ANY($1)", &[&ids]).await?;
    let mut places = BTreeMap::new();
    for row in &rows {
        let (id, seq): (&[u8], i64) = (row.try_get(0)?, row.try_get(1)?);
        if let Ok(id) = id.try_into() {
            places.insert(FactId::from_bytes(id), unsigned(seq));
        }
    }
    Ok(places)
}
