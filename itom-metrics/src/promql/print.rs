//! Trees as text: on one line, or over several where one would be too long. What is printed parses back to an equal
//! tree.

use std::fmt::{self, Display, Formatter, Write as _};

use itom_core::{MatchOp, Text};

use super::RawText;
use super::ast::{
    Aggregate, Binary, BinaryOp, Cardinality, DurationExpr, DurationKind, Edges, Expr, Grouping, Length,
    MatchLabels, Matcher, MatrixSelector, Moment, Number, Shift, VectorMatching, VectorSelector,
};
use super::literal::show_duration;
use super::token::{Keyword, Kind, word};

/// Where a line ends for [`Expr::pretty`].
const WIDTH: usize = 100;

impl Expr {
    /// Over several lines, as `promtool promql format` does: what fits on a line of 100 characters stays on one.
    ///
    /// ```
    /// # use itom_metrics::promql;
    /// let expr = promql::parse("sum(rate(http_request_duration_seconds_count{code=~\"5..\"}[5m])) / \
    ///     sum(rate(http_request_duration_seconds_count[5m]))")?;
    /// assert_eq!(expr.pretty(), r#"  sum(rate(http_request_duration_seconds_count{code=~"5.."}[5m]))
    /// /
    ///   sum(rate(http_request_duration_seconds_count[5m]))"#);
    /// # Ok::<(), promql::ParseError>(())
    /// ```
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        pretty(self, 0, &mut out);
        out
    }
}

fn pretty(expr: &Expr, level: usize, out: &mut String) {
    let line = expr.to_string();
    let indent = "  ".repeat(level);
    let leaf = matches!(expr, Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_));
    if leaf || line.chars().count() + indent.len() <= WIDTH {
        out.push_str(&indent);
        out.push_str(&line);
        return;
    }
    // Writing to a string does not fail.
    let list = |out: &mut String, head: &dyn Display, args: &mut dyn Iterator<Item = &Expr>| {
        let _ = write!(out, "{indent}{head}(");
        for (index, argument) in args.enumerate() {
            out.push_str(if index == 0 { "\n" } else { ",\n" });
            pretty(argument, level + 1, out);
        }
        let _ = write!(out, "\n{indent})");
    };
    match expr {
        Expr::Aggregate(node) => list(out, &AggregateHead(node), &mut expr.children()),
        Expr::Call(node) => list(out, &node.function, &mut node.args.iter()),
        Expr::Paren(_) => list(out, &"", &mut expr.children()),
        Expr::Binary(node) => {
            pretty(&node.lhs, level + 1, out);
            let _ = write!(out, "\n{indent}{}\n", BinaryHead(node));
            pretty(&node.rhs, level + 1, out);
        }
        Expr::Unary(node) => {
            let from = out.len();
            pretty(&node.expr, level, out);
            out.insert(from + indent.len(), if node.negative { '-' } else { '+' });
        }
        Expr::Subquery(node) => {
            pretty(&node.expr, level, out);
            let _ = write!(out, "{}", SubqueryTail(node));
        }
        Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {}
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(node) => node.fmt(f),
            Self::String(node) => f.write_str(&node.value.quoted()),
            Self::Vector(node) => node.fmt(f),
            Self::Matrix(node) => node.fmt(f),
            Self::Subquery(node) => write!(f, "{}{}", node.expr, SubqueryTail(node)),
            Self::Paren(node) => write!(f, "({})", node.expr),
            Self::Unary(node) => write!(f, "{}{}", if node.negative { '-' } else { '+' }, node.expr),
            Self::Binary(node) => write!(f, "{} {} {}", node.lhs, BinaryHead(node), node.rhs),
            Self::Aggregate(node) => {
                write!(f, "{}(", AggregateHead(node))?;
                arguments(f, self.children())
            }
            Self::Call(node) => {
                write!(f, "{}(", node.function)?;
                arguments(f, node.args.iter())
            }
        }
    }
}

fn arguments<'a>(f: &mut Formatter<'_>, args: impl Iterator<Item = &'a Expr>) -> fmt::Result {
    for (index, argument) in args.enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        argument.fmt(f)?;
    }
    f.write_char(')')
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        number(f, self.value.0, self.duration)
    }
}

/// A number; one that was written as a duration is again, if it is whole milliseconds.
fn number(f: &mut Formatter<'_>, value: f64, duration: bool) -> fmt::Result {
    let milliseconds = (value * 1_000.0).round();
    if duration && (milliseconds / 1_000.0).to_bits() == value.to_bits() && milliseconds.abs() < 1e15 {
        let sign = if value.is_sign_negative() { "-" } else { "" };
        return write!(f, "{sign}{}", show_duration(milliseconds.abs() as i64));
    }
    if value == f64::INFINITY {
        f.write_str("Inf")
    } else if value == f64::NEG_INFINITY {
        f.write_str("-Inf")
    } else if value.is_nan() {
        f.write_str("NaN")
    } else {
        write!(f, "{value}")
    }
}

struct BinaryHead<'a>(&'a Binary);

impl Display for BinaryHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.symbol())?;
        if self.0.return_bool {
            f.write_str(" bool")?;
        }
        self.0.matching.as_ref().map_or(Ok(()), |matching| matching.fmt(f))
    }
}

/// With a blank before each part.
impl Display for VectorMatching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let group = match self.cardinality {
            Cardinality::ManyToOne => Some("group_left"),
            Cardinality::OneToMany => Some("group_right"),
            Cardinality::OneToOne | Cardinality::ManyToMany => None,
        };
        match &self.labels {
            MatchLabels::On(labels) => write!(f, " on ({})", LabelList(labels))?,
            MatchLabels::Ignoring(labels) if !labels.is_empty() || group.is_some() => {
                write!(f, " ignoring ({})", LabelList(labels))?;
            }
            MatchLabels::Ignoring(_) => {}
        }
        if let Some(group) = group {
            write!(f, " {group} ({})", LabelList(&self.include))?;
        }
        let mut fill = |name: &str, value: f64| {
            write!(f, " {name} (")?;
            number(f, value, false)?;
            f.write_char(')')
        };
        match (self.fill_left, self.fill_right) {
            (Some(left), Some(right)) if left == right => fill("fill", left.0),
            (left, right) => {
                left.map_or(Ok(()), |value| fill("fill_left", value.0))?;
                right.map_or(Ok(()), |value| fill("fill_right", value.0))
            }
        }
    }
}

struct AggregateHead<'a>(&'a Aggregate);

impl Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.name())?;
        match &self.0.grouping {
            Grouping::By(labels) if labels.is_empty() => Ok(()),
            Grouping::By(labels) => write!(f, " by ({}) ", LabelList(labels)),
            Grouping::Without(labels) => write!(f, " without ({}) ", LabelList(labels)),
        }
    }
}

struct LabelList<'a>(&'a [Text]);

impl Display for LabelList<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, label) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            let plain = classic(label, false)
                && !matches!(word(label), Kind::Number | Kind::Keyword(Keyword::Without));
            if plain { f.write_str(label)? } else { f.write_str(&RawText::from(label.as_str()).quoted())? }
        }
        Ok(())
    }
}

/// Whether a name can be written without quotes.
fn classic(name: &str, colons: bool) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':');
    name.bytes().all(allowed) && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

impl VectorSelector {
    /// Whether the name can stand before the braces.
    fn plain_name(&self) -> bool {
        let Some(name) = &self.name else { return false };
        let reserved = match word(name) {
            Kind::Number | Kind::Op(BinaryOp::Atan2) => true,
            Kind::Keyword(keyword) => matches!(
                keyword,
                Keyword::On | Keyword::Ignoring | Keyword::GroupLeft | Keyword::GroupRight | Keyword::Bool
            ),
            _ => false,
        };
        classic(name, true)
            && !reserved
            && self.matchers.iter().all(|matcher| matcher.name.as_str() != "__name__")
    }

    fn series(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut open =
            |f: &mut Formatter<'_>| f.write_char(if std::mem::take(&mut first) { '{' } else { ',' });
        match &self.name {
            Some(name) if self.plain_name() => f.write_str(name)?,
            Some(name) => {
                open(f)?;
                f.write_str(&RawText::from(name.as_str()).quoted())?;
            }
            None if self.matchers.is_empty() => open(f)?,
            None => {}
        }
        for matcher in &self.matchers {
            open(f)?;
            matcher.fmt(f)?;
        }
        if first { Ok(()) } else { f.write_char('}') }
    }
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if classic(&self.name, false) {
            f.write_str(&self.name)?;
        } else {
            f.write_str(&RawText::from(self.name.as_str()).quoted())?;
        }
        f.write_str(match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        })?;
        f.write_str(&RawText::from(self.value.as_str()).quoted())
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.series(f)?;
        edges(f, self.edges)?;
        self.shift.fmt(f)
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.selector.series(f)?;
        write!(f, "[{}]", self.range)?;
        edges(f, self.selector.edges)?;
        self.selector.shift.fmt(f)
    }
}

fn edges(f: &mut Formatter<'_>, edges: Option<Edges>) -> fmt::Result {
    match edges {
        Some(Edges::Anchored) => f.write_str(" anchored"),
        Some(Edges::Smoothed) => f.write_str(" smoothed"),
        None => Ok(()),
    }
}

struct SubqueryTail<'a>(&'a super::ast::Subquery);

impl Display for SubqueryTail<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:", self.0.range)?;
        self.0.step.as_ref().map_or(Ok(()), |step| step.fmt(f))?;
        write!(f, "]{}", self.0.shift)
    }
}

/// With a blank before each part.
impl Display for Shift {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(Moment::At(milliseconds)) => {
                let (sign, size) = (if milliseconds < 0 { "-" } else { "" }, milliseconds.unsigned_abs());
                write!(f, " @ {sign}{}.{:03}", size / 1_000, size % 1_000)?;
            }
            Some(Moment::Start) => f.write_str(" @ start()")?,
            Some(Moment::End) => f.write_str(" @ end()")?,
            None => {}
        }
        match &self.offset {
            None => Ok(()),
            Some(Length::Computed(expr)) if matches!(expr.kind, DurationKind::Binary(..)) => {
                write!(f, " offset ({expr})")
            }
            Some(length) => write!(f, " offset {length}"),
        }
    }
}

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(milliseconds) => f.write_str(&show_duration(*milliseconds)),
            Self::Computed(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationKind::Literal { seconds, duration } => number(f, seconds.0, *duration),
            DurationKind::Step => f.write_str("step()"),
            DurationKind::Range => f.write_str("range()"),
            DurationKind::Negate(of) => write!(f, "-{of}"),
            DurationKind::Paren(of) => write!(f, "({of})"),
            DurationKind::Min(a, b) => write!(f, "min_of({a}, {b})"),
            DurationKind::Max(a, b) => write!(f, "max_of({a}, {b})"),
            DurationKind::Binary(op, a, b) => write!(f, "{a} {} {b}", op.symbol()),
        }
    }
}
