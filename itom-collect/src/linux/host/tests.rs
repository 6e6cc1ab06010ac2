//! The collector on made-up trees.
