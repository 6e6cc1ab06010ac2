//! One checkpoint in the place of the runs of a source up to a time.

use std::collections::BTreeSet;
use std::time::Duration;

use itom_core::{RunId, SourceName, Timestamp};

use super::{Fold, is_late};
use crate::CmdbConfig;
use crate::fact::{Fact, FactBody, FactId, FactLog, Resolution};
use crate::view::presence::SourceState;

const TICK: Duration = Duration::from_micros(1);

/// A checkpoint is only worth its bytes when it takes the place of this share of its items.
const SHARE: usize = 4;

/// What can be summed up of a source at a horizon; `None` when that is not worth it.
pub(super) fn fold(
    log: &FactLog,
    config: &CmdbConfig,
    source: &SourceName,
    horizon: Timestamp,
) -> Option<Fold> {
    let own: Vec<&Fact> = log.checkpoints(source).filter_map(|id| log.get(id)).collect();
    if own.iter().any(|fact| is_late(fact, horizon)) {
        return None;
    }
    let base = log.checkpoint(source).map(|(at, _)| at);
    let mut bound = bound(log, source, base, horizon);
    let state = loop {
        let state = state_at(log, config, source, base, bound);
        match state.first_proposal() {
            // What waits for an approval stays as it is.
            Some(at) if base.is_none_or(|base| at > base) => bound = at - TICK,
            Some(_) => return None,
            None => break state,
        }
    };
    let until = state.last_at().filter(|at| base.is_none_or(|base| *at > base))?;
    let checkpoint = state.to_checkpoint()?;
    let live = Live::of(log, source, until, checkpoint.basis);
    let mut dropped: BTreeSet<FactId> = own.iter().map(|fact| fact.id()).collect();
    let mut kept = Vec::new();
    let mut candidates: BTreeSet<FactId> = BTreeSet::new();
    for carried in own.iter().filter_map(|fact| match fact.body() {
        FactBody::Checkpoint(carried) => Some(carried),
        _ => None,
    }) {
        candidates.extend(carried.items.iter().map(|item| item.statement));
    }
    for id in log.rounds(source).take_while(|(at, _)| *at <= until).flat_map(|(_, ids)| ids) {
        if let Some(FactBody::Run(run)) = log.get(*id).map(Fact::body) {
            candidates.extend(&run.seen);
        }
        if live.runs.contains(id) {
            kept.push(*id);
        } else {
            dropped.insert(*id);
        }
    }
    let rounds = dropped.len() - own.len();
    if live.whole {
        let carried: BTreeSet<FactId> = checkpoint.items.iter().map(|item| item.statement).collect();
        let spent = |id: &FactId| {
            !carried.contains(id)
                && !live.statements.contains(id)
                && log.get(*id).is_some_and(|fact| fact.source() == source && fact.is_statement())
        };
        dropped.extend(candidates.into_iter().filter(spent));
    }
    if rounds == 0 || dropped.len() * SHARE < checkpoint.items.len() {
        return None;
    }
    let run = RunId::derive(&[source.as_str(), "checkpoint", &until.as_micros().to_string()]);
    let checkpoint = Fact::new(source.clone(), run, until, horizon, FactBody::Checkpoint(checkpoint));
    // Were it there already, it would be taken out with what it stands for.
    if dropped.contains(&checkpoint.id()) {
        return None;
    }
    Some(Fold { checkpoint, dropped: dropped.into_iter().collect(), kept })
}

/// The time up to which every view from the horizon on knows the same of a source.
fn bound(log: &FactLog, source: &SourceName, base: Option<Timestamp>, horizon: Timestamp) -> Timestamp {
    let mut bound = horizon;
    let mut sound: BTreeSet<FactId> = BTreeSet::new();
    for (at, ids) in log.rounds(source).take_while(|(at, _)| *at <= horizon) {
        if base.is_some_and(|base| at <= base) {
            continue;
        }
        for id in ids {
            if !is_sound(log, *id, horizon, &mut sound) {
                return bound.min(at - TICK);
            }
        }
    }
    for fact in log.iter().filter(|fact| is_late(fact, horizon)) {
        if let FactBody::Approve(approval) = fact.body()
            && approval.source == *source
        {
            bound = bound.min(approval.run_at - TICK);
        }
    }
    bound
}

/// Whether a run and all it rests on show in every view from the horizon on, or in none.
fn is_sound(log: &FactLog, id: FactId, horizon: Timestamp, sound: &mut BTreeSet<FactId>) -> bool {
    let mut at = Some(id);
    let mut walked = Vec::new();
    while let Some(id) = at.take() {
        if sound.contains(&id) {
            break;
        }
        // What the log lacks is in no view yet.
        let Some(fact) = log.get(id) else { break };
        if is_late(fact, horizon) {
            return false;
        }
        if let FactBody::Run(run) = fact.body() {
            let late = |id: &FactId| log.get(*id).is_some_and(|fact| fact.recorded() > horizon);
            if run.seen.iter().any(late) {
                return false;
            }
            at = run.basis;
        }
        walked.push(id);
    }
    sound.extend(walked);
    true
}

fn state_at(
    log: &FactLog,
    config: &CmdbConfig,
    source: &SourceName,
    base: Option<Timestamp>,
    bound: Timestamp,
) -> SourceState {
    let mut state = log
        .checkpoint(source)
        .map_or_else(SourceState::default, |(at, carried)| SourceState::carried(log, source, at, carried));
    let times: Vec<Timestamp> = log
        .rounds(source)
        .map(|(at, _)| at)
        .take_while(|at| *at <= bound)
        .filter(|at| base.is_none_or(|base| *at > base))
        .collect();
    for at in times {
        state.step(log, config, source, at);
    }
    state
}

/// What the runs after a time rest on.
struct Live {
    /// Runs up to that time that later ones build upon.
    runs: BTreeSet<FactId>,
    statements: BTreeSet<FactId>,
    /// Whether everything they rest on is known.
    whole: bool,
}

impl Live {
    fn of(log: &FactLog, source: &SourceName, until: Timestamp, basis: Option<FactId>) -> Self {
        let mut live = Self { runs: BTreeSet::new(), statements: BTreeSet::new(), whole: true };
        let mut bases: BTreeSet<FactId> = basis.into_iter().collect();
        for id in log.rounds(source).filter(|(at, _)| *at > until).flat_map(|(_, ids)| ids) {
            if let Some(FactBody::Run(run)) = log.get(*id).map(Fact::body) {
                bases.extend(run.basis);
                live.statements.extend(&run.seen);
            }
        }
        for basis in bases {
            live.build_on(log, until, basis);
        }
        live
    }

    fn build_on(&mut self, log: &FactLog, until: Timestamp, basis: FactId) {
        let mut at = Some(basis);
        let mut first = None;
        while let Some(id) = at.take() {
            let Some(fact) = log.get(id) else {
                self.whole = false;
                return;
            };
            let FactBody::Run(run) = fact.body() else { return };
            if fact.observed() <= until {
                first = first.or(Some((id, run)));
                self.runs.insert(id);
            }
            at = run.basis;
        }
        if let Some((id, run)) = first
            && let Resolution::Known(head) = log.resolve(id, run, None)
        {
            self.statements.extend(head.members.iter());
        }
    }
}
