//! What there really is, at any time, worked out from the seed on demand.

mod hold;
mod machine;
mod network;
mod workload;

use std::ops::Range;

use super::dice::{Dice, Topic};
use super::difficulty::Difficulty;
use super::{Hazard, Size};

pub(crate) use machine::{Machine, Name, Role, Serial};
pub(crate) use network::{PORTS, address_text, port_of};
pub(crate) use workload::service_type;

/// The layout of an estate: how many of what, and who is where. Everything else is a roll.
///
/// Machines are numbered through: hypervisors first, then servers, virtual machines, cluster nodes, cloud instances,
/// laptops. Machine `i` is at site `i % sites`, so that a site's machines of a role are every `sites`-th number.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) rounds: u32,
    pub(crate) sites: u64,
    pub(crate) accounts: u64,
    pub(crate) clusters: u64,
    pub(crate) machines: u64,
    /// Where each role begins, and the end.
    bounds: [u64; 7],
    /// About how many services a service uses.
    pub(crate) fan_out: u64,
    /// How many distinct images were cloned with their machine-id.
    images: u64,
    /// How many lots have a placeholder of their own.
    lots: u64,
    /// How often the laptops' addresses had been handed out anew, by round.
    leases: Vec<u64>,
}

/// A roll about a machine of one round.
pub(super) const fn at(thing: u64, round: u32) -> u64 {
    thing ^ ((round as u64 + 1) << 40)
}

impl World {
    pub(crate) fn new(seed: u64, size: &Size, difficulty: &Difficulty) -> Self {
        let dice = Dice::new(seed, difficulty);
        let machines = size.machines().max(12);
        let sites = (machines / 2_000).max(2);
        let shares = [4, 12, 44, 10, 20, 10];
        let mut bounds = [0; 7];
        for (role, share) in shares.iter().enumerate() {
            bounds[role + 1] = bounds[role] + (machines * share / 100).max(sites);
        }
        let virtuals = bounds[4] - bounds[2];
        let physical = bounds[2] + bounds[6] - bounds[5];
        let part = |hazard, of: u64, group: f64| {
            ((of as f64 * difficulty.rate(hazard) / group) as u64).clamp(1, of.max(1))
        };
        let mut handed_out = 0;
        let leases = (0..size.rounds())
            .map(|round| {
                handed_out += u64::from(round > 0 && dice.strikes(Hazard::AddressChurn, u64::from(round)));
                handed_out
            })
            .collect();
        Self {
            images: part(Hazard::ClonedMachineId, virtuals, 5.0),
            lots: part(Hazard::UnlistedSerial, physical, 20.0),
            dice,
            rounds: size.rounds(),
            sites,
            accounts: (machines / 4_000).max(2),
            clusters: ((bounds[4] - bounds[3]) / 50).max(1),
            machines: bounds[6],
            bounds,
            fan_out: size.fan_out(),
            leases,
        }
    }

    /// The machines of a role.
    pub(crate) const fn range(&self, role: Role) -> Range<u64> {
        self.bounds[role as usize]..self.bounds[role as usize + 1]
    }

    /// The machines of some roles that are at a site.
    pub(crate) fn at_site(&self, range: Range<u64>, site: u64) -> impl Iterator<Item = u64> + Clone + use<> {
        let (first, count) = self.nth_at_site(&range, site);
        let sites = self.sites;
        (0..count).map(move |index| first + index * sites)
    }

    /// The first of a site's machines in a range, and how many there are.
    pub(crate) const fn nth_at_site(&self, range: &Range<u64>, site: u64) -> (u64, u64) {
        let first = range.start + (site + self.sites - range.start % self.sites) % self.sites;
        let count = if first < range.end { (range.end - first).div_ceil(self.sites) } else { 0 };
        (first, count)
    }

    pub(crate) const fn site_of(&self, machine: u64) -> u64 {
        machine % self.sites
    }

    /// The account of a cloud instance.
    pub(crate) const fn account_of(&self, machine: u64) -> u64 {
        (machine - self.bounds[Role::Cloud as usize]) % self.accounts
    }

    /// The instances of an account.
    pub(crate) fn of_account(&self, account: u64) -> impl Iterator<Item = u64> + use<> {
        let range = self.range(Role::Cloud);
        (range.start + account..range.end).step_by(self.accounts as usize)
    }

    /// The cluster of a node.
    pub(crate) const fn cluster_of(&self, machine: u64) -> u64 {
        (machine - self.bounds[Role::Node as usize]) % self.clusters
    }

    /// The nodes of a cluster.
    pub(crate) fn of_cluster(&self, cluster: u64) -> impl Iterator<Item = u64> + use<> {
        let range = self.range(Role::Node);
        (range.start + cluster..range.end).step_by(self.clusters as usize)
    }

    /// When a hazard strikes a machine: not in the first round, since then there is a before; never in an estate of one
    /// round.
    pub(crate) fn when(&self, hazard: Hazard, machine: u64) -> Option<u32> {
        if self.rounds < 2 || !self.dice.strikes(hazard, machine) {
            return None;
        }
        let thing = machine ^ ((hazard as u64) << 44);
        Some(1 + self.dice.below(Topic::When, thing, u64::from(self.rounds - 1)) as u32)
    }

    pub(crate) fn lease_of(&self, round: u32) -> u64 {
        self.leases.get(round as usize).or(self.leases.last()).copied().unwrap_or(0)
    }
}
