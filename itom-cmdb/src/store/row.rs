//! Facts as rows: encoded by whoever appends, so that the one who writes only writes.

#[cfg(feature = "postgres")]
use hashbrown::HashMap;
use itom_core::{RunId, SourceName, Timestamp};

use super::StoreError;
use crate::fact::{Fact, FactBody, FactId};

/// A fact but for its body.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: FactId,
    pub(super) source: SourceName,
    pub(super) run: RunId,
    pub(super) observed: Timestamp,
    pub(super) recorded: Timestamp,
    /// Where its body ends.
    end: usize,
}

/// Rows with the bodies of all of them in one text.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    bodies: String,
    rows: Vec<Row>,
}

impl Rows {
    /// Encodes facts for the store `what`.
    pub(super) fn of(facts: &[Fact], what: &str) -> Result<Self, StoreError> {
        let mut bodies = Vec::with_capacity(facts.len() * 512);
        let mut rows = Vec::with_capacity(facts.len());
        let failed =
            |source| StoreError::Unavailable { doing: "encoding a fact for", what: what.to_owned(), source };
        for fact in facts {
            serde_json::to_writer(&mut bodies, fact.body()).map_err(|error| failed(error.into()))?;
            rows.push(Row {
                id: fact.id(),
                source: fact.source().clone(),
                run: fact.run(),
                observed: fact.observed(),
                recorded: fact.recorded(),
                end: bodies.len(),
            });
        }
        let bodies = String::from_utf8(bodies).map_err(|error| failed(error.into()))?;
        Ok(Self { bodies, rows })
    }

    #[cfg(feature = "sqlite")]
    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    #[cfg(feature = "postgres")]
    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Each row with its body.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Row, &str)> {
        let starts = std::iter::once(0).chain(self.rows.iter().map(|row| row.end));
        self.rows.iter().zip(starts).map(|(row, start)| (row, self.bodies.get(start..row.end).unwrap_or("")))
    }

    /// Each fact once, in the order of first mention, with its earliest times: one statement of a server must not name
    /// a row twice.
    #[cfg(feature = "postgres")]
    pub(super) fn joined(&self) -> Vec<(Row, &str)> {
        // Only looked up: the order comes from the list.
        let mut places: HashMap<FactId, usize> = HashMap::with_capacity(self.rows.len());
        let mut joined: Vec<(Row, &str)> = Vec::with_capacity(self.rows.len());
        for (row, body) in self.iter() {
            match places.get(&row.id).and_then(|place| joined.get_mut(*place)) {
                Some((known, _)) => {
                    known.recorded = known.recorded.min(row.recorded);
                    (known.observed, known.run) = (known.observed, known.run).min((row.observed, row.run));
                }
                None => {
                    places.insert(row.id, joined.len());
                    joined.push((row.clone(), body));
                }
            }
        }
        joined
    }
}

/// What was read back at a position.
pub(super) struct Stored<'a> {
    pub(super) seq: i64,
    pub(super) id: [u8; 16],
    pub(super) source: &'a str,
    pub(super) run: [u8; 16],
    pub(super) observed: i64,
    pub(super) recorded: i64,
    pub(super) body: &'a str,
}

impl Stored<'_> {
    /// The fact, if it is the one that its address names.
    pub(super) fn fact(&self, what: &str) -> Result<Fact, StoreError> {
        let source =
            SourceName::new(self.source.to_owned()).map_err(|error| self.corrupt(what, error.to_string()))?;
        let body: FactBody =
            serde_json::from_str(self.body).map_err(|error| self.corrupt(what, self.unread(&error)))?;
        let fact = Fact::new(
            source,
            RunId::from_bytes(self.run),
            Timestamp::from_micros(self.observed),
            Timestamp::from_micros(self.recorded),
            body,
        );
        if fact.id() == FactId::from_bytes(self.id) {
            return Ok(fact);
        }
        Err(self.corrupt(what, format!("its content has address {}, not the stored one", fact.id())))
    }

    /// Why a body cannot be read: damage, or a kind of fact that this version does not know.
    fn unread(&self, error: &serde_json::Error) -> String {
        let whole: Result<serde_json::Value, _> = serde_json::from_str(self.body);
        let kind = whole.ok().and_then(|body| body.as_object()?.keys().next().cloned());
        match kind {
            Some(kind) if error.to_string().starts_with("unknown variant") => {
                format!(
                    "it says `{kind}`, which this version does not know; if a newer version wrote it, use that"
                )
            }
            _ => error.to_string(),
        }
    }

    /// The error of a row that is not what was stored.
    pub(super) fn corrupt(&self, what: &str, why: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt { what: what.to_owned(), why: format!("fact {}: {why}", self.seq) }
    }
}
