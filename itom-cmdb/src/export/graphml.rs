//! GraphML (graphml.graphdrawing.org).

use std::fmt::Write;

use super::MapDocument;
use super::escape::xml;

impl MapDocument {
    /// The map as GraphML, attributes as JSON texts.
    #[must_use]
    pub fn to_graphml(&self) -> String {
        let mut out = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
        );
        for (of, name) in [
            ("node", "name"),
            ("node", "kind"),
            ("node", "layer"),
            ("node", "state"),
            ("node", "attributes"),
            ("edge", "relation"),
            ("edge", "evidence"),
        ] {
            let _ = writeln!(
                out,
                "  <key id=\"{name}\" for=\"{of}\" attr.name=\"{name}\" attr.type=\"string\"/>"
            );
        }
        let _ = writeln!(
            out,
            "  <graph id=\"map\" edgedefault=\"directed\">\n    <desc>{}</desc>",
            xml(&self.title)
        );
        let data = |out: &mut String, key: &str, text: &str| {
            let _ = writeln!(out, "      <data key=\"{key}\">{}</data>", xml(text));
        };
        for node in &self.nodes {
            let _ = writeln!(out, "    <node id=\"{}\">", xml(&node.id));
            data(&mut out, "name", node.label());
            data(&mut out, "kind", node.kind.as_str());
            data(&mut out, "layer", node.drawn_in().title());
            data(&mut out, "state", node.state.name());
            if let Some(json) = attributes(&node.attributes) {
                data(&mut out, "attributes", &json);
            }
            out.push_str("    </node>\n");
        }
        for (from, to, edge) in self.placed_edges() {
            let (from, to) = (xml(&self.nodes[from].id), xml(&self.nodes[to].id));
            let _ = writeln!(out, "    <edge source=\"{from}\" target=\"{to}\">");
            data(&mut out, "relation", edge.kind.as_str());
            if let Some(json) = attributes(&edge.attributes) {
                data(&mut out, "evidence", &json);
            }
            out.push_str("    </edge>\n");
        }
        out.push_str("  </graph>\n</graphml>\n");
        out
    }
}

fn attributes<T: serde::Serialize>(
    attributes: &std::collections::BTreeMap<itom_core::AttrName, T>,
) -> Option<String> {
    if attributes.is_empty() { None } else { serde_json::to_string(attributes).ok() }
}
