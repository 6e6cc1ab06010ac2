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
    /// Live claimants per source.
    live: BTreeMap<u32, u32>,
    hot_sources: u32,
}

impl Default for Claimants {
    fn default() -> Self {
        Self::Few(0, [Claim(0); FEW])
    }
}

/// What an object adds to a value: how strongly it claims it, of which source it is, and whether it is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimed {
    pub(crate) claim: Claim,
    pub(crate) source: u32,
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

    /// Adds a claimant that is not there. `about` tells source and life of the others.
    pub(crate) fn add(&mut self, new: Claimed, limit: usize, about: impl Fn(u32) -> (u32, bool)) {
        match self {
            Self::Few(count, claims) => {
                if let Some(slot) = claims.get_mut(usize::from(*count)) {
                    *slot = new.claim;
                    *count += 1;
                    return;
                }
                let mut crowd = Crowd::default();
                for claim in *claims {
                    let (source, live) = about(claim.number());
                    crowd.add(Claimed { claim, source, live }, limit);
                }
                crowd.add(new, limit);
                *self = Self::Many(Box::new(crowd));
            }
            Self::Many(crowd) => crowd.add(new, limit),
        }
    }

    /// Takes a claimant away, described as when it was added.
    pub(crate) fn remove(&mut self, old: Claimed, limit: usize) {
        match self {
            Self::Few(count, claims) => {
                let held = claims.get_mut(..usize::from(*count)).unwrap_or(&mut []);
                if let Some(at) = held.iter().position(|claim| *claim == old.claim) {
                    held[at..].rotate_left(1);
                    *count -= 1;
                }
            }
            Self::Many(crowd) => crowd.remove(old, limit),
        }
    }

    /// Whether so many claim it that it identifies nothing.
    pub(crate) fn is_hot(&self, limit: usize, most: usize, about: impl Fn(u32) -> (u32, bool)) -> bool {
        match self {
            Self::Few(count, claims) => {
                let count = usize::from(*count);
                if count > most {
                    return true;
                }
                if count <= limit {
                    return false;
                }
                let held = claims.get(..count).unwrap_or(&[]);
                held.iter().any(|one| {
                    let source = about(one.number()).0;
                    held.iter().filter(|other| about(other.number()) == (source, true)).count() > limit
                })
            }
            Self::Many(crowd) => crowd.hot_sources > 0 || crowd.claims.len() > most,
        }
    }
}

impl Crowd {
    fn add(&mut self, new: Claimed, limit: usize) {
        if self.claims.insert(new.claim) && new.live {
            let count = self.live.entry(new.source).or_default();
            *count += 1;
            self.hot_sources += u32::from(*count as usize == limit + 1);
        }
    }

    fn remove(&mut self, old: Claimed, limit: usize) {
        if self.claims.remove(&old.claim)
            && old.live
            && let Some(count) = self.live.get_mut(&old.source)
        {
            self.hot_sources -= u32::from(*count as usize == limit + 1);
            *count -= 1;
            if *count == 0 {
                self.live.remove(&old.source);
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
            limit in 0_usize..4,
        ) {
            let mut claimants = Claimants::default();
            // Object → (claim, live); the source is the object's number modulo 3.
            let mut model: BTreeMap<u32, (Claim, bool)> = BTreeMap::new();
            for (object, strength, live) in ops {
                let strength = Claim(u32::from(strength)).strength();
                if let Some((claim, live)) = model.remove(&object) {
                    claimants.remove(Claimed { claim, source: object % 3, live }, limit);
                } else {
                    let claim = Claim::new(object, strength);
                    let about = |object: u32| (object % 3, model.get(&object).is_some_and(|own| own.1));
                    claimants.add(Claimed { claim, source: object % 3, live }, limit, about);
                    model.insert(object, (claim, live));
                }
                let about = |object: u32| (object % 3, model.get(&object).is_some_and(|own| own.1));
                let hot = (0..3).any(|source| {
                    model.iter().filter(|(object, own)| **object % 3 == source && own.1).count() > limit
                });
                prop_assert_eq!(claimants.is_hot(limit, 8, about), hot || model.len() > 8);
                let mut held: Vec<Claim> = claimants.iter().collect();
                held.sort_unstable();
                let expected: Vec<Claim> = model.values().map(|own| own.0).collect();
                prop_assert_eq!(held, expected);
            }
        }
    }
}
