//! Labels that were made of others before: the same series come tick after tick.

use hashbrown::{HashMap, HashSet};

use itom_core::Text;

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
    /// What was made lately: many labels lead to the same.
    made: HashSet<LabelSet>,
}

impl Known {
    fn get(&mut self, how: &Derivation, labels: &LabelSet) -> LabelSet {
        if let Some(made) = self.young.get(labels) {
            return made.clone();
        }
        let (labels, made) = self.old.remove_entry(labels).unwrap_or_else(|| {
            let made = how.of(labels);
            let made = self.made.get_or_insert_with(&made, LabelSet::clone).clone();
            (labels.clone(), made)
        });
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

    /// Bytes of the tables; labels that stand in several are shared.
    pub(super) fn bytes(&self) -> usize {
        let entry = size_of::<(LabelSet, LabelSet)>() + 1;
        let of = |known: &Known| {
            (known.young.capacity() + known.old.capacity()) * entry
                + known.made.iter().map(|labels| labels.len() * size_of::<(Text, Text)>()).sum::<usize>()
        };
        self.ways.values().map(of).sum()
    }

    pub(super) fn end_tick(&mut self) {
        self.ticks += 1;
        if self.ticks < AGE {
            return;
        }
        self.ticks = 0;
        for known in self.ways.values_mut() {
            known.old = std::mem::take(&mut known.young);
            known.made.clear();
        }
        self.ways.retain(|_, known| !known.old.is_empty());
    }
}
