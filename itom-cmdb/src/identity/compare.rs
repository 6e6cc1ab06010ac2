//! Two items side by side: how every value compares, and what forbids to join them.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiKind, CiObservation, Key, KeyKind, Realm, Strength, Text};

use super::proof::Several;
use super::resolver::Resolver;
use super::{Ident, IdentityRules, Object, Part, ProofError, Whole};
use crate::fact::{Fact, FactBody, FactId, FactLog};

/// What comparing one kind of key in one realm gave. Conditions have three values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// A common value says that they are one.
    True(Text),
    /// They have different values, and a thing has one.
    False,
    /// It says nothing.
    NotApplicable(WhyNot),
}

/// Why a comparison says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyNot {
    /// Only one of them claims a value.
    OneSided,
    /// The common value is known to identify nothing.
    Junk,
    /// Too many claim the common value.
    Hot,
    /// What is claimed is a passing circumstance: it never joins.
    Ambient,
    /// They have several values and share too few of them.
    TooFewShared,
    /// A thing may have several values; that theirs differ means nothing.
    Differ,
}

/// One kind of key in one realm, compared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// The kind of key.
    pub kind: KeyKind,
    /// Where its values are unique.
    pub realm: Realm,
    /// Whether the values are compared that they have [through their parts](super::FromChildren) as well.
    pub inherited: bool,
    /// What it says.
    pub verdict: Verdict,
}

/// One reason why two items must not be one, with the facts it rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Apart {
    /// Somebody said so.
    Stated {
        /// The `NotSame` fact.
        fact: FactId,
    },
    /// One source, in which two native ids are two things, has both.
    SameSource {
        /// One, with its description.
        left: (Object, FactId),
        /// The other.
        right: (Object, FactId),
    },
    /// They are of kinds that nothing can be at once.
    Kinds {
        /// One, with its description.
        left: (Object, FactId),
        /// The other.
        right: (Object, FactId),
    },
    /// A thing has one value of this kind of key, and they have different ones.
    Differs {
        /// One, with its description.
        left: (Object, FactId),
        /// The other.
        right: (Object, FactId),
        /// The kind of key.
        kind: KeyKind,
        /// Where its values are unique.
        realm: Realm,
    },
    /// A thing has several values of this kind of key, and they share too few of theirs: nothing of its own, or less than
    /// the rule asks for.
    TooFewShared {
        /// One, with its description.
        left: (Object, FactId),
        /// The other.
        right: (Object, FactId),
        /// The kind of key.
        kind: KeyKind,
        /// Where its values are unique.
        realm: Realm,
    },
    /// As [`TooFewShared`](Self::TooFewShared), of the values that things have [through their
    /// parts](super::FromChildren) as well.
    TooFewInherited {
        /// One, with its description and its parts.
        left: Whole,
        /// The other.
        right: Whole,
        /// The kind of key.
        kind: KeyKind,
        /// Where its values are unique.
        realm: Realm,
    },
}

impl Apart {
    /// The facts it rests on.
    #[must_use]
    pub fn facts(&self) -> Vec<FactId> {
        match self {
            Self::Stated { fact } => vec![*fact],
            Self::SameSource { left, right } | Self::Kinds { left, right } => vec![left.1, right.1],
            Self::Differs { left, right, .. } | Self::TooFewShared { left, right, .. } => {
                vec![left.1, right.1]
            }
            Self::TooFewInherited { left, right, .. } => left.facts().chain(right.facts()).collect(),
        }
    }
}

/// Checks a reason to keep two items apart against the facts and the rules alone.
///
/// # Errors
/// [`ProofError`] says what does not hold.
pub fn verify_apart(apart: &Apart, facts: &FactLog, rules: &IdentityRules) -> Result<(), ProofError> {
    let misquoted = |fact: FactId, expected| Err(ProofError::Misquoted { fact, expected });
    match apart {
        Apart::Stated { fact } => match facts.get(*fact).map(Fact::body) {
            None => Err(ProofError::MissingFact(*fact)),
            Some(FactBody::NotSame(_)) => Ok(()),
            Some(_) => misquoted(*fact, "that two subjects are not the same"),
        },
        Apart::SameSource { left, right } => {
            described(facts, left)?;
            described(facts, right)?;
            if left.0.source != right.0.source || left.0 == right.0 || !rules.is_unique(&left.0.source) {
                return misquoted(left.1, "another object of a source without double entries");
            }
            Ok(())
        }
        Apart::Kinds { left, right } => {
            let (one, other) = (described(facts, left)?, described(facts, right)?);
            if rules.common_kind(&one.kind, &other.kind).is_some() {
                return misquoted(left.1, "a kind that has nothing in common with the other");
            }
            Ok(())
        }
        Apart::Differs { left, right, kind, realm } => {
            let (ours, theirs, common) = compared(facts, rules, (left, right), kind, realm)?;
            if !rules.is_single(kind) || ours == 0 || theirs == 0 || common > 0 {
                return misquoted(left.1, "a different value of a single-valued key");
            }
            Ok(())
        }
        Apart::TooFewShared { left, right, kind, realm } => {
            let (ours, theirs, common) = compared(facts, rules, (left, right), kind, realm)?;
            let few = rules.apart_below(kind).is_some_and(|least| !least.holds(common, ours.min(theirs)));
            if ours == 0 || theirs == 0 || !few {
                return misquoted(left.1, "values of which too few are the other's");
            }
            Ok(())
        }
        Apart::TooFewInherited { left, right, kind, realm } => {
            let values = |own: &Whole| -> Result<Several, ProofError> {
                let cited = (&own.object, own.statement, own.parts.as_slice());
                let all = super::proof::inherited_values(facts, rules, cited)?;
                let mut values = Several::default();
                for ident in all.into_keys().filter(|own| own.kind == *kind && own.realm == *realm) {
                    let hot = !super::proof::hot_heirs(facts, rules, &ident).is_empty();
                    values.add(ident.value, hot);
                }
                Ok(values)
            };
            let (common, smaller) = values(left)?.least_common(&values(right)?);
            let few = rules.inherited(kind).is_some_and(|rule| {
                smaller >= rule.at_least as usize
                    && rule.apart_below.is_some_and(|least| !least.holds(common, smaller))
            });
            if smaller == 0 || !few {
                return misquoted(
                    left.statement,
                    "values through its parts of which too few are the other's",
                );
            }
            Ok(())
        }
    }
}

fn described<'a>(facts: &'a FactLog, cited: &(Object, FactId)) -> Result<&'a CiObservation, ProofError> {
    super::proof::described(facts, &cited.0, cited.1)
}

/// How many values of a kind of key two descriptions have, and how many in common. What was ever hot is not common.
fn compared(
    facts: &FactLog,
    rules: &IdentityRules,
    (left, right): (&(Object, FactId), &(Object, FactId)),
    kind: &KeyKind,
    realm: &Realm,
) -> Result<(usize, usize, usize), ProofError> {
    let values = |cited| -> Result<BTreeSet<Ident>, ProofError> {
        let item = described(facts, cited)?;
        let counts = |key: &&Key| {
            key.kind() == kind
                && key.realm() == realm
                && rules.strength_of(&item.kind, key) >= Strength::Administrative
                && !rules.is_junk(&Ident::from(*key))
        };
        Ok(item.keys.iter().filter(counts).map(Ident::from).collect())
    };
    let (ours, theirs) = (values(left)?, values(right)?);
    let hot = |ident: &&Ident| !super::proof::hot_sorts(facts, rules, ident).is_empty();
    let common = ours.intersection(&theirs).filter(|ident| !hot(ident)).count();
    Ok((ours.len(), theirs.len(), common))
}

/// The values of some objects in one slot: the strongest claim of each, and whether it identifies who claims it.
type Values = BTreeMap<u32, (Strength, bool)>;

impl Resolver {
    fn values(&self, objects: &[u32]) -> BTreeMap<u32, Values> {
        let mut slots: BTreeMap<u32, Values> = BTreeMap::new();
        for object in objects {
            for claim in self.own_claims(*object) {
                let slot = slots.entry(self.slot_of(claim.number())).or_default();
                let said = (claim.strength(), self.identifies(claim.number(), self.row(*object).kind));
                let known = slot.entry(claim.number()).or_insert(said);
                *known = (known.0.max(said.0), known.1 | said.1);
            }
        }
        slots
    }

    fn identifying(values: &Values) -> BTreeSet<u32> {
        let counts = |(_, said): &(&u32, &(Strength, bool))| said.0 >= Strength::Administrative && said.1;
        values.iter().filter(counts).map(|(ident, _)| *ident).collect()
    }

    /// Compares every value that either side claims.
    pub(crate) fn compare(&self, a: &[u32], b: &[u32]) -> Vec<Comparison> {
        let (ours, theirs) = (self.values(a), self.values(b));
        let numbers: BTreeSet<u32> = ours.keys().chain(theirs.keys()).copied().collect();
        let none = Values::new();
        let mut compared: Vec<Comparison> = numbers
            .into_iter()
            .map(|number| {
                let (one, other) = (ours.get(&number).unwrap_or(&none), theirs.get(&number).unwrap_or(&none));
                let verdict = self.verdict(number, one, other);
                let ident = one.keys().chain(other.keys()).next().map(|ident| self.names.ident_name(*ident));
                let inherited = self.slot(number).inherited;
                ident.map(|ident| Comparison { kind: ident.kind, realm: ident.realm, inherited, verdict })
            })
            .collect::<Option<_>>()
            .unwrap_or_default();
        compared.sort_by(|a, b| (&a.kind, &a.realm, a.inherited).cmp(&(&b.kind, &b.realm, b.inherited)));
        compared
    }

    fn verdict(&self, slot: u32, ours: &Values, theirs: &Values) -> Verdict {
        let rule = self.slot(slot);
        let (one, other) = (Self::identifying(ours), Self::identifying(theirs));
        let mut common: Vec<u32> = one.intersection(&other).copied().collect();
        common.sort_unstable_by(|a, b| self.names.compare_idents(*a, *b));
        if let Some(first) = common.first() {
            let share =
                rule.overlap.is_none_or(|share| share.holds(common.len(), one.len().min(other.len())));
            return if share && common.len() >= rule.at_least {
                Verdict::True(self.names.ident_name(*first).value)
            } else {
                Verdict::NotApplicable(WhyNot::TooFewShared)
            };
        }
        if rule.single && !one.is_empty() && !other.is_empty() {
            return Verdict::False;
        }
        let why = match ours.keys().find(|ident| theirs.contains_key(ident)) {
            Some(ident) if self.is_junk(*ident) => WhyNot::Junk,
            Some(ident) if !ours[ident].1 || !theirs[ident].1 => WhyNot::Hot,
            Some(_) => WhyNot::Ambient,
            None if one.is_empty() && other.is_empty() => WhyNot::Ambient,
            None if one.is_empty() || other.is_empty() => WhyNot::OneSided,
            None => WhyNot::Differ,
        };
        Verdict::NotApplicable(why)
    }

    fn name(&self, object: u32) -> (Object, FactId) {
        (self.names.object_name(object), self.row(object).statement)
    }

    /// Everything that forbids to join two items. `parts` tells through what an object inherits.
    pub(crate) fn apart(&self, a: &[u32], b: &[u32], parts: &impl Fn(u32) -> Vec<Part>) -> Vec<Apart> {
        let mut reasons = BTreeSet::new();
        for one in a {
            for word in self.words_of(*one) {
                if !word.same && b.contains(&word.other) {
                    reasons.insert(Apart::Stated { fact: word.fact });
                }
            }
            for other in b {
                let (left, right) = (self.row(*one), self.row(*other));
                if left.source == right.source && self.is_unique(left.source) {
                    reasons.insert(Apart::SameSource { left: self.name(*one), right: self.name(*other) });
                }
                let kind = |kind: u32| -> &CiKind { self.names.kind_of(kind) };
                if self.rules().common_kind(kind(left.kind), kind(right.kind)).is_none() {
                    reasons.insert(Apart::Kinds { left: self.name(*one), right: self.name(*other) });
                }
            }
        }
        for one in a {
            for other in b {
                let (ours, theirs) = (self.values(&[*one]), self.values(&[*other]));
                for (slot, values) in ours.iter().filter(|(slot, _)| self.slot(**slot).single) {
                    let Some(others) = theirs.get(slot) else { continue };
                    let (mine, yours) = (Self::identifying(values), Self::identifying(others));
                    let Some(ident) = mine.first().filter(|_| !yours.is_empty()) else { continue };
                    if mine.is_disjoint(&yours) {
                        let ident = self.names.ident_name(*ident);
                        reasons.insert(Apart::Differs {
                            left: self.name(*one),
                            right: self.name(*other),
                            kind: ident.kind,
                            realm: ident.realm,
                        });
                    }
                }
            }
        }
        self.too_few_shared(a, b, parts, &mut reasons);
        reasons.into_iter().collect()
    }

    /// Of what a thing has several, two items may share too little as a whole; the objects cited show it by themselves.
    fn too_few_shared(
        &self,
        a: &[u32],
        b: &[u32],
        parts: &impl Fn(u32) -> Vec<Part>,
        reasons: &mut BTreeSet<Apart>,
    ) {
        let (ours, theirs) = (self.values(a), self.values(b));
        for (slot, values) in &ours {
            let rule = self.slot(*slot);
            let Some((least, others)) = rule.apart_below.zip(theirs.get(slot)) else { continue };
            let few = |one: &Values, other: &Values| {
                let (one, other) = (Self::identifying(one), Self::identifying(other));
                let smaller = one.len().min(other.len());
                smaller > 0
                    && smaller >= rule.at_least
                    && !least.holds(one.intersection(&other).count(), smaller)
            };
            if !few(values, others) {
                continue;
            }
            let Some(ident) = values.keys().next().map(|ident| self.names.ident_name(*ident)) else {
                continue;
            };
            for one in a {
                for other in b {
                    let (mine, yours) = (self.values(&[*one]), self.values(&[*other]));
                    if !mine.get(slot).zip(yours.get(slot)).is_some_and(|(one, other)| few(one, other)) {
                        continue;
                    }
                    let (kind, realm) = (ident.kind.clone(), ident.realm.clone());
                    reasons.insert(if rule.inherited {
                        let (left, right) = (self.cite(*one, parts), self.cite(*other, parts));
                        Apart::TooFewInherited { left, right, kind, realm }
                    } else {
                        let (left, right) = (self.name(*one), self.name(*other));
                        Apart::TooFewShared { left, right, kind, realm }
                    });
                }
            }
        }
    }

    /// The kinds of key in which these items differ pairwise and of which `open` has none: a value would tell whose it
    /// is. The most telling first.
    pub(crate) fn telling(&self, open: &[u32], items: &[&[u32]]) -> Vec<KeyKind> {
        let own = self.values(open);
        let sides: Vec<BTreeMap<u32, Values>> = items.iter().map(|item| self.values(item)).collect();
        let Some((first, rest)) = sides.split_first() else { return Vec::new() };
        let mut telling: Vec<(Strength, KeyKind)> = Vec::new();
        for (slot, values) in first {
            let usable = Self::identifying(values);
            let Some(ident) = usable.first() else { continue };
            let mut seen = usable.clone();
            let differ = rest.iter().all(|side| {
                let others = side.get(slot).map(Self::identifying).unwrap_or_default();
                !others.is_empty() && others.into_iter().all(|other| seen.insert(other))
            });
            if differ && self.slot(*slot).single && !own.contains_key(slot) {
                let strength = values.values().map(|said| said.0).min().unwrap_or(Strength::Ambient);
                telling.push((strength, self.names.ident_name(*ident).kind));
            }
        }
        telling.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        telling.dedup();
        telling.into_iter().map(|(_, kind)| kind).collect()
    }
}
