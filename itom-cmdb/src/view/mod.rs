//! The current view: items and relations as they are believed to be, at one state of the facts.
//!
//! A [`View`] is a snapshot. Cloning it is a few reference counts; the engine goes on changing its own copy and copies
//! only the paths it touches. A view of the past is made where somebody looks, part by part, and stays made.

mod changed;
mod ci;
mod difference;
mod graph;
mod hash;
mod later;
mod life;
pub(crate) mod presence;
pub(crate) mod reconcile;
mod rewind;
pub(crate) mod shared;
pub(crate) mod trie;

use std::collections::BTreeMap;
use std::sync::Arc;

use itom_core::{CiId, CiKind, CiSummary, Inventory, SourceName, Subject, Timestamp};

use crate::identity::{Ident, Object};

pub(crate) use ci::CiBody;
pub use ci::{Attribute, Ci, Claim, ClaimReason, LifeState, Relation, RelationId};
pub use difference::Differences;
use later::Later;
pub(crate) use life::STATED;
pub use life::{LifeCycle, StatedLife};
pub use presence::{Departure, ProposedRetirement};
use rewind::{Gone, Turned};
pub(crate) use rewind::{Parts, Sizes};
use trie::Trie;

/// The items of each kind.
type Kinds = Arc<BTreeMap<CiKind, Trie<CiId, ()>>>;

/// The relations that start or end at each item.
type Ends = Trie<CiId, Trie<RelationId, ()>>;

/// A snapshot of everything that is believed. See the [module](self).
#[derive(Debug, Clone, Default)]
pub struct View {
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) rules: u64,
    cis: Trie<CiId, Ci>,
    kinds: Kinds,
    /// What a view of the past has beside them.
    turned: Later<Arc<Turned>>,
    relations: Trie<RelationId, Relation>,
    ends: Ends,
    /// What a view of the past has beside them.
    gone: Later<Arc<Gone>>,
    /// Ids of objects and strong keys → the item that holds them.
    aliases: Trie<CiId, CiId>,
    /// Ids of keys → the items that claim them now.
    claimants: Trie<CiId, Arc<[CiId]>>,
}

impl View {
    pub(crate) fn under(rules: u64) -> Self {
        Self { rules, ..Self::default() }
    }

    /// One item, by exactly this id; see [`current`](Self::current) for ids of merged items.
    #[must_use]
    pub fn ci(&self, id: CiId) -> Option<&Ci> {
        self.cis.get(id)
    }

    /// The id under which an item is known now: `id` itself, or what it was merged or renamed into. `None` when nothing
    /// holds what the id was derived from.
    #[must_use]
    pub fn current(&self, id: CiId) -> Option<CiId> {
        if self.cis.get(id).is_some() {
            return Some(id);
        }
        self.aliases.get(id).copied()
    }

    /// Every item, by id; retired ones and loose ends included.
    pub fn cis(&self) -> impl Iterator<Item = &Ci> {
        self.cis.iter().map(|(_, ci)| ci)
    }

    /// Every item, by id, but for those that are [purged](LifeCycle::Purged).
    pub fn listed(&self) -> impl Iterator<Item = &Ci> {
        self.cis().filter(|ci| !matches!(ci.life(), LifeCycle::Purged { .. }))
    }

    /// How many items.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.cis.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cis.len() == 0
    }

    /// The items of a kind and its refinements, by id.
    #[must_use]
    pub fn by_kind(&self, kind: &CiKind) -> Vec<&Ci> {
        let mut ids: Vec<CiId> = self
            .kinds
            .range::<CiKind, _>(kind..)
            .take_while(|(own, _)| own.as_str().starts_with(kind.as_str()))
            .filter(|(own, _)| own.is_a(kind))
            .flat_map(|(_, ids)| ids.iter().map(|(id, ())| id))
            .collect();
        let turned = self.turned.get().as_slice();
        let from = turned.partition_point(|(own, _)| own < kind);
        let turned = turned.iter().skip(from).take_while(|(own, _)| own.as_str().starts_with(kind.as_str()));
        ids.extend(turned.map(|(_, id)| *id));
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| self.cis.get(id)).filter(|ci| ci.kind().is_a(kind)).collect()
    }

    /// Every relation, by id; retired ones included.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.iter().map(|(_, relation)| relation)
    }

    /// One relation.
    #[must_use]
    pub fn relation(&self, id: RelationId) -> Option<&Relation> {
        self.relations.get(id)
    }

    /// The relations that start or end at an item, by id; retired ones included.
    pub fn relations_of(&self, id: CiId) -> impl Iterator<Item = &Relation> {
        let mut own = self.ends.get(id).into_iter().flat_map(Trie::iter).map(|(id, ())| id).peekable();
        let mut gone = self.gone_of(id).iter().map(|(_, id)| *id).peekable();
        let ids = std::iter::from_fn(move || match (own.peek(), gone.peek()) {
            (Some(one), Some(other)) if other < one => gone.next(),
            (Some(one), other) => {
                if other == Some(one) {
                    gone.next();
                }
                own.next()
            }
            (None, _) => gone.next(),
        });
        ids.filter_map(|id| self.relations.get(id))
    }

    /// The item that a source means by a subject. A key resolves to the one item that claims it; else to its loose end.
    #[must_use]
    pub fn resolve(&self, source: &SourceName, subject: &Subject) -> Option<CiId> {
        match subject {
            Subject::Native(native) => self.current(Object::new(source.clone(), native.clone()).ci_id()),
            Subject::Key(key) => {
                let ident = Ident::from(key);
                self.claimant(&ident).or_else(|| {
                    let loose = ident.loose_id();
                    self.cis.get(loose).map(|ci| ci.id)
                })
            }
        }
    }

    /// As rules see an item. Follows merges.
    #[must_use]
    pub fn summary(&self, id: CiId) -> Option<CiSummary> {
        self.ci(self.current(id)?).map(Ci::summary)
    }

    /// The latest time this view knows of: leases and freshness are judged at it.
    #[must_use]
    pub const fn as_of(&self) -> Option<Timestamp> {
        self.as_of
    }

    /// The hash of the rules it was derived with: see [`RuleSet::hash`](crate::ruleset::RuleSet::hash). Views with other
    /// rules are other views, whatever the facts.
    #[must_use]
    pub const fn rules(&self) -> u64 {
        self.rules
    }

    pub(crate) fn candidates(&self, ident: &Ident) -> &[CiId] {
        self.claimants.get(ident.ci_id()).map_or(&[], Arc::as_ref)
    }

    pub(crate) fn claimant(&self, ident: &Ident) -> Option<CiId> {
        match self.candidates(ident) {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Sets who claims the value with this id; returns whether anything changed.
    pub(crate) fn set_candidates(&mut self, id: CiId, candidates: Vec<CiId>) -> bool {
        if self.claimants.get(id).map_or(&[][..], Arc::as_ref) == candidates.as_slice() {
            return false;
        }
        if candidates.is_empty() {
            self.claimants.remove(id);
        } else {
            self.claimants.insert(id, candidates.into());
        }
        true
    }

    pub(crate) fn put_ci(&mut self, ci: &Ci) -> Option<Ci> {
        let before = self.cis.insert(ci.id, ci.clone());
        let kind_before = before.as_ref().map(|old| old.body.kind.clone());
        if kind_before.as_ref() != Some(&ci.body.kind) {
            let kinds = Arc::make_mut(&mut self.kinds);
            if let Some(old) = kind_before.and_then(|old| kinds.get_mut(&old)) {
                old.remove(ci.id);
            }
            kinds.entry(ci.body.kind.clone()).or_default().insert(ci.id, ());
        }
        before
    }

    pub(crate) fn remove_ci(&mut self, id: CiId) -> Option<Ci> {
        let before = self.cis.remove(id)?;
        let kinds = Arc::make_mut(&mut self.kinds);
        if let Some(ids) = kinds.get_mut(&before.body.kind) {
            ids.remove(id);
            if ids.len() == 0 {
                kinds.remove(&before.body.kind);
            }
        }
        Some(before)
    }

    /// Moves when an item was last seen, forwards only.
    pub(crate) fn renew_ci(&mut self, id: CiId, at: Timestamp) {
        if let Some(ci) = self.cis.get_mut(id) {
            ci.last_seen = ci.last_seen.max(at);
        }
    }

    pub(crate) fn renew_relation(&mut self, id: RelationId, at: Timestamp) {
        if let Some(relation) = self.relations.get_mut(id) {
            relation.last_seen = relation.last_seen.max(at);
        }
    }

    pub(crate) fn put_relation(&mut self, id: RelationId, relation: Relation) -> Option<Relation> {
        let ends = [relation.from, relation.to];
        let before = self.relations.insert(id, relation);
        if before.is_none() {
            for end in ends {
                tie(&mut self.ends, end, id);
            }
        }
        before
    }

    pub(crate) fn remove_relation(&mut self, id: RelationId) -> Option<Relation> {
        let before = self.relations.remove(id)?;
        for end in [before.from, before.to] {
            untie(&mut self.ends, end, id);
        }
        Some(before)
    }

    pub(crate) fn set_alias(&mut self, alias: CiId, to: CiId) {
        self.aliases.insert(alias, to);
    }

    pub(crate) fn remove_alias(&mut self, alias: CiId) {
        self.aliases.remove(alias);
    }

    pub(crate) fn aliases(&self) -> impl Iterator<Item = (CiId, CiId)> {
        self.aliases.iter().map(|(alias, to)| (alias, *to))
    }
}

fn tie(ends: &mut Ends, end: CiId, id: RelationId) {
    match ends.get_mut(end) {
        Some(ids) => {
            ids.insert(id, ());
        }
        None => {
            let mut ids = Trie::default();
            ids.insert(id, ());
            ends.insert(end, ids);
        }
    }
}

fn untie(ends: &mut Ends, end: CiId, id: RelationId) {
    if let Some(ids) = ends.get_mut(end) {
        ids.remove(id);
        if ids.len() == 0 {
            ends.remove(end);
        }
    }
}

impl Inventory for View {
    fn cis(&self, kind: &CiKind) -> Vec<CiSummary> {
        self.by_kind(kind).into_iter().map(Ci::summary).collect()
    }

    fn ci(&self, id: CiId) -> Option<CiSummary> {
        self.summary(id)
    }
}
