//! A batch while it is written: entries, with what is wrong with them and where.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{
    AttrName, Batch, BatchLimits, CiKind, CiObservation, Coverage, ErrorKind, Key, RelationKind, Scope,
    SourceName, Subject, Text, Timestamp, Value,
};

use super::tree::Node;
use super::{Format, ImportError, Imported, Limits, Place, Problem, Remark, Verdict};

/// Longest text that an attribute keeps.
const MAX_TEXT: usize = 64 << 10;

/// Where an entry stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spot<'a> {
    Node(&'a Node),
    /// A line and a column of a table.
    Cell(u32, &'a str),
}

impl<'a> From<&'a Node> for Spot<'a> {
    fn from(node: &'a Node) -> Self {
        Self::Node(node)
    }
}

/// What is known about a relation, and the part of the source that says so.
#[derive(Debug, Default)]
struct Bond {
    attributes: BTreeMap<AttrName, Value>,
    partition: Option<Text>,
}

pub(super) struct Draft<'a> {
    file: &'a str,
    root: Option<&'a Node>,
    format: Format,
    files: Vec<Text>,
    source: SourceName,
    items: Vec<CiObservation>,
    by_native: BTreeMap<Text, usize>,
    places: Vec<(&'a str, u32)>,
    relations: BTreeMap<(RelationKind, Subject, Subject), Bond>,
    ends: Vec<(Text, Place)>,
    partition: Option<Text>,
    partitions: BTreeMap<Text, Text>,
    pub(super) entries: usize,
    pub(super) dated: Option<Timestamp>,
    remarks: Vec<Remark>,
    more_remarks: usize,
    refused: BTreeSet<Option<Text>>,
    limits: Limits,
    full: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        file: &'a str,
        root: Option<&'a Node>,
        format: Format,
        source: SourceName,
        limits: Limits,
    ) -> Self {
        Self {
            file,
            root,
            format,
            files: vec![file.into()],
            source,
            items: Vec::new(),
            by_native: BTreeMap::new(),
            places: Vec::new(),
            relations: BTreeMap::new(),
            ends: Vec::new(),
            partition: None,
            partitions: BTreeMap::new(),
            entries: 0,
            dated: None,
            remarks: Vec::new(),
            more_remarks: 0,
            refused: BTreeSet::new(),
            limits,
            full: false,
        }
    }

    /// What follows is of another document.
    pub(super) fn turn_to(&mut self, file: &'a str, root: &'a Node) {
        self.file = file;
        self.root = Some(root);
        if !self.files.iter().any(|known| **known == *file) {
            self.files.push(file.into());
        }
    }

    /// What follows belongs to this part of the source.
    pub(super) fn within(&mut self, partition: &str) {
        self.partition = Some(partition.into());
    }

    pub(super) fn place(&self, spot: impl Into<Spot<'a>>) -> Place {
        match spot.into() {
            Spot::Node(node) => Place {
                field: self.root.map(|root| root.path_to(node.number)).unwrap_or_default().into(),
                ..Place::line(self.file, node.line)
            },
            Spot::Cell(line, column) => Place { field: column.into(), ..Place::line(self.file, line) },
        }
    }

    /// The whole document is refused.
    pub(super) fn error(&self, spot: impl Into<Spot<'a>>, problem: Problem) -> ImportError {
        ImportError { place: self.place(spot), problem }
    }

    pub(super) fn shape(&self, spot: impl Into<Spot<'a>>, reason: impl Into<String>) -> ImportError {
        self.error(spot, Problem::Shape(reason.into()))
    }

    pub(super) fn remark(&mut self, verdict: Verdict, spot: impl Into<Spot<'a>>, reason: impl Into<Text>) {
        if verdict == Verdict::Refused {
            self.refused.insert(self.partition.clone());
        }
        if self.remarks.len() >= self.limits.remarks {
            self.more_remarks += 1;
            return;
        }
        let place = self.place(spot);
        self.remarks.push(Remark { verdict, place, reason: reason.into() });
    }

    /// An entry is not taken.
    pub(super) fn refuse(&mut self, spot: impl Into<Spot<'a>>, reason: impl Into<Text>) {
        self.remark(Verdict::Refused, spot, reason);
    }

    /// A part of an entry is not taken.
    pub(super) fn ignore(&mut self, spot: impl Into<Spot<'a>>, reason: impl Into<Text>) {
        self.remark(Verdict::Ignored, spot, reason);
    }

    /// A text field; one of another shape is remarked.
    pub(super) fn text(&mut self, node: &'a Node, name: &str) -> Option<&'a str> {
        let field = node.get(name)?;
        if field.text().is_none() && !matches!(field.data, super::tree::Data::Text(_)) {
            self.ignore(field, format!("`{name}` should be a text and is {}", field.shape()));
        }
        field.text()
    }

    /// Whether there is an item that the source calls so.
    pub(super) fn has(&self, native: &str) -> bool {
        self.by_native.contains_key(native)
    }

    /// An item that was added before.
    pub(super) fn known(&mut self, native: &str) -> Option<&mut CiObservation> {
        let index = *self.by_native.get(native)?;
        self.items.get_mut(index)
    }

    /// A new item. One that is there already is a duplicate, and `None`; so is one too many, or a name that is too long.
    pub(super) fn item(
        &mut self,
        spot: impl Into<Spot<'a>>,
        native: impl Into<Text>,
        kind: CiKind,
    ) -> Option<&mut CiObservation> {
        let (spot, native) = (spot.into(), native.into());
        if native.is_empty() || native.len() > 1024 {
            self.refuse(spot, format!("an id has 1 to 1,024 bytes, this one has {}", native.len()));
            return None;
        }
        let line = match spot {
            Spot::Node(node) => node.line,
            Spot::Cell(line, _) => line,
        };
        if let Some(index) = self.by_native.get(&native) {
            let before =
                self.places.get(*index).map_or_else(String::new, |(file, line)| format!("{file}:{line}"));
            let reason = format!("`{}` is there already ({before}); the first is taken", cut(&native));
            self.remark(Verdict::Duplicate, spot, reason);
            return None;
        }
        if self.is_full(spot) {
            return None;
        }
        self.by_native.insert(native.clone(), self.items.len());
        self.places.push((self.file, line));
        let mut ci = CiObservation::new(native, kind);
        ci.partition.clone_from(&self.partition);
        self.items.push(ci);
        self.items.last_mut()
    }

    fn is_full(&mut self, spot: Spot<'a>) -> bool {
        let full = self.items.len() + self.relations.len() >= self.limits.items;
        if full && !self.full {
            self.full = true;
            let reason = format!(
                "there are more than {} items and relations; the rest is not taken, and nothing is believed gone",
                self.limits.items
            );
            self.refuse(spot, reason);
        }
        full
    }

    /// A relation. A native end that is nowhere at the end is remarked.
    pub(super) fn relation(
        &mut self,
        spot: impl Into<Spot<'a>>,
        kind: RelationKind,
        from: impl Into<Subject>,
        to: impl Into<Subject>,
    ) -> Option<&mut BTreeMap<AttrName, Value>> {
        let (spot, from, to) = (spot.into(), from.into(), to.into());
        if from == to {
            self.ignore(spot, format!("`{}` would be related to itself", cut(&from.to_string())));
            return None;
        }
        if self.is_full(spot) {
            return None;
        }
        for end in [&from, &to] {
            if let Subject::Native(native) = end
                && !self.by_native.contains_key(native)
            {
                let place = self.place(spot);
                self.ends.push((native.clone(), place));
            }
        }
        let bond = || Bond { attributes: BTreeMap::new(), partition: self.partition.clone() };
        Some(&mut self.relations.entry((kind, from, to)).or_insert_with(bond).attributes)
    }

    /// What each item is related to, by their native ids.
    pub(super) fn links(&self) -> BTreeMap<Text, Vec<Text>> {
        let mut links: BTreeMap<Text, Vec<Text>> = BTreeMap::new();
        for (_, from, to) in self.relations.keys() {
            if let (Subject::Native(from), Subject::Native(to)) = (from, to) {
                links.entry(from.clone()).or_default().push(to.clone());
            }
        }
        links
    }

    /// A part of the source was read, but not all of it.
    pub(super) fn partial(&mut self, partition: &str, reason: impl Into<Text>) {
        self.partitions.insert(partition.into(), reason.into());
    }

    /// The result. `scopes` were read completely, as far as nothing in them was refused; relations whose ends are nowhere
    /// are kept only if `open`.
    pub(super) fn finish(
        mut self,
        taken_at: Timestamp,
        scopes: impl IntoIterator<Item = Scope>,
        open: bool,
    ) -> Imported {
        let mut dangling = BTreeSet::new();
        for (native, place) in std::mem::take(&mut self.ends) {
            if self.by_native.contains_key(&native) {
                continue;
            }
            let what = if open { "another file may hold it" } else { "the relation is not taken" };
            let reason = format!("`{}` is not in this document; {what}", cut(&native));
            if self.remarks.len() < self.limits.remarks {
                self.remarks.push(Remark { verdict: Verdict::Dangling, place, reason: reason.into() });
            } else {
                self.more_remarks += 1;
            }
            dangling.insert(native);
        }
        let mut batch = Batch::with_limits(
            self.source,
            taken_at,
            BatchLimits::new(self.limits.items.saturating_add(1), self.limits.remarks),
        );
        for item in self.items {
            batch.push(itom_core::Observation::Ci(item));
        }
        for ((kind, from, to), bond) in self.relations {
            let lost = |end: &Subject| matches!(end, Subject::Native(native) if dangling.contains(native));
            if !open && (lost(&from) || lost(&to)) {
                continue;
            }
            let relation = batch.relation(kind, from, to);
            relation.attributes = bond.attributes;
            relation.partition = bond.partition;
        }
        for remark in self.remarks.iter().filter(|remark| remark.verdict == Verdict::Refused) {
            batch.fault(remark.place.to_string(), ErrorKind::Invalid, remark.reason.clone());
        }
        let mut coverage = Coverage::new();
        for scope in scopes {
            let part = scope.partition();
            let hit = self.full
                || self.refused.iter().any(|own| part.is_none() || own.is_none() || own.as_ref() == part);
            if let Some(reason) = part.and_then(|part| self.partitions.get(part)) {
                coverage.add_partial(scope, ErrorKind::Invalid, reason.clone());
            } else if hit {
                let reason = Text::literal("an entry of the document was refused");
                coverage.add_partial(scope, ErrorKind::Invalid, reason);
            } else {
                coverage.add_complete(scope);
            }
        }
        batch.finish(coverage);
        Imported {
            files: self.files,
            format: self.format,
            batch,
            dated: self.dated,
            entries: self.entries,
            remarks: self.remarks,
            more_remarks: self.more_remarks,
        }
    }
}

/// A text of a document in a message.
pub(super) fn cut(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// What importers set often.
pub(super) trait Fill {
    /// A text, unless it is not there.
    fn say(&mut self, name: AttrName, text: Option<&str>) -> &mut Self;
    /// A key, unless it is none.
    fn identify(&mut self, key: Result<Key, itom_core::KeyError>) -> &mut Self;
}

impl Fill for CiObservation {
    fn say(&mut self, name: AttrName, text: Option<&str>) -> &mut Self {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        self.attr_opt(name, text.map(shortened))
    }

    fn identify(&mut self, key: Result<Key, itom_core::KeyError>) -> &mut Self {
        if let Ok(key) = key {
            self.key(key);
        }
        self
    }
}

/// Texts of any length come from outside; a description of megabytes is no attribute.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let mut end = MAX_TEXT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// Texts as a set, unless there are none.
pub(super) fn texts<'a>(list: impl IntoIterator<Item = &'a str>) -> Option<Value> {
    let set = Value::text_set(list.into_iter().map(shortened));
    matches!(&set, Value::List(list) if !list.is_empty()).then_some(set)
}
