//! For tests of collectors, yours included: a [conformance suite](check_collector) and a [`Simulation`] that runs real
//! collectors under the real scheduler on a virtual clock.

mod conformance;
mod simulation;

pub use conformance::{CollectorCheck, ContractBroken, check_collector};
pub use simulation::{Simulation, Step};
