//! Configuration items: the graph of what depends on what, and what a failure does.

pub mod export;
pub mod graph;
pub mod impact;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
