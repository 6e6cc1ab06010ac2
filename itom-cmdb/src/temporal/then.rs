//! Things as they were at a step: one that is asked about, or all of them, each when somebody looks.

use std::sync::Arc;

use itom_core::{CiId, CiKind, Timestamp};

use super::fields::{Field, GROUP, LAST_SEEN, Versioned, WHOLE, ends_in};
use super::packed::{Books, Reader};
use super::pages::Pages;
use super::strand::{Slot, Steps, Strand};
use super::track::{Step, Track};
use crate::view::trie::{Change as Put, Rule, Trie};
use crate::view::{Ci, Relation, RelationId};

/// What old values are read with, and the step asked about.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) step: Step,
    pub(super) steps: &'a Steps,
    pub(super) books: &'a Books,
}

impl Read<'_> {
    /// The thing as it was, from how it is `now`. `in_group` is when its present group had been seen, and `group` when
    /// another had.
    pub(super) fn restore<T: Versioned>(
        &self,
        id: T::Id,
        slot: Slot,
        now: Option<&T>,
        track: Option<&Track>,
        in_group: Option<Timestamp>,
        group: impl Fn(usize) -> Option<Timestamp>,
    ) -> Option<T> {
        let Self { step, steps, books } = *self;
        if slot.born > step {
            return None;
        }
        let Some(track) = track.filter(|track| track.last() > step) else {
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
                let own = Reader(bytes).number().and_then(|number| number.checked_sub(1));
                let own = own.and_then(|own| usize::try_from(own).ok());
                seen.get_or_insert(own.map_or(last_seen, &group));
            }
            LAST_SEEN if seen.is_none() => last_seen = Some(seen_at(bytes, steps.time(until))),
            LAST_SEEN => {}
            _ => fields.push((until, field, bytes)),
        });
        let seen = seen.unwrap_or(match (whole, slot.is_grouped()) {
            // What it is in now is of a later life.
            (Some(_), _) | (None, false) => last_seen,
            (None, true) => in_group,
        });
        let mut thing = match whole {
            None => now?.clone(),
            Some((_, [])) => return None,
            Some((until, bytes)) => self.whole(id, until, bytes)?,
        };
        for (until, field, bytes) in fields {
            thing.take_back(field, bytes, steps.time(until), books)?;
        }
        if let Some(seen) = seen {
            thing.set_seen(seen);
        }
        Some(thing)
    }

    fn whole<T: Versioned>(&self, id: T::Id, until: Step, bytes: &[u8]) -> Option<T> {
        let mut thing = T::blank(id);
        let mut reader = Reader(bytes);
        while !reader.0.is_empty() {
            let field = Field::try_from(reader.number()?).ok()?;
            let bytes = reader.bytes()?;
            if field == LAST_SEEN {
                thing.set_seen(seen_at(bytes, self.steps.time(until)));
            } else {
                thing.take_back(field, bytes, self.steps.time(until), self.books)?;
            }
        }
        Some(thing)
    }
}

fn seen_at(bytes: &[u8], until: Timestamp) -> Timestamp {
    let ago = Reader(bytes).signed().unwrap_or_default();
    Timestamp::from_micros(until.as_micros().wrapping_sub(ago))
}

/// All things of a strand as they were at a step. It holds the strand as it is, so that what comes later does not touch
/// it; the strand copies the pages it changes.
#[derive(Debug)]
pub(super) struct Then<T: Versioned> {
    now: Trie<T::Id, T>,
    slots: Trie<T::Id, Slot>,
    tracks: Pages<Track>,
    turned: Trie<T::Id, ()>,
    /// Per group: whether it was seen again since, and when it had been seen.
    groups: Vec<(bool, Option<Timestamp>)>,
    step: Step,
    steps: Arc<Steps>,
    books: Arc<Books>,
}

impl<T: Versioned> Then<T> {
    /// The thing as it was, if it is not known to be as it is now.
    fn other(&self, id: T::Id, slot: Slot, now: Option<&T>) -> Option<Option<T>> {
        let (moved, in_group) = self.groups.get(slot.group as usize).copied().unwrap_or_default();
        let track = self.tracks.get(slot.track as usize);
        if slot.born <= self.step && !moved && track.is_none_or(|track| track.last() <= self.step) {
            return None;
        }
        let read = Read { step: self.step, steps: &self.steps, books: &self.books };
        let group = |at: usize| self.groups.get(at).and_then(|(_, seen)| *seen);
        Some(read.restore(id, slot, now, track, in_group, group))
    }

    fn put(&self, id: T::Id, slot: Option<&Slot>, now: Option<&T>) -> Put<T> {
        match slot.and_then(|slot| self.other(id, *slot, now)) {
            None => Put::Keep,
            Some(Some(then)) => Put::Put(then),
            Some(None) => Put::Remove,
        }
    }

    /// Whether it is known that it was not there.
    pub(super) fn lacks(&self, id: T::Id) -> bool {
        let Some(slot) = self.slots.get(id) else { return false };
        if slot.born > self.step {
            return true;
        }
        match self.tracks.get(slot.track as usize).and_then(|track| track.first_beyond(self.step, WHOLE)) {
            Some(whole) => whole.is_empty(),
            None => self.now.get(id).is_none(),
        }
    }

    /// All of them, each made when somebody looks; `len` is how many there were.
    pub(super) fn map(self: &Arc<Self>, len: u32) -> Trie<T::Id, T> {
        let own = Arc::clone(self);
        let rule = Rule::of_others(move |id, now, slot| own.put(id, slot, now));
        self.now.late(&self.slots, &rule, len as usize)
    }

    /// All of them but for those that something else says no to.
    pub(super) fn map_but(
        self: &Arc<Self>,
        len: u32,
        no: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Trie<T::Id, T> {
        let own = Arc::clone(self);
        let rule = Rule::of_all(move |id, now, slot| {
            let put = own.put(id, slot, now);
            let then = match &put {
                Put::Keep => now,
                Put::Put(then) => Some(then),
                Put::Remove => None,
            };
            if then.is_some_and(&no) { Put::Remove } else { put }
        });
        self.now.late(&self.slots, &rule, len as usize)
    }
}

impl Then<Ci> {
    /// What those that turned since were then, by kind.
    pub(super) fn turned(&self) -> Vec<(CiKind, CiId)> {
        let mut turned = Vec::new();
        for (id, ()) in self.turned.iter() {
            let (Some(slot), now) = self.slots.get_beside(&self.now, id) else { continue };
            let then = self.other(id, *slot, now).flatten();
            turned.extend(then.map(|then| (then.kind().clone(), id)));
        }
        turned.sort_unstable();
        turned
    }
}

impl Then<Relation> {
    /// The ends of those that went since, and of some that came back, ascending.
    pub(super) fn gone(&self) -> Vec<(CiId, RelationId)> {
        let mut gone = Vec::new();
        for (id, ()) in self.turned.iter() {
            let track = self.slots.get(id).and_then(|slot| self.tracks.get(slot.track as usize));
            let ends = track.and_then(|track| ends_in(track.first_beyond(self.step, WHOLE)?));
            gone.extend(ends.into_iter().flatten().map(|end| (end, id)));
        }
        gone.sort_unstable();
        gone.dedup();
        gone
    }
}

impl<T: Versioned> Strand<T> {
    /// How all things were at a step, from how they are now.
    pub(super) fn then(
        &self,
        now: &Trie<T::Id, T>,
        step: Step,
        steps: &Arc<Steps>,
        books: &Arc<Books>,
    ) -> Arc<Then<T>> {
        Arc::new(Then {
            now: now.clone(),
            slots: self.slots.clone(),
            tracks: self.tracks.clone(),
            turned: self.turned.clone(),
            groups: self.groups.iter().map(|group| group.seen_at(step)).collect(),
            step,
            steps: Arc::clone(steps),
            books: Arc::clone(books),
        })
    }
}
