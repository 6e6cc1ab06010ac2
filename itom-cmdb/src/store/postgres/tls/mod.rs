//! TLS towards the server, as libpq's `sslmode` and `sslrootcert` name it.

mod options;
mod verify;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io};

use futures::future::BoxFuture;
use itom_core::BoxError;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

pub(super) use options::split;

/// What is believed of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It is spoken to in the clear.
    Disable,
    /// Encrypted if it offers that.
    Prefer,
    /// Encrypted.
    Require,
    /// Encrypted, and its certificate leads to a trusted one.
    VerifyCa,
    /// The same, and it is the certificate of the host that was asked for.
    VerifyFull,
}

/// Whose signature is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// Those of the operating system.
    System,
    /// Those in a PEM file.
    File(String),
}

/// What a connection string says about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) mode: Mode,
    pub(super) roots: Option<Roots>,
}

impl Wanted {
    /// What the driver is told; the rest is up to the connector.
    pub(super) const fn driver_mode(&self) -> SslMode {
        match self.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        }
    }

    /// What makes connections so. Reads the root file.
    pub(super) fn connector(&self) -> Result<Connector, BoxError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let roots = match (&self.roots, self.mode) {
            (Some(Roots::File(path)), _) => Some(read(path)?),
            // As libpq: whoever names the roots of the system means to check, and anybody has a certificate of theirs.
            (Some(Roots::System), Mode::Prefer | Mode::Require | Mode::VerifyCa) => {
                return Err(
                    "sslrootcert=system wants sslmode=verify-full: a weaker mode would not check who answers"
                        .into(),
                );
            }
            (Some(Roots::System) | None, _) => None,
        };
        let config = match (self.mode, roots) {
            (Mode::Disable, _) => return Ok(Connector { config: None }),
            // As libpq: a given file is asked for its signature, without the name.
            (Mode::Require | Mode::VerifyCa, Some(roots)) => {
                verify::unnamed(builder, verify::SignedBy::new(roots, &provider))
            }
            (Mode::VerifyFull, Some(roots)) => builder.with_root_certificates(roots).with_no_client_auth(),
            (Mode::VerifyFull, None) => builder.with_platform_verifier()?.with_no_client_auth(),
            (Mode::VerifyCa, None) => {
                return Err("sslmode=verify-ca wants sslrootcert=FILE; name one, or use verify-full, which checks the name too".into());
            }
            (Mode::Prefer | Mode::Require, _) => verify::unnamed(builder, verify::Anybody::new(&provider)),
        };
        Ok(Connector { config: Some(Arc::new(config)) })
    }
}

fn read(path: &str) -> Result<RootCertStore, BoxError> {
    let failed = |why: &dyn fmt::Display| -> BoxError {
        format!("sslrootcert={path} cannot be used: {why}; name a PEM file with the certificate that signed the server's")
            .into()
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"there is no certificate in it"));
    }
    Ok(roots)
}

/// Makes TLS connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Connector {
    /// `None`: never asked.
    config: Option<Arc<ClientConfig>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Connector {
    type Stream = Encrypted<S>;
    type TlsConnect = To;
    type Error = BoxError;

    fn make_tls_connect(&mut self, host: &str) -> Result<To, BoxError> {
        // A path of a socket is no name, and no server offers TLS there.
        let name = ServerName::try_from(host.to_owned()).ok();
        Ok(To { config: self.config.clone(), name })
    }
}

/// A connection to one host.
pub(super) struct To {
    config: Option<Arc<ClientConfig>>,
    name: Option<ServerName<'static>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for To {
    type Stream = Encrypted<S>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Encrypted<S>, BoxError>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let config = self.config.ok_or("the connection string says sslmode=disable")?;
            let name = self.name.ok_or("the host is no name that a certificate could have")?;
            let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await?;
            Ok(Encrypted(Box::new(stream)))
        })
    }
}

/// An encrypted connection.
pub(super) struct Encrypted<S>(Box<tokio_rustls::client::TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, to)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_of_the_system_are_not_named_in_vain() {
        let connector = |mode| Wanted { mode, roots: Some(Roots::System) }.connector();
        for mode in [Mode::Prefer, Mode::Require, Mode::VerifyCa] {
            let error = connector(mode).expect_err("it would not be checked").to_string();
            assert!(error.contains("verify-full"), "{error}");
        }
        assert!(connector(Mode::VerifyFull).is_ok_and(|connector| connector.config.is_some()));
        assert!(connector(Mode::Disable).is_ok_and(|connector| connector.config.is_none()));
    }
}
