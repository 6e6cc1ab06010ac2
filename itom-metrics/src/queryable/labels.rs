//! Labels of a series as PromQL sees them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use itom_core::{Labels, MetricName, Text};

use super::xxh64::Xxh64;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// The labels of a series, the metric's name among them: sorted by name, each name once, any UTF-8, cheap to clone.
/// An empty value is the same as no label.
///
/// ```
/// use itom_metrics::LabelSet;
/// let labels = LabelSet::from_pairs([("job", "web"), ("__name__", "up"), ("zone", "")]);
/// assert_eq!(labels.get("job"), "web");
/// assert_eq!(labels.to_string(), r#"{__name__="up", job="web"}"#);
/// ```
#[derive(Clone)]
pub struct LabelSet(Arc<Inner>);

struct Inner {
    pairs: Box<[(Text, Text)]>,
    hash: u64,
}

impl LabelSet {
    /// No labels.
    #[must_use]
    pub fn empty() -> Self {
        static EMPTY: LazyLock<LabelSet> = LazyLock::new(|| LabelSet::from_sorted(Vec::new()));
        EMPTY.clone()
    }

    /// From names and values in any order; a later pair wins over an earlier one of the same name.
    #[must_use]
    pub fn from_pairs<N: Into<Text>, V: Into<Text>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs: Vec<(Text, Text)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        pairs.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        let mut kept: Vec<(Text, Text)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match kept.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => kept.push(pair),
            }
        }
        kept.retain(|(_, value)| !value.is_empty());
        Self::from_sorted(kept)
    }

    /// From a metric and its other labels.
    #[must_use]
    pub fn of_metric(metric: &MetricName, labels: &Labels) -> Self {
        let name = (Text::literal(METRIC_NAME), Text::from(metric.as_str()));
        let others = labels.iter().map(|(name, value)| (Text::from(name.as_str()), value.clone()));
        Self::from_pairs(std::iter::once(name).chain(others))
    }

    /// The pairs are sorted, each name is there once and no value is empty.
    fn from_sorted(pairs: Vec<(Text, Text)>) -> Self {
        let mut hash = Xxh64::new();
        for (name, value) in &pairs {
            hash_text(&mut hash, name);
            hash_text(&mut hash, value);
        }
        Self(Arc::new(Inner { pairs: pairs.into(), hash: hash.finish() }))
    }

    /// The value of a label; empty when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.value(name).map_or("", Text::as_str)
    }

    fn value(&self, name: &str) -> Option<&Text> {
        // Few labels: looking at each is faster than a binary search.
        self.0.pairs.iter().find(|(have, _)| have.as_str() == name).map(|(_, value)| value)
    }

    /// The metric's name; empty when it has none.
    #[must_use]
    pub fn metric(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Text)> {
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

    /// XXH64 of names and values, each preceded by its length: the hash that Prometheus samples series by.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.0.hash
    }

    /// Those whose name `keep` says.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.0.pairs.iter().all(|(name, _)| keep(name.as_str())) {
            return self.clone();
        }
        Self::from_sorted(self.0.pairs.iter().filter(|(name, _)| keep(name.as_str())).cloned().collect())
    }

    /// With a label set, or removed by an empty value.
    #[must_use]
    pub fn with(&self, name: &str, value: impl Into<Text>) -> Self {
        let value = value.into();
        if self.get(name) == value.as_str() {
            return self.clone();
        }
        let mut pairs = self.0.pairs.to_vec();
        match pairs.binary_search_by(|(have, _)| have.as_str().cmp(name)) {
            Ok(place) if value.is_empty() => drop(pairs.remove(place)),
            Ok(place) => {
                if let Some(pair) = pairs.get_mut(place) {
                    pair.1 = value;
                }
            }
            Err(_) if value.is_empty() => {}
            Err(place) => pairs.insert(place, (Text::from(name), value)),
        }
        Self::from_sorted(pairs)
    }

    /// Without the metric's name and the labels that say its type and unit: what is left when a value is no longer the
    /// metric's.
    #[must_use]
    pub fn without_metadata(&self) -> Self {
        self.filtered(|name| !is_metadata(name))
    }
}

/// `__name__`, `__type__` and `__unit__`.
fn is_metadata(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// The encoding of Prometheus's label strings: a byte of length, or 255 and three bytes.
fn hash_text(hash: &mut Xxh64, text: &str) {
    let bytes = text.as_bytes();
    match u8::try_from(bytes.len()) {
        Ok(length) if length < 255 => hash.write(&[length]),
        _ => {
            let [a, b, c, ..] = (bytes.len() as u64).to_le_bytes();
            hash.write(&[255, a, b, c]);
        }
    }
    hash.write(bytes);
}

impl Default for LabelSet {
    fn default() -> Self {
        Self::empty()
    }
}
impl PartialEq for LabelSet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.pairs == other.0.pairs)
    }
}
impl Eq for LabelSet {}
impl PartialOrd for LabelSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for LabelSet {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        for (a, b) in self.0.pairs.iter().zip(&other.0.pairs) {
            let order = a.0.as_str().cmp(b.0.as_str()).then_with(|| a.1.as_str().cmp(b.1.as_str()));
            if order != Ordering::Equal {
                return order;
            }
        }
        self.len().cmp(&other.len())
    }
}
impl Hash for LabelSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            let plain = name.bytes().enumerate().all(|(at, byte)| {
                byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit())
            });
            if plain {
                write!(f, "{name}=")?;
            } else {
                write!(f, "{}=", crate::promql::RawText::from(name.as_str()).quoted())?;
            }
            f.write_str(&crate::promql::RawText::from(value.as_str()).quoted())?;
        }
        f.write_str("}")
    }
}
impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
