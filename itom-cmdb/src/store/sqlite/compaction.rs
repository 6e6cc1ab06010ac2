//! Compaction of the file: one transaction, so that a crash leaves either form.

use rusqlite::params;

use super::file::{File, classify, values};
use super::format::INSERT;
use super::what;
use crate::store::row::Rows;
use crate::store::{Compacted, Compaction, StoreError};

/// Facts read at once while a plan is checked.
const PAGE: usize = 4096;

impl File {
    pub(super) fn compact(&mut self, plan: &Compaction) -> Result<Compacted, StoreError> {
        let name = what(&self.path);
        let mut after = plan.checked_after();
        while after.is_some() {
            let page = self.load(after, PAGE)?;
            plan.check(&name, &page.facts)?;
            after = page.next;
        }
        let place = |id| self.places.get(&id).and_then(|seq| u64::try_from(*seq).ok());
        let layout = plan.lay_out(place, self.horizon);
        if layout.dropped.is_empty() && layout.landings.is_empty() {
            return Ok(Compacted::default());
        }
        let path = self.path.clone();
        let failed = |error| classify(&path, "compacting", error);
        let sum: Vec<_> = layout.landings.iter().map(|landing| landing.checkpoint.clone()).collect();
        let rows = Rows::of(&sum, &name)?;
        let position = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
        // Dropping it without a commit rolls it back.
        let transaction = self.connection.transaction().map_err(failed)?;
        {
            let mut delete = transaction.prepare_cached("DELETE FROM fact WHERE seq = ?1").map_err(failed)?;
            for (_, at) in &layout.dropped {
                delete.execute([position(*at)]).map_err(failed)?;
            }
            let mut insert = transaction.prepare_cached(INSERT).map_err(failed)?;
            for (landing, (row, body)) in layout.landings.iter().zip(rows.iter()) {
                insert.execute(values(position(landing.at), row, body)).map_err(failed)?;
            }
            let horizon = params![position(layout.horizon.position), layout.horizon.at.as_micros()];
            transaction
                .execute("INSERT OR REPLACE INTO horizon (one, position, at) VALUES (1, ?1, ?2)", horizon)
                .map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        for (id, _) in &layout.dropped {
            self.places.remove(id);
        }
        for landing in &layout.landings {
            self.places.insert(landing.checkpoint.id(), position(landing.at));
        }
        self.horizon = Some(layout.horizon);
        self.shrink();
        Ok(Compacted::new(layout.dropped.len() as u64, layout.landings.len() as u64))
    }

    /// Gives room back to the file system when most of the file is empty. What cannot be given back now is used by later
    /// appends, so that an error is none.
    fn shrink(&self) {
        let size = |name: &str| -> i64 {
            self.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap_or(0)
        };
        if size("freelist_count") > size("page_count") / 2 {
            let _ = self.connection.execute_batch("VACUUM");
        }
    }
}
