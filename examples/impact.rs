//! Loads a map and asks what breaks.
//!
//! `cargo run --release --example console -- --map estate.json`, then
//! `cargo run --release --example impact -- estate.json --down web-1`.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;
use itom::cmdb::export::{MapDocument, MapNode};
use itom::cmdb::graph::Step;
use itom::core::{CiId, ErrorChain};
use serde_json::json;

/// Loads a map (JSON, as `console --map FILE.json` writes it) and asks what breaks.
#[derive(Debug, Parser)]
#[command(name = "impact", version)]
struct Args {
    /// The map.
    file: PathBuf,
    /// Name or id of an item that fails. May be given several times: they fail together.
    #[arg(long, value_name = "ITEM", required_unless_present_any = ["spof", "cycles"])]
    down: Vec<String>,
    /// Name or id of a service: list every item whose failure alone brings it down.
    #[arg(long, value_name = "ITEM")]
    spof: Option<String>,
    /// List the groups of items that need each other in circles.
    #[arg(long)]
    cycles: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Also write the map, coloured with the impact, to FILE (.html, .svg, .dot, .mmd).
    #[arg(long, value_name = "FILE", requires = "down")]
    map: Option<PathBuf>,
}

fn main() {
    match run(&Args::parse()) {
        Ok(text) => {
            // A reader that has seen enough is no error.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }
        Err(error) => {
            eprintln!("impact: {}", ErrorChain(error.as_ref()));
            std::process::exit(1);
        }
    }
}

fn run(args: &Args) -> Result<String, Box<dyn Error>> {
    let text =
        std::fs::read_to_string(&args.file).map_err(|error| format!("{}: {error}", args.file.display()))?;
    let document = MapDocument::from_json(&text)
        .map_err(|error| format!("{}: {}", args.file.display(), ErrorChain(&error)))?;
    let graph = document.to_graph()?;
    let name = |id: CiId| graph.ci(id).map_or_else(|| id.to_string(), |ci| ci.name.to_string());
    let mut out = String::new();
    let mut answer = json!({});

    if !args.down.is_empty() {
        let failed: BTreeSet<CiId> =
            args.down.iter().map(|wanted| find(&document, wanted)).collect::<Result<_, _>>()?;
        let impact = graph.impact(&failed);
        let chain = |id: CiId| match impact.path(id) {
            Some((root, steps)) => {
                let steps: Vec<String> = steps
                    .iter()
                    .map(|Step { relation, ci, .. }| format!("{} ({relation})", name(*ci)))
                    .collect();
                format!("{} → {}", name(root), steps.join(" → "))
            }
            None => name(id),
        };
        out.push_str(&format!("down with {}: {}\n", args.down.join(", "), impact.down().len()));
        impact.down().iter().for_each(|hit| out.push_str(&format!("  {}\n", chain(hit.ci))));
        out.push_str(&format!("degraded: {}\n", impact.degraded().len()));
        impact.degraded().iter().for_each(|hit| out.push_str(&format!("  {}\n", chain(hit.ci))));
        out.push_str(&format!("redundancy lost: {}\n", impact.redundancy_lost().len()));
        for lost in impact.redundancy_lost() {
            out.push_str(&format!("  {}: {} of {} left\n", name(lost.ci), lost.standing, lost.total));
        }
        let entry = |id: CiId| json!({"id": id, "name": name(id), "path": chain(id)});
        answer["down"] = impact.down().iter().map(|hit| entry(hit.ci)).collect();
        answer["degraded"] = impact.degraded().iter().map(|hit| entry(hit.ci)).collect();
        answer["redundancy_lost"] = impact
            .redundancy_lost()
            .iter()
            .map(
                |lost| json!({"id": lost.ci, "name": name(lost.ci), "left": lost.standing, "of": lost.total}),
            )
            .collect();
        if let Some(path) = &args.map {
            let coloured = document.clone().with_impact(&impact);
            let text = match path.extension().and_then(|extension| extension.to_str()) {
                Some("html") => coloured.to_html(),
                Some("svg") => coloured.to_svg(),
                Some("dot") => coloured.to_dot(),
                Some("mmd") => coloured.to_mermaid(),
                _ => {
                    return Err(
                        format!("{}: the name ends in .html, .svg, .dot or .mmd", path.display()).into()
                    );
                }
            };
            std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    if let Some(service) = &args.spof {
        let points = graph.single_points_of_failure(find(&document, service)?);
        out.push_str(&format!("single points of failure of {service}: {}\n", points.len()));
        points.iter().for_each(|point| out.push_str(&format!("  {}\n", name(*point))));
        answer["single_points_of_failure"] =
            points.iter().map(|point| json!({"id": point, "name": name(*point)})).collect();
    }
    if args.cycles {
        let cycles = graph.cycles();
        out.push_str(&format!("circles of dependency: {}\n", cycles.len()));
        answer["cycles"] = json!([]);
        for cycle in &cycles {
            let members: Vec<String> = cycle.members.iter().map(|ci| name(*ci)).collect();
            out.push_str(&format!("  {}\n", members.join(", ")));
            if let Some(list) = answer["cycles"].as_array_mut() {
                list.push(json!(members));
            }
        }
    }
    Ok(if args.json { format!("{}\n", serde_json::to_string_pretty(&answer)?) } else { out })
}

/// The one item that is called so: by id, else by name.
fn find(document: &MapDocument, wanted: &str) -> Result<CiId, String> {
    if let Some(node) = document.nodes.iter().find(|node| node.id.as_str() == wanted) {
        return Ok(node.ci());
    }
    let named: Vec<&MapNode> = document.nodes.iter().filter(|node| node.label() == wanted).collect();
    match named.as_slice() {
        [one] => Ok(one.ci()),
        [] => {
            let near: BTreeSet<&str> = document
                .nodes
                .iter()
                .map(MapNode::label)
                .filter(|label| label.to_lowercase().contains(&wanted.to_lowercase()))
                .collect();
            let near: Vec<&str> = near.into_iter().take(5).collect();
            let hint = if near.is_empty() { String::new() } else { format!("; near: {}", near.join(", ")) };
            Err(format!("no item is called `{wanted}`{hint}"))
        }
        several => {
            let ids: Vec<String> =
                several.iter().map(|node| format!("{} ({})", node.id, node.kind)).collect();
            Err(format!("{} items are called `{wanted}`; give an id: {}", several.len(), ids.join(", ")))
        }
    }
}
