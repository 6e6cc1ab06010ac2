//! Catalogues of Backstage: entities as YAML documents, or as the JSON that its API gives.
//!
//! Source: <https://backstage.io/docs/features/software-catalog/descriptor-format> and `…/references`.

use itom_core::{AttrName, CiKind, RelationKind, Scope, Text, Value, attr, kind, relation};

use super::draft::{Draft, Fill as _, cut, texts};
use super::tree::{Data, Node};
use super::{Document, Format, ImportError, Imported, Options, source};

const API: CiKind = CiKind::literal("api");
const RESOURCE: CiKind = CiKind::literal("resource");
const PERSON: CiKind = CiKind::literal("person");
const CATALOG: CiKind = CiKind::literal("catalog");
const TITLE: AttrName = AttrName::literal("title");
const DESCRIPTION: AttrName = AttrName::literal("description");
const TAGS: AttrName = AttrName::literal("tags");
const LABELS: AttrName = AttrName::literal("labels");
const ANNOTATIONS: AttrName = AttrName::literal("annotations");
const TYPE: AttrName = AttrName::literal("catalog.type");
const LIFECYCLE: AttrName = AttrName::literal("catalog.lifecycle");
const TARGETS: AttrName = AttrName::literal("catalog.targets");
const EMAIL: AttrName = AttrName::literal("person.email");
const NAMESPACE: AttrName = AttrName::literal("service.namespace");

/// The fields of `spec` that refer to others: which kind is meant when none is written, how the relation reads here, and
/// whether the entity is where it ends.
const REFERENCES: &[(&str, &str, RelationKind, bool)] = &[
    ("owner", "group", relation::OWNED_BY, false),
    ("dependsOn", "component", relation::DEPENDS_ON, false),
    ("dependencyOf", "component", relation::DEPENDS_ON, true),
    ("consumesApis", "api", relation::DEPENDS_ON, false),
    ("providesApis", "api", relation::PROVIDED_BY, true),
    ("system", "system", relation::MEMBER_OF, false),
    ("domain", "domain", relation::MEMBER_OF, false),
    ("subcomponentOf", "component", relation::MEMBER_OF, false),
    ("subdomainOf", "domain", relation::MEMBER_OF, false),
    ("parent", "group", relation::MEMBER_OF, false),
    ("children", "group", relation::MEMBER_OF, true),
    ("memberOf", "group", relation::MEMBER_OF, false),
    ("members", "user", relation::MEMBER_OF, true),
];

/// The relations that the catalogue has derived, as its API gives them. Each is there from both ends; one is enough.
const DERIVED: &[(&str, RelationKind, bool)] = &[
    ("ownedBy", relation::OWNED_BY, false),
    ("dependsOn", relation::DEPENDS_ON, false),
    ("consumesApi", relation::DEPENDS_ON, false),
    ("providesApi", relation::PROVIDED_BY, true),
    ("partOf", relation::MEMBER_OF, false),
    ("childOf", relation::MEMBER_OF, false),
    ("memberOf", relation::MEMBER_OF, false),
];

fn scopes() -> Vec<Scope> {
    let kinds = [
        kind::APPLICATION,
        kind::SERVICE,
        kind::SOFTWARE,
        kind::BUSINESS_SERVICE,
        kind::TEAM,
        API,
        RESOURCE,
        PERSON,
        CATALOG,
        CiKind::literal("cloud"),
        CiKind::literal("k8s"),
    ];
    let relations = [relation::OWNED_BY, relation::DEPENDS_ON, relation::PROVIDED_BY, relation::MEMBER_OF];
    kinds.into_iter().map(Scope::cis).chain(relations.into_iter().map(Scope::relations)).collect()
}

pub(super) fn read(document: &Document<'_>, root: &Node, options: &Options) -> Result<Imported, ImportError> {
    let source = source(document, Format::Backstage, options, None)?;
    let mut draft = Draft::new(document.name, Some(root), Format::Backstage, source, options.limits);
    // YAML is a list of documents; the API gives a list, a page of one, or one entity.
    let entities: Vec<&Node> = match &root.data {
        Data::List(list) => list.iter().flat_map(items_of).collect(),
        _ => items_of(root),
    };
    for node in entities {
        if matches!(node.data, Data::Null) {
            continue;
        }
        draft.entries += 1;
        entity(&mut draft, node);
    }
    Ok(draft.finish(options.now, scopes(), true))
}

fn items_of(node: &Node) -> Vec<&Node> {
    match node.get("items") {
        Some(items) if node.get("kind").is_none() => items.list().iter().collect(),
        _ => vec![node],
    }
}

/// What an entity is here, by its kind and type.
fn kind_of(entity: &str, own: &str) -> Option<CiKind> {
    Some(match (entity, own) {
        ("component", "service") => kind::SERVICE,
        ("component", "website") => CiKind::literal("service.web"),
        ("component", "library") => CiKind::literal("software.library"),
        ("component", _) => kind::APPLICATION,
        ("api", _) => API,
        ("resource", "database") => CiKind::literal("service.database"),
        ("resource", "queue" | "topic" | "message-queue") => CiKind::literal("service.queue"),
        ("resource", "s3-bucket" | "bucket" | "gcs-bucket") => CiKind::literal("cloud.bucket"),
        ("resource", "kubernetes-cluster" | "cluster") => CiKind::literal("k8s.cluster"),
        ("resource", _) => RESOURCE,
        ("system", _) => kind::APPLICATION,
        ("domain", _) => kind::BUSINESS_SERVICE,
        ("group", _) => kind::TEAM,
        ("user", _) => PERSON,
        ("location", _) => CATALOG,
        _ => return None,
    })
}

fn entity<'a>(draft: &mut Draft<'a>, node: &'a Node) {
    let Data::Map(_) = node.data else {
        return draft.refuse(node, format!("an entity has named fields; this is {}", node.shape()));
    };
    let Some(written) = draft.text(node, "kind") else {
        return draft.refuse(node, "an entity needs `kind`");
    };
    let metadata = node.get("metadata");
    let Some((metadata, name)) = metadata.and_then(|own| Some((own, draft.text(own, "name")?))) else {
        return draft.refuse(metadata.unwrap_or(node), "an entity needs `metadata.name`");
    };
    if let Some(version) = node.text_at("apiVersion")
        && !matches!(version, "backstage.io/v1alpha1" | "backstage.io/v1beta1" | "backstage.io/v1")
    {
        let spot = node.get("apiVersion").unwrap_or(node);
        return draft.refuse(spot, format!("version `{}` of entities is not known", cut(version)));
    }
    let entity = written.to_lowercase();
    let spec = node.get("spec");
    let own = spec.and_then(|spec| spec.text_at("type")).unwrap_or_default();
    if entity == "template" {
        return draft.ignore(node, "templates make things and are none");
    }
    let Some(kind) = kind_of(&entity, &own.to_lowercase()) else {
        let spot = node.get("kind").unwrap_or(node);
        let known = "Component, API, Resource, System, Domain, Group, User and Location are";
        return draft.refuse(spot, format!("entities of kind `{}` are not known; {known}", cut(written)));
    };
    let namespace = metadata.text_at("namespace").unwrap_or("default").to_lowercase();
    let native = Text::from(format!("{entity}:{namespace}/{}", name.to_lowercase()));
    let Some(ci) = draft.item(node, native.clone(), kind.clone()) else { return };
    ci.say(attr::NAME, Some(name))
        .say(TITLE, metadata.text_at("title"))
        .say(DESCRIPTION, metadata.text_at("description"))
        .say(TYPE, Some(own))
        .say(LIFECYCLE, spec.and_then(|spec| spec.text_at("lifecycle")))
        .attr_opt(TAGS, texts(metadata.list_at("tags").iter().filter_map(Node::text)))
        .attr_opt(LABELS, map(metadata.get("labels")))
        .attr_opt(ANNOTATIONS, map(metadata.get("annotations")));
    if kind.is_a(&kind::SERVICE) {
        ci.say(attr::SERVICE_NAME, Some(name));
    }
    if kind.is_a(&kind::SOFTWARE) {
        ci.say(attr::PACKAGE_NAME, Some(name));
    }
    if namespace != "default" {
        ci.say(NAMESPACE, Some(&namespace));
    }
    let profile = spec.and_then(|spec| spec.get("profile"));
    ci.say(TITLE, profile.and_then(|own| own.text_at("displayName")).or(metadata.text_at("title")))
        .say(EMAIL, profile.and_then(|own| own.text_at("email")));
    if entity == "location" {
        let targets = spec.map(|spec| spec.list_at("targets").iter().filter_map(Node::text));
        let one = spec.and_then(|spec| spec.text_at("target"));
        ci.attr_opt(TARGETS, texts(targets.into_iter().flatten().chain(one)));
        return;
    }
    for (field, meant, kind, ends_here) in REFERENCES {
        let Some(value) = spec.and_then(|spec| spec.get(field)) else { continue };
        let all: Vec<&Node> =
            if value.text().is_some() { vec![value] } else { value.list().iter().collect() };
        if all.is_empty() && !matches!(value.data, Data::List(_)) {
            draft.ignore(value, format!("`{field}` should be a reference or a list of them"));
        }
        for reference in all {
            refer(draft, reference, &native, (meant, &namespace), (kind, *ends_here));
        }
    }
    for node in node.list_at("relations") {
        let how = node.text_at("type").unwrap_or_default();
        let Some((_, kind, ends_here)) = DERIVED.iter().find(|(name, ..)| *name == how) else { continue };
        // Older versions give an object instead of a text.
        if let Some(reference) = node.get("targetRef") {
            refer(draft, reference, &native, ("component", &namespace), (kind, *ends_here));
        }
    }
}

fn refer<'a>(
    draft: &mut Draft<'a>,
    node: &'a Node,
    own: &Text,
    (kind, namespace): (&str, &str),
    (relation, ends_here): (&RelationKind, bool),
) {
    let Some(other) = node.text().and_then(|text| reference(text, kind, namespace)) else {
        let found = node.text().map_or_else(|| node.shape().to_owned(), |text| format!("`{}`", cut(text)));
        return draft.ignore(node, format!("a reference is [KIND:][NAMESPACE/]NAME, not {found}"));
    };
    let (from, to) = if ends_here { (other, own.clone()) } else { (own.clone(), other) };
    draft.relation(node, relation.clone(), from, to);
}

/// A reference in full: `kind:namespace/name` in lower case, since catalogues do not tell case apart.
fn reference(text: &str, kind: &str, namespace: &str) -> Option<Text> {
    let (kind, rest) = text.split_once(':').unwrap_or((kind, text));
    let (namespace, name) = rest.split_once('/').unwrap_or((namespace, rest));
    let fine = |part: &str| !part.is_empty() && part.len() <= 253 && !part.contains([':', '/', ' ', '\n']);
    (fine(kind) && fine(namespace) && fine(name))
        .then(|| Text::from(format!("{kind}:{namespace}/{name}").to_lowercase()))
}

fn map(node: Option<&Node>) -> Option<Value> {
    let fields = node?.fields();
    let texts =
        fields.iter().filter_map(|(name, node)| Some((Text::from(name.as_str()), Value::from(node.text()?))));
    let map: std::collections::BTreeMap<Text, Value> = texts.collect();
    (!map.is_empty()).then_some(Value::Map(map))
}
