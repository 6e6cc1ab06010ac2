//! Selectors and functions of windows that are answered from the buckets of a tier.

use super::block::{Block, Cell, Head, Steps};
use super::call::might_not_count;
use super::error::EvalError;
use super::evaluation::{Evaluation, matchers_of};
use super::options::TierUse;
use super::rate::{Change, Ends, extrapolated};
use super::sum::Sum;
use crate::promql::ast::{MatrixSelector, VectorSelector};
use crate::promql::{Function, Span};
use crate::{Bucket, BucketSeries, FloatPoint, Points, SelectedSeries, Tiered, TimeRange};

/// The length of the buckets that a read is answered from; `None` for samples. `width` is what each evaluation looks
/// at.
fn chosen(wanted: TierUse, tiered: &dyn Tiered, range: TimeRange, width: i64, steps: &Steps) -> Option<i64> {
    let tiers = tiered.tiers();
    let gone = range.from < tiered.samples_from();
    let reaching = tiers.iter().filter(|tier| tier.from <= range.from);
    let needed = || {
        let finest = reaching.clone().next();
        finest.or_else(|| tiers.iter().min_by_key(|tier| tier.from)).filter(|_| gone)
    };
    let found = match wanted {
        TierUse::Never => None,
        TierUse::Needed => needed(),
        TierUse::Preferred => {
            let coarse = |length: i64| length <= width && (steps.count == 1 || length <= steps.step);
            reaching.clone().rfind(|tier| coarse(tier.length)).or_else(needed)
        }
        TierUse::Only(length) => {
            let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
            tiers.iter().find(|tier| tier.length == length)
        }
    };
    found.map(|tier| tier.length)
}

fn remark(evaluation: &mut Evaluation<'_>, span: Span, length: i64) {
    let seconds = length / 1_000;
    evaluation.annotations.info(
        span,
        format!(
            "answered from the tier of {seconds}s: from whole stretches that end at multiples of it, without histograms"
        ),
    );
}

fn buckets(
    evaluation: &Evaluation<'_>,
    tiered: &dyn Tiered,
    selector: &VectorSelector,
    range: TimeRange,
    length: i64,
) -> Result<Vec<BucketSeries>, EvalError> {
    let series = tiered.buckets(&matchers_of(selector)?, range, length)?;
    let (found, limit) = (series.len() as u64, evaluation.options.max_series);
    if found > limit { Err(EvalError::Series { found, limit }) } else { Ok(series) }
}

/// What a vector selector finds, if it is answered from a tier: the newest sample of each bucket, and how much older
/// than usual it may be.
pub(super) fn newest(
    evaluation: &mut Evaluation<'_>,
    selector: &VectorSelector,
    range: TimeRange,
    steps: &Steps,
) -> Result<Option<(Vec<SelectedSeries>, i64)>, EvalError> {
    let source = evaluation.source;
    let Some(tiered) = source.tiered() else { return Ok(None) };
    let lookback = evaluation.options.lookback_millis();
    let Some(length) = chosen(evaluation.options.tiers, tiered, range, lookback, steps) else {
        return Ok(None);
    };
    let range = TimeRange { from: range.from.saturating_sub(length), to: range.to.saturating_add(length) };
    let found = buckets(evaluation, tiered, selector, range, length)?;
    remark(evaluation, selector.at.0, length);
    let series = found.into_iter().map(|one| {
        let points = one.buckets.iter().map(|bucket| FloatPoint { t: bucket.last_at, v: bucket.last });
        SelectedSeries { labels: one.labels, samples: Points::of_floats(points.collect()) }
    });
    Ok(Some((series.collect(), length)))
}

/// Whether the value of a function follows from buckets.
const fn follows(function: Function) -> bool {
    matches!(
        function,
        Function::Rate
            | Function::Increase
            | Function::Delta
            | Function::AvgOverTime
            | Function::SumOverTime
            | Function::CountOverTime
            | Function::MinOverTime
            | Function::MaxOverTime
            | Function::FirstOverTime
            | Function::LastOverTime
            | Function::PresentOverTime
            | Function::AbsentOverTime
    )
}

/// The values of a function of a window, if they are answered from a tier.
///
/// A window is moved back to the last end of a bucket and widened to whole buckets; what grows with the window is scaled
/// back to the range that was asked for.
pub(super) fn over_range(
    evaluation: &mut Evaluation<'_>,
    function: Function,
    matrix: &MatrixSelector,
    steps: &Steps,
) -> Result<Option<Block>, EvalError> {
    let source = evaluation.source;
    let Some(tiered) = source.tiered() else { return Ok(None) };
    let selector = &matrix.selector;
    if selector.edges.is_some() {
        return Ok(None);
    }
    let range = evaluation.positive_length(&matrix.range)?;
    let (offset, fixed) = evaluation.shift(&selector.shift)?;
    let first = fixed.unwrap_or(steps.start).saturating_sub(offset);
    let last = fixed.unwrap_or(steps.end()).saturating_sub(offset);
    let asked = TimeRange { from: first.saturating_sub(range).saturating_add(1), to: last };
    let span = matrix.at.0;
    let Some(length) = chosen(evaluation.options.tiers, tiered, asked, range, steps) else {
        return Ok(None);
    };
    if !follows(function) {
        if asked.from < tiered.samples_from() {
            let text =
                format!("{} cannot be answered from a tier, and older samples are gone", function.name());
            evaluation.annotations.info(span, text);
        }
        return Ok(None);
    }
    let back = |time: i64| time.div_euclid(length).saturating_mul(length);
    let width = range.saturating_add(length - 1).div_euclid(length).saturating_mul(length);
    let times = TimeRange { from: back(first).saturating_sub(width).saturating_add(1), to: back(last) };
    let found = buckets(evaluation, tiered, selector, times, length)?;
    remark(evaluation, span, length);
    let mut block = Block::with_capacity(steps.count, found.len());
    let mut weight = 0;
    for (number, one) in found.iter().enumerate() {
        if number % 1_024 == 0 {
            evaluation.check()?;
        }
        let before = block.cells.len();
        for time in steps.times() {
            let to = back(fixed.unwrap_or(time).saturating_sub(offset));
            let window = TimeRange { from: to.saturating_sub(width), to };
            block.cells.push(value(function, &one.buckets, window, range));
        }
        let cells = block.cells.get(before..).unwrap_or(&[]);
        let gained: u64 = cells.iter().map(Cell::weight).sum();
        if gained == 0 {
            block.cells.truncate(before);
            continue;
        }
        weight += gained;
        evaluation.afford(weight)?;
        if matches!(function, Function::Rate | Function::Increase) {
            let mut notes = std::mem::take(&mut evaluation.annotations);
            might_not_count(evaluation, &one.labels, span, &mut notes);
            evaluation.annotations = notes;
        }
        let drop_name = !matches!(function, Function::LastOverTime | Function::FirstOverTime);
        block.heads.push(Head { labels: one.labels.clone(), drop_name });
    }
    Ok(Some(block))
}

/// The value of a function for the buckets that end in `window.from < end <= window.to`, of a window that was asked to be
/// `range` wide.
fn value(function: Function, buckets: &[Bucket], window: TimeRange, range: i64) -> Cell {
    let from = buckets.partition_point(|bucket| bucket.end <= window.from);
    let to = buckets.partition_point(|bucket| bucket.end <= window.to);
    let within = buckets.get(from..to).unwrap_or(&[]);
    let [first, ..] = within else { return Cell::Absent };
    let Some(last) = within.last() else { return Cell::Absent };
    let count: u64 = within.iter().map(|bucket| bucket.count).sum();
    let scale = range as f64 / (window.to - window.from) as f64;
    let sum = || {
        let mut sum = Sum::default();
        within.iter().for_each(|bucket| sum.add(bucket.sum));
        sum.total()
    };
    let extreme = |of: fn(&Bucket) -> f64, better: fn(f64, f64) -> bool| {
        within
            .iter()
            .map(of)
            .reduce(|found, next| if better(next, found) || found.is_nan() { next } else { found })
    };
    Cell::Float(match function {
        Function::CountOverTime => count as f64 * scale,
        Function::SumOverTime => sum() * scale,
        Function::AvgOverTime => sum() / count as f64,
        Function::MinOverTime => extreme(|bucket| bucket.min, |a, b| a < b).unwrap_or(f64::NAN),
        Function::MaxOverTime => extreme(|bucket| bucket.max, |a, b| a > b).unwrap_or(f64::NAN),
        Function::FirstOverTime => first.first,
        Function::LastOverTime => last.last,
        Function::PresentOverTime | Function::AbsentOverTime => 1.0,
        _ => {
            if count < 2 {
                return Cell::Absent;
            }
            let counter = function != Function::Delta;
            let mut grown = last.last - first.first;
            if counter {
                grown += within.iter().map(|bucket| bucket.lost).sum::<f64>();
                for pair in within.windows(2) {
                    if let [before, after] = pair
                        && after.first < before.last
                    {
                        grown += before.last;
                    }
                }
            }
            let ends = Ends {
                first_t: first.first_at,
                last_t: last.last_at,
                gaps: count as usize - 1,
                first_value: first.first,
            };
            let change = Change { counter, per_second: function == Function::Rate };
            let found = extrapolated(Cell::Float(grown), ends, (window.from, window.to), change);
            return match found {
                Cell::Float(value) if function != Function::Rate => Cell::Float(value * scale),
                other => other,
            };
        }
    })
}
