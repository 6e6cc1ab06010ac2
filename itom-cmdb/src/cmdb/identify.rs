//! Identity of what is touched: statements about sameness, components, clusters, and their ids.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, Strength, Subject, Timestamp};

use super::settle::Work;
use super::{ClusterRecord, Cmdb};
use crate::fact::{Fact, FactBody, FactId};
use crate::identity::{Cluster, Ident, Member, Object, partition};
use crate::view::presence::{Item, ItemKey};
use crate::view::reconcile;

impl Cmdb {
    /// The effective statements about sameness: the latest word on each pair, `NotSame` on a tie.
    pub(super) fn restate(&mut self, work: &mut Work) {
        let mut words: BTreeMap<(Object, Object), (Timestamp, bool, FactId)> = BTreeMap::new();
        for fact in self.log.stated() {
            let (said, apart) = match fact.body() {
                FactBody::SameAs(said) => (said, false),
                FactBody::NotSame(said) => (said, true),
                _ => continue,
            };
            let ends = (self.meant(fact, &said.a), self.meant(fact, &said.b));
            let (Some(a), Some(b)) = ends else { continue };
            if a == b {
                continue;
            }
            let word = (fact.observed(), apart, fact.id());
            let slot = words.entry((a.clone().min(b.clone()), a.max(b))).or_insert(word);
            *slot = (*slot).max(word);
        }
        let mut same = BTreeMap::new();
        let mut apart = BTreeSet::new();
        for (pair, (_, is_apart, fact)) in words {
            if is_apart {
                apart.insert(pair);
            } else {
                same.insert(pair, fact);
            }
        }
        for (a, b) in self.stated_apart.symmetric_difference(&apart) {
            work.seeds.extend([a.clone(), b.clone()]);
        }
        for (pair, fact) in &same {
            if self.stated_same.get(pair) != Some(fact) {
                work.seeds.extend([pair.0.clone(), pair.1.clone()]);
            }
        }
        self.index.set_bonds(&same.keys().cloned().collect(), &mut work.seeds);
        self.stated_apart = apart;
        self.stated_same = same;
    }

    /// The object that a statement's subject means; a key means its first live claimant.
    fn meant(&self, fact: &Fact, subject: &Subject) -> Option<Object> {
        match subject {
            Subject::Native(native) => Some(Object::new(fact.source().clone(), native.clone())),
            Subject::Key(key) => {
                let ident = Ident::from(key);
                if self.index.is_hot(&ident) {
                    return None;
                }
                self.index
                    .claimants(&ident)
                    .min_by_key(|(object, entry)| (!entry.live, *object))
                    .map(|(o, _)| o.clone())
            }
        }
    }

    /// Partitions the touched components and gives their clusters ids.
    pub(super) fn repartition(&mut self, work: &mut Work) {
        if work.seeds.is_empty() {
            return;
        }
        let rules = self.config.identity().clone();
        let mut components = self.index.components(&rules, &work.seeds);
        loop {
            // What was one item with a touched object is looked at too, whatever took it apart.
            let reached: BTreeSet<&Object> = components.iter().flatten().collect();
            let before = reached.iter().filter_map(|object| self.index.get(object)?.ci);
            let missed: Vec<Object> = before
                .collect::<BTreeSet<CiId>>()
                .into_iter()
                .filter_map(|id| self.clusters.get(&id))
                .flat_map(|record| &record.objects)
                .filter(|object| !reached.contains(object))
                .cloned()
                .collect();
            if missed.is_empty() {
                break;
            }
            work.seeds.extend(missed);
            components = self.index.components(&rules, &work.seeds);
        }
        let mut old: BTreeMap<CiId, ClusterRecord> = BTreeMap::new();
        let mut new: Vec<(CiId, ClusterRecord)> = Vec::new();
        for component in &components {
            for id in component.iter().filter_map(|object| self.index.get(object)?.ci) {
                if let Some(record) = self.clusters.remove(&id) {
                    record.aliases.iter().for_each(|alias| self.view.remove_alias(*alias));
                    old.insert(id, record);
                }
            }
            let members: Vec<Member> =
                component.iter().filter_map(|object| self.index.member(&rules, object)).collect();
            let within = |object: &Object| component.binary_search(object).is_ok();
            let same: Vec<(Object, Object, FactId)> = self
                .stated_same
                .iter()
                .filter(|((a, b), _)| within(a) && within(b))
                .map(|((a, b), fact)| (a.clone(), b.clone(), *fact))
                .collect();
            let apart: Vec<(Object, Object)> =
                self.stated_apart.iter().filter(|(a, b)| within(a) && within(b)).cloned().collect();
            let owners = owners(&members);
            for cluster in partition(&rules, members.clone(), &same, &apart) {
                new.push(name_cluster(&members, &owners, cluster));
            }
        }
        for (id, record) in new {
            let known = old.get(&id);
            let changed = known.is_none_or(|known| known.objects != record.objects)
                || record.objects.iter().any(|object| work.dirty.contains(object));
            for object in &record.objects {
                let before = self.index.get(object).and_then(|entry| entry.ci);
                if before != Some(id) {
                    self.index.set_ci(object, id);
                    work.redirected.extend(before.map(|before| (before, object.clone())));
                    if let Some(entry) = self.index.get(object) {
                        work.idents.extend(entry.keys.keys().cloned());
                    }
                    work.relations.extend(self.by_object.get(object).into_iter().flatten().cloned());
                }
            }
            record.aliases.iter().for_each(|alias| self.view.set_alias(*alias, id));
            if changed {
                let items: Vec<(&Object, &Item)> = record
                    .objects
                    .iter()
                    .filter_map(|object| {
                        let state = self.sources.get(&object.source)?;
                        Some((object, state.items.get(&ItemKey::Ci(object.native.clone()))?))
                    })
                    .collect();
                if let Some(ci) = reconcile::ci(&self.config, id, self.now, &items) {
                    let before = self.view.put_ci(&ci);
                    work.ci_before.entry(id).or_insert(before);
                }
            }
            self.clusters.insert(id, record);
        }
        for id in old.into_keys() {
            if !self.clusters.contains_key(&id) {
                let before = self.view.remove_ci(id);
                work.ci_before.entry(id).or_insert(before);
            }
        }
    }
}

/// Who owns each strong key of a component: its oldest claimant.
fn owners(members: &[Member]) -> BTreeMap<&Ident, (Timestamp, &Object)> {
    let mut owners: BTreeMap<&Ident, (Timestamp, &Object)> = BTreeMap::new();
    for member in members {
        for (ident, strength) in &member.keys {
            if *strength >= Strength::Issued {
                let claim = (member.first_seen, &member.object);
                let owner = owners.entry(ident).or_insert(claim);
                *owner = (*owner).min(claim);
            }
        }
    }
    owners
}

/// The id of a cluster: of its oldest object, the strongest and smallest key that the cluster owns, else the object
/// itself. Every other owned key and object is an alias.
fn name_cluster(
    members: &[Member],
    owners: &BTreeMap<&Ident, (Timestamp, &Object)>,
    cluster: Cluster,
) -> (CiId, ClusterRecord) {
    let own = |object: &Object| cluster.objects.binary_search(object).is_ok();
    let mut inside: Vec<&Member> = members.iter().filter(|member| own(&member.object)).collect();
    inside.sort_by_key(|member| (member.first_seen, &member.object));
    let owned = |ident: &Ident| owners.get(ident).is_some_and(|(_, owner)| own(owner));
    let anchor = inside.first().and_then(|oldest| {
        let strong =
            oldest.keys.iter().filter(|(ident, strength)| **strength >= Strength::Issued && owned(ident));
        strong
            .min_by_key(|(ident, strength)| (std::cmp::Reverse(**strength), *ident))
            .map(|(ident, _)| ident.ci_id())
    });
    let mut aliases: BTreeSet<CiId> = cluster.objects.iter().map(Object::ci_id).collect();
    for member in &inside {
        aliases.extend(member.keys.keys().filter(|ident| owned(ident)).map(Ident::ci_id));
    }
    let id = anchor.or_else(|| inside.first().map(|oldest| oldest.object.ci_id()));
    let id = id.unwrap_or_else(|| CiId::derive(&["object"]));
    aliases.remove(&id);
    let record = ClusterRecord {
        objects: cluster.objects,
        proofs: cluster.proofs,
        aliases: aliases.into_iter().collect(),
    };
    (id, record)
}
