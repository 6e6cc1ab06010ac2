//! The laws of [`Machine`](super::Machine), checked for any machine.
