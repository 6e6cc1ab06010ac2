//! When the packages were last updated.
//!
//! dpkg logs in local time without a zone, so its log only says *which* package was upgraded last; when that was, the
//! file list says that dpkg wrote with it (`/var/lib/dpkg/info/NAME.list`). Machines whose log is gone, or has no
//! upgrade in it, give the newest of these lists: an update cannot have been later, though a mere installation may
//! have been. rpm tells of each package when it was put there, and apk writes its list anew with every change.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use itom_core::Timestamp;

use super::super::fault::may_read;
use super::super::identity::if_present;

/// The log that is written to, and the one before it: the ones before that are compressed.
const LOGS: [&str; 2] = ["var/log/dpkg.log", "var/log/dpkg.log.1"];
const LISTS: &str = "var/lib/dpkg/info";
/// What is read of the end of a log. An upgrade writes some ten lines of 60 bytes for each package.
const TAIL: u64 = 1 << 20;
/// Upgraded packages looked up, newest first: their lists are missing only if they were removed since.
const MAX_LOOKED_UP: usize = 64;

/// When dpkg last upgraded something below `root`.
///
/// # Errors
/// When the logs or the file lists cannot be read. What is not there, or is denied, is none.
pub(super) fn by_dpkg(root: &Path) -> io::Result<Option<Timestamp>> {
    for log in LOGS {
        let Some(tail) = readable(tail(&root.join(log)))? else { continue };
        for package in upgraded(&tail).take(MAX_LOOKED_UP) {
            if let Some(time) = list_of(root, package)? {
                return Ok(Some(time));
            }
        }
    }
    newest_list(root)
}

/// When a file was last written, if it is there.
///
/// # Errors
/// When it cannot be asked.
pub(super) fn written(path: &Path) -> io::Result<Option<Timestamp>> {
    may_read()?;
    let data = if_present(path.metadata())?;
    Ok(data.map(|data| Timestamp::from_secs(data.mtime())))
}

/// The packages a log says were upgraded (`DATE TIME upgrade NAME:ARCH OLD NEW`), the last one first.
pub(super) fn upgraded(log: &[u8]) -> impl Iterator<Item = &str> {
    log.rsplit(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = std::str::from_utf8(line).ok()?.split(' ').skip(2);
        let (Some("upgrade"), Some(package)) = (words.next(), words.next()) else { return None };
        // It becomes part of a path.
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:".contains(&byte);
        (package.bytes().all(good) && package.starts_with(|first: char| first.is_ascii_alphanumeric()))
            .then_some(package)
    })
}

/// Packages of which several architectures may be installed have theirs in the name of the list.
fn list_of(root: &Path, package: &str) -> io::Result<Option<Timestamp>> {
    let lists = root.join(LISTS);
    let plain = package.split_once(':').map_or(package, |(name, _)| name);
    for name in [package, plain] {
        if let Some(time) = readable(written(&lists.join(format!("{name}.list"))))?.flatten() {
            return Ok(Some(time));
        }
    }
    Ok(None)
}

fn newest_list(root: &Path) -> io::Result<Option<Timestamp>> {
    may_read()?;
    let Some(entries) = readable(std::fs::read_dir(root.join(LISTS)))? else { return Ok(None) };
    let mut newest = None;
    for entry in entries {
        may_read()?;
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "list") {
            newest = newest.max(written(&path)?);
        }
    }
    Ok(newest)
}

fn tail(path: &Path) -> io::Result<Vec<u8>> {
    may_read()?;
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    may_read()?;
    let mut read = Vec::new();
    file.take(TAIL).read_to_end(&mut read)?;
    Ok(read)
}

/// `None` for what does not exist or is denied.
fn readable<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        read => if_present(read),
    }
}
