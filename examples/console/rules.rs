//! The rules and how they do, as JSON.

use itom::EngineHandle;
use itom::alert::prometheus::{GroupStatus, Health, RuleStatus};
use serde_json::{Value, json};

/// The threshold rules with what they found, and the rule groups as of their last evaluation.
pub(crate) fn rules(engine: &EngineHandle, thresholds: &Value) -> Value {
    let alerts = engine.alerts();
    let open =
        |name: &str| alerts.iter().filter(|view| view.open && view.alert.rule.as_str() == name).count();
    let thresholds: Vec<Value> = thresholds
        .as_array()
        .into_iter()
        .flatten()
        .map(|rule| {
            let name = rule["name"].as_str().unwrap_or_default();
            json!({"rule": rule, "open": open(name)})
        })
        .collect();
    json!({"thresholds": thresholds, "groups": engine.rule_groups().iter().map(group).collect::<Vec<_>>()})
}

fn group(status: &GroupStatus) -> Value {
    json!({
        "file": status.key.file,
        "name": status.key.name,
        "interval_s": status.interval.as_secs_f64(),
        "last": status.last,
        "evaluations": status.evaluations,
        "missed": status.missed,
        "steps": status.steps,
        "rules": status.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn rule(status: &RuleStatus) -> Value {
    let (health, error) = match &status.health {
        Health::Good => ("ok", None),
        Health::Bad(why) => ("error", Some(why)),
        _ => ("unknown", None),
    };
    let state = status.alerts.iter().map(|alert| alert.state).max();
    json!({
        "name": status.name,
        "expression": status.expression,
        "alerting": status.is_alerting,
        "hold_s": status.hold.as_secs_f64(),
        "health": health,
        "error": error,
        "last": status.last,
        "series": status.series,
        "samples_read": status.samples_read,
        "state": state.map(|state| state.as_str()),
        "alerts": status.alerts.len(),
    })
}
