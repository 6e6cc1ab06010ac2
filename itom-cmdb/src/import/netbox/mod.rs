//! Lists of NetBox, as its REST API gives them (`GET /api/dcim/devices/?limit=0` and the like).
//!
//! Source: the API schema of NetBox 3.3 to 4.x. All lists that are given are read together: an address or an interface
//! identifies the machine that has it.

mod machine;
mod network;
mod place;

use std::collections::BTreeMap;

use itom_core::{CiKind, RelationKind, Scope, Text, kind, relation};

use super::draft::{Draft, cut};
use super::tree::{Data, Node};
use super::{Document, Format, ImportError, Imported, Options, Place, Problem, Verdict, parse};

/// What a list holds, by the path of its API.
struct List {
    path: &'static str,
    /// What such a file is usually called, without its end.
    names: &'static [&'static str],
    kinds: &'static [CiKind],
    relations: &'static [RelationKind],
    read: for<'a> fn(&mut Draft<'a>, &'a Node, &Nets),
}

const CLUSTER: CiKind = CiKind::literal("cluster");
const RACK: CiKind = CiKind::literal("location.rack");
const SITE: CiKind = CiKind::literal("location.site");
const ROOM: CiKind = CiKind::literal("location.room");
const VLAN: CiKind = CiKind::literal("network.vlan");
const MACHINES: &[CiKind] = &[kind::HOST, kind::DEVICE];

/// Places before what stands in them, machines before what they have.
const LISTS: &[List] = &[
    List {
        path: "dcim/sites",
        names: &["sites"],
        kinds: &[kind::LOCATION],
        relations: &[],
        read: place::site,
    },
    List {
        path: "dcim/locations",
        names: &["locations"],
        kinds: &[kind::LOCATION],
        relations: &[relation::LOCATED_IN],
        read: place::location,
    },
    List {
        path: "dcim/racks",
        names: &["racks"],
        kinds: &[kind::LOCATION],
        relations: &[relation::LOCATED_IN],
        read: place::rack,
    },
    List {
        path: "virtualization/clusters",
        names: &["clusters"],
        kinds: &[CLUSTER],
        relations: &[relation::LOCATED_IN],
        read: place::cluster,
    },
    List {
        path: "ipam/vlans",
        names: &["vlans"],
        kinds: &[VLAN],
        relations: &[relation::LOCATED_IN],
        read: network::vlan,
    },
    List {
        path: "ipam/prefixes",
        names: &["prefixes"],
        kinds: &[kind::NETWORK_SUBNET],
        relations: &[relation::ATTACHED_TO, relation::LOCATED_IN],
        read: network::prefix,
    },
    List {
        path: "dcim/devices",
        names: &["devices"],
        kinds: MACHINES,
        relations: &[relation::MEMBER_OF, relation::LOCATED_IN, relation::CONTAINS],
        read: machine::device,
    },
    List {
        path: "virtualization/virtual-machines",
        names: &["virtual-machines", "virtual_machines", "vms"],
        kinds: MACHINES,
        relations: &[relation::MEMBER_OF, relation::LOCATED_IN, relation::RUNS_ON],
        read: machine::virtual_machine,
    },
    List {
        path: "dcim/interfaces",
        names: &["interfaces"],
        kinds: &[kind::NETWORK_INTERFACE],
        relations: &[relation::CONTAINS, relation::ATTACHED_TO],
        read: network::interface,
    },
    List {
        path: "virtualization/interfaces",
        names: &["vminterfaces", "vm-interfaces", "vm_interfaces"],
        kinds: &[kind::NETWORK_INTERFACE],
        relations: &[relation::CONTAINS, relation::ATTACHED_TO],
        read: network::interface,
    },
    List {
        path: "ipam/ip-addresses",
        names: &["ip-addresses", "ip_addresses", "ips", "addresses"],
        kinds: &[kind::NETWORK_ADDRESS],
        relations: &[relation::CONTAINS],
        read: network::address,
    },
    List {
        path: "dcim/cables",
        names: &["cables"],
        kinds: &[],
        relations: &[relation::NEIGHBOR_OF],
        read: network::cable,
    },
];

/// Whom interfaces belong to, for addresses that name an interface only.
#[derive(Default)]
struct Nets {
    owners: BTreeMap<Text, Text>,
}

/// What the source calls an object: the path of its list and its number, as its address has them.
fn native(path: &str, id: i64) -> Text {
    Text::from(format!("{path}/{id}"))
}

/// What an object is called that another one names in a field.
fn named(node: &Node, field: &str, path: &str) -> Option<Text> {
    Some(native(path, node.get(field)?.get("id")?.int()?))
}

/// The text of a choice: `{"value": "active", "label": "Active"}`, or the value alone.
fn choice<'a>(node: &'a Node, field: &str) -> Option<&'a str> {
    let own = node.get(field)?;
    own.text().or_else(|| own.text_at("value"))
}

/// The name, slug or shown form of a nested object.
fn label<'a>(node: &'a Node, field: &str) -> Option<&'a str> {
    let own = node.get(field)?;
    own.text_at("name").or_else(|| own.text_at("display")).or_else(|| own.text_at("model"))
}

/// The number that every object has; one without is refused.
fn id_of<'a>(draft: &mut Draft<'a>, node: &'a Node) -> Option<i64> {
    let id = node.get("id").and_then(Node::int);
    if id.is_none() {
        draft.refuse(node, "an object needs `id`, a whole number");
    }
    id
}

pub(super) fn read(documents: &[Document<'_>], options: &Options) -> Result<Imported, ImportError> {
    let mut roots: Vec<(&Document<'_>, Node)> = Vec::with_capacity(documents.len());
    for document in documents {
        roots.push((document, parse(document, Format::NetBox, options)?));
    }
    let Some((first, root)) = roots.first() else {
        return Err(ImportError { place: Place::file(""), problem: Problem::UnknownFormat });
    };
    // All installations look alike: the name of the server, as the addresses of the objects have it, tells them apart.
    let server = roots.iter().find_map(|(_, root)| {
        let url = objects(root)?.first()?.text_at("url")?;
        url.split_once("://")?.1.split('/').next()
    });
    let source = super::source(first, Format::NetBox, options, server)?;
    let mut draft = Draft::new(first.name, Some(root), Format::NetBox, source, options.limits);
    let mut lists: Vec<(&List, &Document<'_>, &Node, &[Node])> = Vec::new();
    for (document, root) in &roots {
        draft.turn_to(document.name, root);
        let Some(all) = objects(root) else {
            return Err(draft.shape(root, "expected a list, or `results` with a list in it"));
        };
        let list =
            all.first().and_then(|first| by_url(first.text_at("url")?)).or_else(|| by_name(document.stem()));
        let Some(list) = list else {
            let known: Vec<&str> = LISTS.iter().map(|list| list.path).collect();
            let reason = format!(
                "what the list holds is not known: its objects have no `url` of {}",
                known.join(", ")
            );
            return Err(draft.shape(all.first().unwrap_or(root), reason));
        };
        lists.push((list, document, root, all));
    }
    let order = |path: &str| LISTS.iter().position(|list| list.path == path);
    lists.sort_by_key(|(list, ..)| order(list.path));
    let mut nets = Nets::default();
    let mut scopes: Vec<Scope> = Vec::new();
    for (list, document, root, all) in lists {
        draft.turn_to(document.name, root);
        draft.within(list.path);
        if let Some(next) = root.get("next") {
            let reason =
                "this is one page of the list; export all of it (`?limit=0`), nothing is believed gone";
            draft.ignore(next, reason);
            draft.partial(list.path, Text::literal(reason));
        }
        if let Some(count) = root.get("count").and_then(Node::int)
            && usize::try_from(count).is_ok_and(|count| count > all.len())
            && root.get("next").is_none()
        {
            let reason = format!("the list says it has {count} objects and holds {}", all.len());
            draft.ignore(root, reason.clone());
            draft.partial(list.path, reason);
        }
        for node in all {
            draft.entries += 1;
            if !matches!(node.data, Data::Map(_)) {
                draft.refuse(node, format!("an object has named fields; this is {}", node.shape()));
                continue;
            }
            if let Some(url) = node.text_at("url")
                && by_url(url).is_some_and(|own| own.path != list.path)
            {
                draft.refuse(node, format!("`{}` does not belong in a list of {}", cut(url), list.path));
                continue;
            }
            (list.read)(&mut draft, node, &nets);
            if list.path.ends_with("/interfaces")
                && let Some(id) = node.get("id").and_then(Node::int)
                && let Some(owner) = network::owner(node)
            {
                nets.owners.insert(native(list.path, id), owner);
            }
        }
        let kinds = list.kinds.iter().cloned().map(Scope::cis);
        let relations = list.relations.iter().cloned().map(Scope::relations);
        scopes.extend(kinds.chain(relations).map(|scope| scope.within(list.path)));
    }
    Ok(draft.finish(options.now, scopes, true))
}

fn objects(root: &Node) -> Option<&[Node]> {
    match &root.data {
        Data::List(list) => Some(list),
        _ => match &root.get("results")?.data {
            Data::List(list) => Some(list),
            _ => None,
        },
    }
}

fn by_url(url: &str) -> Option<&'static List> {
    let path = url.split_once("/api/")?.1;
    LISTS.iter().find(|list| path.strip_prefix(list.path).is_some_and(|rest| rest.starts_with('/')))
}

/// Whether a file of this name is a list.
pub(super) fn names_a_list(stem: &str) -> bool {
    by_name(stem).is_some()
}

fn by_name(stem: &str) -> Option<&'static List> {
    let stem = stem.to_lowercase();
    let stem =
        stem.strip_prefix("netbox-").or_else(|| stem.strip_prefix("netbox_")).unwrap_or(&stem).to_owned();
    LISTS.iter().find(|list| list.names.contains(&stem.as_str()))
}

/// Whether a list holds places.
fn is_place(path: &str) -> bool {
    LISTS.iter().any(|list| list.path == path && list.kinds == [kind::LOCATION])
}

/// An object belongs to another one that a field names.
fn belongs<'a>(draft: &mut Draft<'a>, node: &'a Node, own: &Text, field: &str, path: &str) -> bool {
    let Some(other) = named(node, field, path) else { return false };
    let spot = node.get(field).unwrap_or(node);
    // A rack holds its devices as a site holds its racks; a cluster is made of them.
    let kind = if is_place(path) { relation::LOCATED_IN } else { relation::MEMBER_OF };
    draft.relation(spot, kind, own.clone(), other);
    true
}

/// A part of an object that is not taken.
fn skip<'a>(draft: &mut Draft<'a>, node: &'a Node, reason: &str) {
    draft.remark(Verdict::Ignored, node, reason.to_owned());
}
