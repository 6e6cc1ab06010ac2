//! Netlink sockets, and getting them inside other network namespaces.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink as protocol, sockopt,
};

use super::decode::{Family, Progress, TABLES, decode_dump, dump_request};
use super::{Socket, Transport, address};

/// `SKNLGRP_INET_TCP_DESTROY`, `…_UDP_…`, `SKNLGRP_INET6_TCP_DESTROY`, `…_UDP_…` are groups 1 to 4.
const DESTROY_GROUPS: u32 = 0b1111;
/// Room for events while the listener is busy.
const DESTROY_BUFFER: usize = 4 << 20;
/// The kernel answers at once; this only bounds a broken one.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was opened inside a namespace. The descriptors keep working from outside of it, and keep it alive.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) dump: OwnedFd,
    /// The destroy multicast, unless it was refused or not wanted.
    pub(crate) destroy: Option<OwnedFd>,
    /// A second socket to dump with, for the thread that listens.
    pub(crate) watch: Option<OwnedFd>,
    pub(crate) port_range: (u16, u16),
}

/// Opens sockets in the namespace of the caller, or in the one given.
///
/// # Errors
/// When the namespace may not be entered, or netlink is not offered.
pub(crate) fn open(namespace: Option<File>, destroy: bool) -> io::Result<Opened> {
    let Some(namespace) = namespace else { return open_here(destroy) };
    // A thread enters and ends there: no thread of the program's own changes its namespace.
    let helper = std::thread::Builder::new().name("itom-netns".to_owned()).spawn(move || {
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind))?;
        open_here(destroy)
    })?;
    helper
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread that enters a network namespace ended early")))
}

fn open_here(destroy: bool) -> io::Result<Opened> {
    let dumping = || -> io::Result<OwnedFd> {
        let dump = socket(0)?;
        sockopt::set_socket_timeout(&dump, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(dump)
    };
    let dump = dumping()?;
    let watch = if destroy { dumping().ok() } else { None };
    let destroy = if destroy { socket(DESTROY_GROUPS).ok() } else { None };
    if let Some(events) = &destroy
        && sockopt::set_socket_recv_buffer_size_force(events, DESTROY_BUFFER).is_err()
    {
        // Without privileges as much as the system allows; the listener counts what is lost.
        let _ = sockopt::set_socket_recv_buffer_size(events, DESTROY_BUFFER);
    }
    // `/proc/sys/net` shows the namespace of the thread that opens it.
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let port_range = range.ok().and_then(|text| address::port_range(&text)).unwrap_or((32_768, 60_999));
    Ok(Opened { dump, destroy, watch, port_range })
}

fn socket(groups: u32) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(protocol::SOCK_DIAG),
    )?;
    rustix::net::bind(&socket, &protocol::SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// Dumps all TCP and UDP sockets of the namespace `socket` was opened in.
///
/// # Errors
/// When the kernel refuses or answers nonsense; sockets found until then were handed over.
pub(crate) fn dump(
    socket: &OwnedFd,
    namespace: u64,
    buffer: &mut Vec<u8>,
    found: impl FnMut(Socket),
) -> io::Result<()> {
    dump_tables(socket, namespace, &TABLES, buffer, found)
}

/// As [`dump`], TCP only.
///
/// # Errors
/// Those of [`dump`].
pub(crate) fn dump_tcp(
    socket: &OwnedFd,
    namespace: u64,
    buffer: &mut Vec<u8>,
    found: impl FnMut(Socket),
) -> io::Result<()> {
    dump_tables(socket, namespace, TABLES.get(..2).unwrap_or(&[]), buffer, found)
}

fn dump_tables(
    socket: &OwnedFd,
    namespace: u64,
    tables: &[(Family, Transport)],
    buffer: &mut Vec<u8>,
    mut found: impl FnMut(Socket),
) -> io::Result<()> {
    buffer.resize(256 * 1024, 0);
    for (sequence, (family, transport)) in (1_u32..).zip(tables.iter().copied()) {
        let request = dump_request(family, transport, sequence);
        rustix::net::send(socket, &request, SendFlags::empty())?;
        loop {
            let (length, _) =
                rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty()))?;
            let bytes = buffer.get(..length).unwrap_or(&[]);
            match decode_dump(bytes, namespace, transport, &mut found) {
                Progress::More => {}
                Progress::Done => break,
                // A kernel without IPv6 or UDP diagnostics: that table does not exist.
                Progress::Refused(code) if code == rustix::io::Errno::NOENT.raw_os_error() => break,
                Progress::Refused(code) => return Err(io::Error::from_raw_os_error(code)),
                Progress::Malformed => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "sock_diag sent what is no message",
                    ));
                }
            }
        }
    }
    Ok(())
}
