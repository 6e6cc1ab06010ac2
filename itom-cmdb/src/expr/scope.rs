//! What an expression sees: names are looked up when it asks for them, and what it asked for is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use cel::common::traits::{Container, Indexer};
use cel::common::types::{CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, ExecutionError};
use itom_core::{AttrName, CiId, CiKind, RelationKind, Text, Timestamp, Value};

use super::answer::{Answer, Read, Truth, Why};
use super::value::{self, Missing};
use crate::graph::RelationGraph;
use crate::view::{Ci, View};

/// The names an expression can use.
pub(super) const NAMES: &[&str] = &["ci", "attr", "outgoing", "incoming", "spofs", "breaks", "now"];
/// The functions beyond those of the language.
pub(super) const FUNCTIONS: &[&str] = &["days", "hours", "minutes", "is_a", "older"];

/// An item of a view at a time, ready to be judged.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    view: &'a View,
    graph: Option<&'a RelationGraph>,
    ci: &'a Ci,
    now: Timestamp,
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("ci", &self.ci.id()).field("now", &self.now).finish_non_exhaustive()
    }
}

impl<'a> Scope<'a> {
    /// An item of this view.
    #[must_use]
    pub const fn new(view: &'a View, ci: &'a Ci, now: Timestamp) -> Self {
        Self { view, graph: None, ci, now }
    }

    /// With the graph of the view, which `spofs` and `breaks` are read from.
    #[must_use]
    pub const fn with_graph(self, graph: &'a RelationGraph) -> Self {
        Self { graph: Some(graph), ..self }
    }

    pub(super) fn judge(&self, program: &cel::Program) -> Answer {
        let notes = Mutex::new(Notes::default());
        let names = Names { scope: *self, notes: &notes };
        let mut context = Context::default();
        functions(&mut context);
        context.set_variable_resolver(&names);
        let outcome = program.execute(&context);
        drop(context);
        let notes = notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let read = notes.read.into_iter().map(|(read, found)| self.why(read, found)).collect();
        let (truth, unknown_because) = match outcome {
            Ok(cel::Value::Bool(true)) => (Truth::True, None),
            Ok(cel::Value::Bool(false)) => (Truth::False, None),
            Ok(other) => (
                Truth::Unknown,
                Some(Text::from(format!("the expression gives a {}, not true or false", other.type_of()))),
            ),
            Err(error) => (
                Truth::Unknown,
                Some(notes.missing.unwrap_or_else(|| Text::from(bounded(&error.to_string())))),
            ),
        };
        Answer { truth, read, unknown_because }
    }

    fn why(&self, read: Read, found: Found) -> Why {
        let plain = |read, value| Why { read, value, source: None, observed: None };
        match (&read, found) {
            (_, Found::Items { first, more }) => {
                let rest = (more > 0).then(|| Text::from(format!("and {more} more")));
                let names = first.into_iter().chain(rest).map(Value::Text).collect();
                plain(read, Value::List(names))
            }
            (Read::Attribute(name), Found::OnItem) => match self.ci.attributes().get(name) {
                Some(own) => Why {
                    value: own.value().clone(),
                    source: Some(own.winner.source.clone()),
                    observed: Some(own.winner.observed),
                    read,
                },
                None => plain(read, Value::Unknown),
            },
            (Read::Property(name), Found::OnItem) => {
                let value = value::property(self.ci, name).unwrap_or(Value::Unknown);
                plain(read, value)
            }
            (_, Found::OnItem) => plain(read, Value::Unknown),
        }
    }

    /// The other ends of this item's active relations of a kind.
    fn related(&self, kind: &RelationKind, outgoing: bool) -> BTreeSet<CiId> {
        let own = self.ci.id();
        let relations = self.view.relations_of(own);
        let active = relations.filter(|relation| relation.kind == *kind && relation.state.is_active());
        let ends =
            active.map(
                |relation| if outgoing { (relation.from, relation.to) } else { (relation.to, relation.from) },
            );
        ends.filter(|(near, _)| *near == own).map(|(_, far)| far).collect()
    }

    /// Names of items for evidence: a few, since there may be thousands.
    fn names(&self, ids: impl Iterator<Item = CiId>) -> Found {
        let mut names: Vec<Text> =
            ids.filter_map(|id| self.view.ci(id)).map(|ci| ci.name().clone()).collect();
        names.sort();
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        Found::Items { first: names, more }
    }

    fn items(&self, ids: impl Iterator<Item = CiId>) -> cel::Value {
        let items: Vec<cel::Value> = ids.filter_map(|id| self.view.ci(id)).map(value::item).collect();
        cel::Value::List(items.into())
    }
}

/// Messages of the language show whole values: they are cut.
fn bounded(text: &str) -> String {
    text.chars().take(300).collect()
}

/// Most items that evidence names.
const SHOWN: usize = 8;

/// Where what was read stands.
#[derive(Debug)]
enum Found {
    /// On the item, to be looked up.
    OnItem,
    /// These items.
    Items { first: Vec<Text>, more: usize },
}

#[derive(Debug, Default)]
struct Notes {
    read: BTreeMap<Read, Found>,
    missing: Option<Text>,
}

struct Names<'a, 'n> {
    scope: Scope<'a>,
    notes: &'n Mutex<Notes>,
}

fn note(notes: &Mutex<Notes>, read: Read, found: Found) {
    notes.lock().unwrap_or_else(PoisonError::into_inner).read.insert(read, found);
}

impl VariableResolver for Names<'_, '_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let scope = self.scope;
        let items = |read: Read, ids: Vec<CiId>| {
            note(self.notes, read, scope.names(ids.iter().copied()));
            scope.items(ids.into_iter())
        };
        let value = match variable {
            "attr" => return Some(CowVal::owned(Shell(Attributes { ci: scope.ci, notes: self.notes }))),
            "ci" => return Some(CowVal::owned(Shell(Properties { ci: scope.ci, notes: self.notes }))),
            "now" => cel::Value::Int(scope.now.as_micros().div_euclid(1_000_000)),
            "outgoing" | "incoming" => {
                let related = Related { scope, outgoing: variable == "outgoing", notes: self.notes };
                return Some(CowVal::owned(Shell(related)));
            }
            "spofs" => items(Read::Spofs, scope.graph?.single_points_of_failure(scope.ci.id())),
            "breaks" => {
                let impact = scope.graph?.impact(&[scope.ci.id()].into());
                items(Read::Breaks, impact.down().iter().map(|hit| hit.ci).collect())
            }
            _ => return None,
        };
        let value: Result<Box<dyn Val>, _> = value.try_into();
        value.ok().map(CowVal::from)
    }
}

/// What an expression looks into by name without knowing what is there.
trait Lookup: fmt::Debug + Clone + Send + Sync {
    /// What is called so.
    fn look_up(&self, name: &str) -> Result<cel::Value, ExecutionError>;
    /// Whether anything is called so.
    fn has(&self, name: &str) -> bool;
}

/// A [`Lookup`] as a value of the language.
#[derive(Debug, Clone)]
struct Shell<T>(T);

impl<T: Lookup> Shell<T> {
    fn look_up(&self, key: &dyn Val) -> Result<Box<dyn Val>, ExecutionError> {
        let Some(name) = key.downcast_ref::<CelString<'_>>() else {
            return Err(ExecutionError::no_such_key("a name that is no text"));
        };
        self.0
            .look_up(name.inner())?
            .try_into()
            .map_err(|_| ExecutionError::InternalError("a value without a form in the language".to_owned()))
    }
}

impl<T: Lookup> Val for Shell<T> {
    fn get_type(&self) -> &Type {
        &DYN_TYPE
    }

    fn cel_type() -> &'static Type {
        &DYN_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl<T: Lookup> Container for Shell<T> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(key.downcast_ref::<CelString<'_>>().is_some_and(|name| self.0.has(name.inner())))
    }
}

impl<T: Lookup> Indexer for Shell<T> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(CowVal::from(self.look_up(key)? as Box<dyn Val + 'v>))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let found: Box<dyn Val + 'v> = self.look_up(key)?;
        Ok(found)
    }
}

/// The attributes of an item. What is read is noted.
#[derive(Debug, Clone, Copy)]
struct Attributes<'a> {
    ci: &'a Ci,
    notes: &'a Mutex<Notes>,
}

impl Lookup for Attributes<'_> {
    fn look_up(&self, name: &str) -> Result<cel::Value, ExecutionError> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = |what: &str| {
            notes.missing.get_or_insert_with(|| Text::from(format!("`{name}` {what}")));
            ExecutionError::no_such_key(name)
        };
        let Ok(attribute) = AttrName::new(name) else {
            return Err(missing("is no name of an attribute"));
        };
        let found = match self.ci.value(&attribute).map(value::known) {
            None => Err(missing("is not given by any source")),
            Some(Err(Missing::Unknown)) => Err(missing("could not be read by its source")),
            Some(Err(Missing::Withheld)) => Err(missing("is withheld by its source")),
            Some(Ok(value)) => Ok(value),
        };
        notes.read.insert(Read::Attribute(attribute), Found::OnItem);
        found
    }

    /// `"os.name" in attr`: whether there is a value, or it is known that there is none to have.
    fn has(&self, name: &str) -> bool {
        let Ok(attribute) = AttrName::new(name) else { return false };
        let there = self.ci.value(&attribute).is_some_and(|own| value::known(own).is_ok());
        note(self.notes, Read::Attribute(attribute), Found::OnItem);
        there
    }
}

/// What an item is besides its attributes.
#[derive(Debug, Clone, Copy)]
struct Properties<'a> {
    ci: &'a Ci,
    notes: &'a Mutex<Notes>,
}

impl Lookup for Properties<'_> {
    fn look_up(&self, name: &str) -> Result<cel::Value, ExecutionError> {
        let found = value::property(self.ci, name).and_then(|own| value::known(&own).ok());
        let found = found.ok_or_else(|| ExecutionError::no_such_key(name))?;
        note(self.notes, Read::Property(Text::from(name)), Found::OnItem);
        Ok(found)
    }

    fn has(&self, name: &str) -> bool {
        value::property(self.ci, name).is_some()
    }
}

/// Items by kind of relation; a kind without relations has an empty list.
#[derive(Debug, Clone, Copy)]
struct Related<'a> {
    scope: Scope<'a>,
    outgoing: bool,
    notes: &'a Mutex<Notes>,
}

impl Related<'_> {
    fn of(&self, name: &str) -> BTreeSet<CiId> {
        // What is no name of a relation relates nothing.
        let Ok(kind) = RelationKind::new(name) else { return BTreeSet::new() };
        let ids = self.scope.related(&kind, self.outgoing);
        let read = if self.outgoing { Read::Outgoing(kind) } else { Read::Incoming(kind) };
        note(self.notes, read, self.scope.names(ids.iter().copied()));
        ids
    }
}

impl Lookup for Related<'_> {
    fn look_up(&self, name: &str) -> Result<cel::Value, ExecutionError> {
        Ok(self.scope.items(self.of(name).into_iter()))
    }

    /// `"owned_by" in outgoing`: whether there is any relation of the kind.
    fn has(&self, name: &str) -> bool {
        !self.of(name).is_empty()
    }
}

fn functions(context: &mut Context<'_, '_>) {
    // A name that is taken would be a defect that every test of the function shows.
    let _ = context.add_function("days", |n: i64| n.saturating_mul(86_400));
    let _ = context.add_function("hours", |n: i64| n.saturating_mul(3_600));
    let _ = context.add_function("minutes", |n: i64| n.saturating_mul(60));
    let _ =
        context.add_function("is_a", |kind: std::sync::Arc<String>, general: std::sync::Arc<String>| match (
            CiKind::new(kind.as_str()),
            CiKind::new(general.as_str()),
        ) {
            (Ok(kind), Ok(general)) => kind.is_a(&general),
            _ => false,
        });
    let _ =
        context.add_function("older", |a: std::sync::Arc<String>, b: std::sync::Arc<String>| older(&a, &b));
}

/// Whether one version text is lower than another: runs of digits by number, what lies between by character, and `~`
/// before everything, as Debian orders them.
fn older(a: &str, b: &str) -> bool {
    fn digits(text: &str) -> (&str, &str) {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        (number.trim_start_matches('0'), rest)
    }
    fn weight(c: Option<char>) -> i32 {
        match c {
            Some('~') => -1,
            None => 0,
            Some(c) if c.is_ascii_digit() => 0,
            Some(c) if c.is_ascii_alphabetic() => c as i32,
            Some(c) => (c as i32).saturating_add(0x0020_0000),
        }
    }
    let (mut a, mut b) = (a, b);
    loop {
        // What is no digit, character by character.
        loop {
            let (x, y) = (a.chars().next(), b.chars().next());
            let both_numbers = |c: Option<char>| c.is_none_or(|c| c.is_ascii_digit());
            if both_numbers(x) && both_numbers(y) {
                break;
            }
            if weight(x) != weight(y) {
                return weight(x) < weight(y);
            }
            a = x.map_or("", |c| &a[c.len_utf8()..]);
            b = y.map_or("", |c| &b[c.len_utf8()..]);
        }
        if a.is_empty() && b.is_empty() {
            return false;
        }
        let ((x, rest_a), (y, rest_b)) = (digits(a), digits(b));
        let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
        if order.is_ne() {
            return order.is_lt();
        }
        (a, b) = (rest_a, rest_b);
    }
}

#[cfg(test)]
pub(super) fn older_for_tests(a: &str, b: &str) -> bool {
    older(a, b)
}
