//! What an object inherits from its parts, as its source sees them now, and whose part something is.

use std::collections::BTreeSet;

use itom_core::{CiObservation, Key, RelationKind, SourceName, Subject, Text, Timestamp};

use super::Cmdb;
use crate::config::CmdbConfig;
use crate::identity::Part;
use crate::view::presence::{Item, ItemKey, SourceState};

/// The parts of one object that count.
#[derive(Default)]
pub(super) struct Heritage<'a> {
    /// The relations to them, and their descriptions.
    parts: Vec<(&'a Item, &'a Item)>,
    /// One of them counts only because the object itself was not seen since: when it is, it does not any more.
    pub(super) is_late: bool,
}

impl<'a> Heritage<'a> {
    pub(super) fn of(
        config: &CmdbConfig,
        state: &'a SourceState,
        native: &Text,
        own: &Item,
        now: Timestamp,
    ) -> Self {
        let mut found = Self::default();
        let Some(kind) = own.ci().map(|ci| &ci.kind) else { return found };
        let rules = config.identity().children_of(kind);
        let relations: BTreeSet<&RelationKind> = rules.iter().map(|rule| &rule.relation).collect();
        let from = Subject::Native(native.clone());
        for relation in relations {
            // No native id is smaller than the empty one, and they come before keys.
            let first = ItemKey::relation(relation, &from, &Subject::Native(Text::default()));
            let named = state.items.range(first..).map_while(|(key, item)| match key {
                ItemKey::Relation(named) if named.0 == *relation && named.1 == from => Some((&named.2, item)),
                _ => None,
            });
            for (to, joined) in named {
                let Subject::Native(child) = to else { break };
                let Some((part, ci)) =
                    state.items.get(&ItemKey::Ci(child.clone())).and_then(|part| Some((part, part.ci()?)))
                else {
                    continue;
                };
                if config.identity().passed_on(kind, relation, ci).next().is_none() {
                    continue;
                }
                match (counts(config, joined, own, now), counts(config, part, own, now)) {
                    (Some(one), Some(other)) => {
                        found.is_late |= one == Counts::Late || other == Counts::Late;
                        found.parts.push((joined, part));
                    }
                    _ => continue,
                }
            }
        }
        found
    }

    fn said(&self) -> impl Iterator<Item = (&'a RelationKind, &'a CiObservation)> {
        self.parts.iter().filter_map(|(joined, part)| Some((&joined.relation()?.kind, part.ci()?)))
    }

    /// The keys of the parts that count for an object like this.
    pub(super) fn keys(&self, config: &CmdbConfig, own: &CiObservation) -> BTreeSet<Key> {
        let rules = config.identity();
        self.said().flat_map(|(relation, part)| rules.passed_on(&own.kind, relation, part)).cloned().collect()
    }

    /// The facts that say so, ascending.
    fn facts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = self
            .parts
            .iter()
            .map(|(joined, part)| Part { relation: joined.statement.id(), child: part.statement.id() })
            .collect();
        parts.sort_unstable();
        parts
    }
}

#[derive(PartialEq, Eq)]
enum Counts {
    /// It is there, or it was when the object left.
    Yes,
    /// Its lease ran out, and the object was not seen since.
    Late,
}

/// Whether a statement about a part counts for an object: while both are there, and after that as it was when the object
/// was seen last. What a thing was made of does not follow from nobody looking at it any more.
fn counts(config: &CmdbConfig, said: &Item, own: &Item, now: Timestamp) -> Option<Counts> {
    let Some((end, _)) = said.departure(config, now) else { return Some(Counts::Yes) };
    if said.is_let_go() {
        return own.departure(config, now).is_some_and(|(left, _)| left <= end).then_some(Counts::Yes);
    }
    (own.last_seen < end).then_some(Counts::Late)
}

impl Cmdb {
    /// Through which parts an object inherits.
    pub(super) fn parts_of(&self, object: u32) -> Vec<Part> {
        let name = self.resolver.names.object_name(object);
        let state = self.sources.get(&name.source);
        let found = state.and_then(|state| {
            let own = state.items.get(&ItemKey::Ci(name.native.clone()))?;
            Some(Heritage::of(&self.config, state, &name.native, own, self.now).facts())
        });
        found.unwrap_or_default()
    }

    /// The objects of a source that have this one as a part or had.
    pub(super) fn wholes_of<'a>(
        &'a self,
        source: &'a SourceName,
        native: &'a Text,
    ) -> impl Iterator<Item = &'a Text> {
        let object = self.resolver.names.find_object(source, native);
        let relations = object.and_then(|object| self.by_object.get(&object)).into_iter().flatten();
        relations.filter_map(move |item| match &item.1 {
            ItemKey::Relation(named) => self.whole_in(named).filter(|own| own.1 == native).map(|own| own.0),
            ItemKey::Ci(_) => None,
        })
    }

    /// The thing that inherits and its part, if a relation so named passes anything on.
    pub(super) fn whole_in<'a>(
        &self,
        (kind, from, to): &'a (RelationKind, Subject, Subject),
    ) -> Option<(&'a Text, &'a Text)> {
        match (from, to) {
            (Subject::Native(whole), Subject::Native(part)) if self.config.identity().passes_on(kind) => {
                Some((whole, part))
            }
            _ => None,
        }
    }
}
