//! Addresses, routes and neighbours from rtnetlink(7). Reading needs no privileges.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use itom_core::ErrorKind;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::links::Tables;
use super::parse::network::{Address, Neighbor, Route};

/// Most messages taken from one dump: the routes of a full Internet table fit twice.
const MAX_MESSAGES: usize = 4_000_000;
/// Set in a dump that changes made inconsistent while it was written.
const NLM_F_DUMP_INTR: u16 = 0x10;

/// The tables of this network namespace.
///
/// # Errors
/// When netlink cannot be asked: refused by a sandbox, or the kernel answers with an error.
pub(super) fn tables(names: &BTreeMap<u32, &str>) -> io::Result<Tables> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // The kernel answers at once; this is against one that never does.
    rustix::net::sockopt::set_socket_timeout(
        &socket,
        rustix::net::sockopt::Timeout::Recv,
        Some(Duration::from_secs(2)),
    )?;
    let mut tables = Tables::default();
    let mut whole = dump(&socket, RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| {
        if let RouteNetlinkMessage::NewAddress(message) = message {
            tables.addresses.extend(address(&message, names));
        }
    })?;
    whole &= dump(&socket, RouteNetlinkMessage::GetRoute(RouteMessage::default()), |message| {
        if let RouteNetlinkMessage::NewRoute(message) = message {
            routes(&message, names, &mut tables.routes);
        }
    })?;
    let neighbors = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    let neighbors_whole = dump(&socket, neighbors, |message| {
        if let RouteNetlinkMessage::NewNeighbour(message) = message {
            tables.neighbors.extend(neighbor(&message, names));
        }
    })?;
    let reason = || Some((ErrorKind::Unavailable, "the kernel's table changed while it was read".to_owned()));
    tables.incomplete = if whole { None } else { reason() };
    tables.neighbors_incomplete = if neighbors_whole { None } else { reason() };
    // The kernel's order is that of hash tables.
    tables.addresses.sort_unstable();
    tables.routes.sort_unstable();
    tables.neighbors.sort_unstable();
    Ok(tables)
}

/// Sends a request and hands each answer on; whether the answer was whole and understood.
fn dump(
    socket: &Socket,
    request: RouteNetlinkMessage,
    mut found: impl FnMut(RouteNetlinkMessage),
) -> io::Result<bool> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_DUMP | NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut buffer = vec![0; 64 << 10];
    let (mut whole, mut count) = (true, 0);
    loop {
        let (_, size) = rustix::net::recv(socket, &mut buffer[..], rustix::net::RecvFlags::TRUNC)?;
        whole &= size <= buffer.len();
        let mut done = None;
        for message in messages(&buffer[..size.min(buffer.len())]) {
            let Some(message) = message else {
                whole = false;
                continue;
            };
            whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
            match message.payload {
                NetlinkPayload::Done(_) => done = Some(Ok(())),
                NetlinkPayload::Error(error) => done = Some(Err(error.to_io())),
                NetlinkPayload::Overrun(_) => whole = false,
                NetlinkPayload::InnerMessage(message) => {
                    count += 1;
                    found(message);
                }
                _ => {}
            }
        }
        if let Some(done) = done {
            return done.map(|()| whole);
        }
        if count >= MAX_MESSAGES || size == 0 {
            return Ok(false);
        }
    }
}

/// The messages of one datagram; `None` for one that is not understood.
fn messages(datagram: &[u8]) -> impl Iterator<Item = Option<NetlinkMessage<RouteNetlinkMessage>>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = rest.first_chunk().map(|length| u32::from_ne_bytes(*length) as usize);
        let Some(length) = length.filter(|length| (16..=rest.len()).contains(length)) else {
            rest = &[];
            return Some(None);
        };
        let message = NetlinkMessage::deserialize(&rest[..length]).ok();
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

fn address(message: &AddressMessage, names: &BTreeMap<u32, &str>) -> Option<Address> {
    let interface = (*names.get(&message.header.index)?).to_owned();
    // Of a point-to-point link `Address` is the other end, `Local` ours; IPv6 has only `Address`.
    let ours = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let ip = ours.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    })?;
    Some(Address { interface, ip, prefix: message.header.prefix_len })
}

fn routes(message: &RouteMessage, names: &BTreeMap<u32, &str>, into: &mut Vec<Route>) {
    let header = &message.header;
    let table = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    if header.kind != RouteType::Unicast
        || table.unwrap_or(u32::from(header.table)) != u32::from(RouteHeader::RT_TABLE_MAIN)
    {
        return;
    }
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::from([0_u8; 4]),
        AddressFamily::Inet6 => IpAddr::from([0_u8; 16]),
        _ => return,
    };
    let destination = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(ip) => route_ip(ip),
            _ => None,
        })
        .unwrap_or(any);
    let destination = (destination, header.destination_prefix_length);
    let mut push = |attributes: &[RouteAttribute], index: Option<u32>| {
        let gateway = attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(ip) => route_ip(ip),
            RouteAttribute::Via(RouteVia::Inet(ip)) => Some((*ip).into()),
            RouteAttribute::Via(RouteVia::Inet6(ip)) => Some((*ip).into()),
            _ => None,
        });
        if let Some(gateway) = gateway {
            let interface = index.and_then(|index| names.get(&index)).map(|name| (*name).to_owned());
            into.push(Route { destination, gateway, interface });
        }
    };
    let out = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    push(&message.attributes, out);
    for attribute in &message.attributes {
        if let RouteAttribute::MultiPath(hops) = attribute {
            hops.iter().for_each(|hop| push(&hop.attributes, Some(hop.interface_index)));
        }
    }
}

fn route_ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

fn neighbor(message: &NeighbourMessage, names: &BTreeMap<u32, &str>) -> Option<Neighbor> {
    use NeighbourState::{Delay, Permanent, Probe, Reachable, Stale};
    if !matches!(message.header.state, Reachable | Stale | Delay | Probe | Permanent) {
        return None;
    }
    let interface = (*names.get(&message.header.ifindex)?).to_owned();
    let ip = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(IpAddr::from(*ip)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some(IpAddr::from(*ip)),
        _ => None,
    })?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLocalAddress(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok(),
        _ => None,
    })?;
    let multicast = ip.is_multicast() || mac[0] & 1 != 0 || mac == [0; 6];
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    (!multicast).then_some(Neighbor { interface, ip, mac })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn l10_any_datagram_is_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            length in 16_u32..80,
            kind in prop_oneof![Just(20_u16), Just(24), Just(28), Just(2), Just(3), any::<u16>()],
        ) {
            prop_assert!(messages(&bytes).count() <= bytes.len() / 16 + 1);
            let mut framed = bytes;
            if framed.len() >= 16 {
                framed[..4].copy_from_slice(&length.to_ne_bytes());
                framed[4..6].copy_from_slice(&kind.to_ne_bytes());
            }
            prop_assert!(messages(&framed).count() <= framed.len() / 16 + 1);
        }
    }
}
