//! The past of many things of one kind: items, relations, or where ids led.

use std::collections::BTreeMap;

use itom_core::Timestamp;

use super::fields::{Field, GROUP, LAST_SEEN, Versioned, WHOLE};
use super::packed::{Books, Reader, Writer};
use super::track::{Step, Track};
use crate::view::trie::{Change as Put, Trie};

/// Fewer things than this that were seen again together are no group.
const LEAST: usize = 8;

/// Nobody's group; no track.
const NONE: u32 = u32::MAX;

/// Things that are seen again together, as those of one source are: a round costs two times, however many they are.
#[derive(Debug, Clone, Default)]
struct Group<I> {
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

    fn note(&mut self, step: Step, seen: Timestamp) {
        match self.seen.last_mut().filter(|(from, _)| *from == step) {
            Some(last) => last.1 = seen,
            None => self.seen.push((step, seen)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The step that brought it first; 0 if it was there before the strand began.
    born: Step,
    group: u32,
    track: u32,
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
    slots: Trie<T::Id, Slot>,
    tracks: Vec<Track>,
    groups: Vec<Group<T::Id>>,
    /// Old values kept, in all, births among them.
    pub(super) versions: usize,
}

impl<T: Versioned> Default for Strand<T> {
    fn default() -> Self {
        Self { slots: Trie::default(), tracks: Vec::new(), groups: Vec::new(), versions: 0 }
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
                }
                (Some(old), Some(new)) => {
                    T::put_changed(old, Some(new), books, at, &mut |field, bytes| {
                        self.put(*id, step, field, bytes);
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
        let slot = self.slot(id);
        if slot.track == NONE {
            if self.tracks.len() == self.tracks.capacity() {
                self.tracks.reserve_exact(self.tracks.len() / 8 + 16);
            }
            self.tracks.push(Track::default());
            if let Some(slot) = self.slots.get_mut(id) {
                slot.track = (self.tracks.len() - 1) as u32;
            }
        }
        let track = if slot.track == NONE {
            self.tracks.last_mut()
        } else {
            self.tracks.get_mut(slot.track as usize)
        };
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

    /// The thing as it was; `now` is how it is at the end of the strand.
    pub(super) fn at(
        &self,
        id: T::Id,
        now: Option<&T>,
        step: Step,
        steps: &Steps,
        books: &Books,
    ) -> Option<T> {
        let Some(slot) = self.slots.get(id) else { return now.cloned() };
        let seen = self.groups.get(slot.group as usize).and_then(|group| group.at(step));
        self.restore(id, *slot, now, (step, seen), steps, books)
    }

    fn restore(
        &self,
        id: T::Id,
        slot: Slot,
        now: Option<&T>,
        (step, in_group): (Step, Option<Timestamp>),
        steps: &Steps,
        books: &Books,
    ) -> Option<T> {
        if slot.born > step {
            return None;
        }
        let Some(track) = self.tracks.get(slot.track as usize).filter(|track| track.last() > step) else {
            let mut thing = now?.clone();
            if let Some(seen) = in_group {
                thing.set_seen(seen);
            }
            return Some(thing);
        };
        let (mut whole, mut fields) = (None, Vec::new());
        // Set once it is known in which group it was.
        let mut seen = None;
        let mut last_seen = None;
        track.beyond(step, |(until, field, bytes)| match field {
            WHOLE => whole = Some((until, bytes)),
            GROUP => {
                let group = Reader(bytes).number().and_then(|number| number.checked_sub(1));
                let group = group.and_then(|group| self.groups.get(usize::try_from(group).ok()?));
                seen.get_or_insert(group.map_or(last_seen, |group| group.at(step)));
            }
            LAST_SEEN if seen.is_none() => last_seen = Some(seen_at(bytes, steps.time(until))),
            LAST_SEEN => {}
            _ => fields.push((until, field, bytes)),
        });
        let seen = seen.unwrap_or(match (whole, slot.group) {
            // What it is in now is of a later life.
            (Some(_), _) | (None, NONE) => last_seen,
            (None, _) => in_group,
        });
        let mut thing = match whole {
            None => now?.clone(),
            Some((_, [])) => return None,
            Some((until, bytes)) => {
                let mut thing = T::blank(id);
                let mut reader = Reader(bytes);
                while !reader.0.is_empty() {
                    let field = u32::try_from(reader.number()?).ok()?;
                    let bytes = reader.bytes()?;
                    if field == LAST_SEEN {
                        thing.set_seen(seen_at(bytes, steps.time(until)));
                    } else {
                        thing.take_back(field, bytes, steps.time(until), books)?;
                    }
                }
                thing
            }
        };
        for (until, field, bytes) in fields {
            thing.take_back(field, bytes, steps.time(until), books)?;
        }
        if let Some(seen) = seen {
            thing.set_seen(seen);
        }
        Some(thing)
    }

    /// The map of all things as it was, from that of now, in one walk over both. Tells what is not simply other than
    /// now: the thing now and then.
    pub(super) fn past(
        &self,
        now: &Trie<T::Id, T>,
        step: Step,
        steps: &Steps,
        books: &Books,
        told: &mut impl FnMut(T::Id, Option<&T>, Option<&T>),
    ) -> Trie<T::Id, T> {
        let seen: Vec<(bool, Option<Timestamp>)> = self
            .groups
            .iter()
            .map(|group| (group.seen.last().is_some_and(|(from, _)| *from > step), group.at(step)))
            .collect();
        now.merged(&self.slots, &mut |id, now, slot| {
            let (moved, in_group) = seen.get(slot.group as usize).copied().unwrap_or_default();
            let same = slot.born <= step
                && !moved
                && self.tracks.get(slot.track as usize).is_none_or(|track| track.last() <= step);
            if same {
                return Put::Keep;
            }
            let then = self.restore(id, *slot, now, (step, in_group), steps, books);
            told(id, now, then.as_ref());
            then.map_or(Put::Remove, Put::Put)
        })
    }

    /// Forgets what ended with a step or before.
    pub(super) fn forget(&mut self, until: Step) {
        let mut gone = 0;
        for track in &mut self.tracks {
            gone += track.forget(until);
        }
        self.versions = self.versions.saturating_sub(gone);
        for group in &mut self.groups {
            let known = group.seen.partition_point(|(from, _)| *from <= until);
            group.seen.drain(..known.saturating_sub(1));
        }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let spare = self.tracks.capacity() - self.tracks.len();
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
        self.slots.bytes() + tracks + spare * size_of::<Track>() + groups
    }
}

fn seen_at(bytes: &[u8], until: Timestamp) -> Timestamp {
    let ago = Reader(bytes).signed().unwrap_or_default();
    Timestamp::from_micros(until.as_micros().wrapping_sub(ago))
}
