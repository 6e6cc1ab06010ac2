//! `topk`, `bottomk`, `limitk` and `limit_ratio`: some of the series of each group.

use super::aggregate::groups;
use super::annotations::Annotations;
use super::block::{Block, Cell};
use super::error::{EvalError, fail};
use super::evaluation::Evaluation;
use super::format::go_g;
use super::relabel::nan_last;
use crate::LabelSet;
use crate::promql::Span;
use crate::promql::ast::{Aggregate, AggregateOp};

/// Keeps some of the values of each group at each step.
pub(super) fn eval(
    evaluation: &mut Evaluation<'_>,
    node: &Aggregate,
    block: &Block,
    parameter: &[f64],
) -> Result<Block, EvalError> {
    let empty = Block::new(block.steps);
    let span = node.param.as_ref().map_or(node.at.0, |param| param.within_parens().span());
    // A NaN among the parameters is neither least nor greatest.
    let most = parameter.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = parameter.iter().copied().fold(f64::INFINITY, f64::min);
    let nan = parameter.iter().any(|k| k.is_nan());
    if node.op == AggregateOp::LimitRatio {
        if most == 0.0 && least == 0.0 {
            return Ok(empty);
        }
        if nan {
            return fail("Ratio value is NaN");
        }
        check_ratio(most, least, span, &mut evaluation.annotations);
    } else {
        if nan {
            return fail("Parameter value is NaN");
        }
        if most < 1.0 {
            return Ok(empty);
        }
        if least <= -9_223_372_036_854_775_808.0 {
            return fail(format!("Scalar value {} underflows int64", go_g(least)));
        }
        if most >= 9_223_372_036_854_774_784.0 {
            return fail(format!("Scalar value {} overflows int64", go_g(most)));
        }
    }
    let (labels, rows) = groups(block, &node.grouping, evaluation.source);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); labels.len()];
    for (row, number) in rows.iter().enumerate() {
        if let Some(group) = members.get_mut(*number) {
            group.push(row);
        }
    }
    let mut kept = Block {
        heads: block.heads.clone(),
        cells: vec![Cell::Absent; block.cells.len()],
        steps: block.steps,
    };
    // The order in which an instant query shows them.
    let mut order = Vec::new();
    for step in 0..block.steps {
        evaluation.check()?;
        let k = parameter.get(step).copied().unwrap_or(f64::NAN);
        for group in &members {
            for row in chosen(node, block, group, step, k, &mut evaluation.annotations) {
                kept.set(row, step, block.cell(row, step).clone());
                order.push(row);
            }
        }
    }
    if block.steps == 1 {
        let mut sorted = Block::with_capacity(1, order.len());
        for row in order {
            if let Some(head) = kept.heads.get(row) {
                sorted.push_row(head.clone(), std::iter::once(kept.cell(row, 0).clone()));
            }
        }
        return Ok(sorted);
    }
    kept.drop_empty_rows();
    Ok(kept)
}

fn check_ratio(most: f64, least: f64, span: Span, notes: &mut Annotations) {
    let mut warn = |ratio: f64, to: f64| {
        notes.warn(
            span,
            format!("ratio value should be between -1 and 1, got {}, capping to {}", go_g(ratio), go_g(to)),
        );
    };
    if most > 1.0 {
        warn(most, 1.0);
    }
    if least < -1.0 {
        warn(least, -1.0);
    }
}

/// The rows of a group that are kept at a step, in the order they are shown.
fn chosen(
    node: &Aggregate,
    block: &Block,
    group: &[usize],
    step: usize,
    k: f64,
    notes: &mut Annotations,
) -> Vec<usize> {
    let present = group.iter().copied().filter(|row| !block.cell(*row, step).is_absent());
    let count = if k >= 1.0 { k as usize } else { 0 };
    match node.op {
        AggregateOp::Limitk => present.take(count).collect(),
        AggregateOp::LimitRatio => {
            present.filter(|row| block.heads.get(*row).is_some_and(|head| sampled(&head.labels, k))).collect()
        }
        op => {
            if count == 0 {
                return Vec::new();
            }
            let mut floats = Vec::new();
            for row in present {
                match block.cell(row, step) {
                    Cell::Float(v) => floats.push((row, *v)),
                    _ => notes.ignored_in_aggregation(node.at.0, op.name()),
                }
            }
            // Stable: of equal ones the first is kept.
            floats.sort_by(|(_, a), (_, b)| nan_last(*a, *b, op == AggregateOp::Topk));
            floats.into_iter().take(count).map(|(row, _)| row).collect()
        }
    }
}

/// Whether a series is among the share of all that is sampled: by the hash of its labels, so that the shares `r` and
/// `r - 1` have none in common and all together.
fn sampled(labels: &LabelSet, ratio: f64) -> bool {
    let ratio = ratio.clamp(-1.0, 1.0);
    let place = labels.fingerprint() as f64 / u64::MAX as f64;
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}
