//! The collector.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use itom_core::{
    AttrName, Batch, Coverage, ErrorKind, Key, Realm, Scope, StableHash as _, Strength, Text, Timestamp,
    attr, key_kind, kind, relation,
};

use super::purl::purl;
use super::record::{Garbage, Held, Manager, Package};
use super::stanza::{Format, Stanza, Stanzas};
use super::{apk, dpkg, rpm, updated};
use crate::linux::fault::may_read;
use crate::linux::identity::if_present;
use crate::linux::{command, identity};
use crate::{CollectContext, CollectError, Collector, Descriptor};

/// Reads which software is installed: one [`kind::SOFTWARE`] item for each package, with its package URL as key in the
/// host's own realm (the same package on two hosts is two items), and that it is installed on the host.
///
/// Attributes: `package.name`, `package.version`, `package.architecture`, `package.purl`, `package.manager` (`dpkg`,
/// `apk`, `rpm`), `package.source` (if named otherwise), `package.status` (`installed`, `half-configured` and so on)
/// and `package.hold` (dpkg). Packages removed with their configuration kept are not installed and not listed.
///
/// Of the host it says `os.update.time`: when packages were last updated, in seconds. With dpkg that is the last upgrade
/// in its log, or else when anything was last unpacked; with rpm the newest time of installation; with apk when its list
/// was last written. What has another key than its own ([`with_host_key`](Self::with_host_key)) is not told of, as it may
/// not be a host.
///
/// Coverage is by package manager: a list that cannot be read, or not in full, makes its own partition partial. A
/// stanza that cannot be understood is one fault with file and line, and the others are read. Which lists exist is
/// looked up in each run; a machine without any is [`CollectError::Unsupported`].
///
/// ```no_run
/// use itom_collect::linux::package::PackageCollector;
///
/// let own = PackageCollector::new();
/// let image = PackageCollector::new().with_root("/mnt/image");
/// ```
#[derive(Debug, Clone)]
pub struct PackageCollector {
    root: PathBuf,
    host: Option<Key>,
    target: Option<Text>,
    rpm: OsString,
}

const MANAGER: AttrName = AttrName::literal("package.manager");
const SOURCE: AttrName = AttrName::literal("package.source");
const STATUS: AttrName = AttrName::literal("package.status");
const HOLD: AttrName = AttrName::literal("package.hold");

/// Read at a time, between which the run looks whether it should stop.
const CHUNK: usize = 64 * 1024;
/// Most that `rpm -qa` may print: a few hundred bytes for each of some 100,000 packages.
const MAX_RPM_OUTPUT: usize = 32 * 1024 * 1024;
/// Most packages taken from one machine: ten times what the largest distributions have. Further ones are a fault.
const MAX_PACKAGES: usize = 1_000_000;
/// Where rpm keeps its database: Berkeley DB, SQLite or ndb, in the old place and the new.
const RPM_DATABASES: [&str; 6] = [
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages",
    "var/lib/rpm/Packages.db",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/Packages",
    "usr/lib/sysimage/rpm/Packages.db",
];

impl PackageCollector {
    /// For the machine it runs on.
    #[must_use]
    pub fn new() -> Self {
        Self { root: PathBuf::from("/"), host: None, target: None, rpm: OsString::from("rpm") }
    }

    /// Reads below another root: a container's, an image's. Symbolic links are followed as this machine sees them, so
    /// an absolute one leads out of the root; read images you do not trust inside a mount namespace of their own.
    #[must_use]
    pub fn with_root(self, root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..self }
    }

    /// Sets the key of what the packages are installed on, instead of the host's found below the root: a container's.
    #[must_use]
    pub fn with_host_key(self, key: Key) -> Self {
        Self { host: Some(key), ..self }
    }

    /// Names the machine in the collector's source name (`linux.package@web-1`): needed when batches of several
    /// machines come together.
    #[must_use]
    pub fn with_target(self, target: impl Into<Text>) -> Self {
        Self { target: Some(target.into()), ..self }
    }

    /// The `rpm` program to run, if it is not the one on the path.
    #[must_use]
    pub fn with_rpm(self, program: impl Into<OsString>) -> Self {
        Self { rpm: program.into(), ..self }
    }

    fn dpkg_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let status = self.root.join("var/lib/dpkg/status");
        if status.try_exists()? {
            files.push(status);
        }
        let directory = self.root.join("var/lib/dpkg/status.d");
        if directory.try_exists()? {
            let mut parts = Vec::new();
            may_read()?;
            for entry in std::fs::read_dir(directory)? {
                may_read()?;
                let path = entry?.path();
                // What cannot be asked is taken for a list, so that reading it tells why; a link to nothing is none.
                let list =
                    if_present(path.metadata()).map_or(true, |data| data.is_some_and(|data| data.is_file()));
                if path.extension() != Some(OsStr::new("md5sums")) && list {
                    parts.push(path);
                }
            }
            parts.sort();
            files.extend(parts);
        }
        Ok(files)
    }

    fn apk_files(&self) -> io::Result<Vec<PathBuf>> {
        for place in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
            let path = self.root.join(place);
            if path.try_exists()? {
                return Ok(vec![path]);
            }
        }
        Ok(Vec::new())
    }

    /// Says of the host when its packages were last updated.
    fn tell_update(&self, run: &mut Run<'_>) {
        // An older time than the true one would be a lie: what is not known in full is not told.
        if run.managers.iter().any(|(manager, why)| *manager == Manager::Rpm && why.is_some()) {
            return;
        }
        let managers: Vec<_> = run.managers.iter().map(|(manager, _)| *manager).collect();
        let mut newest = run.unpacked;
        for manager in managers {
            let found = match manager {
                Manager::Dpkg => updated::by_dpkg(&self.root),
                Manager::Apk => self.apk_files().and_then(|files| {
                    files.iter().try_fold(None, |newest, file| Ok(updated::written(file)?.max(newest)))
                }),
                Manager::Rpm => continue,
            };
            match found {
                Ok(time) => newest = newest.max(time),
                Err(error) => {
                    let message = format!("when its packages were updated cannot be found: {error}");
                    run.batch.fault(manager.name(), ErrorKind::of_io(&error), message);
                    return;
                }
            }
        }
        if let Some(time) = newest {
            run.batch.ci("host", kind::HOST).key(run.host.clone()).attr(attr::OS_UPDATE_TIME, time);
        }
    }

    async fn read_rpm(&self, cx: &CollectContext, run: &mut Run<'_>) -> Result<(), CollectError> {
        let Some(database) = RPM_DATABASES.iter().find(|place| self.root.join(place).exists()) else {
            return Ok(());
        };
        run.begin(Manager::Rpm);
        let args = [
            OsStr::new("--root"),
            self.root.as_os_str(),
            OsStr::new("-qa"),
            OsStr::new("--queryformat"),
            OsStr::new(rpm::QUERY_FORMAT),
        ];
        let what = self.root.join(database).display().to_string();
        let finished = match cx.bounded(command::run(&self.rpm, args, MAX_RPM_OUTPUT)).await? {
            Ok(finished) => finished,
            Err(error) => {
                let message = format!("`{}` cannot be run ({error}); install it", self.rpm.display());
                run.fault(&what, ErrorKind::of_io(&error), message);
                return Ok(());
            }
        };
        if finished.cut {
            let message = format!("`rpm -qa` printed more than {MAX_RPM_OUTPUT} bytes");
            run.fault(&what, ErrorKind::Exhausted, message);
        } else if !finished.status.success() {
            let message = format!("`rpm -qa` ended with {}: {}", finished.status, finished.stderr);
            run.fault(&what, ErrorKind::Unavailable, message);
        }
        rpm::packages(&finished.stdout, |package| run.found(package.map(Some), "rpm -qa"));
        Ok(())
    }
}

impl Default for PackageCollector {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Collector for PackageCollector {
    fn descriptor(&self) -> Descriptor {
        let descriptor = Descriptor::new("linux.package")
            .emits(kind::SOFTWARE)
            .emits(kind::HOST)
            .every(Duration::from_secs(3_600))
            .timeout(Duration::from_secs(60));
        Descriptor { target: self.target.clone(), ..descriptor }
    }

    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
        cx.checkpoint().await?;
        let mut run = Run::new(self, batch)?;
        read_lists(cx, &mut run, Manager::Dpkg, self.dpkg_files(), dpkg::FORMAT, dpkg::package).await?;
        read_lists(cx, &mut run, Manager::Apk, self.apk_files(), apk::FORMAT, apk::package).await?;
        self.read_rpm(cx, &mut run).await?;
        cx.checkpoint().await?;
        if self.host.is_none() {
            self.tell_update(&mut run);
        }
        run.end()
    }
}

type Understand = fn(&Stanza) -> Result<Option<Package>, Garbage>;

async fn read_lists(
    cx: &CollectContext,
    run: &mut Run<'_>,
    manager: Manager,
    files: io::Result<Vec<PathBuf>>,
    format: Format,
    understand: Understand,
) -> Result<(), CollectError> {
    let files = match files {
        Ok(files) if files.is_empty() => return Ok(()),
        Ok(files) => files,
        Err(error) => {
            run.begin(manager);
            run.fault(
                manager.name(),
                ErrorKind::of_io(&error),
                format!("its lists cannot be found: {error}"),
            );
            return Ok(());
        }
    };
    run.begin(manager);
    for path in files {
        cx.checkpoint().await?;
        let what = path.display().to_string();
        if let Err(error) = read_list(cx, run, &path, format, understand).await? {
            run.fault(&what, ErrorKind::of_io(&error), format!("it cannot be read to its end: {error}"));
        }
    }
    Ok(())
}

/// Reads one list in pieces; the outer error ends the run, the inner one this list.
async fn read_list(
    cx: &CollectContext,
    run: &mut Run<'_>,
    path: &Path,
    format: Format,
    understand: Understand,
) -> Result<io::Result<()>, CollectError> {
    let what = path.display().to_string();
    let mut file = match may_read().map_err(io::Error::from).and_then(|()| File::open(path)) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let mut stanzas = Stanzas::new(format);
    let mut chunk = vec![0; CHUNK];
    loop {
        match may_read().map_err(io::Error::from).and_then(|()| file.read(&mut chunk)) {
            Ok(0) => break,
            Ok(read) => stanzas.feed(&chunk[..read], |found| {
                run.found(found.and_then(|stanza| understand(&stanza)), &what);
            }),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
        cx.checkpoint().await?;
    }
    stanzas.finish(|found| run.found(found.and_then(|stanza| understand(&stanza)), &what));
    Ok(Ok(()))
}

/// What one run knows.
struct Run<'a> {
    batch: &'a mut Batch,
    host: Key,
    realm: Realm,
    os: Option<String>,
    manager: Manager,
    /// The managers that have lists here, with what kept theirs from being read in full.
    managers: Vec<(Manager, Option<(ErrorKind, String)>)>,
    seen: BTreeSet<Text>,
    /// The newest time at which a list says a package was put there.
    unpacked: Option<Timestamp>,
}

impl<'a> Run<'a> {
    fn new(collector: &PackageCollector, batch: &'a mut Batch) -> Result<Self, CollectError> {
        let root = &collector.root;
        let host = identity::host_of(collector.host.as_ref(), root)?;
        let mut os = None;
        for path in ["etc/os-release", "usr/lib/os-release"].map(|path| root.join(path)) {
            let read = may_read().map_err(io::Error::from).and_then(|()| std::fs::read_to_string(&path));
            // It is part of every package's id: without it, each would be another one.
            let text =
                if_present(read).map_err(|error| CollectError::io(path.display().to_string(), error))?;
            os = text.as_deref().and_then(os_id);
            if os.is_some() {
                break;
            }
        }
        let (realm, manager) = (realm_of(&host), Manager::Dpkg);
        Ok(Self {
            batch,
            host,
            realm,
            os,
            manager,
            managers: Vec::new(),
            seen: BTreeSet::new(),
            unpacked: None,
        })
    }

    fn begin(&mut self, manager: Manager) {
        self.manager = manager;
        self.managers.push((manager, None));
    }

    fn fault(&mut self, what: &str, kind: ErrorKind, message: String) {
        if let Some((_, why @ None)) = self.managers.last_mut() {
            *why = Some((kind, format!("{what}: {message}")));
        }
        self.batch.fault(what, kind, message);
    }

    fn found(&mut self, package: Result<Option<Package>, Garbage>, what: &str) {
        match package {
            Ok(Some(package)) => self.push(&package, what),
            Ok(None) => {}
            Err(Garbage { line, reason }) => {
                let message = format!("the package at this line is skipped: {reason}");
                self.fault(&format!("{what}:{line}"), ErrorKind::Invalid, message);
            }
        }
    }

    fn push(&mut self, package: &Package, what: &str) {
        self.unpacked = self.unpacked.max(package.unpacked);
        let manager = self.manager;
        let purl = purl(manager, self.os.as_deref(), package);
        let key = match Key::new(key_kind::PURL, self.realm.clone(), &purl, Strength::Issued) {
            Ok(key) => key,
            Err(error) => {
                let message = format!("a package is skipped: {error}");
                return self.fault(what, ErrorKind::Invalid, message);
            }
        };
        if self.seen.len() >= MAX_PACKAGES {
            let message = format!("it lists more than {MAX_PACKAGES} packages; the rest is skipped");
            return self.fault(what, ErrorKind::Exhausted, message);
        }
        // One package in one version: its URL says all of it, so it is the native id too.
        let id = Text::from(purl);
        if !self.seen.insert(id.clone()) {
            let message = format!("`{id}` is listed twice; the first is kept");
            return self.fault(what, ErrorKind::Conflict, message);
        }
        let item = self.batch.ci(id.clone(), kind::SOFTWARE);
        item.key(key)
            .attr(attr::NAME, package.name.as_str())
            .attr(attr::PACKAGE_NAME, package.name.as_str())
            .attr(attr::PACKAGE_VERSION, package.version.as_str())
            .attr(attr::PACKAGE_PURL, id.clone())
            .attr(MANAGER, manager.name())
            .attr_opt(attr::PACKAGE_ARCH, package.arch.as_deref())
            .attr_opt(SOURCE, package.source.as_deref())
            .attr_opt(STATUS, package.status.as_deref())
            .within(manager.name());
        match package.held {
            Held::Yes => _ = item.attr(HOLD, true),
            Held::No => _ = item.attr(HOLD, false),
            Held::Unknown => {}
        }
        self.batch.relation(relation::INSTALLED_ON, id, self.host.clone()).within(manager.name());
    }

    fn end(self) -> Result<Coverage, CollectError> {
        if self.managers.is_empty() {
            return Err(CollectError::Unsupported { what: "a package database (dpkg, apk or rpm)".into() });
        }
        let mut coverage = Coverage::new();
        for (manager, why) in self.managers {
            let scopes = [Scope::cis(kind::SOFTWARE), Scope::relations(relation::INSTALLED_ON)];
            for scope in scopes.map(|scope| scope.within(manager.name())) {
                match &why {
                    None => coverage.add_complete(scope),
                    Some((kind, reason)) => coverage.add_partial(scope, *kind, reason.as_str()),
                }
            }
        }
        Ok(coverage)
    }
}

/// The realm in which a package URL is one item: the host's own.
fn realm_of(host: &Key) -> Realm {
    // A host name may have characters that a realm may not; then its hash stands for it.
    Realm::new(format!("host:{}", host.value())).unwrap_or_else(|_| {
        Realm::new(format!("host:{:016x}", host.value().stable_fingerprint())).unwrap_or(Realm::GLOBAL)
    })
}

/// The `ID` of an os-release file.
fn os_id(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix("ID="))?;
    let id = value.trim().trim_matches(['"', '\'']);
    if id.is_empty() { None } else { Some(id.to_owned()) }
}
