//! The key of a process, in the form the process collector gives it.

use std::io;
use std::path::Path;

use itom_core::{Key, Realm, Strength, key_kind};

use crate::linux::fault::may_read;
use crate::linux::identity::if_present;

/// What the keys of all processes share.
#[derive(Debug, Clone)]
pub(super) struct Processes<'a> {
    root: &'a Path,
    boot_id: String,
    own_namespace: Option<u64>,
}

impl<'a> Processes<'a> {
    /// None when the kernel's boot id cannot be read.
    pub(super) fn new(root: &'a Path) -> Option<Self> {
        let boot_id = text(&root.join("proc/sys/kernel/random/boot_id")).ok()??;
        let own_namespace = namespace(&root.join("proc/self/ns/pid")).ok()?;
        Some(Self { root, boot_id: boot_id.trim().to_owned(), own_namespace })
    }

    /// Boot id, pid namespace, pid in it, and start time in clock ticks since the boot; none if the process is gone.
    /// Whose namespace may not be seen (it takes privileges) is taken to share ours.
    ///
    /// # Errors
    /// When the process is there and cannot be read.
    pub(super) fn key(&self, pid: u64) -> io::Result<Option<Key>> {
        let directory = self.root.join("proc").join(pid.to_string());
        let Some(start) = text(&directory.join("stat"))?.and_then(|stat| start_ticks(&stat)) else {
            return Ok(None);
        };
        let (namespace, pid) = match namespace(&directory.join("ns/pid"))? {
            Some(own) => {
                let status = text(&directory.join("status"))?;
                (own, status.and_then(|status| inner_pid(&status)).unwrap_or(pid))
            }
            None => (self.own_namespace.unwrap_or(0), pid),
        };
        let value = format!("{}:{namespace}:{pid}:{start}", self.boot_id);
        Ok(Key::new(key_kind::PROCESS, Realm::GLOBAL, &value, Strength::Issued).ok())
    }
}

/// The text of a file; none if it is gone.
fn text(path: &Path) -> io::Result<Option<String>> {
    may_read()?;
    match std::fs::read_to_string(path) {
        // A process that ended between opening and reading.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(None),
        read => if_present(read),
    }
}

/// Field 22 of `/proc/PID/stat`. The name in field 2 may have blanks and parentheses: what follows its last `)` counts.
fn start_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The last number of the `NSpid` line: the pid in the process's own namespace.
fn inner_pid(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().next_back()?.parse().ok()
}

/// `pid:[4026531836]` → 4026531836.
fn namespace(link: &Path) -> io::Result<Option<u64>> {
    let target = match may_read().map_err(io::Error::from).and_then(|()| std::fs::read_link(link)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        read => if_present(read)?,
    };
    let number =
        |target: &Path| target.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse::<u64>().ok();
    Ok(target.as_deref().and_then(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_nasty_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 200";
        assert_eq!(start_ticks(stat), Some(98_765));
        assert_eq!(start_ticks("42 (x) S 1"), None);
        assert_eq!(inner_pid("Name:\tx\nNSpid:\t77\t9\n"), Some(9));
    }

    #[test]
    fn this_process_has_a_key_and_a_gone_one_none() {
        let root = Path::new("/");
        let processes = Processes::new(root).expect("a boot id");
        let own = u64::from(std::process::id());
        let key = processes.key(own).expect("readable").expect("this process is there");
        assert_eq!(key.value().split(':').count(), 4);
        assert_eq!(Some(key), processes.key(own).expect("readable"));
        assert_eq!(processes.key(u64::MAX).expect("none is no error"), None);
    }
}
