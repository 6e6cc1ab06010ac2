//! What was really said: the meaning of everything that was delivered.

use std::collections::BTreeMap;

use itom_core::{Observation, RelationKind, SourceName, Timestamp};

use super::delivery::{Delivery, Meaning};
use super::difficulty::Hazards;
use super::entity::Entity;
use super::time_of;
use super::world::World;
use crate::identity::Object;

/// An object that a source spoke of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenObject {
    /// What it really is; what it was when the source saw it last, if that changed.
    pub entity: Entity,
    /// The round in which it was first seen.
    pub first: u32,
    /// The round in which it was last seen.
    pub last: u32,
}

/// A relation that a source spoke of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeenRelation {
    pub(super) first: u32,
    pub(super) last: u32,
}

/// The truth about everything that was delivered: which object is which entity, what was there, what held.
#[derive(Debug, Clone)]
pub struct Truth<'a> {
    pub(super) world: &'a World,
    pub(super) objects: BTreeMap<Object, SeenObject>,
    pub(super) relations: BTreeMap<(RelationKind, Entity, Entity), SeenRelation>,
    /// The latest round in which each source saw anything.
    sources: BTreeMap<SourceName, u32>,
    observations: u64,
}

impl<'a> Truth<'a> {
    pub(super) const fn new(world: &'a World) -> Self {
        Self {
            world,
            objects: BTreeMap::new(),
            relations: BTreeMap::new(),
            sources: BTreeMap::new(),
            observations: 0,
        }
    }

    /// Takes in what was delivered. The order does not matter, nor whether it is the same again.
    pub fn take(&mut self, delivery: &Delivery) {
        let source = delivery.batch.source();
        let round = delivery.round;
        self.observations += delivery.meanings.len() as u64;
        if !delivery.meanings.is_empty() {
            let latest = self.sources.entry(source.clone()).or_default();
            *latest = round.max(*latest);
        }
        for (observation, meaning) in delivery.batch.items().iter().zip(&delivery.meanings) {
            match (observation, meaning) {
                (Observation::Ci(ci), Meaning::Item(entity)) => {
                    let object = Object::new(source.clone(), ci.subject.clone());
                    let new = SeenObject { entity: *entity, first: round, last: round };
                    let seen = self.objects.entry(object).or_insert(new);
                    if round >= seen.last {
                        seen.entity = *entity;
                    }
                    seen.first = seen.first.min(round);
                    seen.last = seen.last.max(round);
                }
                (Observation::Relation(relation), Meaning::Relation(from, to)) => {
                    let key = (relation.kind.clone(), *from, *to);
                    let seen =
                        self.relations.entry(key).or_insert(SeenRelation { first: round, last: round });
                    seen.first = seen.first.min(round);
                    seen.last = seen.last.max(round);
                }
                _ => {}
            }
        }
    }

    /// Every object that was spoken of, ascending.
    pub fn objects(&self) -> impl Iterator<Item = (&Object, SeenObject)> {
        self.objects.iter().map(|(object, seen)| (object, *seen))
    }

    /// Whether the object was in what its source saw last.
    #[must_use]
    pub fn is_current(&self, object: &Object) -> bool {
        let seen = self.objects.get(object);
        seen.is_some_and(|seen| self.sources.get(&object.source).is_some_and(|latest| seen.last == *latest))
    }

    /// How many observations were taken in, repeats included.
    #[must_use]
    pub const fn observations(&self) -> u64 {
        self.observations
    }

    /// How many distinct relations were spoken of.
    #[must_use]
    pub fn relations(&self) -> usize {
        self.relations.len()
    }

    /// The hazards that concern something in the time of the estate.
    #[must_use]
    pub fn hazards(&self, entity: Entity) -> Hazards {
        self.world.hazards(entity)
    }

    pub(super) const fn last_round(&self) -> u32 {
        self.world.rounds.saturating_sub(1)
    }

    /// When something went, if it is gone in the last round: the begin of the first round without it.
    pub(super) fn gone_at(&self, entity: Entity) -> Option<Timestamp> {
        let last = self.last_round();
        let absent = |round: &u32| !self.world.is_there(entity, *round);
        (0..=last).rev().take_while(absent).last().map(time_of)
    }
}
