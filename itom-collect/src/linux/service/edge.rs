//! Which connections are dependencies, and of whom on what. Pure: tables in, edges out.
//!
//! The rule above all others: no edge is better than a wrong one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::fingerprint;
use super::group::{Services, place};
use crate::linux::process::{Process, ProcessTable};
use crate::linux::socket::{Caught, Namespace, Opener, Socket, SocketTable, State, Transport, is_link_local};

/// Ports where a connected UDP socket that was closed at once stands for a question that was asked. Elsewhere it may be
/// a mere test of which source address the kernel would take: getaddrinfo(3) connects a UDP socket to the port its caller
/// is going to use, and sends nothing.
const DATAGRAM_PORTS: &[u16] = &[53, 123, 161];

/// Most remembered peers.
const MAX_REMEMBERED: usize = 65_536;

/// Who depends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum From {
    /// A service of this machine.
    Service(String),
    /// A program that serves nothing.
    Program(String),
    /// The container, since the process is not known.
    Container(String),
    /// The host, since the process is not known.
    Host,
}

/// On what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum To {
    /// A service of this machine.
    Service(String),
    /// An address of another machine.
    Remote,
    /// An address that only means something in this namespace, and that no visible process serves.
    Inside(u64),
}

/// A dependency, from all connections that show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// Open connections.
    pub(super) open: u64,
    /// Connections closed since the last round.
    pub(super) closed: u64,
    /// Connections in TIME_WAIT: closed within the last minute, whether the kernel's news told it or not.
    pub(super) lingering: u64,
}

/// From, transport, peer as the client sees it, and what that is.
pub(super) type Edges = BTreeMap<(From, To, Transport, SocketAddr), Evidence>;

/// Processes that use services and serve nothing, as one item for each program and unit.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) processes: BTreeSet<u32>,
}

/// What is remembered from earlier rounds.
#[derive(Debug, Default, Clone)]
pub(super) struct Memory {
    /// Who had which socket in the last round.
    sockets: BTreeMap<(u64, u64), From>,
    /// Who was ever seen with a connection to a peer.
    peers: BTreeMap<(u64, Transport, SocketAddr), BTreeSet<From>>,
}

/// The dependencies of one round.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    pub(super) edges: Edges,
    pub(super) programs: BTreeMap<String, Program>,
    /// Processes at the client's end of a connection.
    pub(super) clients: BTreeSet<u32>,
    /// TCP peers, by namespace, of connections whose process is not known.
    pub(super) unknown: BTreeSet<(u64, SocketAddr)>,
}

/// Derives dependencies; returns what to remember for the next round.
pub(super) fn derive(
    processes: &ProcessTable,
    sockets: &SocketTable,
    services: &Services,
    memory: &Memory,
) -> (Dependencies, Memory) {
    let mut round = Round {
        processes,
        sockets,
        services,
        memory,
        accepted: accepted(sockets),
        lone_containers: lone_containers(processes),
        found: Dependencies::default(),
        next: Memory { sockets: BTreeMap::new(), peers: memory.peers.clone() },
    };
    for caught in &sockets.caught {
        round.caught(caught);
    }
    // Sockets with an owner first: they say who may own the others, whatever the order of the table is.
    let (owned, ownerless): (Vec<&Socket>, Vec<&Socket>) =
        sockets.sockets.iter().partition(|socket| !services.holders(socket.inode).is_empty());
    for socket in owned.into_iter().chain(ownerless) {
        round.open(socket);
    }
    for socket in &sockets.closed {
        round.closed(socket);
    }
    (round.found, round.next)
}

struct Round<'a> {
    processes: &'a ProcessTable,
    sockets: &'a SocketTable,
    services: &'a Services,
    memory: &'a Memory,
    /// Connections by (transport, local, remote), with the namespaces they are in.
    accepted: BTreeMap<(Transport, SocketAddr, SocketAddr), BTreeSet<u64>>,
    lone_containers: BTreeMap<u64, Option<String>>,
    found: Dependencies,
    next: Memory,
}

impl Round<'_> {
    fn open(&mut self, socket: &Socket) {
        if !socket.connected() {
            return;
        }
        let Some(to) = self.target(socket) else { return };
        let holders = self.services.holders(socket.inode);
        if holders.is_empty()
            && socket.transport == Transport::Udp
            && !DATAGRAM_PORTS.contains(&socket.remote.port())
        {
            // Descriptors are read before sockets: a UDP socket that has an owner lived for a while, others may be tests.
            return;
        }
        let from = if holders.is_empty() {
            self.remembered(socket)
        } else {
            let from = self.owner(holders);
            if socket.cookie != 0 {
                self.next.sockets.insert((socket.namespace, socket.cookie), from.clone());
            }
            self.remember(socket, from.clone());
            self.found.clients.extend(holders);
            from
        };
        self.add(from, to, socket, |evidence| match socket.state {
            State::TIME_WAIT => evidence.lingering += 1,
            _ => evidence.open += 1,
        });
    }

    /// A short connection that was caught between two rounds: its peer is remembered, its end is told as all others.
    fn caught(&mut self, caught: &Caught) {
        let still = |(pid, start): &(u32, u64)| {
            self.processes
                .processes
                .get(pid)
                .is_some_and(|process| process.start_ticks == *start)
                .then_some(*pid)
        };
        let holders: Vec<u32> = caught.holders.iter().filter_map(still).collect();
        if holders.is_empty() || self.target(&caught.socket).is_none() {
            return;
        }
        let from = self.owner(&holders);
        self.remember(&caught.socket, from);
    }

    fn remember(&mut self, socket: &Socket, from: From) {
        let peer = (socket.namespace, socket.transport, socket.remote);
        if self.next.peers.len() < MAX_REMEMBERED || self.next.peers.contains_key(&peer) {
            self.next.peers.entry(peer).or_default().insert(from);
        }
    }

    fn closed(&mut self, socket: &Socket) {
        let counts = match socket.transport {
            Transport::Tcp => socket.confirmed,
            Transport::Udp => DATAGRAM_PORTS.contains(&socket.remote.port()),
        };
        if !counts {
            return;
        }
        if let Some(to) = self.target(socket) {
            let from = self.remembered(socket);
            self.add(from, to, socket, |evidence| evidence.closed += 1);
        }
    }

    fn add(&mut self, from: From, to: To, socket: &Socket, count: impl FnOnce(&mut Evidence)) {
        // A service that talks to itself depends on nothing.
        if matches!((&from, &to), (From::Service(one), To::Service(other)) if one == other) {
            return;
        }
        if matches!(from, From::Host | From::Container(_)) && socket.transport == Transport::Tcp {
            self.found.unknown.insert((socket.namespace, socket.remote));
        }
        count(self.found.edges.entry((from, to, socket.transport, socket.remote)).or_default());
    }

    /// What the socket's owner depends on, if the socket is a client's.
    fn target(&self, socket: &Socket) -> Option<To> {
        let namespace = self.sockets.namespaces.get(&socket.namespace)?;
        let here = self.services.at(socket.namespace, socket.transport, socket.local);
        let inside = namespace.is_local(socket.remote.ip());
        let peer = if inside {
            self.services.at(socket.namespace, socket.transport, socket.remote)
        } else {
            self.across(socket)
        };
        if !is_client(socket, namespace, here.is_some(), peer.is_some()) {
            return None;
        }
        Some(match peer {
            Some(service) => To::Service(service.id.clone()),
            None if inside || is_link_local(socket.remote.ip()) => To::Inside(socket.namespace),
            None => To::Remote,
        })
    }

    /// The service in another namespace of this machine. Address spaces may overlap, so the address alone says nothing:
    /// the other end of this very connection must be there, and only there.
    fn across(&self, socket: &Socket) -> Option<&super::group::Service> {
        let other_end = self.accepted.get(&(socket.transport, socket.remote, socket.local))?;
        let mut others = other_end.iter().filter(|namespace| **namespace != socket.namespace);
        let (Some(only), None) = (others.next(), others.next()) else { return None };
        self.services.at(*only, socket.transport, socket.remote)
    }

    /// Who opened a connection whose process cannot be seen any more: the socket was seen in the last round, or exactly
    /// one program has ever been seen with that peer and still runs. Else the container or the host.
    fn remembered(&mut self, socket: &Socket) -> From {
        let by_socket =
            self.memory.sockets.get(&(socket.namespace, socket.cookie)).filter(|_| socket.cookie != 0);
        let peer = (socket.namespace, socket.transport, socket.remote);
        let known = by_socket.or_else(|| {
            let candidates = self.next.peers.get(&peer)?;
            candidates.first().filter(|_| candidates.len() == 1)
        });
        if let Some(from) = known.cloned()
            && self.lives(&from)
        {
            return from;
        }
        match self.lone_containers.get(&socket.namespace) {
            Some(Some(container)) => From::Container(container.clone()),
            _ => From::Host,
        }
    }

    fn lives(&mut self, from: &From) -> bool {
        match from {
            From::Service(id) => self.services.list.iter().any(|service| service.id == *id),
            From::Program(id) => {
                if self.found.programs.contains_key(id) {
                    return true;
                }
                let processes: Vec<u32> = self
                    .processes
                    .processes
                    .values()
                    .filter(|process| {
                        self.services.of_process(process.pid).is_none()
                            && program_id(self.processes, process) == *id
                    })
                    .map(|process| process.pid)
                    .collect();
                !processes.is_empty()
                    && matches!(self.owner(&processes), From::Program(found) if found == *id)
            }
            From::Container(_) | From::Host => true,
        }
    }

    /// The service or program of the processes that hold a socket. Where several programs hold it, the one that was
    /// first: the others inherited it.
    fn owner(&mut self, holders: &[u32]) -> From {
        let found = holders.iter().filter_map(|pid| self.processes.processes.get(pid));
        let Some(process) = found.min_by_key(|process| (process.start_ticks, process.pid)) else {
            return From::Host;
        };
        if let Some(service) = self.services.of_process(process.pid) {
            return From::Service(service.id.clone());
        }
        let id = program_id(self.processes, process);
        let program = self
            .found
            .programs
            .entry(id.clone())
            .or_insert_with(|| Program { name: fingerprint::program(process), processes: BTreeSet::new() });
        program.processes.insert(process.pid);
        program.processes.extend(holders.iter().filter(|pid| {
            self.processes.processes.get(pid).is_some_and(|other| program_id(self.processes, other) == id)
        }));
        From::Program(id)
    }
}

/// Whether the socket is the end that asked. Listening sockets come first, then the socket's own counters, then the
/// ports; evidence that disagrees decides nothing.
fn is_client(socket: &Socket, namespace: &Namespace, here_listens: bool, peer_listens: bool) -> bool {
    match (here_listens, peer_listens, socket.opener) {
        (true, _, _) | (_, _, Opener::Remote) => false,
        (false, true, _) | (false, _, Opener::Local) => true,
        (false, false, Opener::Unknown) => {
            namespace.is_ephemeral(socket.local.port()) && !namespace.is_ephemeral(socket.remote.port())
        }
    }
}

/// The same for all processes of one program in one unit, container or of one user, and for those that come after them.
fn program_id(processes: &ProcessTable, process: &Process) -> String {
    let program = fingerprint::program(process);
    let own = process.net_namespace.is_none() || process.net_namespace == processes.own_net_namespace;
    if !own || process.cgroup.container.is_some() {
        let place = place(Some(process), process.net_namespace.unwrap_or(0));
        return format!("prog:{program}:{place}");
    }
    match (&process.cgroup.unit, process.uid) {
        (Some(unit), _) => format!("prog:{program}:{unit}"),
        (None, Some(uid)) => match processes.users.get(&uid) {
            Some(user) => format!("prog:{program}:user:{user}"),
            None => format!("prog:{program}:uid:{uid}"),
        },
        (None, None) => format!("prog:{program}"),
    }
}

/// Connections of all namespaces by both ends. Only needed where there are several.
fn accepted(sockets: &SocketTable) -> BTreeMap<(Transport, SocketAddr, SocketAddr), BTreeSet<u64>> {
    let mut accepted: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    if sockets.namespaces.len() > 1 {
        let all = sockets.sockets.iter().chain(&sockets.closed);
        for socket in all.filter(|socket| socket.remote.port() != 0 && !socket.remote.ip().is_loopback()) {
            let ends = (socket.transport, socket.local, socket.remote);
            accepted.entry(ends).or_default().insert(socket.namespace);
        }
    }
    accepted
}

/// The namespaces whose processes are all in one container.
fn lone_containers(processes: &ProcessTable) -> BTreeMap<u64, Option<String>> {
    let mut lone: BTreeMap<u64, Option<String>> = BTreeMap::new();
    for process in processes.processes.values() {
        let Some(namespace) = process.net_namespace else { continue };
        let container = process.cgroup.container.as_ref().map(|container| container.id.to_string());
        lone.entry(namespace)
            .and_modify(|known| {
                if *known != container {
                    *known = None;
                }
            })
            .or_insert(container);
    }
    lone
}
