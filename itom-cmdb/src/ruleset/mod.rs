//! Rule sets: everything that deriving depends on beside the facts, as one piece of versioned data.
//!
//! A [`RuleSet`] says which [kinds](KindRule) of items there are and what is known of each, what identifies them, whom to
//! believe about what and for how long, which [relations](RelationRule) may join what and how failure travels along
//! them, and when what is not seen again is gone. It is built in Rust, or read from JSON (with feature `policy` from
//! YAML); a bad file is refused with the place in it. Its [hash](RuleSet::hash) is part of every view derived with it.
//!
//! ```
//! use itom_cmdb::ruleset::{AttributeRule, AttributeType, KindRule, RuleSet};
//! use itom_cmdb::{Cmdb, CmdbConfig};
//! use itom_core::{AttrName, CiKind};
//!
//! let camera = CiKind::new("device.camera")?;
//! let rules = RuleSet::default_pack().kind(
//!     camera.clone(),
//!     KindRule::new("A camera").attribute(
//!         AttrName::new("camera.lens")?,
//!         AttributeRule::recommended(AttributeType::Text),
//!     ),
//! );
//! rules.check()?;
//! assert!(rules.attributes_of(&camera).contains_key("name"), "inherited from `device`");
//! let cmdb = Cmdb::new(CmdbConfig::from(&rules));
//! assert_eq!(cmdb.view().rules(), rules.hash());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod lint;
mod load;
mod pack;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use itom_core::{AttrName, CiKind, KeyKind, RelationKind, SourceName, StableHasher, Strength, Text, Value};
use serde::{Deserialize, Serialize};

use crate::config::{CmdbConfig, Precedence};
use crate::graph::{RelationModel, RelationSpec};
use crate::identity::{FromChildren, IdentityRules, KindIdentity};

pub use lint::Misfit;
pub use load::RuleSetError;

/// What values an attribute has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttributeType {
    /// Any value.
    #[default]
    Any,
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number, whole or not.
    Number,
    /// A text.
    Text,
    /// A point in time.
    Time,
    /// A list.
    List,
    /// Named values.
    Map,
}

impl AttributeType {
    /// Whether a value is of this type. What is unknown, not applicable or withheld is of every type.
    #[must_use]
    pub const fn fits(self, value: &Value) -> bool {
        match value {
            Value::Unknown | Value::NotApplicable | Value::Withheld => true,
            Value::Bool(_) => matches!(self, Self::Any | Self::Bool),
            Value::Int(_) => matches!(self, Self::Any | Self::Int | Self::Number),
            Value::Float(_) => matches!(self, Self::Any | Self::Number),
            Value::Text(_) => matches!(self, Self::Any | Self::Text),
            Value::Time(_) => matches!(self, Self::Any | Self::Time),
            Value::List(_) => matches!(self, Self::Any | Self::List),
            Value::Map(_) => matches!(self, Self::Any | Self::Map),
            _ => matches!(self, Self::Any),
        }
    }
}

/// Whether an item should have an attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// It may.
    #[default]
    Optional,
    /// It should.
    Recommended,
    /// It must.
    Required,
}

/// What becomes of the lists that several sources give for one attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reducer {
    /// The best claim's list, as it is; its order has a meaning.
    #[default]
    Ordered,
    /// The best claim's list as a set: two lists of the same elements agree.
    Replace,
    /// Every element that a present, fresh source lists. An element leaves when the last source that listed it no longer
    /// does.
    Union,
}

/// What is known of one attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AttributeRule {
    /// What values it has.
    #[serde(rename = "type", default)]
    pub kind: AttributeType,
    /// Whether an item should have it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub need: Need,
    /// What becomes of several lists.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reducer: Reducer,
    /// Says that it replaces what a more general kind says of the attribute; refused without.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overrides: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl AttributeRule {
    /// An attribute that an item may have.
    #[must_use]
    pub const fn optional(kind: AttributeType) -> Self {
        Self { kind, need: Need::Optional, reducer: Reducer::Ordered, overrides: false }
    }

    /// An attribute that an item should have.
    #[must_use]
    pub const fn recommended(kind: AttributeType) -> Self {
        Self { need: Need::Recommended, ..Self::optional(kind) }
    }

    /// An attribute that an item must have.
    #[must_use]
    pub const fn required(kind: AttributeType) -> Self {
        Self { need: Need::Required, ..Self::optional(kind) }
    }

    /// A list that several sources fill.
    #[must_use]
    pub const fn reduced(self, reducer: Reducer) -> Self {
        Self { reducer, ..self }
    }

    /// It replaces what a more general kind says.
    #[must_use]
    pub const fn overriding(self) -> Self {
        Self { overrides: true, ..self }
    }
}

/// When an item that is not seen again is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Only when its source says so or looks everywhere and does not see it.
    Never,
    /// After so long.
    After(Duration),
}

impl Lease {
    pub(crate) const fn span(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After(span) => Some(span),
        }
    }
}

impl Serialize for Lease {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => serializer.serialize_str("never"),
            Self::After(span) => serializer.serialize_str(&itom_core::time::format_duration(*span)),
        }
    }
}
impl<'de> Deserialize<'de> for Lease {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        if text.as_str() == "never" {
            return Ok(Self::Never);
        }
        itom_core::time::parse_duration(&text).map(Self::After).map_err(serde::de::Error::custom)
    }
}

/// What is known of one kind of items. A kind inherits from the one it [extends](KindRule::extending), else from the next
/// shorter name that has a rule (`host.linux` from `host`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KindRule {
    /// What it is, for people.
    pub title: Text,
    /// The kind it inherits from, if not the one that its name says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<CiKind>,
    /// Its attributes, beside the inherited ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttrName, AttributeRule>,
    /// The kinds of key that identify it; inherited, else any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identified_by: Option<BTreeSet<KeyKind>>,
    /// The keys of its parts that count for it; inherited, else those of the [rules of
    /// identity](IdentityRules::children_of).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_children: Option<Vec<FromChildren>>,
    /// The least strength of a key with which a description makes an item of its own; inherited, else any description
    /// does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mints_at: Option<Strength>,
    /// When an item that is not seen again is gone; inherited, else the default of the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// When an item that is not seen again is [stale](crate::view::LifeCycle::Stale), before its lease ends; inherited,
    /// else never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<Lease>,
    /// How long after it is gone an item is [purged](crate::view::LifeCycle::Purged) from lists; inherited, else never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_after: Option<Lease>,
    /// The kinds of relations of which an item has at least one, at either end, else it is an orphan; inherited, else it
    /// may stand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related_by: Option<BTreeSet<RelationKind>>,
    /// No two items of this kind and its refinements share a name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unique_name: bool,
}

impl KindRule {
    /// A kind of which only its title is known.
    #[must_use]
    pub fn new(title: impl Into<Text>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// It inherits from this kind.
    #[must_use]
    pub fn extending(self, kind: CiKind) -> Self {
        Self { extends: Some(kind), ..self }
    }

    /// It has this attribute.
    #[must_use]
    pub fn attribute(mut self, name: AttrName, rule: AttributeRule) -> Self {
        self.attributes.insert(name, rule);
        self
    }

    /// Only these kinds of key identify it.
    #[must_use]
    pub fn identified_by(self, keys: impl IntoIterator<Item = KeyKind>) -> Self {
        Self { identified_by: Some(keys.into_iter().collect()), ..self }
    }

    /// These keys of its parts count for it.
    #[must_use]
    pub fn from_children(self, rules: impl IntoIterator<Item = FromChildren>) -> Self {
        Self { from_children: Some(rules.into_iter().collect()), ..self }
    }

    /// A description makes an item of its own only with a key at least so strong.
    #[must_use]
    pub fn mints_at(self, least: Strength) -> Self {
        Self { mints_at: Some(least), ..self }
    }

    /// When an item that is not seen again is gone.
    #[must_use]
    pub fn lease(self, lease: Lease) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// When an item that is not seen again is stale.
    #[must_use]
    pub fn stale_after(self, span: Lease) -> Self {
        Self { stale_after: Some(span), ..self }
    }

    /// An item has at least one of these relations, at either end.
    #[must_use]
    pub fn related_by(self, relations: impl IntoIterator<Item = RelationKind>) -> Self {
        Self { related_by: Some(relations.into_iter().collect()), ..self }
    }

    /// No two items share a name.
    #[must_use]
    pub fn uniquely_named(self) -> Self {
        Self { unique_name: true, ..self }
    }

    /// How long after it is gone an item is purged from lists.
    #[must_use]
    pub fn purge_after(self, span: Lease) -> Self {
        Self { purge_after: Some(span), ..self }
    }
}

/// How many relations of a kind an item may have at one end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cardinality {
    /// Any number.
    #[default]
    Many,
    /// At most one.
    One,
}

/// What is known of one kind of relations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RelationRule {
    /// The kinds that it may start at; any if empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub from: BTreeSet<CiKind>,
    /// The kinds that it may end at; any if empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub to: BTreeSet<CiKind>,
    /// How many may end at one item.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per_target: Cardinality,
    /// How many may start at one item.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per_source: Cardinality,
    /// The target is a part of where it starts: no circles.
    #[serde(default, skip_serializing_if = "is_default")]
    pub contains: bool,
    /// How failure travels along it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failure: RelationSpec,
}

impl RelationRule {
    /// A relation along which failure travels like this.
    #[must_use]
    pub fn new(failure: RelationSpec) -> Self {
        Self { failure, ..Self::default() }
    }

    /// What it may join.
    #[must_use]
    pub fn joining(
        self,
        from: impl IntoIterator<Item = CiKind>,
        to: impl IntoIterator<Item = CiKind>,
    ) -> Self {
        Self { from: from.into_iter().collect(), to: to.into_iter().collect(), ..self }
    }

    /// An item starts at most one of them.
    #[must_use]
    pub fn one_per_source(self) -> Self {
        Self { per_source: Cardinality::One, ..self }
    }

    /// The target is a part of where it starts, and of nothing else.
    #[must_use]
    pub fn containing(self) -> Self {
        Self { contains: true, per_target: Cardinality::One, ..self }
    }
}

/// Everything that deriving depends on beside the facts. See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RuleSet {
    /// What people call it.
    pub name: Text,
    /// Its version, for people: two sets with equal content are equal whatever it says.
    pub version: Text,
    /// The kinds of items.
    #[serde(default)]
    pub kinds: BTreeMap<CiKind, KindRule>,
    /// The kinds of relations.
    #[serde(default)]
    pub relations: BTreeMap<RelationKind, RelationRule>,
    /// How keys are compared, and which values identify nothing.
    #[serde(default)]
    pub identity: IdentityRules,
    /// Whom to believe about what, and for how long.
    #[serde(default)]
    pub precedence: Vec<Precedence>,
    /// The lease of kinds that have none.
    #[serde(default = "day")]
    pub default_lease: Lease,
    /// The lease of relations.
    #[serde(default = "day")]
    pub relation_lease: Lease,
    /// The leases of sources, or of families of them (the part of the name before `@`), that beat those of kinds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_leases: BTreeMap<SourceName, Lease>,
    /// A run that would let go more than this share of a scope is held …
    #[serde(default = "half")]
    pub mass_percent: u8,
    /// … if the scope has at least so many items.
    #[serde(default = "ten")]
    pub mass_floor: usize,
}

const fn day() -> Lease {
    Lease::After(Duration::from_secs(86_400))
}
const fn half() -> u8 {
    50
}
const fn ten() -> usize {
    10
}

impl RuleSet {
    /// A set without kinds and relations.
    #[must_use]
    pub fn new(name: impl Into<Text>, version: impl Into<Text>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            kinds: BTreeMap::new(),
            relations: BTreeMap::new(),
            identity: IdentityRules::default(),
            precedence: Vec::new(),
            default_lease: day(),
            relation_lease: day(),
            source_leases: BTreeMap::new(),
            mass_percent: half(),
            mass_floor: ten(),
        }
    }

    /// Adds or replaces a kind.
    #[must_use]
    pub fn kind(mut self, kind: CiKind, rule: KindRule) -> Self {
        self.kinds.insert(kind, rule);
        self
    }

    /// Adds or replaces a kind of relations.
    #[must_use]
    pub fn relation(mut self, kind: RelationKind, rule: RelationRule) -> Self {
        self.relations.insert(kind, rule);
        self
    }

    /// Other rules of comparing keys.
    #[must_use]
    pub fn identity(self, identity: IdentityRules) -> Self {
        Self { identity, ..self }
    }

    /// Adds a rule of precedence.
    #[must_use]
    pub fn precedence(mut self, rule: Precedence) -> Self {
        self.precedence.push(rule);
        self
    }

    /// What this source, or family of sources, says leaves it after this lease, whatever the kind of item says.
    #[must_use]
    pub fn source_lease(mut self, source: SourceName, lease: Lease) -> Self {
        self.source_leases.insert(source, lease);
        self
    }

    /// The kind that `kind` inherits from.
    #[must_use]
    pub fn parent_of(&self, kind: &CiKind) -> Option<&CiKind> {
        if let Some(extends) = self.kinds.get(kind).and_then(|rule| rule.extends.as_ref()) {
            return self.kinds.get_key_value(extends).map(|(kind, _)| kind);
        }
        let mut name = kind.as_str();
        while let Some((general, _)) = name.rsplit_once('.') {
            if let Some((parent, _)) = self.kinds.get_key_value(general) {
                return Some(parent);
            }
            name = general;
        }
        None
    }

    /// The rules that apply to a kind, its own first. Ends where a circle would begin.
    pub(crate) fn lineage<'a>(&'a self, kind: &'a CiKind) -> Vec<(&'a CiKind, &'a KindRule)> {
        let mut line: Vec<(&CiKind, &KindRule)> = Vec::new();
        let mut next = self.kinds.get_key_value(kind).or_else(|| {
            let parent = self.parent_of(kind)?;
            self.kinds.get_key_value(parent)
        });
        while let Some((kind, rule)) = next {
            if line.iter().any(|(seen, _)| *seen == kind) {
                break;
            }
            line.push((kind, rule));
            next = self.parent_of(kind).and_then(|parent| self.kinds.get_key_value(parent));
        }
        line
    }

    /// The attributes of a kind, inherited ones included.
    #[must_use]
    pub fn attributes_of(&self, kind: &CiKind) -> BTreeMap<AttrName, AttributeRule> {
        let mut attributes = BTreeMap::new();
        for (_, rule) in self.lineage(kind).into_iter().rev() {
            attributes.extend(rule.attributes.iter().map(|(name, rule)| (name.clone(), rule.clone())));
        }
        attributes
    }

    /// How failure travels along the relations.
    #[must_use]
    pub fn relation_model(&self) -> RelationModel {
        self.relations.iter().fold(RelationModel::empty(), |model, (kind, rule)| {
            model.with(kind.clone(), rule.failure.clone())
        })
    }

    /// The hash of what a view derived with it depends on: equal hashes and facts give equal views.
    #[must_use]
    pub fn hash(&self) -> u64 {
        CmdbConfig::from(self).rules_hash()
    }

    /// The hash of everything in it but its name and version.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        let bare = Self { name: Text::default(), version: Text::default(), ..self.clone() };
        let mut hasher = StableHasher::new();
        hasher.text(&serde_json::to_string(&bare).unwrap_or_default());
        hasher.finish()
    }
}

impl From<&RuleSet> for CmdbConfig {
    fn from(rules: &RuleSet) -> Self {
        let mut identity = rules.identity.clone();
        let mut config = Self::bare();
        for kind in rules.kinds.keys() {
            identity = identity.generalization(kind.clone());
            let line = rules.lineage(kind);
            let keys = line.iter().find_map(|(_, rule)| rule.identified_by.clone());
            let mints_at = line.iter().find_map(|(_, rule)| rule.mints_at);
            if keys.is_some() || mints_at.is_some() {
                identity = identity.kind_identity(kind.clone(), KindIdentity { keys, mints_at });
            }
            if let Some(parts) = line.iter().find_map(|(_, rule)| rule.from_children.as_ref()) {
                identity = identity.from_children(kind.clone(), parts.iter().cloned());
            }
            if let Some(lease) = line.iter().find_map(|(_, rule)| rule.lease) {
                config = config.lease(kind.clone(), lease.span());
            }
            let stale_after = line.iter().find_map(|(_, rule)| rule.stale_after);
            let purge_after = line.iter().find_map(|(_, rule)| rule.purge_after);
            if stale_after.is_some() || purge_after.is_some() {
                config = config
                    .stale_after(kind.clone(), stale_after.and_then(Lease::span))
                    .purge_after(kind.clone(), purge_after.and_then(Lease::span));
            }
            for (name, attribute) in rules.attributes_of(kind) {
                config = config.reducer(kind.clone(), name, attribute.reducer);
            }
        }
        for rule in &rules.precedence {
            config = config.precedence(rule.clone());
        }
        for (source, lease) in &rules.source_leases {
            config = config.source_lease(source.clone(), lease.span());
        }
        config
            .identity_rules(identity)
            .default_lease(rules.default_lease.span())
            .relations_lease(rules.relation_lease.span())
            .mass_retirement(rules.mass_percent, rules.mass_floor)
    }
}
