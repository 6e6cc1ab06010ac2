//! Interfaces, addresses, networks and cables.

use std::net::IpAddr;

use itom_core::{AttrName, Key, KeyKind, Realm, Strength, Text, Value, attr, key_kind, kind, relation};

use super::super::draft::{Draft, Fill as _, cut};
use super::super::tree::{Data, Node};
use super::place::{common, object};
use super::{Nets, VLAN, belongs, choice, id_of, label, named, native, skip};

const MAC: AttrName = AttrName::literal("network.interface.mac");
const TYPE: AttrName = AttrName::literal("network.interface.type");
const ADDRESSES: AttrName = AttrName::literal("network.interface.addresses");
const PREFIX: AttrName = AttrName::literal("network.prefix");
const VID: AttrName = AttrName::literal("network.vlan.id");
const VRF: AttrName = AttrName::literal("network.vrf");
const ROLE: AttrName = AttrName::literal("network.role");
const DNS: AttrName = AttrName::literal("dns.name");
const CABLE: AttrName = AttrName::literal("cable.label");
const CABLE_TYPE: AttrName = AttrName::literal("cable.type");
const CABLE_STATE: AttrName = AttrName::literal("cable.state");
const PREFIX_KEY: KeyKind = KeyKind::literal("ip_prefix");

/// The space in which an address is unique.
fn realm(node: &Node) -> Realm {
    let vrf = node.get("vrf");
    let name = vrf.and_then(|vrf| vrf.text_at("rd").or_else(|| vrf.text_at("name")));
    name.and_then(|name| Realm::new(format!("vrf:{}", name.replace(char::is_whitespace, "-"))).ok())
        .unwrap_or_default()
}

/// Whose interface it is.
pub(super) fn owner(node: &Node) -> Option<Text> {
    named(node, "device", "dcim/devices")
        .or_else(|| named(node, "virtual_machine", "virtualization/virtual-machines"))
}

fn path_of(node: &Node) -> &'static str {
    if node.get("virtual_machine").is_some() { "virtualization/interfaces" } else { "dcim/interfaces" }
}

pub(super) fn interface<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    let Some(id) = id_of(draft, node) else { return };
    let Some(owner) = owner(node) else {
        return draft.refuse(node, "an interface needs `device` or `virtual_machine`");
    };
    let own = native(path_of(node), id);
    let mac = node.text_at("mac_address").or_else(|| node.get("primary_mac_address")?.text_at("mac_address"));
    let key = mac.map(|mac| Key::new(key_kind::MAC, Realm::GLOBAL, mac, Strength::Administrative));
    if let (Some(mac), Some(Err(_))) = (mac, &key) {
        let spot = node.get("mac_address").unwrap_or(node);
        draft.ignore(spot, format!("`{}` is no MAC address", cut(mac)));
    }
    let key = key.and_then(Result::ok);
    let Some(ci) = draft.item(node, own.clone(), kind::NETWORK_INTERFACE) else { return };
    let enabled = node.get("enabled").map(|own| own.data == Data::Bool(true));
    let name = node.text_at("name");
    ci.say(attr::NAME, name)
        .say(attr::NETWORK_INTERFACE_NAME, name)
        .say(TYPE, choice(node, "type"))
        .attr_opt(attr::NETWORK_INTERFACE_STATE, enabled.map(|up| if up { "enabled" } else { "disabled" }))
        .attr_opt(attr::NETWORK_INTERFACE_MTU, node.get("mtu").and_then(Node::int))
        // Kilobits in NetBox.
        .attr_opt(
            attr::NETWORK_INTERFACE_SPEED,
            node.get("speed").and_then(Node::int).and_then(|kilo| kilo.checked_mul(1000)),
        )
        .attr_opt(MAC, key.as_ref().map(|key| key.value().to_owned()));
    common(ci, node);
    ci.keys.extend(key.clone());
    if let (Some(key), Some(machine)) = (key, draft.known(&owner)) {
        machine.key(key);
    }
    draft.relation(node, relation::CONTAINS, owner, own.clone());
    let tagged = node.list_at("tagged_vlans").iter();
    for vlan in tagged.chain(node.get("untagged_vlan")) {
        if let Some(id) = vlan.get("id").and_then(Node::int) {
            draft.relation(vlan, relation::ATTACHED_TO, own.clone(), native("ipam/vlans", id));
        }
    }
}

pub(super) fn address<'a>(draft: &mut Draft<'a>, node: &'a Node, nets: &Nets) {
    let Some(id) = id_of(draft, node) else { return };
    let Some(text) = draft.text(node, "address") else {
        return draft.refuse(node, "an address needs `address`");
    };
    let Ok(address) = text.split('/').next().unwrap_or(text).parse::<IpAddr>() else {
        let spot = node.get("address").unwrap_or(node);
        return draft.refuse(spot, format!("`{}` is no IP address", cut(text)));
    };
    let own = native("ipam/ip-addresses", id);
    let key = Key::ip(address).in_realm(realm(node));
    let dns = node.text_at("dns_name");
    let Some(ci) = draft.item(node, own.clone(), kind::NETWORK_ADDRESS) else { return };
    ci.key(key.clone());
    ci.attr(attr::NAME, address.to_canonical().to_string())
        .say(attr::STATE, choice(node, "status"))
        .say(ROLE, choice(node, "role"))
        .say(DNS, dns)
        .say(VRF, label(node, "vrf"));
    common(ci, node);
    let interface = match node.text_at("assigned_object_type") {
        Some("dcim.interface") => "dcim/interfaces",
        Some("virtualization.vminterface") => "virtualization/interfaces",
        _ => return,
    };
    let Some(id) = node.get("assigned_object_id").and_then(Node::int) else { return };
    let interface = native(interface, id);
    // An address that several share, as routers do, identifies none of them.
    let shared = matches!(choice(node, "role"), Some("vrrp" | "vip" | "hsrp" | "glbp" | "carp" | "anycast"));
    if let Some(own) = draft.known(&interface) {
        push(own.attributes.entry(ADDRESSES).or_insert(Value::List(Vec::new())), text);
    }
    let machine = nets.owners.get(&interface).cloned().or_else(|| owner(node.get("assigned_object")?));
    if let Some(machine) = machine.and_then(|machine| draft.known(&machine))
        && !shared
    {
        machine.key(key);
        if let Some(dns) = dns.filter(|name| name.contains('.')) {
            machine.key(Key::fqdn(dns));
        }
        push(
            machine.attributes.entry(attr::HOST_IP).or_insert(Value::List(Vec::new())),
            &address.to_canonical().to_string(),
        );
    }
    draft.relation(node, relation::CONTAINS, interface, own);
}

/// One more element of a list that is a set.
fn push(value: &mut Value, text: &str) {
    let mut all: Vec<Text> = vec![text.into()];
    if let Value::List(list) = value {
        all.extend(list.iter().filter_map(|own| own.as_text().map(Text::from)));
    }
    *value = Value::text_set(all);
}

pub(super) fn prefix<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    let Some(id) = id_of(draft, node) else { return };
    let Some(text) = draft.text(node, "prefix") else {
        return draft.refuse(node, "a prefix needs `prefix`");
    };
    let own = native("ipam/prefixes", id);
    let address = text.split('/').next().and_then(|text| text.parse::<IpAddr>().ok());
    let Some(ci) = draft.item(node, own.clone(), kind::NETWORK_SUBNET) else { return };
    ci.say(attr::NAME, Some(text))
        .say(PREFIX, Some(text))
        .say(attr::STATE, choice(node, "status"))
        .say(ROLE, label(node, "role"))
        .say(VRF, label(node, "vrf"))
        .attr_opt(attr::NETWORK_TYPE, address.map(|address| if address.is_ipv4() { "ipv4" } else { "ipv6" }))
        .identify(Key::new(PREFIX_KEY, realm(node), text, Strength::Administrative));
    common(ci, node);
    if let Some(vlan) = named(node, "vlan", "ipam/vlans") {
        draft.relation(node, relation::ATTACHED_TO, own.clone(), vlan);
    }
    site(draft, node, &own);
}

pub(super) fn vlan<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    let Some(own) = object(draft, node, "ipam/vlans", VLAN) else { return };
    if let Some(ci) = draft.known(&own) {
        ci.attr_opt(VID, node.get("vid").and_then(Node::int)).say(ROLE, label(node, "role"));
    }
    site(draft, node, &own);
}

/// Since 4.2 networks have a scope, before they had a site.
fn site<'a>(draft: &mut Draft<'a>, node: &'a Node, own: &Text) {
    if node.text_at("scope_type") == Some("dcim.site") {
        belongs(draft, node, own, "scope", "dcim/sites");
    } else {
        belongs(draft, node, own, "site", "dcim/sites");
    }
}

/// The interfaces at one end.
fn ends(node: &Node, side: &str) -> (Vec<Text>, bool) {
    let mut all = Vec::new();
    let mut others = false;
    // One object at each end until 3.2, a list since.
    let old =
        (node.text_at(&format!("termination_{side}_type")), node.get(&format!("termination_{side}_id")));
    let list = node.list_at(&format!("{side}_terminations"));
    let new = list.iter().map(|end| (end.text_at("object_type"), end.get("object_id")));
    for (what, id) in new.chain([old]) {
        match (what, id.and_then(Node::int)) {
            (Some("dcim.interface"), Some(id)) => all.push(native("dcim/interfaces", id)),
            (Some(_), _) => others = true,
            _ => {}
        }
    }
    (all, others)
}

pub(super) fn cable<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    if id_of(draft, node).is_none() {
        return;
    }
    let ((a, a_others), (b, b_others)) = (ends(node, "a"), ends(node, "b"));
    if a_others || b_others {
        skip(
            draft,
            node,
            "ends of cables that are no interfaces (power, console, patch panels) are not taken",
        );
    }
    for from in &a {
        for to in &b {
            let Some(attributes) = draft.relation(node, relation::NEIGHBOR_OF, from.clone(), to.clone())
            else {
                continue;
            };
            for (name, text) in [
                (CABLE, node.text_at("label")),
                (CABLE_TYPE, choice(node, "type")),
                (CABLE_STATE, choice(node, "status")),
            ] {
                if let Some(text) = text {
                    attributes.insert(name, Value::from(text));
                }
            }
        }
    }
}
