//! Functions of the samples in a window.

use itom_core::{CounterReset, Histogram};

use super::Annotations;
use super::block::Cell;
use super::error::{EvalError, fail};
use super::rate::{self, Change, restarted};
use super::sum::{Mean, Sum};
use crate::histogram::{CompensatedHistogram, detect_reset, div, has_overflow};
use crate::promql::ast::Edges;
use crate::promql::{Function, Span};
use crate::{FloatPoint, HistogramPoint};

/// The samples of a series in a window: later than `from`, no later than `to`, without markers of staleness. With
/// edges, also those around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) floats: &'a [FloatPoint],
    pub(super) float_starts: &'a [i64],
    pub(super) histograms: &'a [HistogramPoint],
    pub(super) histogram_starts: &'a [i64],
    pub(super) from: i64,
    pub(super) to: i64,
    /// The time of evaluation, which offsets move the window away from.
    pub(super) now: i64,
    pub(super) edges: Option<Edges>,
    pub(super) metric: &'a str,
    /// Where the range vector stands in the expression.
    pub(super) span: Span,
    /// Where the first argument stands.
    pub(super) first_span: Span,
}

impl Window<'_> {
    pub(super) fn seconds(&self) -> f64 {
        (self.to - self.from) as f64 / 1_000.0
    }

    fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.floats.iter().map(|point| point.v)
    }
}

/// The value of a function for a window that is not empty; `numbers` are its scalar arguments.
pub(super) fn apply(
    function: Function,
    window: &Window<'_>,
    numbers: &[f64],
    notes: &mut Annotations,
) -> Result<Cell, EvalError> {
    let number = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
    Ok(match function {
        Function::Rate => rate::rate(window, Change { counter: true, per_second: true }, notes),
        Function::Increase => rate::rate(window, Change { counter: true, per_second: false }, notes),
        Function::Delta => rate::rate(window, Change { counter: false, per_second: false }, notes),
        Function::Irate => rate::instant_rate(window, true, notes),
        Function::Idelta => rate::instant_rate(window, false, notes),
        Function::CountOverTime => Cell::Float((window.floats.len() + window.histograms.len()) as f64),
        Function::AbsentOverTime | Function::PresentOverTime => Cell::Float(1.0),
        Function::FirstOverTime => end_of(window.floats.first(), window.histograms.first(), |f, h| f < h),
        Function::LastOverTime => end_of(window.floats.last(), window.histograms.last(), |f, h| f > h),
        Function::TsOfFirstOverTime => seconds_of(ends(window, false).into_iter().flatten().min()),
        Function::TsOfLastOverTime => seconds_of(ends(window, true).into_iter().flatten().max()),
        Function::SumOverTime => sum(window, notes),
        Function::AvgOverTime => avg(window, notes),
        Function::Resets => counted(window, |before, now, began| match (before, now) {
            (At::Float(before), At::Float(now)) => now < before || began,
            (At::Histogram(before), At::Histogram(now)) => began || detect_reset(now, before),
            _ => true,
        }),
        Function::Changes => counted(window, |before, now, _| match (before, now) {
            (At::Float(before), At::Float(now)) => now != before && !(now.is_nan() && before.is_nan()),
            (At::Histogram(before), At::Histogram(now)) => !same(now, before),
            _ => true,
        }),
        _ => return floats_only(function, window, [number(0), number(1)], notes),
    })
}

/// Functions that skip histograms.
fn floats_only(
    function: Function,
    window: &Window<'_>,
    numbers: [f64; 2],
    notes: &mut Annotations,
) -> Result<Cell, EvalError> {
    let [first, second] = numbers;
    if function == Function::DoubleExponentialSmoothing {
        for (what, factor) in [("smoothing", first), ("trend", second)] {
            if factor <= 0.0 || factor >= 1.0 {
                let short = what.get(..1).unwrap_or("");
                return fail(format!("invalid {what} factor. Expected: 0 < {short}f < 1, got: {factor:.6}"));
            }
        }
    }
    let floats = window.floats;
    if floats.is_empty() {
        return Ok(Cell::Absent);
    }
    if function == Function::QuantileOverTime && !(0.0..=1.0).contains(&first) {
        notes.invalid_quantile(window.first_span, first);
    }
    if !window.histograms.is_empty() {
        notes.ignored_histograms(window.first_span, window.metric);
    }
    let needs_two =
        matches!(function, Function::Deriv | Function::PredictLinear | Function::DoubleExponentialSmoothing);
    if needs_two && floats.len() < 2 {
        return Ok(Cell::Absent);
    }
    Ok(Cell::Float(match function {
        Function::MaxOverTime => extreme(floats, |now, most| now > most || most.is_nan()).v,
        Function::MinOverTime => extreme(floats, |now, least| now < least || least.is_nan()).v,
        Function::TsOfMaxOverTime => {
            extreme(floats, |now, most| now >= most || most.is_nan()).t as f64 / 1_000.0
        }
        Function::TsOfMinOverTime => {
            extreme(floats, |now, least| now <= least || least.is_nan()).t as f64 / 1_000.0
        }
        Function::StddevOverTime => variance(window.values()).sqrt(),
        Function::StdvarOverTime => variance(window.values()),
        Function::QuantileOverTime => quantile(first, &mut window.values().collect::<Vec<_>>()),
        Function::MadOverTime => {
            let mut values: Vec<f64> = window.values().collect();
            if values.iter().any(|value| value.is_nan()) {
                return Ok(Cell::Float(f64::NAN));
            }
            let median = quantile(0.5, &mut values);
            values.iter_mut().for_each(|value| *value = (*value - median).abs());
            quantile(0.5, &mut values)
        }
        Function::Deriv => regression(floats, floats.first().map_or(0, |point| point.t)).0,
        Function::PredictLinear => {
            let (slope, intercept) = regression(floats, window.now);
            slope * first + intercept
        }
        Function::DoubleExponentialSmoothing => smoothing(floats, first, second),
        other => return fail(format!("{other} is no function of a range vector")),
    }))
}

fn extreme(floats: &[FloatPoint], better: impl Fn(f64, f64) -> bool) -> FloatPoint {
    let mut found = floats.first().copied().unwrap_or(FloatPoint { t: 0, v: f64::NAN });
    for point in floats {
        if better(point.v, found.v) {
            found = *point;
        }
    }
    found
}

fn ends(window: &Window<'_>, last: bool) -> [Option<i64>; 2] {
    let (float, histogram) = if last {
        (window.floats.last(), window.histograms.last())
    } else {
        (window.floats.first(), window.histograms.first())
    };
    [float.map(|point| point.t), histogram.map(|point| point.t)]
}

fn seconds_of(t: Option<i64>) -> Cell {
    t.map_or(Cell::Absent, |t| Cell::Float(t as f64 / 1_000.0))
}

fn end_of(
    float: Option<&FloatPoint>,
    histogram: Option<&HistogramPoint>,
    float_wins: impl Fn(i64, i64) -> bool,
) -> Cell {
    match (float, histogram) {
        (Some(float), Some(histogram)) if float_wins(float.t, histogram.t) => Cell::Float(float.v),
        (_, Some(histogram)) => Cell::Histogram(histogram.h.clone()),
        (Some(float), None) => Cell::Float(float.v),
        (None, None) => Cell::Absent,
    }
}

/// Notes what the hints of several histograms say together.
#[derive(Debug, Default)]
pub(super) struct Hints {
    reset: bool,
    not_reset: bool,
    reconciled: bool,
}

impl Hints {
    pub(super) fn see(&mut self, histogram: &Histogram) {
        self.reset |= histogram.reset == CounterReset::Reset;
        self.not_reset |= histogram.reset == CounterReset::NotReset;
    }

    /// What was seen and merged elsewhere.
    pub(super) const fn saw(&mut self, reset: bool, not_reset: bool, reconciled: bool) {
        self.reset |= reset;
        self.not_reset |= not_reset;
        self.reconciled |= reconciled;
    }

    pub(super) const fn merged(&mut self, merged: crate::histogram::Merged) {
        self.reconciled |= merged.bounds_reconciled;
    }

    pub(super) fn say(&self, span: Span, notes: &mut Annotations) {
        if self.reset && self.not_reset {
            notes.reset_collision(span, "aggregation");
        }
        if self.reconciled {
            notes.reconciled_bounds(span, "aggregation");
        }
    }
}

fn sum(window: &Window<'_>, notes: &mut Annotations) -> Cell {
    if !window.floats.is_empty() && !window.histograms.is_empty() {
        notes.mixed_floats_histograms(window.span, window.metric);
        return Cell::Absent;
    }
    let Some((first, others)) = window.histograms.split_first() else {
        let mut sum = Sum::default();
        window.values().for_each(|value| sum.add(value));
        return Cell::Float(sum.total());
    };
    let mut hints = Hints::default();
    hints.see(&first.h);
    let mut sum = CompensatedHistogram::new((*first.h).clone());
    for point in others {
        hints.see(&point.h);
        match sum.add(&point.h) {
            Ok(merged) => hints.merged(merged),
            Err(_) => {
                notes.mixed_schemas(window.span, window.metric);
                return Cell::Absent;
            }
        }
    }
    hints.say(window.span, notes);
    Cell::histogram(sum.total())
}

fn avg(window: &Window<'_>, notes: &mut Annotations) -> Cell {
    if !window.floats.is_empty() && !window.histograms.is_empty() {
        notes.mixed_floats_histograms(window.span, window.metric);
        return Cell::Absent;
    }
    let Some((first, others)) = window.histograms.split_first() else {
        let Some((first, others)) = window.floats.split_first() else { return Cell::Absent };
        let mut mean = Mean::of(first.v);
        others.iter().for_each(|point| mean.add(point.v));
        return Cell::Float(mean.mean());
    };
    let mut hints = Hints::default();
    hints.see(&first.h);
    let mut mean = HistogramMean::of((*first.h).clone());
    for point in others {
        hints.see(&point.h);
        match mean.add(&point.h) {
            Ok(merged) => hints.merged(merged),
            Err(_) => {
                notes.mixed_schemas(window.span, window.metric);
                return Cell::Absent;
            }
        }
    }
    hints.say(window.span, notes);
    Cell::histogram(mean.mean())
}

/// As [`Mean`], of histograms.
#[derive(Debug, Clone)]
pub(super) struct HistogramMean {
    count: f64,
    state: CompensatedHistogram,
    moving: bool,
}

impl HistogramMean {
    pub(super) fn of(first: Histogram) -> Self {
        Self { count: 1.0, state: CompensatedHistogram::new(first), moving: false }
    }

    pub(super) fn add(
        &mut self,
        other: &Histogram,
    ) -> Result<crate::histogram::Merged, crate::histogram::Incompatible> {
        self.count += 1.0;
        if !self.moving {
            let mut next = self.state.clone();
            let merged = next.add(other)?;
            if !has_overflow(next.sum()) {
                self.state = next;
                return Ok(merged);
            }
            self.moving = true;
            self.state.div(self.count - 1.0);
        }
        self.state.mul((self.count - 1.0) / self.count);
        let mut part = other.clone();
        div(&mut part, self.count);
        self.state.add(&part)
    }

    pub(super) fn mean(mut self) -> Histogram {
        if !self.moving {
            self.state.div(self.count);
        }
        self.state.total()
    }
}

#[derive(Clone, Copy)]
enum At<'a> {
    Float(f64),
    Histogram(&'a Histogram),
}

/// How many pairs of neighbouring samples are so. `so` is also told whether start times speak of a restart between them.
fn counted(window: &Window<'_>, so: impl Fn(At<'_>, At<'_>, bool) -> bool) -> Cell {
    let (floats, float_starts) = (window.floats, window.float_starts);
    let start_of = |starts: &[i64], index: usize| starts.get(index).copied().unwrap_or(0);
    let mut both: Vec<(i64, i64, At<'_>)> = floats
        .iter()
        .enumerate()
        .map(|(index, point)| (point.t, start_of(float_starts, index), At::Float(point.v)))
        .collect();
    let floats_alone = window.histograms.is_empty();
    both.extend(
        window.histograms.iter().enumerate().map(|(index, point)| {
            (point.t, start_of(window.histogram_starts, index), At::Histogram(&point.h))
        }),
    );
    if !floats_alone {
        both.sort_by_key(|(t, ..)| *t);
    }
    let mut seen = both.as_slice();
    if window.edges == Some(Edges::Anchored) {
        // The last sample before the window stands at its start.
        match seen {
            [.., (last, ..)] if *last > window.from => {
                let first = seen.partition_point(|(t, ..)| *t <= window.from).saturating_sub(1);
                seen = seen.get(first..).unwrap_or(&[]);
            }
            _ => return Cell::Absent,
        }
    }
    let count = seen
        .windows(2)
        .filter(|pair| match pair {
            [(before_t, before_start, before), (now_t, now_start, now)] => {
                so(*before, *now, restarted(&[*before_start, *now_start], 0, *before_t, *now_t))
            }
            _ => false,
        })
        .count();
    Cell::Float(count as f64)
}

/// Whether two histograms are equal as PromQL's `==` has it: empty buckets do not count.
pub(super) fn same(a: &Histogram, b: &Histogram) -> bool {
    let listed = |h: &Histogram| {
        let mut copy = h.clone();
        crate::histogram::compact(&mut copy);
        copy
    };
    listed(a).same_bits(&listed(b))
}

fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let mut count = 0.0;
    let (mut mean, mut squares) = (Sum::default(), Sum::default());
    for value in values {
        count += 1.0;
        let distance = value - (mean.sum + mean.lost);
        mean.add(distance / count);
        squares.add(distance * (value - (mean.sum + mean.lost)));
    }
    (squares.sum + squares.lost) / count
}

/// The quantile of values, interpolated between two of them; NaN is less than every other value.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| {
        b.is_nan().cmp(&a.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
    });
    let most = (values.len() - 1) as f64;
    let rank = q * most;
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(most);
    let weight = rank - rank.floor();
    let at = |index: f64| values.get(index as usize).copied().unwrap_or(f64::NAN);
    at(lower) * (1.0 - weight) + at(upper) * weight
}

/// Slope and the value at `zero` of the line nearest to the points.
fn regression(floats: &[FloatPoint], zero: i64) -> (f64, f64) {
    let Some(first) = floats.first() else { return (f64::NAN, f64::NAN) };
    if floats.iter().all(|point| point.v == first.v) {
        return if first.v.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first.v) };
    }
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for point in floats {
        let x = (point.t - zero) as f64 / 1e3;
        x_sum.add(x);
        y_sum.add(point.v);
        xy_sum.add(x * point.v);
        xx_sum.add(x * x);
    }
    let n = floats.len() as f64;
    let [x, y, xy, xx] = [x_sum, y_sum, xy_sum, xx_sum].map(|sum| sum.sum + sum.lost);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

fn smoothing(floats: &[FloatPoint], level: f64, trend: f64) -> f64 {
    let (Some(first), Some(second)) = (floats.first(), floats.get(1)) else { return f64::NAN };
    let (mut before, mut now, mut slope) = (0.0, first.v, second.v - first.v);
    for (index, point) in floats.iter().enumerate().skip(1) {
        let scaled = level * point.v;
        if index > 1 {
            slope = trend * (now - before) + (1.0 - trend) * slope;
        }
        (before, now) = (now, scaled + (1.0 - level) * (now + slope));
    }
    now
}
