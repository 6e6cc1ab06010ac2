//! Who claims one value, and whether too many do.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::Strength;

/// A number with a strength, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim(u32);

impl Claim {
    pub(crate) fn new(number: u32, strength: Strength) -> Self {
        Self(number << 2 | strength as u32)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0 >> 2
    }

    pub(crate) const fn strength(self) -> Strength {
        match self.0 & 3 {
            0 => Strength::Ambient,
            1 => Strength::Administrative,
            2 => Strength::Issued,
            _ => Strength::Hardware,
        }
    }

    /// Whether it can join.
    pub(crate) const fn joins(self) -> bool {
        self.0 & 3 != 0
    }
}

const FEW: usize = 3;

#[derive(Debug, Clone)]
pub(crate) enum Claimants {
    /// The usual case, without an allocation.
    Few(u8, [Claim; FEW]),
    Many(Box<Crowd>),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Crowd {
    claims: BTreeSet<Claim>,
    /// Live claimants of each sort.
    live: BTreeMap<Sort, u32>,
    /// Of how many families the things of this sort are too many.
    hot: BTreeMap<u32, u32>,
}

/// What is counted together: the things of one sort that one family of sources reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sort {
    pub(crate) things: u32,
    pub(crate) family: u32,
}

/// How many claimants are too many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// Of one sort of things, by its number.
    pub(crate) sorts: &'a [usize],
    /// The smallest of these.
    pub(crate) least: usize,
    /// Altogether.
    pub(crate) most: usize,
}

impl Limits<'_> {
    fn of(self, sort: Sort) -> usize {
        self.sorts.get(sort.things as usize).copied().unwrap_or(self.least)
    }
}

/// For whom a value identifies nothing because too many claim it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heat {
    /// For nobody.
    pub(crate) crowded: bool,
    /// For things of these sorts, ascending.
    pub(crate) sorts: Vec<u32>,
}

impl Default for Claimants {
    fn default() -> Self {
        Self::Few(0, [Claim(0); FEW])
    }
}

/// What an object adds to a value: how strongly it claims it, what it is, and whether it is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimed {
    pub(crate) claim: Claim,
    pub(crate) sort: Sort,
    pub(crate) live: bool,
}

impl Claimants {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Claim> {
        let (few, many) = match self {
            Self::Few(count, claims) => (claims.get(..usize::from(*count)).unwrap_or(&[]), None),
            Self::Many(crowd) => (&[][..], Some(&crowd.claims)),
        };
        few.iter().copied().chain(many.into_iter().flatten().copied())
    }

    /// The claimants while they are few; none of a crowd.
    pub(crate) fn few(&self) -> &[Claim] {
        match self {
            Self::Few(count, claims) => claims.get(..usize::from(*count)).unwrap_or(&[]),
            Self::Many(_) => &[],
        }
    }

    /// Adds a claimant that is not there. `about` tells sort and life of the others.
    pub(crate) fn add(&mut self, new: Claimed, limits: Limits<'_>, about: impl Fn(u32) -> (Sort, bool)) {
        match self {
            Self::Few(count, claims) => {
                if let Some(slot) = claims.get_mut(usize::from(*count)) {
                    *slot = new.claim;
                    *count += 1;
                    return;
                }
                let mut crowd = Crowd::default();
                for claim in *claims {
                    let (sort, live) = about(claim.number());
                    crowd.add(Claimed { claim, sort, live }, limits);
                }
                crowd.add(new, limits);
                *self = Self::Many(Box::new(crowd));
            }
            Self::Many(crowd) => crowd.add(new, limits),
        }
    }

    /// Takes a claimant away, described as when it was added.
    pub(crate) fn remove(&mut self, old: Claimed, limits: Limits<'_>) {
        match self {
            Self::Few(count, claims) => {
                let held = claims.get_mut(..usize::from(*count)).unwrap_or(&mut []);
                if let Some(at) = held.iter().position(|claim| *claim == old.claim) {
                    held[at..].rotate_left(1);
                    *count -= 1;
                }
            }
            Self::Many(crowd) => crowd.remove(old, limits),
        }
    }

    /// For whom so many claim it that it identifies nothing.
    pub(crate) fn heat(&self, limits: Limits<'_>, about: impl Fn(u32) -> (Sort, bool)) -> Heat {
        match self {
            Self::Few(count, claims) => {
                let count = usize::from(*count);
                let crowded = count > limits.most;
                let mut sorts = Vec::new();
                if count > limits.least {
                    let held = claims.get(..count).unwrap_or(&[]);
                    for one in held {
                        let (sort, _) = about(one.number());
                        let same = held.iter().filter(|other| about(other.number()) == (sort, true)).count();
                        if same > limits.of(sort) {
                            sorts.push(sort.things);
                        }
                    }
                    sorts.sort_unstable();
                    sorts.dedup();
                }
                Heat { crowded, sorts }
            }
            Self::Many(crowd) => {
                Heat { crowded: crowd.claims.len() > limits.most, sorts: crowd.hot.keys().copied().collect() }
            }
        }
    }

    /// As [`heat`](Self::heat), when it is known without asking about the claimants.
    pub(crate) fn crowd_heat(&self, limits: Limits<'_>) -> Option<Heat> {
        match self {
            Self::Few(count, _) => (usize::from(*count) <= limits.least.min(limits.most)).then(Heat::default),
            Self::Many(_) => Some(self.heat(limits, |_| (Sort { things: 0, family: 0 }, false))),
        }
    }

    /// Whether it is too hot for this sort of things; what many claim is asked for often.
    pub(crate) fn is_hot_for(
        &self,
        things: u32,
        limits: Limits<'_>,
        about: impl Fn(u32) -> (Sort, bool),
    ) -> bool {
        match self {
            Self::Few(..) => self.heat(limits, about).sorts.contains(&things),
            Self::Many(crowd) => crowd.hot.contains_key(&things),
        }
    }
}

impl Crowd {
    fn add(&mut self, new: Claimed, limits: Limits<'_>) {
        if self.claims.insert(new.claim) && new.live {
            let count = self.live.entry(new.sort).or_default();
            *count += 1;
            if *count as usize == limits.of(new.sort) + 1 {
                *self.hot.entry(new.sort.things).or_default() += 1;
            }
        }
    }

    fn remove(&mut self, old: Claimed, limits: Limits<'_>) {
        if self.claims.remove(&old.claim)
            && old.live
            && let Some(count) = self.live.get_mut(&old.sort)
        {
            if *count as usize == limits.of(old.sort) + 1
                && let Some(families) = self.hot.get_mut(&old.sort.things)
            {
                *families -= 1;
                if *families == 0 {
                    self.hot.remove(&old.sort.things);
                }
            }
            *count -= 1;
            if *count == 0 {
                self.live.remove(&old.sort);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_as_a_plain_list_does(
            ops in proptest::collection::vec((0_u32..12, 0_u8..4, any::<bool>()), 0..60),
            sorts in proptest::array::uniform2(0_usize..5),
        ) {
            let limits = Limits { sorts: &sorts, least: sorts[0].min(sorts[1]), most: 8 };
            // What a number is: one of two sorts of things, reported by one of three families.
            let sort = |object: u32| Sort { things: object / 3 % 2, family: object % 3 };
            let mut claimants = Claimants::default();
            // Object → (claim, live).
            let mut model: BTreeMap<u32, (Claim, bool)> = BTreeMap::new();
            for (object, strength, live) in ops {
                let strength = Claim(u32::from(strength)).strength();
                if let Some((claim, live)) = model.remove(&object) {
                    claimants.remove(Claimed { claim, sort: sort(object), live }, limits);
                } else {
                    let claim = Claim::new(object, strength);
                    let about = |object: u32| (sort(object), model.get(&object).is_some_and(|own| own.1));
                    claimants.add(Claimed { claim, sort: sort(object), live }, limits, about);
                    model.insert(object, (claim, live));
                }
                let about = |object: u32| (sort(object), model.get(&object).is_some_and(|own| own.1));
                let hot = |things: u32| (0..3).any(|family| {
                    let counted = Sort { things, family };
                    model.iter().filter(|(object, own)| sort(**object) == counted && own.1).count()
                        > sorts[things as usize]
                });
                let expected: Vec<u32> = (0..2).filter(|things| hot(*things)).collect();
                let heat = claimants.heat(limits, about);
                prop_assert_eq!(&heat.sorts, &expected);
                prop_assert_eq!(heat.crowded, model.len() > 8);
                for things in 0..2 {
                    prop_assert_eq!(claimants.is_hot_for(things, limits, about), hot(things));
                }
                let mut held: Vec<Claim> = claimants.iter().collect();
                held.sort_unstable();
                let expected: Vec<Claim> = model.values().map(|own| own.0).collect();
                prop_assert_eq!(held, expected);
            }
        }
    }
}
