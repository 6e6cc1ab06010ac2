//! Devices and virtual machines.

use std::net::IpAddr;

use itom_core::{
    AttrName, CiKind, CiObservation, Key, Realm, Strength, Text, Value, attr, key_kind, kind, relation,
};

use super::super::draft::{Draft, Fill as _, cut};
use super::super::tree::{Data, Node};
use super::place::common;
use super::{Nets, belongs, choice, id_of, label, named, native};

const VENDOR: AttrName = AttrName::literal("host.vendor");
const PRODUCT: AttrName = AttrName::literal("host.product");
const SERIAL: AttrName = AttrName::literal("host.serial");
const MANUFACTURER: AttrName = AttrName::literal("device.manufacturer");
const MODEL: AttrName = AttrName::literal("device.model.name");
const DEVICE_SERIAL: AttrName = AttrName::literal("device.serial");
const ROLE: AttrName = AttrName::literal("device.role");
const ASSET_TAG: AttrName = AttrName::literal("asset.tag");
const POSITION: AttrName = AttrName::literal("rack.position");

/// Words in the role of a device that say what it is.
const ROLES: &[(&[&str], CiKind)] = &[
    (&["server", "hypervisor", "esx", "host", "compute", "workstation", "laptop"], kind::HOST),
    (&["firewall", "fw"], CiKind::literal("device.firewall")),
    (&["load-balancer", "loadbalancer", "adc"], CiKind::literal("device.load_balancer")),
    (&["wireless", "access-point", "wifi", "wlc"], CiKind::literal("device.wireless")),
    (&["pdu", "ups", "power"], CiKind::literal("device.power")),
    (&["storage", "san", "nas"], CiKind::literal("device.storage")),
    (&["router", "gateway", "edge", "pe"], CiKind::literal("device.router")),
    (&["switch", "leaf", "spine", "tor", "access", "distribution", "core"], CiKind::literal("device.switch")),
];

/// Words in the platform of a machine that say which system it runs.
const SYSTEMS: &[(&[&str], CiKind)] = &[
    (
        &[
            "linux", "debian", "ubuntu", "rhel", "redhat", "centos", "rocky", "alma", "suse", "sles",
            "fedora", "alpine",
        ],
        kind::HOST_LINUX,
    ),
    (&["windows"], CiKind::literal("host.windows")),
    (&["bsd", "freebsd", "openbsd"], CiKind::literal("host.bsd")),
    (&["esxi", "vmware", "proxmox", "xcp", "hyper-v"], CiKind::literal("host.hypervisor")),
];

/// The first kind of the table that the text has a word for. Words of four letters and more may go on (`switches`); in the
/// name of a system they may stand anywhere (`Debian12`).
fn word(text: &str, table: &[(&[&str], CiKind)], anywhere: bool) -> Option<CiKind> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let says = |sign: &str| {
        let within = (anywhere || sign.contains('-')) && lower.contains(sign);
        within || words.iter().any(|word| *word == sign || sign.len() > 3 && word.starts_with(sign))
    };
    table.iter().find(|(signs, _)| signs.iter().any(|sign| says(sign))).map(|(_, kind)| kind.clone())
}

/// Words of a nested object: name and slug.
fn words(node: &Node, field: &str) -> String {
    let own = node.get(field);
    let part = |name: &str| own.and_then(|own| own.text_at(name)).unwrap_or_default();
    format!("{} {}", part("slug"), part("name")).trim().to_owned()
}

fn system(node: &Node) -> Option<CiKind> {
    word(&words(node, "platform"), SYSTEMS, true)
}

/// What people typed identifies, but does not outweigh what a machine says of itself.
fn typed(kind: itom_core::KeyKind, value: Option<&str>) -> Option<Key> {
    Key::new(kind, Realm::GLOBAL, value?, Strength::Administrative).ok()
}

/// Name, addresses and state.
fn machine(ci: &mut CiObservation, node: &Node, is_host: bool) {
    let name = node.text_at("name").or_else(|| node.text_at("display"));
    ci.say(attr::NAME, name).say(attr::STATE, choice(node, "status"));
    common(ci, node);
    if is_host {
        ci.say(attr::HOST_NAME, name);
    }
    if let Some(name) = name {
        let fits = !name.contains(char::is_whitespace);
        if fits && name.contains('.') {
            ci.key(Key::fqdn(name));
        } else if fits {
            ci.key(Key::host_name(name));
        }
    }
    let mut addresses = Vec::new();
    for field in ["primary_ip4", "primary_ip6", "primary_ip", "oob_ip"] {
        let own = node.get(field);
        let text =
            own.and_then(|own| own.text_at("address")).map(|text| text.split('/').next().unwrap_or(text));
        if let Some(address) = text.and_then(|text| text.parse::<IpAddr>().ok()) {
            ci.key(Key::ip(address));
            if field != "oob_ip" {
                addresses.push(address.to_canonical().to_string());
            }
        }
        if let Some(dns) = own.and_then(|own| own.text_at("dns_name")).filter(|name| name.contains('.')) {
            ci.key(Key::fqdn(dns));
        }
    }
    if !addresses.is_empty() {
        ci.attr(attr::HOST_IP, Value::text_set(addresses));
    }
}

pub(super) fn device<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    let Some(id) = id_of(draft, node) else { return };
    let own = native("dcim/devices", id);
    // `device_role` until 3.6.
    let role = if node.get("role").is_some() { "role" } else { "device_role" };
    let by_role = word(&words(node, role), ROLES, false);
    let kind = match (by_role, system(node)) {
        (Some(role), _) if role != kind::HOST => role,
        (role, system) => system.or(role).unwrap_or(kind::DEVICE),
    };
    let is_host = kind.is_a(&kind::HOST);
    let serial = node.text_at("serial");
    let Some(ci) = draft.item(node, own.clone(), kind) else { return };
    machine(ci, node, is_host);
    ci.keys.extend(typed(key_kind::SERIAL, serial));
    ci.keys.extend(typed(key_kind::ASSET_TAG, node.text_at("asset_tag")));
    let made = node.at(&["device_type", "manufacturer"]);
    let vendor = made.and_then(|made| made.text_at("name").or_else(|| made.text_at("display")));
    let model =
        node.get("device_type").and_then(|own| own.text_at("model").or_else(|| own.text_at("display")));
    let names = if is_host { [VENDOR, PRODUCT, SERIAL] } else { [MANUFACTURER, MODEL, DEVICE_SERIAL] };
    for (name, text) in names.into_iter().zip([vendor, model, serial]) {
        ci.say(name, text);
    }
    ci.say(ROLE, label(node, role))
        .say(attr::OS_NAME, label(node, "platform"))
        .say(ASSET_TAG, node.text_at("asset_tag"))
        .attr_opt(POSITION, node.get("position").map(Node::value).filter(|_| node.get("rack").is_some()));
    if is_host {
        ci.attr(attr::HOST_TYPE, "physical");
    }
    place(draft, node, &own);
    belongs(draft, node, &own, "cluster", "virtualization/clusters");
    if let Some(parent) = named(node, "parent_device", "dcim/devices") {
        draft.relation(node, relation::CONTAINS, parent, own);
    }
}

/// The narrowest place that is named.
fn place<'a>(draft: &mut Draft<'a>, node: &'a Node, own: &Text) {
    let places = [("rack", "dcim/racks"), ("location", "dcim/locations"), ("site", "dcim/sites")];
    let _ = places.into_iter().any(|(field, path)| belongs(draft, node, own, field, path));
}

pub(super) fn virtual_machine<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    let Some(id) = id_of(draft, node) else { return };
    let own = native("virtualization/virtual-machines", id);
    let kind = system(node).unwrap_or(kind::HOST);
    let Some(ci) = draft.item(node, own.clone(), kind) else { return };
    machine(ci, node, true);
    ci.keys.extend(typed(key_kind::SERIAL, node.text_at("serial")));
    ci.say(SERIAL, node.text_at("serial"))
        .say(attr::OS_NAME, label(node, "platform"))
        .say(ROLE, label(node, "role"))
        .attr(attr::HOST_TYPE, "vm");
    let cpus = node.get("vcpus").and_then(|own| match &own.data {
        Data::Float(count) => Some(count.ceil() as i64),
        Data::Text(text) => text.parse::<f64>().ok().map(|count| count.ceil() as i64),
        _ => own.int(),
    });
    ci.attr_opt(attr::HOST_CPU_COUNT, cpus.filter(|count| *count > 0));
    match node.get("memory").map(|own| (own, own.int())) {
        Some((_, Some(mega))) if mega > 0 => {
            // NetBox counts in megabytes of 1,000,000 bytes since 4.1 and does not say so; the older reading is kept.
            ci.attr_opt(attr::HOST_MEMORY_SIZE, mega.checked_mul(1 << 20));
        }
        Some((own, None)) => {
            draft.ignore(own, format!("`memory` should be a whole number and is {}", cut(own.shape())));
        }
        _ => {}
    }
    if let Some(below) = named(node, "device", "dcim/devices") {
        draft.relation(node, relation::RUNS_ON, own.clone(), below);
    } else if let Some(cluster) = named(node, "cluster", "virtualization/clusters") {
        draft.relation(node, relation::RUNS_ON, own.clone(), cluster);
    }
    if node.get("cluster").is_none() {
        belongs(draft, node, &own, "site", "dcim/sites");
    }
}
