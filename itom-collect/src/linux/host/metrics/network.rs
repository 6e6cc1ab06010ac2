//! Interfaces, protocol counters, sockets, neighbours.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use itom_core::SampleKind;

use super::super::output::{HOST, Need, Output, Tag, label, labels, unreadable};
use super::super::parse::network::{parse_arp, parse_net_dev, parse_softnet};
use super::super::parse::socket::{is_wanted_netstat, parse_netstat, parse_snmp6, parse_sockstat};
use super::super::scan::{hex, number, signed, text};
use crate::linux::identity::is_absent;
use crate::linux::read::Reader;

/// All of this file.
pub(in super::super) fn collect(reader: &mut Reader, out: &mut Output<'_>) {
    let interfaces = counters(reader, out);
    for (name, tag) in &interfaces {
        attributes(reader, out, name, tag);
    }
    neighbors(reader, out);
    protocols(reader, out);
    sockets(reader, out);
    backlog(reader, out);
}

/// node_exporter's names of the columns of `/proc/net/dev`.
const COLUMNS: [&str; 16] = [
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_receive_fifo_total",
    "node_network_receive_frame_total",
    "node_network_receive_compressed_total",
    "node_network_receive_multicast_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
    "node_network_transmit_fifo_total",
    "node_network_transmit_colls_total",
    "node_network_transmit_carrier_total",
    "node_network_transmit_compressed_total",
];

/// The traffic of all interfaces; returns them for what `/sys` says about each.
fn counters(reader: &mut Reader, out: &mut Output<'_>) -> Vec<(Vec<u8>, Tag)> {
    const PATH: &str = "proc/net/dev";
    let mut interfaces = Vec::new();
    let Some(bytes) = out.read(reader, PATH, Need::Always) else { return interfaces };
    for line in parse_net_dev(bytes) {
        let Some(line) = out.good(PATH, line) else { continue };
        let tag = interface_tag(out, line.name);
        for (metric, value) in COLUMNS.into_iter().zip(line.counters) {
            out.tagged_counter(metric, value as f64, &tag);
        }
        interfaces.push((line.name.to_vec(), tag));
    }
    interfaces
}

fn interface_tag(out: &mut Output<'_>, name: &[u8]) -> Tag {
    out.series.tag(&[b"if", name], || {
        let name = text(name);
        (format!("if:{name}"), labels([("device", &name)]))
    })
}

/// How a file of `/sys/class/net/*` is written.
#[derive(Debug, Clone, Copy)]
enum Format {
    Decimal,
    Hexadecimal,
    /// Megabits per second to bytes per second; negative means that nobody knows.
    Megabits,
}

/// File, metric, gauge or counter, format.
const FILES: [(&str, &str, SampleKind, Format); 17] = {
    use Format::{Decimal, Hexadecimal, Megabits};
    use SampleKind::{Counter, Gauge};
    [
        ("addr_assign_type", "node_network_address_assign_type", Gauge, Decimal),
        ("carrier", "node_network_carrier", Gauge, Decimal),
        ("carrier_changes", "node_network_carrier_changes_total", Counter, Decimal),
        ("carrier_up_count", "node_network_carrier_up_changes_total", Counter, Decimal),
        ("carrier_down_count", "node_network_carrier_down_changes_total", Counter, Decimal),
        ("dev_id", "node_network_device_id", Gauge, Hexadecimal),
        ("dormant", "node_network_dormant", Gauge, Decimal),
        ("flags", "node_network_flags", Gauge, Hexadecimal),
        ("ifindex", "node_network_iface_id", Gauge, Decimal),
        ("iflink", "node_network_iface_link", Gauge, Decimal),
        ("link_mode", "node_network_iface_link_mode", Gauge, Decimal),
        ("mtu", "node_network_mtu_bytes", Gauge, Decimal),
        ("name_assign_type", "node_network_name_assign_type", Gauge, Decimal),
        ("netdev_group", "node_network_net_dev_group", Gauge, Decimal),
        ("speed", "node_network_speed_bytes", Gauge, Megabits),
        ("tx_queue_len", "node_network_transmit_queue_length", Gauge, Decimal),
        ("type", "node_network_protocol_type", Gauge, Decimal),
    ]
};

const INFO: [&str; 5] = ["address", "broadcast", "duplex", "ifalias", "operstate"];

fn attributes(reader: &mut Reader, out: &mut Output<'_>, name: &[u8], tag: &Tag) {
    let directory = match reader.directory(&[b"sys/class/net/", name]) {
        Ok(directory) => directory,
        // An alias, an interface of another network namespace, or one that went away just now.
        Err(error) => return fault(out, name, "", &error),
    };
    for (file, metric, kind, format) in FILES {
        let bytes = match reader.attribute(&directory, file) {
            Ok(bytes) => bytes.trim_ascii(),
            Err(error) => {
                fault(out, name, file, &error);
                continue;
            }
        };
        let value = match format {
            Format::Decimal => signed(bytes),
            Format::Hexadecimal => hex(bytes).map(|value| value as f64),
            Format::Megabits => match signed(bytes) {
                Some(speed) if speed < 0.0 => continue,
                speed => speed.map(|megabits| megabits * 1e6 / 8.0),
            },
        };
        match value {
            Some(value) => out.tagged(metric, kind, value, tag),
            None => out.garbled(&path(name, file)),
        }
    }
    if let Ok(bytes) = reader.attribute(&directory, "statistics/rx_nohandler")
        && let Some(value) = number(bytes.trim_ascii())
    {
        out.tagged_counter("node_network_receive_nohandler_total", value as f64, tag);
    }
    info(reader, out, name, &directory);
}

fn info(reader: &mut Reader, out: &mut Output<'_>, name: &[u8], directory: &OwnedFd) {
    let mut values: [Vec<u8>; 5] = Default::default();
    for (value, file) in values.iter_mut().zip(INFO) {
        match reader.attribute(directory, file) {
            Ok(bytes) => value.extend_from_slice(bytes.trim_ascii()),
            Err(error) => fault(out, name, file, &error),
        }
    }
    let [address, broadcast, duplex, alias, state] = values.each_ref().map(Vec::as_slice);
    if state.is_empty() {
        return;
    }
    let tag = out.series.tag(&[b"ifinfo", name, address, broadcast, duplex, alias, state], || {
        let pairs = [
            ("device", &*text(name)),
            ("address", &*text(address)),
            ("broadcast", &*text(broadcast)),
            ("duplex", &*text(duplex)),
            ("ifalias", &*text(alias)),
            ("operstate", &*text(state)),
        ];
        (format!("if:{}", text(name)), labels(pairs))
    });
    out.tagged_gauge("node_network_info", 1.0, &tag);
    let up = if state == b"up" { 1.0 } else { 0.0 };
    let tag = interface_tag(out, name);
    out.tagged_gauge("node_network_up", up, &tag);
}

fn path(name: &[u8], file: &str) -> String {
    format!("sys/class/net/{}/{file}", label(name))
}

/// Interfaces without a speed, a carrier or a duplex say "invalid argument"; that is an answer.
fn fault(out: &mut Output<'_>, name: &[u8], file: &str, error: &std::io::Error) {
    if !is_absent(error) {
        unreadable(out.batch, &path(name, file), error);
    }
}

fn neighbors(reader: &mut Reader, out: &mut Output<'_>) {
    const PATH: &str = "proc/net/arp";
    let Some(bytes) = out.read(reader, PATH, Need::IfPresent) else { return };
    let mut entries: BTreeMap<String, u32> = BTreeMap::new();
    for line in parse_arp(bytes) {
        if let Some(neighbor) = out.good(PATH, line) {
            *entries.entry(neighbor.interface).or_default() += 1;
        }
    }
    for (interface, count) in entries {
        let tag = interface_tag(out, interface.as_bytes());
        out.tagged_gauge("node_arp_entries", f64::from(count), &tag);
    }
}

fn protocols(reader: &mut Reader, out: &mut Output<'_>) {
    for path in ["proc/net/netstat", "proc/net/snmp"] {
        let Some(bytes) = out.read(reader, path, Need::Always) else { continue };
        let parsed =
            parse_netstat(bytes, |protocol, name, value| protocol_counter(out, protocol, name, value));
        out.good(path, parsed);
    }
    const SNMP6: &str = "proc/net/snmp6";
    let Some(bytes) = out.read(reader, SNMP6, Need::IfPresent) else { return };
    for line in parse_snmp6(bytes) {
        if let Some((protocol, name, value)) = out.good(SNMP6, line) {
            protocol_counter(out, protocol, name, value);
        }
    }
}

fn protocol_counter(out: &mut Output<'_>, protocol: &[u8], name: &[u8], value: f64) {
    if !is_wanted_netstat(protocol, name) {
        return;
    }
    let metric = out.series.name(&[b"netstat", protocol, name], || {
        Some(format!("node_netstat_{}_{}", text(protocol), text(name)))
    });
    let kind = match name {
        b"CurrEstab" | b"Forwarding" => SampleKind::Gauge,
        _ => SampleKind::Counter,
    };
    if let Some(metric) = metric {
        out.host_sample(metric, kind, value);
    }
}

fn sockets(reader: &mut Reader, out: &mut Output<'_>) {
    let page = rustix::param::page_size() as f64;
    for (path, need) in [("proc/net/sockstat", Need::Always), ("proc/net/sockstat6", Need::IfPresent)] {
        let Some(bytes) = out.read(reader, path, need) else { continue };
        let parsed = parse_sockstat(bytes, |protocol, name, value| {
            let value = value as f64;
            socket_gauge(out, protocol, name, b"", value);
            // Memory is counted in pages.
            if name == b"mem" {
                socket_gauge(out, protocol, name, b"_bytes", value * page);
            }
        });
        out.good(path, parsed);
    }
}

/// What the CPUs did with packets that came in.
fn backlog(reader: &mut Reader, out: &mut Output<'_>) {
    const PATH: &str = "proc/net/softnet_stat";
    let Some(bytes) = out.read(reader, PATH, Need::IfPresent) else { return };
    for line in parse_softnet(bytes) {
        let Some(line) = out.good(PATH, line) else { continue };
        let tag = out.series.tag(&[b"softnet", &line.cpu.to_le_bytes()], || {
            (HOST.to_owned(), labels([("cpu", &line.cpu.to_string())]))
        });
        out.tagged_counter("node_softnet_processed_total", line.processed as f64, &tag);
        out.tagged_counter("node_softnet_dropped_total", line.dropped as f64, &tag);
        out.tagged_counter("node_softnet_times_squeezed_total", line.squeezed as f64, &tag);
    }
}

fn socket_gauge(out: &mut Output<'_>, protocol: &[u8], name: &[u8], suffix: &[u8], value: f64) {
    let metric = out.series.name(&[b"sockstat", protocol, name, suffix], || {
        Some(format!("node_sockstat_{}_{}{}", text(protocol), text(name), text(suffix)))
    });
    if let Some(metric) = metric {
        out.host_sample(metric, SampleKind::Gauge, value);
    }
}
