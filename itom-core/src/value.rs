//! Attribute values.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use crate::hash::{StableHash, StableHasher};
use crate::{Text, Timestamp};

/// A value of an attribute. It is null-aware: not knowing, not applying and not being allowed to say are three
/// different things.
///
/// Values have a total order (variants in declaration order, floats by IEEE 754 `totalOrder` with one `NaN` and
/// one zero) and a stable hash, so any set of them has one canonical form. The JSON form is plain where JSON has
/// the type (`true`, `3`, `0.5`, `"x"`, `[..]`, `{..}`) and tagged where it does not: `{"$unknown": true}`,
/// `{"$time": "2026-01-01T00:00:00Z"}`, `{"$float": "NaN"}`. A map whose one name begins with `$` is written
/// `{"$map": [name, value]}`, so that no map is mistaken for a tag.
///
/// ```
/// use itom_core::Value;
/// assert_eq!(Value::from(None::<i64>), Value::Unknown);
/// assert_eq!(serde_json::to_string(&Value::NotApplicable)?, r#"{"$not_applicable":true}"#);
/// assert_eq!(serde_json::from_str::<Value>("[1, 0.5]")?, Value::List(vec![1_i64.into(), 0.5.into()]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
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
