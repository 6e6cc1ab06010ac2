//! The engine on a virtual clock: each file one subject.

mod alerts;
mod collect;
mod crash;
mod handle;
mod once;
mod store;
mod support;
