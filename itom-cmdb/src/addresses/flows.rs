//! Flows and sockets joined at their own time.

use std::collections::BTreeMap;
use std::net::IpAddr;

use itom_core::{CiId, Interval, Text, Timestamp};

use super::{Addresses, Holder};

/// Translations are followed this far: a chain that is longer, or runs in a circle, is a mistake in the data.
const MAX_ALIASES: usize = 8;

/// An address (and port) behind which another stood for a while: a translation, a load balancer, a cluster address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Alias {
    /// The realm of the address that is seen.
    pub realm: Text,
    /// The address that is seen.
    pub address: IpAddr,
    /// Only this port; every port if `None`.
    pub port: Option<u16>,
    /// The realm of what stands behind it.
    pub behind_realm: Text,
    /// The address that stands behind it.
    pub behind: IpAddr,
    /// The port behind it; the same if `None`.
    pub behind_port: Option<u16>,
    /// When that was so.
    pub span: Interval,
}

impl Alias {
    /// An address that stood for another one.
    #[must_use]
    pub fn new(
        realm: impl Into<Text>,
        address: IpAddr,
        behind_realm: impl Into<Text>,
        behind: IpAddr,
        span: Interval,
    ) -> Self {
        Self {
            realm: realm.into(),
            address,
            port: None,
            behind_realm: behind_realm.into(),
            behind,
            behind_port: None,
            span,
        }
    }

    /// Only for one port, which is another one behind.
    #[must_use]
    pub fn port(self, port: u16, behind: u16) -> Self {
        Self { port: Some(port), behind_port: Some(behind), ..self }
    }
}

/// One flow or socket as it was observed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Flow {
    /// The address space in which it was observed.
    pub realm: Text,
    /// Who connected.
    pub client: IpAddr,
    /// To whom.
    pub server: IpAddr,
    /// To which port.
    pub port: u16,
    /// When.
    pub at: Timestamp,
}

impl Flow {
    /// A flow from a client to a port of a server.
    #[must_use]
    pub fn new(realm: impl Into<Text>, client: IpAddr, server: IpAddr, port: u16, at: Timestamp) -> Self {
        Self { realm: realm.into(), client, server, port, at }
    }
}

/// One end of a flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum End {
    /// An item is known to have held the address at that time.
    Known {
        /// The item.
        ci: CiId,
        /// The port behind every translation.
        port: u16,
        /// Who held the translated addresses on the way (gateways, balancers), the observed one first.
        through: Vec<CiId>,
    },
    /// Nobody is known to have held it, or several may have.
    Open(Holder),
}

/// A dependency seen in flows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FlowEdge {
    /// Who connected.
    pub client: CiId,
    /// To whom.
    pub server: CiId,
    /// The port at the server itself.
    pub port: u16,
    /// What stood between, as far as it is an item.
    pub through: Vec<CiId>,
    /// How many flows.
    pub flows: u64,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
}

/// A flow with an open end. Later facts may close it: join it again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct LooseFlow {
    /// The flow.
    pub flow: Flow,
    /// Who connected, as far as known.
    pub client: End,
    /// To whom, as far as known.
    pub server: End,
}

/// Flows joined with owners.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Joined {
    /// Dependencies, sorted by client, server, port.
    pub edges: Vec<FlowEdge>,
    /// Flows with an open end, sorted.
    pub loose: Vec<LooseFlow>,
}

impl Addresses {
    /// Joins flows with whoever held their addresses when they were seen. Pure: the same flows and claims give the same
    /// edges in whatever order they came.
    #[must_use]
    pub fn join<'a>(&self, flows: impl IntoIterator<Item = &'a Flow>) -> Joined {
        // By client, server, port and what lies between: how many, first, last.
        type Edges = BTreeMap<(CiId, CiId, u16, Vec<CiId>), (u64, Timestamp, Timestamp)>;
        let mut edges = Edges::new();
        let mut loose = Vec::new();
        for flow in flows {
            // The port of the client means nothing.
            let client = self.end(&flow.realm, flow.client, None, flow.at);
            let server = self.end(&flow.realm, flow.server, Some(flow.port), flow.at);
            match (client, server) {
                (End::Known { ci: client, .. }, End::Known { ci: server, port, through }) => {
                    let seen = edges.entry((client, server, port, through)).or_insert((
                        0,
                        Timestamp::MAX,
                        Timestamp::MIN,
                    ));
                    *seen = (seen.0 + 1, seen.1.min(flow.at), seen.2.max(flow.at));
                }
                (client, server) => loose.push(LooseFlow { flow: flow.clone(), client, server }),
            }
        }
        loose.sort_unstable();
        let edges = edges
            .into_iter()
            .map(|((client, server, port, through), (flows, first, last))| FlowEdge {
                client,
                server,
                port,
                through,
                flows,
                first,
                last,
            })
            .collect();
        Joined { edges, loose }
    }

    /// Who stood behind an address (and port) at a time, through every translation that held then.
    #[must_use]
    pub fn end(&self, realm: &str, address: IpAddr, port: Option<u16>, at: Timestamp) -> End {
        let (mut realm, mut address, mut port) = (Text::from(realm), address, port);
        let mut through = Vec::new();
        for _ in 0..MAX_ALIASES {
            let Some(alias) = self.alias(&realm, address, port, at) else {
                return match self.holder(&realm, address, at) {
                    Holder::Held(ci) => End::Known { ci, port: port.unwrap_or(0), through },
                    open => End::Open(open),
                };
            };
            if let Holder::Held(ci) = self.holder(&realm, address, at) {
                through.push(ci);
            }
            port = port.map(|port| alias.behind_port.unwrap_or(port));
            (realm, address) = (alias.behind_realm.clone(), alias.behind);
        }
        End::Open(Holder::Nobody)
    }

    /// The one alias that holds for an address then; one for the port beats one for every port. Two that disagree are
    /// none: which one was meant is not known.
    fn alias(&self, realm: &Text, address: IpAddr, port: Option<u16>, at: Timestamp) -> Option<&Alias> {
        let known = self.aliases.get(&(realm.clone(), address))?;
        let then = || known.iter().filter(|alias| alias.span.contains(at));
        let exact: Vec<&Alias> = then().filter(|alias| alias.port.is_some() && alias.port == port).collect();
        let fitting =
            if exact.is_empty() { then().filter(|alias| alias.port.is_none()).collect() } else { exact };
        let [first, rest @ ..] = &fitting[..] else { return None };
        let target = |alias: &Alias| (alias.behind_realm.clone(), alias.behind, alias.behind_port);
        rest.iter().all(|other| target(other) == target(first)).then_some(*first)
    }
}
