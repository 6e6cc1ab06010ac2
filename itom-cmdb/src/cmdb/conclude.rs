//! What became different, for the change feed and for a graph.

use std::collections::BTreeSet;

use itom_core::{ChangeKind, CiChange, CiId};

use super::settle::Work;
use super::{Applied, Cmdb, GraphDelta, Redirect, Split};
use crate::history::{ci_changes, relation_changes};
use crate::view::{Ci, Relation, RelationId};

impl Cmdb {
    /// Says what became different.
    pub(super) fn conclude(&mut self, work: &Work, applied: &mut Applied) {
        let now = self.now;
        for (from, object) in &work.redirected {
            let Some(to) = self.cis.get(*object as usize).copied().flatten() else { continue };
            if self.view.ci(*from).is_none() {
                applied.redirects.push(Redirect { from: *from, to });
            } else if *from != to {
                applied.splits.push(Split { from: *from, into: to });
            }
        }
        applied.redirects.sort();
        applied.redirects.dedup();
        applied.splits.sort();
        applied.splits.dedup();
        let moves = applied
            .redirects
            .iter()
            .map(|moved| (moved.from, ChangeKind::MergedInto { into: moved.to }))
            .chain(
                applied.splits.iter().map(|split| (split.into, ChangeKind::SplitFrom { from: split.from })),
            );
        let told = |(ci, change)| CiChange { at: now, ci, change, before: None, after: None, source: None };
        applied.changes.extend(moves.map(told));
        let active = |ci: Option<&Ci>| ci.is_some_and(|ci| ci.state().is_active());
        let mut edges: BTreeSet<RelationId> = work.relation_before.keys().copied().collect();
        for (id, before) in &work.ci_before {
            let (before, after) = (before.as_ref(), self.view.ci(*id));
            ci_changes(now, before, after, &mut applied.changes);
            if active(before) != active(after) {
                edges.extend(self.view.relations_of(*id).map(Relation::id));
            }
            match after.filter(|after| after.state().is_active()) {
                Some(ci) => {
                    let same = before.is_some_and(|old| {
                        active(Some(old)) && old.kind() == ci.kind() && old.name() == ci.name()
                    });
                    if !same {
                        let (kind, name) = (ci.kind().clone(), ci.name().clone());
                        applied.graph.push(GraphDelta::Upsert { ci: *id, kind, name });
                    }
                }
                None if active(before) => applied.graph.push(GraphDelta::Remove(*id)),
                None => {}
            }
        }
        for id in edges {
            let after = self.view.relation(id);
            let before = work.relation_before.get(&id).map_or(after, Option::as_ref);
            relation_changes(now, before, after, &mut applied.changes);
            let Some(relation) = after.or(before) else { continue };
            let (kind, from, to) = (relation.kind.clone(), relation.from, relation.to);
            let was_active = |id: CiId| {
                work.ci_before.get(&id).map_or_else(|| active(self.view.ci(id)), |ci| active(ci.as_ref()))
            };
            let holds =
                |relation: Option<&Relation>| relation.is_some_and(|relation| relation.state.is_active());
            let was = holds(before) && was_active(from) && was_active(to);
            let is = holds(after) && active(self.view.ci(from)) && active(self.view.ci(to));
            match (was, is) {
                (false, true) => applied.graph.push(GraphDelta::Relate { kind, from, to }),
                (true, false) => applied.graph.push(GraphDelta::Unrelate { kind, from, to }),
                _ => {}
            }
        }
        applied.changes.sort();
        // The order of the variants is the order in which they can be applied.
        applied.graph.sort();
        applied.ambiguous.sort();
        applied.ambiguous.dedup();
        applied.proposed_retirements = self.proposed_retirements();
        self.feed.push(&applied.changes, self.config.ring_size());
    }
}
