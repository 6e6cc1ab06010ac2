//! What can be set: for one target, and for all.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use itom_core::Text;

use crate::Descriptor;

/// When one target runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub(super) every: Duration,
    pub(super) timeout: Duration,
    pub(super) group: Option<Text>,
    pub(super) collector: Option<Text>,
}

impl Schedule {
    /// The shortest interval; shorter ones are raised to it.
    pub const SHORTEST: Duration = Duration::from_millis(10);
    /// The longest interval and timeout; longer ones are cut to it.
    pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

    /// A run every `every` that may take `timeout`. Both are kept between one [`SHORTEST`](Self::SHORTEST) and one
    /// [`LONGEST`](Self::LONGEST). A timeout longer than the interval is allowed: the ticks in between are skipped.
    #[must_use]
    pub fn new(every: Duration, timeout: Duration) -> Self {
        Self {
            every: every.clamp(Self::SHORTEST, Self::LONGEST),
            timeout: timeout.clamp(Self::SHORTEST, Self::LONGEST),
            group: None,
            collector: None,
        }
    }

    /// What a collector asks for itself. Its target, if it has one, is the group.
    #[must_use]
    pub fn of(descriptor: &Descriptor) -> Self {
        Self {
            group: descriptor.target.clone(),
            collector: Some(descriptor.name.clone()),
            ..Self::new(descriptor.every, descriptor.timeout)
        }
    }

    /// Puts the target into a group whose concurrent runs are limited
    /// ([`SchedulerConfig::group_concurrency`]): everything that reads the same device, say.
    #[must_use]
    pub fn group(self, group: impl Into<Text>) -> Self {
        Self { group: Some(group.into()), ..self }
    }

    /// Sets under which name the target is counted; the part of its name before `@` if not set.
    #[must_use]
    pub fn collector(self, collector: impl Into<Text>) -> Self {
        Self { collector: Some(collector.into()), ..self }
    }

    /// How often.
    #[must_use]
    pub const fn every(&self) -> Duration {
        self.every
    }

    /// How long one run may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// What holds for all targets.
///
/// | setting | default |
/// |---|---|
/// | [`concurrency`](Self::concurrency) | 64 runs |
/// | [`group_concurrency`](Self::group_concurrency) | 2 runs of one group |
/// | [`first_run_within`](Self::first_run_within) | 30 s |
/// | [`backoff`](Self::backoff) | 10 s, doubling up to 10 min |
/// | [`longest_retry_after`](Self::longest_retry_after) | 1 h |
/// | [`breaker`](Self::breaker) | opens after 5 failures in a row, probes every 5 min |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerConfig {
    pub(super) concurrency: usize,
    pub(super) group_concurrency: usize,
    pub(super) first_run_within: Duration,
    pub(super) backoff_first: Duration,
    pub(super) backoff_longest: Duration,
    pub(super) longest_retry_after: Duration,
    pub(super) breaker: Option<(u32, Duration)>,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            concurrency: 64,
            group_concurrency: 2,
            first_run_within: Duration::from_secs(30),
            backoff_first: Duration::from_secs(10),
            backoff_longest: Duration::from_secs(600),
            longest_retry_after: Duration::from_secs(3_600),
            breaker: Some((5, Duration::from_secs(300))),
        }
    }
}

impl SchedulerConfig {
    /// How many runs there may be at a time.
    #[must_use]
    pub const fn concurrency(mut self, runs: NonZeroUsize) -> Self {
        self.concurrency = runs.get();
        self
    }

    /// How many runs there may be at a time of targets of one [group](Schedule::group).
    #[must_use]
    pub const fn group_concurrency(mut self, runs: NonZeroUsize) -> Self {
        self.group_concurrency = runs.get();
        self
    }

    /// Within which time a new or resumed target runs for the first time, if its phase comes later: what is read once
    /// a day should not be missing for a day. Zero starts at once.
    #[must_use]
    pub fn first_run_within(self, span: Duration) -> Self {
        Self { first_run_within: span.min(Schedule::LONGEST), ..self }
    }

    /// The pause after the first failure, and the longest it grows to by doubling. The true pause is between half of
    /// it and all of it, by a hash of the target's name and the attempt.
    #[must_use]
    pub fn backoff(self, first: Duration, longest: Duration) -> Self {
        let first = first.clamp(Schedule::SHORTEST, Schedule::LONGEST);
        Self { backoff_first: first, backoff_longest: longest.clamp(first, Schedule::LONGEST), ..self }
    }

    /// How long a source may ask us to stay away ([`Retry::After`](itom_core::Retry::After)).
    #[must_use]
    pub fn longest_retry_after(self, span: Duration) -> Self {
        Self { longest_retry_after: span.clamp(Schedule::SHORTEST, Schedule::LONGEST), ..self }
    }

    /// After how many failures in a row a target is only probed, and how long to wait between probes.
    #[must_use]
    pub fn breaker(self, failures: NonZeroU32, pause: Duration) -> Self {
        let pause = pause.clamp(Schedule::SHORTEST, Schedule::LONGEST);
        Self { breaker: Some((failures.get(), pause)), ..self }
    }

    /// No circuit breaker: backoff alone spaces failing targets.
    #[must_use]
    pub fn without_breaker(self) -> Self {
        Self { breaker: None, ..self }
    }
}
