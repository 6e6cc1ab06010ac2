//! What OpenMetrics demands of a family as a whole, beyond the form of its lines.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{FamilyKind, SeriesText, ValueText, number};

type Pairs = Vec<(String, String)>;

/// What is said about a family before its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Type,
    Help,
    Unit,
}

/// The family that is being read.
#[derive(Debug, Default)]
struct Current {
    name: String,
    kind: FamilyKind,
    unit: String,
    said: BTreeSet<Said>,
    any: bool,
    groups: BTreeSet<Pairs>,
    group: Option<(Pairs, Option<i64>)>,
    buckets: Buckets,
}

/// The histogram of one group at one time.
#[derive(Debug, Default)]
struct Buckets {
    any: bool,
    last: Option<(f64, f64)>,
    count: Option<f64>,
    sum: Option<f64>,
    negative: bool,
}

/// Checks one exposition.
#[derive(Debug, Default)]
pub(super) struct Strict {
    taken: BTreeSet<String>,
    current: Option<Current>,
}

impl Strict {
    /// A line of metadata.
    pub(super) fn metadata(&mut self, family: &str, said: Said) -> Result<&mut Self, String> {
        if self.current.as_ref().is_none_or(|current| current.name != family) {
            self.finish()?;
            self.current = Some(Current { name: family.to_owned(), ..Current::default() });
        }
        if let Some(current) = &mut self.current {
            if current.any {
                return Err(format!("`{family}` is described after its samples"));
            }
            if !current.said.insert(said) {
                return Err(format!("this is said twice about `{family}`"));
            }
        }
        Ok(self)
    }

    pub(super) fn kind(&mut self, kind: FamilyKind) {
        if let Some(current) = &mut self.current {
            current.kind = kind;
        }
    }

    pub(super) fn unit(&mut self, unit: &str) {
        if let Some(current) = &mut self.current {
            unit.clone_into(&mut current.unit);
        }
    }

    /// A sample.
    pub(super) fn sample(&mut self, series: SeriesText<'_>, value: &ValueText<'_>) -> Result<(), String> {
        let name = series.name();
        let belongs = |current: &Current| {
            let suffix = name.strip_prefix(current.name.as_str());
            suffix.is_some_and(|suffix| current.kind.suffixes().contains(&suffix))
        };
        if !self.current.as_ref().is_some_and(belongs) {
            self.finish()?;
            self.current = Some(Current { name: name.clone().into_owned(), ..Current::default() });
        }
        match &mut self.current {
            Some(current) => current.sample(&name, series, value),
            None => Ok(()),
        }
    }

    /// The end of the family, and of the exposition.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let name = &current.name;
        current.buckets.finish(name)?;
        if !current.unit.is_empty() {
            if !name.ends_with(&format!("_{}", current.unit)) {
                return Err(format!("the name `{name}` does not end with its unit `{}`", current.unit));
            }
            if matches!(current.kind, FamilyKind::Info | FamilyKind::StateSet) {
                return Err(format!("`{name}` is of type {} and has no unit", current.kind.as_str()));
            }
        }
        let suffixes: BTreeSet<&str> = current.kind.suffixes().iter().copied().chain([""]).collect();
        for suffix in suffixes {
            if !self.taken.insert(format!("{name}{suffix}")) {
                return Err(format!("the name `{name}{suffix}` belongs to a family before this one"));
            }
        }
        Ok(())
    }
}

impl Current {
    fn sample(&mut self, name: &str, series: SeriesText<'_>, found: &ValueText<'_>) -> Result<(), String> {
        self.any = true;
        let suffix = name.get(self.name.len()..).unwrap_or("");
        let own = self.inner_label(suffix);
        let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = series.labels().collect();
        let inner = match own {
            Some(own) => {
                let place = labels.iter().position(|(label, _)| label == own);
                let Some(place) = place else { return Err(format!("`{name}` needs the label `{own}`")) };
                Some(labels.swap_remove(place).1)
            }
            None => None,
        };
        self.value(name, suffix, inner.as_deref(), found)?;
        let mut group: Pairs =
            labels.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        group.sort();
        if self.kind == FamilyKind::Info {
            // The groups of an info cannot be told apart.
            group.clear();
        }
        self.order(name, &group, found.at)?;
        if matches!(self.kind, FamilyKind::Histogram | FamilyKind::GaugeHistogram) && !suffix.is_empty() {
            self.buckets.sample(name, suffix, inner.as_deref(), found.value)?;
        }
        Ok(())
    }

    /// The label that tells the samples of one group from each other.
    fn inner_label(&self, suffix: &str) -> Option<&str> {
        match (self.kind, suffix) {
            (FamilyKind::Histogram | FamilyKind::GaugeHistogram, "_bucket") => Some("le"),
            (FamilyKind::Summary, "") => Some("quantile"),
            (FamilyKind::StateSet, _) => Some(self.name.as_str()),
            _ => None,
        }
    }

    fn value(
        &self,
        name: &str,
        suffix: &str,
        inner: Option<&str>,
        found: &ValueText<'_>,
    ) -> Result<(), String> {
        let value = found.value;
        match (self.kind, suffix) {
            (FamilyKind::Summary, "") => {
                let quantile = inner.and_then(number::value).unwrap_or(f64::NAN);
                if !(0.0..=1.0).contains(&quantile) {
                    return Err(format!("the quantile of `{name}` must be a number from 0 to 1"));
                }
                if value < 0.0 {
                    return Err(format!("the quantile `{name}` is negative"));
                }
            }
            (FamilyKind::StateSet, _) if value != 0.0 && value != 1.0 => {
                return Err(format!("the state `{name}` is {value}; it can be 0 or 1"));
            }
            (FamilyKind::Info, _) if value != 1.0 => {
                return Err(format!("the info `{name}` is {value}; it can be 1 only"));
            }
            _ => {}
        }
        let counts = matches!(suffix, "_total" | "_count" | "_bucket" | "_gcount");
        if (counts || matches!(suffix, "_sum" | "_gsum")) && value.is_nan() {
            return Err(format!("`{name}` counts and cannot be NaN"));
        }
        if (counts || suffix == "_sum") && value < 0.0 {
            return Err(format!("`{name}` counts and cannot be negative"));
        }
        if suffix == "_created" && !(value.is_finite() && value >= 0.0) {
            return Err(format!("`{name}` is {value}; it is a time in seconds since 1970"));
        }
        if matches!(suffix, "_count" | "_bucket" | "_gcount") && value.fract() != 0.0 {
            return Err(format!("`{name}` counts and must be a whole number"));
        }
        let may_have = match self.kind {
            FamilyKind::Histogram | FamilyKind::GaugeHistogram => suffix == "_bucket",
            FamilyKind::Counter => suffix == "_total",
            _ => false,
        };
        if found.exemplar.is_some() && !may_have {
            return Err(format!("`{name}` cannot have an exemplar; buckets and counters can"));
        }
        Ok(())
    }

    /// Groups are contiguous and their times do not go backwards.
    fn order(&mut self, name: &str, group: &Pairs, at: Option<i64>) -> Result<(), String> {
        match &mut self.group {
            Some((current, before)) if current == group => {
                if before.is_some() != at.is_some() {
                    return Err(format!(
                        "some samples of one group of `{name}` have times and some have none"
                    ));
                }
                if *before > at && self.kind != FamilyKind::Info {
                    return Err(format!("the times of `{name}` go backwards"));
                }
                if *before != at {
                    self.buckets.finish(&self.name)?;
                    self.buckets = Buckets::default();
                }
                *before = at;
            }
            _ => {
                if !self.groups.insert(group.clone()) {
                    return Err(format!("the samples of one group of `{name}` must follow each other"));
                }
                self.buckets.finish(&self.name)?;
                self.buckets = Buckets::default();
                self.group = Some((group.clone(), at));
            }
        }
        Ok(())
    }
}

impl Buckets {
    fn sample(&mut self, name: &str, suffix: &str, le: Option<&str>, value: f64) -> Result<(), String> {
        self.any = true;
        match suffix {
            "_bucket" => {
                let bound = le.and_then(number::value).filter(|bound| !bound.is_nan());
                let Some(bound) = bound else { return Err(format!("the `le` of `{name}` must be a number")) };
                if let Some((last, count)) = self.last {
                    if bound <= last {
                        return Err(format!("the buckets of `{name}` must be in ascending order"));
                    }
                    if value < count {
                        return Err(format!("the buckets of `{name}` count up: {value} comes after {count}"));
                    }
                }
                self.negative |= bound < 0.0;
                self.last = Some((bound, value));
            }
            "_count" | "_gcount" => self.count = Some(value),
            "_sum" | "_gsum" => {
                if suffix == "_sum" && self.negative {
                    return Err(format!(
                        "`{name}` has buckets below zero, so its sum is none that only grows"
                    ));
                }
                self.sum = Some(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self, name: &str) -> Result<(), String> {
        if !self.any {
            return Ok(());
        }
        let Some((f64::INFINITY, all)) = self.last else {
            return Err(format!("the histogram `{name}` has no bucket `+Inf`"));
        };
        match (self.count, self.sum) {
            (Some(count), _) if count != all => {
                Err(format!("the histogram `{name}` counts {count} and its bucket `+Inf` {all}"))
            }
            (Some(_), None) => Err(format!("the histogram `{name}` has a count and no sum")),
            (None, Some(_)) => Err(format!("the histogram `{name}` has a sum and no count")),
            (_, Some(sum)) if sum < 0.0 && !self.negative => {
                Err(format!("the sum of `{name}` is negative and it has no buckets below zero"))
            }
            _ => Ok(()),
        }
    }
}
