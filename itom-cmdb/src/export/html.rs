//! A page to look at: one file, no network.

use std::collections::BTreeMap;

use super::MapDocument;
use super::escape::{json_in_script, xml};
use super::svg::gate_for_page;
use crate::graph::{Effect, Flow};

impl MapDocument {
    /// The map as a page: search, zoom, drag, and a click on an item shows what its failure does. The page holds all it
    /// needs and its security policy forbids it to load or send anything.
    #[must_use]
    pub fn to_html(&self) -> String {
        let own: BTreeMap<(&str, &str), _> =
            self.gates.iter().map(|gate| ((gate.node.as_str(), gate.kind.as_str()), &gate.gate)).collect();
        let mut needs = Vec::new();
        for (from, to, edge) in self.placed_edges() {
            let spec = self.model.spec(&edge.kind);
            let pairs = match spec.flow {
                Flow::ToFrom => vec![(to, from)],
                Flow::FromTo => vec![(from, to)],
                Flow::Both => vec![(from, to), (to, from)],
                Flow::None => vec![],
            };
            for (supplier, dependent) in pairs {
                let key = (self.nodes[dependent].id.as_str(), edge.kind.as_str());
                let effect = match spec.effect {
                    Effect::Down => "down",
                    Effect::Degraded => "degraded",
                    Effect::Capacity => "capacity",
                };
                let gate = gate_for_page(own.get(&key).copied().unwrap_or(&spec.gate));
                needs.push(serde_json::json!([supplier, dependent, edge.kind.as_str(), gate, effect]));
            }
        }
        let nodes: Vec<serde_json::Value> = self
            .nodes
            .iter()
            .map(|node| {
                serde_json::json!([
                    node.label(),
                    node.kind.as_str(),
                    node.ci().to_string(),
                    node.state.name(),
                    node.attributes,
                ])
            })
            .collect();
        let data = serde_json::json!({"nodes": nodes, "needs": needs}).to_string();
        include_str!("page.html")
            .split("@@")
            .map(|part| match part {
                "TITLE" => xml(&self.title),
                "SVG" => self.to_svg(),
                "DATA" => json_in_script(&data),
                "MAP" => json_in_script(&self.to_json()),
                other => other.to_owned(),
            })
            .collect()
    }
}
