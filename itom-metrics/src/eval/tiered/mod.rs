//! Selectors and functions of windows that are answered from the buckets of a tier.

mod histogram;

use std::sync::Arc;

use self::histogram::About;
use super::Annotations;
use super::block::{Block, Cell, Head, Steps};
use super::call::might_not_count;
use super::error::EvalError;
use super::evaluation::{Evaluation, matchers_of};
use super::options::TierUse;
use super::rate::{Change, Ends, extrapolated};
use super::sum::Sum;
use crate::histogram::mul;
use crate::promql::ast::{MatrixSelector, VectorSelector};
use crate::promql::{Function, Span};
use crate::{Bucket, BucketSeries, FloatPoint, HistogramBucket, Points, SelectedSeries, Tiered, TimeRange};

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
        format!("answered from the tier of {seconds}s: from whole stretches that end at multiples of it"),
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
        let mut samples = Points::of_floats(points.collect());
        for bucket in one.histograms {
            samples.push_histogram(bucket.last_at, bucket.last, 0);
        }
        SelectedSeries { labels: one.labels, samples }
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
    let mut notes = std::mem::take(&mut evaluation.annotations);
    let mut weight = 0;
    for (number, one) in found.iter().enumerate() {
        if number % 1_024 == 0 {
            evaluation.check()?;
        }
        let before = block.cells.len();
        for time in steps.times() {
            let to = back(fixed.unwrap_or(time).saturating_sub(offset));
            let window = TimeRange { from: to.saturating_sub(width), to };
            let within = Within::new(one, window);
            block.cells.push(within.value(function, range, span, &mut notes));
        }
        let cells = block.cells.get(before..).unwrap_or(&[]);
        let gained: u64 = cells.iter().map(Cell::weight).sum();
        if gained == 0 {
            block.cells.truncate(before);
            continue;
        }
        weight += gained;
        evaluation.afford(weight)?;
        if matches!(function, Function::Rate | Function::Increase)
            && cells.iter().any(|cell| matches!(cell, Cell::Float(_)))
        {
            might_not_count(evaluation, &one.labels, span, &mut notes);
        }
        let drop_name = !matches!(function, Function::LastOverTime | Function::FirstOverTime);
        block.heads.push(Head { labels: one.labels.clone(), drop_name });
    }
    evaluation.annotations = notes;
    Ok(Some(block))
}

/// The buckets of a series that end in `window.from < end <= window.to`.
struct Within<'a> {
    floats: &'a [Bucket],
    histograms: &'a [HistogramBucket],
    window: TimeRange,
    metric: &'a str,
}

impl<'a> Within<'a> {
    fn new(series: &'a BucketSeries, window: TimeRange) -> Self {
        Self {
            floats: ending(&series.buckets, window, |bucket| bucket.end),
            histograms: ending(&series.histograms, window, |bucket| bucket.end),
            window,
            metric: series.labels.metric(),
        }
    }

    /// The value of a function of a window that was asked to be `range` wide.
    fn value(&self, function: Function, range: i64, span: Span, notes: &mut Annotations) -> Cell {
        let (floats, histograms) = (self.floats, self.histograms);
        if floats.is_empty() && histograms.is_empty() {
            return Cell::Absent;
        }
        let scale = range as f64 / (self.window.to - self.window.from) as f64;
        match function {
            Function::PresentOverTime | Function::AbsentOverTime => Cell::Float(1.0),
            Function::CountOverTime => {
                let count = count(floats) + histograms.iter().map(|bucket| bucket.count).sum::<u64>();
                Cell::Float(count as f64 * scale)
            }
            Function::FirstOverTime => match (floats.first(), histograms.first()) {
                (Some(float), other) if other.is_none_or(|other| float.first_at < other.first_at) => {
                    Cell::Float(float.first)
                }
                (_, other) => other.map_or(Cell::Absent, |other| Cell::Histogram(other.first.clone())),
            },
            Function::LastOverTime => match (floats.last(), histograms.last()) {
                (Some(float), other) if other.is_none_or(|other| float.last_at > other.last_at) => {
                    Cell::Float(float.last)
                }
                (_, other) => other.map_or(Cell::Absent, |other| Cell::Histogram(other.last.clone())),
            },
            Function::MinOverTime | Function::MaxOverTime => {
                if floats.is_empty() {
                    return Cell::Absent;
                }
                if !histograms.is_empty() {
                    notes.ignored_histograms(span, self.metric);
                }
                of_floats(function, floats, self.window, scale)
            }
            _ if histograms.is_empty() => of_floats(function, floats, self.window, scale),
            _ if !floats.is_empty() => {
                notes.mixed_floats_histograms(span, self.metric);
                Cell::Absent
            }
            _ => self.of_histograms(function, scale, span, notes),
        }
    }

    fn of_histograms(&self, function: Function, scale: f64, span: Span, notes: &mut Annotations) -> Cell {
        let about = About { span, metric: self.metric };
        let buckets = self.histograms;
        let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return Cell::Absent };
        let count: u64 = buckets.iter().map(|bucket| bucket.count).sum();
        match function {
            Function::SumOverTime => histogram::sum(buckets, about, notes).map_or(Cell::Absent, |mut sum| {
                sum.mul(scale);
                Cell::histogram(sum.total())
            }),
            Function::AvgOverTime => histogram::sum(buckets, about, notes).map_or(Cell::Absent, |mut sum| {
                sum.div(count as f64);
                Cell::histogram(sum.total())
            }),
            _ => {
                if count < 2 {
                    return Cell::Absent;
                }
                let counter = function != Function::Delta;
                let Some(grown) = histogram::change(buckets, counter, about, notes) else {
                    return Cell::Absent;
                };
                let ends = Ends {
                    first_t: first.first_at,
                    last_t: last.last_at,
                    gaps: count as usize - 1,
                    first_value: first.first.count,
                };
                changed(Cell::histogram(grown), ends, self.window, function, scale)
            }
        }
    }
}

/// The buckets that end in `window.from < end <= window.to`.
fn ending<T>(buckets: &[T], window: TimeRange, end: impl Fn(&T) -> i64) -> &[T] {
    let from = buckets.partition_point(|bucket| end(bucket) <= window.from);
    let to = buckets.partition_point(|bucket| end(bucket) <= window.to);
    buckets.get(from..to).unwrap_or(&[])
}

fn count(floats: &[Bucket]) -> u64 {
    floats.iter().map(|bucket| bucket.count).sum()
}

/// What a change within the buckets is in the window that was asked for.
fn changed(grown: Cell, ends: Ends, window: TimeRange, function: Function, scale: f64) -> Cell {
    let change = Change { counter: function != Function::Delta, per_second: function == Function::Rate };
    match extrapolated(grown, ends, (window.from, window.to), change) {
        Cell::Float(value) if !change.per_second => Cell::Float(value * scale),
        Cell::Histogram(mut value) if !change.per_second => {
            mul(Arc::make_mut(&mut value), scale);
            Cell::Histogram(value)
        }
        other => other,
    }
}

/// The value of a function for buckets of floats; what grows with the window is multiplied by `scale`.
fn of_floats(function: Function, within: &[Bucket], window: TimeRange, scale: f64) -> Cell {
    let ([first, ..], Some(last)) = (within, within.last()) else { return Cell::Absent };
    let count = count(within);
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
        Function::SumOverTime => sum() * scale,
        Function::AvgOverTime => sum() / count as f64,
        Function::MinOverTime => extreme(|bucket| bucket.min, |a, b| a < b).unwrap_or(f64::NAN),
        Function::MaxOverTime => extreme(|bucket| bucket.max, |a, b| a > b).unwrap_or(f64::NAN),
        _ => {
            if count < 2 {
                return Cell::Absent;
            }
            let mut grown = last.last - first.first;
            if function != Function::Delta {
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
            return changed(Cell::Float(grown), ends, window, function, scale);
        }
    })
}
