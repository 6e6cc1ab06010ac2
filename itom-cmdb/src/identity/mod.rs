//! Identity: which objects of which sources are one configuration item.
//!
//! Each `(source, native id)` is an [`Object`]. Objects become one item by evidence, applied in one total order, so that
//! the partition is a pure function of the fact set:
//!
//! 1. `SameAs` statements (the latest word on a pair counts; `NotSame` wins a tie).
//! 2. Keys, live objects before departed ones, then by strength (hardware, issued, administrative), then by the rank of
//!    the kind of key, then by how many sources agree, then by content.
//!
//! Conditions have three values. *True* joins, *not applicable* says nothing, *false* forbids ([`cannot-link`](KeyRule)):
//! two objects of one source (unless the [source](SourceRule) has double entries), a `NotSame`, incompatible kinds, or a
//! different value of a single-valued stronger key (two serials are two chassis, whatever MAC address a dock lent them).
//! Of keys of which a thing has several, a [share](Share) must be common; keys of its parts may count
//! [for it](FromChildren). Ambient keys never join. A value that too many
//! objects of one source claim, or that is known junk, does not identify. What fits two items that cannot be one is
//! joined with neither: it is [`Ambiguous`], with the question that would settle it.
//!
//! Because a value can become hot, one more fact can take a merge apart again: clusters are derived anew whenever
//! something they rest on changes, and every id ever derived from a key or an object stays an alias of the item that
//! holds that key or object now.

mod agglomerate;
mod claimants;
mod compare;
mod inherit;
mod names;
mod proof;
mod resolve;
mod resolver;
mod rules;
mod spelling;
mod trace;
mod worth;

use std::fmt;

use itom_core::{CiId, Key, KeyKind, Realm, SourceName, Strength, Text};
use serde::{Deserialize, Serialize};

pub use compare::{Apart, Comparison, Verdict, WhyNot, verify_apart};
pub use inherit::{FromChildren, InheritedRule, Part, Whole};
pub use proof::{Proof, ProofError, Rule, verify, verify_item};
pub(crate) use resolve::OpenObject;
pub use resolve::Resolved;
pub(crate) use resolver::Said;
pub use resolver::{Described, Resolver};
pub use rules::{IdentityRules, KeyRule, KindIdentity, Share, SourceRule};

/// One thing as one source names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Object {
    /// The source.
    pub source: SourceName,
    /// Its own id for the thing.
    pub native: Text,
}

impl Object {
    /// An object.
    #[must_use]
    pub fn new(source: SourceName, native: impl Into<Text>) -> Self {
        Self { source, native: native.into() }
    }

    pub(crate) fn ci_id(&self) -> CiId {
        Self::id_of(&self.source, &self.native)
    }

    pub(crate) fn id_of(source: &SourceName, native: &str) -> CiId {
        CiId::derive(&["object", source.as_str(), native])
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.native)
    }
}

/// What a key says, without how much it says: the same serial number claimed with two strengths is one value, and so is
/// an SMBIOS UUID in its two byte orders (the first three fields are little endian for some who print it).
///
/// ```
/// use itom_cmdb::identity::Ident;
/// use itom_core::Key;
/// let printed = Key::smbios_uuid("33221100-5544-7766-8899-aabbccddeeff")?;
/// let other = Key::smbios_uuid("00112233-4455-6677-8899-aabbccddeeff")?;
/// assert_ne!(printed, other);
/// assert_eq!(Ident::from(&printed), Ident::from(&other));
/// # Ok::<(), itom_core::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ident {
    /// The kind of key.
    pub kind: KeyKind,
    /// Where it is unique.
    pub realm: Realm,
    /// The canonical value; of an SMBIOS UUID that of its two byte orders which sorts first.
    pub value: Text,
}

impl Ident {
    pub(crate) fn ci_id(&self) -> CiId {
        Self::id_of(&self.kind, &self.realm, &self.value)
    }

    pub(crate) fn id_of(kind: &KeyKind, realm: &Realm, value: &str) -> CiId {
        CiId::derive(&["key", kind.as_str(), realm.as_str(), value])
    }

    /// The id of what is only known by this key. Not that of an item with the key: several may claim it.
    pub(crate) fn loose_id(&self) -> CiId {
        CiId::derive(&["loose", self.kind.as_str(), self.realm.as_str(), &self.value])
    }
}

impl From<&Key> for Ident {
    fn from(key: &Key) -> Self {
        let mut room = spelling::EMPTY;
        let value = match spelling::one(key.kind(), key.value(), &mut room) {
            same if same == key.value() => key.text().clone(),
            other => Text::from(other),
        };
        Self { kind: key.kind().clone(), realm: key.realm().clone(), value }
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.value)?;
        if self.realm != Realm::GLOBAL {
            write!(f, "@{}", self.realm)?;
        }
        Ok(())
    }
}

/// A value that fits several items which cannot be one: a reference stays a loose end, an object an item of its own,
/// until a fact settles it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ambiguous {
    /// The value.
    pub key: Ident,
    /// The object that claims it; `None` for a reference by this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// The items that it fits, ascending.
    pub candidates: Vec<CiId>,
    /// What would settle it: any of these keys of the object, in which the candidates differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<KeyKind>,
}

/// The tiers of evidence that can join, strongest first.
pub(crate) const TIERS: [Strength; 3] = [Strength::Hardware, Strength::Issued, Strength::Administrative];
