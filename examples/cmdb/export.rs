//! Maps and tables in files.

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use itom::cmdb::import::Mapping;
use itom::map::{Detail, map};
use itom_examples::names;

use crate::estate::Estate;

/// What is written.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file; standard output if not given.
    file: Option<PathBuf>,
    /// What to write; the end of the file's name says it if not given.
    #[arg(long)]
    format: Option<Format>,
    /// How much of the estate: services, processes, all.
    #[arg(long, default_value = "all")]
    detail: Detail,
    /// The title of a map.
    #[arg(long, default_value = "Estate")]
    title: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A page to look at: search, fold, what a failure does.
    Html,
    /// A picture.
    Svg,
    /// For Graphviz.
    Dot,
    /// For documents in Markdown.
    Mermaid,
    /// For yEd, Gephi and others.
    Graphml,
    /// For Cytoscape and Cytoscape.js.
    Cytoscape,
    /// The map itself, which the library reads.
    Json,
    /// The items as a table.
    Csv,
    /// The relations as a table.
    CsvRelations,
    /// The mapping with which `import` reads the table of items.
    CsvMapping,
    /// The mapping with which `import` reads the table of relations.
    CsvRelationsMapping,
}

impl Format {
    /// The format of a file called so.
    fn of(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let ends = [
            (".relations.csv", Self::CsvRelations),
            (".csv", Self::Csv),
            (".html", Self::Html),
            (".svg", Self::Svg),
            (".dot", Self::Dot),
            (".gv", Self::Dot),
            (".mmd", Self::Mermaid),
            (".graphml", Self::Graphml),
            (".cyjs", Self::Cytoscape),
            (".json", Self::Json),
        ];
        ends.iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| *format)
    }
}

pub(crate) fn export(estate: &Estate, export: &Export) -> Result<i32, Box<dyn Error>> {
    let named = export.file.as_ref().and_then(|file| Format::of(&file.to_string_lossy()));
    let Some(format) = export.format.or(named) else {
        let file = export
            .file
            .as_ref()
            .map_or_else(|| "standard output".to_owned(), |own| own.display().to_string());
        let ends = ".html, .svg, .dot, .mmd, .graphml, .cyjs, .json, .csv or .relations.csv";
        return Err(format!("{file}: give --format, or a name that ends in {ends}").into());
    };
    let mut document = map(&estate.view, export.detail);
    document.title = export.title.as_str().into();
    for node in &mut document.nodes {
        node.name = node.name.as_ref().map(names::clear);
    }
    let text = match format {
        Format::Html => document.to_html(),
        Format::Svg => document.to_svg(),
        Format::Dot => document.to_dot(),
        Format::Mermaid => document.to_mermaid(),
        Format::Graphml => document.to_graphml(),
        Format::Cytoscape => document.to_cytoscape(),
        Format::Json => document.to_json(),
        Format::Csv => document.to_items_csv(),
        Format::CsvRelations => document.to_relations_csv(),
        Format::CsvMapping => Mapping::for_items(&document).to_json(),
        Format::CsvRelationsMapping => Mapping::for_relations(&document).to_json(),
    };
    let Some(file) = &export.file else {
        return match std::io::stdout().lock().write_all(text.as_bytes()) {
            // A reader that has seen enough is no error.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(0),
        };
    };
    std::fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    eprintln!(
        "cmdb: {} items and {} relations in {}",
        document.nodes.len(),
        document.edges.len(),
        file.display()
    );
    Ok(0)
}
