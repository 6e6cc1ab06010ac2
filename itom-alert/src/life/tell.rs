//! Deciding who is told: what suppression sees, and what follows from what it says.

use std::collections::BTreeSet;

use itom_core::{AlertId, Text, Timestamp};

use super::alert::{Alert, OperatorState, TransitionKind};
use super::contract::LifeOutput;
use super::machine::AlertMachine;
use crate::notify::{Notice, NoticeKind};
use crate::suppress::{AlertFacts, Cause, Standing, View, visibility};

impl AlertMachine {
    /// The open and pending alerts as suppression sees them: what [`Sight::read`](crate::suppress::Sight::read) wants to know.
    #[must_use]
    pub fn facts(&self) -> Vec<AlertFacts> {
        self.active.iter().filter_map(|id| Some(self.facts_of(self.alerts.get(id)?))).collect()
    }

    fn facts_of(&self, alert: &Alert) -> AlertFacts {
        let mut own = BTreeSet::new();
        match &alert.operator {
            OperatorState::Snoozed { until, by } => {
                own.insert(Cause::Snoozed { by: by.clone(), until: *until });
            }
            OperatorState::Shelved { by } => {
                own.insert(Cause::Shelved { by: by.clone() });
            }
            _ => {}
        }
        if alert.flapping {
            own.insert(Cause::Flapping);
        }
        let (standing, since, settle) = match &alert.episode {
            Some(episode) => {
                let settle = (!episode.announced).then(|| episode.opened_at + self.config.parent_settle);
                (Standing::Open, episode.opened_at, settle)
            }
            None => (Standing::Pending, alert.since, None),
        };
        AlertFacts {
            id: alert.id,
            labels: alert.labels.clone(),
            ci: alert.instance.ci,
            severity: alert.severity,
            standing,
            since,
            takes_down: alert.takes_down,
            own,
            settle_until: settle,
        }
    }

    /// Whether somebody has to decide who is told.
    pub(crate) fn wants_look(&self, now: Timestamp) -> bool {
        self.look_at.is_some_and(|at| at <= now)
    }

    /// Decides who is told.
    pub(super) fn look(&mut self, now: Timestamp) {
        self.look_at = None;
        self.silences.retain(|silence| now < silence.during().to());
        self.windows.retain(|window| now < window.during.to());
        let expired: Vec<AlertId> = self
            .active
            .iter()
            .filter(|id| {
                matches!(self.alerts.get(id).map(|alert| &alert.operator),
                    Some(OperatorState::Snoozed { until, .. }) if *until <= now)
            })
            .copied()
            .collect();
        for id in expired {
            if let Some(alert) = self.alerts.get_mut(&id) {
                alert.operator = OperatorState::default();
            }
            self.store(id);
        }
        let facts = self.facts();
        let mut causes = visibility(&View {
            alerts: &facts,
            sight: &self.sight,
            silences: &self.silences,
            windows: &self.windows,
            inhibit: &self.config.inhibit,
            now,
        });
        let mut wake: Option<Timestamp> = None;
        let mut sooner = |at: Timestamp| {
            if at > now {
                wake = Some(wake.map_or(at, |wake| wake.min(at)));
            }
        };
        for fact in &facts {
            if fact.standing == Standing::Open {
                let causes = causes.remove(&fact.id).unwrap_or_default();
                for cause in &causes {
                    if let Cause::Settling { until, .. } | Cause::Snoozed { until, .. } = cause {
                        sooner(*until);
                    }
                }
                self.tell(now, fact.id, causes);
            }
        }
        for silence in &self.silences {
            sooner(silence.during().from());
            sooner(silence.during().to());
        }
        for window in &self.windows {
            sooner(window.during.from());
            sooner(window.during.to());
        }
        self.look_at = wake;
    }

    fn tell(&mut self, now: Timestamp, id: AlertId, causes: BTreeSet<Cause>) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        let unreachable =
            |set: &BTreeSet<Cause>| set.iter().any(|cause| matches!(cause, Cause::Unreachable { .. }));
        // Whoever was told hears once that the cause was found elsewhere.
        let explained = unreachable(&causes) && !unreachable(&alert.causes);
        let changed = causes != alert.causes;
        alert.causes = causes;
        let hidden = alert.is_hidden();
        let calm = !alert.flapping;
        let mut notice = None;
        if let Some(episode) = alert.episode.as_mut() {
            let opened_at = episode.opened_at;
            if !episode.announced && !hidden {
                episode.announced = true;
                alert.untold = false;
                notice = Some(Notice::of(alert, opened_at, NoticeKind::Open, now));
            } else if episode.announced && ((alert.untold && !hidden && calm) || explained) {
                alert.untold = false;
                let mut update = Notice::of(alert, opened_at, NoticeKind::Update, now);
                update.reasons.extend(alert.causes.iter().filter_map(|cause| match cause {
                    Cause::Unreachable { by } => {
                        Some(Text::from(format!("{by}, which it depends on, is down")))
                    }
                    _ => None,
                }));
                notice = Some(update);
            }
        }
        if changed {
            let causes = alert.causes.clone();
            self.transition(now, id, TransitionKind::Visibility { causes });
        }
        if changed || notice.is_some() {
            self.store(id);
        }
        if let Some(notice) = notice {
            self.outputs.push_back(LifeOutput::Notice(Box::new(notice)));
        }
    }
}
