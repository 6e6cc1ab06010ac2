//! A snapshot as bytes: numbers of variable length, each name and id written out once.
//!
//! `magic, format, cover, forgotten until, number of changes, changes, checksum`. A name or id is 0 and itself when it is
//! new, else its place among those written so far, counted from 1. Times are the difference to the one before.

use hashbrown::HashMap;
use itom_core::{
    AttrName, ChangeKind, CiChange, CiId, RelationKind, SourceName, StableHasher, Text, Timestamp, Value,
};

use super::{Cover, Refusal, Snapshot};
use crate::history::{ChangeFeed, Mark};
use crate::store::Cursor;

const MAGIC: &[u8; 8] = b"itomsnap";

/// The format this version writes, and the only one it reads: whatever else is there is made anew.
const FORMAT: u64 = 1;

const SUM: usize = 8;

fn checksum(bytes: &[u8]) -> [u8; SUM] {
    let mut hasher = StableHasher::new();
    hasher.bytes(bytes);
    hasher.finish().to_le_bytes()
}

/// What was written so far.
#[derive(Default)]
struct Writer<'a> {
    out: Vec<u8>,
    /// Only looked up.
    ids: HashMap<CiId, u64>,
    names: [HashMap<&'a str, u64>; TABLES],
}

const TABLES: usize = 4;
const ATTRIBUTES: usize = 0;
const RELATIONS: usize = 1;
const SOURCES: usize = 2;
const TEXTS: usize = 3;

impl<'a> Writer<'a> {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    /// Small numbers of either sign are short.
    fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn id(&mut self, id: CiId) {
        let next = self.ids.len() as u64 + 1;
        let known = *self.ids.entry(id).or_insert(next);
        if known == next {
            self.out.push(0);
            self.out.extend_from_slice(id.as_bytes());
        } else {
            self.number(known);
        }
    }

    fn name(&mut self, table: usize, name: &'a str) {
        let names = &mut self.names[table];
        let next = names.len() as u64 + 1;
        let known = *names.entry(name).or_insert(next);
        if known == next {
            self.out.push(0);
            self.text(name);
        } else {
            self.number(known);
        }
    }

    fn value(&mut self, value: Option<&'a Value>) {
        let Some(value) = value else { return self.out.push(0) };
        match value {
            Value::Unknown => self.out.push(1),
            Value::NotApplicable => self.out.push(2),
            Value::Withheld => self.out.push(3),
            Value::Bool(own) => self.out.push(4 + u8::from(*own)),
            Value::Int(own) => {
                self.out.push(6);
                self.signed(*own);
            }
            Value::Float(own) => {
                self.out.push(7);
                self.out.extend_from_slice(&own.to_bits().to_le_bytes());
            }
            Value::Text(own) => {
                self.out.push(8);
                self.name(TEXTS, own);
            }
            Value::Time(own) => {
                self.out.push(9);
                self.signed(own.as_micros());
            }
            // Lists and maps are seldom; their wire form reads back as they are.
            other => {
                self.out.push(10);
                self.text(&serde_json::to_string(other).unwrap_or_default());
            }
        }
    }

    fn change(&mut self, change: &'a CiChange, before: Timestamp) -> Option<()> {
        self.signed(change.at.as_micros().wrapping_sub(before.as_micros()));
        self.id(change.ci);
        let tag = |kind: u8| kind | u8::from(change.source.is_some()) << 7;
        match &change.change {
            ChangeKind::Appeared => self.out.push(tag(0)),
            ChangeKind::Retired => self.out.push(tag(1)),
            ChangeKind::Returned => self.out.push(tag(2)),
            ChangeKind::Attribute(name) => {
                self.out.push(tag(3));
                self.name(ATTRIBUTES, name.as_str());
                self.value(change.before.as_ref());
                self.value(change.after.as_ref());
            }
            ChangeKind::Related { kind, to } => {
                self.out.push(tag(4));
                self.name(RELATIONS, kind.as_str());
                self.id(*to);
            }
            ChangeKind::Unrelated { kind, to } => {
                self.out.push(tag(5));
                self.name(RELATIONS, kind.as_str());
                self.id(*to);
            }
            ChangeKind::MergedInto { into } => {
                self.out.push(tag(6));
                self.id(*into);
            }
            ChangeKind::SplitFrom { from } => {
                self.out.push(tag(7));
                self.id(*from);
            }
            // A kind that this format has no form for: nothing is kept.
            _ => return None,
        }
        if let Some(source) = &change.source {
            self.name(SOURCES, source.as_str());
        }
        Some(())
    }
}

/// Empty when it holds something that this format has no form for: that reads as damaged.
pub(super) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let Snapshot { cover, feed } = snapshot;
    let mut writer = Writer::default();
    writer.out.extend_from_slice(MAGIC);
    writer.number(FORMAT);
    writer.number(cover.rules);
    writer.number(cover.remembered);
    writer.number(cover.end.position());
    writer.signed(cover.at.as_micros());
    writer.out.push(u8::from(cover.horizon.is_some()));
    if let Some(horizon) = cover.horizon {
        writer.number(horizon.position);
        writer.signed(horizon.at.as_micros());
    }
    writer.number(cover.facts);
    writer.number(cover.digest);
    writer.out.push(u8::from(feed.forgotten_until().is_some()));
    if let Some(until) = feed.forgotten_until() {
        writer.signed(until.as_micros());
    }
    writer.number(feed.len() as u64);
    let mut before = Timestamp::from_micros(0);
    for change in feed.iter() {
        if writer.change(change, before).is_none() {
            return Vec::new();
        }
        before = change.at;
    }
    let sum = checksum(&writer.out);
    writer.out.extend_from_slice(&sum);
    writer.out
}

/// What is left to read.
struct Reader<'a> {
    bytes: &'a [u8],
    ids: Vec<CiId>,
    attributes: Vec<AttrName>,
    relations: Vec<RelationKind>,
    sources: Vec<SourceName>,
    texts: Vec<Text>,
}

type Read<T> = Result<T, &'static str>;

const SHORT: &str = "it ends too early";
const PLACE: &str = "it names what it does not say";

/// What is at a place of a table, or what `new` adds to it.
fn of_table<T: Clone>(place: u64, table: &mut Vec<T>, new: impl FnOnce() -> Read<T>) -> Read<T> {
    match place.checked_sub(1) {
        None => {
            let new = new()?;
            table.push(new.clone());
            Ok(new)
        }
        Some(place) => usize::try_from(place).ok().and_then(|place| table.get(place)).cloned().ok_or(PLACE),
    }
}

impl<'a> Reader<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            ids: Vec::new(),
            attributes: Vec::new(),
            relations: Vec::new(),
            sources: Vec::new(),
            texts: Vec::new(),
        }
    }

    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(SHORT)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| SHORT)
    }

    fn byte(&mut self) -> Read<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Read<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("it has a number that is none")
    }

    fn signed(&mut self) -> Read<i64> {
        self.number().map(|number| (number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn time(&mut self) -> Read<Timestamp> {
        self.signed().map(Timestamp::from_micros)
    }

    fn text(&mut self) -> Read<&'a str> {
        let length = self.number()?;
        let bytes = self.take(usize::try_from(length).map_err(|_| SHORT)?)?;
        std::str::from_utf8(bytes).map_err(|_| "it has a text that is none")
    }

    fn id(&mut self) -> Read<CiId> {
        let place = self.number()?;
        let mut ids = std::mem::take(&mut self.ids);
        let id = of_table(place, &mut ids, || self.array().map(CiId::from_bytes));
        self.ids = ids;
        id
    }

    fn relation(&mut self) -> Read<RelationKind> {
        let place = self.number()?;
        let mut relations = std::mem::take(&mut self.relations);
        let new = || RelationKind::new(self.text()?.to_owned()).map_err(|_| "it has a bad name");
        let relation = of_table(place, &mut relations, new);
        self.relations = relations;
        relation
    }

    fn attribute(&mut self) -> Read<AttrName> {
        let place = self.number()?;
        let mut attributes = std::mem::take(&mut self.attributes);
        let new = || AttrName::new(self.text()?.to_owned()).map_err(|_| "it has a bad name");
        let attribute = of_table(place, &mut attributes, new);
        self.attributes = attributes;
        attribute
    }

    fn source(&mut self) -> Read<SourceName> {
        let place = self.number()?;
        let mut sources = std::mem::take(&mut self.sources);
        let new = || SourceName::new(self.text()?.to_owned()).map_err(|_| "it has a bad name");
        let source = of_table(place, &mut sources, new);
        self.sources = sources;
        source
    }

    fn value(&mut self) -> Read<Option<Value>> {
        Ok(Some(match self.byte()? {
            0 => return Ok(None),
            1 => Value::Unknown,
            2 => Value::NotApplicable,
            3 => Value::Withheld,
            own @ (4 | 5) => Value::Bool(own == 5),
            6 => Value::Int(self.signed()?),
            7 => Value::Float(f64::from_bits(u64::from_le_bytes(self.array()?))),
            8 => {
                let place = self.number()?;
                let mut texts = std::mem::take(&mut self.texts);
                let text = of_table(place, &mut texts, || self.text().map(Text::from));
                self.texts = texts;
                Value::Text(text?)
            }
            9 => Value::Time(self.time()?),
            10 => serde_json::from_str(self.text()?).map_err(|_| "it has a value that is none")?,
            _ => return Err("it has a kind of value that there is not"),
        }))
    }

    fn change(&mut self, before: Timestamp) -> Read<CiChange> {
        let at = Timestamp::from_micros(before.as_micros().wrapping_add(self.signed()?));
        let ci = self.id()?;
        let (mut was, mut is) = (None, None);
        let tag = self.byte()?;
        let change = match tag & 0x7f {
            0 => ChangeKind::Appeared,
            1 => ChangeKind::Retired,
            2 => ChangeKind::Returned,
            3 => {
                let name = self.attribute()?;
                (was, is) = (self.value()?, self.value()?);
                ChangeKind::Attribute(name)
            }
            4 => ChangeKind::Related { kind: self.relation()?, to: self.id()? },
            5 => ChangeKind::Unrelated { kind: self.relation()?, to: self.id()? },
            6 => ChangeKind::MergedInto { into: self.id()? },
            7 => ChangeKind::SplitFrom { from: self.id()? },
            _ => return Err("it has a kind of change that there is not"),
        };
        let source = if tag & 0x80 == 0 { None } else { Some(self.source()?) };
        Ok(CiChange { at, ci, change, before: was, after: is, source })
    }

    fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("it has a flag that is none"),
        }
    }

    fn snapshot(&mut self) -> Read<Snapshot> {
        let (rules, remembered) = (self.number()?, self.number()?);
        let (end, at) = (Cursor::new(self.number()?), self.time()?);
        let horizon = match self.flag()? {
            true => Some(Mark::new(self.number()?, self.time()?)),
            false => None,
        };
        let (facts, digest) = (self.number()?, self.number()?);
        let forgotten = if self.flag()? { Some(self.time()?) } else { None };
        let count = self.number()?;
        // The shortest change is three bytes: what is claimed takes memory by what is there.
        if count > remembered || count > (self.bytes.len() / 3) as u64 {
            return Err(SHORT);
        }
        let mut changes = Vec::with_capacity(count as usize);
        let mut before = Timestamp::from_micros(0);
        for _ in 0..count {
            let change = self.change(before)?;
            if change.at < before && !changes.is_empty() {
                return Err("its times go back");
            }
            before = change.at;
            changes.push(change);
        }
        if !self.bytes.is_empty() {
            return Err("it goes on after its end");
        }
        let cover = Cover { rules, remembered, end, at, horizon, facts, digest };
        Ok(Snapshot::new(cover, ChangeFeed::of(changes, forgotten)))
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Snapshot, Refusal> {
    let damaged = |why| Refusal::Damaged { why };
    let (body, sum) = bytes
        .len()
        .checked_sub(SUM)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or_else(|| damaged(SHORT))?;
    let mut reader = Reader::new(body.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no snapshot"))?);
    if checksum(body) != sum {
        return Err(damaged("its checksum does not fit"));
    }
    let format = reader.number().map_err(damaged)?;
    if format != FORMAT {
        return Err(Refusal::OtherFormat { found: format, known: FORMAT });
    }
    reader.snapshot().map_err(damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Unknown),
            Just(Value::NotApplicable),
            Just(Value::Withheld),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            ".{0,9}".prop_map(|text| Value::Text(text.into())),
            any::<i64>().prop_map(|micros| Value::Time(Timestamp::from_micros(micros))),
        ];
        let many = prop::collection::vec(leaf.clone(), 0..4);
        let named = prop::collection::btree_map("[$a-c]{1,2}".prop_map(Text::from), leaf.clone(), 0..4);
        prop_oneof![6 => leaf, 1 => many.prop_map(Value::List), 1 => named.prop_map(Value::Map)]
    }

    fn change() -> impl Strategy<Value = (i64, CiChange)> {
        let id = || (0..6_u8).prop_map(|id| CiId::from_bytes([id; 16]));
        let kind = prop_oneof![Just(itom_core::relation::RUNS_ON), Just(itom_core::relation::CONTAINS)];
        let what = (0..8_u8, kind, id(), "[a-c]{1,3}").prop_map(|(what, kind, to, name)| match what {
            0 => ChangeKind::Appeared,
            1 => ChangeKind::Retired,
            2 => ChangeKind::Returned,
            3 => ChangeKind::Attribute(AttrName::new(name).expect("a name")),
            4 => ChangeKind::Related { kind, to },
            5 => ChangeKind::Unrelated { kind, to },
            6 => ChangeKind::MergedInto { into: to },
            _ => ChangeKind::SplitFrom { from: to },
        });
        let values = (prop::option::of(value()), prop::option::of(value()));
        let source = prop::option::of("[a-c]{1,3}".prop_map(|name| SourceName::new(name).expect("a name")));
        let gap = prop_oneof![4 => Just(0), 2 => 0..1_000_000_i64, 1 => 0..i64::MAX / 64];
        (gap, id(), what, values, source).prop_map(|(gap, ci, change, (before, after), source)| {
            let is_value = matches!(change, ChangeKind::Attribute(_));
            let (before, after) = (before.filter(|_| is_value), after.filter(|_| is_value));
            (gap, CiChange { at: Timestamp::EPOCH, ci, change, before, after, source })
        })
    }

    fn snapshot() -> impl Strategy<Value = Snapshot> {
        let mark = || (any::<u64>(), any::<i64>());
        let cover = (any::<(u64, u64, u64)>(), mark(), prop::option::of(mark()));
        let changes = prop::collection::vec(change(), 0..30);
        (cover, any::<i64>(), prop::option::of(any::<i64>()), changes).prop_map(
            |((numbers, (end, at), horizon), first, forgotten, changes)| {
                let mut micros = first.min(i64::MAX / 2);
                let time = Timestamp::from_micros;
                let changes: Vec<CiChange> = changes
                    .into_iter()
                    .map(|(gap, change)| {
                        micros += gap;
                        CiChange { at: time(micros), ..change }
                    })
                    .collect();
                let cover = Cover {
                    rules: numbers.0,
                    remembered: changes.len() as u64,
                    end: Cursor::new(end),
                    at: time(at),
                    horizon: horizon.map(|(position, at)| Mark::new(position, time(at))),
                    facts: numbers.1,
                    digest: numbers.2,
                };
                Snapshot::new(cover, ChangeFeed::of(changes, forgotten.map(time)))
            },
        )
    }

    /// With the checksum that fits what it is now.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - SUM);
        let sum = checksum(&bytes);
        bytes.extend(sum);
        bytes
    }

    proptest! {
        #[test]
        fn l10_what_is_written_is_read_back(snapshot in snapshot()) {
            let bytes = encode(&snapshot);
            let read = decode(&bytes).expect("a snapshot");
            prop_assert_eq!(read.cover, snapshot.cover);
            // As text: a number that is none equals nothing, itself included.
            let all = |feed: &ChangeFeed| format!("{:?}", feed.iter().collect::<Vec<_>>());
            prop_assert_eq!(all(&read.feed), all(&snapshot.feed));
            prop_assert_eq!(read.feed.forgotten_until(), snapshot.feed.forgotten_until());
            prop_assert_eq!(encode(&read), bytes);
        }

        /// Whoever can make a checksum can say anything, but not break anything.
        #[test]
        fn l10_any_bytes_under_a_checksum(
            snapshot in snapshot(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..9),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = encode(&snapshot);
            let body = bytes.len() - SUM;
            for (index, byte) in flips {
                bytes[MAGIC.len() + index.index(body - MAGIC.len())] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(MAGIC.len() + SUM + cut.index(body - MAGIC.len()));
            }
            if let Ok(read) = decode(&sealed(bytes)) {
                prop_assert!(read.feed.len() as u64 <= read.cover.remembered);
                prop_assert!(decode(&encode(&read)).is_ok());
            }
        }
    }

    /// What an earlier version of this format wrote is read by a later one.
    #[test]
    fn the_format_is_written_as_ever() {
        let id = |id: u8| CiId::from_bytes([id; 16]);
        let at = Timestamp::from_secs(1_700_000_000);
        let told = |ci, change| CiChange { at, ci, change, before: None, after: None, source: None };
        let named = CiChange {
            before: Some(Value::Int(-1)),
            after: Some(Value::Text("b".into())),
            source: Some(SourceName::literal("s")),
            ..told(id(1), ChangeKind::Attribute(AttrName::literal("a")))
        };
        let merged = told(id(2), ChangeKind::MergedInto { into: id(1) });
        let cover = Cover {
            rules: 300,
            remembered: 9,
            end: Cursor::new(5),
            at,
            horizon: Some(Mark::new(4, at)),
            facts: 5,
            digest: 7,
        };
        let bytes = encode(&Snapshot::new(cover, ChangeFeed::of(vec![named, merged], Some(at))));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "69746f6d736e617001ac0209058080f2818389850601048080f281838985060507018080f281\
            83898506028080f2818389850600010101010101010101010101010101018300016106010800016200017300\
            00020202020202020202020202020202020601ec9ddf71f5ee8f10";
        assert_eq!(hex, expected);
    }
}
