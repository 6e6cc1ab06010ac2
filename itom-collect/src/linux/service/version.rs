//! The version of a program, without running it: from its path, or from the package that owns it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What was found about executables, kept until the package database changes.
#[derive(Debug, Default)]
pub(super) struct Versions {
    changed: Option<SystemTime>,
    known: BTreeMap<String, Option<String>>,
}

impl Versions {
    /// The version of each executable of this root file system. One pass over the package lists serves all that are new.
    pub(super) fn look_up(&mut self, root: &Path, executables: &[&str]) {
        let status = root.join("var/lib/dpkg/status");
        let changed = std::fs::metadata(&status).and_then(|data| data.modified()).ok();
        if changed != self.changed {
            self.known.clear();
            self.changed = changed;
        }
        let new: Vec<&str> =
            executables.iter().copied().filter(|executable| !self.known.contains_key(*executable)).collect();
        if new.is_empty() {
            return;
        }
        let owners =
            if changed.is_some() { owners(&root.join("var/lib/dpkg/info"), &new) } else { BTreeMap::new() };
        let text = if owners.is_empty() { String::new() } else { read(&status) };
        for executable in new {
            let version = owners.get(executable).and_then(|package| installed(&text, package));
            self.known.insert(executable.to_owned(), version.or_else(|| from_path(executable)));
        }
    }

    pub(super) fn get(&self, executable: &str) -> Option<&str> {
        self.known.get(executable)?.as_deref()
    }
}

fn read(path: &PathBuf) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The packages that own the files.
fn owners(lists: &Path, executables: &[&str]) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(lists) else { return owners };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_none_or(|extension| extension != "list") {
            continue;
        }
        let Some(package) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let package = package.split(':').next().unwrap_or(package);
        let Ok(list) = std::fs::read(&path) else { continue };
        for line in list.split(|byte| *byte == b'\n') {
            for executable in executables {
                // With a merged /usr packages may list the file without it.
                if line == executable.as_bytes()
                    || (!line.is_empty()
                        && executable.strip_prefix("/usr").is_some_and(|rest| line == rest.as_bytes()))
                {
                    owners.insert((*executable).to_owned(), package.to_owned());
                }
            }
        }
    }
    owners
}

fn installed(status: &str, package: &str) -> Option<String> {
    status.split("\n\n").find_map(|paragraph| {
        let field = |name: &str| {
            paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        (field("Package")? == package && field("Status")?.ends_with(" installed"))
            .then(|| field("Version").map(str::to_owned))
            .flatten()
    })
}

/// `/usr/lib/postgresql/15/bin/postgres`, `/opt/kafka_2.13-3.7.0/…`, `app-1.2.3.jar`: a path segment that is a version or
/// ends in one.
fn from_path(path: &str) -> Option<String> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty()).rev();
    let file = segments.next()?;
    let jar = file.strip_suffix(".jar").and_then(dotted_end);
    jar.or_else(|| {
        segments.find_map(|segment| {
            let number = segment.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
                && segment.starts_with(|c: char| c.is_ascii_digit());
            if number { Some(segment.to_owned()) } else { dotted_end(segment) }
        })
    })
}

/// The version after the last `-`, if it has at least one dot between digits.
fn dotted_end(name: &str) -> Option<String> {
    let (_, end) = name.rsplit_once('-')?;
    let good = end.starts_with(|c: char| c.is_ascii_digit())
        && end.contains('.')
        && end.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    good.then(|| end.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_paths() {
        assert_eq!(from_path("/usr/lib/postgresql/15/bin/postgres").as_deref(), Some("15"));
        assert_eq!(from_path("/opt/kafka_2.13-3.7.0/bin/kafka").as_deref(), Some("3.7.0"));
        assert_eq!(from_path("/opt/shop-1.2.3.jar").as_deref(), Some("1.2.3"));
        assert_eq!(from_path("/usr/sbin/nginx"), None);
    }

    #[test]
    fn versions_of_packages() {
        let status = "Package: a\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: b\nStatus: install ok installed\nVersion: 2:1.0-1\n";
        assert_eq!(installed(status, "b").as_deref(), Some("2:1.0-1"));
        assert_eq!(installed(status, "a"), None);
        let mut versions = Versions::default();
        versions.look_up(Path::new("/nonexistent"), &["/opt/x-1.5/bin/x", "/bin/y"]);
        assert_eq!((versions.get("/opt/x-1.5/bin/x"), versions.get("/bin/y")), (Some("1.5"), None));
    }
}
