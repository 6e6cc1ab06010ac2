//! Mermaid flowcharts.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::escape::mermaid;
use super::{MapDocument, MapLayer, MapState};

impl MapDocument {
    /// The map as a Mermaid flowchart, one subgraph for each layer.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut out = String::from("flowchart TB\n");
        let mut layers: BTreeMap<MapLayer, Vec<usize>> = BTreeMap::new();
        for (place, node) in self.nodes.iter().enumerate() {
            layers.entry(node.drawn_in()).or_default().push(place);
        }
        for (number, (layer, places)) in layers.iter().enumerate() {
            let _ = writeln!(out, "  subgraph layer{number}[\"{}\"]", layer.title());
            for place in places {
                let _ = writeln!(out, "    n{place}[\"{}\"]", mermaid(self.nodes[*place].label()));
            }
            out.push_str("  end\n");
        }
        for (from, to, edge) in self.placed_edges() {
            let _ = writeln!(out, "  n{from} -->|\"{}\"| n{to}", mermaid(edge.kind.as_str()));
        }
        let colours = [
            (MapState::AtRisk, "fill:#fdf3c4,stroke:#c9a400"),
            (MapState::Degraded, "fill:#fbdcae,stroke:#d98a1f"),
            (MapState::Down, "fill:#f8c4c0,stroke:#d9453a"),
            (MapState::Failed, "fill:#d9453a,stroke:#8f1d14,color:#ffffff"),
        ];
        for (state, colour) in colours {
            let hit: Vec<String> = (0..self.nodes.len())
                .filter(|place| self.nodes[*place].state == state)
                .map(|place| format!("n{place}"))
                .collect();
            if !hit.is_empty() {
                let name = state.name();
                let _ = writeln!(out, "  classDef {name} {colour}\n  class {} {name}", hit.join(","));
            }
        }
        out
    }
}
