//! Policies and the health of the data.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;
use itom::cmdb::health::{Health, HealthRules};
use itom::cmdb::policy::{Compliance, PolicyResult, PolicySet, Verdict};
use itom::core::Value;
use serde_json::json;

use crate::estate::Estate;
use crate::print::{Output, rows, short, table};

/// Which policies.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// A file of policies (YAML); those that come with the library if not given.
    file: Option<PathBuf>,
    /// Show what passes and what is not known, too.
    #[arg(long)]
    all: bool,
    /// Write the policies that come with the library to standard output, to copy and change.
    #[arg(long, conflicts_with = "file")]
    starter: bool,
}

pub(crate) fn check(estate: &Estate, check: &Check, out: Output) -> Result<i32, Box<dyn Error>> {
    if check.starter {
        out.print(|| PolicySet::STARTER.to_owned(), || json!(PolicySet::STARTER))?;
        return Ok(0);
    }
    let set = match &check.file {
        Some(file) => {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            PolicySet::from_yaml(&file.display().to_string(), &text)?
        }
        None => PolicySet::starter(),
    };
    let mut compliance = Compliance::new(set);
    compliance.update(&estate.view, &estate.graph, estate.now);
    let shown: Vec<&PolicyResult> =
        compliance.results().filter(|own| check.all || own.verdict == Verdict::Fail).collect();
    let text = || {
        let mut scores = table(&["policy", "pass", "fail", "unknown", "waived", "demand"]);
        for policy in compliance.set().policies() {
            let Some(score) = compliance.scores().get(policy.name()).copied() else { continue };
            if score.pass + score.fail + score.unknown == 0 {
                continue;
            }
            scores.add_row([
                policy.name().to_string(),
                score.pass.to_string(),
                score.fail.to_string(),
                score.unknown.to_string(),
                score.waived.to_string(),
                policy.title_text().to_string(),
            ]);
        }
        let mut results = table(&["verdict", "severity", "policy", "item", "evidence"]);
        for own in &shown {
            let evidence = match (&own.waived, &own.unknown_because) {
                (Some(waived), _) => format!("accepted by {}: {}", waived.owner, waived.reason),
                (None, Some(why)) => why.to_string(),
                (None, None) => {
                    let read = own.evidence.iter().map(|why| format!("{}: {}", why.read, found(&why.value)));
                    read.collect::<Vec<_>>().join(", ")
                }
            };
            results.add_row([
                own.verdict.to_string(),
                own.severity.to_string(),
                own.policy.to_string(),
                short(&estate.name(own.ci), 40),
                short(&evidence, 80),
            ]);
        }
        format!("{}\n{}", rows(&scores, "no policy applies to anything"), rows(&results, "nothing fails"))
    };
    let json = || json!({ "scores": compliance.scores(), "results": shown });
    out.print(text, json)?;
    let failing = compliance.results().any(|own| own.verdict == Verdict::Fail && own.waived.is_none());
    Ok(i32::from(failing))
}

/// What was found, for a cell.
fn found(value: &Value) -> String {
    match value {
        Value::List(list) if list.is_empty() => "none".to_owned(),
        other => other.to_string(),
    }
}

pub(crate) fn health(estate: &Estate, list: usize, out: Output) -> Result<i32, Box<dyn Error>> {
    let mut health = Health::new(HealthRules::from(&estate.rules));
    health.update(&estate.view);
    let report = health.report(estate.now, list);
    let text = || {
        let measures = report.measures();
        let mut shown = table(&["measure", "good", "of", "share"]);
        for (name, measure) in measures {
            let share = measure.ratio().map_or_else(String::new, |ratio| format!("{:.1} %", ratio * 100.0));
            shown.add_row([name.to_owned(), measure.good.to_string(), measure.of.to_string(), share]);
        }
        let mut problems = table(&["item", "kind", "problem"]);
        for (id, problem) in measures.iter().flat_map(|(_, measure)| &measure.items) {
            let kind = estate.view.ci(*id).map_or_else(String::new, |ci| ci.kind().to_string());
            problems.add_row([short(&estate.name(*id), 60), kind, problem.to_string()]);
        }
        format!("{shown}\n\n{}", rows(&problems, "nothing to mend"))
    };
    out.print(text, || json!(report))?;
    Ok(0)
}
