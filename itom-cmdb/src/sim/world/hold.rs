//! What is true in a round: which things are there, and which relations hold.

use itom_core::{RelationKind, relation};

use super::super::difficulty::Hazards;
use super::super::entity::{Class, Entity};
use super::World;

impl World {
    /// Whether something is there in a round.
    pub(crate) fn is_there(&self, entity: Entity, round: u32) -> bool {
        let (number, generation) = (entity.number(), entity.generation());
        let on_machine = |machine: u64| self.is_alive(machine, round);
        let same = |machine: u64| on_machine(machine) && self.generation(machine, round) == generation;
        match entity.class() {
            Class::Machine => same(number),
            Class::Interface => same(number / 2),
            Class::Guest => on_machine(number),
            Class::Service | Class::Software => on_machine(Self::machine_of_service(number)),
            Class::Process => {
                on_machine(Self::machine_of_service(number))
                    && self.process_generation(number, round) == generation
            }
            Class::Pod | Class::Container => self.pod_generation(number, round) == generation,
            _ => true,
        }
    }

    /// Whether a relation holds in a round. Only relations that a source can mean are asked about.
    pub(crate) fn holds(&self, kind: &RelationKind, from: Entity, to: Entity, round: u32) -> bool {
        if !self.is_there(from, round) || !self.is_there(to, round) {
            return false;
        }
        match (from.class(), to.class()) {
            (Class::Machine, Class::Machine) if *kind == relation::RUNS_ON => {
                self.hypervisor(from.number(), round) == to.number()
            }
            (Class::Service, Class::Service | Class::LoadBalancer)
                if *kind == relation::CONNECTS_TO || *kind == relation::DEPENDS_ON =>
            {
                (0..self.peer_places(from.number())).any(|place| {
                    self.peer(from.number(), place, round).is_some_and(|peer| peer.target.entity() == to)
                })
            }
            (Class::Machine, Class::Service | Class::LoadBalancer) if *kind == relation::CONNECTS_TO => {
                self.services(from.number()).any(|service| {
                    let client = Entity::first(Class::Service, service);
                    self.holds(kind, client, to, round)
                })
            }
            (Class::Interface, Class::Port) => {
                self.switch_port(from.number() / 2, round) == Some(to.number())
            }
            // What is said of it never changes while both are there.
            _ => true,
        }
    }

    /// The hazards that concern something in the time of the estate.
    pub(crate) fn hazards(&self, entity: Entity) -> Hazards {
        let number = entity.number();
        match entity.class() {
            Class::Machine => self.machine_hazards(number, entity.generation()),
            Class::Interface => self.machine_hazards(number / 2, entity.generation()),
            Class::Guest => self.machine_hazards(number, 0),
            Class::Service | Class::Process | Class::Software => {
                let machine = Self::machine_of_service(number);
                self.machine_hazards(machine, self.generation(machine, self.rounds.saturating_sub(1)))
            }
            _ => Hazards::default(),
        }
    }
}
