//! Functions of windows, from buckets of histograms: what the same function makes of the samples, but for the order in
//! which it adds up. That shows in the last digits, and where both resolution and zero bucket change within one window
//! it may show in how far the zero bucket of the result reaches.

use std::sync::Arc;

use itom_core::{CounterReset, Histogram, Layout, Schema};

use super::super::Annotations;
use super::super::over_time::Hints;
use crate::HistogramBucket;
use crate::histogram::{CompensatedHistogram, add, compact, copy_to_schema, detect_reset, sub};
use crate::promql::Span;

/// Whom remarks are about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) span: Span,
    pub(super) metric: &'a str,
}

/// The sum of all histograms of the buckets, as `sum_over_time` has it.
pub(super) fn sum(
    buckets: &[HistogramBucket],
    about: About<'_>,
    notes: &mut Annotations,
) -> Option<CompensatedHistogram> {
    let mut hints = Hints::default();
    let mut whole: Option<CompensatedHistogram> = None;
    for bucket in buckets {
        let said = bucket.said;
        hints.saw(said.reset, said.not_reset, said.sum_reconciled);
        let added = match (&mut whole, &bucket.sum) {
            (_, None) => None,
            (None, Some(sum)) => {
                whole = Some(CompensatedHistogram::new((**sum).clone()));
                Some(())
            }
            (Some(whole), Some(sum)) => whole.add(sum).ok().map(|merged| hints.merged(merged)),
        };
        if added.is_none() {
            notes.mixed_schemas(about.span, about.metric);
            return None;
        }
    }
    hints.say(about.span, notes);
    whole
}

/// Which kinds of buckets some histograms have, and how fine the coarsest exponential ones are.
#[derive(Debug, Clone, Copy, Default)]
struct Kinds {
    customs: bool,
    coarsest: Option<Schema>,
}

impl Kinds {
    fn of(layout: &Layout) -> Self {
        match layout {
            Layout::Exponential(schema) => Self { customs: false, coarsest: Some(*schema) },
            Layout::Custom(_) => Self { customs: true, coarsest: None },
        }
    }

    fn and(self, other: Self) -> Self {
        let coarsest = match (self.coarsest, other.coarsest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        };
        Self { customs: self.customs || other.customs, coarsest }
    }

    const fn mixed(self) -> bool {
        self.customs && self.coarsest.is_some()
    }
}

/// By how much a counter or gauge changed from the first to the last histogram of the buckets, of which there are two at
/// least: what `rate::histogram_change` makes of the histograms themselves.
pub(super) fn change(
    buckets: &[HistogramBucket],
    counter: bool,
    about: About<'_>,
    notes: &mut Annotations,
) -> Option<Histogram> {
    let [first, rest @ ..] = buckets else { return None };
    let last = rest.last().unwrap_or(first);
    let About { span, metric } = about;
    if counter && buckets.iter().any(|bucket| bucket.said.gauge) {
        notes.not_counter(span, metric);
    }
    if !counter && [&first.first, &last.last].iter().any(|h| h.reset != CounterReset::Gauge) {
        notes.not_gauge(span, metric);
    }
    // The layout of the second histogram, when the counter began again with it.
    let began_again = match rest {
        _ if !counter => None,
        [second, ..] if first.count == 1 => {
            detect_reset(&second.first, &first.first).then(|| second.first.layout.clone())
        }
        _ => first.began_again.clone(),
    };
    let mut before = Arc::clone(&first.first);
    let without_first = began_again.is_some();
    if let Some(layout) = began_again {
        let mut empty = Histogram::default();
        empty.layout = layout;
        before = Arc::new(empty);
    }
    let mut kinds = Kinds::of(&before.layout).and(Kinds::of(&last.last.layout));
    if counter {
        let inner = |bucket: &HistogramBucket| Kinds { customs: bucket.customs, coarsest: bucket.coarsest };
        kinds = kinds.and(inner(first));
        for bucket in rest {
            kinds = kinds.and(Kinds::of(&bucket.first.layout)).and(inner(bucket));
        }
    }
    let mixed = |notes: &mut Annotations| {
        notes.mixed_schemas(span, metric);
        None
    };
    if kinds.mixed() {
        return mixed(notes);
    }
    let mut result = match kinds.coarsest {
        Some(schema) => copy_to_schema(&last.last, schema).unwrap_or_else(|_| (*last.last).clone()),
        None => (*last.last).clone(),
    };
    match sub(&mut result, &before) {
        Ok(merged) if merged.bounds_reconciled => notes.reconciled_bounds(span, "subtraction"),
        Ok(_) => {}
        Err(_) => return mixed(notes),
    }
    if counter {
        let mut lost: Vec<&Histogram> = Vec::new();
        for (index, bucket) in buckets.iter().enumerate() {
            if let Some(previous) = index.checked_sub(1).and_then(|index| buckets.get(index)) {
                let told = index == 1 && previous.count == 1 && without_first;
                if !told && detect_reset(&bucket.first, &previous.last) {
                    lost.push(&previous.last);
                }
                lost.extend(bucket.began_again.is_some().then_some(&*bucket.first));
            }
            lost.extend(bucket.lost.iter().map(|one| &**one));
        }
        for one in lost {
            match add(&mut result, one) {
                Ok(merged) if merged.bounds_reconciled => notes.reconciled_bounds(span, "addition"),
                Ok(_) => {}
                Err(_) => return mixed(notes),
            }
        }
    }
    result.reset = CounterReset::Gauge;
    compact(&mut result);
    Some(result)
}
