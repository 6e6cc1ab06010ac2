//! Services, client programs and dependencies as observations.

use std::net::{IpAddr, SocketAddr};

use itom_core::{
    AttrName, Batch, CiKind, ErrorKind, Key, Realm, RelationKind, Subject, Text, Value, attr, kind, relation,
};

use super::collector::ContainerAddresses;
use super::edge::{Dependencies, From, To};
use super::fingerprint;
use super::group::{Listener, Service, Services};
use super::version::Versions;
use crate::linux::process::{Process, ProcessTable};
use crate::linux::socket::{Namespace, SocketTable, is_link_local};

/// A program that uses services and serves nothing.
const PROCESS_PROGRAM: CiKind = CiKind::literal("process.program");
const SERVICE_ENDPOINTS: AttrName = AttrName::literal("service.endpoints");
const SERVICE_TYPE_EVIDENCE: AttrName = AttrName::literal("service.type.evidence");
const PROCESS_COUNT: AttrName = AttrName::literal("process.count");
const CONNECTIONS_OPEN: AttrName = AttrName::literal("network.connections.open");
const CONNECTIONS_CLOSED: AttrName = AttrName::literal("network.connections.closed");
const OBSERVED: AttrName = AttrName::literal("observed");
/// Items and relations about what listens: the partition that a round can read completely.
pub(super) const LISTENERS: &str = "listeners";
/// Items and relations about who connects: never complete, since what is not connected now may be in a moment.
pub(super) const CLIENTS: &str = "clients";
/// Most endpoint keys of one service.
const MAX_KEYS: usize = 1024;

/// What names addresses.
#[derive(Debug)]
pub(super) struct Naming<'a> {
    pub(super) host: &'a Key,
    pub(super) realm: &'a Realm,
    pub(super) containers: ContainerAddresses,
}

impl Naming<'_> {
    /// Where an address of this namespace itself is unique.
    fn realm_of(&self, id: u64, namespace: &Namespace, address: IpAddr) -> Realm {
        let elsewhere_another = address.is_loopback() || is_link_local(address);
        if elsewhere_another || (!namespace.own && self.containers == ContainerAddresses::OfHost) {
            self.inside(id)
        } else {
            self.realm.clone()
        }
    }

    /// The realm of one namespace of this host.
    fn inside(&self, id: u64) -> Realm {
        Realm::new(format!("{}/netns:{id}", self.host.value().replace(char::is_whitespace, "_")))
            .unwrap_or_else(|_| Realm::literal("unnamed-host"))
    }

    fn native(&self, id: &str) -> Key {
        let realm = Realm::new(format!("host:{}", self.host.value().replace(char::is_whitespace, "_")));
        Key::native(realm.unwrap_or_default(), id)
    }
}

pub(super) fn services(
    batch: &mut Batch,
    naming: &Naming<'_>,
    processes: &ProcessTable,
    sockets: &SocketTable,
    services: &Services,
    versions: &Versions,
    with_processes: bool,
) {
    for service in &services.list {
        let main = service.main.and_then(|pid| processes.processes.get(&pid));
        let Some(namespace) = sockets.namespaces.get(&service.namespace) else { continue };
        let (type_name, evidence) = software(service, main);
        let refined = type_name.filter(|_| evidence == "process");
        let refined = refined.and_then(|name| CiKind::new(format!("{}.{name}", kind::SERVICE)).ok());
        let (keys, left_out) = endpoints(naming, services, service, namespace);
        if left_out > 0 {
            batch.fault(
                "endpoints of a service",
                ErrorKind::Exhausted,
                "it has more than 1,024; the others are left out",
            );
        }
        let ci = batch.ci(service.id.as_str(), refined.unwrap_or(kind::SERVICE));
        ci.within(LISTENERS).key(naming.native(&service.id));
        keys.into_iter().for_each(|key| {
            ci.key(key);
        });
        ci.attr(attr::SERVICE_NAME, service.program.clone())
            .attr(attr::SERVICE_TYPE, type_name)
            .attr(
                attr::SERVICE_VERSION,
                main.and_then(|process| versions.get(process.executable.as_deref()?)),
            )
            .attr(SERVICE_ENDPOINTS, Value::text_set(service.listeners.iter().map(spelled)))
            .attr(PROCESS_COUNT, service.processes.len() as u64);
        if type_name.is_some() {
            ci.attr(SERVICE_TYPE_EVIDENCE, evidence);
        }
        if let Some(lowest) = service.listeners.first() {
            ci.attr(attr::SERVER_ADDRESS, lowest.address.to_string())
                .attr(attr::SERVER_PORT, lowest.port)
                .attr(attr::NETWORK_TRANSPORT, lowest.transport.as_str());
        }
        describe(ci, main);
        batch.relation(relation::RUNS_ON, service.id.as_str(), naming.host.clone()).within(LISTENERS);
        if let Some(container) =
            main.and_then(|process| process.cgroup.container.as_ref()).filter(|_| with_processes)
        {
            let subject = format!("container:{}", container.id);
            batch.relation(relation::RUNS_ON, service.id.as_str(), subject).within(LISTENERS);
        }
        if with_processes {
            for process in service.processes.iter().filter_map(|pid| processes.processes.get(pid)) {
                let id = process.native_id();
                batch.relation(relation::PROVIDED_BY, service.id.as_str(), id).within(LISTENERS);
            }
        }
    }
}

fn describe(ci: &mut itom_core::CiObservation, main: Option<&Process>) {
    let Some(process) = main else { return };
    ci.attr_opt(attr::PROCESS_EXECUTABLE_PATH, process.executable.clone())
        .attr_opt(attr::SYSTEMD_UNIT, process.cgroup.unit.clone())
        .attr_opt(attr::CONTAINER_ID, process.cgroup.container.as_ref().map(|container| container.id.clone()))
        .attr_opt(attr::NETWORK_NAMESPACE, process.net_namespace);
}

/// The type of software and what says so. A port alone is weak: it counts only where the process cannot be seen.
fn software(service: &Service, main: Option<&Process>) -> (Option<&'static str>, &'static str) {
    match main {
        Some(process) => (fingerprint::recognize(process), "process"),
        None => (service.listeners.iter().find_map(|listener| fingerprint::by_port(listener.port)), "port"),
    }
}

/// The key of each address the service can be reached at.
fn endpoints(
    naming: &Naming<'_>,
    services: &Services,
    service: &Service,
    namespace: &Namespace,
) -> (Vec<Key>, usize) {
    let mut keys = Vec::new();
    for listener in &service.listeners {
        let mut push = |address: IpAddr| {
            let realm = naming.realm_of(service.namespace, namespace, address);
            keys.push(Key::endpoint(listener.transport.as_str(), address, listener.port).in_realm(realm));
        };
        if listener.address.is_unspecified() {
            let also_v4 = listener.address.is_ipv6()
                && !listener.v6_only
                && !services.has_v4_wildcard(service.namespace, listener.transport, listener.port);
            namespace
                .addresses
                .iter()
                .filter(|address| {
                    address.is_ipv4() == listener.address.is_ipv4() || (also_v4 && address.is_ipv4())
                })
                .for_each(|address| push(*address));
        } else {
            push(listener.address);
        }
    }
    let left_out = keys.len().saturating_sub(MAX_KEYS);
    keys.truncate(MAX_KEYS);
    (keys, left_out)
}

fn spelled(listener: &Listener) -> Text {
    let at = SocketAddr::new(listener.address, listener.port);
    Text::from(format!("{}:{at}", listener.transport.as_str()))
}

pub(super) fn dependencies(
    batch: &mut Batch,
    naming: &Naming<'_>,
    processes: &ProcessTable,
    found: &Dependencies,
    with_processes: bool,
) {
    for (id, program) in &found.programs {
        let first = program.processes.iter().find_map(|pid| processes.processes.get(pid));
        let ci = batch.ci(id.as_str(), PROCESS_PROGRAM);
        ci.within(CLIENTS)
            .key(naming.native(id))
            .attr(attr::NAME, program.name.as_str())
            .attr(attr::PROCESS_EXECUTABLE_NAME, first.map(Process::executable_name))
            .attr(PROCESS_COUNT, program.processes.len() as u64);
        describe(ci, first);
        batch.relation(relation::RUNS_ON, id.as_str(), naming.host.clone()).within(CLIENTS);
        if with_processes {
            for process in program.processes.iter().filter_map(|pid| processes.processes.get(pid)) {
                batch.relation(relation::PROVIDED_BY, id.as_str(), process.native_id()).within(CLIENTS);
            }
        }
    }
    for ((from, to, transport, peer), evidence) in &found.edges {
        // A connection that is known to come from the machine only says who talked to whom: the machine as a whole does
        // not need the other end, and everything on it would seem to fall with it.
        let kinds: &[RelationKind] = match from {
            From::Host => &[relation::CONNECTS_TO],
            From::Container(_) if !with_processes => &[relation::CONNECTS_TO],
            _ => &[relation::CONNECTS_TO, relation::DEPENDS_ON],
        };
        let from = match from {
            From::Service(id) | From::Program(id) => Subject::from(id.as_str()),
            From::Container(id) if with_processes => Subject::from(format!("container:{id}")),
            From::Container(_) | From::Host => Subject::Key(naming.host.clone()),
        };
        let key = || Key::endpoint(transport.as_str(), peer.ip(), peer.port());
        let to = match to {
            To::Service(id) => Subject::from(id.as_str()),
            To::Remote => Subject::Key(key().in_realm(naming.realm.clone())),
            To::Inside(namespace) => Subject::Key(key().in_realm(naming.inside(*namespace))),
        };
        let observed = match (evidence.open + evidence.lingering, evidence.closed) {
            (_, 0) => "poll",
            (0, _) => "destroy_event",
            _ => "poll,destroy_event",
        };
        for kind in kinds {
            batch
                .relation(kind.clone(), from.clone(), to.clone())
                .within(CLIENTS)
                .attr(attr::NETWORK_TRANSPORT, transport.as_str())
                .attr(attr::NETWORK_PEER_ADDRESS, peer.ip().to_string())
                .attr(attr::NETWORK_PEER_PORT, peer.port())
                .attr(CONNECTIONS_OPEN, evidence.open)
                .attr(CONNECTIONS_CLOSED, evidence.closed.max(evidence.lingering))
                .attr(OBSERVED, observed);
        }
    }
}
