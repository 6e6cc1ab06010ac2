//! Types: what Prometheus's parser refuses although the grammar allows it.

use itom_core::MatchOp;

use super::super::ast::{Binary, Cardinality, Expr, MatchLabels, ValueType, VectorSelector};
use super::super::{Function, ParseError, Span};
use crate::selector::{Pattern, literals};

/// Checks an expression and says what its operators mean for the types of their sides.
pub(super) fn check(text: &str, expr: &mut Expr) -> Result<ValueType, ParseError> {
    let fail = |span: Span, message: String| Err(ParseError::new(text, span, message));
    match expr {
        Expr::Number(_) => Ok(ValueType::Scalar),
        Expr::String(_) => Ok(ValueType::String),
        Expr::Vector(node) => selector(text, node).map(|()| ValueType::Vector),
        Expr::Matrix(node) => selector(text, &node.selector).map(|()| ValueType::Matrix),
        Expr::Paren(node) => check(text, &mut node.expr),
        Expr::Unary(node) => match check(text, &mut node.expr)? {
            found @ (ValueType::Scalar | ValueType::Vector) => Ok(found),
            found => {
                let found = found.documented();
                fail(
                    node.at.0,
                    format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got \"{found}\""
                    ),
                )
            }
        },
        Expr::Subquery(node) => match check(text, &mut node.expr)? {
            ValueType::Vector => Ok(ValueType::Matrix),
            found => {
                let found = found.documented();
                fail(node.at.0, format!("subquery is only allowed on instant vector, got {found} instead"))
            }
        },
        Expr::Aggregate(node) => {
            expect(text, &mut node.expr, ValueType::Vector, "aggregation expression")?;
            if let (Some(param), Some(wanted)) = (&mut node.param, node.op.parameter()) {
                expect(text, param, wanted, "aggregation parameter")?;
            }
            Ok(ValueType::Vector)
        }
        Expr::Binary(node) => binary(text, node),
        Expr::Call(node) => {
            let signature = node.function.signature();
            let (name, got) = (node.function.name(), node.args.len());
            let (least, most) = (signature.arity.least, signature.arity.most);
            if most == Some(least) && got != least {
                return fail(
                    node.at.0,
                    format!("expected {least} argument(s) in call to \"{name}\", got {got}"),
                );
            }
            if got < least {
                return fail(
                    node.at.0,
                    format!("expected at least {least} argument(s) in call to \"{name}\", got {got}"),
                );
            }
            if let Some(most) = most.filter(|most| got > *most) {
                return fail(
                    node.at.0,
                    format!("expected at most {most} argument(s) in call to \"{name}\", got {got}"),
                );
            }
            for (index, argument) in node.args.iter_mut().enumerate() {
                if node.function == Function::Info && index == 1 {
                    info_labels(text, argument)?;
                } else if let Some(wanted) = signature.argument(index) {
                    expect_argument(text, argument, wanted, name)?;
                }
            }
            Ok(signature.returns)
        }
    }
}

fn expect(text: &str, expr: &mut Expr, wanted: ValueType, context: &str) -> Result<(), ParseError> {
    let found = check(text, expr)?;
    if found == wanted {
        return Ok(());
    }
    let (wanted, found) = (wanted.documented(), found.documented());
    Err(ParseError::new(text, expr.span(), format!("expected type {wanted} in {context}, got {found}")))
}

fn expect_argument(text: &str, expr: &mut Expr, wanted: ValueType, name: &str) -> Result<(), ParseError> {
    let span = expr.span();
    let missing_range = matches!(expr, Expr::Vector(selector) if selector.shift.is_none());
    expect(text, expr, wanted, &format!("call to function \"{name}\"")).map_err(|error| {
        // The mistake that is made most: a rate without its window.
        let written = text.get(span.start..span.end).unwrap_or("");
        let helps = wanted == ValueType::Matrix && missing_range && error.span == span && written.len() <= 60;
        error.meaning(helps.then(|| format!("{written}[5m]")).as_deref())
    })
}

/// The second argument of `info` is no selector but a filter on labels.
fn info_labels(text: &str, expr: &Expr) -> Result<(), ParseError> {
    let fail = |message: &str| Err(ParseError::new(text, expr.span(), message));
    match expr {
        Expr::Vector(node) if text.as_bytes().get(node.at.0.start) != Some(&b'{') => {
            fail("expected label selectors only, got vector selector instead")
        }
        Expr::Vector(node) => patterns(text, node).map(|_| ()),
        _ => fail("expected label selectors only"),
    }
}

fn binary(text: &str, node: &mut Binary) -> Result<ValueType, ParseError> {
    let fail = |span: Span, message: String| Err(ParseError::new(text, span, message));
    let left = check(text, &mut node.lhs)?;
    let right = check(text, &mut node.rhs)?;
    let operator = between(text, node.lhs.span(), node.rhs.span());
    if node.return_bool && !node.op.is_comparison() {
        return fail(operator, "bool modifier can only be used on comparison operators".to_owned());
    }
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if node.op.is_comparison() && !node.return_bool && scalars {
        return fail(operator, "comparisons between scalars must use BOOL modifier".to_owned());
    }
    if let Some(matching) = &mut node.matching {
        if node.op.is_set() && matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        }
        if let MatchLabels::On(on) = &matching.labels
            && let Some(label) = on.iter().find(|label| matching.include.contains(label))
        {
            return fail(
                operator,
                format!("label \"{label}\" must not occur in ON and GROUP clause at once"),
            );
        }
    }
    for (side, found) in [(&node.lhs, left), (&node.rhs, right)] {
        if !matches!(found, ValueType::Scalar | ValueType::Vector) {
            let message = "binary expression must contain only scalar and instant vector types";
            return fail(side.span(), message.to_owned());
        }
    }
    let vectors = left == ValueType::Vector && right == ValueType::Vector;
    if let Some(matching) = &node.matching {
        let (MatchLabels::On(labels) | MatchLabels::Ignoring(labels)) = &matching.labels;
        let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
        let what = match () {
            () if !vectors && !labels.is_empty() => "vector matching only allowed between instant vectors",
            () if !vectors && filled => "filling in missing series only allowed between instant vectors",
            () if vectors && node.op.is_set() && matching.cardinality != Cardinality::ManyToMany => {
                return fail(
                    node.at.0,
                    format!("no grouping allowed for \"{}\" operation", node.op.symbol()),
                );
            }
            () if vectors && node.op.is_set() && filled => {
                "filling in missing series not allowed for set operators"
            }
            () => "",
        };
        if !what.is_empty() {
            return fail(node.at.0, what.to_owned());
        }
    }
    if !vectors {
        if node.op.is_set() {
            let op = node.op.symbol();
            return fail(node.at.0, format!("set operator \"{op}\" not allowed in binary scalar expression"));
        }
        node.matching = None;
    }
    Ok(if scalars { ValueType::Scalar } else { ValueType::Vector })
}

/// The operator and its modifiers: what stands between the sides, without blanks.
fn between(text: &str, left: Span, right: Span) -> Span {
    let written = text.get(left.end..right.start).unwrap_or("");
    let start = left.end + (written.len() - written.trim_start().len());
    Span::new(start, (left.end + written.trim_end().len()).max(start))
}

/// A selector must not match every series there is.
pub(super) fn selector(text: &str, node: &VectorSelector) -> Result<(), ParseError> {
    let excludes_empty = patterns(text, node)?;
    if let Some(name) = &node.name {
        if let Some(twice) = node.matchers.iter().find(|matcher| &*matcher.name == "__name__") {
            let message = format!("metric name must not be set twice: {name:?} or {:?}", twice.value);
            // Within braces Prometheus takes the two for two conditions.
            if text.as_bytes().get(node.at.0.start) != Some(&b'{') {
                return Err(ParseError::new(text, node.at.0, message));
            }
        }
        if !name.is_empty() {
            return Ok(());
        }
    }
    if excludes_empty {
        return Ok(());
    }
    Err(ParseError::new(text, node.at.0, "vector selector must contain at least one non-empty matcher"))
}

/// Whether some condition refuses the empty value; compiles every regular expression on the way.
fn patterns(text: &str, node: &VectorSelector) -> Result<bool, ParseError> {
    let mut refused = false;
    for matcher in &node.matchers {
        let value = matcher.value.as_str();
        refused |= match matcher.op {
            MatchOp::Equal => !value.is_empty(),
            MatchOp::NotEqual => value.is_empty(),
            MatchOp::Regex | MatchOp::NotRegex => {
                let matches = match literals(value) {
                    Some(literals) => literals.iter().any(String::is_empty),
                    None => Pattern::compile(value)
                        .map_err(|error| {
                            let message = format!("error parsing regexp: {error}");
                            ParseError::new(text, node.at.0, message)
                        })?
                        .matches(""),
                };
                matches == (matcher.op == MatchOp::NotRegex)
            }
        };
    }
    Ok(refused)
}
