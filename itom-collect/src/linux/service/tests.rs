//! Laws of grouping and of dependencies, on tables made by hand, and one round on the real machine.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use itom_core::{Batch, Clock as _, Key, Observation, Realm, SourceName, Subject, SystemClock, relation};
use proptest::prelude::*;

use super::ServiceCollector;
use super::collector::ContainerAddresses;
use super::edge::{Dependencies, Evidence, From, Memory, To, derive};
use super::emit::{self, Naming};
use super::group::Services;
use super::version::Versions;
use crate::linux::process::{Process, ProcessTable};
use crate::linux::socket::{Caught, Namespace, Opener, Socket, SocketTable, State, Transport};
use crate::{Cancel, CollectContext, Collector};

const OWN: u64 = 1;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

fn process(pid: u32, parent: u32, executable: &str, sockets: &[u64]) -> Process {
    Process {
        pid,
        parent,
        start_ticks: u64::from(pid),
        executable: Some(executable.to_owned()),
        net_namespace: Some(OWN),
        sockets: Some(sockets.to_vec()),
        uid: Some(0),
        ..Process::default()
    }
}

fn machine(processes: Vec<Process>) -> ProcessTable {
    ProcessTable {
        processes: processes.into_iter().map(|process| (process.pid, process)).collect(),
        own_net_namespace: Some(OWN),
        ..ProcessTable::default()
    }
}

fn tcp(inode: u64, state: State, local: &str, remote: &str) -> Socket {
    Socket {
        namespace: OWN,
        transport: Transport::Tcp,
        state,
        local: at(local),
        remote: at(remote),
        inode,
        cookie: inode,
        opener: Opener::Unknown,
        receive_queue: 0,
        v6_only: false,
        confirmed: true,
    }
}

fn listen(inode: u64, local: &str) -> Socket {
    tcp(inode, State::LISTEN, local, "0.0.0.0:0")
}

fn open(inode: u64, local: &str, remote: &str) -> Socket {
    tcp(inode, State::ESTABLISHED, local, remote)
}

fn network(sockets: Vec<Socket>, closed: Vec<Socket>) -> SocketTable {
    let addresses = vec!["10.0.0.5".parse().expect("an address"), "127.0.0.1".parse().expect("an address")];
    let own = Namespace { own: true, addresses, port_range: (32_768, 60_999), complete: true };
    SocketTable { namespaces: [(OWN, own)].into(), sockets, closed, caught: Vec::new() }
}

fn edges(found: &Dependencies) -> Vec<(From, To, String)> {
    found.edges.keys().map(|(from, to, _, peer)| (from.clone(), to.clone(), peer.to_string())).collect()
}

fn once(processes: &ProcessTable, sockets: &SocketTable) -> (Services, Dependencies, Memory) {
    let services = Services::group(processes, sockets);
    let (found, memory) = derive(processes, sockets, &services, &Memory::default());
    (services, found, memory)
}

fn service(id: &str) -> From {
    From::Service(id.to_owned())
}

#[test]
fn workers_and_backends_are_one_service() {
    let processes = machine(vec![
        process(1, 0, "/sbin/init", &[10]),
        process(5, 1, "/usr/sbin/nginx", &[10, 11]),
        process(6, 5, "/usr/sbin/nginx", &[10, 11]),
        process(7, 1, "/usr/lib/postgresql/15/bin/postgres", &[12]),
        // A backend closed the listening socket; a helper of another program inherited one.
        process(8, 7, "/usr/lib/postgresql/15/bin/postgres", &[20]),
        process(9, 5, "/usr/bin/logger", &[10]),
    ]);
    let sockets = network(
        vec![listen(10, "0.0.0.0:80"), listen(11, "[::]:80"), listen(12, "127.0.0.1:5432")],
        Vec::new(),
    );
    let (services, ..) = once(&processes, &sockets);
    let ids: Vec<&str> = services.list.iter().map(|service| service.id.as_str()).collect();
    assert_eq!(ids, ["svc:nginx:tcp:0.0.0.0:80", "svc:postgres:tcp:127.0.0.1:5432"]);
    assert_eq!(services.list[0].processes.iter().copied().collect::<Vec<_>>(), [5, 6]);
    assert_eq!(services.list[1].processes.iter().copied().collect::<Vec<_>>(), [7, 8]);
    assert_eq!((services.list[0].main, services.list[1].main), (Some(5), Some(7)));
}

#[test]
fn directions() {
    let processes = machine(vec![
        process(5, 1, "/usr/sbin/nginx", &[10, 20, 21]),
        process(7, 1, "/usr/bin/redis-server", &[12, 22]),
        process(9, 1, "/usr/bin/curl", &[23, 24]),
    ]);
    let sockets = network(
        vec![
            listen(10, "0.0.0.0:80"),
            listen(12, "127.0.0.1:6379"),
            // nginx asks redis; redis' own end; a client from outside; curl asks a remote server.
            open(20, "127.0.0.1:40000", "127.0.0.1:6379"),
            open(22, "127.0.0.1:6379", "127.0.0.1:40000"),
            open(21, "10.0.0.5:80", "10.0.0.9:50000"),
            open(23, "10.0.0.5:41000", "10.0.0.8:443"),
            // Both ports could be a client's, and nothing else is known: nothing is said.
            open(24, "10.0.0.5:41001", "10.0.0.8:50051"),
        ],
        Vec::new(),
    );
    let (_, found, _) = once(&processes, &sockets);
    assert_eq!(
        edges(&found),
        [
            (
                service("svc:nginx:tcp:0.0.0.0:80"),
                To::Service("svc:redis-server:tcp:127.0.0.1:6379".into()),
                "127.0.0.1:6379".into()
            ),
            (From::Program("prog:curl:uid:0".into()), To::Remote, "10.0.0.8:443".into()),
        ]
    );
    // The socket's own counters settle what ports cannot, in either direction.
    for (opener, expected) in [(Opener::Local, 3), (Opener::Remote, 2)] {
        let mut sockets = network(sockets.sockets.clone(), Vec::new());
        sockets.sockets[6].opener = opener;
        assert_eq!(once(&processes, &sockets).1.edges.len(), expected);
    }
}

#[test]
fn closed_connections_go_to_who_is_known_or_to_the_host() {
    let processes = machine(vec![process(5, 1, "/usr/bin/app", &[20]), process(6, 1, "/usr/bin/other", &[])]);
    let first = network(vec![open(20, "10.0.0.5:40000", "10.0.0.8:5432")], Vec::new());
    let (_, _, memory) = once(&processes, &first);
    let mut refused = tcp(0, State::CLOSE, "10.0.0.5:40003", "10.0.0.8:81");
    refused.confirmed = false;
    let mut test_of_source = tcp(0, State::ESTABLISHED, "10.0.0.5:40004", "10.0.0.8:443");
    test_of_source.transport = Transport::Udp;
    let closed = vec![
        tcp(0, State::CLOSE, "10.0.0.5:40001", "10.0.0.8:5432"),
        tcp(0, State::CLOSE, "10.0.0.5:40002", "10.0.0.8:80"),
        refused,
        test_of_source,
    ];
    let second = network(Vec::new(), closed);
    let services = Services::group(&processes, &second);
    let (found, _) = derive(&processes, &second, &services, &memory);
    let app = From::Program("prog:app:uid:0".into());
    assert_eq!(
        edges(&found),
        [(app, To::Remote, "10.0.0.8:5432".into()), (From::Host, To::Remote, "10.0.0.8:80".into())]
    );
    assert!(found.edges.values().all(|evidence| *evidence == Evidence { open: 0, closed: 1, lingering: 0 }));
    // A program depends on what it uses; a machine only talked to what somebody on it used.
    let host = Key::host_name("web-1");
    let naming = Naming { host: &host, realm: &Realm::GLOBAL, containers: ContainerAddresses::OfHost };
    let mut batch = Batch::new(SourceName::literal("t"), SystemClock::new().now());
    emit::dependencies(&mut batch, &naming, &processes, &found, false);
    let mut said = Vec::new();
    for item in batch.items() {
        match item {
            Observation::Relation(edge) if matches!(&edge.to, Subject::Key(key) if *key != host) => {
                said.push((edge.from == Subject::Key(host.clone()), edge.kind.as_str()));
            }
            _ => {}
        }
    }
    said.sort_unstable();
    assert_eq!(said, [(false, "connects_to"), (false, "depends_on"), (true, "connects_to")]);
    // The program is gone, and nobody else gets its connection.
    let (found, _) = derive(&machine(vec![]), &second, &services, &memory);
    assert!(found.edges.keys().all(|(from, ..)| *from == From::Host));
}

#[test]
fn a_caught_connection_names_its_program() {
    let processes = machine(vec![process(5, 1, "/usr/bin/app", &[])]);
    let short = open(20, "10.0.0.5:40000", "10.0.0.8:80");
    let mut sockets = network(Vec::new(), vec![Socket { inode: 0, ..short.clone() }]);
    let (_, found, _) = once(&processes, &sockets);
    assert_eq!(edges(&found)[0].0, From::Host);
    assert_eq!(found.unknown.len(), 1);
    // A pid that was used again is another process: the host keeps the edge.
    for (start, expected) in [(5, From::Program("prog:app:uid:0".into())), (4, From::Host)] {
        sockets.caught = vec![Caught { socket: short.clone(), holders: vec![(5, start)] }];
        let (_, found, _) = once(&processes, &sockets);
        assert_eq!(edges(&found), [(expected, To::Remote, "10.0.0.8:80".into())]);
    }
}

/// Every machine of a cluster may have its own name server at 169.254.20.10: another machine's is not meant.
#[test]
fn link_local_addresses_stay_inside_the_machine() {
    let processes = machine(vec![
        process(5, 1, "/usr/bin/node-cache", &[10, 11]),
        process(9, 1, "/usr/bin/curl", &[20, 21]),
    ]);
    let sockets = network(
        vec![
            listen(10, "169.254.20.10:53"),
            listen(11, "10.0.0.5:53"),
            open(20, "10.0.0.5:40000", "169.254.169.254:80"),
            open(21, "10.0.0.5:40001", "10.0.0.9:80"),
        ],
        Vec::new(),
    );
    let (services, found, _) = once(&processes, &sockets);
    let to: Vec<To> = edges(&found).into_iter().map(|(_, to, _)| to).collect();
    assert_eq!(to, [To::Remote, To::Inside(OWN)]);

    let host = Key::host_name("web-1");
    let naming = Naming { host: &host, realm: &Realm::GLOBAL, containers: ContainerAddresses::OfHost };
    let mut batch = Batch::new(SourceName::literal("t"), SystemClock::new().now());
    emit::services(&mut batch, &naming, &processes, &sockets, &services, &Versions::default(), false);
    emit::dependencies(&mut batch, &naming, &processes, &found, false);
    let global = |key: &Key| *key.realm() == Realm::GLOBAL && key.kind().as_str() == "endpoint";
    let (mut claimed, mut meant) = (Vec::new(), Vec::new());
    for item in batch.items() {
        match item {
            Observation::Ci(ci) => claimed.extend(ci.keys.iter().filter(|key| global(key))),
            Observation::Relation(edge) if edge.kind == relation::DEPENDS_ON => match &edge.to {
                Subject::Key(key) if global(key) => meant.push(key),
                _ => {}
            },
            _ => {}
        }
    }
    assert_eq!(claimed.iter().map(|key| key.value()).collect::<Vec<_>>(), ["tcp:10.0.0.5:53"]);
    assert_eq!(meant.iter().map(|key| key.value()).collect::<Vec<_>>(), ["tcp:10.0.0.9:80"]);
}

#[test]
fn overlapping_namespaces_need_both_ends() {
    let mut server = process(7, 1, "/usr/bin/redis-server", &[12, 22]);
    server.net_namespace = Some(2);
    let processes = machine(vec![process(5, 1, "/usr/bin/app", &[20]), server]);
    let mut sockets = network(vec![open(20, "10.0.0.5:40000", "10.0.0.9:6379")], Vec::new());
    let addresses = vec!["10.0.0.9".parse().expect("an address")];
    sockets
        .namespaces
        .insert(2, Namespace { addresses, port_range: (32_768, 60_999), ..Namespace::default() });
    sockets.sockets.push(Socket { namespace: 2, ..listen(12, "0.0.0.0:6379") });
    let (_, found, _) = once(&processes, &sockets);
    assert_eq!(edges(&found)[0].1, To::Remote, "the address may be another machine's");
    sockets.sockets.push(Socket { namespace: 2, ..open(22, "10.0.0.9:6379", "10.0.0.5:40000") });
    let (_, found, _) = once(&processes, &sockets);
    assert_eq!(edges(&found)[0].1, To::Service("svc:redis-server:tcp:0.0.0.0:6379@netns:2".into()));
}

proptest! {
    #[test]
    fn l1_order_of_sockets_does_not_matter(order in Just((0..9_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let processes = machine(vec![
            process(5, 1, "/usr/sbin/nginx", &[10, 20, 21]),
            process(6, 5, "/usr/sbin/nginx", &[10]),
            process(7, 1, "/usr/bin/redis-server", &[12, 22]),
            process(9, 1, "/usr/bin/curl", &[23, 24]),
        ]);
        let all = [
            listen(10, "0.0.0.0:80"),
            listen(12, "127.0.0.1:6379"),
            listen(13, "0.0.0.0:99"),
            open(20, "127.0.0.1:40000", "127.0.0.1:6379"),
            open(22, "127.0.0.1:6379", "127.0.0.1:40000"),
            open(21, "10.0.0.5:80", "10.0.0.9:50000"),
            open(23, "10.0.0.5:41000", "10.0.0.8:443"),
            open(24, "10.0.0.5:41001", "127.0.0.1:80"),
            // Without an owner, to a peer that only curl is known with.
            open(0, "10.0.0.5:41002", "10.0.0.8:443"),
        ];
        let shuffled = order.iter().map(|index| all[*index].clone()).collect();
        let (services, found, _) = once(&processes, &network(all.to_vec(), Vec::new()));
        let (other_services, other_found, _) = once(&processes, &network(shuffled, Vec::new()));
        prop_assert_eq!(edges(&found), edges(&other_found));
        prop_assert!(found.edges.keys().all(|(from, ..)| *from != From::Host));
        let ids = |services: &Services| services.list.iter().map(|service| service.id.clone()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&services), ids(&other_services));
    }

    /// A server's end never becomes a dependency, whatever the other end's port is.
    #[test]
    fn a_server_never_depends_on_its_client(port in 1_u16.., remote in 1_u16..) {
        prop_assume!(port != remote);
        let processes = machine(vec![process(5, 1, "/usr/bin/server", &[10, 20])]);
        let local = format!("10.0.0.5:{port}");
        let sockets =
            network(vec![listen(10, &local), open(20, &local, &format!("10.0.0.9:{remote}"))], Vec::new());
        prop_assert!(once(&processes, &sockets).1.edges.is_empty());
    }
}

#[test]
fn a_round_on_this_machine() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("bound").port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo up >&3; read -r line <&3");
    let Ok(mut client) = std::process::Command::new("bash").args(["-c", &script]).spawn() else {
        eprintln!("skipped: there is no bash to be the client");
        return;
    };
    let (mut accepted, _) = server.accept().expect("the client connects");
    let clock = Arc::new(SystemClock::new());
    let now = clock.now();
    let cx = CollectContext::new(clock, now + Duration::from_secs(30), Cancel::new());
    let mut batch = Batch::new(SourceName::literal("test"), now);
    let collector = ServiceCollector::new();
    let coverage = futures::executor::block_on(collector.collect(&cx, &mut batch)).expect("a round");
    batch.finish(coverage);
    accepted.write_all(b"end\n").expect("the client waits");
    let _ = client.wait();

    let id = batch.items().iter().find_map(|item| match item {
        Observation::Ci(ci) if ci.keys.iter().any(|key| key.value() == format!("tcp:127.0.0.1:{port}")) => {
            Some(ci.subject.clone())
        }
        _ => None,
    });
    let id = id.expect("the listening test is a service");
    let mut onto = Vec::new();
    for item in batch.items() {
        if let Observation::Relation(edge) = item
            && edge.kind == relation::DEPENDS_ON
        {
            assert_ne!(edge.from, edge.to);
            if edge.to == Subject::Native(id.clone()) {
                onto.push(edge.from.to_string());
            }
            assert!(edge.from != Subject::Native(id.clone()) || !edge.to.to_string().contains("bash"));
        }
    }
    assert!(onto.len() == 1 && onto[0].starts_with("prog:bash:"), "the client depends on the test: {onto:?}");
}
