//! Collectors for the Linux machine they run on.

mod host;
mod identity;
mod read;

pub use host::HostCollector;
