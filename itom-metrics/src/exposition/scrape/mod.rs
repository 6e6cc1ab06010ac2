//! Storing one exposition after the other of one target.

mod created;
mod known;
mod naming;
mod options;
mod read;
mod sink;

use std::sync::Arc;
use std::time::Duration;

use itom_core::{BoxError, Histogram, Labels, MetricName, STALE_NAN_BITS, SampleKind, Timestamp};

use self::known::Known;
use self::read::Reading;
use super::{ExpositionError, Format};
use crate::{AppendReport, Exemplar, NewHistogram, NewStart};

pub use options::ScrapeOptions;
pub use sink::{Description, ScrapeSink, ScrapedSample};

/// Why a scrape failed: nothing of it is stored but that it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScrapeFailure {
    /// The target gave no answer.
    #[error("the target gave no exposition: {0}")]
    Fetch(String),
    /// The answer cannot be read.
    #[error("the answer cannot be read")]
    Exposition(#[from] ExpositionError),
    /// The answer has more than the target may expose.
    #[error("the exposition has more than {limit} {what}; raise the limit of the target or expose less")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// A series has a name that cannot be stored.
    #[error("line {line} of the exposition: {reason}")]
    Name {
        /// The line, from 1; of messages the family, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// The store takes nothing.
    #[error("the samples cannot be stored")]
    Store(#[source] BoxError),
}

/// What became of a scrape.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ScrapeReport {
    /// Why it failed, if it did.
    pub failure: Option<ScrapeFailure>,
    /// How many samples there were.
    pub scraped: usize,
    /// How many series were not there the last time.
    pub series_added: usize,
    /// How many series ended.
    pub series_ended: usize,
    /// How many `_created` lines were taken as starts and said no time before their samples.
    pub bad_starts: usize,
    /// What became of the samples, staleness markers and those about the scrape itself included.
    pub appended: AppendReport,
}

impl ScrapeReport {
    /// Whether the target is up.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.failure.is_none()
    }
}

/// The series that say how the scrape went.
const ABOUT: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// Stores the expositions of one target as Prometheus does: all of one or nothing, staleness markers for series that
/// are no longer there, and `up`, `scrape_duration_seconds`, `scrape_samples_scraped`,
/// `scrape_samples_post_metric_relabeling`, `scrape_series_added` about each scrape.
///
/// It remembers the last exposition, and lines that come again cost a comparison, the number and the append: labels
/// are neither parsed nor looked up again.
///
/// ```
/// use std::time::Duration;
/// use itom_core::{Labels, Timestamp};
/// use itom_metrics::exposition::{Format, ScrapeOptions, Scraper};
/// use itom_metrics::{SeriesStore, StoreConfig};
///
/// let store = SeriesStore::new(StoreConfig::default());
/// let target = Labels::from_pairs([("job", "node"), ("instance", "web-1:9100")])?;
/// let mut scraper = Scraper::new(target, ScrapeOptions::default());
/// let at = Timestamp::from_secs(1_700_000_000);
/// let report = scraper.store(&store, at, Duration::from_millis(12), Format::Text, b"node_load1 0.53\n");
/// assert!(report.is_up());
/// assert_eq!(store.stats_of_metrics(), ["node_load1", "scrape_duration_seconds"]);
/// # trait Names { fn stats_of_metrics(&self) -> Vec<String>; }
/// # impl Names for SeriesStore {
/// #     fn stats_of_metrics(&self) -> Vec<String> {
/// #         itom_metrics::Samples::metrics(self).iter().take(2).map(|info| info.name.to_string()).collect()
/// #     }
/// # }
/// # Ok::<(), itom_core::NameError>(())
/// ```
#[derive(Debug)]
pub struct Scraper<S: ScrapeSink> {
    target: Labels,
    options: ScrapeOptions,
    known: Known<S::Series>,
    about: Option<Vec<S::Series>>,
    /// Kept for its memory.
    pending: Vec<ScrapedSample>,
}

impl<S: ScrapeSink> Scraper<S> {
    /// For a target with these labels, usually `job` and `instance`.
    #[must_use]
    pub fn new(target: Labels, options: ScrapeOptions) -> Self {
        Self { target, options, known: Known::default(), about: None, pending: Vec::new() }
    }

    /// The labels of the target.
    #[must_use]
    pub const fn target(&self) -> &Labels {
        &self.target
    }

    /// Stores an exposition that was asked for at a time and came after `took`.
    pub fn store(
        &mut self,
        sink: &S,
        at: Timestamp,
        took: Duration,
        format: Format,
        body: &[u8],
    ) -> ScrapeReport {
        self.known.begin();
        let mut reading = Reading::new(at.as_millis(), std::mem::take(&mut self.pending));
        let read = reading.read(&mut self.known, sink, (&self.target, &self.options), format, body);
        let stored = read.and_then(|()| self.commit(sink, at, &mut reading));
        self.pending = std::mem::take(&mut reading.samples);
        match stored {
            Ok(mut report) => {
                self.tell(sink, at, took, &mut report);
                report
            }
            Err(failure) => self.end(sink, at, took, reading.scraped, failure),
        }
    }

    /// The target gave no answer: its series end for now.
    pub fn fail(
        &mut self,
        sink: &S,
        at: Timestamp,
        took: Duration,
        reason: impl Into<String>,
    ) -> ScrapeReport {
        self.known.begin();
        self.end(sink, at, took, 0, ScrapeFailure::Fetch(reason.into()))
    }

    /// The target is scraped no more: all its series end, those about the scrape too.
    pub fn stop(&mut self, sink: &S, at: Timestamp) -> ScrapeReport {
        self.known.begin();
        let mut report = ScrapeReport::default();
        let live = self.known.forget_new();
        self.mark_stale(sink, at, &live, &mut report);
        if let Some(mut about) = self.about.take() {
            let value = f64::from_bits(STALE_NAN_BITS);
            let ended = (0..about.len()).map(|series| ScrapedSample { series, at: at.as_millis(), value });
            match sink.append_samples(at, &mut about, &ended.collect::<Vec<_>>()) {
                Ok(appended) => merge(&mut report.appended, appended),
                Err(error) => report.failure = Some(ScrapeFailure::Store(error)),
            }
        }
        report
    }

    fn commit(
        &mut self,
        sink: &S,
        at: Timestamp,
        reading: &mut Reading,
    ) -> Result<ScrapeReport, ScrapeFailure> {
        let appended = sink
            .append_samples(at, &mut self.known.series, &reading.samples)
            .map_err(ScrapeFailure::Store)?;
        let mut report = ScrapeReport {
            scraped: reading.scraped,
            bad_starts: reading.bad_starts,
            appended,
            ..ScrapeReport::default()
        };
        if !reading.histograms.is_empty() {
            let histograms = std::mem::take(&mut reading.histograms);
            let appended = sink.append_histograms(at, &histograms).map_err(ScrapeFailure::Store)?;
            merge(&mut report.appended, appended);
        }
        for (reason, refused) in std::mem::take(&mut reading.refused).refused {
            merge_refused(&mut report.appended, reason, refused);
        }
        // The samples are stored: what comes with them can fail without ending their series.
        report.failure = self.annotate(sink, reading).err().map(ScrapeFailure::Store);
        report.series_added = self.known.added();
        let gone = self.known.vanished();
        self.mark_stale(sink, at, &gone, &mut report);
        if let Some((body, lines)) = reading.changed.take() {
            self.known.remember(&body, lines);
        }
        Ok(report)
    }

    /// Hands on what comes with samples and is none.
    fn annotate(&self, sink: &S, reading: &mut Reading) -> Result<(), BoxError> {
        let starts: Vec<NewStart> = std::mem::take(&mut reading.starts)
            .into_iter()
            .filter_map(|(place, at, start)| {
                let (metric, labels, _) = sink.name(self.known.series.get(place)?);
                let (metric, labels) = (metric.clone(), labels.clone());
                let [at, start] = [at, start].map(Timestamp::from_millis);
                Some(NewStart { metric, labels, at, start: Some(start) })
            })
            .collect();
        if !starts.is_empty() {
            sink.set_starts(&starts)?;
        }
        let exemplars: Vec<(&S::Series, Exemplar)> = std::mem::take(&mut reading.exemplars)
            .into_iter()
            .filter_map(|(place, exemplar)| Some((self.known.series.get(place)?, exemplar)))
            .collect();
        if !exemplars.is_empty() {
            sink.append_exemplars(&exemplars)?;
        }
        let described: Vec<(MetricName, Description)> = std::mem::take(&mut reading.described)
            .into_iter()
            .filter_map(|(family, said)| Some((MetricName::new(family).ok()?, said)))
            .collect();
        if described.is_empty() { Ok(()) } else { sink.describe(&described) }
    }

    fn end(
        &mut self,
        sink: &S,
        at: Timestamp,
        took: Duration,
        scraped: usize,
        failure: ScrapeFailure,
    ) -> ScrapeReport {
        let mut report = ScrapeReport { failure: Some(failure), scraped, ..ScrapeReport::default() };
        let live = self.known.forget_new();
        self.mark_stale(sink, at, &live, &mut report);
        self.tell(sink, at, took, &mut report);
        report
    }

    fn mark_stale(&mut self, sink: &S, at: Timestamp, places: &[usize], report: &mut ScrapeReport) {
        if places.is_empty() {
            return;
        }
        let value = f64::from_bits(STALE_NAN_BITS);
        let at_millis = at.as_millis();
        let samples: Vec<_> =
            places.iter().map(|series| ScrapedSample { series: *series, at: at_millis, value }).collect();
        report.series_ended = samples.len();
        match sink.append_samples(at, &mut self.known.series, &samples) {
            Ok(appended) => {
                merge(&mut report.appended, appended);
                self.known.ended(places);
            }
            Err(error) => report.failure = Some(ScrapeFailure::Store(error)),
        }
    }

    /// Says how the scrape went.
    fn tell(&mut self, sink: &S, at: Timestamp, took: Duration, report: &mut ScrapeReport) {
        if self.about.is_none() {
            let series = |name| sink.series(&MetricName::literal(name), &self.target, SampleKind::Gauge);
            self.about = ABOUT.into_iter().map(series).collect::<Result<Vec<_>, _>>().ok();
        }
        let Some(about) = &mut self.about else { return };
        let values = [
            f64::from(u8::from(report.is_up())),
            took.as_secs_f64(),
            report.scraped as f64,
            report.scraped as f64,
            report.series_added as f64,
        ];
        let at_millis = at.as_millis();
        let samples: Vec<_> = values
            .into_iter()
            .enumerate()
            .map(|(series, value)| ScrapedSample { series, at: at_millis, value })
            .collect();
        match sink.append_samples(at, about, &samples) {
            Ok(appended) => merge(&mut report.appended, appended),
            Err(error) => report.failure = Some(ScrapeFailure::Store(error)),
        }
    }
}

fn merge(into: &mut AppendReport, more: AppendReport) {
    into.stored += more.stored;
    into.duplicates += more.duplicates;
    for (reason, refused) in more.refused {
        merge_refused(into, reason, refused);
    }
}

fn merge_refused(into: &mut AppendReport, reason: crate::Refusal, refused: crate::Refused) {
    match into.refused.get_mut(&reason) {
        Some(known) => known.count += refused.count,
        None => drop(into.refused.insert(reason, refused)),
    }
}

/// A histogram of a series that is being stored.
fn histogram<S: ScrapeSink>(
    sink: &S,
    series: &S::Series,
    at: i64,
    histogram: Arc<Histogram>,
) -> NewHistogram {
    let (metric, labels, kind) = sink.name(series);
    let at = Timestamp::from_millis(at);
    NewHistogram { metric: metric.clone(), labels: labels.clone(), kind, subject: None, at, histogram }
}
