//! `/proc/self/mountinfo`, and which mounts count.

use super::super::scan::{Garbled, each, number, words};

/// One mount, as `/proc/PID/mountinfo` (proc_pid_mountinfo(5)) says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount<'a> {
    /// Major and minor number of the device; major 0 when there is none.
    pub(crate) device: (u32, u32),
    /// Where it is mounted, unescaped.
    pub(crate) mountpoint: String,
    /// The type: `ext4`.
    pub(crate) fstype: &'a str,
    /// What is mounted: `/dev/sda1`, `tmpfs`, unescaped.
    pub(crate) source: String,
    /// Whether the mount or the file system is read-only.
    pub(crate) read_only: bool,
}

/// `/proc/self/mountinfo`.
pub(crate) fn parse_mountinfo(bytes: &[u8]) -> impl Iterator<Item = Result<Mount<'_>, Garbled>> {
    each(bytes, |line| {
        let mut words = words(line);
        let mut device = words.nth(2)?.splitn(2, |byte| *byte == b':');
        let major = u32::try_from(number(device.next()?)?).ok()?;
        let minor = u32::try_from(number(device.next()?)?).ok()?;
        let mountpoint = unescape(words.nth(1)?);
        let options = words.next()?;
        // Optional fields end with a lone hyphen.
        words.find(|word| *word == b"-")?;
        let fstype = std::str::from_utf8(words.next()?).ok()?;
        let source = unescape(words.next()?);
        let super_options = words.next().unwrap_or_default();
        let read_only = has_option(options, b"ro") || has_option(super_options, b"ro");
        mountpoint.starts_with('/').then_some(Mount {
            device: (major, minor),
            mountpoint,
            fstype,
            source,
            read_only,
        })
    })
}

fn has_option(options: &[u8], wanted: &[u8]) -> bool {
    options.split(|byte| *byte == b',').any(|option| option == wanted)
}

/// The kernel writes blanks, backslashes and `#` as three octal digits.
fn unescape(word: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            digits.iter().try_fold(0_u16, |value, byte| {
                let digit = byte.wrapping_sub(b'0');
                (digit < 8).then(|| value * 8 + u16::from(digit))
            })
        });
        if let Some(byte) = octal.and_then(|value| u8::try_from(value).ok()) {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const PSEUDO: [&str; 25] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// Whether node_exporter leaves a mount out by default: pseudo file systems, and mounts below `/dev`, `/proc`, `/sys`,
/// `/run/credentials` and the stores of containers.
pub(crate) fn is_excluded_mount(mountpoint: &str, fstype: &str) -> bool {
    if PSEUDO.contains(&fstype) {
        return true;
    }
    let below = |directory: &str| {
        mountpoint.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let inside = |directory: &str| mountpoint.strip_prefix(directory).is_some_and(|rest| !rest.is_empty());
    ["/dev", "/proc", "/sys"].into_iter().any(below)
        || ["/run/credentials/", "/var/lib/docker/", "/var/lib/containers/storage/"].into_iter().any(inside)
}

/// Whether asking the file system for its size asks another machine or a user's program, which may never answer.
pub(crate) fn is_remote(fstype: &str) -> bool {
    matches!(
        fstype,
        "nfs"
            | "nfs4"
            | "cifs"
            | "smb3"
            | "smbfs"
            | "ncpfs"
            | "ceph"
            | "lustre"
            | "gpfs"
            | "beegfs"
            | "afs"
            | "coda"
            | "9p"
            | "fuse"
    ) || fstype.starts_with("fuse.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_is_read() {
        let text = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n30 22 0:25 / /mnt/a\\040b ro - tmpfs my\\134src rw\n31 22 0:26 / /c rw - nfs4 h:/x ro\nbroken\n";
        let mounts: Vec<_> = parse_mountinfo(text).collect();
        let root = mounts[0].as_ref().expect("good");
        assert_eq!((root.device, root.mountpoint.as_str(), root.fstype), ((254, 0), "/", "ext4"));
        assert!(!root.read_only);
        let second = mounts[1].as_ref().expect("good");
        assert_eq!((second.mountpoint.as_str(), second.source.as_str()), ("/mnt/a b", "my\\src"));
        assert!(second.read_only && mounts[2].as_ref().expect("good").read_only);
        assert_eq!(mounts[3], Err(Garbled));
    }

    #[test]
    fn mounts_are_excluded_as_node_exporter_does() {
        for (mountpoint, fstype) in
            [("/dev/shm", "tmpfs"), ("/sys", "x"), ("/a", "overlay"), ("/var/lib/docker/overlay2/x", "ext4")]
        {
            assert!(is_excluded_mount(mountpoint, fstype), "{mountpoint}");
        }
        for (mountpoint, fstype) in
            [("/", "ext4"), ("/devel", "xfs"), ("/run", "tmpfs"), ("/var/lib/docker", "ext4")]
        {
            assert!(!is_excluded_mount(mountpoint, fstype), "{mountpoint}");
        }
        assert!(is_remote("nfs4") && is_remote("fuse.sshfs") && !is_remote("fuseblk") && !is_remote("ext4"));
    }
}
