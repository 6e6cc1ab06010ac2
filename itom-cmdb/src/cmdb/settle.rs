//! From touched items to a settled view: identity of the touched components, then items, references, relations, and
//! what became different.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use itom_core::{CiId, Key, SourceName, Strength, Subject, Timestamp};

use super::{Applied, ClusterRecord, Cmdb, GraphDelta, ItemRef, Redirect, RelationEntry, objects_of};
use crate::config::CmdbConfig;
use crate::fact::{Fact, FactBody, FactId};
use crate::history::{ci_changes, relation_changes};
use crate::identity::{Ambiguous, Cluster, Entry, Ident, Member, Object, partition};
use crate::view::presence::{Item, ItemKey, Touch};
use crate::view::{Ci, Relation, RelationId, reconcile};

/// What one settling touches.
#[derive(Default)]
struct Work {
    /// Objects whose component may change.
    seeds: BTreeSet<Object>,
    /// Objects whose description or life changed.
    dirty: BTreeSet<Object>,
    /// Values whose claimants may change.
    idents: BTreeSet<Ident>,
    /// Relation statements to resolve (again).
    relations: BTreeSet<ItemRef>,
    /// Values whose loose end may change.
    loose: BTreeSet<Ident>,
    moved_objects: Vec<(Object, Timestamp)>,
    moved_relations: Vec<(ItemRef, Timestamp)>,
    ci_before: BTreeMap<CiId, Option<Ci>>,
    relation_before: BTreeMap<RelationId, Option<Relation>>,
    redirected: BTreeSet<(CiId, Object)>,
}

impl Cmdb {
    fn item(&self, item: &ItemRef) -> Option<&Item> {
        self.sources.get(&item.0)?.items.get(&item.1)
    }

    /// Moves the time forward and touches what it makes due.
    pub(super) fn advance(&mut self, now: Timestamp, touched: &mut BTreeMap<ItemRef, Touch>) {
        self.now = self.now.max(now);
        self.view.as_of = Some(self.now);
        while let Some((at, item)) = self.deadlines.first().cloned() {
            if at > self.now {
                break;
            }
            self.deadlines.pop_first();
            if self.armed.get(&item) == Some(&at) {
                self.armed.remove(&item);
            }
            let Some(own) = self.item(&item) else { continue };
            let stale = |span| own.last_seen + span <= self.now;
            let due = own.departure(&self.config, self.now).is_some()
                || self.config.freshness_of(&item.0).is_some_and(stale);
            let next = next_deadline(&self.config, &item.0, own, self.now);
            if due {
                touched.insert(Arc::clone(&item), Touch::Dirty);
            } else if let Some(next) = next {
                self.arm(item, next);
            }
        }
    }

    fn arm(&mut self, item: ItemRef, at: Timestamp) {
        if self.armed.get(&item).is_none_or(|armed| at < *armed) {
            self.armed.insert(Arc::clone(&item), at);
            self.deadlines.insert((at, item));
        }
    }

    pub(super) fn settle(
        &mut self,
        touched: BTreeMap<ItemRef, Touch>,
        stated: bool,
        applied: &mut Applied,
    ) {
        let mut work = Work::default();
        for (item, touch) in touched {
            self.take_in(item, touch, &mut work);
        }
        if stated || (!work.idents.is_empty() && self.log.stated().next().is_some()) {
            self.restate(&mut work);
        }
        self.repartition(&mut work);
        self.reclaim(&mut work);
        self.relate(&mut work);
        self.tie_up(&mut work, applied);
        self.renew(&work);
        self.conclude(work, applied);
    }

    /// Sorts a touched item into what must be derived anew and what was only seen again.
    fn take_in(&mut self, item: ItemRef, touch: Touch, work: &mut Work) {
        let Some(own) = self.sources.get(&item.0).and_then(|state| state.items.get(&item.1)) else { return };
        let live = own.departure(&self.config, self.now).is_none();
        let timed = self.config.freshness_of(&item.0).is_some();
        match (&item.1, own.ci()) {
            (ItemKey::Ci(native), Some(ci)) => {
                let object = Object::new(item.0.clone(), native.clone());
                // While it is gone, since when follows from when it was seen last: that is no mere renewal.
                let as_before = live && self.index.get(&object).is_some_and(|entry| entry.live);
                if touch == Touch::Moved && as_before && !timed {
                    work.moved_objects.push((object, own.last_seen));
                    return;
                }
                let mut keys: BTreeMap<Ident, Strength> = BTreeMap::new();
                for key in &ci.keys {
                    let strength = keys.entry(Ident::from(key)).or_insert_with(|| key.strength());
                    *strength = key.strength().max(*strength);
                }
                let entry = Entry {
                    kind: ci.kind.clone(),
                    live,
                    first_seen: own.first_seen,
                    statement: own.statement.id(),
                    keys,
                    ci: None,
                };
                self.index.put(self.config.identity(), &object, entry, &mut work.seeds, &mut work.idents);
                work.dirty.insert(object);
            }
            (ItemKey::Relation(..), _) => {
                let as_before = live && self.relations.get(&item).is_some_and(|entry| entry.live);
                if touch == Touch::Moved && as_before {
                    work.moved_relations.push((item, own.last_seen));
                    return;
                }
                work.relations.insert(Arc::clone(&item));
            }
            (ItemKey::Ci(_), None) => return,
        }
        let deadline = next_deadline(&self.config, &item.0, own, self.now);
        if let Some(at) = deadline {
            self.arm(item, at);
        }
    }

    /// The effective statements about sameness: the latest word on each pair, `NotSame` on a tie.
    fn restate(&mut self, work: &mut Work) {
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
                self.index.claimants(&ident).min_by_key(|(object, entry)| (!entry.live, *object)).map(|(o, _)| o.clone())
            }
        }
    }

    /// Partitions the touched components and gives their clusters ids.
    fn repartition(&mut self, work: &mut Work) {
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
                    let before = self.view.put_ci(ci);
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

    /// Which items claim the touched values now.
    fn reclaim(&mut self, work: &mut Work) {
        for ident in &work.idents {
            let usable = !self.index.is_hot(ident) && !self.config.identity().is_junk(ident);
            let candidates: BTreeSet<CiId> = if usable {
                self.index.claimants(ident).filter(|(_, entry)| entry.live).filter_map(|(_, entry)| entry.ci).collect()
            } else {
                BTreeSet::new()
            };
            if self.view.set_candidates(ident, candidates.into_iter().collect()) {
                if let Some(references) = self.by_ident.get(ident) {
                    work.relations.extend(references.iter().cloned());
                    work.loose.insert(ident.clone());
                }
            }
        }
    }

    /// Resolves the touched relation statements and derives the relations they make.
    fn relate(&mut self, work: &mut Work) {
        let mut touched: BTreeSet<RelationId> = BTreeSet::new();
        for item in std::mem::take(&mut work.relations) {
            let ItemKey::Relation(kind, from, to) = &item.1 else { continue };
            if !self.relations.contains_key(&item) {
                for subject in [from, to] {
                    if let Some(object) = objects_of(&item.0, subject) {
                        self.by_object.entry(object).or_default().insert(Arc::clone(&item));
                    } else if let Subject::Key(key) = subject {
                        self.by_ident.entry(Ident::from(key)).or_default().insert(Arc::clone(&item));
                    }
                }
            }
            for subject in [from, to] {
                if let Subject::Key(key) = subject {
                    work.loose.insert(Ident::from(key));
                }
            }
            let ends = self.end(&item.0, from).zip(self.end(&item.0, to)).filter(|(from, to)| from != to);
            let Some(own) = self.item(&item) else { continue };
            let entry = RelationEntry {
                relation: ends.map(|(from, to)| RelationId::derive(kind, from, to)),
                ends,
                live: own.departure(&self.config, self.now).is_none(),
            };
            let before = self.relations.insert(Arc::clone(&item), entry.clone()).unwrap_or_default();
            if let Some(id) = before.relation.filter(|id| Some(*id) != entry.relation) {
                touched.insert(id);
                if let Some(items) = self.supports.get_mut(&id) {
                    items.remove(&item);
                }
            }
            if let Some(id) = entry.relation {
                touched.insert(id);
                self.supports.entry(id).or_default().insert(item);
            }
        }
        for id in touched {
            let items: Vec<ItemRef> = self.supports.get(&id).into_iter().flatten().cloned().collect();
            let ends = items.first().and_then(|item| self.relations.get(item)?.ends);
            let said: Vec<(&SourceName, &Item)> =
                items.iter().filter_map(|item| Some((&item.0, self.item(item)?))).collect();
            let relation = ends.and_then(|ends| reconcile::relation(&self.config, ends, self.now, &said));
            let before = match relation {
                Some(relation) => self.view.put_relation(id, relation),
                None => {
                    self.supports.remove(&id);
                    self.view.remove_relation(id)
                }
            };
            work.relation_before.entry(id).or_insert(before);
        }
    }

    fn end(&self, source: &SourceName, subject: &Subject) -> Option<CiId> {
        match subject {
            Subject::Native(native) => self.index.get(&Object::new(source.clone(), native.clone()))?.ci,
            Subject::Key(key) => {
                let ident = Ident::from(key);
                Some(self.view.claimant(&ident).unwrap_or_else(|| ident.loose_id()))
            }
        }
    }

    /// Makes, keeps or resolves loose ends.
    fn tie_up(&mut self, work: &mut Work, applied: &mut Applied) {
        for ident in std::mem::take(&mut work.loose) {
            let id = ident.loose_id();
            let references = self.by_ident.get(&ident);
            let candidates = self.view.candidates(&ident).to_vec();
            if let [claimant] = candidates.as_slice() {
                if let Some(before) = self.view.remove_ci(id) {
                    applied.redirects.push(Redirect { from: id, to: *claimant });
                    work.ci_before.entry(id).or_insert(Some(before));
                }
                self.view.set_alias(id, *claimant);
                continue;
            }
            self.view.remove_alias(id);
            let said: Vec<(&SourceName, &Item)> = references
                .into_iter()
                .flatten()
                .filter_map(|item| Some((&item.0, self.item(item)?)))
                .collect();
            let key = references.into_iter().flatten().find_map(|item| key_of(item, &ident));
            let loose = key.and_then(|key| reconcile::loose_end(&self.config, id, key, self.now, &said));
            if let Some(ci) = loose {
                let before = self.view.put_ci(ci);
                work.ci_before.entry(id).or_insert(before);
            }
            if candidates.len() > 1 {
                applied.ambiguous.push(Ambiguous { key: ident, candidates });
            }
        }
    }

    /// What was only seen again.
    fn renew(&mut self, work: &Work) {
        for (object, at) in &work.moved_objects {
            if let Some(id) = self.index.get(object).and_then(|entry| entry.ci) {
                self.view.renew_ci(id, *at);
            }
        }
        for (item, at) in &work.moved_relations {
            if let Some(id) = self.relations.get(item).and_then(|entry| entry.relation) {
                self.view.renew_relation(id, *at);
            }
            if let ItemKey::Relation(_, from, to) = &item.1 {
                for subject in [from, to] {
                    if let Subject::Key(key) = subject {
                        // Nothing is there under this id once the reference is resolved.
                        self.view.renew_ci(Ident::from(key).loose_id(), *at);
                    }
                }
            }
        }
    }

    /// Says what became different.
    fn conclude(&mut self, work: Work, applied: &mut Applied) {
        let now = self.now;
        for (from, object) in &work.redirected {
            let to = self.index.get(object).and_then(|entry| entry.ci);
            if let Some(to) = to.filter(|_| self.view.ci(*from).is_none()) {
                applied.redirects.push(Redirect { from: *from, to });
            }
        }
        let active = |ci: Option<&Ci>| ci.is_some_and(|ci| ci.state().is_active());
        let mut edges: BTreeSet<RelationId> = work.relation_before.keys().copied().collect();
        for (id, before) in &work.ci_before {
            let (before, after) = (before.as_ref(), self.view.ci(*id));
            ci_changes(now, before, after, &mut applied.changes);
            if active(before) != active(after) {
                edges.extend(self.view.relations_of(*id).map(Relation::id));
            }
            match after.filter(|after| after.state().is_active()) {
                Some(ci) => {
                    let same =
                        before.is_some_and(|old| active(Some(old)) && old.kind() == ci.kind() && old.name() == ci.name());
                    if !same {
                        let (kind, name) = (ci.kind().clone(), ci.name().clone());
                        applied.graph.push(GraphDelta::Upsert { ci: *id, kind, name });
                    }
                }
                None if active(before) => applied.graph.push(GraphDelta::Remove(*id)),
                None => {}
            }
        }
        for id in edges {
            let after = self.view.relation(id);
            let before = work.relation_before.get(&id).map_or(after, Option::as_ref);
            relation_changes(now, before, after, &mut applied.changes);
            let Some(relation) = after.or(before) else { continue };
            let (kind, from, to) = (relation.kind.clone(), relation.from, relation.to);
            let was_active = |id: CiId| {
                work.ci_before.get(&id).map_or_else(|| active(self.view.ci(id)), |ci| active(ci.as_ref()))
            };
            let holds = |relation: Option<&Relation>| relation.is_some_and(|relation| relation.state.is_active());
            let was = holds(before) && was_active(from) && was_active(to);
            let is = holds(after) && active(self.view.ci(from)) && active(self.view.ci(to));
            match (was, is) {
                (false, true) => applied.graph.push(GraphDelta::Relate { kind, from, to }),
                (true, false) => applied.graph.push(GraphDelta::Unrelate { kind, from, to }),
                _ => {}
            }
        }
        applied.changes.sort();
        // The order of the variants is the order in which they can be applied.
        applied.graph.sort();
        applied.redirects.sort();
        applied.redirects.dedup();
        applied.ambiguous.sort();
        applied.proposed_retirements = self.proposed_retirements();
        self.feed.push(&applied.changes, self.config.ring_size());
    }
}

/// When an item may next change without being told: the end of its lease or of its claims' freshness.
fn next_deadline(config: &CmdbConfig, source: &SourceName, item: &Item, now: Timestamp) -> Option<Timestamp> {
    if item.departure(config, now).is_some() {
        return None;
    }
    [item.lease(config), config.freshness_of(source)]
        .into_iter()
        .flatten()
        .map(|span| item.last_seen + span)
        .filter(|at| *at > now)
        .min()
}

fn key_of<'a>(item: &'a ItemRef, ident: &Ident) -> Option<&'a Key> {
    let ItemKey::Relation(_, from, to) = &item.1 else { return None };
    [from, to].into_iter().find_map(|subject| match subject {
        Subject::Key(key) if Ident::from(key) == *ident => Some(key),
        _ => None,
    })
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
        let strong = oldest.keys.iter().filter(|(ident, strength)| **strength >= Strength::Issued && owned(ident));
        strong.min_by_key(|(ident, strength)| (std::cmp::Reverse(**strength), *ident)).map(|(ident, _)| ident.ci_id())
    });
    let mut aliases: BTreeSet<CiId> = cluster.objects.iter().map(Object::ci_id).collect();
    for member in &inside {
        aliases.extend(member.keys.keys().filter(|ident| owned(ident)).map(Ident::ci_id));
    }
    let id = anchor.or_else(|| inside.first().map(|oldest| oldest.object.ci_id()));
    let id = id.unwrap_or_else(|| CiId::derive(&["object"]));
    aliases.remove(&id);
    let record =
        ClusterRecord { objects: cluster.objects, proofs: cluster.proofs, aliases: aliases.into_iter().collect() };
    (id, record)
}
