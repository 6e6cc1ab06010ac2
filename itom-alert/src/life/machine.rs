//! The machine that owns the alerts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use itom_core::{AlertId, Deadline, LabelName, Machine, Severity, Text, Timestamp};

use super::Flap;
use super::alert::{
    Alert, ConditionState, Ending, Episode, OperatorAction, OperatorState, Transition, TransitionKind,
};
use super::contract::{LifeConfig, LifeInput, LifeOutput, Refusal};
use super::step::{self, Step};
use crate::notify::{Notice, NoticeKind};
use crate::rule::{CompiledRule, Instance, Outcome, Verdict};
use crate::suppress::{Sight, Silence, Window};

/// The alerts and what may happen to them. See the [module](super).
#[derive(Debug, Clone)]
pub struct AlertMachine {
    pub(super) config: LifeConfig,
    pub(super) rules: BTreeMap<Text, CompiledRule>,
    pub(super) alerts: BTreeMap<AlertId, Alert>,
    pub(super) by_rule: BTreeMap<Text, BTreeMap<Instance, AlertId>>,
    /// The alerts that are open or pending: what suppression looks at.
    pub(super) active: BTreeSet<AlertId>,
    pub(super) silences: Vec<Silence>,
    pub(super) windows: Vec<Window>,
    pub(super) sight: Sight,
    pub(super) timers: BTreeSet<(Timestamp, AlertId)>,
    pub(super) timer_of: BTreeMap<AlertId, Timestamp>,
    /// When somebody has to decide again who is told.
    pub(super) look_at: Option<Timestamp>,
    pub(super) refused: u64,
    pub(super) outputs: VecDeque<LifeOutput>,
}

impl AlertMachine {
    /// A machine without alerts.
    #[must_use]
    pub const fn new(config: LifeConfig) -> Self {
        Self {
            config,
            rules: BTreeMap::new(),
            alerts: BTreeMap::new(),
            by_rule: BTreeMap::new(),
            active: BTreeSet::new(),
            silences: Vec::new(),
            windows: Vec::new(),
            sight: Sight {
                brought_down_by: BTreeMap::new(),
                pending_below: BTreeMap::new(),
                covered: BTreeMap::new(),
            },
            timers: BTreeSet::new(),
            timer_of: BTreeMap::new(),
            look_at: None,
            refused: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Every alert that is remembered, by id; most of them normal.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// One alert.
    #[must_use]
    pub fn alert(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(&id)
    }

    /// The silences.
    #[must_use]
    pub fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// The windows.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// How many instances were left out because of the limit.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// The instances of a rule, each with the severity it holds at: what [`CompiledRule::evaluate`] wants to know.
    #[must_use]
    pub fn known(&self, rule: &str) -> BTreeMap<Instance, Option<Severity>> {
        self.by_rule
            .get(rule)
            .into_iter()
            .flatten()
            .filter_map(|(instance, id)| Some((instance.clone(), self.alerts.get(id)?.held)))
            .collect()
    }

    pub(super) fn transition(&mut self, at: Timestamp, id: AlertId, change: TransitionKind) {
        if let Some(alert) = self.alerts.get(&id) {
            let (rule, instance) = (alert.rule.clone(), alert.instance.clone());
            self.outputs.push_back(LifeOutput::Transition(Transition {
                at,
                alert: id,
                rule,
                instance,
                change,
            }));
        }
    }

    pub(super) fn store(&mut self, id: AlertId) {
        if let Some(alert) = self.alerts.get(&id) {
            self.outputs.push_back(LifeOutput::Store(Box::new(alert.clone())));
        }
    }

    fn outcomes(&mut self, now: Timestamp, rule: &CompiledRule, outcomes: Vec<Outcome>) {
        let name = rule.name().clone();
        self.rules.insert(name.clone(), rule.clone());
        let mut missing: BTreeSet<AlertId> =
            self.by_rule.get(&name).into_iter().flat_map(|known| known.values().copied()).collect();
        for outcome in outcomes {
            let id = Alert::id_of(&name, &outcome.instance);
            missing.remove(&id);
            self.outcome(now, rule, id, outcome);
        }
        for id in missing {
            if let Some(instance) = self.alerts.get(&id).map(|alert| alert.instance.clone()) {
                self.outcome(now, rule, id, Outcome::new(instance, Verdict::NoData));
            }
        }
    }

    fn outcome(&mut self, now: Timestamp, rule: &CompiledRule, id: AlertId, outcome: Outcome) {
        if !self.alerts.contains_key(&id) {
            if self.alerts.len() >= self.config.max_alerts {
                if self.refused == 0 {
                    let limit = self.config.max_alerts;
                    self.outputs.push_back(LifeOutput::Refused(Refusal::Full { what: "alerts", limit }));
                }
                self.refused += 1;
                return;
            }
            let alert = new_alert(now, rule, id, outcome.instance.clone());
            self.by_rule.entry(rule.name().clone()).or_default().insert(outcome.instance.clone(), id);
            self.alerts.insert(id, alert);
        }
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        // The clock was set back: what is running starts again rather than waiting for the old time to return.
        alert.since = alert.since.min(now);
        alert.touched = match outcome.verdict {
            Verdict::NoData | Verdict::Error(_) => alert.touched.min(now),
            _ => now,
        };
        let step = step::judge(rule, &outcome.verdict);
        let mut flap_change = None;
        if let Step::Holds(_) | Step::Clear = step {
            let held = if let Step::Holds(severity) = step { Some(severity) } else { None };
            if held == alert.held {
                alert.flap.record_same()
            } else {
                alert.flap.record_change()
            }
            let percent = alert.flap.percent();
            let flapping = if alert.flapping {
                percent >= self.config.flap_low
            } else {
                percent > self.config.flap_high
            };
            if flapping != alert.flapping {
                alert.flapping = flapping;
                flap_change = Some(TransitionKind::Flapping { percent: percent.round() as u8, flapping });
            }
            alert.held = held;
        }
        alert.ci_name = outcome.ci_name.or_else(|| alert.ci_name.take());
        alert.ci_kind = outcome.ci_kind.or_else(|| alert.ci_kind.take());
        alert.trouble = match &step {
            Step::Unknown(ConditionState::NoData, _) => Some("there is no data".into()),
            Step::Unknown(_, reason) => reason.clone(),
            // Remembered so that no timer goes on by itself while nothing is known.
            Step::Keep => Some("there is no data; kept as it was".into()),
            Step::Holds(_) | Step::Waits(_) | Step::Clear => None,
        };
        // What was read while it could not be said is kept: it is the last that was known.
        if !matches!(step, Step::Unknown(..) | Step::Keep) {
            alert.evidence = outcome.evidence;
        }
        if matches!(step, Step::Waits(_)) {
            alert.held = None;
        }
        if let Some(told) = outcome.told {
            (alert.summary, alert.description) = (told.summary, told.description);
            alert.runbook_url = told.runbook_url;
        }
        if let Some(change) = flap_change {
            self.transition(now, id, change);
        }
        self.advance(now, rule, id, &step);
    }

    /// Takes one step of the first axis and does what follows from it.
    fn advance(&mut self, now: Timestamp, rule: &CompiledRule, id: AlertId, step: &Step) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        let (from, severity_before, open_before) = (alert.condition, alert.severity, alert.is_open());
        let to = step::next(alert, rule, step, now);
        if let Step::Holds(severity) | Step::Waits(severity) = step {
            alert.severity = *severity;
        } else if !open_before && to != ConditionState::Pending {
            alert.severity = Severity::Cleared;
        }
        let severity = alert.severity;
        if to != from {
            alert.condition = to;
            alert.since = now;
        }
        if matches!(step, Step::Holds(_)) {
            alert.takes_down = step::takes_down(rule, severity);
            let context = crate::rule::template::Context {
                rule: &alert.rule,
                severity,
                value: alert.evidence.value,
                labels: &alert.labels,
                ci_name: alert.ci_name.as_deref(),
                ci_kind: alert.ci_kind.as_deref(),
                ci_id: alert.instance.ci,
            };
            if let Some((summary, description)) = rule.texts() {
                (alert.summary, alert.description) = (summary.render(&context), description.render(&context));
            }
            if alert.summary.is_empty() {
                let on = alert.ci_name.as_ref().map(|name| format!(" on {name}")).unwrap_or_default();
                alert.summary = format!("{}{on}", alert.rule).into();
            }
        }
        let opens = to == ConditionState::Firing && !open_before;
        let ends = to == ConditionState::Normal && open_before;
        if opens {
            alert.episode = Some(Episode { opened_at: now, announced: false, worst: severity });
            alert.untold = false;
        } else if let Some(episode) = &mut alert.episode {
            episode.worst = episode.worst.max(severity);
        }
        let known = |state| matches!(state, ConditionState::NoData | ConditionState::Error);
        let news = severity != severity_before || known(from) != known(to);
        if open_before && !ends && news {
            alert.untold = true;
        }
        let changed = to != from || severity != severity_before;
        if to != from {
            self.transition(now, id, TransitionKind::Condition { from, to, severity });
        } else if severity != severity_before && open_before {
            self.transition(now, id, TransitionKind::Severity { from: severity_before, to: severity });
        }
        if opens {
            self.transition(now, id, TransitionKind::Opened { severity });
            self.store(id);
        } else if ends {
            self.end(now, id, Ending::Recovered);
        } else if changed && open_before {
            self.store(id);
        }
        self.index(now, id);
        if changed {
            self.want_look(now);
        }
    }

    /// Ends the open episode: whoever was told is told that it is over, whatever hides it now.
    fn end(&mut self, now: Timestamp, id: AlertId, ending: Ending) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        let Some(episode) = alert.episode.take() else { return };
        let mut notice = Notice::of(alert, episode.opened_at, NoticeKind::Close, now);
        (notice.ended_at, notice.ending, notice.severity) = (Some(now), Some(ending), episode.worst);
        alert.severity = Severity::Cleared;
        alert.takes_down = false;
        alert.untold = false;
        alert.touched = now;
        alert.causes.clear();
        let shelved = matches!(alert.operator, OperatorState::Shelved { .. });
        if !shelved {
            alert.operator = OperatorState::default();
        }
        self.transition(now, id, TransitionKind::Ended { ending });
        if episode.announced {
            self.outputs.push_back(LifeOutput::Notice(Box::new(notice)));
        }
        // Shelving outlives the episode, so the record does too.
        if shelved {
            self.store(id);
        } else {
            self.outputs.push_back(LifeOutput::Forget(id));
        }
        self.want_look(now);
    }

    fn want_look(&mut self, now: Timestamp) {
        self.look_at = Some(self.look_at.map_or(now, |at| at.min(now)));
    }

    /// Keeps the indexes right after an alert changed.
    fn index(&mut self, now: Timestamp, id: AlertId) {
        let Some(alert) = self.alerts.get(&id) else { return };
        if alert.is_open() || alert.condition == ConditionState::Pending {
            self.active.insert(id);
        } else {
            self.active.remove(&id);
        }
        let rule = self.rules.get(&alert.rule);
        let wake = step::due(alert, rule, self.config.abandon_after)
            .or_else(|| self.idle(alert).then(|| alert.touched.min(now) + self.config.retention));
        // Retention moves with every result: the timer of a normal alert is only checked when it rings.
        let relaxed = self.idle(alert) && self.timer_of.contains_key(&id);
        if !relaxed || wake < self.timer_of.get(&id).copied() {
            self.set_timer(id, wake);
        }
    }

    fn idle(&self, alert: &Alert) -> bool {
        !alert.is_open() && alert.condition != ConditionState::Pending
    }

    fn set_timer(&mut self, id: AlertId, at: Option<Timestamp>) {
        if let Some(old) = self.timer_of.remove(&id) {
            self.timers.remove(&(old, id));
        }
        if let Some(at) = at {
            self.timers.insert((at, id));
            self.timer_of.insert(id, at);
        }
    }

    fn ring(&mut self, now: Timestamp, id: AlertId) {
        self.set_timer(id, None);
        let Some(alert) = self.alerts.get(&id) else { return };
        let rule = self.rules.get(&alert.rule).cloned();
        match step::due(alert, rule.as_ref(), self.config.abandon_after) {
            Some(at) if at <= now => match (alert.condition, alert.held, rule) {
                (ConditionState::Pending, Some(severity), Some(rule)) => {
                    self.advance(now, &rule, id, &Step::Holds(severity));
                }
                (ConditionState::Recovering, _, Some(rule)) => self.advance(now, &rule, id, &Step::Clear),
                _ => {
                    self.end(now, id, Ending::Abandoned);
                    self.index(now, id);
                }
            },
            None if self.idle(alert) && alert.touched + self.config.retention <= now => self.drop_alert(id),
            _ => self.index(now, id),
        }
    }

    fn drop_alert(&mut self, id: AlertId) {
        self.set_timer(id, None);
        self.active.remove(&id);
        if let Some(alert) = self.alerts.remove(&id)
            && let Some(known) = self.by_rule.get_mut(&alert.rule)
        {
            known.remove(&alert.instance);
            if known.is_empty() {
                self.by_rule.remove(&alert.rule);
            }
            if !matches!(alert.operator, OperatorState::Unacknowledged) {
                self.outputs.push_back(LifeOutput::Forget(id));
            }
        }
    }

    /// Lets the timers ring that are due, without deciding who is told.
    pub(crate) fn ring_due(&mut self, now: Timestamp) {
        while let Some((at, id)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.ring(now, id);
        }
    }

    fn operate(&mut self, now: Timestamp, id: AlertId, by: Text, action: OperatorAction) {
        let Some(alert) = self.alerts.get_mut(&id) else {
            self.outputs.push_back(LifeOutput::Refused(Refusal::UnknownAlert(id)));
            return;
        };
        match &action {
            OperatorAction::Acknowledge => {
                alert.operator = OperatorState::Acknowledged { by: by.clone(), at: now };
            }
            OperatorAction::Reset => alert.operator = OperatorState::Unacknowledged,
            OperatorAction::Assign { to } => {
                alert.operator = OperatorState::Assigned { to: to.clone(), by: by.clone() };
            }
            OperatorAction::Snooze { until } => {
                alert.operator = OperatorState::Snoozed { until: *until, by: by.clone() };
            }
            OperatorAction::Shelve => alert.operator = OperatorState::Shelved { by: by.clone() },
            OperatorAction::Close => {}
        }
        alert.untold = alert.is_open();
        let closes = matches!(action, OperatorAction::Close);
        self.transition(now, id, TransitionKind::Operator { by, action });
        if closes {
            if let Some(alert) = self.alerts.get_mut(&id) {
                alert.condition = ConditionState::Normal;
                alert.since = now;
                alert.held = None;
            }
            self.end(now, id, Ending::Closed);
        } else {
            self.store(id);
        }
        self.index(now, id);
        self.want_look(now);
    }

    fn mute<T>(
        &mut self,
        now: Timestamp,
        what: &'static str,
        pick: fn(&mut Self) -> &mut Vec<T>,
        mute: T,
        same: impl Fn(&T, &T) -> bool,
    ) {
        let limit = self.config.max_mutes;
        let list = pick(self);
        match list.iter().position(|have| same(have, &mute)) {
            Some(index) => list[index] = mute,
            None if list.len() >= limit => {
                self.outputs.push_back(LifeOutput::Refused(Refusal::Full { what, limit }));
                return;
            }
            None => list.push(mute),
        }
        self.want_look(now);
    }

    fn remove_rule(&mut self, now: Timestamp, name: &Text) {
        let ids: Vec<AlertId> =
            self.by_rule.get(name).into_iter().flat_map(|known| known.values().copied()).collect();
        for id in ids {
            self.end(now, id, Ending::RuleRemoved);
            self.drop_alert(id);
        }
        self.rules.remove(name);
        self.want_look(now);
    }

    fn restore(&mut self, now: Timestamp, alerts: Vec<Alert>) {
        for alert in alerts {
            if self.alerts.contains_key(&alert.id) || self.alerts.len() >= self.config.max_alerts {
                continue;
            }
            let id = alert.id;
            self.by_rule.entry(alert.rule.clone()).or_default().insert(alert.instance.clone(), id);
            self.alerts.insert(id, alert);
            self.index(now, id);
        }
        self.want_look(now);
    }
}

fn new_alert(now: Timestamp, rule: &CompiledRule, id: AlertId, instance: Instance) -> Alert {
    let mut labels = instance.labels.to_builder();
    for (name, value) in rule.rule().labels.iter() {
        labels = labels.set(name.clone(), value.clone());
    }
    if rule.texts().is_some() {
        labels = labels.set(LabelName::literal("alertname"), rule.name().clone());
    }
    let labels = labels.build();
    Alert {
        id,
        rule: rule.name().clone(),
        instance,
        labels,
        ci_name: None,
        ci_kind: None,
        condition: ConditionState::Normal,
        since: now,
        severity: Severity::Cleared,
        causes: BTreeSet::new(),
        operator: OperatorState::default(),
        episode: None,
        evidence: crate::rule::Evidence::default(),
        trouble: None,
        summary: Text::literal(""),
        description: Text::literal(""),
        runbook_url: rule.rule().runbook_url.clone(),
        flap: Flap::default(),
        flapping: false,
        touched: now,
        takes_down: false,
        held: None,
        untold: false,
    }
}

impl Machine for AlertMachine {
    type Input = LifeInput;
    type Output = LifeOutput;

    fn handle(&mut self, now: Timestamp, input: LifeInput) {
        match input {
            LifeInput::Outcomes { rule, outcomes } => self.outcomes(now, &rule, outcomes),
            LifeInput::RuleRemoved(name) => self.remove_rule(now, &name),
            LifeInput::Operator { alert, by, action } => self.operate(now, alert, by, action),
            LifeInput::Silence(silence) => {
                self.mute(now, "silences", |machine| &mut machine.silences, silence, |a, b| a.id() == b.id());
            }
            LifeInput::Unsilence(id) => {
                self.silences.retain(|silence| *silence.id() != id);
                self.want_look(now);
            }
            LifeInput::Window(window) => {
                self.mute(now, "windows", |machine| &mut machine.windows, window, |a, b| a.id == b.id);
            }
            LifeInput::EndWindow(id) => {
                self.windows.retain(|window| window.id != id);
                self.want_look(now);
            }
            LifeInput::Look(sight) => {
                self.sight = sight;
                self.look(now);
            }
            LifeInput::Restore(alerts) => self.restore(now, alerts),
        }
    }

    fn handle_deadline(&mut self, now: Timestamp) {
        self.ring_due(now);
        if self.wants_look(now) {
            self.look(now);
        }
    }

    fn poll_deadline(&self) -> Option<Deadline> {
        let timer = self.timers.first().map(|(at, _)| Deadline::new(*at, "an alert changes by itself"));
        let look = self.look_at.map(|at| Deadline::new(at, "decide who is told"));
        Deadline::earliest(look, timer)
    }

    fn poll_output(&mut self) -> Option<LifeOutput> {
        self.outputs.pop_front()
    }
}
