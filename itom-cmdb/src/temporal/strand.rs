//! The past of many things of one kind: items, relations, or where ids led.

use std::collections::BTreeMap;

use itom_core::Timestamp;

use super::fields::{Field, GROUP, KIND, LAST_SEEN, Versioned, WHOLE};
use super::packed::{Books, Writer};
use super::pages::{Pages, make_room};
use super::then::Read;
use super::track::{Step, Track};
use crate::view::trie::Trie;

/// Fewer things than this that were seen again together are no group.
const LEAST: usize = 8;

/// Nobody's group; no track.
const NONE: u32 = u32::MAX;

/// Things that are seen again together, as those of one source are: a round costs two times, however many they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Group<I> {
    /// Those that joined when the group last changed; some may have left since.
    members: Vec<I>,
    /// How many have not.
    count: usize,
    /// When they were seen (second), as known from a step on (first).
    seen: Vec<(Step, Timestamp)>,
}

impl<I> Group<I> {
    fn at(&self, step: Step) -> Option<Timestamp> {
        let index = self.seen.partition_point(|(from, _)| *from <= step);
        self.seen.get(index.checked_sub(1)?).map(|(_, seen)| *seen)
    }

    /// Whether it was seen again after a step, and when it had been seen by then.
    pub(super) fn seen_at(&self, step: Step) -> (bool, Option<Timestamp>) {
        (self.seen.last().is_some_and(|(from, _)| *from > step), self.at(step))
    }

    fn note(&mut self, step: Step, seen: Timestamp) {
        match self.seen.last_mut().filter(|(from, _)| *from == step) {
            Some(last) => last.1 = seen,
            None => {
                make_room(&mut self.seen, 1);
                self.seen.push((step, seen));
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// The step that brought it first; 0 if it was there before the strand began.
    pub(super) born: Step,
    pub(super) group: u32,
    pub(super) track: u32,
}

impl Slot {
    /// Whether it is in a group now.
    pub(super) const fn is_grouped(self) -> bool {
        self.group != NONE
    }
}

/// One change: the thing before and after.
pub(super) type Change<'a, T> = (<T as Versioned>::Id, Option<&'a T>, Option<&'a T>);

/// One thing that was seen again, and when it was seen before.
type Renewal<T> = (<T as Versioned>::Id, Option<Timestamp>);

/// When the steps of a line were.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    /// Steps that were forgotten.
    gone: Step,
    times: Vec<Timestamp>,
}

impl Steps {
    /// The step at a time that is not before the last one.
    pub(super) fn step(&mut self, at: Timestamp) -> Step {
        if self.times.last() != Some(&at) {
            make_room(&mut self.times, 1);
            self.times.push(at);
        }
        self.last()
    }

    pub(super) fn last(&self) -> Step {
        self.gone + self.times.len() as Step
    }

    /// The last step at a time or before.
    pub(super) fn until(&self, at: Timestamp) -> Step {
        self.gone + self.times.partition_point(|own| *own <= at) as Step
    }

    /// When a step was.
    pub(super) fn time(&self, step: Step) -> Timestamp {
        let index = step.checked_sub(self.gone + 1);
        index.and_then(|index| self.times.get(index as usize)).copied().unwrap_or(Timestamp::MIN)
    }

    /// Forgets when steps before this one were.
    pub(super) fn forget(&mut self, before: Step) {
        let count = before.saturating_sub(self.gone + 1) as usize;
        self.times.drain(..count.min(self.times.len()));
        self.gone = self.gone.max(before.saturating_sub(1));
    }

    pub(super) fn bytes(&self) -> usize {
        self.times.capacity() * size_of::<Timestamp>()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Strand<T: Versioned> {
    pub(super) slots: Trie<T::Id, Slot>,
    pub(super) tracks: Pages<Track>,
    pub(super) groups: Vec<Group<T::Id>>,
    /// Those that went or became another kind at least once: what indices of the present do not tell about the past.
    pub(super) turned: Trie<T::Id, ()>,
    /// Old values kept, in all, births among them.
    pub(super) versions: usize,
}

impl<T: Versioned> Default for Strand<T> {
    fn default() -> Self {
        Self {
            slots: Trie::default(),
            tracks: Pages::default(),
            groups: Vec::new(),
            turned: Trie::default(),
            versions: 0,
        }
    }
}

impl<T: Versioned> Strand<T> {
    /// Takes in what became different with a step, which is not before any that was taken in.
    pub(super) fn push(&mut self, step: Step, at: Timestamp, changes: &[Change<'_, T>], books: &mut Books) {
        let mut seen: BTreeMap<Timestamp, Vec<Renewal<T>>> = BTreeMap::new();
        for (id, old, new) in changes {
            match (old, new) {
                (None, Some(_)) if self.slots.get(*id).is_some() => self.put(*id, step, WHOLE, &[]),
                (None, Some(_)) => {
                    self.slots.insert(*id, Slot { born: step, group: NONE, track: NONE });
                    self.versions += 1;
                }
                (Some(old), None) => {
                    self.leave(*id, step, at, None);
                    let mut whole = Writer::default();
                    T::put_changed(old, None, books, at, &mut |field, bytes| {
                        whole.number(u64::from(field));
                        whole.bytes(bytes);
                    });
                    self.put(*id, step, WHOLE, &whole.0);
                    if T::RENEWED {
                        self.turned.insert(*id, ());
                    }
                }
                (Some(old), Some(new)) => {
                    T::put_changed(old, Some(new), books, at, &mut |field, bytes| {
                        self.put(*id, step, field, bytes);
                        if T::RENEWED && field == KIND {
                            self.turned.insert(*id, ());
                        }
                    });
                }
                (None, None) => {}
            }
            if T::RENEWED {
                let before = old.map(T::seen);
                if let Some(now) = new.map(T::seen).filter(|now| before != Some(*now)) {
                    seen.entry(now).or_default().push((*id, before));
                }
            }
        }
        for (now, things) in seen {
            self.renew((step, at), now, &things);
        }
    }

    fn slot(&mut self, id: T::Id) -> Slot {
        if let Some(slot) = self.slots.get(id) {
            return *slot;
        }
        let slot = Slot { born: 0, group: NONE, track: NONE };
        self.slots.insert(id, slot);
        slot
    }

    fn put(&mut self, id: T::Id, until: Step, field: Field, value: &[u8]) {
        let mut slot = self.slot(id);
        if slot.track == NONE {
            // As many things do not fit into memory.
            slot.track = u32::try_from(self.tracks.add()).unwrap_or(NONE);
            self.slots.insert(id, slot);
        }
        let track = self.tracks.get_mut(slot.track as usize);
        if track.is_some_and(|track| track.put(until, field, value)) {
            self.versions += usize::from(field != GROUP);
        }
    }

    fn move_to(&mut self, id: T::Id, group: u32, until: Step) {
        let slot = self.slot(id);
        let mut bytes = Writer::default();
        bytes.number(u64::from(slot.group.wrapping_add(1)));
        self.put(id, until, GROUP, &bytes.0);
        if let Some(slot) = self.slots.get_mut(id) {
            slot.group = group;
        }
        if let Some(old) = self.groups.get_mut(slot.group as usize) {
            old.count = old.count.saturating_sub(1);
            if old.count == 0 {
                old.members = Vec::new();
            }
        }
    }

    /// It is in no group from `until` on; `seen` is when it was seen last before, if it was alone.
    fn leave(&mut self, id: T::Id, until: Step, at: Timestamp, seen: Option<Timestamp>) {
        if self.slot(id).group != NONE {
            self.move_to(id, NONE, until);
        } else if let Some(seen) = seen {
            let mut bytes = Writer::default();
            bytes.signed(at.as_micros().wrapping_sub(seen.as_micros()));
            self.put(id, until, LAST_SEEN, &bytes.0);
        }
    }

    /// These were seen at `now`, as known from a step on. Groups are refined: what was always seen together stays
    /// together, so that things which several sources see move only until their pattern is known.
    fn renew(&mut self, (step, at): (Step, Timestamp), now: Timestamp, things: &[Renewal<T>]) {
        let mut parts: BTreeMap<u32, Vec<Renewal<T>>> = BTreeMap::new();
        for thing in things {
            let group = self.slots.get(thing.0).map_or(NONE, |slot| slot.group);
            parts.entry(group).or_default().push(*thing);
        }
        for (group, part) in parts {
            let count = self.groups.get(group as usize).map_or(usize::MAX, |group| group.count);
            if part.len() == count {
            } else if part.len() * 2 <= count {
                self.gather((step, at), now, &part);
                continue;
            } else {
                // The rest goes, with the time at which it was seen.
                let stay: Vec<T::Id> = part.iter().map(|(id, _)| *id).collect();
                let Some(own) = self.groups.get(group as usize) else { continue };
                let last = own.at(step).unwrap_or(Timestamp::MIN);
                let slots = &self.slots;
                let rest: Vec<Renewal<T>> = own
                    .members
                    .iter()
                    .filter(|id| {
                        stay.binary_search(id).is_err()
                            && slots.get(**id).is_some_and(|slot| slot.group == group)
                    })
                    .map(|id| (*id, Some(last)))
                    .collect();
                self.gather((step, at), last, &rest);
                if let Some(own) = self.groups.get_mut(group as usize) {
                    own.members = stay;
                }
            }
            if let Some(own) = self.groups.get_mut(group as usize) {
                own.note(step, now);
            }
        }
    }

    /// These become a group of their own that was seen at `now`, or each goes alone when they are few.
    fn gather(&mut self, (step, at): (Step, Timestamp), now: Timestamp, things: &[Renewal<T>]) {
        if things.len() < LEAST {
            things.iter().for_each(|(id, before)| self.leave(*id, step, at, *before));
            return;
        }
        let own = self.groups.len() as u32;
        let members = things.iter().map(|(id, _)| *id).collect();
        self.groups.push(Group { members, count: things.len(), seen: vec![(step, now)] });
        for (id, before) in things {
            let slot = self.slot(*id);
            if before.is_none() && slot.track == NONE && slot.group == NONE {
                if let Some(slot) = self.slots.get_mut(*id) {
                    slot.group = own;
                }
                continue;
            }
            if slot.group == NONE {
                self.leave(*id, step, at, *before);
            }
            self.move_to(*id, own, step);
        }
    }

    /// Whether anything was ever taken in about it.
    pub(super) fn knows(&self, id: T::Id) -> bool {
        self.slots.get(id).is_some()
    }

    /// The step that brought it first, if that was within the strand's time.
    pub(super) fn born(&self, id: T::Id) -> Option<Step> {
        self.slots.get(id).map(|slot| slot.born).filter(|born| *born > 0)
    }

    /// The steps that changed it, ascending.
    pub(super) fn steps_of(&self, id: T::Id) -> Vec<Step> {
        let Some(slot) = self.slots.get(id) else { return Vec::new() };
        let mut steps = vec![slot.born];
        steps.extend(self.tracks.get(slot.track as usize).into_iter().flat_map(Track::all).map(|old| old.0));
        steps.dedup();
        steps
    }

    /// The ids that begin so, and perhaps others.
    pub(super) fn hinted(&self, hint: u32) -> impl Iterator<Item = T::Id> {
        self.slots.near(hint)
    }

    /// The thing as it was; `now` is how things are at the end of the strand.
    pub(super) fn at(
        &self,
        id: T::Id,
        now: &Trie<T::Id, T>,
        step: Step,
        steps: &Steps,
        books: &Books,
    ) -> Option<T> {
        let (slot, now) = self.slots.get_beside(now, id);
        let Some(slot) = slot else { return now.cloned() };
        if slot.born > step {
            return None;
        }
        let group = |at: usize| self.groups.get(at).and_then(|group| group.at(step));
        let (track, in_group) = (self.tracks.get(slot.track as usize), group(slot.group as usize));
        let read = Read { step, steps, books };
        read.restore(id, *slot, now, track, in_group, group)
    }

    /// Forgets what ended with a step or before.
    pub(super) fn forget(&mut self, until: Step, now: &Trie<T::Id, T>) {
        let mut forgotten = 0;
        for at in 0..self.tracks.len() {
            if self.tracks.get(at).and_then(Track::first).is_some_and(|first| first <= until) {
                forgotten += self.tracks.get_mut(at).map_or(0, |track| track.forget(until));
            }
        }
        self.versions = self.versions.saturating_sub(forgotten);
        // What went by then, and was not there since, was never there as far as is known; and what turned by then is what
        // it is.
        let quiet = |slot: &Slot| {
            let track = self.tracks.get(slot.track as usize);
            track.is_none_or(|track| track.last() <= until)
        };
        let turned = self.turned.iter().map(|(id, ())| id);
        let lost: Vec<T::Id> = turned.filter(|id| self.slots.get(*id).is_none_or(quiet)).collect();
        for id in lost {
            self.turned.remove(id);
            if now.get(id).is_none() {
                self.slots.remove(id);
            }
        }
        for group in &mut self.groups {
            let known = group.seen.partition_point(|(from, _)| *from <= until);
            group.seen.drain(..known.saturating_sub(1));
        }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let tracks: usize = self.tracks.iter().map(Track::bytes).sum();
        let groups: usize = self
            .groups
            .iter()
            .map(|group| {
                group.members.capacity() * size_of::<T::Id>()
                    + group.seen.capacity() * size_of::<(Step, Timestamp)>()
                    + size_of::<Group<T::Id>>()
            })
            .sum();
        self.slots.bytes() + self.turned.bytes() + tracks + self.tracks.spare_bytes() + groups
    }
}
