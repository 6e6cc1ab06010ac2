//! From touched items to a settled view: identity of the touched components, then items, references, relations, and
//! what became different.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use itom_core::{CiId, CiObservation, Key, SourceName, Subject, Text, Timestamp};

use super::inherit::Heritage;
use super::touched::Touched;
use super::{Applied, Cmdb, ItemRef, Redirect, RelationEntry};
use crate::config::CmdbConfig;
use crate::identity::{Ambiguous, Described, Ident, Said};
use crate::lock;
use crate::view::presence::{Item, ItemKey, Touch};
use crate::view::{Ci, LifeCycle, Relation, RelationId, reconcile};

/// What one settling touches.
#[derive(Default)]
pub(super) struct Work {
    /// Objects whose description or life changed.
    pub(super) dirty: BTreeSet<u32>,
    /// Values whose claimants may change.
    pub(super) idents: Vec<u32>,
    /// Relation statements to resolve (again).
    pub(super) relations: BTreeSet<ItemRef>,
    /// Values whose loose end may change.
    pub(super) loose: BTreeSet<u32>,
    pub(super) moved_objects: Vec<(u32, Timestamp)>,
    pub(super) moved_relations: Vec<(ItemRef, Timestamp)>,
    pub(super) ci_before: BTreeMap<CiId, Option<Ci>>,
    pub(super) relation_before: BTreeMap<RelationId, Option<Relation>>,
    pub(super) redirected: BTreeSet<(CiId, u32)>,
}

/// What a source says of one of its objects now, on the way to the resolver.
struct Told<'a> {
    source: &'a SourceName,
    native: &'a Text,
    own: &'a Item,
    ci: &'a CiObservation,
    live: bool,
    inherited: BTreeSet<Key>,
    is_late: bool,
}

impl Told<'_> {
    fn said(&self) -> Said<'_> {
        let described = Described {
            kind: &self.ci.kind,
            keys: &self.ci.keys,
            inherited: &self.inherited,
            first_seen: self.own.first_seen,
            live: self.live,
            statement: self.own.statement.id(),
        };
        (self.source, self.native, described)
    }
}

impl Cmdb {
    fn item(&self, item: &ItemRef) -> Option<&Item> {
        self.sources.get(&item.0)?.items.get(&item.1)
    }

    /// Moves the time forward and touches what it makes due.
    pub(super) fn advance(&mut self, now: Timestamp, touched: &mut Touched) {
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
                || own.stale_at(&self.config).is_some_and(|at| at <= self.now)
                || lock_end(&item.0, own).is_some_and(|end| end <= self.now)
                || self.config.freshness_of(&item.0).is_some_and(stale);
            let next = next_deadline(&self.config, &item.0, own, self.now);
            if due {
                touched.add(Arc::clone(&item), Touch::Dirty);
            } else if let Some(next) = next {
                self.arm(item, next);
            }
        }
    }

    fn is_stale(&self, object: u32) -> bool {
        self.config.is_ageing()
            && self
                .cis
                .get(object as usize)
                .copied()
                .flatten()
                .and_then(|id| self.view.ci(id))
                .is_some_and(|ci| matches!(ci.life(), LifeCycle::Stale { .. }))
    }

    fn arm(&mut self, item: ItemRef, at: Timestamp) {
        if self.armed.get(&item).is_none_or(|armed| at < *armed) {
            self.armed.insert(Arc::clone(&item), at);
            self.deadlines.insert((at, item));
        }
    }

    pub(super) fn settle(&mut self, touched: Touched, stated: bool, applied: &mut Applied) {
        let mut work = Work::default();
        self.take_in(touched, &mut work);
        let ended = self.words_end.first().is_some_and(|at| *at <= self.now);
        if stated || ended || (!work.idents.is_empty() && self.log.stated().next().is_some()) {
            self.restate();
        }
        self.learn_ident_ids(work.idents.iter().copied());
        self.reidentify(&mut work, applied);
        self.reclaim(&mut work);
        self.relate(&mut work);
        self.tie_up(&mut work, applied);
        self.renew(&work);
        self.conclude(&work, applied);
    }

    /// Sorts touched items into what must be derived anew and what was only seen again.
    fn take_in(&mut self, touched: Touched, work: &mut Work) {
        let items: Vec<(ItemRef, Touch)> = touched.into_items().collect();
        let mut told: Vec<Told<'_>> = Vec::with_capacity(items.len());
        let mut due: Vec<(ItemRef, Timestamp)> = Vec::new();
        let rules = self.config.identity();
        let inheriting = rules.has_children();
        for of_source in items.chunk_by(|(a, _), (b, _)| a.0 == b.0) {
            let Some((source, state)) =
                of_source.first().and_then(|(item, _)| Some((&item.0, self.sources.get(&item.0)?)))
            else {
                continue;
            };
            let timed = self.config.freshness_of(source).is_some();
            let first = told.len();
            // Whose parts changed.
            let mut wholes: BTreeSet<&Text> = BTreeSet::new();
            for (item, touch) in of_source {
                let Some(own) = state.items.get(&item.1) else { continue };
                let live = own.departure(&self.config, self.now).is_none();
                match (&item.1, own.ci()) {
                    (ItemKey::Ci(native), Some(ci)) => {
                        // While it is gone, since when follows from when it was seen last: that is no mere renewal.
                        if *touch == Touch::Moved && live && !timed {
                            let known = self.resolver.names.find_object(source, native);
                            // What was stale is fresh again, and what was its part may be none now: that is no mere
                            // renewal either.
                            let renewed = |object: &u32| {
                                let row = self.resolver.row(*object);
                                row.live && !self.is_stale(*object) && !self.late.contains(object)
                            };
                            if let Some(object) = known.filter(renewed) {
                                work.moved_objects.push((object, own.last_seen));
                                continue;
                            }
                        }
                        if inheriting && (rules.is_child(&ci.kind) || self.was_child(source, native)) {
                            wholes.extend(self.wholes_of(source, native));
                        }
                        told.push(Told {
                            source,
                            native,
                            own,
                            ci,
                            live,
                            inherited: BTreeSet::new(),
                            is_late: false,
                        });
                    }
                    (ItemKey::Relation(named), _) => {
                        let as_before = live && self.relations.get(item).is_some_and(|entry| entry.live);
                        if *touch == Touch::Moved && as_before {
                            work.moved_relations.push((Arc::clone(item), own.last_seen));
                            continue;
                        }
                        if inheriting {
                            wholes.extend(self.whole_in(named).map(|own| own.0));
                        }
                        work.relations.insert(Arc::clone(item));
                    }
                    (ItemKey::Ci(_), None) => continue,
                }
                let deadline = next_deadline(&self.config, source, own, self.now);
                due.extend(deadline.map(|at| (Arc::clone(item), at)));
            }
            // Those of a source are in the order of their natives.
            wholes.retain(|native| told[first..].binary_search_by_key(native, |own| own.native).is_err());
            for native in wholes {
                let Some(own) = state.items.get(&ItemKey::Ci(native.clone())) else { continue };
                let Some(ci) = own.ci().filter(|ci| !rules.children_of(&ci.kind).is_empty()) else {
                    continue;
                };
                let live = own.departure(&self.config, self.now).is_none();
                told.push(Told {
                    source,
                    native: &ci.subject,
                    own,
                    ci,
                    live,
                    inherited: BTreeSet::new(),
                    is_late: false,
                });
            }
            for own in told[first..].iter_mut().filter(|own| !rules.children_of(&own.ci.kind).is_empty()) {
                let heritage = Heritage::of(&self.config, state, own.native, own.own, self.now);
                own.inherited = heritage.keys(&self.config, own.ci);
                own.is_late = heritage.is_late;
            }
        }
        let mut numbers = told.iter();
        let late = &mut self.late;
        self.resolver.describe(told.iter().map(Told::said), &mut work.idents, |object| {
            let is_late = numbers.next().is_some_and(|own| own.is_late);
            let Some(object) = object else { return };
            work.dirty.insert(object);
            if is_late {
                late.insert(object);
            } else {
                late.remove(&object);
            }
        });
        work.idents.retain(|ident| !self.resolver.is_inherited(*ident));
        for (item, at) in due {
            self.arm(item, at);
        }
    }

    /// Whether something inherited from an object as it was described before.
    fn was_child(&self, source: &SourceName, native: &Text) -> bool {
        let known = self.resolver.names.find_object(source, native).map(|object| self.resolver.row(object));
        let known = known.filter(|row| row.known);
        known.is_some_and(|row| self.config.identity().is_child(self.resolver.names.kind_of(row.kind)))
    }

    /// Which items claim the touched values now.
    fn reclaim(&mut self, work: &mut Work) {
        work.idents.retain(|ident| !self.resolver.is_inherited(*ident));
        work.idents.sort_unstable();
        work.idents.dedup();
        for ident in &work.idents {
            // Whole crowds claim what identifies nobody.
            let claimants =
                self.resolver.claimants(*ident).take_while(|_| self.resolver.identifies_some(*ident));
            let mut candidates: Vec<CiId> = claimants
                .filter(|object| {
                    let row = self.resolver.row(*object);
                    row.live && self.resolver.identifies(*ident, row.kind) && self.is_held_up(*object)
                })
                .filter_map(|object| self.cis[object as usize])
                .collect();
            candidates.sort_unstable();
            candidates.dedup();
            let changed = self.view.set_candidates(self.ident_id(*ident), candidates);
            if let Some(references) = self.by_ident.get(ident).filter(|_| changed) {
                work.relations.extend(references.iter().cloned());
                work.loose.insert(*ident);
            }
        }
    }

    /// Whether a live object means that its item is there: a lock does not hold what nobody sees, unless locks are all
    /// that speak of it.
    fn is_held_up(&self, object: u32) -> bool {
        if !self.resolver.is_lock(object) {
            return true;
        }
        let id = self.cis.get(object as usize).copied().flatten();
        let record = id.and_then(|id| self.clusters.get(&id));
        record.is_none_or(|record| {
            let mut seen = record.objects.iter().filter(|other| !self.resolver.is_lock(**other)).peekable();
            seen.peek().is_none() || seen.any(|other| self.resolver.row(*other).live)
        })
    }

    /// Resolves the touched relation statements and derives the relations they make.
    fn relate(&mut self, work: &mut Work) {
        let mut touched: BTreeSet<RelationId> = BTreeSet::new();
        for item in std::mem::take(&mut work.relations) {
            let ItemKey::Relation(named) = &item.1 else { continue };
            let (kind, from, to) = named.as_ref();
            if !self.relations.contains_key(&item) {
                for subject in [from, to] {
                    let references = match subject {
                        Subject::Native(native) => self
                            .resolver
                            .number(&item.0, native)
                            .map(|object| self.by_object.entry(object).or_default()),
                        Subject::Key(key) => {
                            self.resolver.ident(key).map(|ident| self.by_ident.entry(ident).or_default())
                        }
                    };
                    if let Some(references) = references {
                        references.insert(Arc::clone(&item));
                    }
                }
            }
            for subject in [from, to] {
                if let Subject::Key(key) = subject {
                    work.loose.extend(self.resolver.ident(key));
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
                    items.retain(|own| *own != item);
                }
            }
            if let Some(id) = entry.relation {
                touched.insert(id);
                // Nearly always one.
                let items = self.supports.entry(id).or_default();
                if let Err(place) = items.binary_search(&item) {
                    items.reserve_exact(1);
                    items.insert(place, item);
                }
            }
        }
        let mut shared = std::mem::take(&mut self.shared);
        for id in touched {
            let items = self.supports.get(&id).map_or(&[][..], Vec::as_slice);
            let ends = items.first().and_then(|item| self.relations.get(item)?.ends);
            let said: Vec<(&SourceName, &Item)> =
                items.iter().filter_map(|item| Some((&item.0, self.item(item)?))).collect();
            let relation =
                ends.and_then(|ends| reconcile::relation(&self.config, ends, self.now, &said, &mut shared));
            let before = match relation {
                Some(relation) => self.view.put_relation(id, relation),
                None => {
                    self.supports.remove(&id);
                    self.view.remove_relation(id)
                }
            };
            work.relation_before.entry(id).or_insert(before);
        }
        self.shared = shared;
    }

    fn end(&self, source: &SourceName, subject: &Subject) -> Option<CiId> {
        match subject {
            Subject::Native(native) => {
                let object = self.resolver.names.find_object(source, native)?;
                self.cis.get(object as usize).copied().flatten()
            }
            Subject::Key(key) => {
                let ident = Ident::from(key);
                Some(self.view.claimant(&ident).unwrap_or_else(|| ident.loose_id()))
            }
        }
    }

    /// Makes, keeps or resolves loose ends.
    fn tie_up(&mut self, work: &mut Work, applied: &mut Applied) {
        for number in std::mem::take(&mut work.loose) {
            let ident = self.resolver.names.ident_name(number);
            let id = ident.loose_id();
            let references = self.by_ident.get(&number);
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
                let before = self.view.put_ci(&ci);
                work.ci_before.entry(id).or_insert(before);
            }
            if candidates.len() > 1 {
                applied.ambiguous.push(Ambiguous {
                    key: ident,
                    object: None,
                    candidates,
                    wanted: Vec::new(),
                });
            }
        }
    }

    /// What was only seen again.
    fn renew(&mut self, work: &Work) {
        for (object, at) in &work.moved_objects {
            if let Some(id) = self.cis.get(*object as usize).copied().flatten() {
                self.view.renew_ci(id, *at);
            }
        }
        for (item, at) in &work.moved_relations {
            if let Some(id) = self.relations.get(item).and_then(|entry| entry.relation) {
                self.view.renew_relation(id, *at);
            }
            if let ItemKey::Relation(named) = &item.1 {
                let (_, from, to) = named.as_ref();
                for subject in [from, to] {
                    if let Subject::Key(key) = subject {
                        // Nothing is there under this id once the reference is resolved.
                        self.view.renew_ci(Ident::from(key).loose_id(), *at);
                    }
                }
            }
        }
    }
}

/// When an item may next change without being told: the end of its lease or of its claims' freshness, a bound of its
/// life.
pub(super) fn next_deadline(
    config: &CmdbConfig,
    source: &SourceName,
    item: &Item,
    now: Timestamp,
) -> Option<Timestamp> {
    let ageing = [item.stale_at(config), item.purged_at(config, now)].into_iter().flatten();
    if item.departure(config, now).is_some() {
        return ageing.filter(|at| *at > now).min();
    }
    [item.lease(config), config.freshness_of(source)]
        .into_iter()
        .flatten()
        .map(|span| item.last_seen + span)
        .chain(lock_end(source, item))
        .chain(ageing)
        .filter(|at| *at > now)
        .min()
}

fn lock_end(source: &SourceName, item: &Item) -> Option<Timestamp> {
    if lock::is_lock(source) { item.ci().and_then(|ci| lock::ends(&ci.attributes)) } else { None }
}

fn key_of<'a>(item: &'a ItemRef, ident: &Ident) -> Option<&'a Key> {
    let ItemKey::Relation(named) = &item.1 else { return None };
    let (_, from, to) = named.as_ref();
    [from, to].into_iter().find_map(|subject| match subject {
        Subject::Key(key) if Ident::from(key) == *ident => Some(key),
        _ => None,
    })
}
