//! Where to look.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use itom_core::{Key, Text};
use rustls::pki_types::ServerName;

/// Where a server may present a certificate: a host and a port.
///
/// ```
/// use itom_collect::tls::TlsEndpoint;
/// let web: TlsEndpoint = "shop.example.com:443".parse()?;
/// assert_eq!(web.to_string(), "shop.example.com:443");
/// let by_address = "[2001:db8::1]:8443".parse::<TlsEndpoint>()?.with_server_name("shop.example.com")?;
/// assert_eq!(by_address.port(), 8443);
/// assert!("shop.example.com".parse::<TlsEndpoint>().is_err());
/// # Ok::<(), itom_collect::tls::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TlsEndpoint {
    host: Text,
    port: u16,
    name: ServerName<'static>,
    service: Option<Key>,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// There is no port.
    #[error("`{text}` names no port; write host:port, and an address of version 6 in brackets")]
    Port {
        /// What was given.
        text: Text,
    },
    /// The host is neither an address nor a name of DNS.
    #[error("`{name}` is neither an address nor a name of DNS")]
    Name {
        /// What was given.
        name: Text,
    },
}

impl TlsEndpoint {
    /// An endpoint; the server is asked for the certificate of `host`.
    ///
    /// # Errors
    /// [`EndpointError::Name`] when the host is neither an address nor a name of DNS.
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        Ok(Self { host: Text::from(host), port, name: server_name(host)?, service: None })
    }

    /// Asks for the certificate of another name (SNI): one address serves many.
    ///
    /// # Errors
    /// [`EndpointError::Name`] when it is neither an address nor a name of DNS.
    pub fn with_server_name(self, name: &str) -> Result<Self, EndpointError> {
        Ok(Self { name: server_name(name)?, ..self })
    }

    /// Names the service that presents the certificate, instead of what listens at the address: needed on the loopback
    /// interface, whose addresses say nothing about which machine they are of.
    #[must_use]
    pub fn with_service(self, service: Key) -> Self {
        Self { service: Some(service), ..self }
    }

    /// The host as given.
    #[must_use]
    pub const fn host(&self) -> &Text {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    pub(super) const fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    pub(super) const fn service(&self) -> Option<&Key> {
        self.service.as_ref()
    }

    /// As it is written, with the name that is asked for if it is another one: two such endpoints are two.
    pub(super) fn label(&self) -> Text {
        let name = self.name.to_str();
        if *name == *self.host { Text::from(self.to_string()) } else { Text::from(format!("{self}#{name}")) }
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, EndpointError> {
    ServerName::try_from(name.to_owned()).map_err(|_| EndpointError::Name { name: shown(name) })
}

fn shown(text: &str) -> Text {
    text.chars().take(300).collect::<String>().into()
}

impl fmt::Display for TlsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => write!(f, "[{address}]:{port}"),
            _ => write!(f, "{host}:{port}"),
        }
    }
}

impl FromStr for TlsEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let refused = || EndpointError::Port { text: shown(text) };
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => inner,
            // An address of version 6 without brackets: where it ends cannot be told.
            None if host.contains(':') => return Err(refused()),
            None => host,
        };
        Self::new(host, port)
    }
}
