//! The text formats of `/proc/PID/*`, as bytes in and values out. See proc(5).

use std::collections::BTreeMap;

use itom_core::Text;

/// Kernel thread, from `include/linux/sched.h`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) comm: Text,
    pub(crate) parent: u32,
    pub(crate) kernel_thread: bool,
    /// User and system time in clock ticks.
    pub(crate) cpu_ticks: u64,
    pub(crate) threads: u32,
    /// Start, in clock ticks since boot.
    pub(crate) start_ticks: u64,
    pub(crate) virtual_bytes: u64,
}

/// Reads `/proc/PID/stat`. The name is in parentheses and may itself hold parentheses and spaces, so fields are counted
/// from the last one.
pub(crate) fn stat(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let comm = String::from_utf8_lossy(bytes.get(open + 1..close)?);
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    // The first field after the name is number 3 of proc(5), the state.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
    Some(Stat {
        comm: Text::from(comm.as_ref()),
        parent: u32::try_from(field(4)?).ok()?,
        kernel_thread: field(9)? & PF_KTHREAD != 0,
        cpu_ticks: field(14)?.saturating_add(field(15)?),
        threads: u32::try_from(field(20)?).ok()?,
        start_ticks: field(22)?,
        virtual_bytes: field(23)?,
    })
}

/// What `/proc/PID/status` says beyond `stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// The effective user.
    pub(crate) uid: Option<u32>,
    pub(crate) resident_bytes: Option<u64>,
    /// The pid in the process's own pid namespace, where it is nested.
    pub(crate) inner_pid: Option<u32>,
}

/// Reads `/proc/PID/status`.
pub(crate) fn status(bytes: &[u8]) -> Status {
    let mut status = Status::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(rest) = line.strip_prefix(b"Uid:") {
            status.uid = word(rest, 1).and_then(|text| text.parse().ok());
        } else if let Some(rest) = line.strip_prefix(b"NSpid:") {
            let last = std::str::from_utf8(rest).ok().and_then(|text| text.split_ascii_whitespace().last());
            status.inner_pid = last.and_then(|text| text.parse().ok());
        } else if let Some(rest) = line.strip_prefix(b"VmRSS:") {
            let kibibytes = word(rest, 0).and_then(|text| text.parse::<u64>().ok());
            status.resident_bytes = kibibytes.and_then(|value| value.checked_mul(1024));
        }
    }
    status
}

/// Reads `/proc/PID/io`: bytes read from and written to storage.
pub(crate) fn io(bytes: &[u8]) -> Option<(u64, u64)> {
    let (mut read, mut written) = (None, None);
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(rest) = line.strip_prefix(b"read_bytes:") {
            read = word(rest, 0).and_then(|text| text.parse().ok());
        } else if let Some(rest) = line.strip_prefix(b"write_bytes:") {
            written = word(rest, 0).and_then(|text| text.parse().ok());
        }
    }
    Some((read?, written?))
}

/// Reads `/proc/PID/cmdline`: arguments ended by NUL. A process that wrote over its arguments (as nginx and postgres do)
/// leaves one text with spaces; it stays one argument.
pub(crate) fn command_line(bytes: &[u8]) -> Vec<String> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match bytes.get(..end) {
        Some(used) if !used.is_empty() => {
            used.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
        }
        _ => Vec::new(),
    }
}

/// Reads `/etc/passwd`: names by user id. The first name of an id counts, as for getpwuid(3).
pub(crate) fn passwd(bytes: &[u8]) -> BTreeMap<u32, Text> {
    let mut names = BTreeMap::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next())
            && let Ok(uid) = uid.parse()
            && !name.is_empty()
        {
            names.entry(uid).or_insert_with(|| Text::from(name));
        }
    }
    names
}

/// Reads the boot time, in seconds since the epoch, from `/proc/stat`.
pub(crate) fn boot_time(bytes: &[u8]) -> Option<i64> {
    let line = bytes.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"btime "))?;
    word(line, 0)?.parse().ok()
}

/// The inode in a link such as `socket:[4711]` or `net:[4026531840]`.
pub(crate) fn inode(link: &[u8], prefix: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(prefix)?.strip_prefix(b":[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn word(bytes: &[u8], index: usize) -> Option<&str> {
    std::str::from_utf8(bytes).ok()?.split_ascii_whitespace().nth(index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stat_with_a_hostile_name() {
        let line = b"7 (a) R (b) S 1 7 7 0 -1 4194560 9 8 7 6 11 22 0 0 20 0 3 0 987654 4096 10 184467\n";
        let stat = stat(line).expect("is a stat line");
        assert_eq!(stat.comm.as_str(), "a) R (b");
        assert_eq!((stat.parent, stat.cpu_ticks, stat.threads, stat.start_ticks), (1, 33, 3, 987_654));
        assert!(!stat.kernel_thread);
    }

    #[test]
    fn status_io_and_passwd() {
        let status = status(b"Name:\tx\nUid:\t1000\t33\t1000\t1000\nNSpid:\t77\t9\nVmRSS:\t    2048 kB\n");
        assert_eq!(status, Status { uid: Some(33), resident_bytes: Some(2 << 20), inner_pid: Some(9) });
        assert_eq!(io(b"rchar: 9\nread_bytes: 4096\nwrite_bytes: 512\n"), Some((4096, 512)));
        let names = passwd(b"root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:\nbroken\nwww-data:x:33:33:::\n");
        assert_eq!(names.get(&0).map(Text::as_str), Some("root"));
        assert_eq!(names.get(&33).map(Text::as_str), Some("www-data"));
    }

    #[test]
    fn command_lines() {
        assert_eq!(command_line(b"/bin/x\0-a\0\0"), ["/bin/x", "-a"]);
        assert_eq!(command_line(b"nginx: master process\0\0\0\0"), ["nginx: master process"]);
        assert!(command_line(b"").is_empty());
        assert_eq!(inode(b"socket:[12]", b"socket"), Some(12));
        assert_eq!(inode(b"pipe:[12]", b"socket"), None);
    }

    proptest! {
        #[test]
        fn l10_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = (stat(&bytes), status(&bytes), io(&bytes), passwd(&bytes), boot_time(&bytes));
            let arguments = command_line(&bytes);
            prop_assert!(arguments.len() <= bytes.len() + 1);
        }
    }
}
