//! Collectors for the Linux machine they run on.

mod command;
mod fault;
mod host;
pub(crate) mod identity;
#[cfg(test)]
mod l4;
pub mod package;
pub mod process;
mod read;
pub mod service;
pub mod socket;
pub mod systemd;

pub use host::HostCollector;
pub use package::PackageCollector;
pub use process::ProcessCollector;
pub use service::ServiceCollector;
pub use socket::SocketCollector;
pub use systemd::SystemdCollector;

/// The name of the machine this runs on, as its kernel has it; `localhost` when it has none.
#[must_use]
pub fn host_name() -> String {
    let name = identity::host_name(&mut read::Reader::new(std::path::Path::new("/"))).unwrap_or_default();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
