//! CPU, load, memory, pressure, kernel counters, time, operating system.

use itom_core::{SampleKind, Timestamp};

use super::super::output::{HOST, Need, Output, labels};
use super::super::parse::cpu::{Pressure, StatLine, parse_loadavg, parse_pressure, parse_stat};
use super::super::parse::memory::{is_wanted_vmstat, memory_metric, parse_meminfo, parse_vmstat};
use super::super::parse::release::parse_os_release;
use super::super::scan::{Garbled, lines, number, text, words};
use crate::linux::read::Reader;

/// The unit of times in `/proc/stat`: 1/100 s on every architecture that Rust's standard library runs on.
const USER_HZ: f64 = 100.0;

/// All of this file. System calls are used only when the tree is the machine's own.
pub(in super::super) fn collect(reader: &mut Reader, out: &mut Output<'_>, now: Timestamp, live: bool) {
    out.gauge("node_time_seconds", now.as_secs_f64());
    stat(reader, out);
    load(reader, out);
    memory(reader, out);
    pressure(reader, out);
    vmstat(reader, out);
    limits(reader, out);
    clock_sources(reader, out);
    uname(reader, out, live);
    os_release(reader, out);
}

const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];

fn stat(reader: &mut Reader, out: &mut Output<'_>) {
    const PATH: &str = "proc/stat";
    let Some(bytes) = out.read(reader, PATH, Need::Always) else { return };
    for line in parse_stat(bytes) {
        match line {
            Ok(StatLine::Cpu { cpu, ticks }) => cpu_times(out, cpu, &ticks),
            Ok(StatLine::Interrupts(count)) => out.counter("node_intr_total", count as f64),
            Ok(StatLine::ContextSwitches(count)) => out.counter("node_context_switches_total", count as f64),
            Ok(StatLine::BootTime(at)) => out.gauge("node_boot_time_seconds", at as f64),
            Ok(StatLine::Forks(count)) => out.counter("node_forks_total", count as f64),
            Ok(StatLine::Running(count)) => out.gauge("node_procs_running", count as f64),
            Ok(StatLine::Blocked(count)) => out.gauge("node_procs_blocked", count as f64),
            Ok(StatLine::Other) => {}
            Err(Garbled) => out.garbled(PATH),
        }
    }
}

fn cpu_times(out: &mut Output<'_>, cpu: &[u8], ticks: &[u64; 10]) {
    let (host, guest) = ticks.split_at(MODES.len());
    for (metric, modes, ticks) in [
        ("node_cpu_seconds_total", &MODES[..], host),
        ("node_cpu_guest_seconds_total", &GUEST_MODES[..], guest),
    ] {
        for (mode, ticks) in modes.iter().zip(ticks) {
            let tag = out.series.tag(&[b"cpu", cpu, mode.as_bytes()], || {
                (HOST.to_owned(), labels([("cpu", &text(cpu)), ("mode", mode)]))
            });
            out.tagged_counter(metric, *ticks as f64 / USER_HZ, &tag);
        }
    }
}

fn load(reader: &mut Reader, out: &mut Output<'_>) {
    const PATH: &str = "proc/loadavg";
    let Some(bytes) = out.read(reader, PATH, Need::Always) else { return };
    let Some(load) = out.good(PATH, parse_loadavg(bytes)) else { return };
    for (metric, load) in ["node_load1", "node_load5", "node_load15"].into_iter().zip(load) {
        out.gauge(metric, load);
    }
}

fn memory(reader: &mut Reader, out: &mut Output<'_>) {
    const PATH: &str = "proc/meminfo";
    let Some(bytes) = out.read(reader, PATH, Need::Always) else { return };
    for line in parse_meminfo(bytes) {
        let Some(line) = out.good(PATH, line) else { continue };
        let unit: &[u8] = if line.in_kib { b"kB" } else { b"" };
        if let Some(metric) = out.series.name(&[b"meminfo", line.name, unit], || Some(memory_metric(&line))) {
            // As node_exporter decides it.
            let kind =
                if metric.as_str().ends_with("_total") { SampleKind::Counter } else { SampleKind::Gauge };
            out.host_sample(metric, kind, line.scaled());
        }
    }
}

fn pressure(reader: &mut Reader, out: &mut Output<'_>) {
    /// File, metric of "some", metric of "full". node_exporter leaves out "full" of the CPU, which has no meaning
    /// system-wide; interrupts have only "full".
    const FILES: [(&str, Option<&str>, Option<&str>); 4] = [
        ("proc/pressure/cpu", Some("node_pressure_cpu_waiting_seconds_total"), None),
        (
            "proc/pressure/io",
            Some("node_pressure_io_waiting_seconds_total"),
            Some("node_pressure_io_stalled_seconds_total"),
        ),
        (
            "proc/pressure/memory",
            Some("node_pressure_memory_waiting_seconds_total"),
            Some("node_pressure_memory_stalled_seconds_total"),
        ),
        ("proc/pressure/irq", None, Some("node_pressure_irq_stalled_seconds_total")),
    ];
    for (path, waiting, stalled) in FILES {
        let Some(bytes) = out.read(reader, path, Need::IfPresent) else { continue };
        for line in parse_pressure(bytes) {
            let Some((who, micros)) = out.good(path, line) else { continue };
            let metric = match who {
                Pressure::Some => waiting,
                Pressure::Full => stalled,
            };
            if let Some(metric) = metric {
                out.counter(metric, micros as f64 / 1e6);
            }
        }
    }
}

fn vmstat(reader: &mut Reader, out: &mut Output<'_>) {
    const PATH: &str = "proc/vmstat";
    let Some(bytes) = out.read(reader, PATH, Need::Always) else { return };
    for line in parse_vmstat(bytes) {
        let Some((name, value)) = out.good(PATH, line) else { continue };
        if !is_wanted_vmstat(name) {
            continue;
        }
        if let Some(metric) =
            out.series.name(&[b"vmstat", name], || Some(format!("node_vmstat_{}", text(name))))
        {
            out.host_sample(metric, SampleKind::Counter, value as f64);
        }
    }
}

/// One-number files, and the pair of `file-nr`.
fn limits(reader: &mut Reader, out: &mut Output<'_>) {
    const FILE_NR: &str = "proc/sys/fs/file-nr";
    if let Some(bytes) = out.read(reader, FILE_NR, Need::Always) {
        let mut numbers = lines(bytes).next().into_iter().flat_map(words).map(number);
        match (numbers.next().flatten(), numbers.nth(1).flatten()) {
            (Some(allocated), Some(maximum)) => {
                out.gauge("node_filefd_allocated", allocated as f64);
                out.gauge("node_filefd_maximum", maximum as f64);
            }
            _ => out.garbled(FILE_NR),
        }
    }
    for (path, metric) in [
        ("proc/sys/kernel/random/entropy_avail", "node_entropy_available_bits"),
        ("proc/sys/kernel/random/poolsize", "node_entropy_pool_size_bits"),
        ("proc/sys/net/netfilter/nf_conntrack_count", "node_nf_conntrack_entries"),
        ("proc/sys/net/netfilter/nf_conntrack_max", "node_nf_conntrack_entries_limit"),
    ] {
        let Some(bytes) = out.read(reader, path, Need::IfPresent) else { continue };
        match number(bytes.trim_ascii()) {
            Some(value) => out.gauge(metric, value as f64),
            None => out.garbled(path),
        }
    }
}

fn clock_sources(reader: &mut Reader, out: &mut Output<'_>) {
    const BASE: &str = "sys/devices/system/clocksource/clocksource0";
    for (file, metric) in [
        ("current_clocksource", "node_time_clocksource_current_info"),
        ("available_clocksource", "node_time_clocksource_available_info"),
    ] {
        let path = [BASE.as_bytes(), b"/", file.as_bytes()];
        let Ok(bytes) = reader.read_parts(&path) else { continue };
        for name in lines(bytes).flat_map(words) {
            let tag = out.series.tag(&[b"clocksource", name], || {
                (HOST.to_owned(), labels([("clocksource", &text(name)), ("device", "0")]))
            });
            out.tagged_gauge(metric, 1.0, &tag);
        }
    }
}

fn uname(reader: &mut Reader, out: &mut Output<'_>, live: bool) {
    const PATHS: [&str; 6] = ["ostype", "osrelease", "version", "arch", "hostname", "domainname"];
    if live {
        let uname = rustix::system::uname();
        let fields = [
            uname.sysname(),
            uname.release(),
            uname.version(),
            uname.machine(),
            uname.nodename(),
            uname.domainname(),
        ]
        .map(std::ffi::CStr::to_bytes);
        emit_uname(out, fields);
        return;
    }
    let fields = PATHS.map(|file| {
        let path = [b"proc/sys/kernel/".as_slice(), file.as_bytes()];
        reader.read_parts(&path).map(|bytes| bytes.trim_ascii().to_vec()).unwrap_or_default()
    });
    // A tree without the kernel's name is not of a machine whose name we could tell.
    if !fields[0].is_empty() {
        emit_uname(out, fields.each_ref().map(Vec::as_slice));
    }
}

fn emit_uname(out: &mut Output<'_>, fields: [&[u8]; 6]) {
    let [sysname, release, version, machine, nodename, domainname] = fields;
    let tag = out.series.tag(&[b"uname", sysname, release, version, machine, nodename, domainname], || {
        let pairs = [
            ("sysname", &*text(sysname)),
            ("release", &*text(release)),
            ("version", &*text(version)),
            ("machine", &*text(machine)),
            ("nodename", &*text(nodename)),
            ("domainname", &*text(domainname)),
        ];
        (HOST.to_owned(), labels(pairs))
    });
    out.tagged_gauge("node_uname_info", 1.0, &tag);
}

/// Where `os-release` is, in the order os-release(5) asks for.
pub(in super::super) const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

fn os_release(reader: &mut Reader, out: &mut Output<'_>) {
    for path in OS_RELEASE {
        let Some(bytes) = out.read(reader, path, Need::IfPresent) else { continue };
        let (release, parsed) = parse_os_release(bytes);
        if parsed.is_err() {
            out.garbled(path);
        }
        let get = |name| release.get(name).unwrap_or_default();
        let info = labels([
            ("build_id", get("BUILD_ID")),
            ("id", get("ID")),
            ("id_like", get("ID_LIKE")),
            ("image_id", get("IMAGE_ID")),
            ("image_version", get("IMAGE_VERSION")),
            ("name", get("NAME")),
            ("pretty_name", get("PRETTY_NAME")),
            ("variant", get("VARIANT")),
            ("variant_id", get("VARIANT_ID")),
            ("version", get("VERSION")),
            ("version_codename", get("VERSION_CODENAME")),
            ("version_id", get("VERSION_ID")),
        ]);
        out.info("node_os_info", 1.0, info);
        if let Some(version) = release.version_number() {
            let short = labels([("id", get("ID")), ("id_like", get("ID_LIKE")), ("name", get("NAME"))]);
            out.info("node_os_version", version, short);
        }
        return;
    }
}
