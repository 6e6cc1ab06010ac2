//! CycloneDX bills of materials (ECMA-424; <https://cyclonedx.org/docs/1.6/json/>); XML comes in the form of JSON.

use itom_core::{AttrName, CiKind, Text, Timestamp, Value, attr, kind, relation};

use super::draft::{Draft, Fill as _, cut, texts};
use super::package::{Package, Register, hang_on, scopes};
use super::tree::{Data, Node};
use super::{Document, Format, ImportError, Imported, Options, Problem, source};

const VERSIONS: &[&str] = &["1.2", "1.3", "1.4", "1.5", "1.6", "1.7"];
const VULNERABILITIES: AttrName = AttrName::literal("package.vulnerabilities");
const ENDPOINTS: AttrName = AttrName::literal("service.endpoints");

pub(super) fn read(document: &Document<'_>, root: &Node, options: &Options) -> Result<Imported, ImportError> {
    let subject = root.at(&["metadata", "component"]);
    let own = subject.and_then(|subject| subject.text_at("name"));
    let source = source(document, Format::CycloneDx, options, own)?;
    let mut draft = Draft::new(document.name, Some(root), Format::CycloneDx, source, options.limits);
    if root.text_at("bomFormat") != Some("CycloneDX") {
        return Err(draft.shape(root, "`bomFormat` should be `CycloneDX`"));
    }
    let version = root.text_at("specVersion").unwrap_or_default();
    if !VERSIONS.contains(&version) {
        let spot = root.get("specVersion").unwrap_or(root);
        let found = cut(version);
        let known = "1.2 to 1.7";
        return Err(draft.error(spot, Problem::UnknownVersion { format: Format::CycloneDx, found, known }));
    }
    for (name, what) in [("components", "a list"), ("dependencies", "a list"), ("services", "a list")] {
        if let Some(node) = root.get(name).filter(|node| !matches!(node.data, Data::List(_))) {
            return Err(draft.shape(node, format!("`{name}` should be {what} and is {}", node.shape())));
        }
    }
    draft.dated = root.at(&["metadata", "timestamp"]).and_then(Node::text).and_then(|text| text.parse().ok());

    let mut register = Register::default();
    let whole =
        subject.and_then(|subject| component(&mut draft, &mut register, subject, None, &mut Vec::new()));
    let mut parts = Vec::new();
    for node in root.list_at("components") {
        component(&mut draft, &mut register, node, None, &mut parts);
    }
    for node in root.list_at("services") {
        parts.extend(service(&mut draft, node, &mut register));
    }
    for node in root.list_at("dependencies") {
        dependency(&mut draft, &register, node);
    }
    if let Some(whole) = &whole {
        hang_on(&mut draft, whole, &parts);
    }
    vulnerabilities(&mut draft, &register, root);
    let taken_at = time(&draft, options);
    Ok(draft.finish(taken_at, scopes(), false))
}

/// When the document is taken to be true.
pub(super) fn time(draft: &Draft<'_>, options: &Options) -> Timestamp {
    // A document from the future is one whose maker's clock is wrong.
    draft.dated.filter(|dated| options.as_dated && *dated <= options.now).unwrap_or(options.now)
}

fn kind_of(node: &Node) -> CiKind {
    match node.text_at("type").unwrap_or_default() {
        "application" => CiKind::literal("software.application"),
        "framework" => CiKind::literal("software.framework"),
        "library" => CiKind::literal("software.library"),
        "container" => CiKind::literal("container_image"),
        "operating-system" | "platform" => CiKind::literal("software.platform"),
        "firmware" | "device-driver" => CiKind::literal("software.firmware"),
        "machine-learning-model" => CiKind::literal("software.model"),
        "device" => kind::DEVICE,
        _ => kind::SOFTWARE,
    }
}

/// A component with those inside of it, which it needs.
fn component<'a>(
    draft: &mut Draft<'a>,
    register: &mut Register<'a>,
    node: &'a Node,
    within: Option<&Text>,
    parts: &mut Vec<(Text, &'a Node)>,
) -> Option<Text> {
    let Some(name) = draft.text(node, "name") else {
        draft.entries += 1;
        draft.refuse(node, "a component needs a name");
        return None;
    };
    // A file is a part of a package, not one.
    if node.text_at("type") == Some("file") {
        return None;
    }
    let mut package = Package::new(node, kind_of(node), name);
    package.reference = draft.text(node, "bom-ref");
    package.group = draft.text(node, "group");
    package.version = draft.text(node, "version");
    package.purl = draft.text(node, "purl");
    package.cpes = node.text_at("cpe").into_iter().collect();
    package.swid = node.at(&["swid", "tagId"]).and_then(Node::text);
    package.description = node.text_at("description");
    package.supplier = node
        .at(&["supplier", "name"])
        .or_else(|| node.at(&["manufacturer", "name"]))
        .and_then(Node::text)
        .or_else(|| node.text_at("publisher"));
    package.licenses = node
        .list_at("licenses")
        .iter()
        .filter_map(|own| {
            let license = own.get("license");
            let named = license.and_then(|license| license.text_at("id").or_else(|| license.text_at("name")));
            own.text_at("expression").or(named)
        })
        .collect();
    package.checksums = node
        .list_at("hashes")
        .iter()
        .filter_map(|hash| Some((hash.text_at("alg")?, hash.text_at("content")?)))
        .collect();
    let native = register.add(draft, &package)?;
    match within {
        Some(whole) => {
            draft.relation(node, relation::DEPENDS_ON, whole.clone(), native.clone());
        }
        None => parts.push((native.clone(), node)),
    }
    for inner in node.list_at("components") {
        component(draft, register, inner, Some(&native), parts);
    }
    Some(native)
}

fn service<'a>(
    draft: &mut Draft<'a>,
    node: &'a Node,
    register: &mut Register<'a>,
) -> Option<(Text, &'a Node)> {
    let Some(name) = draft.text(node, "name") else {
        draft.entries += 1;
        draft.refuse(node, "a service needs a name");
        return None;
    };
    let mut package = Package::new(node, kind::SERVICE, name);
    package.reference = draft.text(node, "bom-ref");
    package.group = draft.text(node, "group");
    package.version = draft.text(node, "version");
    package.description = node.text_at("description");
    package.supplier = node.at(&["provider", "name"]).and_then(Node::text);
    let native = register.add(draft, &package)?;
    if let Some(ci) = draft.known(&native) {
        ci.say(attr::SERVICE_NAME, Some(name))
            .say(attr::SERVICE_VERSION, package.version)
            .attr_opt(ENDPOINTS, texts(node.list_at("endpoints").iter().filter_map(Node::text)));
    }
    Some((native, node))
}

fn dependency<'a>(draft: &mut Draft<'a>, register: &Register<'a>, node: &'a Node) {
    let Some(reference) = draft.text(node, "ref") else {
        return draft.refuse(node, "a dependency needs `ref`");
    };
    let Some(from) = register.native(reference).cloned() else {
        // A file, or something that is not there; either way nothing can need anything.
        if !node.list_at("dependsOn").is_empty() {
            let reason =
                format!("`{}` is no component of this document; what it needs is not taken", cut(reference));
            draft.remark(super::Verdict::Dangling, node, reason);
        }
        return;
    };
    for needed in node.list_at("dependsOn") {
        let Some(reference) = needed.text() else {
            draft.ignore(needed, format!("a reference should be a text and is {}", needed.shape()));
            continue;
        };
        match register.native(reference).cloned() {
            Some(to) if to == from => {}
            Some(to) => {
                draft.relation(needed, relation::DEPENDS_ON, from.clone(), to);
            }
            None => {
                let reason = format!(
                    "`{}` is no component of this document; the relation is not taken",
                    cut(reference)
                );
                draft.remark(super::Verdict::Dangling, needed, reason);
            }
        }
    }
}

/// The ids of the vulnerabilities that the document says a component has.
fn vulnerabilities<'a>(draft: &mut Draft<'a>, register: &Register<'a>, root: &'a Node) {
    let mut found: std::collections::BTreeMap<Text, Vec<&'a str>> = std::collections::BTreeMap::new();
    for node in root.list_at("vulnerabilities") {
        let Some(id) = draft.text(node, "id") else { continue };
        let state = node.at(&["analysis", "state"]).and_then(Node::text);
        if matches!(state, Some("not_affected" | "false_positive" | "resolved" | "resolved_with_pedigree")) {
            continue;
        }
        for affected in node.list_at("affects") {
            if let Some(native) = affected.text_at("ref").and_then(|reference| register.native(reference)) {
                found.entry(native.clone()).or_default().push(id);
            }
        }
    }
    for (native, ids) in found {
        if let Some(ci) = draft.known(&native) {
            ci.attr(VULNERABILITIES, Value::text_set(ids));
        }
    }
}
