//! What the reference tools are made of besides the SDK, where it has tests of its own.

pub mod guard;
pub mod names;
pub mod ruleset;
