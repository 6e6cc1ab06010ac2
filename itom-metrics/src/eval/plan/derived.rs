//! Labels that were made of others before: the same series come tick after tick.

use hashbrown::HashMap;

use super::super::derive::Derivation;
use crate::LabelSet;

/// After so many ticks what nobody asked for is forgotten.
const AGE: u32 = 16;

/// What was made of labels, and what of it was asked for lately.
#[derive(Debug, Default)]
struct Known {
    // Only looked up, never iterated.
    young: HashMap<LabelSet, LabelSet>,
    old: HashMap<LabelSet, LabelSet>,
}

impl Known {
    fn get(&mut self, how: &Derivation, labels: &LabelSet) -> LabelSet {
        if let Some(made) = self.young.get(labels) {
            return made.clone();
        }
        let (labels, made) =
            self.old.remove_entry(labels).unwrap_or_else(|| (labels.clone(), how.of(labels)));
        self.young.insert(labels, made.clone());
        made
    }
}

/// What was made in which way.
#[derive(Debug, Default)]
pub(super) struct Derived {
    ways: HashMap<Derivation, Known>,
    ticks: u32,
}

impl Derived {
    pub(super) fn all<'a>(
        &mut self,
        how: &Derivation,
        labels: impl Iterator<Item = &'a LabelSet>,
    ) -> Vec<LabelSet> {
        if !self.ways.contains_key(how) {
            self.ways.insert(how.clone(), Known::default());
        }
        match self.ways.get_mut(how) {
            Some(known) => labels.map(|labels| known.get(how, labels)).collect(),
            None => labels.map(|labels| how.of(labels)).collect(),
        }
    }

    pub(super) fn end_tick(&mut self) {
        self.ticks += 1;
        if self.ticks < AGE {
            return;
        }
        self.ticks = 0;
        for known in self.ways.values_mut() {
            known.old = std::mem::take(&mut known.young);
        }
        self.ways.retain(|_, known| !known.old.is_empty());
    }
}
