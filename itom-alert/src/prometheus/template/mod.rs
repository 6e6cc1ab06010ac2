//! Templates of labels and annotations: Go's `text/template` with Prometheus's functions.
//!
//! Go's methods on times (`(… | toTime).Format`) are not there: `toTime` and `toDuration` give the text that Go prints.

mod blocks;
mod format;
mod functions;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use gotmpl::parse::{DefineNode, ListNode, Parser};
use gotmpl::{FuncMap, MissingKey, Value};
use itom_core::{Labels, RuleLanguage, RuleSample, SampleValue, Text, Timestamp};

/// What Prometheus puts in front of every template of a rule.
const PREFIX: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := \
                      .ExternalURL}}{{$value := .Value}}";
/// Longer templates are refused.
const MAX_TEXT: usize = 256 * 1024;
/// Longer results are cut off with an error.
const MAX_OUTPUT: usize = 1024 * 1024;
/// So many turns of `range` are made at most.
const MAX_TURNS: u64 = 100_000;

/// Functions that depend on where and when a template is expanded.
const CONTEXTUAL: [&str; 4] = ["query", "now", "externalURL", "pathPrefix"];
/// Those of Go's own that the engine brings along.
const BUILTIN: [&str; 19] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print",
    "printf", "println", "slice", "urlquery",
];

static FUNCTIONS: LazyLock<FuncMap> = LazyLock::new(functions::plain);

/// A parsed template. Cheap to clone.
#[derive(Clone)]
pub struct Template(Arc<Parsed>);

struct Parsed {
    name: String,
    text: Text,
    body: Option<Body>,
}

/// `None` where the text has no action and stands for itself.
struct Body {
    tree: ListNode,
    defines: Vec<DefineNode>,
    contextual: bool,
    queries: bool,
    ready: gotmpl::Template,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.0.text).finish()
    }
}

/// What templates are expanded with.
#[derive(Debug, Clone)]
pub struct Expansion {
    /// What answers `query`.
    pub(crate) language: Arc<dyn RuleLanguage>,
    /// The time of `now` and of queries in templates.
    pub(crate) at: Timestamp,
    /// How far in the past queries are made.
    pub(crate) query_at: Timestamp,
    pub(crate) external_labels: Labels,
    pub(crate) external_url: Text,
}

impl Expansion {
    /// An expansion at a time.
    #[must_use]
    pub fn new(language: Arc<dyn RuleLanguage>, at: Timestamp) -> Self {
        let (external_labels, external_url) = (Labels::empty(), Text::default());
        Self { language, at, query_at: at, external_labels, external_url }
    }
}

impl Template {
    /// Parses a template of an alert.
    ///
    /// # Errors
    /// What is wrong, as Go says it: syntax, an unknown function, an undefined variable.
    pub fn parse(alert: &str, text: &str) -> Result<Self, String> {
        let name = format!("__alert_{alert}");
        if text.len() > MAX_TEXT {
            return Err(format!("a template has at most {MAX_TEXT} bytes"));
        }
        if !text.contains("{{") {
            return Ok(Self(Arc::new(Parsed { name, text: text.into(), body: None })));
        }
        let wrong = |reason: String| format!("template: {name}: {reason}");
        // The engine parses by recursion and has no bound of its own.
        if text.matches('(').count() > 500 || text.matches("{{").count() > 20_000 {
            return Err(wrong("it is too complex".into()));
        }
        blocks::check(text).map_err(wrong)?;
        let source = format!("{PREFIX}{text}");
        let parsed = Parser::new(&source, "{{", "}}").and_then(Parser::parse);
        let (mut tree, mut defines) = parsed.map_err(|error| wrong(error.to_string()))?;
        let known = |name: &str| {
            BUILTIN.contains(&name) || CONTEXTUAL.contains(&name) || FUNCTIONS.contains_key(name)
        };
        let mut walk = tree::Walk::new(&known);
        walk.template(&mut tree).map_err(wrong)?;
        for define in &mut defines {
            walk.template(&mut define.body).map_err(wrong)?;
        }
        let contextual = CONTEXTUAL.iter().any(|function| walk.used.contains(*function));
        let queries = walk.used.contains("query");
        let ready = assemble(&name, &tree, &defines, FUNCTIONS.clone());
        let body = Some(Body { tree, defines, contextual, queries, ready });
        Ok(Self(Arc::new(Parsed { name, text: text.into(), body })))
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.0.text
    }

    /// Whether it makes queries of its own.
    #[must_use]
    pub fn makes_queries(&self) -> bool {
        self.0.body.as_ref().is_some_and(|body| body.queries)
    }

    /// Expands it for a sample. An error never fails the rule: its text takes the place of the result.
    #[must_use]
    pub fn expand(&self, expansion: &Expansion, labels: &Labels, value: &SampleValue) -> Text {
        let Some(body) = &self.0.body else { return self.0.text.clone() };
        let data = BTreeMap::from([
            (Arc::from("Labels"), map(labels)),
            (Arc::from("ExternalLabels"), map(&expansion.external_labels)),
            (Arc::from("ExternalURL"), Value::String(expansion.external_url.as_str().into())),
            (Arc::from("Value"), shown(value)),
        ]);
        let data = Value::Map(Arc::new(data));
        let mut out = Bounded(String::new());
        let result = if body.contextual {
            let mut functions = FUNCTIONS.clone();
            functions.extend(contextual(expansion));
            assemble(&self.0.name, &body.tree, &body.defines, functions).execute_template_fmt(
                &mut out,
                &self.0.name,
                &data,
            )
        } else {
            body.ready.execute_template_fmt(&mut out, &self.0.name, &data)
        };
        match result {
            Ok(()) => out.0.into(),
            Err(error) => {
                let name = &self.0.name;
                format!(
                    "<error expanding template: error executing template {name}: template: {name}: {error}>"
                )
                .into()
            }
        }
    }
}

/// A text that does not grow without bound.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.0.len() + more.len() > MAX_OUTPUT {
            return Err(fmt::Error);
        }
        self.0.push_str(more);
        Ok(())
    }
}

fn assemble(name: &str, tree: &ListNode, defines: &[DefineNode], functions: FuncMap) -> gotmpl::Template {
    let empty = gotmpl::Template::new(name)
        .missing_key(MissingKey::ZeroValue)
        .max_range_iters(MAX_TURNS)
        .funcs(functions)
        .add_parse_tree(name, tree.clone());
    defines.iter().fold(empty, |template, define| template.add_parse_tree(&define.name, define.body.clone()))
}

fn map(labels: &Labels) -> Value {
    let pair = |(name, value): (&itom_core::LabelName, &Text)| {
        (Arc::from(name.as_str()), Value::String(value.as_str().into()))
    };
    Value::Map(Arc::new(labels.iter().map(pair).collect()))
}

/// A value as templates see it: a number, or the text of what is not one.
fn shown(value: &SampleValue) -> Value {
    match value {
        SampleValue::Float(number) => Value::Float(*number),
        SampleValue::Histogram(histogram) => Value::String(histogram.to_string().into()),
        other => Value::String(format!("{other:?}").into()),
    }
}

fn sample(sample: &RuleSample) -> Value {
    let fields = [(Arc::from("Labels"), map(&sample.labels)), (Arc::from("Value"), shown(&sample.value))];
    Value::Map(Arc::new(BTreeMap::from(fields)))
}

fn contextual(expansion: &Expansion) -> FuncMap {
    let mut functions = FuncMap::new();
    let seconds = expansion.at.as_millis() as f64 / 1000.0;
    functions.insert("now".into(), Arc::new(move |_: &[Value]| Ok(Value::Float(seconds))));
    let url: Arc<str> = expansion.external_url.as_str().into();
    let path: Arc<str> = url
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').map(|slash| &rest[slash..]))
        .map_or("", |path| path.split(['?', '#']).next().unwrap_or(path))
        .into();
    functions.insert("externalURL".into(), Arc::new(move |_: &[Value]| Ok(Value::String(Arc::clone(&url)))));
    functions.insert("pathPrefix".into(), Arc::new(move |_: &[Value]| Ok(Value::String(Arc::clone(&path)))));
    let (language, at) = (Arc::clone(&expansion.language), expansion.query_at);
    let query = move |args: &[Value]| {
        let [Value::String(source)] = args else {
            return Err(functions::fail("query() takes one text"));
        };
        let wrong = |reason: String| functions::fail(format!("error calling query: {reason}"));
        let expression = language.compile(source).map_err(|error| wrong(error.to_string()))?;
        let result = language.evaluate(&[expression], at).pop();
        let result = result.ok_or_else(|| wrong("there was no answer".into()))?;
        let result = result.map_err(|error| wrong(itom_core::ErrorChain(&error).to_string()))?;
        Ok(Value::List(result.samples.iter().map(sample).collect()))
    };
    functions.insert("query".into(), Arc::new(query));
    functions
}
