//! Why two objects are one item, in a form that can be checked without the code that decided it.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiObservation, Classify, ErrorKind, Key, SourceName, Strength, Text};
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

/// Checks a proof against the facts and the rules alone.
///
/// # Errors
/// [`ProofError`] says what does not hold.
pub fn verify(proof: &Proof, facts: &FactLog, rules: &IdentityRules) -> Result<(), ProofError> {
    let left = described(facts, &proof.left)?;
    let right = described(facts, &proof.right)?;
    let forbid =
        |why| Err(ProofError::Forbidden { left: proof.left.0.clone(), right: proof.right.0.clone(), why });
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
            if proof.left.0.source == proof.right.0.source {
                return forbid("two native ids of one source are two things");
            }
            for (side, fact) in [(left, proof.left.1), (right, proof.right.1)] {
                if !side.keys.iter().any(|key| key.strength() >= *strength && Ident::from(key) == *ident) {
                    return Err(ProofError::Misquoted { fact, expected: "the key, at least so strong" });
                }
            }
            let differ = left.keys.iter().any(|key| {
                let sides = ((left, &proof.left.0), (right, &proof.right.0));
                contradicts(facts, rules, key, sides, *strength)
            });
            if differ {
                return forbid("they differ in a stronger single-valued key");
            }
        }
    }
    Ok(())
}

type Side<'a> = (&'a CiObservation, &'a Object);

/// Whether the items differ in this single-valued key, which is strong enough to forbid. Junk and hot values say
/// nothing.
fn contradicts(
    facts: &FactLog,
    rules: &IdentityRules,
    key: &Key,
    (left, right): (Side<'_>, Side<'_>),
    by: Strength,
) -> bool {
    let slot = |(item, _): Side<'_>| -> Vec<Key> {
        item.keys
            .iter()
            .filter(|own| own.kind() == key.kind() && own.realm() == key.realm())
            .filter(|own| own.strength() >= Strength::Administrative && !rules.is_junk(&Ident::from(*own)))
            .cloned()
            .collect()
    };
    let (ours, theirs) = (slot(left), slot(right));
    let Some(weakest) = ours.iter().chain(&theirs).map(Key::strength).min() else { return false };
    !ours.is_empty()
        && !theirs.is_empty()
        && rules.forbids(key.kind(), weakest, by)
        && ours.iter().all(|own| theirs.iter().all(|other| own.value() != other.value()))
        // Looked at last: it reads every statement.
        && ours.iter().any(|own| !is_hot(facts, rules, own))
        && theirs.iter().any(|own| !is_hot(facts, rules, own))
}

/// Whether more objects of one source than the limit ever claimed this value.
fn is_hot(facts: &FactLog, rules: &IdentityRules, key: &Key) -> bool {
    let mut claimants: BTreeMap<&SourceName, BTreeSet<&Text>> = BTreeMap::new();
    for fact in facts.iter() {
        if let FactBody::Ci(ci) = fact.body()
            && ci.keys.iter().any(|own| Ident::from(own) == Ident::from(key))
        {
            claimants.entry(fact.source()).or_default().insert(&ci.subject);
        }
    }
    claimants.values().any(|objects| objects.len() > rules.hot_limit())
}

fn described<'a>(
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
