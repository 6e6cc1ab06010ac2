//! Reading small files of `/proc` and `/sys` into one reused buffer.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::fault::may_read;

/// Most bytes read of one file. The longest files of `/proc` that are read here (`stat` of a machine with a thousand
/// CPUs and many interrupts, `mountinfo` of a container host) are far below.
const MAX_FILE: usize = 16 << 20;

/// Non-blocking, so that a fifo where a file is expected cannot hang the run.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOCTTY).union(OFlags::NONBLOCK);

/// Reads files below a root into a buffer that it keeps: no allocation in the steady state.
#[derive(Debug)]
pub(crate) struct Reader {
    root: PathBuf,
    path: Vec<u8>,
    /// Always fully initialized; its length is what may be read in one go.
    buffer: Vec<u8>,
}

impl Reader {
    /// A reader of the tree at `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), path: Vec::with_capacity(128), buffer: vec![0; 16 << 10] }
    }

    /// The root it reads below.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The path of something below the root.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative.trim_start_matches('/'))
    }

    /// The content of a file, named relative to the root.
    ///
    /// # Errors
    /// Those of `open(2)` and `read(2)`; `FileTooLarge` beyond 16 MiB.
    pub(crate) fn read(&mut self, relative: &str) -> io::Result<&[u8]> {
        self.read_parts(&[relative.as_bytes()])
    }

    /// As [`read`](Self::read), for a path put together from parts, so that no string need be built.
    pub(crate) fn read_parts(&mut self, parts: &[&[u8]]) -> io::Result<&[u8]> {
        self.compose(parts);
        may_read()?;
        let file = rustix::fs::open(self.path.as_slice(), FILE, Mode::empty())?;
        let mut filled = 0;
        loop {
            may_read()?;
            if filled == self.buffer.len() {
                if filled >= MAX_FILE {
                    return Err(io::Error::from(io::ErrorKind::FileTooLarge));
                }
                self.buffer.resize(filled * 2, 0);
            }
            match rustix::io::read(&file, &mut self.buffer[filled..]) {
                Ok(0) => return Ok(&self.buffer[..filled]),
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Opens a directory to read several [`attributes`](Self::attribute) from: the long way through `/sys/class` to the
    /// device is then walked once.
    pub(crate) fn directory(&mut self, parts: &[&[u8]]) -> io::Result<OwnedFd> {
        self.compose(parts);
        may_read()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(self.path.as_slice(), flags, Mode::empty())?)
    }

    /// The content of an attribute in a directory of `/sys`. Such files give all they have, at most a page, in one read.
    pub(crate) fn attribute(&mut self, directory: &OwnedFd, name: &str) -> io::Result<&[u8]> {
        may_read()?;
        let file = rustix::fs::openat(directory, name, FILE, Mode::empty())?;
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut self.buffer[..]))?;
        Ok(&self.buffer[..count])
    }

    fn compose(&mut self, parts: &[&[u8]]) {
        self.path.clear();
        self.path.extend_from_slice(self.root.as_os_str().as_bytes());
        if self.path.last() != Some(&b'/') {
            self.path.push(b'/');
        }
        parts.iter().for_each(|part| self.path.extend_from_slice(part));
    }

    /// The trimmed text of a one-line file.
    pub(crate) fn line(&mut self, relative: &str) -> io::Result<String> {
        let bytes = self.read(relative)?;
        // SMBIOS and sysfs pad with blanks, device-tree and environ with NULs.
        Ok(String::from_utf8_lossy(bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
    }

    /// The names in a directory, sorted.
    pub(crate) fn names(&self, relative: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        may_read()?;
        for entry in std::fs::read_dir(self.path(relative))? {
            may_read()?;
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether there is something at this path, even a dangling link.
    pub(crate) fn exists(&self, relative: &str) -> bool {
        self.path(relative).symlink_metadata().is_ok()
    }

    /// Where a symbolic link points, as it is written there.
    pub(crate) fn link(&self, relative: &str) -> io::Result<String> {
        may_read()?;
        Ok(std::fs::read_link(self.path(relative))?.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_longer_than_the_buffer_are_read_whole() {
        let root = std::env::temp_dir().join(format!("itom-read-{}", std::process::id()));
        std::fs::create_dir_all(&root).expect("a directory");
        let long = vec![b'x'; 100_000];
        std::fs::write(root.join("long"), &long).expect("a file");
        std::fs::write(root.join("short"), b" a\n").expect("a file");
        let mut reader = Reader::new(&root);
        assert_eq!(reader.read("long").expect("readable"), long.as_slice());
        assert_eq!(reader.read("short").expect("readable"), b" a\n");
        assert_eq!(reader.line("short").expect("readable"), "a");
        assert_eq!(reader.names("").expect("a directory"), ["long", "short"]);
        assert_eq!(reader.read("none").expect_err("no such file").kind(), io::ErrorKind::NotFound);
        std::fs::remove_dir_all(&root).expect("removable");
    }
}
