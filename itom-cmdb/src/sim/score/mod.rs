//! How good an answer is: identity, relations, retirements, against the truth of an estate.
//!
//! [`of_view`] scores this engine; [`identity`] scores anybody's grouping of objects.

mod compare;
mod edges;
mod life;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use itom_core::CiId;
use serde::{Deserialize, Serialize};

use super::entity::{Class, Entity};
use super::truth::Truth;
use crate::identity::Object;
use crate::view::View;

pub use compare::{Identity, Measure, Mistake, MistakeKind};
pub use edges::{AgeBand, Edges};
pub use life::{Life, Spread};

/// How good an answer is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Score {
    /// Identity of the objects that their sources saw last.
    pub identity: Identity,
    /// Identity of every object that was ever spoken of.
    pub identity_ever: Identity,
    /// Identity of the objects that are really one class of thing, as `identity`.
    pub by_class: BTreeMap<Class, Identity>,
    /// Relations.
    pub edges: Edges,
    /// Retirements.
    pub life: Life,
}

/// Scores a view at the end of an estate's time.
#[must_use]
pub fn of_view(truth: &Truth<'_>, view: &View) -> Score {
    let mut held: BTreeMap<&Object, CiId> = BTreeMap::new();
    for ci in view.cis() {
        for object in ci.objects() {
            held.insert(object, ci.id());
        }
    }
    let answer = |object: &Object| held.get(object).copied();
    let current = |object: &Object, _: Entity| truth.is_current(object);
    let mut by_class = BTreeMap::new();
    for class in Class::ALL {
        let own = compare::identity(truth, &answer, &|object: &Object, entity: Entity| {
            entity.class() == *class && truth.is_current(object)
        });
        if own.objects > 0 {
            by_class.insert(*class, own);
        }
    }
    Score {
        identity: compare::identity(truth, &answer, &current),
        identity_ever: compare::identity(truth, &answer, &|_, _| true),
        by_class,
        edges: edges::of_view(truth, view),
        life: life::of_view(truth, view),
    }
}

/// Scores anybody's identity: `answer` names the group of an object, or nothing if it abstains.
///
/// ```
/// use itom_cmdb::sim::{Difficulty, Estate, Size, score};
/// let estate = Estate::new(1, &Size::new(300).rounds_of(1), &Difficulty::default());
/// let mut truth = estate.truth();
/// estate.batches().for_each(|delivery| truth.take(&delivery));
/// // An engine that takes every object for a thing of its own never merges wrongly, and misses every merge.
/// let alone = score::identity(&truth, |object| Some(object.clone()));
/// assert_eq!((alone.pairwise.precision, alone.pairwise.recall), (1.0, 0.0));
/// ```
pub fn identity<K: Ord>(truth: &Truth<'_>, answer: impl Fn(&Object) -> Option<K>) -> Identity {
    compare::identity(truth, &answer, &|object, _| truth.is_current(object))
}
