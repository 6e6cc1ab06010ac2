//! The partition of one component: objects that any usable key or statement connects.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiKind, KeyKind, Realm, SourceName, Strength, Text, Timestamp};

use super::{Ident, IdentityRules, Object, Proof, Rule, TIERS};
use crate::fact::FactId;

/// What the partition needs to know about an object.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) object: Object,
    pub(crate) kind: CiKind,
    pub(crate) live: bool,
    pub(crate) first_seen: Timestamp,
    pub(crate) statement: FactId,
    /// The keys that identify: not ambient, not junk, not hot.
    pub(crate) keys: BTreeMap<Ident, Strength>,
}

/// Objects that are one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// Ascending.
    pub(crate) objects: Vec<Object>,
    pub(crate) proofs: Vec<Proof>,
}

#[derive(Clone)]
struct Group {
    members: Vec<usize>,
    sources: BTreeMap<SourceName, BTreeSet<Text>>,
    kind: CiKind,
    singles: BTreeMap<(KeyKind, Realm), (Strength, BTreeSet<Text>)>,
    proofs: Vec<Proof>,
}

struct Forest<'a> {
    rules: &'a IdentityRules,
    root: Vec<usize>,
    groups: Vec<Option<Group>>,
    apart: BTreeSet<(usize, usize)>,
}

/// Partitions a component. `members` in any order; `same` and `apart` are effective statements between them, with the
/// fact that says so. The result does not depend on any order of the input.
pub(crate) fn partition(
    rules: &IdentityRules,
    mut members: Vec<Member>,
    same: &[(Object, Object, FactId)],
    apart: &[(Object, Object)],
) -> Vec<Cluster> {
    members.sort_by(|a, b| a.object.cmp(&b.object));
    let find = |object: &Object| members.binary_search_by(|member| member.object.cmp(object)).ok();
    let mut forest = Forest {
        rules,
        root: (0..members.len()).collect(),
        groups: members
            .iter()
            .enumerate()
            .map(|(index, member)| Some(Group::of(rules, index, member)))
            .collect(),
        apart: BTreeSet::new(),
    };
    for (a, b) in apart {
        if let (Some(a), Some(b)) = (find(a), find(b)) {
            forest.apart.insert((a.min(b), a.max(b)));
        }
    }
    let mut stated: Vec<_> = same.iter().collect();
    stated.sort();
    for (a, b, fact) in stated {
        if let (Some(a), Some(b)) = (find(a), find(b)) {
            forest.join(&members, a, b, None, || Rule::Stated { fact: *fact });
        }
    }
    for live_only in [true, false] {
        for tier in TIERS {
            for (ident, claimants, sources) in evidence(&members, tier, live_only) {
                for (index, later) in claimants.iter().enumerate() {
                    for earlier in &claimants[..index] {
                        let rule =
                            || Rule::Key { ident: ident.clone(), strength: tier, corroboration: sources };
                        if forest.join(&members, *earlier, *later, Some(tier), rule) {
                            break;
                        }
                    }
                }
            }
        }
    }
    let mut clusters: Vec<Cluster> = forest
        .groups
        .into_iter()
        .flatten()
        .map(|mut group| {
            group.members.sort_unstable();
            group.proofs.sort();
            Cluster {
                objects: group.members.iter().map(|index| members[*index].object.clone()).collect(),
                proofs: group.proofs,
            }
        })
        .collect();
    clusters.sort_by(|a, b| a.objects.cmp(&b.objects));
    clusters
}

/// The evidence of one tier in its total order: more sources first, then by content. Claimants: live, older, smaller
/// first.
fn evidence(members: &[Member], tier: Strength, live_only: bool) -> Vec<(Ident, Vec<usize>, usize)> {
    let mut by_ident: BTreeMap<&Ident, Vec<usize>> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        if live_only && !member.live {
            continue;
        }
        for (ident, strength) in &member.keys {
            if *strength >= tier {
                by_ident.entry(ident).or_default().push(index);
            }
        }
    }
    let mut evidence: Vec<(Ident, Vec<usize>, usize)> = by_ident
        .into_iter()
        .filter(|(_, claimants)| claimants.len() > 1)
        .map(|(ident, mut claimants)| {
            claimants.sort_by_key(|index| (!members[*index].live, members[*index].first_seen, *index));
            let sources: BTreeSet<&SourceName> =
                claimants.iter().map(|index| &members[*index].object.source).collect();
            let count = sources.len();
            (ident.clone(), claimants, count)
        })
        .collect();
    evidence.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    evidence
}

impl Group {
    fn of(rules: &IdentityRules, index: usize, member: &Member) -> Self {
        let mut singles: BTreeMap<(KeyKind, Realm), (Strength, BTreeSet<Text>)> = BTreeMap::new();
        for (ident, strength) in &member.keys {
            if rules.is_single(&ident.kind) {
                let slot = singles
                    .entry((ident.kind.clone(), ident.realm.clone()))
                    .or_insert_with(|| (*strength, BTreeSet::new()));
                slot.0 = slot.0.min(*strength);
                slot.1.insert(ident.value.clone());
            }
        }
        let native = BTreeSet::from([member.object.native.clone()]);
        Self {
            members: vec![index],
            sources: BTreeMap::from([(member.object.source.clone(), native)]),
            kind: member.kind.clone(),
            singles,
            proofs: Vec::new(),
        }
    }
}

impl Forest<'_> {
    fn root_of(&self, mut index: usize) -> usize {
        while self.root[index] != index {
            index = self.root[index];
        }
        index
    }

    /// Joins the groups of two members if nothing forbids it; `by` is `None` for a person's statement, which only
    /// another statement can forbid. Returns whether they are one group now.
    fn join(
        &mut self,
        members: &[Member],
        a: usize,
        b: usize,
        by: Option<Strength>,
        rule: impl FnOnce() -> Rule,
    ) -> bool {
        let (left, right) = (self.root_of(a), self.root_of(b));
        if left == right {
            return true;
        }
        let (Some(one), Some(other)) = (&self.groups[left], &self.groups[right]) else { return false };
        let stated_apart = one.members.iter().any(|x| {
            other
                .members
                .iter()
                .any(|y| !self.apart.is_empty() && self.apart.contains(&(*x.min(y), *x.max(y))))
        });
        let kind = self.rules.common_kind(&one.kind, &other.kind);
        let (Some(kind), false) = (kind, stated_apart) else { return false };
        if let Some(by) = by {
            let shared = one.sources.keys().any(|source| other.sources.contains_key(source));
            let differs = one.singles.iter().any(|(slot, (strength, values))| {
                other.singles.get(slot).is_some_and(|(theirs, others)| {
                    self.rules.forbids(&slot.0, (*strength).min(*theirs), by) && values.is_disjoint(others)
                })
            });
            if shared || differs {
                return false;
            }
        }
        let proof = Proof::new(
            (members[a].object.clone(), members[a].statement),
            (members[b].object.clone(), members[b].statement),
            rule(),
        );
        // The larger group takes the smaller in, so that each member moves at most log n times.
        let (keep, take) =
            if one.members.len() >= other.members.len() { (left, right) } else { (right, left) };
        let Some(taken) = self.groups[take].take() else { return false };
        self.root[take] = keep;
        if let Some(group) = &mut self.groups[keep] {
            group.members.extend(taken.members);
            for (source, natives) in taken.sources {
                group.sources.entry(source).or_default().extend(natives);
            }
            group.kind = kind;
            for (slot, (strength, values)) in taken.singles {
                let own = group.singles.entry(slot).or_insert_with(|| (strength, BTreeSet::new()));
                own.0 = own.0.min(strength);
                own.1.extend(values);
            }
            group.proofs.extend(taken.proofs);
            group.proofs.push(proof);
        }
        true
    }
}
