//! What runs on machines, and what it uses.

use std::ops::Range;

use itom_core::{CiKind, kind};

use super::super::Hazard;
use super::super::dice::{Topic, pair};
use super::super::entity::{Class, Entity};
use super::network::LoadBalancer;
use super::{Role, World};

/// Rounds after which a service looks for another peer.
const PEER_ROUNDS: u64 = 24;
/// Rounds that a process lives.
const PROCESS_ROUNDS: u64 = 40;
/// Rounds that a pod lives.
const POD_ROUNDS: u64 = 12;
/// Pods on each node.
const PODS_A_NODE: u64 = 8;
/// Room for the services of a machine in the numbering.
const SERVICES: u64 = 4;

/// What listens: name, port, kind.
static TYPES: [(&str, u16, CiKind); 10] = [
    ("nginx", 443, CiKind::literal("service.nginx")),
    ("postgresql", 5432, CiKind::literal("service.postgresql")),
    ("redis", 6379, CiKind::literal("service.redis")),
    ("java", 8080, kind::SERVICE),
    ("rabbitmq", 5672, CiKind::literal("service.rabbitmq")),
    ("mysql", 3306, CiKind::literal("service.mysql")),
    ("kafka", 9092, CiKind::literal("service.kafka")),
    ("haproxy", 8443, CiKind::literal("service.haproxy")),
    ("elasticsearch", 9200, CiKind::literal("service.elasticsearch")),
    ("node", 3000, kind::SERVICE),
];

/// The name, port and kind of a service.
pub(crate) fn service_type(world: &World, service: u64) -> &'static (&'static str, u16, CiKind) {
    let start = world.dice.roll(Topic::Services, service / SERVICES) >> 8;
    &TYPES[((start + service % SERVICES) % TYPES.len() as u64) as usize]
}

/// What a service uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Service(u64),
    LoadBalancer(u64),
}

/// What a service uses, and how it gets there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) target: Target,
    pub(crate) address: u32,
    pub(crate) port: u16,
}

impl Target {
    pub(crate) const fn entity(self) -> Entity {
        match self {
            Self::Service(service) => Entity::first(Class::Service, service),
            Self::LoadBalancer(number) => Entity::first(Class::LoadBalancer, number),
        }
    }
}

impl World {
    /// The services of a machine.
    pub(crate) fn services(&self, machine: u64) -> Range<u64> {
        let count = match self.role_of(machine) {
            Role::Server | Role::Virtual | Role::Cloud => 1 + self.dice.below(Topic::Services, machine, 3),
            Role::Node => 1,
            Role::Hypervisor | Role::Laptop => 0,
        };
        machine * SERVICES..machine * SERVICES + count
    }

    pub(crate) const fn machine_of_service(service: u64) -> u64 {
        service / SERVICES
    }

    /// Which process of those that followed each other provides a service.
    pub(crate) const fn process_generation(&self, service: u64, round: u32) -> u32 {
        let phase = self.dice.below(Topic::Restart, service, PROCESS_ROUNDS);
        ((round as u64 + phase) / PROCESS_ROUNDS) as u32
    }

    /// How many places for peers a service has.
    pub(crate) const fn peer_places(&self, service: u64) -> u64 {
        self.dice.below(Topic::Peer, service, self.fan_out * 2 + 1)
    }

    /// What a service uses in one of its places, if that is there in this round.
    pub(crate) fn peer(&self, service: u64, place: u64, round: u32) -> Option<Peer> {
        let slot = pair(service, place);
        let phase = self.dice.below(Topic::PeerTime, slot, PEER_ROUNDS);
        let epoch = (u64::from(round) + phase) / PEER_ROUNDS;
        let slot = slot ^ epoch << 52;
        let machine = Self::machine_of_service(service);
        let roll = self.dice.roll(Topic::Peer, slot);
        let cloud = self.role_of(machine) == Role::Cloud;
        if !cloud && roll.is_multiple_of(10) {
            let LoadBalancer { number, address } = self.load_balancer(self.site_of(machine), roll >> 8);
            return Some(Peer { target: Target::LoadBalancer(number), address, port: 443 });
        }
        // Few are used by many.
        let unit = (roll >> 11) as f64 / (1_u64 << 53) as f64;
        let skewed = |count: u64| ((unit * unit * count as f64) as u64).min(count.saturating_sub(1));
        let other = if cloud {
            let range = self.range(Role::Cloud);
            let first = range.start + self.account_of(machine);
            first + skewed((range.end - first).div_ceil(self.accounts)) * self.accounts
        } else {
            let range = self.range(Role::Server).start..self.range(Role::Virtual).end;
            let (first, count) = self.nth_at_site(&range, self.site_of(machine));
            first + skewed(count) * self.sites
        };
        let services = self.services(other);
        let count = services.end - services.start;
        if count == 0 {
            return None;
        }
        let target = services.start + roll % 97 % count;
        if other == machine || !self.is_alive(other, round) {
            return None;
        }
        let mut address = self.address(other, round);
        if self.dice.strikes(Hazard::Nat, slot) {
            address = 100 << 24 | 64 << 16 | (other / self.sites) as u32 & 0xffff;
        }
        Some(Peer { target: Target::Service(target), address, port: service_type(self, target).1 })
    }

    /// The packages of a machine: which of the known ones, and in which version.
    pub(crate) fn packages(&self, machine: u64) -> impl Iterator<Item = (u64, u64)> + use<'_> {
        let count = match self.role_of(machine) {
            Role::Hypervisor => 0,
            _ => 2 + self.dice.below(Topic::Software, machine, 3),
        };
        (0..count).map(move |place| {
            let package = place * 16 + self.dice.below(Topic::Package, pair(machine, place), 16);
            (place, package)
        })
    }

    /// Which pod of those that followed each other has a place on a node.
    pub(crate) const fn pod_generation(&self, pod: u64, round: u32) -> u32 {
        let phase = self.dice.below(Topic::Pod, pod, POD_ROUNDS);
        ((round as u64 + phase) / POD_ROUNDS) as u32
    }

    /// The pods' places of a node.
    pub(crate) const fn pods(node: u64) -> Range<u64> {
        node * PODS_A_NODE..(node + 1) * PODS_A_NODE
    }

    /// How many services a cluster has.
    pub(crate) fn cluster_services(&self) -> u64 {
        2 * ((self.range(Role::Node).end - self.range(Role::Node).start) / self.clusters).max(1)
    }

    /// The cluster's service that a pod is part of.
    pub(crate) fn service_of_pod(&self, pod: u64) -> u64 {
        let cluster = self.cluster_of(pod / PODS_A_NODE);
        cluster * self.cluster_services() + self.dice.below(Topic::Member, pod, self.cluster_services())
    }

    pub(crate) const fn applications(&self) -> u64 {
        self.machines / 10 + 1
    }

    pub(crate) const fn business_services(&self) -> u64 {
        self.machines / 40 + 1
    }

    pub(crate) const fn teams(&self) -> u64 {
        self.machines / 50 + 1
    }

    /// The services an application is made of: of the machines of one site.
    pub(crate) fn parts(&self, application: u64) -> impl Iterator<Item = u64> + use<'_> {
        let range = self.range(Role::Virtual);
        let (first, count) = self.nth_at_site(&range, application % self.sites);
        (0..3_u64).filter_map(move |place| {
            let roll = self.dice.below(Topic::Member, pair(application, place) | 1 << 60, count.max(1));
            self.services(first + roll * self.sites).next()
        })
    }

    pub(crate) const fn team_of(&self, application: u64) -> u64 {
        self.dice.below(Topic::Team, application, self.teams())
    }

    /// The applications a business service needs.
    pub(crate) fn needs(&self, business: u64) -> impl Iterator<Item = u64> + use<'_> {
        (0..4_u64).map(move |place| {
            self.dice.below(Topic::Team, pair(business, place) | 1 << 60, self.applications())
        })
    }
}
