//! Expressions over one item, in the [Common Expression Language](https://cel.dev).
//!
//! An [`Expression`] is compiled once and judged on any item of any view. It sees
//!
//! | name | what it is |
//! |---|---|
//! | `ci` | `id`, `kind`, `name`, `active`, `loose_end`, `first_seen`, `last_seen` (Unix seconds), `sources` and `keys` (texts) |
//! | `attr["os.name"]` | the believed value of an attribute; times are Unix seconds |
//! | `outgoing["owned_by"]` | the items that active relations of this kind lead to, each with `id`, `kind`, `name`, `attr` |
//! | `incoming["runs_on"]` | the items that active relations of this kind come from |
//! | `spofs` | the items whose failure alone brings this one down, as above |
//! | `breaks` | the items that go down with this one, as above |
//! | `now` | the time it is judged at, in Unix seconds |
//! | `days(n)`, `hours(n)`, `minutes(n)` | that many seconds |
//! | `is_a(kind, "host")` | whether a kind is the other or a refinement of it |
//! | `older(a, b)` | whether version text `a` is lower than `b`, digits by number |
//!
//! # Three answers
//!
//! Not knowing is neither yes nor no: an attribute that no source gives, that is unknown or withheld, makes the answer
//! [`Truth::Unknown`] with the reason, unless the expression does not need it (`false && …`, or `"x" in attr` asks first).
//! An attribute that does not apply is `null`. Every answer says what was looked at and what was found there.

mod answer;
mod limits;
mod scope;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use itom_core::{Classify, ErrorKind, Text};

pub use answer::{Answer, Read, Truth, Why};
pub use scope::Scope;

/// How far an answer depends on more than the item itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// On the item alone.
    Item,
    /// On the items it is related to as well.
    Neighbours,
    /// On the whole graph.
    Graph,
}

/// A compiled expression. Cheap to clone; equal texts are equal expressions.
///
/// ```
/// use itom_cmdb::expr::{Expression, Scope, Truth};
/// use itom_cmdb::{Cmdb, CmdbConfig};
/// use itom_core::{Batch, SourceName, Timestamp, attr, kind};
///
/// let now = Timestamp::from_secs(1_700_000_000);
/// let mut batch = Batch::new(SourceName::literal("demo"), now);
/// batch.ci("web-1", kind::HOST).attr(attr::OS_NAME, "Debian GNU/Linux");
/// let mut cmdb = Cmdb::new(CmdbConfig::default());
/// let facts = cmdb.plan(&batch, now);
/// cmdb.ingest(facts);
/// let view = cmdb.view();
/// let host = view.by_kind(&kind::HOST)[0];
///
/// let debian = Expression::compile(r#"attr["os.name"].startsWith("Debian")"#)?;
/// assert_eq!(debian.judge(&Scope::new(&view, host, now)).truth, Truth::True);
/// let patched = Expression::compile(r#"attr["os.version"] == "12""#)?;
/// assert_eq!(patched.judge(&Scope::new(&view, host, now)).truth, Truth::Unknown);
/// # Ok::<(), itom_cmdb::expr::ExpressionError>(())
/// ```
#[derive(Clone)]
pub struct Expression {
    text: Text,
    program: Arc<cel::Program>,
    reach: Reach,
    reads_time: bool,
}

impl Expression {
    /// Compiles a text.
    ///
    /// # Errors
    /// [`ExpressionError::Syntax`] with the place, [`ExpressionError::TooLarge`] for texts and nestings beyond the
    /// limits, [`ExpressionError::UnknownName`] for a variable or function that does not exist.
    pub fn compile(text: &str) -> Result<Self, ExpressionError> {
        limits::check_text(text)?;
        let program = cel::Program::compile(text).map_err(|errors| ExpressionError::syntax(text, &errors))?;
        limits::check_tree(text, program.expression())?;
        let mut reach = Reach::Item;
        let mut reads_time = false;
        for name in limits::free_names(program.expression()) {
            reach = reach.max(match name.as_str() {
                "ci" | "attr" => Reach::Item,
                "now" => {
                    reads_time = true;
                    Reach::Item
                }
                "outgoing" | "incoming" => Reach::Neighbours,
                "spofs" | "breaks" => Reach::Graph,
                _ => return Err(ExpressionError::unknown_name(text, &name, scope::NAMES)),
            });
        }
        let known = |name: &str| scope::FUNCTIONS.contains(&name) || limits::is_built_in(name);
        if let Some(name) = limits::functions(program.expression()).into_iter().find(|name| !known(name)) {
            return Err(ExpressionError::unknown_name(text, &name, scope::FUNCTIONS));
        }
        Ok(Self { text: Text::from(text), program: Arc::new(program), reach, reads_time })
    }

    /// The text it was compiled from.
    #[must_use]
    pub const fn text(&self) -> &Text {
        &self.text
    }

    /// What else than the item an answer depends on.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether the answer can change as time passes.
    #[must_use]
    pub const fn reads_time(&self) -> bool {
        self.reads_time
    }

    /// Whether the answer can change when the item is only seen again.
    #[cfg(feature = "policy")]
    pub(crate) fn reads_last_seen(&self) -> bool {
        self.text.contains("last_seen")
    }

    /// Judges an item. Never fails: what goes wrong is an answer.
    #[must_use]
    pub fn judge(&self, scope: &Scope<'_>) -> Answer {
        scope.judge(&self.program)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Expression {}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// It cannot be read.
    #[error("the expression `{expression}` is wrong at line {line}, column {column}: {reason}")]
    Syntax {
        /// The text, cut to 200 characters.
        expression: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// It names something that is not there.
    #[error("the expression `{expression}` uses `{name}`, which does not exist; there is {known}")]
    UnknownName {
        /// The text, cut to 200 characters.
        expression: String,
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// It is larger than an expression may be.
    #[error("the expression `{expression}` has more than {limit} {what}; split it into several policies")]
    TooLarge {
        /// The text, cut to 200 characters.
        expression: String,
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
}

impl ExpressionError {
    fn syntax(text: &str, errors: &cel::ParseErrors) -> Self {
        let place = |at: isize| usize::try_from(at).unwrap_or(0).max(1);
        let first = errors.errors.first();
        Self::Syntax {
            expression: limits::cut(text),
            line: first.map_or(1, |error| place(error.pos.0)),
            column: first.map_or(1, |error| place(error.pos.1)),
            reason: first.map_or_else(|| "it cannot be read".to_owned(), |error| error.msg.clone()),
        }
    }

    fn unknown_name(text: &str, name: &str, known: &[&str]) -> Self {
        Self::UnknownName { expression: limits::cut(text), name: name.to_owned(), known: known.join(", ") }
    }
}

impl Classify for ExpressionError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}
