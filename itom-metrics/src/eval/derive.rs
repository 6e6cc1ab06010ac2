//! Labels made of other labels: what is left without the name, what a group or a match is told by.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use hashbrown::{DefaultHashBuilder, HashTable};
use itom_core::Text;

use super::block::Head;
use crate::promql::ast::{Grouping, MatchLabels};
use crate::queryable::is_metadata;
use crate::{LabelSet, METRIC_NAME};

/// How labels are made of others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Derivation {
    /// Without the metric's name, type and unit.
    Bare,
    /// These only.
    Keep(Vec<Text>),
    /// All but these and the metric's name.
    Without(Vec<Text>),
    /// All but the bound of a classic bucket.
    WithoutBound,
}

impl Derivation {
    pub(super) fn of_group(grouping: &Grouping) -> Self {
        match grouping {
            Grouping::By(names) => Self::Keep(names.clone()),
            Grouping::Without(names) => Self::Without(names.clone()),
        }
    }

    pub(super) fn of_match(labels: &MatchLabels) -> Self {
        match labels {
            MatchLabels::On(names) => Self::Keep(names.clone()),
            MatchLabels::Ignoring(names) => Self::Without(names.clone()),
        }
    }

    pub(super) fn of(&self, labels: &LabelSet) -> LabelSet {
        match self {
            Self::Bare => labels.without_metadata(),
            Self::Keep(names) if names.is_empty() => LabelSet::empty(),
            _ => labels.filtered(|name| self.keeps(name)),
        }
    }

    fn keeps(&self, name: &str) -> bool {
        let named = |names: &[Text]| names.iter().any(|one| one.as_str() == name);
        match self {
            Self::Bare => !is_metadata(name),
            Self::Keep(names) => named(names),
            Self::Without(names) => name != METRIC_NAME && !named(names),
            Self::WithoutBound => name != "le",
        }
    }

    /// The different labels that are made of those of the rows, in the order in which they first come, and the place
    /// of each row's among them. Makes them once for each group and not for each row.
    pub(super) fn grouped(&self, heads: &[Head]) -> (Vec<LabelSet>, Vec<usize>) {
        let (mut groups, mut hashes): (Vec<LabelSet>, Vec<u64>) = (Vec::new(), Vec::new());
        // Only looked up, never iterated.
        let mut table: HashTable<usize> = HashTable::new();
        let hashing = DefaultHashBuilder::default();
        let rows = heads.iter().map(|head| {
            let kept = || head.labels.iter().filter(|(name, _)| self.keeps(name.as_str()));
            let mut hasher = hashing.build_hasher();
            kept().for_each(|pair| pair.hash(&mut hasher));
            let hash = hasher.finish();
            let same = |group: &usize| {
                hashes.get(*group) == Some(&hash)
                    && groups.get(*group).is_some_and(|group| group.iter().eq(kept()))
            };
            if let Some(group) = table.find(hash, same) {
                return *group;
            }
            let group = groups.len();
            groups.push(self.of(&head.labels));
            hashes.push(hash);
            table.insert_unique(hash, group, |group| hashes.get(*group).copied().unwrap_or(0));
            group
        });
        let rows = rows.collect();
        (groups, rows)
    }
}
