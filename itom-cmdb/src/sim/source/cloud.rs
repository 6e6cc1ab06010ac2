//! The programming interface of a cloud account.

use itom_core::{AttrName, CiKind, Key, Realm, Scope, Strength, attr, key_kind, kind, relation};

use super::super::world::{Role, World, address_text};
use super::pen::Pen;
use super::{full, instance_id, literal};

const INSTANCE: CiKind = CiKind::literal("host.cloud");
const REGION: AttrName = AttrName::literal("cloud.region");
const ACCOUNT: AttrName = AttrName::literal("cloud.account.id");
pub(super) const SCOPES: &[Scope] =
    &[Scope::cis(INSTANCE), Scope::cis(kind::NETWORK_INTERFACE), Scope::relations(relation::CONTAINS)];

pub(super) fn write(world: &World, account: u64, round: u32, pen: &mut Pen) {
    let realm = pen.realm(format_args!("vpc-{account}"));
    let account_id = pen.text(format_args!("{:012}", 100_000_000_000 + account));
    for machine in world.of_account(account) {
        if !world.is_alive(machine, round) || world.role_of(machine) != Role::Cloud {
            continue;
        }
        let own = world.machine(machine, round);
        let id = instance_id(world, machine);
        let native = pen.text(format_args!("{id}"));
        let key = Key::new(key_kind::CLOUD_INSTANCE, Realm::GLOBAL, &id, Strength::Issued).ok();
        let address = Key::ip(address_text(own.address).into()).in_realm(realm.clone());
        let name = full(&own.name);
        pen.ci(native.clone(), &INSTANCE, own.entity(), |ci| {
            if let Some(key) = key {
                ci.key(key);
            }
            ci.key(address).key(Key::fqdn(&name));
            ci.attr(attr::HOST_NAME, name.as_str())
                .attr(attr::HOST_ID, id.as_str())
                .attr(REGION, literal("eu-central-1"))
                .attr(ACCOUNT, account_id.clone())
                .attr(attr::STATE, literal("running"));
        });
        let interface = pen.text(format_args!("eni-{:017x}", machine));
        let mac = pen.mac(own.macs[0]).map(|key| key.in_realm(realm.clone()));
        let state = literal("in-use");
        pen.ci(interface.clone(), &kind::NETWORK_INTERFACE, own.interface(0), |ci| {
            if let Some(mac) = mac {
                ci.key(mac);
            }
            ci.attr(attr::NETWORK_INTERFACE_STATE, state);
        });
        pen.relation(&relation::CONTAINS, native, interface, (own.entity(), own.interface(0)));
    }
}
