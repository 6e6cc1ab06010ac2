//! `/proc/net/{dev,route,ipv6_route,arp,if_inet6}`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::scan::{Garbled, hex, is_component, lines, number, text, words};

/// One interface of `/proc/net/dev`: receive bytes, packets, errs, drop, fifo, frame, compressed, multicast, then
/// transmit bytes, packets, errs, drop, fifo, colls, carrier, compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceLine<'a> {
    /// The interface: `eth0`.
    pub(crate) name: &'a [u8],
    /// The counters.
    pub(crate) counters: [u64; 16],
}

/// `/proc/net/dev`, behind its two lines of heading.
pub(crate) fn parse_net_dev(bytes: &[u8]) -> impl Iterator<Item = Result<DeviceLine<'_>, Garbled>> {
    lines(bytes).skip(2).map(|line| {
        let colon = line.iter().rposition(|byte| *byte == b':').ok_or(Garbled)?;
        let name = line[..colon].trim_ascii();
        let mut counters = [0; 16];
        let mut words = words(&line[colon + 1..]);
        for slot in &mut counters {
            *slot = words.next().and_then(number).ok_or(Garbled)?;
        }
        if is_component(name) { Ok(DeviceLine { name, counters }) } else { Err(Garbled) }
    })
}

/// One CPU of `/proc/net/softnet_stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SoftnetLine {
    /// The CPU; kernels before 5.10 do not say it, then it is the number of the line.
    pub(crate) cpu: u64,
    /// Packets processed.
    pub(crate) processed: u64,
    /// Packets dropped because the queue was full.
    pub(crate) dropped: u64,
    /// Times the budget ran out with work left.
    pub(crate) squeezed: u64,
}

/// `/proc/net/softnet_stat`: hexadecimal columns.
pub(crate) fn parse_softnet(bytes: &[u8]) -> impl Iterator<Item = Result<SoftnetLine, Garbled>> {
    lines(bytes).enumerate().map(|(index, line)| {
        let mut words = words(line).map(hex);
        let mut column = || words.next().flatten().ok_or(Garbled);
        let (processed, dropped, squeezed) = (column()?, column()?, column()?);
        let cpu = words.nth(9).flatten().unwrap_or(index as u64);
        Ok(SoftnetLine { cpu, processed, dropped, squeezed })
    })
}

/// A route to other networks: through a gateway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    /// Destination prefix; zero length is the default route.
    pub(crate) destination: (IpAddr, u8),
    /// The gateway.
    pub(crate) gateway: IpAddr,
    /// The interface, if the source says it.
    pub(crate) interface: Option<String>,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    /// The interface.
    pub(crate) interface: String,
    /// The address.
    pub(crate) ip: IpAddr,
    /// Length of its prefix.
    pub(crate) prefix: u8,
}

/// A machine seen on a link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Neighbor {
    /// The interface it was seen on.
    pub(crate) interface: String,
    /// Its address.
    pub(crate) ip: IpAddr,
    /// Its MAC address.
    pub(crate) mac: String,
}

const RTF_UP: u64 = 0x1;
const RTF_GATEWAY: u64 = 0x2;
const RTF_REJECT: u64 = 0x200;

/// `/proc/net/route`: the IPv4 routes with a gateway.
pub(crate) fn parse_route(bytes: &[u8]) -> impl Iterator<Item = Result<Route, Garbled>> {
    lines(bytes).skip(1).filter_map(|line| {
        let read = || -> Option<Option<Route>> {
            let mut words = words(line);
            let interface = words.next()?;
            let destination = v4(words.next()?)?;
            let gateway = v4(words.next()?)?;
            let flags = hex(words.next()?)?;
            let mask = v4(words.nth(3)?)?;
            if flags & RTF_UP == 0 || flags & RTF_GATEWAY == 0 || flags & RTF_REJECT != 0 {
                return Some(None);
            }
            let length = u32::from(mask).leading_ones() as u8;
            Some(Some(Route {
                destination: (destination.into(), length),
                gateway: gateway.into(),
                interface: Some(text(interface).into_owned()),
            }))
        };
        read().ok_or(Garbled).transpose()
    })
}

/// `/proc/net/route`: the IPv4 networks the machine is attached to, with interface and length of the prefix.
pub(crate) fn parse_connected(bytes: &[u8]) -> Vec<(String, Ipv4Addr, u8)> {
    let read = |line| -> Option<(String, Ipv4Addr, u8)> {
        let mut words = words(line);
        let interface = text(words.next()?).into_owned();
        let destination = v4(words.next()?)?;
        let gateway = v4(words.next()?)?;
        let flags = hex(words.next()?)?;
        let length = u32::from(v4(words.nth(3)?)?).leading_ones() as u8;
        let attached = flags & (RTF_UP | RTF_GATEWAY) == RTF_UP && gateway.is_unspecified() && length > 0;
        attached.then_some((interface, destination, length))
    };
    lines(bytes).skip(1).filter_map(read).collect()
}

/// `/proc/net/ipv6_route`: the IPv6 routes with a gateway.
pub(crate) fn parse_ipv6_route(bytes: &[u8]) -> impl Iterator<Item = Result<Route, Garbled>> {
    lines(bytes).filter_map(|line| {
        let read = || -> Option<Option<Route>> {
            let mut words = words(line);
            let destination = v6(words.next()?)?;
            let length = u8::try_from(hex(words.next()?)?).ok().filter(|length| *length <= 128)?;
            let gateway = v6(words.nth(2)?)?;
            let flags = hex(words.nth(3)?)?;
            let interface = words.next()?;
            if flags & RTF_UP == 0 || flags & RTF_GATEWAY == 0 || flags & RTF_REJECT != 0 {
                return Some(None);
            }
            Some(Some(Route {
                destination: (destination.into(), length),
                gateway: gateway.into(),
                interface: Some(text(interface).into_owned()),
            }))
        };
        read().ok_or(Garbled).transpose()
    })
}

/// `/proc/net/arp`: the complete entries.
pub(crate) fn parse_arp(bytes: &[u8]) -> impl Iterator<Item = Result<Neighbor, Garbled>> {
    const ATF_COM: u64 = 0x2;
    lines(bytes).skip(1).filter_map(|line| {
        let read = || -> Option<Option<Neighbor>> {
            let mut words = words(line);
            let ip: Ipv4Addr = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
            let flags = hex(words.nth(1)?)?;
            let mac = text(words.next()?).into_owned();
            let interface = text(words.nth(1)?).into_owned();
            Some((flags & ATF_COM != 0).then_some(Neighbor { interface, ip: ip.into(), mac }))
        };
        read().ok_or(Garbled).transpose()
    })
}

/// `/proc/net/if_inet6`: the IPv6 addresses.
pub(crate) fn parse_if_inet6(bytes: &[u8]) -> impl Iterator<Item = Result<Address, Garbled>> {
    super::super::scan::each(bytes, |line| {
        let mut words = words(line);
        let ip = v6(words.next()?)?;
        let prefix = u8::try_from(hex(words.nth(1)?)?).ok().filter(|length| *length <= 128)?;
        let interface = text(words.nth(2)?).into_owned();
        Some(Address { interface, ip: ip.into(), prefix })
    })
}

/// `/proc/net/fib_trie`: this machine's IPv4 addresses, which no other file of `/proc` lists. It does not say the
/// interface or the length of the prefix.
pub(crate) fn parse_fib_trie_local(bytes: &[u8]) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut leaf = None;
    for line in lines(bytes) {
        let line = line.trim_ascii();
        if let Some(rest) = line.strip_prefix(b"|-- ") {
            leaf = std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok());
        } else if line.starts_with(b"/32 host LOCAL")
            && let Some(address) = leaf
        {
            found.push(address);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Eight hexadecimal digits in the byte order of the machine, as the kernel prints `__be32`.
fn v4(word: &[u8]) -> Option<Ipv4Addr> {
    if word.len() != 8 {
        return None;
    }
    let raw = u32::try_from(hex(word)?).ok()?;
    Some(Ipv4Addr::from(raw.to_ne_bytes()))
}

/// Thirty-two hexadecimal digits in network order.
fn v6(word: &[u8]) -> Option<Ipv6Addr> {
    if word.len() != 32 {
        return None;
    }
    let (high, low) = word.split_at(16);
    Some(Ipv6Addr::from(u128::from(hex(high)?) << 64 | u128::from(hex(low)?)))
}

/// The network an address is in: `192.0.2.7/24` is in `192.0.2.0/24`.
pub(crate) fn network_of(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(ip) & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn net_dev_is_read() {
        let text = b"Inter-|   Receive |\n face |bytes |\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\neth0:1:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n x: 1\n";
        let lines: Vec<_> = parse_net_dev(text).collect();
        let first = lines[0].expect("good");
        assert_eq!((first.name, first.counters[0], first.counters[15]), (&b"eth0"[..], 1, 16));
        assert_eq!(lines[1].expect("good").name, b"eth0:1");
        assert_eq!(lines[2], Err(Garbled));
    }

    #[test]
    fn softnet_says_the_cpu_or_counts_lines() {
        let text = b"0000000a 01 02 00 00 00 00 00 00 00 00 00 00000003 00 00\n0b 00 00\nxy 0 0\n";
        let lines: Vec<_> = parse_softnet(text).collect();
        assert_eq!(lines[0], Ok(SoftnetLine { cpu: 3, processed: 10, dropped: 1, squeezed: 2 }));
        assert_eq!(lines[1], Ok(SoftnetLine { cpu: 1, processed: 11, dropped: 0, squeezed: 0 }));
        assert_eq!(lines[2], Err(Garbled));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_are_read() {
        let text = b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\nx\n";
        let routes: Vec<_> = parse_route(text).collect();
        let expected = Route {
            destination: (IpAddr::from([0, 0, 0, 0]), 0),
            gateway: IpAddr::from([192, 0, 2, 1]),
            interface: Some("eth0".to_owned()),
        };
        assert_eq!(routes, [Ok(expected), Err(Garbled)]);
        assert_eq!(parse_connected(text), [("eth0".to_owned(), Ipv4Addr::new(192, 0, 2, 0), 24)]);
    }

    #[test]
    fn ipv6_tables_are_read() {
        let route = b"00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n";
        let routes: Vec<_> = parse_ipv6_route(route).flatten().collect();
        assert_eq!(routes[0].gateway.to_string(), "fd00::1");
        let address = b"fd000000000000000000000000000002 04 40 00 82     eth0\nodd\n";
        let found: Vec<_> = parse_if_inet6(address).collect();
        let expected =
            Address { interface: "eth0".into(), ip: "fd00::2".parse().expect("an address"), prefix: 64 };
        assert_eq!(found, [Ok(expected), Err(Garbled)]);
    }

    #[test]
    fn arp_lists_complete_entries() {
        let text = b"IP address       HW type     Flags       HW address            Mask     Device\n\
            192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n\
            192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        let found: Vec<_> = parse_arp(text).flatten().collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].mac.as_str(), found[0].interface.as_str()), ("02:fc:00:00:00:05", "eth0"));
    }

    #[test]
    fn fib_trie_lists_own_addresses() {
        let text = b"Local:\n  +-- 192.0.2.0/24 2 0 2\n     |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n";
        assert_eq!(parse_fib_trie_local(text), [Ipv4Addr::new(192, 0, 2, 2)]);
    }

    #[test]
    fn networks_are_masked() {
        let net = |ip: &str, prefix| network_of(ip.parse().expect("an address"), prefix).to_string();
        assert_eq!(net("192.0.2.77", 26), "192.0.2.64");
        assert_eq!(net("192.0.2.77", 0), "0.0.0.0");
        assert_eq!(net("192.0.2.77", 32), "192.0.2.77");
        assert_eq!(net("fd00::1:2", 64), "fd00::");
        assert_eq!(net("fd00::1:2", 0), "::");
    }
}
