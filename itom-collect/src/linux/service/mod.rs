//! Services and what they depend on, from processes and their sockets.
//!
//! **What lives here**: grouping listening processes into services, naming the software, deriving dependencies from
//! connections, and [`ServiceCollector`].
//!
//! **Deliberately absent**: what other hosts serve. A peer that is not on this machine is named by its endpoint
//! [`Key`](itom_core::Key); the inventory joins it with what that host's own collector says.

mod collector;
mod edge;
mod emit;
mod fingerprint;
mod group;
#[cfg(test)]
mod tests;
mod version;

pub use collector::{ContainerAddresses, Processes, ServiceCollector};
