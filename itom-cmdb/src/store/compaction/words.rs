//! Statements about sameness and approvals that decide nothing any more.

use std::collections::BTreeMap;

use itom_core::{SourceName, Statement, Subject, Timestamp};

use super::{Fold, is_late};
use crate::fact::{Fact, FactBody, FactId, FactLog};

type Pair<'a> = (&'a SourceName, &'a Subject, &'a Subject);

fn said(fact: &Fact) -> Option<(Pair<'_>, &Statement)> {
    match fact.body() {
        FactBody::SameAs(said) | FactBody::NotSame(said) => {
            let (a, b) = (&said.a, &said.b);
            Some(((fact.source(), a.min(b), a.max(b)), said))
        }
        _ => None,
    }
}

/// What ended before the horizon, what was overruled for good before it, and approvals of runs that were summed up.
pub(super) fn spent(log: &FactLog, horizon: Timestamp, folds: &[Fold]) -> Vec<FactId> {
    let mut last: BTreeMap<Pair<'_>, Timestamp> = BTreeMap::new();
    for fact in log.stated().filter(|fact| !is_late(fact, horizon)) {
        if let Some((pair, said)) = said(fact)
            && said.until.is_none()
        {
            let slot = last.entry(pair).or_insert(fact.observed());
            *slot = (*slot).max(fact.observed());
        }
    }
    let words = log.stated().filter(|fact| {
        !is_late(fact, horizon)
            && said(fact).is_some_and(|(pair, said)| {
                said.until.is_some_and(|until| until <= horizon)
                    || last.get(&pair).is_some_and(|last| fact.observed() < *last)
            })
    });
    let approvals = log.iter().filter(|fact| match fact.body() {
        FactBody::Approve(own) => folds
            .iter()
            .any(|fold| *fold.checkpoint.source() == own.source && own.run_at <= fold.checkpoint.observed()),
        _ => false,
    });
    words.chain(approvals).map(Fact::id).collect()
}
