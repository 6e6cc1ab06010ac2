//! Collectors for the Linux machine they run on.

pub(crate) mod identity;
pub mod process;
pub mod service;
pub mod socket;
