//! What must be told is written down before it is told.
//!
//! For each receiver and episode there is one [`Intent`]: the sequence open → updates → exactly one close. It is
//! persisted before anything of it is sent, so that after a crash nothing is lost, and what is sent again carries the
//! same key, so that a receiver that knows keys never acts twice.

mod intent;
mod machine;
#[cfg(test)]
mod tests;

pub use intent::{Intent, Receiver};
pub use machine::{Outbox, OutboxConfig, OutboxCounts, OutboxInput, OutboxOutput, Send, SendFailure};
