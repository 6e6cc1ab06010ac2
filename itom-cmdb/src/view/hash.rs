//! The hash of a view: equal views have equal hashes on every machine. When things were learned does not count, so that
//! the order of arrival cannot show.

use std::collections::BTreeMap;

use itom_core::{AttrName, StableHash as _, StableHasher};

use super::{Attribute, Claim, LifeState, View};

impl View {
    /// The hash of everything that is believed, without when it was learned.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        let mut hasher = StableHasher::new();
        hasher.int(self.len() as i64);
        for ci in self.cis() {
            hasher.bytes(ci.id.as_bytes());
            hasher.text(ci.kind().as_str());
            hasher.text(ci.name());
            hasher.int(ci.first_seen.as_micros());
            hasher.int(ci.last_seen.as_micros());
            hasher.int(i64::from(ci.is_loose_end()));
            state(&mut hasher, ci.state());
            hasher.text(ci.life().as_str());
            hasher.int(ci.life().since().map_or(0, itom_core::Timestamp::as_micros));
            ci.keys().iter().for_each(|key| hasher.text(&format!("{key:?}")));
            ci.objects().iter().for_each(|object| hasher.text(&object.to_string()));
            ci.sources().iter().for_each(|source| hasher.text(source.as_str()));
            attributes(&mut hasher, ci.attributes());
        }
        for relation in self.relations() {
            hasher.bytes(relation.id().as_bytes());
            hasher.int(relation.first_seen.as_micros());
            hasher.int(relation.last_seen.as_micros());
            state(&mut hasher, relation.state);
            relation.sources.iter().for_each(|source| hasher.text(source.as_str()));
            hasher.int(i64::from(relation.finder));
            attributes(&mut hasher, &relation.attributes);
        }
        for (alias, to) in self.aliases() {
            hasher.bytes(alias.as_bytes());
            hasher.bytes(to.as_bytes());
        }
        for (key, candidates) in self.claimants.iter() {
            hasher.bytes(key.as_bytes());
            candidates.iter().for_each(|id| hasher.bytes(id.as_bytes()));
        }
        hasher.finish()
    }
}

fn state(hasher: &mut StableHasher, state: LifeState) {
    match state {
        LifeState::Active => hasher.int(0),
        LifeState::Retired { since, why } => {
            hasher.int(1 + why as i64);
            hasher.int(since.as_micros());
        }
    }
}

fn attributes(hasher: &mut StableHasher, attributes: &BTreeMap<AttrName, Attribute>) {
    hasher.int(attributes.len() as i64);
    for (name, attribute) in attributes {
        hasher.text(name.as_str());
        claim(hasher, &attribute.winner);
        hasher.int(attribute.others.len() as i64);
        attribute.others.iter().for_each(|other| claim(hasher, other));
    }
}

fn claim(hasher: &mut StableHasher, claim: &Claim) {
    claim.value.stable_hash(hasher);
    hasher.text(claim.source.as_str());
    hasher.int(claim.observed.as_micros());
    hasher.int(i64::from(claim.rank));
    hasher.int(claim.reason as i64);
}
