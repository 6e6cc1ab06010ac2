//! Items and relations as they are believed to be, with who said what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use itom_core::{AttrName, CiId, CiKind, CiSummary, Key, RelationKind, SourceName, Text, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::{Departure, LifeCycle};
use crate::identity::Object;

/// Whether something is believed to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifeState {
    /// At least one source holds it.
    Active,
    /// Every source let it go.
    Retired {
        /// Since when.
        since: Timestamp,
        /// How the last one let it go.
        why: Departure,
    },
}

impl LifeState {
    /// Whether it is there.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Active)
    }
}

/// Why a claim stands where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClaimReason {
    /// The winner: nobody else says anything about it.
    Only,
    /// The winner: it agrees with or beats the others.
    Best,
    /// It says that it does not know.
    Unknown,
    /// Its source no longer holds the item, or did not renew it in time.
    Stale,
    /// A source with a higher rank says otherwise.
    Outranked,
    /// Equal rank, and the winner changed more recently.
    Older,
    /// Equal in everything but content; the content's hash decides.
    Tie,
    /// It says the same as the winner.
    Agrees,
    /// Its list is a part of the union that is believed.
    United,
}

/// What one source says about one attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Claim {
    /// The value.
    pub value: Value,
    /// Who says so.
    pub source: SourceName,
    /// Since when the source says this value.
    pub observed: Timestamp,
    /// When the statement was learned first.
    pub recorded: Timestamp,
    /// The rank of the source about this attribute.
    pub rank: i32,
    /// Why it won or lost.
    pub reason: ClaimReason,
}

/// An attribute with every claim about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attribute {
    /// The claim that is believed.
    pub winner: Claim,
    /// The other claims, best first.
    pub others: Vec<Claim>,
}

impl Attribute {
    /// The value that is believed.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.winner.value
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CiBody {
    pub(crate) kind: CiKind,
    pub(crate) name: Text,
    // Each shared by itself: a state of the past differs from the present one in few of them.
    pub(crate) keys: Arc<[Key]>,
    pub(crate) attributes: Arc<BTreeMap<AttrName, Attribute>>,
    pub(crate) objects: Arc<[Object]>,
    pub(crate) sources: Arc<BTreeSet<SourceName>>,
    pub(crate) state: LifeState,
    pub(crate) life: LifeCycle,
    pub(crate) loose_end: bool,
}

/// A configuration item. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ci {
    pub(crate) id: CiId,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) body: Arc<CiBody>,
}

impl Ci {
    /// Its id, derived from its oldest strong key or object.
    #[must_use]
    pub const fn id(&self) -> CiId {
        self.id
    }
    /// The most refined kind that its sources give; when they disagree, what the kinds have in common.
    #[must_use]
    pub fn kind(&self) -> &CiKind {
        &self.body.kind
    }
    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &Text {
        &self.body.name
    }
    /// Everything that identifies it, as its sources claim, ascending.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.body.keys
    }
    /// Its attributes: winners, losers, reasons.
    #[must_use]
    pub fn attributes(&self) -> &BTreeMap<AttrName, Attribute> {
        &self.body.attributes
    }
    /// The value of an attribute that is believed, if anybody says anything about it.
    #[must_use]
    pub fn value(&self, name: &AttrName) -> Option<&Value> {
        self.body.attributes.get(name).map(Attribute::value)
    }
    /// The objects that it consists of, ascending; empty for a loose end.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.body.objects
    }
    /// Who says anything about it.
    #[must_use]
    pub fn sources(&self) -> &BTreeSet<SourceName> {
        &self.body.sources
    }
    /// When any source saw it first.
    #[must_use]
    pub const fn first_seen(&self) -> Timestamp {
        self.first_seen
    }
    /// When any source saw it last.
    #[must_use]
    pub const fn last_seen(&self) -> Timestamp {
        self.last_seen
    }
    /// Whether it is believed to be there.
    #[must_use]
    pub fn state(&self) -> LifeState {
        self.body.state
    }
    /// Where it is in its life, by the rules of its kind and what people state.
    #[must_use]
    pub fn life(&self) -> LifeCycle {
        self.body.life
    }
    /// Whether it is only known by reference: no source describes it (or several do, and which one is open), or none with
    /// a key that is strong enough to make an item of its kind.
    #[must_use]
    pub fn is_loose_end(&self) -> bool {
        self.body.loose_end
    }

    /// Whether both are the same but for when they were seen; says no to some that are equal.
    pub(crate) fn shares_body(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.body, &other.body)
    }

    /// As rules see it.
    #[must_use]
    pub fn summary(&self) -> CiSummary {
        let mut summary = CiSummary::new(self.id, self.kind().clone(), self.name().clone(), self.first_seen);
        summary.last_seen = self.last_seen;
        summary.retired = !self.state().is_active();
        summary.attributes =
            self.attributes().iter().map(|(name, attr)| (name.clone(), attr.value().clone())).collect();
        summary
    }
}

/// The id of a relation: its kind and both ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelationId(CiId);

impl RelationId {
    /// The id of this relation.
    #[must_use]
    pub fn derive(kind: &RelationKind, from: CiId, to: CiId) -> Self {
        let mut ends = [0_u8; 32];
        ends[..16].copy_from_slice(from.as_bytes());
        ends[16..].copy_from_slice(to.as_bytes());
        let material: String = ends.iter().map(|byte| char::from(*byte)).collect();
        Self(CiId::derive(&["relation", kind.as_str(), &material]))
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for RelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Debug for RelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelationId({})", self.0)
    }
}

/// A relation between two items. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relation {
    /// Its kind, read `from` → `to`.
    pub kind: RelationKind,
    /// Where it starts.
    pub from: CiId,
    /// Where it ends.
    pub to: CiId,
    /// What is known about it, reconciled as attributes of items are.
    pub attributes: Arc<BTreeMap<AttrName, Attribute>>,
    /// Who says so.
    pub sources: Arc<BTreeSet<SourceName>>,
    /// When any source saw it first.
    pub first_seen: Timestamp,
    /// When any source saw it last.
    pub last_seen: Timestamp,
    /// Whether it is believed to hold.
    pub state: LifeState,
    /// Which of the sources saw it first.
    pub(crate) finder: u32,
}

impl Relation {
    /// Which source saw it first; of several at once the first by name.
    #[must_use]
    pub fn found_by(&self) -> Option<&SourceName> {
        self.sources.iter().nth(self.finder as usize)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RelationId {
        RelationId::derive(&self.kind, self.from, self.to)
    }
}
