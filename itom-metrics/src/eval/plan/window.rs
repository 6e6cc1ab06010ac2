//! The samples that the selectors of a plan look at, kept from tick to tick.

use std::sync::Arc;

use itom_core::Text;

use crate::promql::ast::{Matcher, VectorSelector};
use crate::{Followable, Followed, LabelMatcher, Points, SelectedSeries, SeriesNumber, TimeRange};

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
#[derive(Debug, Clone, Copy)]
struct Place {
    number: SeriesNumber,
    revision: u64,
    /// The time of the newest sample that was read. What comes later is newer, or the store says that it revised.
    newest: i64,
}

impl Place {
    fn saw(&mut self, samples: &Points) {
        let float = samples.floats.last().map(|point| point.t);
        let histogram = samples.histograms.last().map(|point| point.t);
        self.newest = float.max(histogram).unwrap_or(i64::MIN).max(self.newest);
    }
}

/// The series of a selector with their newest samples.
#[derive(Debug)]
pub(super) struct Kept {
    matchers: Vec<LabelMatcher>,
    /// What the store's generation was when the series were resolved; none before the first time.
    generation: Option<u64>,
    places: Vec<Place>,
    series: Arc<Vec<SelectedSeries>>,
    /// All samples of these times are there.
    covered: Option<TimeRange>,
    /// How far before its time a tick looks.
    depth: i64,
    used: bool,
}

impl Kept {
    pub(super) fn new(matchers: Vec<LabelMatcher>) -> Self {
        Self {
            matchers,
            generation: None,
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
    ) -> Arc<Vec<SelectedSeries>> {
        let again = std::mem::replace(&mut self.used, true);
        self.depth = self.depth.max(now.saturating_sub(range.from));
        if !again || self.generation.is_none() {
            let generation = store.series_generation();
            if self.generation != Some(generation) {
                self.resolve(store);
                self.generation = Some(generation);
            }
        }
        let reaching = self.covered.filter(|covered| covered.from <= range.from);
        // Within a tick the same samples are seen by all; between ticks some may have come late.
        if again && reaching.is_some_and(|covered| covered.to >= range.to) {
            return self.series.clone();
        }
        let through = self.covered.map_or(range.to, |covered| covered.to.max(range.to));
        let from = reaching.map_or(range.from, |covered| covered.from);
        let before = from.saturating_sub(1);
        let series = Arc::make_mut(&mut self.series);
        for (one, place) in series.iter_mut().zip(&mut self.places) {
            if reaching.is_none() {
                one.samples = Points::default();
                place.newest = before;
            }
            let after = place.newest.max(before);
            let followed = store.follow(place.number, after, through, &mut place.revision, &mut one.samples);
            if followed == Followed::Revised {
                one.samples = Points::default();
                // The second call begins anew, so it cannot find a revision of what it has not.
                store.follow(place.number, before, through, &mut place.revision, &mut one.samples);
            }
            place.saw(&one.samples);
        }
        self.covered = Some(TimeRange { from, to: through });
        self.series.clone()
    }

    /// Finds the series anew, keeping the samples of those that stay.
    fn resolve(&mut self, store: &dyn Followable) {
        let mut before: Vec<_> = std::mem::take(&mut self.places)
            .into_iter()
            .zip(std::mem::take(Arc::make_mut(&mut self.series)))
            .collect();
        before.sort_by_key(|(place, _)| place.number);
        let mut series = Vec::new();
        for (number, labels) in store.resolve(&self.matchers) {
            let known = before.binary_search_by_key(&number, |(place, _)| place.number);
            let known = known.ok().and_then(|index| before.get_mut(index));
            let (place, samples) = match known {
                Some((place, one)) if one.labels == labels => (*place, std::mem::take(&mut one.samples)),
                _ => {
                    // Its samples are read where those of the others are brought up to date.
                    (Place { number, revision: 0, newest: i64::MIN }, Points::default())
                }
            };
            self.places.push(place);
            series.push(SelectedSeries { labels, samples });
        }
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
            let samples = &mut one.samples;
            let floats = samples.floats.partition_point(|point| point.t < oldest);
            samples.floats.drain(..floats);
            samples.float_starts.drain(..floats.min(samples.float_starts.len()));
            let histograms = samples.histograms.partition_point(|point| point.t < oldest);
            samples.histograms.drain(..histograms);
            samples.histogram_starts.drain(..histograms.min(samples.histogram_starts.len()));
        }
        true
    }
}
