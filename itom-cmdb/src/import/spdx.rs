//! SPDX bills of materials: 2.2 and 2.3 as JSON and as tag-value text, 3.0 as JSON-LD.
//!
//! Sources: <https://spdx.github.io/spdx-spec/v2.3/> and <https://spdx.github.io/spdx-spec/v3.0.1/>.

use itom_core::{CiKind, RelationKind, kind, relation};

use super::cyclonedx::time;
use super::draft::{Draft, cut};
use super::package::{BUILT_WITH, Package, Register, hang_on, scopes};
use super::tree::{Data, Node};
use super::{Document, Format, ImportError, Imported, Options, Problem, Verdict, source};

const KNOWN: &str = "2.2, 2.3 and 3.0";

pub(super) fn read(document: &Document<'_>, root: &Node, options: &Options) -> Result<Imported, ImportError> {
    if root.get("@graph").is_some() {
        return graph(document, root, options);
    }
    let named = root.text_at("name").map(|name| name.rsplit_once('@').map_or(name, |(name, _)| name));
    let source = source(document, Format::Spdx, options, named.filter(|name| !name.is_empty()))?;
    let mut draft = Draft::new(document.name, Some(root), Format::Spdx, source, options.limits);
    let version = root.text_at("spdxVersion").unwrap_or_default();
    if !matches!(version, "SPDX-2.2" | "SPDX-2.3") {
        let (found, spot) = (cut(version), root.get("spdxVersion").unwrap_or(root));
        return Err(draft.error(spot, Problem::UnknownVersion { format: Format::Spdx, found, known: KNOWN }));
    }
    for name in ["packages", "relationships"] {
        if let Some(node) = root.get(name).filter(|node| !matches!(node.data, Data::List(_))) {
            return Err(draft.shape(node, format!("`{name}` should be a list and is {}", node.shape())));
        }
    }
    draft.dated =
        root.at(&["creationInfo", "created"]).and_then(Node::text).and_then(|text| text.parse().ok());
    let mut register = Register::default();
    let mut parts = Vec::new();
    for node in root.list_at("packages") {
        let Some(name) = draft.text(node, "name") else {
            draft.entries += 1;
            draft.refuse(node, "a package needs a name");
            continue;
        };
        let package = package(node, name);
        if let Some(native) = register.add(&mut draft, &package) {
            parts.push((native, node));
        }
    }
    let mut described: Vec<&str> = root.list_at("documentDescribes").iter().filter_map(Node::text).collect();
    for node in root.list_at("relationships") {
        let [from, to, how] =
            ["spdxElementId", "relatedSpdxElement", "relationshipType"].map(|name| node.text_at(name));
        let (Some(from), Some(to), Some(how)) = (from, to, how) else {
            draft.refuse(
                node,
                "a relationship needs `spdxElementId`, `relatedSpdxElement` and `relationshipType`",
            );
            continue;
        };
        match how {
            "DESCRIBES" => described.push(to),
            "DESCRIBED_BY" => described.push(from),
            _ => relate(&mut draft, &register, node, how, from, to),
        }
    }
    describe(&mut draft, &register, &described, &parts);
    let taken_at = time(&draft, options);
    Ok(draft.finish(taken_at, scopes(), false))
}

/// What the document is about needs what nothing else leads to.
fn describe<'a>(
    draft: &mut Draft<'a>,
    register: &Register<'a>,
    described: &[&str],
    parts: &[(itom_core::Text, &'a Node)],
) {
    let whole: std::collections::BTreeSet<_> =
        described.iter().filter_map(|reference| register.native(reference)).cloned().collect();
    // A document about several things does not say which of them the rest belongs to.
    if let (1, Some(whole)) = (whole.len(), whole.first()) {
        hang_on(draft, whole, parts);
    }
}

fn purpose(text: Option<&str>) -> CiKind {
    match text.unwrap_or_default() {
        "APPLICATION" | "application" => CiKind::literal("software.application"),
        "FRAMEWORK" | "framework" => CiKind::literal("software.framework"),
        "LIBRARY" | "library" => CiKind::literal("software.library"),
        "CONTAINER" | "container" => CiKind::literal("container_image"),
        "OPERATING-SYSTEM" | "OPERATING_SYSTEM" | "operatingSystem" | "platform" => {
            CiKind::literal("software.platform")
        }
        "FIRMWARE" | "firmware" | "deviceDriver" => CiKind::literal("software.firmware"),
        "model" => CiKind::literal("software.model"),
        "DEVICE" | "device" => kind::DEVICE,
        _ => kind::SOFTWARE,
    }
}

/// What the specification writes for "nobody says".
fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !matches!(*text, "NOASSERTION" | "NONE"))
}

fn package<'a>(node: &'a Node, name: &'a str) -> Package<'a> {
    let mut package = Package::new(node, purpose(node.text_at("primaryPackagePurpose")), name);
    package.reference = node.text_at("SPDXID");
    package.version = said(node.text_at("versionInfo"));
    package.description = node.text_at("description").or_else(|| node.text_at("summary"));
    package.supplier = said(node.text_at("supplier")).map(|text| {
        text.strip_prefix("Organization:").or_else(|| text.strip_prefix("Person:")).unwrap_or(text).trim()
    });
    package.licenses = said(node.text_at("licenseConcluded"))
        .or_else(|| said(node.text_at("licenseDeclared")))
        .into_iter()
        .collect();
    for reference in node.list_at("externalRefs") {
        let locator = reference.text_at("referenceLocator");
        match (reference.text_at("referenceType").unwrap_or_default(), locator) {
            ("purl", Some(locator)) => package.purl = package.purl.or(Some(locator)),
            ("swid", Some(locator)) => {
                package.swid = Some(locator.strip_prefix("swid:").unwrap_or(locator));
            }
            (kind, Some(locator)) if kind.starts_with("cpe2") => package.cpes.push(locator),
            _ => {}
        }
    }
    package.checksums = node
        .list_at("checksums")
        .iter()
        .filter_map(|sum| Some((sum.text_at("algorithm")?, sum.text_at("checksumValue")?)))
        .collect();
    package
}

/// How a relationship of version 2 reads here: the kind, and whether it is read backwards.
fn reading(how: &str) -> Option<(RelationKind, bool)> {
    Some(match how {
        "DEPENDS_ON" | "CONTAINS" | "STATIC_LINK" | "DYNAMIC_LINK" | "HAS_PREREQUISITE" => {
            (relation::DEPENDS_ON, false)
        }
        "DEPENDENCY_OF"
        | "RUNTIME_DEPENDENCY_OF"
        | "PROVIDED_DEPENDENCY_OF"
        | "CONTAINED_BY"
        | "PREREQUISITE_FOR" => (relation::DEPENDS_ON, true),
        "BUILD_DEPENDENCY_OF"
        | "DEV_DEPENDENCY_OF"
        | "TEST_DEPENDENCY_OF"
        | "BUILD_TOOL_OF"
        | "DEV_TOOL_OF"
        | "TEST_TOOL_OF"
        | "OPTIONAL_DEPENDENCY_OF" => (BUILT_WITH, true),
        _ => return None,
    })
}

fn relate<'a>(
    draft: &mut Draft<'a>,
    register: &Register<'a>,
    node: &'a Node,
    how: &str,
    from: &str,
    to: &str,
) {
    // Files, snippets and licences are not taken, so relations with them are none here.
    let Some((kind, backwards)) = reading(how) else { return };
    let is_file = |id: &str| id.starts_with("SPDXRef-File") || id == "NONE" || id == "NOASSERTION";
    let mut ends = Vec::new();
    for id in [from, to] {
        match register.native(id) {
            Some(native) => ends.push(native.clone()),
            None if is_file(id) || id.starts_with("DocumentRef-") || id == "SPDXRef-DOCUMENT" => return,
            None => {
                let reason =
                    format!("`{}` is no package of this document; the relation is not taken", cut(id));
                draft.remark(Verdict::Dangling, node, reason);
                return;
            }
        }
    }
    if backwards {
        ends.reverse();
    }
    if let [from, to] = ends.as_slice()
        && from != to
    {
        draft.relation(node, kind, from.clone(), to.clone());
    }
}

/// Version 3: a graph of elements.
fn graph(document: &Document<'_>, root: &Node, options: &Options) -> Result<Imported, ImportError> {
    let elements = root.list_at("@graph");
    let kind =
        |node: &Node| node.text_at("type").or_else(|| node.text_at("@type")).unwrap_or_default().to_owned();
    let about = elements.iter().find(|node| kind(node) == "SpdxDocument");
    let named = about.and_then(|about| about.text_at("name"));
    let source = source(document, Format::Spdx, options, named)?;
    let mut draft = Draft::new(document.name, Some(root), Format::Spdx, source, options.limits);
    for node in elements.iter().filter(|node| kind(node) == "CreationInfo") {
        let version = node.text_at("specVersion").unwrap_or_default();
        if !(version == "3.0" || version.starts_with("3.0.")) {
            let (found, spot) = (cut(version), node.get("specVersion").unwrap_or(node));
            return Err(
                draft.error(spot, Problem::UnknownVersion { format: Format::Spdx, found, known: KNOWN })
            );
        }
        draft.dated = node.text_at("created").and_then(|text| text.parse().ok());
    }
    let mut register = Register::default();
    let mut parts = Vec::new();
    for node in elements.iter().filter(|node| kind(node) == "software_Package") {
        let Some(name) = draft.text(node, "name") else {
            draft.entries += 1;
            draft.refuse(node, "a package needs a name");
            continue;
        };
        let mut package = Package::new(node, purpose(node.text_at("software_primaryPurpose")), name);
        package.reference = node.text_at("spdxId");
        package.version = said(node.text_at("software_packageVersion"));
        package.purl = node.text_at("software_packageUrl");
        package.description = node.text_at("description").or_else(|| node.text_at("summary"));
        for id in node.list_at("externalIdentifier") {
            let value = id.text_at("identifier");
            match (id.text_at("externalIdentifierType").unwrap_or_default(), value) {
                ("packageUrl", Some(value)) => package.purl = package.purl.or(Some(value)),
                ("cpe22" | "cpe23", Some(value)) => package.cpes.push(value),
                ("swid", Some(value)) => package.swid = Some(value),
                _ => {}
            }
        }
        package.checksums = node
            .list_at("verifiedUsing")
            .iter()
            .filter_map(|sum| Some((sum.text_at("algorithm")?, sum.text_at("hashValue")?)))
            .collect();
        if let Some(native) = register.add(&mut draft, &package) {
            parts.push((native, node));
        }
    }
    let mut described: Vec<&str> = elements
        .iter()
        .filter(|node| matches!(kind(node).as_str(), "SpdxDocument" | "software_Sbom"))
        .flat_map(|node| node.list_at("rootElement"))
        .filter_map(Node::text)
        .collect();
    for node in elements
        .iter()
        .filter(|node| matches!(kind(node).as_str(), "Relationship" | "LifecycleScopedRelationship"))
    {
        let (Some(from), Some(how)) = (node.text_at("from"), node.text_at("relationshipType")) else {
            draft.refuse(node, "a relationship needs `from`, `to` and `relationshipType`");
            continue;
        };
        let runs = !matches!(node.text_at("scope"), Some("build" | "development" | "test" | "design"));
        for to in node.list_at("to").iter().filter_map(Node::text) {
            match how {
                "describes" => described.push(to),
                "dependsOn" | "contains" | "hasStaticLink" | "hasDynamicLink" | "hasPrerequisite" => {
                    let how = if runs { "DEPENDS_ON" } else { "BUILD_DEPENDENCY_OF" };
                    let (from, to) = if runs { (from, to) } else { (to, from) };
                    // Ids of files and documents say nothing about what they are.
                    if register.native(from).is_some() && register.native(to).is_some() {
                        relate(&mut draft, &register, node, how, from, to);
                    }
                }
                _ => {}
            }
        }
    }
    describe(&mut draft, &register, &described, &parts);
    let taken_at = time(&draft, options);
    Ok(draft.finish(taken_at, scopes(), false))
}
