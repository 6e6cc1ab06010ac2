//! Maps of services: what one consists of, and what people decided about it.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use itom::cmdb::servicemap::{
    About, Decision, Decisions, MapPlan, Reason, Role, ServiceMap, Traffic, Verdict,
};
use itom::core::{AttrName, RelationKind, Text, Value};
use serde_json::json;

use crate::estate::Estate;
use crate::export;
use crate::print::{Output, rows, short, table};

/// Where a map starts and how far it goes.
#[derive(Debug, Args)]
pub(crate) struct Service {
    /// Names or ids to start at.
    entries: Vec<String>,
    /// Starts at every item whose attribute has this value, too: `team=shop`.
    #[arg(long, value_name = "ATTRIBUTE=VALUE", value_parser = tag)]
    tag: Vec<(AttrName, Text)>,
    /// `ignore`, `suggest`, or a confidence from 0 to 1 from which what members talk to belongs to the map.
    #[arg(long, default_value = "suggest", value_parser = traffic)]
    traffic: Traffic,
    /// Take an item for a hub when this many others use it.
    #[arg(long, default_value_t = 50)]
    hub_users: usize,
    /// Steps from the start at most.
    #[arg(long, default_value_t = 12)]
    depth: u32,
    /// The file that keeps what people decide; it is made with the first decision.
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Decide that an item belongs to the map.
    #[arg(long, value_name = "ITEM", requires = "decisions")]
    include: Vec<String>,
    /// Decide that an item, or a relation as `FROM RELATION TO` in one argument, does not.
    #[arg(long, value_name = "ITEM", requires = "decisions")]
    exclude: Vec<String>,
    /// Leave an item open, and on the list.
    #[arg(long, value_name = "ITEM", requires = "decisions")]
    undecided: Vec<String>,
    /// Take a decision back.
    #[arg(long, value_name = "ITEM", requires = "decisions")]
    revoke: Vec<String>,
    /// Who decides.
    #[arg(long, default_value = "unknown")]
    owner: String,
    /// Why.
    #[arg(long, default_value = "")]
    reason: String,
    /// Write the map: `.html`, `.svg`, `.dot`, `.mmd`, `.graphml`, `.cyjs`, `.json`, `.csv`.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

fn tag(text: &str) -> Result<(AttrName, Text), String> {
    let (name, value) = text.split_once('=').ok_or("ATTRIBUTE=VALUE, such as team=shop")?;
    Ok((AttrName::new(name).map_err(|error| error.to_string())?, value.to_owned().into()))
}

fn traffic(text: &str) -> Result<Traffic, String> {
    match text {
        "ignore" => Ok(Traffic::Ignore),
        "suggest" => Ok(Traffic::Suggest),
        number => match number.parse::<f64>() {
            Ok(least) if (0.0..=1.0).contains(&least) => Ok(Traffic::Follow(least)),
            _ => Err("`ignore`, `suggest`, or a number from 0 to 1".to_owned()),
        },
    }
}

fn about(estate: &Estate, text: &str) -> Result<About, Box<dyn Error>> {
    // Names may have spaces: an item before a relation.
    let item = estate.find(text);
    if let (Err(_), [from, relation, to]) = (&item, &text.split_whitespace().collect::<Vec<_>>()[..]) {
        let (from, to) = (estate.find(from)?.id(), estate.find(to)?.id());
        return Ok(About::Relation(RelationKind::new(*relation)?, from, to));
    }
    Ok(About::Item(item?.id()))
}

fn read(file: &Path) -> Result<Decisions, Box<dyn Error>> {
    match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|error| format!("{}: no decisions: {error}", file.display()).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Decisions::default()),
        Err(error) => Err(format!("cannot read {}: {error}", file.display()).into()),
    }
}

fn decide(estate: &Estate, asked: &Service) -> Result<Decisions, Box<dyn Error>> {
    let Some(file) = &asked.decisions else { return Ok(Decisions::default()) };
    let before = read(file)?;
    let mut decisions = before.clone();
    for (items, verdict) in [
        (&asked.include, Verdict::Include),
        (&asked.exclude, Verdict::Exclude),
        (&asked.undecided, Verdict::Undecided),
    ] {
        for item in items {
            let (owner, reason) = (asked.owner.as_str().into(), asked.reason.as_str().into());
            let decision = Decision { verdict, owner, reason, at: estate.now };
            decisions.decide(about(estate, item)?, decision);
        }
    }
    for item in &asked.revoke {
        if decisions.revoke(&about(estate, item)?).is_none() {
            return Err(format!("nothing is decided about `{item}`").into());
        }
    }
    if decisions != before {
        std::fs::write(file, serde_json::to_string_pretty(&decisions)?)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(decisions)
}

pub(crate) fn map(estate: &Estate, asked: &Service, out: Output) -> Result<i32, Box<dyn Error>> {
    if asked.entries.is_empty() && asked.tag.is_empty() {
        return Err("say where the map starts: an item, or --tag".into());
    }
    let decisions = decide(estate, asked)?;
    let name = asked.entries.iter().chain(asked.tag.iter().map(|_| &asked.owner)).next().cloned();
    let mut plan = MapPlan::new(name.unwrap_or_default())
        .depth(asked.depth)
        .hub_users(asked.hub_users)
        .traffic(asked.traffic);
    for entry in &asked.entries {
        plan = plan.entry(estate.find(entry)?.id());
    }
    for (name, value) in &asked.tag {
        plan = plan.tag(name.clone(), Value::from(value.clone()));
    }
    let map = plan.draw(&estate.view, &estate.graph, &decisions);
    if let Some(file) = &asked.export {
        export::write_named(map.to_document(&estate.view, &estate.graph), file)?;
    }
    out.print(|| told(estate, &map), || as_json(estate, &map))?;
    Ok(0)
}

fn role(role: Role) -> String {
    match role {
        Role::Entry => "entry".to_owned(),
        Role::Member => "member".to_owned(),
        Role::Hub { users } => format!("hub of {users}, not followed"),
        Role::LooseEnd => "loose end".to_owned(),
        _ => "other".to_owned(),
    }
}

fn reason(estate: &Estate, reason: &Reason) -> String {
    match reason {
        Reason::Named => "named".to_owned(),
        Reason::Tagged(name) => format!("tagged by {name}"),
        Reason::Needed { by, relation } => format!("needed by {} ({relation})", estate.name(*by)),
        Reason::Traffic { by } => format!("{} talks to it", estate.name(*by)),
        Reason::Decided => "a person decided so".to_owned(),
        _ => "other".to_owned(),
    }
}

fn told(estate: &Estate, map: &ServiceMap) -> String {
    let kind = |ci| estate.view.ci(ci).map_or_else(String::new, |ci| ci.kind().to_string());
    let mut members = table(&["steps", "item", "kind", "is", "because"]);
    for member in &map.members {
        members.add_row([
            member.distance.to_string(),
            short(&estate.name(member.ci), 50),
            kind(member.ci),
            role(member.role),
            short(&reason(estate, &member.reason), 70),
        ]);
    }
    let mut text = rows(&members, "the map is empty");
    if !map.suggestions.is_empty() {
        let mut suggested = table(&["may belong to it", "kind", "confidence", "because"]);
        for one in &map.suggestions {
            let open = if one.undecided { "; left open" } else { "" };
            suggested.add_row([
                short(&estate.name(one.ci), 50),
                kind(one.ci),
                format!("{:.2}", one.confidence),
                format!("{} talks to it{open}", estate.name(one.by)),
            ]);
        }
        text.push_str(&format!("\n{}", rows(&suggested, "")));
    }
    let excluded: Vec<String> = map.excluded.iter().map(|ci| estate.name(*ci)).collect();
    if !excluded.is_empty() {
        text.push_str(&format!("\nkept out by a person: {}\n", excluded.join(", ")));
    }
    if !map.dormant.is_empty() {
        text.push_str(&format!("\n{} decisions are about what is not there now\n", map.dormant.len()));
    }
    let known = map.completeness;
    text.push_str(&format!(
        "\n{:.0} % known: {} items described, {} loose ends, {} undecided, {} cut off by limits\n",
        100.0 * known.share(),
        known.known,
        known.loose_ends,
        known.undecided,
        known.cut
    ));
    text
}

fn as_json(estate: &Estate, map: &ServiceMap) -> serde_json::Value {
    let known = map.completeness;
    json!({
        "members": map.members.iter().map(|member| json!({
            "id": member.ci, "name": estate.name(member.ci), "steps": member.distance,
            "role": role(member.role), "reason": reason(estate, &member.reason),
        })).collect::<Vec<_>>(),
        "relations": map.relations.iter().map(|one| json!({
            "kind": one.kind, "from": one.from, "to": one.to,
        })).collect::<Vec<_>>(),
        "suggestions": map.suggestions.iter().map(|one| json!({
            "id": one.ci, "name": estate.name(one.ci), "by": one.by,
            "confidence": one.confidence, "undecided": one.undecided,
        })).collect::<Vec<_>>(),
        "excluded": map.excluded,
        "dormant": map.dormant,
        "completeness": {
            "share": known.share(), "known": known.known, "loose_ends": known.loose_ends,
            "undecided": known.undecided, "cut": known.cut,
        },
    })
}
