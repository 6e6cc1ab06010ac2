//! The estate over time.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use itom::cmdb::drift::{Baseline, Drift, DriftRules, drift as drifted};
use itom::cmdb::history::{FeedChange, events};
use itom::core::{AttrName, Timestamp};
use itom_examples::names;
use serde_json::json;

use crate::estate::Estate;
use crate::print::{Output, rows, short, table};

/// A point in time, as people write it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    pub(crate) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => now - span,
        }
    }
}

pub(crate) fn parse_time(text: &str) -> Result<Moment, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Moment::At(at));
    }
    let ago = text.strip_prefix('-').unwrap_or(text);
    itom::core::time::parse_duration(ago).map(Moment::Ago).map_err(|error| {
        format!("neither a time such as 2026-01-31T12:00:00Z nor a span ago such as 2h: {error}")
    })
}

/// Between which times.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// From this time.
    #[arg(value_parser = parse_time)]
    from: Moment,
    /// Until this one; now if not given.
    #[arg(value_parser = parse_time)]
    to: Option<Moment>,
    /// Processes and counters, too.
    #[arg(long)]
    all: bool,
}

pub(crate) fn diff(estate: &Estate, diff: &Diff, out: Output) -> Result<i32, Box<dyn Error>> {
    let now = estate.now;
    let state = |at: Timestamp| estate.at(at, now);
    let (from, to) = (state(diff.from.at(now))?, diff.to.map(|to| state(to.at(now))).transpose()?);
    let to = to.as_ref().unwrap_or(estate);
    let rules = if diff.all { DriftRules::everything() } else { DriftRules::default() };
    let all = events(&from.view, &to.view, to.now).len();
    let found = drifted(&from.view, &to.view, &rules);
    let text = || {
        let mut text = told(estate, &found);
        if all > found.len() {
            text.push_str(&format!(
                "{} more of processes and counters; --all shows them\n",
                all - found.len()
            ));
        }
        text
    };
    out.print(text, || json!(found))?;
    Ok(0)
}

fn what(estate: &Estate, change: &FeedChange) -> String {
    let value = |value: &Option<itom::core::Value>| {
        value.as_ref().map_or_else(|| "nothing".to_owned(), |value| short(&value.to_string(), 40))
    };
    match change {
        FeedChange::Appeared { .. } => "appeared".to_owned(),
        FeedChange::Returned => "is there again".to_owned(),
        FeedChange::Retired { .. } => "is gone".to_owned(),
        FeedChange::Attribute { name, before, after, .. } => {
            format!("{name}: {} → {}", value(before), value(after))
        }
        FeedChange::Related { kind, to, .. } => format!("{kind} {}", estate.name(*to)),
        FeedChange::Unrelated { kind, to } => format!("no longer {kind} {}", estate.name(*to)),
        FeedChange::Kind { before, after } => format!("kind: {before} → {after}"),
        FeedChange::Name { before, after } => format!("name: {before} → {after}"),
        FeedChange::Life { before, after } => format!("life: {before} → {after}"),
        FeedChange::Merged { from } => format!("took in {from}"),
        FeedChange::Split { into } => format!("turned out to be {} items", into.len() + 1),
        FeedChange::Redirected { to } => format!("is {}", estate.name(*to)),
        _ => "is no longer known".to_owned(),
    }
}

fn told(estate: &Estate, found: &[Drift]) -> String {
    let mut shown = table(&["since", "item", "kind", "what", "owner", "cause"]);
    for own in found {
        let cause = match &own.expected {
            Some(window) => format!("{} (planned: {window})", own.cause),
            None => own.cause.to_string(),
        };
        shown.add_row([
            own.since.to_string(),
            short(&names::clear(&own.name), 32),
            own.kind.to_string(),
            what(estate, &own.what),
            own.owner.as_ref().map_or_else(String::new, |owner| owner.name.to_string()),
            cause,
        ]);
    }
    rows(&shown, "nothing changed")
}

pub(crate) fn history(
    estate: &Estate,
    item: &str,
    attribute: &str,
    out: Output,
) -> Result<i32, Box<dyn Error>> {
    let ci = estate.find(item)?;
    let name = AttrName::new(attribute)?;
    let versions = estate.cmdb.field_history(ci.id(), &name);
    let text = || {
        let mut shown = table(&["since", "learned", "source", "value"]);
        for own in &versions {
            shown.add_row([
                own.observed.to_string(),
                own.recorded.to_string(),
                own.source.to_string(),
                own.value.as_ref().map_or_else(|| "nothing any more".to_owned(), ToString::to_string),
            ]);
        }
        let known: Vec<String> = ci.attributes().keys().map(ToString::to_string).collect();
        rows(&shown, &format!("nobody ever said `{name}` of it; there is {}", known.join(", ")))
    };
    out.print(text, || json!(versions))?;
    Ok(0)
}

fn file_of(db: &Path) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push(".baselines.json");
    PathBuf::from(name)
}

fn baselines(db: &Path) -> Result<Vec<Baseline>, Box<dyn Error>> {
    let file = file_of(db);
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{}: {error}", file.display()).into()),
    }
}

pub(crate) fn baseline(
    estate: &Estate,
    db: &Path,
    name: Option<&str>,
    owner: &str,
    out: Output,
) -> Result<i32, Box<dyn Error>> {
    let mut known = baselines(db)?;
    if let Some(name) = name {
        known.retain(|own| own.name.as_str() != name);
        known.push(Baseline::new(name, estate.now, owner));
        let file = file_of(db);
        // Written beside and moved into place: a crash leaves the old list or the new one.
        let beside = file.with_extension("new");
        std::fs::write(&beside, serde_json::to_string_pretty(&known)?)
            .and_then(|()| std::fs::rename(&beside, &file))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let text = || {
        let mut shown = table(&["baseline", "state of", "set by"]);
        for own in &known {
            shown.add_row([own.name.to_string(), own.valid.to_string(), own.owner.to_string()]);
        }
        rows(&shown, "there is no baseline; set one with `baseline NAME`")
    };
    out.print(text, || json!(known))?;
    Ok(0)
}

/// Against which state.
#[derive(Debug, Args)]
pub(crate) struct DriftArgs {
    /// The baseline; the latest one if not given.
    baseline: Option<String>,
    /// Processes and counters, too.
    #[arg(long)]
    all: bool,
}

pub(crate) fn drift(
    estate: &Estate,
    db: &Path,
    args: &DriftArgs,
    out: Output,
) -> Result<i32, Box<dyn Error>> {
    let known = baselines(db)?;
    let baseline = match &args.baseline {
        Some(name) => known.iter().find(|own| own.name.as_str() == name),
        None => known.last(),
    };
    let baseline =
        baseline.ok_or("there is no such baseline; `baseline` lists them, `baseline NAME` sets one")?;
    let rules = if args.all { DriftRules::everything() } else { DriftRules::default() };
    let before = estate.at(baseline.valid, baseline.recorded)?;
    let found = drifted(&before.view, &estate.view, &rules);
    let text = || format!("against {} of {}\n{}", baseline.name, baseline.valid, told(estate, &found));
    out.print(text, || json!({ "baseline": baseline, "drift": found }))?;
    Ok(i32::from(!found.is_empty()))
}
