//! From samples to a number.

use std::time::Duration;

use itom_core::Timestamp;

use super::condition::{AcrossOp, Reduce};

/// The samples of one series, in order, become one number; `None` when there are too few or the result is no number.
pub(crate) fn reduce(
    how: Reduce,
    samples: &[(Timestamp, f64)],
    now: Timestamp,
    window: Duration,
) -> Option<f64> {
    let values = || samples.iter().map(|(_, value)| *value);
    let (first, last) = (samples.first()?, samples.last()?);
    let result = match how {
        Reduce::Last => last.1,
        Reduce::Avg => values().sum::<f64>() / samples.len() as f64,
        Reduce::Min => values().fold(f64::INFINITY, f64::min),
        Reduce::Max => values().fold(f64::NEG_INFINITY, f64::max),
        Reduce::Sum => values().sum(),
        Reduce::Count => samples.len() as f64,
        Reduce::Increase => increase(samples)?,
        Reduce::Rate => {
            let span = last.0.since(first.0).as_secs_f64();
            if span <= 0.0 {
                return None;
            }
            increase(samples)? / span
        }
        Reduce::Delta => {
            if samples.len() < 2 {
                return None;
            }
            last.1 - first.1
        }
        Reduce::Forecast { ahead } => forecast(samples, now + ahead, window)?,
    };
    (!result.is_nan()).then_some(result)
}

/// How much a counter grew; a fall counts as a restart from zero.
fn increase(samples: &[(Timestamp, f64)]) -> Option<f64> {
    if samples.len() < 2 {
        return None;
    }
    Some(
        samples
            .windows(2)
            .map(|pair| {
                let (before, after) = (pair[0].1, pair[1].1);
                if after < before { after } else { after - before }
            })
            .sum(),
    )
}

/// Where the line of least squares will be at `at`. Times are taken relative to the first sample, so that squares stay
/// small and exact enough.
fn forecast(samples: &[(Timestamp, f64)], at: Timestamp, window: Duration) -> Option<f64> {
    let (first, last) = (samples.first()?.0, samples.last()?.0);
    if samples.len() < 3 || last.since(first) * 2 < window {
        return None;
    }
    let count = samples.len() as f64;
    let x = |time: Timestamp| time.since(first).as_secs_f64();
    let mean_x = samples.iter().map(|(time, _)| x(*time)).sum::<f64>() / count;
    let mean_y = samples.iter().map(|(_, value)| *value).sum::<f64>() / count;
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (time, value) in samples {
        let distance = x(*time) - mean_x;
        covariance += distance * (value - mean_y);
        variance += distance * distance;
    }
    if variance == 0.0 {
        return None;
    }
    Some(mean_y + covariance / variance * (x(at) - mean_x))
}

/// The numbers of a group become one.
pub(crate) fn across(op: AcrossOp, values: &[f64]) -> f64 {
    match op {
        AcrossOp::Sum => values.iter().sum(),
        AcrossOp::Avg => values.iter().sum::<f64>() / values.len() as f64,
        AcrossOp::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        AcrossOp::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        AcrossOp::Count => values.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(i64, f64)]) -> Vec<(Timestamp, f64)> {
        points.iter().map(|(at, value)| (Timestamp::from_secs(*at), *value)).collect()
    }

    fn run(how: Reduce, points: &[(i64, f64)]) -> Option<f64> {
        reduce(how, &series(points), Timestamp::from_secs(100), Duration::from_secs(100))
    }

    #[test]
    fn counters_survive_restarts() {
        let points = [(0, 10.0), (50, 30.0), (60, 5.0), (100, 15.0)];
        assert_eq!(run(Reduce::Increase, &points), Some(20.0 + 5.0 + 10.0));
        assert_eq!(run(Reduce::Rate, &points), Some(0.35));
        assert_eq!(run(Reduce::Delta, &points), Some(5.0));
        assert_eq!(run(Reduce::Increase, &points[..1]), None);
        assert_eq!(run(Reduce::Rate, &[]), None);
    }

    #[test]
    fn plain_reductions() {
        let points = [(0, 1.0), (50, 4.0), (100, 1.0)];
        assert_eq!(run(Reduce::Avg, &points), Some(2.0));
        assert_eq!(run(Reduce::Max, &points), Some(4.0));
        assert_eq!(run(Reduce::Min, &points), Some(1.0));
        assert_eq!(run(Reduce::Sum, &points), Some(6.0));
        assert_eq!(run(Reduce::Count, &points), Some(3.0));
        assert_eq!(run(Reduce::Last, &[(0, f64::NAN)]), None, "not a number is no data");
    }

    #[test]
    fn a_straight_line_is_continued() {
        let ahead = Reduce::Forecast { ahead: Duration::from_secs(100) };
        let points: Vec<(i64, f64)> = (0..=10).map(|step| (step * 10, 1000.0 - step as f64 * 50.0)).collect();
        let predicted = run(ahead, &points).unwrap();
        assert!((predicted - 0.0).abs() < 1e-9, "{predicted}");
        assert_eq!(run(ahead, &points[..4]), None, "a short stretch of the window says nothing");
    }
}
