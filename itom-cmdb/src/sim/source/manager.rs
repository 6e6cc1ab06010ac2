//! The manager of a site's hypervisors.

use itom_core::{CiKind, Key, Realm, Scope, Strength, attr, key_kind, relation};

use super::super::Hazard;
use super::super::world::{Role, World};
use super::agent::{serial_text, site_realm};
use super::pen::Pen;
use super::{full, literal, short};

const HYPERVISOR: CiKind = CiKind::literal("host.hypervisor");
const VIRTUAL: CiKind = CiKind::literal("host.vm");
pub(super) const SCOPES: &[Scope] =
    &[Scope::cis(HYPERVISOR), Scope::cis(VIRTUAL), Scope::relations(relation::RUNS_ON)];

pub(super) fn write(world: &World, site: u64, round: u32, pen: &mut Pen) {
    let dice = &world.dice;
    let swapped = dice.strikes(Hazard::SwappedUuid, site);
    for machine in world.at_site(world.range(Role::Hypervisor), site) {
        if !world.is_alive(machine, round) {
            continue;
        }
        let own = world.machine(machine, round);
        let native = pen.text(format_args!("host-{machine}"));
        let uuid = uuid::Uuid::from_u128(own.uuid);
        let uuid = pen.key(key_kind::SMBIOS_UUID, Realm::GLOBAL, Strength::Hardware, format_args!("{uuid}"));
        let serial = serial_text(own.serial).and_then(|serial| Key::serial(&serial).ok());
        let macs = [pen.mac(own.macs[0]), pen.mac(own.macs[1]).filter(|_| own.interfaces > 1)];
        let name = full(&own.name);
        pen.ci(native, &HYPERVISOR, own.entity(), |ci| {
            for key in uuid.into_iter().chain(serial).chain(macs.into_iter().flatten()) {
                ci.key(key);
            }
            ci.key(Key::fqdn(&name))
                .attr(attr::HOST_NAME, name.as_str())
                .attr(attr::HOST_TYPE, literal("physical"));
        });
    }
    for machine in world.at_site(world.range(Role::Virtual).start..world.range(Role::Node).end, site) {
        if !world.is_alive(machine, round) {
            continue;
        }
        let own = world.machine(machine, round);
        let Some(hypervisor) = own.hypervisor else { continue };
        // A restored machine is registered anew.
        let native = match own.registration {
            0 => pen.text(format_args!("vm-{machine}")),
            again => pen.text(format_args!("vm-{machine}-{again}")),
        };
        let true_uuid = uuid::Uuid::from_u128(own.uuid);
        let spelled = if swapped { uuid::Uuid::from_bytes(true_uuid.to_bytes_le()) } else { true_uuid };
        let uuid =
            pen.key(key_kind::SMBIOS_UUID, Realm::GLOBAL, Strength::Hardware, format_args!("{spelled}"));
        let mac = pen.mac(own.macs[0]);
        let realm = site_realm(pen, world, &own);
        let address = Key::ip(super::address_text(own.address).into()).in_realm(realm);
        let name = short(&own.name);
        let fqdn = full(&own.name);
        pen.ci(native.clone(), &VIRTUAL, own.entity(), |ci| {
            for key in uuid.into_iter().chain(mac) {
                ci.key(key);
            }
            ci.key(address).key(Key::host_name(&name)).key(Key::fqdn(&fqdn));
            ci.attr(attr::HOST_NAME, name.as_str())
                .attr(attr::HOST_TYPE, literal("vm"))
                .attr(attr::STATE, literal("running"))
                .attr(attr::HOST_CPU_COUNT, 2_i64 << (machine % 5));
        });
        let below = pen.text(format_args!("host-{hypervisor}"));
        let on = world.machine(hypervisor, round).entity();
        pen.relation(&relation::RUNS_ON, native, below, (own.entity(), on));
    }
}
