//! What there is: lists, one item, why it is what it is.

use std::collections::BTreeMap;
use std::error::Error;

use clap::Args;
use itom::cmdb::Cmdb;
use itom::cmdb::expr::{Expression, Scope, Truth};
use itom::cmdb::fact::FactBody;
use itom::cmdb::identity::{Part, Proof, Rule, verify};
use itom::cmdb::view::{Ci, ClaimReason, LifeState};
use itom::core::{CiKind, RelationKind, Timestamp};
use itom_examples::names;
use serde_json::json;

use crate::estate::Estate;
use crate::print::{Output, Shown, folded, rows, short, table};

/// Which items.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this kind and its refinements.
    #[arg(long)]
    kind: Option<CiKind>,
    /// Only items for which this holds, in the Common Expression Language: `attr["os.version"] == "12"`.
    #[arg(long = "where", value_name = "EXPRESSION", value_parser = compile)]
    filter: Option<Expression>,
    /// From each of them, along relations of this kind (`<kind` against their direction). May be given several times.
    #[arg(long, value_name = "RELATION")]
    follow: Vec<String>,
    /// Retired items and items that are only referred to, too.
    #[arg(long)]
    all: bool,
}

pub(crate) fn compile(text: &str) -> Result<Expression, String> {
    Expression::compile(text).map_err(|error| error.to_string())
}

pub(crate) fn list(estate: &Estate, list: &List, out: Output) -> Result<i32, Box<dyn Error>> {
    let view = &estate.view;
    let there = |ci: &&Ci| list.all || (ci.state().is_active() && !ci.is_loose_end());
    let mut found: Vec<&Ci> = match &list.kind {
        Some(kind) => view.by_kind(kind).into_iter().filter(there).collect(),
        None => view.cis().filter(there).collect(),
    };
    let mut unknown = 0;
    if let Some(filter) = &list.filter {
        found.retain(|ci| {
            let scope = Scope::new(view, ci, estate.now).with_graph(&estate.graph);
            let truth = filter.judge(&scope).truth;
            unknown += usize::from(truth == Truth::Unknown);
            truth == Truth::True
        });
    }
    for step in &list.follow {
        let (name, outgoing) = step.strip_prefix('<').map_or((step.as_str(), true), |name| (name, false));
        let kind = RelationKind::new(name)?;
        let mut reached: BTreeMap<_, &Ci> = BTreeMap::new();
        for ci in &found {
            for edge in view.relations_of(ci.id()).filter(|edge| edge.kind == kind && edge.state.is_active())
            {
                let (own, other) = if outgoing { (edge.from, edge.to) } else { (edge.to, edge.from) };
                if own == ci.id() {
                    reached.extend(view.ci(other).map(|ci| (ci.id(), ci)));
                }
            }
        }
        found = reached.into_values().collect();
    }
    found.sort_by_key(|ci| (ci.kind().clone(), names::name(ci), ci.id()));
    let text = || {
        let mut shown = table(&["kind", "name", "id", "last seen", "sources"]);
        for ci in &found {
            shown.add_row([
                ci.kind().to_string(),
                short(&names::name(ci), 60),
                ci.id().to_string(),
                ci.last_seen().to_string(),
                ci.sources().iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            ]);
        }
        let mut text = rows(&shown, "no such item");
        if unknown > 0 {
            text.push_str(&format!("of {unknown} more it is not known\n"));
        }
        text
    };
    out.print(
        text,
        || json!({ "items": found.iter().map(|ci| brief(ci)).collect::<Vec<_>>(), "unknown": unknown }),
    )?;
    Ok(0)
}

/// An item in JSON, without what is said about it.
pub(crate) fn brief(ci: &Ci) -> serde_json::Value {
    json!({
        "id": ci.id(),
        "kind": ci.kind(),
        "name": names::name(ci),
        "active": ci.state().is_active(),
        "first_seen": ci.first_seen(),
        "last_seen": ci.last_seen(),
    })
}

pub(crate) fn show(estate: &Estate, item: &str, all: bool, out: Output) -> Result<i32, Box<dyn Error>> {
    let ci = estate.find(item)?;
    let edges: Vec<_> = estate.view.relations_of(ci.id()).collect();
    let text = || {
        let state = match ci.state() {
            LifeState::Active => "active".to_owned(),
            LifeState::Retired { since, why } => format!("retired {since}: {why:?}"),
        };
        let mut text = format!(
            "{} ({})  {}\n{state}, first seen {}, last seen {}\n",
            names::name(ci),
            ci.kind(),
            ci.id(),
            ci.first_seen(),
            ci.last_seen()
        );
        let keys: Vec<String> = ci.keys().iter().map(ToString::to_string).collect();
        text.push_str(&format!("keys: {}\n\n", keys.join(", ")));
        let mut attributes = table(&["attribute", "value", "since", "who says so", "who says otherwise"]);
        for (name, own) in ci.attributes() {
            let others: Vec<String> = own
                .others
                .iter()
                .filter(|claim| claim.reason != ClaimReason::Agrees)
                .map(|claim| {
                    format!("{}: {} ({:?})", claim.source, short(&claim.value.to_string(), 30), claim.reason)
                })
                .collect();
            attributes.add_row([
                name.to_string(),
                short(&own.value().to_string(), 60),
                own.winner.observed.to_string(),
                own.winner.source.to_string(),
                others.join("; "),
            ]);
        }
        text.push_str(&format!("{}\n", rows(&attributes, "nobody says anything about it")));
        let mut relations = table(&["relation", "item", "kind", "since", "state"]);
        let mut order: Vec<_> = edges
            .iter()
            .map(|edge| {
                let (arrow, other) = if edge.from == ci.id() { ("→", edge.to) } else { ("←", edge.from) };
                let kind = estate.view.ci(other).map_or_else(String::new, |ci| ci.kind().to_string());
                let state = if edge.state.is_active() { "active" } else { "retired" };
                (format!("{arrow} {}", edge.kind), kind, state, estate.name(other), edge.first_seen)
            })
            .collect();
        order.sort();
        let group =
            |row: &(String, String, &'static str, String, Timestamp)| (row.0.clone(), row.1.clone(), row.2);
        for row in folded(all, order, group) {
            let row = match row {
                Shown::Row((relation, kind, state, name, since)) => {
                    [relation, short(&name, 60), kind, since.to_string(), state.to_owned()]
                }
                Shown::More((relation, kind, state, ..), more) => [
                    relation,
                    format!("and {more} more (--all lists them)"),
                    kind,
                    String::new(),
                    state.to_owned(),
                ],
            };
            relations.add_row(row);
        }
        text.push_str(&rows(&relations, "it is related to nothing"));
        text
    };
    let json = || {
        let mut json = brief(ci);
        json["keys"] = json!(ci.keys());
        json["attributes"] = json!(ci.attributes());
        json["relations"] = edges
            .iter()
            .map(|edge| json!({"kind": edge.kind, "from": edge.from, "to": edge.to, "active": edge.state.is_active()}))
            .collect();
        json
    };
    out.print(text, json)?;
    Ok(0)
}

pub(crate) fn explain(
    estate: &Estate,
    item: &str,
    other: Option<&str>,
    out: Output,
) -> Result<i32, Box<dyn Error>> {
    let ci = estate.find(item)?;
    let same = other.map(|other| estate.find(other)).transpose()?.map(|other| other.id() == ci.id());
    let explanation =
        estate.cmdb.explain(ci.id()).ok_or("the item is only referred to; no source describes it")?;
    let rules = estate.cmdb.config().identity();
    let checked: Vec<_> =
        explanation.merges.iter().map(|proof| (proof, verify(proof, estate.cmdb.facts(), rules))).collect();
    let text = || {
        let mut text = match same {
            Some(true) => "they are one item\n".to_owned(),
            Some(false) => "they are two items: no evidence joins them\n".to_owned(),
            None => String::new(),
        };
        let objects: Vec<String> = ci.objects().iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            "{} is {} object(s): {}\n",
            names::name(ci),
            objects.len(),
            objects.join(", ")
        ));
        let mut proofs = table(&["object", "object", "are one because", "proof"]);
        for (proof, verdict) in &checked {
            let (left, right) = proof.objects();
            let why = match proof.rule() {
                Rule::Key { ident, strength, .. } => format!("both have {ident} ({strength:?})"),
                Rule::Inherited { ident, strength, .. } => {
                    format!(
                        "both have {ident} and others like it ({strength:?}){}",
                        through(&estate.cmdb, proof)
                    )
                }
                other => format!("{other:?}"),
            };
            let verdict = verdict.as_ref().map_or_else(ToString::to_string, |()| "holds".to_owned());
            proofs.add_row([left.to_string(), right.to_string(), why, verdict]);
        }
        text.push_str(&rows(&proofs, "nothing was joined"));
        text
    };
    let json = || {
        json!({
            "item": brief(ci),
            "same": same,
            "objects": ci.objects().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "merges": checked.iter().map(|(proof, verdict)| json!({
                "proof": proof,
                "holds": verdict.is_ok(),
            })).collect::<Vec<_>>(),
        })
    };
    out.print(text, json)?;
    Ok(i32::from(checked.iter().any(|(_, verdict)| verdict.is_err())))
}

/// By which part each side has the value, as `, the first by if:eth0`.
fn through(cmdb: &Cmdb, proof: &Proof) -> String {
    let (left, right) = proof.inherited(cmdb.facts());
    let named = |side: &str, part: Option<Part>| {
        let fact = part.and_then(|part| cmdb.facts().get(part.child))?;
        match fact.body() {
            FactBody::Ci(ci) => Some(format!(", the {side} by {}", ci.subject)),
            _ => None,
        }
    };
    [named("first", left), named("second", right)].into_iter().flatten().collect()
}
