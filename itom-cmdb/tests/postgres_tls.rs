//! The PostgreSQL store over TLS, against a real server with a certificate that the test makes. Skipped with a reason where
//! there is no server.

#[expect(dead_code, reason = "other tests kill and restart it")]
#[path = "postgres/server.rs"]
mod server;

use std::path::PathBuf;

use itom_cmdb::store::{PostgresStore, Store as _, StoreError};
use itom_cmdb::testing::{check_store, some_facts};
use itom_core::{ErrorChain, Secret, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use server::{Encryption, Server};

const PASSWORD: &str = "hunter2 it's \\ long";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// One who signs certificates.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A file of this test, removed with it.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        // A blank, to be quoted.
        let path = std::env::temp_dir().join(format!("itom tls {} {name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

struct Stage {
    server: Server,
    port: u16,
    trusted: File,
    other: File,
}

impl Stage {
    fn set(name: &str) -> Option<Self> {
        let signer = authority();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &signer).unwrap();
        let encryption = Encryption { certificate: certificate.pem(), key: key.serialize_pem() };
        let server = Server::start_encrypted(name, &encryption)?;
        server.sql(&format!("ALTER USER postgres PASSWORD '{}'", PASSWORD.replace('\'', "''")));
        let trusted = File::new(&format!("{name} trusted.pem"), &signer.pem());
        let other = File::new(&format!("{name} other.pem"), &authority().pem());
        Some(Self { port: server.port(), server, trusted, other })
    }

    fn url(&self, host: &str, tls: &str, root: Option<&File>) -> Secret {
        let password = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
        let root = root.map_or_else(String::new, |file| format!("sslrootcert='{}'", file.0.display()));
        let port = self.port;
        Secret::new(format!(
            "host={host} port={port} user=postgres dbname=postgres password='{password}' {tls} {root}"
        ))
    }
}

#[test]
fn conformance_postgres_over_tls_keeps_the_contract_of_stores() {
    let Some(stage) = Stage::set("tls-contract") else { return };
    block_on(async {
        let url = stage.url("localhost", "sslmode=verify-full", Some(&stage.trusted));
        let store = PostgresStore::connect(&url).await.unwrap();
        stage.server.sql(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                WHERE application_name = 'itom-cmdb' AND ssl)
            THEN RAISE EXCEPTION 'it is not encrypted'; END IF; END $$",
        );
        check_store(&store).await;
        // Large rows come in many records.
        let facts = some_facts(9, 5_000, Timestamp::EPOCH);
        store.append(&facts).await.unwrap();
        use futures::StreamExt as _;
        let end = store.end().await.unwrap();
        let mut tail = store.tail(end, 10).await.unwrap();
        let more = some_facts(10, 3, Timestamp::EPOCH);
        let (page, appended) = futures::join!(tail.next(), store.append(&more));
        appended.unwrap();
        assert_eq!(page.unwrap().unwrap().facts, more, "told over an encrypted connection of its own");
    });
}

#[test]
fn conformance_postgres_believes_what_its_sslmode_says_and_nobody_else() {
    let Some(stage) = Stage::set("tls-modes") else { return };
    let (trusted, other) = (Some(&stage.trusted), Some(&stage.other));
    let missing = File(std::env::temp_dir().join("itom no such file.pem"));
    let empty = File::new("empty.pem", "no certificate at all\n");
    let why_unknown = "invalid peer certificate";
    // The server asks for a password over TLS and refuses everything else.
    for (host, tls, root, refused) in [
        ("localhost", "sslmode=disable", None, Some("pg_hba.conf")),
        ("localhost", "", None, None),
        ("localhost", "sslmode=prefer", other, None),
        ("localhost", "sslmode=require", None, None),
        ("localhost", "sslmode=require", trusted, None),
        ("localhost", "sslmode=require", other, Some(why_unknown)),
        ("127.0.0.1", "sslmode=verify-ca", trusted, None),
        ("localhost", "sslmode=verify-ca", other, Some(why_unknown)),
        ("localhost", "sslmode=verify-ca", None, Some("sslrootcert=FILE")),
        ("localhost", "sslmode=verify-full", trusted, None),
        ("127.0.0.1", "sslmode=verify-full", trusted, Some("not valid for name")),
        ("localhost", "sslmode=verify-full", other, Some(why_unknown)),
        ("localhost", "sslmode=verify-full sslrootcert=system", None, Some(why_unknown)),
        ("localhost", "sslmode=verify-full", Some(&missing), Some("itom no such file.pem")),
        ("localhost", "sslmode=verify-full", Some(&empty), Some("no certificate in it")),
        ("localhost", "sslmode=allow", None, Some("verify-ca or verify-full")),
    ] {
        let says = format!("{host} {tls} {:?}", root.map(|file| &file.0));
        let result = block_on(PostgresStore::connect(&stage.url(host, tls, root)));
        match (result, refused) {
            (Ok(store), None) => assert!(!format!("{store:?}").contains("hunter2"), "{says}"),
            (Err(error), Some(why)) => {
                let (text, shown) = (ErrorChain(&error).to_string(), format!("{error:?}"));
                assert!(matches!(error, StoreError::Open { .. }), "{says}: {text}");
                assert!(text.contains(why), "{says}: {text}");
                assert!(!text.contains("hunter2") && !shown.contains("hunter2"), "{says}: {shown}");
            }
            (result, refused) => panic!("{says}: wanted {refused:?}, got {result:?}"),
        }
    }
    // The wrong password, over an encrypted connection.
    let wrong = Secret::new(stage.url("localhost", "", None).expose().replace("hunter2", "hunter3"));
    let error = block_on(PostgresStore::connect(&wrong)).unwrap_err();
    assert!(!format!("{} {error:?}", ErrorChain(&error)).contains("hunter"), "{error:?}");
}
