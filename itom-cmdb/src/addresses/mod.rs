//! Addresses own time: who held an address, when, and how certain that is.
//!
//! An address is re-used: what was seen at `10.0.0.7` yesterday may be another container today. So an address has no
//! owner, it has a [timeline](Addresses::timeline), derived from [claims](Claim) of who was seen to hold it; and a flow
//! is joined at *its own* time ([`Addresses::join`]). Where an address changed hands between two sightings and nobody saw
//! when, the time between belongs to nobody: no edge is forged there, the end stays [disputed](Holder::Disputed).
//!
//! Translation of addresses adds keys and rewrites nothing: a flow keeps the address that was observed, and an
//! [alias](Alias) says who stood behind it at that time.
//!
//! ```
//! use std::time::Duration;
//! use itom_cmdb::addresses::{Addresses, Claim, Holder};
//! use itom_core::{CiId, Timestamp};
//!
//! let [old, new] = ["old pod", "new pod"].map(|name| CiId::derive(&[name]));
//! let at = Timestamp::from_secs;
//! let mut addresses = Addresses::new(Duration::from_secs(3600));
//! addresses.learn(Claim::held("cluster-1", [10, 0, 0, 7].into(), old, at(100), at(200)));
//! addresses.learn(Claim::held("cluster-1", [10, 0, 0, 7].into(), new, at(300), at(400)));
//! let holder = |time| addresses.holder("cluster-1", [10, 0, 0, 7].into(), at(time));
//! assert_eq!(holder(150), Holder::Held(old));
//! assert_eq!(holder(250), Holder::Disputed(vec![old.min(new), old.max(new)]), "nobody saw when it changed hands");
//! assert_eq!(holder(350), Holder::Held(new));
//! ```

mod flows;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use itom_core::{CiId, Interval, Text, Timestamp};

pub use flows::{Alias, End, Flow, FlowEdge, Joined, LooseFlow};

/// Somebody was seen to hold an address without interruption from one time to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Claim {
    /// The address space: the same address in another realm is another address.
    pub realm: Text,
    /// The address.
    pub address: IpAddr,
    /// Who held it.
    pub owner: CiId,
    /// When it was first seen to hold it.
    pub from: Timestamp,
    /// When it was last seen to hold it; `from` for a single sighting.
    pub seen: Timestamp,
    /// Whether it is known that it did not hold the address before `from` (a lease granted, a pod started).
    pub began: bool,
    /// Whether it is known that it gave the address back right after `seen` (a lease released, a pod deleted).
    pub ended: bool,
}

impl Claim {
    /// Held it at least from one sighting to another, in whichever order they are given.
    #[must_use]
    pub fn held(
        realm: impl Into<Text>,
        address: IpAddr,
        owner: CiId,
        from: Timestamp,
        seen: Timestamp,
    ) -> Self {
        let (from, seen) = (from.min(seen), from.max(seen));
        Self { realm: realm.into(), address, owner, from, seen, began: false, ended: false }
    }

    /// Seen to hold it once.
    #[must_use]
    pub fn sighting(realm: impl Into<Text>, address: IpAddr, owner: CiId, at: Timestamp) -> Self {
        Self::held(realm, address, owner, at, at)
    }

    /// It is known to have begun at the first sighting.
    #[must_use]
    pub fn began(self) -> Self {
        Self { began: true, ..self }
    }

    /// It is known to have ended at the last sighting.
    #[must_use]
    pub fn ended(self) -> Self {
        Self { ended: true, ..self }
    }
}

/// Who holds an address at one time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Holder {
    /// Nobody is known to.
    Nobody,
    /// This item.
    Held(CiId),
    /// One of these, sorted, and it is not known which.
    Disputed(Vec<CiId>),
}

/// Who held which address when.
///
/// The state is a function of the set of claims and aliases: their order and repetition do not show.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    hold: Duration,
    claims: BTreeMap<(Text, IpAddr), Vec<Claim>>,
    timelines: BTreeMap<(Text, IpAddr), Vec<(Timestamp, Holder)>>,
    aliases: BTreeMap<(Text, IpAddr), Vec<Alias>>,
}

impl Addresses {
    /// Nothing is known yet. Whoever was seen to hold an address is taken to hold it for `hold` longer, unless it is
    /// known that it gave it back or another is seen there.
    #[must_use]
    pub fn new(hold: Duration) -> Self {
        Self { hold, ..Self::default() }
    }

    /// Takes in a claim, in any order, at the cost of the claims about that address.
    pub fn learn(&mut self, claim: Claim) {
        self.learn_all([claim]);
    }

    /// Takes in many claims at once.
    pub fn learn_all(&mut self, claims: impl IntoIterator<Item = Claim>) {
        let mut touched = std::collections::BTreeSet::new();
        for claim in claims {
            let key = (claim.realm.clone(), claim.address);
            self.claims.entry(key.clone()).or_default().push(claim);
            touched.insert(key);
        }
        for key in touched {
            if let Some(claims) = self.claims.get_mut(&key) {
                claims.sort_unstable();
                claims.dedup();
                let timeline = timeline::derive(claims, self.hold);
                self.timelines.insert(key, timeline);
            }
        }
    }

    /// Takes in who stood behind a translated address.
    pub fn learn_alias(&mut self, alias: Alias) {
        let known = self.aliases.entry((alias.realm.clone(), alias.address)).or_default();
        if let Err(at) = known.binary_search(&alias) {
            known.insert(at, alias);
        }
    }

    /// Who held an address at a time.
    #[must_use]
    pub fn holder(&self, realm: &str, address: IpAddr, at: Timestamp) -> Holder {
        let Some(timeline) = self.timelines.get(&(Text::from(realm), address)) else {
            return Holder::Nobody;
        };
        let next = timeline.partition_point(|(from, _)| *from <= at);
        match next.checked_sub(1).and_then(|index| timeline.get(index)) {
            Some((_, holder)) => holder.clone(),
            None => Holder::Nobody,
        }
    }

    /// The item that held an address during the whole of a half-open span, if one certainly did.
    #[must_use]
    pub fn owns_address(&self, realm: &str, address: IpAddr, span: Interval) -> Option<CiId> {
        if span.is_empty() {
            return None;
        }
        let mut owner = None;
        for (part, holder) in self.timeline(realm, address) {
            if !part.overlaps(span) {
                continue;
            }
            match (holder, owner) {
                (Holder::Held(held), None) if part.from() <= span.from() => owner = Some((held, part.to())),
                (Holder::Held(held), Some((same, to))) if held == same && part.from() == to => {
                    owner = Some((held, part.to()));
                }
                _ => return None,
            }
        }
        owner.filter(|(_, to)| *to >= span.to()).map(|(owner, _)| owner)
    }

    /// The whole history of an address: half-open spans, oldest first, without those in which nobody is known to hold it.
    #[must_use]
    pub fn timeline(&self, realm: &str, address: IpAddr) -> Vec<(Interval, Holder)> {
        let Some(changes) = self.timelines.get(&(Text::from(realm), address)) else { return Vec::new() };
        let ends = changes.iter().skip(1).map(|(from, _)| *from).chain([Timestamp::MAX]);
        changes
            .iter()
            .zip(ends)
            .filter(|((_, holder), _)| *holder != Holder::Nobody)
            .map(|((from, holder), to)| (Interval::new(*from, to), holder.clone()))
            .collect()
    }
}
