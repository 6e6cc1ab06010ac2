//! An expression with every selector pinned to a time: its value must not depend on when it is evaluated.

use crate::promql::Function;
use crate::promql::ast::{Expr, Length, Moment, Shift};

/// The expression with `@ at` on what has no `@` of its own; `None` when its value follows the time of evaluation
/// nevertheless.
pub(super) fn pinned(expr: &Expr, at: i64) -> Option<Expr> {
    if depends_on_time(expr) {
        return None;
    }
    let mut expr = expr.clone();
    pin(&mut expr, at);
    Some(expr)
}

fn depends_on_time(expr: &Expr) -> bool {
    let own = match expr {
        Expr::Call(call) => matches!(
            call.function,
            Function::DaysInMonth
                | Function::DayOfMonth
                | Function::DayOfWeek
                | Function::DayOfYear
                | Function::Hour
                | Function::Minute
                | Function::Month
                | Function::Year
                | Function::PredictLinear
                | Function::Time
                | Function::Timestamp
                | Function::Start
                | Function::End
                | Function::Range
                | Function::Step
                | Function::Info
        ),
        // `@ start()` and `@ end()` are the time of evaluation in an instant query, and lengths may be computed of it.
        Expr::Vector(selector) => moves(&selector.shift),
        Expr::Matrix(matrix) => moves(&matrix.selector.shift) || computed(&matrix.range),
        Expr::Subquery(subquery) => {
            moves(&subquery.shift)
                || computed(&subquery.range)
                || subquery.step.as_ref().is_some_and(computed)
        }
        _ => false,
    };
    own || expr.children().any(depends_on_time)
}

fn computed(length: &Length) -> bool {
    matches!(length, Length::Computed(_))
}

fn moves(shift: &Shift) -> bool {
    matches!(shift.at, Some(Moment::Start | Moment::End)) || shift.offset.as_ref().is_some_and(computed)
}

fn pin(expr: &mut Expr, at: i64) {
    let modifier = |shift: &mut Shift| {
        shift.at.get_or_insert(Moment::At(at));
    };
    match expr {
        Expr::Vector(selector) => modifier(&mut selector.shift),
        Expr::Matrix(matrix) => modifier(&mut matrix.selector.shift),
        // What is within runs over the subquery's own times, which are pinned by it.
        Expr::Subquery(subquery) => modifier(&mut subquery.shift),
        Expr::Paren(paren) => pin(&mut paren.expr, at),
        Expr::Unary(unary) => pin(&mut unary.expr, at),
        Expr::Binary(binary) => {
            pin(&mut binary.lhs, at);
            pin(&mut binary.rhs, at);
        }
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                pin(param, at);
            }
            pin(&mut aggregate.expr, at);
        }
        Expr::Call(call) => call.args.iter_mut().for_each(|arg| pin(arg, at)),
        Expr::Number(_) | Expr::String(_) => {}
    }
}
