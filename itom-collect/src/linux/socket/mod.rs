//! The TCP and UDP sockets of the machine, in every network namespace that may be entered.
//!
//! **What lives here**: the sock_diag dump and its decoder, the `/proc/net` tables for where netlink is refused, the
//! listener for the kernel's socket-destroy events (short connections between two rounds), and [`SocketCollector`].
//!
//! **Deliberately absent**: which process owns a socket and what depends on what; that is the room
//! [`service`](super::service).

mod address;
mod collector;
mod decode;
mod destroy;
mod netlink;
mod procnet;
mod source;
mod watch;

use std::net::SocketAddr;

pub use collector::SocketCollector;
pub use source::{DestroyEvents, Namespaces};

pub(crate) use address::is_link_local;
pub(crate) use source::{Namespace, SocketSource, SocketTable};
pub(crate) use watch::{Caught, Watch};

/// The transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The state of a socket, from `include/net/tcp_states.h`. UDP uses two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State(pub(crate) u8);

impl State {
    pub(crate) const ESTABLISHED: Self = Self(1);
    pub(crate) const SYN_SENT: Self = Self(2);
    pub(crate) const SYN_RECV: Self = Self(3);
    pub(crate) const TIME_WAIT: Self = Self(6);
    pub(crate) const CLOSE: Self = Self(7);
    pub(crate) const CLOSE_WAIT: Self = Self(8);
    pub(crate) const LISTEN: Self = Self(10);

    /// The names node_exporter's tcpstat collector uses.
    pub(crate) const fn name(self) -> &'static str {
        match self.0 {
            1 => "established",
            2 => "syn_sent",
            3 | 12 => "syn_recv",
            4 => "fin_wait1",
            5 => "fin_wait2",
            6 => "time_wait",
            7 => "close",
            8 => "close_wait",
            9 => "last_ack",
            10 => "listen",
            11 => "closing",
            _ => "unknown",
        }
    }

    /// The handshake is over, and the connection is not necessarily.
    pub(crate) const fn was_established(self) -> bool {
        matches!(self.0, 1 | 4 | 5 | 6 | 8 | 9 | 11)
    }
}

/// Which end opened a connection, as far as the socket's own counters tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum Opener {
    /// This end.
    Local,
    /// The other end.
    Remote,
    #[default]
    Unknown,
}

/// One socket of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) namespace: u64,
    pub(crate) transport: Transport,
    pub(crate) state: State,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// Zero when no descriptor refers to it any more.
    pub(crate) inode: u64,
    /// The kernel's own id of the socket; zero where it is not told.
    pub(crate) cookie: u64,
    pub(crate) opener: Opener,
    /// Bytes the program has not read; of a listening socket: connections it has not accepted.
    pub(crate) receive_queue: u32,
    /// An IPv6 socket that takes no IPv4.
    pub(crate) v6_only: bool,
    /// Whether the connection carried anything or was at least confirmed by the other end.
    pub(crate) confirmed: bool,
}

impl Socket {
    /// Waits for connections, or for datagrams from anyone.
    pub(crate) fn listens(&self) -> bool {
        match self.transport {
            Transport::Tcp => self.state == State::LISTEN,
            Transport::Udp => self.remote.port() == 0,
        }
    }

    /// Is or was connected to a known peer.
    pub(crate) fn connected(&self) -> bool {
        self.remote.port() != 0
            && match self.transport {
                Transport::Tcp => self.state.was_established(),
                Transport::Udp => true,
            }
    }
}
