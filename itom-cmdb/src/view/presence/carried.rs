//! The state of a source to and from a checkpoint.

use std::sync::Arc;

use itom_core::{RelationKind, SourceName, Subject, Timestamp};

use super::{Item, ItemKey, LastRound, SourceState};
use crate::fact::{CarriedItem, Checkpoint, Fact, FactBody, FactLog, Resolution};

impl ItemKey {
    /// What a statement is about.
    pub(crate) fn of(body: &FactBody) -> Option<Self> {
        match body {
            FactBody::Ci(ci) => Some(Self::Ci(ci.subject.clone())),
            FactBody::Relation(own) => Some(Self::relation(&own.kind, &own.from, &own.to)),
            _ => None,
        }
    }

    pub(crate) fn relation(kind: &RelationKind, from: &Subject, to: &Subject) -> Self {
        Self::Relation(Arc::new((kind.clone(), from.clone(), to.clone())))
    }
}

impl SourceState {
    /// The state that a checkpoint of time `at` sums up.
    pub(crate) fn carried(log: &FactLog, source: &SourceName, at: Timestamp, carried: &Checkpoint) -> Self {
        let mut state = Self { base: Some(at), ..Self::default() };
        state.awaited = carried.awaited.iter().filter(|id| !log.contains(**id)).copied().collect();
        for own in &carried.items {
            let Some(statement) = log.shared(own.statement).filter(|fact| fact.source() == source) else {
                // A part of a log: the item is not known before its statement is.
                state.awaited.insert(own.statement);
                continue;
            };
            let Some(key) = ItemKey::of(statement.body()) else { continue };
            let item = Item {
                statement: Arc::clone(statement),
                first_seen: own.first_seen,
                last_seen: own.last_seen.unwrap_or(carried.last),
                entered: own.entered.unwrap_or(own.first_seen),
                since: own.since.unwrap_or(own.first_seen),
                older: own.older.clone(),
                proposed: None,
                gone: own.gone,
            };
            state.items.insert(key, item);
        }
        let sole = carried.basis.and_then(|basis| match log.get(basis).map(Fact::body) {
            Some(FactBody::Run(run)) => match log.resolve(basis, run, None) {
                Resolution::Known(head) => Some(head),
                Resolution::Missing(_) => None,
            },
            _ => None,
        });
        state.last = Some(LastRound { at: carried.last, sole });
        state
    }

    /// The sum of everything it took in; `None` before the first round.
    pub(crate) fn to_checkpoint(&self) -> Option<Checkpoint> {
        let last = self.last.as_ref()?;
        let unless = |at: Timestamp, usual: Timestamp| (at != usual).then_some(at);
        let mut items: Vec<CarriedItem> = self
            .items
            .values()
            .map(|item| CarriedItem {
                statement: item.statement.id(),
                first_seen: item.first_seen,
                last_seen: unless(item.last_seen, last.at),
                entered: unless(item.entered, item.first_seen),
                since: unless(item.since, item.first_seen),
                older: item.older.clone(),
                gone: item.gone,
            })
            .collect();
        items.sort();
        Some(Checkpoint {
            last: last.at,
            basis: last.sole.as_ref().map(|head| head.anchor),
            items,
            awaited: self.awaited.iter().copied().collect(),
        })
    }

    /// The first time at which a mass retirement that still waits was proposed.
    pub(crate) fn first_proposal(&self) -> Option<Timestamp> {
        let items = self.items.values().filter_map(|item| item.proposed);
        items.chain(self.held.values().map(|held| held.run_at)).min()
    }

    /// The time that a checkpoint sums up to: what is observed up to it and learned later is too late.
    pub(crate) const fn base(&self) -> Option<Timestamp> {
        self.base
    }
}
