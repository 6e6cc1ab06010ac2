//! What an expression is.
//!
//! Every node knows where it stands in the text ([`At`]), and compares and hashes without it. Times are whole
//! milliseconds. Parsing checks the types, so that an evaluator need not: the operand of a rate is a range, the
//! parameter of `topk` is a scalar.

use itom_core::{MatchOp, Text};

use super::{At, Function, RawText, Span};

/// What an expression yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    /// One number.
    Scalar,
    /// A string.
    String,
    /// One sample per series (an instant vector).
    Vector,
    /// Many samples per series (a range vector).
    Matrix,
}

impl ValueType {
    /// As Prometheus's errors call it.
    #[must_use]
    pub const fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

/// A number that compares by its bits, so that NaN equals itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Real(pub f64);

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}
impl Eq for Real {}
impl std::hash::Hash for Real {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expr {
    /// `1.5`, or a duration used as a number: `5m` is 300.
    Number(Number),
    /// `"text"`
    String(StringLiteral),
    /// `up{job="web"}`
    Vector(VectorSelector),
    /// `up{job="web"}[5m]`
    Matrix(MatrixSelector),
    /// `rate(x[5m])[1h:1m]`
    Subquery(Subquery),
    /// `(x)`
    Paren(Paren),
    /// `-x`
    Unary(Unary),
    /// `x + y`
    Binary(Binary),
    /// `sum by (job) (x)`
    Aggregate(Aggregate),
    /// `rate(x[5m])`
    Call(Call),
}

/// A number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number {
    /// The value; seconds if it was written as a duration.
    pub value: Real,
    /// Whether it was written as a duration.
    pub duration: bool,
    /// Where it stands.
    pub at: At,
}

/// A string.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StringLiteral {
    /// The bytes.
    pub value: RawText,
    /// Where it stands.
    pub at: At,
}

/// One condition on one label. A label that is absent has the empty value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Matcher {
    /// The label, any UTF-8.
    pub name: Text,
    /// The comparison.
    pub op: MatchOp,
    /// The value, or a regular expression in RE2's syntax that is anchored at both ends.
    pub value: Text,
}

/// The time a selector is fixed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// `@ 1609746000`: milliseconds since the epoch.
    At(i64),
    /// `@ start()`: the start of the range that is evaluated.
    Start,
    /// `@ end()`: its end.
    End,
}

/// How a selector or subquery is moved in time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shift {
    /// `offset`: how far back to look; negative looks ahead.
    pub offset: Option<Length>,
    /// `@`: the time to look from instead of the time of evaluation.
    pub at: Option<Moment>,
}

impl Shift {
    /// Neither offset nor `@`.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.offset.is_none() && self.at.is_none()
    }
}

/// How values at the edges of a window are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edges {
    /// `anchored`: the last sample before the window stands at its start.
    Anchored,
    /// `smoothed`: values at the edges are interpolated.
    Smoothed,
}

/// Which series to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VectorSelector {
    /// The metric's name, written before the braces or quoted within them. A condition on `__name__` that was written
    /// as a matcher is in `matchers`.
    pub name: Option<Text>,
    /// The other conditions, in the order they were written.
    pub matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub shift: Shift,
    /// `anchored` or `smoothed`.
    pub edges: Option<Edges>,
    /// Where it stands, modifiers included.
    pub at: At,
}

/// The samples of a window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MatrixSelector {
    /// The series; `offset` and `@` behind the brackets are its.
    pub selector: VectorSelector,
    /// How long the window is.
    pub range: Length,
    /// Where it stands, modifiers included.
    pub at: At,
}

/// An expression evaluated at every step of a window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Box<Expr>,
    /// How long the window is.
    pub range: Length,
    /// The distance of the steps; `None` is the engine's default.
    pub step: Option<Length>,
    /// `offset` and `@`.
    pub shift: Shift,
    /// Where it stands, modifiers included.
    pub at: At,
}

/// An expression in parentheses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Paren {
    /// The expression.
    pub expr: Box<Expr>,
    /// Where it stands.
    pub at: At,
}

/// A sign before an expression that is no literal number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unary {
    /// Whether the sign is a minus; a plus changes nothing.
    pub negative: bool,
    /// The expression.
    pub expr: Box<Expr>,
    /// Where it stands.
    pub at: At,
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
    /// `</`: the part of a histogram at or below a value.
    TrimUpper,
    /// `>/`: the part of a histogram at or above a value.
    TrimLower,
}

impl BinaryOp {
    /// As it is written.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// How tightly it binds: a larger number binds tighter. `^` goes from right to left, all others from left to right.
    #[must_use]
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
            _ => 3,
        }
    }

    /// `==`, `!=`, `<`, `<=`, `>`, `>=`.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal | Self::NotEqual | Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual
        )
    }

    /// `and`, `or`, `unless`.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// How many series of one side one of the other may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One of each side.
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// Which labels of the two sides must be equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MatchLabels {
    /// `on (…)`: these.
    On(Vec<Text>),
    /// `ignoring (…)`: all but these and the metric's name. Also when nothing was written, with an empty list.
    Ignoring(Vec<Text>),
}

/// How the series of two vectors find each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VectorMatching {
    /// How many may match.
    pub cardinality: Cardinality,
    /// What must be equal.
    pub labels: MatchLabels,
    /// `group_left (…)`, `group_right (…)`: labels of the one side that the result gets.
    pub include: Vec<Text>,
    /// `fill (v)`, `fill_left (v)`: the value of a series missing on the left.
    pub fill_left: Option<Real>,
    /// `fill (v)`, `fill_right (v)`: the value of a series missing on the right.
    pub fill_right: Option<Real>,
}

/// Two expressions joined by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The left side.
    pub lhs: Box<Expr>,
    /// The right side.
    pub rhs: Box<Expr>,
    /// `bool`: the comparison yields 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How series match; `None` unless both sides are vectors.
    pub matching: Option<VectorMatching>,
    /// Where it stands.
    pub at: At,
}

/// An aggregation operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AggregateOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `count`
    Count,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `group`
    Group,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `topk`, with a scalar parameter.
    Topk,
    /// `bottomk`, with a scalar parameter.
    Bottomk,
    /// `count_values`, with a string parameter.
    CountValues,
    /// `quantile`, with a scalar parameter.
    Quantile,
    /// `limitk`, with a scalar parameter; experimental.
    Limitk,
    /// `limit_ratio`, with a scalar parameter; experimental.
    LimitRatio,
}

impl AggregateOp {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Sum,
        Self::Avg,
        Self::Count,
        Self::Min,
        Self::Max,
        Self::Group,
        Self::Stddev,
        Self::Stdvar,
        Self::Topk,
        Self::Bottomk,
        Self::CountValues,
        Self::Quantile,
        Self::Limitk,
        Self::LimitRatio,
    ];

    /// As it is written, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// The type of its parameter, if it has one.
    #[must_use]
    pub const fn parameter(self) -> Option<ValueType> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => {
                Some(ValueType::Scalar)
            }
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }

    /// Whether Prometheus asks for a feature flag.
    #[must_use]
    pub const fn experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

/// By which labels series are put together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Grouping {
    /// `by (…)`: these are kept. Also when nothing was written, with an empty list.
    By(Vec<Text>),
    /// `without (…)`: all but these and the metric's name are kept.
    Without(Vec<Text>),
}

/// An aggregation over series.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Box<Expr>,
    /// The parameter of `topk` and the like.
    pub param: Option<Box<Expr>>,
    /// The groups.
    pub grouping: Grouping,
    /// Where it stands.
    pub at: At,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// The function.
    pub function: Function,
    /// The arguments, of the right number and types.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub at: At,
}

/// A length of time in an expression: known, or computed when the range and step of the evaluation are known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Length {
    /// Milliseconds.
    Fixed(i64),
    /// A duration expression: [`Length::resolve`] computes it.
    Computed(Box<DurationExpr>),
}

/// Arithmetic on durations, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DurationExpr {
    /// What is computed.
    pub kind: DurationKind,
    /// Where it stands.
    pub at: At,
}

/// A node of a [`DurationExpr`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DurationKind {
    /// A literal number or duration, in seconds.
    Literal {
        /// Seconds.
        seconds: Real,
        /// Whether it was written as a duration.
        duration: bool,
    },
    /// `step()`: the step of the evaluation; 0 for an instant.
    Step,
    /// `range()`: from the start of the evaluation to its end; 0 for an instant.
    Range,
    /// `-x`
    Negate(Box<DurationExpr>),
    /// `(x)`
    Paren(Box<DurationExpr>),
    /// `min_of(x, y)`
    Min(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(x, y)`
    Max(Box<DurationExpr>, Box<DurationExpr>),
    /// `x + y` and the like: only the arithmetic operators, without `atan2`.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
}

impl Expr {
    /// Where it stands.
    #[must_use]
    pub const fn span(&self) -> Span {
        match self {
            Self::Number(node) => node.at.0,
            Self::String(node) => node.at.0,
            Self::Vector(node) => node.at.0,
            Self::Matrix(node) => node.at.0,
            Self::Subquery(node) => node.at.0,
            Self::Paren(node) => node.at.0,
            Self::Unary(node) => node.at.0,
            Self::Binary(node) => node.at.0,
            Self::Aggregate(node) => node.at.0,
            Self::Call(node) => node.at.0,
        }
    }

    /// What it yields.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Vector(_) | Self::Aggregate(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Paren(node) => node.expr.value_type(),
            Self::Unary(node) => node.expr.value_type(),
            Self::Binary(node) => {
                let scalar = |side: &Self| side.value_type() == ValueType::Scalar;
                if scalar(&node.lhs) && scalar(&node.rhs) { ValueType::Scalar } else { ValueType::Vector }
            }
            Self::Call(node) => node.function.signature().returns,
        }
    }

    /// The expression within any number of parentheses.
    #[must_use]
    pub fn within_parens(&self) -> &Self {
        let mut found = self;
        while let Self::Paren(paren) = found {
            found = &paren.expr;
        }
        found
    }

    /// The expressions directly below this one, parameters first. The selector of a matrix is part of its node.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        let (first, second, list): (Option<&Self>, Option<&Self>, &[Self]) = match self {
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(_) => (None, None, &[]),
            Self::Subquery(node) => (Some(&node.expr), None, &[]),
            Self::Paren(node) => (Some(&node.expr), None, &[]),
            Self::Unary(node) => (Some(&node.expr), None, &[]),
            Self::Binary(node) => (Some(&node.lhs), Some(&node.rhs), &[]),
            Self::Aggregate(node) => (node.param.as_deref(), Some(&node.expr), &[]),
            Self::Call(node) => (None, None, &node.args),
        };
        first.into_iter().chain(second).chain(list)
    }

    /// Calls `visit` for every selector, those of matrices included, in the order they are written.
    pub fn for_each_selector<'a>(&'a self, visit: &mut impl FnMut(&'a VectorSelector)) {
        match self {
            Self::Vector(selector) => visit(selector),
            Self::Matrix(matrix) => visit(&matrix.selector),
            other => other.children().for_each(|child| child.for_each_selector(visit)),
        }
    }
}
