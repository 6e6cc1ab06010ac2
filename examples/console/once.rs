//! One discovery: as tables, as JSON, or as a map in a file.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use itom::cmdb::view::{Ci, View};
use itom::core::{CiKind, ErrorKind, Value, attr, kind, relation};
use itom::map::{Detail, map};
use itom::{Engine, EngineHandle};
use itom_examples::names;
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

/// Refuses a file name that no map can have, before anything is asked.
pub(crate) fn check_map(path: &Path) -> Result<(), String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "svg" | "dot" | "mmd" | "graphml" | "json") => Ok(()),
        _ => {
            let known = ".html, .svg, .dot, .mmd, .graphml or .json";
            Err(format!("{}: the name of a map ends in {known}", path.display()))
        }
    }
}

fn write_map(engine: &EngineHandle, path: &Path, detail: args::Detail) -> Result<(), Box<dyn Error>> {
    let detail = match detail {
        args::Detail::Services => Detail::Services,
        args::Detail::Processes => Detail::Processes,
        args::Detail::All => Detail::All,
    };
    let mut document = map(&engine.view(), detail);
    for node in &mut document.nodes {
        node.name = node.name.as_ref().map(names::clear);
    }
    let text = match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => document.to_html(),
        Some("svg") => document.to_svg(),
        Some("dot") => document.to_dot(),
        Some("mmd") => document.to_mermaid(),
        Some("graphml") => document.to_graphml(),
        // The only one left: the name was checked.
        _ => document.to_json(),
    };
    std::fs::write(path, text)
        .map_err(|error| format!("cannot write the map {}: {error}", path.display()))?;
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
                "name": names::name(ci),
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
            ("memory", attr::HOST_MEMORY_SIZE),
            ("booted", attr::HOST_BOOT_TIME),
            ("addresses", attr::HOST_IP),
        ] {
            let value = match host.value(&name).and_then(Value::as_int) {
                Some(size) if name == attr::HOST_MEMORY_SIZE => names::bytes(size),
                _ => shown(host, &name),
            };
            if !value.is_empty() {
                facts.add_row([label.to_owned(), value]);
            }
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
    if let Some(column) = counts.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    out.push_str(&format!("{counts}\n"));
    let mut faults = table(&["source", "could not be read", "why", "times"]);
    let mut any = false;
    let mut absent = String::new();
    for own in engine.status().collectors {
        if let Some(Err((ErrorKind::Unsupported, why))) = &own.outcome {
            // Nothing is wrong: this machine has no such thing.
            absent.push_str(&format!("\n not read here: {} ({why})\n", own.name));
            continue;
        }
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
    out.push_str(&absent);
    out
}

fn services(view: &View) -> String {
    let mut services = table(&["service", "software", "version", "listens on", "depends on"]);
    let mut found: Vec<&Ci> = view.by_kind(&kind::SERVICE);
    found.retain(|ci| !ci.is_loose_end());
    found.sort_by_key(|ci| (names::name(ci), ci.id()));
    for ci in &found {
        let mut needs: Vec<String> = view
            .relations_of(ci.id())
            .filter(|edge| edge.kind == relation::DEPENDS_ON && edge.from == ci.id())
            .map(|edge| names::name_of(view, edge.to).to_string())
            .collect();
        needs.sort();
        services.add_row([
            names::name(ci).to_string(),
            shown(ci, &attr::SERVICE_TYPE),
            shown(ci, &attr::SERVICE_VERSION),
            format!(
                "{} {}",
                shown(ci, &attr::NETWORK_TRANSPORT),
                names::endpoint(&shown(ci, &attr::SERVER_ADDRESS), &shown(ci, &attr::SERVER_PORT))
            ),
            needs.join(", "),
        ]);
    }
    if found.is_empty() {
        return "no listening services were seen\n\n".to_owned();
    }
    format!("{services}\n\n")
}
