//! Who looks at the estate, when, and what they write down.

mod agent;
mod cloud;
mod documents;
mod kubernetes;
mod manager;
mod network;
mod pen;
mod poller;
mod traffic;

use std::fmt::Write as _;

use itom_core::{Batch, Key, SourceName, Text};

use super::delivery::Meaning;
use super::dice::{Topic, mix};
use super::world::{Name, PORTS, Role, World, address_text, at, service_type};
use super::{Hazard, time_of};
use pen::{Luck, Pen};

/// One source of observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The agent's account of the machine and its interfaces.
    Host(u64),
    /// The agent's account of what runs and is installed there.
    Services(u64),
    /// The agent in a container.
    Guest(u64),
    /// The manager of a site's hypervisors.
    Manager(u64),
    /// The programming interface of a cloud account.
    Account(u64),
    /// The programming interface of a cluster.
    Cluster(u64),
    /// Network discovery of a site.
    Network(u64),
    /// The site's part of the asset spreadsheet.
    Sheet(u64),
    /// A site's monitoring.
    Monitoring(u64),
    /// A site's flow records.
    Flow(u64),
    /// The catalogue of applications.
    Catalog,
    /// A site's poller of interfaces.
    Poller(u64),
}

/// Sources of each kind, in the order of their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    ends: [u64; 12],
}

impl Roster {
    pub(crate) const fn new(world: &World) -> Self {
        let counts = [
            world.machines,
            world.machines,
            world.machines,
            world.sites,
            world.accounts,
            world.clusters,
            world.sites,
            world.sites,
            world.sites,
            world.sites,
            1,
            world.sites,
        ];
        let mut ends = [0; 12];
        let mut sum = 0;
        let mut index = 0;
        while index < counts.len() {
            sum += counts[index];
            ends[index] = sum;
            index += 1;
        }
        Self { ends }
    }

    pub(crate) const fn len(&self) -> u64 {
        self.ends[11]
    }

    pub(crate) fn source(&self, number: u64) -> Source {
        let class = self.ends.iter().position(|end| number < *end).unwrap_or(11);
        let local = number - class.checked_sub(1).map_or(0, |before| self.ends[before]);
        match class {
            0 => Source::Host(local),
            1 => Source::Services(local),
            2 => Source::Guest(local),
            3 => Source::Manager(local),
            4 => Source::Account(local),
            5 => Source::Cluster(local),
            6 => Source::Network(local),
            7 => Source::Sheet(local),
            8 => Source::Monitoring(local),
            9 => Source::Flow(local),
            10 => Source::Catalog,
            _ => Source::Poller(local),
        }
    }
}

impl Source {
    /// Rounds from one run to the next.
    const fn period(self) -> u32 {
        match self {
            Self::Network(_) | Self::Poller(_) => 2,
            Self::Sheet(_) | Self::Catalog => 4,
            _ => 1,
        }
    }

    /// Whether it can be broken in the way that it sees nothing and does not notice.
    const fn is_manager(self) -> bool {
        matches!(self, Self::Manager(_) | Self::Account(_) | Self::Cluster(_))
    }

    /// Whether there is such a source and it runs in this round.
    pub(crate) fn runs(self, world: &World, round: u32) -> bool {
        if !round.is_multiple_of(self.period()) {
            return false;
        }
        match self {
            Self::Host(machine) | Self::Services(machine) => {
                has_agent(world, machine) && world.is_alive(machine, round)
            }
            Self::Guest(machine) => world.has_guest(machine) && world.is_alive(machine, round),
            _ => true,
        }
    }

    /// What it writes in a round; `number` is its number in the roster, `micros` when in the round it runs.
    pub(crate) fn write(self, world: &World, number: u64, round: u32, micros: i64) -> (Batch, Vec<Meaning>) {
        let dice = &world.dice;
        let run = at(number, round);
        let roll = dice.roll(Topic::Drop, run);
        let luck = if self.is_manager() && round > 0 && dice.strikes(Hazard::BrokenRun, run) {
            Luck::Broken
        } else if dice.strikes(Hazard::FailedRun, run) {
            Luck::Failed
        } else if dice.strikes(Hazard::PartialRun, run) {
            Luck::Partial(roll >> 8)
        } else {
            Luck::Good
        };
        let off = dice.roll(Topic::Skew, number);
        let skew = if dice.strikes(Hazard::ClockSkew, number) {
            // 5 minutes to 6 hours.
            300_000_000 + (off % 21_300_000_000) as i64
        } else if dice.strikes_at_all(Hazard::ClockSkew) {
            (off % 20_000_000) as i64
        } else {
            0
        };
        let skew = if off >> 63 == 0 { skew } else { -skew };
        let taken_at = itom_core::Timestamp::from_micros(time_of(round).as_micros() + micros + skew);
        let scopes = match self {
            Self::Host(_) | Self::Guest(_) => agent::HOST_SCOPES,
            Self::Services(_) => agent::SERVICE_SCOPES,
            Self::Manager(_) => manager::SCOPES,
            Self::Account(_) => cloud::SCOPES,
            Self::Cluster(_) => kubernetes::SCOPES,
            Self::Network(_) => network::SCOPES,
            Self::Sheet(_) => documents::SHEET_SCOPES,
            Self::Monitoring(_) => traffic::MONITORING_SCOPES,
            Self::Flow(_) => &[],
            Self::Catalog => documents::CATALOG_SCOPES,
            Self::Poller(_) => poller::SCOPES,
        };
        let name = SourceName::new(self.name(world, round))
            .unwrap_or_else(|_| SourceName::literal("a-source-without-a-name"));
        let mut pen = Pen::new(name, taken_at, scopes, luck, mix(roll));
        if matches!(luck, Luck::Good | Luck::Partial(_)) {
            match self {
                Self::Host(machine) => agent::host(world, machine, round, &mut pen),
                Self::Services(machine) => agent::services(world, machine, round, &mut pen),
                Self::Guest(machine) => agent::guest(world, machine, round, &mut pen),
                Self::Manager(site) => manager::write(world, site, round, &mut pen),
                Self::Account(account) => cloud::write(world, account, round, &mut pen),
                Self::Cluster(cluster) => kubernetes::write(world, cluster, round, &mut pen),
                Self::Network(site) => network::write(world, site, round, &mut pen),
                Self::Sheet(site) => documents::sheet(world, site, round, &mut pen),
                Self::Monitoring(site) => traffic::monitoring(world, site, round, &mut pen),
                Self::Flow(site) => traffic::flows(world, site, round, &mut pen),
                Self::Catalog => documents::catalog(world, &mut pen),
                Self::Poller(site) => poller::write(world, site, round, &mut pen),
            }
        }
        pen.finish()
    }

    /// The name of the source: its family, and which one. Agents are named after their machine as it is called now.
    fn name(self, world: &World, round: u32) -> String {
        let agent = |family: &str, machine: u64, tail: &str| {
            let name = world.name(machine, round);
            let mut text = format!("{family}@");
            match name.default {
                Some(_) => text.push_str(&instance_id(world, machine)),
                None => push_short(&mut text, &name),
            }
            text.push_str(tail);
            text
        };
        match self {
            Self::Host(machine) => agent("linux.host", machine, ""),
            Self::Services(machine) => agent("linux.service", machine, ""),
            Self::Guest(machine) => agent("linux.host", machine, "-ct1"),
            Self::Manager(site) => format!("hypervisor@vc-{site}"),
            Self::Account(account) => format!("cloud@account-{account}"),
            Self::Cluster(cluster) => format!("kubernetes@cluster-{cluster}"),
            Self::Network(site) => format!("network@site-{site}"),
            Self::Sheet(site) => format!("cmdb.sheet@site-{site}"),
            Self::Monitoring(site) => format!("monitoring@site-{site}"),
            Self::Flow(site) => format!("flow@site-{site}"),
            Self::Catalog => "catalog".to_owned(),
            Self::Poller(site) => format!("poller@site-{site}"),
        }
    }
}

/// Whether anybody installed an agent.
pub(crate) fn has_agent(world: &World, machine: u64) -> bool {
    let share = match world.role_of(machine) {
        // Hypervisors are appliances, mostly.
        Role::Hypervisor => 0.3,
        Role::Node => 1.0,
        Role::Laptop => 0.9,
        _ => 0.95,
    };
    world.dice.share(Topic::Monitored, machine, share)
}

fn push_short(text: &mut String, name: &Name) {
    let tail = if name.version == 0 { "" } else { "b" };
    // Writing to a string does not fail.
    let _ = match name.default {
        Some(address) => {
            let [a, b, c, d] = address.to_be_bytes();
            write!(text, "ip-{a}-{b}-{c}-{d}")
        }
        None => write!(text, "{}-{:06}{tail}", name.prefix, name.owner),
    };
}

/// The short name of a machine.
fn short(name: &Name) -> String {
    let mut text = String::with_capacity(16);
    push_short(&mut text, name);
    text
}

/// The full name of a machine.
fn full(name: &Name) -> String {
    let mut text = String::with_capacity(40);
    push_short(&mut text, name);
    let _ = match name.default {
        Some(_) => text.write_str(".ec2.internal"),
        None => write!(text, ".s{}.example.net", name.site),
    };
    text
}

/// The id a cloud gave an instance.
fn instance_id(world: &World, machine: u64) -> String {
    format!("i-{:017x}", world.dice.roll(Topic::Uuid, machine | 1 << 50) >> 4 | machine << 60 >> 4)
}

/// The key by which the agents of one machine refer to it.
fn host_key(machine_id: u128) -> Option<Key> {
    Key::machine_id(&format!("{machine_id:032x}")).ok()
}

fn literal(text: &'static str) -> Text {
    Text::literal(text)
}
