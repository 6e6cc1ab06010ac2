//! Samples, with node_exporter's names, labels and units.

pub(super) mod machine;
pub(super) mod network;
pub(super) mod sensors;
pub(super) mod storage;
