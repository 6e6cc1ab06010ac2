//! Why two objects are one item, in a form that can be checked without the code that decided it.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{
    CiKind, CiObservation, Classify, ErrorKind, Key, KeyKind, Realm, RelationKind, SourceName, Strength,
    Subject, Text,
};
use serde::{Deserialize, Serialize};

use super::{Ident, IdentityRules, Object, Part, Whole};
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
    /// Both have this value by themselves or [through their parts](super::FromChildren), and enough others.
    Inherited {
        /// The value.
        ident: Ident,
        /// The tier at which it joined: both claims are at least so strong.
        strength: Strength,
        /// How many sources give the value.
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
    /// Through what they inherit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_parts: Vec<Part>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    right_parts: Vec<Part>,
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
    pub(crate) fn new(left: Whole, right: Whole, rule: Rule) -> Self {
        Self {
            left: (left.object, left.statement),
            right: (right.object, right.statement),
            rule,
            left_parts: left.parts,
            right_parts: right.parts,
        }
    }

    fn sides(&self) -> [Cited<'_>; 2] {
        [(&self.left.0, self.left.1, &self.left_parts), (&self.right.0, self.right.1, &self.right_parts)]
    }

    /// The parts through which the two objects inherit, by the facts that say so.
    #[must_use]
    pub const fn parts(&self) -> (&[Part], &[Part]) {
        (self.left_parts.as_slice(), self.right_parts.as_slice())
    }

    /// By which part each side has the value that joined them: its relation and its description. `None` for a side that
    /// states it itself, or when a cited fact is not in the log.
    #[must_use]
    pub fn inherited(&self, facts: &FactLog) -> (Option<Part>, Option<Part>) {
        let Rule::Inherited { ident, .. } = &self.rule else { return (None, None) };
        let through = |cited: &(Object, FactId), parts: &[Part]| -> Option<Part> {
            let states = |ci: &CiObservation| ci.keys.iter().any(|key| Ident::from(key) == *ident);
            let has = |part: &&Part| matches!(facts.get(part.child).map(Fact::body), Some(FactBody::Ci(ci)) if states(ci));
            if states(described(facts, &cited.0, cited.1).ok()?) {
                None
            } else {
                parts.iter().find(has).copied()
            }
        };
        (through(&self.left, &self.left_parts), through(&self.right, &self.right_parts))
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
            let keys = &described(facts, &cited.0, cited.1).ok()?.keys;
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
        facts.extend(self.left_parts.iter().chain(&self.right_parts).flat_map(Part::facts));
        if let Rule::Stated { fact } = self.rule {
            facts.push(fact);
        }
        facts
    }
}

/// An object, its description and its parts.
type Cited<'a> = (&'a Object, FactId, &'a [Part]);

/// Checks one step against the facts and the rules alone: that the cited facts exist and say what they are cited for,
/// and that these two objects may be one. [`verify_item`] checks what only the whole of an item can show.
///
/// # Errors
/// [`ProofError`] says what does not hold.
pub fn verify(proof: &Proof, facts: &FactLog, rules: &IdentityRules) -> Result<(), ProofError> {
    let left = described(facts, &proof.left.0, proof.left.1)?;
    let right = described(facts, &proof.right.0, proof.right.1)?;
    let forbid = |why| Err(forbidden(proof, why));
    if rules.common_kind(&left.kind, &right.kind).is_none() {
        return forbid("one thing cannot be of both kinds");
    }
    let [one, other] = proof.sides();
    let values = (inherited_values(facts, rules, one)?, inherited_values(facts, rules, other)?);
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
        Rule::Inherited { ident, strength, .. } => {
            if let Some(why) = unusable(proof, rules, ident, *strength) {
                return forbid(why);
            }
            for (side, fact) in [(values.0, proof.left.1), (values.1, proof.right.1)] {
                if side.get(ident).is_none_or(|own| own < strength) {
                    let expected = "the value by its own or through its parts, at least so strong";
                    return Err(ProofError::Misquoted { fact, expected });
                }
            }
        }
        Rule::Key { ident, strength, .. } => {
            if let Some(why) = unusable(proof, rules, ident, *strength) {
                return forbid(why);
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

/// Why a value joins nothing, or not these two.
fn unusable(proof: &Proof, rules: &IdentityRules, ident: &Ident, tier: Strength) -> Option<&'static str> {
    let (one, other) = (&proof.left.0.source, &proof.right.0.source);
    if tier < Strength::Administrative || rules.is_junk(ident) {
        Some("the value does not identify")
    } else if rules.base_of(&ident.realm).is_some_and(|base| rules.is_junk(&Ident::from(&base))) {
        Some("its realm rests on a value that does not identify")
    } else if one == other && rules.is_unique(one) {
        Some("two native ids of one source are two things")
    } else {
        None
    }
}

/// The weakest claim and the values that one object has for a kind of key.
type Said = (Strength, BTreeSet<Text>);

/// A kind of key in a realm.
type Slot = (KeyKind, Realm);

/// What objects that were shown to be one claim together.
struct Together {
    kind: CiKind,
    sources: BTreeSet<SourceName>,
    /// What each of them says, per kind of key and realm.
    values: BTreeMap<Slot, BTreeSet<Said>>,
    /// Of what a thing has several: all that they state, and all that they have through parts as well.
    stated: BTreeMap<Slot, Several>,
    inherited: BTreeMap<Slot, Several>,
}

/// Values of which a thing has several, and whether too many ever claimed each: it may have identified nothing when the
/// decision was made, or may have again.
#[derive(Default)]
pub(super) struct Several(BTreeMap<Text, bool>);

impl Several {
    pub(super) fn add(&mut self, value: Text, hot: bool) {
        *self.0.entry(value).or_default() |= hot;
    }

    fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(value, hot)| self.add(value, hot));
    }

    /// How many values are common and how many the smaller side has, in the reading that shows most in common.
    fn most_common(&self, other: &Self) -> (usize, usize) {
        let common = self.0.keys().filter(|value| other.0.contains_key(*value)).count();
        let counts = |own: &Self, other: &Self| {
            own.0.iter().filter(|(value, hot)| !**hot || other.0.contains_key(*value)).count()
        };
        (common, counts(self, other).min(counts(other, self)))
    }

    /// As [`most_common`](Self::most_common), in the reading that shows least.
    pub(super) fn least_common(&self, other: &Self) -> (usize, usize) {
        let both = |(value, hot): &(&Text, &bool)| !**hot && other.0.get(*value).is_some_and(|hot| !hot);
        (self.0.iter().filter(both).count(), self.0.len().min(other.0.len()))
    }
}

/// Checks that the steps, in this order, make the objects one item: every step as [`verify`] does, and that none joins
/// what the steps before it had shown to be different.
///
/// # Errors
/// [`ProofError`] says what does not hold.
pub fn verify_item(proofs: &[Proof], facts: &FactLog, rules: &IdentityRules) -> Result<(), ProofError> {
    let mut hot = Heats::default();
    let mut groups: Vec<Option<Together>> = Vec::new();
    let mut group_of: BTreeMap<&Object, usize> = BTreeMap::new();
    for proof in proofs {
        verify(proof, facts, rules)?;
        let mut sides = [0; 2];
        for (side, cited) in sides.iter_mut().zip(proof.sides()) {
            *side = match group_of.get(cited.0) {
                Some(group) => *group,
                None => {
                    groups.push(Some(together(facts, rules, cited, &mut hot)?));
                    group_of.insert(cited.0, groups.len() - 1);
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

/// The sorts of things for which a value was ever hot, as stated and as inherited; asked for once.
#[derive(Default)]
struct Heats {
    stated: BTreeMap<Ident, BTreeSet<String>>,
    inherited: BTreeMap<Ident, BTreeSet<String>>,
}

fn together(
    facts: &FactLog,
    rules: &IdentityRules,
    cited: Cited<'_>,
    hot: &mut Heats,
) -> Result<Together, ProofError> {
    let item = described(facts, cited.0, cited.1)?;
    let sort = rules.counted_as(&item.kind).0;
    let mut values: BTreeMap<Slot, Said> = BTreeMap::new();
    let mut stated: BTreeMap<Slot, Several> = BTreeMap::new();
    for key in &item.keys {
        let (strength, ident) = (rules.strength_of(&item.kind, key), Ident::from(key));
        let several = rules.overlap(key.kind()).is_some() || rules.apart_below(key.kind()).is_some();
        let compared = rules.is_single(key.kind()) || several;
        if strength < Strength::Administrative || !compared || rules.is_junk(&ident) {
            continue;
        }
        let value = ident.value.clone();
        let hot = hot.stated.entry(ident).or_insert_with_key(|ident| hot_sorts(facts, rules, ident));
        let hot = hot.contains(sort);
        let slot = (key.kind().clone(), key.realm().clone());
        if several {
            stated.entry(slot.clone()).or_default().add(value.clone(), hot);
        }
        if !hot {
            let slot = values.entry(slot).or_insert_with(|| (strength, BTreeSet::new()));
            slot.0 = slot.0.min(strength);
            slot.1.insert(value);
        }
    }
    let mut inherited: BTreeMap<Slot, Several> = BTreeMap::new();
    for ident in inherited_values(facts, rules, cited)?.into_keys() {
        let (slot, value) = ((ident.kind.clone(), ident.realm.clone()), ident.value.clone());
        let hot = hot.inherited.entry(ident).or_insert_with_key(|ident| hot_heirs(facts, rules, ident));
        inherited.entry(slot).or_default().add(value, hot.contains(sort));
    }
    let source = &cited.0.source;
    let sources = if rules.is_unique(source) { BTreeSet::from([source.clone()]) } else { BTreeSet::new() };
    let values = values.into_iter().map(|(slot, own)| (slot, BTreeSet::from([own]))).collect();
    Ok(Together { kind: item.kind.clone(), sources, values, stated, inherited })
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
    if let Rule::Key { ident, strength, .. } | Rule::Inherited { ident, strength, .. } = &proof.rule {
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
        let pairs = |ours: &BTreeMap<Slot, Several>, theirs: &BTreeMap<Slot, Several>| {
            let both = ours
                .iter()
                .filter_map(|(slot, own)| Some((slot.clone(), own.most_common(theirs.get(slot)?))));
            both.collect::<BTreeMap<Slot, (usize, usize)>>()
        };
        let stated = pairs(&kept.stated, &taken.stated);
        let inherited = pairs(&kept.inherited, &taken.inherited);
        for ((kind, _), (common, smaller)) in &stated {
            if rules.apart_below(kind).is_some_and(|least| !least.holds(*common, *smaller)) {
                return forbid("they share too few values of which a thing has several");
            }
        }
        for ((kind, _), (common, smaller)) in &inherited {
            let Some(rule) = rules.inherited(kind) else { continue };
            let few = rule.apart_below.is_some_and(|least| !least.holds(*common, *smaller));
            if few && *smaller >= rule.at_least as usize {
                return forbid("they share too few values of which they inherit several");
            }
        }
        let slot = (ident.kind.clone(), ident.realm.clone());
        let share = match (&proof.rule, rules.inherited(&ident.kind)) {
            (Rule::Inherited { .. }, Some(rule)) => {
                let (common, smaller) = inherited.get(&slot).copied().unwrap_or_default();
                common >= rule.at_least as usize && rule.share.holds(common, smaller)
            }
            (Rule::Inherited { .. }, None) => false,
            _ => rules.overlap(&ident.kind).is_none_or(|share| {
                stated.get(&slot).is_none_or(|(common, smaller)| share.holds(*common, *smaller))
            }),
        };
        if !share {
            return forbid("they share too few values");
        }
    }
    kept.kind = kind;
    kept.sources.extend(taken.sources);
    for (slot, values) in taken.values {
        kept.values.entry(slot).or_default().extend(values);
    }
    for (slot, values) in taken.stated {
        kept.stated.entry(slot).or_default().merge(values);
    }
    for (slot, values) in taken.inherited {
        kept.inherited.entry(slot).or_default().merge(values);
    }
    Ok(())
}

/// The sorts of things of which one family of sources ever reported more than the limit with this value.
pub(super) fn hot_sorts(facts: &FactLog, rules: &IdentityRules, ident: &Ident) -> BTreeSet<String> {
    let claims = facts.iter().filter_map(|fact| match fact.body() {
        FactBody::Ci(ci) if claims(ci, ident) => Some((fact.source(), ci)),
        _ => None,
    });
    too_many(rules, claims)
}

/// As [`hot_sorts`], of what things have through their parts as well.
pub(super) fn hot_heirs(facts: &FactLog, rules: &IdentityRules, ident: &Ident) -> BTreeSet<String> {
    let items = || {
        facts.iter().filter_map(|fact| match fact.body() {
            FactBody::Ci(ci) => Some((fact.source(), ci)),
            _ => None,
        })
    };
    let parts: BTreeSet<(&SourceName, &Text)> =
        items().filter(|(_, ci)| claims(ci, ident)).map(|(source, ci)| (source, &ci.subject)).collect();
    let wholes: BTreeSet<(&SourceName, &Text)> = facts
        .iter()
        .filter_map(|fact| match fact.body() {
            FactBody::Relation(own) if rules.passes_on(&own.kind) => match (&own.from, &own.to) {
                (Subject::Native(from), Subject::Native(to)) if parts.contains(&(fact.source(), to)) => {
                    Some((fact.source(), from))
                }
                _ => None,
            },
            _ => None,
        })
        .collect();
    too_many(
        rules,
        items().filter(|(source, ci)| wholes.contains(&(*source, &ci.subject)) || claims(ci, ident)),
    )
}

fn claims(ci: &CiObservation, ident: &Ident) -> bool {
    ci.keys.iter().any(|own| Ident::from(own) == *ident)
}

fn too_many<'a>(
    rules: &IdentityRules,
    claims: impl Iterator<Item = (&'a SourceName, &'a CiObservation)>,
) -> BTreeSet<String> {
    let mut claimants: BTreeMap<(&str, &str), BTreeSet<(&SourceName, &Text)>> = BTreeMap::new();
    let mut limits: BTreeMap<&str, usize> = BTreeMap::new();
    // What somebody holds to be so of a thing is no further one.
    for (source, ci) in claims.filter(|(source, _)| !crate::lock::is_lock(source)) {
        let (sort, limit) = rules.counted_as(&ci.kind);
        limits.insert(sort, limit);
        let own = claimants.entry((sort, super::rules::family(source))).or_default();
        own.insert((source, &ci.subject));
    }
    let many = |((sort, _), objects): &(&(&str, &str), &BTreeSet<_>)| {
        limits.get(sort).is_some_and(|limit| objects.len() > *limit)
    };
    claimants.iter().filter(many).map(|((sort, _), _)| (*sort).to_owned()).collect()
}

pub(super) fn described<'a>(
    facts: &'a FactLog,
    object: &Object,
    id: FactId,
) -> Result<&'a CiObservation, ProofError> {
    match facts.get(id) {
        None => Err(ProofError::MissingFact(id)),
        Some(fact) => match (fact.body(), Fact::source(fact)) {
            (FactBody::Ci(ci), source) if *source == object.source && ci.subject == object.native => Ok(ci),
            _ => Err(ProofError::Misquoted { fact: id, expected: "a description of the object" }),
        },
    }
}

/// The values that an object has by itself and through the cited parts, if the facts say what they are cited for: that
/// its source describes the part, and joins it to the object.
pub(super) fn inherited_values(
    facts: &FactLog,
    rules: &IdentityRules,
    (object, id, parts): Cited<'_>,
) -> Result<BTreeMap<Ident, Strength>, ProofError> {
    let item = described(facts, object, id)?;
    let misquoted = |fact, expected| Err(ProofError::Misquoted { fact, expected });
    let mut said: Vec<(&RelationKind, &CiObservation)> = Vec::with_capacity(parts.len());
    let mut children: BTreeMap<&Text, FactId> = BTreeMap::new();
    for part in parts {
        let relation = facts.get(part.relation).ok_or(ProofError::MissingFact(part.relation))?;
        let FactBody::Relation(own) = relation.body() else {
            return misquoted(part.relation, "a relation to a part");
        };
        let Subject::Native(child) = &own.to else {
            return misquoted(part.relation, "a relation to a part of its own source");
        };
        if *relation.source() != object.source || own.from != Subject::Native(object.native.clone()) {
            return misquoted(part.relation, "a relation from the object to a part");
        }
        let child = Object::new(object.source.clone(), child.clone());
        let described = described(facts, &child, part.child)?;
        if rules.passed_on(&item.kind, &own.kind, described).next().is_none() {
            return misquoted(part.child, "a part of which a key counts for the object");
        }
        if *children.entry(&described.subject).or_insert(part.child) != part.child {
            return misquoted(part.child, "the one description of the part");
        }
        said.push((&own.kind, described));
    }
    Ok(rules.values_of(item, said))
}
