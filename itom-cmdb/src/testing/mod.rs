//! Seeded generators and the conformance suite for stores.

pub mod estate;
