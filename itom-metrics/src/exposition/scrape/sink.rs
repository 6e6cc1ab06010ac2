//! Where scraped samples go.

use std::fmt;

use itom_core::{BoxError, Labels, MetricName, SampleKind, Text, Timestamp};

use crate::{
    AppendReport, Appended, Exemplar, MetricMetadata, NewHistogram, NewStart, Refusal, SeriesRef, SeriesStore,
};

/// A float to be stored, of a series that was looked up before.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a series, a time and a value")]
pub struct ScrapedSample {
    /// The place of the series in the list that comes with the samples.
    pub series: usize,
    /// When it was measured, in milliseconds since the epoch.
    pub at: i64,
    /// The value.
    pub value: f64,
}

/// What an exposition says about a metric; nothing where it says nothing new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the three lines of the formats")]
pub struct Description {
    /// `# TYPE`.
    pub kind: Option<Text>,
    /// `# HELP`.
    pub help: Option<Text>,
    /// `# UNIT`.
    pub unit: Option<Text>,
}

/// Where scraped samples go: a store whose series are looked up once and then known by a handle.
pub trait ScrapeSink: fmt::Debug {
    /// The handle of a series.
    type Series: Clone + fmt::Debug;

    /// Looks a series up, or makes it. The kind is a wish: where the metric is known with the other kind, that one
    /// stays.
    ///
    /// # Errors
    /// [`Refusal`] when a limit is reached.
    fn series(&self, metric: &MetricName, labels: &Labels, kind: SampleKind)
    -> Result<Self::Series, Refusal>;

    /// The metric, the labels and the kind of a series.
    fn name<'a>(&self, series: &'a Self::Series) -> (&'a MetricName, &'a Labels, SampleKind);

    /// Stores floats. Those that cannot be stored are refused and counted; the others are not affected.
    ///
    /// # Errors
    /// When the store takes nothing at all.
    fn append_samples(
        &self,
        now: Timestamp,
        series: &mut [Self::Series],
        samples: &[ScrapedSample],
    ) -> Result<AppendReport, BoxError>;

    /// Stores histograms likewise.
    ///
    /// # Errors
    /// When the store takes nothing at all.
    fn append_histograms(
        &self,
        now: Timestamp,
        histograms: &[NewHistogram],
    ) -> Result<AppendReport, BoxError>;

    /// Takes down since when counters count, where the store keeps such.
    ///
    /// # Errors
    /// When the store takes nothing at all.
    fn set_starts(&self, starts: &[NewStart]) -> Result<(), BoxError>;

    /// Keeps exemplars, where the store keeps such.
    ///
    /// # Errors
    /// When the store takes nothing at all.
    fn append_exemplars(&self, exemplars: &[(&Self::Series, Exemplar)]) -> Result<(), BoxError>;

    /// Keeps what is said about metrics, where the store keeps such.
    ///
    /// # Errors
    /// When the store takes nothing at all.
    fn describe(&self, said: &[(MetricName, Description)]) -> Result<(), BoxError>;
}

impl ScrapeSink for SeriesStore {
    type Series = SeriesRef;

    fn series(&self, metric: &MetricName, labels: &Labels, kind: SampleKind) -> Result<SeriesRef, Refusal> {
        match Self::series(self, metric, labels, kind, None) {
            Err(Refusal::KindMismatch) => {
                let other = match kind {
                    SampleKind::Counter => SampleKind::Gauge,
                    _ => SampleKind::Counter,
                };
                Self::series(self, metric, labels, other, None)
            }
            found => found,
        }
    }

    fn name<'a>(&self, series: &'a SeriesRef) -> (&'a MetricName, &'a Labels, SampleKind) {
        (series.metric(), series.labels(), series.kind())
    }

    fn append_samples(
        &self,
        now: Timestamp,
        series: &mut [SeriesRef],
        samples: &[ScrapedSample],
    ) -> Result<AppendReport, BoxError> {
        let mut report = AppendReport::default();
        for sample in samples {
            let Some(series) = series.get_mut(sample.series) else { continue };
            match self.append_to(now, series, Timestamp::from_millis(sample.at), sample.value) {
                Ok(Appended::Stored) => report.stored += 1,
                Ok(Appended::Duplicate) => report.duplicates += 1,
                Err(refusal) => report.refuse(refusal, series.metric(), series.labels()),
            }
        }
        Ok(report)
    }

    fn append_histograms(
        &self,
        now: Timestamp,
        histograms: &[NewHistogram],
    ) -> Result<AppendReport, BoxError> {
        Ok(Self::append_histograms(self, now, histograms))
    }

    fn set_starts(&self, starts: &[NewStart]) -> Result<(), BoxError> {
        Self::set_starts(self, starts);
        Ok(())
    }

    fn append_exemplars(&self, exemplars: &[(&SeriesRef, Exemplar)]) -> Result<(), BoxError> {
        for (series, exemplar) in exemplars {
            self.append_exemplar(series.metric(), series.labels(), exemplar.clone());
        }
        Ok(())
    }

    fn describe(&self, said: &[(MetricName, Description)]) -> Result<(), BoxError> {
        for (metric, said) in said {
            self.set_metadata(metric, completed(self, metric, said));
        }
        Ok(())
    }
}

/// What is known about a metric with what is said now.
fn completed(store: &SeriesStore, metric: &MetricName, said: &Description) -> MetricMetadata {
    let known = store.metadata(Some(metric)).pop().map(|(_, known)| known).unwrap_or_default();
    let or = |said: &Option<Text>, known: Text| said.clone().unwrap_or(known);
    MetricMetadata::new(or(&said.kind, known.kind), or(&said.help, known.help), or(&said.unit, known.unit))
}

#[cfg(feature = "durable")]
mod durable {
    use super::*;
    use crate::NewSample;
    use crate::durable::DurableStore;

    /// The durable store takes whole batches only: its handle is the series' name.
    impl ScrapeSink for DurableStore {
        type Series = (MetricName, Labels, SampleKind);

        fn series(
            &self,
            metric: &MetricName,
            labels: &Labels,
            kind: SampleKind,
        ) -> Result<Self::Series, Refusal> {
            let kind = self.memory().kind_of(metric).unwrap_or(kind);
            Ok((metric.clone(), labels.clone(), kind))
        }

        fn name<'a>(&self, series: &'a Self::Series) -> (&'a MetricName, &'a Labels, SampleKind) {
            (&series.0, &series.1, series.2)
        }

        fn append_samples(
            &self,
            now: Timestamp,
            series: &mut [Self::Series],
            samples: &[ScrapedSample],
        ) -> Result<AppendReport, BoxError> {
            let named = samples.iter().filter_map(|sample| {
                let (metric, labels, kind) = series.get(sample.series)?;
                Some(NewSample {
                    metric: metric.clone(),
                    labels: labels.clone(),
                    kind: *kind,
                    subject: None,
                    at: Timestamp::from_millis(sample.at),
                    value: sample.value,
                })
            });
            Ok(Self::append(self, now, &named.collect::<Vec<_>>())?)
        }

        fn append_histograms(
            &self,
            now: Timestamp,
            histograms: &[NewHistogram],
        ) -> Result<AppendReport, BoxError> {
            Ok(Self::append_histograms(self, now, histograms)?)
        }

        fn set_starts(&self, starts: &[NewStart]) -> Result<(), BoxError> {
            Self::set_starts(self, starts)?;
            Ok(())
        }

        fn append_exemplars(&self, exemplars: &[(&Self::Series, Exemplar)]) -> Result<(), BoxError> {
            let named = exemplars.iter().map(|(series, exemplar)| {
                let (metric, labels, _) = series;
                (metric.clone(), labels.clone(), exemplar.clone())
            });
            Self::append_exemplars(self, &named.collect::<Vec<_>>())?;
            Ok(())
        }

        fn describe(&self, said: &[(MetricName, Description)]) -> Result<(), BoxError> {
            let memory = self.memory();
            let all = said.iter().map(|(metric, said)| (metric.clone(), completed(memory, metric, said)));
            self.set_metadata(&all.collect::<Vec<_>>())?;
            Ok(())
        }
    }
}
