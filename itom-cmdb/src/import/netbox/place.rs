//! Where things are: sites, rooms, racks, and clusters.

use itom_core::{AttrName, CiKind, CiObservation, Text, attr};

use super::super::draft::{Draft, Fill as _, texts};
use super::super::tree::Node;
use super::{CLUSTER, Nets, RACK, ROOM, SITE, belongs, choice, id_of, label, native};

const SLUG: AttrName = AttrName::literal("slug");
const FACILITY: AttrName = AttrName::literal("location.facility");
const ADDRESS: AttrName = AttrName::literal("location.address");
const REGION: AttrName = AttrName::literal("location.region");
const TIMEZONE: AttrName = AttrName::literal("location.timezone");
const UNITS: AttrName = AttrName::literal("rack.units");
const TYPE: AttrName = AttrName::literal("cluster.type");
pub(super) const TENANT: AttrName = AttrName::literal("tenant");
const TAGS: AttrName = AttrName::literal("tags");
const DESCRIPTION: AttrName = AttrName::literal("description");
const COMMENTS: AttrName = AttrName::literal("comments");

/// An object with a name; its native id.
pub(super) fn object<'a>(draft: &mut Draft<'a>, node: &'a Node, path: &str, kind: CiKind) -> Option<Text> {
    let own = native(path, id_of(draft, node)?);
    let name = node.text_at("name").or_else(|| node.text_at("display"));
    let ci = draft.item(node, own.clone(), kind)?;
    ci.say(attr::NAME, name).say(attr::STATE, choice(node, "status"));
    common(ci, node);
    Some(own)
}

/// What every object may have.
pub(super) fn common(ci: &mut CiObservation, node: &Node) {
    let tags = node.list_at("tags").iter().filter_map(|tag| tag.text().or_else(|| tag.text_at("name")));
    ci.say(DESCRIPTION, node.text_at("description"))
        .say(COMMENTS, node.text_at("comments"))
        .say(TENANT, label(node, "tenant"))
        .attr_opt(TAGS, texts(tags));
}

pub(super) fn site<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    let Some(own) = object(draft, node, "dcim/sites", SITE) else { return };
    let Some(ci) = draft.known(&own) else { return };
    ci.say(SLUG, node.text_at("slug"))
        .say(FACILITY, node.text_at("facility"))
        .say(ADDRESS, node.text_at("physical_address"))
        .say(TIMEZONE, node.text_at("time_zone"))
        .say(REGION, label(node, "region"));
}

pub(super) fn location<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    let Some(own) = object(draft, node, "dcim/locations", ROOM) else { return };
    if !belongs(draft, node, &own, "parent", "dcim/locations") {
        belongs(draft, node, &own, "site", "dcim/sites");
    }
}

pub(super) fn rack<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    let Some(own) = object(draft, node, "dcim/racks", RACK) else { return };
    if let Some(ci) = draft.known(&own) {
        ci.attr_opt(UNITS, node.get("u_height").and_then(Node::int));
    }
    if !belongs(draft, node, &own, "location", "dcim/locations") {
        belongs(draft, node, &own, "site", "dcim/sites");
    }
}

pub(super) fn cluster<'a>(draft: &mut Draft<'a>, node: &'a Node, _: &Nets) {
    let Some(own) = object(draft, node, "virtualization/clusters", CLUSTER) else { return };
    if let Some(ci) = draft.known(&own) {
        ci.say(TYPE, label(node, "type"));
    }
    // Since 4.2 a cluster has a scope, before it had a site.
    if node.text_at("scope_type") == Some("dcim.site") {
        belongs(draft, node, &own, "scope", "dcim/sites");
    } else {
        belongs(draft, node, &own, "site", "dcim/sites");
    }
}
