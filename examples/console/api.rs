//! What the page asks for, as JSON. Reads snapshots only; never waits for the engine's loop but for an alert's
//! explanation and acknowledgement.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::StatusCode;
use itom::alert::life::OperatorState;
use itom::alert::{AlertView, Explanation};
use itom::cmdb::graph::Step;
use itom::cmdb::view::{Ci, Claim, View};
use itom::core::{
    AlertId, ChangeKind, ChangeSource as _, CiChange, CiId, CiKind, Interval, MetricName, SampleKind,
    SampleSource as _, Selector, Severity, Text, Timestamp, Value as Attribute, attr, kind,
};
use itom::map::{Detail, map};
use itom::metrics::{Samples as _, reading};
use itom::{EngineHandle, HandleError, StoreStatus};
use itom_examples::names;
use serde_json::{Value, json};

use crate::server::{CisQuery, Refusal, SeriesQuery, parse};

fn not_found(what: &str) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, format!("there is no such {what}"))
}

/// How an item is named where it is mentioned.
fn mention(view: &View, id: CiId) -> Value {
    let known = view.current(id).and_then(|id| view.ci(id));
    json!({"id": known.map_or(id, Ci::id), "name": names::name_of(view, id), "kind": known.map(Ci::kind)})
}

fn text(attribute: Option<&Attribute>) -> Value {
    attribute.filter(|value| value.is_known()).map_or(Value::Null, |value| json!(value.to_string()))
}

fn state(ci: &Ci) -> &'static str {
    match (ci.state().is_active(), ci.is_loose_end()) {
        (false, _) => "retired",
        (true, true) => "loose end",
        (true, false) => "active",
    }
}

/// The machine itself: the host that this engine's own collectors see.
fn own_host(view: &View) -> Option<&Ci> {
    view.by_kind(&kind::HOST).into_iter().find(|ci| ci.state().is_active() && !ci.is_loose_end())
}

pub(crate) fn overview(engine: &EngineHandle) -> Value {
    let (view, status, samples) = (engine.view(), engine.status(), engine.samples());
    let stats = samples.stats();
    let host = own_host(&view).map(|host| {
        let value = |name: itom::core::AttrName| host.value(&name);
        let booted = match value(attr::HOST_BOOT_TIME) {
            Some(Attribute::Time(at)) => Some(status.at.since(*at).as_secs()),
            _ => None,
        };
        json!({
            "id": host.id(),
            "name": names::name(host),
            "os": text(value(attr::OS_DESCRIPTION).or(value(attr::OS_NAME))),
            "kernel": text(value(attr::OS_KERNEL_RELEASE)),
            "uptime_s": booted,
            "cpus": value(attr::HOST_CPU_COUNT).and_then(Attribute::as_int),
            "memory_bytes": value(attr::HOST_MEMORY_SIZE).and_then(Attribute::as_int),
        })
    });
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let mut cis = 0_u64;
    for ci in view.cis().filter(|ci| ci.state().is_active()) {
        cis += 1;
        *kinds.entry(ci.kind().to_string()).or_default() += 1;
    }
    let alerts = engine.alerts();
    let count = |severity| visible(&alerts).filter(|view| view.alert.severity == severity).count();
    let collectors: Vec<Value> = status
        .collectors
        .iter()
        .map(|collector| {
            json!({
                "name": collector.name,
                "last_run": collector.last_run,
                "runs": collector.runs,
                "outcome": match &collector.outcome {
                    None => Value::Null,
                    Some(Ok(())) => json!("ok"),
                    Some(Err((kind, why))) => json!(format!("{kind}: {why}")),
                },
                "duration_ms": collector.duration.as_secs_f64() * 1e3,
                "observations": collector.observations,
                "faults": collector.faults,
            })
        })
        .collect();
    json!({
        "host": host,
        "engine": {
            "started_at": status.started_at,
            "now": status.at,
            "rounds": status.rounds,
            "facts": status.facts,
            "cis": cis,
            "relations": view.relations().count(),
            "series": stats.series,
            "samples": stats.samples,
            "dropped": status.dropped.values().sum::<u64>(),
            "dropped_by": status.dropped,
            "store": match &status.store {
                StoreStatus::Refusing { since, error, .. } => json!(format!("refuses since {since}: {error}")),
                _ => json!("accepting"),
            },
        },
        "kinds": kinds.iter().map(|(kind, count)| json!({"kind": kind, "count": count})).collect::<Vec<_>>(),
        "alerts": {
            "critical": count(Severity::Critical),
            "major": count(Severity::Major),
            "minor": count(Severity::Minor),
            "warning": count(Severity::Warning),
            "info": count(Severity::Info),
            "suppressed": alerts.iter().filter(|view| view.hidden).count(),
        },
        "collectors": collectors,
    })
}

fn visible(alerts: &[AlertView]) -> impl Iterator<Item = &AlertView> {
    alerts.iter().filter(|view| view.open && !view.hidden)
}

pub(crate) fn map_json(engine: &EngineHandle, detail: &str) -> Result<Value, Refusal> {
    let detail: Detail = parse("services, processes or all", detail)?;
    let mut worst: BTreeMap<CiId, Severity> = BTreeMap::new();
    for shown in visible(&engine.alerts()) {
        if let Some(ci) = shown.alert.instance.ci {
            let seen = worst.entry(ci).or_insert(shown.alert.severity);
            *seen = (*seen).max(shown.alert.severity);
        }
    }
    let view = engine.view();
    let document = map(&view, detail);
    let nodes: Vec<Value> = document
        .nodes
        .iter()
        .map(|node| {
            let loose_end = view.ci(node.ci()).is_some_and(Ci::is_loose_end);
            json!({
                "id": node.id,
                "kind": node.kind,
                "name": names::clear(&Text::from(node.label())),
                "layer": if loose_end { json!("external") } else { json!(node.drawn_in()) },
                "state": node.state,
                "severity": worst.get(&node.ci()),
                "loose_end": loose_end,
            })
        })
        .collect();
    let edges: Vec<Value> = document
        .edges
        .iter()
        .map(|edge| json!({"kind": edge.kind, "from": edge.from, "to": edge.to}))
        .collect();
    Ok(json!({"nodes": nodes, "edges": edges}))
}

pub(crate) fn cis(engine: &EngineHandle, query: &CisQuery) -> Value {
    let view = engine.view();
    let wanted =
        query.kind.as_deref().filter(|kind| !kind.is_empty()).and_then(|kind| CiKind::new(kind).ok());
    let needle = query.q.as_deref().unwrap_or_default().to_lowercase();
    let mut found: Vec<&Ci> = view
        .cis()
        .filter(|ci| wanted.as_ref().is_none_or(|kind| ci.kind().is_a(kind)))
        .filter(|ci| {
            needle.is_empty()
                || names::name(ci).to_lowercase().contains(&needle)
                || ci.kind().as_str().contains(&needle)
        })
        .collect();
    found.sort_by_key(|ci| (!ci.state().is_active(), ci.kind(), names::name(ci), ci.id()));
    let items: Vec<Value> = found
        .iter()
        .take(query.limit.unwrap_or(500).min(10_000))
        .map(|ci| {
            json!({
                "id": ci.id(),
                "kind": ci.kind(),
                "name": names::name(ci),
                "state": state(ci),
                "last_seen": ci.last_seen(),
            })
        })
        .collect();
    json!({"total": found.len(), "items": items})
}

pub(crate) fn impact(engine: &EngineHandle, id: CiId) -> Result<Value, Refusal> {
    let (view, graph) = (engine.view(), engine.graph());
    let id = view.current(id).unwrap_or(id);
    let root = view.ci(id).ok_or_else(|| not_found("item"))?;
    let impact = graph.impact(&BTreeSet::from([id]));
    let path = |id: CiId| {
        let (mut before, steps): (CiId, Vec<Step>) = impact.path(id).unwrap_or((id, Vec::new()));
        let mut way = Vec::with_capacity(steps.len());
        for step in steps {
            // Most relations lead from who needs to what is needed; a container leads to its parts.
            let outward = names::leads(&view, &step.relation, before, step.ci);
            way.push(json!({
                "relation": step.relation, "outward": outward, "id": step.ci, "name": names::name_of(&view, step.ci),
            }));
            before = step.ci;
        }
        way
    };
    let affected = |list: &[itom::cmdb::impact::Affected]| {
        list.iter()
            .map(|hit| {
                let cause = &hit.cause;
                let reason = if cause.total == cause.needed {
                    names::reason(&view, &cause.relation, hit.ci, cause.via)
                } else {
                    format!("{} of {} left where {} must stand", cause.standing, cause.total, cause.needed)
                };
                let mut entry = mention(&view, hit.ci);
                entry["distance"] = json!(hit.distance);
                entry["reason"] = json!(reason);
                entry["path"] = json!(path(hit.ci));
                entry
            })
            .collect::<Vec<_>>()
    };
    let lost: Vec<Value> = impact
        .redundancy_lost()
        .iter()
        .map(|lost| {
            let mut entry = mention(&view, lost.ci);
            entry["reason"] =
                json!(format!("{} of {} left, {} more may fail", lost.standing, lost.total, lost.margin()));
            entry["path"] = json!([]);
            entry
        })
        .collect();
    Ok(json!({
        "root": {"id": id, "name": names::name(root), "kind": root.kind()},
        "down": affected(impact.down()),
        "degraded": affected(impact.degraded()),
        "redundancy_lost": lost,
    }))
}

fn change(view: &View, change: &CiChange) -> Value {
    let what = match &change.change {
        ChangeKind::Appeared => json!("appeared"),
        ChangeKind::Retired => json!("retired"),
        ChangeKind::Returned => json!("returned"),
        ChangeKind::Attribute(name) => json!(name),
        ChangeKind::Related { kind, to } => {
            json!(format!("{kind} {}", mention(view, *to)["name"].as_str().unwrap_or_default()))
        }
        ChangeKind::Unrelated { kind, to } => {
            json!(format!("no longer {kind} {}", mention(view, *to)["name"].as_str().unwrap_or_default()))
        }
        _ => Value::Null,
    };
    json!({
        "at": change.at,
        "ci": mention(view, change.ci),
        "change": what,
        "before": change.before.as_ref().map(ToString::to_string),
        "after": change.after.as_ref().map(ToString::to_string),
        "source": change.source,
    })
}

pub(crate) fn changes(engine: &EngineHandle, limit: usize) -> Value {
    let view = engine.view();
    let feed = engine.changes().changes(Interval::ALWAYS);
    let items: Vec<Value> = feed.iter().rev().take(limit).map(|entry| change(&view, entry)).collect();
    json!({"items": items})
}

pub(crate) fn ci(engine: &EngineHandle, id: CiId) -> Result<Value, Refusal> {
    let view = engine.view();
    let id = view.current(id).unwrap_or(id);
    let ci = view.ci(id).ok_or_else(|| not_found("item"))?;
    let attributes: Vec<Value> = ci
        .attributes()
        .iter()
        .map(|(name, attribute)| {
            let claim = |claim: &Claim| {
                json!({
                    "value": claim.value.to_string(),
                    "source": claim.source,
                    "observed": claim.observed,
                    "why": claim.reason,
                })
            };
            let mut entry = claim(&attribute.winner);
            entry["name"] = json!(name);
            entry["others"] = json!(attribute.others.iter().map(claim).collect::<Vec<_>>());
            entry
        })
        .collect();
    let relations: Vec<Value> = view
        .relations_of(id)
        .map(|relation| {
            let outward = relation.from == id;
            let other = if outward { relation.to } else { relation.from };
            json!({
                "kind": relation.kind,
                "direction": if outward { "out" } else { "in" },
                "other": mention(&view, other),
                "sources": relation.sources,
                "first_seen": relation.first_seen,
                "last_seen": relation.last_seen,
            })
        })
        .collect();
    let feed = engine.changes().changes(Interval::ALWAYS);
    let about = |entry: &&CiChange| view.current(entry.ci) == Some(id);
    let history: Vec<Value> =
        feed.iter().rev().filter(about).take(200).map(|entry| change(&view, entry)).collect();
    let samples = engine.samples();
    let metrics: Vec<Value> = samples
        .series_of(id)
        .into_iter()
        .take(500)
        .map(|series| {
            json!({"metric": series.metric, "labels": series.labels, "kind": series.kind, "last": number(series.last.map(|(_, value)| value))})
        })
        .collect();
    let alerts: Vec<Value> = engine
        .alerts()
        .iter()
        .filter(|shown| shown.alert.instance.ci == Some(id))
        .map(|shown| alert_json(&view, shown))
        .collect();
    Ok(json!({
        "id": id,
        "kind": ci.kind(),
        "name": names::name(ci),
        "state": state(ci),
        "first_seen": ci.first_seen(),
        "last_seen": ci.last_seen(),
        "keys": ci.keys(),
        "attributes": attributes,
        "relations": relations,
        "history": history,
        "metrics": metrics,
        "alerts": alerts,
    }))
}

fn number(value: Option<f64>) -> Value {
    // JSON has no NaN; the page shows null as a gap.
    value.filter(|value| value.is_finite()).map_or(Value::Null, |value| json!(value))
}

fn alert_json(view: &View, shown: &AlertView) -> Value {
    let alert = &shown.alert;
    let hidden: Vec<&str> = shown.hidden_by.iter().map(|cause| cause.text.as_str()).collect();
    json!({
        "id": alert.id,
        "rule": alert.rule,
        "severity": alert.severity,
        "condition": alert.condition,
        "open": shown.open,
        "visibility": hidden,
        "operator": operator(&alert.operator),
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": alert.runbook_url,
        "ci": alert.instance.ci.map(|ci| mention(view, ci)),
        "labels": alert.labels,
        "since": alert.since,
        "value": number(alert.evidence.value),
    })
}

fn operator(state: &OperatorState) -> String {
    match state {
        OperatorState::Unacknowledged => "unacknowledged".into(),
        OperatorState::Acknowledged { by, .. } => format!("acknowledged by {by}"),
        OperatorState::Assigned { to, .. } => format!("assigned to {to}"),
        OperatorState::Snoozed { until, .. } => format!("snoozed until {until}"),
        OperatorState::Shelved { by } => format!("shelved by {by}"),
        _ => "handled".into(),
    }
}

/// Why, and who was told or why nobody: sentences for people beside the data.
fn explanation(explained: &Explanation) -> Value {
    let mut why = vec![explained.condition.to_string()];
    why.extend(explained.readings.iter().map(ToString::to_string));
    why.extend(explained.trouble.iter().map(ToString::to_string));
    let state = json!(explained.state);
    why.push(format!("{} since {}", state.as_str().unwrap_or_default(), explained.since));
    let names = |list: &[Text]| list.iter().map(Text::as_str).collect::<Vec<_>>().join(", ");
    let mut told = Vec::new();
    if !explained.told.is_empty() {
        told.push(format!("told: {}", names(&explained.told)));
    }
    told.extend(explained.hidden_by.iter().map(|cause| format!("hidden: {}", cause.text)));
    if !explained.hidden_by.is_empty() && !explained.would_tell.is_empty() {
        told.push(format!("would have been told: {}", names(&explained.would_tell)));
    }
    if told.is_empty() {
        told.push("nobody wants to be told of this".to_owned());
    }
    json!({"why": why, "told": told, "condition": explained.condition, "data": explained})
}

pub(crate) fn alerts(engine: &EngineHandle) -> Value {
    let view = engine.view();
    let items: Vec<Value> = engine.alerts().iter().map(|shown| alert_json(&view, shown)).collect();
    json!({"items": items})
}

fn refusal(error: &HandleError) -> Refusal {
    let status = match error {
        HandleError::NotFound { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal(status, error.to_string())
}

pub(crate) async fn alert(engine: &EngineHandle, id: AlertId) -> Result<Value, Refusal> {
    let explained = engine.explain(id).await.map_err(|error| refusal(&error))?;
    let view = engine.view();
    let mut entry = engine
        .alerts()
        .iter()
        .find(|shown| shown.alert.id == id)
        .map(|shown| alert_json(&view, shown))
        .ok_or_else(|| not_found("alert"))?;
    entry["explanation"] = explanation(&explained);
    Ok(entry)
}

pub(crate) async fn acknowledge(engine: &EngineHandle, id: AlertId, by: &str) -> Result<Value, Refusal> {
    let by = by.trim();
    if by.is_empty() || by.len() > 200 {
        return Err(Refusal(StatusCode::BAD_REQUEST, "`by` is a name of 1 to 200 bytes".into()));
    }
    engine.acknowledge(id, by).await.map_err(|error| refusal(&error))?;
    Ok(json!({"acknowledged": id, "by": by}))
}

pub(crate) fn metrics(engine: &EngineHandle, needle: &str) -> Value {
    let needle = needle.to_lowercase();
    let items: Vec<Value> = engine
        .samples()
        .metrics()
        .into_iter()
        .filter(|metric| metric.name.as_str().contains(&needle))
        .map(|metric| json!({"metric": metric.name, "kind": metric.kind, "series": metric.series}))
        .collect();
    json!({"items": items})
}

/// Most series in one answer: more cannot be told apart in a chart.
const MAX_SERIES: usize = 60;

pub(crate) fn series(engine: &EngineHandle, query: &SeriesQuery) -> Result<Value, Refusal> {
    let metric: MetricName = parse("a metric name", &query.metric)?;
    let ci: Option<CiId> = match query.ci.as_deref() {
        Some(id) if !id.is_empty() => Some(parse("the id of an item", id)?),
        _ => None,
    };
    let time = |given: &Option<String>, otherwise: Timestamp| match given.as_deref() {
        Some(text) if !text.is_empty() => parse::<Timestamp>("a time", text),
        _ => Ok(otherwise),
    };
    let now = engine.now();
    let to = time(&query.to, now)?;
    let from = time(&query.from, to - Duration::from_secs(3600))?;
    let points = u32::try_from(query.points.unwrap_or(400).clamp(10, 2_000)).unwrap_or(400);
    let range = Interval::new(from, to + Duration::from_micros(1));
    let found = engine
        .samples()
        .select(&Selector::new(metric), range)
        .map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))?;
    let view = engine.view();
    let wanted: Vec<_> = found.into_iter().filter(|series| ci.is_none() || series.subject == ci).collect();
    let as_rate = query.rate.as_deref().is_some_and(|flag| flag == "1" || flag == "true");
    let total = wanted.len();
    let series: Vec<Value> = wanted
        .iter()
        .take(MAX_SERIES)
        .map(|series| {
            let samples = if as_rate && series.kind == SampleKind::Counter {
                reading::rates(&series.samples)
            } else {
                series.samples.clone()
            };
            let points: Vec<Value> = reading::downsample(&samples, range, points)
                .into_iter()
                .map(|bucket| json!([bucket.from.as_secs_f64(), number(Some(bucket.avg))]))
                .collect();
            let subject = series.subject.and_then(|id| view.ci(id));
            json!({
                "labels": series.labels,
                "name": subject.map(names::name),
                "ci": series.subject,
                "points": points,
            })
        })
        .collect();
    Ok(json!({"series": series, "total": total}))
}
