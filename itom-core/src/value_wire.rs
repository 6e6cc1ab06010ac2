//! The serialized form of values: written without copying, read with errors that name the tag.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Text, Timestamp, Value};

fn tagged<S: Serializer, T: Serialize + ?Sized>(to: S, tag: &str, value: &T) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(tag, value)?;
    map.end()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown => tagged(to, "$unknown", &true),
            Self::NotApplicable => tagged(to, "$not_applicable", &true),
            Self::Withheld => tagged(to, "$withheld", &true),
            Self::Bool(value) => to.serialize_bool(*value),
            Self::Int(value) => to.serialize_i64(*value),
            Self::Float(value) if value.is_nan() => tagged(to, "$float", "NaN"),
            Self::Float(value) if value.is_infinite() => {
                tagged(to, "$float", if *value > 0.0 { "+Inf" } else { "-Inf" })
            }
            // `serde_json` writes 1.0 as `1.0`, so a whole float stays a float.
            Self::Float(value) => to.serialize_f64(*value),
            Self::Text(text) => text.serialize(to),
            Self::Time(at) => tagged(to, "$time", at),
            Self::List(items) => to.collect_seq(items),
            Self::Map(fields) => match fields.first_key_value() {
                Some((name, value)) if fields.len() == 1 && name.starts_with('$') => {
                    tagged(to, "$map", &(name, value))
                }
                _ => to.collect_map(fields),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean, number, text, list, map, or a tag such as {\"$unknown\": true}")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields: BTreeMap<Text, Value> = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry()? {
            fields.insert(name, value);
        }
        match fields.first_key_value() {
            Some((tag, value)) if fields.len() == 1 && tag.starts_with('$') => {
                untag(tag, value).map_err(A::Error::custom)
            }
            _ => Ok(Value::Map(fields)),
        }
    }
}

fn untag(tag: &str, value: &Value) -> Result<Value, String> {
    match (tag, value) {
        ("$unknown", Value::Bool(true)) => Ok(Value::Unknown),
        ("$not_applicable", Value::Bool(true)) => Ok(Value::NotApplicable),
        ("$withheld", Value::Bool(true)) => Ok(Value::Withheld),
        ("$float", Value::Text(text)) => match text.as_str() {
            "NaN" => Ok(Value::Float(f64::NAN)),
            "+Inf" => Ok(Value::Float(f64::INFINITY)),
            "-Inf" => Ok(Value::Float(f64::NEG_INFINITY)),
            other => Err(format!("`$float` is NaN, +Inf or -Inf, not `{other}`")),
        },
        ("$time", Value::Text(text)) => {
            text.parse::<Timestamp>().map(Value::Time).map_err(|error| error.to_string())
        }
        ("$map", Value::List(pair)) => match pair.as_slice() {
            [Value::Text(name), value] if name.starts_with('$') => {
                Ok(Value::Map(BTreeMap::from([(name.clone(), value.clone())])))
            }
            _ => Err("`$map` is a list of one name that begins with `$` and its value".into()),
        },
        (tag, _) => Err(format!("`{tag}` with this value is not a tag of a value")),
    }
}
