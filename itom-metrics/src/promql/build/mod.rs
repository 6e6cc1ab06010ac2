//! Expressions made in Rust instead of written as text.
//!
//! [`metric`] and [`rate`] with its like begin an expression, the methods of [`Vector`] go on with it, and
//! [`build`](Vector::build) checks it. The result is the tree that the text would give: it prints as that text, and is
//! planned and evaluated alike.
//!
//! ```
//! use std::time::Duration;
//! use itom_metrics::promql::build::{Vector as _, metric, rate};
//! use itom_metrics::promql::parse;
//!
//! let minutes = |count: u64| Duration::from_secs(60 * count);
//! let busy = rate("http_requests_total").range(minutes(2)).by(["job"]).gt(3.0);
//! assert_eq!(busy.build()?, parse("sum by (job) (rate(http_requests_total[2m])) > 3")?);
//!
//! let errors = metric("http_requests_total").matches("code", "5..").without("job", "test");
//! let share = rate(errors).by(["job"]) / rate("http_requests_total").by(["job"]);
//! assert_eq!(
//!     share.gt(0.05).build()?.to_string(),
//!     "sum by (job) (rate(http_requests_total{code=~\"5..\",job!=\"test\"}[5m])) / \
//!      sum by (job) (rate(http_requests_total[5m])) > 0.05",
//! );
//! # Ok::<(), itom_metrics::promql::ParseError>(())
//! ```

mod join;
mod series;
#[cfg(test)]
mod tests;
mod window;

use std::time::Duration;

use itom_core::Text;

use super::ast::{
    Aggregate, AggregateOp, BinaryOp, Call, Expr, Grouping, Length, Number, Paren, Real, Subquery,
};
use super::{At as Place, Function, ParseError, parse};

pub use join::Joined;
pub use series::{Series, metric, series};
pub use window::{
    Ranged, Window, absent_over_time, avg_over_time, changes, count_over_time, delta, deriv, increase, irate,
    last_over_time, max_over_time, min_over_time, predict_linear, present_over_time, quantile_over_time,
    rate, resets, stddev_over_time, sum_over_time,
};

/// An expression that gives one sample for each series, or a number beside one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Expr);

impl Query {
    /// The tree as it is so far. What only [`build`](Vector::build) checks may be wrong in it.
    #[must_use]
    pub const fn expr(&self) -> &Expr {
        &self.0
    }

    fn call(function: Function, args: Vec<Expr>) -> Self {
        Self(Expr::Call(Call { function, args, at: Place::default() }))
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

fn number(value: f64) -> Expr {
    Expr::Number(Number { value: Real(value), duration: false, at: Place::default() })
}

fn length(span: Duration) -> Length {
    // Lengths are whole milliseconds; none is shorter.
    Length::Fixed(i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1))
}

fn parens(expr: Expr) -> Expr {
    Expr::Paren(Paren { expr: Box::new(expr), at: Place::default() })
}

/// A number as one side of an operator.
impl From<f64> for Query {
    fn from(value: f64) -> Self {
        Self(number(value))
    }
}
impl From<i32> for Query {
    fn from(value: i32) -> Self {
        Self(number(f64::from(value)))
    }
}

/// Labels as texts.
fn labels<L: Into<Text>>(labels: impl IntoIterator<Item = L>) -> Vec<Text> {
    labels.into_iter().map(Into::into).collect()
}

macro_rules! aggregations {
    ($($all:ident $by:ident $op:ident $name:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "(…)`: one sample of all.")]
            #[must_use]
            fn $all(self) -> Query {
                self.aggregate(AggregateOp::$op, Grouping::By(Vec::new()))
            }
            #[doc = concat!("`", $name, " by (…) (…)`: one sample for each combination of these labels.")]
            #[must_use]
            fn $by<L: Into<Text>>(self, by: impl IntoIterator<Item = L>) -> Query {
                self.aggregate(AggregateOp::$op, Grouping::By(labels(by)))
            }
        )*
    };
}

macro_rules! comparisons {
    ($($name:ident $op:ident $symbol:literal;)*) => {
        $(
            #[doc = concat!("`… ", $symbol, " …`: the samples for which it is so.")]
            #[must_use]
            fn $name(self, than: impl Into<Query>) -> Query {
                self.join(BinaryOp::$op, than).into()
            }
        )*
    };
}

macro_rules! functions {
    ($($name:ident $function:ident $written:literal;)*) => {
        $(
            #[doc = concat!("`", $written, "(…)`")]
            #[must_use]
            fn $name(self) -> Query {
                let Query(expr) = self.into();
                Query::call(Function::$function, vec![expr])
            }
        )*
    };
}

/// What gives one sample for each series: a [`Series`], a [`Ranged`] function, a [`Query`].
///
/// ```
/// use itom_metrics::promql::build::{Vector as _, metric};
/// let free = metric("node_filesystem_avail_bytes") / metric("node_filesystem_size_bytes");
/// assert_eq!(
///     free.lt(0.1).build()?.to_string(),
///     "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1"
/// );
/// # Ok::<(), itom_metrics::promql::ParseError>(())
/// ```
pub trait Vector: Into<Query> + Sized {
    aggregations! {
        sum sum_by Sum "sum";
        avg avg_by Avg "avg";
        min min_by Min "min";
        max max_by Max "max";
        count count_by Count "count";
    }
    comparisons! {
        gt Greater ">";
        ge GreaterEqual ">=";
        lt Less "<";
        le LessEqual "<=";
        equal_to Equal "==";
        not_equal_to NotEqual "!=";
        and And "and";
        or Or "or";
        unless Unless "unless";
    }
    functions! {
        abs Abs "abs";
        ceil Ceil "ceil";
        floor Floor "floor";
        absent Absent "absent";
        timestamp Timestamp "timestamp";
        to_number Scalar "scalar";
    }

    /// `sum by (…) (…)`, the aggregation that is wanted most.
    #[must_use]
    fn by<L: Into<Text>>(self, by: impl IntoIterator<Item = L>) -> Query {
        self.sum_by(by)
    }

    /// Any aggregation that needs no parameter.
    #[must_use]
    fn aggregate(self, op: AggregateOp, grouping: Grouping) -> Query {
        let Query(expr) = self.into();
        let expr = Box::new(expr);
        Query(Expr::Aggregate(Aggregate { op, expr, param: None, grouping, at: Place::default() }))
    }

    /// `topk(…, …)`: the largest.
    #[must_use]
    fn topk(self, count: u32) -> Query {
        with_parameter(AggregateOp::Topk, f64::from(count), self.into())
    }

    /// `bottomk(…, …)`: the smallest.
    #[must_use]
    fn bottomk(self, count: u32) -> Query {
        with_parameter(AggregateOp::Bottomk, f64::from(count), self.into())
    }

    /// `quantile(…, …)`: of all samples.
    #[must_use]
    fn quantile(self, q: f64) -> Query {
        with_parameter(AggregateOp::Quantile, q, self.into())
    }

    /// `histogram_quantile(…, …)`: of the values that histograms counted.
    #[must_use]
    fn histogram_quantile(self, q: f64) -> Query {
        let Query(expr) = self.into();
        Query::call(Function::HistogramQuantile, vec![number(q), expr])
    }

    /// An operator whose matching can be told: `a.join(op, b).on(["instance"]).group_left([])`.
    fn join(self, op: BinaryOp, other: impl Into<Query>) -> Joined {
        Joined::new(op, self.into(), other.into())
    }

    /// A window of its own past values, one each `step` (the engine's default if `None`): `(…)[1h:1m]`.
    #[must_use]
    fn over(self, range: Duration, step: Option<Duration>) -> Window {
        let Query(expr) = self.into();
        // What is no selector, call or aggregation is taken in parentheses.
        let bare = matches!(expr, Expr::Vector(_) | Expr::Call(_) | Expr::Aggregate(_) | Expr::Paren(_));
        let expr = Box::new(if bare { expr } else { parens(expr) });
        Window(Expr::Subquery(Subquery {
            expr,
            range: length(range),
            step: step.map(length),
            shift: super::ast::Shift::default(),
            at: Place::default(),
        }))
    }

    /// Checks it and gives the tree, as [`parse`] would of its text: places in it are those of that text.
    ///
    /// # Errors
    /// [`ParseError`] when a name, a regular expression or a type is wrong; its place is in the text as printed.
    fn build(self) -> Result<Expr, ParseError> {
        let query: Query = self.into();
        parse(&query.0.to_string())
    }
}

// Not for numbers: a comparison of two of them is no samples.
impl Vector for Query {}
impl Vector for Series {}
impl Vector for Ranged {}
impl Vector for Joined {}

fn with_parameter(op: AggregateOp, value: f64, Query(expr): Query) -> Query {
    let (expr, param) = (Box::new(expr), Some(Box::new(number(value))));
    let grouping = Grouping::By(Vec::new());
    Query(Expr::Aggregate(Aggregate { op, expr, param, grouping, at: Place::default() }))
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $op:ident;)*) => {
        $(
            impl<T: Into<Query>> std::ops::$trait<T> for Query {
                type Output = Self;
                fn $method(self, other: T) -> Self {
                    Joined::new(BinaryOp::$op, self, other.into()).into()
                }
            }
            impl<T: Into<Query>> std::ops::$trait<T> for Series {
                type Output = Query;
                fn $method(self, other: T) -> Query {
                    Joined::new(BinaryOp::$op, self.into(), other.into()).into()
                }
            }
            impl<T: Into<Query>> std::ops::$trait<T> for Ranged {
                type Output = Query;
                fn $method(self, other: T) -> Query {
                    Joined::new(BinaryOp::$op, self.into(), other.into()).into()
                }
            }
            impl std::ops::$trait<Query> for f64 {
                type Output = Query;
                fn $method(self, other: Query) -> Query {
                    Joined::new(BinaryOp::$op, self.into(), other).into()
                }
            }
        )*
    };
}

arithmetic! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
    Rem rem Mod;
}
