//! Agents on machines: what the Linux collectors of this SDK report, from the inside.

use itom_core::{
    AttrName, ErrorKind, Key, Realm, Scope, Strength, Subject, Text, attr, key_kind, kind, relation,
};

use super::super::Hazard;
use super::super::dice::{Topic, pair};
use super::super::entity::{Class, Entity};
use super::super::world::{Machine, Role, Serial, World, address_text, service_type};
use super::pen::Pen;
use super::{full, host_key, instance_id, literal, short};

const HOST_SCOPE: Scope = Scope::cis(kind::HOST_LINUX);
pub(super) const HOST_SCOPES: &[Scope] =
    &[HOST_SCOPE, Scope::cis(kind::NETWORK_INTERFACE), Scope::relations(relation::CONTAINS)];
pub(super) const SERVICE_SCOPES: &[Scope] = &[
    Scope::cis(kind::SERVICE),
    Scope::cis(kind::PROCESS),
    Scope::cis(kind::SOFTWARE),
    Scope::relations(relation::RUNS_ON),
    Scope::relations(relation::PROVIDED_BY),
    Scope::relations(relation::INSTALLED_ON),
];

const FQDN: AttrName = AttrName::literal("host.fqdn");
const SERIAL: AttrName = AttrName::literal("host.serial");

/// What an agent calls its machine.
const HOST: Text = Text::literal("host");

pub(super) fn site_realm(pen: &mut Pen, world: &World, machine: &Machine) -> Realm {
    match machine.role {
        Role::Cloud => {
            let account = world.account_of(machine.index);
            pen.realm(format_args!("vpc-{account}"))
        }
        _ => pen.realm(format_args!("site-{}", machine.site)),
    }
}

pub(super) fn serial_text(serial: Serial) -> Option<String> {
    match serial {
        Serial::None => None,
        // Numbers of a delivery follow each other, so that one wrong digit is another machine's number.
        Serial::Own { number, generation } => Some(format!("CZ{}{number:07}", 3 + generation)),
        Serial::Default => Some("To Be Filled By O.E.M.".to_owned()),
        Serial::Lot(lot) => Some(format!("SM-BASE-{lot:03}X")),
    }
}

fn firmware_keys(pen: &mut Pen, machine: &Machine) -> [Option<Key>; 2] {
    let uuid = uuid::Uuid::from_u128(machine.uuid);
    let uuid = pen.key(key_kind::SMBIOS_UUID, Realm::GLOBAL, Strength::Hardware, format_args!("{uuid}"));
    [uuid, serial_text(machine.serial).and_then(|serial| Key::serial(&serial).ok())]
}

pub(super) fn host(world: &World, machine: u64, round: u32, pen: &mut Pen) {
    let dice = &world.dice;
    let own = world.machine(machine, round);
    // A run that cannot read the firmware's tables is one without rights for once.
    let lost = pen.loses(&HOST_SCOPE);
    let privileged = !dice.strikes(Hazard::Unprivileged, machine) && !lost;
    if !privileged {
        pen.fault("/sys/class/dmi/id", ErrorKind::Denied, "cannot be read: run the agent with more rights");
    }
    let realm = site_realm(pen, world, &own);
    let host_realm = pen.realm(format_args!("host:{:032x}", own.machine_id));
    let (short, full) = (short(&own.name), full(&own.name));
    let mut keys: Vec<Key> = Vec::with_capacity(10);
    keys.extend(host_key(own.machine_id));
    keys.push(pen.native(&host_realm, format_args!("host")));
    if privileged {
        keys.extend(firmware_keys(pen, &own).into_iter().flatten());
    }
    let mut interfaces: Vec<(Text, Option<Key>, Entity)> = Vec::with_capacity(3);
    for number in 0..own.interfaces {
        let mut key = pen.mac(own.macs[number as usize]);
        if own.role == Role::Cloud {
            // The address says itself that it is not burned in: it is unique in its network only.
            key = key.map(|key| key.in_realm(realm.clone()));
        } else {
            keys.extend(key.clone());
        }
        interfaces.push((pen.text(format_args!("if:eth{number}")), key, own.interface(number)));
    }
    if let Some(dock) = world.dock(machine) {
        let key = pen.mac(World::dock_mac(dock));
        keys.extend(key.clone());
        // The interface is the dock's, whoever reports it.
        interfaces.push((literal("if:usb0"), key, Entity::first(Class::Dock, dock)));
    }
    if dice.strikes(Hazard::LocalMac, machine) {
        keys.extend(pen.mac(0x0242_ac11_0002));
    }
    if own.role == Role::Cloud && !dice.strikes(Hazard::NoMetadata, machine) {
        let id = instance_id(world, machine);
        keys.extend(Key::new(key_kind::CLOUD_INSTANCE, Realm::GLOBAL, &id, Strength::Issued).ok());
    }
    let address = address_text(own.address);
    keys.push(Key::ip(address.into()).in_realm(realm));
    keys.push(Key::host_name(&short));
    keys.push(Key::fqdn(&full));
    let patched = dice.below(Topic::Attribute, pair(machine, u64::from(round) / 8), 40);
    let kernel = pen.text(format_args!("6.1.{patched}"));
    let serial = serial_text(own.serial).filter(|_| privileged);
    let means = own.entity();
    let mut describe = |ci: &mut itom_core::CiObservation| {
        for key in std::mem::take(&mut keys) {
            ci.key(key);
        }
        ci.attr(attr::HOST_NAME, short.as_str())
            .attr(FQDN, full.as_str())
            .attr(attr::OS_NAME, literal("Debian GNU/Linux"))
            .attr(attr::OS_VERSION, literal(if machine.is_multiple_of(5) { "11" } else { "12" }))
            .attr(attr::OS_KERNEL_RELEASE, kernel.clone())
            .attr(attr::HOST_ARCH, literal("amd64"))
            .attr(attr::HOST_CPU_COUNT, 2_i64 << (machine % 5))
            .attr_opt(SERIAL, serial.clone());
    };
    pen.always(HOST, &kind::HOST_LINUX, means, &mut describe);
    for (native, key, entity) in interfaces {
        let part = pen.native(&host_realm, format_args!("{native}"));
        let state = literal("up");
        pen.ci(native.clone(), &kind::NETWORK_INTERFACE, entity, |ci| {
            ci.key(part);
            if let Some(key) = key {
                ci.key(key);
            }
            ci.attr(attr::NETWORK_INTERFACE_NAME, native.clone()).attr(attr::NETWORK_INTERFACE_STATE, state);
        });
        pen.relation(&relation::CONTAINS, HOST, native, (means, entity));
    }
}

/// A container that looks like a machine, and reports the firmware of the one below it.
pub(super) fn guest(world: &World, machine: u64, round: u32, pen: &mut Pen) {
    let below = world.machine(machine, round);
    let id = world.dice.wide(Topic::MachineId, machine | 1 << 50);
    let realm = site_realm(pen, world, &below);
    let name = format!("{}-ct1", short(&below.name));
    let mut keys: Vec<Key> = host_key(id).into_iter().collect();
    if !world.dice.strikes(Hazard::Unprivileged, machine) {
        keys.extend(firmware_keys(pen, &below).into_iter().flatten());
    }
    keys.push(Key::ip(address_text(below.address | 0x8000).into()).in_realm(realm));
    keys.push(Key::fqdn(&format!("{name}.s{}.example.net", below.site)));
    pen.always(HOST, &kind::HOST_LINUX, Entity::first(Class::Guest, machine), &mut |ci| {
        for key in std::mem::take(&mut keys) {
            ci.key(key);
        }
        ci.attr(attr::HOST_NAME, name.as_str()).attr(attr::HOST_TYPE, literal("container"));
    });
}

/// What runs and is installed on a machine, and whom it talks to. The machine itself is another collector's: it is
/// referred to by the key that both know.
pub(super) fn services(world: &World, machine: u64, round: u32, pen: &mut Pen) {
    let own = world.machine(machine, round);
    let Some(host) = host_key(own.machine_id) else { return };
    let realm = site_realm(pen, world, &own);
    let host_realm = pen.realm(format_args!("host:{:032x}", own.machine_id));
    let address = address_text(own.address);
    let means = own.entity();
    for service in world.services(machine) {
        let (name, port, kind) = service_type(world, service);
        let native = pen.text(format_args!("svc:tcp:{port}"));
        let generation = world.process_generation(service, round);
        let pid = 400 + world.dice.below(Topic::Restart, pair(service, u64::from(generation)), 30_000);
        let process = pen.text(format_args!("process:{pid}"));
        let entity = Entity::first(Class::Service, service);
        let running = Entity::new(Class::Process, service, generation);
        let key = pen.native(&host_realm, format_args!("{native}"));
        let endpoint = Key::endpoint("tcp", address.into(), *port).in_realm(realm.clone());
        pen.ci(native.clone(), kind, entity, |ci| {
            ci.key(key).key(endpoint);
            ci.attr(attr::SERVICE_NAME, literal(name))
                .attr(attr::SERVICE_TYPE, literal(name))
                .attr(attr::SERVER_PORT, *port);
        });
        let boot = world.dice.roll(Topic::Boot, pair(machine, u64::from(own.generation)));
        let key = pen.key(
            key_kind::PROCESS,
            Realm::GLOBAL,
            Strength::Issued,
            format_args!("{boot:016x}:{pid}:{generation}"),
        );
        pen.ci(process.clone(), &kind::PROCESS, running, |ci| {
            if let Some(key) = key {
                ci.key(key);
            }
            ci.attr(attr::PROCESS_PID, pid).attr(attr::PROCESS_EXECUTABLE_NAME, literal(name));
        });
        pen.relation(&relation::RUNS_ON, native.clone(), host.clone(), (entity, means));
        pen.relation(&relation::RUNS_ON, process.clone(), host.clone(), (running, means));
        pen.relation(&relation::PROVIDED_BY, native.clone(), process, (entity, running));
        for place in 0..world.peer_places(service) {
            let Some(peer) = world.peer(service, place, round) else { continue };
            let to = Key::endpoint("tcp", address_text(peer.address).into(), peer.port);
            let to = Subject::Key(to.in_realm(realm.clone()));
            // Who connects is never known completely.
            if let Some(relation) =
                pen.relation(&relation::CONNECTS_TO, native.clone(), to, (entity, peer.target.entity()))
            {
                relation.attr(attr::NETWORK_PEER_PORT, peer.port);
            }
        }
    }
    for (place, package) in world.packages(machine) {
        let native = pen.text(format_args!("package:lib{package}"));
        let version =
            pen.text(format_args!("{}.{}", 1 + package % 4, world.dice.below(Topic::Software, package, 30)));
        let entity = Entity::first(Class::Software, machine * 4 + place);
        let key = pen.native(&host_realm, format_args!("{native}"));
        pen.ci(native.clone(), &kind::SOFTWARE, entity, |ci| {
            ci.key(key).attr(attr::PACKAGE_NAME, native.clone()).attr(attr::PACKAGE_VERSION, version);
        });
        pen.relation(&relation::INSTALLED_ON, native, host.clone(), (entity, means));
    }
}
