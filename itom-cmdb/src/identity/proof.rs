//! Why two objects are one item, in a form that can be checked without the code that decided it.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{
    CiKind, CiObservation, Classify, ErrorKind, Key, KeyKind, Realm, SourceName, Strength, Text,
};
use serde::{Deserialize, Serialize};

use super::{Ident, IdentityRules, Object};
use crate::fact::{Fact, FactBody, FactId, FactLog};

/// What joined two objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// Both claim this value.
    Key {
        /// The value.
        ident: Ident,
        /// The tier at which it joined: both claims are at least so strong.
        strength: Strength,
        /// How many sources claim the value.
        corroboration: usize,
    },
    /// Somebody said so.
    Stated {
        /// The `SameAs` fact.
        fact: FactId,
    },
}

/// One step by which two clusters became one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Proof {
    left: (Object, FactId),
    right: (Object, FactId),
    rule: Rule,
}

/// What is wrong with a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// A cited fact is not in the log.
    #[error("fact {0} is cited and not in the log; merge the log that has it, or derive again")]
    MissingFact(FactId),
    /// A cited fact does not say what it is cited for.
    #[error("fact {fact} does not say what it is cited for: {expected}")]
    Misquoted {
        /// The fact.
        fact: FactId,
        /// What it should say.
        expected: &'static str,
    },
    /// A rule forbids the merge.
    #[error("{left} and {right} must not be one item: {why}")]
    Forbidden {
        /// One object.
        left: Object,
        /// The other.
        right: Object,
        /// Which rule.
        why: &'static str,
    },
}

impl Classify for ProofError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::MissingFact(_) => ErrorKind::NotFound,
            Self::Misquoted { .. } | Self::Forbidden { .. } => ErrorKind::Invalid,
        }
    }
}

impl Proof {
    pub(crate) const fn new(left: (Object, FactId), right: (Object, FactId), rule: Rule) -> Self {
        Self { left, right, rule }
    }

    /// The two objects.
    #[must_use]
    pub const fn objects(&self) -> (&Object, &Object) {
        (&self.left.0, &self.right.0)
    }

    /// What joined them.
    #[must_use]
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// How each side spells the value that joined them, when they spell it differently: an SMBIOS UUID in its two byte
    /// orders. `None` also when a cited fact is not in the log.
    #[must_use]
    pub fn spellings(&self, facts: &FactLog) -> Option<(Text, Text)> {
        let Rule::Key { ident, .. } = &self.rule else { return None };
        let spelled = |cited: &(Object, FactId)| -> Option<BTreeSet<Text>> {
            let keys = &described(facts, cited).ok()?.keys;
            Some(
                keys.iter().filter(|key| Ident::from(*key) == *ident).map(|key| key.text().clone()).collect(),
            )
        };
        let (left, right) = (spelled(&self.left)?, spelled(&self.right)?);
        if left.is_disjoint(&right) { left.into_iter().next().zip(right.into_iter().next()) } else { None }
    }

    /// The facts it rests on.
    #[must_use]
    pub fn facts(&self) -> Vec<FactId> {
        let mut facts = vec![self.left.1, self.right.1];
        if let Rule::Stated { fact } = self.rule {
            facts.push(fact);
        }
        facts
    }
}

/// Checks one step against the facts and the rules alone: that the cited facts exist and say what they are cited for,
/// and that these two objects may be one. [`verify_item`] checks what only the whole of an item can show.
///
/// # Errors
/// [`ProofError`] says what does not hold.
pub fn verify(proof: &Proof, facts: &FactLog, rules: &IdentityRules) -> Result<(), ProofError> {
    let left = described(facts, &proof.left)?;
    let right = described(facts, &proof.right)?;
    let forbid = |why| Err(forbidden(proof, why));
    if rules.common_kind(&left.kind, &right.kind).is_none() {
        return forbid("one thing cannot be of both kinds");
    }
    match &proof.rule {
        Rule::Stated { fact } => {
            let Some(said) = facts.get(*fact) else { return Err(ProofError::MissingFact(*fact)) };
            if !matches!(said.body(), FactBody::SameAs(_)) {
                return Err(ProofError::Misquoted {
                    fact: *fact,
                    expected: "that two subjects are the same",
                });
            }
        }
        Rule::Key { ident, strength, .. } => {
            if *strength < Strength::Administrative || rules.is_junk(ident) {
                return forbid("the value does not identify");
            }
            if rules.base_of(&ident.realm).is_some_and(|base| rules.is_junk(&Ident::from(&base))) {
                return forbid("its realm rests on a value that does not identify");
            }
            let (one, other) = (&proof.left.0.source, &proof.right.0.source);
            if one == other && rules.is_unique(one) {
                return forbid("two native ids of one source are two things");
            }
            for (side, fact) in [(left, proof.left.1), (right, proof.right.1)] {
                let says =
                    |key: &Key| rules.strength_of(&side.kind, key) >= *strength && Ident::from(key) == *ident;
                if !side.keys.iter().any(says) {
                    return Err(ProofError::Misquoted { fact, expected: "the key, at least so strong" });
                }
            }
        }
    }
    Ok(())
}

/// The weakest claim and the values that one object has for a kind of key.
type Said = (Strength, BTreeSet<Text>);

/// What objects that were shown to be one claim together.
struct Together {
    kind: CiKind,
    sources: BTreeSet<SourceName>,
    /// What each of them says, per kind of key and realm.
    values: BTreeMap<(KeyKind, Realm), BTreeSet<Said>>,
}

/// Checks that the steps, in this order, make the objects one item: every step as [`verify`] does, and that none joins
/// what the steps before it had shown to be different.
///
/// # Errors
/// [`ProofError`] says what does not hold.
pub fn verify_item(proofs: &[Proof], facts: &FactLog, rules: &IdentityRules) -> Result<(), ProofError> {
    let mut hot: BTreeMap<Ident, BTreeSet<String>> = BTreeMap::new();
    let mut groups: Vec<Option<Together>> = Vec::new();
    let mut group_of: BTreeMap<&Object, usize> = BTreeMap::new();
    for proof in proofs {
        verify(proof, facts, rules)?;
        let mut sides = [0; 2];
        for (side, cited) in sides.iter_mut().zip([&proof.left, &proof.right]) {
            *side = match group_of.get(&cited.0) {
                Some(group) => *group,
                None => {
                    groups.push(Some(together(facts, rules, cited, &mut hot)?));
                    group_of.insert(&cited.0, groups.len() - 1);
                    groups.len() - 1
                }
            };
        }
        let [left, right] = sides;
        if left == right {
            return Err(forbidden(proof, "earlier steps had made them one: the step shows nothing"));
        }
        let taken = groups.get_mut(right).and_then(Option::take);
        let kept = groups.get_mut(left).and_then(Option::as_mut);
        let (Some(taken), Some(kept)) = (taken, kept) else {
            return Err(forbidden(proof, "a step refers to what is not there"));
        };
        join(rules, proof, kept, taken)?;
        group_of.values_mut().filter(|group| **group == right).for_each(|group| *group = left);
    }
    if groups.iter().flatten().count() > 1 {
        let (Some(first), Some(last)) = (proofs.first(), proofs.last()) else { return Ok(()) };
        return Err(ProofError::Forbidden {
            left: first.left.0.clone(),
            right: last.right.0.clone(),
            why: "the steps do not connect them",
        });
    }
    Ok(())
}

fn forbidden(proof: &Proof, why: &'static str) -> ProofError {
    ProofError::Forbidden { left: proof.left.0.clone(), right: proof.right.0.clone(), why }
}

fn together(
    facts: &FactLog,
    rules: &IdentityRules,
    cited: &(Object, FactId),
    hot: &mut BTreeMap<Ident, BTreeSet<String>>,
) -> Result<Together, ProofError> {
    let item = described(facts, cited)?;
    let mut values: BTreeMap<(KeyKind, Realm), Said> = BTreeMap::new();
    for key in &item.keys {
        let (strength, ident) = (rules.strength_of(&item.kind, key), Ident::from(key));
        let compared = rules.is_single(key.kind())
            || rules.overlap(key.kind()).is_some()
            || rules.apart_below(key.kind()).is_some();
        if strength < Strength::Administrative || !compared || rules.is_junk(&ident) {
            continue;
        }
        let value = ident.value.clone();
        let hot = hot.entry(ident).or_insert_with_key(|ident| hot_sorts(facts, rules, ident));
        if hot.contains(rules.counted_as(&item.kind).0) {
            continue;
        }
        let slot = values
            .entry((key.kind().clone(), key.realm().clone()))
            .or_insert_with(|| (strength, BTreeSet::new()));
        slot.0 = slot.0.min(strength);
        slot.1.insert(value);
    }
    let source = &cited.0.source;
    let sources = if rules.is_unique(source) { BTreeSet::from([source.clone()]) } else { BTreeSet::new() };
    let values = values.into_iter().map(|(slot, own)| (slot, BTreeSet::from([own]))).collect();
    Ok(Together { kind: item.kind.clone(), sources, values })
}

fn join(
    rules: &IdentityRules,
    proof: &Proof,
    kept: &mut Together,
    taken: Together,
) -> Result<(), ProofError> {
    let forbid = |why| Err(forbidden(proof, why));
    let Some(kind) = rules.common_kind(&kept.kind, &taken.kind) else {
        return forbid("one thing cannot be of both kinds");
    };
    if let Rule::Key { ident, strength, .. } = &proof.rule {
        if !kept.sources.is_disjoint(&taken.sources) {
            return forbid("two native ids of one source are two things");
        }
        let by = (*strength, rules.rank(&ident.kind));
        for (slot, ours) in &kept.values {
            let theirs = taken.values.get(slot).into_iter().flatten();
            let differ = |(mine, a): &Said, (yours, b): &Said| {
                rules.forbids(&slot.0, *mine.min(yours), by) && a.is_disjoint(b)
            };
            if theirs.into_iter().any(|other| ours.iter().any(|own| differ(own, other))) {
                return forbid("they differ in a stronger single-valued key");
            }
        }
        let all = |group: &Together, slot: &(KeyKind, Realm)| -> BTreeSet<Text> {
            group.values.get(slot).into_iter().flatten().flat_map(|own| own.1.iter().cloned()).collect()
        };
        for slot in kept.values.keys() {
            let Some(least) = rules.apart_below(&slot.0) else { continue };
            let (ours, theirs) = (all(kept, slot), all(&taken, slot));
            if !least.holds(ours.intersection(&theirs).count(), ours.len().min(theirs.len())) {
                return forbid("they share too few values of which a thing has several");
            }
        }
        if let Some(share) = rules.overlap(&ident.kind) {
            let slot = (ident.kind.clone(), ident.realm.clone());
            let (ours, theirs) = (all(kept, &slot), all(&taken, &slot));
            if !share.holds(ours.intersection(&theirs).count(), ours.len().min(theirs.len())) {
                return forbid("they share too few values");
            }
        }
    }
    kept.kind = kind;
    kept.sources.extend(taken.sources);
    for (slot, values) in taken.values {
        kept.values.entry(slot).or_default().extend(values);
    }
    Ok(())
}

/// The sorts of things of which one family of sources ever reported more than the limit with this value.
pub(super) fn hot_sorts(facts: &FactLog, rules: &IdentityRules, ident: &Ident) -> BTreeSet<String> {
    let mut claimants: BTreeMap<(&str, &str), BTreeSet<(&SourceName, &Text)>> = BTreeMap::new();
    let mut limits: BTreeMap<&str, usize> = BTreeMap::new();
    for fact in facts.iter() {
        if let FactBody::Ci(ci) = fact.body()
            && ci.keys.iter().any(|own| Ident::from(own) == *ident)
        {
            let (sort, limit) = rules.counted_as(&ci.kind);
            limits.insert(sort, limit);
            let own = claimants.entry((sort, super::rules::family(fact.source()))).or_default();
            own.insert((fact.source(), &ci.subject));
        }
    }
    let many = |((sort, _), objects): &(&(&str, &str), &BTreeSet<_>)| {
        limits.get(sort).is_some_and(|limit| objects.len() > *limit)
    };
    claimants.iter().filter(many).map(|((sort, _), _)| (*sort).to_owned()).collect()
}

pub(super) fn described<'a>(
    facts: &'a FactLog,
    (object, id): &(Object, FactId),
) -> Result<&'a CiObservation, ProofError> {
    match facts.get(*id) {
        None => Err(ProofError::MissingFact(*id)),
        Some(fact) => match (fact.body(), Fact::source(fact)) {
            (FactBody::Ci(ci), source) if *source == object.source && ci.subject == object.native => Ok(ci),
            _ => Err(ProofError::Misquoted { fact: *id, expected: "a description of the object" }),
        },
    }
}
