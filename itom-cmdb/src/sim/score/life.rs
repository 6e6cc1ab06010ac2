//! Retirements: is what is there believed to be there, and what is gone to be gone?

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::entity::{Class, Entity};
use super::super::truth::Truth;
use super::edges::entity_of;
use crate::view::{LifeState, View};

/// Middle and extremes of some spans, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spread {
    /// How many spans.
    pub count: usize,
    /// Half of them are not longer.
    pub median: f64,
    /// 99 of 100 are not longer.
    pub p99: f64,
    /// None is longer.
    pub max: f64,
}

impl Spread {
    pub(super) fn of(mut spans: Vec<f64>) -> Self {
        spans.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = ((spans.len() as f64 * share).ceil() as usize).saturating_sub(1);
            spans.get(index).copied().unwrap_or(0.0)
        };
        Self { count: spans.len(), median: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

/// How good an answer about life and death is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Life {
    /// Things that are there and were spoken of, and each of whose items is retired.
    pub false_retirements: usize,
    /// The same by class.
    pub false_by_class: BTreeMap<Class, usize>,
    /// Of how many things that are there.
    pub there: usize,
    /// Things that are gone, and one of whose items is active, for whatever reason.
    pub missed_retirements: usize,
    /// The same by class.
    pub missed_by_class: BTreeMap<Class, usize>,
    /// Missed ones that a source still speaks of, as a stale row does: no engine can know better.
    pub missed_and_still_claimed: usize,
    /// Of how many things that are gone.
    pub gone: usize,
    /// How long after it went something was believed gone, in seconds.
    pub time_to_retire: Spread,
    /// Samples of false retirements.
    pub samples: Vec<String>,
}

/// How many samples of false retirements are kept.
const SAMPLES: usize = 12;

pub(super) fn of_view(truth: &Truth<'_>, view: &View) -> Life {
    // Every state that an item of a thing is in.
    let mut states: BTreeMap<Entity, Vec<LifeState>> = BTreeMap::new();
    for ci in view.cis() {
        if let Some(entity) = entity_of(truth, ci) {
            states.entry(entity).or_default().push(ci.state());
        }
    }
    let claimed: BTreeSet<Entity> =
        truth.objects().filter(|(object, _)| truth.is_current(object)).map(|(_, seen)| seen.entity).collect();
    let mut life = Life {
        false_retirements: 0,
        false_by_class: BTreeMap::new(),
        there: 0,
        missed_retirements: 0,
        missed_by_class: BTreeMap::new(),
        missed_and_still_claimed: 0,
        gone: 0,
        time_to_retire: Spread::default(),
        samples: Vec::new(),
    };
    let mut spans = Vec::new();
    let last = truth.last_round();
    for (entity, states) in states {
        let active = states.iter().any(|state| state.is_active());
        if truth.world.is_there(entity, last) {
            life.there += 1;
            if !active {
                life.false_retirements += 1;
                *life.false_by_class.entry(entity.class()).or_default() += 1;
                if life.samples.len() < SAMPLES {
                    life.samples.push(format!("{entity}: {states:?}"));
                }
            }
            continue;
        }
        life.gone += 1;
        if active {
            life.missed_retirements += 1;
            *life.missed_by_class.entry(entity.class()).or_default() += 1;
            life.missed_and_still_claimed += usize::from(claimed.contains(&entity));
            continue;
        }
        let since = states.iter().filter_map(|state| match state {
            LifeState::Retired { since, .. } => Some(*since),
            LifeState::Active => None,
        });
        if let Some((since, gone)) = since.max().zip(truth.gone_at(entity)) {
            spans.push((since.as_micros() - gone.as_micros()) as f64 / 1e6);
        }
    }
    life.time_to_retire = Spread::of(spans);
    life
}
