//! Running a traversal: sets of items, each with the trail that led to it first.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, RelationKind};

use super::{Direction, Start, Step, Traversal, TraverseError};
use crate::graph::RelationGraph;
use crate::graph::View as _;
use crate::view::{Ci, View};

/// One step of the path to an item: the item, and the relation that led to it (none for the first).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct TrailStep {
    /// The kind of relation, in whichever direction it was taken.
    pub relation: Option<RelationKind>,
    /// The item.
    pub ci: CiId,
}

/// What a traversal found.
#[derive(Debug, Clone)]
#[must_use]
pub struct Found<'v> {
    items: Vec<&'v Ci>,
    ends: Vec<usize>,
    trails: Vec<(CiId, Option<(usize, RelationKind)>)>,
    left_out: usize,
}

impl<'v> Found<'v> {
    /// The items, sorted by id.
    #[must_use]
    pub fn items(&self) -> &[&'v Ci] {
        &self.items
    }

    /// How many the limit on results left out.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// How the traversal came to an item, by its place among the [items](Self::items). Of several ways it is the one
    /// found first, items in order of id and relations in order of their ids.
    #[must_use]
    pub fn path(&self, place: usize) -> Option<Vec<TrailStep>> {
        let mut next = Some(*self.ends.get(place)?);
        let mut steps = Vec::new();
        while let Some((ci, before)) = next.and_then(|at| self.trails.get(at)) {
            let relation = before.as_ref().map(|(_, relation)| relation.clone());
            steps.push(TrailStep { relation, ci: *ci });
            next = before.as_ref().map(|(at, _)| *at);
        }
        steps.reverse();
        Some(steps)
    }
}

/// Items with their trails.
type Front = BTreeMap<CiId, usize>;

struct Run<'v, 'a> {
    plan: &'a Traversal,
    view: &'v View,
    graph: Option<&'a RelationGraph>,
    trails: Vec<(CiId, Option<(usize, RelationKind)>)>,
    visits: usize,
}

pub(super) fn run<'v>(
    plan: &Traversal,
    view: &'v View,
    graph: Option<&RelationGraph>,
) -> Result<Found<'v>, TraverseError> {
    let mut run = Run { plan, view, graph, trails: Vec::new(), visits: 0 };
    let starts: BTreeSet<CiId> = match &plan.start {
        Start::Kind(kind) => view.by_kind(kind).into_iter().map(Ci::id).collect(),
        Start::Items(cis) => cis.iter().copied().collect(),
    };
    let mut front = Front::new();
    for ci in starts {
        run.visit(0)?;
        if !run.there(ci) {
            continue;
        }
        front.insert(ci, run.trails.len());
        run.trails.push((ci, None));
    }
    for (number, step) in plan.steps.iter().enumerate() {
        front = run.step(step, front, number + 1)?;
    }
    let left_out = front.len().saturating_sub(plan.limits.results);
    let (items, ends) =
        front.into_iter().take(plan.limits.results).filter_map(|(ci, end)| Some((view.ci(ci)?, end))).unzip();
    Ok(Found { items, ends, trails: run.trails, left_out })
}

impl Run<'_, '_> {
    fn there(&self, ci: CiId) -> bool {
        self.view.ci(ci).is_some_and(|ci| self.plan.retired || ci.state().is_active())
    }

    fn visit(&mut self, step: usize) -> Result<(), TraverseError> {
        self.visits += 1;
        if self.visits > self.plan.limits.visits {
            return Err(TraverseError::TooMuch { limit: self.plan.limits.visits, step });
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, front: Front, number: usize) -> Result<Front, TraverseError> {
        match step {
            Step::Where(test) => {
                let mut kept = Front::new();
                for (ci, trail) in front {
                    self.visit(number)?;
                    if self.view.ci(ci).is_some_and(|ci| test(ci)) {
                        kept.insert(ci, trail);
                    }
                }
                Ok(kept)
            }
            #[cfg(feature = "cel")]
            Step::Expression(expression, now) => {
                let mut kept = Front::new();
                for (ci, trail) in front {
                    self.visit(number)?;
                    let Some(item) = self.view.ci(ci) else { continue };
                    let mut scope = crate::expr::Scope::new(self.view, item, *now);
                    if let Some(graph) = self.graph {
                        scope = scope.with_graph(graph);
                    }
                    if expression.judge(&scope).truth == crate::expr::Truth::True {
                        kept.insert(ci, trail);
                    }
                }
                Ok(kept)
            }
            Step::Along { kind, direction, test } => {
                let mut next = Front::new();
                for (ci, trail) in front {
                    let view = self.view;
                    for relation in view.relations_of(ci) {
                        self.visit(number)?;
                        let fits = kind.as_ref().is_none_or(|kind| *kind == relation.kind)
                            && (self.plan.retired || relation.state.is_active())
                            && test.as_ref().is_none_or(|test| test(relation));
                        if !fits {
                            continue;
                        }
                        if relation.from == ci && *direction != Direction::In {
                            self.reach(&mut next, relation.to, trail, &relation.kind);
                        }
                        if relation.to == ci && *direction != Direction::Out {
                            self.reach(&mut next, relation.from, trail, &relation.kind);
                        }
                    }
                }
                Ok(next)
            }
            Step::Needs | Step::NeededBy => {
                let graph = self.graph.ok_or(TraverseError::NoGraph { step: number })?;
                let mut next = Front::new();
                for (ci, trail) in front {
                    let Some(node) = graph.node(ci) else { continue };
                    let links = if matches!(step, Step::Needs) {
                        graph.inward_links(node)
                    } else {
                        graph.outward_links(node)
                    };
                    // By id, so that the trail does not depend on how the graph came to be.
                    let mut ends: Vec<(CiId, &RelationKind)> = Vec::new();
                    for link in links.iter() {
                        self.visit(number)?;
                        ends.push((graph.id(link.node), graph.kind_name(link.tag.kind())));
                    }
                    ends.sort_unstable();
                    for (end, kind) in ends {
                        self.reach(&mut next, end, trail, kind);
                    }
                }
                Ok(next)
            }
            Step::Repeat { least, most, steps } => self.repeat(*least, *most, steps, front, number),
        }
    }

    fn reach(&mut self, next: &mut Front, ci: CiId, trail: usize, kind: &RelationKind) {
        if !next.contains_key(&ci) && self.there(ci) {
            next.insert(ci, self.trails.len());
            self.trails.push((ci, Some((trail, kind.clone()))));
        }
    }

    fn repeat(
        &mut self,
        least: u32,
        most: u32,
        steps: &[Step],
        mut front: Front,
        number: usize,
    ) -> Result<Front, TraverseError> {
        let most = most.min(self.plan.limits.rounds);
        let mut found = Front::new();
        for round in 0..=most {
            if round >= least {
                // Whoever was found in an earlier round leads nowhere new: its rounds were fewer.
                front.retain(|ci, _| !found.contains_key(ci));
                found.extend(front.iter().map(|(ci, trail)| (*ci, *trail)));
            }
            if front.is_empty() || round == most {
                break;
            }
            for step in steps {
                front = self.step(step, front, number)?;
            }
        }
        Ok(found)
    }
}
