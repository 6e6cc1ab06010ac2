//! The resolver: objects and what they claim in, items out, at the cost of what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use itom_core::{CiKind, CiObservation, Key, KeyKind, SourceName, Strength, Text, Timestamp, key_kind};

use super::claimants::{Claim, Claimants, Claimed, Heat, Sort};
use super::names::{Asked, AskedObject, Names};
use super::rules::{JunkLooks, first_octet};
use super::worth::{Base, Use, Value, limits};
use super::{IdentityRules, Object, Share};
use crate::fact::FactId;

/// An object claims no more values than this: the strongest, then the smallest ones. A description with more is no
/// description of one thing.
pub(super) const MOST_KEYS: usize = 1024;

/// So many objects are looked up together, so that the memory is waited for once for all of them.
pub(super) const AHEAD: usize = 32;

/// What a source says of one of its objects now.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// What it is.
    pub kind: &'a CiKind,
    /// What identifies it.
    pub keys: &'a BTreeSet<Key>,
    /// What it has through its parts, as far as it [counts](IdentityRules::children_of).
    pub inherited: &'a BTreeSet<Key>,
    /// When the source saw it first.
    pub first_seen: Timestamp,
    /// Whether the source holds that it is there.
    pub live: bool,
    /// The fact that says so, for proofs.
    pub statement: FactId,
}

impl<'a> Described<'a> {
    /// What an observation says, as the word of this fact. Nothing is inherited.
    #[must_use]
    pub const fn new(ci: &'a CiObservation, first_seen: Timestamp, statement: FactId) -> Self {
        const NONE: &BTreeSet<Key> = &BTreeSet::new();
        Self { kind: &ci.kind, keys: &ci.keys, inherited: NONE, first_seen, live: true, statement }
    }
}

/// What is known of an object, in one line of the cache: whoever looks at one needs all of it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) first_seen: Timestamp,
    pub(crate) statement: FactId,
    pub(crate) source: u32,
    pub(crate) kind: u32,
    pub(super) at: usize,
    pub(super) len: u32,
    /// The item that it is in: the smallest number there; and the next in the ring of its objects.
    pub(super) item: u32,
    pub(super) next: u32,
    /// The last look at it.
    pub(super) stamp: u32,
    /// Described at all: a statement can name what is not.
    pub(crate) known: bool,
    pub(crate) live: bool,
    /// Somebody said something about its sameness.
    pub(super) worded: bool,
}

/// What a source says of an object: the source, its own id of the object, and the description.
pub(crate) type Said<'a> = (&'a SourceName, &'a Text, Described<'a>);

/// How values of a kind of key in a realm are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotRule {
    pub(crate) single: bool,
    pub(crate) rank: u8,
    pub(crate) overlap: Option<Share>,
    pub(crate) apart_below: Option<Share>,
    pub(crate) decisive: bool,
    /// So many must be common, and who has fewer says nothing.
    pub(crate) at_least: usize,
    /// Values that things have through their parts.
    pub(crate) inherited: bool,
    pub(super) mac: bool,
    pub(super) at_most: Option<Strength>,
    /// The value that the realm rests on.
    pub(crate) base: Option<u32>,
}

/// A word on the sameness of an object and another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word {
    pub(crate) other: u32,
    pub(crate) same: bool,
    /// Who says so.
    pub(crate) fact: FactId,
}

type Words = BTreeMap<u32, Vec<Word>>;

/// Decides which objects are one item. A value of its own: the facade uses one, and so can whoever has another store.
///
/// Objects are put in in any order and as often as one likes; [`resolve`](Self::resolve) looks at what changed since the
/// last time and at whatever that touches. The outcome is that of [`resolve_all`](Self::resolve_all), which looks at
/// everything: a function of what was put in last for each object, and of the rules.
///
/// ```
/// use std::collections::BTreeSet;
/// use itom_cmdb::fact::FactId;
/// use itom_cmdb::identity::{Described, IdentityRules, Object, Resolver};
/// use itom_core::{Key, SourceName, Timestamp, kind};
///
/// let mut resolver = Resolver::new(IdentityRules::default());
/// let keys = BTreeSet::from([Key::serial("SN-1")?]);
/// for source in ["agent", "cloud"] {
///     let object = Object::new(SourceName::new(source)?, "host-1");
///     resolver.put(&object, Described {
///         kind: &kind::HOST, keys: &keys, inherited: &BTreeSet::new(), first_seen: Timestamp::EPOCH,
///         live: true, statement: FactId::from_bytes([0; 16]),
///     });
/// }
/// resolver.resolve();
/// assert_eq!(resolver.items().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Resolver {
    pub(super) rules: IdentityRules,
    junk: JunkLooks,
    pub(crate) names: Names,
    pub(super) rows: Vec<Row>,
    pub(super) claims: Vec<Claim>,
    wasted: usize,
    pub(super) values: Vec<Value>,
    slots: Vec<SlotRule>,
    /// Values that realms rest on; looked up only.
    pub(super) bases: HashMap<u32, Base>,
    /// How many of them are claimed by several items.
    pub(super) splits: usize,
    unique: Vec<bool>,
    /// The sources that are somebody's locks.
    locks: Vec<bool>,
    /// The family of each source, and the numbers of families; looked up only.
    pub(super) families: Vec<u32>,
    family_numbers: HashMap<Box<str>, u32>,
    /// Which sort each kind of item is, the numbers of sorts (looked up only), and how many of one are not too many.
    pub(super) sorts: Vec<u32>,
    sort_numbers: HashMap<Box<str>, u32>,
    pub(super) limits: Vec<usize>,
    /// Which kinds of key each kind of item inherits.
    pub(super) inherits: Vec<Option<Arc<[KeyKind]>>>,
    /// Whether a kind of key is a mere circumstance for a kind of item; looked up only.
    circumstances: HashMap<(u32, u32), bool>,
    words: Words,
    pub(super) seeds: Vec<u32>,
    /// The number of the last look at anything.
    pub(super) stamp: u32,
    fresh: Vec<Claim>,
}

impl Resolver {
    /// An empty one.
    #[must_use]
    pub fn new(rules: IdentityRules) -> Self {
        Self {
            junk: rules.junk_looks(),
            rules,
            names: Names::new(),
            rows: Vec::new(),
            claims: Vec::new(),
            wasted: 0,
            values: Vec::new(),
            slots: Vec::new(),
            bases: HashMap::new(),
            splits: 0,
            unique: Vec::new(),
            locks: Vec::new(),
            families: Vec::new(),
            family_numbers: HashMap::new(),
            sorts: Vec::new(),
            sort_numbers: HashMap::new(),
            limits: Vec::new(),
            inherits: Vec::new(),
            circumstances: HashMap::new(),
            words: Words::new(),
            seeds: Vec::new(),
            stamp: 0,
            fresh: Vec::new(),
        }
    }

    /// Its rules.
    #[must_use]
    pub const fn rules(&self) -> &IdentityRules {
        &self.rules
    }

    /// How many objects were described.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none was.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes in what a source says of an object now. What is the same as before costs a look-up. Of many objects,
    /// [`put_all`](Self::put_all) costs less.
    pub fn put(&mut self, object: &Object, said: Described<'_>) {
        self.put_all([(&object.source, &object.native, said)]);
    }

    /// Takes in what sources say of objects now, each as [`put`](Self::put) does: the source, its own id of the object,
    /// the description.
    pub fn put_all<'a>(&mut self, said: impl IntoIterator<Item = (&'a SourceName, &'a Text, Described<'a>)>) {
        self.describe(said, &mut Vec::new(), |_| {});
    }

    /// As [`put_all`](Self::put_all); adds the values whose claimants may be others now, and tells the number of each
    /// object. `None`: there are more objects than numbers.
    pub(crate) fn describe<'a>(
        &mut self,
        said: impl IntoIterator<Item = Said<'a>>,
        touched: &mut Vec<u32>,
        mut numbered: impl FnMut(Option<u32>),
    ) {
        let mut said = said.into_iter();
        let room = said.size_hint().0.clamp(1, AHEAD);
        let mut heads: Vec<(u32, Described<'a>, usize)> = Vec::with_capacity(room);
        let mut objects: Vec<AskedObject<'a>> = Vec::with_capacity(room);
        let mut keys: Vec<Asked<'a>> = Vec::with_capacity(room * 4);
        loop {
            heads.clear();
            objects.clear();
            keys.clear();
            for (source, native, said) in said.by_ref().take(AHEAD) {
                let (source, kind) = (self.source(source), self.kind(said.kind));
                objects.push(self.names.ask_object(source, native));
                self.ask(said.keys, &mut keys);
                self.ask_inherited(kind, &said, &mut keys);
                heads.push((kind, said, keys.len()));
            }
            if heads.is_empty() {
                return;
            }
            self.names.guess(&mut objects, &mut keys);
            self.peek(&objects, &keys);
            let mut from = 0;
            for ((kind, said, to), object) in heads.iter().zip(&objects) {
                numbered(self.describe_one(object, *kind, said, &keys[from..*to], touched));
                from = *to;
            }
        }
    }

    /// Reads what is needed next, of all of them before any is waited for.
    fn peek(&self, objects: &[AskedObject<'_>], keys: &[Asked<'_>]) {
        let mut read = 0_u32;
        for asked in objects {
            if let Some(row) = self.rows.get(asked.hint as usize) {
                let claim = self.claims.get(row.at).map_or(0, |claim| claim.number());
                read ^= claim ^ self.names.peek_object(asked.hint);
            }
        }
        for asked in keys {
            if let Some(value) = self.values.get(asked.hint as usize) {
                read ^= value.stamp ^ self.names.peek_ident(asked.hint);
            }
        }
        std::hint::black_box(read);
    }

    fn describe_one(
        &mut self,
        asked: &AskedObject<'_>,
        kind: u32,
        said: &Described<'_>,
        keys: &[Asked<'_>],
        touched: &mut Vec<u32>,
    ) -> Option<u32> {
        let source = asked.source;
        let object = self.object(asked)?;
        let sort = self.sort_by(kind, source);
        let mut fresh = std::mem::take(&mut self.fresh);
        self.claims_of(kind, keys, &mut fresh);
        let old = self.row(object).clone();
        let old_sort = self.sort_of(&old);
        let same_life = old.known && old.live == said.live && old_sort == sort;
        let same_claims = old.known && self.own_claims(object) == fresh.as_slice();
        if same_claims && same_life && old.kind == kind && old.first_seen == said.first_seen {
            self.rows[object as usize].statement = said.statement;
            self.fresh = fresh;
            return Some(object);
        }
        self.seeds.push(object);
        let before: Vec<Claim> =
            if same_claims && same_life { Vec::new() } else { self.own_claims(object).to_vec() };
        let (at, len) = if same_claims { (old.at, old.len) } else { self.store(&old, &fresh) };
        self.rows[object as usize] = Row {
            first_seen: said.first_seen,
            statement: said.statement,
            source,
            kind,
            at,
            len,
            known: true,
            live: said.live,
            ..old
        };
        if !(same_claims && same_life) {
            self.reclaim(object, (&before, old_sort, self.is_there(&old)), &fresh, touched);
        }
        self.fresh = fresh;
        Some(object)
    }

    /// The number of what a source names, described or not.
    pub(crate) fn number(&mut self, source: &SourceName, native: &Text) -> Option<u32> {
        let source = self.source(source);
        self.object(&self.names.ask_object(source, native))
    }

    /// The number of a value, claimed or not.
    pub(crate) fn ident(&mut self, key: &Key) -> Option<u32> {
        let slot = self.slot_for(key, false);
        self.ident_of(&self.names.ask(slot, key))
    }

    fn ident_of(&mut self, asked: &Asked<'_>) -> Option<u32> {
        let (ident, new) = self.names.ident(asked)?;
        if new {
            self.add_ident(ident, asked);
        }
        Some(ident)
    }

    fn source(&mut self, name: &SourceName) -> u32 {
        let number = self.names.source(name);
        if number as usize == self.unique.len() {
            self.unique.push(self.rules.is_unique(name));
            self.locks.push(crate::lock::is_lock(name));
            let next = self.family_numbers.len() as u32;
            let family = super::rules::family(name);
            self.families.push(*self.family_numbers.entry_ref(family).or_insert(next));
        }
        number
    }

    fn kind(&mut self, name: &CiKind) -> u32 {
        let number = self.names.kind(name);
        if number as usize == self.sorts.len() {
            let (sort, limit) = self.rules.counted_as(name);
            let next = self.sort_numbers.len() as u32;
            let own = *self.sort_numbers.entry_ref(sort).or_insert(next);
            if own == next {
                self.limits.push(limit);
            }
            self.sorts.push(own);
            self.inherits.push(self.inherited_kinds(name));
        }
        number
    }

    /// The number of an object, described or not.
    fn object(&mut self, asked: &AskedObject<'_>) -> Option<u32> {
        let object = self.names.object(asked)?;
        if object as usize == self.rows.len() {
            self.rows.push(Row {
                first_seen: Timestamp::MAX,
                statement: FactId::from_bytes([0; 16]),
                source: asked.source,
                kind: 0,
                at: 0,
                len: 0,
                item: object,
                next: object,
                stamp: 0,
                known: false,
                live: false,
                worded: false,
            });
        }
        Some(object)
    }

    /// Adds the questions after the keys of a description.
    fn ask<'a>(&mut self, keys: &'a BTreeSet<Key>, asked: &mut Vec<Asked<'a>>) {
        let mut one = |key: &'a Key| {
            let slot = self.slot_for(key, false);
            asked.push(self.names.ask(slot, key));
        };
        if keys.len() <= MOST_KEYS {
            return keys.iter().for_each(one);
        }
        let mut all: Vec<&Key> = keys.iter().collect();
        all.sort_by(|a, b| b.strength().cmp(&a.strength()).then_with(|| a.cmp(b)));
        all.truncate(MOST_KEYS);
        all.into_iter().for_each(&mut one);
    }

    /// The claims of a description, ascending, one for each value.
    fn claims_of(&mut self, kind: u32, keys: &[Asked<'_>], claims: &mut Vec<Claim>) {
        claims.clear();
        for asked in keys {
            let Some(ident) = self.ident_of(asked) else { continue };
            claims.push(Claim::new(ident, self.strength_of(kind, asked)));
        }
        claims.sort_unstable();
        // Of several claims of one value the strongest stands; it sorts last.
        claims.dedup_by(|later, kept| {
            let same = later.number() == kept.number();
            if same {
                *kept = *later;
            }
            same
        });
    }

    /// The number of the kind and the realm of a key, as stated or as inherited.
    pub(super) fn slot_for(&mut self, key: &Key, inherited: bool) -> u32 {
        let (slot, new) = self.names.slot(key.kind(), key.realm(), inherited);
        if !new {
            return slot;
        }
        let stated = SlotRule {
            single: self.rules.is_single(key.kind()),
            rank: self.rules.rank(key.kind()),
            overlap: self.rules.overlap(key.kind()),
            apart_below: self.rules.apart_below(key.kind()),
            decisive: self.rules.is_decisive(key.kind()),
            mac: *key.kind() == key_kind::MAC,
            at_least: 0,
            inherited: false,
            at_most: self.rules.rule_of(key.kind()).and_then(|rule| rule.at_most),
            base: None,
        };
        self.slots.push(if inherited { self.inherited_slot(key.kind(), stated) } else { stated });
        if let Some(base) = self.rules.base_of(key.realm()).and_then(|base| self.ident(&base)) {
            self.slots[slot as usize].base = Some(base);
            // Other kinds of key may be unique there, too.
            if !self.bases.contains_key(&base) {
                let sound = self.values[base as usize].usable == Use::All;
                self.bases.insert(base, Base { sound, ..Base::default() });
                // Nobody asked before whether it is one item that claims it.
                self.seeds.extend(self.values[base as usize].claimants.iter().map(Claim::number));
            }
        }
        slot
    }

    fn add_ident(&mut self, ident: u32, asked: &Asked<'_>) {
        self.values.push(Value {
            claimants: Claimants::default(),
            slot: asked.slot,
            stamp: 0,
            usable: Use::Nobody,
            junk: self.rules.is_junk_value(asked.key.kind(), asked.key.value(), &self.junk),
        });
        if let Some(base) = self.slot(asked.slot).base.and_then(|base| self.bases.get_mut(&base)) {
            base.within.push(ident);
        }
        self.values[ident as usize].usable = self.use_of(ident, &Heat::default());
    }

    /// How much a claim of this key by an item of this kind says: as [`IdentityRules::strength_of`].
    fn strength_of(&mut self, kind: u32, asked: &Asked<'_>) -> Strength {
        let rule = self.slot(asked.slot);
        // Of what is inherited it was asked before.
        if !rule.inherited && self.is_circumstance(kind, asked) {
            return Strength::Ambient;
        }
        let mut strength = asked.key.strength();
        if let Some(cap) = rule.at_most {
            strength = strength.min(cap);
        }
        if rule.mac && first_octet(asked.key.value()) & 2 == 2 {
            strength = strength.min(Strength::Administrative);
        }
        strength
    }

    pub(super) fn is_junk_key(&self, key: &Key) -> bool {
        self.rules.is_junk_value(key.kind(), key.value(), &self.junk)
    }

    fn is_circumstance(&mut self, kind: u32, asked: &Asked<'_>) -> bool {
        let (rules, names) = (&self.rules, &self.names);
        rules.has_kind_rules()
            && *self.circumstances.entry((kind, asked.slot)).or_insert_with(|| {
                rules
                    .kind_rule(names.kind_of(kind))
                    .and_then(|rule| rule.keys.as_ref())
                    .is_some_and(|keys| !keys.contains(asked.key.kind()))
            })
    }

    /// Keeps claims in the place of the old ones if they fit.
    fn store(&mut self, old: &Row, fresh: &[Claim]) -> (usize, u32) {
        let len = fresh.len() as u32;
        if len <= old.len {
            self.wasted += (old.len - len) as usize;
            self.claims[old.at..old.at + fresh.len()].copy_from_slice(fresh);
            return (old.at, len);
        }
        self.wasted += old.len as usize;
        if self.wasted > self.claims.len() / 2 + 65_536 {
            self.compact();
        }
        let at = self.claims.len();
        self.claims.extend_from_slice(fresh);
        (at, len)
    }

    fn compact(&mut self) {
        let mut packed = Vec::with_capacity(self.claims.len() - self.wasted);
        for row in &mut self.rows {
            let own = row.at..row.at + row.len as usize;
            row.at = packed.len();
            packed.extend_from_slice(&self.claims[own]);
        }
        self.claims = packed;
        self.wasted = 0;
    }

    /// Tells the values which claims are new, gone or other than before.
    fn reclaim(
        &mut self,
        object: u32,
        (before, sort_before, was_live): (&[Claim], Sort, bool),
        after: &[Claim],
        touched: &mut Vec<u32>,
    ) {
        let (sort, live) = self.about()(object);
        let (mut old, mut new) = (before, after);
        loop {
            let was = old.first().filter(|was| new.first().is_none_or(|is| was.number() <= is.number()));
            let is = new.first().filter(|is| old.first().is_none_or(|was| is.number() <= was.number()));
            let Some(ident) = was.or(is).map(|claim| claim.number()) else { break };
            let (was, is) = (was.copied(), is.copied());
            if was.is_some() {
                old = &old[1..];
            }
            if is.is_some() {
                new = &new[1..];
            }
            let limits = limits(&self.rules, &self.limits);
            let mut own = std::mem::take(&mut self.values[ident as usize].claimants);
            let heat_before = own.crowd_heat(limits);
            if let Some(claim) = was {
                let claim = Claim::new(object, claim.strength());
                own.remove(Claimed { claim, sort: sort_before, live: was_live }, limits);
            }
            if let Some(claim) = is {
                let claim = Claim::new(object, claim.strength());
                own.add(Claimed { claim, sort, live }, limits, self.about());
            }
            touched.push(ident);
            let heat = own.heat(limits, self.about());
            self.values[ident as usize].claimants = own;
            let usable = self.use_of(ident, &heat);
            let flips = usable != self.values[ident as usize].usable
                || (usable == Use::Some && heat_before.as_ref() != Some(&heat));
            self.values[ident as usize].usable = usable;
            let loosens = was.is_some_and(Claim::joins) && !is.is_some_and(Claim::joins);
            if flips {
                // Circumstances, too, decide between what an object fits.
                self.seeds.extend(self.values[ident as usize].claimants.iter().map(Claim::number));
                self.ground(ident, touched);
            } else if usable != Use::Nobody && loosens {
                let others = self.values[ident as usize].claimants.iter().filter(|claim| claim.joins());
                self.seeds.extend(others.map(Claim::number));
            }
            if loosens && self.splits > 0 && !self.values[ident as usize].claimants.iter().any(Claim::joins) {
                self.split(&[(ident, false)], touched);
            }
        }
    }

    /// The effective words on pairs: whether they are the same, and the fact that says so. Replaces all earlier ones.
    pub(crate) fn set_words(&mut self, said: &BTreeMap<(Object, Object), (bool, FactId)>) {
        let mut words = Words::new();
        for ((a, b), (same, fact)) in said {
            let mut number = |object: &Object| self.number(&object.source, &object.native);
            let (Some(a), Some(b)) = (number(a), number(b)) else { continue };
            words.entry(a).or_default().push(Word { other: b, same: *same, fact: *fact });
            words.entry(b).or_default().push(Word { other: a, same: *same, fact: *fact });
        }
        words.values_mut().for_each(|own| own.sort_unstable());
        for (object, own) in self.words.iter().chain(&words) {
            let now = words.get(object);
            if now != Some(own) || self.words.get(object) != now {
                self.seeds.push(*object);
                self.seeds.extend(own.iter().map(|word| word.other));
            }
            self.rows[*object as usize].worded = now.is_some();
        }
        self.words = words;
    }

    pub(crate) fn words_of(&self, object: u32) -> &[Word] {
        if self.rows[object as usize].worded {
            self.words.get(&object).map_or(&[], Vec::as_slice)
        } else {
            &[]
        }
    }

    pub(crate) fn row(&self, object: u32) -> &Row {
        &self.rows[object as usize]
    }

    pub(crate) fn slot(&self, slot: u32) -> SlotRule {
        self.slots[slot as usize]
    }

    pub(crate) fn is_unique(&self, source: u32) -> bool {
        self.unique[source as usize]
    }

    /// Whether an object is a thing that is there now. What somebody holds to be so of a thing is no further one.
    pub(super) fn is_there(&self, row: &Row) -> bool {
        row.live && !self.locks[row.source as usize]
    }

    /// Whether an object is what somebody holds to be so.
    pub(crate) fn is_lock(&self, object: u32) -> bool {
        self.locks[self.rows[object as usize].source as usize]
    }

    /// What an object claims, ascending by number.
    pub(crate) fn own_claims(&self, object: u32) -> &[Claim] {
        let row = &self.rows[object as usize];
        &self.claims[row.at..row.at + row.len as usize]
    }

    /// What an object claims that can join.
    pub(crate) fn joining(&self, object: u32) -> impl Iterator<Item = Claim> {
        let kind = self.rows[object as usize].kind;
        let usable = move |claim: &Claim| claim.joins() && self.identifies(claim.number(), kind);
        self.own_claims(object).iter().copied().filter(usable)
    }

    pub(crate) fn find(&self, object: &Object) -> Option<u32> {
        self.names
            .find_object(&object.source, &object.native)
            .filter(|number| self.rows[*number as usize].known)
    }

    /// Every item: its objects, ascending, in the order of their smallest.
    pub fn items(&self) -> impl Iterator<Item = Vec<Object>> {
        (0..self.rows.len() as u32)
            .filter(|object| self.rows[*object as usize].item == *object && self.rows[*object as usize].known)
            .map(|head| self.names_of(head))
    }

    /// The objects of the item that holds this one, ascending; empty when it was not described.
    #[must_use]
    pub fn item_of(&self, object: &Object) -> Vec<Object> {
        self.find(object).map_or_else(Vec::new, |number| self.names_of(number))
    }

    fn names_of(&self, object: u32) -> Vec<Object> {
        let mut names: Vec<Object> =
            self.ring(object).into_iter().map(|member| self.names.object_name(member)).collect();
        names.sort();
        names
    }

    /// The objects of the item that holds this one.
    pub(crate) fn ring(&self, object: u32) -> Vec<u32> {
        let mut ring = vec![object];
        let mut at = self.rows[object as usize].next;
        while at != object {
            ring.push(at);
            at = self.rows[at as usize].next;
        }
        ring
    }
}
