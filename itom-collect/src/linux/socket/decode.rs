//! The bytes of sock_diag(7): requests out, sockets in. No I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Opener, Socket, State, Transport};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x0301;
const HEADER: usize = 16;
/// `struct inet_diag_msg`
const MESSAGE: usize = 72;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_PROTOCOL: u16 = 10;
const INET_DIAG_SKV6ONLY: u16 = 11;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// The four tables there are.
pub(crate) const TABLES: [(Family, Transport); 4] = [
    (Family::V4, Transport::Tcp),
    (Family::V6, Transport::Tcp),
    (Family::V4, Transport::Udp),
    (Family::V6, Transport::Udp),
];

/// The address family of a table. A V6 socket may still hold an IPv4 connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// A request for all sockets of one table.
pub(crate) fn dump_request(family: Family, transport: Transport, sequence: u32) -> [u8; 72] {
    let mut request = [0_u8; 72];
    let (family, protocol) = (
        if family == Family::V4 { AF_INET } else { AF_INET6 },
        if transport == Transport::Tcp { IPPROTO_TCP } else { IPPROTO_UDP },
    );
    // Not asked for: half-open connections of a server, since those may be forged.
    let states: u32 = 0x0fff & !(1 << State::SYN_RECV.0);
    // INET_DIAG_INFO carries the counters that tell who opened a connection.
    let extensions: u8 = if transport == Transport::Tcp { 1 << (INET_DIAG_INFO - 1) } else { 0 };
    let fields: [(usize, &[u8]); 6] = [
        (0, &72_u32.to_ne_bytes()),
        (4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes()),
        (6, &NLM_F_REQUEST_DUMP.to_ne_bytes()),
        (8, &sequence.to_ne_bytes()),
        (16, &[family, protocol, extensions, 0]),
        (20, &states.to_ne_bytes()),
    ];
    for (at, bytes) in fields {
        if let Some(space) = request.get_mut(at..at + bytes.len()) {
            space.copy_from_slice(bytes);
        }
    }
    request
}

/// How a piece of a dump ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More pieces follow.
    More,
    /// The dump is complete.
    Done,
    /// The kernel refused, with this error number.
    Refused(i32),
    /// The bytes are not netlink messages.
    Malformed,
}

/// Reads one datagram of a dump, or of the destroy multicast; hands each socket to `found`. `transport` counts where a
/// message does not name its protocol itself.
pub(crate) fn decode_dump(
    mut bytes: &[u8],
    namespace: u64,
    transport: Transport,
    mut found: impl FnMut(Socket),
) -> Progress {
    while bytes.len() >= HEADER {
        let (Some(length), Some(kind)) = (u32_at(bytes, 0), u16_at(bytes, 4)) else {
            return Progress::Malformed;
        };
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { return Progress::Malformed };
        match kind {
            NLMSG_DONE => return Progress::Done,
            NLMSG_ERROR => {
                let code = u32_at(body, 0).map_or(0, |raw| i32::from_ne_bytes(raw.to_ne_bytes()));
                return if code == 0 { Progress::Done } else { Progress::Refused(code.saturating_neg()) };
            }
            SOCK_DIAG_BY_FAMILY => {
                if let Some(socket) = socket(body, namespace, transport) {
                    found(socket);
                }
            }
            _ => {}
        }
        let aligned = length.next_multiple_of(4);
        bytes = bytes.get(aligned..).unwrap_or(&[]);
    }
    if bytes.is_empty() { Progress::More } else { Progress::Malformed }
}

fn socket(body: &[u8], namespace: u64, transport: Transport) -> Option<Socket> {
    let mut attributes = body.get(MESSAGE..)?;
    let family = *body.first()?;
    let state = State(*body.get(1)?);
    let address = |at: usize| -> Option<IpAddr> {
        Some(match family {
            AF_INET => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(body.get(at..at + 4)?).ok()?)),
            AF_INET6 => {
                IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(body.get(at..at + 16)?).ok()?)).to_canonical()
            }
            _ => return None,
        })
    };
    let port = |at: usize| Some(u16::from_be_bytes(<[u8; 2]>::try_from(body.get(at..at + 2)?).ok()?));
    let mut socket = Socket {
        namespace,
        transport,
        state,
        local: SocketAddr::new(address(8)?, port(4)?),
        remote: SocketAddr::new(address(24)?, port(6)?),
        inode: u64::from(u32_at(body, 68)?),
        cookie: u64::from(u32_at(body, 44)?) | u64::from(u32_at(body, 48)?) << 32,
        opener: Opener::Unknown,
        receive_queue: u32_at(body, 56)?,
        v6_only: false,
        confirmed: true,
    };
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let Some(value) = attributes.get(4..usize::from(length)) else { break };
        match kind & 0x3fff {
            INET_DIAG_PROTOCOL => match value.first() {
                Some(&IPPROTO_TCP) => socket.transport = Transport::Tcp,
                Some(&IPPROTO_UDP) => socket.transport = Transport::Udp,
                _ => return None,
            },
            INET_DIAG_INFO => tcp_info(value, &mut socket),
            INET_DIAG_SKV6ONLY => socket.v6_only = value.first().is_some_and(|flag| *flag != 0),
            _ => {}
        }
        attributes = attributes.get(usize::from(length).next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(socket)
}

/// Reads `struct tcp_info`.
///
/// The kernel counts the SYN as one byte acknowledged at the end that sent it (`bytes_acked`), yet never as a byte sent
/// (`bytes_sent`): while nothing is in flight the difference is 1 where this end opened the connection and 0 where the
/// other did. A FIN is counted the same way, so closed sockets tell only at 0 and 2. Before Linux 4.19 there is no
/// `bytes_sent`, and the answer is `Unknown`.
fn tcp_info(info: &[u8], socket: &mut Socket) {
    let (Some(acknowledged), Some(received)) = (u64_at(info, 120), u64_at(info, 128)) else { return };
    if socket.state == State::CLOSE {
        socket.confirmed = acknowledged > 0 || received > 0;
    }
    let (Some(unacknowledged), Some(sent), Some(again)) =
        (u32_at(info, 24), u64_at(info, 200), u64_at(info, 208))
    else {
        return;
    };
    if again != 0 || unacknowledged != 0 || (acknowledged == 0 && sent != 0) {
        return;
    }
    let beyond = acknowledged.checked_sub(sent);
    socket.opener = match (socket.state, beyond) {
        (State::SYN_SENT, _) => Opener::Local,
        (State::ESTABLISHED | State::CLOSE_WAIT, Some(1)) | (State::CLOSE, Some(2)) => Opener::Local,
        (State::ESTABLISHED | State::CLOSE_WAIT, Some(0)) => Opener::Remote,
        (State::CLOSE, Some(0)) if received > 0 => Opener::Remote,
        _ => Opener::Unknown,
    };
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(<[u8; 2]>::try_from(bytes.get(at..at + 2)?).ok()?))
}
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?))
}
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(<[u8; 8]>::try_from(bytes.get(at..at + 8)?).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(sequence: u32) -> Vec<u8> {
        let mut body = vec![0_u8; MESSAGE];
        body[0] = AF_INET;
        body[1] = State::ESTABLISHED.0;
        body[4..6].copy_from_slice(&40_000_u16.to_be_bytes());
        body[6..8].copy_from_slice(&5432_u16.to_be_bytes());
        body[8..12].copy_from_slice(&[10, (sequence >> 16) as u8, (sequence >> 8) as u8, sequence as u8]);
        body[24..28].copy_from_slice(&[10, 0, 0, 1]);
        body[68..72].copy_from_slice(&sequence.to_ne_bytes());
        let mut info = vec![0_u8; 232];
        info[120..128].copy_from_slice(&101_u64.to_ne_bytes());
        info[200..208].copy_from_slice(&100_u64.to_ne_bytes());
        body.extend(236_u16.to_ne_bytes());
        body.extend(INET_DIAG_INFO.to_ne_bytes());
        body.extend(info);
        let mut message = Vec::new();
        message.extend(u32::try_from(HEADER + body.len()).expect("small").to_ne_bytes());
        message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    #[test]
    fn one_hundred_thousand_sockets() {
        let mut count = 0_u32;
        for piece in 0..1_000 {
            let bytes: Vec<u8> = (0..100).flat_map(|index| message(piece * 100 + index)).collect();
            let progress = decode_dump(&bytes, 1, Transport::Tcp, |socket| {
                assert_eq!((socket.inode, socket.opener), (u64::from(count), Opener::Local));
                count += 1;
            });
            assert_eq!(progress, Progress::More);
        }
        assert_eq!(count, 100_000);
    }

    #[test]
    fn ends_and_refusals() {
        let mut done = vec![20, 0, 0, 0];
        done.extend(NLMSG_DONE.to_ne_bytes());
        done.extend([0; 14]);
        assert_eq!(decode_dump(&done, 0, Transport::Tcp, |_| {}), Progress::Done);
        let mut refused = vec![20, 0, 0, 0];
        refused.extend(NLMSG_ERROR.to_ne_bytes());
        refused.extend([0; 10]);
        refused.extend((-1_i32).to_ne_bytes());
        assert_eq!(decode_dump(&refused, 0, Transport::Tcp, |_| {}), Progress::Refused(1));
        assert_eq!(decode_dump(&[0; 16], 0, Transport::Tcp, |_| {}), Progress::Malformed);
    }

    proptest! {
        #[test]
        fn l10_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            let mut count = 0;
            let _ = decode_dump(&bytes, 0, Transport::Udp, |_| count += 1);
            prop_assert!(count <= bytes.len() / (HEADER + MESSAGE));
        }

        #[test]
        fn l10_any_change_to_a_message(at in 0usize..324, byte: u8, cut in 0usize..324) {
            let mut bytes = message(7);
            bytes[at] = byte;
            let _ = decode_dump(&bytes, 0, Transport::Tcp, |_| {});
            bytes.truncate(cut);
            let _ = decode_dump(&bytes, 0, Transport::Tcp, |_| {});
        }
    }
}
