//! One condition on one label, compiled.

use itom_core::{EvaluateError, LabelName, MatchOp, Text};

use crate::selector::{Condition, Pattern, Test, literals};

/// A condition on a label: its name is any UTF-8, a regular expression has RE2's syntax, is anchored at both ends and
/// compiled.
///
/// ```
/// use itom_core::MatchOp;
/// use itom_metrics::LabelMatcher;
/// let matcher = LabelMatcher::new("job", MatchOp::Regex, "web-\\d+")?;
/// assert!(matcher.matches("web-12"));
/// assert!(!matcher.matches("xweb-12"));
/// # Ok::<(), itom_core::EvaluateError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LabelMatcher {
    name: Text,
    op: MatchOp,
    value: Text,
    test: Test,
}

impl LabelMatcher {
    /// Compiles a condition.
    ///
    /// # Errors
    /// [`EvaluateError::Invalid`] with the regular expression and the byte of the mistake within it.
    pub fn new(name: impl Into<Text>, op: MatchOp, value: impl Into<Text>) -> Result<Self, EvaluateError> {
        let value = value.into();
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Equal(value.clone()),
            MatchOp::Regex | MatchOp::NotRegex => match literals(&value) {
                Some(found) => Test::OneOf(found),
                None => Test::Pattern(Pattern::compile(&value)?),
            },
        };
        Ok(Self { name: name.into(), op, value, test })
    }

    /// That a label has one value.
    #[must_use]
    pub fn equal(name: impl Into<Text>, value: impl Into<Text>) -> Self {
        let value = value.into();
        Self { name: name.into(), op: MatchOp::Equal, test: Test::Equal(value.clone()), value }
    }

    /// That a label has one of these values.
    #[must_use]
    pub(crate) fn one_of(name: impl Into<Text>, values: Vec<String>) -> Self {
        let quoted: Vec<String> = values.iter().map(|value| regex_syntax::escape(value)).collect();
        Self {
            name: name.into(),
            op: MatchOp::Regex,
            value: quoted.join("|").into(),
            test: Test::OneOf(values),
        }
    }

    /// The same for an index; `None` when the name is one that no stored label has.
    pub(crate) fn condition(&self) -> Option<Condition> {
        let name = LabelName::new(self.name.as_str()).ok()?;
        let negated = matches!(self.op, MatchOp::NotEqual | MatchOp::NotRegex);
        Some(Condition { name, test: self.test.clone(), negated })
    }

    /// The label.
    #[must_use]
    pub const fn name(&self) -> &Text {
        &self.name
    }

    /// The comparison.
    #[must_use]
    pub const fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or regular expression.
    #[must_use]
    pub const fn value(&self) -> &Text {
        &self.value
    }

    /// Whether a value fits; an absent label has the empty one.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.test.holds(value) != matches!(self.op, MatchOp::NotEqual | MatchOp::NotRegex)
    }
}
