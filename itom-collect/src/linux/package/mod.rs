//! Installed software: the databases of dpkg, apk and rpm.
//!
//! dpkg (`/var/lib/dpkg/status`, and `status.d` of distroless images) and apk (`/lib/apk/db/installed`) are read by
//! ourselves. rpm's database is binary and has had three formats, so it is read by running `rpm -qa`; a machine with an
//! rpm database and no `rpm` program is reported as not read.

mod apk;
mod collector;
mod dpkg;
mod purl;
mod record;
mod rpm;
mod stanza;
mod updated;

pub use collector::PackageCollector;

#[cfg(test)]
mod tests;
