//! Software as bills of materials describe it.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{
    AttrName, CiKind, Key, Realm, RelationKind, Scope, Strength, Text, Value, attr, kind, relation,
};

use super::Verdict;
use super::draft::{Draft, Fill as _, cut, texts};
use super::purl::{self, SWID};
use super::tree::Node;

/// `from` is made with the help of `to`, and runs without it.
pub(super) const BUILT_WITH: RelationKind = RelationKind::literal("built_with");
const LICENSE: AttrName = AttrName::literal("package.license");
const SUPPLIER: AttrName = AttrName::literal("package.supplier");
const DESCRIPTION: AttrName = AttrName::literal("description");
const CHECKSUMS: AttrName = AttrName::literal("package.checksums");
const MANAGER: AttrName = AttrName::literal("package.manager");
const GROUP: AttrName = AttrName::literal("package.group");

/// Everything that a bill of materials may hold: what a later one lacks is gone.
pub(super) fn scopes() -> Vec<Scope> {
    let kinds =
        [kind::SOFTWARE, kind::APPLICATION, kind::SERVICE, kind::DEVICE, CiKind::literal("container_image")];
    let relations = [relation::DEPENDS_ON, BUILT_WITH];
    kinds.into_iter().map(Scope::cis).chain(relations.into_iter().map(Scope::relations)).collect()
}

/// One package.
#[derive(Debug)]
pub(super) struct Package<'a> {
    pub(super) node: &'a Node,
    /// How the document refers to it.
    pub(super) reference: Option<&'a str>,
    pub(super) kind: CiKind,
    pub(super) group: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) purl: Option<&'a str>,
    pub(super) cpes: Vec<&'a str>,
    pub(super) swid: Option<&'a str>,
    pub(super) licenses: Vec<&'a str>,
    pub(super) supplier: Option<&'a str>,
    pub(super) description: Option<&'a str>,
    pub(super) checksums: Vec<(&'a str, &'a str)>,
}

impl<'a> Package<'a> {
    pub(super) fn new(node: &'a Node, kind: CiKind, name: &'a str) -> Self {
        Self {
            node,
            reference: None,
            kind,
            group: None,
            name,
            version: None,
            purl: None,
            cpes: Vec::new(),
            swid: None,
            licenses: Vec::new(),
            supplier: None,
            description: None,
            checksums: Vec::new(),
        }
    }
}

/// The packages of a document, and what it calls them.
#[derive(Debug, Default)]
pub(super) struct Register<'a> {
    natives: BTreeMap<&'a str, Text>,
}

impl<'a> Register<'a> {
    /// What the source calls the package that the document refers to so.
    pub(super) fn native(&self, reference: &str) -> Option<&Text> {
        self.natives.get(reference)
    }

    /// Adds a package; its native id.
    ///
    /// References of a document change from one to the next, so the id is what the package is: its URL, else its name. A
    /// package that is listed twice, because it was found in two places, is one.
    pub(super) fn add(&mut self, draft: &mut Draft<'a>, package: &Package<'a>) -> Option<Text> {
        draft.entries += 1;
        let canonical = package.purl.and_then(purl::canonical);
        if let (Some(purl), None) = (package.purl, &canonical) {
            let spot = package.node.get("purl").unwrap_or(package.node);
            draft.ignore(spot, format!("`{}` is no package URL (pkg:TYPE/NAME@VERSION)", cut(purl)));
        }
        let mut native = canonical.clone().unwrap_or_else(|| {
            let group = package.group.map_or_else(String::new, |group| format!("{group}/"));
            let version = package.version.map_or_else(String::new, |version| format!("@{version}"));
            format!("{}:{group}{}{version}", package.kind, package.name)
        });
        if native.len() > 1024 {
            // Too long for a name: what the document calls it must do.
            native = package.reference.unwrap_or_default().to_owned();
        }
        let native = Text::from(native);
        if let Some(reference) = package.reference {
            if self.natives.contains_key(reference) {
                let reason =
                    format!("the reference `{}` stands for two entries; the first is taken", cut(reference));
                draft.remark(Verdict::Duplicate, package.node, reason);
                return None;
            }
            self.natives.insert(reference, native.clone());
        }
        if draft.has(&native) {
            return Some(native);
        }
        let alone = canonical.is_none() && package.swid.is_none();
        let keys: Vec<Key> = canonical
            .iter()
            .filter_map(|purl| purl::key(purl).ok())
            .chain(package.cpes.iter().filter_map(|cpe| purl::cpe(cpe, alone)))
            .chain(package.swid.and_then(|id| Key::new(SWID, Realm::GLOBAL, id, Strength::Issued).ok()))
            .collect();
        let ci = draft.item(package.node, native.clone(), package.kind.clone())?;
        for key in keys {
            ci.key(key);
        }
        let manager = canonical.as_deref().and_then(|purl| purl.get(4..)?.split('/').next());
        ci.say(attr::NAME, Some(package.name))
            .say(attr::PACKAGE_VERSION, package.version)
            .say(attr::PACKAGE_PURL, package.purl)
            .say(GROUP, package.group)
            .say(MANAGER, manager)
            .say(SUPPLIER, package.supplier)
            .say(DESCRIPTION, package.description)
            .attr_opt(LICENSE, texts(package.licenses.iter().copied()));
        if package.kind.is_a(&kind::SOFTWARE) {
            ci.say(attr::PACKAGE_NAME, Some(package.name));
        }
        if !package.checksums.is_empty() {
            let sums = package.checksums.iter();
            // `SHA-256` in one format, `SHA256` in another.
            let named = |name: &str| Text::from(name.to_lowercase().replace("sha-", "sha"));
            let sums = sums.map(|(name, sum)| (named(name), Value::from(sum.to_lowercase())));
            ci.attr(CHECKSUMS, Value::Map(sums.collect()));
        }
        Some(native)
    }
}

/// What the document is about needs what nothing else leads to: so a list without dependencies is a list of what the
/// whole consists of.
pub(super) fn hang_on<'a>(draft: &mut Draft<'a>, whole: &Text, parts: &[(Text, &'a Node)]) {
    let needs = draft.links();
    let mut reached: BTreeSet<Text> = BTreeSet::new();
    let mut missing: Vec<&(Text, &'a Node)> = Vec::new();
    reach(whole, &needs, &mut reached);
    // What something needs that is not reached either comes with that something.
    let needed: BTreeSet<&Text> = needs.values().flatten().collect();
    let (inner, outer): (Vec<_>, Vec<_>) = parts.iter().partition(|(part, _)| needed.contains(part));
    for part in outer.into_iter().chain(inner) {
        if !reached.contains(&part.0) {
            reach(&part.0, &needs, &mut reached);
            missing.push(part);
        }
    }
    for (part, node) in missing {
        draft.relation(*node, relation::DEPENDS_ON, whole.clone(), part.clone());
    }
}

fn reach(from: &Text, needs: &BTreeMap<Text, Vec<Text>>, reached: &mut BTreeSet<Text>) {
    let mut open = vec![from.clone()];
    while let Some(next) = open.pop() {
        if reached.insert(next.clone()) {
            open.extend(needs.get(&next).into_iter().flatten().cloned());
        }
    }
}
