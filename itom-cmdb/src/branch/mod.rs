//! Branches: a changed estate beside the real one, compared and merged at the cost of the change.
//!
//! A [`Branch`] is a view (a pointer) and the edits made on top of it, one for each [`Slot`]: an item, an attribute of an
//! item, a relation. Comparing it is listing the edits; merging looks at the slots that were edited and at nothing else.
//! Merging is three-way: what the branch started from, what it made of it, and what is there now. Where both sides
//! changed one slot differently, or one side needs an item that the other took away, there is a [`Conflict`], ours
//! stays, and a person decides.
//!
//! ```
//! use itom_cmdb::branch::Branch;
//! use itom_cmdb::view::View;
//! use itom_core::{CiId, attr, kind, relation};
//!
//! let [web, host] = ["web", "host"].map(|name| CiId::derive(&[name]));
//! let mut plan = Branch::new("move web", View::default());
//! plan.put_item(web, kind::SERVICE, "web");
//! plan.put_item(host, kind::HOST, "host-9");
//! plan.relate(relation::RUNS_ON, web, host)?;
//! let mut other = Branch::new("document", View::default());
//! other.put_item(web, kind::SERVICE, "web");
//! other.set_attribute(web, attr::SERVICE_VERSION, "7".into())?;
//!
//! let merged = plan.merge(&other);
//! assert!(merged.conflicts.is_empty());
//! assert_eq!(merged.branch.diff().len(), 4);
//! # Ok::<(), itom_cmdb::branch::BranchError>(())
//! ```

mod merge;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{
    AttrName, Batch, CiId, CiKind, Classify, ErrorKind, RelationKind, SourceName, Text, Timestamp, Value,
};
use serde::{Deserialize, Serialize};

use crate::impact::GraphChange;
use crate::view::{Ci, RelationId, View};

pub use merge::{Conflict, ConflictKind, Merged};

/// One thing that can be changed. Items sort before attributes, attributes before relations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Slot {
    /// An item: whether it is there, its kind and name.
    Item(CiId),
    /// One attribute of an item.
    Attribute(CiId, AttrName),
    /// A relation: whether it holds.
    Relation(RelationKind, CiId, CiId),
}

/// What is in a slot when it is not empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// The item is there.
    Item {
        /// Its kind.
        kind: CiKind,
        /// Its name.
        name: Text,
    },
    /// The value of the attribute.
    Value(Value),
    /// The relation holds.
    Holds,
}

/// One difference. Empty slots are `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// What was changed.
    pub slot: Slot,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Content>,
    /// What is there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Content>,
}

/// Why an edit was refused. The branch is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// The item is not there, in the view or in the branch.
    #[error("cannot {doing} in branch `{branch}`: item {ci} is not there; put it first")]
    UnknownCi {
        /// What was being done.
        doing: &'static str,
        /// The branch.
        branch: Text,
        /// The item.
        ci: CiId,
    },
    /// The content does not belong in the slot.
    #[error(
        "cannot apply a change to branch `{branch}`: {slot:?} cannot hold {content:?}; correct the change"
    )]
    Misplaced {
        /// The branch.
        branch: Text,
        /// The slot.
        slot: Box<Slot>,
        /// The content.
        content: Box<Content>,
    },
}

impl Classify for BranchError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownCi { .. } => ErrorKind::NotFound,
            Self::Misplaced { .. } => ErrorKind::Invalid,
        }
    }
}

/// What became of a slot, with what the base has there: looked up once, when the edit is made.
#[derive(Debug, Clone)]
struct Edit {
    before: Option<Content>,
    after: Option<Content>,
}

/// A view and the edits made on top of it. Cheap to clone while the edits are few. See the [module](self).
#[derive(Debug, Clone)]
pub struct Branch {
    name: Text,
    base: View,
    /// Only slots whose content differs from the base's.
    edits: BTreeMap<Slot, Edit>,
    /// The edited attributes and relations of each item.
    of_item: BTreeMap<CiId, BTreeSet<Slot>>,
}

impl Branch {
    /// A branch of a view, without edits.
    #[must_use]
    pub fn new(name: impl Into<Text>, base: View) -> Self {
        Self { name: name.into(), base, edits: BTreeMap::new(), of_item: BTreeMap::new() }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Text {
        &self.name
    }

    /// What it started from.
    #[must_use]
    pub const fn base(&self) -> &View {
        &self.base
    }

    /// What is in a slot.
    #[must_use]
    pub fn get(&self, slot: &Slot) -> Option<Content> {
        match self.edits.get(slot) {
            Some(edit) => edit.after.clone(),
            None => state::of(&self.base, slot),
        }
    }

    /// What the base has in a slot.
    fn before(&self, slot: &Slot) -> Option<Content> {
        match self.edits.get(slot) {
            Some(edit) => edit.before.clone(),
            None => state::of(&self.base, slot),
        }
    }

    /// Whether an item is there.
    #[must_use]
    pub fn contains(&self, ci: CiId) -> bool {
        match self.edits.get(&Slot::Item(ci)) {
            Some(edit) => edit.after.is_some(),
            None => state::there(&self.base, ci).is_some(),
        }
    }

    /// Adds an item, or gives one another kind and name.
    pub fn put_item(&mut self, ci: CiId, kind: CiKind, name: impl Into<Text>) {
        self.put(Slot::Item(ci), Some(Content::Item { kind, name: name.into() }));
    }

    /// Takes an item away, with its attributes and relations. Costs what it has.
    pub fn remove_item(&mut self, ci: CiId) {
        let mut slots: Vec<Slot> = state::slots_of(&self.base, ci);
        slots.extend(self.edits_of(ci).cloned());
        slots.into_iter().for_each(|slot| self.put(slot, None));
        self.put(Slot::Item(ci), None);
    }

    /// Gives an attribute a value.
    ///
    /// # Errors
    /// [`BranchError::UnknownCi`] when the item is not there.
    pub fn set_attribute(&mut self, ci: CiId, name: AttrName, value: Value) -> Result<(), BranchError> {
        self.known("set an attribute", ci)?;
        self.put(Slot::Attribute(ci, name), Some(Content::Value(value)));
        Ok(())
    }

    /// Takes the value of an attribute away.
    ///
    /// # Errors
    /// [`BranchError::UnknownCi`] when the item is not there.
    pub fn unset_attribute(&mut self, ci: CiId, name: AttrName) -> Result<(), BranchError> {
        self.known("unset an attribute", ci)?;
        self.put(Slot::Attribute(ci, name), None);
        Ok(())
    }

    /// Relates two items.
    ///
    /// # Errors
    /// [`BranchError::UnknownCi`] when an end is not there.
    pub fn relate(&mut self, kind: RelationKind, from: CiId, to: CiId) -> Result<(), BranchError> {
        self.known("relate", from)?;
        self.known("relate", to)?;
        self.put(Slot::Relation(kind, from, to), Some(Content::Holds));
        Ok(())
    }

    /// Two items are no longer related. (Nothing when they are not.)
    pub fn unrelate(&mut self, kind: RelationKind, from: CiId, to: CiId) {
        self.put(Slot::Relation(kind, from, to), None);
    }

    fn known(&self, doing: &'static str, ci: CiId) -> Result<(), BranchError> {
        if self.contains(ci) {
            Ok(())
        } else {
            Err(BranchError::UnknownCi { doing, branch: self.name.clone(), ci })
        }
    }

    /// An edit that says what the base says is none.
    fn put(&mut self, slot: Slot, content: Option<Content>) {
        let before = self.before(&slot);
        self.replace(slot, before, content);
    }

    /// As [`put`](Self::put), when it is known what the base has there.
    fn replace(&mut self, slot: Slot, before: Option<Content>, after: Option<Content>) {
        let needs = slot.needs().into_iter().flatten();
        if before == after {
            for ci in needs {
                if let Some(slots) = self.of_item.get_mut(&ci) {
                    slots.remove(&slot);
                    if slots.is_empty() {
                        self.of_item.remove(&ci);
                    }
                }
            }
            self.edits.remove(&slot);
        } else {
            for ci in needs {
                self.of_item.entry(ci).or_default().insert(slot.clone());
            }
            self.edits.insert(slot, Edit { before, after });
        }
    }

    /// The edited attributes and relations of an item.
    fn edits_of(&self, ci: CiId) -> impl Iterator<Item = &Slot> {
        self.of_item.get(&ci).into_iter().flatten()
    }

    /// Every difference between the branch and what it started from, sorted by slot. Costs what was changed.
    #[must_use]
    pub fn diff(&self) -> Vec<Change> {
        self.edits
            .iter()
            .map(|(slot, Edit { before, after })| Change {
                slot: slot.clone(),
                before: before.clone(),
                after: after.clone(),
            })
            .collect()
    }

    /// Makes changes as they are: what is there before is not looked at. For checked changes use [`merge`](Self::merge).
    ///
    /// # Errors
    /// [`BranchError`] for the first change that cannot be made: an attribute or relation of an item that would not be
    /// there once all are made, or a content that does not belong in its slot. Then none is made.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), BranchError> {
        let mut after = self.clone();
        for change in changes {
            if let Some(content) = &change.after
                && !change.slot.holds(content)
            {
                let (slot, content) = (Box::new(change.slot.clone()), Box::new(content.clone()));
                return Err(BranchError::Misplaced { branch: self.name.clone(), slot, content });
            }
            match (&change.slot, &change.after) {
                (Slot::Item(ci), None) => after.remove_item(*ci),
                (slot, content) => after.put(slot.clone(), content.clone()),
            }
        }
        for change in changes.iter().filter(|change| change.after.is_some()) {
            if after.get(&change.slot).is_some() {
                change
                    .slot
                    .needs()
                    .into_iter()
                    .flatten()
                    .try_for_each(|ci| after.known("apply a change", ci))?;
            }
        }
        *self = after;
        Ok(())
    }

    /// The edits as changes of a graph of the base, to simulate them.
    #[must_use]
    pub fn graph_changes(&self) -> Vec<GraphChange> {
        let gone = self.edits.iter().filter_map(|(slot, edit)| match (slot, &edit.after) {
            (Slot::Item(ci), None) => Some(GraphChange::RemoveCi(*ci)),
            _ => None,
        });
        let rest = self.edits.iter().filter_map(|(slot, edit)| match (slot, &edit.after) {
            (Slot::Item(ci), Some(_)) => Some(GraphChange::AddCi(*ci)),
            (Slot::Relation(kind, from, to), Some(_)) => {
                Some(GraphChange::Relate { kind: kind.clone(), from: *from, to: *to })
            }
            (Slot::Relation(kind, from, to), None) if self.contains(*from) && self.contains(*to) => {
                Some(GraphChange::Unrelate { kind: kind.clone(), from: *from, to: *to })
            }
            _ => None,
        });
        gone.chain(rest).collect()
    }

    /// What the branch adds or says, as a batch of observations of a source of its own, to make it real: items are named
    /// by the keys that identify them in the base. The second list has what no source can state for others: items,
    /// values and relations that the branch takes away.
    #[must_use]
    pub fn to_batch(&self, source: SourceName, taken_at: Timestamp) -> (Batch, Vec<Change>) {
        let mut batch = Batch::new(source, taken_at);
        let mut said = BTreeSet::new();
        let mut not_stated = Vec::new();
        for change in self.diff() {
            if change.after.is_none() {
                not_stated.push(change);
                continue;
            }
            said.extend(change.slot.needs().into_iter().flatten());
            if let Slot::Item(ci) = change.slot {
                said.insert(ci);
            }
        }
        let subject = |ci: CiId| Text::from(ci.to_string());
        for ci in said {
            let Some(Content::Item { kind, name }) = self.get(&Slot::Item(ci)) else { continue };
            let keys = self.base.ci(ci).map(Ci::keys).unwrap_or_default();
            let item = batch.ci(subject(ci), kind);
            item.attr(itom_core::attr::NAME, name);
            for key in keys {
                item.key(key.clone());
            }
            for slot in self.edits_of(ci) {
                if let (Slot::Attribute(_, name), Some(Content::Value(value))) =
                    (slot, self.edits.get(slot).and_then(|edit| edit.after.as_ref()))
                {
                    item.attr(name.clone(), value.clone());
                }
            }
        }
        for (slot, edit) in &self.edits {
            if let (Slot::Relation(kind, from, to), Some(_)) = (slot, &edit.after) {
                batch.relation(kind.clone(), subject(*from), subject(*to));
            }
        }
        (batch, not_stated)
    }
}

impl Slot {
    /// The items that must be there for the slot not to be empty.
    fn needs(&self) -> [Option<CiId>; 2] {
        match self {
            Self::Item(_) => [None, None],
            Self::Attribute(ci, _) => [Some(*ci), None],
            Self::Relation(_, from, to) => [Some(*from), Some(*to)],
        }
    }

    const fn holds(&self, content: &Content) -> bool {
        matches!(
            (self, content),
            (Self::Item(_), Content::Item { .. })
                | (Self::Attribute(..), Content::Value(_))
                | (Self::Relation(..), Content::Holds)
        )
    }

    /// The relation's id, for a relation.
    fn relation_id(&self) -> Option<RelationId> {
        match self {
            Self::Relation(kind, from, to) => Some(RelationId::derive(kind, *from, *to)),
            _ => None,
        }
    }
}
