//! Labels of a series as PromQL sees them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Peekable;
use std::sync::{Arc, LazyLock};

use itom_core::{LabelName, Labels, MetricName, Text};

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
pub struct LabelSet(Repr);

#[derive(Clone)]
enum Repr {
    Own(Arc<Inner>),
    /// Shared with a stored series, so that reading it makes no labels; no label is called `__name__`.
    Stored(Option<MetricName>, Labels),
}

/// The name of the label that holds a metric's name.
static NAME: Text = Text::literal(METRIC_NAME);

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

    /// As [`of_metric`](Self::of_metric), sharing what is there. Its hash is made whenever it is asked for: this is for
    /// labels that do not live long.
    pub(crate) fn of_stored(metric: &MetricName, labels: &Labels) -> Self {
        if labels.get(METRIC_NAME).is_some() {
            return Self::of_metric(metric, labels);
        }
        let name = (!metric.as_str().is_empty()).then(|| metric.clone());
        Self(Repr::Stored(name, labels.clone()))
    }

    /// The pairs are sorted, each name is there once and no value is empty.
    fn from_sorted(pairs: Vec<(Text, Text)>) -> Self {
        let hash = hash_of(pairs.iter().map(|(name, value)| (name, value)));
        Self(Repr::Own(Arc::new(Inner { pairs: pairs.into(), hash })))
    }

    /// The value of a label; empty when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.value(name).map_or("", Text::as_str)
    }

    fn value(&self, name: &str) -> Option<&Text> {
        // Few labels: looking at each is faster than a binary search.
        match &self.0 {
            Repr::Own(own) => {
                own.pairs.iter().find(|(have, _)| have.as_str() == name).map(|(_, value)| value)
            }
            Repr::Stored(metric, _) if name == METRIC_NAME => metric.as_ref().map(MetricName::text),
            Repr::Stored(_, labels) => {
                labels.iter().find(|(have, _)| have.as_str() == name).map(|(_, value)| value)
            }
        }
    }

    /// The metric's name; empty when it has none.
    #[must_use]
    pub fn metric(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Text)> {
        let (own, metric, stored) = match &self.0 {
            Repr::Own(own) => (&*own.pairs, None, None),
            Repr::Stored(metric, labels) => (&[][..], metric.as_ref().map(MetricName::text), Some(labels)),
        };
        let stored = stored.into_iter().flat_map(Labels::iter).peekable();
        Pairs { left: self.len(), own: own.iter(), metric, stored }
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Own(own) => own.pairs.len(),
            Repr::Stored(metric, labels) => labels.len() + usize::from(metric.is_some()),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// XXH64 of names and values, each preceded by its length: the hash that Prometheus samples series by.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        match &self.0 {
            Repr::Own(own) => own.hash,
            Repr::Stored(..) => hash_of(self.iter()),
        }
    }

    /// Those whose name `keep` says.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.iter().all(|(name, _)| keep(name.as_str())) {
            return self.clone();
        }
        let kept = self.iter().filter(|(name, _)| keep(name.as_str()));
        Self::from_sorted(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// With a label set, or removed by an empty value.
    #[must_use]
    pub fn with(&self, name: &str, value: impl Into<Text>) -> Self {
        let value = value.into();
        if self.get(name) == value.as_str() {
            return self.clone();
        }
        let mut pairs: Vec<_> = self.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
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
        match &self.0 {
            Repr::Stored(_, labels) if !labels.iter().any(|(name, _)| is_metadata(name.as_str())) => {
                Self(Repr::Stored(None, labels.clone()))
            }
            _ => self.filtered(|name| !is_metadata(name)),
        }
    }
}

/// The pairs of a set: its own, or those of a stored series with the metric's name at its place.
struct Pairs<'a, S: Iterator<Item = (&'a LabelName, &'a Text)>> {
    left: usize,
    own: std::slice::Iter<'a, (Text, Text)>,
    metric: Option<&'a Text>,
    stored: Peekable<S>,
}

impl<'a, S: Iterator<Item = (&'a LabelName, &'a Text)>> Iterator for Pairs<'a, S> {
    type Item = (&'a Text, &'a Text);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.saturating_sub(1);
        if let Some((name, value)) = self.own.next() {
            return Some((name, value));
        }
        if let Some(metric) = self.metric
            && self.stored.peek().is_none_or(|(name, _)| name.as_str() > METRIC_NAME)
        {
            self.metric = None;
            return Some((&NAME, metric));
        }
        self.stored.next().map(|(name, value)| (name.text(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, S: Iterator<Item = (&'a LabelName, &'a Text)>> ExactSizeIterator for Pairs<'a, S> {}

/// `__name__`, `__type__` and `__unit__`.
pub(crate) fn is_metadata(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

fn hash_of<'a>(pairs: impl Iterator<Item = (&'a Text, &'a Text)>) -> u64 {
    let mut hash = Xxh64::new();
    for (name, value) in pairs {
        hash_text(&mut hash, name);
        hash_text(&mut hash, value);
    }
    hash.finish()
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
        match (&self.0, &other.0) {
            (Repr::Own(a), Repr::Own(b)) => Arc::ptr_eq(a, b) || (a.hash == b.hash && a.pairs == b.pairs),
            (Repr::Stored(a, a_labels), Repr::Stored(b, b_labels)) => a_labels == b_labels && a == b,
            _ => self.len() == other.len() && self.iter().eq(other.iter()),
        }
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
        self.iter().cmp(other.iter())
    }
}
impl Hash for LabelSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint());
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
        // Names before and behind `__name__`, that name itself, and those that go with it.
        let name = prop::sample::select(vec!["A", "B", "__name__", "__type__", "__unit__", "_", "job", "le"]);
        prop::collection::vec((name.prop_map(str::to_owned), "[ab]{0,2}"), 0..6)
    }

    proptest! {
        #[test]
        fn labels_shared_with_a_stored_series_are_like_any_other(a in pairs(), b in pairs(), name in "[mn]") {
            let both = |pairs: Vec<(String, String)>| {
                let (metric, labels) = (MetricName::new(name.clone()).unwrap(), Labels::from_pairs(pairs).unwrap());
                (LabelSet::of_metric(&metric, &labels), LabelSet::of_stored(&metric, &labels))
            };
            let ((a, shared), (b, other)) = (both(a), both(b));
            let forms = [
                (a.clone(), shared.clone()),
                (a.without_metadata(), shared.without_metadata()),
                (a.filtered(|name| name != "job"), shared.filtered(|name| name != "job")),
                (a.with("job", "x"), shared.with("job", "x")),
            ];
            for (own, shared) in forms {
                prop_assert_eq!(&own, &shared);
                prop_assert_eq!(&shared, &own);
                prop_assert_eq!(own.fingerprint(), shared.fingerprint());
                prop_assert_eq!((own.len(), own.metric()), (shared.iter().len(), shared.metric()));
                prop_assert_eq!(own.to_string(), shared.to_string());
                prop_assert!(own.iter().all(|(name, value)| shared.get(name.as_str()) == value.as_str()));
            }
            for (x, y) in [(&shared, &other), (&a, &other), (&shared, &b)] {
                prop_assert_eq!(x.cmp(y), a.cmp(&b));
                prop_assert_eq!(x == y, a == b);
            }
        }
    }
}
