//! Values of attributes as values of the language.

use std::sync::Arc;

use cel::objects::{Key, Map};
use itom_core::{Text, Value};

use crate::view::Ci;

/// Why a value cannot be handed to an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is one, and nobody could read it.
    Unknown,
    /// There is one, and it is kept back.
    Withheld,
}

/// The value at the top: what is not known has no value.
pub(super) fn known(value: &Value) -> Result<cel::Value, Missing> {
    match value {
        Value::Unknown => Err(Missing::Unknown),
        Value::Withheld => Err(Missing::Withheld),
        other => Ok(plain(other)),
    }
}

/// A value within another: what is not known is `null` there.
fn plain(value: &Value) -> cel::Value {
    match value {
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Int(value) => cel::Value::Int(*value),
        Value::Float(value) => cel::Value::Float(*value),
        Value::Text(value) => text(value),
        Value::Time(at) => cel::Value::Int(at.as_micros().div_euclid(1_000_000)),
        Value::List(list) => cel::Value::List(list.iter().map(plain).collect::<Vec<_>>().into()),
        Value::Map(map) => record(map.iter().map(|(name, value)| (name.as_str(), plain(value)))),
        // Not known, not applicable, withheld, and whatever else is no value.
        _ => cel::Value::Null,
    }
}

pub(super) fn text(text: &str) -> cel::Value {
    cel::Value::String(text.to_owned().into())
}

/// A map from names to values.
pub(super) fn record<'a>(entries: impl Iterator<Item = (&'a str, cel::Value)>) -> cel::Value {
    // The language's own map; it is looked into and never listed here.
    let map = entries.map(|(name, value)| (Key::String(name.to_owned().into()), value)).collect();
    cel::Value::Map(Map { map: Arc::new(map) })
}

/// A related item, as far as it is known.
pub(super) fn item(ci: &Ci) -> cel::Value {
    let attributes =
        ci.attributes().iter().filter_map(|(name, own)| Some((name.as_str(), known(own.value()).ok()?)));
    record(
        [
            ("id", text(&ci.id().to_string())),
            ("kind", text(ci.kind().as_str())),
            ("name", text(ci.name())),
            ("attr", record(attributes)),
        ]
        .into_iter(),
    )
}

/// A property of the item itself that is no attribute.
pub(super) fn property(ci: &Ci, name: &str) -> Option<Value> {
    let texts = |list: &mut dyn Iterator<Item = String>| {
        Value::List(list.map(|one| Value::Text(Text::from(one))).collect())
    };
    Some(match name {
        "id" => Value::Text(Text::from(ci.id().to_string())),
        "kind" => Value::Text(Text::from(ci.kind().as_str())),
        "name" => Value::Text(ci.name().clone()),
        "active" => Value::Bool(ci.state().is_active()),
        "loose_end" => Value::Bool(ci.is_loose_end()),
        "first_seen" => Value::Time(ci.first_seen()),
        "last_seen" => Value::Time(ci.last_seen()),
        "sources" => texts(&mut ci.sources().iter().map(ToString::to_string)),
        "keys" => texts(&mut ci.keys().iter().map(ToString::to_string)),
        _ => return None,
    })
}
