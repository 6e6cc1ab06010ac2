//! The samples that the selectors of a plan look at, kept from tick to tick.

use std::sync::Arc;

use itom_core::Text;

use crate::promql::ast::{Matcher, Shift, VectorSelector};
use crate::queryable::copy_range;
use crate::{
    FloatPoint, Followable, Followed, HistogramPoint, LabelMatcher, Points, QueryableError, SelectHints,
    SelectedSeries, SeriesHandle, TimeRange,
};

/// Which series a selector fits, and from where in time it looks: two looks that lie far apart must not keep what is
/// between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Which {
    name: Option<Text>,
    matchers: Vec<Matcher>,
    shift: Shift,
}

impl Which {
    pub(super) fn of(selector: &VectorSelector) -> Self {
        Self {
            name: selector.name.clone(),
            matchers: selector.matchers.clone(),
            shift: selector.shift.clone(),
        }
    }
}

/// What gathers beyond a short window before it is let go, in milliseconds.
const SHORT: i64 = 60_000;

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
            Some(covered)
                if self.advance(store, TimeRange { from: covered.from, to: through }, covered.to)? => {}
            _ => {
                let from = self.covered.map_or(range.from, |covered| covered.from.min(range.from));
                self.load(store, TimeRange { from, to: through })?;
            }
        }
        Ok(self.series.clone())
    }

    /// Reads everything.
    fn load(&mut self, store: &dyn Followable, range: TimeRange) -> Result<(), QueryableError> {
        self.covered = None;
        self.past_generation = store.past_generation();
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
        // What came between the two readings, and what was revised before the first. Should the past change meanwhile, the
        // next tick reads again.
        self.advance(store, range, range.to).map(drop)
    }

    /// Reads what is new since all until `seen` was read; `false` when the past changed meanwhile.
    fn advance(
        &mut self,
        store: &dyn Followable,
        range: TimeRange,
        seen: i64,
    ) -> Result<bool, QueryableError> {
        let generation = store.series_generation();
        let mut elsewhere = Vec::new();
        if generation != self.series_generation {
            elsewhere = self.resolve(store, range);
            self.series_generation = generation;
        }
        // What was moved away before the series were resolved was said to change the past before that.
        let settled = store.past_generation() == self.past_generation;
        // Where the new stretch of time is one that samples were moved away from, series may have them that are not
        // followed.
        let moved = range.to > seen && store.moved_through() > seen;
        let through = if moved { seen } else { range.to };
        let floor = store.floor();
        let trim = floor > self.floor && floor > range.from;
        self.floor = floor;
        let before = range.from.saturating_sub(1);
        // Should reading fail half-way, all is read anew the next time.
        self.covered = None;
        let series = Arc::make_mut(&mut self.series).iter_mut();
        for (number, (one, place)) in series.zip(&mut self.places).enumerate() {
            if trim {
                forget(&mut one.samples, floor);
            }
            let Some(handle) = &place.handle else { continue };
            let mut after = place.newest.max(before);
            make_room(&mut one.samples.floats);
            loop {
                match store.follow(handle, after, through, &mut place.revision, &mut one.samples)? {
                    Followed::Continued => break,
                    Followed::Revised => {
                        one.samples = Points::default();
                        after = before;
                    }
                    Followed::Elsewhere => {
                        elsewhere.push((number, after));
                        break;
                    }
                }
            }
            place.newest = place.newest.max(newest(&one.samples));
        }
        if !elsewhere.is_empty() {
            elsewhere.sort_unstable();
            self.fetch(store, &elsewhere, through)?;
        }
        if moved {
            let stretch = TimeRange { from: seen.saturating_add(1), to: range.to };
            let selected = store.select(&self.matchers, stretch, &SelectHints::default())?;
            self.join(selected, stretch);
        }
        self.covered = Some(range);
        Ok(settled)
    }

    /// Adds samples that are later than those that are there, also of series that are not there yet.
    fn join(&mut self, selected: Vec<SelectedSeries>, stretch: TimeRange) {
        let places = std::mem::take(&mut self.places);
        let series = std::mem::take(Arc::make_mut(&mut self.series));
        let mut selected = selected.into_iter().peekable();
        let mut joined: Vec<(Place, SelectedSeries)> = Vec::with_capacity(series.len());
        let alone = |one: SelectedSeries| {
            let newest = newest(&one.samples);
            (Place { handle: None, revision: 0, newest }, one)
        };
        for (mut place, mut one) in places.into_iter().zip(series) {
            while let Some(before) = selected.next_if(|other| other.labels < one.labels) {
                joined.push(alone(before));
            }
            if let Some(more) = selected.next_if(|other| other.labels == one.labels) {
                copy_range(&more.samples, stretch, &mut one.samples);
                place.newest = place.newest.max(newest(&one.samples));
            }
            joined.push((place, one));
        }
        joined.extend(selected.map(alone));
        let (places, series) = joined.into_iter().unzip();
        self.places = places;
        self.series = Arc::new(series);
    }

    /// Selects the samples of series, by their number in order, after a time of each: those of few series one by one,
    /// those of many at once.
    fn fetch(
        &mut self,
        store: &dyn Followable,
        wanted: &[(usize, i64)],
        through: i64,
    ) -> Result<(), QueryableError> {
        let all = Arc::make_mut(&mut self.series);
        let hints = SelectHints::default();
        let few = wanted.len() <= (all.len() / 16).max(1);
        let least = wanted.iter().map(|(_, after)| *after).min().unwrap_or(through);
        let from = least.saturating_add(1);
        let selected = if few {
            Vec::new()
        } else {
            store.select(&self.matchers, TimeRange { from, to: through }, &hints)?
        };
        let mut rest = selected.as_slice();
        for (number, after) in wanted {
            let (Some(one), Some(place)) = (all.get_mut(*number), self.places.get_mut(*number)) else {
                continue;
            };
            let range = TimeRange { from: after.saturating_add(1), to: through };
            // Both are sorted by labels.
            let alone;
            let found = if few {
                let labels = one.labels.iter();
                let labels = labels.map(|(name, value)| LabelMatcher::equal(name.clone(), value.clone()));
                alone = store.select(&labels.collect::<Vec<_>>(), range, &hints)?;
                alone.iter().find(|found| found.labels == one.labels)
            } else {
                let skipped = rest.iter().position(|found| found.labels >= one.labels);
                rest = rest.get(skipped.unwrap_or(rest.len())..).unwrap_or_default();
                rest.first().filter(|found| found.labels == one.labels)
            };
            if let Some(found) = found {
                copy_range(&found.samples, range, &mut one.samples);
            }
            place.newest = place.newest.max(newest(&one.samples));
        }
        Ok(())
    }

    /// Finds the series anew, keeping the samples of those that stay. Those that went are to be selected once more: their
    /// numbers, and after which time.
    fn resolve(&mut self, store: &dyn Followable, range: TimeRange) -> Vec<(usize, i64)> {
        let places = std::mem::take(&mut self.places);
        let series = std::mem::take(Arc::make_mut(&mut self.series));
        let mut before = places.into_iter().zip(series).peekable();
        let mut found = Vec::with_capacity(before.len());
        let mut went = Vec::new();
        let resolved = store.resolve(&self.matchers);
        let floor = store.floor();
        let after = range.from.saturating_sub(1);
        let ended = |(place, mut one): (Place, SelectedSeries), found: &mut Vec<_>, went: &mut Vec<_>| {
            // What it had stays in the store as long as it is not older than the floor, and more may have come before it
            // went.
            if place.handle.is_some() && place.newest >= floor {
                went.push((found.len(), after));
                one.samples = Points::default();
                found.push((Place { handle: None, newest: after, ..place }, one));
            } else if !one.samples.is_empty() {
                found.push((Place { handle: None, ..place }, one));
            }
        };
        for new in resolved {
            while let Some(old) = before.next_if(|(_, one)| one.labels < new.labels) {
                ended(old, &mut found, &mut went);
            }
            let same = |place: &Place| place.handle.as_ref().is_some_and(|handle| handle.is(&new.handle));
            match before.next_if(|(_, one)| one.labels == new.labels) {
                Some((place, one)) if same(&place) => found.push((place, one)),
                _ => {
                    let place = Place { handle: Some(new.handle), revision: new.revision, newest: after };
                    found.push((place, SelectedSeries { labels: new.labels, samples: Points::default() }));
                }
            }
        }
        before.for_each(|old| ended(old, &mut found, &mut went));
        let (places, series) = found.into_iter().unzip();
        self.places = places;
        self.series = Arc::new(series);
        went
    }

    /// Bytes of places, series and samples, the texts of labels left out: those are shared.
    pub(super) fn bytes(&self) -> usize {
        let of_series = |one: &SelectedSeries| {
            let samples = &one.samples;
            let starts = samples.float_starts.capacity() + samples.histogram_starts.capacity();
            size_of::<SelectedSeries>()
                + one.labels.len() * size_of::<(Text, Text)>()
                + samples.floats.capacity() * size_of::<FloatPoint>()
                + samples.histograms.capacity() * size_of::<HistogramPoint>()
                + starts * size_of::<i64>()
        };
        self.places.capacity() * size_of::<Place>() + self.series.iter().map(of_series).sum::<usize>()
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
        // Moving what is left costs as much as is left, but little beside reading: an eighth may gather before.
        if oldest.saturating_sub(covered.from) < (self.depth / 8).max(SHORT) {
            return true;
        }
        covered.from = oldest;
        for one in Arc::make_mut(&mut self.series) {
            forget(&mut one.samples, oldest);
        }
        true
    }
}

/// Room for a few more samples: many windows exist at once, and doubling would leave half of each empty.
fn make_room(floats: &mut Vec<FloatPoint>) {
    if floats.len() == floats.capacity() && !floats.is_empty() {
        floats.reserve_exact(floats.len() / 8 + 2);
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
