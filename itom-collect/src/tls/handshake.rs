//! One handshake, in a thread of its own: the sockets of the standard library block.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::channel::oneshot;
use itom_core::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use super::endpoint::TlsEndpoint;
use crate::CollectContext;

/// What a server showed.
#[derive(Debug)]
pub(super) struct Presented {
    /// Who answered.
    pub(super) peer: SocketAddr,
    /// Its certificate.
    pub(super) end: Vec<u8>,
    /// Those between it and a root, as far as the server sent them.
    pub(super) between: Vec<Vec<u8>>,
    /// Whether the handshake came to its end: a server that wants a certificate of its client ends it before.
    pub(super) completed: io::Result<()>,
}

/// Shakes hands; whoever waits no longer leaves a thread that ends by itself at `until`.
pub(super) async fn look(
    cx: &CollectContext,
    endpoint: &TlsEndpoint,
    until: Timestamp,
) -> io::Result<Presented> {
    let (done, looked) = oneshot::channel();
    let (cx, endpoint) = (cx.clone(), endpoint.clone());
    std::thread::Builder::new().name("itom-tls".into()).spawn(move || {
        // Nobody waits any more if this fails, and nothing is lost.
        let _ = done.send(handshake(&cx, &endpoint, until));
    })?;
    looked.await.unwrap_or_else(|_| Err(io::Error::other("the thread of the handshake is gone")))
}

fn handshake(cx: &CollectContext, endpoint: &TlsEndpoint, until: Timestamp) -> io::Result<Presented> {
    let seen = Arc::new(Witness::new());
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut client =
        ClientConnection::new(Arc::new(config), endpoint.name().clone()).map_err(io::Error::other)?;
    let stream = connect(cx, endpoint, until)?;
    let peer = stream.peer_addr()?;
    let mut stream = Timed { stream, cx, until };
    let mut completed = Ok(());
    while client.is_handshaking() && completed.is_ok() {
        completed = client.complete_io(&mut stream).map(|_| ());
    }
    if completed.is_ok() {
        client.send_close_notify();
        // Saying goodbye is a courtesy: who is gone already does not miss it.
        let _ = client.write_tls(&mut stream);
    }
    let seen = seen.take();
    match (seen, completed) {
        (Some((end, between)), completed) => Ok(Presented { peer, end, between, completed }),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(io::Error::new(io::ErrorKind::InvalidData, "no certificate was presented")),
    }
}

/// The first address that answers.
fn connect(cx: &CollectContext, endpoint: &TlsEndpoint, until: Timestamp) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (endpoint.host().as_str(), endpoint.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, remaining(cx, until)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// How long may still be waited.
fn remaining(cx: &CollectContext, until: Timestamp) -> io::Result<Duration> {
    cx.check().map_err(|stop| io::Error::new(io::ErrorKind::TimedOut, stop))?;
    let left = until.since(cx.now());
    if left.is_zero() {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long"));
    }
    Ok(left)
}

/// A stream that ends in time, however slowly the other side speaks.
struct Timed<'a> {
    stream: TcpStream,
    cx: &'a CollectContext,
    until: Timestamp,
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(remaining(self.cx, self.until)?))?;
        self.stream.read(into).map_err(in_time)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(remaining(self.cx, self.until)?))?;
        self.stream.write(from).map_err(in_time)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A socket whose time is up says that it would block.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"),
        _ => error,
    }
}

type Chain = (Vec<u8>, Vec<Vec<u8>>);

/// Believes any certificate and keeps what it saw; that the server has the key of it is checked.
#[derive(Debug)]
struct Witness {
    provider: CryptoProvider,
    seen: Mutex<Option<Chain>>,
}

impl Witness {
    fn new() -> Self {
        Self { provider: rustls::crypto::ring::default_provider(), seen: Mutex::new(None) }
    }

    fn take(&self) -> Option<Chain> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = (end.to_vec(), between.iter().map(|own| own.to_vec()).collect());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
