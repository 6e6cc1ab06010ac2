//! Binary operators and signs.

use hashbrown::HashMap;

use super::block::{Block, Cell, Head, Steps, Value};
use super::derive::Derivation;
use super::error::{EvalError, fail, same_labels};
use super::evaluation::{Evaluation, Source};
use super::operate;
use crate::LabelSet;
use crate::histogram::mul;
use crate::promql::ast::{Binary, BinaryOp, Cardinality, MatchLabels, VectorMatching};

/// `-x`.
pub(super) fn negated(evaluation: &Evaluation<'_>, value: Value) -> Result<Value, EvalError> {
    Ok(match value {
        Value::Scalar(values) => Value::Scalar(values.into_iter().map(|v| -v).collect()),
        Value::Text(text) => Value::Text(text),
        Value::Vector(mut block) => {
            block.map_values(|_, cell, _| match cell {
                Cell::Float(v) => Cell::Float(-v),
                Cell::Histogram(h) => {
                    let mut h = (**h).clone();
                    mul(&mut h, -1.0);
                    Cell::histogram(h)
                }
                Cell::Absent => Cell::Absent,
            });
            Value::Vector(block.drop_names(evaluation)?)
        }
    })
}

const fn changes_meaning(op: BinaryOp) -> bool {
    !op.is_comparison() && !op.is_set() && !matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
}

/// The value of a binary operator.
pub(super) fn eval(
    evaluation: &mut Evaluation<'_>,
    node: &Binary,
    steps: &Steps,
) -> Result<Value, EvalError> {
    let lhs = evaluation.eval(&node.lhs, steps)?;
    let rhs = evaluation.eval(&node.rhs, steps)?;
    match (lhs, rhs) {
        (Value::Scalar(a), Value::Scalar(b)) => {
            Ok(Value::Scalar(a.into_iter().zip(b).map(|(a, b)| operate::numbers(node.op, a, b)).collect()))
        }
        (Value::Vector(block), Value::Scalar(numbers)) => {
            with_number(evaluation, node, block, &numbers, false)
        }
        (Value::Scalar(numbers), Value::Vector(block)) => {
            with_number(evaluation, node, block, &numbers, true)
        }
        (Value::Vector(lhs), Value::Vector(rhs)) => {
            let Some(matching) = &node.matching else { return fail("vectors are joined without matching") };
            if node.op.is_set() {
                return set(node.op, matching, evaluation.source, lhs, rhs).map(Value::Vector);
            }
            matched(evaluation, node, matching, lhs, rhs).map(Value::Vector)
        }
        _ => fail("an operator on a string"),
    }
}

fn with_number(
    evaluation: &mut Evaluation<'_>,
    node: &Binary,
    mut block: Block,
    numbers: &[f64],
    swapped: bool,
) -> Result<Value, EvalError> {
    let op = node.op;
    let notes = &mut evaluation.annotations;
    block.map_values(|_, cell, step| {
        let number = Cell::Float(numbers.get(step).copied().unwrap_or(f64::NAN));
        let (a, b) = if swapped { (&number, cell) } else { (cell, &number) };
        let Some((result, keep)) = operate::samples(op, a, b, node.at.0, notes) else { return Cell::Absent };
        match (node.return_bool, keep) {
            (true, _) => Cell::Float(f64::from(u8::from(keep))),
            (false, false) => Cell::Absent,
            // A filter keeps the vector's value, wherever it stands.
            (false, true) if op.is_comparison() => cell.clone(),
            (false, true) => result,
        }
    });
    if changes_meaning(op) || node.return_bool {
        return block.drop_names(evaluation).map(Value::Vector);
    }
    Ok(Value::Vector(block))
}

fn signature(labels: &LabelSet, matching: &MatchLabels) -> LabelSet {
    Derivation::of_match(matching).of(labels)
}

/// Numbers for the signatures of rows, and how many there are.
struct Signatures {
    // Only looked up, never iterated.
    numbers: HashMap<LabelSet, usize>,
}

impl Signatures {
    fn of(&mut self, block: &Block, how: &Derivation, source: &dyn Source) -> Vec<usize> {
        let number = |signature: LabelSet| {
            let next = self.numbers.len();
            *self.numbers.entry(signature).or_insert(next)
        };
        source.derive(how, &block.heads).into_iter().map(number).collect()
    }
}

fn set(
    op: BinaryOp,
    matching: &VectorMatching,
    source: &dyn Source,
    lhs: Block,
    rhs: Block,
) -> Result<Block, EvalError> {
    let mut signatures = Signatures { numbers: HashMap::new() };
    let how = Derivation::of_match(&matching.labels);
    let left = signatures.of(&lhs, &how, source);
    let right = signatures.of(&rhs, &how, source);
    let steps = lhs.steps.max(rhs.steps);
    let count = signatures.numbers.len();
    let present = |block: &Block, rows: &[usize]| {
        let mut present = vec![false; count * steps];
        for (row, number) in rows.iter().enumerate() {
            for step in 0..steps {
                if let Some(flag) = present.get_mut(number * steps + step) {
                    *flag |= !block.cell(row, step).is_absent();
                }
            }
        }
        present
    };
    let filter = |block: &mut Block, rows: &[usize], flags: &[bool], wanted: bool| {
        let width = block.steps.max(1);
        for (index, cell) in block.cells.iter_mut().enumerate() {
            let number = rows.get(index / width).copied().unwrap_or(0);
            if flags.get(number * steps + index % width) != Some(&wanted) {
                *cell = Cell::Absent;
            }
        }
        block.drop_empty_rows();
    };
    let (mut lhs, mut rhs) = (lhs, rhs);
    match op {
        BinaryOp::And => filter(&mut lhs, &left, &present(&rhs, &right), true),
        BinaryOp::Unless => filter(&mut lhs, &left, &present(&rhs, &right), false),
        _ => {
            filter(&mut rhs, &right, &present(&lhs, &left), false);
            lhs.heads.extend(rhs.heads);
            lhs.cells.extend(rhs.cells);
            lhs = lhs.joined()?;
        }
    }
    Ok(lhs)
}

/// The labels of a result.
fn result_labels(op: BinaryOp, many: &LabelSet, one: &LabelSet, matching: &VectorMatching) -> LabelSet {
    let mut labels = if changes_meaning(op) { many.without_metadata() } else { many.clone() };
    if matching.cardinality == Cardinality::OneToOne {
        labels = match &matching.labels {
            MatchLabels::On(names) => labels.filtered(|name| names.iter().any(|one| one.as_str() == name)),
            MatchLabels::Ignoring(names) => {
                labels.filtered(|name| !names.iter().any(|one| one.as_str() == name))
            }
        };
    }
    for name in &matching.include {
        labels = labels.with(name.as_str(), one.get(name.as_str()));
    }
    labels
}

/// The rows of a result and what is known about pairs of rows.
struct Joining<'a> {
    node: &'a Binary,
    matching: &'a VectorMatching,
    delayed: bool,
    swapped: bool,
    out: Block,
    // Only looked up, never iterated.
    rows: HashMap<LabelSet, usize>,
    pairs: HashMap<(usize, usize), LabelSet>,
    /// The labels of results by the step and signature they came of.
    inserted: HashMap<(usize, usize), Vec<LabelSet>>,
}

impl Joining<'_> {
    /// Joins a sample of the side of many with one of the side of one. `pair` names them, for what is worked out once.
    fn join(
        &mut self,
        evaluation: &mut Evaluation<'_>,
        (step, number): (usize, usize),
        pair: (usize, usize),
        (many, many_cell): (&LabelSet, &Cell),
        (one, one_cell): (&LabelSet, &Cell),
    ) -> Result<(), EvalError> {
        let node = self.node;
        let (a, b) = if self.swapped { (one_cell, many_cell) } else { (many_cell, one_cell) };
        let Some((mut result, keep)) =
            operate::samples(node.op, a, b, node.at.0, &mut evaluation.annotations)
        else {
            return Ok(());
        };
        if node.return_bool {
            result = Cell::Float(f64::from(u8::from(keep)));
        }
        let drops = node.return_bool && !self.delayed;
        let matching = self.matching;
        let labels = self.pairs.entry(pair).or_insert_with(|| {
            let labels = result_labels(node.op, many, one, matching);
            if drops { labels.without_metadata() } else { labels }
        });
        let labels = labels.clone();
        let inserted = self.inserted.entry((step, number)).or_default();
        if matching.cardinality == Cardinality::OneToOne {
            if !inserted.is_empty() {
                return fail(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                );
            }
        } else if inserted.contains(&labels) {
            return fail("multiple matches for labels: grouping labels must ensure unique matches");
        }
        inserted.push(labels.clone());
        if !keep && !node.return_bool {
            return Ok(());
        }
        let row = match self.rows.get(&labels) {
            Some(row) => *row,
            None => {
                let row = self.out.add_row(Head { labels: labels.clone(), drop_name: node.return_bool });
                self.rows.insert(labels, row);
                row
            }
        };
        if !self.out.cell(row, step).is_absent() {
            return same_labels();
        }
        self.out.set(row, step, result);
        Ok(())
    }
}

fn matched(
    evaluation: &mut Evaluation<'_>,
    node: &Binary,
    matching: &VectorMatching,
    lhs: Block,
    rhs: Block,
) -> Result<Block, EvalError> {
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
    let (fill_many, fill_one) = if swapped { (fill_one, fill_many) } else { (fill_many, fill_one) };
    let mut signatures = Signatures { numbers: HashMap::new() };
    let how = Derivation::of_match(&matching.labels);
    let many_numbers = signatures.of(&many, &how, evaluation.source);
    let one_numbers = signatures.of(&one, &how, evaluation.source);
    let steps = many.steps.max(one.steps);
    let mut joining = Joining {
        node,
        matching,
        delayed: evaluation.options.delayed_name_removal,
        swapped,
        out: Block::new(steps),
        rows: HashMap::new(),
        pairs: HashMap::new(),
        inserted: HashMap::new(),
    };
    const NOBODY: usize = usize::MAX;
    let mut ones = vec![NOBODY; signatures.numbers.len()];
    for step in 0..steps {
        evaluation.check()?;
        joining.inserted.clear();
        let somebody = |block: &Block| (0..block.heads.len()).any(|row| !block.cell(row, step).is_absent());
        let (any_many, any_one) = (somebody(&many), somebody(&one));
        let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
        if !(any_many && any_one) && !(filled && (any_many || any_one)) {
            continue;
        }
        ones.fill(NOBODY);
        for (row, number) in one_numbers.iter().enumerate() {
            if one.cell(row, step).is_absent() {
                continue;
            }
            let Some(place) = ones.get_mut(*number) else { continue };
            if *place != NOBODY {
                return duplicate(matching, swapped, &one, row, *place);
            }
            *place = row;
        }
        for (row, number) in many_numbers.iter().enumerate() {
            let (Some(head), cell) = (many.heads.get(row), many.cell(row, step)) else { continue };
            if cell.is_absent() {
                continue;
            }
            let left = (&head.labels, cell);
            match ones.get(*number).and_then(|place| one.heads.get(*place).map(|head| (*place, head))) {
                Some((place, other)) => {
                    let right = (&other.labels, one.cell(place, step));
                    joining.join(evaluation, (step, *number), (row, place), left, right)?;
                }
                None => {
                    let Some(fill) = fill_one else { continue };
                    let labels = signature(&head.labels, &matching.labels);
                    let right = (&labels, &Cell::Float(fill.0));
                    joining.join(evaluation, (step, *number), (row, NOBODY), left, right)?;
                }
            }
        }
        let Some(fill) = fill_many else { continue };
        for (row, number) in one_numbers.iter().enumerate() {
            let (Some(head), cell) = (one.heads.get(row), one.cell(row, step)) else { continue };
            if cell.is_absent() || joining.inserted.contains_key(&(step, *number)) {
                continue;
            }
            let labels = signature(&head.labels, &matching.labels);
            let left = (&labels, &Cell::Float(fill.0));
            joining.join(evaluation, (step, *number), (NOBODY, row), left, (&head.labels, cell))?;
        }
    }
    let mut out = joining.out;
    // With delayed removal an operator that changes the meaning has dropped the name already.
    out.drop_empty_rows();
    Ok(out)
}

fn duplicate<T>(
    matching: &VectorMatching,
    swapped: bool,
    one: &Block,
    new: usize,
    old: usize,
) -> Result<T, EvalError> {
    let labels = |row: usize| one.heads.get(row).map_or_else(LabelSet::empty, |head| head.labels.clone());
    let group = signature(&labels(new), &matching.labels);
    let side = if swapped { "left" } else { "right" };
    fail(format!(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
        labels(old),
        labels(new)
    ))
}
