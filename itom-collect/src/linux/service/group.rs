//! Which processes are one service, and where it listens. Pure: tables in, services out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::fingerprint;
use crate::linux::process::{Process, ProcessTable};
use crate::linux::socket::{Socket, SocketTable, Transport};

/// An address something listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listener {
    pub(super) transport: Transport,
    pub(super) port: u16,
    pub(super) address: IpAddr,
    /// Serves IPv6 only (of a wildcard).
    pub(super) v6_only: bool,
}

impl Listener {
    fn of(socket: &Socket) -> Self {
        Self {
            transport: socket.transport,
            port: socket.local.port(),
            address: socket.local.ip(),
            v6_only: socket.v6_only,
        }
    }

    /// Takes what is sent to `address`.
    fn takes(&self, address: IpAddr) -> bool {
        self.address == address
            || (self.address.is_unspecified()
                && (self.address.is_ipv4() == address.is_ipv4() || (self.address.is_ipv6() && !self.v6_only)))
    }
}

/// Software that listens.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) id: String,
    pub(super) namespace: u64,
    /// The program, unless the processes could not be seen.
    pub(super) program: Option<String>,
    pub(super) main: Option<u32>,
    pub(super) processes: BTreeSet<u32>,
    pub(super) listeners: BTreeSet<Listener>,
}

/// All services of a machine, and how to find them.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) list: Vec<Service>,
    by_process: BTreeMap<u32, usize>,
    by_port: BTreeMap<(u64, Transport, u16), Vec<(Listener, usize)>>,
    owners: BTreeMap<u64, Vec<u32>>,
}

impl Services {
    /// Groups listening sockets by who holds them.
    pub(super) fn group(processes: &ProcessTable, sockets: &SocketTable) -> Self {
        let mut owners: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for process in processes.processes.values() {
            for inode in process.sockets.iter().flatten() {
                owners.entry(*inode).or_default().push(process.pid);
            }
        }
        let listening: Vec<&Socket> =
            sockets.sockets.iter().filter(|socket| serves(socket, sockets)).collect();
        let mut union = Union::default();
        let mut first_at: BTreeMap<(u64, Transport, SocketAddr), u32> = BTreeMap::new();
        let mut held: Vec<(&Socket, Option<u32>)> = Vec::with_capacity(listening.len());
        for socket in listening {
            let holders = holders(processes, owners.get(&socket.inode).map_or(&[], Vec::as_slice));
            if let Some(first) = holders.first() {
                holders.iter().for_each(|pid| union.join(*first, *pid));
                // Processes that share an address with SO_REUSEPORT do the same work.
                let at = (socket.namespace, socket.transport, socket.local);
                let other = *first_at.entry(at).or_insert(*first);
                if same_program(processes, other, *first) {
                    union.join(other, *first);
                }
            }
            held.push((socket, holders.first().copied()));
        }
        adopt_workers(processes, &mut union);
        Self::assemble(processes, sockets, owners, &held, &union)
    }

    fn assemble(
        processes: &ProcessTable,
        sockets: &SocketTable,
        owners: BTreeMap<u64, Vec<u32>>,
        held: &[(&Socket, Option<u32>)],
        union: &Union,
    ) -> Self {
        let mut drafts: BTreeMap<(u64, Holder), BTreeSet<Listener>> = BTreeMap::new();
        for (socket, holder) in held {
            let holder = match holder {
                Some(pid) => Holder::Processes(union.root(*pid)),
                None => Holder::Unseen(socket.transport, socket.local.port()),
            };
            drafts.entry((socket.namespace, holder)).or_default().insert(Listener::of(socket));
        }
        let members = union.members();
        let mut services = Self { owners, ..Self::default() };
        for ((namespace, holder), listeners) in drafts {
            let group = match holder {
                Holder::Processes(root) => members.get(&root).cloned().unwrap_or_default(),
                Holder::Unseen(..) => BTreeSet::new(),
            };
            let main = main_process(processes, &group);
            let program = main.and_then(|pid| processes.processes.get(&pid)).map(fingerprint::program);
            let Some(lowest) = listeners.first() else { continue };
            let at = SocketAddr::new(lowest.address, lowest.port);
            let name = program.as_deref().unwrap_or("?");
            let mut id = format!("svc:{name}:{}:{at}", lowest.transport.as_str());
            if sockets.namespaces.get(&namespace).is_some_and(|namespace| !namespace.own) {
                let process = main.and_then(|pid| processes.processes.get(&pid));
                id.push_str(&format!("@{}", place(process, namespace)));
            }
            let index = services.list.len();
            for pid in &group {
                services.by_process.insert(*pid, index);
            }
            for listener in &listeners {
                let ports =
                    services.by_port.entry((namespace, listener.transport, listener.port)).or_default();
                ports.push((*listener, index));
            }
            services.list.push(Service { id, namespace, program, main, processes: group, listeners });
        }
        services
    }

    /// The service of a process.
    pub(super) fn of_process(&self, pid: u32) -> Option<&Service> {
        self.list.get(*self.by_process.get(&pid)?)
    }

    /// The service that takes what is sent to an address of a namespace: an exact listener before a wildcard, IPv4
    /// before IPv6.
    pub(super) fn at(&self, namespace: u64, transport: Transport, address: SocketAddr) -> Option<&Service> {
        let listeners = self.by_port.get(&(namespace, transport, address.port()))?;
        let (_, index) = listeners
            .iter()
            .filter(|(listener, _)| listener.takes(address.ip()))
            .min_by_key(|(listener, _)| (listener.address != address.ip(), listener.address.is_ipv6()))?;
        self.list.get(*index)
    }

    /// The processes that hold a socket.
    pub(super) fn holders(&self, inode: u64) -> &[u32] {
        if inode == 0 { &[] } else { self.owners.get(&inode).map_or(&[], Vec::as_slice) }
    }

    /// Whether another service listens on the IPv4 wildcard of this port, so that IPv6's takes no IPv4.
    pub(super) fn has_v4_wildcard(&self, namespace: u64, transport: Transport, port: u16) -> bool {
        self.by_port.get(&(namespace, transport, port)).is_some_and(|listeners| {
            listeners
                .iter()
                .any(|(listener, _)| listener.address.is_ipv4() && listener.address.is_unspecified())
        })
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Processes(u32),
    Unseen(Transport, u16),
}

/// What tells things of one name in other namespaces apart, as stable as there is.
pub(super) fn place(process: Option<&Process>, namespace: u64) -> String {
    process
        .and_then(|process| process.cgroup.container.as_ref())
        .map_or_else(|| format!("netns:{namespace}"), |container| container.id.chars().take(64).collect())
}

/// TCP listens when it says so. A UDP socket without a peer serves when its port is not one the kernel gives to clients.
fn serves(socket: &Socket, sockets: &SocketTable) -> bool {
    socket.listens()
        && socket.local.port() != 0
        && (socket.transport == Transport::Tcp
            || sockets
                .namespaces
                .get(&socket.namespace)
                .is_none_or(|namespace| !namespace.is_ephemeral(socket.local.port())))
}

/// Those of the holders of a listening socket that serve it. A service manager that keeps the socket for its service
/// does not; nor does another program that inherited the descriptor.
fn holders(processes: &ProcessTable, all: &[u32]) -> Vec<u32> {
    let candidates: Vec<u32> =
        if all.len() > 1 { all.iter().copied().filter(|pid| *pid != 1).collect() } else { all.to_vec() };
    let top = candidates.iter().copied().min_by_key(|pid| {
        processes.processes.get(pid).map_or((u64::MAX, *pid), |process| (process.start_ticks, *pid))
    });
    let Some(top) = top else { return Vec::new() };
    let mut same: Vec<u32> =
        candidates.into_iter().filter(|pid| same_program(processes, top, *pid)).collect();
    same.sort_unstable_by_key(|pid| (*pid != top, *pid));
    same
}

fn same_program(processes: &ProcessTable, one: u32, other: u32) -> bool {
    if one == other {
        return true;
    }
    match (processes.processes.get(&one), processes.processes.get(&other)) {
        (Some(one), Some(other)) => {
            one.executable_name() == other.executable_name()
                && one.net_namespace == other.net_namespace
                && fingerprint::program(one) == fingerprint::program(other)
        }
        _ => false,
    }
}

/// Children that run the same program as their parent work for its service: the backends of PostgreSQL, the workers of a
/// web server that closed the listening socket.
fn adopt_workers(processes: &ProcessTable, union: &mut Union) {
    let mut by_age: Vec<&Process> = processes.processes.values().collect();
    by_age.sort_by_key(|process| (process.start_ticks, process.pid));
    for process in by_age {
        if union.knows(process.parent) && same_program(processes, process.parent, process.pid) {
            union.join(process.parent, process.pid);
        }
    }
}

/// The process the others descend from: the oldest whose parent is not one of them.
fn main_process(processes: &ProcessTable, group: &BTreeSet<u32>) -> Option<u32> {
    let found = group.iter().filter_map(|pid| processes.processes.get(pid));
    found
        .min_by_key(|process| (group.contains(&process.parent), process.start_ticks, process.pid))
        .map(|process| process.pid)
}

/// Disjoint sets of processes; the root of a set is its lowest pid, so the result does not depend on the order.
#[derive(Debug, Default)]
struct Union(BTreeMap<u32, u32>);

impl Union {
    fn root(&self, pid: u32) -> u32 {
        let mut at = pid;
        while let Some(above) = self.0.get(&at).copied().filter(|above| *above != at) {
            at = above;
        }
        at
    }

    fn knows(&self, pid: u32) -> bool {
        self.0.contains_key(&pid)
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        let (low, high) = (one.min(other), one.max(other));
        self.0.insert(low, low);
        self.0.insert(high, low);
    }

    fn members(&self) -> BTreeMap<u32, BTreeSet<u32>> {
        let mut members: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for pid in self.0.keys() {
            members.entry(self.root(*pid)).or_default().insert(*pid);
        }
        members
    }
}
