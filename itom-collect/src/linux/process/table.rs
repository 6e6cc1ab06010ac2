//! One pass over `/proc`: each file of each process is opened once per round, into buffers that are used again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use itom_core::{Batch, ErrorKind, Text};
use rustix::fs::{Mode, OFlags, RawDir};

use super::{Cgroup, cgroup, parse};
use crate::linux::fault::may_read;
use crate::linux::identity::if_present;

/// User-visible clock ticks per second. The kernel shows times to programs in units of `USER_HZ`, which is 100 on every
/// architecture Rust's Linux targets have, whatever its own tick is.
pub(crate) const TICKS_PER_SECOND: u64 = 100;

/// Longest command line kept; the rest is cut.
const MAX_FILE: usize = 128 * 1024;
/// Most descriptors looked at in one process.
const MAX_FDS: usize = 1 << 20;

/// One process, as it was when its files were read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) start_ticks: u64,
    /// The pid in its own pid namespace.
    pub(crate) inner_pid: u32,
    pub(crate) comm: String,
    /// The executable's path; without the mark that it was deleted since.
    pub(crate) executable: Option<String>,
    /// The arguments with their secrets. They never leave the collector unredacted.
    pub(crate) arguments: Vec<String>,
    pub(crate) uid: Option<u32>,
    pub(crate) cgroup: Cgroup,
    pub(crate) net_namespace: Option<u64>,
    pub(crate) pid_namespace: Option<u64>,
    pub(crate) threads: u32,
    pub(crate) cpu_ticks: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) storage: Option<(u64, u64)>,
    pub(crate) open_fds: Option<u64>,
    /// Inodes of its sockets, sorted; `None` when its descriptors could not be read.
    pub(crate) sockets: Option<Vec<u64>>,
}

impl Process {
    /// The native id: stable while the process lives and never used again before a reboot.
    pub(crate) fn native_id(&self) -> String {
        format!("proc:{}:{}", self.pid, self.start_ticks)
    }

    /// The executable's file name, else the first argument's, else the name the kernel keeps (15 bytes).
    pub(crate) fn executable_name(&self) -> &str {
        fn base(path: &str) -> Option<&str> {
            path.rsplit('/').next().filter(|name| !name.is_empty())
        }
        self.executable
            .as_deref()
            .and_then(base)
            .or_else(|| {
                let first = self.arguments.first()?.split([' ', ':']).next()?;
                base(first.trim_start_matches('-'))
            })
            .unwrap_or(&self.comm)
    }
}

/// All processes of one round.
#[derive(Debug, Default)]
pub(crate) struct ProcessTable {
    pub(crate) processes: BTreeMap<u32, Process>,
    pub(crate) boot_id: Option<String>,
    /// Seconds since the epoch.
    pub(crate) boot_time: Option<i64>,
    pub(crate) users: BTreeMap<u32, Text>,
    /// Namespaces of the reader itself.
    pub(crate) own_net_namespace: Option<u64>,
    pub(crate) own_pid_namespace: Option<u64>,
    /// The table lacks processes: `/proc` is mounted so that others' are hidden, or the list ended early.
    pub(crate) hidden: bool,
}

/// Whole processes, in [`Faults`]: they are there, and nothing is known of them.
pub(crate) const PROCESS: &str = "/proc/PID";

/// What could not be read, one line for each kind of file.
#[derive(Debug, Default)]
pub(crate) struct Faults(BTreeMap<(&'static str, ErrorKind), u64>);

impl Faults {
    pub(crate) fn note(&mut self, what: &'static str, kind: ErrorKind) {
        *self.0.entry((what, kind)).or_default() += 1;
    }

    /// Whether a kind of file was refused at least once.
    pub(crate) fn has(&self, what: &str) -> bool {
        self.0.keys().any(|(known, _)| *known == what)
    }

    pub(crate) fn report(&self, batch: &mut Batch) {
        for ((what, kind), count) in &self.0 {
            let message = match kind {
                ErrorKind::Denied => {
                    "not readable for processes of others; run as root or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
                }
                ErrorKind::Unsupported => "this kernel does not offer it",
                ErrorKind::Exhausted => "more came than could be kept; run more often",
                _ => "could not be read; see the kernel log if this goes on",
            };
            for _ in 0..*count {
                batch.fault(*what, *kind, message);
            }
        }
    }
}

/// Whether kernel threads count as processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KernelThreads {
    /// Kernel threads are left out.
    #[default]
    Skip,
    /// Kernel threads are processes too.
    Include,
}

/// Reads processes, one by one, so that a collector can stop between them.
#[derive(Debug)]
pub(crate) struct ProcessReader {
    root: PathBuf,
    kernel_threads: KernelThreads,
    buffer: Vec<u8>,
    entries: Vec<MaybeUninit<u8>>,
}

impl ProcessReader {
    pub(crate) fn new(root: &Path, kernel_threads: KernelThreads) -> Self {
        Self {
            root: root.to_owned(),
            kernel_threads,
            buffer: Vec::with_capacity(8192),
            entries: vec![MaybeUninit::uninit(); 32 * 1024],
        }
    }

    /// Reads what belongs to the machine as a whole.
    ///
    /// # Errors
    /// When there is no `/proc`.
    pub(crate) fn begin(&self) -> io::Result<(ProcessTable, Vec<u32>)> {
        let proc = self.root.join("proc");
        let mut pids: Vec<u32> = Vec::new();
        may_read()?;
        for entry in std::fs::read_dir(&proc)? {
            may_read()?;
            pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        pids.sort_unstable();
        let text = |path: &str| {
            may_read()?;
            std::fs::read_to_string(proc.join(path))
        };
        let own = |name: &str| {
            may_read().ok()?;
            let link = std::fs::read_link(proc.join("self/ns").join(name)).ok()?;
            parse::inode(link.as_os_str().as_encoded_bytes(), name.as_bytes())
        };
        let mounts = text("self/mountinfo").unwrap_or_default();
        // It is part of what identifies a process: without it, each would be another one.
        let boot_id = if_present(text("sys/kernel/random/boot_id"))?;
        let table = ProcessTable {
            processes: BTreeMap::new(),
            boot_id: boot_id.map(|id| id.trim().to_owned()),
            boot_time: text("stat").ok().and_then(|stat| parse::boot_time(stat.as_bytes())),
            users: std::fs::read(self.root.join("etc/passwd"))
                .map(|bytes| parse::passwd(&bytes))
                .unwrap_or_default(),
            own_net_namespace: own("net"),
            own_pid_namespace: own("pid"),
            hidden: mounts.lines().any(|line| {
                line.contains(" - proc ") && line.contains("hidepid=") && !line.contains("hidepid=0")
            }) && !rustix::process::geteuid().is_root(),
        };
        Ok((table, pids))
    }

    /// Reads one process. `None` when it is gone (which is normal) or left out.
    pub(crate) fn read(&mut self, pid: u32, faults: &mut Faults) -> Option<Process> {
        let path = self.root.join("proc").join(pid.to_string());
        // All files are opened below this descriptor: should the pid be used again meanwhile, reads fail and do not
        // mix two processes.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = may_read().and_then(|()| rustix::fs::open(&path, flags, Mode::empty()));
        let directory = there(opened, faults)?;
        let directory = directory.as_fd();
        there(self.fill(directory, "stat"), faults)?;
        let stat = parse::stat(&self.buffer)?;
        if stat.kernel_thread && self.kernel_threads == KernelThreads::Skip {
            return None;
        }
        let mut process = Process {
            pid,
            parent: stat.parent,
            start_ticks: stat.start_ticks,
            inner_pid: pid,
            comm: stat.comm.to_string(),
            threads: stat.threads,
            cpu_ticks: stat.cpu_ticks,
            virtual_bytes: stat.virtual_bytes,
            ..Process::default()
        };
        if self.checked(directory, "status", "/proc/PID/status", faults)? {
            let status = parse::status(&self.buffer);
            process.uid = status.uid;
            process.resident_bytes = status.resident_bytes;
            process.inner_pid = status.inner_pid.unwrap_or(pid);
        }
        if self.checked(directory, "cmdline", "/proc/PID/cmdline", faults)? {
            process.arguments = parse::command_line(&self.buffer);
        }
        if self.checked(directory, "cgroup", "/proc/PID/cgroup", faults)? {
            process.cgroup = cgroup::parse(&self.buffer);
        }
        if self.checked(directory, "io", "/proc/PID/io", faults)? {
            process.storage = parse::io(&self.buffer);
        }
        if !stat.kernel_thread && self.link(directory, "exe", "/proc/PID/exe", faults)? {
            let path = String::from_utf8_lossy(&self.buffer);
            process.executable = Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned());
        }
        if self.link(directory, "ns/net", "/proc/PID/ns", faults)? {
            process.net_namespace = parse::inode(&self.buffer, b"net");
        }
        if self.link(directory, "ns/pid", "/proc/PID/ns", faults)? {
            process.pid_namespace = parse::inode(&self.buffer, b"pid");
        }
        match self.descriptors(directory) {
            Ok((count, sockets)) => {
                process.open_fds = Some(count);
                process.sockets = Some(sockets);
            }
            Err(error) if gone(error) => return None,
            Err(error) => faults.note("/proc/PID/fd", ErrorKind::of_io(&error.into())),
        }
        Some(process)
    }

    /// The sockets of one process, if it is still the one that started then.
    pub(crate) fn sockets_of(&mut self, pid: u32, start_ticks: u64) -> Option<Vec<u64>> {
        let path = self.root.join("proc").join(pid.to_string());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty()).ok()?;
        self.fill(directory.as_fd(), "stat").ok()?;
        let same = parse::stat(&self.buffer)?.start_ticks == start_ticks;
        if same { Some(self.descriptors(directory.as_fd()).ok()?.1) } else { None }
    }

    /// Counts the descriptors and lists the inodes of sockets among them.
    fn descriptors(&mut self, directory: BorrowedFd<'_>) -> rustix::io::Result<(u64, Vec<u64>)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        may_read()?;
        let fds: OwnedFd = rustix::fs::openat(directory, "fd", flags, Mode::empty())?;
        let mut count = 0_usize;
        let mut sockets = Vec::new();
        let mut link = [0_u8; 64];
        let mut entries = RawDir::new(&fds, &mut self.entries);
        while let Some(entry) = entries.next() {
            may_read()?;
            let entry = entry?;
            if entry.file_name().to_bytes().first() == Some(&b'.') {
                continue;
            }
            count += 1;
            if count > MAX_FDS {
                break;
            }
            let length = match may_read()
                .and_then(|()| rustix::fs::readlinkat_raw(&fds, entry.file_name(), &mut link[..]))
            {
                Ok(length) => length,
                // It was closed meanwhile.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            if let Some(inode) = link.get(..length).and_then(|text| parse::inode(text, b"socket")) {
                sockets.push(inode);
            }
        }
        sockets.sort_unstable();
        sockets.dedup();
        Ok((count as u64, sockets))
    }

    /// Reads a file into the buffer. `Some(false)`: it could not be read, which was noted. `None`: the process is gone.
    fn checked(
        &mut self,
        directory: BorrowedFd<'_>,
        file: &str,
        what: &'static str,
        faults: &mut Faults,
    ) -> Option<bool> {
        match self.fill(directory, file) {
            Ok(()) => Some(true),
            Err(error) => noted(error, what, faults),
        }
    }

    fn link(
        &mut self,
        directory: BorrowedFd<'_>,
        file: &str,
        what: &'static str,
        faults: &mut Faults,
    ) -> Option<bool> {
        self.buffer.resize(4096, 0);
        match may_read().and_then(|()| rustix::fs::readlinkat_raw(directory, file, &mut self.buffer[..])) {
            Ok(length) => {
                self.buffer.truncate(length);
                Some(true)
            }
            // A zombie has no executable and no namespaces.
            Err(rustix::io::Errno::NOENT) => Some(false),
            Err(error) => noted(error, what, faults),
        }
    }

    fn fill(&mut self, directory: BorrowedFd<'_>, file: &str) -> rustix::io::Result<()> {
        may_read()?;
        let descriptor =
            rustix::fs::openat(directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        self.buffer.clear();
        let mut used = 0;
        while used < MAX_FILE {
            let room = (used + 4096).max(self.buffer.capacity()).min(MAX_FILE);
            self.buffer.resize(room, 0);
            let Some(space) = self.buffer.get_mut(used..) else { break };
            may_read()?;
            let got = rustix::io::retry_on_intr(|| rustix::io::read(&descriptor, &mut *space))?;
            if got == 0 {
                break;
            }
            used += got;
        }
        self.buffer.truncate(used);
        Ok(())
    }
}

fn gone(error: rustix::io::Errno) -> bool {
    matches!(error, rustix::io::Errno::NOENT | rustix::io::Errno::SRCH)
}

/// What of a process tells that it is there. `None`: it is gone, or it is not known, which was noted.
fn there<T>(read: rustix::io::Result<T>, faults: &mut Faults) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(error) => {
            if !gone(error) {
                faults.note(PROCESS, ErrorKind::of_io(&error.into()));
            }
            None
        }
    }
}

fn noted(error: rustix::io::Errno, what: &'static str, faults: &mut Faults) -> Option<bool> {
    if gone(error) {
        return None;
    }
    faults.note(what, ErrorKind::of_io(&error.into()));
    Some(false)
}

/// A handle on a network namespace of a process, to enter it.
pub(crate) fn open_net_namespace(root: &Path, pid: u32) -> io::Result<File> {
    File::open(root.join("proc").join(pid.to_string()).join("ns/net"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let mut reader = ProcessReader::new(Path::new("/"), KernelThreads::Skip);
        let (table, pids) = reader.begin().expect("there is a /proc");
        let own = std::process::id();
        assert!(pids.contains(&own));
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let mut faults = Faults::default();
        let process = reader.read(own, &mut faults).expect("it lives");
        assert!(process.start_ticks > 0 && process.threads >= 1 && process.resident_bytes > Some(4096));
        assert_eq!(process.net_namespace, table.own_net_namespace);
        assert!(!process.sockets.expect("own descriptors are readable").is_empty());
        assert!(process.executable.expect("has an executable").starts_with('/'));
        drop(socket);
    }

    #[test]
    fn a_vanished_process_is_no_fault() {
        let mut reader = ProcessReader::new(Path::new("/"), KernelThreads::Skip);
        let mut faults = Faults::default();
        assert!(reader.read(u32::MAX, &mut faults).is_none());
        let mut batch = Batch::new(itom_core::SourceName::literal("x"), itom_core::Timestamp::EPOCH);
        faults.report(&mut batch);
        assert!(batch.faults().is_empty());
    }
}
