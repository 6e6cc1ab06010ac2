//! Calls of functions.

use super::block::{Block, Cell, Head, Steps, Value};
use super::calendar::Civil;
use super::error::{EvalError, fail, same_labels};
use super::evaluation::{Evaluation, labels_of_absent};
use super::over_time;
use super::range::{Sliding, ranges};
use super::select;
use super::{classic, info, relabel};
use crate::promql::ast::{Call, Edges, Expr};
use crate::promql::{Function, Span};
use crate::{LabelSet, SelectedSeries};

/// The value of a call.
pub(super) fn eval(evaluation: &mut Evaluation<'_>, call: &Call, steps: &Steps) -> Result<Value, EvalError> {
    use Function as F;
    let seconds = |millis: i64| millis as f64 / 1_000.0;
    let asked = evaluation.asked;
    let constant = |value: f64| Ok(Value::Scalar(vec![value; steps.count]));
    match call.function {
        F::Time => return Ok(Value::Scalar(steps.times().map(seconds).collect())),
        F::Pi => return constant(std::f64::consts::PI),
        F::Start => return constant(seconds(asked.start)),
        F::End => return constant(seconds(asked.end)),
        F::Range => return constant(seconds(asked.end - asked.start)),
        F::Step => return constant(seconds(asked.step)),
        _ => {}
    }
    let Some(first) = call.args.first() else { return dates_of_now(call.function, steps) };
    match call.function {
        F::MinOf | F::MaxOf => {
            let left = evaluation.scalar(first, steps)?;
            let right = argument(evaluation, call, 1, steps)?;
            let pick = |a: f64, b: f64| {
                if a.is_nan() || b.is_nan() {
                    f64::NAN
                } else if call.function == F::MinOf {
                    a.min(b)
                } else {
                    a.max(b)
                }
            };
            Ok(Value::Scalar(left.into_iter().zip(right).map(|(a, b)| pick(a, b)).collect()))
        }
        F::Scalar => {
            let block = evaluation.vector(first, steps)?;
            Ok(Value::Scalar((0..steps.count).map(|step| only_float(&block, step)).collect()))
        }
        F::VectorOf => {
            let values = evaluation.scalar(first, steps)?;
            let mut block = Block::new(steps.count);
            let head = Head { labels: LabelSet::empty(), drop_name: false };
            block.push_row(head, values.into_iter().map(Cell::Float));
            Ok(Value::Vector(block))
        }
        F::Absent => {
            let block = evaluation.vector(first, steps)?;
            let nobody = |step: usize| (0..block.heads.len()).all(|row| block.cell(row, step).is_absent());
            let cells =
                (0..steps.count).map(|step| if nobody(step) { Cell::Float(1.0) } else { Cell::Absent });
            let mut absent = Block::new(steps.count);
            absent
                .push_row(Head { labels: labels_of_absent(first.within_parens()), drop_name: false }, cells);
            Ok(Value::Vector(absent))
        }
        F::Timestamp | F::StartTimestamp => times(evaluation, call.function, first, steps).map(Value::Vector),
        F::LabelReplace | F::LabelJoin => relabel::eval(evaluation, call, steps).map(Value::Vector),
        F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc => {
            relabel::sort(evaluation, call, steps).map(Value::Vector)
        }
        F::Info => info::eval(evaluation, call, steps).map(Value::Vector),
        F::HistogramQuantile | F::HistogramQuantiles | F::HistogramFraction => {
            classic::eval(evaluation, call, steps).map(Value::Vector)
        }
        _ => match call
            .args
            .iter()
            .position(|arg| matches!(arg.within_parens(), Expr::Matrix(_) | Expr::Subquery(_)))
        {
            Some(range) => over_range(evaluation, call, range, steps).map(Value::Vector),
            None => elementwise(evaluation, call, first, steps).map(Value::Vector),
        },
    }
}

/// A scalar argument.
fn argument(
    evaluation: &mut Evaluation<'_>,
    call: &Call,
    index: usize,
    steps: &Steps,
) -> Result<Vec<f64>, EvalError> {
    match call.args.get(index) {
        Some(arg) => evaluation.scalar(arg, steps),
        None => fail(format!("{} lacks an argument", call.function)),
    }
}

fn only_float(block: &Block, step: usize) -> f64 {
    let mut found = None;
    for row in 0..block.heads.len() {
        if let Cell::Float(value) = block.cell(row, step) {
            if found.is_some() {
                return f64::NAN;
            }
            found = Some(*value);
        }
    }
    found.unwrap_or(f64::NAN)
}

fn dates_of_now(function: Function, steps: &Steps) -> Result<Value, EvalError> {
    let mut block = Block::new(steps.count);
    let head = Head { labels: LabelSet::empty(), drop_name: false };
    block.push_row(
        head,
        steps.times().map(|t| date_part(function, (t / 1_000) as f64).map_or(Cell::Absent, Cell::Float)),
    );
    Ok(Value::Vector(block))
}

fn date_part(function: Function, seconds: f64) -> Option<f64> {
    // Seconds beyond any calendar are brought to its edge.
    let civil = Civil::of((seconds as i64).clamp(-(1 << 55), 1 << 55));
    Some(match function {
        Function::DaysInMonth => f64::from(civil.days_in_month()),
        Function::DayOfMonth => f64::from(civil.day),
        Function::DayOfWeek => f64::from(civil.weekday),
        Function::DayOfYear => f64::from(civil.year_day),
        Function::Hour => f64::from(civil.hour),
        Function::Minute => f64::from(civil.minute),
        Function::Month => f64::from(civil.month),
        Function::Year => civil.year as f64,
        _ => return None,
    })
}

/// `timestamp` and `start_timestamp`: of a selector those of its samples, else those of the evaluation.
fn times(
    evaluation: &mut Evaluation<'_>,
    function: Function,
    arg: &Expr,
    steps: &Steps,
) -> Result<Block, EvalError> {
    let seconds = |millis: i64| Cell::Float(millis as f64 / 1_000.0);
    let block = match arg.within_parens() {
        Expr::Vector(selector) if selector.edges.is_none() => {
            select::picked(evaluation, selector, steps, |picked| match function {
                Function::Timestamp => seconds(picked.t),
                _ => seconds(picked.start),
            })?
        }
        _ => {
            let mut block = evaluation.vector(arg, steps)?;
            block.map_values(|_, _, step| match function {
                Function::Timestamp => seconds(steps.at(step)),
                _ => Cell::Absent,
            });
            block
        }
    };
    block.drop_names(evaluation)
}

/// Functions of each value by itself.
fn elementwise(
    evaluation: &mut Evaluation<'_>,
    call: &Call,
    first: &Expr,
    steps: &Steps,
) -> Result<Block, EvalError> {
    use Function as F;
    let function = call.function;
    let mut block = evaluation.vector(first, steps)?;
    let (mut low, mut high) = (Vec::new(), Vec::new());
    match function {
        F::Clamp => {
            (low, high) = (argument(evaluation, call, 1, steps)?, argument(evaluation, call, 2, steps)?)
        }
        F::ClampMin => low = argument(evaluation, call, 1, steps)?,
        F::ClampMax => high = argument(evaluation, call, 1, steps)?,
        F::Round if call.args.len() > 1 => low = argument(evaluation, call, 1, steps)?,
        _ => {}
    }
    let at = |values: &[f64], step: usize, default: f64| values.get(step).copied().unwrap_or(default);
    block.map_values(|_, cell, step| match cell {
        Cell::Histogram(h) => {
            use crate::histogram::{avg, stddev, stdvar};
            match function {
                F::HistogramCount => Cell::Float(h.count),
                F::HistogramSum => Cell::Float(h.sum),
                F::HistogramAvg => Cell::Float(avg(h)),
                F::HistogramStddev => Cell::Float(stddev(h)),
                F::HistogramStdvar => Cell::Float(stdvar(h)),
                _ => Cell::Absent,
            }
        }
        Cell::Float(v) => match function {
            F::Clamp | F::ClampMin | F::ClampMax => {
                let least = at(&low, step, f64::NEG_INFINITY);
                let most = at(&high, step, f64::INFINITY);
                if most < least { Cell::Absent } else { Cell::Float(go_max(least, go_min(most, *v))) }
            }
            F::Round => {
                let inverse = 1.0 / at(&low, step, 1.0);
                Cell::Float((v * inverse + 0.5).floor() / inverse)
            }
            _ => simple(function, *v).map_or(Cell::Absent, Cell::Float),
        },
        Cell::Absent => Cell::Absent,
    });
    block.drop_names(evaluation)
}

/// The smaller; NaN if either is.
fn go_min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// The greater; NaN if either is.
fn go_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn simple(function: Function, v: f64) -> Option<f64> {
    use Function as F;
    Some(match function {
        F::Abs => v.abs(),
        F::Ceil => v.ceil(),
        F::Floor => v.floor(),
        F::Exp => v.exp(),
        F::Sqrt => v.sqrt(),
        F::Ln => v.ln(),
        F::Log2 => v.log2(),
        F::Log10 => v.log10(),
        F::Sin => v.sin(),
        F::Cos => v.cos(),
        F::Tan => v.tan(),
        F::Asin => v.asin(),
        F::Acos => v.acos(),
        F::Atan => v.atan(),
        F::Sinh => v.sinh(),
        F::Cosh => v.cosh(),
        F::Tanh => v.tanh(),
        F::Asinh => v.asinh(),
        F::Acosh => v.acosh(),
        F::Atanh => v.atanh(),
        F::Rad => v * std::f64::consts::PI / 180.0,
        F::Deg => v * 180.0 / std::f64::consts::PI,
        F::Sgn if v < 0.0 => -1.0,
        F::Sgn if v > 0.0 => 1.0,
        F::Sgn => v,
        _ => return date_part(function, v),
    })
}

const ANCHORED: [Function; 5] =
    [Function::Changes, Function::Delta, Function::Increase, Function::Rate, Function::Resets];
const SMOOTHED: [Function; 3] = [Function::Delta, Function::Increase, Function::Rate];

fn check_edges(function: Function, edges: Option<Edges>) -> Result<(), EvalError> {
    let (name, fit): (_, &[Function]) = match edges {
        None => return Ok(()),
        Some(Edges::Anchored) => ("anchored", &ANCHORED),
        Some(Edges::Smoothed) => ("smoothed", &SMOOTHED),
    };
    if fit.contains(&function) {
        return Ok(());
    }
    let fit: Vec<&str> = fit.iter().map(|one| one.name()).collect();
    fail(format!("{name} modifier can only be used with: {} - not with {function}", fit.join(", ")))
}

/// Functions of range vectors: the window slides over each series.
fn over_range(
    evaluation: &mut Evaluation<'_>,
    call: &Call,
    range_index: usize,
    steps: &Steps,
) -> Result<Block, EvalError> {
    let function = call.function;
    let Some(arg) = call.args.get(range_index) else { return fail("expected a range vector") };
    let mut numbers = Vec::new();
    for (index, other) in call.args.iter().enumerate() {
        if index != range_index {
            numbers.push(evaluation.scalar(other, steps)?);
        }
    }
    if let Expr::Matrix(matrix) = arg.within_parens() {
        check_edges(function, matrix.selector.edges)?;
    }
    let of_tier = match arg.within_parens() {
        Expr::Matrix(matrix) => super::tiered::over_range(evaluation, function, matrix, steps)?,
        _ => None,
    };
    let block = match of_tier {
        Some(block) => block,
        None => sampled(evaluation, call, arg, &numbers, steps)?,
    };
    if function == Function::AbsentOverTime {
        return Ok(nobody(&block, labels_of_absent(arg.within_parens())));
    }
    let keeps_name = matches!(function, Function::LastOverTime | Function::FirstOverTime);
    if !evaluation.options.delayed_name_removal && !keeps_name {
        let before = block.heads.len();
        let joined = block.without_names(evaluation.source)?;
        return if joined.heads.len() == before { Ok(joined) } else { same_labels() };
    }
    Ok(block)
}

/// A function of range vectors, from samples.
fn sampled(
    evaluation: &mut Evaluation<'_>,
    call: &Call,
    arg: &Expr,
    numbers: &[Vec<f64>],
    steps: &Steps,
) -> Result<Block, EvalError> {
    let function = call.function;
    let ranges = ranges(evaluation, arg, function, steps)?;
    let keeps_name = matches!(function, Function::LastOverTime | Function::FirstOverTime);
    let first_span = call.args.first().map_or(ranges.span, Expr::span);
    let mut block = Block::with_capacity(steps.count, ranges.series.len());
    let mut notes = std::mem::take(&mut evaluation.annotations);
    let mut at_step = Vec::with_capacity(numbers.len());
    let mut weight = 0;
    for (number, one) in ranges.series.iter().enumerate() {
        if number % 1_024 == 0 {
            evaluation.check()?;
        }
        let mut sliding = Sliding::new(evaluation, one, &ranges, first_span);
        let before = block.cells.len();
        let mut widest = 0;
        for (step, time) in steps.times().enumerate() {
            let window = sliding.window(ranges.fixed.unwrap_or(time), time);
            let size = window.floats.len() + window.histograms.len();
            let cell = if size == 0 {
                Cell::Absent
            } else {
                widest = widest.max(size as u64);
                at_step.clear();
                at_step.extend(numbers.iter().map(|values| values.get(step).copied().unwrap_or(f64::NAN)));
                over_time::apply(function, &window, &at_step, &mut notes)?
            };
            block.cells.push(cell);
        }
        let cells = block.cells.get(before..).unwrap_or(&[]);
        let gained: u64 = cells.iter().map(Cell::weight).sum();
        if gained == 0 {
            block.cells.truncate(before);
            evaluation.afford(weight + widest)?;
            continue;
        }
        weight += gained;
        evaluation.afford(weight + widest)?;
        if matches!(function, Function::Rate | Function::Increase)
            && cells.iter().any(|cell| matches!(cell, Cell::Float(_)))
        {
            might_not_count(evaluation, &one.labels, first_span, &mut notes);
        }
        block.heads.push(Head { labels: one.labels.clone(), drop_name: !keeps_name });
    }
    evaluation.annotations = notes;
    Ok(block)
}

/// One at the steps at which no series has a value.
fn nobody(block: &Block, labels: LabelSet) -> Block {
    let empty = |step: usize| (0..block.heads.len()).all(|row| block.cell(row, step).is_absent());
    let mut absent = Block::new(block.steps);
    let cells = (0..block.steps).map(|step| if empty(step) { Cell::Float(1.0) } else { Cell::Absent });
    absent.push_row(Head { labels, drop_name: true }, cells);
    absent
}

/// Says so when the name or type of a series is not that of a counter.
pub(super) fn might_not_count(
    evaluation: &Evaluation<'_>,
    labels: &LabelSet,
    span: Span,
    notes: &mut super::Annotations,
) {
    let metric = labels.metric();
    if metric.is_empty() {
        return;
    }
    let quoted = || super::annotations::quoted(metric);
    if evaluation.options.type_and_unit_labels {
        let kind = labels.get("__type__");
        if kind != "counter" && kind != "histogram" {
            let kind = super::annotations::quoted(kind);
            notes.info(span, format!("metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {kind}: {}", quoted()));
        }
    } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix)) {
        notes.info(
            span,
            format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quoted()
            ),
        );
    }
}

/// A range vector by itself, at a single time.
pub(super) fn range_vector(
    evaluation: &mut Evaluation<'_>,
    expr: &Expr,
    steps: &Steps,
) -> Result<Vec<SelectedSeries>, EvalError> {
    let ranges = ranges(evaluation, expr, Function::LastOverTime, steps)?;
    let mut found = Vec::new();
    for one in ranges.series.iter() {
        let mut sliding = Sliding::new(evaluation, one, &ranges, ranges.span);
        let window = sliding.window(ranges.fixed.unwrap_or(steps.start), steps.start);
        if ranges.edges.is_some() && !window.histograms.is_empty() {
            return fail("anchored modifier is not supported with histograms");
        }
        let mut samples = crate::Points::of_floats(match ranges.edges {
            Some(edges) => super::edges::with_edges(&window, edges == Edges::Smoothed),
            None => window.floats.to_vec(),
        });
        samples.histograms = window.histograms.to_vec();
        if !samples.is_empty() {
            evaluation.held += samples.len() as u64;
            evaluation.afford(0)?;
            found.push(SelectedSeries { labels: one.labels.clone(), samples });
        }
    }
    Ok(found)
}
