//! Quantiles and shares of histograms: native ones, and classic ones whose buckets are series with a label `le`.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use itom_core::Histogram;

use super::Annotations;
use super::annotations::{Forced, for_metric, quoted};
use super::block::{Block, Cell, Head, Steps};
use super::derive::Derivation;
use super::error::{EvalError, fail};
use super::evaluation::Evaluation;
use super::format::open_metrics;
use crate::LabelSet;
use crate::histogram::{Share, fraction, quantile};
use crate::promql::ast::{Call, Expr};
use crate::promql::{Function, Span};

#[derive(Debug, Clone, Copy)]
enum Question {
    Quantile(f64),
    Fraction(f64, f64),
}

/// Upper bound and cumulative count.
type Buckets = Vec<(f64, f64)>;

/// Lowest and highest bound and the greatest difference of buckets whose counts had to be raised.
type Raised = (f64, f64, f64);

/// `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`.
pub(super) fn eval(evaluation: &mut Evaluation<'_>, call: &Call, steps: &Steps) -> Result<Block, EvalError> {
    let (vector, scalars) = match call.function {
        Function::HistogramQuantiles => (0, 2..call.args.len()),
        Function::HistogramFraction => (2, 0..2),
        _ => (1, 0..1),
    };
    let Some(argument) = call.args.get(vector) else { return fail("expected an instant vector") };
    let mut numbers = Vec::new();
    for arg in call.args.get(scalars.clone()).unwrap_or(&[]) {
        numbers.push((arg.within_parens().span(), evaluation.scalar(arg, steps)?));
    }
    let label = match call.args.get(1).map(Expr::within_parens) {
        Some(Expr::String(text)) if call.function == Function::HistogramQuantiles => {
            Some(text.value.to_string())
        }
        _ => None,
    };
    let block = evaluation.vector(argument, steps)?;
    let span = argument.within_parens().span();
    let delayed = evaluation.options.delayed_name_removal;
    let mut asking = Asking::new(&block, evaluation);
    for step in 0..steps.count {
        evaluation.check()?;
        let value = |index: usize| {
            numbers.get(index).and_then(|(_, values)| values.get(step)).copied().unwrap_or(f64::NAN)
        };
        let questions = if call.function == Function::HistogramFraction {
            vec![Question::Fraction(value(0), value(1))]
        } else {
            for (index, (span, _)) in numbers.iter().enumerate() {
                if !(0.0..=1.0).contains(&value(index)) {
                    evaluation.annotations.invalid_quantile(*span, value(index));
                }
            }
            (0..numbers.len()).map(|index| Question::Quantile(value(index))).collect()
        };
        asking.step(
            &block,
            (step, steps.at(step)),
            &questions,
            label.as_deref(),
            span,
            &mut evaluation.annotations,
        )?;
    }
    asking.out.drop_empty_rows();
    if delayed { Ok(asking.out) } else { asking.out.drop_names(evaluation) }
}

/// Collects the answers for all steps.
struct Asking {
    out: Block,
    // Only looked up, never iterated.
    rows: HashMap<LabelSet, usize>,
    /// For each row of the input its group (the labels without `le`) and bound; none without a bound.
    classic: Vec<(usize, Option<f64>)>,
    groups: Vec<LabelSet>,
}

impl Asking {
    fn new(block: &Block, evaluation: &Evaluation<'_>) -> Self {
        let delayed = evaluation.options.delayed_name_removal;
        // Series that only differ in name belong together once names are gone.
        let how = if delayed { Derivation::WithoutBound } else { Derivation::Without(vec!["le".into()]) };
        let (mut groups, numbers) = evaluation.source.grouped(&how, &block.heads);
        if !delayed {
            // Remarks tell the name of the first.
            let mut named = 0;
            for (number, head) in numbers.iter().zip(&block.heads) {
                if *number == named {
                    named += 1;
                    if let Some(group) = groups.get_mut(*number) {
                        *group = Derivation::WithoutBound.of(&head.labels);
                    }
                }
            }
        }
        let bounds = block.heads.iter().map(|head| go_float(head.labels.get("le")));
        let classic = numbers.into_iter().zip(bounds).collect();
        Self { out: Block::new(block.steps), rows: HashMap::new(), classic, groups }
    }

    fn step(
        &mut self,
        block: &Block,
        (step, t): (usize, i64),
        questions: &[Question],
        label: Option<&str>,
        span: Span,
        notes: &mut Annotations,
    ) -> Result<(), EvalError> {
        let mut buckets: BTreeMap<usize, Buckets> = BTreeMap::new();
        let mut natives: Vec<(&Head, &Histogram)> = Vec::new();
        for (row, head) in block.heads.iter().enumerate() {
            match block.cell(row, step) {
                Cell::Absent => {}
                Cell::Histogram(h) => natives.push((head, h)),
                Cell::Float(v) => match self.classic.get(row) {
                    Some((group, Some(bound))) => buckets.entry(*group).or_default().push((*bound, *v)),
                    _ => {
                        let text = format!(
                            "bucket label \"le\" is missing or has a malformed value of {}",
                            quoted(head.labels.get("le"))
                        );
                        notes.warn(span, for_metric(&text, head.labels.metric()));
                    }
                },
            }
        }
        // Where both kinds have the same labels, neither is believed.
        let mut both = Vec::new();
        natives.retain(|(head, _)| {
            let group = buckets.keys().copied().find(|group| self.groups.get(*group) == Some(&head.labels));
            if let Some(group) = group {
                let text = "vector contains a mix of classic and native histograms";
                notes.warn(span, for_metric(text, head.labels.metric()));
                both.push(group);
            }
            group.is_none()
        });
        for group in both {
            buckets.remove(&group);
        }
        for question in questions {
            let named = |labels: &LabelSet| match (label, question) {
                (Some(label), Question::Quantile(q)) => labels.with(label, open_metrics(*q)),
                _ => labels.clone(),
            };
            for (head, h) in &natives {
                let share = match question {
                    Question::Quantile(q) => quantile(*q, h),
                    Question::Fraction(lower, upper) => fraction(*lower, *upper, h),
                };
                say_nan(*question, share, span, head.labels.metric(), notes);
                self.answer(named(&head.labels), step, share.value)?;
            }
            for (group, buckets) in &buckets {
                let labels = self.groups.get(*group).cloned().unwrap_or_default();
                let value = match question {
                    Question::Quantile(q) => {
                        let (value, forced) = bucket_quantile(*q, buckets.clone());
                        if let Some((lowest, highest, most)) = forced {
                            let forced = Forced { from: t, to: t, lowest, highest, most, count: 1 };
                            notes.forced_monotonicity(span, labels.metric(), forced);
                        }
                        value
                    }
                    Question::Fraction(lower, upper) => bucket_fraction(*lower, *upper, buckets.clone()),
                };
                self.answer(named(&labels), step, value)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, labels: LabelSet, step: usize, value: f64) -> Result<(), EvalError> {
        let row = match self.rows.get(&labels) {
            Some(row) => *row,
            None => {
                let row = self.out.add_row(Head { labels: labels.clone(), drop_name: true });
                self.rows.insert(labels, row);
                row
            }
        };
        if !self.out.cell(row, step).is_absent() {
            return super::error::same_labels();
        }
        self.out.set(row, step, Cell::Float(value));
        Ok(())
    }
}

fn say_nan(question: Question, share: Share, span: Span, metric: &str, notes: &mut Annotations) {
    let text = match question {
        Question::Quantile(_) if share.among_nan => {
            "input to histogram_quantile has NaN observations, result is NaN"
        }
        Question::Quantile(_) if share.skewed_by_nan => {
            "input to histogram_quantile has NaN observations, result is skewed higher"
        }
        Question::Fraction(..) if share.skewed_by_nan => {
            "input to histogram_fraction has NaN observations, which are excluded from all fractions"
        }
        _ => return,
    };
    notes.info(span, for_metric(text, metric));
}

/// A float as Go reads one.
fn go_float(text: &str) -> Option<f64> {
    let plain = text.trim_start_matches(['+', '-']);
    let known = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || ["inf", "infinity", "nan"].iter().any(|word| plain.eq_ignore_ascii_case(word));
    if known { text.parse().ok() } else { None }
}

/// Sorted and cumulative, and what had to be raised for that; `None` without a bucket to +Inf.
fn prepared(buckets: Buckets) -> Option<(Buckets, Option<Raised>)> {
    let mut buckets = buckets;
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets.last().is_none_or(|last| last.0 != f64::INFINITY) {
        return None;
    }
    let mut joined: Buckets = Vec::with_capacity(buckets.len());
    for (bound, count) in buckets {
        match joined.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            _ => joined.push((bound, count)),
        }
    }
    let mut forced: Option<Raised> = None;
    let mut before = joined.first().map_or(0.0, |first| first.1);
    for (bound, count) in joined.iter_mut().skip(1) {
        if *count == before {
            continue;
        }
        // What differs by rounding is taken as equal.
        if (*count - before).abs() / *count <= 1e-12 {
            *count = before;
        } else if *count < before {
            let difference = before - *count;
            let (lowest, _, most) = forced.unwrap_or((*bound, *bound, difference));
            forced = Some((lowest, *bound, most.max(difference)));
            *count = before;
        } else {
            before = *count;
        }
    }
    Some((joined, forced))
}

/// The quantile of a classic histogram, interpolated within its bucket.
fn bucket_quantile(q: f64, buckets: Buckets) -> (f64, Option<Raised>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    let Some((buckets, forced)) = prepared(buckets) else { return (f64::NAN, None) };
    let [.., second_last, last] = buckets.as_slice() else { return (f64::NAN, None) };
    if last.1 == 0.0 || last.1.is_nan() {
        return (f64::NAN, None);
    }
    let mut rank = q * last.1;
    let inner = buckets.get(..buckets.len() - 1).unwrap_or(&[]);
    let place = inner.partition_point(|(_, count)| *count < rank);
    let Some((end, mut count)) = inner.get(place).copied() else { return (second_last.0, forced) };
    if place == 0 && end <= 0.0 {
        return (end, forced);
    }
    let mut start = 0.0;
    if let Some((bound, below)) = place.checked_sub(1).and_then(|before| inner.get(before)) {
        start = *bound;
        count -= below;
        rank -= below;
    }
    (start + (end - start) * (rank / count), forced)
}

/// The share of a classic histogram's observations between two values.
fn bucket_fraction(lower: f64, upper: f64, buckets: Buckets) -> f64 {
    let Some((buckets, _)) = prepared(buckets) else { return f64::NAN };
    let total = buckets.last().map_or(0.0, |last| last.1);
    if total == 0.0 || total.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let (mut rank, mut lower_rank, mut upper_rank) = (0.0, None, None);
    let mut below = f64::NEG_INFINITY;
    for (index, (bound, count)) in buckets.iter().copied().enumerate() {
        // Observations of a first bucket with a positive bound are taken to be positive.
        if index == 0 && bound > 0.0 {
            below = 0.0;
        }
        let inside = |value: f64| {
            if below.is_infinite() || bound.is_infinite() {
                // Nothing is known about how they are spread.
                if value > below && bound.is_finite() { count } else { rank }
            } else {
                rank + (count - rank) * ((value - below) / (bound - below))
            }
        };
        for (value, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_none() && below >= value {
                *found = Some(rank);
            } else if found.is_none() && below < value && bound > value {
                *found = Some(inside(value));
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank = count;
        below = bound;
    }
    let bounded = |found: Option<f64>| found.filter(|rank| *rank <= total).unwrap_or(total);
    (bounded(upper_rank) - bounded(lower_rank)) / total
}
