//! Graphviz DOT.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::escape::dot;
use super::{MapDocument, MapLayer, MapState};

impl MapDocument {
    /// The map in the DOT language of Graphviz, one cluster for each layer.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut out = format!(
            "digraph {} {{\n  rankdir=TB;\n  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\"];\n",
            dot(&self.title)
        );
        let mut layers: BTreeMap<MapLayer, Vec<usize>> = BTreeMap::new();
        for (place, node) in self.nodes.iter().enumerate() {
            layers.entry(node.drawn_in()).or_default().push(place);
        }
        for (number, (layer, places)) in layers.iter().enumerate() {
            let _ = writeln!(out, "  subgraph cluster_{number} {{\n    label={};", dot(layer.title()));
            for place in places {
                let node = &self.nodes[*place];
                let fill = match node.state {
                    MapState::Up => "#ffffff",
                    MapState::AtRisk => "#fdf3c4",
                    MapState::Degraded => "#fbdcae",
                    MapState::Down => "#f8c4c0",
                    MapState::Failed => "#d9453a",
                };
                let (label, kind) = (dot(node.label()), dot(node.kind.as_str()));
                let _ = writeln!(out, "    n{place} [label={label}, tooltip={kind}, fillcolor=\"{fill}\"];");
            }
            out.push_str("  }\n");
        }
        for (from, to, edge) in self.placed_edges() {
            let _ = writeln!(out, "  n{from} -> n{to} [label={}];", dot(edge.kind.as_str()));
        }
        out.push_str("}\n");
        out
    }
}
