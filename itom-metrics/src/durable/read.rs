//! Reading memory and segments as one.

use std::collections::BTreeMap;
#[cfg(feature = "api")]
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use itom_core::{
    EvaluateError, Interval, Labels, Matcher, MetricName, SampleSource, Selector, SeriesData, Timestamp,
};

use super::segment::{Cache, SegmentError};
use super::store::DurableStore;
use super::{DurableError, doing};
use crate::HistogramSeries;
use crate::chunk::Raw;
use crate::selector::Condition;
use crate::store::{Scanned, Starts, millis_up, times_of};

/// Both in order of time; of two with the same time the one of `first` stays.
pub(super) fn merged<T: Clone>(first: Vec<(i64, T)>, second: Vec<(i64, T)>) -> Vec<(i64, T)> {
    if first.last().is_none_or(|last| second.first().is_none_or(|next| last.0 < next.0)) {
        return [first, second].concat();
    }
    let mut out = Vec::with_capacity(first.len() + second.len());
    let mut second = second.into_iter().peekable();
    for sample in first {
        while let Some(before) = second.next_if(|other| other.0 < sample.0) {
            out.push(before);
        }
        while second.next_if(|other| other.0 == sample.0).is_some() {}
        out.push(sample);
    }
    out.extend(second);
    out
}

/// What is not at one of these times, both ascending.
fn without<T>(all: &mut Vec<(i64, T)>, mut times: impl Iterator<Item = i64>) {
    let mut next = times.next();
    all.retain(|(at, _)| {
        while next.is_some_and(|next| next < *at) {
            next = times.next();
        }
        next != Some(*at)
    });
}

/// One series of two parts; of two samples with the same time the one of `first` stays, be it a float or a histogram.
pub(super) fn joined(first: Scanned, mut second: Scanned) -> Scanned {
    without(&mut second.histograms, first.samples.iter().map(|(at, _)| *at));
    without(&mut second.samples, first.histograms.iter().map(|(at, _)| *at));
    let starts = if first.starts.is_empty() && second.starts.is_empty() {
        Starts::default()
    } else {
        let of_first = times_of(&first.samples, &first.histograms);
        let of_second = times_of(&second.samples, &second.histograms);
        let start = |at: i64, part: &Scanned| (at, part.starts.at(at));
        let mut all: BTreeMap<i64, i64> = of_second.into_iter().map(|at| start(at, &second)).collect();
        all.extend(of_first.into_iter().map(|at| start(at, &first)));
        let mut starts = Starts::default();
        all.into_iter().for_each(|(at, since)| starts.push(at, since));
        starts
    };
    Scanned {
        samples: merged(first.samples, second.samples),
        histograms: merged(first.histograms, second.histograms),
        starts,
        ..first
    }
}

impl DurableStore {
    /// The series that fit all conditions and have samples with `from <= time <= to`.
    pub(crate) fn gather(
        &self,
        conditions: &[Condition],
        (from, to): (i64, i64),
    ) -> Result<BTreeMap<(MetricName, Labels), Scanned>, DurableError> {
        let limit = self.config.memory.max_samples_read;
        let mut read = 0_u64;
        let mut count = |samples: usize| {
            read += samples as u64;
            if read > limit {
                return Err(DurableError::Evaluate(EvaluateError::Limit { what: "samples", limit }));
            }
            Ok(())
        };
        let mut found = BTreeMap::new();
        // Memory first: what compaction takes out of it afterwards was in a segment before.
        self.memory.scan(conditions, (from, to), |series| {
            count(series.samples.len() + series.histograms.len())?;
            found.insert((series.metric.clone(), series.labels.clone()), series);
            Ok::<(), DurableError>(())
        })?;
        // From the newest to the oldest, so that of several values for one time the first one stored stays.
        for (number, segment) in self.segments().into_iter().rev() {
            if segment.range().0 > to || segment.range().1 < from {
                continue;
            }
            let mut cache = Cache::new();
            let mut of_segment = Vec::new();
            let mut damaged = false;
            for series in segment.matching(conditions) {
                match segment.read(series, (from, to), &mut cache) {
                    Ok(series) => of_segment.extend(series),
                    Err(SegmentError::Io(error)) => return Err(doing("read", segment.name())(error)),
                    Err(_) => {
                        damaged = true;
                        break;
                    }
                }
            }
            if damaged {
                self.quarantine(number);
                continue;
            }
            for series in of_segment {
                count(series.samples.len() + series.histograms.len())?;
                match found.entry((series.metric.clone(), series.labels.clone())) {
                    Entry::Vacant(place) => drop(place.insert(series)),
                    Entry::Occupied(mut place) => {
                        let have = place.get_mut();
                        // What a series is about is what was said last.
                        let (kind, subject) = (have.kind, have.subject);
                        let newer = Scanned {
                            samples: std::mem::take(&mut have.samples),
                            histograms: std::mem::take(&mut have.histograms),
                            starts: std::mem::take(&mut have.starts),
                            ..have.clone()
                        };
                        *have = Scanned { kind, subject, ..joined(series, newer) };
                    }
                }
            }
        }
        Ok(found)
    }

    /// The labels of the series that fit all conditions and have samples with `from <= time <= to`. No value is read.
    #[cfg(feature = "api")]
    pub(crate) fn labels_within(
        &self,
        conditions: &[Condition],
        (from, to): (i64, i64),
    ) -> Result<BTreeSet<crate::LabelSet>, DurableError> {
        // Memory first, as in `gather`.
        let mut found: BTreeSet<_> = self.memory.labels_within(conditions, (from, to)).into_iter().collect();
        for (number, segment) in self.segments() {
            if segment.range().0 > to || segment.range().1 < from {
                continue;
            }
            let mut cache = Cache::new();
            for series in segment.matching(conditions) {
                match segment.has_within(series, (from, to), &mut cache) {
                    Ok(false) => {}
                    Ok(true) => found.extend(
                        segment
                            .describe(series)
                            .map(|(metric, labels, _)| crate::LabelSet::of_metric(&metric, &labels)),
                    ),
                    Err(SegmentError::Io(error)) => return Err(doing("read", segment.name())(error)),
                    Err(_) => {
                        self.quarantine(number);
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    /// The series that fit all matchers and have samples with `range.from() <= time < range.to()`, sorted by metric and
    /// labels. A matcher on `__name__` is about the metric's name; without one every metric is looked at.
    ///
    /// # Errors
    /// [`DurableError::Evaluate`] for a wrong regular expression or too large a read, [`DurableError::Io`] when the
    /// disk cannot be read. A segment found damaged is set aside, and the rest is the answer.
    pub fn select_matching(
        &self,
        matchers: &[Matcher],
        range: Interval,
    ) -> Result<Vec<(MetricName, SeriesData)>, DurableError> {
        let conditions = matchers.iter().map(Condition::new).collect::<Result<Vec<_>, _>>()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let bounds = (millis_up(range.from()), millis_up(range.to()).saturating_sub(1));
        let sample = |(at, bits): Raw| (Timestamp::from_millis(at), f64::from_bits(bits));
        let found = self.gather(&conditions, bounds)?;
        Ok(found
            .into_values()
            .filter(|series| !series.samples.is_empty())
            .map(|series| {
                let samples = series.samples.into_iter().map(sample).collect();
                (series.metric, SeriesData::new(series.labels, series.kind, series.subject, samples))
            })
            .collect())
    }

    /// The histograms of the series that fit all matchers, as [`select_matching`](Self::select_matching) gives floats.
    ///
    /// # Errors
    /// As [`select_matching`](Self::select_matching).
    pub fn select_histograms(
        &self,
        matchers: &[Matcher],
        range: Interval,
    ) -> Result<Vec<HistogramSeries>, DurableError> {
        let conditions = matchers.iter().map(Condition::new).collect::<Result<Vec<_>, _>>()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let bounds = (millis_up(range.from()), millis_up(range.to()).saturating_sub(1));
        let found = self.gather(&conditions, bounds)?.into_values();
        Ok(found.filter_map(|one| HistogramSeries::new(one.metric, one.labels, one.histograms)).collect())
    }

    /// The names of the labels of series that fit all matchers, or the values of one label, sorted. The metric's name
    /// is the label `__name__`.
    ///
    /// # Errors
    /// [`DurableError::Evaluate`] for a wrong regular expression.
    pub fn label_values(
        &self,
        matchers: &[Matcher],
        label: Option<&str>,
    ) -> Result<Vec<String>, DurableError> {
        let conditions = matchers.iter().map(Condition::new).collect::<Result<Vec<_>, _>>()?;
        let mut out = std::collections::BTreeSet::new();
        let mut add = |metric: &MetricName, labels: &Labels| match label {
            None => {
                out.insert("__name__".to_owned());
                out.extend(labels.iter().map(|(name, _)| name.as_str().to_owned()));
            }
            Some("__name__") => drop(out.insert(metric.as_str().to_owned())),
            Some(label) => out.extend(labels.get(label).map(str::to_owned)),
        };
        for (metric, labels) in self.memory.described(&conditions) {
            add(&metric, &labels);
        }
        for (_, segment) in self.segments() {
            for series in segment.matching(&conditions) {
                if let Some((metric, labels, _)) = segment.describe(series) {
                    add(&metric, &labels);
                }
            }
        }
        Ok(out.into_iter().collect())
    }
}

impl SampleSource for DurableStore {
    fn select(&self, selector: &Selector, range: Interval) -> Result<Vec<SeriesData>, EvaluateError> {
        let name = itom_core::LabelName::new("__name__")
            .map_err(|error| EvaluateError::Unavailable(error.into()))?;
        let mut matchers = selector.matchers().to_vec();
        let value = selector.metric().as_str().into();
        matchers.push(Matcher { name, op: itom_core::MatchOp::Equal, value });
        match self.select_matching(&matchers, range) {
            Ok(found) => Ok(found.into_iter().map(|(_, series)| series).collect()),
            Err(DurableError::Evaluate(error)) => Err(error),
            Err(error) => Err(EvaluateError::Unavailable(error.into())),
        }
    }
}
