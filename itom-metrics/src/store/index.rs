//! The inverted index of one metric: which series have a label value.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use itom_core::{LabelName, Labels, Text};

use super::series::Series;
use crate::selector::{Condition, Test};

/// The series of one metric. Positions are handed out in order, so posting lists stay sorted by appending; removal
/// builds the index anew.
#[derive(Debug, Default)]
pub(super) struct Index {
    series: Vec<Arc<Series>>,
    /// Looked up only, never iterated: its order reaches nothing.
    by_labels: HashMap<Labels, u32>,
    postings: BTreeMap<LabelName, BTreeMap<Text, Vec<u32>>>,
    /// The place that each position has among all by their labels: made when a reader needs it, gone when a series comes
    /// or goes.
    ranks: OnceLock<Box<[u32]>>,
    /// Set when the metric was taken out of the store: whoever still holds it asks the store again.
    pub(super) retired: bool,
}

impl Index {
    pub(super) fn get(&self, labels: &Labels) -> Option<&Arc<Series>> {
        self.series.get(*self.by_labels.get(labels)? as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn all(&self) -> &[Arc<Series>] {
        &self.series
    }

    pub(super) fn insert(&mut self, series: Arc<Series>) {
        // Series are limited far below 2^32 by their memory alone.
        let position = self.series.len() as u32;
        for (name, value) in series.labels().iter() {
            let values = match self.postings.get_mut(name) {
                Some(values) => values,
                None => self.postings.entry(name.clone()).or_default(),
            };
            match values.get_mut(value) {
                Some(list) => list.push(position),
                None => {
                    values.insert(value.clone(), vec![position]);
                }
            }
        }
        self.by_labels.insert(series.labels().clone(), position);
        self.ranks.take();
        self.series.push(series);
    }

    /// Keeps the series that `keep` says; hands the others back.
    pub(super) fn retain(&mut self, keep: impl Fn(&Series) -> bool) -> Vec<Arc<Series>> {
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.series).into_iter().partition(|series| keep(series));
        if gone.is_empty() {
            self.series = kept;
            return gone;
        }
        *self = Self { retired: self.retired, ..Self::default() };
        for series in kept {
            self.insert(series);
        }
        gone
    }

    pub(super) fn label_names(&self) -> impl Iterator<Item = &LabelName> {
        self.postings.keys()
    }

    pub(super) fn label_values(&self, name: &LabelName) -> impl Iterator<Item = &Text> {
        self.postings.get(name).into_iter().flat_map(BTreeMap::keys)
    }

    /// The series that fit every condition, sorted by labels.
    pub(super) fn select(&self, conditions: &[&Condition]) -> Vec<Arc<Series>> {
        let mut found = self.positions(conditions);
        // Ranking all series for a few of them is dearer than sorting these.
        if self.ranks.get().is_some() || found.len() > self.series.len() / 8 {
            let ranks = self.ranks.get_or_init(|| self.ranked());
            found.sort_unstable_by_key(|position| ranks.get(*position as usize));
        } else {
            let labels = |position: u32| self.series.get(position as usize).map(|series| series.labels());
            found.sort_unstable_by(|a, b| labels(*a).cmp(&labels(*b)));
        }
        found.into_iter().filter_map(|position| self.series.get(position as usize).cloned()).collect()
    }

    fn ranked(&self) -> Box<[u32]> {
        let mut sorted: Vec<(&Labels, u32)> =
            (0..).zip(&self.series).map(|(at, one)| (one.labels(), at)).collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; sorted.len()].into_boxed_slice();
        for (rank, (_, position)) in (0..).zip(sorted) {
            if let Some(place) = ranks.get_mut(position as usize) {
                *place = rank;
            }
        }
        ranks
    }

    /// The positions of the series that fit every condition, in no particular order.
    fn positions(&self, conditions: &[&Condition]) -> Vec<u32> {
        let mut wanted: Option<Vec<u32>> = None;
        let mut unwanted: Vec<u32> = Vec::new();
        for condition in conditions {
            if condition.holds("") {
                // A series without the label fits, so look for those with a value that does not.
                unwanted.extend(self.with_value(condition, |value| !condition.holds(value)));
            } else {
                let list = self.with_value(condition, |value| condition.holds(value));
                wanted = Some(match wanted {
                    Some(have) => intersect(&have, &list),
                    None => list,
                });
            }
            if wanted.as_ref().is_some_and(Vec::is_empty) {
                return Vec::new();
            }
        }
        unwanted.sort_unstable();
        let allowed = |position: &u32| unwanted.binary_search(position).is_err();
        let all = || 0..self.series.len() as u32;
        match wanted {
            Some(list) if unwanted.is_empty() => list,
            Some(list) => list.into_iter().filter(allowed).collect(),
            None if unwanted.is_empty() => all().collect(),
            None => all().filter(allowed).collect(),
        }
    }

    /// The sorted positions of the series whose (present) value of the condition's label fits `fits`.
    fn with_value(&self, condition: &Condition, fits: impl Fn(&str) -> bool) -> Vec<u32> {
        let Some(values) = self.postings.get(&condition.name) else { return Vec::new() };
        // Named values are looked up unless their absence is asked for.
        let named: Option<Vec<&str>> = match (&condition.test, condition.negated == condition.holds("")) {
            (Test::Equal(value), true) => Some(vec![value.as_str()]),
            (Test::OneOf(values), true) => Some(values.iter().map(String::as_str).collect()),
            _ => None,
        };
        let lists: Vec<&Vec<u32>> = match named {
            Some(named) => {
                named.into_iter().filter(|value| fits(value)).filter_map(|value| values.get(value)).collect()
            }
            None => values.iter().filter(|(value, _)| fits(value)).map(|(_, list)| list).collect(),
        };
        let mut union: Vec<u32> = lists.iter().flat_map(|list| list.iter().copied()).collect();
        if lists.len() > 1 {
            // Each series has one value of a label, but alternatives may repeat.
            union.sort_unstable();
            union.dedup();
        }
        union
    }
}

/// What two sorted lists have in common: walks the shorter, searches the longer from where it last was.
fn intersect(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (short, mut long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut out = Vec::with_capacity(short.len());
    for position in short {
        // Gallop: double the step, then search the last stretch.
        let mut step = 1;
        while step < long.len() && long[step] < *position {
            step *= 2;
        }
        let end = (step + 1).min(long.len());
        let found = long[..end].partition_point(|have| have < position);
        long = &long[found..];
        if long.first() == Some(position) {
            out.push(*position);
        }
    }
    out
}
