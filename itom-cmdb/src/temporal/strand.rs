//! The past of many things of one kind: items, or relations.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::Timestamp;

use super::fields::{Field, LAST_SEEN, Versioned, WHOLE};
use super::packed::{Books, Reader, Writer};
use super::track::Versions;
use crate::view::trie::Trie;

/// Fewer things than this that were seen again together are no group.
const GROUP: usize = 8;

/// Nobody's group.
const ALONE: u32 = u32::MAX;

/// Things that are seen again together, as those of one source are: a round costs two times, however many they are.
#[derive(Debug, Clone)]
struct Group<I> {
    members: BTreeSet<I>,
    /// When they were seen (second), as known from a time on (first).
    seen: Vec<(Timestamp, Timestamp)>,
}

impl<I> Group<I> {
    fn at(&self, at: Timestamp) -> Option<Timestamp> {
        let index = self.seen.partition_point(|(from, _)| *from <= at);
        self.seen.get(index.checked_sub(1)?).map(|(_, seen)| *seen)
    }
}

#[derive(Debug, Clone)]
struct Track {
    fields: Vec<Versions>,
    /// The groups it was in, until when.
    left: Vec<(Timestamp, u32)>,
}

#[derive(Debug, Clone)]
struct Slot {
    /// When it was there first; the least time if it was there before the strand began.
    born: Timestamp,
    group: u32,
    track: Option<Box<Track>>,
}

impl Slot {
    fn put(&mut self, field: Field, until: Timestamp, value: &[u8]) -> bool {
        let track =
            self.track.get_or_insert_with(|| Box::new(Track { fields: Vec::new(), left: Vec::new() }));
        let index = track.fields.iter().position(|own| own.field == field).unwrap_or_else(|| {
            track.fields.reserve_exact(1);
            track.fields.push(Versions::new(field));
            track.fields.len() - 1
        });
        track.fields.get_mut(index).is_some_and(|own| own.put(until, value))
    }

    /// It is in another group from `until` on.
    fn move_to(&mut self, group: u32, until: Timestamp) {
        let track =
            self.track.get_or_insert_with(|| Box::new(Track { fields: Vec::new(), left: Vec::new() }));
        if track.left.last().is_none_or(|(last, _)| *last < until) {
            track.left.push((until, self.group));
        }
        self.group = group;
    }
}

/// One change: the thing before and after.
pub(super) type Change<'a, T> = (<T as Versioned>::Id, Option<&'a T>, Option<&'a T>);

/// One thing that was seen again, and when it was seen before.
type Renewal<T> = (<T as Versioned>::Id, Option<Timestamp>);

#[derive(Debug, Clone)]
pub(super) struct Strand<T: Versioned> {
    slots: Trie<T::Id, Slot>,
    groups: Vec<Group<T::Id>>,
    wholes: Vec<T>,
    /// Old values kept, in all.
    pub(super) versions: usize,
}

impl<T: Versioned> Default for Strand<T> {
    fn default() -> Self {
        Self { slots: Trie::default(), groups: Vec::new(), wholes: Vec::new(), versions: 0 }
    }
}

impl<T: Versioned> Strand<T> {
    fn slot(&mut self, id: T::Id, born: Timestamp) -> Option<&mut Slot> {
        if self.slots.get(id).is_none() {
            self.slots.insert(id, Slot { born, group: ALONE, track: None });
        }
        self.slots.get_mut(id)
    }

    /// Takes in what became different at `at`, which is not before anything taken in.
    pub(super) fn push(&mut self, at: Timestamp, changes: &[Change<'_, T>], books: &mut Books) {
        let mut seen: BTreeMap<Timestamp, Vec<Renewal<T>>> = BTreeMap::new();
        for (id, old, new) in changes {
            let known = self.slots.get(*id).is_some();
            match (old, new) {
                (None, Some(_)) if known => self.put(*id, WHOLE, at, &[]),
                (None, Some(_)) => {
                    self.slot(*id, at);
                }
                (Some(old), None) => {
                    self.put_whole(*id, at, old);
                    self.leave(*id, at, None);
                }
                (Some(old), Some(new)) => {
                    let mut puts: Vec<(Field, Vec<u8>)> = Vec::new();
                    let enough = T::put_changed(old, new, books, at, &mut |field, bytes| {
                        puts.push((field, bytes.to_vec()));
                    });
                    if enough {
                        puts.iter().for_each(|(field, bytes)| self.put(*id, *field, at, bytes));
                    } else {
                        self.put_whole(*id, at, old);
                    }
                }
                (None, None) => {}
            }
            let before = old.map(T::seen);
            if let Some(now) = new.map(T::seen).filter(|now| before != Some(*now)) {
                seen.entry(now).or_default().push((*id, before));
            }
        }
        for (now, things) in seen {
            self.renew(at, now, &things);
        }
    }

    fn put(&mut self, id: T::Id, field: Field, until: Timestamp, value: &[u8]) {
        if self.slot(id, Timestamp::MIN).is_some_and(|slot| slot.put(field, until, value)) {
            self.versions += 1;
        }
    }

    fn put_whole(&mut self, id: T::Id, until: Timestamp, old: &T) {
        let mut bytes = Writer::default();
        bytes.number(self.wholes.len() as u64 + 1);
        let kept = self.slot(id, Timestamp::MIN).is_some_and(|slot| slot.put(WHOLE, until, &bytes.0));
        if kept {
            self.wholes.push(old.clone());
            self.versions += 1;
        }
    }

    /// It is in no group from `until` on; `seen` is when it was seen last before, if it was alone.
    fn leave(&mut self, id: T::Id, until: Timestamp, seen: Option<Timestamp>) {
        let Some(slot) = self.slot(id, Timestamp::MIN) else { return };
        let group = slot.group;
        if group != ALONE {
            slot.move_to(ALONE, until);
            if let Some(group) = self.groups.get_mut(group as usize) {
                group.members.remove(&id);
            }
        } else if let Some(seen) = seen {
            let mut bytes = Writer::default();
            bytes.signed(until.as_micros().wrapping_sub(seen.as_micros()));
            self.put(id, LAST_SEEN, until, &bytes.0);
        }
    }

    /// These were seen at `now`, as known from `at` on.
    fn renew(&mut self, at: Timestamp, now: Timestamp, things: &[Renewal<T>]) {
        if things.len() < GROUP {
            things.iter().for_each(|(id, before)| self.leave(*id, at, *before));
            return;
        }
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for (id, _) in things {
            let group = self.slots.get(*id).map_or(ALONE, |slot| slot.group);
            *counts.entry(group).or_default() += 1;
        }
        let most = counts.into_iter().filter(|(group, _)| *group != ALONE).max_by_key(|(_, count)| *count);
        let chosen = most.filter(|(group, count)| {
            let members = self.groups.get(*group as usize).map_or(0, |group| group.members.len());
            count * 2 > things.len() && count * 2 > members
        });
        let own = chosen.map_or_else(
            || {
                self.groups.push(Group { members: BTreeSet::new(), seen: Vec::new() });
                u32::try_from(self.groups.len() - 1).unwrap_or(ALONE)
            },
            |(group, _)| group,
        );
        let Some(members) = self.groups.get(own as usize).map(|group| &group.members) else { return };
        if members.len() != things.len() || things.iter().any(|(id, _)| !members.contains(id)) {
            let stay: BTreeSet<T::Id> = things.iter().map(|(id, _)| *id).collect();
            let gone: Vec<T::Id> = members.difference(&stay).copied().collect();
            gone.into_iter().for_each(|id| self.leave(id, at, None));
            for (id, before) in things {
                if self.slots.get(*id).is_some_and(|slot| slot.group == own) {
                    continue;
                }
                let fresh = before.is_none();
                self.leave(*id, at, *before);
                if let Some(slot) = self.slot(*id, Timestamp::MIN) {
                    if fresh && slot.track.is_none() {
                        slot.group = own;
                    } else {
                        slot.move_to(own, at);
                    }
                }
                if let Some(group) = self.groups.get_mut(own as usize) {
                    group.members.insert(*id);
                }
            }
        }
        if let Some(group) = self.groups.get_mut(own as usize) {
            match group.seen.last_mut().filter(|(from, _)| *from == at) {
                Some(last) => last.1 = now,
                None => group.seen.push((at, now)),
            }
        }
    }

    /// When it was there first, if that was within the strand's time.
    pub(super) fn born(&self, id: T::Id) -> Option<Timestamp> {
        self.slots.get(id).map(|slot| slot.born).filter(|born| *born > Timestamp::MIN)
    }

    /// The thing as it was; `now` is how it is at the end of the strand.
    pub(super) fn at(&self, id: T::Id, now: Option<&T>, at: Timestamp, books: &Books) -> Option<T> {
        let Some(slot) = self.slots.get(id) else { return now.cloned() };
        self.restore(slot, now, at, books)
    }

    fn restore(&self, slot: &Slot, now: Option<&T>, at: Timestamp, books: &Books) -> Option<T> {
        if slot.born > at {
            return None;
        }
        let fields = slot.track.as_ref().map_or(&[][..], |track| &track.fields);
        let whole =
            fields.iter().find(|own| own.field == WHOLE).and_then(|own| own.at(at)).map(|(until, bytes)| {
                let number = Reader(bytes).number().and_then(|number| number.checked_sub(1));
                (until, number.and_then(|number| self.wholes.get(usize::try_from(number).ok()?)))
            });
        let (base, horizon) = match whole {
            Some((until, base)) => (base, until),
            None => (now, Timestamp::MAX),
        };
        let mut thing = base?.clone();
        for own in fields {
            if own.field == WHOLE || own.field == LAST_SEEN {
                continue;
            }
            if let Some((until, bytes)) = own.at(at).filter(|(until, _)| *until <= horizon) {
                thing.take_back(own.field, bytes, until, books)?;
            }
        }
        let left = slot.track.as_ref().map_or(&[][..], |track| &track.left);
        let index = left.partition_point(|(until, _)| *until <= at);
        let (until, group) = left.get(index).copied().unwrap_or((Timestamp::MAX, slot.group));
        let seen = if group == ALONE {
            let own = fields.iter().find(|own| own.field == LAST_SEEN);
            let old = own.and_then(|own| own.at(at)).filter(|(own, _)| *own <= horizon.min(until));
            old.and_then(|(until, bytes)| {
                let ago = Reader(bytes).signed()?;
                Some(Timestamp::from_micros(until.as_micros().wrapping_sub(ago)))
            })
        } else {
            self.groups.get(group as usize).and_then(|group| group.at(at))
        };
        if let Some(seen) = seen {
            thing.set_seen(seen);
        }
        Some(thing)
    }

    /// Everything that may have been different at a time, as it was then.
    pub(super) fn past<'a>(
        &'a self,
        at: Timestamp,
        now: impl Fn(T::Id) -> Option<&'a T> + 'a,
        books: &'a Books,
    ) -> impl Iterator<Item = (T::Id, Option<T>)> + 'a {
        self.slots.iter().filter_map(move |(id, slot)| {
            let moved = |group: u32| {
                let last = self.groups.get(group as usize).and_then(|group| group.seen.last());
                last.is_some_and(|(from, _)| *from > at)
            };
            let same = slot.born <= at
                && !moved(slot.group)
                && slot.track.as_ref().is_none_or(|track| {
                    track.fields.iter().all(|own| own.last() <= at)
                        && track.left.last().is_none_or(|(until, _)| *until <= at)
                });
            (!same).then(|| (id, self.restore(slot, now(id), at, books)))
        })
    }

    /// Forgets what was so before a time only.
    pub(super) fn forget(&mut self, before: Timestamp) {
        let ids: Vec<T::Id> = self.slots.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(track) = self.slots.get_mut(id).and_then(|slot| slot.track.as_mut()) else { continue };
            self.versions -= track.fields.iter_mut().map(|own| own.forget(before)).sum::<usize>();
            track.fields.retain(|own| own.last() > before);
            track.left.retain(|(until, _)| *until > before);
        }
        for group in &mut self.groups {
            let known = group.seen.partition_point(|(from, _)| *from <= before);
            group.seen.drain(..known.saturating_sub(1));
        }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self
            .slots
            .iter()
            .map(|(_, slot)| {
                let track = slot.track.as_ref().map_or(0, |track| {
                    let spare = track.fields.capacity() - track.fields.len();
                    size_of::<Track>()
                        + track.fields.iter().map(Versions::bytes).sum::<usize>()
                        + spare * size_of::<Versions>()
                        + track.left.capacity() * size_of::<(Timestamp, u32)>()
                });
                // A leaf of the map is about two thirds full.
                (size_of::<T::Id>() + size_of::<Slot>()) * 3 / 2 + track
            })
            .sum();
        let groups: usize =
            self.groups.iter().map(|group| group.members.len() * 20 + group.seen.capacity() * 16 + 48).sum();
        slots + groups + self.wholes.len() * 1024
    }
}
