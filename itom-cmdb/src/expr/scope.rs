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

use super::answer::{Answer, Truth, Why};
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
        let read = notes.read.iter().map(|name| self.why(name)).collect();
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

    fn why(&self, name: &AttrName) -> Why {
        match self.ci.attributes().get(name) {
            Some(own) => Why {
                attribute: name.clone(),
                value: own.value().clone(),
                source: Some(own.winner.source.clone()),
                observed: Some(own.winner.observed),
            },
            None => Why { attribute: name.clone(), value: Value::Unknown, source: None, observed: None },
        }
    }

    /// The other ends of this item's active relations, by kind.
    fn related(&self, outgoing: bool) -> cel::Value {
        let mut ends: BTreeMap<&RelationKind, BTreeSet<CiId>> = BTreeMap::new();
        for relation in self.view.relations_of(self.ci.id()).filter(|relation| relation.state.is_active()) {
            let (own, other) =
                if outgoing { (relation.from, relation.to) } else { (relation.to, relation.from) };
            if own == self.ci.id() {
                ends.entry(&relation.kind).or_default().insert(other);
            }
        }
        value::record(ends.iter().map(|(kind, ids)| (kind.as_str(), self.items(ids.iter().copied()))))
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

#[derive(Debug, Default)]
struct Notes {
    read: BTreeSet<AttrName>,
    missing: Option<Text>,
}

struct Names<'a, 'n> {
    scope: Scope<'a>,
    notes: &'n Mutex<Notes>,
}

impl VariableResolver for Names<'_, '_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let scope = &self.scope;
        let value = match variable {
            "attr" => return Some(CowVal::owned(Shell(Attributes { ci: scope.ci, notes: self.notes }))),
            "ci" => value::subject(scope.ci),
            "now" => cel::Value::Int(scope.now.as_micros().div_euclid(1_000_000)),
            "outgoing" | "incoming" => {
                let value = scope.related(variable == "outgoing");
                return Some(CowVal::owned(Shell(Related(value))));
            }
            "spofs" => scope.items(scope.graph?.single_points_of_failure(scope.ci.id()).into_iter()),
            "breaks" => {
                let impact = scope.graph?.impact(&[scope.ci.id()].into());
                scope.items(impact.down().iter().map(|hit| hit.ci))
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
        notes.read.insert(attribute);
        found
    }

    /// `"os.name" in attr`: whether there is a value, or it is known that there is none to have.
    fn has(&self, name: &str) -> bool {
        let Ok(attribute) = AttrName::new(name) else { return false };
        let there = self.ci.value(&attribute).is_some_and(|own| value::known(own).is_ok());
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).read.insert(attribute);
        there
    }
}

/// Items by kind of relation; a kind without relations has an empty list.
#[derive(Debug, Clone)]
struct Related(cel::Value);

impl Related {
    fn of(&self, name: &str) -> Option<&cel::Value> {
        match &self.0 {
            cel::Value::Map(map) => map.get(&cel::objects::Key::String(name.to_owned().into())),
            _ => None,
        }
    }
}

impl Lookup for Related {
    fn look_up(&self, name: &str) -> Result<cel::Value, ExecutionError> {
        Ok(self.of(name).cloned().unwrap_or_else(|| cel::Value::List(Vec::new().into())))
    }

    /// `"owned_by" in outgoing`: whether there is any relation of the kind.
    fn has(&self, name: &str) -> bool {
        self.of(name).is_some()
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
