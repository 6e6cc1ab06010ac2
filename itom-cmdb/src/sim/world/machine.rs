//! Machines: what identifies them, and what happens to them.

use super::super::Hazard;
use super::super::dice::{Topic, pair};
use super::super::difficulty::Hazards;
use super::super::entity::{Class, Entity};
use super::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Hypervisor,
    Server,
    Virtual,
    Node,
    Cloud,
    Laptop,
}

impl Role {
    pub(crate) const fn is_physical(self) -> bool {
        matches!(self, Self::Hypervisor | Self::Server | Self::Laptop)
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Hypervisor => "esx",
            Self::Server => "srv",
            Self::Virtual => "app",
            Self::Node => "node",
            Self::Cloud => "aws",
            Self::Laptop => "lap",
        }
    }
}

/// What a machine's firmware says its serial number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serial {
    /// Nothing of its own: a virtual machine.
    None,
    /// Its own.
    Own { number: u64, generation: u32 },
    /// What the vendor ships when nobody fills it in.
    Default,
    /// A lot's own placeholder.
    Lot(u64),
}

/// A host name: whose it is by its number, and the how-manieth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) owner: u64,
    pub(crate) prefix: &'static str,
    pub(crate) version: u32,
    pub(crate) site: u64,
    /// Named after this address instead, as clouds do.
    pub(crate) default: Option<u32>,
}

/// A machine in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) index: u64,
    pub(crate) role: Role,
    pub(crate) site: u64,
    /// Which of the machines that followed each other under this number.
    pub(crate) generation: u32,
    pub(crate) machine_id: u128,
    pub(crate) uuid: u128,
    pub(crate) serial: Serial,
    pub(crate) macs: [u64; 2],
    pub(crate) interfaces: u64,
    pub(crate) address: u32,
    pub(crate) name: Name,
    pub(crate) hypervisor: Option<u64>,
    /// Under which id its manager knows it, if it has one.
    pub(crate) registration: u32,
}

impl Machine {
    pub(crate) const fn entity(&self) -> Entity {
        Entity::new(Class::Machine, self.index, self.generation)
    }

    pub(crate) const fn interface(&self, number: u64) -> Entity {
        Entity::new(Class::Interface, self.index * 2 + number, self.generation)
    }
}

impl World {
    pub(crate) fn role_of(&self, machine: u64) -> Role {
        let roles = [Role::Hypervisor, Role::Server, Role::Virtual, Role::Node, Role::Cloud];
        roles.into_iter().find(|role| machine < self.range(*role).end).unwrap_or(Role::Laptop)
    }

    /// When a machine came and when it went, if within the time of the estate. What others stand on stays.
    pub(crate) fn life(&self, machine: u64) -> (u32, Option<u32>) {
        if matches!(self.role_of(machine), Role::Hypervisor | Role::Node) {
            return (0, None);
        }
        let born = self.when(Hazard::Birth, machine).unwrap_or(0);
        let died = self.when(Hazard::Death, machine).filter(|died| *died > born);
        (born, died)
    }

    pub(crate) fn is_alive(&self, machine: u64, round: u32) -> bool {
        let (born, died) = self.life(machine);
        machine < self.machines && born <= round && died.is_none_or(|died| round < died)
    }

    /// When a machine was replaced by another under the same name.
    pub(crate) fn replaced(&self, machine: u64) -> Option<u32> {
        let physical = self.role_of(machine).is_physical();
        physical.then(|| self.when(Hazard::ReplacedHardware, machine)).flatten()
    }

    pub(crate) fn generation(&self, machine: u64, round: u32) -> u32 {
        u32::from(self.replaced(machine).is_some_and(|at| at <= round))
    }

    /// The machine whose old name this one takes over, and when.
    fn takes_over(&self, machine: u64) -> Option<(u64, u32)> {
        let from = machine.checked_sub(self.sites)?;
        let fits = self.role_of(from) == self.role_of(machine);
        if !fits || !self.dice.strikes(Hazard::NameReuse, from) || self.has_default_name(from) {
            return None;
        }
        let renamed = self.when(Hazard::Renamed, from)?;
        self.when(Hazard::Renamed, machine).is_none().then_some((from, renamed + 2))
    }

    fn has_default_name(&self, machine: u64) -> bool {
        self.role_of(machine) == Role::Cloud && self.dice.strikes(Hazard::DefaultCloudName, machine)
    }

    pub(crate) fn name(&self, machine: u64, round: u32) -> Name {
        let role = self.role_of(machine);
        let mut name = Name {
            owner: machine,
            prefix: role.prefix(),
            version: 0,
            site: self.site_of(machine),
            default: None,
        };
        if self.has_default_name(machine) {
            name.default = Some(self.address(machine, round));
        } else if self.when(Hazard::Renamed, machine).is_some_and(|at| at <= round) {
            name.version = 1;
        } else if let Some((from, at)) = self.takes_over(machine)
            && at <= round
        {
            name.owner = from;
        }
        name
    }

    fn uuid_and_id(&self, machine: u64, role: Role, generation: u32, serial: Serial) -> (u128, u128) {
        let own = pair(machine, u64::from(generation));
        let mut uuid = self.dice.wide(Topic::Uuid, own);
        let mut machine_id = self.dice.wide(Topic::MachineId, own);
        match serial {
            // Half of the vendors that forget the serial number forget the UUID, too.
            Serial::Default if machine.is_multiple_of(2) => uuid = 0x0300_0200_0400_0500_0006_0007_0008_0009,
            Serial::Lot(lot) if lot % 2 == 0 => uuid = self.dice.wide(Topic::Lot, lot),
            _ => {}
        }
        if matches!(role, Role::Virtual | Role::Node) {
            let twins = machine / 2;
            if self.dice.strikes(Hazard::ClonedUuid, twins) {
                uuid = self.dice.wide(Topic::Clone, twins);
                machine_id = self.dice.wide(Topic::Image, twins);
            } else if self.dice.strikes(Hazard::ClonedMachineId, machine) {
                let image = self.dice.below(Topic::Clone, machine, self.images);
                machine_id = self.dice.wide(Topic::Image, image | 1 << 48);
            }
        }
        (uuid, machine_id)
    }

    fn serial(&self, machine: u64, role: Role, generation: u32) -> Serial {
        if !role.is_physical() {
            return Serial::None;
        }
        if self.dice.strikes(Hazard::DefaultSerial, machine) {
            return Serial::Default;
        }
        if self.dice.strikes(Hazard::UnlistedSerial, machine) {
            return Serial::Lot(self.dice.below(Topic::Lot, machine, self.lots));
        }
        Serial::Own { number: machine, generation }
    }

    fn macs(&self, machine: u64, role: Role, generation: u32) -> [u64; 2] {
        let vendor: u64 = match role {
            Role::Hypervisor => 0x3c_ecef,
            Role::Server => 0x00_25b5,
            Role::Virtual | Role::Node => 0x00_5056,
            // Clouds give addresses that say themselves that they are not burned in.
            Role::Cloud => 0x0a_1b2c,
            Role::Laptop => 0x00_e04c,
        };
        // Room for two generations of two interfaces each.
        let first = vendor << 24 | (machine * 2 + (u64::from(generation & 1) << 23)) & 0xff_ffff;
        [first, first | 1]
    }

    /// The hypervisor a virtual machine runs on.
    pub(crate) fn hypervisor(&self, machine: u64, round: u32) -> u64 {
        let (first, count) = self.nth_at_site(&self.range(Role::Hypervisor), self.site_of(machine));
        let mut place = self.dice.below(Topic::Hypervisor, machine, count.max(1));
        if self.when(Hazard::Moved, machine).is_some_and(|at| at <= round) && count > 1 {
            place = (place + 1 + self.dice.below(Topic::Move, machine, count - 1)) % count;
        }
        first + place * self.sites
    }

    /// The machine of this number as it is in a round, whether it is alive or not.
    pub(crate) fn machine(&self, machine: u64, round: u32) -> Machine {
        let role = self.role_of(machine);
        let generation = self.generation(machine, round);
        let serial = self.serial(machine, role, generation);
        let (uuid, machine_id) = self.uuid_and_id(machine, role, generation, serial);
        let managed = matches!(role, Role::Virtual | Role::Node);
        let restored = managed && self.when(Hazard::Restored, machine).is_some_and(|at| at <= round);
        Machine {
            index: machine,
            role,
            site: self.site_of(machine),
            generation,
            machine_id,
            uuid,
            serial,
            macs: self.macs(machine, role, generation),
            interfaces: 1 + u64::from(role.is_physical() && self.dice.share(Topic::Interfaces, machine, 0.8)),
            address: self.address(machine, round),
            name: self.name(machine, round),
            hypervisor: managed.then(|| self.hypervisor(machine, round)),
            registration: u32::from(restored),
        }
    }

    /// Whether a physical machine has a container that looks like a machine.
    pub(crate) fn has_guest(&self, machine: u64) -> bool {
        self.role_of(machine) == Role::Server && self.dice.strikes(Hazard::ContainerGuest, machine)
    }

    /// The dock whose address a laptop reports, if it does.
    pub(crate) fn dock(&self, machine: u64) -> Option<u64> {
        let struck = self.role_of(machine) == Role::Laptop && self.dice.strikes(Hazard::DockMac, machine);
        // Desks of a site: neighbours share.
        let local = (machine - self.range(Role::Laptop).start.min(machine)) / self.sites;
        struck.then_some((local / 20) * self.sites + self.site_of(machine))
    }

    /// The hazards that concern a machine in the time of the estate.
    pub(crate) fn machine_hazards(&self, machine: u64, generation: u32) -> Hazards {
        let mut found = Hazards::default();
        let role = self.role_of(machine);
        let managed = matches!(role, Role::Virtual | Role::Node);
        let mut note = |hazard, struck: bool| {
            if struck {
                found.add(hazard);
            }
        };
        let strikes = |hazard| self.dice.strikes(hazard, machine);
        let serial = self.serial(machine, role, generation);
        note(Hazard::ClonedUuid, managed && self.dice.strikes(Hazard::ClonedUuid, machine / 2));
        note(Hazard::ClonedMachineId, managed && strikes(Hazard::ClonedMachineId));
        note(Hazard::DefaultSerial, serial == Serial::Default);
        note(Hazard::UnlistedSerial, matches!(serial, Serial::Lot(_)));
        note(Hazard::DockMac, self.dock(machine).is_some());
        note(Hazard::LocalMac, strikes(Hazard::LocalMac));
        note(Hazard::Renamed, self.when(Hazard::Renamed, machine).is_some());
        note(Hazard::NameReuse, self.takes_over(machine).is_some() || self.lends_name(machine));
        note(Hazard::ReplacedHardware, self.replaced(machine).is_some());
        note(Hazard::Restored, managed && self.when(Hazard::Restored, machine).is_some());
        note(Hazard::Moved, managed && self.when(Hazard::Moved, machine).is_some());
        note(Hazard::SwappedUuid, managed && self.dice.strikes(Hazard::SwappedUuid, self.site_of(machine)));
        note(Hazard::ShortName, strikes(Hazard::ShortName));
        note(Hazard::DefaultCloudName, self.has_default_name(machine));
        note(Hazard::NoMetadata, role == Role::Cloud && strikes(Hazard::NoMetadata));
        note(Hazard::Unprivileged, strikes(Hazard::Unprivileged));
        note(Hazard::Typo, role.is_physical() && strikes(Hazard::Typo));
        note(Hazard::DuplicateRow, strikes(Hazard::DuplicateRow));
        note(Hazard::ContainerGuest, self.has_guest(machine));
        let (born, died) = self.life(machine);
        note(Hazard::Birth, born > 0);
        note(Hazard::Death, died.is_some());
        found
    }

    fn lends_name(&self, machine: u64) -> bool {
        self.takes_over(machine + self.sites).is_some()
    }
}
