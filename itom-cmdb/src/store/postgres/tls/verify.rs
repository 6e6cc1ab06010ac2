//! Two weaker judges of certificates, for those who ask for them by name.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, WantsVerifier,
};

/// Whether the certificate itself is believed; that the server has its key is checked in any case.
pub(super) trait Judge: std::fmt::Debug + Send + Sync + 'static {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms;
    fn believe(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error>;
}

/// A client that believes a judge and asks for no name.
pub(super) fn unnamed(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    judge: impl Judge,
) -> ClientConfig {
    builder.dangerous().with_custom_certificate_verifier(Arc::new(Unnamed(judge))).with_no_client_auth()
}

/// `sslmode=require` without a root file: whoever answers.
#[derive(Debug)]
pub(super) struct Anybody(WebPkiSupportedAlgorithms);

impl Anybody {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl Judge for Anybody {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.0
    }
    fn believe(&self, _: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: UnixTime) -> Result<(), Error> {
        Ok(())
    }
}

/// `sslmode=verify-ca`: whoever has a certificate that a trusted one signed.
#[derive(Debug)]
pub(super) struct SignedBy {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl SignedBy {
    pub(super) fn new(roots: RootCertStore, provider: &CryptoProvider) -> Self {
        Self { roots, algorithms: provider.signature_verification_algorithms }
    }
}

impl Judge for SignedBy {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }
    fn believe(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let end = ParsedCertificate::try_from(end)?;
        verify_server_cert_signed_by_trust_anchor(&end, &self.roots, between, now, self.algorithms.all)
    }
}

#[derive(Debug)]
struct Unnamed<J>(J);

impl<J: Judge> ServerCertVerifier for Unnamed<J> {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.believe(end, between, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, self.0.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, self.0.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.algorithms().supported_schemes()
    }
}
