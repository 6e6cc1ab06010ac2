//! The collector on made-up trees, and every parser on any bytes.

pub(crate) mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use itom_core::{
    AttrName, Batch, CiObservation, Coverage, ErrorKind, Key, MetricName, Observation, RelationKind,
    SourceName, Strength, Timestamp, VirtualClock, attr, kind, relation,
};
use proptest::prelude::*;

use self::machine::{MACHINE, MACHINE_ID, Tree};
use super::*;
use crate::Cancel;

fn collect(collector: &HostCollector) -> (Batch, Result<Coverage, CollectError>) {
    let clock = Arc::new(VirtualClock::new(Timestamp::from_secs(1_700_000_100)));
    let context = CollectContext::new(clock, Timestamp::MAX, Cancel::new());
    let mut batch = Batch::new(SourceName::literal("host"), context.now());
    let result = futures::executor::block_on(collector.collect(&context, &mut batch));
    (batch, result)
}

/// Series as text, with their values.
fn samples(batch: &Batch) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    for item in batch.items() {
        if let Observation::Sample(sample) = item {
            assert!(sample.metric.is_classic(), "{}", sample.metric);
            assert!(sample.subject.is_some(), "{} has no subject", sample.metric);
            let name = format!("{}{}", sample.metric, sample.labels);
            assert_eq!(series.insert(name.clone(), sample.value), None, "{name} twice");
        }
    }
    series
}

/// What does not move by itself: the free space of the test's own file system does.
fn still(batch: &Batch) -> Vec<&Observation> {
    let moves = |item: &&Observation| match item {
        Observation::Sample(sample) => sample.metric.as_str().starts_with("node_filesystem_"),
        _ => false,
    };
    batch.items().iter().filter(|item| !moves(item)).collect()
}

fn ci<'a>(batch: &'a Batch, native: &str) -> &'a CiObservation {
    batch
        .items()
        .iter()
        .find_map(|item| match item {
            Observation::Ci(ci) if &*ci.subject == native => Some(ci),
            _ => None,
        })
        .unwrap_or_else(|| panic!("no {native}"))
}

fn relations(batch: &Batch, wanted: &RelationKind) -> Vec<String> {
    let text = |item: &Observation| match item {
        Observation::Relation(found) if found.kind == *wanted => {
            Some(format!("{} > {}", found.from, found.to))
        }
        _ => None,
    };
    batch.items().iter().filter_map(text).collect()
}

fn text<'a>(ci: &'a CiObservation, name: &AttrName) -> Option<&'a str> {
    ci.attributes.get(name).and_then(itom_core::Value::as_text)
}

#[test]
fn samples_of_a_recorded_machine() {
    let tree = Tree::machine();
    let (batch, coverage) = collect(&HostCollector::metrics_only().with_root(&tree.0));
    assert_eq!(coverage.expect("a good run"), Coverage::new());
    assert_eq!(batch.faults(), []);
    let samples = samples(&batch);
    for (series, value) in [
        (r#"node_cpu_seconds_total{cpu="0",mode="user"}"#, 1.0),
        (r#"node_cpu_guest_seconds_total{cpu="0",mode="nice"}"#, 0.09),
        ("node_load15{}", 2.0),
        ("node_memory_Active_anon_bytes{}", 10_240.0),
        ("node_memory_HugePages_Total{}", 3.0),
        ("node_pressure_cpu_waiting_seconds_total{}", 2.0),
        ("node_pressure_io_stalled_seconds_total{}", 0.25),
        ("node_boot_time_seconds{}", 1_700_000_000.0),
        ("node_time_seconds{}", 1_700_000_100.0),
        ("node_filefd_allocated{}", 1024.0),
        ("node_vmstat_oom_kill{}", 6.0),
        ("node_netstat_Tcp_CurrEstab{}", 5.0),
        ("node_netstat_Ip6_InOctets{}", 128.0),
        ("node_sockstat_TCP_mem{}", 2.0),
        (r#"node_disk_read_bytes_total{device="sda"}"#, 1536.0),
        (r#"node_disk_io_time_seconds_total{device="sda"}"#, 0.010),
        (r#"node_disk_info{device="sda",major="8",minor="0",model="Fast_Disk",serial="S1"}"#, 1.0),
        (r#"node_network_receive_bytes_total{device="eth0"}"#, 1.0),
        (r#"node_network_transmit_compressed_total{device="lo"}"#, 16.0),
        (r#"node_network_speed_bytes{device="eth0"}"#, 125e6),
        (r#"node_network_up{device="eth0"}"#, 1.0),
        (r#"node_network_up{device="lo"}"#, 0.0),
        (r#"node_filesystem_readonly{device="/dev/mapper/vg-data",fstype="btrfs",mountpoint="/data"}"#, 1.0),
        (r#"node_filesystem_device_error{device="/dev/sda1",fstype="ext4",mountpoint="/"}"#, 0.0),
        (r#"node_hwmon_temp_celsius{chip="coretemp",sensor="temp1"}"#, 45.5),
        (r#"node_thermal_zone_temp{type="x86_pkg_temp",zone="0"}"#, 40.0),
        (r#"node_os_version{id="debian",name="Debian GNU/Linux"}"#, 12.0),
        (
            r##"node_uname_info{domainname="(none)",machine="x86_64",nodename="web-1",release="6.1.0-13-amd64",sysname="Linux",version="#1 SMP"}"##,
            1.0,
        ),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
    let absent = ["nfs4", "sda1\"}", "TcpExt_TW", "nr_free_pages", "pressure_cpu_stalled"];
    for part in absent {
        assert!(!samples.keys().any(|series| series.contains(part)), "{part}");
    }
}

#[cfg(target_endian = "little")]
#[test]
fn inventory_of_a_recorded_machine() {
    let tree = Tree::machine();
    let (batch, coverage) = collect(&HostCollector::inventory_only().with_root(&tree.0));
    let coverage = coverage.expect("a good run");
    assert_eq!(batch.faults(), []);
    let host = ci(&batch, "host");
    let keys: BTreeSet<String> = host.keys.iter().map(ToString::to_string).collect();
    let expected = [
        "fqdn=web-1.example.com",
        "host_name=web-1",
        "ip=192.0.2.2",
        "ip=fd00::2",
        "mac=00:1b:44:11:3a:b7",
        &format!("machine_id={MACHINE_ID}"),
        &format!("native=host@machine_id={MACHINE_ID}"),
        "smbios_uuid=44454c4c-5100-1035-8051-c4c04f4b4e31",
        "smbios_uuid=4c4c4544-0051-3510-8051-c4c04f4b4e31",
    ];
    assert_eq!(keys, expected.map(str::to_owned).into_iter().collect());
    for (name, value) in [
        (attr::HOST_TYPE, "physical"),
        (attr::HOST_ARCH, "amd64"),
        (attr::HOST_CPU_MODEL_NAME, "Example CPU"),
        (attr::OS_VERSION, "12"),
        (attr::HOST_ID, MACHINE_ID),
        (AttrName::literal("host.timezone"), "Europe/Vienna"),
        (AttrName::literal("host.vendor"), "Dell Inc."),
    ] {
        assert_eq!(text(host, &name), Some(value), "{name}");
    }
    assert_eq!(host.attributes.get(&attr::HOST_MEMORY_SIZE), Some(&1_024_000_i64.into()));
    assert_eq!(host.attributes.get(&AttrName::literal("host.time.synchronized")), Some(&true.into()));
    assert!(!host.attributes.contains_key(&AttrName::literal("host.serial")), "a placeholder is no serial");

    let wwn: Vec<_> = ci(&batch, "disk:sda").keys.iter().map(ToString::to_string).collect();
    assert!(wwn.contains(&"wwn=naa.5000c500a1b2c3d4".to_owned()), "{wwn:?}");
    let contained = ["if:eth0", "if:lo", "disk:dm-0", "disk:sda", "fs:/", "fs:/data", "fs:/mnt/share"];
    assert_eq!(relations(&batch, &relation::CONTAINS), contained.map(|part| format!("host > {part}")));
    assert_eq!(
        relations(&batch, &relation::STORED_ON),
        ["disk:dm-0 > disk:sda", "fs:/ > disk:sda", "fs:/data > disk:dm-0"]
    );
    assert_eq!(
        relations(&batch, &relation::ATTACHED_TO),
        ["if:eth0 > net:fd00::/64", "if:eth0 > net:192.0.2.0/24"]
    );
    assert_eq!(relations(&batch, &relation::ROUTES_VIA), ["host > ip=192.0.2.1", "host > ip=fd00::1"]);
    assert_eq!(relations(&batch, &relation::NEIGHBOR_OF), ["if:eth0 > ip=192.0.2.1"]);

    for kind in
        [kind::HOST_LINUX, kind::NETWORK_INTERFACE, kind::NETWORK_SUBNET, kind::DISK, kind::FILESYSTEM]
    {
        assert!(coverage.covers_ci(&kind, None), "{kind}");
    }
    assert!(coverage.covers_relation(&relation::CONTAINS, Some("interfaces")));
    assert!(!coverage.covers_relation(&relation::NEIGHBOR_OF, None), "files have no IPv6 neighbours");
}

#[test]
fn metrics_speak_of_items_by_keys_that_the_inventory_carries() {
    let tree = Tree::machine();
    let (metrics, _) = collect(&HostCollector::metrics_only().with_root(&tree.0));
    let (inventory, _) = collect(&HostCollector::inventory_only().with_root(&tree.0));
    let known: BTreeSet<_> = inventory
        .items()
        .iter()
        .filter_map(|item| match item {
            Observation::Ci(ci) => Some(ci.keys.iter().cloned()),
            _ => None,
        })
        .flatten()
        .collect();
    for item in metrics.items() {
        if let Observation::Sample(sample) = item {
            match &sample.subject {
                Some(itom_core::Subject::Key(key)) => {
                    assert!(known.contains(key), "{key} of {}", sample.metric)
                }
                other => panic!("{} is on {other:?}", sample.metric),
            }
        }
    }
}

#[test]
fn a_second_run_says_the_same_and_a_reboot_forgets() {
    let tree = Tree::machine();
    let collector = HostCollector::new().with_root(&tree.0);
    let (first, _) = collect(&collector);
    // Within a boot the CPU is not read again.
    tree.file("proc/cpuinfo", "processor\t: 0\nmodel name\t: Other CPU\n");
    let (second, _) = collect(&collector);
    assert_eq!(still(&first), still(&second));
    tree.file("proc/sys/kernel/random/boot_id", "1e8b2a1c-5b1e-4f7e-9e58-3a3e4f0c9a11\n");
    let (third, _) = collect(&collector);
    assert_eq!(text(ci(&third, "host"), &attr::HOST_CPU_MODEL_NAME), Some("Other CPU"));
}

#[cfg(target_endian = "little")]
#[test]
fn addresses_of_bridges_without_a_way_out_are_unique_in_the_machine_only() {
    let tree = Tree::machine();
    for bridge in ["docker0", "br0"] {
        tree.file(&format!("sys/class/net/{bridge}/ifindex"), "7\n");
    }
    tree.file("sys/class/net/docker0/brif/veth1/port_no", "1")
        .file("sys/class/net/br0/brif/eth0/port_no", "1");
    tree.file(
        "proc/net/if_inet6",
        "fd010000000000000000000000000001 07 40 00 82 docker0\nfd020000000000000000000000000001 08 40 00 82 br0\n",
    );
    let (batch, _) = collect(&HostCollector::inventory_only().with_root(&tree.0));
    let keys = |native: &str| ci(&batch, native).keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(keys("net:fd01::/64"), [format!("ip_prefix=fd01::/64@machine_id={MACHINE_ID}")]);
    assert_eq!(keys("net:fd02::/64"), ["ip_prefix=fd02::/64"]);
    assert!(
        keys("host").contains(&"ip=fd02::1".to_owned()) && !keys("host").contains(&"ip=fd01::1".to_owned())
    );
}

/// A hypervisor gives all its machines disks of one serial number: they must not become one disk.
#[test]
fn disks_of_hypervisors_are_not_identified_by_what_they_are_told_to_say() {
    let tree = Tree::machine();
    for (path, content) in [
        ("vda/size", "2000\n"),
        ("vda/serial", "rootfs\n"),
        ("nvme0n1/size", "2000\n"),
        ("nvme0n1/wwid", "eui.5254000000000001\n"),
        ("nvme0n1/device/model", "QEMU NVMe Ctrl\n"),
        ("nvme0n1/device/serial", "deadbeef\n"),
        ("nvme1n1/size", "2000\n"),
        ("nvme1n1/device/model", "KXG60ZNV1T02\n"),
        ("nvme1n1/device/serial", "Z9F100A0BC1D\n"),
    ] {
        tree.file(&format!("sys/block/{path}"), content);
    }
    let (batch, _) = collect(&HostCollector::inventory_only().with_root(&tree.0));
    let serial = |disk: &str| text(ci(&batch, disk), &AttrName::literal("disk.serial")).map(str::to_owned);
    let burned_in = |disk: &str| {
        let keys = ci(&batch, disk).keys.iter().filter(|key| key.strength() == Strength::Hardware);
        keys.map(Key::value).collect::<Vec<_>>()
    };
    assert_eq!(serial("disk:vda").as_deref(), Some("rootfs"));
    assert_eq!(burned_in("disk:vda"), [""; 0]);
    assert_eq!(serial("disk:nvme0n1").as_deref(), Some("deadbeef"));
    assert_eq!(burned_in("disk:nvme0n1"), [""; 0]);
    assert_eq!(burned_in("disk:nvme1n1"), ["Z9F100A0BC1D"]);
}

#[test]
fn a_container_does_not_take_the_hardwares_identity() {
    let tree = Tree::machine();
    tree.file("proc/1/environ", "PATH=/bin\0container=lxc\0");
    let (batch, _) = collect(&HostCollector::inventory_only().with_root(&tree.0));
    let host = ci(&batch, "host");
    assert_eq!(text(host, &attr::HOST_TYPE), Some("container"));
    assert_eq!(text(host, &attr::CONTAINER_RUNTIME_NAME), Some("lxc"));
    assert!(host.keys.iter().all(|key| key.kind().as_str() != "smbios_uuid"));
}

#[test]
fn l4_garbage_gives_faults_and_partial_scopes_not_errors() {
    for (path, _) in MACHINE.iter().filter(|(path, _)| path.starts_with("proc/") || path.starts_with("sys/"))
    {
        let tree = Tree::machine();
        tree.file(path, [0xff, 0, b'x', b'\n', b':', b' ', 0xfe, b'\n', b'9', b'\n', b'z', b'\n']);
        let (batch, coverage) = collect(&HostCollector::new().with_root(&tree.0));
        assert!(coverage.is_ok(), "{path}: {coverage:?}");
        samples(&batch);
    }
    let tree = Tree::machine();
    tree.file("proc/self/mountinfo", "garbage\n").file("sys/class/net/eth0/ifindex", "x\n");
    let (batch, coverage) = collect(&HostCollector::new().with_root(&tree.0));
    let coverage = coverage.expect("a good run");
    assert!(
        !coverage.covers_ci(&kind::FILESYSTEM, None) && !coverage.covers_ci(&kind::NETWORK_INTERFACE, None)
    );
    assert!(coverage.covers_ci(&kind::DISK, None));
    let faults: BTreeSet<_> = batch.faults().iter().map(|fault| (&*fault.what, fault.kind)).collect();
    assert!(faults.contains(&("/proc/self/mountinfo", ErrorKind::Invalid)), "{faults:?}");
    assert!(faults.contains(&("/sys/class/net/eth0", ErrorKind::Invalid)), "{faults:?}");
}

#[test]
fn l4_each_missing_file_is_survived_and_nothing_read_in_part_is_complete() {
    let complete = by_kind(&collect(&HostCollector::new().with_root(&Tree::machine().0)).0);
    for (path, _) in MACHINE {
        let tree = Tree::machine();
        // A directory in its place: it opens, and reading it fails.
        std::fs::remove_file(tree.0.join(path)).expect("removable");
        std::fs::create_dir(tree.0.join(path)).expect("a directory");
        let (batch, coverage) = collect(&HostCollector::new().with_root(&tree.0));
        if path == "etc/machine-id" {
            // Without it, it would be another machine.
            assert!(coverage.is_err());
            continue;
        }
        let coverage = coverage.unwrap_or_else(|error| panic!("{path}: {error}"));
        for (target, subjects) in complete.clone() {
            let now = by_kind(&batch).remove(&target).unwrap_or_default();
            let lost: Vec<_> = subjects.difference(&now).collect();
            let kind = itom_core::CiKind::new(target.as_str()).expect("a kind");
            // Addresses hang on the interface's directory, which was there: a subnet may go with its interface.
            assert!(
                lost.is_empty() || !coverage.covers_ci(&kind, None),
                "{path}: {lost:?} of {target} retired"
            );
        }
    }
}

#[test]
fn l4_where_a_part_of_the_tree_is_missing_nothing_of_it_is_complete() {
    let parts: [(&str, &[itom_core::CiKind]); 5] = [
        ("sys", &[kind::NETWORK_INTERFACE, kind::NETWORK_SUBNET, kind::DISK]),
        ("sys/block", &[kind::DISK]),
        ("sys/class/net", &[kind::NETWORK_INTERFACE, kind::NETWORK_SUBNET]),
        ("proc/net", &[kind::NETWORK_SUBNET]),
        ("proc/self", &[kind::FILESYSTEM]),
    ];
    for (path, kinds) in parts {
        let tree = Tree::machine();
        std::fs::remove_dir_all(tree.0.join(path)).expect("removable");
        let (batch, coverage) = collect(&HostCollector::new().with_root(&tree.0));
        let coverage = coverage.expect("a good run");
        for kind in kinds {
            assert!(!coverage.covers_ci(kind, None), "{kind} without {path}");
        }
        assert!(coverage.covers_ci(&kind::HOST_LINUX, None));
        assert!(!batch.faults().is_empty(), "{path}");
    }
}

fn by_kind(batch: &Batch) -> BTreeMap<String, BTreeSet<String>> {
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for item in batch.items() {
        if let Observation::Ci(ci) = item {
            kinds.entry(ci.kind.to_string()).or_default().insert(ci.subject.to_string());
        }
    }
    kinds
}

#[test]
fn an_empty_tree_is_unsupported() {
    let tree = Tree::new();
    let (_, result) = collect(&HostCollector::new().with_root(&tree.0));
    assert!(matches!(result, Err(CollectError::Unsupported { .. })));
}

#[test]
fn this_machine_by_netlink_and_by_files_is_the_same() {
    let mut reader = Reader::new(Path::new("/"));
    let mut batch = Batch::new(SourceName::literal("host"), Timestamp::EPOCH);
    let mut read = |live| links::Network::read(&mut reader, &mut batch, live);
    let (by_netlink, by_files) = (read(true), read(false));
    assert_eq!(batch.faults(), [], "netlink answers without privileges");
    // Addresses of /32 have no attached network in the files; all others agree.
    let addresses = |network: &links::Network| -> BTreeSet<_> {
        let comparable = |address: &&_| {
            let parse::network::Address { ip, prefix, .. } = address;
            !(ip.is_ipv4() && *prefix == 32)
        };
        network.own_addresses().filter(comparable).cloned().collect()
    };
    assert_eq!(addresses(&by_netlink), addresses(&by_files));
    let routes = |network: &links::Network| network.tables.routes.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(routes(&by_netlink), routes(&by_files));
    assert!(by_netlink.tables.incomplete.is_none() && by_netlink.tables.neighbors_incomplete.is_none());
}

#[test]
fn cancelled_and_late_runs_stop() {
    let clock = Arc::new(VirtualClock::new(Timestamp::from_secs(10)));
    let cancel = Cancel::new();
    cancel.cancel();
    let mut batch = Batch::new(SourceName::literal("host"), Timestamp::EPOCH);
    for (context, expected) in [
        (CollectContext::new(clock.clone(), Timestamp::MAX, cancel), ErrorKind::Cancelled),
        (CollectContext::new(clock, Timestamp::from_secs(5), Cancel::new()), ErrorKind::Timeout),
    ] {
        let error = futures::executor::block_on(HostCollector::new().collect(&context, &mut batch));
        assert_eq!(itom_core::Classify::kind(&error.expect_err("stopped")), expected);
    }
    assert!(batch.items().is_empty());
}

#[test]
fn l11_a_run_dropped_at_any_await_leaves_the_next_one_whole() {
    let tree = Tree::machine();
    let collector = HostCollector::new().with_root(&tree.0);
    let (whole, _) = collect(&collector);
    for polls in 1..8 {
        let clock = Arc::new(VirtualClock::new(Timestamp::from_secs(1_700_000_100)));
        let context = CollectContext::new(clock, Timestamp::MAX, Cancel::new());
        let mut batch = Batch::new(SourceName::literal("host"), context.now());
        let mut future = collector.collect(&context, &mut batch);
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..polls {
            if future.as_mut().poll(&mut task).is_ready() {
                break;
            }
        }
        drop(future);
        assert_eq!(still(&collect(&collector).0), still(&whole), "dropped after {polls} polls");
    }
}

/// Bytes with the shape of the files, so that parsers get past their first word.
fn shaped() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        "[a-z]{0,6}:?",
        "[0-9]{1,21}",
        "-?[0-9]{1,3}",
        "0x[0-9a-f]{0,18}",
        "[0-9A-F]{8}",
        "[0-9a-f]{32}",
        "[0-9]{1,3}:[0-9]{1,3}",
        Just("-".to_owned()),
        Just("cpu0".to_owned()),
        Just("some".to_owned()),
        Just("total=7".to_owned()),
        Just("/a\\040\\999".to_owned()),
        Just("A=\"x\\".to_owned()),
    ];
    let line = proptest::collection::vec(word, 0..20).prop_map(|words| words.join(" "));
    let shaped = proptest::collection::vec(line, 0..6).prop_map(|lines| lines.join("\n").into_bytes());
    prop_oneof![shaped, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn l10_any_bytes_into_any_parser(bytes in shaped()) {
        use super::parse::{cpu, disk, memory, mount, network, release, socket};
        let lines = bytes.split(|byte| *byte == b'\n').count();
        let words = bytes.len() + 1;
        prop_assert!(cpu::parse_stat(&bytes).count() <= lines);
        let _ = cpu::parse_loadavg(&bytes);
        prop_assert!(cpu::parse_pressure(&bytes).count() <= lines);
        prop_assert!(cpu::parse_cpuinfo(&bytes).count <= lines);
        for line in memory::parse_meminfo(&bytes).flatten() {
            let name = memory::memory_metric(&line);
            prop_assert!(MetricName::new(name.as_str()).is_ok_and(|name| name.is_classic()), "{name}");
        }
        prop_assert!(memory::parse_vmstat(&bytes).count() <= lines);
        for line in disk::parse_diskstats(&bytes).flatten() {
            prop_assert!(line.count <= 17 && scan::is_component(line.name));
            let _ = disk::is_excluded_device(line.name);
        }
        let _ = disk::is_excluded_device(&bytes);
        let _ = disk::udev_property(&bytes, b"ID_MODEL");
        for mount in mount::parse_mountinfo(&bytes).flatten() {
            prop_assert!(mount.mountpoint.starts_with('/') && mount.mountpoint.len() <= 3 * bytes.len());
        }
        for line in network::parse_net_dev(&bytes).flatten() {
            prop_assert!(scan::is_component(line.name));
        }
        for route in network::parse_route(&bytes).chain(network::parse_ipv6_route(&bytes)).flatten() {
            let (ip, length) = route.destination;
            let _ = network::network_of(ip, length);
        }
        prop_assert!(network::parse_softnet(&bytes).count() <= lines);
        prop_assert!(network::parse_connected(&bytes).len() <= lines);
        prop_assert!(network::parse_arp(&bytes).count() <= lines);
        prop_assert!(network::parse_if_inet6(&bytes).count() <= lines);
        prop_assert!(network::parse_fib_trie_local(&bytes).len() <= lines);
        let (_, result) = release::parse_os_release(&bytes);
        let _ = result;
        let mut found = 0;
        let _ = socket::parse_netstat(&bytes, |_, _, _| found += 1);
        let _ = socket::parse_sockstat(&bytes, |_, _, _| found += 1);
        prop_assert!(found <= words);
        prop_assert!(socket::parse_snmp6(&bytes).count() <= lines);
        let _ = super::super::identity::is_junk(&String::from_utf8_lossy(&bytes));
    }
}
