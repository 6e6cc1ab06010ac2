//! What each kind of relation says about failure, as data.

use std::collections::BTreeMap;

use itom_core::{CiId, RelationKind, relation};
use serde::{Deserialize, Serialize};

use super::{FailureMode, Passage};

/// In which direction failure travels along a relation that is read `from` → `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// `from` needs `to`: when `to` fails, `from` feels it (`web depends_on db`).
    ToFrom,
    /// `to` needs `from`: when `from` fails, `to` feels it (`host contains interface`).
    FromTo,
    /// Each needs the other.
    Both,
    /// The relation says nothing about failure (`connects_to` is evidence, not yet a dependency).
    #[default]
    None,
}

/// How many of the items that a CI needs by one kind of relation may fail before it fails itself.
///
/// Several redundant groups under one kind of relation are modelled by an item of their own for each group (a cluster),
/// with the gate on that item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Gate {
    /// All are needed: one failure is enough.
    #[default]
    All,
    /// Any one is enough: it fails when the last one does.
    Any,
    /// At least this many must stand. Where there are fewer to begin with, every one is needed.
    KOfN(u32),
    /// The standing ones must weigh at least `threshold` together.
    Weighted {
        /// The least weight (capacity) that keeps the CI up. Where the whole weighs less, every one is needed.
        threshold: u64,
        /// What each supplier weighs; one that is not listed weighs 1.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        weights: BTreeMap<CiId, u64>,
    },
}

impl Gate {
    /// What one supplier counts for.
    pub(crate) fn weight(&self, supplier: CiId) -> u64 {
        match self {
            Self::Weighted { weights, .. } => weights.get(&supplier).copied().unwrap_or(1),
            _ => 1,
        }
    }

    /// The weight that must stand, out of `total`.
    pub(crate) fn needed(&self, total: u64) -> u64 {
        match self {
            Self::All => total,
            Self::Any => total.min(1),
            Self::KOfN(needed) => u64::from(*needed).min(total),
            Self::Weighted { threshold, .. } => (*threshold).min(total),
        }
    }

    /// Whether the gate has fallen once `failed` out of `total` (with at least one failure) no longer stands.
    pub(crate) fn falls(&self, failed: u64, total: u64) -> bool {
        total.saturating_sub(failed) < self.needed(total)
    }
}

/// What the fall of a gate does to the CI that needed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// It goes down. (Suppliers that are only degraded degrade it by the same gate.)
    #[default]
    Down,
    /// It is degraded, never down.
    Degraded,
    /// Every failed supplier degrades it; the gate decides when it goes down (an application and its services).
    Capacity,
}

/// What one kind of relation says about failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RelationSpec {
    /// Where failure travels.
    #[serde(default)]
    pub flow: Flow,
    /// The gate of a CI that has no gate of its own for this kind.
    #[serde(default)]
    pub gate: Gate,
    /// What the gate's fall does.
    #[serde(default)]
    pub effect: Effect,
    /// Passages of typed failures besides those that follow from the effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<Passage>,
}

impl RelationSpec {
    /// All are needed, and failure takes down.
    #[must_use]
    pub const fn flowing(flow: Flow) -> Self {
        Self { flow, gate: Gate::All, effect: Effect::Down, modes: Vec::new() }
    }

    /// With another gate.
    #[must_use]
    pub fn gated(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    /// With another effect.
    #[must_use]
    pub fn with_effect(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    /// With one more passage of typed failures.
    #[must_use]
    pub fn passing(mut self, passage: Passage) -> Self {
        self.modes.push(passage);
        self
    }

    /// Whether failure simply passes on.
    pub(crate) fn is_plain(&self) -> bool {
        self.flow != Flow::None && self.gate == Gate::All && self.effect == Effect::Down
    }
}

/// The relations that carry failure, and how. A kind that is not listed carries none.
///
/// ```
/// use itom_cmdb::graph::{Flow, Gate, RelationModel, RelationSpec};
/// use itom_core::{RelationKind, relation};
///
/// let replicates = RelationKind::new("replicates_to")?;
/// let model = RelationModel::default().with(replicates.clone(), RelationSpec::flowing(Flow::FromTo));
/// assert_eq!(model.spec(&replicates).flow, Flow::FromTo);
/// assert_eq!(model.spec(&relation::PROVIDED_BY).gate, Gate::Any);
/// assert_eq!(model.spec(&RelationKind::new("admires")?).flow, Flow::None);
/// # Ok::<(), itom_core::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelationModel {
    specs: BTreeMap<RelationKind, RelationSpec>,
}

impl RelationModel {
    /// No relation carries failure.
    #[must_use]
    pub const fn empty() -> Self {
        Self { specs: BTreeMap::new() }
    }

    /// Says how a kind of relation carries failure.
    #[must_use]
    pub fn with(mut self, kind: RelationKind, spec: RelationSpec) -> Self {
        self.specs.insert(kind, spec);
        self
    }

    /// What a kind of relation says about failure.
    #[must_use]
    pub fn spec(&self, kind: &RelationKind) -> RelationSpec {
        self.specs.get(kind).cloned().unwrap_or_default()
    }

    /// The kinds that are listed, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&RelationKind, &RelationSpec)> {
        self.specs.iter()
    }
}

/// The well-known relations as most estates mean them:
///
/// * `depends_on`, `runs_on`, `stored_on`, `installed_on`, `attached_to`, `located_in`: `from` goes down with any `to`;
/// * `provided_by`: `from` goes down with the last `to` (redundant processes);
/// * `contains`: the part goes down with the whole;
/// * `stored_on`, besides: the data of `from` is lost with that of `to`;
/// * `routes_via`: `from` is degraded with any `to`, and unreachable when that is down or unreachable itself;
/// * `member_of`: the group is degraded by any member and down with the last;
/// * `connects_to`, `child_of`, `managed_by`, `instance_of`, `neighbor_of`, `owned_by`: no failure travels.
impl Default for RelationModel {
    fn default() -> Self {
        let needs = RelationSpec::flowing(Flow::ToFrom);
        Self::empty()
            .with(relation::DEPENDS_ON, needs.clone())
            .with(relation::RUNS_ON, needs.clone())
            .with(
                relation::STORED_ON,
                needs.clone().passing(Passage::new([FailureMode::DataLoss], FailureMode::DataLoss)),
            )
            .with(relation::INSTALLED_ON, needs.clone())
            .with(relation::ATTACHED_TO, needs.clone())
            .with(relation::LOCATED_IN, needs.clone())
            .with(relation::PROVIDED_BY, needs.clone().gated(Gate::Any))
            .with(relation::CONTAINS, RelationSpec::flowing(Flow::FromTo))
            .with(
                relation::ROUTES_VIA,
                needs
                    .with_effect(Effect::Degraded)
                    .passing(Passage::new([FailureMode::Unreachable], FailureMode::Unreachable)),
            )
            .with(
                relation::MEMBER_OF,
                RelationSpec::flowing(Flow::FromTo).gated(Gate::Any).with_effect(Effect::Capacity),
            )
    }
}
