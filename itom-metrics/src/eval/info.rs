//! `info`: labels of what a series was measured on, taken from series that say so.

use std::collections::BTreeMap;

use itom_core::MatchOp;

use super::block::{Block, Cell, Head, Steps};
use super::error::{EvalError, fail, same_labels};
use super::evaluation::{Evaluation, compiled};
use super::select;
use crate::promql::ast::{Call, Expr};
use crate::{LabelMatcher, LabelSet, METRIC_NAME, SelectHints, TimeRange};

/// What is read when nothing else is named.
const TARGET_INFO: &str = "target_info";
/// The labels by which both are the same thing.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// The value of a call of `info`.
pub(super) fn eval(evaluation: &mut Evaluation<'_>, call: &Call, steps: &Steps) -> Result<Block, EvalError> {
    let Some(first) = call.args.first() else { return fail("expected an instant vector") };
    let block = evaluation.vector(first, steps)?;
    let mut names = Vec::new();
    let mut wanted: BTreeMap<String, Vec<LabelMatcher>> = BTreeMap::new();
    if let Some(Expr::Vector(selector)) = call.args.get(1).map(Expr::within_parens) {
        names.extend(selector.name.iter().map(|name| LabelMatcher::equal(METRIC_NAME, name.clone())));
        for matcher in &selector.matchers {
            let matcher = compiled(matcher)?;
            if matcher.name().as_str() == METRIC_NAME {
                names.push(matcher);
            } else {
                wanted.entry(matcher.name().to_string()).or_default().push(matcher);
            }
        }
    } else {
        names.push(LabelMatcher::equal(METRIC_NAME, TARGET_INFO));
    }
    // Names that are only excluded leave all that are information by their name.
    let positive = names.iter().any(|one| matches!(one.op(), MatchOp::Equal | MatchOp::Regex));
    if !positive && !names.is_empty() {
        let all = LabelMatcher::new(METRIC_NAME, MatchOp::Regex, ".+_info");
        names.push(all.map_err(|error| EvalError::Query(error.to_string()))?);
    }
    // Series that are information themselves stay as they are.
    let ignored: Vec<bool> = block
        .heads
        .iter()
        .map(|head| !names.is_empty() && names.iter().all(|one| one.matches(head.labels.metric())))
        .collect();
    let infos = read(evaluation, first, &block, &ignored, &names, &wanted, steps)?;
    let mut out = Block::new(block.steps);
    let mut rows: BTreeMap<LabelSet, usize> = BTreeMap::new();
    for step in 0..block.steps {
        let newest = newest(&infos, step)?;
        for (row, head) in block.heads.iter().enumerate() {
            let cell = block.cell(row, step);
            if cell.is_absent() {
                continue;
            }
            let labels = if ignored.get(row) == Some(&true) {
                head.labels.clone()
            } else {
                match enriched(&head.labels, &newest, &wanted)? {
                    Some(labels) => labels,
                    None => continue,
                }
            };
            let place = match rows.get(&labels) {
                Some(place) => *place,
                None => {
                    let place = out.add_row(Head { labels: labels.clone(), drop_name: head.drop_name });
                    rows.insert(labels, place);
                    place
                }
            };
            if !out.cell(place, step).is_absent() {
                return same_labels();
            }
            out.set(place, step, cell.clone());
        }
    }
    Ok(out)
}

/// The series with information; the value of each is the time of its sample in milliseconds.
fn read(
    evaluation: &mut Evaluation<'_>,
    base: &Expr,
    block: &Block,
    ignored: &[bool],
    names: &[LabelMatcher],
    wanted: &BTreeMap<String, Vec<LabelMatcher>>,
    steps: &Steps,
) -> Result<Block, EvalError> {
    let mut matchers = Vec::new();
    for label in IDENTIFYING {
        let mut values: Vec<String> = block
            .heads
            .iter()
            .zip(ignored)
            .filter(|(_, ignored)| !**ignored)
            .map(|(head, _)| head.labels.get(label).to_owned())
            .filter(|value| !value.is_empty())
            .collect();
        values.sort_unstable();
        values.dedup();
        if !values.is_empty() {
            matchers.push(LabelMatcher::one_of(label, values));
        }
    }
    if matchers.is_empty() {
        return Ok(Block::new(steps.count));
    }
    if names.is_empty() {
        matchers.push(LabelMatcher::equal(METRIC_NAME, TARGET_INFO));
    }
    matchers.extend(names.iter().cloned());
    matchers.extend(wanted.values().flatten().cloned());
    // As the first selector looks: its fixed time and offset hold for the information, too.
    let (offset, fixed) = reference(evaluation, base, (0, None))?.unwrap_or((0, None));
    let lookback = evaluation.options.lookback_millis();
    let from = fixed.unwrap_or(steps.start) - offset - lookback + 1;
    let to = fixed.unwrap_or(steps.end()) - offset;
    let series = evaluation.source.select(&matchers, TimeRange { from, to }, &SelectHints::default())?;
    if let Some(one) =
        series.iter().find(|one| one.samples.histograms.iter().any(|point| !point.h.is_stale()))
    {
        return fail(format!("this should be an info metric, with float samples: {}", one.labels));
    }
    select::rows(evaluation, &series, steps, fixed, offset, |picked| Cell::Float(picked.t as f64))
}

/// The newest information by metric and identifying labels.
fn newest(infos: &Block, step: usize) -> Result<BTreeMap<(String, LabelSet), LabelSet>, EvalError> {
    let mut found: BTreeMap<(String, LabelSet), (f64, LabelSet)> = BTreeMap::new();
    for (row, head) in infos.heads.iter().enumerate() {
        let Cell::Float(at) = infos.cell(row, step) else { continue };
        let key = (head.labels.metric().to_owned(), identity(&head.labels));
        match found.get(&key) {
            Some((have, _)) if have > at => {}
            Some((have, labels)) if have == at => {
                return fail(format!(
                    "found duplicate series for info metric: existing {labels} @ {have}, new {} @ {at}",
                    head.labels
                ));
            }
            _ => {
                found.insert(key, (*at, head.labels.clone()));
            }
        }
    }
    Ok(found.into_iter().map(|(key, (_, labels))| (key, labels)).collect())
}

fn identity(labels: &LabelSet) -> LabelSet {
    labels.filtered(|name| IDENTIFYING.contains(&name))
}

/// The labels with those of the information that fits; `None` when information is asked for that there is not.
fn enriched(
    base: &LabelSet,
    newest: &BTreeMap<(String, LabelSet), LabelSet>,
    wanted: &BTreeMap<String, Vec<LabelMatcher>>,
) -> Result<Option<LabelSet>, EvalError> {
    let own = identity(base);
    let mut added = LabelSet::empty();
    let mut seen = false;
    for info in newest.iter().filter(|((_, identity), _)| *identity == own).map(|(_, info)| info) {
        for (name, value) in info.iter() {
            let name = name.as_str();
            if name == METRIC_NAME || (!wanted.is_empty() && !wanted.contains_key(name)) {
                continue;
            }
            let have = added.get(name);
            if !have.is_empty() && have != value.as_str() {
                return fail(format!("conflicting label: {name}"));
            }
            if base.get(name).is_empty() {
                added = added.with(name, value.clone());
            }
        }
        seen = true;
    }
    if !seen && wanted.values().flatten().any(|matcher| !matcher.matches("")) {
        return Ok(None);
    }
    Ok(Some(
        added.iter().fold(base.clone(), |labels, (name, value)| labels.with(name.as_str(), value.clone())),
    ))
}

/// Offset and fixed time of the first selector, those of subqueries around it included.
fn reference(
    evaluation: &Evaluation<'_>,
    expr: &Expr,
    around: (i64, Option<i64>),
) -> Result<Option<(i64, Option<i64>)>, EvalError> {
    let shifted = |shift| {
        let (offset, fixed) = evaluation.shift(shift)?;
        Ok::<_, EvalError>(if fixed.is_some() { (offset, fixed) } else { (around.0 + offset, around.1) })
    };
    let around = match expr {
        Expr::Vector(selector) => return shifted(&selector.shift).map(Some),
        Expr::Matrix(matrix) => return shifted(&matrix.selector.shift).map(Some),
        Expr::Subquery(subquery) => shifted(&subquery.shift)?,
        _ => around,
    };
    for child in expr.children() {
        if let Some(found) = reference(evaluation, child, around)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
