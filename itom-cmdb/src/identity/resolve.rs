//! Looking at what changed and at whatever that touches, component by component.

use itom_core::CiKind;

use super::Share;
use super::agglomerate::agglomerate;
use super::claimants::Claim;
use super::resolver::{AHEAD, Resolver};
use super::worth::Use;

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
    /// Values whose claimants may be others now, since realms lost or gained their meaning.
    pub(crate) touched: Vec<u32>,
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

    /// Only the components of which this holds for no object; it holds for all objects of a component or for none.
    fn without(self, gone: impl Fn(u32) -> bool) -> Self {
        let mut kept = Self { touched: self.touched, ..Self::default() };
        let mut item = 0;
        for end in &self.components {
            let items = item..*end as usize;
            item = items.end;
            let start = |at: usize| at.checked_sub(1).map_or(0, |before| self.items[before] as usize);
            let objects = start(items.start)..start(items.end);
            if self.objects[objects.clone()].first().is_some_and(|object| gone(*object)) {
                continue;
            }
            let moved = objects.start - kept.objects.len();
            kept.objects.extend_from_slice(&self.objects[objects]);
            kept.items.extend(self.items[items].iter().map(|end| end - moved as u32));
            kept.components.push(kept.items.len() as u32);
        }
        kept.open = self.open.into_iter().filter(|open| !gone(open.object)).collect();
        kept
    }

    fn append(&mut self, other: Self) {
        let (objects, items) = (self.objects.len() as u32, self.items.len() as u32);
        self.objects.extend(other.objects);
        self.items.extend(other.items.into_iter().map(|end| end + objects));
        self.components.extend(other.components.into_iter().map(|end| end + items));
        self.open.extend(other.open);
        self.touched.extend(other.touched);
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
    /// What is read ahead: objects, and where their claims are.
    near: Vec<u32>,
    claims: Vec<(usize, usize)>,
}

impl Resolver {
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

    fn resolve_seeds(&mut self, seeds: Vec<u32>) -> Resolved {
        let mut resolved = Resolved::default();
        let mut desk = Desk::default();
        self.look(seeds, &mut desk, &mut resolved);
        // What was found may have taken a realm its meaning, or given it one: whoever speaks of what is in it is looked
        // at again. That a realm rests on one item never depends on what is said in a realm, so it ends here.
        while !self.seeds.is_empty() {
            let again = std::mem::take(&mut self.seeds);
            let mut second = Resolved::default();
            self.look(again, &mut desk, &mut second);
            resolved = resolved.without(|object| self.rows[object as usize].stamp == self.stamp);
            resolved.append(second);
        }
        resolved
    }

    fn look(&mut self, mut seeds: Vec<u32>, desk: &mut Desk, resolved: &mut Resolved) {
        if self.stamp == u32::MAX {
            self.rows.iter_mut().for_each(|row| row.stamp = 0);
            self.values.iter_mut().for_each(|value| value.stamp = 0);
            self.stamp = 0;
        }
        self.stamp += 1;
        // Whoever looks at much of it reads it in its own order, which needs no help.
        let few = seeds.len() < self.rows.len() / 8;
        let mut at = 0;
        while let Some(seed) = seeds.get(at).copied() {
            if few && at.is_multiple_of(AHEAD) {
                let next = seeds.get(at..).unwrap_or(&[]);
                self.peek_around(next.get(..AHEAD).unwrap_or(next), desk);
            }
            at += 1;
            if !self.visit(seed) {
                continue;
            }
            self.component(seed, &mut desk.component, &mut seeds);
            self.settle(desk, resolved);
        }
    }

    /// Reads what is around these objects, step by step for all of them, so that the memory is waited for once at each
    /// step and not once for each of them.
    fn peek_around(&self, seeds: &[u32], desk: &mut Desk) {
        /// Who claims more is read as it comes.
        const CLAIMS: usize = 16;
        let mut read = 0;
        desk.near.clear();
        for seed in seeds {
            for claim in self.own_claims(*seed).iter().take(CLAIMS).filter(|claim| claim.joins()) {
                let claimants = self.values[claim.number() as usize].claimants.few();
                desk.near.extend(claimants.iter().map(|claim| claim.number()));
            }
        }
        desk.claims.clear();
        for object in &desk.near {
            let row = self.row(*object);
            desk.claims.push((row.at, row.at + CLAIMS.min(row.len as usize)));
        }
        for (from, _) in &desk.claims {
            read ^= self.claims.get(*from).map_or(0, |claim| claim.number());
        }
        for (from, to) in &desk.claims {
            for claim in self.claims.get(*from..*to).unwrap_or(&[]) {
                read ^= self.values[claim.number() as usize].stamp;
            }
        }
        std::hint::black_box(read);
    }

    fn visit(&mut self, object: u32) -> bool {
        let row = &mut self.rows[object as usize];
        if row.stamp == self.stamp || !row.known {
            return false;
        }
        row.stamp = self.stamp;
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
            let (from, to, worded, kind) = (row.at, row.at + row.len as usize, row.worded, row.kind);
            for place in from..to {
                let claim = self.claims[place];
                let ident = claim.number() as usize;
                if !claim.joins()
                    || self.values[ident].stamp == self.stamp
                    || !self.identifies(claim.number(), kind)
                {
                    continue;
                }
                self.values[ident].stamp = self.stamp;
                let all = self.values[ident].usable == Use::All;
                for other in self.values[ident].claimants.iter() {
                    let number = other.number();
                    if other.joins()
                        && self.rows[number as usize].stamp != self.stamp
                        && (all || self.identifies(claim.number(), self.row(number).kind))
                    {
                        self.rows[number as usize].stamp = self.stamp;
                        component.push(number);
                    }
                }
            }
            if worded {
                for place in 0..self.words_of(object).len() {
                    let word = self.words_of(object)[place];
                    if word.same && self.visit(word.other) {
                        component.push(word.other);
                    }
                }
            }
            let beside = self.rows[object as usize].next;
            if self.rows[beside as usize].stamp != self.stamp {
                seeds.push(beside);
            }
        }
    }

    /// Partitions a component and writes its items down.
    fn settle(&mut self, desk: &mut Desk, resolved: &mut Resolved) {
        if self.is_plain(desk) {
            self.write(&desk.component, resolved);
            if self.has_splits() {
                let mut whole = Vec::new();
                self.bases_of(&desk.component, &mut whole);
                self.split(&whole, &mut resolved.touched);
            }
        } else {
            desk.component.sort_unstable_by(|a, b| self.names.compare_objects(*a, *b));
            let mut outcome = agglomerate(self, &desk.component);
            if self.has_splits() {
                let mut whole = Vec::new();
                self.bases_of(&desk.component, &mut whole);
                whole.retain(|(base, _)| outcome.bases.iter().all(|(other, _)| base != other));
                outcome.bases.extend(whole);
            }
            self.split(&outcome.bases, &mut resolved.touched);
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
            self.rows[*object as usize].item = head;
            let next = members.get(at + 1).or(members.first()).copied().unwrap_or(*object);
            self.rows[*object as usize].next = next;
        }
        resolved.objects.extend_from_slice(members);
        resolved.items.push(resolved.objects.len() as u32);
    }

    /// The values that realms rest on and somebody in a component claims, as claimed by one item.
    fn bases_of(&self, component: &[u32], whole: &mut Vec<(u32, bool)>) {
        let claims = component.iter().flat_map(|object| self.joining(*object));
        whole
            .extend(claims.map(Claim::number).filter(|ident| self.is_base(*ident)).map(|base| (base, false)));
        whole.sort_unstable();
        whole.dedup();
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
                let slot = self.values[claim.number() as usize].slot;
                let rule = self.slot(slot);
                if !rule.single && rule.overlap.is_none() && rule.apart_below.is_none() {
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
        desk.holders.iter().filter(|(_, _, holders)| *holders > 1).all(|(slot, _, holders)| {
            let rule = self.slot(*slot);
            let counts = desk.values.iter().filter(|value| value.0 == *slot).map(|value| value.2);
            let (mut all_have, mut others) = (0, 0);
            for count in counts {
                if count == *holders {
                    all_have += 1;
                } else {
                    others += 1;
                }
            }
            // A value that all have contradicts nothing. However they are split in two, both sides have what all have, and
            // the one with fewer values no more than half of the others beside, but for what the other side has, too.
            let enough = |share: Share| share.holds(all_have, all_have + others / 2);
            (!rule.single || all_have > 0)
                && rule.apart_below.is_none_or(enough)
                && rule.overlap.is_none_or(|share| all_have >= rule.at_least && enough(share))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use itom_core::{Key, SourceName, Timestamp, key_kind, kind};
    use proptest::prelude::*;

    use super::*;
    use crate::fact::FactId;
    use crate::identity::{Described, IdentityRules, InheritedRule, KeyRule, Object};

    /// Rules that compare sets by a share: common to join, too few to be one, both or neither, for what is inherited, too.
    fn rules(pick: u8, share: Share) -> IdentityRules {
        let rules = IdentityRules::default();
        let mut mac = rules.rule_of(&key_kind::MAC).cloned().unwrap_or_default();
        mac.inherited = Some(InheritedRule::new(share, u32::from(pick >> 3) % 3).apart_below(share));
        let name = KeyRule {
            overlap: (pick & 1 == 0).then_some(share),
            apart_below: (pick & 2 == 0).then_some(share),
            single_valued: pick & 4 == 0,
            ..KeyRule::default()
        };
        rules.key_rule(key_kind::MAC, mac).key_rule(key_kind::FQDN, name)
    }

    fn macs(own: &BTreeSet<u8>) -> impl Iterator<Item = Key> {
        own.iter().flat_map(|mac| Key::mac(&format!("00:1b:00:00:00:{mac:02x}")))
    }

    proptest! {
        /// Who is joined without a look at the order is joined by looking at it.
        #[test]
        fn what_is_plain_is_one_item(
            things in proptest::collection::vec(
                (
                    proptest::collection::btree_set(0_u8..5, 0..5),
                    proptest::collection::btree_set(0_u8..5, 0..5),
                    proptest::collection::btree_set(0_u8..4, 0..4),
                    0_u8..6,
                    0_usize..6,
                    proptest::bool::weighted(0.8),
                ),
                2..7,
            ),
            (pick, of, out_of) in (any::<u8>(), 0_u32..5, 0_u32..5),
        ) {
            let mut resolver = Resolver::new(rules(pick, Share { of, out_of }));
            for (at, (own, parts, names, serial, source, live)) in things.iter().enumerate() {
                let names = names.iter().map(|name| Key::fqdn(&format!("host-{name}.example.com")));
                let serial = (*serial < 3).then(|| Key::serial(&format!("SN-4711-{serial}"))).transpose()?;
                let keys = macs(own).chain(names).chain(serial).collect();
                let inherited = macs(parts).collect();
                let said = Described {
                    kind: if at % 2 == 0 { &kind::HOST } else { &kind::HOST_LINUX },
                    keys: &keys,
                    inherited: &inherited,
                    first_seen: Timestamp::EPOCH,
                    live: *live,
                    statement: FactId::from_bytes([0; 16]),
                };
                resolver.put(&Object::new(SourceName::new(format!("source-{source}"))?, at.to_string()), said);
            }
            for object in 0..resolver.len() as u32 {
                let (component, outcome) = resolver.retrace(object);
                let mut desk = Desk { component, ..Desk::default() };
                if resolver.is_plain(&mut desk) {
                    prop_assert!(outcome.group.iter().all(|group| *group == 0), "{:?}", outcome);
                    prop_assert!(outcome.open.is_empty());
                }
            }
        }
    }
}
