//! L4, at the machine: whichever read of a run fails, nothing is retired that was not provably looked for.
//!
//! Each collector runs on a made-up machine, once whole and then once for each read that it makes, with that read failing.
//! What the whole run saw is still there; an item or a relation that the failing run lacks must then be outside of what it
//! says it read completely, or the run must have failed altogether.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures::executor::block_on;
use itom_core::{Batch, Clock as _, Coverage, Observation, SourceName, SystemClock, Timestamp};
use rustix::io::Errno;

use super::command::tests::TestRoot;
use super::fault::plan::failing;
use super::{HostCollector, PackageCollector, ProcessCollector, ServiceCollector, SystemdCollector};
use crate::{Cancel, CollectContext, Collector};

/// What one run saw: items and relations, each with a question whether a coverage would let it go.
struct Seen {
    items: BTreeMap<String, Observation>,
    coverage: Option<Coverage>,
}

fn run(collector: &impl Collector) -> Seen {
    let clock = Arc::new(SystemClock::new());
    let context = CollectContext::new(Arc::clone(&clock) as _, Timestamp::MAX, Cancel::new());
    let mut batch = Batch::new(SourceName::literal("l4"), clock.now());
    // Without its result, a run covers nothing.
    let coverage = block_on(collector.collect(&context, &mut batch)).ok();
    let items = batch.items().iter().filter_map(|item| {
        let name = match item {
            Observation::Ci(ci) => ci.subject.to_string(),
            Observation::Relation(relation) => {
                format!("{} {} {}", relation.from, relation.kind, relation.to)
            }
            _ => return None,
        };
        Some((name, item.clone()))
    });
    Seen { items: items.collect(), coverage }
}

/// Whether the coverage says that all there is like this was read.
fn covers(coverage: &Coverage, item: &Observation) -> bool {
    match item {
        Observation::Ci(ci) => coverage.covers_ci(&ci.kind, ci.partition.as_deref()),
        Observation::Relation(own) => coverage.covers_relation(&own.kind, own.partition.as_deref()),
        _ => false,
    }
}

/// Lets each read fail; returns how many there were, and of how many the run lacked something for it.
fn fail_each_read<C: Collector>(make: impl Fn() -> C, kinds: &[&str]) -> (usize, usize) {
    let whole = run(&make());
    let coverage = whole.coverage.as_ref().expect("a good run");
    let covered = |item: &&Observation| match item {
        Observation::Ci(ci) => kinds.iter().any(|kind| ci.kind.as_str().starts_with(kind)),
        _ => false,
    };
    let at_stake = whole.items.values().filter(covered).filter(|item| covers(coverage, item)).count();
    assert!(at_stake > 0, "nothing of {kinds:?} is at stake: {:?}", whole.items.keys());
    let (mut reads, mut felt) = (0, 0);
    let mut wrong = BTreeSet::new();
    for error in [Errno::IO, Errno::MFILE, Errno::TIMEDOUT, Errno::ACCESS] {
        for read in 0.. {
            let (seen, failed) = failing(read, error, || run(&make()));
            if !failed {
                reads = read;
                break;
            }
            let lost = whole.items.iter().filter(|(name, _)| !seen.items.contains_key(*name));
            let mut any = false;
            for (name, item) in lost {
                any = true;
                if seen.coverage.as_ref().is_some_and(|coverage| covers(coverage, item)) {
                    wrong.insert(format!("{error} at read {read}: {name}"));
                }
            }
            felt += usize::from(any || seen.coverage.is_none());
        }
    }
    assert!(wrong.is_empty(), "retired, though nobody looked:\n{wrong:#?}");
    (reads, felt)
}

const HEX: [(&str, &str); 2] = [("0100007F:1F90", "1001"), ("00000000:0016", "1002")];

/// A machine with four processes, two that listen and one in a container.
fn machine() -> TestRoot {
    let root = TestRoot::new("l4");
    root.file("etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n");
    root.file("etc/os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n");
    root.file("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    root.file("proc/sys/kernel/random/boot_id", "0e8b2a1c-5b1e-4f7e-9e58-3a3e4f0c9a11\n");
    root.file("proc/sys/kernel/hostname", "web-1\n");
    root.file("proc/stat", "btime 1700000000\n");
    root.file("proc/self/mountinfo", "24 22 0:5 / /proc rw - proc proc rw\n");
    let head =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let rows: String = HEX
        .iter()
        .enumerate()
        .map(|(row, (local, inode))| {
            format!("   {row}: {local} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100 0 0 10 0\n")
        })
        .collect();
    root.file("proc/self/net/tcp", format!("{head}{rows}"));
    for name in ["tcp6", "udp", "udp6"] {
        root.file(&format!("proc/self/net/{name}"), head);
    }
    let link = |path: &str, target: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::os::unix::fs::symlink(target, path).expect("a link");
    };
    link("proc/self/ns/net", "net:[4026531840]");
    link("proc/self/ns/pid", "pid:[4026531836]");
    link("proc/self/ns/mnt", "mnt:[4026531841]");
    let container =
        "0::/system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope\n";
    for (pid, parent, name, inode, cgroup) in [
        (1, 0, "init", None, "0::/init.scope\n"),
        (10, 1, "sshd", Some("1002"), "0::/system.slice/ssh.service\n"),
        (20, 1, "webd", Some("1001"), "0::/system.slice/web.service\n"),
        (30, 1, "worker", None, container),
    ] {
        let file = |name: &str, text: String| root.file(&format!("proc/{pid}/{name}"), text);
        file(
            "stat",
            format!(
                "{pid} ({name}) S {parent} {pid} {pid} 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {pid}00 1000 200 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n"
            ),
        );
        file("status", format!("Name:\t{name}\nUid:\t0\t0\t0\t0\nVmRSS:\t 10 kB\nNSpid:\t{pid}\n"));
        file("cmdline", format!("/usr/sbin/{name}\0-x\0"));
        file("cgroup", cgroup.to_owned());
        file("io", "read_bytes: 1\nwrite_bytes: 2\n".to_owned());
        link(&format!("proc/{pid}/exe"), &format!("/usr/sbin/{name}"));
        link(&format!("proc/{pid}/ns/net"), "net:[4026531840]");
        link(&format!("proc/{pid}/ns/pid"), "pid:[4026531836]");
        link(&format!("proc/{pid}/ns/mnt"), "mnt:[4026531841]");
        link(&format!("proc/{pid}/fd/0"), "/dev/null");
        if let Some(inode) = inode {
            link(&format!("proc/{pid}/fd/3"), &format!("socket:[{inode}]"));
        }
    }
    root
}

fn host(root: &Path) -> itom_core::Key {
    super::identity::host_key(root).expect("a key")
}

#[test]
fn l4_fault_at_every_read_of_processes() {
    let root = machine();
    let key = host(root.path());
    let (reads, felt) = fail_each_read(
        || ProcessCollector::new().root(root.path()).with_host_key(key.clone()),
        &["process", "container"],
    );
    assert!(reads > 60 && felt > 40, "{reads} reads, {felt} felt");
}

#[test]
fn l4_fault_at_every_read_of_services() {
    let root = machine();
    let key = host(root.path());
    let (reads, felt) =
        fail_each_read(|| ServiceCollector::new().root(root.path()).with_host_key(key.clone()), &["service"]);
    assert!(reads > 60 && felt > 40, "{reads} reads, {felt} felt");
}

#[test]
fn l4_fault_at_every_read_of_packages() {
    let root = machine();
    for (name, version) in [("openssl", "3.0.11-1"), ("libc6", "2.36-9")] {
        root.file(
            &format!("var/lib/dpkg/status.d/{name}"),
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
            ),
        );
    }
    root.file("lib/apk/db/installed", "P:musl\nV:1.2.4-r2\nA:x86_64\n\nP:zlib\nV:1\nA:x86_64\n");
    let key = host(root.path());
    let (reads, felt) = fail_each_read(
        || PackageCollector::new().with_root(root.path()).with_host_key(key.clone()),
        &["software"],
    );
    assert!(reads > 10 && felt > 20, "{reads} reads, {felt} felt");
}

#[test]
fn l4_fault_at_every_read_of_units() {
    let root = machine();
    std::fs::create_dir_all(root.path().join("run/systemd/system")).expect("a directory");
    let unit = |name: &str, pid: u32| {
        format!(
            "Id={name}\nLoadState=loaded\nActiveState=active\nSubState=running\nType=simple\nMainPID={pid}\n"
        )
    };
    let shown = format!("{}\n{}", unit("ssh.service", 10), unit("web.service", 20));
    let systemctl = root.program("systemctl", &format!("cat <<'END'\n{shown}END"));
    let key = host(root.path());
    let make = || {
        SystemdCollector::new().with_root(root.path()).with_systemctl(&systemctl).with_host_key(key.clone())
    };
    let (reads, felt) = fail_each_read(make, &["unit"]);
    assert!(reads >= 8 && felt > 8, "{reads} reads, {felt} felt");
}

#[test]
fn l4_fault_at_every_read_of_the_host() {
    let tree = super::host::tests::machine::Tree::machine();
    let (reads, felt) = fail_each_read(
        || HostCollector::inventory_only().with_root(&tree.0),
        &["host", "disk", "filesystem", "network"],
    );
    assert!(reads > 60 && felt > 20, "{reads} reads, {felt} felt");
}

/// A host key that cannot be read just now makes no other host of it; one that may never be read is passed over.
#[test]
fn l4_fault_at_every_read_of_what_identifies_the_machine() {
    let root = machine();
    let key = host(root.path());
    for error in [Errno::IO, Errno::MFILE, Errno::TIMEDOUT] {
        for read in 0.. {
            let (found, failed) = failing(read, error, || super::identity::host_key(root.path()));
            if !failed {
                assert_eq!(found.expect("readable"), key);
                assert!(read > 1);
                break;
            }
            assert!(found.is_err_and(|own| own.raw_os_error() == Some(error.raw_os_error())));
        }
    }
    let (found, _) = failing(0, Errno::ACCESS, || super::identity::host_key(root.path()));
    assert_eq!(found.expect("the host name"), itom_core::Key::host_name("web-1"));
}
