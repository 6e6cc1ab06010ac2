//! Seeded generators for tests and benchmarks.

pub mod estate;
