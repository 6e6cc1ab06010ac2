//! YAML into trees with lines, one for each document of the file.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::json::Refusal;
use super::tree::{Data, Node};
use super::{Limits, Problem};

/// All documents of the text, as the list that is the root of the tree.
pub(super) fn read(text: &str, limits: &Limits) -> Result<Node, Refusal> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: limits.values.saturating_mul(2),
            max_nodes: limits.values,
            max_depth: limits.depth,
            flow_nesting_limit: limits.depth,
            max_total_scalar_bytes: limits.bytes,
            max_documents: limits.items,
        },
        with_snippet: false,
    };
    let documents: Vec<Spanned<Wire>> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
            let at = error.location();
            Refusal {
                line: at.map_or(0, |at| u32::try_from(at.line()).unwrap_or(0)),
                column: at.map_or(0, |at| u32::try_from(at.column()).unwrap_or(0)),
                problem: Problem::Syntax(error.without_snippet().to_string().chars().take(300).collect()),
            }
        })?;
    let mut root = Node::new(1, Data::List(documents.into_iter().map(node).collect()));
    root.count();
    Ok(root)
}

fn node(wire: Spanned<Wire>) -> Node {
    let line = u32::try_from(wire.referenced.line()).unwrap_or(0);
    Node::new(line, wire.value.0)
}

struct Wire(Data);

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Data;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Data, E> {
                Ok(Data::Null)
            }
            fn visit_none<E>(self) -> Result<Data, E> {
                Ok(Data::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Data, D::Error> {
                deserializer.deserialize_any(self)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Data, E> {
                Ok(Data::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Data, E> {
                Ok(Data::Int(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Data, E> {
                Ok(i64::try_from(value).map_or(Data::Float(value as f64), Data::Int))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Data, E> {
                Ok(Data::Float(value))
            }
            fn visit_str<E>(self, text: &str) -> Result<Data, E> {
                Ok(Data::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Data, E> {
                Ok(Data::Text(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Data, A::Error> {
                let mut nodes = Vec::new();
                while let Some(wire) = list.next_element::<Spanned<Wire>>()? {
                    nodes.push(node(wire));
                }
                Ok(Data::List(nodes))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, wire)) = map.next_entry::<String, Spanned<Wire>>()? {
                    fields.push((name, node(wire)));
                }
                Ok(Data::Map(fields))
            }
        }
        deserializer.deserialize_any(Any).map(Self)
    }
}
