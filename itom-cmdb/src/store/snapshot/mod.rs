//! What a store keeps beside the facts, so that opening is quick. A cache: it can be thrown away, and what does not fit
//! the facts is.

mod codec;
mod open;

use itom_core::Timestamp;

use super::{Cursor, StoreError};
use crate::history::{ChangeFeed, Mark};

pub use open::{Opened, open};

/// What a snapshot covers: everything that what it holds depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cover {
    /// The hash of the rules.
    pub(crate) rules: u64,
    /// How many changes are remembered at most.
    pub(crate) remembered: u64,
    /// The position of the last fact.
    pub(crate) end: Cursor,
    /// The time as far as it had come.
    pub(crate) at: Timestamp,
    /// What was compacted.
    pub(crate) horizon: Option<Mark>,
    /// How many facts.
    pub(crate) facts: u64,
    /// The sum over them and when they were learned.
    pub(crate) digest: u64,
}

/// What cannot be derived from facts all at once: the change feed, which is a product of each moment. Made by
/// [`Cmdb::snapshot`](crate::Cmdb::snapshot), read by [`open`].
///
/// It names what it was made from: the rules, the position and the time, the horizon of compaction, and the number and a
/// sum of the facts. Making one is cheap; [encoding](Self::encode) it takes a few tens of milliseconds when the feed is
/// full, so that a store with a thread of its own does that there.
#[derive(Debug, Clone)]
pub struct Snapshot {
    cover: Cover,
    feed: ChangeFeed,
}

impl Snapshot {
    pub(crate) const fn new(cover: Cover, feed: ChangeFeed) -> Self {
        Self { cover, feed }
    }

    /// The position of the last fact that it covers.
    #[must_use]
    pub const fn end(&self) -> Cursor {
        self.cover.end
    }

    /// As bytes, with a checksum, for a store to keep and give back as they are.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// From bytes that anybody may have changed.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode(bytes)
    }
}

/// What opening did with the snapshot of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotUse {
    /// There was none: every fact was taken in moment by moment.
    None,
    /// It fitted: so many facts that it covers were taken in at once, the others moment by moment.
    Used {
        /// How many facts it covers.
        facts: u64,
    },
    /// It did not fit: every fact was taken in moment by moment.
    Refused(Refusal),
}

/// Why a snapshot was not used. None of it is an error: the facts are what counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The store could not give it.
    #[error("it cannot be read: {why}")]
    Unread {
        /// What the store said.
        why: String,
    },
    /// It is not what was kept.
    #[error("it is damaged: {why}")]
    Damaged {
        /// What was found.
        why: &'static str,
    },
    /// Another version wrote it.
    #[error("it has format {found}, this version reads {known}")]
    OtherFormat {
        /// The format found.
        found: u64,
        /// The format that this version reads.
        known: u64,
    },
    /// It was derived with other rules, or another number of remembered changes.
    #[error("it was derived with other rules")]
    OtherRules,
    /// Facts were compacted since.
    #[error("facts were compacted since")]
    HorizonMoved,
    /// The facts that it covers are not the ones that are there, or were learned at other times.
    #[error("the facts that it covers changed")]
    FactsChanged,
    /// What came after it was learned before its time, or together with its last fact.
    #[error("time had run ahead of what was learned after it")]
    TimeAhead,
}

impl Refusal {
    fn unread(error: &StoreError) -> Self {
        Self::Unread { why: itom_core::ErrorChain(error).to_string() }
    }
}
