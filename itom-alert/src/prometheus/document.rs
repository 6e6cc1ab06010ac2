//! The first document of a YAML text, field by field, each with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// Where something stands: line and column from 1, or 0 when it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column in characters.
    pub column: u64,
}

impl Place {
    pub(crate) fn of(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A value and where it is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value, place: Place::of(referenced) })
    }
}

/// A mapping whose fields are known by name; others are kept with their place, for a message or to be ignored.
pub(crate) trait Fields: Default {
    const WHAT: &'static str;
    const NAMES: &'static [&'static str];
    fn unknown(&mut self) -> &mut Vec<At<String>>;
    /// Reads the value of a field, or says that there is no such field.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

pub(crate) struct FieldsOf<T>(pub(crate) T);

impl<'de, T: Fields> Deserialize<'de> for FieldsOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor<T>(PhantomData<T>);
        impl<'de, T: Fields> Visitor<'de> for FieldVisitor<T> {
            type Value = FieldsOf<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}: a mapping with {}", T::WHAT, T::NAMES.join(", "))
            }
            fn visit_unit<E>(self) -> Result<FieldsOf<T>, E> {
                Ok(FieldsOf(T::default()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldsOf<T>, A::Error> {
                let mut fields = T::default();
                while let Some(name) = map.next_key::<At<String>>()? {
                    if !fields.read(&name.value, &mut map)? {
                        map.next_value::<IgnoredAny>()?;
                        fields.unknown().push(name);
                    }
                }
                Ok(FieldsOf(fields))
            }
        }
        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

/// Declares a mapping of optional fields and how they are read.
macro_rules! fields {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($field:ident $key:literal : $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(crate) struct $name {
            $(pub(crate) $field: Option<$type>,)*
            pub(crate) unknown: Vec<$crate::prometheus::document::At<String>>,
        }
        impl $crate::prometheus::document::Fields for $name {
            const WHAT: &'static str = $what;
            const NAMES: &'static [&'static str] = &[$($key),*];
            fn unknown(&mut self) -> &mut Vec<$crate::prometheus::document::At<String>> {
                &mut self.unknown
            }
            fn read<'de, A: serde::de::MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
                match name {
                    $($key => self.$field = map.next_value()?,)*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}
pub(crate) use fields;

/// A mapping of texts. A value that is null is the empty text, as it is for Prometheus.
#[derive(Debug, Default)]
pub(crate) struct Texts(pub(crate) BTreeMap<String, At<String>>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, At<Option<String>>>::deserialize(deserializer)?;
        let text = |(name, At { value, place }): (String, At<Option<String>>)| {
            (name, At { value: value.unwrap_or_default(), place })
        };
        Ok(Self(map.into_iter().map(text).collect()))
    }
}

/// Why a text cannot be read, and where.
pub(crate) struct Unreadable {
    pub(crate) place: Place,
    pub(crate) reason: String,
}

/// Reads the first document of a text; one that is empty gives `None`.
pub(crate) fn read_first<T: Fields>(text: &str) -> Result<Option<T>, Unreadable> {
    let document = first_document(text);
    let blank = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
    };
    if document.lines().all(blank) {
        return Ok(None);
    }
    match serde_saphyr::from_str::<FieldsOf<T>>(document) {
        Ok(FieldsOf(fields)) => Ok(Some(fields)),
        Err(error) => {
            let place = error.location().map(Place::of).unwrap_or_default();
            Err(Unreadable { place, reason: first_line(&error.without_snippet().to_string()) })
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("not YAML").chars().take(400).collect()
}

/// Cuts a text where its second document begins. (The mark cannot stand inside a scalar, says YAML.)
fn first_document(text: &str) -> &str {
    let mut begun = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        let mark = |mark: &str| {
            bare.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        };
        if begun && (mark("---") || mark("...")) {
            return &text[..at];
        }
        begun |= mark("---")
            || !(bare.trim_start().is_empty() || bare.trim_start().starts_with('#') || bare.starts_with('%'));
        at += line.len();
    }
    text
}

/// The known name that is nearest to one that is not known, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |other: &str| {
        let other: Vec<char> = other.chars().collect();
        let mut row: Vec<usize> = (0..=other.len()).collect();
        for (i, a) in name.chars().take(64).enumerate() {
            let mut before = row[0];
            row[0] = i + 1;
            for (j, b) in other.iter().enumerate() {
                let change = before + usize::from(a != *b);
                before = row[j + 1];
                row[j + 1] = change.min(before + 1).min(row[j] + 1);
            }
        }
        row[other.len()]
    };
    known
        .iter()
        .copied()
        .map(|other| (distance(other), other))
        .min()
        .filter(|(far, _)| *far <= 2)
        .map(|(_, other)| other)
}
