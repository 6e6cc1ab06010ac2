//! How the engine evaluates.

use std::time::Duration;

use super::Interruption;

/// When a store that has [tiers](crate::Tiered) is asked for what stretches of time amount to, instead of samples. A
/// selector is answered from samples or from one tier, and a remark says from which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TierUse {
    /// Where samples are gone that the selector looks at: the one with the shortest buckets that reaches back far enough.
    #[default]
    Needed,
    /// Also where its buckets are no longer than the range and the step.
    Preferred,
    /// Always the one with buckets of this length, if there is one.
    Only(Duration),
    /// Never: what is gone is absent.
    Never,
}

/// How the engine evaluates. The default is what a Prometheus 3 does without feature flags.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineOptions {
    /// How old the newest sample of a series may be.
    pub lookback: Duration,
    /// How many samples may be held at a time.
    pub max_samples: u64,
    /// How many series a selector may fit.
    pub max_series: u64,
    /// The step of subqueries that name none.
    pub subquery_step: Duration,
    /// Metric names are dropped at the end instead of by each function, so that what is in between can use them.
    pub delayed_name_removal: bool,
    /// The labels `__type__` and `__unit__` say what a metric is.
    pub type_and_unit_labels: bool,
    /// Counters are taken to begin anew where a sample's start time says so.
    pub start_timestamps: bool,
    /// When tiers answer.
    pub tiers: TierUse,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            max_samples: 50_000_000,
            max_series: 10_000_000,
            subquery_step: Duration::from_secs(60),
            delayed_name_removal: false,
            type_and_unit_labels: false,
            start_timestamps: false,
            tiers: TierUse::Needed,
        }
    }
}

impl EngineOptions {
    /// Sets the lookback.
    #[must_use]
    pub const fn lookback(mut self, lookback: Duration) -> Self {
        self.lookback = lookback;
        self
    }

    /// Sets the limit on samples.
    #[must_use]
    pub const fn max_samples(mut self, max_samples: u64) -> Self {
        self.max_samples = max_samples;
        self
    }

    /// Sets the limit on series of a selector.
    #[must_use]
    pub const fn max_series(mut self, max_series: u64) -> Self {
        self.max_series = max_series;
        self
    }

    /// Sets the step of subqueries that name none.
    #[must_use]
    pub const fn subquery_step(mut self, step: Duration) -> Self {
        self.subquery_step = step;
        self
    }

    /// Drops names at the end.
    #[must_use]
    pub const fn delayed_name_removal(mut self, on: bool) -> Self {
        self.delayed_name_removal = on;
        self
    }

    /// Uses the labels of type and unit.
    #[must_use]
    pub const fn type_and_unit_labels(mut self, on: bool) -> Self {
        self.type_and_unit_labels = on;
        self
    }

    /// Uses start times.
    #[must_use]
    pub const fn start_timestamps(mut self, on: bool) -> Self {
        self.start_timestamps = on;
        self
    }

    /// Sets when tiers answer.
    #[must_use]
    pub const fn tiers(mut self, tiers: TierUse) -> Self {
        self.tiers = tiers;
        self
    }

    pub(super) fn lookback_millis(&self) -> i64 {
        millis(self.lookback)
    }

    pub(super) fn subquery_millis(&self) -> i64 {
        millis(self.subquery_step).max(1)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Asked now and then whether to go on. The engine has no clock: whoever limits its time looks at one here.
///
/// ```
/// use itom_metrics::eval::{Interruption, Watch};
/// let patience = std::cell::Cell::new(1_000);
/// let watch = || {
///     patience.set(patience.get() - 1);
///     (patience.get() == 0).then_some(Interruption::TimedOut)
/// };
/// assert!(Watch::interrupted(&watch).is_none());
/// ```
pub trait Watch {
    /// Why to stop, if so.
    fn interrupted(&self) -> Option<Interruption>;
}

impl<F: Fn() -> Option<Interruption>> Watch for F {
    fn interrupted(&self) -> Option<Interruption> {
        self()
    }
}

/// Never stops.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Patient;

impl Watch for Patient {
    fn interrupted(&self) -> Option<Interruption> {
        None
    }
}
