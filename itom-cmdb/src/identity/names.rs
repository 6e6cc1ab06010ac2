//! Names as small numbers. A number says when a name came first, so no order of numbers may reach an outcome: whatever
//! is compared is compared by content.

use std::cmp::Ordering;
use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use itom_core::{CiKind, Key, KeyKind, Realm, SourceName, Text};

use super::{Ident, Object, spelling};

/// Numbers share their word with two bits of strength.
pub(crate) const MOST: u32 = 1 << 30;

const SHARDS: usize = 64;

/// Finds numbers by content. Split by hash, so that growing moves a small part at a time; looked up only, never walked.
#[derive(Debug, Clone)]
struct Finder {
    shards: Vec<HashTable<(u32, u32)>>,
}

fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Finder {
    fn new(shards: usize) -> Self {
        Self { shards: vec![HashTable::new(); shards] }
    }

    fn shard(&self, hash: u32) -> usize {
        (hash >> 26) as usize % self.shards.len()
    }

    fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let table = self.shards.get(self.shard(hash))?;
        table.find(spread(hash), |(own, number)| *own == hash && is(*number)).map(|(_, number)| *number)
    }

    fn insert(&mut self, hash: u32, number: u32) {
        let shard = self.shard(hash);
        if let Some(table) = self.shards.get_mut(shard) {
            table.insert_unique(spread(hash), (hash, number), |(own, _)| spread(*own));
        }
    }
}

/// A kind of key in a realm.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) kind: KeyKind,
    pub(crate) realm: Realm,
}

#[derive(Debug, Clone)]
pub(crate) struct Names {
    hasher: DefaultHashBuilder,
    sources: Vec<SourceName>,
    source_numbers: HashMap<SourceName, u32>,
    kinds: Vec<CiKind>,
    kind_numbers: HashMap<CiKind, u32>,
    slots: Vec<Slot>,
    slot_finder: Finder,
    objects: Vec<(u32, Text)>,
    object_finder: Finder,
    idents: Vec<(u32, Text)>,
    ident_finder: Finder,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            sources: Vec::new(),
            source_numbers: HashMap::new(),
            kinds: Vec::new(),
            kind_numbers: HashMap::new(),
            slots: Vec::new(),
            slot_finder: Finder::new(1),
            objects: Vec::new(),
            object_finder: Finder::new(SHARDS),
            idents: Vec::new(),
            ident_finder: Finder::new(SHARDS),
        }
    }

    fn hash(&self, space: u32, text: &str) -> u32 {
        (self.hasher.hash_one((space, text)) >> 32) as u32
    }

    pub(crate) fn source(&mut self, name: &SourceName) -> u32 {
        if let Some(number) = self.source_numbers.get(name) {
            return *number;
        }
        let number = self.sources.len() as u32;
        self.sources.push(name.clone());
        self.source_numbers.insert(name.clone(), number);
        number
    }

    pub(crate) fn kind(&mut self, name: &CiKind) -> u32 {
        if let Some(number) = self.kind_numbers.get(name) {
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

    fn find_slot(&self, kind: &KeyKind, realm: &Realm) -> Option<u32> {
        self.slot_finder.find(self.slot_hash(kind, realm), |number| {
            self.slots.get(number as usize).is_some_and(|slot| slot.kind == *kind && slot.realm == *realm)
        })
    }

    /// The number of an object; `None` when there are as many as numbers.
    pub(crate) fn object(&mut self, source: u32, native: &Text) -> Option<u32> {
        let hash = self.hash(source, native);
        let is = |number: u32| {
            self.objects.get(number as usize).is_some_and(|own| own.0 == source && own.1 == *native)
        };
        if let Some(number) = self.object_finder.find(hash, is) {
            return Some(number);
        }
        let number = u32::try_from(self.objects.len()).ok().filter(|number| *number < MOST)?;
        self.objects.push((source, native.clone()));
        self.object_finder.insert(hash, number);
        Some(number)
    }

    /// The number of what a key says; `None` when there are as many as numbers. The second says whether it is new.
    pub(crate) fn ident(&mut self, key: &Key) -> Option<(u32, bool)> {
        let slot = match self.find_slot(key.kind(), key.realm()) {
            Some(slot) => slot,
            None => {
                let slot = self.slots.len() as u32;
                self.slots.push(Slot { kind: key.kind().clone(), realm: key.realm().clone() });
                self.slot_finder.insert(self.slot_hash(key.kind(), key.realm()), slot);
                slot
            }
        };
        let mut room = spelling::EMPTY;
        let value = spelling::one(key.kind(), key.value(), &mut room);
        let hash = self.hash(slot, value);
        let is = |number: u32| {
            self.idents.get(number as usize).is_some_and(|own| own.0 == slot && own.1.as_str() == value)
        };
        if let Some(number) = self.ident_finder.find(hash, is) {
            return Some((number, false));
        }
        let number = u32::try_from(self.idents.len()).ok().filter(|number| *number < MOST)?;
        let text = if value == key.value() { key.text().clone() } else { Text::from(value) };
        self.idents.push((slot, text));
        self.ident_finder.insert(hash, number);
        Some((number, true))
    }

    pub(crate) fn find_object(&self, source: &SourceName, native: &Text) -> Option<u32> {
        let source = *self.source_numbers.get(source)?;
        self.object_finder.find(self.hash(source, native), |number| {
            self.objects.get(number as usize).is_some_and(|own| own.0 == source && own.1 == *native)
        })
    }

    pub(crate) fn find_ident(&self, ident: &Ident) -> Option<u32> {
        let slot = self.find_slot(&ident.kind, &ident.realm)?;
        let mut room = spelling::EMPTY;
        let value = spelling::one(&ident.kind, &ident.value, &mut room);
        self.ident_finder.find(self.hash(slot, value), |number| {
            self.idents.get(number as usize).is_some_and(|own| own.0 == slot && own.1.as_str() == value)
        })
    }

    pub(crate) fn source_of(&self, number: u32) -> &SourceName {
        &self.sources[number as usize]
    }

    pub(crate) fn kind_of(&self, number: u32) -> &CiKind {
        &self.kinds[number as usize]
    }

    pub(crate) fn slot_of(&self, ident: u32) -> u32 {
        self.idents[ident as usize].0
    }

    pub(crate) fn object_name(&self, number: u32) -> Object {
        let (source, native) = &self.objects[number as usize];
        Object { source: self.source_of(*source).clone(), native: native.clone() }
    }

    pub(crate) fn ident_name(&self, number: u32) -> Ident {
        let (slot, value) = &self.idents[number as usize];
        let slot = &self.slots[*slot as usize];
        Ident { kind: slot.kind.clone(), realm: slot.realm.clone(), value: value.clone() }
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
        let slots = if one.0 == other.0 {
            Ordering::Equal
        } else {
            let (one, other) = (&self.slots[one.0 as usize], &self.slots[other.0 as usize]);
            one.kind.cmp(&other.kind).then_with(|| one.realm.cmp(&other.realm))
        };
        slots.then_with(|| one.1.cmp(&other.1))
    }
}
