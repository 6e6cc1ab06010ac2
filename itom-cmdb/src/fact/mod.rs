//! Facts: what was said, by whom, about when, and when we learned it.
//!
//! # Shape of the log
//!
//! A source that looks at 5,000 items each minute says the same thing 7 million times a day. The log keeps it small
//! by splitting *what* is said from *when it was seen*:
//!
//! - A **statement** ([`FactBody::Ci`], [`FactBody::Relation`]) is content without time. Its id is the content address of
//!   `(source, content)`, so a source that says the same thing again says the same fact; a value that flaps between two
//!   states costs two statements, however often it flaps.
//! - A **run** ([`RunFact`]) says at one time which statements were seen and which scopes were read completely. Its seen
//!   set is coded against an earlier run of the source (`basis`, minus `gone`, plus `seen`): a run in which nothing
//!   changed is a few hundred bytes however many items it saw, and all such runs name the same basis, so that no chain
//!   grows in a steady state. Chains of changes are cut by a full listing now and then.
//! - Everything else ([`FactBody::Retract`], [`FactBody::SameAs`], [`FactBody::NotSame`], [`FactBody::Approve`]) is an
//!   event: its time belongs to its id.
//! - A **checkpoint** ([`FactBody::Checkpoint`]) stands for the runs of a source up to a time that were
//!   [compacted away](crate::store::Compaction).
//!
//! A run whose basis or whose statements are not (yet) in the log counts as not seen: it neither proves presence nor
//! absence until they arrive, so any subset of a log is safe and any order of arrival ends in the same state.
//!
//! # Two times
//!
//! `observed` is when it was so (the start of the run). `recorded` is when this log learned it, and it is **not** part
//! of the id: the same fact learned twice keeps the earliest `recorded`. A log is thereby a join semilattice: union of
//! ids, minimum of times. Derived state never breaks a tie by `recorded`; it only filters (`recorded <= r`), which is
//! what makes a past view equal to a replay of what was known then.

mod checkpoint;
mod log;
mod make;

use std::fmt;

use itom_core::{
    CiObservation, PartialScope, RelationObservation, Retraction, RunId, Scope, SourceName, StableHasher,
    Statement, Text, Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use checkpoint::{CarriedItem, Checkpoint};
pub use log::{FactLog, Inserted};
pub(crate) use log::{Head, Resolution};
pub use make::facts_of;
pub(crate) use make::run_fact;

/// The namespace of content addresses (UUID version 5, RFC 9562 section 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x6974_6f6d_fac7_5c2a_9b57_0d1f_53e8_a002);

/// The content address of a fact: 128 bits, UUID version 5 over its canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactId(Uuid);

impl FactId {
    /// The id from its 16 bytes, as a store keeps it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    pub(crate) fn of(material: &[u8]) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, material))
    }
}

impl fmt::Display for FactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl fmt::Debug for FactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FactId({})", self.0)
    }
}

/// What one run of a source saw and how far it looked. See the [module](self) for the coding of the seen set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunFact {
    /// The scopes that were read completely.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complete: Vec<Scope>,
    /// The scopes that were read in part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<PartialScope>,
    /// The run fact of the same source whose seen set this one starts from; empty when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<FactId>,
    /// Statements of the basis that were not seen now, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<FactId>,
    /// Statements seen now that are not in the basis, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<FactId>,
}

impl RunFact {
    /// Whether it saw exactly what its basis saw.
    #[must_use]
    pub fn is_repeat(&self) -> bool {
        self.basis.is_some() && self.gone.is_empty() && self.seen.is_empty()
    }
}

/// Somebody's word that a held mass retirement is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The source whose run is believed.
    pub source: SourceName,
    /// When that run began.
    pub run_at: Timestamp,
    /// Why: shown with the retirements.
    pub reason: Text,
}

/// What a fact says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FactBody {
    /// A statement: this is how the source describes an item.
    Ci(CiObservation),
    /// A statement: this is how the source describes a relation.
    Relation(RelationObservation),
    /// The source takes back an item or a relation.
    Retract(Retraction),
    /// Two subjects are the same thing.
    SameAs(Statement),
    /// Two subjects are not the same thing.
    NotSame(Statement),
    /// What a run saw, and its coverage.
    Run(RunFact),
    /// A held mass retirement is right.
    Approve(Approval),
    /// What the source had said before, after the runs that said it were compacted away.
    Checkpoint(Checkpoint),
}

/// One immutable, content-addressed fact.
///
/// ```
/// use itom_cmdb::fact::facts_of;
/// use itom_core::{Batch, SourceName, Timestamp, kind};
/// let mut batch = Batch::new(SourceName::literal("demo"), Timestamp::from_secs(60));
/// batch.ci("web", kind::SERVICE);
/// let early = facts_of(&batch, Timestamp::from_secs(61));
/// let late = facts_of(&batch, Timestamp::from_secs(99));
/// assert_eq!(early.len(), 2, "one statement and the run");
/// assert_eq!(early[0].id(), late[0].id(), "when it was learned is not part of what it is");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire")]
pub struct Fact {
    #[serde(skip)]
    id: FactId,
    source: SourceName,
    run: RunId,
    observed: Timestamp,
    recorded: Timestamp,
    body: FactBody,
}

#[derive(Deserialize)]
#[serde(rename = "Fact")]
struct Wire {
    source: SourceName,
    run: RunId,
    observed: Timestamp,
    recorded: Timestamp,
    body: FactBody,
}

impl From<Wire> for Fact {
    fn from(wire: Wire) -> Self {
        Self::new(wire.source, wire.run, wire.observed, wire.recorded, wire.body)
    }
}

impl Fact {
    /// A fact; its id follows from its content.
    #[must_use]
    pub fn new(
        source: SourceName,
        run: RunId,
        observed: Timestamp,
        recorded: Timestamp,
        body: FactBody,
    ) -> Self {
        let id = make::address(&source, observed, &body);
        Self { id, source, run, observed, recorded, body }
    }

    /// A person's (or tool's) approval of a held mass retirement.
    #[must_use]
    pub fn approval(by: SourceName, approval: Approval, now: Timestamp) -> Self {
        let run = RunId::derive(&[by.as_str(), "approve", &now.as_micros().to_string()]);
        Self::new(by, run, now, now, FactBody::Approve(approval))
    }

    /// Its content address.
    #[must_use]
    pub const fn id(&self) -> FactId {
        self.id
    }

    /// Who said it.
    #[must_use]
    pub const fn source(&self) -> &SourceName {
        &self.source
    }

    /// In which run; for a statement, one of the runs that said it (the earliest known).
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// When it was so; for a statement, the earliest known time.
    #[must_use]
    pub const fn observed(&self) -> Timestamp {
        self.observed
    }

    /// When it was learned first.
    #[must_use]
    pub const fn recorded(&self) -> Timestamp {
        self.recorded
    }

    /// What it says.
    #[must_use]
    pub const fn body(&self) -> &FactBody {
        &self.body
    }

    /// Whether it is content without time, seen through runs.
    #[must_use]
    pub const fn is_statement(&self) -> bool {
        matches!(self.body, FactBody::Ci(_) | FactBody::Relation(_))
    }

    /// A number for the fact and when it was learned, which a sum over many facts is made of.
    pub(crate) fn digest(&self) -> u64 {
        // The address is a hash already; what is mixed in is the time.
        let (high, low) = self.id.0.as_u64_pair();
        let mut hasher = StableHasher::new();
        hasher.int(self.recorded.as_micros());
        let mixed = hasher.finish() ^ high;
        low.rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    /// Joins what another log knows about the same fact: earliest times win. Returns whether anything changed.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        if other.recorded < self.recorded {
            self.recorded = other.recorded;
            changed = true;
        }
        if (other.observed, other.run) < (self.observed, self.run) {
            (self.observed, self.run) = (other.observed, other.run);
            changed = true;
        }
        changed
    }
}
