//! The resolver: objects and what they claim in, items out, at the cost of what changed.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use itom_core::{CiKind, CiObservation, Key, SourceName, Strength, Text, Timestamp, key_kind};

use super::agglomerate::{Outcome, StepBy, agglomerate};
use super::claimants::{Claim, Claimants, Claimed};
use super::names::Names;
use super::{Ident, IdentityRules, Object, Proof, Rule, Share};
use crate::fact::FactId;

/// An object claims no more values than this: the strongest, then the smallest ones. A description with more is no
/// description of one thing.
const MOST_KEYS: usize = 1024;

/// What a source says of one of its objects now.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// What it is.
    pub kind: &'a CiKind,
    /// What identifies it.
    pub keys: &'a BTreeSet<Key>,
    /// When the source saw it first.
    pub first_seen: Timestamp,
    /// Whether the source holds that it is there.
    pub live: bool,
    /// The fact that says so, for proofs.
    pub statement: FactId,
}

impl<'a> Described<'a> {
    /// What an observation says, as the word of this fact.
    #[must_use]
    pub const fn new(ci: &'a CiObservation, first_seen: Timestamp, statement: FactId) -> Self {
        Self { kind: &ci.kind, keys: &ci.keys, first_seen, live: true, statement }
    }
}

/// What is known of an object.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) first_seen: Timestamp,
    pub(crate) statement: FactId,
    pub(crate) source: u32,
    pub(crate) kind: u32,
    at: usize,
    len: u32,
    /// Described at all: a statement can name what is not.
    pub(crate) known: bool,
    pub(crate) live: bool,
    /// Somebody said something about its sameness.
    worded: bool,
}

/// How values of a kind of key in a realm are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotRule {
    pub(crate) single: bool,
    pub(crate) rank: u8,
    pub(crate) overlap: Option<Share>,
    mac: bool,
}

/// The words on an object: of whom, and the fact that joins; `None` keeps apart.
type Words = BTreeMap<u32, Vec<(u32, Option<FactId>)>>;

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
///         kind: &kind::HOST, keys: &keys, first_seen: Timestamp::EPOCH, live: true,
///         statement: FactId::from_bytes([0; 16]),
///     });
/// }
/// resolver.resolve();
/// assert_eq!(resolver.items().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Resolver {
    rules: IdentityRules,
    pub(crate) names: Names,
    rows: Vec<Row>,
    claims: Vec<Claim>,
    wasted: usize,
    claimants: Vec<Claimants>,
    junk: Vec<bool>,
    /// Neither junk nor hot.
    usable: Vec<bool>,
    slots: Vec<SlotRule>,
    unique: Vec<bool>,
    /// Whether a kind of key is a mere circumstance for a kind of item; looked up only.
    circumstances: HashMap<(u32, u32), bool>,
    words: Words,
    /// The item of each object: the smallest number in it; and the ring of its objects.
    item: Vec<u32>,
    next: Vec<u32>,
    seeds: Vec<u32>,
    stamp: u32,
    object_stamp: Vec<u32>,
    ident_stamp: Vec<u32>,
    fresh: Vec<Claim>,
}

/// What was looked at by a resolution.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// Objects, item by item, component by component.
    pub(crate) objects: Vec<u32>,
    /// Where each item ends in `objects`.
    pub(crate) items: Vec<u32>,
    /// Where each component ends in `items`.
    pub(crate) components: Vec<u32>,
    pub(crate) open: Vec<OpenObject>,
}

impl Resolved {
    /// How many objects were looked at.
    #[must_use]
    pub const fn objects(&self) -> usize {
        self.objects.len()
    }

    /// How many items they make.
    #[must_use]
    pub const fn items(&self) -> usize {
        self.items.len()
    }

    /// How many objects fit several items by a value, and were left alone.
    #[must_use]
    pub const fn abstentions(&self) -> usize {
        self.open.len()
    }
}

/// An object that fits several items by a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenObject {
    pub(crate) object: u32,
    pub(crate) ident: u32,
    pub(crate) candidates: Vec<u32>,
}

/// What one look at a component needs beside the resolver.
#[derive(Default)]
struct Desk {
    component: Vec<u32>,
    /// Slot, value, how many objects claim it.
    values: Vec<(u32, u32, u32)>,
    /// Slot, the place of the last object with a value in it, how many have one.
    holders: Vec<(u32, u32, u32)>,
}

impl Resolver {
    /// An empty one.
    #[must_use]
    pub fn new(rules: IdentityRules) -> Self {
        Self {
            rules,
            names: Names::new(),
            rows: Vec::new(),
            claims: Vec::new(),
            wasted: 0,
            claimants: Vec::new(),
            junk: Vec::new(),
            usable: Vec::new(),
            slots: Vec::new(),
            unique: Vec::new(),
            circumstances: HashMap::new(),
            words: Words::new(),
            item: Vec::new(),
            next: Vec::new(),
            seeds: Vec::new(),
            stamp: 0,
            object_stamp: Vec::new(),
            ident_stamp: Vec::new(),
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

    /// Takes in what a source says of an object now. What is the same as before costs a look-up.
    pub fn put(&mut self, object: &Object, said: Described<'_>) {
        self.describe(&object.source, &object.native, said, &mut Vec::new());
    }

    /// As [`put`](Self::put); adds the values whose claimants may be others now. `None`: there are more objects than
    /// numbers.
    pub(crate) fn describe(
        &mut self,
        source: &SourceName,
        native: &Text,
        said: Described<'_>,
        touched: &mut Vec<u32>,
    ) -> Option<u32> {
        let source = self.source(source);
        let object = self.object(source, native)?;
        let kind = self.names.kind(said.kind);
        let mut fresh = std::mem::take(&mut self.fresh);
        self.claims_of(kind, said.keys, &mut fresh);
        let old = self.row(object).clone();
        let same_life = old.known && old.live == said.live;
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
            worded: old.worded,
        };
        if !(same_claims && same_life) {
            self.reclaim(object, &before, old.live, &fresh, touched);
        }
        self.fresh = fresh;
        Some(object)
    }

    /// The number of what a source names, described or not.
    pub(crate) fn number(&mut self, source: &SourceName, native: &Text) -> Option<u32> {
        let source = self.source(source);
        self.object(source, native)
    }

    /// The number of a value, claimed or not.
    pub(crate) fn ident(&mut self, key: &Key) -> Option<u32> {
        let (ident, new) = self.names.ident(key)?;
        if new {
            self.add_ident(ident, key);
        }
        Some(ident)
    }

    fn source(&mut self, name: &SourceName) -> u32 {
        let number = self.names.source(name);
        if number as usize == self.unique.len() {
            self.unique.push(self.rules.is_unique(name));
        }
        number
    }

    /// The number of an object, described or not.
    fn object(&mut self, source: u32, native: &Text) -> Option<u32> {
        let object = self.names.object(source, native)?;
        if object as usize == self.rows.len() {
            self.rows.push(Row {
                first_seen: Timestamp::MAX,
                statement: FactId::from_bytes([0; 16]),
                source,
                kind: 0,
                at: 0,
                len: 0,
                known: false,
                live: false,
                worded: false,
            });
            self.item.push(object);
            self.next.push(object);
            self.object_stamp.push(0);
        }
        Some(object)
    }

    /// The claims of a description, ascending, one for each value.
    fn claims_of(&mut self, kind: u32, keys: &BTreeSet<Key>, claims: &mut Vec<Claim>) {
        claims.clear();
        let many: Vec<&Key>;
        let few;
        let keys: &mut dyn Iterator<Item = &Key> = if keys.len() > MOST_KEYS {
            let mut all: Vec<&Key> = keys.iter().collect();
            all.sort_by(|a, b| b.strength().cmp(&a.strength()).then_with(|| a.cmp(b)));
            all.truncate(MOST_KEYS);
            many = all;
            &mut many.into_iter()
        } else {
            few = keys.iter();
            &mut { few }
        };
        for key in keys {
            let Some(ident) = self.ident(key) else { continue };
            claims.push(Claim::new(ident, self.strength_of(kind, ident, key)));
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

    fn add_ident(&mut self, ident: u32, key: &Key) {
        let slot = self.names.slot_of(ident) as usize;
        if slot == self.slots.len() {
            self.slots.push(SlotRule {
                single: self.rules.is_single(key.kind()),
                rank: self.rules.rank(key.kind()),
                overlap: self.rules.overlap(key.kind()),
                mac: *key.kind() == key_kind::MAC,
            });
        }
        let junk = self.rules.is_junk(&self.names.ident_name(ident));
        self.claimants.push(Claimants::default());
        self.junk.push(junk);
        self.usable.push(!junk);
        self.ident_stamp.push(0);
    }

    fn strength_of(&mut self, kind: u32, ident: u32, key: &Key) -> Strength {
        let slot = self.names.slot_of(ident);
        // A value's own circumstances matter for addresses only; else the kinds of item and key decide.
        if self.slot(slot).mac {
            return self.rules.strength_of(self.names.kind_of(kind), key);
        }
        let (rules, names) = (&self.rules, &self.names);
        let circumstance = *self.circumstances.entry((kind, slot)).or_insert_with(|| {
            rules
                .kind_rule(names.kind_of(kind))
                .and_then(|rule| rule.keys.as_ref())
                .is_some_and(|keys| !keys.contains(key.kind()))
        });
        if circumstance {
            return Strength::Ambient;
        }
        match rules.rule_of(key.kind()).and_then(|rule| rule.at_most) {
            Some(cap) => key.strength().min(cap),
            None => key.strength(),
        }
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
        before: &[Claim],
        was_live: bool,
        after: &[Claim],
        touched: &mut Vec<u32>,
    ) {
        let (source, live) = (self.rows[object as usize].source, self.rows[object as usize].live);
        let (limit, most) = (self.rules.hot_limit(), self.rules.crowd_limit());
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
            let own = &mut self.claimants[ident as usize];
            let about = |object: u32| (self.rows[object as usize].source, self.rows[object as usize].live);
            if let Some(claim) = was {
                let claim = Claim::new(object, claim.strength());
                own.remove(Claimed { claim, source, live: was_live }, limit);
            }
            if let Some(claim) = is {
                let claim = Claim::new(object, claim.strength());
                own.add(Claimed { claim, source, live }, limit, about);
            }
            touched.push(ident);
            let usable = !self.junk[ident as usize] && !own.is_hot(limit, most, about);
            let flips = usable != self.usable[ident as usize];
            self.usable[ident as usize] = usable;
            let loosens = was.is_some_and(Claim::joins) && !is.is_some_and(Claim::joins);
            if flips || (usable && loosens) {
                let others = self.claimants[ident as usize].iter().filter(|claim| claim.joins());
                self.seeds.extend(others.map(Claim::number));
            }
        }
    }

    /// The effective words on pairs: facts that join, and pairs that are kept apart. Replaces all earlier ones.
    pub(crate) fn set_words(
        &mut self,
        same: &BTreeMap<(Object, Object), FactId>,
        apart: &BTreeSet<(Object, Object)>,
    ) {
        let mut words = Words::new();
        let facts = same.iter().map(|(pair, fact)| (pair, Some(*fact)));
        for ((a, b), fact) in facts.chain(apart.iter().map(|pair| (pair, None))) {
            let mut number = |object: &Object| self.number(&object.source, &object.native);
            let (Some(a), Some(b)) = (number(a), number(b)) else { continue };
            words.entry(a).or_default().push((b, fact));
            words.entry(b).or_default().push((a, fact));
        }
        words.values_mut().for_each(|own| own.sort_unstable());
        for (object, own) in self.words.iter().chain(&words) {
            let now = words.get(object);
            if now != Some(own) || self.words.get(object) != now {
                self.seeds.push(*object);
                self.seeds.extend(own.iter().map(|(other, _)| *other));
            }
            self.rows[*object as usize].worded = now.is_some();
        }
        self.words = words;
    }

    pub(crate) fn words_of(&self, object: u32) -> &[(u32, Option<FactId>)] {
        if self.rows[object as usize].worded { self.words.get(&object).map_or(&[], Vec::as_slice) } else { &[] }
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

    /// What an object claims, ascending by number.
    pub(crate) fn own_claims(&self, object: u32) -> &[Claim] {
        let row = &self.rows[object as usize];
        &self.claims[row.at..row.at + row.len as usize]
    }

    /// What an object claims that can join.
    pub(crate) fn joining(&self, object: u32) -> impl Iterator<Item = Claim> {
        let usable = |claim: &Claim| claim.joins() && self.usable[claim.number() as usize];
        self.own_claims(object).iter().copied().filter(usable)
    }

    pub(crate) fn find(&self, object: &Object) -> Option<u32> {
        self.names
            .find_object(&object.source, &object.native)
            .filter(|number| self.rows[*number as usize].known)
    }

    pub(crate) fn is_usable(&self, ident: u32) -> bool {
        self.usable[ident as usize]
    }

    pub(crate) fn is_hot(&self, ident: &Ident) -> bool {
        let number = self.names.find_ident(ident);
        number.is_some_and(|number| !self.usable[number as usize] && !self.junk[number as usize])
    }

    /// Who claims a value, in no order that may show.
    pub(crate) fn claimants(&self, ident: u32) -> impl Iterator<Item = u32> {
        self.claimants[ident as usize].iter().map(Claim::number)
    }

    /// Looks at what changed since the last resolution, and at whatever that touches.
    pub fn resolve(&mut self) -> Resolved {
        let seeds = std::mem::take(&mut self.seeds);
        self.resolve_seeds(seeds)
    }

    /// Looks at everything as if for the first time: the reference of [`resolve`](Self::resolve).
    pub fn resolve_all(&mut self) -> Resolved {
        self.seeds.clear();
        self.resolve_seeds((0..self.rows.len() as u32).collect())
    }

    fn resolve_seeds(&mut self, mut seeds: Vec<u32>) -> Resolved {
        let mut resolved = Resolved::default();
        let mut desk = Desk::default();
        if self.stamp == u32::MAX {
            self.object_stamp.fill(0);
            self.ident_stamp.fill(0);
            self.stamp = 0;
        }
        self.stamp += 1;
        let mut at = 0;
        while let Some(seed) = seeds.get(at).copied() {
            at += 1;
            if !self.visit(seed) {
                continue;
            }
            self.component(seed, &mut desk.component, &mut seeds);
            self.settle(&mut desk, &mut resolved);
        }
        resolved
    }

    fn visit(&mut self, object: u32) -> bool {
        let stamp = &mut self.object_stamp[object as usize];
        if *stamp == self.stamp || !self.rows[object as usize].known {
            return false;
        }
        *stamp = self.stamp;
        true
    }

    /// Everything that usable values and words connect with `seed`. What was one item with any of it becomes a seed.
    fn component(&mut self, seed: u32, component: &mut Vec<u32>, seeds: &mut Vec<u32>) {
        component.clear();
        component.push(seed);
        let mut at = 0;
        while let Some(object) = component.get(at).copied() {
            at += 1;
            let row = &self.rows[object as usize];
            let (from, to, worded) = (row.at, row.at + row.len as usize, row.worded);
            for place in from..to {
                let claim = self.claims[place];
                let ident = claim.number() as usize;
                if !claim.joins() || !self.usable[ident] || self.ident_stamp[ident] == self.stamp {
                    continue;
                }
                self.ident_stamp[ident] = self.stamp;
                for other in self.claimants[ident].iter() {
                    let stamp = &mut self.object_stamp[other.number() as usize];
                    if other.joins() && *stamp != self.stamp {
                        *stamp = self.stamp;
                        component.push(other.number());
                    }
                }
            }
            if worded {
                for place in 0..self.words_of(object).len() {
                    let (other, fact) = self.words_of(object)[place];
                    if fact.is_some() && self.visit(other) {
                        component.push(other);
                    }
                }
            }
            let beside = self.next[object as usize];
            if self.object_stamp[beside as usize] != self.stamp {
                seeds.push(beside);
            }
        }
    }

    /// Partitions a component and writes its items down.
    fn settle(&mut self, desk: &mut Desk, resolved: &mut Resolved) {
        if self.is_plain(desk) {
            self.write(&desk.component, resolved);
        } else {
            desk.component.sort_unstable_by(|a, b| self.names.compare_objects(*a, *b));
            let outcome = agglomerate(self, &desk.component);
            let mut order: Vec<(u32, u32)> = outcome.group.iter().copied().zip(0..).collect();
            order.sort_unstable();
            for group in order.chunk_by(|a, b| a.0 == b.0) {
                let members: Vec<u32> = group.iter().map(|(_, at)| desk.component[*at as usize]).collect();
                self.write(&members, resolved);
            }
            resolved.open.extend(outcome.open.into_iter().map(|open| OpenObject {
                object: desk.component[open.member as usize],
                ident: open.ident,
                candidates: open.candidates.iter().map(|at| desk.component[*at as usize]).collect(),
            }));
        }
        resolved.components.push(resolved.items.len() as u32);
    }

    fn write(&mut self, members: &[u32], resolved: &mut Resolved) {
        let head = members.iter().copied().min().unwrap_or(0);
        for (at, object) in members.iter().enumerate() {
            self.item[*object as usize] = head;
            let next = members.get(at + 1).or(members.first()).copied().unwrap_or(*object);
            self.next[*object as usize] = next;
        }
        resolved.objects.extend_from_slice(members);
        resolved.items.push(resolved.objects.len() as u32);
    }

    /// Whether nothing in a component could forbid anything: then whatever the order, all of it is one item.
    fn is_plain(&self, desk: &mut Desk) -> bool {
        let component = desk.component.as_slice();
        if component.len() == 1 {
            return true;
        }
        if component.len() > 16 {
            return false;
        }
        for (at, object) in component.iter().enumerate() {
            let row = self.row(*object);
            let twin = |other: &u32| self.row(*other).source == row.source;
            if row.worded || (self.is_unique(row.source) && component[..at].iter().any(twin)) {
                return false;
            }
        }
        let mut kind: Option<CiKind> = None;
        let mut number = self.row(component[0]).kind;
        for object in &component[1..] {
            let other = self.row(*object).kind;
            if other == number && kind.is_none() {
                continue;
            }
            let own = kind.as_ref().unwrap_or_else(|| self.names.kind_of(number));
            let Some(both) = self.rules.common_kind(own, self.names.kind_of(other)) else { return false };
            kind = Some(both);
            number = u32::MAX;
        }
        desk.values.clear();
        desk.holders.clear();
        for (at, object) in (0..).zip(component) {
            for claim in self.joining(*object) {
                let slot = self.names.slot_of(claim.number());
                let rule = self.slot(slot);
                if !rule.single && rule.overlap.is_none() {
                    continue;
                }
                match desk.values.iter_mut().find(|value| value.1 == claim.number()) {
                    Some(value) => value.2 += 1,
                    None => desk.values.push((slot, claim.number(), 1)),
                }
                match desk.holders.iter_mut().find(|holder| holder.0 == slot) {
                    Some(holder) if holder.1 == at => {}
                    Some(holder) => (holder.1, holder.2) = (at, holder.2 + 1),
                    None => desk.holders.push((slot, at, 1)),
                }
            }
        }
        desk.holders.iter().all(|(slot, _, holders)| {
            let rule = self.slot(*slot);
            let mut counts = desk.values.iter().filter(|value| value.0 == *slot).map(|value| value.2);
            // A value that all have contradicts nothing; values that all have overlap wholly.
            if rule.overlap.is_some() {
                counts.all(|count| count == *holders)
            } else {
                counts.any(|count| count == *holders)
            }
        })
    }

    /// Every item: its objects, ascending, in the order of their smallest.
    pub fn items(&self) -> impl Iterator<Item = Vec<Object>> {
        (0..self.rows.len() as u32)
            .filter(|object| self.item[*object as usize] == *object && self.rows[*object as usize].known)
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
        let mut at = self.next[object as usize];
        while at != object {
            ring.push(at);
            at = self.next[at as usize];
        }
        ring
    }

    /// Why the objects of this one's item are one, in the order in which they were joined.
    pub(crate) fn proofs(&self, object: u32) -> Vec<Proof> {
        if self.next[object as usize] == object {
            return Vec::new();
        }
        let (members, outcome) = self.retrace(object);
        let own = members.iter().position(|member| *member == object).map(|at| outcome.group[at]);
        let steps = outcome.steps.iter();
        steps
            .filter(|step| Some(outcome.group[step.left as usize]) == own)
            .map(|step| {
                let cited = |at: u32| {
                    let object = members[at as usize];
                    (self.names.object_name(object), self.row(object).statement)
                };
                let rule = match step.by {
                    StepBy::Word(fact) => Rule::Stated { fact },
                    StepBy::Key { ident, tier, sources } => Rule::Key {
                        ident: self.names.ident_name(ident),
                        strength: tier,
                        corroboration: sources as usize,
                    },
                };
                Proof::new(cited(step.left), cited(step.right), rule)
            })
            .collect()
    }

    /// The whole component of an object, ascending by content, and how it was joined.
    pub(crate) fn retrace(&self, object: u32) -> (Vec<u32>, Outcome) {
        let mut seen = BTreeSet::from([object]);
        let mut todo = vec![object];
        let mut idents = BTreeSet::new();
        while let Some(object) = todo.pop() {
            let mut reach = |other: u32| {
                if self.row(other).known && seen.insert(other) {
                    todo.push(other);
                }
            };
            self.words_of(object).iter().filter(|word| word.1.is_some()).for_each(|word| reach(word.0));
            for claim in self.joining(object) {
                if idents.insert(claim.number()) {
                    let others = self.claimants[claim.number() as usize].iter().filter(|own| own.joins());
                    others.for_each(|other| reach(other.number()));
                }
            }
        }
        let mut members: Vec<u32> = seen.into_iter().collect();
        members.sort_unstable_by(|a, b| self.names.compare_objects(*a, *b));
        let outcome = agglomerate(self, &members);
        (members, outcome)
    }
}
