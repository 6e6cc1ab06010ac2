//! One discovery: as tables, as JSON, or as a map in a file.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use itom::cmdb::view::{Ci, View};
use itom::core::{CiId, CiKind, attr, kind, relation};
use itom::map::{Detail, map};
use itom::{Engine, EngineHandle};
use serde_json::json;

use crate::args::{self, Args};
use crate::progress;

pub(crate) async fn run(engine: Engine, args: &Args) -> Result<(), Box<dyn Error>> {
    let handle = engine.handle();
    let shown = tokio::spawn(progress::first_round(handle.clone()));
    engine.run_once().await?;
    shown.abort();
    if let Some(path) = &args.map {
        write_map(&handle, path, args.detail)?;
    }
    if args.once && args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&document(&handle))?))?;
    } else if args.once {
        print(&tables(&handle))?;
    }
    Ok(())
}

/// A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<(), std::io::Error> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn write_map(engine: &EngineHandle, path: &Path, detail: args::Detail) -> Result<(), Box<dyn Error>> {
    let detail = match detail {
        args::Detail::Services => Detail::Services,
        args::Detail::Processes => Detail::Processes,
        args::Detail::All => Detail::All,
    };
    let document = map(&engine.view(), detail);
    let text = match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => document.to_html(),
        Some("svg") => document.to_svg(),
        Some("dot") => document.to_dot(),
        Some("mmd") => document.to_mermaid(),
        Some("graphml") => document.to_graphml(),
        Some("json") => document.to_json(),
        _ => {
            let known = ".html, .svg, .dot, .mmd, .graphml or .json";
            return Err(format!("{}: the name of a map ends in {known}", path.display()).into());
        }
    };
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    eprintln!(
        "console: {} items and {} relations in {}",
        document.nodes.len(),
        document.edges.len(),
        path.display()
    );
    Ok(())
}

fn document(engine: &EngineHandle) -> serde_json::Value {
    let view = engine.view();
    let cis: Vec<_> = view
        .cis()
        .map(|ci| {
            let attributes: BTreeMap<_, _> =
                ci.attributes().iter().map(|(name, attribute)| (name, attribute.value())).collect();
            json!({
                "id": ci.id(),
                "kind": ci.kind(),
                "name": ci.name(),
                "loose_end": ci.is_loose_end(),
                "keys": ci.keys(),
                "attributes": attributes,
            })
        })
        .collect();
    let relations: Vec<_> = view
        .relations()
        .map(|relation| json!({"kind": relation.kind, "from": relation.from, "to": relation.to}))
        .collect();
    let status = engine.status();
    let sources: Vec<_> = status
        .collectors
        .iter()
        .map(|own| {
            let failed = own.outcome.as_ref().and_then(|outcome| outcome.as_ref().err());
            json!({
                "name": own.name,
                "observations": own.observations,
                "duration_ms": own.duration.as_secs_f64() * 1e3,
                "error": failed.map(|(_, why)| why),
                "faults": own.faults,
            })
        })
        .collect();
    json!({
        "format": "itom-discovery/1",
        "taken_at": status.at,
        "cis": cis,
        "relations": relations,
        "sources": sources,
    })
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        // Not a terminal: a width that logs and mails can bear.
        table.set_width(160);
    }
    table.set_header(header.iter().map(|title| title.to_uppercase()));
    table
}

fn shown(ci: &Ci, name: &itom::core::AttrName) -> String {
    ci.value(name).filter(|value| value.is_known()).map(ToString::to_string).unwrap_or_default()
}

fn tables(engine: &EngineHandle) -> String {
    let view = engine.view();
    let mut out = String::new();
    for host in view.by_kind(&kind::HOST).into_iter().filter(|host| !host.is_loose_end()) {
        out.push_str(&format!("{}  {}\n", host.name(), shown(host, &attr::OS_DESCRIPTION)));
        let mut facts = table(&["fact", "value"]);
        for (label, name) in [
            ("kernel", attr::OS_KERNEL_RELEASE),
            ("type", attr::HOST_TYPE),
            ("processor", attr::HOST_CPU_MODEL_NAME),
            ("logical CPUs", attr::HOST_CPU_COUNT),
            ("memory (bytes)", attr::HOST_MEMORY_SIZE),
            ("booted", attr::HOST_BOOT_TIME),
            ("addresses", attr::HOST_IP),
        ] {
            facts.add_row([label.to_owned(), shown(host, &name)]);
        }
        out.push_str(&format!("{facts}\n\n"));
    }
    out.push_str(&services(&view));
    let mut kinds: BTreeMap<&CiKind, usize> = BTreeMap::new();
    view.cis().for_each(|ci| *kinds.entry(ci.kind()).or_default() += 1);
    let mut counts = table(&["kind", "items"]);
    for (kind, count) in kinds {
        counts.add_row([kind.to_string(), count.to_string()]);
    }
    out.push_str(&format!("{counts}\n"));
    let mut faults = table(&["source", "could not be read", "why", "times"]);
    let mut any = false;
    for own in engine.status().collectors {
        if let Some(Err((kind, why))) = &own.outcome {
            any = true;
            faults.add_row([
                own.name.to_string(),
                "the whole run".to_owned(),
                format!("{kind}: {why}"),
                "1".to_owned(),
            ]);
        }
        for fault in &own.faults {
            any = true;
            faults.add_row([
                own.name.to_string(),
                fault.what.to_string(),
                fault.message.to_string(),
                fault.count.to_string(),
            ]);
        }
    }
    if any {
        out.push_str(&format!("\n{faults}\n"));
    }
    out
}

fn services(view: &View) -> String {
    let name = |id: CiId| view.ci(id).map_or_else(|| id.to_string(), |ci| ci.name().to_string());
    let mut services = table(&["service", "software", "version", "listens on", "depends on"]);
    let mut found: Vec<&Ci> = view.by_kind(&kind::SERVICE);
    found.retain(|ci| !ci.is_loose_end());
    found.sort_by(|a, b| (a.name(), a.id()).cmp(&(b.name(), b.id())));
    for ci in &found {
        let mut needs: Vec<String> = view
            .relations_of(ci.id())
            .filter(|edge| edge.kind == relation::DEPENDS_ON && edge.from == ci.id())
            .map(|edge| name(edge.to))
            .collect();
        needs.sort();
        services.add_row([
            ci.name().to_string(),
            shown(ci, &attr::SERVICE_TYPE),
            shown(ci, &attr::SERVICE_VERSION),
            format!(
                "{} {}:{}",
                shown(ci, &attr::NETWORK_TRANSPORT),
                shown(ci, &attr::SERVER_ADDRESS),
                shown(ci, &attr::SERVER_PORT)
            ),
            needs.join(", "),
        ]);
    }
    if found.is_empty() {
        return "no listening services were seen\n\n".to_owned();
    }
    format!("{services}\n\n")
}
