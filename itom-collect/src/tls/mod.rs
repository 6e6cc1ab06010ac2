//! Certificates that servers present: [`TlsCollector`] shakes hands and reads what it is shown.
//!
//! **What lives here**: the [endpoints](TlsEndpoint) to look at, the [`Certificate`] read from its bytes, the collector.
//!
//! **Deliberately absent**: whether a certificate is to be trusted. An expired or self-signed one is exactly what has to
//! be found, so whatever is presented is read; that the server has the key of it is checked by the handshake. Protocols
//! that begin in the clear (STARTTLS of SMTP, PostgreSQL) are not spoken.

mod certificate;
mod collector;
mod emit;
mod endpoint;
mod handshake;
#[cfg(test)]
mod tests;

pub use certificate::{Certificate, CertificateError};
pub use collector::TlsCollector;
pub use endpoint::{EndpointError, TlsEndpoint};
