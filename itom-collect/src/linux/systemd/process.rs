//! The key of a process, in the form the process collector gives it.

use std::path::Path;

use itom_core::{Key, Realm, Strength, key_kind};

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
        let boot_id = std::fs::read_to_string(root.join("proc/sys/kernel/random/boot_id")).ok()?;
        Some(Self {
            root,
            boot_id: boot_id.trim().to_owned(),
            own_namespace: namespace(&root.join("proc/self/ns/pid")),
        })
    }

    /// Boot id, pid namespace, pid in it, and start time in clock ticks since the boot; none if the process is gone.
    /// Whose namespace may not be seen (it takes privileges) is taken to share ours.
    pub(super) fn key(&self, pid: u64) -> Option<Key> {
        let directory = self.root.join("proc").join(pid.to_string());
        let start = start_ticks(&std::fs::read_to_string(directory.join("stat")).ok()?)?;
        let (namespace, pid) = match namespace(&directory.join("ns/pid")) {
            Some(own) => {
                let status = std::fs::read_to_string(directory.join("status")).ok();
                (own, status.and_then(|status| inner_pid(&status)).unwrap_or(pid))
            }
            None => (self.own_namespace.unwrap_or(0), pid),
        };
        let value = format!("{}:{namespace}:{pid}:{start}", self.boot_id);
        Key::new(key_kind::PROCESS, Realm::GLOBAL, &value, Strength::Issued).ok()
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
fn namespace(link: &Path) -> Option<u64> {
    let target = std::fs::read_link(link).ok()?;
    target.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
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
        let key = processes.key(own).expect("this process is there");
        assert_eq!(key.value().split(':').count(), 4);
        assert_eq!(Some(&key), processes.key(own).as_ref());
        assert_eq!(processes.key(u64::MAX), None);
    }
}
