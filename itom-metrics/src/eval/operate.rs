//! Operators between two values.

use itom_core::{CounterReset, Histogram};

use super::Annotations;
use super::block::Cell;
use super::over_time::same;
use crate::histogram::{add, compact, div, mul, sub, trim_lower, trim_upper};
use crate::promql::Span;
use crate::promql::ast::BinaryOp;

/// An operator between two numbers; comparisons give 0 or 1.
pub(super) fn numbers(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        _ => f64::from(u8::from(holds(op, a, b))),
    }
}

fn holds(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::LessEqual => a <= b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterEqual => a >= b,
        _ => false,
    }
}

/// The result of an operator between samples: a value and whether a filter keeps it. `None` when they cannot be
/// calculated with, which is said.
pub(super) fn samples(
    op: BinaryOp,
    a: &Cell,
    b: &Cell,
    span: Span,
    notes: &mut Annotations,
) -> Option<(Cell, bool)> {
    match (a, b) {
        (Cell::Float(a), Cell::Float(b)) if op.is_comparison() => Some((Cell::Float(*a), holds(op, *a, *b))),
        (Cell::Float(a), Cell::Float(b)) if !matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) => {
            Some((Cell::Float(numbers(op, *a, *b)), true))
        }
        (Cell::Float(a), Cell::Histogram(b)) if op == BinaryOp::Mul => changed(b, |h| {
            mul(h, *a);
            compact(h);
        }),
        (Cell::Histogram(a), Cell::Float(b)) if op == BinaryOp::Mul => changed(a, |h| {
            mul(h, *b);
            compact(h);
        }),
        (Cell::Histogram(a), Cell::Float(b)) if op == BinaryOp::Div => changed(a, |h| {
            div(h, *b);
            compact(h);
        }),
        (Cell::Histogram(a), Cell::Float(b)) if op == BinaryOp::TrimUpper => changed(a, |h| {
            trim_upper(h, *b);
            compact(h);
        }),
        (Cell::Histogram(a), Cell::Float(b)) if op == BinaryOp::TrimLower => changed(a, |h| {
            trim_lower(h, *b);
            compact(h);
        }),
        (Cell::Histogram(left), Cell::Histogram(right)) => match op {
            BinaryOp::Equal => Some((a.clone(), same(left, right))),
            BinaryOp::NotEqual => Some((a.clone(), !same(left, right))),
            BinaryOp::Add | BinaryOp::Sub => added(op, left, right, span, notes),
            _ => unfit(op, a, b, span, notes),
        },
        _ => unfit(op, a, b, span, notes),
    }
}

fn changed(h: &Histogram, change: impl FnOnce(&mut Histogram)) -> Option<(Cell, bool)> {
    let mut h = h.clone();
    change(&mut h);
    Some((Cell::histogram(h), true))
}

fn added(
    op: BinaryOp,
    a: &Histogram,
    b: &Histogram,
    span: Span,
    notes: &mut Annotations,
) -> Option<(Cell, bool)> {
    let mut result = a.clone();
    let (during, merged) = if op == BinaryOp::Add {
        ("addition", add(&mut result, b))
    } else {
        ("subtraction", sub(&mut result, b))
    };
    let Ok(merged) = merged else {
        notes.warn(
            span,
            format!("incompatible bucket layout encountered for binary operator {}", op.symbol()),
        );
        return None;
    };
    if op == BinaryOp::Sub {
        result.reset = CounterReset::Gauge;
    }
    if merged.reset_collision {
        notes.reset_collision(span, during);
    }
    if merged.bounds_reconciled {
        notes.reconciled_bounds(span, during);
    }
    compact(&mut result);
    Some((Cell::histogram(result), true))
}

fn unfit(op: BinaryOp, a: &Cell, b: &Cell, span: Span, notes: &mut Annotations) -> Option<(Cell, bool)> {
    let kind = |cell: &Cell| if matches!(cell, Cell::Histogram(_)) { "histogram" } else { "float" };
    let symbol = op.symbol();
    notes.info(
        span,
        format!(
            "incompatible sample types encountered for binary operator \"{symbol}\": {} {symbol} {}",
            kind(a),
            kind(b)
        ),
    );
    None
}
