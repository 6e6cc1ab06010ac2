//! The collector.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use itom_core::{Batch, Coverage, ErrorKind, Scope, Text, kind, relation};

use super::certificate::Certificate;
use super::endpoint::TlsEndpoint;
use super::{emit, handshake};
use crate::{CollectContext, CollectError, Collector, Descriptor};

/// Handshakes at a time.
const AT_ONCE: usize = 16;

/// Reads the certificates that servers present: one [`kind::CERTIFICATE`] item for each endpoint, and that what listens
/// there depends on it. The item lives on when the certificate is renewed: its attributes change. Where one certificate
/// is presented at several endpoints (`tls.server.hash.sha256` is equal), each has to be given the next one.
///
/// Attributes: `tls.server.subject`, `tls.server.issuer`, `tls.server.not_before`, `tls.server.not_after`,
/// `tls.server.hash.sha256`, `x509.serial_number`, `x509.alternative_names`. Samples, named as those of
/// blackbox_exporter: `probe_success`, and `probe_ssl_earliest_cert_expiry` (Unix seconds) of the whole chain, both with
/// `instance`.
///
/// Coverage is by endpoint: where nobody answers, what was presented there before stays. A server that wants a
/// certificate of its client has shown its own by then: it is told, with a fault and `probe_success` 0.
///
/// What listens is named by the address that answered. The addresses of the loopback interface name nobody: there the
/// certificate is told without its service, unless the endpoint [names it](TlsEndpoint::with_service).
///
/// ```no_run
/// use itom_collect::tls::{TlsCollector, TlsEndpoint};
///
/// let endpoints = ["shop.example.com:443", "10.0.0.7:6443"];
/// let endpoints: Result<Vec<TlsEndpoint>, _> = endpoints.iter().map(|own| own.parse()).collect();
/// let collector = TlsCollector::new(endpoints?);
/// # Ok::<(), itom_collect::tls::EndpointError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TlsCollector {
    /// By label, so that none is looked at twice.
    endpoints: BTreeMap<Text, TlsEndpoint>,
    timeout: Duration,
    target: Option<Text>,
}

impl TlsCollector {
    /// For these endpoints.
    #[must_use]
    pub fn new(endpoints: impl IntoIterator<Item = TlsEndpoint>) -> Self {
        let endpoints = endpoints.into_iter().map(|own| (own.label(), own)).collect();
        Self { endpoints, timeout: Duration::from_secs(5), target: None }
    }

    /// How long one endpoint may take: 5 s unless set.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Names the set of endpoints in the collector's source name (`tls@shop`): needed when there are several.
    #[must_use]
    pub fn with_target(self, target: impl Into<Text>) -> Self {
        Self { target: Some(target.into()), ..self }
    }
}

/// An endpoint, and what was found there.
type Look<'a> = (&'a Text, &'a TlsEndpoint, std::io::Result<handshake::Presented>);

impl TlsCollector {
    async fn look<'a>(&self, cx: &CollectContext, label: &'a Text, endpoint: &'a TlsEndpoint) -> Look<'a> {
        let until = cx.deadline().min(cx.now() + self.timeout);
        (label, endpoint, handshake::look(cx, endpoint, until).await)
    }
}

/// Takes in what was found; says why it cannot be known what is presented there.
fn take(
    batch: &mut Batch,
    endpoint: &TlsEndpoint,
    looked: std::io::Result<handshake::Presented>,
) -> Result<(), (ErrorKind, Text)> {
    let label = endpoint.label();
    let failed = |batch: &mut Batch, kind: ErrorKind, reason: String| {
        let reason = Text::from(reason);
        batch.fault(label.clone(), kind, reason.clone());
        (kind, reason)
    };
    let presented = match looked {
        Ok(presented) => presented,
        Err(error) => {
            emit::success(batch, endpoint, false);
            return Err(failed(batch, ErrorKind::of_io(&error), format!("no certificate was read: {error}")));
        }
    };
    emit::success(batch, endpoint, presented.completed.is_ok());
    let certificate = match Certificate::from_der(&presented.end) {
        Ok(certificate) => certificate,
        Err(error) => return Err(failed(batch, ErrorKind::Invalid, error.to_string())),
    };
    let between = presented.between.iter().filter_map(|own| Certificate::from_der(own).ok());
    let earliest = between.map(|own| own.not_after).fold(certificate.not_after, Ord::min);
    emit::certificate(batch, endpoint, presented.peer, &certificate, earliest);
    if let Err(error) = presented.completed {
        failed(batch, ErrorKind::of_io(&error), format!("the handshake was not completed: {error}"));
    }
    Ok(())
}

#[async_trait]
impl Collector for TlsCollector {
    fn descriptor(&self) -> Descriptor {
        let turns = u32::try_from(self.endpoints.len().div_ceil(AT_ONCE)).unwrap_or(u32::MAX).max(1);
        let own = Descriptor::new("tls")
            .emits(kind::CERTIFICATE)
            .every(Duration::from_secs(3_600))
            .timeout(self.timeout.saturating_mul(turns).saturating_add(Duration::from_secs(5)));
        match &self.target {
            Some(target) => own.target(target.clone()),
            None => own,
        }
    }

    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
        let mut coverage = Coverage::new();
        let looks: Vec<_> = self.endpoints.iter().map(|(label, own)| self.look(cx, label, own)).collect();
        // In the order of the endpoints, so that equal answers make equal batches.
        let mut looks = std::pin::pin!(futures::stream::iter(looks).buffered(AT_ONCE));
        while let Some((label, endpoint, looked)) = cx.bounded(looks.next()).await? {
            let scopes = [Scope::cis(kind::CERTIFICATE), Scope::relations(relation::DEPENDS_ON)];
            let verdict = take(batch, endpoint, looked);
            for scope in scopes.map(|scope| scope.within(label.clone())) {
                match &verdict {
                    Ok(()) => coverage.add_complete(scope),
                    Err((kind, reason)) => coverage.add_partial(scope, *kind, reason.clone()),
                }
            }
        }
        Ok(coverage)
    }
}
