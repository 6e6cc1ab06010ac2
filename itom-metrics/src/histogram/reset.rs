//! Whether a counter of histograms began again.

use itom_core::{Buckets, CounterReset, Histogram, Layout};

use super::shape::{intersect, rolled_up, zero_count_for};

/// Whether `histogram` began again since `previous`: any count that fell, any populated bucket that is gone, a finer
/// resolution, a narrower zero bucket or one that ends within a bucket that was populated. A hint that says so decides
/// alone; gauges are compared like counters.
#[must_use]
pub fn detect_reset(histogram: &Histogram, previous: &Histogram) -> bool {
    match histogram.reset {
        CounterReset::Reset => return true,
        CounterReset::NotReset => return false,
        CounterReset::Unknown | CounterReset::Gauge => {}
    }
    if histogram.count < previous.count {
        return true;
    }
    match (&histogram.layout, &previous.layout) {
        (Layout::Custom(own), Layout::Custom(before)) if own != before => {
            let shared = intersect(own, before);
            fell(
                &rolled_up(&histogram.positive, own, &shared),
                rolled_up(&previous.positive, before, &shared).iter(),
            )
        }
        (Layout::Custom(_), Layout::Custom(_)) => fell(&histogram.positive, previous.positive.iter()),
        (Layout::Exponential(own), Layout::Exponential(before)) => {
            let threshold = histogram.zero_threshold;
            if own > before || threshold < previous.zero_threshold {
                return true;
            }
            let (zero, reached) = if threshold == previous.zero_threshold {
                (previous.zero_count, threshold)
            } else {
                zero_count_for(previous, threshold)
            };
            if reached != threshold || histogram.zero_count < zero {
                return true;
            }
            [(&histogram.positive, &previous.positive), (&histogram.negative, &previous.negative)]
                .into_iter()
                .any(|(now, then)| {
                    let mut outside = Buckets::new();
                    for (index, count) in
                        then.iter().skip_while(|(index, _)| before.bound(*index) <= threshold)
                    {
                        outside.add(before.index_in(*own, index), count);
                    }
                    fell(now, outside.iter())
                })
        }
        _ => true,
    }
}

/// Whether a bucket has less in it than before.
fn fell(now: &Buckets, then: impl Iterator<Item = (i32, f64)>) -> bool {
    let mut now = now.iter().peekable();
    for (index, before) in then {
        while now.next_if(|entry| entry.0 < index).is_some() {}
        let fell = match now.next_if(|entry| entry.0 == index) {
            Some((_, count)) => count < before,
            None => before != 0.0,
        };
        if fell {
            return true;
        }
    }
    false
}
