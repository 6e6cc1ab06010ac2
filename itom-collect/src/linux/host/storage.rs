//! Disks and file systems as configuration items.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use itom_core::{
    AttrName, Batch, Coverage, ErrorKind, Key, KeyKind, Realm, Scope, Strength, Text, attr, key_kind, kind,
    relation,
};

use super::super::identity::{if_present, is_junk};
use super::super::read::Reader;
use super::inventory::Seen;
use super::metrics::storage::MOUNTS;
use super::output::{HOST, garbled, part_key, unreadable};
use super::parse::disk::is_excluded_device;
use super::parse::mount::{Mount, is_excluded_mount, parse_mountinfo};
use super::scan::is_component;

const MODEL: AttrName = AttrName::literal("disk.model");
const VENDOR: AttrName = AttrName::literal("disk.vendor");
const SERIAL: AttrName = AttrName::literal("disk.serial");
const WWN: AttrName = AttrName::literal("disk.wwn");
const ROTATIONAL: AttrName = AttrName::literal("disk.rotational");
const REMOVABLE: AttrName = AttrName::literal("disk.removable");
const READ_ONLY: AttrName = AttrName::literal("system.filesystem.read_only");
/// World-wide name of a disk.
const WWN_KEY: KeyKind = KeyKind::literal("wwn");
/// Serial numbers of disks are given by other manufacturers than those of machines.
const DISK_REALM: Realm = Realm::literal("disk");
const DISKS: Text = Text::literal("disks");
const FILE_SYSTEMS: Text = Text::literal("filesystems");
const BLOCK: &str = "sys/block";

/// Items and relations of disks and file systems.
pub(super) fn report(reader: &mut Reader, batch: &mut Batch, seen: &Seen<'_>, coverage: &mut Coverage) {
    let mut below = None;
    let (disks, disks_problem) = disks(reader, batch, seen, &mut below);
    let file_systems_problem = file_systems(reader, batch, seen, &disks, &mut below);
    let mut add = |scope: Scope, problem: Option<&(ErrorKind, String)>| match problem {
        None => coverage.add_complete(scope),
        Some((kind, reason)) => coverage.add_partial(scope, *kind, reason.as_str()),
    };
    add(Scope::cis(kind::DISK), disks_problem.as_ref());
    add(Scope::relations(relation::CONTAINS).within(DISKS), disks_problem.as_ref());
    add(Scope::cis(kind::FILESYSTEM), file_systems_problem.as_ref());
    add(Scope::relations(relation::CONTAINS).within(FILE_SYSTEMS), file_systems_problem.as_ref());
    let stored = disks_problem.as_ref().or(file_systems_problem.as_ref()).or(below.as_ref());
    add(Scope::relations(relation::STORED_ON), stored);
}

type Problem = Option<(ErrorKind, String)>;

/// The disk below something, unless that cannot be read: then it is said, and why it keeps relations from being complete.
fn below(
    found: io::Result<Option<String>>,
    of: &str,
    batch: &mut Batch,
    problem: &mut Problem,
) -> Option<String> {
    found.unwrap_or_else(|error| {
        unreadable(batch, of, &error);
        *problem = Some((ErrorKind::of_io(&error), format!("the disk below /{of} cannot be read")));
        None
    })
}

fn disks(
    reader: &mut Reader,
    batch: &mut Batch,
    seen: &Seen<'_>,
    unknown: &mut Problem,
) -> (BTreeSet<String>, Problem) {
    // Where there is no `/sys` there may well be disks.
    let names = match reader.names(BLOCK) {
        Ok(names) => names,
        Err(error) => {
            unreadable(batch, BLOCK, &error);
            return (BTreeSet::new(), Some((ErrorKind::of_io(&error), format!("/{BLOCK} cannot be listed"))));
        }
    };
    let known: BTreeSet<String> =
        names.into_iter().filter(|name| !is_excluded_device(name.as_bytes())).collect();
    let mut problem = None;
    for name in &known {
        let native = format!("disk:{name}");
        let mut text = |file: &str| match if_present(reader.line(&format!("{BLOCK}/{name}/{file}"))) {
            Ok(text) => text.filter(|text| !text.is_empty()),
            Err(error) => {
                unreadable(batch, &format!("{BLOCK}/{name}/{file}"), &error);
                None
            }
        };
        let size = text("size").and_then(|sectors| sectors.parse::<i64>().ok());
        let model = text("device/model");
        let vendor = text("device/vendor").filter(|vendor| !vendor.starts_with("0x"));
        let given = text("device/serial").filter(|serial| !is_junk(serial));
        // Only virtio's disks have a serial number here: it is what the hypervisor was told to say.
        let serial = given.clone().or_else(|| text("serial").filter(|serial| !is_junk(serial)));
        let wwn = text("wwid").or_else(|| text("device/wwid"));
        let rotational = text("queue/rotational").map(|flag| flag == "1");
        let removable = text("removable").map(|flag| flag == "1");
        let ci = batch.ci(native.as_str(), kind::DISK);
        ci.key(part_key(&seen.facts.realm, &native));
        let burned_in = !is_emulated(model.as_deref());
        if let Some(serial) = given.filter(|_| burned_in)
            && let Ok(key) = Key::new(key_kind::SERIAL, DISK_REALM, &serial, Strength::Hardware)
        {
            ci.key(key);
        }
        // Only registered names are unique; `t10.` ones are made from model and serial.
        if let Some(wwn) = wwn.as_ref().filter(|_| burned_in)
            && (wwn.starts_with("naa.") || wwn.starts_with("eui."))
            && let Ok(key) = Key::new(WWN_KEY, Realm::GLOBAL, wwn, Strength::Hardware)
        {
            ci.key(key);
        }
        ci.attr(attr::NAME, name.as_str())
            .attr(attr::SYSTEM_DEVICE, format!("/dev/{name}"))
            .attr_opt(attr::SIZE, size.map(|sectors| sectors.saturating_mul(512)))
            .attr_opt(MODEL, model)
            .attr_opt(VENDOR, vendor)
            .attr_opt(SERIAL, serial)
            .attr_opt(WWN, wwn)
            .attr_opt(ROTATIONAL, rotational)
            .attr_opt(REMOVABLE, removable);
        batch.relation(relation::CONTAINS, HOST, native.as_str()).within(DISKS);
        match if_present(reader.names(&format!("{BLOCK}/{name}/slaves"))) {
            Ok(parts) => {
                // Two partitions of one disk are one relation.
                let disks: BTreeSet<String> = parts
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|part| {
                        below(disk_of(reader, part), &format!("sys/class/block/{part}"), batch, unknown)
                    })
                    .collect();
                for disk in disks.into_iter().filter(|disk| known.contains(disk)) {
                    batch.relation(relation::STORED_ON, native.as_str(), format!("disk:{disk}"));
                }
            }
            Err(error) => {
                let path = format!("{BLOCK}/{name}/slaves");
                unreadable(batch, &path, &error);
                problem = Some((ErrorKind::of_io(&error), format!("/{path} cannot be listed")));
            }
        }
    }
    (known, problem)
}

/// Whether a hypervisor made the disk up and names it as it was configured, or the same on every machine (`QM00001`).
fn is_emulated(model: Option<&str>) -> bool {
    model.is_some_and(|model| model.starts_with("QEMU"))
}

/// The disk that a block device is or is a partition of: `/sys/class/block/sda1` points to `…/block/sda/sda1`.
fn disk_of(reader: &Reader, device: &str) -> io::Result<Option<String>> {
    if !is_component(device.as_bytes()) {
        return Ok(None);
    }
    let target = if_present(reader.link(&format!("sys/class/block/{device}")))?;
    Ok(target.as_deref().and_then(disk_in))
}

fn disk_in(target: &str) -> Option<String> {
    let mut parts = target.split('/').skip_while(|part| *part != "block").skip(1);
    parts.next().filter(|disk| !disk.is_empty()).map(str::to_owned)
}

fn file_systems(
    reader: &mut Reader,
    batch: &mut Batch,
    seen: &Seen<'_>,
    disks: &BTreeSet<String>,
    unknown: &mut Problem,
) -> Problem {
    let mut problem = None;
    // What is mounted last on a mount point hides what was there.
    let mut mounts: BTreeMap<String, Mounted> = BTreeMap::new();
    match reader.read(MOUNTS) {
        Ok(bytes) => {
            for mount in parse_mountinfo(bytes) {
                let Ok(mount) = mount else {
                    garbled(batch, MOUNTS);
                    problem =
                        Some((ErrorKind::Invalid, format!("/{MOUNTS} has lines that are not understood")));
                    continue;
                };
                mounts.insert(mount.mountpoint.clone(), Mounted::of(mount));
            }
        }
        Err(error) => {
            unreadable(batch, MOUNTS, &error);
            return Some((ErrorKind::of_io(&error), format!("/{MOUNTS} cannot be read")));
        }
    }
    for (mountpoint, mount) in mounts {
        if is_excluded_mount(&mountpoint, &mount.fstype) {
            continue;
        }
        let native = format!("fs:{mountpoint}");
        let ci = batch.ci(native.as_str(), kind::FILESYSTEM);
        ci.key(part_key(&seen.facts.realm, &native))
            .attr(attr::NAME, mountpoint.as_str())
            .attr(attr::SYSTEM_FILESYSTEM_MOUNTPOINT, mountpoint.as_str())
            .attr(attr::SYSTEM_FILESYSTEM_TYPE, mount.fstype.as_str())
            .attr(attr::SYSTEM_DEVICE, mount.source.as_str())
            .attr(READ_ONLY, mount.read_only);
        batch.relation(relation::CONTAINS, HOST, native.as_str()).within(FILE_SYSTEMS);
        let disk = below(mount.disk(reader), &format!("sys/dev/block of {mountpoint}"), batch, unknown);
        if let Some(disk) = disk.filter(|disk| disks.contains(disk)) {
            batch.relation(relation::STORED_ON, native, format!("disk:{disk}"));
        }
    }
    problem
}

/// A mount that outlives the buffer it was read from.
#[derive(Debug)]
struct Mounted {
    device: (u32, u32),
    fstype: String,
    source: String,
    read_only: bool,
}

impl Mounted {
    fn of(mount: Mount<'_>) -> Self {
        Self {
            device: mount.device,
            fstype: mount.fstype.to_owned(),
            source: mount.source,
            read_only: mount.read_only,
        }
    }

    /// By device number; file systems over several devices (btrfs) have none, so by the name of what is mounted.
    fn disk(&self, reader: &Reader) -> io::Result<Option<String>> {
        let (major, minor) = self.device;
        if major != 0 {
            let target = if_present(reader.link(&format!("sys/dev/block/{major}:{minor}")))?;
            return Ok(target.as_deref().and_then(disk_in));
        }
        let Some(device) = self.source.strip_prefix("/dev/") else { return Ok(None) };
        match if_present(reader.link(&format!("dev/{device}")))? {
            Some(target) => disk_of(reader, target.rsplit('/').next().unwrap_or(&target)),
            None => disk_of(reader, device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::disk_in;

    #[test]
    fn partitions_belong_to_their_disk() {
        let disk = |target| disk_in(target);
        assert_eq!(disk("../../devices/pci0000:00/0000:00:05.0/virtio1/block/vda").as_deref(), Some("vda"));
        assert_eq!(disk("../../devices/pci0000:00/ata1/host0/block/sda/sda1").as_deref(), Some("sda"));
        assert_eq!(disk("../../devices/virtual/block/dm-0").as_deref(), Some("dm-0"));
        assert_eq!(disk("elsewhere"), None);
    }
}
