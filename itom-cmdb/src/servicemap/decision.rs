//! What people decided about a map. It outlives every discovery.

use std::collections::BTreeMap;

use itom_core::{CiId, RelationKind, Text, Timestamp};
use serde::{Deserialize, Serialize};

use crate::view::View;

/// Which way a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It belongs to the map, and what it needs.
    Include,
    /// It does not, nor what only it leads to.
    Exclude,
    /// Somebody looked and left it open: the rules decide, and it stays on the list.
    Undecided,
}

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// An item.
    Item(CiId),
    /// One relation: other ways between the two ends stay.
    Relation(RelationKind, CiId, CiId),
}

/// A decision of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Which way.
    pub verdict: Verdict,
    /// Who decided.
    pub owner: Text,
    /// Why.
    pub reason: Text,
    /// When.
    pub at: Timestamp,
}

/// Every decision about one map. Serialized as a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Decisions {
    all: BTreeMap<About, Decision>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    about: About,
    #[serde(flatten)]
    decision: Decision,
}

impl From<Vec<Entry>> for Decisions {
    /// Of two decisions about one thing the later one holds, whatever their order.
    fn from(entries: Vec<Entry>) -> Self {
        let mut decisions = Self::default();
        for Entry { about, decision } in entries {
            decisions.keep_later(about, decision);
        }
        decisions
    }
}

impl From<Decisions> for Vec<Entry> {
    fn from(decisions: Decisions) -> Self {
        decisions.all.into_iter().map(|(about, decision)| Entry { about, decision }).collect()
    }
}

impl Decisions {
    /// Decides. Gives the decision that this one replaces.
    pub fn decide(&mut self, about: About, decision: Decision) -> Option<Decision> {
        self.all.insert(about, decision)
    }

    /// Takes a decision back. Gives it.
    pub fn revoke(&mut self, about: &About) -> Option<Decision> {
        self.all.remove(about)
    }

    /// The decision about an item or a relation.
    #[must_use]
    pub fn get(&self, about: &About) -> Option<&Decision> {
        self.all.get(about)
    }

    /// Every decision, sorted by what it is about.
    pub fn iter(&self) -> impl Iterator<Item = (&About, &Decision)> {
        self.all.iter()
    }

    /// The same decisions about what the items are called now: ids of merged items lead to what they were merged into.
    /// When two decisions come to be about one thing, the later one holds.
    #[must_use]
    pub fn follow(&self, view: &View) -> Self {
        let now = |ci: CiId| view.current(ci).unwrap_or(ci);
        let mut followed = Self::default();
        for (about, decision) in &self.all {
            let about = match about {
                About::Item(ci) => About::Item(now(*ci)),
                About::Relation(kind, from, to) => About::Relation(kind.clone(), now(*from), now(*to)),
            };
            followed.keep_later(about, decision.clone());
        }
        followed
    }

    fn keep_later(&mut self, about: About, decision: Decision) {
        let rank = |decision: &Decision| {
            (decision.at, decision.verdict, decision.owner.clone(), decision.reason.clone())
        };
        match self.all.get(&about) {
            Some(known) if rank(known) >= rank(&decision) => {}
            _ => drop(self.all.insert(about, decision)),
        }
    }

    pub(super) fn verdict(&self, about: &About) -> Option<Verdict> {
        self.all.get(about).map(|decision| decision.verdict)
    }
}
