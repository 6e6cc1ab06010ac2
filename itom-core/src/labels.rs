//! Label sets.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::{StableHash, StableHasher};
use crate::{LabelName, Text};

/// A set of label names and values: sorted by name, each name once, cheap to clone, with a fingerprint that is the
/// same on every machine whatever order the labels came in. An empty value is the same as no label, as in Prometheus.
///
/// ```
/// use itom_core::{LabelName, Labels};
/// let a = Labels::from_pairs([("job", "web"), ("instance", "a")])?;
/// let b = Labels::from_pairs([("instance", "a"), ("job", "web")])?;
/// assert_eq!(a.fingerprint(), b.fingerprint());
/// assert_eq!(a.to_string(), r#"{instance="a",job="web"}"#);
/// # Ok::<(), itom_core::NameError>(())
/// ```
#[derive(Clone)]
pub struct Labels(Arc<Inner>);

struct Inner {
    pairs: Box<[(LabelName, Text)]>,
    fingerprint: u64,
}

impl Labels {
    /// No labels.
    #[must_use]
    pub fn empty() -> Self {
        // Samples without labels are common: they share one empty set.
        static EMPTY: LazyLock<Labels> = LazyLock::new(|| LabelsBuilder::default().build());
        EMPTY.clone()
    }

    /// From names and values; a later pair wins over an earlier one of the same name.
    ///
    /// # Errors
    /// [`NameError`](crate::NameError) for the first name that is not a label name.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, crate::NameError>
    where
        N: Into<Text>,
        V: Into<Text>,
    {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder = builder.set(LabelName::new(name)?, value);
        }
        Ok(builder.build())
    }

    /// A builder that starts from these labels.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.0.pairs.to_vec() }
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .pairs
            .binary_search_by(|(have, _)| have.as_str().cmp(name))
            .ok()
            .map(|index| self.0.pairs[index].1.as_str())
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&LabelName, &Text)> {
        self.0.pairs.iter().map(|(name, value)| (name, value))
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.pairs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.pairs.is_empty()
    }

    /// A stable 64-bit hash of names and values.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}
impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.fingerprint == other.0.fingerprint && self.0.pairs == other.0.pairs)
    }
}
impl Eq for Labels {}
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.pairs.cmp(&other.0.pairs)
    }
}
impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.fingerprint);
    }
}
impl StableHash for Labels {
    fn stable_hash(&self, hasher: &mut StableHasher) {
        hash_pairs(&self.0.pairs, hasher);
    }
}

fn hash_pairs(pairs: &[(LabelName, Text)], hasher: &mut StableHasher) {
    hasher.int(pairs.len() as i64);
    for (name, value) in pairs {
        hasher.text(name.as_str());
        hasher.text(value);
    }
}

/// A label value as the Prometheus exposition format quotes it: only backslash, quote and line feed are escaped.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for found in self.0.chars() {
            match found {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => write!(f, "{other}")?,
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if name.is_classic() {
                write!(f, "{name}={}", Quoted(value))?;
            } else {
                write!(f, "{}={}", Quoted(name.as_str()), Quoted(value))?;
            }
        }
        f.write_str("}")
    }
}
impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelsVisitor;
        impl<'de> Visitor<'de> for LabelsVisitor {
            type Value = Labels;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of label names to values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut builder = LabelsBuilder::default();
                while let Some((name, value)) = map.next_entry::<LabelName, Text>()? {
                    builder = builder.set(name, value);
                }
                Ok(builder.build())
            }
        }
        deserializer.deserialize_map(LabelsVisitor)
    }
}

/// Collects labels in any order.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(LabelName, Text)>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    #[must_use]
    pub fn set(mut self, name: LabelName, value: impl Into<Text>) -> Self {
        self.pairs.push((name, value.into()));
        self
    }

    /// Removes a label.
    #[must_use]
    pub fn remove(mut self, name: &str) -> Self {
        self.pairs.retain(|(have, _)| have.as_str() != name);
        self
    }

    /// The finished set.
    #[must_use]
    pub fn build(self) -> Labels {
        let mut pairs = self.pairs;
        // Stable sort, then the last of each name wins.
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut kept: Vec<(LabelName, Text)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match kept.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => kept.push(pair),
            }
        }
        kept.retain(|(_, value)| !value.is_empty());
        let mut hasher = StableHasher::new();
        hash_pairs(&kept, &mut hasher);
        Labels(Arc::new(Inner { pairs: kept.into(), fingerprint: hasher.finish() }))
    }
}
