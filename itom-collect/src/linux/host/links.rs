//! Interfaces, addresses, subnets, gateways and neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use itom_core::{
    AttrName, Batch, Coverage, ErrorKind, Key, KeyKind, Realm, Scope, Strength, Text, Value, attr, kind,
    relation,
};

use super::super::identity::{if_present, is_absent};
use super::super::read::Reader;
use super::inventory::Seen;
use super::netlink;
use super::output::{HOST, Need, part_key, unreadable};
use super::parse::network::{
    Address, Neighbor, Route, network_of, parse_arp, parse_connected, parse_fib_trie_local, parse_if_inet6,
    parse_ipv6_route, parse_route,
};
use super::scan::{Garbled, number, signed};

/// An interface as `/sys/class/net` describes it.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    name: String,
    index: u32,
    mac: Option<String>,
    /// Whether the MAC address is the hardware's own: permanent, of a device, universally administered.
    burned_in: bool,
    state: Option<String>,
    /// Bits per second.
    speed: Option<i64>,
    mtu: Option<i64>,
    alias: Option<String>,
    /// A bridge without a way out of the machine: what containers and virtual machines of this host are attached to. Its
    /// addresses are the same on many hosts.
    internal: bool,
}

/// What rtnetlink or `/proc/net` says.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) addresses: Vec<Address>,
    pub(super) routes: Vec<Route>,
    pub(super) neighbors: Vec<Neighbor>,
    /// Why the addresses and routes are not complete.
    pub(super) incomplete: Option<(ErrorKind, String)>,
    /// Why the neighbours are not.
    pub(super) neighbors_incomplete: Option<(ErrorKind, String)>,
}

/// Everything about the machine's links in one run.
#[derive(Debug)]
pub(super) struct Network {
    interfaces: Vec<Interface>,
    listed: Result<(), (ErrorKind, String)>,
    pub(super) tables: Tables,
}

const CLASS: &str = "sys/class/net";

impl Network {
    pub(super) fn read(reader: &mut Reader, batch: &mut Batch, live: bool) -> Self {
        let (mut interfaces, mut listed) = (Vec::new(), Ok(()));
        match reader.names(CLASS) {
            Ok(names) => {
                for name in names {
                    match interface(reader, &name) {
                        Ok(found) => interfaces.extend(found),
                        Err(error) => {
                            unreadable(batch, &format!("{CLASS}/{name}"), &error);
                            listed =
                                Err((ErrorKind::of_io(&error), format!("interface {name} cannot be read")));
                        }
                    }
                }
            }
            Err(error) => {
                unreadable(batch, CLASS, &error);
                listed = Err((ErrorKind::of_io(&error), format!("/{CLASS} cannot be listed")));
            }
        }
        let tables = if live {
            let names: BTreeMap<u32, &str> =
                interfaces.iter().map(|interface| (interface.index, interface.name.as_str())).collect();
            netlink::tables(&names).unwrap_or_else(|error| {
                batch.fault(
                    "rtnetlink",
                    ErrorKind::of_io(&error),
                    format!(
                        "cannot be asked: {error}; /proc/net is read instead, which lacks IPv6 neighbours"
                    ),
                );
                tables_of_files(reader, batch)
            })
        } else {
            tables_of_files(reader, batch)
        };
        Self { interfaces, listed, tables }
    }

    /// MAC addresses that belong to the hardware.
    pub(super) fn burned_in(&self) -> impl Iterator<Item = &str> {
        self.interfaces
            .iter()
            .filter(|interface| interface.burned_in)
            .filter_map(|interface| interface.mac.as_deref())
    }

    /// All MAC addresses.
    pub(super) fn macs(&self) -> impl Iterator<Item = &str> {
        self.interfaces.iter().filter_map(|interface| interface.mac.as_deref())
    }

    /// The addresses that others can know the machine by.
    pub(super) fn own_addresses(&self) -> impl Iterator<Item = &Address> {
        self.tables.addresses.iter().filter(|address| is_reachable(address.ip))
    }
}

impl Seen<'_> {
    /// Where an address of this machine is unique: inside the machine, if its interface does not lead out.
    pub(super) fn realm_of(&self, address: &Address) -> Realm {
        let internal = self
            .network
            .interfaces
            .iter()
            .any(|interface| interface.internal && interface.name == address.interface);
        if internal { self.facts.realm.clone() } else { self.realm.clone() }
    }
}

/// Not loopback, link-local, multicast or unspecified: such addresses mean another machine elsewhere.
fn is_reachable(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || link_local)
}

fn interface(reader: &mut Reader, name: &str) -> std::io::Result<Option<Interface>> {
    // `bonding_masters` and the like are files beside the interfaces.
    let Some(index) = if_present(reader.read(&format!("{CLASS}/{name}/ifindex")))? else { return Ok(None) };
    let index = number(index.trim_ascii())
        .and_then(|index| u32::try_from(index).ok())
        .ok_or(std::io::ErrorKind::InvalidData)?;
    let mut text = |file: &str| match reader.line(&format!("{CLASS}/{name}/{file}")) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    };
    let mac = text("address")?.filter(|mac| mac.len() == 17 && mac != "00:00:00:00:00:00");
    let permanent = text("addr_assign_type")?.as_deref() == Some("0");
    let state = text("operstate")?;
    let speed = text("speed")?.and_then(|speed| signed(speed.as_bytes())).filter(|speed| *speed > 0.0);
    let mtu = text("mtu")?.and_then(|mtu| mtu.parse().ok());
    let alias = text("ifalias")?;
    let physical = reader.exists(&format!("{CLASS}/{name}/device"));
    let burned_in = permanent && physical && mac.as_deref().is_some_and(is_universal);
    Ok(Some(Interface {
        name: name.to_owned(),
        index,
        mac,
        burned_in,
        state,
        speed: speed.map(|megabits| megabits as i64 * 1_000_000),
        mtu,
        alias,
        internal: is_internal(reader, name),
    }))
}

fn is_internal(reader: &Reader, name: &str) -> bool {
    let Ok(ports) = reader.names(&format!("{CLASS}/{name}/brif")) else { return false };
    let leads_out = |port: &String| {
        reader.exists(&format!("{CLASS}/{port}/device"))
            // A bond or VLAN on something else.
            || reader
                .names(&format!("{CLASS}/{port}"))
                .is_ok_and(|files| files.iter().any(|file| file.starts_with("lower_")))
    };
    !ports.iter().any(leads_out)
}

/// Whether a manufacturer gave the address: the bit for local administration is not set (IEEE 802, as hypervisors set it
/// in the addresses they make up), and it is not one that a protocol shares between machines (VRRP).
fn is_universal(mac: &str) -> bool {
    let first = mac.get(..2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    first.is_some_and(|first| first & 0b11 == 0) && !mac.starts_with("00:00:5e:00:0")
}

/// Without netlink: the IPv4 addresses of `fib_trie` are given to the attached network they are in.
fn tables_of_files(reader: &mut Reader, batch: &mut Batch) -> Tables {
    let mut tables = Tables {
        neighbors_incomplete: Some((ErrorKind::Unsupported, "/proc/net lists no IPv6 neighbours".to_owned())),
        ..Tables::default()
    };
    let mut connected = Vec::new();
    let mut read = |path: &str, need: Need, take: &mut dyn FnMut(&[u8]) -> Result<(), Garbled>| match reader
        .read(path)
    {
        Ok(bytes) => take(bytes).err().map(|Garbled| {
            super::output::garbled(batch, path);
            (ErrorKind::Invalid, format!("/{path} has lines that are not understood"))
        }),
        Err(error) if need == Need::IfPresent && is_absent(&error) => None,
        Err(error) => {
            unreadable(batch, path, &error);
            Some((ErrorKind::of_io(&error), format!("/{path} cannot be read")))
        }
    };
    let incomplete = [
        read("proc/net/route", Need::Always, &mut |bytes| {
            connected = parse_connected(bytes);
            take_all(parse_route(bytes), &mut tables.routes)
        }),
        read("proc/net/ipv6_route", Need::IfPresent, &mut |bytes| {
            take_all(parse_ipv6_route(bytes), &mut tables.routes)
        }),
        read("proc/net/if_inet6", Need::IfPresent, &mut |bytes| {
            take_all(parse_if_inet6(bytes), &mut tables.addresses)
        }),
        read("proc/net/fib_trie", Need::Always, &mut |bytes| {
            for ip in parse_fib_trie_local(bytes) {
                let home = connected
                    .iter()
                    .filter(|(_, network, length)| network_of(ip.into(), *length) == IpAddr::V4(*network))
                    .max_by_key(|(_, _, length)| *length);
                if let Some((interface, _, prefix)) = home {
                    tables.addresses.push(Address {
                        interface: interface.clone(),
                        ip: ip.into(),
                        prefix: *prefix,
                    });
                }
            }
            Ok(())
        }),
    ];
    if let Some(reason) =
        read("proc/net/arp", Need::Always, &mut |bytes| take_all(parse_arp(bytes), &mut tables.neighbors))
    {
        tables.neighbors_incomplete = Some(reason);
    }
    tables.incomplete = incomplete.into_iter().flatten().next();
    tables
}

fn take_all<T>(parsed: impl Iterator<Item = Result<T, Garbled>>, into: &mut Vec<T>) -> Result<(), Garbled> {
    let mut result = Ok(());
    for item in parsed {
        match item {
            Ok(item) => into.push(item),
            Err(garbled) => result = Err(garbled),
        }
    }
    result
}

const MAC: AttrName = AttrName::literal("network.interface.mac");
const ADDRESSES: AttrName = AttrName::literal("network.interface.addresses");
const ALIAS: AttrName = AttrName::literal("network.interface.alias");
const PREFIX: AttrName = AttrName::literal("network.prefix");
const DESTINATIONS: AttrName = AttrName::literal("network.route.destinations");
const PEER_MAC: AttrName = AttrName::literal("network.peer.mac");
/// The key of a subnet: its prefix, in the realm of its addresses.
const PREFIX_KEY: KeyKind = KeyKind::literal("ip_prefix");
/// The partition of `contains` relations that this file reads.
const PARTITION: Text = Text::literal("interfaces");

/// Items and relations of the network.
pub(super) fn report(batch: &mut Batch, seen: &Seen<'_>, coverage: &mut Coverage) {
    interfaces(batch, seen);
    subnets(batch, seen);
    gateways(batch, seen);
    neighbors(batch, seen);
    let network = seen.network;
    let mut add = |scope: Scope, problem: Option<&(ErrorKind, String)>| match problem {
        None => coverage.add_complete(scope),
        Some((kind, reason)) => coverage.add_partial(scope, *kind, reason.as_str()),
    };
    let listed = network.listed.as_ref().err();
    add(Scope::cis(kind::NETWORK_INTERFACE), listed);
    add(Scope::relations(relation::CONTAINS).within(PARTITION), listed);
    let tables = network.tables.incomplete.as_ref().or(listed);
    add(Scope::cis(kind::NETWORK_SUBNET), tables);
    add(Scope::relations(relation::ATTACHED_TO), tables);
    add(Scope::relations(relation::ROUTES_VIA), tables);
    add(Scope::relations(relation::NEIGHBOR_OF), network.tables.neighbors_incomplete.as_ref().or(listed));
}

fn interfaces(batch: &mut Batch, seen: &Seen<'_>) {
    // VLANs and bridges share the address of their parent: a scoped key must name one interface only.
    let mut uses: BTreeMap<&str, u32> = BTreeMap::new();
    seen.network.macs().for_each(|mac| *uses.entry(mac).or_default() += 1);
    for interface in &seen.network.interfaces {
        let native = format!("if:{}", interface.name);
        let addresses = seen
            .network
            .tables
            .addresses
            .iter()
            .filter(|address| address.interface == interface.name)
            .map(|address| format!("{}/{}", address.ip, address.prefix));
        let ci = batch.ci(native.as_str(), kind::NETWORK_INTERFACE);
        ci.key(part_key(&seen.facts.realm, &native));
        if let Some(mac) = &interface.mac
            && let Ok(key) = Key::mac(mac)
        {
            if interface.burned_in {
                ci.key(key);
            } else if uses.get(mac.as_str()) == Some(&1) {
                ci.key(key.in_realm(seen.facts.realm.clone()));
            }
        }
        ci.attr(attr::NAME, interface.name.as_str())
            .attr(attr::NETWORK_INTERFACE_NAME, interface.name.as_str())
            .attr(ADDRESSES, Value::text_set(addresses))
            .attr_opt(MAC, interface.mac.clone())
            .attr_opt(attr::NETWORK_INTERFACE_STATE, interface.state.clone())
            .attr_opt(attr::NETWORK_INTERFACE_SPEED, interface.speed)
            .attr_opt(attr::NETWORK_INTERFACE_MTU, interface.mtu)
            .attr_opt(ALIAS, interface.alias.clone());
        batch.relation(relation::CONTAINS, HOST, native).within(PARTITION);
    }
}

fn subnets(batch: &mut Batch, seen: &Seen<'_>) {
    let mut known = BTreeSet::new();
    let mut attached = BTreeSet::new();
    for address in seen.network.own_addresses() {
        let whole = if address.ip.is_ipv4() { 32 } else { 128 };
        if address.prefix == 0 || address.prefix >= whole {
            continue;
        }
        let prefix = format!("{}/{}", network_of(address.ip, address.prefix), address.prefix);
        let native = format!("net:{prefix}");
        if known.insert(native.clone()) {
            let ci = batch.ci(native.as_str(), kind::NETWORK_SUBNET);
            ci.attr(attr::NAME, prefix.as_str()).attr(PREFIX, prefix.as_str());
            ci.attr(attr::NETWORK_TYPE, if address.ip.is_ipv4() { "ipv4" } else { "ipv6" });
            if let Ok(key) = Key::new(PREFIX_KEY, seen.realm_of(address), &prefix, Strength::Administrative) {
                ci.key(key);
            }
        }
        if attached.insert((address.interface.as_str(), native.clone())) {
            batch.relation(relation::ATTACHED_TO, format!("if:{}", address.interface), native);
        }
    }
}

fn gateways(batch: &mut Batch, seen: &Seen<'_>) {
    let mut gateways: BTreeMap<IpAddr, (BTreeSet<String>, BTreeSet<&str>)> = BTreeMap::new();
    for route in seen.network.tables.routes.iter().filter(|route| is_reachable(route.gateway)) {
        let (destination, length) = route.destination;
        let (destinations, interfaces) = gateways.entry(route.gateway).or_default();
        destinations.insert(format!("{destination}/{length}"));
        interfaces.extend(route.interface.as_deref());
    }
    for (gateway, (destinations, interfaces)) in gateways {
        let key = Key::ip(gateway).in_realm(seen.realm.clone());
        let relation = batch.relation(relation::ROUTES_VIA, HOST, key);
        relation
            .attr(DESTINATIONS, Value::text_set(destinations))
            .attr(attr::NETWORK_INTERFACE_NAME, Value::text_set(interfaces));
    }
}

fn neighbors(batch: &mut Batch, seen: &Seen<'_>) {
    let mut said = BTreeSet::new();
    for neighbor in &seen.network.tables.neighbors {
        // A link-local address says nothing elsewhere; the MAC address does, if a manufacturer gave it.
        let key = if is_reachable(neighbor.ip) {
            Key::ip(neighbor.ip).in_realm(seen.realm.clone())
        } else if let (true, Ok(key)) = (is_universal(&neighbor.mac), Key::mac(&neighbor.mac)) {
            key
        } else {
            continue;
        };
        let from = format!("if:{}", neighbor.interface);
        if said.insert((from.clone(), key.clone())) {
            batch.relation(relation::NEIGHBOR_OF, from, key).attr(PEER_MAC, neighbor.mac.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_manufacturers_addresses_are_universal() {
        assert!(is_universal("00:1b:44:11:3a:b7"));
        for local in ["02:fc:00:00:00:01", "52:54:00:12:34:56", "01:00:5e:00:00:01", "00:00:5e:00:01:07", "x"]
        {
            assert!(!is_universal(local), "{local}");
        }
    }

    #[test]
    fn addresses_that_mean_nothing_elsewhere_are_not_keys() {
        let reachable = |ip: &str| is_reachable(ip.parse().expect("an address"));
        assert!(reachable("192.0.2.2") && reachable("fd00::2") && reachable("10.0.0.1"));
        assert!(
            !reachable("127.0.0.1") && !reachable("fe80::1") && !reachable("169.254.1.1") && !reachable("::")
        );
    }
}
