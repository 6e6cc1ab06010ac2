//! The samples of one series: sealed runs and the run that still grows.

use crate::chunk::{Head, Raw, Sealed, WORST_SAMPLE_BYTES};

/// Samples of a full run. Longer runs cost less a sample and more to read one of; 120 is Prometheus's choice too.
const RUN: usize = 120;
/// A sealed run that late samples make longer than this is split.
const RUN_MAX: usize = 2 * RUN;

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    /// It is kept.
    Stored,
    /// The same was there already.
    Duplicate,
    /// Another value is there for this time.
    Conflict,
}

/// Disjoint runs in order of time; the head is newer than all sealed runs.
#[derive(Debug, Default)]
pub(super) struct Body {
    sealed: Vec<Sealed>,
    sealed_bytes: usize,
    head: Head,
}

/// What a reader takes away while the series is locked, to decode afterwards.
#[derive(Debug)]
pub(super) struct Snapshot {
    sealed: Vec<Sealed>,
    head: Vec<Raw>,
}

impl Snapshot {
    /// The samples with `from <= time <= to`, oldest first.
    pub(super) fn read(self, from: i64, to: i64) -> Vec<Raw> {
        let mut out = Vec::with_capacity(self.len());
        for run in &self.sealed {
            run.read(from, to, &mut out);
        }
        out.extend(self.head);
        out
    }

    /// As [`read`](Self::read); where more than the head is read, the samples are put together in `room`.
    pub(super) fn read_in<'a>(&'a self, (from, to): (i64, i64), room: &'a mut Vec<Raw>) -> &'a [Raw] {
        if self.sealed.is_empty() {
            return &self.head;
        }
        room.clear();
        for run in &self.sealed {
            run.read(from, to, room);
        }
        room.extend_from_slice(&self.head);
        room
    }

    /// The buffer that [`Body::snapshot_in`] was given.
    pub(super) fn into_room(self) -> Vec<Raw> {
        self.head
    }

    /// At least as many samples as will be read.
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.sealed.iter().map(Sealed::count).sum::<usize>()
    }
}

impl Body {
    pub(super) fn newest(&self) -> Option<Raw> {
        self.head.last()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.count() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.head.count() + self.sealed.iter().map(Sealed::count).sum::<usize>()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.sealed_bytes + self.sealed.capacity() * size_of::<Sealed>() + self.head.heap_bytes()
    }

    /// A bound of what [`insert`](Self::insert) can add to [`heap_bytes`](Self::heap_bytes).
    pub(super) fn worst_growth(&self, at: i64) -> usize {
        let spine = if self.sealed.len() + 2 > self.sealed.capacity() {
            (self.sealed.capacity() + 4) * size_of::<Sealed>()
        } else {
            0
        };
        let late = self.newest().is_some_and(|(newest, _)| at <= newest);
        if !late && self.head.count() < RUN {
            return WORST_SAMPLE_BYTES.max(self.head.heap_bytes() / 2);
        }
        let touched = match self.sealed_at(at) {
            Some(run) if late && at < self.head.min() => self.sealed.get(run).map_or(0, Sealed::count),
            _ => self.head.count(),
        };
        spine + 2 * (touched + 2) * WORST_SAMPLE_BYTES + 128
    }

    /// The sealed run that a time before the head belongs to: the last that begins at or before it, or the first.
    fn sealed_at(&self, at: i64) -> Option<usize> {
        let after = self.sealed.partition_point(|run| run.min() <= at);
        (!self.sealed.is_empty()).then(|| after.saturating_sub(1))
    }

    pub(super) fn insert(&mut self, sample: Raw) -> Inserted {
        match self.newest() {
            Some((newest, _)) if sample.0 <= newest => self.insert_late(sample),
            _ => {
                if self.head.count() >= RUN {
                    self.seal();
                }
                self.head.push(sample);
                Inserted::Stored
            }
        }
    }

    fn seal(&mut self) {
        if let Some(run) = Sealed::from_head(&self.head) {
            self.sealed_bytes += run.heap_bytes();
            self.make_spine_room();
            self.sealed.push(run);
            self.head = Head::default();
        }
    }

    fn make_spine_room(&mut self) {
        if self.sealed.len() == self.sealed.capacity() {
            self.sealed.reserve_exact((self.sealed.len() / 2).max(2));
        }
    }

    /// Rewrites the one run that the sample falls into.
    fn insert_late(&mut self, sample: Raw) -> Inserted {
        let sealed = if sample.0 < self.head.min() { self.sealed_at(sample.0) } else { None };
        let mut samples = match sealed.and_then(|run| self.sealed.get(run)) {
            Some(run) => run.samples(),
            None => self.head.samples(),
        };
        match samples.binary_search_by_key(&sample.0, |(at, _)| *at) {
            Ok(found) if samples[found].1 == sample.1 => return Inserted::Duplicate,
            Ok(_) => return Inserted::Conflict,
            Err(place) => samples.insert(place, sample),
        }
        match sealed {
            Some(run) => self.replace(run, &samples),
            None if samples.len() > RUN => {
                // The head is full: the older half cannot stay in it, or late samples would make it grow for ever.
                self.head = Head::from_samples(&samples);
                self.seal_all_but_last(&samples);
            }
            None => self.head = Head::from_samples(&samples),
        }
        Inserted::Stored
    }

    /// Seals the head but for its newest sample: the head must never be empty while there are samples.
    fn seal_all_but_last(&mut self, samples: &[Raw]) {
        let Some((last, older)) = samples.split_last() else { return };
        if let Some(run) = Sealed::encode(older) {
            self.sealed_bytes += run.heap_bytes();
            self.make_spine_room();
            self.sealed.push(run);
            self.head = Head::from_samples(&[*last]);
        }
    }

    fn replace(&mut self, index: usize, samples: &[Raw]) {
        let (first, second) =
            if samples.len() > RUN_MAX { samples.split_at(samples.len() / 2) } else { (samples, &[][..]) };
        let Some(run) = Sealed::encode(first) else { return };
        self.sealed_bytes = self.sealed_bytes + run.heap_bytes() - self.sealed[index].heap_bytes();
        self.sealed[index] = run;
        if let Some(run) = Sealed::encode(second) {
            self.sealed_bytes += run.heap_bytes();
            self.make_spine_room();
            self.sealed.insert(index + 1, run);
        }
    }

    /// What is needed to read `from <= time <= to`: shares sealed runs, decodes the head.
    pub(super) fn snapshot(&self, from: i64, to: i64) -> Snapshot {
        self.snapshot_in(from, to, Vec::new())
    }

    /// As [`snapshot`](Self::snapshot), in a buffer of which only the room is of use.
    pub(super) fn snapshot_in(&self, from: i64, to: i64, room: Vec<Raw>) -> Snapshot {
        let start = self.sealed.partition_point(|run| run.max() < from);
        let end = self.sealed.partition_point(|run| run.min() <= to).max(start);
        let mut head = room;
        head.clear();
        if self.newest().is_some_and(|(newest, _)| newest >= from) && self.head.min() <= to {
            self.head.read(from, to, &mut head);
        }
        Snapshot { sealed: self.sealed[start..end].to_vec(), head }
    }

    /// The newest sample, if it is the only one after a time.
    pub(super) fn only_after(&self, after: i64) -> Option<Raw> {
        let older = self.head.count() > 1 || self.sealed.last().is_none_or(|run| run.max() <= after);
        self.head.only_after(after).filter(|_| older)
    }

    /// The newest sample with `from <= time <= to`.
    pub(super) fn latest(&self, from: i64, to: i64) -> Option<Raw> {
        let newest = self.newest()?;
        if newest.0 <= to {
            return (newest.0 >= from).then_some(newest);
        }
        let mut out = Vec::new();
        if self.head.min() <= to {
            self.head.read(from, to, &mut out);
        } else {
            let run = self.sealed.get(self.sealed.partition_point(|run| run.min() <= to).checked_sub(1)?)?;
            run.read(from, to, &mut out);
        }
        out.last().copied()
    }

    /// Removes the samples with `from <= time <= to`; how many went.
    pub(super) fn cut(&mut self, from: i64, to: i64) -> usize {
        let before = self.len();
        let outside = |at: i64| at < from || at > to;
        let mut kept = Vec::with_capacity(self.sealed.len());
        for run in &self.sealed {
            if run.max() < from || run.min() > to {
                kept.push(run.clone());
            } else if run.min() < from || run.max() > to {
                let mut rest = run.samples();
                rest.retain(|(at, _)| outside(*at));
                kept.extend(Sealed::encode(&rest));
            }
        }
        if self.newest().is_some_and(|(newest, _)| newest >= from) && self.head.min() <= to {
            let mut rest = self.head.samples();
            rest.retain(|(at, _)| outside(*at));
            if rest.is_empty() {
                // The head must never be empty while there are samples.
                rest = kept.pop().map_or_else(Vec::new, |run| run.samples());
            }
            self.head = Head::from_samples(&rest);
            if rest.len() > RUN {
                self.sealed = kept;
                self.seal_all_but_last(&rest);
                kept = std::mem::take(&mut self.sealed);
            }
        }
        kept.shrink_to_fit();
        self.sealed_bytes = kept.iter().map(Sealed::heap_bytes).sum();
        self.sealed = kept;
        before - self.len()
    }

    /// Drops runs that end before `floor`; how many samples went.
    pub(super) fn expire(&mut self, floor: i64) -> usize {
        let before = self.len();
        if self.newest().is_some_and(|(newest, _)| newest < floor) {
            *self = Self::default();
            return before;
        }
        let gone = self.sealed.partition_point(|run| run.max() < floor);
        if gone > 0 {
            self.sealed.drain(..gone);
            self.sealed.shrink_to_fit();
            self.sealed_bytes = self.sealed.iter().map(Sealed::heap_bytes).sum();
        }
        before - self.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_stay_disjoint_and_their_bytes_are_known(
            times in prop::collection::vec((0..900_i64, any::<u32>()), 1..600),
            floor in 0..900_i64,
            gap in (0..900_i64, 0..900_i64),
        ) {
            let mut body = Body::default();
            for (at, value) in times {
                let (before, worst) = (body.heap_bytes(), body.worst_growth(at));
                body.insert((at, f64::from(value).to_bits()));
                prop_assert!(body.heap_bytes() <= before + worst);
            }
            for step in 0..3 {
                if step == 1 {
                    let mut left = body.snapshot(i64::MIN, i64::MAX).read(i64::MIN, i64::MAX);
                    let removed = body.cut(gap.0, gap.1);
                    let before = left.len();
                    left.retain(|(at, _)| *at < gap.0 || *at > gap.1);
                    prop_assert_eq!(removed, before - left.len());
                    prop_assert_eq!(body.snapshot(i64::MIN, i64::MAX).read(i64::MIN, i64::MAX), left);
                } else if step == 2 {
                    body.expire(floor);
                }
                prop_assert_eq!(body.sealed_bytes, body.sealed.iter().map(Sealed::heap_bytes).sum::<usize>());
                let runs: Vec<(i64, i64)> = body.sealed.iter().map(|run| (run.min(), run.max())).collect();
                prop_assert!(runs.windows(2).all(|pair| pair[0].1 < pair[1].0));
                for at in runs.iter().flat_map(|run| [run.0, run.1]) {
                    let found = body.snapshot(at, at).read(at, at);
                    prop_assert_eq!(found.iter().map(|sample| sample.0).collect::<Vec<_>>(), [at]);
                    prop_assert_eq!(body.latest(at, at), found.first().copied());
                }
                prop_assert!(runs.last().is_none_or(|run| run.1 < body.head.min() && body.head.count() > 0));
                prop_assert!(body.sealed.iter().all(|run| run.count() <= RUN_MAX) && body.head.count() <= RUN);
            }
        }
    }
}
