//! The host collector against node_exporter on the same machine: same families, same label names, same values where they
//! do not move.
#![cfg(all(feature = "host", target_os = "linux"))]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use itom_collect::linux::HostCollector;
use itom_collect::{Cancel, CollectContext, Collector};
use itom_core::{Batch, Clock, Observation, SourceName, SystemClock, Timestamp};

/// Debian's package changes the default exclusions; these are upstream's current ones, which the collector has.
const FLAGS: [&str; 6] = [
    "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
    "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|erofs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$",
    r"--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
    "--collector.netdev.device-exclude=^$",
    "--collector.netclass.ignore-invalid-speed",
    "--collector.textfile.directory=",
];

/// Families that do not change between two reads a moment apart on a machine at rest or at work.
const STEADY: [&str; 28] = [
    "node_boot_time_seconds",
    "node_disk_info",
    "node_entropy_pool_size_bits",
    "node_filefd_maximum",
    "node_filesystem_files",
    "node_filesystem_readonly",
    "node_filesystem_size_bytes",
    "node_filesystem_device_error",
    "node_memory_CommitLimit_bytes",
    "node_memory_HugePages_Total",
    "node_memory_Hugepagesize_bytes",
    "node_memory_MemTotal_bytes",
    "node_memory_SwapTotal_bytes",
    "node_memory_VmallocTotal_bytes",
    "node_netstat_Ip_Forwarding",
    "node_network_address_assign_type",
    "node_network_carrier",
    "node_network_flags",
    "node_network_iface_id",
    "node_network_info",
    "node_network_mtu_bytes",
    "node_network_protocol_type",
    "node_network_transmit_queue_length",
    "node_network_up",
    "node_nf_conntrack_entries_limit",
    "node_os_info",
    "node_os_version",
    "node_uname_info",
];

type Labels = BTreeMap<String, String>;
type Families = BTreeMap<String, BTreeMap<Labels, f64>>;

/// Ends the program it started.
struct Exporter(Child);

impl Drop for Exporter {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn scrape(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200") => {
            Ok(body.to_owned())
        }
        _ => Err(std::io::Error::other("no answer of a scrape")),
    }
}

/// The exposition format as node_exporter writes it: no timestamps, no escapes but in label values.
fn parse(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines().filter(|line| line.starts_with("node_")) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut set = Labels::new();
        let mut rest = labels.trim_end_matches('}');
        while let Some((label, after)) = rest.split_once("=\"") {
            let mut value = String::new();
            let mut chars = after.char_indices();
            let mut end = after.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => value.extend(chars.next().map(|(_, c)| if c == 'n' { '\n' } else { c })),
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    c => value.push(c),
                }
            }
            // An empty label is no label.
            if !value.is_empty() {
                set.insert(label.to_owned(), value);
            }
            rest = after[end..].trim_start_matches(',');
        }
        families.entry(name.to_owned()).or_default().insert(set, value.parse().expect("a number"));
    }
    families
}

fn ours() -> Families {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let context = CollectContext::new(clock.clone(), Timestamp::MAX, Cancel::new());
    let mut batch = Batch::new(SourceName::literal("host"), clock.now());
    let collected = futures::executor::block_on(HostCollector::metrics_only().collect(&context, &mut batch));
    assert!(collected.is_ok(), "{collected:?}");
    println!("faults: {:?}", batch.faults());
    let mut families = Families::new();
    for item in batch.items() {
        if let Observation::Sample(sample) = item {
            let labels =
                sample.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            families.entry(sample.metric.to_string()).or_default().insert(labels, sample.value);
        }
    }
    families
}

#[test]
fn families_labels_and_steady_values_equal_node_exporters() {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let spawned = Command::new("prometheus-node-exporter")
        .args(FLAGS)
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = spawned else {
        println!("skipped: prometheus-node-exporter is not installed");
        return;
    };
    let _exporter = Exporter(child);
    let clock = SystemClock::new();
    let last = clock.now() + Duration::from_secs(20);
    let text = loop {
        match scrape(port) {
            Ok(text) => break text,
            Err(error) if clock.now() > last => panic!("node_exporter does not answer: {error}"),
            Err(_) => {
                futures::executor::block_on(clock.sleep_until(clock.now() + Duration::from_millis(50)));
            }
        }
    };
    let (theirs, ours) = (parse(&text), ours());

    let names = |families: &Families| families.keys().cloned().collect::<BTreeSet<_>>();
    let (their_names, our_names) = (names(&theirs), names(&ours));
    println!("only ours: {:?}", our_names.difference(&their_names).collect::<Vec<_>>());
    println!("only node_exporter's: {:?}", their_names.difference(&our_names).collect::<Vec<_>>());
    let common: Vec<_> = our_names.intersection(&their_names).collect();
    println!("{} families in common", common.len());
    assert!(common.len() > 150, "only {} families in common", common.len());

    let label_names = |series: &BTreeMap<Labels, f64>| {
        series.keys().flat_map(BTreeMap::keys).cloned().collect::<BTreeSet<_>>()
    };
    for family in common {
        let (theirs, ours) = (&theirs[family], &ours[family]);
        assert_eq!(label_names(ours), label_names(theirs), "label names of {family}");
        let sets = |series: &BTreeMap<Labels, f64>| series.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(sets(ours), sets(theirs), "series of {family}");
        if STEADY.contains(&family.as_str()) {
            assert_eq!(ours, theirs, "values of {family}");
        }
        // Counters only grow, and ours were read later.
        if family.ends_with("_total") && !family.starts_with("node_cpu_") {
            for (labels, value) in ours {
                // `VmallocTotal` and its like end differently; these are counters of the kernel.
                assert!(*value + 1e-6 >= theirs[labels], "{family}{labels:?}: {value} < {}", theirs[labels]);
            }
        }
    }
}
