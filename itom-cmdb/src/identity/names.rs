//! Names as small numbers. A number says when a name came first, so no order of numbers may reach an outcome: whatever
//! is compared is compared by content.

use std::cmp::Ordering;
use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap};
use itom_core::{CiId, CiKind, Key, KeyKind, Realm, SourceName, Text};

use super::{Ident, Object, spelling};

/// Numbers share their word with two bits of strength.
pub(crate) const MOST: u32 = 1 << 30;

const SHARDS: usize = 64;

/// Finds numbers by content: open addressing, so that a look-up which misses the cache misses it once. Split by hash, so
/// that growing moves a small part at a time; looked up only, never walked.
#[derive(Debug, Clone)]
struct Finder {
    shards: Vec<Shard>,
}

#[derive(Debug, Clone, Default)]
struct Shard {
    /// Hash and number, about in the order of the hashes: growing reads and writes from front to back.
    cells: Vec<(u32, u32)>,
    used: usize,
}

/// What stands in a cell without a number: none is so large.
const FREE: u32 = u32::MAX;

impl Shard {
    /// Where the search for a hash begins. The first six bits chose the shard.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash << 6) * self.cells.len() as u64) >> 32) as usize
    }

    fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            // There is always a free cell, unless there is none at all.
            let (own, number) = *self.cells.get(at)?;
            if number == FREE {
                return None;
            }
            if own == hash && is(number) {
                return Some(number);
            }
            at = (at + 1) & (self.cells.len() - 1);
        }
    }

    fn insert(&mut self, hash: u32, number: u32) {
        if (self.used + 1) * 4 > self.cells.len() * 3 {
            let larger = (self.cells.len() * 2).max(16);
            let cells = std::mem::replace(&mut self.cells, vec![(0, FREE); larger]);
            cells
                .into_iter()
                .filter(|cell| cell.1 != FREE)
                .for_each(|(hash, number)| self.place(hash, number));
        }
        self.used += 1;
        self.place(hash, number);
    }

    fn place(&mut self, hash: u32, number: u32) {
        let mut at = self.home(hash);
        while let Some(cell) = self.cells.get_mut(at) {
            if cell.1 == FREE {
                *cell = (hash, number);
                return;
            }
            at = (at + 1) & (self.cells.len() - 1);
        }
    }
}

impl Finder {
    fn new(shards: usize) -> Self {
        Self { shards: vec![Shard::default(); shards] }
    }

    fn shard(&self, hash: u32) -> usize {
        (hash >> 26) as usize % self.shards.len()
    }

    fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.shards.get(self.shard(hash))?.find(hash, is)
    }

    fn insert(&mut self, hash: u32, number: u32) {
        let shard = self.shard(hash);
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.insert(hash, number);
        }
    }
}

/// A value with the kind of key and the realm it is of. Short ones, which most are, stand in place: who compares one
/// looks at one line of the cache.
#[derive(Debug, Clone, Copy)]
struct Spelled {
    slot: u32,
    /// [`LONG`]: the text is among the long ones, at the place that the first four bytes give.
    len: u8,
    bytes: [u8; SHORT],
}

/// Room for a UUID.
const SHORT: usize = 39;
const LONG: u8 = u8::MAX;

impl Spelled {
    fn new(slot: u32, value: &str, long: &mut Vec<Text>) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..value.len()), u8::try_from(value.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(value.as_bytes());
                Self { slot, len, bytes }
            }
            _ => {
                bytes[..4].copy_from_slice(&(long.len() as u32).to_le_bytes());
                long.push(Text::from(value));
                Self { slot, len: LONG, bytes }
            }
        }
    }

    fn bytes<'a>(&'a self, long: &'a [Text]) -> &'a [u8] {
        match self.bytes.get(..usize::from(self.len)) {
            Some(short) => short,
            None => {
                let [a, b, c, d, ..] = self.bytes;
                long.get(u32::from_le_bytes([a, b, c, d]) as usize).map_or(&[], |text| text.as_bytes())
            }
        }
    }
}

/// A kind of key in a realm: values that things state, or those that they have through their parts as well.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) kind: KeyKind,
    pub(crate) realm: Realm,
    inherited: bool,
}

impl Slot {
    fn is(&self, kind: &KeyKind, realm: &Realm, inherited: bool) -> bool {
        self.inherited == inherited && self.kind == *kind && self.realm == *realm
    }
}

/// How often the slot of a key is remembered by how its kind and realm look.
const LOOKS: usize = 64;

fn looks(kind: &KeyKind, realm: &Realm) -> usize {
    let one = |text: &str| text.len() * 5 + usize::from(text.as_bytes().last().copied().unwrap_or(0));
    (one(kind.as_str()) + one(realm.as_str()) * 7) % LOOKS
}

/// What is asked of a key: where it belongs and how it hashes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) key: &'a Key,
    pub(super) slot: u32,
    hash: u32,
    /// The number that it may be; none is known by [`FREE`].
    pub(super) hint: u32,
}

/// What is asked of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskedObject<'a> {
    pub(super) source: u32,
    pub(super) native: &'a Text,
    hash: u32,
    pub(super) hint: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Names {
    hasher: DefaultHashBuilder,
    sources: Vec<SourceName>,
    source_numbers: HashMap<SourceName, u32>,
    /// The one asked for last: one source says much at once.
    last_source: u32,
    kinds: Vec<CiKind>,
    kind_numbers: HashMap<CiKind, u32>,
    last_kind: u32,
    slots: Vec<Slot>,
    slot_finder: Finder,
    /// Slots by how they look.
    recent: [u32; LOOKS],
    objects: Vec<(u32, Text)>,
    object_finder: Finder,
    idents: Vec<Spelled>,
    long: Vec<Text>,
    ident_finder: Finder,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            sources: Vec::new(),
            source_numbers: HashMap::new(),
            last_source: 0,
            kinds: Vec::new(),
            kind_numbers: HashMap::new(),
            last_kind: 0,
            slots: Vec::new(),
            slot_finder: Finder::new(1),
            recent: [0; LOOKS],
            objects: Vec::new(),
            object_finder: Finder::new(SHARDS),
            idents: Vec::new(),
            long: Vec::new(),
            ident_finder: Finder::new(SHARDS),
        }
    }

    fn hash(&self, space: u32, text: &str) -> u32 {
        (self.hasher.hash_one((space, text)) >> 32) as u32
    }

    pub(crate) fn source(&mut self, name: &SourceName) -> u32 {
        if self.sources.get(self.last_source as usize) == Some(name) {
            return self.last_source;
        }
        if let Some(number) = self.source_numbers.get(name) {
            self.last_source = *number;
            return *number;
        }
        let number = self.sources.len() as u32;
        self.sources.push(name.clone());
        self.source_numbers.insert(name.clone(), number);
        number
    }

    pub(crate) fn kind(&mut self, name: &CiKind) -> u32 {
        if self.kinds.get(self.last_kind as usize) == Some(name) {
            return self.last_kind;
        }
        if let Some(number) = self.kind_numbers.get(name) {
            self.last_kind = *number;
            return *number;
        }
        let number = self.kinds.len() as u32;
        self.kinds.push(name.clone());
        self.kind_numbers.insert(name.clone(), number);
        number
    }

    fn slot_hash(&self, kind: &KeyKind, realm: &Realm) -> u32 {
        (self.hasher.hash_one((kind, realm)) >> 32) as u32
    }

    fn find_slot(&self, kind: &KeyKind, realm: &Realm, inherited: bool) -> Option<u32> {
        self.slot_finder.find(self.slot_hash(kind, realm), |number| {
            self.slots.get(number as usize).is_some_and(|slot| slot.is(kind, realm, inherited))
        })
    }

    /// The number of a kind of key in a realm, as stated or as inherited. The second says whether it is new.
    pub(super) fn slot(&mut self, kind: &KeyKind, realm: &Realm, inherited: bool) -> (u32, bool) {
        let looks = looks(kind, realm) ^ usize::from(inherited);
        let recent = self.recent[looks];
        if self.slots.get(recent as usize).is_some_and(|slot| slot.is(kind, realm, inherited)) {
            return (recent, false);
        }
        let known = self.find_slot(kind, realm, inherited);
        let slot = known.unwrap_or(self.slots.len() as u32);
        if known.is_none() {
            self.slots.push(Slot { kind: kind.clone(), realm: realm.clone(), inherited });
            self.slot_finder.insert(self.slot_hash(kind, realm), slot);
        }
        self.recent[looks] = slot;
        (slot, known.is_none())
    }

    pub(super) fn ask_object<'a>(&self, source: u32, native: &'a Text) -> AskedObject<'a> {
        AskedObject { source, native, hash: self.hash(source, native), hint: FREE }
    }

    pub(super) fn ask<'a>(&self, slot: u32, key: &'a Key) -> Asked<'a> {
        let mut room = spelling::EMPTY;
        let value = spelling::one(key.kind(), key.value(), &mut room);
        Asked { key, slot, hash: self.hash(slot, value), hint: FREE }
    }

    /// Looks up what objects and keys may be. Nothing here waits for anything else, so that the memory is waited for
    /// once and not once for each.
    pub(super) fn guess(&self, objects: &mut [AskedObject<'_>], keys: &mut [Asked<'_>]) {
        for asked in objects {
            asked.hint = self.object_finder.find(asked.hash, |_| true).unwrap_or(FREE);
        }
        for asked in keys {
            asked.hint = self.ident_finder.find(asked.hash, |_| true).unwrap_or(FREE);
        }
    }

    /// Reads what is compared with an object, ahead of who compares; what it returns means nothing.
    pub(super) fn peek_object(&self, number: u32) -> u32 {
        let own = self.objects.get(number as usize);
        own.map_or(0, |own| own.0 + u32::from(own.1.as_bytes().first().copied().unwrap_or(0)))
    }

    /// As [`peek_object`](Self::peek_object), of a value.
    pub(super) fn peek_ident(&self, number: u32) -> u32 {
        self.idents.get(number as usize).map_or(0, |own| own.slot)
    }

    /// The number of an object; `None` when there are as many as numbers.
    pub(super) fn object(&mut self, asked: &AskedObject<'_>) -> Option<u32> {
        let is = |number: u32| {
            let own = self.objects.get(number as usize);
            own.is_some_and(|own| own.0 == asked.source && own.1 == *asked.native)
        };
        if is(asked.hint) {
            return Some(asked.hint);
        }
        if let Some(number) = self.object_finder.find(asked.hash, is) {
            return Some(number);
        }
        let number = u32::try_from(self.objects.len()).ok().filter(|number| *number < MOST)?;
        self.objects.push((asked.source, asked.native.clone()));
        self.object_finder.insert(asked.hash, number);
        Some(number)
    }

    fn is_ident(&self, number: u32, slot: u32, value: &str) -> bool {
        let own = self.idents.get(number as usize);
        own.is_some_and(|own| own.slot == slot && own.bytes(&self.long) == value.as_bytes())
    }

    /// The number of what a key says; `None` when there are as many as numbers. The second says whether it is new.
    pub(super) fn ident(&mut self, asked: &Asked<'_>) -> Option<(u32, bool)> {
        let mut room = spelling::EMPTY;
        let value = spelling::one(asked.key.kind(), asked.key.value(), &mut room);
        if self.is_ident(asked.hint, asked.slot, value) {
            return Some((asked.hint, false));
        }
        if let Some(number) =
            self.ident_finder.find(asked.hash, |number| self.is_ident(number, asked.slot, value))
        {
            return Some((number, false));
        }
        let number = u32::try_from(self.idents.len()).ok().filter(|number| *number < MOST)?;
        self.idents.push(Spelled::new(asked.slot, value, &mut self.long));
        self.ident_finder.insert(asked.hash, number);
        Some((number, true))
    }

    pub(crate) fn find_object(&self, source: &SourceName, native: &Text) -> Option<u32> {
        let source = *self.source_numbers.get(source)?;
        self.object_finder.find(self.hash(source, native), |number| {
            self.objects.get(number as usize).is_some_and(|own| own.0 == source && own.1 == *native)
        })
    }

    pub(crate) fn find_ident(&self, ident: &Ident) -> Option<u32> {
        let slot = self.find_slot(&ident.kind, &ident.realm, false)?;
        let mut room = spelling::EMPTY;
        let value = spelling::one(&ident.kind, &ident.value, &mut room);
        self.ident_finder.find(self.hash(slot, value), |number| self.is_ident(number, slot, value))
    }

    pub(crate) fn source_of(&self, number: u32) -> &SourceName {
        &self.sources[number as usize]
    }

    pub(crate) fn kind_of(&self, number: u32) -> &CiKind {
        &self.kinds[number as usize]
    }

    pub(crate) fn object_name(&self, number: u32) -> Object {
        let (source, native) = &self.objects[number as usize];
        Object { source: self.source_of(*source).clone(), native: native.clone() }
    }

    fn value(&self, ident: u32) -> &str {
        // What stands there was a text.
        std::str::from_utf8(self.idents[ident as usize].bytes(&self.long)).unwrap_or("")
    }

    pub(crate) fn ident_name(&self, number: u32) -> Ident {
        let slot = &self.slots[self.idents[number as usize].slot as usize];
        Ident { kind: slot.kind.clone(), realm: slot.realm.clone(), value: Text::from(self.value(number)) }
    }

    /// The id that a value gives, as [`Ident::ci_id`].
    pub(crate) fn ident_id(&self, number: u32) -> CiId {
        let slot = &self.slots[self.idents[number as usize].slot as usize];
        Ident::id_of(&slot.kind, &slot.realm, self.value(number))
    }

    /// The id that an object gives, as [`Object::ci_id`].
    pub(crate) fn object_id(&self, number: u32) -> CiId {
        let (source, native) = &self.objects[number as usize];
        Object::id_of(self.source_of(*source), native)
    }

    /// The order of objects by content.
    pub(crate) fn compare_objects(&self, a: u32, b: u32) -> Ordering {
        let (one, other) = (&self.objects[a as usize], &self.objects[b as usize]);
        let sources = if one.0 == other.0 {
            Ordering::Equal
        } else {
            self.source_of(one.0).cmp(self.source_of(other.0))
        };
        sources.then_with(|| one.1.cmp(&other.1))
    }

    /// The order of values by content.
    pub(crate) fn compare_idents(&self, a: u32, b: u32) -> Ordering {
        let (one, other) = (&self.idents[a as usize], &self.idents[b as usize]);
        let slots = if one.slot == other.slot {
            Ordering::Equal
        } else {
            let (one, other) = (&self.slots[one.slot as usize], &self.slots[other.slot as usize]);
            (&one.kind, &one.realm, one.inherited).cmp(&(&other.kind, &other.realm, other.inherited))
        };
        // Texts are ordered as their bytes are.
        slots.then_with(|| one.bytes(&self.long).cmp(other.bytes(&self.long)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_finder_finds_what_was_inserted_and_nothing_else(
            hashes in proptest::collection::vec(prop_oneof![0_u32..8, any::<u32>(), Just(u32::MAX)], 0..200),
            shards in prop_oneof![Just(1), Just(SHARDS)],
        ) {
            let mut finder = Finder::new(shards);
            for (number, hash) in (0..).zip(&hashes) {
                prop_assert_eq!(finder.find(*hash, |own| own == number), None);
                finder.insert(*hash, number);
            }
            for (number, hash) in (0..).zip(&hashes) {
                prop_assert_eq!(finder.find(*hash, |own| own == number), Some(number));
                prop_assert_eq!(finder.find(!*hash, |own| own == number), None);
            }
        }

        #[test]
        fn a_value_of_any_length_has_one_number_and_reads_back(texts in proptest::collection::vec("[a-c\u{e9}]{1,60}", 1..20)) {
            let mut names = Names::new();
            for (at, text) in texts.iter().enumerate() {
                let key = Key::serial(text)?;
                let (slot, _) = names.slot(key.kind(), key.realm(), false);
                let mut asked = [names.ask(slot, &key)];
                let guessing = at % 2 == 0;
                if guessing {
                    names.guess(&mut [], &mut asked);
                }
                let known = names.find_ident(&Ident::from(&key));
                let (number, new) = names.ident(&asked[0]).expect("room for one more");
                prop_assert_eq!(known.is_none(), new);
                prop_assert!(known.is_none_or(|known| known == number));
                prop_assert_eq!(names.ident_name(number), Ident::from(&key));
                prop_assert_eq!(names.ident_id(number), Ident::from(&key).ci_id());
                let (first, _) = names.ident(&names.ask(slot, &Key::serial(&texts[0])?)).expect("known");
                let order = Ident::from(&key).cmp(&Ident::from(&Key::serial(&texts[0])?));
                prop_assert_eq!(names.compare_idents(number, first), order);
            }
        }
    }
}
