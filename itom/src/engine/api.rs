//! The query API of Prometheus over a running engine: its samples, its rule groups, their alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use itom_alert::prometheus::{AlertState, GroupAlert, GroupStatus, Health, RuleStatus};
use itom_core::{LabelName, Text, Timestamp};
use itom_metrics::api::{AlertView, Api, RuleGroupView, RuleView, Rules, value_text};
use itom_metrics::eval;

use super::EngineHandle;

impl EngineHandle {
    /// What `promtool query` and Grafana speak, over the samples and rule groups of this engine and on its clock. Nest
    /// its [router](Api::router) into a server of your own, behind whatever guards that.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(self.samples(), eval::Engine::default(), Arc::clone(&self.shared.clock))
            .rules(Arc::new(self.clone()))
    }
}

impl Rules for EngineHandle {
    /// The groups as of their last evaluation. How long that took is not measured and given as 0.
    fn groups(&self) -> Vec<RuleGroupView> {
        let mut groups: Vec<RuleGroupView> = self.rule_groups().iter().map(group).collect();
        groups.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
        groups
    }
}

fn group(status: &GroupStatus) -> RuleGroupView {
    RuleGroupView {
        name: status.key.name.to_string(),
        file: status.key.file.to_string(),
        rules: status.rules.iter().map(rule).collect(),
        interval: status.interval.as_secs_f64(),
        limit: status.limit as u64,
        evaluation_time: 0.0,
        last_evaluation: moment(status.last),
    }
}

fn rule(status: &RuleStatus) -> RuleView {
    let (health, last_error) = match &status.health {
        Health::Good => ("ok", String::new()),
        Health::Bad(why) => ("err", why.to_string()),
        _ => ("unknown", String::new()),
    };
    let (name, query) = (status.name.to_string(), status.expression.to_string());
    let (health, last_evaluation) = (health.to_owned(), moment(status.last));
    if !status.is_alerting {
        let labels = texts(&status.labels);
        return RuleView::Recording {
            name,
            query,
            labels,
            health,
            last_error,
            evaluation_time: 0.0,
            last_evaluation,
        };
    }
    let open = || status.alerts.iter().filter(|alert| alert.state != AlertState::Inactive);
    RuleView::Alerting {
        state: open().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive).as_str().to_owned(),
        name,
        query,
        duration: status.hold.as_secs_f64(),
        keep_firing_for: status.keep_firing_for.as_secs_f64(),
        labels: texts(&status.labels),
        annotations: texts(&status.texts),
        alerts: open().map(alert).collect(),
        health,
        last_error,
        evaluation_time: 0.0,
        last_evaluation,
    }
}

fn alert(alert: &GroupAlert) -> AlertView {
    AlertView {
        labels: alert.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        annotations: texts(&alert.annotations),
        state: alert.state.as_str().to_owned(),
        active_at: Some(alert.active_at.to_string()),
        value: value_text(&alert.value),
    }
}

fn texts(named: &BTreeMap<LabelName, Text>) -> BTreeMap<String, String> {
    named.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}

/// Prometheus gives the zero time of its language for what never was.
fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string())
}
