//! What a run read completely: the only ground on which absence is believed.

use serde::{Deserialize, Serialize};

use crate::{CiKind, ErrorKind, RelationKind, Text};

/// What a scope is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScopeTarget {
    /// The configuration items of this kind and its refinements.
    Cis(CiKind),
    /// The relations of this kind.
    Relations(RelationKind),
}

/// A set of things of one source: a kind, and optionally one partition of it (a network namespace, a site, a page of an
/// inventory). Items say which partition they belong to; a scope without a partition covers all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    target: ScopeTarget,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partition: Option<Text>,
}

impl Scope {
    /// All items of a kind.
    #[must_use]
    pub const fn cis(kind: CiKind) -> Self {
        Self { target: ScopeTarget::Cis(kind), partition: None }
    }

    /// All relations of a kind.
    #[must_use]
    pub const fn relations(kind: RelationKind) -> Self {
        Self { target: ScopeTarget::Relations(kind), partition: None }
    }

    /// Only this partition.
    #[must_use]
    pub fn within(self, partition: impl Into<Text>) -> Self {
        Self { partition: Some(partition.into()), ..self }
    }

    /// What it is about.
    #[must_use]
    pub const fn target(&self) -> &ScopeTarget {
        &self.target
    }

    /// The partition, if it is limited to one.
    #[must_use]
    pub const fn partition(&self) -> Option<&Text> {
        self.partition.as_ref()
    }

    fn holds(&self, partition: Option<&str>) -> bool {
        self.partition.as_deref().is_none_or(|own| Some(own) == partition)
    }

    /// Whether an item of this kind in this partition belongs to the scope.
    #[must_use]
    pub fn covers_ci(&self, kind: &CiKind, partition: Option<&str>) -> bool {
        matches!(&self.target, ScopeTarget::Cis(own) if kind.is_a(own)) && self.holds(partition)
    }

    /// Whether a relation of this kind in this partition belongs to the scope.
    #[must_use]
    pub fn covers_relation(&self, kind: &RelationKind, partition: Option<&str>) -> bool {
        matches!(&self.target, ScopeTarget::Relations(own) if own == kind) && self.holds(partition)
    }
}

/// A scope that was read in part, and why: nothing in it may be believed gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartialScope {
    /// The scope.
    pub scope: Scope,
    /// What kept it from being complete.
    pub kind: ErrorKind,
    /// In words.
    pub reason: Text,
}

/// Which scopes one run read completely and which only in part. What is not mentioned was not looked at.
///
/// Both are sets: sorted, each once, whatever the order they were added in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "CoverageWire")]
#[must_use = "coverage says what absence means: return it"]
pub struct Coverage {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    complete: Vec<Scope>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    partial: Vec<PartialScope>,
}

#[derive(Deserialize)]
#[serde(rename = "Coverage")]
struct CoverageWire {
    #[serde(default)]
    complete: Vec<Scope>,
    #[serde(default)]
    partial: Vec<PartialScope>,
}

impl From<CoverageWire> for Coverage {
    fn from(wire: CoverageWire) -> Self {
        let (mut complete, mut partial) = (wire.complete, wire.partial);
        complete.sort();
        complete.dedup();
        partial.sort();
        partial.dedup();
        Self { complete, partial }
    }
}

impl Coverage {
    /// Nothing was read completely: no absence is to be believed.
    pub const fn new() -> Self {
        Self { complete: Vec::new(), partial: Vec::new() }
    }

    /// `scope` was read completely: what is not in the batch is not in the source.
    pub fn complete(mut self, scope: Scope) -> Self {
        self.add_complete(scope);
        self
    }

    /// `scope` was read in part.
    pub fn partial(mut self, scope: Scope, kind: ErrorKind, reason: impl Into<Text>) -> Self {
        self.add_partial(scope, kind, reason);
        self
    }

    /// As [`complete`](Self::complete), in place.
    pub fn add_complete(&mut self, scope: Scope) {
        if let Err(index) = self.complete.binary_search(&scope) {
            self.complete.insert(index, scope);
        }
    }

    /// As [`partial`](Self::partial), in place.
    pub fn add_partial(&mut self, scope: Scope, kind: ErrorKind, reason: impl Into<Text>) {
        let part = PartialScope { scope, kind, reason: reason.into() };
        if let Err(index) = self.partial.binary_search(&part) {
            self.partial.insert(index, part);
        }
    }

    /// Adds what another part of the run covered.
    pub fn merge(&mut self, other: Self) {
        other.complete.into_iter().for_each(|scope| self.add_complete(scope));
        for part in other.partial {
            self.add_partial(part.scope, part.kind, part.reason);
        }
    }

    /// The scopes that were read completely. A partial scope that overlaps wins: see [`covers_ci`](Self::covers_ci).
    pub fn complete_scopes(&self) -> &[Scope] {
        &self.complete
    }

    /// The scopes that were read in part.
    pub fn partial_scopes(&self) -> &[PartialScope] {
        &self.partial
    }

    /// Whether the absence of such an item means that it is gone: a complete scope covers it and no partial one does.
    #[must_use]
    pub fn covers_ci(&self, kind: &CiKind, partition: Option<&str>) -> bool {
        self.complete.iter().any(|scope| scope.covers_ci(kind, partition))
            && !self.partial.iter().any(|part| part.scope.covers_ci(kind, partition))
    }

    /// Whether the absence of such a relation means that it is gone.
    #[must_use]
    pub fn covers_relation(&self, kind: &RelationKind, partition: Option<&str>) -> bool {
        self.complete.iter().any(|scope| scope.covers_relation(kind, partition))
            && !self.partial.iter().any(|part| part.scope.covers_relation(kind, partition))
    }
}
