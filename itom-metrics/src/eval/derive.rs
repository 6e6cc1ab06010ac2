//! Labels made of other labels: what is left without the name, what a group or a match is told by.

use itom_core::Text;

use crate::promql::ast::{Grouping, MatchLabels};
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
        let named = |names: &[Text], name: &str| names.iter().any(|one| one.as_str() == name);
        match self {
            Self::Bare => labels.without_metadata(),
            Self::Keep(names) if names.is_empty() => LabelSet::empty(),
            Self::Keep(names) => labels.filtered(|name| named(names, name)),
            Self::Without(names) => labels.filtered(|name| name != METRIC_NAME && !named(names, name)),
            Self::WithoutBound => labels.filtered(|name| name != "le"),
        }
    }
}
