//! The estate in the file, opened.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use itom::cmdb::Cmdb;
use itom::cmdb::graph::RelationGraph;
use itom::cmdb::ruleset::RuleSet;
use itom::cmdb::store::{SqliteStore, Store};
use itom::cmdb::view::{Ci, View};
use itom::core::{CiId, Clock as _, SystemClock, Timestamp};
use itom_examples::names;

/// Facts read at once.
const PAGE: usize = 10_000;

/// The wall clock, read once a run.
pub(crate) fn now() -> Timestamp {
    SystemClock::new().now()
}

/// Everything that is derived from the facts of a file.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) cmdb: Cmdb,
    pub(crate) view: View,
    pub(crate) graph: RelationGraph,
    pub(crate) rules: RuleSet,
    pub(crate) now: Timestamp,
}

/// The facts of a file, as a database.
pub(crate) async fn load(
    store: &SqliteStore,
    rules: &RuleSet,
    now: Timestamp,
) -> Result<Cmdb, Box<dyn Error>> {
    let mut cmdb = Cmdb::new(rules.into());
    let mut after = None;
    loop {
        let page = store.load(after, PAGE).await?;
        cmdb.ingest(page.facts);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    cmdb.expire(now);
    Ok(cmdb)
}

impl Estate {
    pub(crate) async fn open(file: &Path, rules: RuleSet, now: Timestamp) -> Result<Self, Box<dyn Error>> {
        if !file.exists() {
            return Err(format!(
                "there is no file {}; make it with `discover` or `import`, or name another with --db",
                file.display()
            )
            .into());
        }
        let store = SqliteStore::open(file)?;
        Self::of(load(&store, &rules, now).await?, rules, now)
    }

    fn of(cmdb: Cmdb, rules: RuleSet, now: Timestamp) -> Result<Self, Box<dyn Error>> {
        let view = cmdb.view();
        let graph = view.graph(rules.relation_model())?;
        Ok(Self { cmdb, view, graph, rules, now })
    }

    /// As it was at `valid`, as known at `recorded`.
    pub(crate) fn at(&self, valid: Timestamp, recorded: Timestamp) -> Result<Self, Box<dyn Error>> {
        Self::of(self.cmdb.at(valid, recorded), self.rules.clone(), valid.min(recorded))
    }

    pub(crate) fn name(&self, id: CiId) -> String {
        names::name_of(&self.view, id).to_string()
    }

    /// The one item that is meant: by id, by a unique beginning of an id of eight characters or more, by name.
    pub(crate) fn find(&self, wanted: &str) -> Result<&Ci, String> {
        let lower = wanted.to_lowercase();
        let named = |ci: &&Ci| names::name(ci).to_lowercase() == lower;
        let mut found: Vec<&Ci> = self.view.cis().filter(named).collect();
        if found.len() > 1 {
            // What is there, and described, is meant before what was there or is only referred to.
            let there: Vec<&Ci> =
                found.iter().copied().filter(|ci| ci.state().is_active() && !ci.is_loose_end()).collect();
            if !there.is_empty() {
                found = there;
            }
        }
        if found.is_empty() && lower.len() >= 8 {
            found = self.view.cis().filter(|ci| ci.id().to_string().starts_with(&lower)).collect();
        }
        match found.as_slice() {
            [one] => Ok(one),
            [] => {
                let near: BTreeSet<String> = self
                    .view
                    .cis()
                    .map(|ci| names::name(ci).to_string())
                    .filter(|name| name.to_lowercase().contains(&lower))
                    .collect();
                let near: Vec<String> = near.into_iter().take(5).collect();
                let hint =
                    if near.is_empty() { String::new() } else { format!("; near: {}", near.join(", ")) };
                Err(format!("no item is called `{wanted}`{hint}"))
            }
            several => {
                let ids: Vec<String> = several
                    .iter()
                    .take(8)
                    .map(|ci| format!("{} ({}, on {})", ci.id(), ci.kind(), self.place(ci)))
                    .collect();
                Err(format!("{} items are called `{wanted}`; give an id: {}", several.len(), ids.join(", ")))
            }
        }
    }

    /// What an item is part of or runs on, in words, to tell it from others of its name.
    fn place(&self, ci: &Ci) -> String {
        let other = self.view.relations_of(ci.id()).find_map(|edge| {
            let up = if edge.kind == itom::core::relation::CONTAINS {
                edge.to == ci.id()
            } else {
                edge.from == ci.id()
            };
            up.then(|| if edge.from == ci.id() { edge.to } else { edge.from })
        });
        other.map_or_else(|| "nothing".to_owned(), |id| self.name(id))
    }
}
