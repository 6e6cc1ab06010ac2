//! What of an item or a relation is kept per field.

use std::sync::Arc;

use itom_core::{AttrName, CiId, Timestamp};

use super::packed::{Books, Reader, Writer};
use crate::identity::Object;
use crate::view::{Attribute, Ci, Relation, RelationId};

/// A field, by number.
pub(super) type Field = u32;

/// The whole thing, or its absence.
pub(super) const WHOLE: Field = 0;
/// When it was seen last, where no group of renewals tells.
pub(super) const LAST_SEEN: Field = 1;
const FIRST_SEEN: Field = 2;
const STATE: Field = 3;
const KIND: Field = 4;
const NAME: Field = 5;
const KEYS: Field = 6;
const OBJECTS: Field = 7;
const SOURCES: Field = 8;
/// Attributes come after all others, by the number of their name.
const ATTRIBUTES: Field = 16;

/// What is kept in versions.
pub(super) trait Versioned: Clone {
    type Id: Copy + Ord + crate::view::trie::Id;

    fn seen(&self) -> Timestamp;
    fn set_seen(&mut self, at: Timestamp);

    /// Puts the old value of each field that is different, but for when it was last seen. `false`: the fields do not say
    /// everything, the whole must be kept.
    fn put_changed(
        old: &Self,
        new: &Self,
        books: &mut Books,
        until: Timestamp,
        put: &mut impl FnMut(Field, &[u8]),
    ) -> bool;

    /// Takes an old value back.
    fn take_back(&mut self, field: Field, bytes: &[u8], until: Timestamp, books: &Books) -> Option<()>;
}

fn put_attributes(
    old: &std::collections::BTreeMap<AttrName, Attribute>,
    new: &std::collections::BTreeMap<AttrName, Attribute>,
    books: &mut Books,
    until: Timestamp,
    put: &mut impl FnMut(Field, &[u8]),
) {
    for (name, was) in old {
        if new.get(name) != Some(was) {
            let mut bytes = Writer::default();
            bytes.attribute(books, until, was);
            put(ATTRIBUTES + books.attributes.number(name), &bytes.0);
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        put(ATTRIBUTES + books.attributes.number(name), &[]);
    }
}

fn take_back_attribute(
    attributes: &mut std::collections::BTreeMap<AttrName, Attribute>,
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

impl Versioned for Ci {
    type Id = CiId;

    fn seen(&self) -> Timestamp {
        self.last_seen
    }

    fn set_seen(&mut self, at: Timestamp) {
        self.last_seen = at;
    }

    fn put_changed(
        old: &Self,
        new: &Self,
        books: &mut Books,
        until: Timestamp,
        put: &mut impl FnMut(Field, &[u8]),
    ) -> bool {
        if old.first_seen != new.first_seen {
            let mut bytes = Writer::default();
            bytes.signed(until.as_micros().wrapping_sub(old.first_seen.as_micros()));
            put(FIRST_SEEN, &bytes.0);
        }
        if Arc::ptr_eq(&old.body, &new.body) {
            return true;
        }
        let (was, is) = (old.body.as_ref(), new.body.as_ref());
        let mut rebuilt = is.clone();
        if was.state != is.state {
            put(STATE, &numbered(books.states.number(&was.state)));
            rebuilt.state = was.state;
        }
        if was.kind != is.kind {
            put(KIND, &numbered(books.kinds.number(&was.kind)));
            rebuilt.kind = was.kind.clone();
        }
        if was.name != is.name {
            put(NAME, was.name.as_bytes());
            rebuilt.name = was.name.clone();
        }
        if was.keys != is.keys {
            put(KEYS, &numbered(books.keys.number(&Arc::new(was.keys.clone()))));
            rebuilt.keys.clone_from(&was.keys);
        }
        if was.sources != is.sources {
            put(SOURCES, &numbered(books.source_sets.number(&Arc::new(was.sources.clone()))));
            rebuilt.sources.clone_from(&was.sources);
        }
        if was.objects != is.objects {
            let mut bytes = Writer::default();
            for object in &was.objects {
                bytes.number(u64::from(books.sources.number(&object.source)));
                bytes.text(&object.native);
            }
            put(OBJECTS, &bytes.0);
            rebuilt.objects.clone_from(&was.objects);
        }
        if was.attributes != is.attributes {
            put_attributes(&was.attributes, &is.attributes, books, until, put);
            rebuilt.attributes.clone_from(&was.attributes);
        }
        rebuilt == *was
    }

    fn take_back(&mut self, field: Field, bytes: &[u8], until: Timestamp, books: &Books) -> Option<()> {
        let mut reader = Reader(bytes);
        if field == FIRST_SEEN {
            self.first_seen = Timestamp::from_micros(until.as_micros().wrapping_sub(reader.signed()?));
            return Some(());
        }
        let body = Arc::make_mut(&mut self.body);
        match field {
            STATE => body.state = *books.states.name(reader.number()?)?,
            KIND => body.kind = books.kinds.name(reader.number()?)?.clone(),
            NAME => body.name = std::str::from_utf8(bytes).ok()?.into(),
            KEYS => body.keys.clone_from(books.keys.name(reader.number()?)?),
            SOURCES => body.sources.clone_from(books.source_sets.name(reader.number()?)?),
            OBJECTS => {
                body.objects.clear();
                while !reader.0.is_empty() {
                    let source = books.sources.name(reader.number()?)?.clone();
                    body.objects.push(Object::new(source, reader.text()?));
                }
            }
            _ => take_back_attribute(&mut body.attributes, field, bytes, until, books)?,
        }
        Some(())
    }
}

impl Versioned for Relation {
    type Id = RelationId;

    fn seen(&self) -> Timestamp {
        self.last_seen
    }

    fn set_seen(&mut self, at: Timestamp) {
        self.last_seen = at;
    }

    fn put_changed(
        old: &Self,
        new: &Self,
        books: &mut Books,
        until: Timestamp,
        put: &mut impl FnMut(Field, &[u8]),
    ) -> bool {
        let mut rebuilt = new.clone();
        rebuilt.last_seen = old.last_seen;
        if old.first_seen != new.first_seen {
            let mut bytes = Writer::default();
            bytes.signed(until.as_micros().wrapping_sub(old.first_seen.as_micros()));
            put(FIRST_SEEN, &bytes.0);
            rebuilt.first_seen = old.first_seen;
        }
        if old.state != new.state {
            put(STATE, &numbered(books.states.number(&old.state)));
            rebuilt.state = old.state;
        }
        if old.sources != new.sources {
            put(SOURCES, &numbered(books.source_sets.number(&old.sources)));
            rebuilt.sources = Arc::clone(&old.sources);
        }
        if old.attributes != new.attributes {
            put_attributes(&old.attributes, &new.attributes, books, until, put);
            rebuilt.attributes = Arc::clone(&old.attributes);
        }
        rebuilt == *old
    }

    fn take_back(&mut self, field: Field, bytes: &[u8], until: Timestamp, books: &Books) -> Option<()> {
        let mut reader = Reader(bytes);
        match field {
            FIRST_SEEN => {
                self.first_seen = Timestamp::from_micros(until.as_micros().wrapping_sub(reader.signed()?));
            }
            STATE => self.state = *books.states.name(reader.number()?)?,
            SOURCES => self.sources = Arc::clone(books.source_sets.name(reader.number()?)?),
            _ => take_back_attribute(Arc::make_mut(&mut self.attributes), field, bytes, until, books)?,
        }
        Some(())
    }
}
