//! Sites, racks, switches, addresses.

use std::net::Ipv4Addr;

use super::super::Hazard;
use super::super::entity::{Class, Entity};
use super::{Role, World};

/// Places for machines in a rack, and ports of its switch for them.
pub(crate) const RACK: u64 = 20;
/// The first ports of a switch lead to the two routers.
const UPLINKS: u64 = 2;
/// Room for the ports of one device in the numbering.
pub(crate) const PORTS: u64 = 4_096;

pub(crate) fn address_text(address: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(address)
}

/// The number of a port of a switch; routers have theirs after all switches.
pub(crate) const fn port_of(device: u64, port: u64) -> u64 {
    device * PORTS + port
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadBalancer {
    pub(crate) number: u64,
    pub(crate) address: u32,
}

impl LoadBalancer {
    pub(crate) const fn entity(self) -> Entity {
        Entity::first(Class::LoadBalancer, self.number)
    }
}

impl World {
    /// The first address of a site's network: 10.x.0.0.
    pub(crate) fn network(&self, site: u64) -> u32 {
        let shared = self.dice.strikes(Hazard::OverlappingAddresses, site);
        let second = if shared { 0 } else { 1 + (site % 200) as u32 };
        10 << 24 | second << 16
    }

    /// The address of a machine. Unique in its site's or account's network in every round.
    pub(crate) fn address(&self, machine: u64, round: u32) -> u32 {
        match self.role_of(machine) {
            Role::Cloud => {
                let local = (machine - self.range(Role::Cloud).start) / self.accounts;
                10 << 24 | (256 + local as u32)
            }
            Role::Laptop => {
                let (first, count) = self.nth_at_site(&self.range(Role::Laptop), self.site_of(machine));
                let local = (machine - first) / self.sites;
                // Twice as many addresses as laptops: some are free, and the next lease takes another's.
                let place = (local + self.lease_of(round) * 7) % (count * 2).max(1);
                172 << 24 | 16 << 16 | (256 + place as u32)
            }
            _ => self.network(self.site_of(machine)) | (256 + (machine / self.sites) as u32),
        }
    }

    /// The rack of a physical machine that does not travel.
    pub(crate) fn rack_of(&self, machine: u64) -> Option<u64> {
        matches!(self.role_of(machine), Role::Hypervisor | Role::Server)
            .then(|| machine / self.sites / RACK * self.sites + self.site_of(machine))
    }

    /// The racks of a site; each has a switch of the same number.
    pub(crate) fn racks(&self, site: u64) -> impl Iterator<Item = u64> + use<> {
        let sites = self.sites;
        let count = (self.range(Role::Server).end / sites).div_ceil(RACK).max(1);
        (0..count).map(move |rack| rack * sites + site)
    }

    /// The port of a switch that an interface's frames come in at: of the machine, or of what it runs on.
    pub(crate) fn switch_port(&self, machine: u64, round: u32) -> Option<u64> {
        let body = match self.role_of(machine) {
            Role::Hypervisor | Role::Server => machine,
            Role::Virtual | Role::Node => self.hypervisor(machine, round),
            Role::Cloud | Role::Laptop => return None,
        };
        Some(port_of(self.rack_of(body)?, UPLINKS + body / self.sites % RACK))
    }

    /// The router of a site that a switch's uplink leads to.
    pub(crate) const fn router(&self, site: u64, which: u64) -> u64 {
        site * 2 + which
    }

    /// The ports of a switch: uplinks and places.
    pub(crate) const fn switch_ports() -> u64 {
        UPLINKS + RACK
    }

    pub(crate) const fn router_mac(router: u64) -> u64 {
        0x00_1b0d << 24 | router
    }

    pub(crate) const fn switch_mac(switch: u64) -> u64 {
        0x00_1c73 << 24 | switch
    }

    pub(crate) const fn port_mac(port: u64) -> u64 {
        // 40 bits of ports would not fit: a second vendor prefix takes the overflow.
        (0x70_b3d5 << 24) + port
    }

    pub(crate) const fn dock_mac(dock: u64) -> u64 {
        0x48_65ee << 24 | dock & 0xff_ffff
    }

    /// The virtual address of a site's router pair, if it is one.
    pub(crate) fn virtual_router(&self, site: u64) -> Option<u64> {
        self.dice.strikes(Hazard::VirtualRouter, site).then_some(0x00_005e_0001 << 8 | (1 + site % 250))
    }

    /// The load balancers of a site.
    pub(crate) fn load_balancers(&self, site: u64) -> impl Iterator<Item = LoadBalancer> + use<'_> {
        let (_, virtuals) = self.nth_at_site(&self.range(Role::Virtual), site);
        let network = self.network(site);
        (0..(virtuals / 100).max(1)).map(move |number| LoadBalancer {
            number: number * self.sites + site,
            address: network | 0xff_00 | (number as u32 & 0xff),
        })
    }

    pub(crate) fn load_balancer(&self, site: u64, roll: u64) -> LoadBalancer {
        let (_, virtuals) = self.nth_at_site(&self.range(Role::Virtual), site);
        let number = roll % (virtuals / 100).max(1);
        LoadBalancer {
            number: number * self.sites + site,
            address: self.network(site) | 0xff_00 | (number as u32 & 0xff),
        }
    }
}
