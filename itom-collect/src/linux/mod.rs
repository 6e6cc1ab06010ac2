//! Collectors for the Linux machine they run on.

mod command;
mod identity;
pub mod package;
pub mod systemd;
