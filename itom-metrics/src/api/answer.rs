//! What each request is answered.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::failure::{Failure, FailureKind};
use super::params::Params;
use super::source::RuleView;
use super::{Patience, Reply, Shared, json};
use crate::METRIC_NAME;
use crate::eval::format::go_api;
use crate::eval::{Answer, QueryValue, matchers_of};
use crate::promql::ast::ValueType;

/// The parameter that holds the label of the path.
pub(super) const LABEL: &str = ":label";

/// Most points of one series in an answer.
const MOST_POINTS: i64 = 11_000;

fn to_json(value: &impl Serialize) -> Result<Reply, Failure> {
    let text = serde_json::to_string(value);
    text.map(Reply::from).map_err(|error| Failure { kind: FailureKind::Internal, error: error.to_string() })
}

pub(super) fn query(shared: &Shared, params: &Params, patience: &Patience<'_>) -> Result<Reply, Failure> {
    let limit = params.limit()?;
    let started = shared.clock.now();
    let at = params.time("time")?.unwrap_or_else(|| started.as_millis());
    let (text, expr) = params.expression(&shared.options)?;
    let answer = shared.engine.instant_watched(&expr, &*shared.store, at, patience)?;
    Ok(answered(shared, params, (&text, at, limit), started, answer))
}

pub(super) fn query_range(
    shared: &Shared,
    params: &Params,
    patience: &Patience<'_>,
) -> Result<Reply, Failure> {
    let limit = params.limit()?;
    let started = shared.clock.now();
    let (start, end) = (params.needed_time("start")?, params.needed_time("end")?);
    if end < start {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    let step = params.duration("step")?;
    let Some(step) = step else {
        return Err(Failure::parameter("step", "cannot parse \"\" to a valid duration"));
    };
    if step <= 0 {
        return Err(Failure::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if (end - start) / step > MOST_POINTS {
        return Err(Failure::bad(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let (text, expr) = params.expression(&shared.options)?;
    let kind = expr.value_type();
    if !matches!(kind, ValueType::Scalar | ValueType::Vector) {
        let what = format!(
            "invalid expression type {:?} for range query, must be Scalar or instant Vector",
            kind.documented()
        );
        return Err(Failure::parameter("query", &what));
    }
    let answer = shared.engine.range_watched(&expr, &*shared.store, (start, end, step), patience)?;
    Ok(answered(shared, params, (&text, end, limit), started, answer))
}

fn answered(
    shared: &Shared,
    params: &Params,
    (text, at, limit): (&str, i64, usize),
    started: Timestamp,
    mut answer: Answer,
) -> Reply {
    let mut warnings = answer.annotations.warnings(text);
    let cut = match &mut answer.value {
        QueryValue::Vector(samples) if samples.len() > limit => {
            samples.truncate(limit);
            true
        }
        QueryValue::Matrix(series) if series.len() > limit => {
            series.truncate(limit);
            true
        }
        _ => false,
    };
    if cut {
        warnings.push("results truncated due to limit".to_owned());
    }
    let mut data = json::result(&answer.value, at);
    if params.get("stats").is_some() {
        let took = shared.clock.now().since(started).as_secs_f64();
        data.push_str(&format!(
            ",\"stats\":{{\"timings\":{{\"evalTotalTime\":{took},\"resultSortTime\":0,\"queryPreparationTime\":0,\
             \"innerEvalTime\":{took},\"execQueueTime\":0,\"execTotalTime\":{took}}}}}"
        ));
    }
    data.push('}');
    Reply { data, warnings, infos: answer.annotations.infos(text) }
}

pub(super) fn format_query(shared: &Shared, params: &Params, _: &Patience<'_>) -> Result<Reply, Failure> {
    let (_, expr) = params.expression(&shared.options)?;
    to_json(&expr.pretty())
}

pub(super) fn query_exemplars(shared: &Shared, params: &Params, _: &Patience<'_>) -> Result<Reply, Failure> {
    let range = params.range()?;
    let (_, expr) = params.expression(&shared.options)?;
    let mut selectors = Vec::new();
    expr.for_each_selector(&mut |selector| selectors.push(selector));
    let mut found = BTreeMap::new();
    for selector in selectors {
        found.extend(shared.store.exemplars_of(&matchers_of(selector)?, range)?);
    }
    let mut out = String::new();
    json::list(&mut out, found, |out, (labels, exemplars)| {
        out.push_str("{\"seriesLabels\":");
        json::labels(out, &labels);
        out.push_str(",\"exemplars\":");
        json::list(out, exemplars, |out, exemplar| {
            let pairs: BTreeMap<&str, &str> =
                exemplar.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            out.push_str(&format!("{{\"labels\":{},\"value\":", json!(pairs)));
            json::text(out, &go_api(exemplar.value));
            out.push_str(",\"timestamp\":");
            json::time(out, exemplar.at.as_millis());
            out.push('}');
        });
        out.push('}');
    });
    Ok(out.into())
}

/// The first of a sorted list, and a warning when there are more.
fn limited<T>(mut all: Vec<T>, limit: usize) -> (Vec<T>, Vec<String>) {
    let cut = all.len() > limit;
    all.truncate(limit);
    (all, if cut { vec!["results truncated due to limit".to_owned()] } else { Vec::new() })
}

pub(super) fn series(shared: &Shared, params: &Params, _: &Patience<'_>) -> Result<Reply, Failure> {
    let limit = params.limit()?;
    let range = params.range()?;
    let selectors = params.selectors()?;
    if selectors.is_empty() {
        return Err(Failure::bad("no match[] parameter provided"));
    }
    let (found, warnings) = limited(shared.store.series(&selectors, range)?, limit);
    let mut data = String::new();
    json::list(&mut data, &found, json::labels);
    Ok(Reply { data, warnings, ..Reply::default() })
}

pub(super) fn labels(shared: &Shared, params: &Params, _: &Patience<'_>) -> Result<Reply, Failure> {
    let limit = params.limit()?;
    let found = shared.store.series(&params.selectors()?, params.range()?)?;
    let names: BTreeSet<&str> =
        found.iter().flat_map(|labels| labels.iter().map(|(name, _)| name.as_str())).collect();
    let (names, warnings) = limited(names.into_iter().collect(), limit);
    Ok(Reply { warnings, ..to_json(&names)? })
}

pub(super) fn label_values(shared: &Shared, params: &Params, _: &Patience<'_>) -> Result<Reply, Failure> {
    let limit = params.limit()?;
    let name = params.get(LABEL).unwrap_or_default();
    if name.is_empty() {
        return Err(Failure::bad("invalid label name: \"\""));
    }
    let found = shared.store.series(&params.selectors()?, params.range()?)?;
    let values: BTreeSet<&str> =
        found.iter().map(|labels| labels.get(name)).filter(|value| !value.is_empty()).collect();
    let (values, warnings) = limited(values.into_iter().collect(), limit);
    Ok(Reply { warnings, ..to_json(&values)? })
}

pub(super) fn metadata(shared: &Shared, params: &Params, _: &Patience<'_>) -> Result<Reply, Failure> {
    let limit = params.limit()?;
    let (known, warnings) = limited(shared.store.described(params.get("metric")), limit);
    let all: BTreeMap<&str, _> = known
        .iter()
        .map(|(name, known)| {
            let known = json!([{"type": known.kind.as_str(), "help": known.help.as_str(), "unit": known.unit.as_str()}]);
            (name.as_str(), known)
        })
        .collect();
    debug_assert!(!all.contains_key(METRIC_NAME));
    Ok(Reply { warnings, ..to_json(&all)? })
}

pub(super) fn rules(shared: &Shared, params: &Params, _: &Patience<'_>) -> Result<Reply, Failure> {
    let wanted = match params.get("type") {
        None => (true, true),
        Some("alert") => (true, false),
        Some("record") => (false, true),
        Some(other) => return Err(Failure::parameter("type", &format!("not supported value {other:?}"))),
    };
    let named = |parameter: &'static str, name: &str| {
        let mut all = params.all(parameter).peekable();
        all.peek().is_none() || all.any(|one| one == name)
    };
    let mut groups = shared.rules.groups();
    groups.retain(|group| named("rule_group[]", &group.name) && named("file[]", &group.file));
    for group in &mut groups {
        group.rules.retain(|rule| match rule {
            RuleView::Alerting { name, .. } => wanted.0 && named("rule_name[]", name),
            RuleView::Recording { name, .. } => wanted.1 && named("rule_name[]", name),
        });
    }
    let narrowed = params.get("type").is_some() || params.get("rule_name[]").is_some();
    groups.retain(|group| !narrowed || !group.rules.is_empty());
    to_json(&json!({ "groups": groups }))
}

pub(super) fn alerts(shared: &Shared, _: &Params, _: &Patience<'_>) -> Result<Reply, Failure> {
    let groups = shared.rules.groups();
    let rules = groups.iter().flat_map(|group| &group.rules);
    let alerts: Vec<_> = rules
        .filter_map(|rule| match rule {
            RuleView::Alerting { alerts, .. } => Some(alerts),
            RuleView::Recording { .. } => None,
        })
        .flatten()
        .collect();
    to_json(&json!({ "alerts": alerts }))
}

pub(super) fn buildinfo(shared: &Shared, _: &Params, _: &Patience<'_>) -> Result<Reply, Failure> {
    to_json(&json!({
        "version": shared.speaks,
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": concat!("itom ", env!("CARGO_PKG_VERSION")),
    }))
}
