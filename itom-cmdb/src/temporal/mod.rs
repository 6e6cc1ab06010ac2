//! Views of the past on two axes, at speed.
//!
//! A question about the past has two times ([`Point`]): *valid*, when it was so, and *recorded*, what was known by then.
//! The answer is defined as a replay ([`Cmdb::at`]); [`Cmdb::past`] gives the same answer without one.
//!
//! # What it costs
//!
//! Nothing until somebody asks. The first question replays the facts once, in the order in which they were recorded;
//! from then on the engine feeds its past as it goes, at a cost that follows what changes. Who never asks about the past
//! pays neither time nor memory for it, and a restart loads no more than the facts.
//!
//! # How
//!
//! A **line** is every state that a view went through along one axis. The present state is kept in full and shared with
//! the engine; each step adds the *old* value of each field that changed, in a few dozen bytes, with the step until which
//! it was so. A point question finds, per field, the first old value that lasted beyond the time asked about. Things that
//! sources see again together form a group, so that a round in which nothing changed costs two times and not one per
//! item. Intervals are half-open: a state holds from its step until the next one.
//!
//! A whole view of the past is handed out at once and made where somebody looks: it holds the line as it is, and each
//! part of its maps is restored at the first look and stays. What the engine takes in later copies the pages that it
//! changes while such a view holds them.
//!
//! Two lines answer nearly everything:
//! - the **recorded** line (everything known, whatever it is about) grows with the engine;
//! - **valid** lines (everything known at a horizon, in the order in which it was so) are made when first asked for. A
//!   line serves every horizon that knows the same facts about the time asked about. What comes late, beyond the end of a
//!   line, does not touch it; what changes its past makes it stale for later horizons only.
//!
//! Which line may answer is decided by the facts alone: the set of facts that the replay would take must be the set at
//! that place of the line. Otherwise a new valid line is replayed for that horizon, and kept among a few. Where the engine
//! took in at once what was learned or ran out at several times, the recorded line lacks the states between; a question
//! about such a time makes it anew.

mod chronicle;
mod fields;
mod line;
mod packed;
mod pages;
mod past;
mod sightings;
mod strand;
mod then;
mod track;

#[cfg(doc)]
use crate::Cmdb;
pub(crate) use chronicle::Chronicle;
pub use line::LineSize;
pub(crate) use past::Memo;
pub use past::{Past, Point};
