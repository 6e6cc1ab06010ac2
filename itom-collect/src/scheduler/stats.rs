//! What the scheduler counts about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{Batch, LabelName, Labels, MetricName, SampleKind, SampleObservation, Text};

use super::{MissedWhy, Outcome};

/// The counts of all targets of one collector. Counters outlive the targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectorStats {
    /// Targets scheduled.
    pub targets: u64,
    /// Runs going on.
    pub running: u64,
    /// Targets paused.
    pub paused: u64,
    /// Targets that failed too often in a row and are only probed.
    pub breaker_open: u64,
    /// Runs that ended well.
    pub ok: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that were cut off.
    pub timed_out: u64,
    /// Runs that were told to stop.
    pub cancelled: u64,
    /// How long the ended runs took together.
    pub duration: Duration,
    /// Ticks that passed because a run took or waited too long.
    pub missed_late: u64,
    /// Ticks that passed while a failing target was given time.
    pub missed_backed_off: u64,
    /// Ticks that passed while a target was paused.
    pub missed_paused: u64,
}

impl CollectorStats {
    /// How many runs have ended.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.ok + self.failed + self.timed_out + self.cancelled
    }

    pub(super) fn count_end(&mut self, outcome: Outcome, took: Duration) {
        self.running = self.running.saturating_sub(1);
        self.duration = self.duration.saturating_add(took);
        match outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Failed { .. } => self.failed += 1,
            Outcome::TimedOut => self.timed_out += 1,
            Outcome::Cancelled => self.cancelled += 1,
        }
    }

    pub(super) fn count_missed(&mut self, ticks: u64, why: MissedWhy) {
        let counter = match why {
            MissedWhy::Late => &mut self.missed_late,
            MissedWhy::BackedOff => &mut self.missed_backed_off,
            MissedWhy::Paused => &mut self.missed_paused,
        };
        *counter = counter.saturating_add(ticks);
    }
}

/// What the scheduler counts about itself: plain data, taken at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchedulerStats {
    /// By collector.
    pub collectors: BTreeMap<Text, CollectorStats>,
    /// Targets that are due and wait for the limits on concurrent runs.
    pub waiting: u64,
    /// For how long the oldest of them has been due.
    pub lag: Duration,
}

const COLLECTOR: LabelName = LabelName::literal("collector");

impl SchedulerStats {
    /// Pushes the counts as samples: `itom_collect_runs_total{collector,outcome}`,
    /// `itom_collect_run_duration_seconds_sum` and `_count`, `itom_collect_missed_total{collector,why}`,
    /// `itom_collect_running`, `itom_collect_targets`, `itom_collect_paused` and `itom_collect_breaker_open` by
    /// collector, and `itom_collect_waiting` and `itom_collect_lag_seconds` for all.
    pub fn push_into(&self, batch: &mut Batch) {
        for (collector, stats) in &self.collectors {
            let own = Labels::empty().to_builder().set(COLLECTOR, collector.clone()).build();
            let with = |name, value: &'static str| {
                own.to_builder().set(LabelName::literal(name), Text::literal(value)).build()
            };
            let runs = [
                ("ok", stats.ok),
                ("error", stats.failed),
                ("timeout", stats.timed_out),
                ("cancelled", stats.cancelled),
            ];
            for (outcome, count) in runs {
                counter(batch, "itom_collect_runs_total", with("outcome", outcome), count as f64);
            }
            let missed = [
                (MissedWhy::Late, stats.missed_late),
                (MissedWhy::BackedOff, stats.missed_backed_off),
                (MissedWhy::Paused, stats.missed_paused),
            ];
            for (why, count) in missed {
                counter(batch, "itom_collect_missed_total", with("why", why.as_str()), count as f64);
            }
            let seconds = stats.duration.as_secs_f64();
            counter(batch, "itom_collect_run_duration_seconds_sum", own.clone(), seconds);
            counter(batch, "itom_collect_run_duration_seconds_count", own.clone(), stats.ended() as f64);
            let gauges = [
                ("itom_collect_running", stats.running),
                ("itom_collect_targets", stats.targets),
                ("itom_collect_paused", stats.paused),
                ("itom_collect_breaker_open", stats.breaker_open),
            ];
            for (metric, value) in gauges {
                batch.gauge(MetricName::literal(metric), value as f64).labels(own.clone());
            }
        }
        batch.gauge(MetricName::literal("itom_collect_waiting"), self.waiting as f64);
        batch.gauge(MetricName::literal("itom_collect_lag_seconds"), self.lag.as_secs_f64());
    }
}

fn counter(batch: &mut Batch, metric: &'static str, labels: Labels, value: f64) {
    let mut sample = SampleObservation::new(MetricName::literal(metric), SampleKind::Counter, value);
    sample.labels(labels);
    batch.sample(sample);
}
