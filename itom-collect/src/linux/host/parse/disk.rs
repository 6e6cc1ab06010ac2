//! `/proc/diskstats`, and which block devices count.

use super::super::scan::{Garbled, each, is_component, number, words};

/// One device of `/proc/diskstats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskLine<'a> {
    /// Major device number.
    pub(crate) major: u32,
    /// Minor device number.
    pub(crate) minor: u32,
    /// The device: `sda`.
    pub(crate) name: &'a [u8],
    /// The fields in the order of the kernel's `Documentation/admin-guide/iostats.rst`.
    pub(crate) fields: [u64; 17],
    /// How many of them this kernel writes: 11, 15 (4.18), 17 (5.5).
    pub(crate) count: usize,
}

/// `/proc/diskstats`.
pub(crate) fn parse_diskstats(bytes: &[u8]) -> impl Iterator<Item = Result<DiskLine<'_>, Garbled>> {
    each(bytes, |line| {
        let mut words = words(line);
        let major = u32::try_from(number(words.next()?)?).ok()?;
        let minor = u32::try_from(number(words.next()?)?).ok()?;
        let name = words.next().filter(|name| is_component(name))?;
        let mut fields = [0; 17];
        let mut count = 0;
        for (slot, word) in fields.iter_mut().zip(words) {
            *slot = number(word)?;
            count += 1;
        }
        // Partitions before 2.6.25 had four fields of other meaning.
        (count >= 11).then_some(DiskLine { major, minor, name, fields, count })
    })
}

/// Whether node_exporter leaves a device out by default: RAM disks, loop devices, floppies and partitions,
/// `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`.
pub(crate) fn is_excluded_device(name: &[u8]) -> bool {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return false;
    }
    let stem = &name[..name.len() - digits];
    if matches!(stem, b"ram" | b"zram" | b"loop" | b"fd") {
        return true;
    }
    if let [kind @ .., letter] = stem
        && letter.is_ascii_lowercase()
        && matches!(kind, b"hd" | b"sd" | b"vd" | b"xvd")
    {
        return true;
    }
    let Some(rest) = stem.strip_prefix(b"nvme").and_then(|rest| rest.strip_suffix(b"p")) else {
        return false;
    };
    let mut parts = rest.splitn(2, |byte| *byte == b'n');
    parts.next().is_some_and(|part| number(part).is_some())
        && parts.next().is_some_and(|part| number(part).is_some())
}

/// What udev knows about a block device (`/run/udev/data/b<major>:<minor>`): a property, if it is set.
pub(crate) fn udev_property<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    super::super::scan::lines(bytes)
        .filter_map(|line| line.strip_prefix(b"E:"))
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diskstats_of_several_kernels() {
        let text = b" 254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n   8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n   8 1 sda1 1 2 3 4\n 8 0 ../x 1 2 3 4 5 6 7 8 9 10 11\n";
        let lines: Vec<_> = parse_diskstats(text).collect();
        let first = lines[0].expect("good");
        assert_eq!((first.major, first.minor, first.name, first.count), (254, 0, &b"vda"[..], 17));
        assert_eq!(first.fields[16], 17);
        assert_eq!(lines[1].expect("good").count, 11);
        assert_eq!(&lines[2..], [Err(Garbled), Err(Garbled)]);
    }

    #[test]
    fn devices_are_excluded_as_node_exporter_does() {
        for out in ["ram0", "zram1", "loop12", "fd0", "sda1", "vdb12", "xvda1", "hdc3", "nvme0n1p2"] {
            assert!(is_excluded_device(out.as_bytes()), "{out}");
        }
        for kept in ["sda", "vda", "nvme0n1", "dm-0", "md127", "sr0", "mmcblk0", "nbd0", "sdaa1x", "nvme0n1p"]
        {
            assert!(!is_excluded_device(kept.as_bytes()), "{kept}");
        }
    }

    #[test]
    fn udev_properties_are_found() {
        let data = b"S:disk/by-id/x\nI:1\nE:ID_MODEL=Fast_Disk\nE:ID_SERIAL_SHORT=S1\n";
        assert_eq!(udev_property(data, b"ID_MODEL"), Some(&b"Fast_Disk"[..]));
        assert_eq!(udev_property(data, b"ID_SERIAL"), None);
    }
}
