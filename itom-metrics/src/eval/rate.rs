//! `rate`, `increase`, `delta`, `irate`, `idelta`: how fast something changes.

use std::sync::Arc;

use itom_core::{CounterReset, Histogram, Layout};

use super::Annotations;
use super::block::Cell;
use super::edges::extended;
use super::over_time::Window;
use crate::histogram::{add, compact, copy_to_schema, detect_reset, div, mul, sub};
use crate::promql::ast::Edges;

/// Which of the three.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// It only grows, and begins again at zero now and then.
    pub(super) counter: bool,
    /// For each second.
    pub(super) per_second: bool,
}

/// `rate`, `increase` or `delta` of a window.
pub(super) fn rate(window: &Window<'_>, change: Change, notes: &mut Annotations) -> Cell {
    if let Some(edges) = window.edges {
        return extended(window, change, edges == Edges::Smoothed, notes);
    }
    let floats = window.floats;
    let histograms = window.histograms;
    if !floats.is_empty() && !histograms.is_empty() {
        notes.mixed_floats_histograms(window.span, window.metric);
        return Cell::Absent;
    }
    warn_overlap(window, notes);
    if change.counter
        && let Some(result) = since_start(window, change, notes)
    {
        return result;
    }
    let (ends, result);
    if let [first, .., last] = histograms {
        let first_value = first.h.count;
        ends = Ends { first_t: first.t, last_t: last.t, gaps: histograms.len() - 1, first_value };
        let Some(found) = histogram_change(window, change.counter, notes) else { return Cell::Absent };
        result = Cell::histogram(found);
    } else if let [first, .., last] = floats {
        ends = Ends { first_t: first.t, last_t: last.t, gaps: floats.len() - 1, first_value: first.v };
        let lost = if change.counter { lost_by_restarts(window) } else { 0.0 };
        result = Cell::Float(last.v - first.v + lost);
    } else {
        return Cell::Absent;
    }
    extrapolated(result, ends, (window.from, window.to), change)
}

/// The samples at the ends of a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) first_t: i64,
    pub(super) last_t: i64,
    /// One fewer than there are samples.
    pub(super) gaps: usize,
    pub(super) first_value: f64,
}

/// What a change between the first and the last sample is in the whole window.
pub(super) fn extrapolated(mut result: Cell, ends: Ends, (from, to): (i64, i64), change: Change) -> Cell {
    let Ends { first_t, last_t, gaps, first_value } = ends;
    let sampled = (last_t - first_t) as f64 / 1_000.0;
    let average = sampled / gaps as f64;
    let mut to_start = (first_t - from) as f64 / 1_000.0;
    let mut to_end = (to - last_t) as f64 / 1_000.0;
    // A window whose edge is a little farther than the next sample would be is taken to be covered.
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if change.counter {
        let grown = match &result {
            Cell::Histogram(found) => found.count,
            Cell::Float(found) => *found,
            Cell::Absent => 0.0,
        };
        if grown > 0.0 && first_value >= 0.0 {
            // It cannot have been less than zero.
            let to_zero = sampled * (first_value / grown);
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if change.per_second {
        factor /= (to - from) as f64 / 1_000.0;
    }
    match &mut result {
        Cell::Float(found) => *found *= factor,
        Cell::Histogram(found) => mul(Arc::make_mut(found), factor),
        Cell::Absent => {}
    }
    result
}

/// What a counter of floats had when it began again within the window, all times together.
fn lost_by_restarts(window: &Window<'_>) -> f64 {
    let pairs = window.floats.windows(2).enumerate();
    pairs.fold(0.0, |lost, (index, pair)| match pair {
        [before, now] if now.v < before.v || restarted(window.float_starts, index, before.t, now.t) => {
            lost + before.v
        }
        _ => lost,
    })
}

/// The change of a counter whose first sample says that it began within the window: it was zero then, so nothing is
/// guessed before.
fn since_start(window: &Window<'_>, change: Change, notes: &mut Annotations) -> Option<Cell> {
    let floats = window.floats;
    let (start, first_t, last_t, count) = match (floats, window.histograms) {
        ([first, ..], _) => (*window.float_starts.first()?, first.t, floats.last()?.t, floats.len()),
        (_, [first, ..]) => {
            let last = window.histograms.last()?;
            (*window.histogram_starts.first()?, first.t, last.t, window.histograms.len())
        }
        _ => return None,
    };
    if start == 0 || start <= window.from || start >= first_t {
        return None;
    }
    let mut result = match (floats, window.histograms) {
        ([first, .., last], _) => Cell::Float(last.v - first.v + lost_by_restarts(window) + first.v),
        ([only], _) => Cell::Float(only.v),
        (_, [only]) => {
            if only.h.reset == CounterReset::Gauge {
                notes.not_counter(window.span, window.metric);
            }
            let mut found = (*only.h).clone();
            found.reset = CounterReset::Gauge;
            compact(&mut found);
            Cell::histogram(found)
        }
        (_, [first, ..]) => match histogram_change(window, true, notes) {
            None => return Some(Cell::Absent),
            Some(mut found) => {
                if add(&mut found, &first.h).is_err() {
                    notes.mixed_schemas(window.span, window.metric);
                    return Some(Cell::Absent);
                }
                found.reset = CounterReset::Gauge;
                compact(&mut found);
                Cell::histogram(found)
            }
        },
        _ => return None,
    };
    let covered = (last_t - start) as f64 / 1_000.0;
    let mut to_end = 0.0;
    if count > 1 {
        let average = (last_t - first_t) as f64 / 1_000.0 / (count - 1) as f64;
        to_end = (window.to - last_t) as f64 / 1_000.0;
        if to_end >= average * 1.1 {
            to_end = average / 2.0;
        }
    }
    let mut factor = (covered + to_end) / covered;
    if change.per_second {
        factor /= window.seconds();
    }
    match &mut result {
        Cell::Float(found) => *found *= factor,
        Cell::Histogram(found) => mul(Arc::make_mut(found), factor),
        Cell::Absent => {}
    }
    Some(result)
}

/// Whether the counter began again between two samples, by their start times.
pub(super) fn restarted(starts: &[i64], before: usize, before_t: i64, now_t: i64) -> bool {
    match starts.get(before..before + 2) {
        Some([before_start, now_start]) => {
            // A start at the sample before means deltas, unless that one's start is not known either.
            // A start at the sample itself is an unknown one.
            *now_start != 0
                && *now_start < now_t
                && (*now_start > before_t
                    || (*now_start == before_t && *before_start != 0 && *before_start < before_t))
        }
        _ => false,
    }
}

/// Says so when a sample's counter began before the sample before it, which has another start.
fn warn_overlap(window: &Window<'_>, notes: &mut Annotations) {
    let overlaps = |starts: &[i64], t: &dyn Fn(usize) -> i64| {
        starts.windows(2).enumerate().any(
            |(index, pair)| matches!(pair, [before, now] if *now != 0 && *now < t(index) && now != before),
        )
    };
    let float_t = |index: usize| window.floats.get(index).map_or(0, |point| point.t);
    let histogram_t = |index: usize| window.histograms.get(index).map_or(0, |point| point.t);
    if overlaps(window.float_starts, &float_t) || overlaps(window.histogram_starts, &histogram_t) {
        notes.warn(
            window.span,
            format!(
                "sample has start time that overlaps with previous sample timestamp for metric {}",
                super::annotations::quoted(window.metric)
            ),
        );
    }
}

/// By how much a counter or gauge of histograms changed.
fn histogram_change(window: &Window<'_>, counter: bool, notes: &mut Annotations) -> Option<Histogram> {
    let points = window.histograms;
    let (Some(first), Some(second), Some(last)) = (points.first(), points.get(1), points.last()) else {
        return None;
    };
    let gauge = |h: &Histogram| h.reset == CounterReset::Gauge;
    let custom = |h: &Histogram| h.custom_bounds().is_some();
    if counter && (gauge(&first.h) || gauge(&last.h)) {
        notes.not_counter(window.span, window.metric);
    }
    let mut before = first.h.clone();
    if counter
        && (restarted(window.histogram_starts, 0, first.t, second.t) || detect_reset(&second.h, &first.h))
    {
        // What was before the restart does not matter, not even its buckets.
        let mut empty = Histogram::default();
        empty.layout = second.h.layout.clone();
        before = Arc::new(empty);
    }
    if custom(&last.h) != custom(&before) {
        notes.mixed_schemas(window.span, window.metric);
        return None;
    }
    let mut coarsest = schema_of(&last.h).min(schema_of(&before));
    for point in points.get(1..points.len() - 1).unwrap_or(&[]) {
        if !counter {
            continue;
        }
        if gauge(&point.h) {
            notes.not_counter(window.span, window.metric);
        }
        if custom(&point.h) != custom(&before) {
            notes.mixed_schemas(window.span, window.metric);
            return None;
        }
        coarsest = coarsest.min(schema_of(&point.h));
    }
    let mut result = match coarsest {
        Some(schema) => copy_to_schema(&last.h, schema).unwrap_or_else(|_| (*last.h).clone()),
        None => (*last.h).clone(),
    };
    match sub(&mut result, &before) {
        Ok(merged) if merged.bounds_reconciled => notes.reconciled_bounds(window.span, "subtraction"),
        Ok(_) => {}
        Err(_) => {
            notes.mixed_schemas(window.span, window.metric);
            return None;
        }
    }
    if counter {
        for (index, point) in points.iter().enumerate().skip(1) {
            let before_t = points.get(index - 1).map_or(0, |before| before.t);
            if restarted(window.histogram_starts, index - 1, before_t, point.t)
                || detect_reset(&point.h, &before)
            {
                match add(&mut result, &before) {
                    Ok(merged) if merged.bounds_reconciled => {
                        notes.reconciled_bounds(window.span, "addition")
                    }
                    Ok(_) => {}
                    Err(_) => {
                        notes.mixed_schemas(window.span, window.metric);
                        return None;
                    }
                }
            }
            before = point.h.clone();
        }
    } else if !gauge(&first.h) || !gauge(&last.h) {
        notes.not_gauge(window.span, window.metric);
    }
    result.reset = CounterReset::Gauge;
    compact(&mut result);
    Some(result)
}

/// The resolution; `None` with custom bounds.
fn schema_of(h: &Histogram) -> Option<itom_core::Schema> {
    match h.layout {
        Layout::Exponential(schema) => Some(schema),
        Layout::Custom(_) => None,
    }
}

#[derive(Clone, Copy)]
enum Last<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// `irate` and `idelta`: from the last two samples.
pub(super) fn instant_rate(window: &Window<'_>, counter: bool, notes: &mut Annotations) -> Cell {
    let start_of = |starts: &[i64], index: usize| starts.get(index).copied().unwrap_or(0);
    let mut last: Vec<(i64, i64, Last<'_>)> = Vec::with_capacity(4);
    for (index, point) in window.floats.iter().enumerate().skip(window.floats.len().saturating_sub(2)) {
        last.push((point.t, start_of(window.float_starts, index), Last::Float(point.v)));
    }
    for (index, point) in window.histograms.iter().enumerate().skip(window.histograms.len().saturating_sub(2))
    {
        last.push((point.t, start_of(window.histogram_starts, index), Last::Histogram(&point.h)));
    }
    last.sort_by_key(|(t, ..)| *t);
    let [.., (before_t, before_start, before), (now_t, now_start, now)] = last.as_slice() else {
        return Cell::Absent;
    };
    if now_t == before_t {
        return Cell::Absent;
    }
    let seconds = (now_t - before_t) as f64 / 1_000.0;
    let began = restarted(&[*before_start, *now_start], 0, *before_t, *now_t);
    match (*before, *now) {
        (Last::Float(before), Last::Float(now)) => {
            let whole = counter && (now < before || began);
            let found = if whole { now } else { now - before };
            Cell::Float(if counter { found / seconds } else { found })
        }
        (Last::Histogram(before), Last::Histogram(now)) => {
            let gauges = [before, now].map(|h| h.reset == CounterReset::Gauge);
            if counter && gauges.contains(&true) {
                notes.not_counter(window.span, window.metric);
            }
            if !counter && gauges.contains(&false) {
                notes.not_gauge(window.span, window.metric);
            }
            let mut result = (**now).clone();
            if !counter || (!began && !detect_reset(now, before)) {
                match sub(&mut result, before) {
                    Ok(merged) if merged.bounds_reconciled => {
                        notes.reconciled_bounds(window.span, "subtraction")
                    }
                    Ok(_) => {}
                    Err(_) => {
                        notes.mixed_schemas(window.span, window.metric);
                        return Cell::Absent;
                    }
                }
            }
            result.reset = CounterReset::Gauge;
            compact(&mut result);
            if counter {
                div(&mut result, seconds);
            }
            Cell::histogram(result)
        }
        _ => {
            notes.mixed_floats_histograms(window.span, window.metric);
            Cell::Absent
        }
    }
}
