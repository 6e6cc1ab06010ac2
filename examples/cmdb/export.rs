//! Maps in files.

use std::error::Error;
use std::path::Path;

use itom::cmdb::export::MapDocument;
use itom::map::{Detail, map};
use itom_examples::names;

use crate::estate::Estate;

pub(crate) fn export(estate: &Estate, file: &Path) -> Result<i32, Box<dyn Error>> {
    write(map(&estate.view, Detail::All), file)?;
    Ok(0)
}

/// Writes a map in the format that the name of the file says.
pub(crate) fn write(mut document: MapDocument, file: &Path) -> Result<(), Box<dyn Error>> {
    for node in &mut document.nodes {
        node.name = node.name.as_ref().map(names::clear);
    }
    let text = match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => document.to_html(),
        Some("svg") => document.to_svg(),
        Some("dot") => document.to_dot(),
        Some("mmd") => document.to_mermaid(),
        Some("graphml") => document.to_graphml(),
        Some("json") => document.to_json(),
        _ => {
            let known = ".html, .svg, .dot, .mmd, .graphml or .json";
            return Err(format!("{}: the name ends in {known}", file.display()).into());
        }
    };
    std::fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    eprintln!(
        "cmdb: {} items and {} relations in {}",
        document.nodes.len(),
        document.edges.len(),
        file.display()
    );
    Ok(())
}
