//! Arithmetic of ticks and pauses: pure functions of names and times.

use std::time::Duration;

use itom_core::{StableHasher, Timestamp};

/// The ticks of one target: `every` apart, shifted by a hash of its name, the same after every restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticks {
    every: i128,
    phase: i128,
}

impl Ticks {
    pub(super) fn new(name: &str, every: Duration) -> Self {
        let every = (every.as_micros() as i128).max(1);
        Self { every, phase: i128::from(hash(name, "phase", 0)).rem_euclid(every) }
    }

    fn index(self, at: Timestamp) -> i128 {
        (i128::from(at.as_micros()) - self.phase).div_euclid(self.every)
    }

    /// The first tick after `at`.
    pub(super) fn after(self, at: Timestamp) -> Timestamp {
        let micros = (self.index(at) + 1) * self.every + self.phase;
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// How many ticks lie in `(from, to]`; none when `to` is before `from`.
    pub(super) fn between(self, from: Timestamp, to: Timestamp) -> u64 {
        u64::try_from(self.index(to) - self.index(from)).unwrap_or(0)
    }
}

/// A point within `span`, by a hash of the name.
pub(super) fn spread(name: &str, span: Duration) -> Duration {
    scaled(span, hash(name, "first", 0))
}

/// The pause after failure number `attempt` (from 1): doubles from `first` to `longest`, of which between half and all.
pub(super) fn backoff(name: &str, attempt: u32, first: Duration, longest: Duration) -> Duration {
    let doubled = 2_u32.checked_pow(attempt.saturating_sub(1)).and_then(|times| first.checked_mul(times));
    jittered(name, attempt, doubled.map_or(longest, |pause| pause.min(longest)))
}

/// Between half of `span` and all of it, by a hash of the name and the attempt.
pub(super) fn jittered(name: &str, attempt: u32, span: Duration) -> Duration {
    let half = span / 2;
    half + scaled(span - half, hash(name, "backoff", attempt))
}

/// `span` times a fraction in `[0, 1)`.
fn scaled(span: Duration, fraction: u64) -> Duration {
    let micros = (span.as_micros().min(u128::from(u64::MAX)) * u128::from(fraction)) >> 64;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

fn hash(name: &str, purpose: &str, attempt: u32) -> u64 {
    let mut hasher = StableHasher::new();
    hasher.text(purpose);
    hasher.text(name);
    hasher.int(i64::from(attempt));
    hasher.finish()
}

/// Turns the clock's time, which may step back, into one that does not: a step back is taken out, so that spans stay
/// what they were and nothing waits for the time lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steady {
    last: Timestamp,
    offset: i64,
}

impl Steady {
    pub(super) const fn new() -> Self {
        Self { last: Timestamp::MIN, offset: 0 }
    }

    /// Whether the clock is behind what it said last.
    pub(super) fn stepped_back(self, now: Timestamp) -> bool {
        now < self.last
    }

    /// Takes note of the clock.
    pub(super) fn note(&mut self, now: Timestamp) -> Timestamp {
        if now < self.last {
            let back = self.last.as_micros().saturating_sub(now.as_micros());
            self.offset = self.offset.saturating_add(back);
        }
        self.last = now;
        self.of_clock(now)
    }

    /// The steady time of a time of the clock.
    pub(super) fn of_clock(self, at: Timestamp) -> Timestamp {
        Timestamp::from_micros(at.as_micros().saturating_add(self.offset))
    }

    /// The time of the clock at a steady time.
    pub(super) fn to_clock(self, at: Timestamp) -> Timestamp {
        // What never comes stays what never comes.
        if at == Timestamp::MAX {
            return at;
        }
        Timestamp::from_micros(at.as_micros().saturating_sub(self.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_every_apart_and_counted_exactly() {
        let ticks = Ticks::new("a", Duration::from_secs(60));
        let first = ticks.after(Timestamp::EPOCH);
        assert!(first > Timestamp::EPOCH && first <= Timestamp::from_secs(60));
        assert_eq!(ticks.after(first), first + Duration::from_secs(60));
        assert_eq!(ticks.between(first, first), 0);
        assert_eq!(ticks.between(first, first + Duration::from_secs(180)), 3);
        assert_eq!(ticks.between(first + Duration::from_secs(180), first), 0);
        assert_eq!(ticks.after(Timestamp::MAX), Timestamp::MAX);
        assert!(ticks.after(Timestamp::MIN) > Timestamp::MIN);
    }

    #[test]
    fn a_step_back_keeps_spans() {
        let mut steady = Steady::new();
        let due = steady.note(Timestamp::from_secs(1_000)) + Duration::from_secs(30);
        steady.note(Timestamp::from_secs(400));
        assert_eq!(steady.to_clock(due), Timestamp::from_secs(430));
        assert_eq!(steady.note(Timestamp::from_secs(410)), Timestamp::from_secs(1_010));
    }
}
