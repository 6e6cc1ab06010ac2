//! The series store on disk: a folder with a checksummed log and immutable, checksummed segments.
//!
//! **What is promised**: when [`DurableStore::append`] has returned, the stored samples are on the disk (`fsync`; calls
//! at the same time share one). After a crash at any moment everything acknowledged is there again; what was being
//! written is there or not, never in part of a sample. A damaged segment is set aside under another name and the rest
//! is served. A folder is open once at a time; a folder of a later format is refused, files of earlier ones are read and
//! become the present one when they are written anew.
//!
//! **How**: new samples go to the log and to a [`SeriesStore`](crate::SeriesStore) in memory. [`DurableStore::compact`],
//! which the driver calls every minute or so, moves what has become old into a segment, shortens the log, merges small
//! segments into larger ones and applies retention. Columns in segments are compressed by
//! [pco](https://github.com/pcodec/pcodec); series scraped together share their times.
//!
//! **Tiers**: with [`tiers`](DurableConfig::tiers), a step also makes, of stretches that are complete, what they amount
//! to, and keeps that when the samples go: see [`Tiered`](crate::Tiered) for what is read of it, and
//! [`TierUse`](crate::eval::TierUse) for when. A late sample or a delete shows in a tier once it was moved to a segment
//! and a step has made its buckets anew. Native histograms have buckets of their own; a tier that an earlier version
//! made gets them where the samples are still there.
//!
//! Exemplars and metadata stay in the log, within their bounds; start times move with their samples.

mod annotate;
mod backup;
mod compact;
mod folder;
mod log;
mod open;
mod read;
mod segment;
mod store;
mod tier;
mod tombstone;

#[cfg(test)]
mod tests;

use std::time::Duration;

use itom_core::{Classify, ErrorKind, EvaluateError};

pub use backup::restore;
pub use compact::CompactReport;
pub use open::OpenReport;
pub use store::{DurableStats, DurableStore};
pub use tier::Tier;

use crate::StoreConfig;

/// How a durable store works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DurableConfig {
    /// The limits of the part in memory. Its `retention` is not used: nothing leaves memory before it is in a segment.
    pub memory: StoreConfig,
    /// How much stays in memory when older samples move to a segment. Late samples go to memory whatever their time; a
    /// window at least as long as the out-of-order window keeps segments from overlapping. Default: 30 minutes.
    pub keep_in_memory: Duration,
    /// How old the oldest sample in memory becomes before a segment is made. Default: 2 hours 30 minutes.
    pub segment_after: Duration,
    /// How long samples are kept. Default: 15 days.
    pub retention: Duration,
    /// The most bytes of all segments; the oldest go first. Default: none.
    pub max_bytes: Option<u64>,
    /// The longest stretch of time that merging makes one segment of. Default: 36 hours.
    pub max_segment: Duration,
    /// What is kept of older times, and for how long: of whole stretches their count, sum, extremes, ends and how much a
    /// counter grew; of native histograms the same but for extremes. A tier that is added later begins with the samples that are there; the files of one that is taken
    /// out stay as they are. Default: none.
    pub tiers: Vec<Tier>,
}

impl Default for DurableConfig {
    fn default() -> Self {
        Self {
            memory: StoreConfig::default(),
            keep_in_memory: Duration::from_secs(1_800),
            segment_after: Duration::from_secs(9_000),
            retention: Duration::from_secs(15 * 86_400),
            max_bytes: None,
            max_segment: Duration::from_secs(36 * 3_600),
            tiers: Vec::new(),
        }
    }
}

/// Why the durable store could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// The disk refused.
    #[error("cannot {doing} {name}; see to the disk (space, permissions), then try again")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file of the folder.
        name: String,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Another process, or another store of this one, has the folder open.
    #[error("the folder {name} is in use by another store; close that first")]
    InUse {
        /// The folder.
        name: String,
    },
    /// A later version of this program wrote a file.
    #[error("{name} is written in a later format; open the folder with the version that wrote it")]
    Newer {
        /// The file.
        name: String,
    },
    /// A file is not what was written.
    #[error("{name} is damaged: {what}; restore it from a backup or remove it")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The folder to be filled has files in it.
    #[error("the folder {name} is not empty; give one that is")]
    NotEmpty {
        /// The folder.
        name: String,
    },
    /// A selector is wrong, or a read too large.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

impl Classify for DurableError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => ErrorKind::of_io(source),
            Self::InUse { .. } | Self::NotEmpty { .. } => ErrorKind::Conflict,
            Self::Newer { .. } => ErrorKind::Unsupported,
            Self::Damaged { .. } => ErrorKind::Invalid,
            Self::Evaluate(error) => error.kind(),
        }
    }
}

/// Names what was being done to which file.
fn doing(doing: &'static str, name: &str) -> impl FnOnce(std::io::Error) -> DurableError {
    let name = name.to_owned();
    move |source| DurableError::Io { doing, name, source }
}

/// The error of a segment that was being read or written.
fn of_segment(what: &'static str, name: &str, error: segment::SegmentError) -> DurableError {
    match error {
        segment::SegmentError::Io(source) => doing(what, name)(source),
        segment::SegmentError::Corrupt(what) => DurableError::Damaged { name: name.to_owned(), what },
        segment::SegmentError::Newer(_) => DurableError::Newer { name: name.to_owned() },
    }
}
