//! What is seen from outside: monitoring that asks, and flow records.

use itom_core::{Key, Scope, Subject, attr, kind, relation};

use super::super::Hazard;
use super::super::dice::Topic;
use super::super::world::{Role, World, address_text};
use super::pen::Pen;
use super::{full, literal, short};

pub(super) const MONITORING_SCOPES: &[Scope] = &[Scope::cis(kind::HOST)];

/// Rounds until monitoring follows a new name, at most.
const LAG: u64 = 3;

/// Monitoring knows a machine by the name somebody gave it.
pub(super) fn monitoring(world: &World, site: u64, round: u32, pen: &mut Pen) {
    let realm = pen.realm(format_args!("site-{site}"));
    for machine in world.at_site(0..world.range(Role::Node).end, site) {
        let asked = world.dice.share(Topic::Monitored, machine | 1 << 50, 0.8);
        if !asked || !world.is_alive(machine, round) {
            continue;
        }
        let own = world.machine(machine, round);
        let looked = round.saturating_sub(world.dice.below(Topic::Lag, machine | 1 << 50, LAG) as u32);
        let name = world.name(machine, looked);
        let by_short_name = world.dice.strikes(Hazard::ShortName, machine);
        let name = if by_short_name { short(&name) } else { full(&name) };
        let native = pen.text(format_args!("{name}"));
        let address = Key::ip(address_text(own.address).into()).in_realm(realm.clone());
        pen.ci(native, &kind::HOST, own.entity(), |ci| {
            ci.key(if by_short_name { Key::host_name(&name) } else { Key::fqdn(&name) });
            ci.key(address).attr(attr::STATE, literal("up"));
        });
    }
}

/// Flow records: who talked to what listens where. Addresses are all that they know.
pub(super) fn flows(world: &World, site: u64, round: u32, pen: &mut Pen) {
    let realm = pen.realm(format_args!("site-{site}"));
    for machine in world.at_site(world.range(Role::Server).start..world.range(Role::Virtual).end, site) {
        if !world.is_alive(machine, round) {
            continue;
        }
        let address = world.address(machine, round);
        let own = world.machine(machine, round);
        for service in world.services(machine) {
            for place in 0..world.peer_places(service).min(2) {
                let Some(peer) = world.peer(service, place, round) else { continue };
                let from = Key::ip(address_text(address).into()).in_realm(realm.clone());
                let to = Key::endpoint("tcp", address_text(peer.address).into(), peer.port);
                let to = Subject::Key(to.in_realm(realm.clone()));
                let means = (own.entity(), peer.target.entity());
                pen.relation(&relation::CONNECTS_TO, Subject::Key(from), to, means);
            }
        }
    }
}
