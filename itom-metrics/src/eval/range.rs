//! The samples behind a range vector, and the window that slides over them.

use std::sync::Arc;

use super::block::Steps;
use super::error::{EvalError, fail};
use super::evaluation::Evaluation;
use super::over_time::Window;
use super::select::advance;
use crate::promql::ast::{Edges, Expr};
use crate::promql::{Function, Span};
use crate::{FloatPoint, HistogramPoint, Points, SelectHints, SelectedSeries, TimeRange};

/// What a range vector is made of.
pub(super) struct Ranges {
    pub(super) series: Arc<Vec<SelectedSeries>>,
    range: i64,
    offset: i64,
    pub(super) fixed: Option<i64>,
    pub(super) edges: Option<Edges>,
    pub(super) span: Span,
    /// The times that any window looks at.
    seen: TimeRange,
}

pub(super) fn ranges(
    evaluation: &mut Evaluation<'_>,
    arg: &Expr,
    function: Function,
    steps: &Steps,
) -> Result<Ranges, EvalError> {
    match arg.within_parens() {
        Expr::Matrix(matrix) => {
            let selector = &matrix.selector;
            let range = evaluation.positive_length(&matrix.range)?;
            let (offset, fixed) = evaluation.shift(&selector.shift)?;
            let lookback = evaluation.options.lookback_millis();
            let (before, after) = match selector.edges {
                None => (0, 0),
                Some(Edges::Anchored) => (lookback, 0),
                Some(Edges::Smoothed) => (lookback, lookback),
            };
            let first = fixed.unwrap_or(steps.start).saturating_sub(offset);
            let last = fixed.unwrap_or(steps.end()).saturating_sub(offset);
            let times = TimeRange {
                from: first.saturating_sub(range).saturating_sub(before).saturating_add(1),
                to: last.saturating_add(after),
            };
            let step = if steps.count > 1 { steps.step } else { 0 };
            let hints = SelectHints { step, range, function: Some(function.name()), max_samples: None };
            let series = evaluation.source.series(selector, times, &hints)?;
            let series = evaluation.decided.mark(selector, series);
            let span = matrix.at.0;
            Ok(Ranges { series, range, offset, fixed, edges: selector.edges, span, seen: times })
        }
        Expr::Subquery(subquery) => {
            let (series, range, offset, fixed) = evaluation.subquery(subquery, steps)?;
            let series = Arc::new(series);
            let seen = TimeRange { from: i64::MIN, to: i64::MAX };
            Ok(Ranges { series, range, offset, fixed, edges: None, span: subquery.at.0, seen })
        }
        _ => fail("expected a range vector"),
    }
}

/// Samples that the windows of a series may need, without markers of staleness.
enum Held<'a> {
    Borrowed(Slices<'a>),
    Owned(Points),
}

/// Parts of [`Points`].
#[derive(Clone, Copy)]
struct Slices<'a> {
    floats: &'a [FloatPoint],
    float_starts: &'a [i64],
    histograms: &'a [HistogramPoint],
    histogram_starts: &'a [i64],
}

impl<'a> Held<'a> {
    /// A plan may keep much more than is asked for here.
    fn new(points: &'a Points, seen: TimeRange) -> Self {
        let floats = within(&points.floats, seen, |point| point.t);
        let histograms = within(&points.histograms, seen, |point| point.t);
        let part = Slices {
            float_starts: points.float_starts.get(floats.clone()).unwrap_or(&[]),
            floats: points.floats.get(floats).unwrap_or(&[]),
            histogram_starts: points.histogram_starts.get(histograms.clone()).unwrap_or(&[]),
            histograms: points.histograms.get(histograms).unwrap_or(&[]),
        };
        let stale = part.floats.iter().any(|point| itom_core::is_stale_nan(point.v))
            || part.histograms.iter().any(|point| point.h.is_stale());
        if !stale {
            return Self::Borrowed(part);
        }
        let mut owned = Points::of_floats(part.floats.to_vec());
        owned.float_starts = part.float_starts.to_vec();
        owned.histograms = part.histograms.to_vec();
        owned.histogram_starts = part.histogram_starts.to_vec();
        Self::Owned(owned.without_stale())
    }

    fn points(&self) -> Slices<'_> {
        match self {
            Self::Borrowed(part) => *part,
            Self::Owned(points) => Slices {
                floats: &points.floats,
                float_starts: &points.float_starts,
                histograms: &points.histograms,
                histogram_starts: &points.histogram_starts,
            },
        }
    }
}

/// The places of the points in a range of time. The newest are looked at first: they are asked for most.
fn within<T>(points: &[T], range: TimeRange, t: impl Fn(&T) -> i64) -> std::ops::Range<usize> {
    let after = |time: i64| {
        let mut width = 4;
        loop {
            let from = points.len().saturating_sub(width);
            if from == 0 || points.get(from).is_some_and(|point| t(point) <= time) {
                let rest = points.get(from..).unwrap_or(&[]);
                return from + rest.partition_point(|point| t(point) <= time);
            }
            width *= 4;
        }
    };
    let end = after(range.to);
    after(range.from.saturating_sub(1)).min(end)..end
}

/// The window of one series, moved from step to step.
pub(super) struct Sliding<'a> {
    samples: Held<'a>,
    metric: &'a str,
    ranges: &'a Ranges,
    lookback: i64,
    use_starts: bool,
    first_span: Span,
    /// First and end of the window among the floats, and among the histograms.
    floats: (usize, usize),
    histograms: (usize, usize),
}

impl<'a> Sliding<'a> {
    pub(super) fn new(
        evaluation: &Evaluation<'_>,
        series: &'a SelectedSeries,
        ranges: &'a Ranges,
        first_span: Span,
    ) -> Result<Self, EvalError> {
        Ok(Self {
            samples: Held::new(&series.samples, ranges.seen),
            metric: series.labels.metric(),
            ranges,
            lookback: evaluation.options.lookback_millis(),
            use_starts: evaluation.options.start_timestamps,
            first_span,
            floats: (0, 0),
            histograms: (0, 0),
        })
    }

    /// The window of an evaluation at `now` that looks from `time`; times never go back.
    pub(super) fn window(&mut self, time: i64, now: i64) -> Window<'_> {
        let to = time.saturating_sub(self.ranges.offset);
        let from = to.saturating_sub(self.ranges.range);
        let (before, after) = match self.ranges.edges {
            None => (0, 0),
            Some(Edges::Anchored) => (self.lookback, 0),
            Some(Edges::Smoothed) => (self.lookback, self.lookback),
        };
        let (first, last) = (from.saturating_sub(before), to.saturating_add(after));
        let held = self.samples.points();
        let (floats, histograms) = (held.floats, held.histograms);
        self.floats.0 += advance(floats.get(self.floats.0..).unwrap_or(&[]), first, |point| point.t);
        self.floats.1 += advance(floats.get(self.floats.1..).unwrap_or(&[]), last, |point| point.t);
        self.histograms.0 +=
            advance(histograms.get(self.histograms.0..).unwrap_or(&[]), first, |point| point.t);
        self.histograms.1 +=
            advance(histograms.get(self.histograms.1..).unwrap_or(&[]), last, |point| point.t);
        let float_range = self.floats.0..self.floats.1.max(self.floats.0);
        let histogram_range = self.histograms.0..self.histograms.1.max(self.histograms.0);
        let starts = |starts: &'_ [i64]| self.use_starts && !starts.is_empty();
        let float_starts =
            if starts(held.float_starts) { held.float_starts.get(float_range.clone()) } else { None };
        let histogram_starts = if starts(held.histogram_starts) {
            held.histogram_starts.get(histogram_range.clone())
        } else {
            None
        };
        Window {
            floats: floats.get(float_range).unwrap_or(&[]),
            float_starts: float_starts.unwrap_or(&[]),
            histograms: histograms.get(histogram_range).unwrap_or(&[]),
            histogram_starts: histogram_starts.unwrap_or(&[]),
            from,
            to,
            now,
            edges: self.ranges.edges,
            metric: self.metric,
            span: self.ranges.span,
            first_span: self.first_span,
        }
    }
}
