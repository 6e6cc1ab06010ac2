//! `/proc/net/tcp` and its three siblings: the tables every user may read, for where netlink is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Opener, Socket, State, Transport};

/// Reads one table; hands each socket to `found`. Lines that cannot be read are skipped and counted.
pub(crate) fn parse(
    bytes: &[u8],
    namespace: u64,
    transport: Transport,
    mut found: impl FnMut(Socket),
) -> usize {
    let mut skipped = 0;
    for line in bytes.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty()) {
        match std::str::from_utf8(line).ok().and_then(|line| socket(line, namespace, transport)) {
            Some(socket) if socket.state != State::SYN_RECV => found(socket),
            Some(_) => {}
            None => skipped += 1,
        }
    }
    skipped
}

fn socket(line: &str, namespace: u64, transport: Transport) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let state = State(u8::from_str_radix(fields.next()?, 16).ok()?);
    let (_, receive) = fields.next()?.split_once(':')?;
    let inode = fields.nth(4)?.parse().ok()?;
    Some(Socket {
        namespace,
        transport,
        state,
        local,
        remote,
        inode,
        cookie: 0,
        opener: if state == State::SYN_SENT { Opener::Local } else { Opener::Unknown },
        receive_queue: u32::from_str_radix(receive, 16).ok()?,
        // The table does not tell; claiming no IPv4 address is the safe side.
        v6_only: true,
        confirmed: true,
    })
}

/// `0100007F:1F90`: words of 32 bits in the machine's byte order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0_u8; 16];
            for (index, space) in octets.chunks_exact_mut(4).enumerate() {
                space.copy_from_slice(&word(8 * index)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn known_lines() {
        let table = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1538 00000000:0000 0A 00000000:00000003 00:00000000 00000000   108        0 4711 1 0 100 0 0 10 0\nbroken\n";
        let mut sockets = Vec::new();
        assert_eq!(parse(table, 9, Transport::Tcp, |socket| sockets.push(socket)), 1);
        assert_eq!(sockets[0].local.to_string(), "127.0.0.1:5432");
        assert_eq!((sockets[0].inode, sockets[0].receive_queue, sockets[0].listens()), (4711, 3, true));
        let mapped = b"h\n 0: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:C000 01 0:0 00:0 0 0 0 12 1\n";
        assert_eq!(parse(mapped, 9, Transport::Tcp, |socket| sockets.push(socket)), 0);
        assert_eq!(sockets[1].local.to_string(), "127.0.0.1:80");
        assert!(sockets[1].connected());
    }

    proptest! {
        #[test]
        fn l10_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&bytes, 0, Transport::Tcp, |_| {});
        }
        #[test]
        fn l10_nearly_a_line(line in " [0-9]: [0-9A-F]{0,33}:[0-9A-F]{0,5} [0-9A-Fé]{8}:[0-9A-F]{4} [0-9A-F]{1,3} [0-9:]{1,9} 0 0 0 0 [0-9]{1,22}") {
            let _ = parse(format!("\n{line}").as_bytes(), 0, Transport::Udp, |_| {});
        }
    }
}
