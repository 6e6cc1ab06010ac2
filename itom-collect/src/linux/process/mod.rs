//! The processes of the machine.
//!
//! **What lives here**: reading `/proc` once per round, recognizing containers and units from control groups, keeping
//! secrets out of command lines, and [`ProcessCollector`].
//!
//! **Deliberately absent**: which process serves what; that is the room [`service`](super::service).

mod cgroup;
pub(crate) mod collector;
pub(crate) mod emit;
mod parse;
mod redact;
mod table;

pub use collector::ProcessCollector;
pub use redact::Arguments;

pub(crate) use cgroup::Cgroup;
pub use table::KernelThreads;
pub(crate) use table::{Faults, PROCESS, Process, ProcessReader, ProcessTable, open_net_namespace};
