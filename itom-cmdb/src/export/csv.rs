//! Comma-separated tables (RFC 4180): one of items, one of relations.

use std::collections::BTreeSet;

use itom_core::{AttrName, Value};

use super::MapDocument;

/// The first columns of the table of items.
pub(crate) const ITEM_HEAD: [&str; 5] = ["id", "name", "kind", "layer", "state"];
/// The first columns of the table of relations.
pub(crate) const RELATION_HEAD: [&str; 5] = ["relation", "from", "from_name", "to", "to_name"];

/// The column of an attribute: its name, marked where a first column is called so.
pub(crate) fn column(head: &[&str], name: &AttrName) -> String {
    if head.contains(&name.as_str()) { format!("attribute:{name}") } else { name.to_string() }
}

const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// One field. What a spreadsheet would take for a formula is marked as text; so is what looks as if it were marked, so
/// that a reader can tell them apart.
fn field(out: &mut String, text: &str) {
    let marked =
        text.strip_prefix('\'').is_some_and(|rest| rest.starts_with('\'') || rest.starts_with(FORMULA));
    let formula = marked || text.starts_with(FORMULA) && text.parse::<f64>().is_err();
    let quoted = formula || text.contains(['"', ',', '\n', '\r']);
    if !quoted {
        out.push_str(text);
        return;
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

fn line<'a>(out: &mut String, fields: impl IntoIterator<Item = &'a str>) {
    for (number, text) in fields.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        field(out, text);
    }
    out.push_str("\r\n");
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

impl MapDocument {
    /// The items as a table: id, name, kind, layer, state, then one column for each attribute that any item has
    /// (`attribute:state` for an attribute that is called as one of these five).
    ///
    /// Texts that a spreadsheet would run as a formula get an apostrophe in front.
    #[must_use]
    pub fn to_items_csv(&self) -> String {
        let names: BTreeSet<&AttrName> = self.nodes.iter().flat_map(|node| node.attributes.keys()).collect();
        let mut out = String::new();
        let columns: Vec<String> = names.iter().map(|name| column(&ITEM_HEAD, name)).collect();
        line(&mut out, ITEM_HEAD.into_iter().chain(columns.iter().map(String::as_str)));
        for node in &self.nodes {
            let values: Vec<String> =
                names.iter().map(|name| node.attributes.get(*name).map(plain).unwrap_or_default()).collect();
            let own = [
                node.id.as_str(),
                node.label(),
                node.kind.as_str(),
                node.drawn_in().title(),
                node.state.name(),
            ];
            line(&mut out, own.into_iter().chain(values.iter().map(String::as_str)));
        }
        out
    }

    /// The relations as a table: kind, id and name of both ends, then one column for each attribute that any has.
    #[must_use]
    pub fn to_relations_csv(&self) -> String {
        let edges = self.placed_edges();
        let names: BTreeSet<&AttrName> =
            edges.iter().flat_map(|(_, _, edge)| edge.attributes.keys()).collect();
        let mut out = String::new();
        let columns: Vec<String> = names.iter().map(|name| column(&RELATION_HEAD, name)).collect();
        line(&mut out, RELATION_HEAD.into_iter().chain(columns.iter().map(String::as_str)));
        for (from, to, edge) in edges {
            let values: Vec<String> =
                names.iter().map(|name| edge.attributes.get(*name).map(plain).unwrap_or_default()).collect();
            let (from, to) = (&self.nodes[from], &self.nodes[to]);
            let own = [edge.kind.as_str(), from.id.as_str(), from.label(), to.id.as_str(), to.label()];
            line(&mut out, own.into_iter().chain(values.iter().map(String::as_str)));
        }
        out
    }
}
