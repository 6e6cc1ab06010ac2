//! Disks and file systems.

use std::collections::BTreeSet;

use super::super::Remote;
use super::super::output::{Need, Output, labels, unreadable};
use super::super::parse::disk::{DiskLine, is_excluded_device, parse_diskstats, udev_property};
use super::super::parse::mount::{is_excluded_mount, is_remote, parse_mountinfo};
use super::super::scan::{Garbled, text};
use crate::linux::read::Reader;

/// All of this file.
pub(in super::super) fn collect(reader: &mut Reader, out: &mut Output<'_>, remote: Remote) {
    disks(reader, out);
    file_systems(reader, out, remote);
}

/// Metric and factor of each field of `/proc/diskstats`; sectors are 512 bytes whatever the device's are.
const FIELDS: [(&str, f64); 17] = [
    ("node_disk_reads_completed_total", 1.0),
    ("node_disk_reads_merged_total", 1.0),
    ("node_disk_read_bytes_total", 512.0),
    ("node_disk_read_time_seconds_total", 1e-3),
    ("node_disk_writes_completed_total", 1.0),
    ("node_disk_writes_merged_total", 1.0),
    ("node_disk_written_bytes_total", 512.0),
    ("node_disk_write_time_seconds_total", 1e-3),
    (IO_NOW, 1.0),
    ("node_disk_io_time_seconds_total", 1e-3),
    ("node_disk_io_time_weighted_seconds_total", 1e-3),
    ("node_disk_discards_completed_total", 1.0),
    ("node_disk_discards_merged_total", 1.0),
    ("node_disk_discarded_sectors_total", 1.0),
    ("node_disk_discard_time_seconds_total", 1e-3),
    ("node_disk_flush_requests_total", 1.0),
    ("node_disk_flush_requests_time_seconds_total", 1e-3),
];
const IO_NOW: &str = "node_disk_io_now";

fn disks(reader: &mut Reader, out: &mut Output<'_>) {
    const DISKSTATS: &str = "proc/diskstats";
    let Some(bytes) = out.read(reader, DISKSTATS, Need::IfPresent) else { return };
    let mut seen = Vec::new();
    for line in parse_diskstats(bytes) {
        let Some(line) = out.good(DISKSTATS, line) else { continue };
        if is_excluded_device(line.name) {
            continue;
        }
        disk(out, &line);
        seen.push((line.name.to_vec(), line.major, line.minor));
    }
    for (name, major, minor) in seen {
        disk_info(reader, out, &name, major, minor);
    }
}

fn disk(out: &mut Output<'_>, line: &DiskLine<'_>) {
    let tag = out.series.tag(&[b"disk", line.name], || {
        let name = text(line.name);
        (format!("disk:{name}"), labels([("device", &name)]))
    });
    for ((metric, factor), value) in FIELDS.into_iter().zip(line.fields).take(line.count) {
        let value = if factor == 1e-3 { value as f64 / 1e3 } else { value as f64 * factor };
        if metric == IO_NOW {
            out.tagged_gauge(metric, value, &tag);
        } else {
            out.tagged_counter(metric, value, &tag);
        }
    }
}

/// What udev knows of the device; without udev only its numbers.
fn disk_info(reader: &mut Reader, out: &mut Output<'_>, name: &[u8], major: u32, minor: u32) {
    let (major, minor) = (major.to_string(), minor.to_string());
    let path = format!("run/udev/data/b{major}:{minor}");
    let bytes = out.read(reader, &path, Need::IfPresent).unwrap_or_default();
    let [model, path, revision, serial, wwn] =
        [b"ID_MODEL".as_slice(), b"ID_PATH", b"ID_REVISION", b"ID_SERIAL_SHORT", b"ID_WWN"]
            .map(|property| udev_property(bytes, property).unwrap_or_default());
    let parts = [b"diskinfo", name, major.as_bytes(), minor.as_bytes(), model, path, revision, serial, wwn];
    let tag = out.series.tag(&parts, || {
        let name = text(name);
        let pairs = [
            ("device", &*name),
            ("major", major.as_str()),
            ("minor", minor.as_str()),
            ("model", &*text(model)),
            ("path", &*text(path)),
            ("revision", &*text(revision)),
            ("serial", &*text(serial)),
            ("wwn", &*text(wwn)),
        ];
        (format!("disk:{name}"), labels(pairs))
    });
    out.tagged_gauge("node_disk_info", 1.0, &tag);
}

/// The mounts as this process sees them.
pub(in super::super) const MOUNTS: &str = "proc/self/mountinfo";

fn file_systems(reader: &mut Reader, out: &mut Output<'_>, remote: Remote) {
    let root = reader.root().to_owned();
    let Some(bytes) = out.read(reader, MOUNTS, Need::Always) else { return };
    let mut seen = BTreeSet::new();
    for mount in parse_mountinfo(bytes) {
        let mount = match mount {
            Ok(mount) => mount,
            Err(Garbled) => {
                out.garbled(MOUNTS);
                continue;
            }
        };
        if is_excluded_mount(&mount.mountpoint, mount.fstype)
            || remote == Remote::Skip && is_remote(mount.fstype)
            || !seen.insert((mount.source.clone(), mount.mountpoint.clone(), mount.fstype))
        {
            continue;
        }
        let parts = [b"fs", mount.source.as_bytes(), mount.mountpoint.as_bytes(), mount.fstype.as_bytes()];
        let tag = out.series.tag(&parts, || {
            let pairs = [
                ("device", mount.source.as_str()),
                ("mountpoint", mount.mountpoint.as_str()),
                ("fstype", mount.fstype),
            ];
            (format!("fs:{}", mount.mountpoint), labels(pairs))
        });
        let at = root.join(mount.mountpoint.trim_start_matches('/'));
        // `statfs` and its `f_bsize`, as node_exporter: on some file systems `statvfs` counts in other units.
        match rustix::fs::statfs(&at) {
            Ok(stat) => {
                let unit = stat.f_bsize as f64;
                out.tagged_gauge("node_filesystem_device_error", 0.0, &tag);
                out.tagged_gauge("node_filesystem_size_bytes", stat.f_blocks as f64 * unit, &tag);
                out.tagged_gauge("node_filesystem_free_bytes", stat.f_bfree as f64 * unit, &tag);
                out.tagged_gauge("node_filesystem_avail_bytes", stat.f_bavail as f64 * unit, &tag);
                out.tagged_gauge("node_filesystem_files", stat.f_files as f64, &tag);
                out.tagged_gauge("node_filesystem_files_free", stat.f_ffree as f64, &tag);
                let read_only = if mount.read_only { 1.0 } else { 0.0 };
                out.tagged_gauge("node_filesystem_readonly", read_only, &tag);
            }
            Err(error) => {
                out.tagged_gauge("node_filesystem_device_error", 1.0, &tag);
                unreadable(out.batch, mount.mountpoint.trim_start_matches('/'), &error.into());
            }
        }
    }
}
