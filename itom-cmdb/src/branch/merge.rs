//! Three-way merging, slot by slot.

use std::collections::BTreeMap;

use itom_core::{CiId, Text};
use serde::{Deserialize, Serialize};

use super::{Branch, Content, Edit, Slot, state};
use crate::view::View;

/// Why two sides do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConflictKind {
    /// Both changed the slot, differently.
    Both,
    /// One side fills the slot, the other took away an item that it needs.
    Missing(CiId),
}

/// A slot about which a person must decide. Ours stays until then.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Conflict {
    /// The slot.
    pub slot: Slot,
    /// Why.
    pub kind: ConflictKind,
    /// What was there before either side changed it, as the merged branch knew it.
    pub base: Option<Content>,
    /// What we have.
    pub ours: Option<Content>,
    /// What they have.
    pub theirs: Option<Content>,
}

/// Two branches in one.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use]
pub struct Merged {
    /// Ours with all of theirs that does not conflict.
    pub branch: Branch,
    /// What conflicts, sorted by slot.
    pub conflicts: Vec<Conflict>,
}

impl Branch {
    /// Takes what another branch changed into this one. The other may have started from another view: its changes are
    /// made where this branch still has what the other started from. Costs what the other branch changed and what it
    /// takes away.
    pub fn merge(&self, theirs: &Self) -> Merged {
        let mut merged = self.clone();
        let mut conflicts: BTreeMap<Slot, Conflict> = BTreeMap::new();
        for (slot, Edit { before, after }) in &theirs.edits {
            let ours_before = self.before(slot);
            let ours = self.edits.get(slot).map_or_else(|| ours_before.clone(), |edit| edit.after.clone());
            if ours == *after {
                continue;
            }
            if ours == *before {
                merged.replace(slot.clone(), ours_before, after.clone());
            } else {
                let conflict = Conflict {
                    slot: slot.clone(),
                    kind: ConflictKind::Both,
                    base: before.clone(),
                    ours,
                    theirs: after.clone(),
                };
                conflicts.insert(slot.clone(), conflict);
            }
        }
        // Taken together, an attribute or a relation may be left without its item. Nothing else can be: what neither
        // side edited was whole. Their item stays away where they took it, unless we still need it.
        let mut gone_by_them: Vec<CiId> = theirs
            .edits
            .iter()
            .filter_map(|(slot, edit)| match (slot, &edit.after) {
                (Slot::Item(ci), None) if self.contains(*ci) && !merged.contains(*ci) => Some(*ci),
                _ => None,
            })
            .collect();
        loop {
            let before = gone_by_them.len();
            gone_by_them.retain(|ci| !self.keep(*ci, theirs, &mut merged, &mut conflicts));
            if gone_by_them.len() == before {
                break;
            }
        }
        for (slot, Edit { before, after }) in theirs.edits.iter().filter(|(_, edit)| edit.after.is_some()) {
            if merged.get(slot) != *after {
                continue;
            }
            let missing = slot.needs().into_iter().flatten().find(|ci| !merged.contains(*ci));
            if let Some(ci) = missing {
                let conflict = Conflict {
                    slot: slot.clone(),
                    kind: ConflictKind::Missing(ci),
                    base: before.clone(),
                    ours: self.get(slot),
                    theirs: after.clone(),
                };
                merged.put(slot.clone(), None);
                conflicts.insert(slot.clone(), conflict);
            }
        }
        Merged { branch: merged, conflicts: conflicts.into_values().collect() }
    }

    /// Whether something that is left needs an item that they took away. Then it stays, with all we have of it.
    fn keep(
        &self,
        ci: CiId,
        theirs: &Self,
        merged: &mut Self,
        conflicts: &mut BTreeMap<Slot, Conflict>,
    ) -> bool {
        let in_use: Vec<Slot> = merged
            .edits_of(ci)
            .cloned()
            .chain(state::slots_of(&merged.base, ci))
            .filter(|slot| merged.get(slot).is_some())
            .collect();
        if in_use.is_empty() {
            return false;
        }
        for slot in in_use {
            let conflict = Conflict {
                kind: ConflictKind::Missing(ci),
                base: theirs.before(&slot),
                ours: self.get(&slot),
                theirs: None,
                slot: slot.clone(),
            };
            conflicts.entry(slot).or_insert(conflict);
        }
        let mut all: Vec<Slot> = theirs.edits_of(ci).cloned().collect();
        all.push(Slot::Item(ci));
        for slot in all {
            let ours = self.get(&slot);
            merged.put(slot, ours);
        }
        true
    }

    /// The same edits on top of a newer view: a branch of that view, and what the two changed differently.
    pub fn rebase(&self, onto: View) -> Merged {
        Self::new(self.name.clone(), onto).merge(self)
    }

    /// Decides a conflict for the other side: puts what they have.
    pub fn take_theirs(&mut self, conflict: &Conflict) {
        match (&conflict.slot, &conflict.theirs) {
            (Slot::Item(ci), None) => self.remove_item(*ci),
            (slot, theirs) => self.put(slot.clone(), theirs.clone()),
        }
    }

    /// With another name.
    #[must_use]
    pub fn named(self, name: impl Into<Text>) -> Self {
        Self { name: name.into(), ..self }
    }
}
