//! Identity of what is touched: statements about sameness, items, and their ids.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, Strength, Subject, Timestamp};

use super::settle::Work;
use super::{Applied, ClusterRecord, Cmdb};
use crate::fact::{Fact, FactBody, FactId};
use crate::identity::{Ident, Object, Resolved};
use crate::view::presence::{Item, ItemKey};
use crate::view::reconcile;

impl Cmdb {
    /// The effective statements about sameness: the latest word on each pair, `NotSame` on a tie.
    pub(super) fn restate(&mut self) {
        let mut words: BTreeMap<(Object, Object), (Timestamp, bool, FactId)> = BTreeMap::new();
        self.words_end.clear();
        for fact in self.log.stated() {
            let (said, apart) = match fact.body() {
                FactBody::SameAs(said) => (said, false),
                FactBody::NotSame(said) => (said, true),
                _ => continue,
            };
            if let Some(until) = said.until {
                if until <= self.now {
                    continue;
                }
                self.words_end.insert(until);
            }
            let ends = (self.meant(fact, &said.a), self.meant(fact, &said.b));
            let (Some(a), Some(b)) = ends else { continue };
            if a == b {
                continue;
            }
            let word = (fact.observed(), apart, fact.id());
            let slot = words.entry((a.clone().min(b.clone()), a.max(b))).or_insert(word);
            *slot = (*slot).max(word);
        }
        let words = words.into_iter().map(|(pair, (_, apart, fact))| (pair, (!apart, fact))).collect();
        self.resolver.set_words(&words);
    }

    /// The object that a statement's subject means; a key means its first live claimant.
    fn meant(&self, fact: &Fact, subject: &Subject) -> Option<Object> {
        match subject {
            Subject::Native(native) => Some(Object::new(fact.source().clone(), native.clone())),
            Subject::Key(key) => {
                let ident = Ident::from(key);
                if self.resolver.is_hot(&ident) {
                    return None;
                }
                let number = self.resolver.names.find_ident(&ident)?;
                let first = self.resolver.claimants(number).min_by(|a, b| {
                    let gone = |object: u32| !self.resolver.row(object).live;
                    gone(*a).cmp(&gone(*b)).then_with(|| self.resolver.names.compare_objects(*a, *b))
                });
                first.map(|object| self.resolver.names.object_name(object))
            }
        }
    }

    /// Resolves what is touched and gives its items ids.
    pub(super) fn reidentify(&mut self, work: &mut Work, applied: &mut Applied) {
        let resolved = self.resolver.resolve();
        work.idents.extend(&resolved.touched);
        self.cis.resize(self.resolver.len(), None);
        let mut old: BTreeMap<CiId, ClusterRecord> = BTreeMap::new();
        for id in resolved.objects.iter().filter_map(|object| self.cis[*object as usize]) {
            if let Some(record) = self.clusters.remove(&id) {
                record.aliases.iter().for_each(|alias| self.view.remove_alias(*alias));
                old.insert(id, record);
            }
        }
        self.object_ids.resize(self.resolver.len(), None);
        for object in &resolved.objects {
            let id = &mut self.object_ids[*object as usize];
            *id = Some(id.unwrap_or_else(|| self.resolver.names.object_id(*object)));
        }
        let mut new: Vec<(CiId, ClusterRecord)> = Vec::with_capacity(resolved.items.len());
        let mut from = 0;
        for to in &resolved.components {
            let to = *to as usize;
            self.name_component(&resolved, from..to, &mut new);
            from = to;
        }
        for (id, record) in new {
            let known = old.get(&id);
            let changed = known.is_none_or(|known| known.objects != record.objects)
                || record.objects.iter().any(|object| work.dirty.contains(object));
            for object in &record.objects {
                let before = self.cis[*object as usize].replace(id);
                if before != Some(id) {
                    work.redirected.extend(before.map(|before| (before, *object)));
                    work.idents.extend(self.resolver.own_claims(*object).iter().map(|claim| claim.number()));
                    work.relations.extend(self.by_object.get(object).into_iter().flatten().cloned());
                }
            }
            record.aliases.iter().for_each(|alias| self.view.set_alias(*alias, id));
            if changed {
                self.describe(id, &record, work);
            }
            record.objects.iter().for_each(|object| {
                work.dirty.remove(object);
            });
            self.clusters.insert(id, record);
        }
        // Whose sameness is as before is only described anew.
        let dirty = std::mem::take(&mut work.dirty);
        let ids: BTreeSet<CiId> = dirty.iter().filter_map(|object| self.cis[*object as usize]).collect();
        for id in ids {
            if let Some(record) = self.clusters.remove(&id) {
                self.describe(id, &record, work);
                self.clusters.insert(id, record);
            }
        }
        for id in old.into_keys() {
            if !self.clusters.contains_key(&id) {
                let before = self.view.remove_ci(id);
                work.ci_before.entry(id).or_insert(before);
            }
        }
        for object in &resolved.objects {
            self.open.remove(object);
        }
        // A value may be open as a thing states it and as it inherits it.
        let mut told = BTreeSet::new();
        for open in resolved.open {
            let ambiguous = self.ambiguous(&open);
            applied.ambiguous.extend(ambiguous.filter(|own| told.insert(own.clone())));
            self.open.entry(open.object).or_default().push(open);
        }
    }

    fn describe(&mut self, id: CiId, record: &ClusterRecord, work: &mut Work) {
        let mut objects: Vec<Object> =
            record.objects.iter().map(|object| self.resolver.names.object_name(*object)).collect();
        objects.sort();
        let items: Vec<(&Object, &Item)> = objects
            .iter()
            .filter_map(|object| {
                let state = self.sources.get(&object.source)?;
                Some((object, state.items.get(&ItemKey::Ci(object.native.clone()))?))
            })
            .collect();
        // Whether references mean it by what only a lock says follows from whether it is there.
        let locks = record.objects.iter().filter(|object| self.resolver.is_lock(**object));
        work.idents
            .extend(locks.flat_map(|object| self.resolver.own_claims(*object)).map(|own| own.number()));
        let mints = !self.resolver.rules().has_kind_rules()
            || record.objects.iter().any(|object| {
                let kind = self.resolver.names.kind_of(self.resolver.row(*object).kind);
                let strongest = self.resolver.joining(*object).map(|claim| claim.strength()).max();
                self.resolver.rules().mints(kind, strongest)
            });
        let before = self.view.ci(id).map(|ci| ci.body.as_ref());
        if let Some(ci) = reconcile::ci(&self.config, id, self.now, mints, &items, (before, &mut self.shared))
        {
            let before = self.view.put_ci(&ci);
            work.ci_before.entry(id).or_insert(before);
        }
    }

    /// Gives the items of one component their ids. The id is that of the oldest object: of the strongest and smallest
    /// key that the item owns (a value belongs to its oldest claimant), else of the object itself. So the item that was
    /// there first keeps its id when another joins it or parts from it. Every other owned key and object is an alias.
    fn name_component(
        &mut self,
        resolved: &Resolved,
        items: std::ops::Range<usize>,
        new: &mut Vec<(CiId, ClusterRecord)>,
    ) {
        let bounds = |item: usize| {
            let from = item.checked_sub(1).map_or(0, |before| resolved.items[before] as usize);
            from..resolved.items[item] as usize
        };
        let several = items.len() > 1;
        // Within one item every value it claims is its own; between several the oldest claimant owns it.
        let mut owners: BTreeMap<u32, (u32, usize)> = BTreeMap::new();
        if several {
            for item in items.clone() {
                for object in &resolved.objects[bounds(item)] {
                    for claim in self.resolver.joining(*object) {
                        if claim.strength() < Strength::Issued || self.resolver.is_inherited(claim.number()) {
                            continue;
                        }
                        let owner = owners.entry(claim.number()).or_insert((*object, item));
                        if self.is_older(*object, owner.0) {
                            *owner = (*object, item);
                        }
                    }
                }
            }
        }
        for item in items {
            let objects = &resolved.objects[bounds(item)];
            let Some(first) = objects.first() else { continue };
            let oldest = objects[1..]
                .iter()
                .fold(*first, |oldest, other| if self.is_older(*other, oldest) { *other } else { oldest });
            let owned = |ident: u32| !several || owners.get(&ident).is_some_and(|owner| owner.1 == item);
            let strong = |object: u32| {
                // What is a part's gives the part its id.
                self.resolver.joining(object).filter(|claim| {
                    claim.strength() >= Strength::Issued
                        && owned(claim.number())
                        && !self.resolver.is_inherited(claim.number())
                })
            };
            let anchor = strong(oldest).min_by(|a, b| {
                let names = &self.resolver.names;
                b.strength().cmp(&a.strength()).then_with(|| names.compare_idents(a.number(), b.number()))
            });
            let mut idents: Vec<u32> =
                objects.iter().flat_map(|object| strong(*object)).map(|claim| claim.number()).collect();
            idents.sort_unstable();
            idents.dedup();
            let anchor = anchor.map(|claim| claim.number());
            let id = match anchor {
                Some(ident) => self.ident_id(ident),
                None => self.object_id(oldest),
            };
            let mut aliases: Vec<CiId> = objects
                .iter()
                .map(|object| self.object_id(*object))
                .chain(idents.into_iter().map(|ident| self.ident_id(ident)))
                .filter(|alias| *alias != id)
                .collect();
            aliases.sort_unstable();
            aliases.dedup();
            let mut objects = objects.to_vec();
            objects.sort_unstable();
            new.push((id, ClusterRecord { objects, aliases }));
        }
    }

    fn is_older(&self, a: u32, b: u32) -> bool {
        let seen = |object: u32| self.resolver.row(object).first_seen;
        seen(a).cmp(&seen(b)).then_with(|| self.resolver.names.compare_objects(a, b)).is_lt()
    }

    /// The id that an object gives.
    fn object_id(&self, object: u32) -> CiId {
        let known = self.object_ids.get(object as usize).copied().flatten();
        known.unwrap_or_else(|| self.resolver.names.object_id(object))
    }

    /// The id that a value gives.
    pub(super) fn ident_id(&self, ident: u32) -> CiId {
        let known = self.ident_ids.get(ident as usize).copied().flatten();
        known.unwrap_or_else(|| self.resolver.names.ident_id(ident))
    }

    /// Learns the ids of these values.
    pub(super) fn learn_ident_ids(&mut self, idents: impl IntoIterator<Item = u32>) {
        for ident in idents {
            let place = ident as usize;
            if self.ident_ids.len() <= place {
                self.ident_ids.resize(place + 1, None);
            }
            let slot = &mut self.ident_ids[place];
            if slot.is_none() {
                *slot = Some(self.resolver.names.ident_id(ident));
            }
        }
    }
}
