//! From what a server presented to observations, purely.

use std::net::SocketAddr;

use itom_core::{
    AttrName, Batch, Key, LabelName, Labels, MetricName, Realm, Timestamp, Value, attr, kind, relation,
};

use super::certificate::Certificate;
use super::endpoint::TlsEndpoint;

/// Endpoints are called the same from everywhere, but for those of the loopback interface.
const REALM: Realm = Realm::literal("tls");
const SERIAL: AttrName = AttrName::literal("x509.serial_number");
const NAMES: AttrName = AttrName::literal("x509.alternative_names");
const SUCCESS: MetricName = MetricName::literal("probe_success");
const EXPIRY: MetricName = MetricName::literal("probe_ssl_earliest_cert_expiry");

fn labels(endpoint: &TlsEndpoint) -> Labels {
    Labels::empty().to_builder().set(LabelName::literal("instance"), endpoint.label()).build()
}

/// Whether a handshake came to its end.
pub(super) fn success(batch: &mut Batch, endpoint: &TlsEndpoint, completed: bool) {
    batch.gauge(SUCCESS, f64::from(u8::from(completed))).labels(labels(endpoint));
}

/// The certificate, and that what listens there depends on it.
pub(super) fn certificate(
    batch: &mut Batch,
    endpoint: &TlsEndpoint,
    peer: SocketAddr,
    certificate: &Certificate,
    earliest: Timestamp,
) {
    let label = endpoint.label();
    let ci = batch.ci(label.clone(), kind::CERTIFICATE);
    if !peer.ip().is_loopback() {
        ci.key(Key::native(REALM, &label));
    }
    ci.within(label.clone())
        .attr(attr::NAME, certificate.title().clone())
        .attr(attr::TLS_SERVER_HASH_SHA256, certificate.sha256.clone())
        .attr(attr::TLS_SERVER_SUBJECT, certificate.subject.clone())
        .attr(attr::TLS_SERVER_ISSUER, certificate.issuer.clone())
        .attr(attr::TLS_SERVER_NOT_BEFORE, certificate.not_before)
        .attr(attr::TLS_SERVER_NOT_AFTER, certificate.not_after)
        .attr(SERIAL, certificate.serial_number.clone())
        .attr(NAMES, Value::text_set(certificate.names.iter().cloned()));
    let listens = (!peer.ip().is_loopback()).then(|| Key::endpoint("tcp", peer.ip(), peer.port()));
    if let Some(service) = endpoint.service().cloned().or(listens) {
        batch.relation(relation::DEPENDS_ON, service, label.clone()).within(label.clone());
    }
    batch.gauge(EXPIRY, earliest.as_micros() as f64 / 1e6).labels(labels(endpoint)).on(label);
}
