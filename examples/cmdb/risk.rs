//! How risky a change is, before it is made.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use clap::Args;
use itom::cmdb::risk::{ChangeRisk, RecentChanges, RiskQuestion};
use itom::core::CiId;
use serde_json::json;

use crate::estate::Estate;
use crate::failure::services;
use crate::print::{Output, rows, short, table};

/// What is to be changed.
#[derive(Debug, Args)]
pub(crate) struct Risk {
    /// Names or ids; without any, everything is ranked.
    items: Vec<String>,
    /// All of them are one change.
    #[arg(long, requires = "items")]
    together: bool,
    /// How far back a change of an item counts as recent.
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = span)]
    window: Duration,
    /// How changes of an item went: `--outcome web 1/4` for one failure in four. May be given several times.
    #[arg(long, value_names = ["ITEM", "FAILED/MADE"], num_args = 2)]
    outcome: Vec<String>,
    /// How many rows to show.
    #[arg(long, default_value_t = 20)]
    most: usize,
}

fn span(text: &str) -> Result<Duration, String> {
    itom::core::time::parse_duration(text).map_err(|error| error.to_string())
}

fn outcome(text: &str) -> Result<(u32, u32), String> {
    let parsed =
        text.split_once('/').and_then(|(failed, made)| Some((failed.parse().ok()?, made.parse().ok()?)));
    parsed
        .filter(|(failed, made)| failed <= made)
        .ok_or_else(|| format!("`{text}` is no FAILED/MADE, such as 1/4, with no more failed than made"))
}

pub(crate) fn risk(estate: &Estate, asked: &Risk, out: Output) -> Result<i32, Box<dyn Error>> {
    // Changes fade: after a week they count half.
    let week = Duration::from_secs(7 * 24 * 3600);
    let mut history = RecentChanges::read(&estate.cmdb, estate.now, asked.window, week);
    for pair in asked.outcome.chunks(2) {
        let [item, counts] = pair else { return Err("--outcome ITEM FAILED/MADE".into()) };
        let (failed, made) = outcome(counts)?;
        history = history.with_outcomes(estate.find(item)?.id(), failed, made);
    }
    let question = RiskQuestion::new(&estate.graph, services(estate));
    let items: BTreeSet<CiId> = if asked.items.is_empty() {
        let there = estate.view.cis().filter(|ci| ci.state().is_active() && !ci.is_loose_end());
        there.map(|ci| ci.id()).collect()
    } else {
        asked.items.iter().map(|item| estate.find(item).map(|ci| ci.id())).collect::<Result<_, _>>()?
    };
    let ranked =
        if asked.together { vec![question.risk(&items, &history)] } else { question.rank(items, &history) };
    let shown = &ranked[..ranked.len().min(asked.most)];
    out.print(
        || told(estate, shown, ranked.len()),
        || shown.iter().map(|one| as_json(estate, one)).collect(),
    )?;
    Ok(0)
}

fn names(estate: &Estate, cis: &[CiId]) -> String {
    cis.iter().map(|ci| estate.name(*ci)).collect::<Vec<_>>().join(", ")
}

fn told(estate: &Estate, shown: &[ChangeRisk], of: usize) -> String {
    let mut risks = table(&["risk", "change of", "reach", "exposure", "restlessness", "record", "services"]);
    for one in shown {
        let factor = |factor: &itom::cmdb::risk::Factor| short(&factor.to_string(), 60);
        risks.add_row([
            format!("{:.1}", one.score),
            short(&names(estate, &one.items), 40),
            factor(&one.reach),
            factor(&one.exposure),
            factor(&one.restlessness),
            factor(&one.record),
            short(&names(estate, &one.services), 40),
        ]);
    }
    let mut text = rows(&risks, "there is nothing to change");
    if of > shown.len() {
        text.push_str(&format!("{} more with less risk; --most shows them\n", of - shown.len()));
    }
    text
}

fn as_json(estate: &Estate, one: &ChangeRisk) -> serde_json::Value {
    let factor = |factor: &itom::cmdb::risk::Factor| json!({"value": factor.value, "reason": factor.reason});
    let item = |ci: &CiId| json!({"id": ci, "name": estate.name(*ci)});
    json!({
        "risk": one.score,
        "items": one.items.iter().map(item).collect::<Vec<_>>(),
        "reach": factor(&one.reach),
        "exposure": factor(&one.exposure),
        "restlessness": factor(&one.restlessness),
        "record": factor(&one.record),
        "services": one.services.iter().map(item).collect::<Vec<_>>(),
    })
}
