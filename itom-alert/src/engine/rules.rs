//! Which rule is due when.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{Deadline, StableHasher, Text, Timestamp};

use crate::life::AlertMachine;
use crate::rule::{CompiledRule, Outcome, Ports};

/// Rules and their schedule. The phase of each rule is a hash of its name, so that rules spread over their interval and
/// keep their place across restarts.
#[derive(Debug, Clone, Default)]
pub struct RuleEngine {
    rules: BTreeMap<Text, Scheduled>,
}

#[derive(Debug, Clone)]
struct Scheduled {
    rule: CompiledRule,
    /// `None` until the first evaluation, which is due at once.
    next: Option<Timestamp>,
}

/// What one evaluation of one rule found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Evaluated {
    /// The rule.
    pub rule: CompiledRule,
    /// Every outcome, sorted by instance.
    pub outcomes: Vec<Outcome>,
}

impl RuleEngine {
    /// No rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule, or replaces the one of the same name.
    pub fn add(&mut self, rule: CompiledRule) {
        self.rules.insert(rule.name().clone(), Scheduled { rule, next: None });
    }

    /// Takes a rule away; whether it was there.
    pub fn remove(&mut self, name: &str) -> Option<CompiledRule> {
        self.rules.remove(name).map(|scheduled| scheduled.rule)
    }

    /// The rules, by name.
    pub fn rules(&self) -> impl Iterator<Item = &CompiledRule> {
        self.rules.values().map(|scheduled| &scheduled.rule)
    }

    /// Whether there is a rule of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.rules.contains_key(name)
    }

    /// Evaluates what is due. Evaluations that were missed are skipped, not made up for.
    pub fn evaluate_due(
        &mut self,
        now: Timestamp,
        ports: &Ports<'_>,
        machine: &AlertMachine,
    ) -> Vec<Evaluated> {
        let mut found = Vec::new();
        for (name, scheduled) in &mut self.rules {
            let interval = scheduled.rule.rule().interval();
            // A clock that was set back by more than an interval does not stop evaluation.
            let due = scheduled.next.is_none_or(|next| next <= now || next.since(now) > interval);
            if due {
                scheduled.next = Some(next_slot(name, interval, now));
                let outcomes = scheduled.rule.evaluate(now, ports, &machine.known(name));
                found.push(Evaluated { rule: scheduled.rule.clone(), outcomes });
            }
        }
        found
    }

    /// When the next rule is due; `Timestamp::MIN` for one that was never evaluated.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Deadline> {
        let next = self.rules.values().map(|scheduled| scheduled.next.unwrap_or(Timestamp::MIN)).min()?;
        Some(Deadline::new(next, "evaluate rules"))
    }
}

/// The first slot of a rule after `now`.
fn next_slot(name: &str, interval: Duration, now: Timestamp) -> Timestamp {
    let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX).max(1);
    let mut hasher = StableHasher::new();
    hasher.text(name);
    let phase = (hasher.finish() % interval.unsigned_abs()) as i64;
    let since = now.as_micros().saturating_sub(phase).rem_euclid(interval);
    Timestamp::from_micros(now.as_micros().saturating_add(interval - since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_stable_and_later() {
        let minute = Duration::from_secs(60);
        for second in 0..300 {
            let now = Timestamp::from_secs(1_700_000_000 + second);
            let next = next_slot("disk", minute, now);
            assert!(next > now && next.since(now) <= minute);
            assert_eq!(next_slot("disk", minute, next).since(next), minute);
        }
        assert_ne!(
            next_slot("disk", minute, Timestamp::EPOCH),
            next_slot("memory", minute, Timestamp::EPOCH),
            "rules spread"
        );
    }
}
