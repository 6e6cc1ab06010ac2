//! The formats of `/proc`, `/sys` and `/etc`: bytes in, borrowed records out. No I/O.

pub(super) mod cpu;
pub(super) mod disk;
pub(super) mod memory;
pub(super) mod mount;
pub(super) mod network;
pub(super) mod release;
pub(super) mod socket;
