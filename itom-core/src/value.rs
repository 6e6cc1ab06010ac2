//! Attribute values.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hash::{StableHash, StableHasher};
use crate::{Text, Timestamp};

/// A value of an attribute. It is null-aware: not knowing, not applying and not being allowed to say are three
/// different things.
///
/// Values have a total order (variants in declaration order, floats by IEEE 754 `totalOrder` with one `NaN` and
/// one zero) and a stable hash, so any set of them has one canonical form. The JSON form is plain where JSON has
/// the type (`true`, `3`, `0.5`, `"x"`, `[..]`, `{..}`) and tagged where it does not: `{"$unknown": true}`,
/// `{"$time": "2026-01-01T00:00:00Z"}`, `{"$float": "NaN"}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "wire::Wire", try_from = "wire::Wire")]
#[non_exhaustive]
pub enum Value {
    /// There is a value, but it could not be read.
    Unknown,
    /// The item cannot have this attribute.
    NotApplicable,
    /// There is a value, and it is kept back on purpose (a redacted secret).
    Withheld,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A text.
    Text(Text),
    /// A point in time.
    Time(Timestamp),
    /// A list; its order is meaningful.
    List(Vec<Self>),
    /// Named values.
    Map(BTreeMap<Text, Self>),
}

impl Value {
    /// A list of texts, sorted and without repeats: for attributes that are sets (addresses, tags).
    pub fn text_set<T: Into<Text>>(texts: impl IntoIterator<Item = T>) -> Self {
        let set: std::collections::BTreeSet<Text> = texts.into_iter().map(Into::into).collect();
        Self::List(set.into_iter().map(Value::Text).collect())
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The number as a float, if it is a number.
    #[must_use]
    pub const fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether this says something: not unknown, not inapplicable, not withheld.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown | Self::NotApplicable | Self::Withheld)
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::NotApplicable => 1,
            Self::Withheld => 2,
            Self::Bool(_) => 3,
            Self::Int(_) => 4,
            Self::Float(_) => 5,
            Self::Text(_) => 6,
            Self::Time(_) => 7,
            Self::List(_) => 8,
            Self::Map(_) => 9,
        }
    }
}

/// One `NaN`, one zero: equal floats must hash alike.
fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => canonical(*a).total_cmp(&canonical(*b)),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Time(a), Self::Time(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => a.cmp(b),
            (Self::Map(a), Self::Map(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}
impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Value {}
impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.stable_fingerprint());
    }
}

impl StableHash for Value {
    fn stable_hash(&self, hasher: &mut StableHasher) {
        hasher.bytes(&[self.rank()]);
        match self {
            Self::Unknown | Self::NotApplicable | Self::Withheld => {}
            Self::Bool(value) => hasher.int(i64::from(*value)),
            Self::Int(value) => hasher.int(*value),
            Self::Float(value) => hasher.bytes(&canonical(*value).to_bits().to_le_bytes()),
            Self::Text(text) => hasher.text(text),
            Self::Time(at) => hasher.int(at.as_micros()),
            Self::List(items) => {
                hasher.int(items.len() as i64);
                items.iter().for_each(|item| item.stable_hash(hasher));
            }
            Self::Map(fields) => {
                hasher.int(fields.len() as i64);
                for (name, value) in fields {
                    hasher.text(name);
                    value.stable_hash(hasher);
                }
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::NotApplicable => f.write_str("n/a"),
            Self::Withheld => f.write_str("withheld"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Time(at) => at.fmt(f),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    item.fmt(f)?;
                }
                Ok(())
            }
            Self::Map(fields) => {
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{name}={value}")?;
                }
                Ok(())
            }
        }
    }
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $make:expr),* $(,)?) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $make
            }
        })*
    };
}
value_from! {
    bool => |value| Self::Bool(value),
    i64 => |value| Self::Int(value),
    i32 => |value| Self::Int(i64::from(value)),
    u32 => |value| Self::Int(i64::from(value)),
    u16 => |value| Self::Int(i64::from(value)),
    // Counters of the kernel are unsigned; what does not fit is kept as a float rather than wrapped.
    u64 => |value| i64::try_from(value).map_or(Self::Float(value as f64), Self::Int),
    f64 => |value| Self::Float(value),
    &str => |value| Self::Text(Text::from(value)),
    String => |value| Self::Text(Text::from(value)),
    Text => |value| Self::Text(value),
    Timestamp => |value| Self::Time(value),
    Vec<Self> => |value| Self::List(value),
}
impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unknown, Into::into)
    }
}

/// The JSON form.
mod wire {
    use super::{BTreeMap, Deserialize, Serialize, Text, Timestamp, Value};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Wire {
        Bool(bool),
        Int(i64),
        Float(f64),
        Text(Text),
        List(Vec<Value>),
        Map(BTreeMap<Text, Value>),
    }

    fn tagged(tag: &'static str, value: Value) -> Wire {
        Wire::Map(BTreeMap::from([(Text::literal(tag), value)]))
    }

    impl From<Value> for Wire {
        fn from(value: Value) -> Self {
            match value {
                Value::Unknown => tagged("$unknown", Value::Bool(true)),
                Value::NotApplicable => tagged("$not_applicable", Value::Bool(true)),
                Value::Withheld => tagged("$withheld", Value::Bool(true)),
                Value::Bool(value) => Self::Bool(value),
                Value::Int(value) => Self::Int(value),
                Value::Float(value) if value.is_nan() => tagged("$float", "NaN".into()),
                Value::Float(value) if value.is_infinite() => {
                    tagged("$float", if value > 0.0 { "+Inf" } else { "-Inf" }.into())
                }
                // `serde_json` writes 1.0 as `1.0`, so a whole float stays a float.
                Value::Float(value) => Self::Float(value),
                Value::Text(text) => Self::Text(text),
                Value::Time(at) => tagged("$time", at.to_string().into()),
                Value::List(items) => Self::List(items),
                // A map that would read back as one of the tags is wrapped.
                Value::Map(fields) if fields.len() == 1 && fields.keys().all(|key| key.starts_with('$')) => {
                    tagged(
                        "$map",
                        Value::List(fields.into_iter().flat_map(|(k, v)| [Value::Text(k), v]).collect()),
                    )
                }
                Value::Map(fields) => Self::Map(fields),
            }
        }
    }

    impl TryFrom<Wire> for Value {
        type Error = String;
        fn try_from(wire: Wire) -> Result<Self, String> {
            Ok(match wire {
                Wire::Bool(value) => Self::Bool(value),
                Wire::Int(value) => Self::Int(value),
                Wire::Float(value) => Self::Float(value),
                Wire::Text(text) => Self::Text(text),
                Wire::List(items) => Self::List(items),
                Wire::Map(fields) => {
                    let single = if fields.len() == 1 { fields.iter().next() } else { None };
                    match single {
                        Some((tag, _)) if tag.starts_with('$') => return untag(fields),
                        _ => Self::Map(fields),
                    }
                }
            })
        }
    }

    fn untag(fields: BTreeMap<Text, Value>) -> Result<Value, String> {
        let Some((tag, value)) = fields.into_iter().next() else { return Ok(Value::Map(BTreeMap::new())) };
        match (tag.as_str(), value) {
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
            ("$map", Value::List(items)) => {
                let mut items = items.into_iter();
                let mut map = BTreeMap::new();
                while let (Some(Value::Text(key)), Some(value)) = (items.next(), items.next()) {
                    map.insert(key, value);
                }
                Ok(Value::Map(map))
            }
            (other, _) => Err(format!("`{other}` is not a tag of a value")),
        }
    }
}
