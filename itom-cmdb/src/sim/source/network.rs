//! Network discovery of a site: SNMP on switches and routers, LLDP between them, and who is seen on which port.

use itom_core::{AttrName, CiKind, Key, Scope, Subject, Text, attr, kind, relation};

use super::super::entity::{Class, Entity};
use super::super::world::{Role, World, address_text, port_of};
use super::literal;
use super::pen::Pen;

pub(super) const SWITCH: CiKind = CiKind::literal("device.switch");
pub(super) const ROUTER: CiKind = CiKind::literal("device.router");
const BALANCER: CiKind = CiKind::literal("device.load_balancer");
const MAC: AttrName = AttrName::literal("network.interface.mac");
pub(super) const SCOPES: &[Scope] = &[
    Scope::cis(kind::DEVICE),
    Scope::cis(kind::NETWORK_INTERFACE),
    Scope::relations(relation::CONTAINS),
    Scope::relations(relation::NEIGHBOR_OF),
    Scope::relations(relation::ATTACHED_TO),
    Scope::relations(relation::DEPENDS_ON),
];

/// Routers come after all switches in the numbering of ports.
pub(super) const ROUTERS: u64 = 4 << 20;

struct Device {
    native: Text,
    kind: &'static CiKind,
    entity: Entity,
    serial: String,
    mac: u64,
    /// The number under which its ports are numbered.
    number: u64,
    ports: u64,
}

static SWITCH_KIND: CiKind = SWITCH;
static ROUTER_KIND: CiKind = ROUTER;

pub(super) fn write(world: &World, site: u64, round: u32, pen: &mut Pen) {
    let realm = pen.realm(format_args!("site-{site}"));
    let racks: Vec<u64> = world.racks(site).collect();
    for which in 0..2 {
        let router = world.router(site, which);
        let device = Device {
            native: pen.text(format_args!("rtr-{router}")),
            kind: &ROUTER_KIND,
            entity: Entity::first(Class::Router, router),
            serial: format!("JN{router:07}"),
            mac: World::router_mac(router),
            number: ROUTERS + router,
            ports: racks.len() as u64,
        };
        // Either router of a pair answers for the virtual address, and says that it has it.
        write_device(world, site, pen, &device, world.virtual_router(site));
    }
    for rack in &racks {
        let device = Device {
            native: pen.text(format_args!("sw-{rack}")),
            kind: &SWITCH_KIND,
            entity: Entity::first(Class::Switch, *rack),
            serial: format!("FDO{rack:07}"),
            mac: World::switch_mac(*rack),
            number: *rack,
            ports: World::switch_ports(),
        };
        write_device(world, site, pen, &device, None);
        for which in 0..2 {
            let router = world.router(site, which);
            let uplink = pen.text(format_args!("sw-{rack}/port{which}"));
            let to = Entity::first(Class::Router, router);
            let from = Entity::first(Class::Port, port_of(*rack, which));
            if let Some(chassis) = pen.mac(World::router_mac(router)) {
                pen.relation(&relation::NEIGHBOR_OF, uplink, Subject::Key(chassis), (from, to));
            }
        }
    }
    if let Some(mac) = world.virtual_router(site)
        && let Some(key) = pen.mac(mac)
    {
        let entity = Entity::first(Class::VirtualRouter, site);
        endpoint(pen, entity, key, None);
    }
    let rack_machines = world.range(Role::Hypervisor).start..world.range(Role::Node).end;
    for machine in world.at_site(rack_machines, site) {
        if !world.is_alive(machine, round) {
            continue;
        }
        let own = world.machine(machine, round);
        let port = world.switch_port(machine, round);
        for number in 0..own.interfaces {
            if let Some(key) = pen.mac(own.macs[number as usize]) {
                endpoint(pen, own.interface(number), key, port);
            }
        }
    }
    for laptop in world.at_site(world.range(Role::Laptop), site) {
        if !world.is_alive(laptop, round) {
            continue;
        }
        let own = world.machine(laptop, round);
        let (mac, entity) = match world.dock(laptop) {
            Some(dock) => (World::dock_mac(dock), Entity::first(Class::Dock, dock)),
            None => (own.macs[0], own.interface(0)),
        };
        if let Some(key) = pen.mac(mac) {
            endpoint(pen, entity, key, None);
        }
    }
    for balancer in world.load_balancers(site) {
        let native = pen.text(format_args!("lb-{}", balancer.number));
        let serial = Key::serial(&format!("F5-{:06}", balancer.number)).ok();
        let address = address_text(balancer.address);
        let entity = balancer.entity();
        pen.ci(native.clone(), &BALANCER, entity, |ci| {
            if let Some(serial) = serial {
                ci.key(serial);
            }
            ci.key(Key::endpoint("tcp", address.into(), 443).in_realm(realm.clone()));
            ci.attr(attr::SERVER_PORT, 443_i64);
        });
        for service in world.parts(balancer.number) {
            let machine = World::machine_of_service(service);
            if world.site_of(machine) != site || !world.is_alive(machine, round) {
                continue;
            }
            let port = super::service_type(world, service).1;
            let to = Key::endpoint("tcp", address_text(world.address(machine, round)).into(), port);
            let to = Subject::Key(to.in_realm(realm.clone()));
            let means = (entity, Entity::first(Class::Service, service));
            pen.relation(&relation::DEPENDS_ON, native.clone(), to, means);
        }
    }
}

fn write_device(world: &World, site: u64, pen: &mut Pen, device: &Device, shared: Option<u64>) {
    let realm = pen.realm(format_args!("site-{site}"));
    let serial = Key::serial(&device.serial).ok();
    let mac = pen.mac(device.mac);
    let shared = shared.and_then(|mac| pen.mac(mac));
    let network = world.network(site);
    let virtual_address = shared.is_some().then(|| Key::ip(address_text(network | 1).into()).in_realm(realm));
    let name = format!("{}.s{site}.example.net", device.native);
    pen.ci(device.native.clone(), device.kind, device.entity, |ci| {
        for key in serial.into_iter().chain(mac).chain(shared).chain(virtual_address) {
            ci.key(key);
        }
        ci.key(Key::fqdn(&name)).attr(attr::NAME, device.native.clone());
    });
    for port in 0..device.ports {
        let native = pen.text(format_args!("{}/port{port}", device.native));
        let number = port_of(device.number, port);
        let mac = pen.mac(World::port_mac(number));
        let entity = Entity::first(Class::Port, number);
        let title = pen.text(format_args!("port{port}"));
        pen.ci(native.clone(), &kind::NETWORK_INTERFACE, entity, |ci| {
            if let Some(mac) = mac {
                ci.key(mac);
            }
            ci.attr(attr::NETWORK_INTERFACE_NAME, title).attr(attr::NETWORK_INTERFACE_STATE, literal("up"));
        });
        pen.relation(&relation::CONTAINS, device.native.clone(), native, (device.entity, entity));
    }
}

/// An address that was seen, and the port where.
fn endpoint(pen: &mut Pen, entity: Entity, mac: Key, port: Option<u64>) {
    let native = pen.text(format_args!("mac:{}", mac.value()));
    let text = pen.text(format_args!("{}", mac.value()));
    pen.ci(native.clone(), &kind::NETWORK_INTERFACE, entity, |ci| {
        ci.key(mac).attr(MAC, text);
    });
    if let Some(port) = port {
        let (device, place) = (port / super::PORTS, port % super::PORTS);
        let to = pen.text(format_args!("sw-{device}/port{place}"));
        pen.relation(&relation::ATTACHED_TO, native, to, (entity, Entity::first(Class::Port, port)));
    }
}
