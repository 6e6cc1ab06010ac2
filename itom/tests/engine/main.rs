//! The engine on a virtual clock: each file one subject.

mod alerts;
mod collect;
mod compacting;
mod crash;
mod faults;
#[cfg(feature = "prometheus")]
mod groups;
mod handle;
mod once;
mod rules;
mod snapshots;
mod store;
mod support;
