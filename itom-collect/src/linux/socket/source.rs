//! Reading the sockets of all namespaces in one round, and what is kept from round to round for that.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use itom_core::ErrorKind;

use super::destroy::DestroyListener;
use super::{Caught, Socket, Transport, Watch, address, netlink, procnet};
use crate::linux::fault::may_read;
use crate::linux::process::{Faults, ProcessTable, open_net_namespace};

/// Most namespaces looked into.
const MAX_NAMESPACES: usize = 4096;

/// Which network namespaces are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Namespaces {
    /// Those of all processes, as far as permitted (CAP_SYS_ADMIN to enter, else what `/proc/PID/net` shows).
    #[default]
    All,
    /// The one the program runs in.
    Own,
}

/// Whether the kernel's news of closed sockets are listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DestroyEvents {
    /// Connections that were closed between two rounds are seen.
    #[default]
    Listen,
    /// Only what is open during a round is seen.
    Ignore,
}

/// A network namespace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespace {
    /// The one the program runs in.
    pub(crate) own: bool,
    /// The addresses that are local to it.
    pub(crate) addresses: Vec<IpAddr>,
    /// The ports its kernel gives to clients.
    pub(crate) port_range: (u16, u16),
    /// All of its sockets were read.
    pub(crate) complete: bool,
}

impl Namespace {
    pub(crate) fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.binary_search(&address).is_ok()
    }

    pub(crate) const fn is_ephemeral(&self, port: u16) -> bool {
        self.port_range.0 <= port && port <= self.port_range.1
    }
}

/// All sockets of one round.
#[derive(Debug, Default)]
pub(crate) struct SocketTable {
    pub(crate) namespaces: BTreeMap<u64, Namespace>,
    pub(crate) sockets: Vec<Socket>,
    /// Closed since the last round.
    pub(crate) closed: Vec<Socket>,
    /// Short connections whose process was caught since the last round.
    pub(crate) caught: Vec<Caught>,
}

/// Where sockets are read from.
#[derive(Debug)]
pub(crate) struct SocketSource {
    root: PathBuf,
    which: Namespaces,
    destroy: DestroyEvents,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    dumps: BTreeMap<u64, (OwnedFd, (u16, u16))>,
    listener: Option<DestroyListener>,
    buffer: Vec<u8>,
}

impl SocketSource {
    pub(crate) fn new(root: &Path, which: Namespaces, destroy: DestroyEvents) -> Self {
        Self { root: root.to_owned(), which, destroy, kept: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The namespaces to look into, each with a process that is in it (the reader itself, for its own).
    pub(crate) fn wanted(&self, processes: &ProcessTable, faults: &mut Faults) -> BTreeMap<u64, Option<u32>> {
        let own = processes.own_net_namespace.unwrap_or(0);
        let mut wanted = BTreeMap::from([(own, None)]);
        if self.which == Namespaces::All {
            for process in processes.processes.values() {
                let Some(id) = process.net_namespace else { continue };
                if wanted.len() < MAX_NAMESPACES {
                    wanted.entry(id).or_insert(Some(process.pid));
                } else if !wanted.contains_key(&id) {
                    faults.note("network namespaces", ErrorKind::Exhausted);
                }
            }
        }
        let mut kept = self.lock();
        kept.dumps.retain(|id, _| wanted.contains_key(id));
        if let Some(listener) = &kept.listener {
            listener.retain(|id| wanted.contains_key(&id));
        }
        wanted
    }

    /// Reads one namespace into the table.
    pub(crate) fn read(&self, id: u64, pid: Option<u32>, table: &mut SocketTable, faults: &mut Faults) {
        let net = match pid {
            Some(pid) => self.root.join("proc").join(pid.to_string()).join("net"),
            None => self.root.join("proc/self/net"),
        };
        let text = |name: &str| std::fs::read_to_string(net.join(name)).unwrap_or_default();
        let mut addresses = address::fib_trie(&text("fib_trie"));
        addresses.extend(address::if_inet6(&text("if_inet6")));
        addresses.sort_unstable();
        let mut namespace =
            Namespace { own: pid.is_none(), addresses, port_range: (32_768, 60_999), complete: false };
        let before = table.sockets.len();
        match self.dump(id, pid, &mut table.sockets) {
            Ok(port_range) => {
                namespace.port_range = port_range;
                namespace.complete = true;
            }
            Err(error) => {
                table.sockets.truncate(before);
                faults.note("sock_diag", ErrorKind::of_io(&error));
                namespace.complete = read_files(&net, id, &mut table.sockets, faults);
            }
        }
        table.namespaces.insert(id, namespace);
    }

    fn dump(&self, id: u64, pid: Option<u32>, sockets: &mut Vec<Socket>) -> io::Result<(u16, u16)> {
        let mut kept = self.lock();
        let Kept { dumps, listener, buffer } = &mut *kept;
        if let std::collections::btree_map::Entry::Vacant(entry) = dumps.entry(id) {
            // Another machine's root has other namespaces than the one this program is in.
            let enter = match pid {
                Some(pid) => Some(open_net_namespace(&self.root, pid)?),
                None if self.root == Path::new("/") => None,
                None => return Err(io::ErrorKind::Unsupported.into()),
            };
            let opened = netlink::open(enter, self.destroy == DestroyEvents::Listen)?;
            if let Some(events) = opened.destroy {
                if listener.is_none() {
                    *listener = Some(DestroyListener::start()?);
                }
                if let Some(listener) = listener {
                    listener.add(id, events, opened.watch);
                }
            }
            entry.insert((opened.dump, opened.port_range));
        }
        let Some((socket, port_range)) = dumps.get(&id) else { return Err(io::ErrorKind::NotFound.into()) };
        let port_range = *port_range;
        let result = netlink::dump(socket, id, buffer, |socket| sockets.push(socket));
        if result.is_err() {
            // What is left in the socket belongs to this dump: the next round starts with a new one.
            dumps.remove(&id);
        }
        result.map(|()| port_range)
    }

    /// Looks until the next round for the programs of these peers.
    pub(crate) fn watch(&self, peers: BTreeSet<(u64, SocketAddr)>, processes: &ProcessTable) {
        let namespaces: BTreeSet<u64> = peers.iter().map(|(id, _)| *id).collect();
        let mut inside: BTreeMap<u64, Vec<(u32, u64)>> = BTreeMap::new();
        for process in processes.processes.values() {
            if let Some(id) = process.net_namespace.filter(|id| namespaces.contains(id)) {
                inside.entry(id).or_default().push((process.pid, process.start_ticks));
            }
        }
        if let Some(listener) = &self.lock().listener {
            listener.watch(Watch::new(self.root.clone(), peers, inside));
        }
    }

    /// Adds what was closed since the last round.
    pub(crate) fn drain(&self, table: &mut SocketTable, faults: &mut Faults) {
        let kept = self.lock();
        let drained = kept.listener.as_ref().map(DestroyListener::drain);
        table.caught = kept.listener.as_ref().map(DestroyListener::caught).unwrap_or_default();
        drop(kept);
        if let Some((closed, lost)) = drained {
            table.closed = closed;
            for _ in 0..lost.min(1000) {
                faults.note("sock_diag destroy events", ErrorKind::Exhausted);
            }
        }
    }
}

fn read_files(net: &Path, id: u64, sockets: &mut Vec<Socket>, faults: &mut Faults) -> bool {
    let mut complete = true;
    let tables = [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ];
    for (name, transport) in tables {
        match may_read().map_err(io::Error::from).and_then(|()| std::fs::read(net.join(name))) {
            Ok(bytes) => {
                let skipped = procnet::parse(&bytes, id, transport, |socket| sockets.push(socket));
                complete &= skipped == 0;
            }
            // No IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && name.ends_with('6') => {}
            Err(error) => {
                faults.note("/proc/PID/net", ErrorKind::of_io(&error));
                complete = false;
            }
        }
    }
    complete
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn netlink_and_files_agree() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("bound");
        let source = SocketSource::new(Path::new("/"), Namespaces::Own, DestroyEvents::Ignore);
        let (mut faults, mut table) = (Faults::default(), SocketTable::default());
        source.read(0, None, &mut table, &mut faults);
        let found = |sockets: &[Socket]| {
            sockets
                .iter()
                .find(|socket| socket.local == address && socket.listens())
                .map(|socket| socket.inode)
        };
        let mut from_files = Vec::new();
        assert!(read_files(Path::new("/proc/self/net"), 0, &mut from_files, &mut faults));
        assert!(found(&from_files).is_some());
        assert_eq!(found(&table.sockets), found(&from_files));
        let namespace = &table.namespaces[&0];
        assert!(namespace.is_local("127.0.0.1".parse().expect("an address")));
    }
}
