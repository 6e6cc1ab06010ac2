//! One group and its evaluations.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use itom_core::{Annotations, LabelName, Labels, SampleValue, StableHasher, Text, Timestamp, WrittenSample};

use super::alerts::{Active, advance};
use super::contract::{Evaluated, Found, GroupConfig, GroupKey, GroupOutput, Health, RuleStatus};
use super::order::steps;
use crate::prometheus::{GroupRule, RuleGroup, Template};

/// One rule and what it remembers.
#[derive(Debug, Clone)]
pub(super) struct RuleState {
    pub(super) rule: GroupRule,
    pub(super) active: Active,
    /// What it wrote at the last evaluation that worked.
    pub(super) written: BTreeSet<Labels>,
    pub(super) restored: bool,
    pub(super) health: Health,
    pub(super) last: Option<Timestamp>,
    pub(super) series: usize,
    pub(super) samples_read: u64,
    pub(super) annotations: Annotations,
}

impl RuleState {
    pub(super) fn new(rule: GroupRule, restored: bool) -> Self {
        Self {
            rule,
            active: Active::new(),
            written: BTreeSet::new(),
            restored,
            health: Health::Unknown,
            last: None,
            series: 0,
            samples_read: 0,
            annotations: Annotations::default(),
        }
    }

    pub(super) fn status(&self) -> RuleStatus {
        let alerting = self.rule.alerting();
        RuleStatus {
            name: self.rule.name.clone(),
            expression: self.rule.expression.source().into(),
            is_alerting: alerting.is_some(),
            hold: alerting.map_or(Duration::ZERO, |alerting| alerting.hold),
            keep_firing_for: alerting.map_or(Duration::ZERO, |alerting| alerting.keep_firing_for),
            labels: self.rule.labels.clone(),
            texts: alerting.map_or_else(BTreeMap::new, |alerting| {
                let text = |(name, text): (&LabelName, &Template)| (name.clone(), text.text().clone());
                alerting.annotations.iter().map(text).collect()
            }),
            health: self.health.clone(),
            last: self.last,
            series: self.series,
            samples_read: self.samples_read,
            annotations: self.annotations.clone(),
            alerts: self.active.values().cloned().collect(),
        }
    }

    /// Takes a result in; gives what is to be written, or why nothing is.
    fn take(
        &mut self,
        slot: Timestamp,
        at: Timestamp,
        limit: usize,
        found: Vec<Found>,
    ) -> Result<Vec<WrittenSample>, Text> {
        self.series = found.len();
        let Some(alerting) = self.rule.alerting() else {
            if limit > 0 && found.len() > limit {
                return Err(format!("exceeded limit of {limit} with {} series", found.len()).into());
            }
            return Ok(found.into_iter().map(|one| WrittenSample::new(one.labels, at, one.value)).collect());
        };
        let count = advance(&mut self.active, alerting, found, slot);
        if limit > 0 && count > limit {
            self.active.clear();
            return Err(format!("exceeded limit of {limit} with {count} alerts").into());
        }
        if !self.restored {
            return Ok(Vec::new());
        }
        let open = self.active.values().filter(|alert| alert.state != super::AlertState::Inactive);
        Ok(open.flat_map(|alert| alert.samples(at)).collect())
    }
}

/// What of an evaluation is still to be done.
#[derive(Debug, Clone)]
pub(super) struct Cycle {
    pub(super) slot: Timestamp,
    pub(super) missed: u64,
    /// The steps after the one that was asked for.
    pub(super) next_step: usize,
}

/// One group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) key: GroupKey,
    pub(super) source: RuleGroup,
    pub(super) interval: Duration,
    pub(super) query_offset: Duration,
    pub(super) rules: Vec<RuleState>,
    pub(super) steps: Vec<Range<usize>>,
    pub(super) next: Timestamp,
    pub(super) last: Option<Timestamp>,
    pub(super) cycle: Option<Cycle>,
    pub(super) evaluations: u64,
    pub(super) missed: u64,
    /// Series of rules that are gone: they end at the next evaluation.
    pub(super) ended: BTreeSet<Labels>,
}

impl Group {
    pub(super) fn new(source: RuleGroup, config: &GroupConfig, restored: bool, now: Timestamp) -> Self {
        let interval = source.interval.unwrap_or(config.interval).max(Duration::from_millis(1));
        let mut group = Self {
            key: GroupKey::of(&source),
            interval,
            query_offset: source.query_offset.unwrap_or(config.query_offset),
            steps: steps(&source.rules),
            rules: source.rules.iter().map(|rule| RuleState::new(rule.clone(), restored)).collect(),
            source,
            next: now,
            last: None,
            cycle: None,
            evaluations: 0,
            missed: 0,
            ended: BTreeSet::new(),
        };
        group.next = group.slot(now) + interval;
        group
    }

    /// The latest slot at or before a time. Slots are an interval apart, with a phase that is a hash of the group.
    pub(super) fn slot(&self, now: Timestamp) -> Timestamp {
        let interval = i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let mut hasher = StableHasher::new();
        hasher.text(&self.key.file);
        hasher.text(&self.key.name);
        let phase = (hasher.finish() % interval.unsigned_abs()) as i64;
        let since = now.as_millis().saturating_sub(phase).rem_euclid(interval);
        Timestamp::from_millis(now.as_millis().saturating_sub(since))
    }

    /// Whether both say the same.
    pub(super) fn is_same(&self, other: &RuleGroup) -> bool {
        let own = &self.source;
        own.interval == other.interval
            && own.query_offset == other.query_offset
            && own.limit == other.limit
            && own.rules.len() == other.rules.len()
            && own.rules.iter().zip(&other.rules).all(|(a, b)| a.is_same(b))
    }

    /// Takes over what a former version of the group remembers: the nth rule of a name and labels goes on where the
    /// nth one was.
    pub(super) fn inherit(&mut self, mut old: Self) -> Vec<(usize, Text)> {
        let mut taken = BTreeSet::new();
        for state in &mut self.rules {
            let same = |(index, other): &(usize, &RuleState)| {
                !taken.contains(index)
                    && other.rule.name == state.rule.name
                    && other.rule.labels == state.rule.labels
                    && other.rule.alerting().is_some() == state.rule.alerting().is_some()
            };
            let Some(index) = old.rules.iter().enumerate().find(same).map(|(index, _)| index) else {
                continue;
            };
            taken.insert(index);
            let from = &mut old.rules[index];
            state.active = std::mem::take(&mut from.active);
            state.written = std::mem::take(&mut from.written);
            state.restored = from.restored;
        }
        self.ended = std::mem::take(&mut old.ended);
        let mut gone = Vec::new();
        for (index, state) in old.rules.iter_mut().enumerate().filter(|(index, _)| !taken.contains(index)) {
            self.ended.append(&mut state.written);
            if state.rule.alerting().is_some() {
                gone.push((index, state.rule.name.clone()));
            }
        }
        gone
    }

    pub(super) fn query_time(&self, slot: Timestamp) -> Timestamp {
        slot - self.query_offset
    }

    /// Takes the results of a step in.
    pub(super) fn results(
        &mut self,
        slot: Timestamp,
        results: Vec<Evaluated>,
        config: &GroupConfig,
        out: &mut Vec<GroupOutput>,
    ) {
        let (at, limit, interval) = (self.query_time(slot), self.source.limit, self.interval);
        for Evaluated { rule: index, found, annotations, samples_read } in results {
            let Some(state) = self.rules.get_mut(index) else { continue };
            (state.last, state.annotations, state.samples_read) = (Some(slot), annotations, samples_read);
            let taken = found.and_then(|found| state.take(slot, at, limit, found));
            let is_alerting = state.rule.alerting().is_some();
            let error = match taken {
                Ok(mut samples) => {
                    state.health = Health::Good;
                    let written: BTreeSet<Labels> =
                        samples.iter().map(|sample| sample.labels.clone()).collect();
                    let stale = |labels: &Labels| WrittenSample::new(labels.clone(), at, SampleValue::STALE);
                    samples.extend(state.written.difference(&written).map(stale));
                    state.written = written;
                    if !samples.is_empty() {
                        out.push(GroupOutput::Write { group: self.key.clone(), rule: index, samples });
                    }
                    None
                }
                Err(reason) => {
                    state.health = Health::Bad(reason.clone());
                    Some(reason)
                }
            };
            if is_alerting {
                if error.is_none() {
                    let due = |alert: &mut super::GroupAlert| {
                        alert.take_send(slot, config.resend_delay, interval).then(|| alert.clone())
                    };
                    let send: Vec<_> = state.active.values_mut().filter_map(due).collect();
                    if !send.is_empty() {
                        out.push(GroupOutput::Send(send));
                    }
                }
                let (group, name) = (self.key.clone(), state.rule.name.clone());
                let alerts = state.active.values().cloned().collect();
                out.push(GroupOutput::Alerts { group, rule: index, name, alerts, error });
            }
        }
    }
}
