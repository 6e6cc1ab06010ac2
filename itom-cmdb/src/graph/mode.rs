//! The ways in which an item can fail, and which of them a relation passes on.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Effect, Gate, RelationSpec};

/// One way in which an item can fail. An item can fail in several at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureMode {
    /// It does not work.
    Down,
    /// It may work, and nobody who needs it gets to it.
    Unreachable,
    /// It works less well.
    Degraded,
    /// What it holds is lost. Says nothing about whether it works.
    DataLoss,
}

impl FailureMode {
    /// Every mode, worst first.
    pub const ALL: [Self; 4] = [Self::Down, Self::Unreachable, Self::Degraded, Self::DataLoss];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// As in serialized text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Unreachable => "unreachable",
            Self::Degraded => "degraded",
            Self::DataLoss => "data_loss",
        }
    }
}

impl fmt::Display for FailureMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of [`FailureMode`]s.
///
/// ```
/// use itom_cmdb::graph::{FailureMode, Modes};
///
/// let lost = Modes::from(FailureMode::DataLoss).with(FailureMode::Degraded);
/// assert_eq!(lost.to_string(), "degraded, data_loss");
/// assert_eq!(lost.worst(), Some(FailureMode::Degraded));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "BTreeSet<FailureMode>", into = "BTreeSet<FailureMode>")]
pub struct Modes(u8);

impl Modes {
    /// No failure.
    pub const NONE: Self = Self(0);

    const fn only(mode: FailureMode) -> Self {
        Self(1 << mode.index())
    }

    /// With another mode.
    #[must_use]
    pub const fn with(self, mode: FailureMode) -> Self {
        Self(self.0 | Self::only(mode).0)
    }

    /// Without a mode.
    #[must_use]
    pub const fn without(self, mode: FailureMode) -> Self {
        Self(self.0 & !Self::only(mode).0)
    }

    /// Whether a mode is among them.
    #[must_use]
    pub const fn contains(self, mode: FailureMode) -> bool {
        self.0 & Self::only(mode).0 != 0
    }

    /// Whether the two have a mode in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The modes, worst first.
    pub fn iter(self) -> impl Iterator<Item = FailureMode> {
        FailureMode::ALL.into_iter().filter(move |mode| self.contains(*mode))
    }

    /// The worst of them.
    #[must_use]
    pub fn worst(self) -> Option<FailureMode> {
        self.iter().next()
    }
}

impl From<FailureMode> for Modes {
    fn from(mode: FailureMode) -> Self {
        Self::only(mode)
    }
}

impl FromIterator<FailureMode> for Modes {
    fn from_iter<I: IntoIterator<Item = FailureMode>>(modes: I) -> Self {
        modes.into_iter().fold(Self::NONE, Self::with)
    }
}

impl From<BTreeSet<FailureMode>> for Modes {
    fn from(modes: BTreeSet<FailureMode>) -> Self {
        modes.into_iter().collect()
    }
}

impl From<Modes> for BTreeSet<FailureMode> {
    fn from(modes: Modes) -> Self {
        modes.iter().collect()
    }
}

impl fmt::Debug for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(FailureMode::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

/// One way by which failure passes a relation: suppliers that fail in one of some modes count as lost, and when the gate
/// falls by the lost ones, the dependent fails in a mode of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// A supplier in any of these modes is lost.
    pub counts: Modes,
    /// What the dependent suffers when the gate falls.
    pub gives: FailureMode,
    /// The gate; that of the item for the kind of relation if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

impl Passage {
    /// Through the gate of the relation.
    #[must_use]
    pub fn new(counts: impl IntoIterator<Item = FailureMode>, gives: FailureMode) -> Self {
        Self { counts: counts.into_iter().collect(), gives, gate: None }
    }

    /// Through a gate of its own.
    #[must_use]
    pub fn gated(self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self }
    }
}

impl RelationSpec {
    /// Every passage of a kind of relation: those that follow from its [`Effect`], then its own.
    ///
    /// What is unreachable is as good as down to those who need it, except that they are then unreachable, too; what is
    /// down or unreachable counts as degraded.
    #[must_use]
    pub fn passages(&self) -> Vec<Passage> {
        use FailureMode::{Degraded, Down, Unreachable};
        let down = Passage::new([Down], Down);
        let unreachable = Passage::new([Down, Unreachable], Unreachable);
        let degraded = Passage::new([Down, Unreachable, Degraded], Degraded);
        let mut all = match self.effect {
            Effect::Down => vec![down, unreachable, degraded],
            Effect::Degraded => vec![degraded],
            Effect::Capacity => vec![down, unreachable, degraded.gated(Gate::All)],
        };
        all.extend(self.modes.iter().cloned());
        all
    }
}
