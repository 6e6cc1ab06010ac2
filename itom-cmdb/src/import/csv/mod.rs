//! Tables (RFC 4180 and what spreadsheets make of it) with a mapping.

mod decode;
mod mapping;

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{
    AttrName, CiKind, CiObservation, Key, Realm, RelationKind, Scope, Subject, Text, Timestamp, Value,
};

pub use mapping::Mapping;

use super::draft::{Draft, Spot, cut};
use super::{Document, Format, ImportError, Imported, Options, Place, Problem, source};
use mapping::{AttributeRule, ColumnType, End, ItemRule, KeyRule, KindRule, RelationRule};

/// Most columns.
const MAX_COLUMNS: usize = 4096;

/// A text made of columns and what stands between them.
struct Template<'m> {
    pieces: Vec<Piece<'m>>,
}

enum Piece<'m> {
    Fixed(&'m str),
    Column(usize, &'m str),
}

struct Row<'r> {
    line: u32,
    record: &'r ::csv::StringRecord,
    trim: bool,
    guarded: bool,
}

impl Row<'_> {
    fn field(&self, column: usize) -> &str {
        let text = self.record.get(column).unwrap_or_default();
        let text = if self.trim { text.trim() } else { text };
        let bare =
            text.strip_prefix('\'').filter(|rest| rest.starts_with(['\'', '=', '+', '-', '@', '\t', '\r']));
        bare.filter(|_| self.guarded).unwrap_or(text)
    }
}

impl<'m> Template<'m> {
    /// The text for a row; `None` when a column in it is empty.
    fn fill(&self, row: &Row<'_>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => out.push_str(text),
                Piece::Column(at, _) => {
                    let text = row.field(*at);
                    if text.is_empty() {
                        return None;
                    }
                    out.push_str(text);
                }
            }
        }
        Some(out)
    }

    /// The column that is to blame.
    fn column(&self) -> &'m str {
        let named = |piece: &Piece<'m>| match piece {
            Piece::Column(_, name) => Some(*name),
            Piece::Fixed(_) => None,
        };
        self.pieces.iter().find_map(named).unwrap_or_default()
    }
}

struct Head {
    file: Text,
    line: u32,
    names: Vec<String>,
}

impl Head {
    fn refuse(&self, field: &str, reason: String) -> ImportError {
        let place = Place { field: field.into(), ..Place::line(&self.file, self.line) };
        ImportError { place, problem: Problem::Shape(reason) }
    }

    fn column(&self, name: &str) -> Result<usize, ImportError> {
        self.names.iter().position(|own| own == name).ok_or_else(|| {
            let there: Vec<String> = self.names.iter().take(40).map(|name| cut(name)).collect();
            self.refuse(
                &cut(name),
                format!("the mapping names a column that is not there; there are: {}", there.join(", ")),
            )
        })
    }

    fn template<'m>(&self, text: &'m str) -> Result<Template<'m>, ImportError> {
        // A plain name is a column, unless braces say that there is more to it.
        if !text.contains('{') {
            return Ok(Template { pieces: vec![Piece::Column(self.column(text)?, text)] });
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                pieces.push(Piece::Fixed(before));
            }
            let Some((name, after)) = after.split_once('}') else {
                return Err(self.refuse(&cut(text), "a brace of the mapping is never closed".to_owned()));
            };
            pieces.push(Piece::Column(self.column(name)?, name));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Fixed(rest));
        }
        Ok(Template { pieces })
    }
}

struct KeyPlan<'m> {
    rule: &'m KeyRule,
    value: Template<'m>,
    realm: Option<Result<Realm, Template<'m>>>,
}

enum EndPlan<'m> {
    Id(Template<'m>),
    Key(KeyPlan<'m>),
}

struct AttributePlan<'m> {
    name: &'m AttrName,
    value: Template<'m>,
    rule: &'m AttributeRule,
}

struct ItemPlan<'m> {
    rule: &'m ItemRule,
    kind: Option<usize>,
    id: Template<'m>,
    when: Option<Template<'m>>,
    keys: Vec<KeyPlan<'m>>,
    attributes: Vec<AttributePlan<'m>>,
    relations: Vec<(&'m RelationKind, EndPlan<'m>, bool)>,
}

struct RelationPlan<'m> {
    rule: &'m RelationRule,
    kind: Option<usize>,
    from: EndPlan<'m>,
    to: EndPlan<'m>,
    attributes: Vec<AttributePlan<'m>>,
}

fn key_plan<'m>(head: &Head, rule: &'m KeyRule) -> Result<KeyPlan<'m>, ImportError> {
    let realm = match &rule.realm {
        Some(text) if text.contains('{') => Some(Err(head.template(text)?)),
        Some(text) => {
            let realm = Mapping::realm(text);
            Some(Ok(realm.ok_or_else(|| head.refuse(&cut(text), "this is no name of a realm".to_owned()))?))
        }
        None => None,
    };
    Ok(KeyPlan { rule, value: head.template(&rule.value)?, realm })
}

fn end_plan<'m>(head: &Head, end: &'m End) -> Result<EndPlan<'m>, ImportError> {
    Ok(match end {
        End::Id(text) => EndPlan::Id(head.template(text)?),
        End::Key(rule) => EndPlan::Key(key_plan(head, rule)?),
    })
}

fn attribute_plans<'m>(
    head: &Head,
    rules: &'m BTreeMap<AttrName, AttributeRule>,
) -> Result<Vec<AttributePlan<'m>>, ImportError> {
    let plan = |(name, rule): (&'m AttrName, &'m AttributeRule)| {
        let (AttributeRule::Text(column) | AttributeRule::Column(mapping::ColumnRule { column, .. })) = rule;
        Ok(AttributePlan { name, value: head.template(column)?, rule })
    };
    rules.iter().map(plan).collect()
}

pub(super) fn read(
    document: &Document<'_>,
    mapping: &Mapping,
    options: &Options,
) -> Result<Imported, ImportError> {
    let source = source(document, Format::Csv, options, None)?;
    let text = decode::decode(document, mapping.encoding)?;
    let mut body = text.as_ref();
    for _ in 0..mapping.skip_lines {
        body = body.split_once('\n').map_or("", |(_, rest)| rest);
    }
    let delimiter = mapping.delimiter.unwrap_or_else(|| likely(body));
    let skipped = u64::try_from(mapping.skip_lines).unwrap_or(0);
    let line_of = |line: u64| u32::try_from(line + skipped).unwrap_or(0);
    let byte = |c: char| u8::try_from(c).unwrap_or(b',');
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(byte(delimiter))
        .quote(byte(mapping.quote))
        .comment(mapping.comment.map(byte))
        .flexible(true)
        .from_reader(body.as_bytes());
    let broken = |error: &::csv::Error| {
        let line = error.position().map_or(0, |at| line_of(at.line()));
        ImportError { place: Place::line(document.name, line), problem: Problem::Syntax(error.to_string()) }
    };
    let names: Vec<String> =
        reader.headers().map_err(|error| broken(&error))?.iter().map(|name| name.trim().to_owned()).collect();
    let head = Head { file: document.name.into(), line: line_of(1), names };
    if head.names.len() > MAX_COLUMNS {
        let problem = Problem::TooLarge { what: "columns", limit: MAX_COLUMNS };
        return Err(ImportError { place: Place::line(document.name, head.line), problem });
    }
    let mut seen = BTreeSet::new();
    if let Some(name) = head.names.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
        return Err(head.refuse(&cut(name), "two columns have this name; give each its own".to_owned()));
    }
    let items = mapping.items.iter().map(|rule| item_plan(&head, rule)).collect::<Result<Vec<_>, _>>()?;
    let relations = mapping
        .relations
        .iter()
        .map(|rule| {
            Ok(RelationPlan {
                kind: match &rule.kind {
                    RelationRule::Always(_) => None,
                    RelationRule::Column(own) => Some(head.column(&own.column)?),
                },
                rule: &rule.kind,
                from: end_plan(&head, &rule.from)?,
                to: end_plan(&head, &rule.to)?,
                attributes: attribute_plans(&head, &rule.attributes)?,
            })
        })
        .collect::<Result<Vec<_>, ImportError>>()?;

    let mut draft = Draft::new(document.name, None, Format::Csv, source, options.limits);
    let mut kinds: BTreeSet<CiKind> = mapping.covers.clone();
    let mut relation_kinds: BTreeSet<RelationKind> = BTreeSet::new();
    let mut record = ::csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => return Err(broken(&error)),
        }
        let line = record.position().map_or(0, |at| line_of(at.line()));
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        draft.entries += 1;
        if record.len() != head.names.len() {
            let reason = format!(
                "the row has {} fields, the table {} columns; is a quote or a `{delimiter}` missing?",
                record.len(),
                head.names.len()
            );
            draft.refuse(Spot::Cell(line, ""), reason);
            continue;
        }
        let row = Row { line, record: &record, trim: mapping.trim, guarded: mapping.guarded };
        for plan in &items {
            take_item(&mut draft, plan, &row, &mut kinds, &mut relation_kinds);
        }
        for plan in &relations {
            take_relation(&mut draft, plan, &row, &mut relation_kinds);
        }
    }
    for rule in &mapping.items {
        match &rule.kind {
            KindRule::Always(kind) => kinds.extend([kind.clone()]),
            KindRule::Column(own) => kinds.extend(own.map.values().chain(&own.default).cloned()),
        }
        relation_kinds.extend(rule.relations.iter().map(|own| own.kind.clone()));
    }
    for rule in &mapping.relations {
        if let RelationRule::Always(kind) = &rule.kind {
            relation_kinds.insert(kind.clone());
        }
    }
    let scopes = kinds.into_iter().map(Scope::cis).chain(relation_kinds.into_iter().map(Scope::relations));
    let scopes: Vec<Scope> = scopes.filter(|_| mapping.complete).collect();
    Ok(draft.finish(options.now, scopes, true))
}

/// The character that is most often in the first line.
fn likely(text: &str) -> char {
    let first = text.lines().next().unwrap_or_default();
    let count = |c: char| first.chars().filter(|own| *own == c).count();
    [',', ';', '\t', '|'].into_iter().rev().max_by_key(|c| count(*c)).unwrap_or(',')
}

fn item_plan<'m>(head: &Head, rule: &'m ItemRule) -> Result<ItemPlan<'m>, ImportError> {
    Ok(ItemPlan {
        rule,
        kind: match &rule.kind {
            KindRule::Always(_) => None,
            KindRule::Column(own) => Some(head.column(&own.column)?),
        },
        id: head.template(&rule.id)?,
        when: rule.when.as_ref().map(|text| head.template(text)).transpose()?,
        keys: rule.keys.iter().map(|rule| key_plan(head, rule)).collect::<Result<_, _>>()?,
        attributes: attribute_plans(head, &rule.attributes)?,
        relations: rule
            .relations
            .iter()
            .map(|own| Ok((&own.kind, end_plan(head, &own.to)?, own.reversed)))
            .collect::<Result<_, ImportError>>()?,
    })
}

fn kind_of<'m>(draft: &mut Draft<'m>, plan: &ItemPlan<'m>, row: &Row<'_>) -> Option<CiKind> {
    match &plan.rule.kind {
        KindRule::Always(kind) => Some(kind.clone()),
        KindRule::Column(own) => {
            let text = row.field(plan.kind.unwrap_or(usize::MAX));
            let lower = text.to_lowercase();
            let mapped = own.map.iter().find(|(name, _)| name.to_lowercase() == lower).map(|(_, kind)| kind);
            if let Some(kind) = mapped.or(own.default.as_ref()) {
                return Some(kind.clone());
            }
            let taken = own.map.is_empty().then(|| CiKind::new(text).ok()).flatten();
            if taken.is_none() {
                let reason =
                    format!("`{}` means no kind of item; add it to `map`, or give a `default`", cut(text));
                draft.refuse(Spot::Cell(row.line, own.column.as_str()), reason);
            }
            taken
        }
    }
}

fn take_item<'m>(
    draft: &mut Draft<'m>,
    plan: &ItemPlan<'m>,
    row: &Row<'_>,
    kinds: &mut BTreeSet<CiKind>,
    relation_kinds: &mut BTreeSet<RelationKind>,
) {
    if plan.when.as_ref().is_some_and(|when| when.fill(row).is_none()) {
        return;
    }
    let Some(id) = plan.id.fill(row) else {
        // A second item of a row need not be there: a machine without a rack.
        let first =
            plan.rule.when.is_none() && !plan.id.pieces.iter().any(|piece| matches!(piece, Piece::Fixed(_)));
        if first {
            draft.refuse(Spot::Cell(row.line, plan.id.column()), "the id of the row is empty");
        }
        return;
    };
    let Some(kind) = kind_of(draft, plan, row) else { return };
    kinds.insert(kind.clone());
    let mut new = CiObservation::new(id.as_str(), kind.clone());
    for own in &plan.keys {
        if let Some(key) = key(draft, own, row) {
            new.key(key);
        }
    }
    for own in &plan.attributes {
        if let Some(value) = value(draft, own, row) {
            new.attr(own.name.clone(), value);
        }
    }
    let native = new.subject.clone();
    match draft.known(&native) {
        // Rows share items: the rack that many machines stand in.
        Some(before) if *before == new => {}
        _ => {
            if let Some(ci) = draft.item(Spot::Cell(row.line, plan.id.column()), native.clone(), kind) {
                ci.keys = new.keys;
                ci.attributes = new.attributes;
            }
        }
    }
    for (kind, end, reversed) in &plan.relations {
        let Some((other, column)) = subject(draft, end, row) else { continue };
        let own = Subject::Native(native.clone());
        let (from, to) = if *reversed { (other, own) } else { (own, other) };
        relation_kinds.insert((*kind).clone());
        draft.relation(Spot::Cell(row.line, column), (*kind).clone(), from, to);
    }
}

fn take_relation<'m>(
    draft: &mut Draft<'m>,
    plan: &RelationPlan<'m>,
    row: &Row<'_>,
    relation_kinds: &mut BTreeSet<RelationKind>,
) {
    let kind = match plan.rule {
        RelationRule::Always(kind) => kind.clone(),
        RelationRule::Column(own) => {
            let text = row.field(plan.kind.unwrap_or(usize::MAX));
            match RelationKind::new(text) {
                Ok(kind) => kind,
                Err(error) => {
                    return draft.refuse(Spot::Cell(row.line, own.column.as_str()), error.to_string());
                }
            }
        }
    };
    let (Some((from, column)), Some((to, _))) =
        (subject(draft, &plan.from, row), subject(draft, &plan.to, row))
    else {
        return draft.refuse(Spot::Cell(row.line, ""), "an end of the relation is empty or cannot be read");
    };
    let said: Vec<(AttrName, Value)> =
        plan.attributes.iter().filter_map(|own| Some((own.name.clone(), value(draft, own, row)?))).collect();
    relation_kinds.insert(kind.clone());
    if let Some(attributes) = draft.relation(Spot::Cell(row.line, column), kind, from, to) {
        attributes.extend(said);
    }
}

fn key<'m>(draft: &mut Draft<'m>, plan: &KeyPlan<'m>, row: &Row<'_>) -> Option<Key> {
    let text = plan.value.fill(row)?;
    let realm = match &plan.realm {
        None => Realm::GLOBAL,
        Some(Ok(realm)) => realm.clone(),
        Some(Err(template)) => match Realm::new(template.fill(row)?) {
            Ok(realm) => realm,
            Err(error) => {
                draft.ignore(Spot::Cell(row.line, template.column()), error.to_string());
                return None;
            }
        },
    };
    match Key::new(plan.rule.kind.clone(), realm, &text, plan.rule.strength) {
        Ok(key) => Some(key),
        Err(error) => {
            draft.ignore(Spot::Cell(row.line, plan.value.column()), error.to_string());
            None
        }
    }
}

fn subject<'m>(draft: &mut Draft<'m>, plan: &EndPlan<'m>, row: &Row<'_>) -> Option<(Subject, &'m str)> {
    match plan {
        EndPlan::Id(template) => Some((Subject::Native(template.fill(row)?.into()), template.column())),
        EndPlan::Key(own) => Some((Subject::Key(key(draft, own, row)?), own.value.column())),
    }
}

fn value<'m>(draft: &mut Draft<'m>, plan: &AttributePlan<'m>, row: &Row<'_>) -> Option<Value> {
    let text = plan.value.fill(row)?;
    let AttributeRule::Column(rule) = plan.rule else { return Some(Value::from(text)) };
    let text = rule.map.get(&text).map_or(text, ToString::to_string);
    let number = |text: &str| -> Option<f64> {
        let own = text.parse::<f64>().ok().filter(|own| own.is_finite())?;
        Some(own * rule.scale.unwrap_or(1.0))
    };
    let read = match rule.kind {
        ColumnType::Text => Some(Value::from(text.as_str())),
        ColumnType::Int => match rule.scale {
            None => text.parse::<i64>().ok().map(Value::Int),
            Some(_) => number(&text)
                .map(f64::round)
                .filter(|own| own.abs() < 9.0e18)
                .map(|own| Value::Int(own as i64)),
        },
        ColumnType::Number => number(&text).map(Value::Float),
        ColumnType::Bool => match text.to_lowercase().as_str() {
            "true" | "yes" | "y" | "1" | "x" | "on" => Some(Value::Bool(true)),
            "false" | "no" | "n" | "0" | "off" => Some(Value::Bool(false)),
            _ => None,
        },
        ColumnType::Time => {
            let at: Option<Timestamp> =
                text.parse().ok().or_else(|| format!("{text}T00:00:00Z").parse().ok());
            at.map(Value::Time)
        }
        ColumnType::List => {
            let parts = text.split(rule.separator.as_str()).map(str::trim).filter(|part| !part.is_empty());
            Some(Value::text_set(parts))
        }
        ColumnType::Json => Some(serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.as_str()))),
    };
    if read.is_none() {
        let what = format!("{:?}", rule.kind).to_lowercase();
        let reason = format!("`{}` is no {what}; the attribute `{}` is not taken", cut(&text), plan.name);
        draft.ignore(Spot::Cell(row.line, plan.value.column()), reason);
    }
    read
}
