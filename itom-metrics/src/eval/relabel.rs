//! Functions that change labels or the order of series.

use std::cmp::Ordering;

use itom_core::Text;

use super::block::{Block, Cell, Steps};
use super::error::{EvalError, fail};
use super::evaluation::Evaluation;
use crate::METRIC_NAME;
use crate::promql::ast::{Call, Expr};
use crate::promql::{Function, RawText};
use crate::selector::Pattern;

fn text(call: &Call, index: usize) -> Result<&RawText, EvalError> {
    match call.args.get(index).map(Expr::within_parens) {
        Some(Expr::String(text)) => Ok(&text.value),
        _ => fail(format!("argument {} of {} must be a string", index + 1, call.function)),
    }
}

fn label_name(text: &RawText, what: &str, function: Function) -> Result<String, EvalError> {
    match text.to_str() {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => fail(format!("invalid {what} label name in {function}(): {text}")),
    }
}

/// `label_replace` and `label_join`.
pub(super) fn eval(evaluation: &mut Evaluation<'_>, call: &Call, steps: &Steps) -> Result<Block, EvalError> {
    let Some(first) = call.args.first() else { return fail("expected an instant vector") };
    let mut block = if call.function == Function::LabelReplace {
        let replacement = text(call, 2)?.to_string();
        let source = text(call, 3)?.to_string();
        let expression = text(call, 4)?.to_string();
        let Ok(pattern) = Pattern::compile(&expression) else {
            return fail(format!("invalid regular expression in label_replace(): {expression}"));
        };
        let target = label_name(text(call, 1)?, "destination", call.function)?;
        let mut block = evaluation.vector(first, steps)?;
        for head in &mut block.heads {
            if let Some(value) = pattern.expanded(head.labels.get(&source), &replacement) {
                head.labels = head.labels.with(&target, value);
                head.drop_name &= target != METRIC_NAME;
            }
        }
        block
    } else {
        let separator = text(call, 2)?.to_string();
        let sources = (3..call.args.len())
            .map(|index| label_name(text(call, index)?, "source", call.function))
            .collect::<Result<Vec<_>, EvalError>>()?;
        let target = label_name(text(call, 1)?, "destination", call.function)?;
        let mut block = evaluation.vector(first, steps)?;
        for head in &mut block.heads {
            let values: Vec<&str> = sources.iter().map(|source| head.labels.get(source)).collect();
            head.labels = head.labels.with(&target, Text::from(values.join(&separator)));
            head.drop_name &= target != METRIC_NAME;
        }
        block
    };
    block = block.joined()?;
    Ok(block)
}

/// `sort` and the like. Over a range the order of series is by labels in the end, and sorting only drops histograms.
pub(super) fn sort(evaluation: &mut Evaluation<'_>, call: &Call, steps: &Steps) -> Result<Block, EvalError> {
    let Some(first) = call.args.first() else { return fail("expected an instant vector") };
    let mut block = evaluation.vector(first, steps)?;
    let by_value = matches!(call.function, Function::Sort | Function::SortDesc);
    if by_value {
        block.map_values(|_, cell, _| match cell {
            Cell::Float(v) => Cell::Float(*v),
            _ => Cell::Absent,
        });
    }
    if steps.count != 1 {
        return Ok(block);
    }
    let names = (1..call.args.len()).map(|index| Ok(text(call, index)?.to_string()));
    let names = if by_value { Vec::new() } else { names.collect::<Result<Vec<String>, EvalError>>()? };
    let mut rows: Vec<_> = block.heads.into_iter().zip(block.cells).collect();
    let float = |cell: &Cell| if let Cell::Float(v) = cell { *v } else { f64::NAN };
    rows.sort_by(|(a, a_cell), (b, b_cell)| match call.function {
        Function::Sort => nan_last(float(a_cell), float(b_cell), false),
        Function::SortDesc => nan_last(float(a_cell), float(b_cell), true),
        _ => {
            let order = names
                .iter()
                .map(|name| natural(a.labels.get(name), b.labels.get(name)))
                .find(|order| *order != Ordering::Equal)
                .unwrap_or_else(|| a.labels.cmp(&b.labels));
            if call.function == Function::SortByLabelDesc { order.reverse() } else { order }
        }
    });
    let (heads, cells) = rows.into_iter().unzip();
    Ok(Block { heads, cells, steps: 1 })
}

/// By value, NaN behind all others.
pub(super) fn nan_last(a: f64, b: f64, descending: bool) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then_with(|| {
        let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
        if descending { order.reverse() } else { order }
    })
}

/// As people sort: runs of digits by their number.
fn natural(a: &str, b: &str) -> Ordering {
    let (a_parts, b_parts) = (runs(a), runs(b));
    for (a, b) in a_parts.iter().zip(&b_parts) {
        let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(a) && digits(b) {
            let (a_number, b_number) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            let by_number = a_number.len().cmp(&b_number.len()).then_with(|| a_number.cmp(b_number));
            // More leading zeros first when the numbers are equal.
            by_number.then_with(|| b.len().cmp(&a.len()))
        } else {
            a.cmp(b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a_parts.len().cmp(&b_parts.len())
}

/// The runs of digits and of other characters.
fn runs(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        let digit = c.is_ascii_digit();
        if before.is_some_and(|before| before != digit) {
            found.extend(text.get(start..at));
            start = at;
        }
        before = Some(digit);
    }
    if start < text.len() {
        found.extend(text.get(start..));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::natural;

    #[test]
    fn numbers_sort_by_value() {
        assert_eq!(natural("cpu9", "cpu10"), Ordering::Less);
        assert_eq!(natural("a", "a1"), Ordering::Less);
        assert_eq!(natural("b1", "a2"), Ordering::Greater);
    }
}
