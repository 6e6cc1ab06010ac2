//! What the columns of a table mean.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{AttrName, CiKind, KeyKind, Realm, RelationKind, Strength, Text, Value, attr, key_kind};
use serde::{Deserialize, Serialize};

use super::super::{ImportError, Place, Problem};
use crate::export::MapDocument;
use crate::export::csv as table;

/// Most bytes of a file.
const MAX_FILE: usize = 4 << 20;

/// What the columns of a table mean: which items a row is, what identifies them, what is known about them, and what they
/// are related to.
///
/// A place that takes a text of the row is a *template*: the name of a column, or a text with names of columns in braces
/// (`rack-{Rack}`). A template with an empty column in it gives nothing.
///
/// ```
/// use itom_cmdb::import::{Document, Mapping, Options, import};
/// use itom_core::Timestamp;
///
/// let mapping = Mapping::from_yaml("assets.map.yaml", r#"
/// items:
///   - kind: {column: Type, map: {Server: host, Switch: device.switch}}
///     id: Asset
///     keys:
///       - {kind: serial, value: Serial}
///     attributes:
///       host.name: Name
///       host.memory.size: {column: "RAM (GB)", type: int, scale: 1073741824}
///     relations:
///       - {kind: member_of, to: {id: "rack-{Rack}"}}
///   - kind: location.rack
///     id: "rack-{Rack}"
///     attributes: {name: Rack}
/// "#)?;
/// let table = b"Asset;Type;Name;Serial;RAM (GB);Rack\nA-1;Server;web-1;S42;64;R7\n";
/// let options = Options::new(Timestamp::from_secs(1_700_000_000)).mapping(mapping);
/// let imported = import(&[Document::new("assets.csv", table)], &options)?;
/// assert_eq!(imported[0].batch.items().len(), 3, "a host, a rack, and that one stands in the other");
/// # Ok::<(), itom_cmdb::import::ImportError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Between fields; found out from the first line if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delimiter: Option<char>,
    #[serde(default = "quote", skip_serializing_if = "is_quote")]
    pub(super) quote: char,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) encoding: Encoding,
    /// Lines that begin so are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<char>,
    /// Lines before the one with the names of the columns.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) skip_lines: usize,
    /// The table is all there is: what it lacks is gone.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub(super) complete: bool,
    /// White space around a field is none of it.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub(super) trim: bool,
    /// An apostrophe before what a spreadsheet would run as a formula is a guard, as exports of this library write it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) guarded: bool,
    /// Kinds that the table may hold beside those that are named below: what it lacks of them is gone, too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) covers: BTreeSet<CiKind>,
    /// What items a row is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) items: Vec<ItemRule>,
    /// What relations a row is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) relations: Vec<RowRelation>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Encoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "utf-16")]
    Utf16,
    #[serde(rename = "latin-1")]
    Latin1,
    #[serde(rename = "windows-1252")]
    Windows1252,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemRule {
    pub(super) kind: KindRule,
    pub(super) id: Text,
    /// Only rows in which this gives something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) when: Option<Text>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) keys: Vec<KeyRule>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<AttrName, AttributeRule>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) relations: Vec<ItemRelation>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum KindRule {
    Always(CiKind),
    Column(KindColumn),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindColumn {
    pub(super) column: Text,
    /// What stands in the column, compared without case, and the kind that it means; the text itself if empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) map: BTreeMap<String, CiKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<CiKind>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRule {
    pub(super) kind: KeyKind,
    pub(super) value: Text,
    /// How much it says: people type tables, so no more than administrative unless said.
    #[serde(default = "administrative", skip_serializing_if = "is_administrative")]
    pub(super) strength: Strength,
    /// Where it is unique; everywhere if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) realm: Option<Text>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum AttributeRule {
    Text(Text),
    Column(ColumnRule),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnRule {
    pub(super) column: Text,
    #[serde(rename = "type", default, skip_serializing_if = "is_default")]
    pub(super) kind: ColumnType,
    /// Between the elements of a list.
    #[serde(default = "comma", skip_serializing_if = "is_comma")]
    pub(super) separator: Text,
    /// A number is multiplied by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scale: Option<f64>,
    /// What stands in the column, and what is meant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) map: BTreeMap<String, Text>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ColumnType {
    #[default]
    Text,
    Int,
    Number,
    Bool,
    /// RFC 3339, or a day alone.
    Time,
    List,
    /// As JSON; what is no JSON is a text.
    Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemRelation {
    pub(super) kind: RelationKind,
    pub(super) to: End,
    /// It is read from the other end to this item.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) reversed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum End {
    /// What the table calls it.
    Id(Text),
    /// What identifies it for others.
    Key(KeyRule),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowRelation {
    pub(super) kind: RelationRule,
    pub(super) from: End,
    pub(super) to: End,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<AttrName, AttributeRule>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum RelationRule {
    Always(RelationKind),
    Column(RelationColumn),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RelationColumn {
    pub(super) column: Text,
}

const fn quote() -> char {
    '"'
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_quote(quote: &char) -> bool {
    *quote == '"'
}
const fn yes() -> bool {
    true
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_yes(is: &bool) -> bool {
    *is
}
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
const fn administrative() -> Strength {
    Strength::Administrative
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_administrative(strength: &Strength) -> bool {
    *strength == Strength::Administrative
}
const fn comma() -> Text {
    Text::literal(",")
}
fn is_comma(text: &Text) -> bool {
    **text == *","
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            delimiter: None,
            quote: '"',
            encoding: Encoding::Utf8,
            comment: None,
            skip_lines: 0,
            complete: true,
            trim: true,
            guarded: false,
            covers: BTreeSet::new(),
            items: Vec::new(),
            relations: Vec::new(),
        }
    }
}

impl Mapping {
    /// Reads a mapping from YAML, which JSON is a part of. `file` is named in errors.
    ///
    /// # Errors
    /// [`ImportError`] with line and column and what is wrong there.
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, ImportError> {
        let refuse = |line: u64, column: u64, reason: String| ImportError {
            place: Place {
                field: if column > 0 { Text::from(format!("column {column}")) } else { Text::default() },
                ..Place::line(file, u32::try_from(line).unwrap_or(0))
            },
            problem: Problem::Syntax(reason),
        };
        if text.len() > MAX_FILE {
            return Err(refuse(0, 0, format!("a mapping has at most {MAX_FILE} bytes")));
        }
        let mapping: Self = serde_saphyr::from_str(text).map_err(|error| {
            let at = error.location();
            let reason = error.without_snippet().to_string();
            refuse(at.map_or(0, |at| at.line()), at.map_or(0, |at| at.column()), reason)
        })?;
        mapping.check().map_err(|reason| refuse(0, 0, reason))?;
        Ok(mapping)
    }

    /// The mapping as JSON, which [`from_yaml`](Self::from_yaml) reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Names are keys here: writing cannot fail.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    fn check(&self) -> Result<(), String> {
        if self.items.is_empty() && self.relations.is_empty() {
            return Err("a mapping needs `items` or `relations`: nothing would be taken".to_owned());
        }
        for (name, own) in
            [("delimiter", self.delimiter), ("quote", Some(self.quote)), ("comment", self.comment)]
        {
            if let Some(own) = own.filter(|own| !own.is_ascii()) {
                return Err(format!("`{name}` should be one ASCII character, not `{own}`"));
            }
        }
        if self.delimiter == Some(self.quote) {
            return Err("`delimiter` and `quote` are the same character".to_owned());
        }
        Ok(())
    }

    /// The mapping that reads what [`MapDocument::to_items_csv`] writes: the same items, named by their ids, with the same
    /// attributes. What is empty in the table (a text without characters) is not read back.
    #[must_use]
    pub fn for_items(map: &MapDocument) -> Self {
        let column = |column: &str, kind| {
            AttributeRule::Column(ColumnRule {
                column: braced(column),
                kind,
                separator: comma(),
                scale: None,
                map: BTreeMap::new(),
            })
        };
        let mut attributes: BTreeMap<AttrName, AttributeRule> = BTreeMap::new();
        for (name, kind) in types(map.nodes.iter().map(|node| &node.attributes)) {
            attributes.insert(name.clone(), column(&table::column(&table::ITEM_HEAD, name), kind));
        }
        attributes.entry(attr::NAME).or_insert_with(|| column("name", ColumnType::Text));
        let id = Text::literal("id");
        let key = KeyRule {
            kind: key_kind::NATIVE,
            value: id.clone(),
            strength: Strength::Issued,
            realm: Some(Text::literal("itom")),
        };
        let item = ItemRule {
            kind: KindRule::Column(KindColumn {
                column: Text::literal("kind"),
                map: BTreeMap::new(),
                default: None,
            }),
            id,
            when: None,
            keys: vec![key],
            attributes,
            relations: Vec::new(),
        };
        let covers = map.nodes.iter().map(|node| node.kind.clone()).collect();
        Self { items: vec![item], covers, ..Self::for_export() }
    }

    /// The mapping that reads what [`MapDocument::to_relations_csv`] writes. The ends are found by the keys that
    /// [`for_items`](Self::for_items) gives them.
    #[must_use]
    pub fn for_relations(map: &MapDocument) -> Self {
        let end = |column: &'static str| {
            End::Key(KeyRule {
                kind: key_kind::NATIVE,
                value: Text::literal(column),
                strength: Strength::Issued,
                realm: Some(Text::literal("itom")),
            })
        };
        let attributes =
            types(map.edges.iter().map(|edge| &edge.attributes)).into_iter().map(|(name, kind)| {
                let column = ColumnRule {
                    column: braced(&table::column(&table::RELATION_HEAD, name)),
                    kind,
                    separator: comma(),
                    scale: None,
                    map: BTreeMap::new(),
                };
                (name.clone(), AttributeRule::Column(column))
            });
        let relation = RowRelation {
            kind: RelationRule::Column(RelationColumn { column: Text::literal("relation") }),
            from: end("from"),
            to: end("to"),
            attributes: attributes.collect(),
        };
        Self { relations: vec![relation], ..Self::for_export() }
    }

    fn for_export() -> Self {
        Self { delimiter: Some(','), trim: false, guarded: true, ..Self::default() }
    }

    /// Realms that are templates without columns.
    pub(super) fn realm(text: &Text) -> Option<Realm> {
        Realm::new(text.clone()).ok()
    }
}

fn braced(column: &str) -> Text {
    Text::from(format!("{{{column}}}"))
}

/// The type of each column, by the values that stand in it.
fn types<'a>(all: impl Iterator<Item = &'a BTreeMap<AttrName, Value>>) -> BTreeMap<&'a AttrName, ColumnType> {
    let mut types: BTreeMap<&AttrName, ColumnType> = BTreeMap::new();
    for (name, value) in all.flatten() {
        let own = match value {
            Value::Text(_) => ColumnType::Text,
            Value::Int(_) => ColumnType::Int,
            Value::Bool(_) => ColumnType::Bool,
            _ => ColumnType::Json,
        };
        let slot = types.entry(name).or_insert(own);
        if *slot != own {
            *slot = ColumnType::Json;
        }
    }
    types
}
