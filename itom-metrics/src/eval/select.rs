//! Selectors.

use itom_core::{CounterReset, is_stale_nan};

use super::Annotations;
use super::block::{Block, Cell, Head, Steps};
use super::edges::{between, between_histograms};
use super::error::EvalError;
use super::evaluation::Evaluation;
use crate::promql::ast::{Edges, VectorSelector};
use crate::{FloatPoint, HistogramPoint, Points, SelectHints, SelectedSeries, TimeRange};

/// The newest sample of a series at a step.
pub(super) struct Picked {
    pub(super) t: i64,
    /// When the counter began; 0 when that is not known.
    pub(super) start: i64,
    pub(super) cell: Cell,
}

/// The values of a vector selector.
pub(super) fn instant(
    evaluation: &mut Evaluation<'_>,
    selector: &VectorSelector,
    steps: &Steps,
) -> Result<Block, EvalError> {
    if selector.edges == Some(Edges::Smoothed) {
        return smoothed(evaluation, selector, steps);
    }
    picked(evaluation, selector, steps, |picked| picked.cell)
}

/// What is taken of the newest samples of a vector selector.
pub(super) fn picked(
    evaluation: &mut Evaluation<'_>,
    selector: &VectorSelector,
    steps: &Steps,
    take: impl Fn(Picked) -> Cell,
) -> Result<Block, EvalError> {
    let (offset, fixed) = evaluation.shift(&selector.shift)?;
    let lookback = evaluation.options.lookback_millis();
    let first = fixed.unwrap_or(steps.start).saturating_sub(offset);
    let last = fixed.unwrap_or(steps.end()).saturating_sub(offset);
    let range = TimeRange { from: first.saturating_sub(lookback).saturating_add(1), to: last };
    let hints = SelectHints { step: if steps.count > 1 { steps.step } else { 0 }, ..SelectHints::default() };
    if let Some((series, longer)) = super::tiered::newest(evaluation, selector, range, steps)? {
        return looked_back(
            evaluation,
            &series,
            steps,
            (fixed, offset),
            lookback.saturating_add(longer),
            take,
        );
    }
    let series = evaluation.source.series(selector, range, &hints)?;
    let series = evaluation.decided.mark(selector, series);
    rows(evaluation, &series, steps, fixed, offset, take)
}

/// The newest samples of series at every step.
pub(super) fn rows(
    evaluation: &Evaluation<'_>,
    series: &[SelectedSeries],
    steps: &Steps,
    fixed: Option<i64>,
    offset: i64,
    take: impl Fn(Picked) -> Cell,
) -> Result<Block, EvalError> {
    looked_back(evaluation, series, steps, (fixed, offset), evaluation.options.lookback_millis(), take)
}

fn looked_back(
    evaluation: &Evaluation<'_>,
    series: &[SelectedSeries],
    steps: &Steps,
    (fixed, offset): (Option<i64>, i64),
    lookback: i64,
    take: impl Fn(Picked) -> Cell,
) -> Result<Block, EvalError> {
    let mut block = Block::with_capacity(steps.count, series.len());
    let mut weight = 0;
    for (number, one) in series.iter().enumerate() {
        if number % 1_024 == 0 {
            evaluation.check()?;
        }
        let before = block.cells.len();
        let head = Head { labels: one.labels.clone(), drop_name: false };
        let mut at = Cursor::default();
        let cells = steps.times().map(|time| {
            let time = fixed.unwrap_or(time).saturating_sub(offset);
            at.newest(&one.samples, time, lookback).map_or(Cell::Absent, &take)
        });
        block.push_row(head, cells);
        weight += block.cells[before..].iter().map(Cell::weight).sum::<u64>();
        evaluation.afford(weight)?;
    }
    Ok(block)
}

/// How many floats and histograms of a series are no later than the step.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    floats: usize,
    histograms: usize,
}

impl Cursor {
    fn newest(&mut self, samples: &Points, time: i64, lookback: i64) -> Option<Picked> {
        // From one step to the next it is a few samples further; the first step may have many before it.
        self.floats += advance(&samples.floats[self.floats..], time, |point| point.t);
        self.histograms += advance(&samples.histograms[self.histograms..], time, |point| point.t);
        let float = self
            .floats
            .checked_sub(1)
            .and_then(|index| samples.floats.get(index).map(|point| (index, point)));
        let histogram = self
            .histograms
            .checked_sub(1)
            .and_then(|index| samples.histograms.get(index).map(|point| (index, point)));
        let oldest = time.saturating_sub(lookback);
        match (float, histogram) {
            (Some((index, point)), other) if other.is_none_or(|(_, other)| other.t < point.t) => {
                (point.t > oldest && !is_stale_nan(point.v)).then(|| Picked {
                    t: point.t,
                    start: samples.float_starts.get(index).copied().unwrap_or(0),
                    cell: Cell::Float(point.v),
                })
            }
            (_, Some((index, point))) => (point.t > oldest && !point.h.is_stale()).then(|| Picked {
                t: point.t,
                start: samples.histogram_starts.get(index).copied().unwrap_or(0),
                cell: Cell::Histogram(point.h.clone()),
            }),
            _ => None,
        }
    }
}

/// How many points at the front are no later than `time`.
pub(super) fn advance<T>(points: &[T], time: i64, t: impl Fn(&T) -> i64) -> usize {
    let near = points.iter().take(8).take_while(|point| t(point) <= time).count();
    if near < 8 { near } else { points.partition_point(|point| t(point) <= time) }
}

/// A selector whose values between two samples lie on the line between them.
fn smoothed(
    evaluation: &mut Evaluation<'_>,
    selector: &VectorSelector,
    steps: &Steps,
) -> Result<Block, EvalError> {
    let (offset, fixed) = evaluation.shift(&selector.shift)?;
    let lookback = evaluation.options.lookback_millis();
    let first = fixed.unwrap_or(steps.start).saturating_sub(offset);
    let last = fixed.unwrap_or(steps.end()).saturating_sub(offset);
    let range = TimeRange {
        from: first.saturating_sub(lookback).saturating_add(1),
        to: last.saturating_add(lookback),
    };
    let series = evaluation.source.series(selector, range, &SelectHints::default())?;
    let series = evaluation.decided.mark(selector, series);
    let mut block = Block::with_capacity(steps.count, series.len());
    for one in series.iter() {
        let samples = one.samples.clone().without_stale();
        let mut cells = Vec::with_capacity(steps.count);
        for time in steps.times() {
            let time = fixed.unwrap_or(time).saturating_sub(offset);
            let floats = window(&samples.floats, time - lookback, time + lookback, |point| point.t);
            let histograms = window(&samples.histograms, time - lookback, time + lookback, |point| point.t);
            if !histograms.is_empty() {
                let notes = &mut evaluation.annotations;
                cells.push(smoothed_histogram(
                    floats,
                    histograms,
                    time,
                    selector,
                    one.labels.metric(),
                    notes,
                ));
                continue;
            }
            let after = floats.partition_point(|point| point.t < time);
            let before = after.checked_sub(1).and_then(|index| floats.get(index));
            cells.push(match (before, floats.get(after)) {
                (_, Some(exact)) if exact.t == time => Cell::Float(exact.v),
                (Some(before), Some(after)) => Cell::Float(between(*before, *after, time, false)),
                (Some(before), None) => Cell::Float(before.v),
                (None, _) => Cell::Absent,
            });
        }
        block.push_row(Head { labels: one.labels.clone(), drop_name: false }, cells.into_iter());
    }
    Ok(block)
}

/// The histogram of a smoothed selector at a time.
fn smoothed_histogram(
    floats: &[FloatPoint],
    histograms: &[HistogramPoint],
    time: i64,
    selector: &VectorSelector,
    metric: &str,
    notes: &mut Annotations,
) -> Cell {
    let span = selector.at.0;
    if !floats.is_empty() {
        notes.mixed_floats_histograms(span, metric);
        return Cell::Absent;
    }
    let place = histograms.partition_point(|point| point.t < time);
    let before = place.checked_sub(1).and_then(|index| histograms.get(index));
    match (before, histograms.get(place)) {
        (_, Some(exact)) if exact.t == time => Cell::Histogram(exact.h.clone()),
        (Some(before), Some(after)) => {
            let counter = after.h.reset != CounterReset::Gauge && before.h.reset != CounterReset::Gauge;
            match between_histograms(before, after, time, counter) {
                Ok(found) => Cell::histogram(found),
                Err(_) => {
                    notes.mixed_schemas(span, metric);
                    Cell::Absent
                }
            }
        }
        (Some(before), None) => Cell::Histogram(before.h.clone()),
        (None, _) => Cell::Absent,
    }
}

/// The points with `after < t <= through`.
pub(super) fn window<T>(points: &[T], after: i64, through: i64, t: impl Fn(&T) -> i64) -> &[T] {
    let from = points.partition_point(|point| t(point) <= after);
    let to = points.partition_point(|point| t(point) <= through);
    points.get(from..to.max(from)).unwrap_or(&[])
}

/// The values of a block as series with samples for a subquery.
pub(super) fn as_series(block: &Block, steps: &Steps) -> Vec<SelectedSeries> {
    let mut series = as_series_with_hints(block, steps);
    for point in series.iter_mut().flat_map(|one| &mut one.samples.histograms) {
        point.h = without_hint(&point.h);
    }
    series
}

/// The values of a block as series with samples.
pub(super) fn as_series_with_hints(block: &Block, steps: &Steps) -> Vec<SelectedSeries> {
    block
        .rows()
        .map(|(head, cells)| {
            let mut samples = Points::default();
            for (t, cell) in steps.times().zip(cells) {
                match cell {
                    Cell::Absent => {}
                    Cell::Float(v) => samples.floats.push(FloatPoint { t, v: *v }),
                    Cell::Histogram(h) => samples.push_histogram(t, h.clone(), 0),
                }
            }
            SelectedSeries { labels: head.labels.clone(), samples }
        })
        .collect()
}

/// Between the steps of a subquery, counters may have begun again unseen, or the same restart is seen twice: what was
/// known about restarts is void.
fn without_hint(h: &std::sync::Arc<itom_core::Histogram>) -> std::sync::Arc<itom_core::Histogram> {
    use itom_core::CounterReset::{NotReset, Reset, Unknown};
    if matches!(h.reset, Reset | NotReset) {
        let mut copy = (**h).clone();
        copy.reset = Unknown;
        return std::sync::Arc::new(copy);
    }
    h.clone()
}
