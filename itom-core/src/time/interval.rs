//! Half-open stretches of time.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The half-open interval `[from, to)`: `from` belongs to it, `to` does not. An interval whose `to` is not after
/// its `from` is empty.
///
/// ```
/// use itom_core::{Interval, Timestamp};
/// let [a, b, c] = [10, 20, 30].map(Timestamp::from_secs);
/// let early = Interval::new(a, b);
/// assert!(early.contains(a) && !early.contains(b));
/// // Neighbours touch without sharing a point.
/// assert!(early.joins(Interval::new(b, c)) && !early.overlaps(Interval::new(b, c)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "IntervalWire")]
pub struct Interval {
    from: Timestamp,
    to: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename = "Interval", deny_unknown_fields)]
struct IntervalWire {
    from: Timestamp,
    to: Timestamp,
}

impl From<IntervalWire> for Interval {
    fn from(wire: IntervalWire) -> Self {
        Self::new(wire.from, wire.to)
    }
}

impl Interval {
    /// All of time but its very last microsecond, [`Timestamp::MAX`], which stands for "no end".
    pub const ALWAYS: Self = Self { from: Timestamp::MIN, to: Timestamp::MAX };

    /// `[from, to)`; empty when `to <= from`.
    #[must_use]
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to: to.max(from) }
    }

    /// From a point on.
    #[must_use]
    pub const fn since(from: Timestamp) -> Self {
        Self { from, to: Timestamp::MAX }
    }

    /// The first point inside.
    #[must_use]
    pub const fn from(self) -> Timestamp {
        self.from
    }

    /// The first point after.
    #[must_use]
    pub const fn to(self) -> Timestamp {
        self.to
    }

    /// Whether no point is inside.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }

    /// Whether `at` is inside.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// What both have in common; empty when they do not overlap.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::new(self.from.max(other.from), self.to.min(other.to))
    }

    /// Whether they share a point.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        !self.intersection(other).is_empty()
    }

    /// Whether they share a point or touch, so that their union is one interval.
    #[must_use]
    pub fn joins(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}
