//! The addresses that are local to a network namespace, from files that show any process's namespace without entering it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads `/proc/PID/net/fib_trie`: the leaves that are `/32 host LOCAL`.
pub(crate) fn fib_trie(text: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut leaf = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = leaf
        {
            addresses.push(IpAddr::V4(address));
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Reads `/proc/PID/net/if_inet6`, without link-local addresses: those mean nothing without their interface.
pub(crate) fn if_inet6(text: &str) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = text
        .lines()
        .filter_map(|line| u128::from_str_radix(line.split_ascii_whitespace().next()?, 16).ok())
        .map(Ipv6Addr::from)
        .map(IpAddr::V6)
        .filter(|address| !is_link_local(*address))
        .collect();
    addresses.sort_unstable();
    addresses
}

/// Whether an address means something on one link only: 169.254.0.0/16 (RFC 3927), which clouds and clusters use for
/// services that every machine has, and fe80::/10 (RFC 4291).
pub(crate) const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Reads `ip_local_port_range`: the ports the kernel gives to clients.
pub(crate) fn port_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_ascii_whitespace();
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.77.1.0\n        /24 link UNICAST\n     |-- 10.77.1.11\n        /32 host LOCAL\n     |-- 127.0.0.0\n        /8 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\nLocal:\n     |-- 10.77.1.11\n        /32 host LOCAL\n";
        let found: Vec<String> = fib_trie(trie).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.77.1.11", "127.0.0.1"]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\nfe80000000000000000000fffe000001 02 40 20 80     eth0\n20010db8000000000000000000000001 02 40 00 80     eth0\n";
        let found: Vec<String> = if_inet6(table).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["::1", "2001:db8::1"]);
        assert_eq!(port_range("32768\t60999\n"), Some((32_768, 60_999)));
    }

    proptest! {
        #[test]
        fn l10_any_text(text in "\\PC{0,200}") {
            let _ = (fib_trie(&text), if_inet6(&text), port_range(&text));
        }
    }
}
