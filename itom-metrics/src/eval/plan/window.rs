//! The samples that the selectors of a plan look at, kept from tick to tick.

use std::sync::Arc;

use itom_core::Text;

use crate::promql::ast::{Matcher, VectorSelector};
use crate::{
    Followable, Followed, LabelMatcher, Points, QueryableError, SelectHints, SelectedSeries, SeriesHandle,
    TimeRange,
};

/// Which series a selector fits, whatever times it looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Which {
    name: Option<Text>,
    matchers: Vec<Matcher>,
}

impl Which {
    pub(super) fn of(selector: &VectorSelector) -> Self {
        Self { name: selector.name.clone(), matchers: selector.matchers.clone() }
    }
}

/// Where a series stands in its store.
#[derive(Debug, Clone)]
struct Place {
    /// None of a series that gets no samples any more.
    handle: Option<SeriesHandle>,
    revision: u64,
    /// The time of the newest sample that was read. What comes later is newer, or the store says that it revised.
    newest: i64,
}

/// The time of the newest sample.
fn newest(samples: &Points) -> i64 {
    let float = samples.floats.last().map(|point| point.t);
    let histogram = samples.histograms.last().map(|point| point.t);
    float.max(histogram).unwrap_or(i64::MIN)
}

/// The series of a selector with their newest samples.
#[derive(Debug)]
pub(super) struct Kept {
    matchers: Vec<LabelMatcher>,
    /// What the store's generations were when the series were resolved and read.
    series_generation: u64,
    past_generation: u64,
    /// What is before it is gone from the store.
    floor: i64,
    /// One for each series.
    places: Vec<Place>,
    series: Arc<Vec<SelectedSeries>>,
    /// All samples of these times are there; none before the first reading.
    covered: Option<TimeRange>,
    /// How far before its time a tick looks.
    depth: i64,
    used: bool,
}

impl Kept {
    pub(super) fn new(matchers: Vec<LabelMatcher>) -> Self {
        Self {
            matchers,
            series_generation: 0,
            past_generation: 0,
            floor: i64::MIN,
            places: Vec::new(),
            series: Arc::new(Vec::new()),
            covered: None,
            depth: 0,
            used: false,
        }
    }

    /// The series with at least their samples in the range.
    pub(super) fn covering(
        &mut self,
        store: &dyn Followable,
        range: TimeRange,
        now: i64,
    ) -> Result<Arc<Vec<SelectedSeries>>, QueryableError> {
        let again = std::mem::replace(&mut self.used, true);
        self.depth = self.depth.max(now.saturating_sub(range.from));
        // Within a tick the same samples are seen by all; between ticks some may have come late.
        let covers = |covered: &TimeRange| covered.from <= range.from && covered.to >= range.to;
        if again && self.covered.as_ref().is_some_and(covers) {
            return Ok(self.series.clone());
        }
        let through = self.covered.map_or(range.to, |covered| covered.to.max(range.to));
        let past = store.past_generation();
        match self.covered.filter(|covered| covered.from <= range.from && self.past_generation == past) {
            Some(covered) => self.advance(store, TimeRange { from: covered.from, to: through })?,
            None => {
                let from = self.covered.map_or(range.from, |covered| covered.from.min(range.from));
                self.past_generation = past;
                self.load(store, TimeRange { from, to: through })?;
            }
        }
        Ok(self.series.clone())
    }

    /// Reads everything.
    fn load(&mut self, store: &dyn Followable, range: TimeRange) -> Result<(), QueryableError> {
        self.covered = None;
        self.floor = store.floor();
        self.series_generation = store.series_generation();
        let followed = store.resolve(&self.matchers);
        let selected = store.select(&self.matchers, range, &SelectHints::default())?;
        let mut selected = selected.into_iter().peekable();
        let mut places = Vec::with_capacity(followed.len());
        let mut series = Vec::with_capacity(followed.len());
        let before = range.from.saturating_sub(1);
        for one in followed {
            while let Some(ended) = selected.next_if(|other| other.labels < one.labels) {
                places.push(Place { handle: None, revision: 0, newest: newest(&ended.samples) });
                series.push(ended);
            }
            let known = selected.next_if(|other| other.labels == one.labels);
            let samples = known.map(|known| known.samples).unwrap_or_default();
            let newest = newest(&samples).max(before);
            places.push(Place { handle: Some(one.handle), revision: one.revision, newest });
            series.push(SelectedSeries { labels: one.labels, samples });
        }
        for ended in selected {
            places.push(Place { handle: None, revision: 0, newest: newest(&ended.samples) });
            series.push(ended);
        }
        self.places = places;
        self.series = Arc::new(series);
        self.covered = Some(range);
        // What came between the two readings, and what was revised before the first.
        self.advance(store, range)
    }

    /// Reads what is new.
    fn advance(&mut self, store: &dyn Followable, range: TimeRange) -> Result<(), QueryableError> {
        let generation = store.series_generation();
        if generation != self.series_generation {
            self.resolve(store, range);
            self.series_generation = generation;
        }
        let floor = store.floor();
        let trim = floor > self.floor && floor > range.from;
        self.floor = floor;
        let before = range.from.saturating_sub(1);
        // Should reading fail half-way, all is read anew the next time.
        self.covered = None;
        for (one, place) in Arc::make_mut(&mut self.series).iter_mut().zip(&mut self.places) {
            if trim {
                forget(&mut one.samples, floor);
            }
            let Some(handle) = &place.handle else { continue };
            let mut after = place.newest.max(before);
            while store.follow(handle, after, range.to, &mut place.revision, &mut one.samples)?
                == Followed::Revised
            {
                one.samples = Points::default();
                after = before;
            }
            place.newest = place.newest.max(newest(&one.samples));
        }
        self.covered = Some(range);
        Ok(())
    }

    /// Finds the series anew, keeping the samples of those that stay.
    fn resolve(&mut self, store: &dyn Followable, range: TimeRange) {
        let places = std::mem::take(&mut self.places);
        let series = std::mem::take(Arc::make_mut(&mut self.series));
        let mut before = places.into_iter().zip(series).peekable();
        let mut found = Vec::with_capacity(before.len());
        let ended = |(place, one): (Place, SelectedSeries)| {
            // What it had stays in the store as long as it is not older than the floor.
            (!one.samples.is_empty()).then_some((Place { handle: None, ..place }, one))
        };
        for new in store.resolve(&self.matchers) {
            while let Some(old) = before.next_if(|(_, one)| one.labels < new.labels) {
                found.extend(ended(old));
            }
            let same = |place: &Place| place.handle.as_ref().is_some_and(|handle| handle.is(&new.handle));
            match before.next_if(|(_, one)| one.labels == new.labels) {
                Some((place, one)) if same(&place) => found.push((place, one)),
                _ => {
                    let newest = range.from.saturating_sub(1);
                    let place = Place { handle: Some(new.handle), revision: new.revision, newest };
                    found.push((place, SelectedSeries { labels: new.labels, samples: Points::default() }));
                }
            }
        }
        found.extend(before.filter_map(ended));
        let (places, series) = found.into_iter().unzip();
        self.places = places;
        self.series = Arc::new(series);
    }

    /// Lets go of what no later tick looks at. Whether any tick does: what was not used in this one is forgotten.
    pub(super) fn end_tick(&mut self, now: i64) -> bool {
        if !std::mem::take(&mut self.used) {
            return false;
        }
        let oldest = now.saturating_sub(self.depth);
        let Some(covered) = self.covered.as_mut().filter(|covered| covered.from < oldest) else {
            return true;
        };
        // Moving what is left costs as much as is left: let as much gather before.
        if oldest.saturating_sub(covered.from) < self.depth / 2 {
            return true;
        }
        covered.from = oldest;
        for one in Arc::make_mut(&mut self.series) {
            forget(&mut one.samples, oldest);
        }
        true
    }
}

/// Removes the samples before a time.
fn forget(samples: &mut Points, oldest: i64) {
    let floats = samples.floats.partition_point(|point| point.t < oldest);
    samples.floats.drain(..floats);
    samples.float_starts.drain(..floats.min(samples.float_starts.len()));
    let histograms = samples.histograms.partition_point(|point| point.t < oldest);
    samples.histograms.drain(..histograms);
    samples.histogram_starts.drain(..histograms.min(samples.histogram_starts.len()));
}
