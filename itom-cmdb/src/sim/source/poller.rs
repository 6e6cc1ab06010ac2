//! A poller of network devices and servers: it reads tables of interfaces, and of the thing itself only its name. Polled
//! is what has a management network: not a server with a single interface.

use itom_core::{CiKind, Key, KeyKind, Realm, Scope, Strength, Text, attr, key_kind, kind, relation};

use super::super::entity::{Class, Entity};
use super::super::world::{Role, World, port_of};
use super::network::{ROUTER, ROUTERS, SWITCH};
use super::pen::Pen;
use super::{literal, short};

const MAC: KeyKind = key_kind::MAC;
pub(super) const SCOPES: &[Scope] = &[
    Scope::cis(kind::DEVICE),
    Scope::cis(kind::HOST),
    Scope::cis(kind::NETWORK_INTERFACE),
    Scope::relations(relation::CONTAINS),
];

pub(super) fn write(world: &World, site: u64, round: u32, pen: &mut Pen) {
    let racks: Vec<u64> = world.racks(site).collect();
    for which in 0..2 {
        let router = world.router(site, which);
        let entity = Entity::first(Class::Router, router);
        let native = pen.text(format_args!("rtr-{router}"));
        device(pen, &native, &ROUTER, entity, ROUTERS + router, racks.len() as u64);
    }
    for rack in racks {
        let entity = Entity::first(Class::Switch, rack);
        let native = pen.text(format_args!("sw-{rack}"));
        device(pen, &native, &SWITCH, entity, rack, World::switch_ports());
    }
    let servers = world.range(Role::Hypervisor).start..world.range(Role::Server).end;
    for machine in world.at_site(servers, site) {
        let own = world.machine(machine, round);
        if !world.is_alive(machine, round) || own.interfaces < 2 {
            continue;
        }
        let native = pen.text(format_args!("mgmt-{machine}"));
        let name = short(&own.name);
        pen.ci(native.clone(), &kind::HOST, own.entity(), |ci| {
            ci.key(Key::host_name(&name)).attr(attr::HOST_NAME, name.as_str());
        });
        for number in 0..own.interfaces {
            let (entity, title) = (own.interface(number), pen.text(format_args!("eth{number}")));
            interface(pen, (&native, own.entity()), entity, &title, own.macs[number as usize]);
        }
    }
}

fn device(pen: &mut Pen, native: &Text, kind: &CiKind, entity: Entity, number: u64, ports: u64) {
    pen.ci(native.clone(), kind, entity, |ci| {
        ci.key(Key::host_name(native)).attr(attr::NAME, native.clone());
    });
    for port in 0..ports {
        let (port, title) = (port_of(number, port), pen.text(format_args!("port{port}")));
        let means = Entity::first(Class::Port, port);
        interface(pen, (native, entity), means, &title, World::port_mac(port));
    }
}

fn interface(pen: &mut Pen, (of, whole): (&Text, Entity), entity: Entity, title: &Text, mac: u64) {
    let native = pen.text(format_args!("{of}/{title}"));
    let [_, _, a, b, c, d, e, f] = mac.to_be_bytes();
    // What a table says is not read from the card.
    let text = format_args!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    let mac = pen.key(MAC, Realm::GLOBAL, Strength::Administrative, text);
    pen.ci(native.clone(), &kind::NETWORK_INTERFACE, entity, |ci| {
        if let Some(mac) = mac {
            ci.key(mac);
        }
        ci.attr(attr::NETWORK_INTERFACE_NAME, title.clone())
            .attr(attr::NETWORK_INTERFACE_STATE, literal("up"));
    });
    pen.relation(&relation::CONTAINS, of.clone(), native, (whole, entity));
}
