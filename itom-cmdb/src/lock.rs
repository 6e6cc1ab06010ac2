//! Locks: what a person holds to be so, whatever sources say.
//!
//! A lock is a description like others, from a source of the family `lock` (`lock@alice`: the owner). Its claims outrank
//! every rule of precedence until it ends or its owner takes it back; it has no lease, and two locks of one owner on one
//! item are no two items. It is a fact: it has a history, and views of the past show it. Where reality differs from it,
//! [`Cmdb::contested_locks`](crate::Cmdb::contested_locks) says so.

use std::collections::BTreeMap;

use itom_core::{AttrName, Batch, CiId, CiKind, Key, NameError, SourceName, Text, Timestamp, Value};

use crate::view::{Claim, ClaimReason, STATED, StatedLife, View};

const FAMILY: &str = "lock@";
const REASON: AttrName = AttrName::literal("lock.reason");
const UNTIL: AttrName = AttrName::literal("lock.until");

/// Whether a source is somebody's locks.
pub(crate) fn is_lock(source: &SourceName) -> bool {
    source.as_str().starts_with(FAMILY)
}

/// Whether an attribute is about the lock and not about the item.
pub(crate) fn is_about_lock(name: &AttrName) -> bool {
    name.as_str().starts_with("lock.")
}

/// When a lock with these attributes ends.
pub(crate) fn ends(attributes: &BTreeMap<AttrName, Value>) -> Option<Timestamp> {
    match attributes.get(&UNTIL) {
        Some(Value::Time(until)) => Some(*until),
        _ => None,
    }
}

/// What a person holds to be so.
///
/// ```
/// use itom_cmdb::{Cmdb, CmdbConfig, Lock};
/// use itom_core::{Batch, Key, SourceName, Timestamp, attr, kind};
///
/// let mut cmdb = Cmdb::new(CmdbConfig::default());
/// let now = Timestamp::from_secs(1_700_000_000);
/// let mut scan = Batch::new(SourceName::literal("scan"), now);
/// scan.ci("h", kind::HOST).key(Key::serial("SN-1")?).attr(attr::OS_VERSION, "11");
/// let lock = Lock::new("alice", "upgrade", kind::HOST, Key::serial("SN-1")?, "upgraded by hand, scan is wrong")
///     .attr(attr::OS_VERSION, "12");
/// for batch in [scan, lock.batch(now)?] {
///     let facts = cmdb.plan(&batch, now);
///     cmdb.ingest(facts);
/// }
/// let view = cmdb.view();
/// let host = view.by_kind(&kind::HOST)[0];
/// assert_eq!(host.value(&attr::OS_VERSION).map(ToString::to_string).as_deref(), Some("12"));
/// assert_eq!(cmdb.contested_locks().len(), 1, "the scan still says 11");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    owner: Text,
    name: Text,
    kind: CiKind,
    on: Key,
    attributes: BTreeMap<AttrName, Value>,
}

impl Lock {
    /// `owner` holds something to be so of the item that claims the key `on`, for this reason. `name` tells it from the
    /// owner's other locks: the same name again replaces it.
    #[must_use]
    pub fn new(
        owner: impl Into<Text>,
        name: impl Into<Text>,
        kind: CiKind,
        on: Key,
        reason: impl Into<Text>,
    ) -> Self {
        let attributes = BTreeMap::from([(REASON, Value::Text(reason.into()))]);
        Self { owner: owner.into(), name: name.into(), kind, on, attributes }
    }

    /// The attribute has this value.
    #[must_use]
    pub fn attr(mut self, name: AttrName, value: impl Into<Value>) -> Self {
        self.attributes.insert(name, value.into());
        self
    }

    /// The item is in this part of its life. Such a lock says for how long with [`until`](Self::until).
    #[must_use]
    pub fn life(self, stated: StatedLife) -> Self {
        self.attr(STATED, stated.as_str())
    }

    /// It ends then.
    #[must_use]
    pub fn until(mut self, until: Timestamp) -> Self {
        self.attributes.insert(UNTIL, Value::Time(until));
        self
    }

    /// Who says so: the source of its facts. A retraction of [`name`](Self::new) by this source lifts it.
    ///
    /// # Errors
    /// [`NameError`] when the owner is no part of a source's name.
    pub fn source(&self) -> Result<SourceName, NameError> {
        SourceName::new(format!("{FAMILY}{}", self.owner))
    }

    /// It as a batch, said now.
    ///
    /// # Errors
    /// Those of [`source`](Self::source).
    pub fn batch(&self, now: Timestamp) -> Result<Batch, NameError> {
        let mut batch = Batch::new(self.source()?, now);
        let ci = batch.ci(self.name.clone(), self.kind.clone()).key(self.on.clone());
        self.attributes.iter().for_each(|(name, value)| {
            ci.attr(name.clone(), value.clone());
        });
        Ok(batch)
    }
}

/// A lock that reality differs from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ContestedLock {
    /// The item.
    pub ci: CiId,
    /// The attribute.
    pub attribute: AttrName,
    /// What is held.
    pub held: Claim,
    /// The best claim that says otherwise.
    pub reality: Claim,
}

/// The locks of a view that present sources contradict, by item and attribute.
pub(crate) fn contested(view: &View) -> Vec<ContestedLock> {
    let differs = |claim: &&Claim| claim.reason == ClaimReason::Outranked && !is_lock(&claim.source);
    let mut found = Vec::new();
    for ci in view.cis().filter(|ci| ci.sources().iter().any(is_lock)) {
        for (name, attribute) in ci.attributes() {
            let reality = attribute.others.iter().find(differs);
            if let Some(reality) = reality.filter(|_| is_lock(&attribute.winner.source)) {
                found.push(ContestedLock {
                    ci: ci.id(),
                    attribute: name.clone(),
                    held: attribute.winner.clone(),
                    reality: reality.clone(),
                });
            }
        }
    }
    found
}
