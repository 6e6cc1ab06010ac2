//! Windows whose edges are looked up or computed: `anchored` and `smoothed`.

use itom_core::{CounterReset, Histogram};

use super::Annotations;
use super::block::Cell;
use super::over_time::Window;
use super::rate::Change;
use crate::histogram::{Incompatible, add, compact, detect_reset, div, mul, sub};
use crate::{FloatPoint, HistogramPoint};

/// The value at a time between two points, on the line between them. A counter that fell began again at zero.
pub(super) fn between(before: FloatPoint, after: FloatPoint, time: i64, counter: bool) -> f64 {
    let from = if counter && after.v < before.v { 0.0 } else { before.v };
    from + (after.v - from) * ((time - before.t) as f64) / ((after.t - before.t) as f64)
}

/// The same with the samples next to the window: taken as they are, or as a line to the edge.
pub(super) fn extended(window: &Window<'_>, change: Change, smoothed: bool, notes: &mut Annotations) -> Cell {
    if !window.histograms.is_empty() {
        if window.floats.is_empty() {
            return extended_histograms(window, change, smoothed, notes);
        }
        notes.mixed_floats_histograms(window.span, window.metric);
        return Cell::Absent;
    }
    let floats = window.floats;
    let (from, to) = (window.from, window.to);
    let Some(mut last) = floats.len().checked_sub(1) else { return Cell::Absent };
    let mut first = floats[..last].partition_point(|point| point.t <= from).saturating_sub(1);
    if smoothed {
        last = floats[..last].partition_point(|point| point.t < to);
    }
    let (Some(at_first), Some(at_last)) = (floats.get(first), floats.get(last)) else { return Cell::Absent };
    if at_last.t <= from || (smoothed && at_first.t > to) {
        return Cell::Absent;
    }
    let left = match floats.get(first + 1) {
        Some(next) if smoothed && at_first.t < from => between(*at_first, *next, from, change.counter),
        _ => at_first.v,
    };
    let right = match last.checked_sub(1).and_then(|before| floats.get(before)) {
        Some(before) if smoothed && at_last.t > to => between(*before, *at_last, to, change.counter),
        _ => at_last.v,
    };
    let mut result = right - left;
    if change.counter {
        if at_first.t <= from {
            first += 1;
        }
        let end = if at_last.t >= to { last } else { last + 1 };
        let mut before = left;
        for point in floats.get(first..end.max(first)).unwrap_or(&[]) {
            if point.v < before {
                result += before;
            }
            before = point.v;
        }
        if right < before {
            result += before;
        }
    }
    if change.per_second {
        result /= window.seconds();
    }
    Cell::Float(result)
}

/// The floats of a window with a value at each of its edges.
pub(super) fn with_edges(window: &Window<'_>, smoothed: bool) -> Vec<FloatPoint> {
    let floats = window.floats;
    let (from, to) = (window.from, window.to);
    let Some(mut last) = floats.len().checked_sub(1) else { return Vec::new() };
    let first = floats[..last].partition_point(|point| point.t <= from).saturating_sub(1);
    if smoothed {
        last = floats[..last].partition_point(|point| point.t < to);
    }
    let (Some(at_first), Some(at_last)) = (floats.get(first), floats.get(last)) else { return Vec::new() };
    if at_last.t <= from {
        return Vec::new();
    }
    let left = match floats.get(first + 1) {
        Some(next) if smoothed && at_first.t < from => between(*at_first, *next, from, false),
        _ => at_first.v,
    };
    let right = match last.checked_sub(1).and_then(|before| floats.get(before)) {
        Some(before) if smoothed && at_last.t > to => between(*before, *at_last, to, false),
        _ => at_last.v,
    };
    let inner = floats.iter().filter(|point| point.t > from && point.t < to).copied();
    let mut out = vec![FloatPoint { t: from, v: left }];
    out.extend(inner);
    out.push(FloatPoint { t: to, v: right });
    out
}

/// The histogram at a time between two others. A counter that began again is taken to have done so at the first.
pub(super) fn between_histograms(
    before: &HistogramPoint,
    after: &HistogramPoint,
    time: i64,
    counter: bool,
) -> Result<Histogram, Incompatible> {
    let mut found = (*after.h).clone();
    if after.h.custom_bounds().is_some() != before.h.custom_bounds().is_some() {
        return sub(&mut found, &before.h).map(|_| found);
    }
    let share = ((time - before.t) as f64) / ((after.t - before.t) as f64);
    if counter && detect_reset(&after.h, &before.h) {
        mul(&mut found, share);
        return Ok(found);
    }
    sub(&mut found, &before.h)?;
    mul(&mut found, share);
    add(&mut found, &before.h)?;
    Ok(found)
}

fn extended_histograms(window: &Window<'_>, change: Change, smoothed: bool, notes: &mut Annotations) -> Cell {
    let points = window.histograms;
    let (from, to) = (window.from, window.to);
    let Some(mut last) = points.len().checked_sub(1) else { return Cell::Absent };
    let first = points[..last].partition_point(|point| point.t <= from).saturating_sub(1);
    if smoothed {
        last = points[..last].partition_point(|point| point.t < to);
    }
    let used = points.get(first..last + 1).unwrap_or(&[]);
    let (Some(at_first), Some(at_last)) = (used.first(), used.last()) else { return Cell::Absent };
    if at_last.t <= from || (smoothed && at_first.t > to) {
        return Cell::Absent;
    }
    let gauge = |point: &HistogramPoint| point.h.reset == CounterReset::Gauge;
    if change.counter && used.iter().any(gauge) {
        notes.not_counter(window.span, window.metric);
    }
    if !change.counter && !(gauge(at_first) && gauge(at_last)) {
        notes.not_gauge(window.span, window.metric);
    }
    let custom = |point: &HistogramPoint| point.h.custom_bounds().is_some();
    let result = if used.iter().any(|point| custom(point) != custom(at_first)) {
        None
    } else {
        histogram_change(used, (from, to), change.counter, smoothed).ok()
    };
    let Some(mut result) = result else {
        notes.mixed_schemas(window.span, window.metric);
        return Cell::Absent;
    };
    if change.per_second {
        div(&mut result, window.seconds());
    }
    result.reset = CounterReset::Gauge;
    compact(&mut result);
    Cell::histogram(result)
}

/// By how much histograms changed between two times, restarts made good.
fn histogram_change(
    used: &[HistogramPoint],
    (from, to): (i64, i64),
    counter: bool,
    smoothed: bool,
) -> Result<Histogram, Incompatible> {
    let (Some(first), Some(last)) = (used.first(), used.last()) else { return Ok(Histogram::default()) };
    let next = used.get(1).filter(|_| smoothed && first.t < from);
    let left =
        next.map_or_else(|| Ok((*first.h).clone()), |next| between_histograms(first, next, from, counter))?;
    let before =
        used.len().checked_sub(2).and_then(|index| used.get(index)).filter(|_| smoothed && last.t > to);
    let mut result = before
        .map_or_else(|| Ok((*last.h).clone()), |before| between_histograms(before, last, to, counter))?;
    sub(&mut result, &left)?;
    if counter {
        for (index, pair) in used.windows(2).enumerate() {
            // The value at the left edge knows of a restart just behind it.
            let known = index == 0 && next.is_some();
            if let [before, now] = pair
                && !known
                && detect_reset(&now.h, &before.h)
            {
                add(&mut result, &before.h)?;
            }
        }
    }
    Ok(result)
}
