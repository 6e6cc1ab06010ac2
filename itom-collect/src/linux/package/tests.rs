use std::path::PathBuf;
use std::sync::Arc;

use futures::executor::block_on;
use itom_core::{
    Batch, Clock as _, ErrorKind, Observation, Scope, SourceName, Subject, SystemClock, Timestamp, Value,
    attr, kind, relation,
};
use proptest::prelude::*;

use super::record::{Garbage, Held, Package};
use super::stanza::{Format, MAX_LINE, Stanza, Stanzas};
use super::*;
use crate::linux::command::tests::TestRoot;
use crate::testing::CollectorCheck;
use crate::{Outcome, RunReport, RunSpec, run_collector};

fn run(collector: &PackageCollector) -> RunReport {
    let clock = SystemClock::new();
    let deadline = clock.now() + std::time::Duration::from_secs(60);
    block_on(run_collector(collector, RunSpec::new(SourceName::literal("p"), Arc::new(clock), deadline)))
}

fn ids(batch: &Batch) -> Vec<&str> {
    batch
        .items()
        .iter()
        .filter_map(|item| match item {
            Observation::Ci(ci) if ci.kind == kind::SOFTWARE => Some(ci.subject.as_str()),
            _ => None,
        })
        .collect()
}

fn attribute(batch: &Batch, id: &str, name: &str) -> Option<Value> {
    batch.items().iter().find_map(|item| match item {
        Observation::Ci(ci) if ci.subject.as_str() == id => ci.attributes.get(name).cloned(),
        _ => None,
    })
}

/// What is said of the host: when it was updated.
fn updated(batch: &Batch) -> Option<Timestamp> {
    match attribute(batch, "host", attr::OS_UPDATE_TIME.as_str()) {
        Some(Value::Time(time)) => Some(time),
        None => None,
        other => panic!("{other:?}"),
    }
}

fn write_at(root: &TestRoot, path: &str, content: &str, seconds: u64) {
    let path = root.file(path, content);
    let file = std::fs::File::options().write(true).open(path).expect("the file");
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).expect("its time");
}

const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef\n";

const DPKG: &str = "\
Package: openssl
Status: hold ok installed
Architecture: amd64
Version: 3.0.11-1~deb12u2
Description: tools
 long
 .
 Package: not a field

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libc6
Status: install ok half-configured
Source: glibc (2.36-9)
Architecture: amd64
Version: 2.36-9+deb12u3
";

const APK: &str = "\
C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
o:musl
F:lib
R:ld-musl-x86_64.so.1

P:ssl_client
V:1.36.1-r5
A:x86_64
o:busybox
";

fn debian() -> TestRoot {
    let root = TestRoot::new("package");
    root.file("etc/machine-id", MACHINE_ID);
    root.file("etc/os-release", "NAME=\"Debian\"\nID=debian\nID_LIKE=x\n");
    root.file("var/lib/dpkg/status", DPKG);
    root
}

#[test]
fn dpkg_packages_become_items_on_their_host() {
    let root = debian();
    let report = run(&PackageCollector::new().with_root(root.path()));
    assert_eq!(report.outcome, Outcome::Ok, "{:?}", report.error);
    let batch = &report.batch;
    let openssl = "pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64";
    let libc = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u3?arch=amd64";
    assert_eq!(ids(batch), [openssl, libc]);
    assert_eq!(attribute(batch, openssl, "package.hold"), Some(Value::Bool(true)));
    assert_eq!(attribute(batch, libc, "package.hold"), Some(Value::Bool(false)));
    assert_eq!(attribute(batch, libc, "package.source"), Some("glibc".into()));
    assert_eq!(attribute(batch, libc, "package.status"), Some("half-configured".into()));
    assert_eq!(attribute(batch, libc, attr::PACKAGE_VERSION.as_str()), Some("2.36-9+deb12u3".into()));
    let hosts = batch.items().iter().filter(|item| {
        matches!(item, Observation::Relation(on) if on.kind == relation::INSTALLED_ON
            && on.to == Subject::Key(itom_core::Key::machine_id(MACHINE_ID.trim()).expect("a machine-id")))
    });
    assert_eq!(hosts.count(), 2);
    assert!(batch.coverage().covers_ci(&kind::SOFTWARE, Some("dpkg")));
    assert!(batch.coverage().covers_relation(&relation::INSTALLED_ON, Some("dpkg")));
    assert!(
        !batch.coverage().covers_ci(&kind::SOFTWARE, Some("rpm")),
        "what was not looked at is not covered"
    );
    assert!(batch.faults().is_empty());
}

#[test]
fn the_same_package_on_two_hosts_is_two_items() {
    let (one, two) = (debian(), debian());
    two.file("etc/machine-id", "ffffffffffffffffffffffffffffff00\n");
    let keys = |root: &TestRoot| {
        let report = run(&PackageCollector::new().with_root(root.path()));
        let item = report.batch.items().first().cloned();
        if let Some(Observation::Ci(ci)) = item { ci.keys } else { panic!("no item") }
    };
    assert_ne!(keys(&one), keys(&two));
}

#[test]
fn apk_and_distroless_lists_are_read() {
    let root = TestRoot::new("package");
    root.file("etc/os-release", "ID=\"alpine\"\n");
    root.file("lib/apk/db/installed", APK);
    root.file("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\nArchitecture: arm64\n");
    root.file("var/lib/dpkg/status.d/base.md5sums", "d41d8cd98f00b204e9800998ecf8427e  etc/x\n");
    let report = run(&PackageCollector::new().with_root(root.path()));
    let batch = &report.batch;
    assert_eq!(
        ids(batch),
        [
            "pkg:deb/alpine/base-files@12.4?arch=arm64",
            "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64",
            "pkg:apk/alpine/ssl_client@1.36.1-r5?arch=x86_64",
        ]
    );
    assert_eq!(attribute(batch, ids(batch)[2], "package.source"), Some("busybox".into()));
    assert_eq!(attribute(batch, ids(batch)[1], "package.source"), None, "named like its source");
    assert!(batch.coverage().covers_ci(&kind::SOFTWARE, Some("apk")));
    assert!(batch.faults().is_empty(), "{:?}", batch.faults());
}

#[test]
fn garbage_is_one_fault_with_its_place_and_the_rest_is_read() {
    let root = debian();
    root.file(
        "var/lib/dpkg/status",
        format!("{DPKG}\nwhat is this\nand this\n\n{}", "Package: x\nVersion: 1\n"),
    );
    root.file("lib/apk/db/installed", APK);
    let report = run(&PackageCollector::new().with_root(root.path()));
    assert_eq!(report.outcome, Outcome::Ok);
    let batch = &report.batch;
    assert!(ids(batch).contains(&"pkg:deb/debian/x@1"));
    assert_eq!(batch.faults().len(), 1, "{:?}", batch.faults());
    assert!(batch.faults()[0].what.ends_with("var/lib/dpkg/status:21"), "{:?}", batch.faults());
    assert_eq!(batch.faults()[0].kind, ErrorKind::Invalid);
    assert!(!batch.coverage().covers_ci(&kind::SOFTWARE, Some("dpkg")), "absence means nothing now");
    assert!(batch.coverage().covers_ci(&kind::SOFTWARE, Some("apk")), "apk's list is whole");
}

#[test]
fn a_machine_without_lists_is_unsupported() {
    let root = TestRoot::new("package");
    let report = run(&PackageCollector::new().with_root(root.path()));
    assert!(matches!(report.outcome, Outcome::Failed { kind: ErrorKind::Unsupported, .. }), "{report:?}");
}

#[test]
fn the_host_was_updated_when_dpkg_last_upgraded_something() {
    let root = debian();
    let own = PackageCollector::new().with_root(root.path());
    assert_eq!(updated(&run(&own).batch), None, "there is nothing to tell from");

    let info = |name: &str, at: u64| write_at(&root, &format!("var/lib/dpkg/info/{name}"), "", at);
    info("openssl.list", 1_000);
    info("libc6:amd64.list", 2_000);
    info("curl.list", 3_000);
    info("curl.postinst", 9_000);
    assert_eq!(updated(&run(&own).batch), Some(Timestamp::from_secs(3_000)), "it cannot have been later");

    // In local time, which is why these times are not used.
    root.file("var/log/dpkg.log.1", "2026-01-01 10:00:00 upgrade openssl:amd64 1 2\n");
    root.file(
        "var/log/dpkg.log",
        "2026-02-01 10:00:00 startup archives unpack\n2026-02-01 10:00:00 install curl:amd64 <none> 8\n",
    );
    assert_eq!(updated(&run(&own).batch), Some(Timestamp::from_secs(1_000)), "curl was only installed");

    root.file(
        "var/log/dpkg.log",
        "2026-02-01 10:00:00 upgrade openssl:amd64 1 2\n2026-02-01 10:00:01 upgrade libc6:amd64 1 2\n\
         2026-02-01 10:00:01 upgrade gone:amd64 1 2\n2026-02-01 10:00:01 upgrade ../../../etc/passwd 1 2\n",
    );
    let report = run(&own);
    assert_eq!(updated(&report.batch), Some(Timestamp::from_secs(2_000)));
    assert!(report.batch.faults().is_empty(), "{:?}", report.batch.faults());
    let keyed = report.batch.items().iter().any(|item| {
        matches!(item, Observation::Ci(ci) if ci.kind == kind::HOST
            && ci.keys == [itom_core::Key::machine_id(MACHINE_ID.trim()).expect("a machine-id")].into())
    });
    assert!(keyed, "the host goes by the key all collectors know it by");

    let container = itom_core::Key::host_name("box");
    assert_eq!(updated(&run(&own.with_host_key(container)).batch), None, "it may not be a host");
}

#[test]
fn an_alpine_host_was_updated_when_its_list_was_written() {
    let root = TestRoot::new("package");
    root.file("etc/machine-id", MACHINE_ID);
    write_at(&root, "lib/apk/db/installed", APK, 5_000);
    let report = run(&PackageCollector::new().with_root(root.path()));
    assert_eq!(updated(&report.batch), Some(Timestamp::from_secs(5_000)));
}

#[test]
fn rpm_is_asked_and_its_absence_is_said() {
    let root = TestRoot::new("package");
    root.file("etc/os-release", "ID=fedora\n");
    root.file("var/lib/rpm/rpmdb.sqlite", "");
    let missing = PackageCollector::new().with_root(root.path()).with_rpm("/nowhere/rpm");
    let report = run(&missing);
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(report.batch.faults().len(), 1);
    assert!(report.batch.faults()[0].message.contains("install it"), "{:?}", report.batch.faults());
    assert_eq!(report.batch.coverage().partial_scopes().len(), 2);

    let rpm = root.program(
        "bin/rpm",
        r#"[ "$1" = --root ] && [ "$3" = -qa ] || exit 9
printf 'bash\t(none)\t5.2.15\t3.fc38\tx86_64\tbash-5.2.15-3.fc38.src.rpm\t1700000000\n'
printf 'openssl-libs\t1\t3.0.9\t2.fc38\tx86_64\topenssl-3.0.9-2.fc38.src.rpm\t1690000000\n'
printf 'gpg-pubkey\t(none)\teb10b464\t6202d9c6\t(none)\t(none)\t1800000000\n'
printf 'broken\n'"#,
    );
    let report = run(&PackageCollector::new().with_root(root.path()).with_rpm(rpm));
    let batch = &report.batch;
    assert_eq!(
        ids(batch),
        [
            "pkg:rpm/fedora/bash@5.2.15-3.fc38?arch=x86_64",
            "pkg:rpm/fedora/openssl-libs@3.0.9-2.fc38?arch=x86_64&epoch=1",
        ],
        "{:?}",
        batch.faults()
    );
    assert_eq!(attribute(batch, ids(batch)[1], "package.source"), Some("openssl".into()));
    assert_eq!(batch.faults()[0].what.as_str(), "rpm -qa:4");
    assert_eq!(updated(batch), None, "the line that cannot be read may be the newest");

    let whole = root.program(
        "bin/whole",
        r#"printf 'bash\t(none)\t5.2.15\t3.fc38\tx86_64\tbash-5.2.15-3.fc38.src.rpm\t1700000000\n'
printf 'less\t(none)\t633\t1.fc38\tx86_64\tless-633-1.fc38.src.rpm\t1690000000\n'
printf 'gpg-pubkey\t(none)\teb10b464\t6202d9c6\t(none)\t(none)\t1800000000\n'"#,
    );
    let report = run(&PackageCollector::new().with_root(root.path()).with_rpm(whole));
    assert_eq!(updated(&report.batch), Some(Timestamp::from_secs(1_700_000_000)), "keys are no packages");

    let failing = root.program("bin/failing", "echo 'database is locked' >&2; exit 1");
    let report = run(&PackageCollector::new().with_root(root.path()).with_rpm(failing));
    assert!(report.batch.faults()[0].message.contains("database is locked"), "{:?}", report.batch.faults());
    assert!(report.batch.coverage().complete_scopes().is_empty());
}

#[test]
fn l11_the_collector_keeps_its_contract() {
    let root = debian();
    let make = || PackageCollector::new().with_root(root.path());
    assert_eq!(CollectorCheck::new().still().run(make), Ok(()));
}

#[test]
fn this_machine_keeps_the_contract_too() {
    let report = run(&PackageCollector::new());
    if let Some(error) = &report.error {
        println!("skipped: {error}");
        return;
    }
    println!("{} packages in {:?}", ids(&report.batch).len(), report.duration);
    assert!(!ids(&report.batch).is_empty() || !report.batch.faults().is_empty());
    assert_eq!(crate::testing::check_collector(PackageCollector::new), Ok(()));
}

#[test]
fn conformance_a_real_list_is_read_whole() {
    let data = std::env::var_os("ITOM_CONFORMANCE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let sample = data.join("samples/dpkg/status");
    let Ok(text) = std::fs::read(&sample) else {
        println!("skipped: no sample at {}", sample.display());
        return;
    };
    let root = debian();
    root.file("var/lib/dpkg/status", &text);
    let report = run(&PackageCollector::new().with_root(root.path()));
    assert!(report.batch.faults().is_empty(), "{:?}", report.batch.faults());
    // The naive reading: stanzas whose status ends in `installed`.
    let text = String::from_utf8_lossy(&text);
    let installed = text.lines().filter(|line| line.starts_with("Status: ") && line.ends_with(" installed"));
    assert_eq!(ids(&report.batch).len(), installed.count());
    assert!(report.batch.coverage().complete_scopes().contains(&Scope::cis(kind::SOFTWARE).within("dpkg")));
}

/// Parses in pieces of the given sizes, over and over.
fn parse(format: Format, bytes: &[u8], pieces: &[usize]) -> Vec<Result<Stanza, Garbage>> {
    let mut found = Vec::new();
    let mut stanzas = Stanzas::new(format);
    let (mut rest, mut sizes) = (bytes, pieces.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
        stanzas.feed(&rest[..size], |stanza| found.push(stanza));
        rest = &rest[size..];
    }
    stanzas.finish(|stanza| found.push(stanza));
    found
}

fn like_a_list() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(b"Package: a".to_vec()),
        Just(b"Version: 1".to_vec()),
        Just(b"Status: install ok installed".to_vec()),
        Just(b"P:a".to_vec()),
        Just(b"V:1".to_vec()),
        Just(b" continued".to_vec()),
        Just(Vec::new()),
        Just(vec![b'x'; MAX_LINE + 7]),
        Just([b"Package: ".as_slice(), &[b'y'; MAX_LINE]].concat()),
        prop::collection::vec(any::<u8>(), 0..30),
    ];
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.join(&b'\n'))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn l10_any_bytes_into_the_lists_however_they_are_cut(
        bytes in prop_oneof![like_a_list(), prop::collection::vec(any::<u8>(), 0..2_000)],
        pieces in prop::collection::vec(1_usize..5_000, 1..5),
    ) {
        for (format, understand) in [
            (dpkg::FORMAT, dpkg::package as fn(&Stanza) -> Result<Option<Package>, Garbage>),
            (apk::FORMAT, apk::package),
        ] {
            let whole = parse(format, &bytes, &[usize::MAX]);
            prop_assert_eq!(&whole, &parse(format, &bytes, &pieces));
            for stanza in whole.into_iter().flatten() {
                if let Ok(Some(package)) = understand(&stanza) {
                    prop_assert!(package.name.len() <= MAX_LINE && package.version.len() <= MAX_LINE);
                    let purl = purl::purl(record::Manager::Dpkg, Some("debian"), &package);
                    prop_assert!(purl.bytes().all(|byte| byte.is_ascii_graphic()), "{}", purl);
                }
            }
        }
        for package in super::updated::upgraded(&bytes) {
            prop_assert!(!package.contains('/') && !package.starts_with('.'), "{}", package);
        }
        rpm::packages(&bytes, |package| {
            if let Ok(package) = package {
                assert_eq!(package.held, Held::Unknown);
            }
        });
    }

    #[test]
    fn l10_what_was_written_is_read_back(
        packages in prop::collection::vec(("[a-z0-9+.-]{1,20}", "[0-9][A-Za-z0-9.+~:-]{0,20}"), 0..20),
    ) {
        let text: String = packages
            .iter()
            .map(|(name, version)| format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\nDescription: x\n y: z\n\n"))
            .collect();
        let read: Vec<(String, String)> = parse(dpkg::FORMAT, text.as_bytes(), &[7])
            .into_iter()
            .map(|stanza| {
                let package = dpkg::package(&stanza.expect("good")).expect("good").expect("installed");
                (package.name, package.version)
            })
            .collect();
        prop_assert_eq!(read, packages);
    }
}
