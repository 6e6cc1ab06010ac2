//! Cytoscape JSON: the `elements` of Cytoscape.js, which Cytoscape Desktop reads, too.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::MapDocument;
use super::layout::layout;

impl MapDocument {
    /// The map as Cytoscape JSON, with places for the `preset` layout.
    #[must_use]
    pub fn to_cytoscape(&self) -> String {
        let drawn = layout(self);
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .zip(&drawn.places)
            .map(|(node, (x, y))| {
                json!({
                    "data": {
                        "id": node.id,
                        "name": node.label(),
                        "kind": node.kind,
                        "layer": node.drawn_in().title(),
                        "state": node.state,
                        "hub": node.hub,
                        "attributes": node.attributes,
                    },
                    "position": { "x": x, "y": y },
                })
            })
            .collect();
        let ids: BTreeSet<&str> = self.nodes.iter().map(|node| node.id.as_str()).collect();
        let edges: Vec<Value> = self
            .placed_edges()
            .into_iter()
            .enumerate()
            .map(|(number, (from, to, edge))| {
                json!({
                    "data": {
                        // Ids of edges must differ from those of nodes, whatever those are.
                        "id": edge_id(&ids, number),
                        "source": self.nodes[from].id,
                        "target": self.nodes[to].id,
                        "interaction": edge.kind,
                        "attributes": edge.attributes,
                    },
                })
            })
            .collect();
        let document = json!({
            "data": { "name": self.title },
            "elements": { "nodes": nodes, "edges": edges },
        });
        let mut text = document.to_string();
        text.push('\n');
        text
    }
}

fn edge_id(nodes: &BTreeSet<&str>, number: usize) -> String {
    let mut id = format!("edge-{number}");
    while nodes.contains(id.as_str()) {
        id.push('\'');
    }
    id
}
