//! Who claims what: the blocking index that finds the component a change touches, so that identity is derived anew for
//! that component and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, CiKind, SourceName, Strength, Timestamp};

use super::{Ident, IdentityRules, Member, Object};
use crate::fact::FactId;

/// What identity knows of an object.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) kind: CiKind,
    pub(crate) live: bool,
    pub(crate) first_seen: Timestamp,
    pub(crate) statement: FactId,
    pub(crate) keys: BTreeMap<Ident, Strength>,
    /// The item it belongs to; set after partitioning.
    pub(crate) ci: Option<CiId>,
}

#[derive(Debug, Clone, Default)]
struct Claims {
    objects: BTreeSet<Object>,
    /// Live claimants per source: what makes a value hot.
    live: BTreeMap<SourceName, usize>,
    hot_sources: usize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    entries: BTreeMap<Object, Entry>,
    claims: BTreeMap<Ident, Claims>,
    /// Objects that somebody said are the same.
    bonds: BTreeMap<Object, BTreeSet<Object>>,
}

impl Index {
    pub(crate) fn get(&self, object: &Object) -> Option<&Entry> {
        self.entries.get(object)
    }

    pub(crate) fn set_ci(&mut self, object: &Object, ci: CiId) {
        if let Some(entry) = self.entries.get_mut(object) {
            entry.ci = Some(ci);
        }
    }

    pub(crate) fn is_hot(&self, ident: &Ident) -> bool {
        self.claims.get(ident).is_some_and(|claims| claims.hot_sources > 0)
    }

    /// Who claims a value, ascending.
    pub(crate) fn claimants(&self, ident: &Ident) -> impl Iterator<Item = (&Object, &Entry)> {
        self.claims
            .get(ident)
            .into_iter()
            .flat_map(|claims| &claims.objects)
            .filter_map(|object| Some((object, self.entries.get(object)?)))
    }

    /// Takes in what is known of an object now. Adds to `seeds` every object whose component may change, and to `idents`
    /// every value whose claimants changed.
    pub(crate) fn put(
        &mut self,
        rules: &IdentityRules,
        object: &Object,
        mut entry: Entry,
        seeds: &mut BTreeSet<Object>,
        idents: &mut BTreeSet<Ident>,
    ) {
        let before = self.entries.remove(object);
        entry.ci = before.as_ref().and_then(|before| before.ci);
        seeds.insert(object.clone());
        let mut touched: BTreeSet<Ident> = entry.keys.keys().cloned().collect();
        if let Some(before) = &before {
            touched.extend(before.keys.keys().cloned());
        }
        for ident in &touched {
            let was = before.as_ref().filter(|before| before.keys.contains_key(ident));
            let claims = self.claims.entry(ident.clone()).or_default();
            let hot_before = claims.hot_sources > 0;
            if was.is_some_and(|before| before.live) {
                claims.count(&object.source, rules.hot_limit(), false);
            }
            if entry.keys.contains_key(ident) {
                claims.objects.insert(object.clone());
                if entry.live {
                    claims.count(&object.source, rules.hot_limit(), true);
                }
            } else {
                claims.objects.remove(object);
            }
            let hot_now = claims.hot_sources > 0;
            let joining = |entry: &Entry| entry.keys.get(ident) >= Some(&Strength::Administrative);
            // Claimants of a value that is and stays hot are not connected by it, nor those of an ambient one.
            let connects = !hot_now && (joining(&entry) || before.as_ref().is_some_and(joining));
            if (connects || hot_before != hot_now) && !rules.is_junk(ident) {
                seeds.extend(claims.objects.iter().cloned());
            }
            if claims.objects.is_empty() {
                self.claims.remove(ident);
            }
        }
        idents.extend(touched);
        self.entries.insert(object.clone(), entry);
    }

    /// Replaces the bonds; adds the objects of changed ones to `seeds`.
    pub(crate) fn set_bonds(&mut self, pairs: &BTreeSet<(Object, Object)>, seeds: &mut BTreeSet<Object>) {
        let mut bonds: BTreeMap<Object, BTreeSet<Object>> = BTreeMap::new();
        for (a, b) in pairs {
            bonds.entry(a.clone()).or_default().insert(b.clone());
            bonds.entry(b.clone()).or_default().insert(a.clone());
        }
        for (object, others) in bonds.iter().chain(&self.bonds) {
            if self.bonds.get(object) != bonds.get(object) {
                seeds.insert(object.clone());
                seeds.extend(others.iter().cloned());
            }
        }
        self.bonds = bonds;
    }

    fn joins(&self, rules: &IdentityRules, ident: &Ident, strength: Strength) -> bool {
        strength >= Strength::Administrative && !rules.is_junk(ident) && !self.is_hot(ident)
    }

    /// The components of these objects, each ascending.
    pub(crate) fn components(&self, rules: &IdentityRules, seeds: &BTreeSet<Object>) -> Vec<Vec<Object>> {
        let mut done: BTreeSet<Object> = BTreeSet::new();
        let mut components = Vec::new();
        for seed in seeds {
            if done.contains(seed) || !self.entries.contains_key(seed) {
                continue;
            }
            let mut component = BTreeSet::from([seed.clone()]);
            let mut idents: BTreeSet<&Ident> = BTreeSet::new();
            let mut todo = vec![seed.clone()];
            while let Some(object) = todo.pop() {
                let Some((_, entry)) = self.entries.get_key_value(&object) else { continue };
                let mut reached: Vec<&Object> = self.bonds.get(&object).into_iter().flatten().collect();
                for (ident, strength) in &entry.keys {
                    if self.joins(rules, ident, *strength) && idents.insert(ident) {
                        let claims = self.claims.get(ident).into_iter().flat_map(|claims| &claims.objects);
                        reached.extend(claims.filter(|other| {
                            self.entries.get(*other).and_then(|other| other.keys.get(ident))
                                >= Some(&Strength::Administrative)
                        }));
                    }
                }
                for other in reached {
                    if self.entries.contains_key(other) && component.insert(other.clone()) {
                        todo.push(other.clone());
                    }
                }
            }
            done.extend(component.iter().cloned());
            components.push(component.into_iter().collect());
        }
        components
    }

    /// An object as the partition sees it.
    pub(crate) fn member(&self, rules: &IdentityRules, object: &Object) -> Option<Member> {
        let entry = self.entries.get(object)?;
        let keys = entry.keys.iter().filter(|(ident, strength)| self.joins(rules, ident, **strength));
        Some(Member {
            object: object.clone(),
            kind: entry.kind.clone(),
            live: entry.live,
            first_seen: entry.first_seen,
            statement: entry.statement,
            keys: keys.map(|(ident, strength)| (ident.clone(), *strength)).collect(),
        })
    }
}

impl Claims {
    fn count(&mut self, source: &SourceName, limit: usize, up: bool) {
        let count = self.live.entry(source.clone()).or_default();
        let was_hot = *count > limit;
        *count = if up { *count + 1 } else { count.saturating_sub(1) };
        let is_hot = *count > limit;
        if *count == 0 {
            self.live.remove(source);
        }
        match (was_hot, is_hot) {
            (false, true) => self.hot_sources += 1,
            (true, false) => self.hot_sources = self.hot_sources.saturating_sub(1),
            _ => {}
        }
    }
}
