//! One installed package, whoever lists it.

use itom_core::Timestamp;

/// Which program manages a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    Dpkg,
    Apk,
    Rpm,
}

impl Manager {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Apk => "apk",
            Self::Rpm => "rpm",
        }
    }
}

/// One installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    /// As its manager prints it, with epoch and release.
    pub(super) version: String,
    pub(super) arch: Option<String>,
    /// The source package it was built from, if that has another name.
    pub(super) source: Option<String>,
    /// What the manager says about it: `installed`, `half-configured`.
    pub(super) status: Option<String>,
    /// Whether it is kept at its version.
    pub(super) held: Held,
    /// The epoch, where a package URL wants it apart.
    pub(super) epoch: Option<u64>,
    /// When this version was put on the machine, where the list says so.
    pub(super) unpacked: Option<Timestamp>,
}

/// Whether a package is kept at its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Held {
    Yes,
    No,
    /// The manager's list does not say.
    #[default]
    Unknown,
}

/// A part of a list that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Garbage {
    /// Line where it begins, counted from 1.
    pub(super) line: u64,
    pub(super) reason: &'static str,
}
