//! Fakes for tests: a world of samples, items and changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use itom_core::{
    ChangeSource, CiChange, CiId, CiKind, CiSummary, EvaluateError, Interval, Inventory, Labels, SampleKind,
    SampleSource, Selector, SeriesData, Timestamp, Topology,
};

use crate::rule::Ports;

pub(crate) const START: i64 = 1_700_000_000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(START + second)
}

pub(crate) fn ci(name: &str) -> CiId {
    CiId::derive(&[name])
}

pub(crate) const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Metric, labels, item.
type SeriesKey = (String, Labels, Option<CiId>);

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) series: BTreeMap<SeriesKey, Vec<(Timestamp, f64)>>,
    pub(crate) cis: BTreeMap<CiId, CiSummary>,
    pub(crate) changes: Vec<CiChange>,
    /// From an item to what it needs, directly.
    pub(crate) needs: BTreeMap<CiId, BTreeSet<CiId>>,
    pub(crate) broken: bool,
}

impl World {
    pub(crate) fn ports(&self) -> Ports<'_> {
        Ports::new().samples(self).inventory(self).changes(self).topology(self)
    }

    pub(crate) fn item(&mut self, name: &str, kind: &str) -> CiId {
        let summary = CiSummary::new(ci(name), CiKind::new(kind).unwrap(), name, at(0));
        self.cis.insert(ci(name), summary);
        ci(name)
    }

    pub(crate) fn sample(
        &mut self,
        metric: &str,
        labels: &[(&str, &str)],
        subject: Option<CiId>,
        second: i64,
        value: f64,
    ) {
        let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
        let series = self.series.entry((metric.to_owned(), labels, subject)).or_default();
        series.retain(|(time, _)| *time < at(second));
        series.push((at(second), value));
    }

    /// A sample every `step` seconds from `from` to `to`, both included.
    pub(crate) fn samples(
        &mut self,
        metric: &str,
        labels: &[(&str, &str)],
        subject: Option<CiId>,
        (from, to, step): (i64, i64, usize),
        value: impl Fn(i64) -> f64,
    ) {
        for second in (from..=to).step_by(step) {
            self.sample(metric, labels, subject, second, value(second));
        }
    }

    pub(crate) fn need(&mut self, from: CiId, to: CiId) {
        self.needs.entry(from).or_default().insert(to);
    }

    fn reach(&self, from: CiId, forward: bool) -> Vec<CiId> {
        let mut found = Vec::new();
        let mut layer = vec![from];
        let mut seen = BTreeSet::from([from]);
        while !layer.is_empty() {
            let mut next = BTreeSet::new();
            for at in layer {
                if forward {
                    next.extend(self.needs.get(&at).into_iter().flatten().copied());
                } else {
                    next.extend(self.needs.iter().filter(|(_, to)| to.contains(&at)).map(|(from, _)| *from));
                }
            }
            layer = next.into_iter().filter(|ci| seen.insert(*ci)).collect();
            found.extend(layer.iter().copied());
        }
        found
    }
}

impl SampleSource for World {
    fn select(&self, selector: &Selector, range: Interval) -> Result<Vec<SeriesData>, EvaluateError> {
        if self.broken {
            return Err(EvaluateError::Unavailable("the disk is gone".into()));
        }
        let matchers = crate::suppress::Matchers::compile("test", selector.matchers()).unwrap();
        Ok(self
            .series
            .iter()
            .filter(|((metric, labels, _), _)| {
                metric.as_str() == selector.metric().as_str() && matchers.fit(labels)
            })
            .filter_map(|((_, labels, subject), samples)| {
                let samples: Vec<_> =
                    samples.iter().filter(|(time, _)| range.contains(*time)).copied().collect();
                (!samples.is_empty())
                    .then(|| SeriesData::new(labels.clone(), SampleKind::Gauge, *subject, samples))
            })
            .collect())
    }
}

impl Inventory for World {
    fn cis(&self, kind: &CiKind) -> Vec<CiSummary> {
        self.cis.values().filter(|ci| ci.kind.is_a(kind)).cloned().collect()
    }
    fn ci(&self, id: CiId) -> Option<CiSummary> {
        self.cis.get(&id).cloned()
    }
}

impl ChangeSource for World {
    fn changes(&self, range: Interval) -> Vec<CiChange> {
        self.changes.iter().filter(|change| range.contains(change.at)).cloned().collect()
    }
}

impl Topology for World {
    fn dependencies(&self, ci: CiId) -> Vec<CiId> {
        self.reach(ci, true)
    }
    fn dependents(&self, ci: CiId) -> Vec<CiId> {
        self.reach(ci, false)
    }
    fn brought_down_by(&self, ci: CiId, failed: &BTreeSet<CiId>) -> Vec<CiId> {
        self.reach(ci, true).into_iter().filter(|other| *other != ci && failed.contains(other)).collect()
    }
    fn distance(&self, _: CiId, _: CiId) -> Option<usize> {
        None
    }
}
