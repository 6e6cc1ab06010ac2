//! Walking the estate: from items of a kind, along relations, with filters.
//!
//! A [`Traversal`] is built once and run on any view. Each step takes the set of items that the step before gave and
//! gives another set; the answer is sorted by id, and each item knows one [path](Found::path) that led to it. What a
//! traversal may look at is bounded ([`TraverseLimits`]): a hub with a million relations is refused, not waited for.
//!
//! ```
//! use itom_cmdb::traverse::Traversal;
//! use itom_cmdb::{Cmdb, CmdbConfig};
//! use itom_core::{Batch, SourceName, Timestamp, attr, kind, relation};
//!
//! let now = Timestamp::from_secs(1_700_000_000);
//! let mut batch = Batch::new(SourceName::literal("demo"), now);
//! batch.ci("shop", kind::SERVICE).attr(attr::NAME, "shop");
//! batch.ci("nginx", kind::PROCESS);
//! batch.ci("web-1", kind::HOST_LINUX).attr(attr::NAME, "web-1");
//! batch.relation(relation::PROVIDED_BY, "shop", "nginx");
//! batch.relation(relation::RUNS_ON, "nginx", "web-1");
//! let mut cmdb = Cmdb::new(CmdbConfig::default());
//! let facts = cmdb.plan(&batch, now);
//! cmdb.ingest(facts);
//!
//! let view = cmdb.view();
//! let hosts = Traversal::from(kind::SERVICE)
//!     .where_(|ci| ci.name().as_str() == "shop")
//!     .out(relation::PROVIDED_BY)
//!     .repeat(1..=4, |step| step.out(relation::RUNS_ON))
//!     .kind(kind::HOST)
//!     .run(&view)?;
//! assert_eq!(hosts.items()[0].name().as_str(), "web-1");
//! assert_eq!(hosts.path(0).map(|path| path.len()), Some(3));
//! # Ok::<(), itom_cmdb::traverse::TraverseError>(())
//! ```

mod run;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use itom_core::{AttrName, CiId, CiKind, Classify, ErrorKind, RelationKind, Value};

use crate::graph::RelationGraph;
use crate::view::{Ci, Relation, View};

pub use run::{Found, TrailStep};

/// How much a traversal may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraverseLimits {
    /// Most items in the answer; the rest is [counted](Found::left_out).
    pub results: usize,
    /// Most items and relations looked at, all steps together.
    pub visits: usize,
    /// Most rounds of a repetition; longer ones are cut to this.
    pub rounds: u32,
}

impl Default for TraverseLimits {
    fn default() -> Self {
        Self { results: 100_000, visits: 5_000_000, rounds: 64 }
    }
}

impl TraverseLimits {
    /// Keep at most this many items.
    #[must_use]
    pub const fn results(self, results: usize) -> Self {
        Self { results, ..self }
    }
    /// Look at no more than this many items and relations.
    #[must_use]
    pub const fn visits(self, visits: usize) -> Self {
        Self { visits, ..self }
    }
    /// Repeat no more than this often.
    #[must_use]
    pub const fn rounds(self, rounds: u32) -> Self {
        Self { rounds, ..self }
    }
}

/// Why a traversal gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraverseError {
    /// It looked at as much as it may.
    #[error(
        "the traversal looked at {limit} items and relations in step {step} and is not done; filter earlier or raise the limit"
    )]
    TooMuch {
        /// The limit.
        limit: usize,
        /// The step, from 1.
        step: usize,
    },
    /// A step asks for dependencies, which the view alone does not know.
    #[error("the traversal asks what items need in step {step}; run it with the graph of the view")]
    NoGraph {
        /// The step, from 1.
        step: usize,
    },
}

impl Classify for TraverseError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooMuch { .. } => ErrorKind::Exhausted,
            Self::NoGraph { .. } => ErrorKind::Invalid,
        }
    }
}

type CiTest = Arc<dyn Fn(&Ci) -> bool + Send + Sync>;
type RelationTest = Arc<dyn Fn(&Relation) -> bool + Send + Sync>;

#[derive(Clone)]
enum Start {
    Kind(CiKind),
    Items(Vec<CiId>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Out,
    In,
    Both,
}

#[derive(Clone)]
enum Step {
    Where(CiTest),
    #[cfg(feature = "cel")]
    Expression(crate::expr::Expression, itom_core::Timestamp),
    Along {
        kind: Option<RelationKind>,
        direction: Direction,
        test: Option<RelationTest>,
    },
    Needs,
    NeededBy,
    Repeat {
        least: u32,
        most: u32,
        steps: Vec<Self>,
    },
}

/// A walk through the estate. See the [module](self).
#[derive(Clone)]
#[must_use]
pub struct Traversal {
    start: Start,
    steps: Vec<Step>,
    limits: TraverseLimits,
    retired: bool,
}

impl fmt::Debug for Traversal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traversal").field("steps", &self.steps.len()).field("limits", &self.limits).finish()
    }
}

impl Traversal {
    /// Starts at every item of a kind and its refinements.
    pub const fn from(kind: CiKind) -> Self {
        Self::start(Start::Kind(kind))
    }

    /// Starts at these items; those that are not there are left out.
    pub fn from_items(cis: impl IntoIterator<Item = CiId>) -> Self {
        Self::start(Start::Items(cis.into_iter().collect()))
    }

    const fn start(start: Start) -> Self {
        let limits = TraverseLimits { results: 100_000, visits: 5_000_000, rounds: 64 };
        Self { start, steps: Vec::new(), limits, retired: false }
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Keeps items for which this holds.
    pub fn where_(self, test: impl Fn(&Ci) -> bool + Send + Sync + 'static) -> Self {
        self.then(Step::Where(Arc::new(test)))
    }

    /// Keeps items of a kind and its refinements.
    pub fn kind(self, kind: CiKind) -> Self {
        self.where_(move |ci| ci.kind().is_a(&kind))
    }

    /// Keeps items whose attribute has this value.
    pub fn attr(self, name: AttrName, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.where_(move |ci| ci.value(&name) == Some(&value))
    }

    /// Keeps items for which an expression is true at a time. Where it is unknown, the item is not kept.
    #[cfg(feature = "cel")]
    pub fn expression(self, expression: crate::expr::Expression, now: itom_core::Timestamp) -> Self {
        self.then(Step::Expression(expression, now))
    }

    /// Goes along relations of a kind, from where they start to where they end.
    pub fn out(self, kind: RelationKind) -> Self {
        self.then(Step::Along { kind: Some(kind), direction: Direction::Out, test: None })
    }

    /// Goes along relations of a kind, from where they end to where they start.
    pub fn in_(self, kind: RelationKind) -> Self {
        self.then(Step::Along { kind: Some(kind), direction: Direction::In, test: None })
    }

    /// Goes along relations of a kind in both directions.
    pub fn both(self, kind: RelationKind) -> Self {
        self.then(Step::Along { kind: Some(kind), direction: Direction::Both, test: None })
    }

    /// Goes along relations of every kind in both directions.
    pub fn neighbours(self) -> Self {
        self.then(Step::Along { kind: None, direction: Direction::Both, test: None })
    }

    /// Goes along relations of a kind for which this holds, from where they start to where they end.
    pub fn out_where(
        self,
        kind: RelationKind,
        test: impl Fn(&Relation) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.then(Step::Along { kind: Some(kind), direction: Direction::Out, test: Some(Arc::new(test)) })
    }

    /// As [`out_where`](Self::out_where), from where they end to where they start.
    pub fn in_where(
        self,
        kind: RelationKind,
        test: impl Fn(&Relation) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.then(Step::Along { kind: Some(kind), direction: Direction::In, test: Some(Arc::new(test)) })
    }

    /// Goes to what the items need directly, by the relation model of the graph: run it with
    /// [`run_with`](Self::run_with).
    pub fn needs(self) -> Self {
        self.then(Step::Needs)
    }

    /// Goes to what needs the items directly, by the relation model of the graph: run it with
    /// [`run_with`](Self::run_with).
    pub fn needed_by(self) -> Self {
        self.then(Step::NeededBy)
    }

    /// Takes some steps again and again: gives every item that is reached after at least and at most so many rounds.
    /// With 0 the items before are among them.
    pub fn repeat(self, rounds: RangeInclusive<u32>, steps: impl FnOnce(Self) -> Self) -> Self {
        let inner = steps(Self::start(Start::Items(Vec::new())));
        let (least, most) = (*rounds.start(), *rounds.end());
        self.then(Step::Repeat { least, most, steps: inner.steps })
    }

    /// Looks at retired items and relations, too.
    pub const fn including_retired(mut self) -> Self {
        self.retired = true;
        self
    }

    /// With other limits.
    pub const fn limits(mut self, limits: TraverseLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Runs it on a view.
    ///
    /// # Errors
    /// [`TraverseError`] when a limit is reached or a step needs a graph.
    pub fn run<'v>(&self, view: &'v View) -> Result<Found<'v>, TraverseError> {
        run::run(self, view, None)
    }

    /// Runs it on a view and its graph.
    ///
    /// # Errors
    /// [`TraverseError::TooMuch`] when a limit is reached.
    pub fn run_with<'v>(&self, view: &'v View, graph: &RelationGraph) -> Result<Found<'v>, TraverseError> {
        run::run(self, view, Some(graph))
    }
}
