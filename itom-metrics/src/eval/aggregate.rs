//! Aggregation operators.

use hashbrown::HashMap;
use itom_core::Histogram;

use super::block::{Block, Cell, Head, Steps};
use super::derive::Derivation;
use super::error::{EvalError, fail};
use super::evaluation::{Evaluation, Source};
use super::format::go_f;
use super::over_time::{Hints, HistogramMean, quantile};
use super::sum::{Mean, Sum};
use super::{Annotations, topk};
use crate::LabelSet;
use crate::histogram::{CompensatedHistogram, compact};
use crate::promql::Span;
use crate::promql::ast::{Aggregate, AggregateOp, Expr, Grouping};

/// The labels of the groups, and the number of each row's group.
pub(super) fn groups(block: &Block, grouping: &Grouping, source: &dyn Source) -> (Vec<LabelSet>, Vec<usize>) {
    source.grouped(&Derivation::of_group(grouping), &block.heads)
}

/// The value of an aggregation.
pub(super) fn eval(
    evaluation: &mut Evaluation<'_>,
    node: &Aggregate,
    steps: &Steps,
) -> Result<Block, EvalError> {
    use AggregateOp as A;
    let parameter = match (&node.param, node.op) {
        (Some(param), A::CountValues) => return count_values(evaluation, node, param, steps),
        (Some(param), _) => evaluation.scalar(param, steps)?,
        (None, _) => Vec::new(),
    };
    let block = evaluation.vector(&node.expr, steps)?;
    if matches!(node.op, A::Topk | A::Bottomk | A::Limitk | A::LimitRatio) {
        return topk::eval(evaluation, node, &block, &parameter);
    }
    let span = node.expr.within_parens().span();
    if node.op == A::Quantile {
        let span = node.param.as_ref().map_or(span, |param| param.within_parens().span());
        for q in &parameter {
            if !(0.0..=1.0).contains(q) {
                evaluation.annotations.invalid_quantile(span, *q);
            }
        }
    }
    let (labels, rows) = groups(&block, &node.grouping, evaluation.source);
    let heads = labels.into_iter().map(|labels| Head { labels, drop_name: false }).collect::<Vec<_>>();
    let mut out = Block { cells: vec![Cell::Absent; heads.len() * block.steps], heads, steps: block.steps };
    let mut running: Vec<Group> = Vec::new();
    for step in 0..block.steps {
        evaluation.check()?;
        running.clear();
        running.resize_with(out.heads.len(), Group::default);
        for (row, number) in rows.iter().enumerate() {
            let cell = block.cell(row, step);
            let (Some(group), Some(head)) = (running.get_mut(*number), block.heads.get(row)) else {
                continue;
            };
            if group.add(node.op, cell, head.labels.metric(), span, &mut evaluation.annotations)
                && head.drop_name
                && let Some(result) = out.heads.get_mut(*number)
            {
                result.drop_name = true;
            }
        }
        let q = parameter.get(step).copied().unwrap_or(f64::NAN);
        for (row, group) in running.drain(..).enumerate() {
            out.set(row, step, group.result(node.op, q, span, &mut evaluation.annotations));
        }
    }
    out.drop_empty_rows();
    Ok(out)
}

#[derive(Default)]
enum Histograms {
    #[default]
    None,
    Sum(CompensatedHistogram),
    Mean(HistogramMean),
    Incompatible,
}

/// One group at one step.
#[derive(Default)]
struct Group {
    count: f64,
    floats: bool,
    value: f64,
    sum: Sum,
    mean: Option<Mean>,
    values: Vec<f64>,
    histograms: Histograms,
    hints: Hints,
}

impl Group {
    /// Adds a sample; whether there was one.
    fn add(
        &mut self,
        op: AggregateOp,
        cell: &Cell,
        metric: &str,
        span: Span,
        notes: &mut Annotations,
    ) -> bool {
        use AggregateOp as A;
        match cell {
            Cell::Absent => return false,
            Cell::Histogram(h) => match op {
                A::Sum | A::Avg => self.add_histogram(op, h, metric, span, notes),
                A::Count | A::Group => self.count += 1.0,
                _ => {
                    notes.ignored_in_aggregation(span, op.name());
                    return false;
                }
            },
            Cell::Float(v) => {
                self.count += 1.0;
                let first = !self.floats;
                self.floats = true;
                match op {
                    A::Sum => self.sum.add(*v),
                    A::Avg => match &mut self.mean {
                        Some(mean) => mean.add(*v),
                        None => self.mean = Some(Mean::of(*v)),
                    },
                    A::Min if first || self.value > *v || self.value.is_nan() => self.value = *v,
                    A::Max if first || self.value < *v || self.value.is_nan() => self.value = *v,
                    A::Stddev | A::Stdvar if first => {
                        self.sum.sum = *v;
                        self.value = if v.is_finite() { 0.0 } else { f64::NAN };
                    }
                    A::Stddev | A::Stdvar => {
                        // The sum holds the mean here.
                        let distance = v - self.sum.sum;
                        self.sum.sum += distance / self.count;
                        self.value += distance * (v - self.sum.sum);
                    }
                    A::Quantile => self.values.push(*v),
                    _ => {}
                }
            }
        }
        true
    }

    fn add_histogram(
        &mut self,
        op: AggregateOp,
        h: &Histogram,
        metric: &str,
        span: Span,
        notes: &mut Annotations,
    ) {
        if matches!(self.histograms, Histograms::Incompatible) {
            return;
        }
        self.count += 1.0;
        self.hints.see(h);
        let added = match &mut self.histograms {
            Histograms::Sum(sum) => sum.add(h),
            Histograms::Mean(mean) => mean.add(h),
            Histograms::None | Histograms::Incompatible => {
                self.histograms = if op == AggregateOp::Sum {
                    Histograms::Sum(CompensatedHistogram::new(h.clone()))
                } else {
                    Histograms::Mean(HistogramMean::of(h.clone()))
                };
                return;
            }
        };
        match added {
            Ok(merged) => self.hints.merged(merged),
            Err(_) => {
                notes.mixed_schemas(span, metric);
                self.histograms = Histograms::Incompatible;
            }
        }
    }

    fn result(self, op: AggregateOp, q: f64, span: Span, notes: &mut Annotations) -> Cell {
        use AggregateOp as A;
        if self.count == 0.0 {
            return Cell::Absent;
        }
        let mixed = self.floats && !matches!(self.histograms, Histograms::None);
        match op {
            A::Sum | A::Avg if mixed => {
                notes.warn(span, "encountered a mix of histograms and floats for aggregation");
                Cell::Absent
            }
            A::Sum | A::Avg => {
                let mut h = match self.histograms {
                    Histograms::None => {
                        let float = self.mean.map_or_else(|| self.sum.total(), Mean::mean);
                        return Cell::Float(float);
                    }
                    Histograms::Incompatible => return Cell::Absent,
                    Histograms::Sum(sum) => sum.total(),
                    Histograms::Mean(mean) => mean.mean(),
                };
                self.hints.say(span, notes);
                compact(&mut h);
                Cell::histogram(h)
            }
            A::Count => Cell::Float(self.count),
            A::Group => Cell::Float(1.0),
            A::Stdvar => Cell::Float(self.value / self.count),
            A::Stddev => Cell::Float((self.value / self.count).sqrt()),
            A::Quantile => {
                let mut values = self.values;
                Cell::Float(quantile(q, &mut values))
            }
            _ => Cell::Float(self.value),
        }
    }
}

/// `count_values`: how many series of each group have which value.
fn count_values(
    evaluation: &mut Evaluation<'_>,
    node: &Aggregate,
    param: &Expr,
    steps: &Steps,
) -> Result<Block, EvalError> {
    let Expr::String(label) = param.within_parens() else { return fail("count_values needs a label name") };
    let Some(name) = label.value.to_str().filter(|name| !name.is_empty()) else {
        return fail(format!("invalid label name {}", label.value.quoted()));
    };
    let block = evaluation.vector(&node.expr, steps)?;
    let grouping = match &node.grouping {
        Grouping::By(names) => {
            Grouping::By(names.iter().cloned().chain(std::iter::once(name.into())).collect())
        }
        Grouping::Without(names) => Grouping::Without(names.clone()),
    };
    let how = Derivation::of_group(&grouping);
    // Only looked up, never iterated.
    let mut numbers: HashMap<LabelSet, usize> = HashMap::new();
    let mut out = Block::new(block.steps);
    for step in 0..block.steps {
        for (row, head) in block.heads.iter().enumerate() {
            let value = match block.cell(row, step) {
                Cell::Absent => continue,
                Cell::Float(v) => go_f(*v),
                Cell::Histogram(h) => h.to_string(),
            };
            let labels = how.of(&head.labels.with(name, value));
            let place = match numbers.get(&labels) {
                Some(place) => *place,
                None => {
                    let place = out.add_row(Head { labels: labels.clone(), drop_name: false });
                    numbers.insert(labels, place);
                    place
                }
            };
            let count = if let Cell::Float(count) = out.cell(place, step) { *count } else { 0.0 };
            out.set(place, step, Cell::Float(count + 1.0));
        }
    }
    Ok(out)
}
