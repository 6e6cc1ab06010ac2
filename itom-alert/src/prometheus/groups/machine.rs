//! The machine that owns the groups.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use itom_core::{Deadline, Labels, Machine, SampleValue, Timestamp, WrittenSample};

use super::alerts::{AlertState, GroupAlert};
use super::contract::{
    Evaluate, GroupConfig, GroupInput, GroupKey, GroupOutput, GroupStatus, Health, StoredState,
};
use super::cycle::{Cycle, Group, RuleState};
use super::restore::restore;

/// Rule groups and their schedule. Each group has slots an interval apart; for each slot its rules are evaluated one
/// after the other (those that do not read each other together), results are written and alerts go through their
/// states, as in Prometheus. Slots that pass while a group is busy or nobody looks are counted and not made up for.
#[derive(Debug, Clone)]
pub struct RuleGroups {
    config: GroupConfig,
    groups: BTreeMap<GroupKey, Group>,
    /// Series of groups that are gone, and when they end.
    ending: Vec<Ending>,
    loaded: bool,
    outputs: VecDeque<GroupOutput>,
}

#[derive(Debug, Clone)]
struct Ending {
    due: Timestamp,
    at: Timestamp,
    group: GroupKey,
    series: BTreeSet<Labels>,
}

impl RuleGroups {
    /// A machine without groups.
    #[must_use]
    pub const fn new(config: GroupConfig) -> Self {
        Self { config, groups: BTreeMap::new(), ending: Vec::new(), loaded: false, outputs: VecDeque::new() }
    }

    /// What is known about each group, by file and name.
    #[must_use]
    pub fn status(&self) -> Vec<GroupStatus> {
        let one = |group: &Group| GroupStatus {
            key: group.key.clone(),
            interval: group.interval,
            limit: group.source.limit,
            last: group.last,
            evaluations: group.evaluations,
            missed: group.missed,
            steps: group.steps.len(),
            rules: group.rules.iter().map(RuleState::status).collect(),
        };
        self.groups.values().map(one).collect()
    }

    /// Evaluates every group for a time of its own choosing, whatever its slot: for tests of rules.
    pub fn evaluate_at(&mut self, at: Timestamp, key: &GroupKey) {
        if let Some(group) = self.groups.get_mut(key)
            && group.cycle.is_none()
        {
            group.cycle = Some(Cycle { slot: at, missed: 0, next_step: 0 });
            self.go_on(key);
        }
    }

    /// For which slot a rule was last evaluated and what is active since when, if that is to be remembered across a
    /// restart: the rule waits at least as long as the grace period, and what was remembered before has been taken up.
    #[must_use]
    pub fn to_remember(&self, key: &GroupKey, rule: usize) -> Option<(Timestamp, Vec<&GroupAlert>)> {
        let state = self.groups.get(key)?.rules.get(rule).filter(|state| state.restored)?;
        let last = state.last?;
        let waits = state.rule.alerting().is_some_and(|one| one.hold >= self.config.grace_period);
        let active = state.active.values().filter(|alert| alert.state != AlertState::Inactive);
        waits.then(|| (last, active.collect()))
    }

    /// Whether every rule has taken up what was remembered of it.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        let rules = self.groups.values().flat_map(|group| &group.rules);
        rules.filter(|state| state.rule.alerting().is_some()).all(|state| state.restored)
    }

    /// The names and expressions of a group's rules.
    pub(crate) fn rules(&self, key: &GroupKey) -> Option<Vec<(itom_core::Text, itom_core::Text)>> {
        let named = |rule: &RuleState| (rule.rule.name.clone(), rule.rule.expression.source().into());
        self.groups.get(key).map(|group| group.rules.iter().map(named).collect())
    }

    /// The groups, by file and name.
    pub fn keys(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.keys()
    }

    fn load(&mut self, now: Timestamp, groups: Vec<crate::prometheus::RuleGroup>) {
        let restored = self.loaded || !self.config.restore;
        self.loaded = true;
        let mut old = std::mem::take(&mut self.groups);
        for source in groups {
            let key = GroupKey::of(&source);
            let group = match old.remove(&key) {
                Some(same) if same.is_same(&source) => same,
                Some(other) => {
                    let mut group = Group::new(source, &self.config, restored, now);
                    group.last = other.last;
                    (group.evaluations, group.missed) = (other.evaluations, other.missed);
                    for (rule, name) in group.inherit(other) {
                        self.outputs.push_back(GroupOutput::Removed { group: key.clone(), rule, name });
                    }
                    group
                }
                None => Group::new(source, &self.config, restored, now),
            };
            self.groups.insert(key, group);
        }
        for (key, group) in old {
            let at = group.query_time(now);
            let due = now + 2 * group.interval;
            let mut series = group.ended;
            for (rule, mut state) in group.rules.into_iter().enumerate() {
                series.append(&mut state.written);
                if state.rule.alerting().is_some() {
                    let name = state.rule.name;
                    self.outputs.push_back(GroupOutput::Removed { group: key.clone(), rule, name });
                }
            }
            if !series.is_empty() {
                self.ending.push(Ending { due, at, group: key, series });
            }
        }
    }

    /// Asks for the next step of a cycle, or ends it.
    fn go_on(&mut self, key: &GroupKey) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let Some(cycle) = &mut group.cycle else { return };
        let slot = cycle.slot;
        if let Some(step) = group.steps.get(cycle.next_step).cloned() {
            cycle.next_step += 1;
            let rules =
                step.filter_map(|index| Some((index, group.rules.get(index)?.rule.clone()))).collect();
            let at = group.query_time(slot);
            self.outputs.push_back(GroupOutput::Evaluate(Evaluate { group: key.clone(), slot, at, rules }));
            return;
        }
        let missed = cycle.missed;
        group.cycle = None;
        group.last = Some(slot);
        group.evaluations += 1;
        group.missed += missed;
        let ended = std::mem::take(&mut group.ended);
        let written: BTreeSet<&Labels> = group.rules.iter().flat_map(|rule| &rule.written).collect();
        let at = group.query_time(slot);
        let stale = |labels: &Labels| WrittenSample::new(labels.clone(), at, SampleValue::STALE);
        let samples: Vec<_> = ended.iter().filter(|labels| !written.contains(labels)).map(stale).collect();
        if !samples.is_empty() {
            self.outputs.push_back(GroupOutput::Write { group: key.clone(), rule: usize::MAX, samples });
        }
        self.outputs.push_back(GroupOutput::Finished { group: key.clone(), slot, missed });
        // Two evaluations first: what is active must be known before it can be given its former time.
        if group.evaluations >= 2 && group.rules.iter().any(|rule| !rule.restored) {
            let waits = |rule: &RuleState| {
                !rule.restored
                    && rule.rule.alerting().is_some_and(|alerting| alerting.hold >= self.config.grace_period)
            };
            let rules: Vec<_> = group.rules.iter().enumerate().filter(|(_, rule)| waits(rule)).collect();
            let rules = rules.into_iter().map(|(index, rule)| (index, rule.rule.clone())).collect::<Vec<_>>();
            for rule in &mut group.rules {
                rule.restored = true;
            }
            if !rules.is_empty() {
                let from = slot - self.config.outage_tolerance;
                self.outputs.push_back(GroupOutput::ReadState { group: key.clone(), from, rules });
            }
        }
    }

    fn restore(&mut self, now: Timestamp, key: &GroupKey, states: Vec<StoredState>) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let mut by_rule: BTreeMap<usize, Vec<StoredState>> = BTreeMap::new();
        for state in states {
            by_rule.entry(state.rule).or_default().push(state);
        }
        for (index, states) in by_rule {
            let Some(rule) = group.rules.get_mut(index) else { continue };
            let Some(hold) = rule.rule.alerting().map(|alerting| alerting.hold) else { continue };
            restore(&mut rule.active, hold, self.config.grace_period, states, now);
        }
    }
}

impl Machine for RuleGroups {
    type Input = GroupInput;
    type Output = GroupOutput;

    fn handle(&mut self, now: Timestamp, input: GroupInput) {
        match input {
            GroupInput::Load(groups) => self.load(now, groups),
            GroupInput::Evaluated { group: key, slot, results } => {
                let Some(group) = self.groups.get_mut(&key) else { return };
                // A group that was replaced meanwhile asked for something else.
                if group.cycle.as_ref().is_none_or(|cycle| cycle.slot != slot) {
                    return;
                }
                let mut out = Vec::new();
                group.results(slot, results, &self.config, &mut out);
                self.outputs.extend(out);
                self.go_on(&key);
            }
            GroupInput::Written { group, rule, refused } => {
                let state = self.groups.get_mut(&group).and_then(|group| group.rules.get_mut(rule));
                if let (Some(state), Some(first)) = (state, refused.first()) {
                    let (count, reason) = (refused.len(), &first.reason);
                    state.health =
                        Health::Bad(format!("{count} samples could not be stored: {reason}").into());
                }
            }
            GroupInput::Restored { group, states } => self.restore(now, &group, states),
        }
    }

    fn handle_deadline(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (key, group) in &mut self.groups {
            // The clock was set back: do not wait for the old time to return.
            if group.next.since(now) > group.interval {
                group.next = group.slot(now) + group.interval;
            }
            if group.next > now {
                continue;
            }
            let slot = group.slot(now);
            group.next = slot + group.interval;
            // Still busy: the slot is missed, which shows when the next one begins.
            if group.cycle.is_some() {
                continue;
            }
            let since_last =
                group.last.map_or(0, |last| slot.since(last).as_millis() / group.interval.as_millis().max(1));
            let missed = u64::try_from(since_last).unwrap_or(u64::MAX).saturating_sub(1);
            group.cycle = Some(Cycle { slot, missed, next_step: 0 });
            due.push(key.clone());
        }
        for key in due {
            self.go_on(&key);
        }
        for ending in std::mem::take(&mut self.ending) {
            if ending.due > now {
                self.ending.push(ending);
                continue;
            }
            // What another group writes by now goes on.
            let alive = |labels: &&Labels| {
                !self
                    .groups
                    .values()
                    .any(|group| group.rules.iter().any(|rule| rule.written.contains(*labels)))
            };
            let stale = |labels: &Labels| WrittenSample::new(labels.clone(), ending.at, SampleValue::STALE);
            let samples: Vec<_> = ending.series.iter().filter(alive).map(stale).collect();
            if !samples.is_empty() {
                self.outputs.push_back(GroupOutput::Write { group: ending.group, rule: usize::MAX, samples });
            }
        }
    }

    fn poll_deadline(&self) -> Option<Deadline> {
        let groups = self.groups.values().map(|group| group.next).min();
        let groups = groups.map(|at| Deadline::new(at, "a rule group is due"));
        let ending = self.ending.iter().map(|ending| ending.due).min();
        Deadline::earliest(groups, ending.map(|at| Deadline::new(at, "series of removed rules end")))
    }

    fn poll_output(&mut self) -> Option<GroupOutput> {
        self.outputs.pop_front()
    }
}
