//! The units of systemd.
//!
//! Read with one run of `systemctl show`, which asks the manager once for all units and works without privileges; its
//! output is parsed without I/O.

mod collector;
mod process;
mod unit;

pub use collector::SystemdCollector;

#[cfg(test)]
mod tests;
