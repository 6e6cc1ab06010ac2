//! What a value is worth: whom it identifies, and whether the realms that rest on it mean anything.

use super::Ident;
use super::IdentityRules;
use super::claimants::{Claim, Claimants, Heat, Limits, Sort};
use super::resolver::{Resolver, Row};

/// Whom a value identifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Nobody: it is junk, or a whole crowd claims it.
    Nobody,
    /// Whoever claims it.
    All,
    /// Not the sorts of things of which too many claim it.
    Some,
}

/// What is known of a value, in half a line of the cache: whoever looks at one needs all of it.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) claimants: Claimants,
    /// Its kind of key and its realm.
    pub(super) slot: u32,
    /// The last look at it.
    pub(super) stamp: u32,
    pub(super) usable: Use,
    pub(super) junk: bool,
}

/// A value that realms rest on.
#[derive(Debug, Clone, Default)]
pub(super) struct Base {
    /// Its claimants are several items.
    pub(super) split: bool,
    /// It identifies one item: what is unique there is so.
    pub(super) sound: bool,
    /// The values that are unique there.
    pub(super) within: Vec<u32>,
}

/// How many claimants are too many.
pub(super) fn limits<'a>(rules: &IdentityRules, sorts: &'a [usize]) -> Limits<'a> {
    let least = sorts.iter().copied().min().unwrap_or(0);
    Limits { sorts, least, most: rules.crowd_limit() }
}

impl Resolver {
    /// Whom a value identifies that is so hot.
    pub(super) fn use_of(&self, ident: u32, heat: &Heat) -> Use {
        let base = self.slot(self.slot_of(ident)).base;
        let sound = base.is_none_or(|base| self.bases.get(&base).is_some_and(|base| base.sound));
        if self.values[ident as usize].junk || heat.crowded || !sound {
            Use::Nobody
        } else if heat.sorts.is_empty() {
            Use::All
        } else {
            Use::Some
        }
    }

    /// What became of the realms that rest on a value: when they mean something now and did not, or the other way
    /// round, whoever claims what is unique there is looked at again.
    pub(super) fn ground(&mut self, ident: u32, touched: &mut Vec<u32>) {
        let Some(base) = self.bases.get_mut(&ident) else { return };
        let sound = self.values[ident as usize].usable == Use::All && !base.split;
        if sound == base.sound {
            return;
        }
        base.sound = sound;
        for within in base.within.clone() {
            let heat =
                self.values[within as usize].claimants.heat(limits(&self.rules, &self.limits), self.about());
            let usable = self.use_of(within, &heat);
            if usable != self.values[within as usize].usable {
                self.values[within as usize].usable = usable;
                touched.push(within);
                self.seeds.extend(self.values[within as usize].claimants.iter().map(Claim::number));
            }
        }
    }

    /// Whether the claimants of values that realms rest on are several items.
    pub(super) fn split(&mut self, found: &[(u32, bool)], touched: &mut Vec<u32>) {
        for (ident, split) in found {
            let Some(base) = self.bases.get_mut(ident).filter(|base| base.split != *split) else { continue };
            base.split = *split;
            if *split {
                self.splits += 1;
            } else {
                self.splits -= 1;
            }
            self.ground(*ident, touched);
        }
    }

    pub(super) const fn has_splits(&self) -> bool {
        self.splits > 0
    }

    /// Whether realms rest on a value.
    pub(super) fn is_base(&self, ident: u32) -> bool {
        self.bases.contains_key(&ident)
    }

    /// Whether a value is unique in a realm that rests on another.
    pub(super) fn is_within(&self, ident: u32) -> bool {
        self.slot(self.slot_of(ident)).base.is_some()
    }

    /// The sort of an object, and whether it is a thing that is there.
    pub(super) fn about(&self) -> impl Fn(u32) -> (Sort, bool) {
        |object| (self.sort_of(self.row(object)), self.is_there(self.row(object)))
    }

    pub(super) fn sort_of(&self, row: &Row) -> Sort {
        self.sort_by(row.kind, row.source)
    }

    pub(super) fn sort_by(&self, kind: u32, source: u32) -> Sort {
        Sort { things: self.sorts[kind as usize], family: self.families[source as usize] }
    }

    /// The kind of key and the realm of a value.
    pub(super) fn slot_of(&self, ident: u32) -> u32 {
        self.values[ident as usize].slot
    }

    /// Whether a value identifies anything at all.
    pub(crate) fn identifies_some(&self, ident: u32) -> bool {
        self.values[ident as usize].usable != Use::Nobody
    }

    /// Whether a value identifies items of this kind.
    pub(crate) fn identifies(&self, ident: u32, kind: u32) -> bool {
        match self.values[ident as usize].usable {
            Use::All => true,
            Use::Nobody => false,
            Use::Some => {
                let limits = limits(&self.rules, &self.limits);
                let things = self.sorts[kind as usize];
                !self.values[ident as usize].claimants.is_hot_for(things, limits, self.about())
            }
        }
    }

    pub(crate) fn is_junk(&self, ident: u32) -> bool {
        self.values[ident as usize].junk
    }

    /// Whether too many claim a value, of whatever sort.
    pub(crate) fn is_hot(&self, ident: &Ident) -> bool {
        let Some(number) = self.names.find_ident(ident).filter(|number| !self.is_junk(*number)) else {
            return false;
        };
        let heat =
            self.values[number as usize].claimants.heat(limits(&self.rules, &self.limits), self.about());
        heat != Heat::default()
    }

    /// Who claims a value, in no order that may show.
    pub(crate) fn claimants(&self, ident: u32) -> impl Iterator<Item = u32> {
        self.values[ident as usize].claimants.iter().map(Claim::number)
    }
}
