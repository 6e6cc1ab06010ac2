//! The collector of services and dependencies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use itom_core::{Batch, Coverage, ErrorKind, Key, Realm, Scope, kind, relation};

use super::edge::{self, Memory};
use super::emit::{self, LISTENERS, Naming};
use super::group::Services;
use super::version::Versions;
use crate::linux::identity;
use crate::linux::process::collector::read_table;
use crate::linux::process::{self, Arguments, Faults, KernelThreads, PROCESS, ProcessTable};
use crate::linux::socket::{DestroyEvents, Namespaces, SocketSource, SocketTable};
use crate::{CollectContext, CollectError, Collector, Descriptor};

/// Up to how many sockets the programs of short connections are watched for: each look dumps all of them.
const WATCH_LIMIT: usize = 5_000;

/// Which processes are reported beside the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Processes {
    /// Those that serve or connect, with their samples.
    #[default]
    InUse,
    /// All of them; samples of those that serve or connect.
    All,
    /// None.
    None,
}

/// Where the addresses of containers (of other network namespaces) are unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ContainerAddresses {
    /// On this host only, as with Docker's bridges: two hosts may both have a 172.17.0.2.
    #[default]
    OfHost,
    /// Wherever this host's own addresses are, as in a routed Kubernetes cluster.
    Shared,
}

/// What serves on this machine, and what it depends on: processes, sockets and services in one pass.
///
/// A *service* (kind `service`, refined by the software found: `service.postgresql`) is a program that listens, with all
/// its worker processes and all its endpoints. Its native id is `svc:<program>:<transport>:<lowest endpoint>`, which
/// survives restarts; its keys are its endpoints. Loopback and link-local addresses are unique in one namespace of one
/// host only.
///
/// A *dependency* (relations `connects_to` and `depends_on`) comes from a connection whose client is on this machine:
/// from the client's service, or from a `process.program` item (`prog:<program>:<unit>`) if it serves nothing, to the
/// service on this machine or to the endpoint key of another. Connections that were closed between two runs are
/// known from the kernel's destroy events; they belong to the program that is known to use that peer, else to the host:
/// then they are `connects_to` only, since the machine as a whole does not need what somebody on it talked to.
/// Where the direction of a connection is not certain there is no relation.
///
/// Without privileges other users' sockets have no process: their services have no name, and the coverage is partial.
///
/// ```
/// use itom_collect::linux::service::{Processes, ServiceCollector};
/// let collector = ServiceCollector::new().with_processes(Processes::None);
/// # let _ = collector;
/// ```
#[derive(Debug)]
pub struct ServiceCollector {
    root: PathBuf,
    host: Option<Key>,
    realm: Realm,
    processes: Processes,
    arguments: Arguments,
    containers: ContainerAddresses,
    namespaces: Namespaces,
    destroy: DestroyEvents,
    source: SocketSource,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    memory: Memory,
    versions: Versions,
}

impl Default for ServiceCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl ServiceCollector {
    /// Reads the machine it runs on, all namespaces that may be entered, and listens to destroy events.
    #[must_use]
    pub fn new() -> Self {
        let (namespaces, destroy) = (Namespaces::default(), DestroyEvents::default());
        Self {
            root: PathBuf::from("/"),
            host: None,
            realm: Realm::GLOBAL,
            processes: Processes::default(),
            arguments: Arguments::default(),
            containers: ContainerAddresses::default(),
            namespaces,
            destroy,
            source: SocketSource::new(Path::new("/"), namespaces, destroy),
            kept: Mutex::default(),
        }
    }

    fn rebuilt(self) -> Self {
        Self { source: SocketSource::new(&self.root, self.namespaces, self.destroy), ..self }
    }

    /// Reads the machine whose root file system is at `root` (`/host` in a container).
    #[must_use]
    pub fn root(self, root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..self }.rebuilt()
    }

    /// Sets the key of the host, instead of the one found on the machine: for systems that share a machine-id.
    #[must_use]
    pub fn with_host_key(self, key: Key) -> Self {
        Self { host: Some(key), ..self }
    }

    /// Sets where the machine's addresses are unique: a site or VRF whose private addresses others use too.
    #[must_use]
    pub fn with_realm(self, realm: Realm) -> Self {
        Self { realm, ..self }
    }

    /// Sets which processes are reported.
    #[must_use]
    pub fn with_processes(self, processes: Processes) -> Self {
        Self { processes, ..self }
    }

    /// Sets what of command lines is reported.
    #[must_use]
    pub fn arguments(self, arguments: Arguments) -> Self {
        Self { arguments, ..self }
    }

    /// Sets where the addresses of containers are unique.
    #[must_use]
    pub fn container_addresses(self, containers: ContainerAddresses) -> Self {
        Self { containers, ..self }
    }

    /// Sets which network namespaces are looked into.
    #[must_use]
    pub fn namespaces(self, namespaces: Namespaces) -> Self {
        Self { namespaces, ..self }.rebuilt()
    }

    /// Sets whether the kernel's news of closed sockets are listened to. They are from the first run on.
    #[must_use]
    pub fn destroy_events(self, destroy: DestroyEvents) -> Self {
        Self { destroy, ..self }.rebuilt()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(
        &self,
        batch: &mut Batch,
        processes: &ProcessTable,
        sockets: &SocketTable,
        services: &Services,
        found: &edge::Dependencies,
        host: &Key,
    ) {
        let in_use: BTreeSet<u32> = services
            .list
            .iter()
            .flat_map(|service| &service.processes)
            .chain(found.programs.values().flat_map(|program| &program.processes))
            .chain(&found.clients)
            .copied()
            .collect();
        let all = || processes.processes.keys().copied().collect();
        match self.processes {
            Processes::None => {}
            Processes::InUse => {
                process::emit::processes(batch, processes, &in_use, host, self.arguments, LISTENERS)
            }
            Processes::All => {
                process::emit::processes(batch, processes, &all(), host, self.arguments, LISTENERS)
            }
        }
        if self.processes != Processes::None {
            let sampled = in_use.iter().filter_map(|pid| processes.processes.get(pid));
            process::emit::samples(batch, processes, sampled);
        }
        let naming = Naming { host, realm: &self.realm, containers: self.containers };
        let with_processes = self.processes != Processes::None;
        let mut kept = self.lock();
        let executables: Vec<&str> = services
            .list
            .iter()
            .filter_map(|service| processes.processes.get(&service.main?))
            .filter(|process| self.shares_files(process))
            .filter_map(|process| process.executable.as_deref())
            .collect();
        kept.versions.look_up(&self.root, &executables);
        emit::services(batch, &naming, processes, sockets, services, &kept.versions, with_processes);
        emit::dependencies(batch, &naming, processes, found, with_processes);
    }

    /// The process sees the same files as this program, so that its executable's path means the same.
    fn shares_files(&self, process: &process::Process) -> bool {
        let mount = |pid: &str| std::fs::read_link(self.root.join("proc").join(pid).join("ns/mnt")).ok();
        mount("self").is_some_and(|own| mount(&process.pid.to_string()) == Some(own))
    }

    fn coverage(&self, processes: &ProcessTable, sockets: &SocketTable, faults: &Faults) -> Coverage {
        let limits = [
            (processes.hidden, "/proc hides the processes of others (hidepid)"),
            (faults.has(PROCESS), "some processes are there and could not be read"),
            (
                ["status", "cmdline", "cgroup", "exe"]
                    .iter()
                    .any(|file| faults.has(&format!("{PROCESS}/{file}"))),
                "what some processes run could not be read, and services are named after it",
            ),
            (faults.has("/proc/PID/fd"), "the descriptors of some processes are not readable"),
            (faults.has("/proc/PID/ns"), "the namespaces of some processes are not known"),
            (
                sockets.namespaces.values().any(|namespace| !namespace.complete),
                "the sockets of some network namespaces are not readable",
            ),
            (faults.has("network namespaces"), "there are more network namespaces than are looked into"),
        ];
        let mut scopes = vec![
            Scope::cis(kind::SERVICE).within(LISTENERS),
            Scope::relations(relation::PROVIDED_BY).within(LISTENERS),
        ];
        if self.namespaces == Namespaces::All && self.processes == Processes::All {
            scopes.push(Scope::cis(kind::PROCESS).within(LISTENERS));
        }
        let denied = limits.iter().find(|(limited, _)| *limited);
        scopes.into_iter().fold(Coverage::new(), |coverage, scope| match denied {
            Some((_, reason)) => coverage.partial(scope, ErrorKind::Denied, *reason),
            None => coverage.complete(scope),
        })
    }
}

#[async_trait]
impl Collector for ServiceCollector {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("linux.service").emits(kind::SERVICE).emits(kind::PROCESS).emits(kind::CONTAINER)
    }

    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
        let mut faults = Faults::default();
        let host = identity::host_of(self.host.as_ref(), &self.root)?;
        // Processes before sockets: a socket found in both was there for a while, and its owner is certain.
        let processes = read_table(&self.root, KernelThreads::Skip, cx, &mut faults).await?;
        let mut sockets = SocketTable::default();
        for (id, pid) in self.source.wanted(&processes, &mut faults) {
            cx.checkpoint().await?;
            self.source.read(id, pid, &mut sockets, &mut faults);
        }
        // From here on nothing is awaited: what is drained is also pushed.
        cx.check()?;
        self.source.drain(&mut sockets, &mut faults);
        let services = Services::group(&processes, &sockets);
        let memory = self.lock().memory.clone();
        let (mut found, memory) = edge::derive(&processes, &sockets, &services, &memory);
        self.lock().memory = memory;
        let watched = if sockets.sockets.len() > WATCH_LIMIT || faults.has("/proc/PID/fd") {
            BTreeSet::new()
        } else {
            std::mem::take(&mut found.unknown)
        };
        self.source.watch(watched, &processes);
        self.push(batch, &processes, &sockets, &services, &found, &host);
        let coverage = self.coverage(&processes, &sockets, &faults);
        faults.report(batch);
        Ok(coverage)
    }
}
