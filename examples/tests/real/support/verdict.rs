//! What was discovered of the lab, held against its truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use itom::cmdb::View;
use itom::cmdb::view::{Ci, Relation, RelationId};
use itom::core::{AttrName, CiId, Key, RelationKind, SourceName, Subject, Value, attr, kind, relation};
use serde_json::json;

use super::lab::{Edge, Host, Truth};

/// How much of a dependency was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// The very program depends on the very service.
    Process,
    /// The host depends on the service: which of its programs is not known.
    Host,
    /// Another program of the same host is said to depend on the service.
    Other,
    /// Nothing.
    Missed,
}

impl Level {
    const ALL: [Self; 4] = [Self::Process, Self::Host, Self::Other, Self::Missed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Host => "host",
            Self::Other => "other",
            Self::Missed => "missed",
        }
    }
}

/// The truth with what was found of it, and what was found beside it.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Each true edge.
    pub(crate) edges: Vec<(Edge, Level)>,
    /// True edges that are not there in this run: a process of the lab did not start.
    pub(crate) absent: Vec<Edge>,
    /// What was found that is not true.
    pub(crate) wrong: Vec<String>,
    /// What is not right about the hosts.
    pub(crate) hosts: Vec<String>,
    /// What is not right about the services.
    pub(crate) services: Vec<String>,
    /// How many listening sockets were looked for.
    pub(crate) sockets: usize,
}

/// A discovered dependency.
struct Found<'a> {
    host: String,
    from: &'a Ci,
    to: &'a Ci,
    peer: (IpAddr, u16),
    transport: String,
}

/// Holds a view against the truth as it was before and after the observation.
pub(crate) fn judge(view: &View, before: &Truth, after: &Truth) -> Verdict {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    // Whoever depends also connects; what only the machine is known to have talked to is no dependency of the machine.
    let active = |kind: &RelationKind| {
        let kind = kind.clone();
        view.relations().filter(move |edge| edge.kind == kind && edge.state.is_active())
    };
    for edge in active(&relation::CONNECTS_TO) {
        match read(view, edge) {
            Ok(edge) => found.push(edge),
            Err(reason) => wrong.push(reason),
        }
    }
    for edge in active(&relation::DEPENDS_ON) {
        if view.relation(RelationId::derive(&relation::CONNECTS_TO, edge.from, edge.to)).is_none() {
            wrong.push(format!("{edge:?} has no connection behind it"));
        }
        if view.ci(edge.from).is_some_and(|from| from.kind().is_a(&kind::HOST)) {
            wrong.push(format!("{edge:?} makes a whole machine depend on something"));
        }
    }
    let mut explained = BTreeSet::new();
    let (mut edges, mut absent) = (Vec::new(), Vec::new());
    for truth in &before.edges {
        let mut level = Level::Missed;
        for (index, found) in found.iter().enumerate().filter(|(_, found)| is(found, truth, view, after)) {
            explained.insert(index);
            level = level.min(how(found, truth, after));
        }
        if level == Level::Missed && !(there(truth, before) && there(truth, after)) {
            absent.push(truth.clone());
        } else {
            edges.push((truth.clone(), level));
        }
    }
    wrong.extend(
        found
            .iter()
            .enumerate()
            .filter(|(index, _)| !explained.contains(index))
            .map(|(_, edge)| tell(view, edge)),
    );
    let sockets = listening(before).intersection(&listening(after)).count();
    Verdict {
        edges,
        absent,
        wrong,
        sockets,
        hosts: hosts(view, before),
        services: services(view, before, after),
    }
}

fn text(value: Option<&Value>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn read<'a>(view: &'a View, edge: &'a Relation) -> Result<Found<'a>, String> {
    let (Some(from), Some(to)) = (view.ci(edge.from), view.ci(edge.to)) else {
        return Err(format!("{edge:?} has an end that is not there"));
    };
    let value = |name: &AttrName| edge.attributes.get(name).map(|attribute| attribute.value());
    let peer = text(value(&attr::NETWORK_PEER_ADDRESS)).parse();
    let port = text(value(&attr::NETWORK_PEER_PORT)).parse();
    match (host_of(view, from).as_slice(), peer, port) {
        ([host], Ok(peer), Ok(port)) => Ok(Found {
            host: host.clone(),
            from,
            to,
            peer: (peer, port),
            transport: text(value(&attr::NETWORK_TRANSPORT)),
        }),
        (hosts, ..) => Err(format!(
            "{} ({}) on {hosts:?} depends on {} ({})",
            from.name(),
            from.kind(),
            to.name(),
            to.kind()
        )),
    }
}

/// The names of the hosts that something runs on; a host runs on itself.
fn host_of(view: &View, ci: &Ci) -> Vec<String> {
    if ci.kind().is_a(&kind::HOST) {
        return vec![text(ci.value(&attr::HOST_NAME))];
    }
    let own = view.relations_of(ci.id()).filter(|edge| edge.state.is_active());
    own.filter(|edge| edge.from == ci.id() && edge.kind == relation::RUNS_ON)
        .filter_map(|edge| view.ci(edge.to))
        .filter(|host| host.kind().is_a(&kind::HOST))
        .map(|host| text(host.value(&attr::HOST_NAME)))
        .collect()
}

/// Whether a discovered dependency is this true one: the same host asks at the same address, and the answer comes from
/// the service that really is behind it. Behind address translation or on a machine without a collector the address is
/// all that can be known.
fn is(found: &Found<'_>, truth: &Edge, view: &View, now: &Truth) -> bool {
    let Some(server) = now.hosts.iter().find(|host| host.name == truth.server) else { return false };
    let Ok(destination) = truth.dst_addr.parse::<IpAddr>() else { return false };
    if found.host != truth.client || found.peer != (destination, truth.port) || found.transport != truth.proto
    {
        return false;
    }
    let seen_directly = destination.is_loopback() || truth.dst_addr == server.address;
    if server.managed && seen_directly {
        found.to.kind().is_a(&kind::SERVICE)
            && host_of(view, found.to) == [truth.server.clone()]
            && runs(found.to, &truth.server_process, server)
    } else {
        found.to.is_loose_end()
            && found.to.keys().contains(&Key::endpoint(&truth.proto, destination, truth.port))
    }
}

fn how(found: &Found<'_>, truth: &Edge, now: &Truth) -> Level {
    let client = now.hosts.iter().find(|host| host.name == truth.client);
    if found.from.kind().is_a(&kind::HOST) {
        Level::Host
    } else if client.is_some_and(|host| runs(found.from, &truth.client_process, host)) {
        Level::Process
    } else {
        Level::Other
    }
}

/// Whether an item is the program that the truth calls `name`.
fn runs(ci: &Ci, name: &str, host: &Host) -> bool {
    let executable = text(ci.value(&attr::PROCESS_EXECUTABLE_PATH));
    let known = host.processes.iter().filter(|process| is_called(&process.comm, name));
    known.filter_map(|process| process.exe.as_deref()).any(|exe| exe == executable)
        || executable.rsplit('/').next() == Some(name)
}

/// The truth cuts long names where the kernel does (after 15 bytes), or one byte before.
fn is_called(comm: &str, name: &str) -> bool {
    comm == name || (name.len() >= 14 && comm.starts_with(name))
}

/// Whether the client is a process of a moment: not there both times the lab was asked.
pub(crate) fn is_fleeting(edge: &Edge, before: &Truth, after: &Truth) -> bool {
    ![before, after].into_iter().all(|truth| asks(edge, truth))
}

fn asks(edge: &Edge, now: &Truth) -> bool {
    let client = now.hosts.iter().find(|host| host.name == edge.client);
    client.is_some_and(|host| {
        host.processes.iter().any(|process| is_called(&process.comm, &edge.client_process))
    })
}

/// Whether both ends of a dependency run. Clients of short connections come and go.
fn there(truth: &Edge, now: &Truth) -> bool {
    let host = |name: &str| now.hosts.iter().find(|host| host.name == name);
    let serves = host(&truth.server).is_some_and(|host| {
        let mut listening = host.processes.iter().flat_map(|process| &process.listen);
        listening.any(|listen| listen.port == truth.port && listen.proto == truth.proto)
    });
    let steady = matches!(truth.style.as_str(), "persistent" | "pooled");
    serves && (asks(truth, now) || !steady)
}

fn tell(view: &View, found: &Found<'_>) -> String {
    format!(
        "{} ({}) on {} depends on {} ({}, on {:?}) at {} {}:{}",
        found.from.name(),
        found.from.kind(),
        found.host,
        found.to.name(),
        found.to.kind(),
        host_of(view, found.to),
        found.transport,
        found.peer.0,
        found.peer.1,
    )
}

/// One item for each managed host, under its name, that its address leads to; nothing of one host is another's.
fn hosts(view: &View, truth: &Truth) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut named: BTreeMap<String, Vec<CiId>> = BTreeMap::new();
    let described = view.by_kind(&kind::HOST).into_iter();
    for host in described.filter(|host| !host.is_loose_end() && host.state().is_active()) {
        named.entry(text(host.value(&attr::HOST_NAME))).or_default().push(host.id());
    }
    let source = SourceName::literal("judge");
    for host in truth.hosts.iter().filter(|host| host.managed) {
        let items = named.remove(&host.name).unwrap_or_default();
        let at = host.address.parse().ok().map(Key::ip);
        let at = at.and_then(|key| view.resolve(&source, &Subject::Key(key)));
        if items.len() != 1 {
            wrong.push(format!("{} is {} items", host.name, items.len()));
        } else if at != items.first().copied() {
            wrong.push(format!("{} does not lead to {}", host.address, host.name));
        }
    }
    wrong.extend(named.keys().map(|name| format!("there is no host {name}")));
    // What two hosts describe is two things, except for the networks between them.
    for ci in view.cis().filter(|ci| !ci.kind().is_a(&kind::NETWORK_SUBNET)) {
        let instance =
            |source: &SourceName| source.as_str().rsplit('@').next().unwrap_or_default().to_owned();
        let from: BTreeSet<String> = ci.sources().iter().map(instance).collect();
        if from.len() > 1 && !ci.is_loose_end() {
            wrong.push(format!("{} ({}) is one item of {from:?}", ci.name(), ci.kind()));
        }
    }
    wrong
}

/// Behind each listening socket of a managed host is a service of that host, and no other service is claimed. UDP
/// sockets with a port that the kernel gives to clients serve nobody.
fn services(view: &View, before: &Truth, after: &Truth) -> Vec<String> {
    let mut wrong = Vec::new();
    let source = SourceName::literal("judge");
    let (first, last) = (listening(before), listening(after));
    for socket in first.intersection(&last) {
        let Socket { host, address, transport, port, process } = socket;
        let at = format!("{transport} {address}:{port} on {host}");
        let key = Subject::Key(Key::endpoint(transport, *address, *port));
        let Some(found) = view.resolve(&source, &key).and_then(|id| view.ci(id)) else {
            wrong.push(format!("nothing is known at {at}"));
            continue;
        };
        let here = host_of(view, found) == [host.clone()] && found.kind().is_a(&kind::SERVICE);
        let executable = text(found.value(&attr::PROCESS_EXECUTABLE_PATH));
        if !here || process.as_ref().is_some_and(|exe| *exe != executable) {
            let on = host_of(view, found);
            wrong.push(format!("{} ({executable}, on {on:?}) is at {at}, not {process:?}", found.name()));
        }
    }
    let known: BTreeSet<(String, String, u16)> =
        first.into_iter().chain(last).map(|socket| (socket.host, socket.transport, socket.port)).collect();
    for service in view.by_kind(&kind::SERVICE) {
        let of = |name: &AttrName| text(service.value(name));
        let port = of(&attr::SERVER_PORT).parse().unwrap_or_default();
        let transport = of(&attr::NETWORK_TRANSPORT);
        let on = host_of(view, service);
        let [host] = on.as_slice() else {
            wrong.push(format!("{} runs on {on:?}", service.name()));
            continue;
        };
        if service.state().is_active() && !known.contains(&(host.clone(), transport, port)) {
            wrong.push(format!("{} does not listen on {host}", service.name()));
        }
    }
    wrong
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Socket {
    host: String,
    address: IpAddr,
    transport: String,
    port: u16,
    process: Option<String>,
}

/// Sockets that serve, each at an address that others reach it at.
fn listening(truth: &Truth) -> BTreeSet<Socket> {
    const FIRST_OF_CLIENTS: u16 = 32_768;
    let mut sockets = BTreeSet::new();
    for host in truth.hosts.iter().filter(|host| host.managed) {
        for (process, listen) in host
            .processes
            .iter()
            .flat_map(|process| process.listen.iter().map(move |listen| (process, listen)))
        {
            let address = listen.addr.trim_matches(['[', ']']);
            let everywhere = address == "*" || address.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
            let address = if everywhere { &host.address } else { address };
            let Ok(address) = address.parse::<IpAddr>() else { continue };
            if address.is_loopback() || (listen.proto == "udp" && listen.port >= FIRST_OF_CLIENTS) {
                continue;
            }
            sockets.insert(Socket {
                host: host.name.clone(),
                address,
                transport: listen.proto.clone(),
                port: listen.port,
                process: process.exe.clone(),
            });
        }
    }
    sockets
}

impl Verdict {
    /// Found at each level, by transport, kind and style.
    fn counts(&self) -> BTreeMap<[&str; 3], BTreeMap<&'static str, usize>> {
        let mut counts: BTreeMap<_, BTreeMap<_, usize>> = BTreeMap::new();
        let absent = self.absent.iter().map(|edge| (edge, "absent"));
        for (edge, level) in self.edges.iter().map(|(edge, level)| (edge, level.as_str())).chain(absent) {
            let row = [edge.proto.as_str(), edge.kind.as_str(), edge.style.as_str()];
            *counts.entry(row).or_default().entry(level).or_default() += 1;
        }
        counts
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        let columns: Vec<&str> = Level::ALL.iter().map(|level| level.as_str()).chain(["absent"]).collect();
        let mut line = |name: &str, cells: Vec<String>| {
            let _ = write!(out, "{name:<32}");
            cells.iter().for_each(|cell| {
                let _ = write!(out, "{cell:>9}");
            });
            out.push('\n');
        };
        line("transport, kind, style", columns.iter().map(ToString::to_string).collect());
        let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
        for (row, found) in self.counts() {
            let of = |column: &&str| found.get(*column).copied().unwrap_or(0);
            columns.iter().for_each(|column| *sums.entry(column).or_default() += of(column));
            line(&row.join(" "), columns.iter().map(|column| of(column).to_string()).collect());
        }
        line(
            "all",
            columns.iter().map(|column| sums.get(column).copied().unwrap_or(0).to_string()).collect(),
        );
        let _ = writeln!(out, "false: {}", self.wrong.len());
        self.wrong.iter().for_each(|edge| {
            let _ = writeln!(out, "  false: {edge}");
        });
        for (edge, level) in self.edges.iter().filter(|(_, level)| *level != Level::Process) {
            let _ = writeln!(out, "  {}: {}", level.as_str(), spelled(edge));
        }
        self.absent.iter().for_each(|edge| {
            let _ = writeln!(out, "  absent: {}", spelled(edge));
        });
        out
    }

    /// For programs.
    pub(crate) fn line(&self) -> String {
        let rows: Vec<_> = self
            .counts()
            .into_iter()
            .map(|([proto, kind, style], found)| json!({"proto": proto, "kind": kind, "style": style, "found": found}))
            .collect();
        json!({"lab": rows, "false": self.wrong.len(), "hosts_wrong": self.hosts.len(),
            "services_wrong": self.services.len(), "sockets": self.sockets})
        .to_string()
    }
}

/// An edge in one line.
pub(crate) fn spelled(edge: &Edge) -> String {
    format!(
        "{} on {} → {} on {} at {} {}:{} ({}, {})",
        edge.client_process,
        edge.client,
        edge.server_process,
        edge.server,
        edge.proto,
        edge.dst_addr,
        edge.port,
        edge.kind,
        edge.style
    )
}
