//! From the alerts of rule groups to the alerts that live on four axes.

use std::collections::BTreeMap;

use itom_core::{LabelName, Labels, Severity, Text};

use super::groups::{AlertState, GroupAlert, GroupKey, GroupOutput, RuleGroups};
use crate::AlertInput;
use crate::rule::{CompiledRule, Evidence, Instance, MissingPolicy, Outcome, Told, Verdict};

/// Hands the alerts of rule groups on to an [`AlertEngine`](crate::AlertEngine), where they are suppressed, told and
/// explained like all others. The identity of an alert is its rule (file, group, name, and which one of that name) and
/// its labels; the severity is that of the label `severity`, or warning.
#[derive(Debug, Clone, Default)]
pub struct GroupAlerts {
    rules: BTreeMap<(GroupKey, usize), Handed>,
}

/// What was handed on of a rule.
#[derive(Debug, Clone)]
struct Handed {
    /// After an evaluation that worked, what is missing is over, also when a restart forgot it.
    good: CompiledRule,
    /// After one that did not, what is missing is as it was.
    failed: CompiledRule,
    known: BTreeMap<Labels, Option<itom_core::CiId>>,
}

impl GroupAlerts {
    /// Nothing handed on yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The names that the groups' alerting rules have in the alert engine.
    #[must_use]
    pub fn rules(groups: &RuleGroups) -> AlertInput {
        let alerting = groups.status().into_iter().flat_map(|group| {
            let alerting = group.rules.into_iter().enumerate().filter(|(_, rule)| rule.is_alerting);
            alerting.map(|(index, _)| (group.key.clone(), index)).collect::<Vec<_>>()
        });
        let names = alerting.filter_map(|(key, index)| Some(rule_name(groups, &key, index)?.0));
        AlertInput::Elsewhere(names.collect())
    }

    /// What the alert engine is to be told about something the groups said.
    pub fn inputs(&mut self, groups: &RuleGroups, news: GroupOutput) -> Vec<AlertInput> {
        match news {
            GroupOutput::Alerts { group, rule, alerts, error, .. } => {
                let Some((name, expression)) = rule_name(groups, &group, rule) else { return Vec::new() };
                let mut inputs = Vec::new();
                let key = (group, rule);
                // Another rule stands in its place since a reload.
                if let Some(old) = self.rules.get(&key).filter(|old| *old.good.name() != name) {
                    inputs.push(AlertInput::RemoveRule(old.good.name().clone()));
                    self.rules.remove(&key);
                }
                let handed = self.rules.entry(key).or_insert_with(|| {
                    let rule = |missing| CompiledRule::judged_elsewhere(name.clone(), &expression, missing);
                    let (good, failed) = (rule(MissingPolicy::Resolve), rule(MissingPolicy::Keep));
                    Handed { good, failed, known: BTreeMap::new() }
                });
                let rule = if error.is_some() { &handed.failed } else { &handed.good };
                let rule = rule.clone();
                inputs.push(AlertInput::Outcomes {
                    rule,
                    outcomes: outcomes(&mut handed.known, alerts, error),
                });
                inputs
            }
            GroupOutput::Removed { group, rule, .. } => {
                let gone = self.rules.remove(&(group, rule));
                gone.map(|gone| AlertInput::RemoveRule(gone.good.name().clone())).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// `file/group/alert`, with a number where the group has several of that name; and the expression.
fn rule_name(groups: &RuleGroups, key: &GroupKey, index: usize) -> Option<(Text, Text)> {
    let rules = groups.rules(key)?;
    let (name, expression) = rules.get(index)?;
    let earlier = rules[..index].iter().filter(|(other, _)| other == name).count();
    let number = if earlier == 0 { String::new() } else { format!("#{}", earlier + 1) };
    Some((format!("{}/{}/{name}{number}", key.file, key.name).into(), expression.clone()))
}

fn outcomes(
    known: &mut BTreeMap<Labels, Option<itom_core::CiId>>,
    alerts: Vec<GroupAlert>,
    error: Option<Text>,
) -> Vec<Outcome> {
    if let Some(reason) = error {
        let failed = |(labels, subject): (&Labels, &Option<itom_core::CiId>)| {
            Outcome::new(Instance::new(labels.clone(), *subject), Verdict::Error(reason.clone()))
        };
        return known.iter().map(failed).collect();
    }
    let mut gone = std::mem::take(known);
    let mut outcomes = Vec::new();
    for alert in alerts {
        // Once an alert has an item it keeps it: the item is part of its identity.
        let subject = gone.remove(&alert.labels).unwrap_or(alert.subject);
        if alert.state != AlertState::Inactive {
            known.insert(alert.labels.clone(), subject);
        }
        outcomes.push(outcome(&alert, subject));
    }
    let clear = |(labels, subject)| Outcome::new(Instance::new(labels, subject), Verdict::Clear);
    outcomes.extend(gone.into_iter().map(clear));
    outcomes
}

fn outcome(alert: &GroupAlert, subject: Option<itom_core::CiId>) -> Outcome {
    let severity = alert.labels.get("severity").and_then(Severity::from_label);
    let severity = severity.filter(|severity| *severity != Severity::Cleared).unwrap_or(Severity::Warning);
    let verdict = match alert.state {
        AlertState::Firing => Verdict::Holds(severity),
        AlertState::Pending => Verdict::Pending(severity),
        AlertState::Inactive => Verdict::Clear,
    };
    let text = |name: &str| {
        let name = LabelName::new(name).ok()?;
        alert.annotations.get(&name).cloned()
    };
    let alertname = alert.labels.get("alertname").unwrap_or_default();
    let told = Told {
        summary: text("summary").or_else(|| text("title")).unwrap_or_else(|| alertname.into()),
        description: text("description").or_else(|| text("message")).unwrap_or_default(),
        runbook_url: text("runbook_url").or_else(|| text("runbook")).unwrap_or_default(),
    };
    let mut outcome = Outcome::new(Instance::new(alert.labels.clone(), subject), verdict);
    outcome.evidence =
        Evidence { value: alert.value.as_float(), condition: alertname.into(), readings: Vec::new() };
    if let Some(value) = alert.value.as_float() {
        outcome.evidence.readings.push(format!("value = {value}").into());
    }
    outcome.told = Some(told);
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use itom_core::{Machine as _, RuleLanguage, Timestamp};

    use super::*;
    use crate::life::ConditionState;
    use crate::prometheus::testing::World;
    use crate::prometheus::{FileOptions, GroupConfig, GroupInput, GroupPorts, RuleFile, carry_out};
    use crate::rule::Ports;
    use crate::{AlertConfig, AlertEngine};

    struct Bench {
        world: Arc<World>,
        groups: RuleGroups,
        handed: GroupAlerts,
        engine: AlertEngine,
    }

    impl Bench {
        fn new(file: &str) -> Self {
            let mut bench = Self {
                world: Arc::new(World::default()),
                groups: RuleGroups::new(GroupConfig { restore: false, ..GroupConfig::default() }),
                handed: GroupAlerts::new(),
                engine: AlertEngine::new(AlertConfig::default()),
            };
            bench.load(file);
            bench
        }

        fn load(&mut self, file: &str) {
            let groups =
                RuleFile::parse(file, "f", &World::default(), FileOptions::default()).unwrap().groups;
            self.groups.handle(Timestamp::EPOCH, GroupInput::Load(groups));
        }

        fn step(&mut self, seconds: i64, up: f64) -> Vec<(ConditionState, bool, String)> {
            let now = Timestamp::from_secs(seconds);
            self.world.set(&[("__name__", "up"), ("job", "a")], now, up);
            for key in self.groups.keys().cloned().collect::<Vec<_>>() {
                self.groups.evaluate_at(now, &key);
            }
            let ports =
                GroupPorts::new(Arc::clone(&self.world) as Arc<dyn RuleLanguage>, self.world.as_ref());
            for news in carry_out(&mut self.groups, now, &ports) {
                for input in self.handed.inputs(&self.groups, news) {
                    self.engine.handle(now, input);
                }
            }
            self.engine.tick(now, &Ports::new());
            let views = self.engine.alerts();
            views
                .into_iter()
                .map(|view| (view.alert.condition, view.open, view.alert.summary.to_string()))
                .collect()
        }
    }

    #[test]
    fn alerts_of_groups_live_like_all_others() {
        use ConditionState::{Error, Firing, Pending};
        let file = |expr: &str| {
            format!(
                "groups: [{{name: g, rules: [{{alert: Up, expr: '{expr}', for: 1m, labels: {{severity: critical}}, \
                 annotations: {{summary: 'up is {{{{ $value }}}}'}}}}]}}]"
            )
        };
        let mut bench = Bench::new(&file("up > 0"));
        assert_eq!(bench.step(0, 1.0), [(Pending, false, "up is 1".into())]);
        assert_eq!(bench.step(60, 2.0), [(Firing, true, "up is 2".into())]);
        let alert = bench.engine.alerts()[0].alert.clone();
        assert_eq!(alert.severity, Severity::Critical);
        assert_eq!(alert.rule.as_str(), "f/g/Up");
        assert_eq!(alert.labels.to_string(), r#"{alertname="Up",job="a",severity="critical"}"#);
        assert_eq!(bench.engine.explain(alert.id).unwrap().value, Some(2.0));
        // It cannot be evaluated: it stays open.
        bench.load(&file("fail up"));
        assert_eq!(bench.step(120, 1.0), [(Error, true, "up is 2".into())]);
        bench.load(&file("up > 0"));
        assert_eq!(bench.step(180, 1.0), [(Firing, true, "up is 1".into())]);
        // Its waiting time was made longer: it holds, so it stays open.
        bench.load(&file("up > 0").replace("1m", "1h"));
        assert_eq!(bench.step(240, 1.0), [(Firing, true, "up is 1".into())]);
        assert_eq!(bench.step(300, 0.0), []);
        bench.load("groups: []");
        assert_eq!(bench.step(360, 1.0), []);
    }
}
