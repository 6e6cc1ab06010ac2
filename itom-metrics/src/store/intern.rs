//! Label names and values, each kept once.

use hashbrown::HashMap;
use itom_core::{LabelName, Labels, LabelsBuilder, Text};

/// Bytes that an interned text costs beside its characters: entry, counts of the shared allocation.
const OVERHEAD: usize = 64;

/// Counts how many series use a text and keeps one copy while any does.
#[derive(Debug, Default)]
pub(super) struct Interner {
    /// Looked up only, never iterated: its order reaches nothing.
    texts: HashMap<Text, u32>,
}

impl Interner {
    fn text(&mut self, text: &Text) -> (Text, usize) {
        if let Some((have, uses)) =
            self.texts.get_key_value(text.as_str()).map(|(have, uses)| (have.clone(), *uses))
        {
            if let Some(count) = self.texts.get_mut(text.as_str()) {
                *count = uses.saturating_add(1);
            }
            return (have, 0);
        }
        // A copy of its own: the given text may be a small part of something large.
        let copy = Text::from(text.as_str());
        self.texts.insert(copy.clone(), 1);
        (copy, OVERHEAD + text.len())
    }

    /// The labels out of interned texts, and how many bytes are newly held.
    pub(super) fn intern(&mut self, labels: &Labels) -> (Labels, usize) {
        let mut added = 0;
        let mut builder = LabelsBuilder::default();
        for (name, value) in labels.iter() {
            let (interned, bytes) = self.text(name.text());
            added += bytes;
            let name = LabelName::new(interned).unwrap_or_else(|_| name.clone());
            let (value, bytes) = self.text(value);
            added += bytes;
            builder = builder.set(name, value);
        }
        (builder.build(), added)
    }

    /// Gives labels up; how many bytes are no longer held.
    pub(super) fn release(&mut self, labels: &Labels) -> usize {
        let mut freed = 0;
        for text in labels.iter().flat_map(|(name, value)| [name.text(), value]) {
            let Some(uses) = self.texts.get_mut(text.as_str()) else { continue };
            *uses -= 1;
            if *uses == 0 {
                self.texts.remove(text.as_str());
                freed += OVERHEAD + text.len();
            }
        }
        freed
    }

    /// The most that interning these labels can add.
    pub(super) fn worst(labels: &Labels) -> usize {
        labels.iter().map(|(name, value)| 2 * OVERHEAD + name.as_str().len() + value.len()).sum()
    }
}
