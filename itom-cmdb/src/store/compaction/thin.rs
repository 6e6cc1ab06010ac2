//! Fewer runs that saw no change.

use std::collections::BTreeSet;
use std::time::Duration;

use itom_core::{SourceName, Timestamp};

use super::is_late;
use crate::fact::{Fact, FactBody, FactId, FactLog, RunFact};

/// A time at which a source did nothing but run once.
#[derive(Clone, Copy)]
struct Sole<'a> {
    at: Timestamp,
    id: FactId,
    run: &'a RunFact,
    /// The run that names what it saw.
    anchor: FactId,
}

impl Sole<'_> {
    fn saw_the_same_as(&self, other: &Self) -> bool {
        self.anchor == other.anchor
            && self.run.complete == other.run.complete
            && self.run.partial == other.run.partial
    }
}

/// The runs of a source after `after` and up to `horizon` that can go, and the time of the last one that they led to.
///
/// Of a stretch of runs that saw the same, the first two stay (the second confirms what the first proposed), the last
/// stays (it says when everything was seen last), and what lies between goes as long as no two that stay are further apart
/// than `spacing`, unless they were before. Nothing else of the source lies within a stretch, so that no view tells.
pub(super) fn thin(
    log: &FactLog,
    source: &SourceName,
    after: Option<Timestamp>,
    horizon: Timestamp,
    spacing: Duration,
    cited: &BTreeSet<FactId>,
) -> Option<(Timestamp, Vec<FactId>)> {
    let mut gone = Vec::new();
    let mut last = None;
    let mut stretch: Vec<Sole<'_>> = Vec::new();
    let mut end = |stretch: &mut Vec<Sole<'_>>| {
        let before = gone.len();
        thin_stretch(stretch, spacing, cited, &mut gone);
        if gone.len() > before {
            last = stretch.last().map(|run| run.at);
        }
        stretch.clear();
    };
    for (at, ids) in log.rounds(source).take_while(|(at, _)| *at <= horizon) {
        if after.is_some_and(|after| at <= after) {
            continue;
        }
        let Some(run) = sole(log, at, ids, horizon) else {
            end(&mut stretch);
            continue;
        };
        if stretch.last().is_some_and(|before| !before.saw_the_same_as(&run)) {
            end(&mut stretch);
        }
        stretch.push(run);
    }
    end(&mut stretch);
    last.map(|last| (last, gone))
}

fn sole<'a>(log: &'a FactLog, at: Timestamp, ids: &[FactId], horizon: Timestamp) -> Option<Sole<'a>> {
    let [id] = ids else { return None };
    let fact = log.get(*id).filter(|fact| !is_late(fact, horizon))?;
    let FactBody::Run(run) = fact.body() else { return None };
    let mut anchor = *id;
    let mut step = run;
    while step.is_repeat() {
        anchor = step.basis?;
        match log.get(anchor).map(Fact::body) {
            Some(FactBody::Run(basis)) => step = basis,
            _ => return None,
        }
    }
    Some(Sole { at, id: *id, run, anchor })
}

fn thin_stretch(stretch: &[Sole<'_>], spacing: Duration, cited: &BTreeSet<FactId>, gone: &mut Vec<FactId>) {
    let Some(mut kept) = stretch.get(1).map(|run| run.at) else { return };
    for pair in stretch.get(2..).unwrap_or(&[]).windows(2) {
        let [run, next] = pair else { continue };
        if next.at.since(kept) > spacing || cited.contains(&run.id) || !run.run.is_repeat() {
            kept = run.at;
        } else {
            gone.push(run.id);
        }
    }
}
