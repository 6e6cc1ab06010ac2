//! Maps handed out: one neutral document, written as JSON, DOT, Mermaid, GraphML, Cytoscape JSON, CSV, SVG or a page to
//! look at.
//!
//! Every writer is a pure function of the document and gives the same bytes each time. Names come from outside and may
//! hold anything: each writer escapes them for its own syntax.
//!
//! ```
//! use itom_cmdb::export::MapDocument;
//! use itom_cmdb::graph::{RelationGraph, RelationModel};
//! use itom_core::{CiId, kind, relation};
//!
//! let [web, host] = ["web", "host"].map(|name| CiId::derive(&[name]));
//! let mut graph = RelationGraph::new(RelationModel::default());
//! graph.upsert_ci(web, kind::SERVICE, "web")?;
//! graph.upsert_ci(host, kind::HOST, "host-1")?;
//! graph.relate(relation::RUNS_ON, web, host)?;
//!
//! let map = MapDocument::from_graph("Shop", &graph);
//! assert!(map.to_mermaid().contains("web"));
//! let again = MapDocument::from_json(&map.to_json())?;
//! assert_eq!(again.to_graph()?.relations(), graph.relations());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod csv;
mod cytoscape;
mod document;
mod dot;
mod escape;
mod graphml;
mod html;
mod layout;
mod mermaid;
mod route;
mod svg;

#[cfg(test)]
mod tests;

pub use document::{MAP_FORMAT, MapDocument, MapEdge, MapError, MapGate, MapLayer, MapNode, MapState};
