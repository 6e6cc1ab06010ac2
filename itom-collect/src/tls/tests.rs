use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use itom_core::{
    Batch, Clock as _, ErrorKind, Key, Observation, Realm, Scope, SourceName, Subject, SystemClock, Text,
    Timestamp, Value, attr, kind, relation,
};
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::*;
use crate::testing::check_collector;
use crate::{Collector as _, RunReport, RunSpec, run_collector};

/// A certificate that ends with its year, signed by itself, and its key.
fn identity(name: &str, year: i32) -> (Vec<u8>, KeyPair) {
    let mut params = CertificateParams::new([name.to_owned(), "127.0.0.1".to_owned()]).expect("names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(year, 1, 1);
    params.not_after = date_time_ymd(year, 12, 31);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    (params.self_signed(&key).expect("a certificate").der().to_vec(), key)
}

/// How a server treats who comes.
#[derive(Clone, Copy)]
enum Manner {
    Plain,
    WantsClient,
}

fn config(manner: Manner, name: &str, year: i32) -> ServerConfig {
    let (certificate, key) = identity(name, year);
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let built = match manner {
        Manner::Plain => {
            builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth()
        }
        Manner::WantsClient => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate.clone().into()).expect("a root");
            let judge = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            // In version 1.3 the client is done before the server looks for its certificate.
            builder
                .with_protocol_versions(&[&rustls::version::TLS12])
                .expect("a version")
                .with_client_cert_verifier(judge.expect("a judge"))
        }
    };
    built.with_single_cert(vec![certificate.into()], key).expect("a pair")
}

/// Serves so many connections.
fn serve(manner: Manner, name: &str, year: i32, connections: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = Arc::new(config(manner, name, year));
    std::thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let (Ok(mut stream), Ok(mut own)) = (stream, ServerConnection::new(Arc::clone(&config))) else {
                return;
            };
            while own.is_handshaking() && own.complete_io(&mut stream).is_ok() {}
            let _ = stream.read(&mut [0; 64]);
        }
    });
    address
}

fn endpoint(address: SocketAddr) -> TlsEndpoint {
    address.to_string().parse().expect("an endpoint")
}

fn run(collector: &TlsCollector) -> RunReport {
    let clock = Arc::new(SystemClock::new());
    let source = collector.descriptor().source_name().expect("a name");
    let deadline = clock.now() + Duration::from_secs(60);
    futures::executor::block_on(run_collector(collector, RunSpec::new(source, clock, deadline)))
}

fn certificates(batch: &Batch) -> Vec<&itom_core::CiObservation> {
    batch
        .items()
        .iter()
        .filter_map(|item| match item {
            Observation::Ci(ci) => Some(ci),
            _ => None,
        })
        .collect()
}

fn gauge(batch: &Batch, name: &str, instance: &str) -> Option<f64> {
    batch.items().iter().find_map(|item| match item {
        Observation::Sample(sample)
            if sample.metric.as_str() == name && sample.labels.get("instance") == Some(instance) =>
        {
            Some(sample.value)
        }
        _ => None,
    })
}

fn end_of(year: i32) -> Timestamp {
    Timestamp::from_secs(date_time_ymd(year, 12, 31).unix_timestamp())
}

#[test]
fn a_certificate_is_told_however_expired_with_the_service_that_depends_on_it() {
    let address = serve(Manner::Plain, "old.example.com", 2019, 1);
    let service = Key::native(Realm::GLOBAL, "shop");
    let own =
        endpoint(address).with_server_name("old.example.com").expect("a name").with_service(service.clone());
    let report = run(&TlsCollector::new([own]));
    let batch = &report.batch;
    let label = format!("{address}#old.example.com");
    let [told] = certificates(batch)[..] else { panic!("one certificate: {batch:?}") };
    assert_eq!(told.kind, kind::CERTIFICATE);
    assert_eq!(told.attributes[&attr::TLS_SERVER_SUBJECT], Value::from("CN=old.example.com"));
    assert_eq!(told.attributes[&attr::TLS_SERVER_ISSUER], Value::from("CN=old.example.com"));
    assert_eq!(told.attributes[&attr::TLS_SERVER_NOT_AFTER], Value::Time(end_of(2019)));
    assert_eq!(told.attributes["x509.alternative_names"], Value::text_set(["127.0.0.1", "old.example.com"]));
    assert_eq!(told.subject.as_str(), label);
    assert!(told.keys.is_empty(), "the loopback interface is another one on each machine");
    assert!(batch.items().iter().any(|item| matches!(item, Observation::Relation(own)
        if own.kind == relation::DEPENDS_ON && own.from == Subject::Key(service.clone()))));
    assert_eq!(gauge(batch, "probe_success", &label), Some(1.0));
    let expiry = gauge(batch, "probe_ssl_earliest_cert_expiry", &label);
    assert_eq!(expiry, Some(date_time_ymd(2019, 12, 31).unix_timestamp() as f64));
    assert!(batch.coverage().covers_ci(&kind::CERTIFICATE, Some(&label)));
    assert!(batch.faults().is_empty(), "{:?}", batch.faults());
}

#[test]
fn an_endpoint_is_looked_at_once_for_each_name() {
    let address = serve(Manner::Plain, "shared.example.com", 2030, 2);
    let by_name = endpoint(address).with_server_name("shared.example.com").expect("a name");
    let report = run(&TlsCollector::new([endpoint(address), by_name, endpoint(address)]));
    let [one, other] = certificates(&report.batch)[..] else { panic!("{:?}", report.batch) };
    assert_ne!(one.subject, other.subject);
    let digest = |ci: &itom_core::CiObservation| ci.attributes[&attr::TLS_SERVER_HASH_SHA256].clone();
    assert_eq!(digest(one), digest(other));
}

#[test]
fn an_endpoint_is_called_the_same_from_everywhere() {
    let mut batch = Batch::new(SourceName::literal("tls"), Timestamp::EPOCH);
    let own = Certificate::from_der(&identity("shop.example.com", 2030).0).expect("a certificate");
    let endpoint: TlsEndpoint = "shop.example.com:443".parse().expect("an endpoint");
    let peer: SocketAddr = "192.0.2.7:443".parse().expect("an address");
    emit::certificate(&mut batch, &endpoint, peer, &own, own.not_after);
    let [told] = certificates(&batch)[..] else { panic!("{batch:?}") };
    assert_eq!(told.keys.first().map(Key::value), Some("shop.example.com:443"));
    let listens = Subject::Key(Key::endpoint("tcp", peer.ip(), 443));
    assert!(
        batch.items().iter().any(|item| matches!(item, Observation::Relation(own) if own.from == listens))
    );
}

#[test]
fn a_server_that_wants_a_certificate_has_shown_its_own() {
    let address = serve(Manner::WantsClient, "mutual.example.com", 2031, 1);
    let report = run(&TlsCollector::new([endpoint(address)]));
    assert_eq!(certificates(&report.batch).len(), 1);
    assert_eq!(gauge(&report.batch, "probe_success", &address.to_string()), Some(0.0));
    assert!(report.batch.faults()[0].message.contains("not completed"), "{:?}", report.batch.faults());
    assert!(report.batch.coverage().covers_ci(&kind::CERTIFICATE, Some(&address.to_string())));
}

#[test]
fn where_nothing_is_presented_nothing_is_known() {
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|own| own.local_addr()).expect("a port");
    let speaks = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addresses =
        [gone, speaks.local_addr().expect("its address"), silent.local_addr().expect("its address")];
    std::thread::spawn(move || {
        if let Ok((mut stream, _)) = speaks.accept() {
            let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n");
            let _ = stream.read(&mut [0; 512]);
        }
    });
    let collector = TlsCollector::new(addresses.map(endpoint)).with_timeout(Duration::from_millis(300));
    let report = run(&collector);
    assert!(certificates(&report.batch).is_empty());
    let scopes = report.batch.coverage().partial_scopes();
    for (address, expected) in
        addresses.iter().zip([ErrorKind::Unavailable, ErrorKind::Invalid, ErrorKind::Timeout])
    {
        let label = Text::from(address.to_string());
        let scope = Scope::cis(kind::CERTIFICATE).within(label.clone());
        let part = scopes.iter().find(|part| part.scope == scope).expect("it is not complete");
        assert_eq!(part.kind, expected, "{}", part.reason);
        assert_eq!(gauge(&report.batch, "probe_success", &label), Some(0.0));
    }
    assert!(!report.batch.coverage().covers_ci(&kind::CERTIFICATE, Some(&gone.to_string())));
    drop(silent);
}

#[test]
fn the_collector_keeps_the_contract() {
    let address = serve(Manner::Plain, "contract.example.com", 2032, 10_000);
    check_collector(|| TlsCollector::new([endpoint(address)])).unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn endpoints_are_read_as_they_are_written() {
    for (text, host, port) in [
        ("shop.example.com:443", "shop.example.com", 443),
        ("192.0.2.1:8443", "192.0.2.1", 8443),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
    ] {
        let own: TlsEndpoint = text.parse().expect("an endpoint");
        assert_eq!((own.host().as_str(), own.port()), (host, port));
        assert_eq!(own.to_string(), text);
    }
    for text in ["", ":443", "shop", "shop:", "shop:70000", "2001:db8::1:443", "no name!:443", "[::1]"] {
        assert!(text.parse::<TlsEndpoint>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn l10_any_bytes_are_a_certificate_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Certificate::from_der(&bytes);
    }

    #[test]
    fn l10_certificates_with_wounds_are_survived(
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..5),
    ) {
        let mut bytes = identity("wounded.example.com", 2029).0;
        for (at, byte, how) in wounds {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok(own) = Certificate::from_der(&bytes) {
            prop_assert_eq!(own.sha256.len(), 64);
            prop_assert!(own.names.len() <= 1_000);
        }
    }
}
