//! Catching the programs that open short connections.
//!
//! The news of a closed socket does not say whose it was. So for peers that have no program yet, the thread that listens
//! to the news dumps the sockets a bounded number of times between two rounds; when one to such a peer is open, the
//! descriptors of the processes in its namespace are looked at once. What was caught once is remembered, and the watch
//! ends by itself when every peer has its program.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Socket, Transport, netlink};
use crate::linux::process::{KernelThreads, ProcessReader};

/// Pause between two looks, in milliseconds.
pub(super) const PAUSE_MS: i64 = 5;
/// Most looks of a watch: with the pause, one to two seconds of each round.
const LOOKS: usize = 200;
/// Most dumps of a watch, shared by the namespaces it looks into: some 50 ms of CPU time.
const DUMPS: usize = 400;
/// Looks that lead to reading descriptors.
const SCANS: u32 = 12;
/// Most connections kept for the next round.
const MAX_CAUGHT: usize = 1_024;

/// A connection, with the processes (pid and start) that held it.
#[derive(Debug, Clone)]
pub(crate) struct Caught {
    pub(crate) socket: Socket,
    pub(crate) holders: Vec<(u32, u64)>,
}

/// What to look for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    root: PathBuf,
    /// Peers without a program, by namespace.
    peers: BTreeSet<(u64, SocketAddr)>,
    /// The processes of these namespaces: pid and start.
    processes: BTreeMap<u64, Vec<(u32, u64)>>,
    looks: usize,
    scans: u32,
}

impl Watch {
    pub(crate) fn new(
        root: PathBuf,
        peers: BTreeSet<(u64, SocketAddr)>,
        processes: BTreeMap<u64, Vec<(u32, u64)>>,
    ) -> Self {
        let namespaces = peers.iter().map(|(id, _)| *id).collect::<BTreeSet<u64>>().len();
        let looks = DUMPS.checked_div(namespaces).map_or(0, |looks| looks.min(LOOKS));
        Self { root, peers, processes, looks, scans: SCANS }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.looks == 0 || self.scans == 0
    }

    /// One look into all namespaces that have such peers.
    pub(super) fn look(&mut self, dumps: &BTreeMap<u64, Arc<OwnedFd>>, buffer: &mut Vec<u8>) -> Vec<Caught> {
        self.looks = self.looks.saturating_sub(1);
        let namespaces: BTreeSet<u64> = self.peers.iter().map(|(id, _)| *id).collect();
        let mut open: Vec<Socket> = Vec::new();
        for id in &namespaces {
            let Some(dump) = dumps.get(id) else { continue };
            let peers = &self.peers;
            let result = netlink::dump_tcp(dump, *id, buffer, |socket| {
                let wanted = socket.inode != 0 && socket.connected() && socket.transport == Transport::Tcp;
                if wanted && peers.contains(&(*id, socket.remote)) {
                    open.push(socket);
                }
            });
            if result.is_err() {
                // What is left in the socket would be taken for the next answer.
                self.looks = 0;
            }
        }
        if open.is_empty() {
            return Vec::new();
        }
        self.scans = self.scans.saturating_sub(1);
        let mut reader = ProcessReader::new(&self.root, KernelThreads::Skip);
        let mut held: BTreeMap<u64, Vec<(u32, u64)>> = BTreeMap::new();
        let involved: BTreeSet<u64> = open.iter().map(|socket| socket.namespace).collect();
        for (pid, start) in involved.iter().filter_map(|id| self.processes.get(id)).flatten() {
            for inode in reader.sockets_of(*pid, *start).into_iter().flatten() {
                held.entry(inode).or_default().push((*pid, *start));
            }
        }
        let caught = open.into_iter().filter_map(|socket| {
            let holders = held.get(&socket.inode)?.clone();
            Some(Caught { socket, holders })
        });
        let caught: Vec<Caught> = caught.take(MAX_CAUGHT).collect();
        for one in &caught {
            self.peers.remove(&(one.socket.namespace, one.socket.remote));
        }
        if self.peers.is_empty() {
            self.looks = 0;
        }
        caught
    }
}
