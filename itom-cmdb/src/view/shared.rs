//! What many items and relations say alike, kept once: who says so, and nothing at all.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use itom_core::{AttrName, SourceName};

use super::Attribute;

/// Sets that are remembered. One that finds its place taken pushes the other out, which costs memory, not truth.
const SLOTS: usize = 1024;

/// The sets that were made last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    sources: Vec<Option<Arc<BTreeSet<SourceName>>>>,
    nothing: Arc<BTreeMap<AttrName, Attribute>>,
}

impl Shared {
    /// A set of these sources, which come in order and each once.
    pub(crate) fn sources<'a>(
        &mut self,
        all: &(impl Iterator<Item = &'a SourceName> + Clone),
    ) -> Arc<BTreeSet<SourceName>> {
        // Seeded alike everywhere: what is shared is the same in every run.
        let mut hasher = DefaultHasher::new();
        all.clone().for_each(|source| source.as_str().hash(&mut hasher));
        self.sources.resize(SLOTS, None);
        let made = || Arc::new(all.clone().cloned().collect::<BTreeSet<SourceName>>());
        let Some(slot) = self.sources.get_mut(hasher.finish() as usize % SLOTS) else { return made() };
        match slot {
            Some(known) if known.iter().eq(all.clone()) => Arc::clone(known),
            _ => Arc::clone(slot.insert(made())),
        }
    }

    pub(crate) fn attributes(
        &self,
        own: BTreeMap<AttrName, Attribute>,
    ) -> Arc<BTreeMap<AttrName, Attribute>> {
        if own.is_empty() { Arc::clone(&self.nothing) } else { Arc::new(own) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_is_what_was_asked_for_and_one_for_all_while_few_are(
            asked in proptest::collection::vec(proptest::collection::btree_set(0_u8..4, 1..4), 1..60),
        ) {
            let mut shared = Shared::default();
            let mut known: BTreeMap<BTreeSet<SourceName>, Arc<BTreeSet<SourceName>>> = BTreeMap::new();
            for set in asked {
                let set: BTreeSet<SourceName> =
                    set.iter().filter_map(|own| SourceName::new(format!("source-{own}")).ok()).collect();
                let got = shared.sources(&set.iter());
                prop_assert_eq!(got.as_ref(), &set);
                // Fourteen sets in 1,024 places, with hashes that are the same in every run: none is pushed out.
                prop_assert!(Arc::ptr_eq(&got, known.entry(set).or_insert_with(|| Arc::clone(&got))));
            }
        }
    }
}
