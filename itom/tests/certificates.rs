//! From a server on this machine to the policy that says its certificate must be renewed.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use itom::cmdb::expr::Read;
use itom::cmdb::graph::RelationModel;
use itom::cmdb::policy::{Compliance, PolicySet, Verdict};
use itom::cmdb::{Cmdb, CmdbConfig};
use itom::collect::tls::{TlsCollector, TlsEndpoint};
use itom::collect::{Collector as _, RunSpec, run_collector};
use itom::core::{Clock as _, SystemClock, Timestamp, Value, attr, kind};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{ServerConfig, ServerConnection};

/// Serves a certificate that ends with 2031 to whoever comes.
fn serve() -> SocketAddr {
    let mut params = CertificateParams::new(["shop.example.com".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(2031, 1, 1);
    params.not_after = date_time_ymd(2031, 12, 31);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").der().to_vec();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .expect("a pair");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok(mut own) = ServerConnection::new(Arc::clone(&config)) else { return };
            while own.is_handshaking() && own.complete_io(&mut stream).is_ok() {}
            let _ = stream.read(&mut [0; 64]);
        }
    });
    address
}

#[test]
fn a_certificate_fails_two_weeks_before_it_ends() {
    let address = serve();
    let endpoint: TlsEndpoint = address.to_string().parse().expect("an endpoint");
    let collector = TlsCollector::new([endpoint]);
    let clock = Arc::new(SystemClock::new());
    let source = collector.descriptor().source_name().expect("a name");
    let spec = RunSpec::new(source, Arc::clone(&clock) as _, clock.now() + Duration::from_secs(60));
    let report = futures::executor::block_on(run_collector(&collector, spec));

    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let facts = cmdb.plan(&report.batch, clock.now());
    cmdb.ingest(facts);
    let view = cmdb.view();
    let [certificate] = view.by_kind(&kind::CERTIFICATE)[..] else { panic!("one: {:?}", report.batch) };
    assert_eq!(certificate.name().as_str(), "shop.example.com");
    let ends = Value::Time(Timestamp::from_secs(date_time_ymd(2031, 12, 31).unix_timestamp()));
    assert_eq!(certificate.value(&attr::TLS_SERVER_NOT_AFTER), Some(&ends));

    let graph = view.graph(RelationModel::default()).expect("a graph");
    let on = |month, day| {
        let mut compliance = Compliance::new(PolicySet::starter());
        compliance.update(
            &view,
            &graph,
            Timestamp::from_secs(date_time_ymd(2031, month, day).unix_timestamp()),
        );
        let own = compliance.of(certificate.id()).find(|own| own.policy.as_str() == "certificate-valid");
        own.cloned().expect("it is judged")
    };
    assert_eq!(on(12, 1).verdict, Verdict::Pass);
    let failed = on(12, 20);
    assert_eq!(failed.verdict, Verdict::Fail);
    assert_eq!(failed.evidence[0].read, Read::Attribute(attr::TLS_SERVER_NOT_AFTER));
    assert_eq!(failed.evidence[0].value, ends);
}
