//! The rules: which apply, and what others would make of the same facts.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;
use itom::cmdb::health::{Health, HealthRules};
use itom::cmdb::laboratory::Trial;
use itom::cmdb::ruleset::RuleSet;
use itom::cmdb::view::View;
use itom::core::Timestamp;
use itom_examples::{names, ruleset};
use serde_json::json;

use crate::estate::Estate;
use crate::print::{Output, rows, short, table};

/// Which part of the rules.
#[derive(Debug, Args)]
pub(crate) struct Rules {
    /// A file to look at; the rules that apply if not given.
    file: Option<PathBuf>,
    /// A table of the kinds instead of the whole.
    #[arg(long)]
    kinds: bool,
}

/// Rules to try.
#[derive(Debug, Args)]
pub(crate) struct TrialArgs {
    /// The candidate: a file as `cmdb rules` prints it, JSON or YAML.
    candidate: PathBuf,
}

pub(crate) fn rules(current: &RuleSet, args: &Rules, out: Output) -> Result<i32, Box<dyn Error>> {
    let read = args.file.as_deref().map(|file| ruleset::load(Some(file))).transpose()?;
    let rules = read.as_ref().unwrap_or(current);
    let kinds = || {
        let mut shown =
            table(&["kind", "what it is", "attributes", "required", "identified by", "leaves after"]);
        for (kind, rule) in &rules.kinds {
            let attributes = rules.attributes_of(kind);
            let required: Vec<String> = attributes
                .iter()
                .filter(|(_, own)| own.need == itom::cmdb::ruleset::Need::Required)
                .map(|(name, _)| name.to_string())
                .collect();
            let keys = rule.identified_by.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
            shown.add_row([
                kind.to_string(),
                rule.title.to_string(),
                attributes.len().to_string(),
                required.join(", "),
                if keys.is_empty() { "any key".to_owned() } else { keys.join(", ") },
                rule.lease.map_or_else(String::new, |own| json!(own).as_str().unwrap_or_default().to_owned()),
            ]);
        }
        format!(
            "{}{} {}: {} kinds, {} relations, hash {:016x}\n",
            rows(&shown, "no kinds"),
            rules.name,
            rules.version,
            rules.kinds.len(),
            rules.relations.len(),
            rules.hash()
        )
    };
    let whole = || format!("{}\n", rules.to_json());
    out.print(|| if args.kinds { kinds() } else { whole() }, || json!(rules))?;
    Ok(0)
}

/// The shares of a health report, in the order people read them.
fn shares(view: &View, rules: &RuleSet, now: Timestamp) -> [(&'static str, Option<f64>); 5] {
    let mut health = Health::new(HealthRules::from(rules));
    health.update(view);
    health.report(now, 0).measures().map(|(name, measure)| (name, measure.ratio()))
}

pub(crate) fn trial(estate: &Estate, args: &TrialArgs, out: Output) -> Result<i32, Box<dyn Error>> {
    let candidate = ruleset::load(Some(&args.candidate))?;
    let trial = Trial::of_rule_sets(&estate.cmdb, &estate.rules, &candidate);
    let delta = trial.delta();
    let after = trial.candidate().view();
    let health: Vec<_> = shares(&estate.view, &estate.rules, estate.now)
        .into_iter()
        .zip(shares(&after, &candidate, estate.now))
        .collect();
    let text = || {
        let mut shown = table(&["", "now", "candidate"]);
        let mut row = |name: &str, now: String, then: String| {
            shown.add_row([name.to_owned(), now, then]);
        };
        let count = |(now, then): (usize, usize)| (now.to_string(), then.to_string());
        for (name, pair) in [
            ("items", delta.items),
            ("active items", delta.active),
            ("misfits", delta.misfits.unwrap_or_default()),
        ] {
            let (now, then) = count(pair);
            row(name, now, then);
        }
        let percent =
            |share: Option<f64>| share.map_or_else(String::new, |own| format!("{:.1} %", own * 100.0));
        for ((name, now), (_, then)) in &health {
            row(name, percent(*now), percent(*then));
        }
        let mut text = format!("{shown}\n\n");
        for (what, merges) in [("joined", &delta.merges_gained), ("parted", &delta.merges_lost)] {
            let mut shown = table(&["object", "object"]);
            for own in &merges.samples {
                shown.add_row([own.a.to_string(), own.b.to_string()]);
            }
            text.push_str(&format!("{} would be {what}\n", merges.count));
            if merges.count > 0 {
                text.push_str(&format!("{shown}\n"));
            }
        }
        text.push_str(&format!("{} attributes would have another value\n", delta.flips.count));
        if delta.flips.count > 0 {
            let mut shown = table(&["item", "attribute", "now", "candidate"]);
            let value = |own: &Option<itom::core::Value>| {
                own.as_ref().map_or_else(String::new, |own| short(&own.to_string(), 40))
            };
            for own in &delta.flips.samples {
                let name = names::name_of(&after, own.ci).to_string();
                shown.add_row([
                    short(&name, 40),
                    own.attribute.to_string(),
                    value(&own.before),
                    value(&own.after),
                ]);
            }
            text.push_str(&format!("{shown}\n"));
        }
        text.push_str(&format!(
            "{} would be open, {} open ones would be settled\n",
            delta.opened.count, delta.settled
        ));
        text
    };
    let json = || {
        let merges = |own: &itom::cmdb::laboratory::Counted<itom::cmdb::laboratory::MergeSample>| {
            let samples: Vec<_> =
                own.samples.iter().map(|own| [own.a.to_string(), own.b.to_string()]).collect();
            json!({ "count": own.count, "samples": samples })
        };
        let flips: Vec<_> = delta
            .flips
            .samples
            .iter()
            .map(|own| json!({ "item": own.ci, "attribute": own.attribute, "now": own.before, "candidate": own.after }))
            .collect();
        let health: serde_json::Map<String, serde_json::Value> = health
            .iter()
            .map(|((name, now), (_, then))| ((*name).to_owned(), json!({ "now": now, "candidate": then })))
            .collect();
        json!({
            "candidate": { "name": candidate.name, "version": candidate.version, "hash": format!("{:016x}", candidate.hash()) },
            "items": { "now": delta.items.0, "candidate": delta.items.1 },
            "active": { "now": delta.active.0, "candidate": delta.active.1 },
            "misfits": delta.misfits.map(|own| json!({ "now": own.0, "candidate": own.1 })),
            "joined": merges(&delta.merges_gained),
            "parted": merges(&delta.merges_lost),
            "flips": { "count": delta.flips.count, "samples": flips },
            "opened": delta.opened.count,
            "settled": delta.settled,
            "health": health,
        })
    };
    out.print(text, json)?;
    Ok(0)
}
