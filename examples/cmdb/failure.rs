//! What breaks, what breaks alone, and what a change would do.

use std::collections::BTreeSet;
use std::error::Error;

use clap::Args;
use itom::cmdb::export::MapLayer;
use itom::cmdb::graph::Step;
use itom::cmdb::impact::{GraphChange, Impact, LiveImpact, LostRedundancy, Remedy, RemedyKind};
use itom::core::{CiId, RelationKind, kind};
use itom_examples::names;
use serde_json::json;

use crate::estate::Estate;
use crate::print::{Output, Shown, folded, rows, short, table};

pub(crate) fn impact(
    estate: &Estate,
    items: &[String],
    all: bool,
    out: Output,
) -> Result<i32, Box<dyn Error>> {
    let failed: BTreeSet<CiId> =
        items.iter().map(|item| estate.find(item).map(|ci| ci.id())).collect::<Result<_, _>>()?;
    let impact = estate.graph.impact(&failed);
    out.print(|| told(estate, &impact, all), || as_json(estate, &impact))?;
    Ok(i32::from(!impact.down().is_empty()))
}

fn chain(estate: &Estate, impact: &Impact, ci: CiId) -> String {
    let Some((root, steps)) = impact.path(ci) else { return estate.name(ci) };
    let mut via = root;
    let mut words = vec![estate.name(root)];
    for Step { relation, ci, .. } in steps {
        words.push(format!("{} ({})", estate.name(ci), names::reason(&estate.view, &relation, ci, via)));
        via = ci;
    }
    words.join(" → ")
}

fn told(estate: &Estate, impact: &Impact, all: bool) -> String {
    let kind = |ci| estate.view.ci(ci).map_or_else(String::new, |ci| ci.kind().to_string());
    let mut affected = table(&["effect", "item", "kind", "because"]);
    for (effect, hits) in [("down", impact.down()), ("degraded", impact.degraded())] {
        // From what people pay for to what it stands on.
        let mut order: Vec<_> = hits
            .iter()
            .map(|hit| {
                let layer = estate.view.ci(hit.ci).map_or(MapLayer::Other, |ci| MapLayer::of(ci.kind()));
                (layer, kind(hit.ci), estate.name(hit.ci), hit.ci)
            })
            .collect();
        order.sort();
        for row in folded(all, order, |(_, kind, _, _)| kind.clone()) {
            let row = match row {
                Shown::Row((_, kind, name, ci)) => {
                    [effect.to_owned(), short(&name, 40), kind, short(&chain(estate, impact, ci), 90)]
                }
                Shown::More((_, kind, ..), more) => {
                    [effect.to_owned(), format!("and {more} more"), kind, "--all lists them".to_owned()]
                }
            };
            affected.add_row(row);
        }
    }
    for lost in impact.redundancy_lost() {
        affected.add_row([
            "less redundant".to_owned(),
            short(&estate.name(lost.ci), 40),
            kind(lost.ci),
            margin(lost),
        ]);
    }
    let summary = format!(
        "{} down, {} degraded, {} less redundant\n",
        impact.down().len(),
        impact.degraded().len(),
        impact.redundancy_lost().len()
    );
    format!("{summary}{}", rows(&affected, "nothing else is affected"))
}

fn margin(lost: &LostRedundancy) -> String {
    let LostRedundancy { relation, standing, needed, total, .. } = lost;
    let more = match lost.margin() {
        0 => "the next loss brings it down".to_owned(),
        more => format!("{more} more may be lost"),
    };
    format!("{standing} of {total} left where {needed} must stand ({relation}): {more}")
}

fn as_json(estate: &Estate, impact: &Impact) -> serde_json::Value {
    let hits = |hits: &[itom::cmdb::impact::Affected]| -> Vec<serde_json::Value> {
        hits.iter()
            .map(|hit| json!({"id": hit.ci, "name": estate.name(hit.ci), "path": chain(estate, impact, hit.ci)}))
            .collect()
    };
    json!({
        "failed": impact.failed(),
        "down": hits(impact.down()),
        "degraded": hits(impact.degraded()),
        "redundancy_lost": impact.redundancy_lost().iter().map(|lost| json!({
            "id": lost.ci, "name": estate.name(lost.ci), "relation": lost.relation,
            "left": lost.standing, "needed": lost.needed, "of": lost.total, "margin": lost.margin(),
        })).collect::<Vec<_>>(),
    })
}

/// The items that people ask about: services and what is built of them.
pub(crate) fn services(estate: &Estate) -> Vec<CiId> {
    [kind::SERVICE, kind::APPLICATION, kind::BUSINESS_SERVICE]
        .iter()
        .flat_map(|kind| estate.view.by_kind(kind))
        .filter(|ci| ci.state().is_active() && !ci.is_loose_end())
        .map(|ci| ci.id())
        .collect()
}

pub(crate) fn spof(estate: &Estate, item: Option<&str>, out: Output) -> Result<i32, Box<dyn Error>> {
    let asked = match item {
        Some(item) => vec![estate.find(item)?.id()],
        None => services(estate),
    };
    let found: Vec<(CiId, Vec<CiId>)> = asked
        .into_iter()
        .map(|id| (id, estate.graph.single_points_of_failure(id)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    // Every change that would help is tried out first: for one item, not for an estate.
    let remedies: Vec<(CiId, Vec<Remedy>)> = match (item, found.first()) {
        (Some(_), Some((id, points))) => {
            points.iter().map(|point| (*point, estate.graph.remedies(*id, *point, TRIES))).collect()
        }
        _ => Vec::new(),
    };
    let flaws = estate.graph.flaws();
    let text = || {
        let mut shown = table(&["item", "goes down alone with"]);
        for (id, points) in &found {
            let points: Vec<String> = points.iter().map(|point| estate.name(*point)).collect();
            shown.add_row([estate.name(*id), short(&points.join(", "), 110)]);
        }
        let mut text = rows(&shown, "no single point of failure");
        let mut cures = table(&["point", "what would remove it", "points left"]);
        for (point, remedies) in &remedies {
            match remedies.first() {
                Some(best) => {
                    cures.add_row([estate.name(*point), cure(estate, best), best.points_left.to_string()])
                }
                None => {
                    cures.add_row([estate.name(*point), "no one change is enough".to_owned(), String::new()])
                }
            };
        }
        if !cures.is_empty() {
            text.push_str(&format!("\n{}", rows(&cures, "")));
        }
        for flaw in &flaws {
            text.push_str(&format!("mind: {flaw}\n"));
        }
        text
    };
    let json = || {
        let item = |id: &CiId| json!({"id": id, "name": estate.name(*id)});
        json!({
            "exposed": found.iter().map(|(id, points)| json!({
                "item": item(id), "points": points.iter().map(item).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "remedies": remedies.iter().map(|(point, remedies)| json!({
                "point": item(point),
                "changes": remedies.iter().map(|remedy| json!({
                    "say": cure(estate, remedy), "points_left": remedy.points_left,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "flaws": flaws.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    out.print(text, json)?;
    Ok(i32::from(!found.is_empty()))
}

/// Changes tried for one point of failure.
const TRIES: usize = 20;

fn cure(estate: &Estate, remedy: &Remedy) -> String {
    let (dependent, relation) = (estate.name(remedy.dependent), &remedy.relation);
    match &remedy.kind {
        RemedyKind::StandIn { supplier } => {
            format!("give {dependent} a second beside {} ({relation})", estate.name(*supplier))
        }
        RemedyKind::Tolerate { needed, of } => {
            format!("let {dependent} work with {needed} of its {of} ({relation})")
        }
        _ => remedy.to_string(),
    }
}

/// A change to try. Options can be given several times; they are tried together.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Take an item away.
    #[arg(long, value_name = "ITEM")]
    remove: Vec<String>,
    /// Relate two items: `web depends_on cache`.
    #[arg(long, value_name = "FROM RELATION TO", num_args = 3)]
    relate: Vec<String>,
    /// Relate them no longer.
    #[arg(long, value_name = "FROM RELATION TO", num_args = 3)]
    unrelate: Vec<String>,
}

pub(crate) fn simulate(estate: &Estate, change: &Simulate, out: Output) -> Result<i32, Box<dyn Error>> {
    let mut changes = Vec::new();
    let mut removed = BTreeSet::new();
    for item in &change.remove {
        removed.insert(estate.find(item)?.id());
    }
    for (triple, relate) in change
        .relate
        .chunks(3)
        .map(|own| (own, true))
        .chain(change.unrelate.chunks(3).map(|own| (own, false)))
    {
        let [from, relation, to] = triple else { return Err("FROM RELATION TO, three words each".into()) };
        let (kind, from, to) =
            (RelationKind::new(relation.as_str())?, estate.find(from)?.id(), estate.find(to)?.id());
        changes.push(if relate {
            GraphChange::Relate { kind, from, to }
        } else {
            GraphChange::Unrelate { kind, from, to }
        });
    }
    if changes.is_empty() && removed.is_empty() {
        return Err("say what to try: --remove, --relate or --unrelate".into());
    }
    // What goes is first taken as failed: what stands on it goes down with it.
    let impact = estate.graph.impact(&removed);
    let after = estate.graph.simulate(&changes)?;
    // Remedies are tried on a graph of their own; it shares its pages with the first.
    let mut changed = estate.graph.clone();
    let mut nothing = LiveImpact::new();
    for change in &changes {
        nothing.apply(&mut changed, change)?;
    }
    let points = |list: Vec<CiId>| list.into_iter().collect::<BTreeSet<CiId>>();
    let moved: Vec<(CiId, Vec<CiId>, Vec<CiId>)> = services(estate)
        .into_iter()
        .map(|id| {
            let before = points(estate.graph.single_points_of_failure(id));
            let then = points(after.single_points_of_failure(id));
            let new = then.difference(&before).copied().collect::<Vec<_>>();
            let gone = before.difference(&then).copied().collect::<Vec<_>>();
            (id, new, gone)
        })
        .filter(|(_, new, gone)| !new.is_empty() || !gone.is_empty())
        .collect();
    let text = || {
        let mut text = if removed.is_empty() { String::new() } else { told(estate, &impact, false) };
        let mut shown = table(&["item", "new single points of failure", "no longer"]);
        let list = |points: &[CiId]| {
            short(&points.iter().map(|point| estate.name(*point)).collect::<Vec<_>>().join(", "), 60)
        };
        for (id, new, gone) in &moved {
            shown.add_row([estate.name(*id), list(new), list(gone)]);
        }
        text.push_str(&rows(&shown, "no single point of failure comes or goes"));
        for (id, new, _) in &moved {
            for point in new {
                if let Some(best) = changed.remedies(*id, *point, TRIES).first() {
                    text.push_str(&format!("{}: {}\n", estate.name(*point), cure(estate, best)));
                }
            }
        }
        text
    };
    let json = || {
        json!({
            "impact": as_json(estate, &impact),
            "single_points_of_failure": moved.iter().map(|(id, new, gone)| json!({
                "id": id, "name": estate.name(*id), "new": new, "gone": gone,
            })).collect::<Vec<_>>(),
        })
    };
    out.print(text, json)?;
    let worse = !impact.down().is_empty() || moved.iter().any(|(_, new, _)| !new.is_empty());
    Ok(i32::from(worse))
}
