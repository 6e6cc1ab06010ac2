//! What a thing inherits: values of its parts, which the same source describes as items of their own. An inventory tells
//! the addresses of a host's interfaces and not those of the host; they are the host's all the same.
//!
//! Inherited values, together with those that a thing states itself, are a set of their own beside the stated ones: they
//! are compared by a [rule](InheritedRule) of their own, give no item its id, and no reference means a thing by them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use itom_core::{CiKind, CiObservation, Key, KeyKind, RelationKind, Strength};
use serde::{Deserialize, Serialize};

use super::names::Asked;
use super::resolver::{MOST_KEYS, Resolver, SlotRule};
use super::{Described, Ident, IdentityRules, Object, Share};
use crate::fact::FactId;

/// Which keys of which parts count for a thing.
///
/// ```
/// use itom_cmdb::identity::{FromChildren, IdentityRules, InheritedRule, KeyRule, Share};
/// use itom_core::{CiKind, key_kind, relation};
///
/// // The serial numbers of its modules tell one stack of switches from another.
/// let stack = CiKind::new("device.stack")?;
/// let module = CiKind::new("device.module")?;
/// let mut serial = IdentityRules::default().rule_of(&key_kind::SERIAL).cloned().unwrap_or_default();
/// serial.inherited = Some(InheritedRule::new(Share { of: 1, out_of: 2 }, 2));
/// let rules = IdentityRules::default()
///     .key_rule(key_kind::SERIAL, serial)
///     .from_children(stack.clone(), [FromChildren::new(relation::CONTAINS, module, [key_kind::SERIAL])]);
/// assert_eq!(rules.children_of(&stack).len(), 1);
/// # Ok::<(), itom_core::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FromChildren {
    /// The kind of relation that leads from a thing to its part. Both ends are native ids of one source.
    pub relation: RelationKind,
    /// What the part is: of this kind or a refinement.
    pub child: CiKind,
    /// The kinds of key that count. Each needs [a rule](super::KeyRule::inherited); without one it does not count. Nor
    /// do values in a realm that [rests](IdentityRules::realm_rests_on) on what identifies one machine.
    pub keys: BTreeSet<KeyKind>,
}

impl FromChildren {
    /// These keys of parts of this kind, which are where this relation leads to.
    #[must_use]
    pub fn new(relation: RelationKind, child: CiKind, keys: impl IntoIterator<Item = KeyKind>) -> Self {
        Self { relation, child, keys: keys.into_iter().collect() }
    }
}

/// How inherited values of one kind of key are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct InheritedRule {
    /// This share of the values of the thing that has fewer must be common …
    pub share: Share,
    /// … and at least so many values: the one that a dock lends joins nobody. A thing with fewer says nothing by them.
    pub at_least: u32,
    /// Two things that both have enough values and share less than this of them are two things, whatever else they share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart_below: Option<Share>,
    /// They count for no more than this, however strong they are on the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Strength>,
}

impl InheritedRule {
    /// This share and at least so many values must be common.
    #[must_use]
    pub const fn new(share: Share, at_least: u32) -> Self {
        Self { share, at_least, apart_below: None, at_most: None }
    }

    /// What shares less than this is two things.
    #[must_use]
    pub const fn apart_below(self, share: Share) -> Self {
        Self { apart_below: Some(share), ..self }
    }

    /// They count for no more than this.
    #[must_use]
    pub const fn at_most(self, strength: Strength) -> Self {
        Self { at_most: Some(strength), ..self }
    }
}

/// A part from which an object inherits, by the facts that say so. Both are of the source of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// The statement of the relation that leads to the part.
    pub relation: FactId,
    /// The description of the part.
    pub child: FactId,
}

impl Part {
    pub(super) const fn facts(&self) -> [FactId; 2] {
        [self.relation, self.child]
    }
}

/// An object with everything that it has values by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Whole {
    /// The object.
    pub object: Object,
    /// Its description.
    pub statement: FactId,
    /// Its parts that count, ascending.
    pub parts: Vec<Part>,
}

impl Whole {
    /// Every fact that it rests on.
    pub fn facts(&self) -> impl Iterator<Item = FactId> {
        let parts = self.parts.iter().flat_map(Part::facts);
        std::iter::once(self.statement).chain(parts)
    }
}

impl IdentityRules {
    /// What things of this kind and its refinements inherit, in the place of what they did.
    #[must_use]
    pub fn from_children(mut self, kind: CiKind, rules: impl IntoIterator<Item = FromChildren>) -> Self {
        self.children.insert(kind, rules.into_iter().collect());
        self
    }

    /// What things of this kind inherit: what the nearest general kind with such rules says.
    #[must_use]
    pub fn children_of(&self, kind: &CiKind) -> &[FromChildren] {
        if self.children.is_empty() {
            return &[];
        }
        let mut name = kind.as_str();
        loop {
            if let Some(rules) = self.children.get(name) {
                return rules;
            }
            match name.rsplit_once('.') {
                Some((general, _)) => name = general,
                None => return &[],
            }
        }
    }

    /// How inherited values of this kind of key are compared.
    #[must_use]
    pub fn inherited(&self, kind: &KeyKind) -> Option<InheritedRule> {
        self.rule_of(kind)?.inherited
    }

    /// Whether a key tells one thing from another. What is unique on one machine only does not: its virtual interfaces
    /// come and go.
    pub(super) fn can_be_inherited(&self, key: &Key) -> bool {
        self.inherited(key.kind()).is_some() && self.base_of(key.realm()).is_none()
    }

    /// Whether anything inherits.
    pub(crate) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// Whether something inherits from things of this kind.
    pub(crate) fn is_child(&self, kind: &CiKind) -> bool {
        self.children.values().flatten().any(|rule| kind.is_a(&rule.child))
    }

    /// Whether something inherits along relations of this kind.
    pub(crate) fn passes_on(&self, relation: &RelationKind) -> bool {
        self.children.values().flatten().any(|rule| rule.relation == *relation)
    }

    /// The keys of a part that count for a thing of this kind to which this relation joins it.
    pub(crate) fn passed_on<'a>(
        &'a self,
        kind: &CiKind,
        relation: &'a RelationKind,
        part: &'a CiObservation,
    ) -> impl Iterator<Item = &'a Key> {
        let rules = self.children_of(kind);
        let counts = move |rule: &FromChildren, key: &Key| {
            rule.relation == *relation && part.kind.is_a(&rule.child) && rule.keys.contains(key.kind())
        };
        part.keys.iter().filter(move |key| {
            self.can_be_inherited(key)
                && self.strength_of(&part.kind, key) >= Strength::Administrative
                && rules.iter().any(|rule| counts(rule, key))
        })
    }

    /// The values by which a thing with these parts is compared as one that inherits, per kind of key and realm, with
    /// the strongest claim of each.
    pub(super) fn values_of<'a>(
        &self,
        item: &'a CiObservation,
        parts: impl IntoIterator<Item = (&'a RelationKind, &'a CiObservation)>,
    ) -> BTreeMap<Ident, Strength> {
        let rules = self.children_of(&item.kind);
        let mut keys: Vec<(&Key, Strength)> = item
            .keys
            .iter()
            .filter(|key| {
                self.can_be_inherited(key) && rules.iter().any(|rule| rule.keys.contains(key.kind()))
            })
            .map(|key| (key, self.strength_of(&item.kind, key)))
            .collect();
        for (relation, part) in parts {
            let own = self.passed_on(&item.kind, relation, part);
            keys.extend(own.map(|key| (key, self.strength_of(&part.kind, key))));
        }
        let mut values = BTreeMap::new();
        for (key, strength) in keys {
            let Some(rule) = self.inherited(key.kind()) else { continue };
            let ident = Ident::from(key);
            if strength >= Strength::Administrative && !self.is_junk(&ident) {
                let strength = rule.at_most.map_or(strength, |most| strength.min(most));
                let slot = values.entry(ident).or_insert(strength);
                *slot = strength.max(*slot);
            }
        }
        values.retain(|_, strength| *strength >= Strength::Administrative);
        let count = |own: &Ident| {
            values.keys().filter(|other| other.kind == own.kind && other.realm == own.realm).count()
        };
        let few: Vec<Ident> = values
            .keys()
            .filter(|own| self.inherited(&own.kind).is_none_or(|rule| count(own) < rule.at_least as usize))
            .cloned()
            .collect();
        few.iter().for_each(|own| {
            values.remove(own);
        });
        values
    }
}

impl Resolver {
    /// Which kinds of key things of this kind inherit; `None`: none.
    pub(super) fn inherited_kinds(&self, kind: &CiKind) -> Option<Arc<[KeyKind]>> {
        let rules = self.rules().children_of(kind);
        let kinds: BTreeSet<&KeyKind> = rules.iter().flat_map(|rule| &rule.keys).collect();
        let counting = kinds.into_iter().filter(|kind| self.rules().inherited(kind).is_some());
        let kinds: Vec<KeyKind> = counting.cloned().collect();
        (!kinds.is_empty()).then(|| kinds.into())
    }

    /// How inherited values of this kind of key are compared.
    pub(super) fn inherited_slot(&self, kind: &KeyKind, stated: SlotRule) -> SlotRule {
        let Some(rule) = self.rules().inherited(kind) else { return stated };
        SlotRule {
            single: false,
            decisive: false,
            overlap: Some(rule.share),
            apart_below: rule.apart_below,
            at_least: rule.at_least as usize,
            at_most: stated
                .at_most
                .map_or(rule.at_most, |own| Some(rule.at_most.map_or(own, |most| own.min(most)))),
            inherited: true,
            ..stated
        }
    }

    /// Adds the questions after what an object of this kind inherits, and after its own values that count along.
    pub(super) fn ask_inherited<'a>(&mut self, kind: u32, said: &Described<'a>, asked: &mut Vec<Asked<'a>>) {
        let Some(kinds) = self.inherits[kind as usize].clone() else { return };
        let stated = said.keys.iter().filter(|key| {
            kinds.contains(key.kind()) && self.rules().strength_of(said.kind, key) >= Strength::Administrative
        });
        let passed_on = said.inherited.iter().filter(|key| kinds.contains(key.kind()));
        let mut keys: Vec<&'a Key> = stated
            .chain(passed_on)
            .filter(|key| {
                self.rules().can_be_inherited(key)
                    && !self.is_junk_key(key)
                    && key.strength() >= Strength::Administrative
            })
            .collect();
        // Of two claims of one value the stronger stands.
        keys.sort_by(|a, b| (value_of(a), b.strength()).cmp(&(value_of(b), a.strength())));
        keys.dedup_by(|later, first| value_of(later) == value_of(first));
        if keys.len() > MOST_KEYS {
            keys.sort_by(|a, b| b.strength().cmp(&a.strength()).then_with(|| a.cmp(b)));
            keys.truncate(MOST_KEYS);
            keys.sort_unstable();
        }
        for of_slot in keys.chunk_by(|a, b| a.kind() == b.kind() && a.realm() == b.realm()) {
            let Some(first) = of_slot.first() else { continue };
            let slot = self.slot_for(first, true);
            // Who has few says nothing by them, and costs nothing.
            if of_slot.len() >= self.slot(slot).at_least {
                asked.extend(of_slot.iter().map(|key| self.names.ask(slot, key)));
            }
        }
    }

    /// Whether a value is one that things have through their parts.
    pub(crate) fn is_inherited(&self, ident: u32) -> bool {
        self.slot(self.slot_of(ident)).inherited
    }
}

fn value_of(key: &Key) -> (&KeyKind, &itom_core::Realm, &str) {
    (key.kind(), key.realm(), key.value())
}
