//! Immutable segments: columns of samples and an index, each part with its checksum.

mod read;
mod values;
mod write;

pub(super) use read::{Cache, Segment};
pub(super) use write::SegmentWriter;

/// The beginning of every segment: what it is, and its format. Format 1 had no starts of counters.
pub(super) const MAGIC: &[u8; 8] = b"itomseg\x02";
/// The beginning of every file of a tier. Up to format 2 they had no histograms.
const TIER_MAGIC: &[u8; 8] = b"itomseg\x03";
/// The first format.
const OLDEST: u8 = 1;
/// A series with this flag has starts.
const STARTS: u8 = 4;
/// Offset, length and checksum of the index, checksum of these.
const FOOTER: usize = 8 + 8 + 4 + 4;

/// Where a checked piece of a file lies.
#[derive(Debug, Clone, Copy)]
struct Piece {
    offset: u64,
    length: u32,
    sum: u32,
}

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    /// The disk did not give it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What the disk gave is not what was written.
    #[error("{0}")]
    Corrupt(&'static str),
    /// A later version of this program wrote it.
    #[error("format {0}")]
    Newer(u8),
}
