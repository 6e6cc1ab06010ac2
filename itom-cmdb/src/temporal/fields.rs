//! What of an item or a relation is kept per field.

use std::sync::Arc;

use itom_core::{AttrName, CiId, Text, Timestamp};

use super::packed::{Books, Reader, Writer};
use crate::identity::Object;
use crate::view::{Attribute, Ci, CiBody, LifeCycle, LifeState, Relation, RelationId};

/// A field, by number.
pub(super) type Field = u32;

/// The whole thing, or its absence.
pub(super) const WHOLE: Field = 0;
/// When it was seen last, where no group of renewals tells.
pub(super) const LAST_SEEN: Field = 1;
/// In which group of renewals it was: its number and one more, or 0 for none.
pub(super) const GROUP: Field = 2;
const FIRST_SEEN: Field = 3;
const STATE: Field = 4;
pub(super) const KIND: Field = 5;
const NAME: Field = 6;
const KEYS: Field = 7;
const OBJECTS: Field = 8;
const SOURCES: Field = 9;
const LOOSE_END: Field = 10;
const ENDS: Field = 11;
const TARGETS: Field = 12;
const LIFE: Field = 13;
const FINDER: Field = 14;
/// Attributes come after all others, by the number of their name.
const ATTRIBUTES: Field = 16;

/// What is kept in versions.
pub(super) trait Versioned: Clone + Send + Sync + 'static {
    type Id: crate::view::trie::Id;

    /// Whether it is seen again and again.
    const RENEWED: bool;

    fn seen(&self) -> Timestamp;
    fn set_seen(&mut self, at: Timestamp);

    /// What every field is put over.
    fn blank(id: Self::Id) -> Self;

    /// Puts the old value of each field that is different now, but for when it was last seen; of every field, when it is
    /// no more. Times are written against `until`.
    fn put_changed(
        old: &Self,
        new: Option<&Self>,
        books: &mut Books,
        until: Timestamp,
        put: &mut impl FnMut(Field, &[u8]),
    );

    /// Takes an old value back.
    fn take_back(&mut self, field: Field, bytes: &[u8], until: Timestamp, books: &Books) -> Option<()>;
}

type Attributes = std::collections::BTreeMap<AttrName, Attribute>;

fn put_attributes(
    old: &Attributes,
    new: Option<&Attributes>,
    books: &mut Books,
    until: Timestamp,
    put: &mut impl FnMut(Field, &[u8]),
) {
    for (name, was) in old {
        if new.and_then(|new| new.get(name)) != Some(was) {
            let mut bytes = Writer::default();
            bytes.attribute(books, until, was);
            put(ATTRIBUTES + books.attributes.number(name), &bytes.0);
        }
    }
    for name in new.into_iter().flat_map(Attributes::keys).filter(|name| !old.contains_key(*name)) {
        put(ATTRIBUTES + books.attributes.number(name), &[]);
    }
}

fn take_back_attribute(
    attributes: &mut Attributes,
    field: Field,
    bytes: &[u8],
    until: Timestamp,
    books: &Books,
) -> Option<()> {
    let name = books.attributes.name(u64::from(field.checked_sub(ATTRIBUTES)?))?;
    if bytes.is_empty() {
        attributes.remove(name);
    } else {
        let value = Reader(bytes).attribute(books, until)?;
        match attributes.get_mut(name) {
            Some(slot) => *slot = value,
            None => {
                attributes.insert(name.clone(), value);
            }
        }
    }
    Some(())
}

fn numbered(value: u32) -> Vec<u8> {
    let mut bytes = Writer::default();
    bytes.number(u64::from(value));
    bytes.0
}

fn ago(until: Timestamp, at: Timestamp) -> Vec<u8> {
    let mut bytes = Writer::default();
    bytes.signed(until.as_micros().wrapping_sub(at.as_micros()));
    bytes.0
}

fn back(until: Timestamp, bytes: &[u8]) -> Option<Timestamp> {
    Some(Timestamp::from_micros(until.as_micros().wrapping_sub(Reader(bytes).signed()?)))
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut bytes = Writer::default();
    write(&mut bytes);
    bytes.0
}

fn number_in(bytes: &[u8]) -> Option<u64> {
    Reader(bytes).number()
}

impl Versioned for Ci {
    type Id = CiId;
    const RENEWED: bool = true;

    fn seen(&self) -> Timestamp {
        self.last_seen
    }

    fn set_seen(&mut self, at: Timestamp) {
        self.last_seen = at;
    }

    fn blank(id: CiId) -> Self {
        let body = CiBody {
            kind: itom_core::kind::DEVICE,
            name: Text::default(),
            keys: Arc::default(),
            attributes: Arc::default(),
            objects: Arc::default(),
            sources: Arc::default(),
            state: LifeState::Active,
            life: LifeCycle::Active,
            loose_end: false,
        };
        Self { id, first_seen: Timestamp::MIN, last_seen: Timestamp::MIN, body: Arc::new(body) }
    }

    fn put_changed(
        old: &Self,
        new: Option<&Self>,
        books: &mut Books,
        until: Timestamp,
        put: &mut impl FnMut(Field, &[u8]),
    ) {
        if new.is_none() {
            put(LAST_SEEN, &ago(until, old.last_seen));
        }
        if new.map(|new| new.first_seen) != Some(old.first_seen) {
            put(FIRST_SEEN, &ago(until, old.first_seen));
        }
        if new.is_some_and(|new| Arc::ptr_eq(&old.body, &new.body)) {
            return;
        }
        let is = new.map(|new| new.body.as_ref());
        // Taken apart, so that a field that is added is not forgotten here.
        let CiBody { kind, name, keys, attributes, objects, sources, state, life, loose_end } =
            old.body.as_ref();
        if is.map(|is| is.state) != Some(*state) {
            put(STATE, &numbered(books.states.number(state)));
        }
        if is.map(|is| is.life) != Some(*life) {
            put(LIFE, &numbered(books.lives.number(life)));
        }
        if is.map(|is| &is.kind) != Some(kind) {
            put(KIND, &numbered(books.kinds.number(kind)));
        }
        if is.map(|is| &is.name) != Some(name) {
            put(NAME, name.as_bytes());
        }
        if is.map(|is| &is.keys) != Some(keys) {
            put(KEYS, &written(|bytes| bytes.keys(books, keys)));
        }
        if is.map(|is| &is.sources) != Some(sources) {
            put(SOURCES, &written(|bytes| bytes.sources(books, sources)));
        }
        if is.map(|is| is.loose_end) != Some(*loose_end) {
            put(LOOSE_END, &[u8::from(*loose_end)]);
        }
        if is.map(|is| &is.objects) != Some(objects) {
            let mut bytes = Writer::default();
            for object in objects.iter() {
                bytes.number(u64::from(books.sources.number(&object.source)));
                bytes.text(&object.native);
            }
            put(OBJECTS, &bytes.0);
        }
        if is.map(|is| &is.attributes) != Some(attributes) {
            put_attributes(attributes, is.map(|is| is.attributes.as_ref()), books, until, put);
        }
    }

    fn take_back(&mut self, field: Field, bytes: &[u8], until: Timestamp, books: &Books) -> Option<()> {
        if field == FIRST_SEEN {
            self.first_seen = back(until, bytes)?;
            return Some(());
        }
        let body = Arc::make_mut(&mut self.body);
        match field {
            STATE => body.state = *books.states.name(number_in(bytes)?)?,
            LIFE => body.life = *books.lives.name(number_in(bytes)?)?,
            KIND => body.kind = books.kinds.name(number_in(bytes)?)?.clone(),
            NAME => body.name = std::str::from_utf8(bytes).ok()?.into(),
            KEYS => body.keys = Reader(bytes).keys(books)?.into(),
            SOURCES => body.sources = Arc::new(Reader(bytes).sources(books)?),
            LOOSE_END => body.loose_end = bytes != [0],
            OBJECTS => {
                let mut objects = Vec::new();
                let mut reader = Reader(bytes);
                while !reader.0.is_empty() {
                    let source = books.sources.name(reader.number()?)?.clone();
                    objects.push(Object::new(source, reader.text()?));
                }
                body.objects = objects.into();
            }
            _ => take_back_attribute(Arc::make_mut(&mut body.attributes), field, bytes, until, books)?,
        }
        Some(())
    }
}

impl Versioned for Relation {
    type Id = RelationId;
    const RENEWED: bool = true;

    fn seen(&self) -> Timestamp {
        self.last_seen
    }

    fn set_seen(&mut self, at: Timestamp) {
        self.last_seen = at;
    }

    fn blank(_: RelationId) -> Self {
        let nobody = CiId::from_bytes([0; 16]);
        Self {
            kind: itom_core::relation::DEPENDS_ON,
            from: nobody,
            to: nobody,
            attributes: Arc::default(),
            sources: Arc::default(),
            first_seen: Timestamp::MIN,
            last_seen: Timestamp::MIN,
            state: LifeState::Active,
            finder: 0,
        }
    }

    fn put_changed(
        old: &Self,
        new: Option<&Self>,
        books: &mut Books,
        until: Timestamp,
        put: &mut impl FnMut(Field, &[u8]),
    ) {
        let Self { kind, from, to, attributes, sources, first_seen, last_seen, state, finder } = old;
        if new.is_none() {
            // The same id has the same kind and ends.
            let mut bytes = Writer::default();
            bytes.number(u64::from(books.relations.number(kind)));
            bytes.0.extend_from_slice(from.as_bytes());
            bytes.0.extend_from_slice(to.as_bytes());
            put(ENDS, &bytes.0);
            put(LAST_SEEN, &ago(until, *last_seen));
        }
        if new.map(|new| new.first_seen) != Some(*first_seen) {
            put(FIRST_SEEN, &ago(until, *first_seen));
        }
        if new.map(|new| new.state) != Some(*state) {
            put(STATE, &numbered(books.states.number(state)));
        }
        let same = |new: &Self| Arc::ptr_eq(&new.sources, sources) || new.sources == *sources;
        if !new.is_some_and(same) {
            put(SOURCES, &written(|bytes| bytes.sources(books, sources)));
        }
        if new.map_or(0, |new| new.finder) != *finder {
            put(FINDER, &numbered(*finder));
        }
        let same = |new: &Self| Arc::ptr_eq(&new.attributes, attributes) || new.attributes == *attributes;
        if !new.is_some_and(same) {
            put_attributes(attributes, new.map(|new| new.attributes.as_ref()), books, until, put);
        }
    }

    fn take_back(&mut self, field: Field, bytes: &[u8], until: Timestamp, books: &Books) -> Option<()> {
        match field {
            FIRST_SEEN => self.first_seen = back(until, bytes)?,
            STATE => self.state = *books.states.name(number_in(bytes)?)?,
            SOURCES => self.sources = Arc::new(Reader(bytes).sources(books)?),
            FINDER => self.finder = u32::try_from(number_in(bytes)?).ok()?,
            ENDS => {
                let mut reader = Reader(bytes);
                self.kind = books.relations.name(reader.number()?)?.clone();
                let mut ids = ids_in(reader.0);
                (self.from, self.to) = (ids.next()?, ids.next()?);
            }
            _ => take_back_attribute(Arc::make_mut(&mut self.attributes), field, bytes, until, books)?,
        }
        Some(())
    }
}

/// The ends of a relation, from its whole old value.
pub(super) fn ends_in(whole: &[u8]) -> Option<[CiId; 2]> {
    let mut reader = Reader(whole);
    while !reader.0.is_empty() {
        let (field, bytes) = (reader.number()?, reader.bytes()?);
        if field == u64::from(ENDS) {
            let mut reader = Reader(bytes);
            reader.number()?;
            let mut ids = ids_in(reader.0);
            return Some([ids.next()?, ids.next()?]);
        }
    }
    None
}

fn ids_in(bytes: &[u8]) -> impl Iterator<Item = CiId> {
    bytes.as_chunks::<16>().0.iter().map(|id| CiId::from_bytes(*id))
}

/// Where an id led.
impl Versioned for CiId {
    type Id = Self;
    const RENEWED: bool = false;

    fn seen(&self) -> Timestamp {
        Timestamp::MIN
    }

    fn set_seen(&mut self, _: Timestamp) {}

    fn blank(id: Self) -> Self {
        id
    }

    fn put_changed(
        old: &Self,
        _: Option<&Self>,
        _: &mut Books,
        _: Timestamp,
        put: &mut impl FnMut(Field, &[u8]),
    ) {
        put(TARGETS, old.as_bytes());
    }

    fn take_back(&mut self, _: Field, bytes: &[u8], _: Timestamp, _: &Books) -> Option<()> {
        *self = ids_in(bytes).next()?;
        Some(())
    }
}

/// Who claimed a value.
impl Versioned for Arc<[CiId]> {
    type Id = CiId;
    const RENEWED: bool = false;

    fn seen(&self) -> Timestamp {
        Timestamp::MIN
    }

    fn set_seen(&mut self, _: Timestamp) {}

    fn blank(_: CiId) -> Self {
        Self::from([])
    }

    fn put_changed(
        old: &Self,
        _: Option<&Self>,
        _: &mut Books,
        _: Timestamp,
        put: &mut impl FnMut(Field, &[u8]),
    ) {
        put(TARGETS, &old.iter().flat_map(|id| *id.as_bytes()).collect::<Vec<u8>>());
    }

    fn take_back(&mut self, _: Field, bytes: &[u8], _: Timestamp, _: &Books) -> Option<()> {
        *self = ids_in(bytes).collect();
        Some(())
    }
}
