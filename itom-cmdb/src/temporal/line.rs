//! Every state of a view along one axis of time.

use std::collections::BTreeSet;
use std::sync::Arc;

use itom_core::{AttrName, CiChange, CiId, Interval, Timestamp, Value};

use super::packed::Books;
use super::pages::make_room;
use super::strand::{Change, Steps, Strand};
use super::track::Step;
use crate::history::{ci_changes, relation_changes};
use crate::view::trie::Id as _;
use crate::view::{Ci, Parts, Relation, RelationId, Sizes, View};

/// What was different from one state to the next, as hints of ids: what is found by them may be more, never less.
#[derive(Debug, Clone, Default)]
struct Touched {
    steps: Vec<(Step, u32, u32)>,
    cis: Vec<u32>,
    relations: Vec<u32>,
}

impl Touched {
    /// The hints of the steps after one and up to another.
    fn between(&self, first: Step, last: Step) -> (&[u32], &[u32]) {
        let from = self.steps.partition_point(|(step, ..)| *step <= first);
        let to = self.steps.partition_point(|(step, ..)| *step <= last);
        let end = |at: usize| {
            at.checked_sub(1).and_then(|at| self.steps.get(at)).map_or((0, 0), |own| (own.1, own.2))
        };
        let ((cis, relations), (cis_end, relations_end)) = (end(from), end(to));
        (
            self.cis.get(cis as usize..cis_end as usize).unwrap_or(&[]),
            self.relations.get(relations as usize..relations_end as usize).unwrap_or(&[]),
        )
    }

    fn end_of_step(&mut self, step: Step) {
        let (cis, relations) = (self.cis.len() as u32, self.relations.len() as u32);
        if self.steps.last().map_or((0, 0), |own| (own.1, own.2)) != (cis, relations) {
            make_room(&mut self.steps, 1);
            self.steps.push((step, cis, relations));
        }
    }

    fn forget(&mut self, until: Step) {
        let gone = self.steps.partition_point(|(step, ..)| *step <= until);
        let Some((_, cis, relations)) = gone.checked_sub(1).and_then(|at| self.steps.get(at)).copied() else {
            return;
        };
        self.steps.drain(..gone);
        self.cis.drain(..cis as usize);
        self.relations.drain(..relations as usize);
        for own in &mut self.steps {
            (own.1, own.2) = (own.1 - cis, own.2 - relations);
        }
    }

    fn bytes(&self) -> usize {
        self.steps.capacity() * 12 + (self.cis.capacity() + self.relations.capacity()) * 4
    }
}

/// How many of everything there were from a step on.
#[derive(Debug, Clone)]
struct Counts(Vec<(Step, Sizes)>);

impl Counts {
    fn note(&mut self, step: Step, sizes: Sizes) {
        match self.0.last_mut() {
            Some((own, last)) if *own == step => *last = sizes,
            Some((_, last)) if *last == sizes => {}
            _ => {
                make_room(&mut self.0, 1);
                self.0.push((step, sizes));
            }
        }
    }

    fn at(&self, step: Step) -> Sizes {
        let index = self.0.partition_point(|(from, _)| *from <= step);
        index.checked_sub(1).and_then(|index| self.0.get(index)).map_or_else(Sizes::default, |own| own.1)
    }

    fn forget(&mut self, until: Step) {
        let known = self.0.partition_point(|(from, _)| *from <= until);
        self.0.drain(..known.saturating_sub(1));
    }
}

/// How much a line keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LineSize {
    /// Superseded states that are kept: an old value of one field, a time at which something was seen last, something
    /// gone, or that something was not there yet.
    pub versions: usize,
    /// About how many bytes of memory they take, all indices included; the present view is not counted.
    pub bytes: usize,
}

/// Every state that a view went through along one axis: the present one in full, the others as old values.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// States before are not known.
    since: Timestamp,
    until: Timestamp,
    now: View,
    // Shared with the views of the past that were handed out.
    steps: Arc<Steps>,
    books: Arc<Books>,
    counts: Counts,
    cis: Strand<Ci>,
    relations: Strand<Relation>,
    leads: Strand<CiId>,
    claims: Strand<Arc<[CiId]>>,
    touched: Touched,
}

impl Line {
    /// A line that begins with this state at `since`.
    pub(super) fn new(since: Timestamp, now: View) -> Self {
        Self {
            since,
            until: since,
            counts: Counts(vec![(0, now.sizes())]),
            now,
            steps: Arc::default(),
            books: Arc::default(),
            cis: Strand::default(),
            relations: Strand::default(),
            leads: Strand::default(),
            claims: Strand::default(),
            touched: Touched::default(),
        }
    }

    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    pub(super) const fn until(&self) -> Timestamp {
        self.until
    }

    /// The present state in the form of an equal one: what comes next is then found at the cost of what it changes.
    pub(super) fn share(&mut self, now: View) {
        self.now = now;
    }

    /// From `at` on it is so. Steps come in the order of their time; of several at one time the last counts.
    pub(super) fn push(&mut self, at: Timestamp, view: View) {
        let before = std::mem::replace(&mut self.now, view);
        self.until = self.until.max(at);
        let at = self.until;
        let mut cis: Vec<Change<'_, Ci>> = Vec::new();
        before.changed_cis(&self.now, |id, old, new| cis.push((id, old, new)));
        let mut relations: Vec<Change<'_, Relation>> = Vec::new();
        before.changed_relations(&self.now, |id, old, new| relations.push((id, old, new)));
        let mut leads: Vec<Change<'_, CiId>> = Vec::new();
        before.changed_aliases(&self.now, |id, old, new| leads.push((id, old, new)));
        let mut claims: Vec<Change<'_, Arc<[CiId]>>> = Vec::new();
        before.changed_claimants(&self.now, |id, old, new| claims.push((id, old, new)));
        if cis.is_empty() && relations.is_empty() && leads.is_empty() && claims.is_empty() {
            return;
        }
        let step = Arc::make_mut(&mut self.steps).step(at);
        let books = Arc::make_mut(&mut self.books);
        self.counts.note(step, self.now.sizes());
        let rewritten = |old: Option<&Ci>, new: Option<&Ci>| match (old, new) {
            (Some(old), Some(new)) => !Arc::ptr_eq(&old.body, &new.body),
            _ => true,
        };
        let reshaped = |old: Option<&Relation>, new: Option<&Relation>| match (old, new) {
            (Some(old), Some(new)) => {
                old.state != new.state || !Arc::ptr_eq(&old.attributes, &new.attributes)
            }
            _ => true,
        };
        let own = cis.iter().filter(|(_, old, new)| rewritten(*old, *new)).map(|(id, ..)| id.hint());
        let touched = &mut self.touched;
        make_room(&mut touched.cis, cis.len());
        touched.cis.extend(own);
        let own = relations.iter().filter(|(_, old, new)| reshaped(*old, *new)).map(|(id, ..)| id.hint());
        make_room(&mut touched.relations, relations.len());
        touched.relations.extend(own);
        self.touched.end_of_step(step);
        self.cis.push(step, at, &cis, books);
        self.relations.push(step, at, &relations, books);
        // What leads to an item since the item is there needs no word: before, it led nowhere.
        let born = |to: CiId| self.cis.born(to) == Some(step);
        let known = |id: CiId| self.leads.knows(id);
        leads.retain(|(id, old, new)| old.is_some() || known(*id) || !new.is_some_and(|to| born(*to)));
        let known = |id: CiId| self.claims.knows(id);
        claims.retain(|(id, old, new)| {
            old.is_some() || known(*id) || !new.is_some_and(|to| matches!(to.as_ref(), [one] if born(*one)))
        });
        self.leads.push(step, at, &leads, books);
        self.claims.push(step, at, &claims, books);
    }

    /// An item at a time.
    pub(super) fn ci(&self, id: CiId, at: Timestamp) -> Option<Ci> {
        self.ci_at(id, self.steps.until(at))
    }

    fn ci_at(&self, id: CiId, step: Step) -> Option<Ci> {
        self.cis.at(id, self.now.items(), step, &self.steps, &self.books)
    }

    fn relation_at(&self, id: RelationId, step: Step) -> Option<Relation> {
        self.relations.at(id, self.now.links(), step, &self.steps, &self.books)
    }

    /// An item at a time, by the id it had then or by one that led to it then.
    pub(super) fn current(&self, id: CiId, at: Timestamp) -> Option<Ci> {
        let step = self.steps.until(at);
        self.ci_at(id, step).or_else(|| {
            let to = self.leads.at(id, self.now.leads(), step, &self.steps, &self.books)?;
            self.ci_at(to, step)
        })
    }

    /// The whole view at a time.
    pub(super) fn view(&self, at: Timestamp) -> View {
        if at >= self.until {
            return self.now.clone();
        }
        let (now, step) = (&self.now, self.steps.until(at));
        let cis = self.cis.then(now.items(), step, &self.steps, &self.books);
        let relations = self.relations.then(now.links(), step, &self.steps, &self.books);
        let leads = self.leads.then(now.leads(), step, &self.steps, &self.books);
        let claims = self.claims.then(now.claims(), step, &self.steps, &self.books);
        let sizes = self.counts.at(step);
        // What leads to an item has no word of its own about the time before the item.
        let (one, other) = (Arc::clone(&cis), Arc::clone(&cis));
        now.at(Parts {
            as_of: at,
            items: cis.map(sizes.items),
            links: relations.map(sizes.links),
            leads: leads.map_but(sizes.leads, move |to| one.lacks(*to)),
            claims: claims.map_but(sizes.claims, move |to| matches!(to.as_ref(), [to] if other.lacks(*to))),
            turned: move || cis.turned(),
            gone: move || relations.gone(),
        })
    }

    /// What is different at `b` against `a`, at the cost of what changed between them.
    pub(super) fn diff(&self, a: Timestamp, b: Timestamp) -> Vec<CiChange> {
        let (one, other) = (self.steps.until(a), self.steps.until(b));
        let (cis, relations) = self.touched.between(one.min(other), one.max(other));
        let hints: BTreeSet<u32> = cis.iter().copied().collect();
        let cis: BTreeSet<CiId> = hints.into_iter().flat_map(|hint| self.cis.hinted(hint)).collect();
        let hints: BTreeSet<u32> = relations.iter().copied().collect();
        let relations: BTreeSet<RelationId> =
            hints.into_iter().flat_map(|hint| self.relations.hinted(hint)).collect();
        let mut changes = Vec::new();
        for id in cis {
            ci_changes(b, self.ci_at(id, one).as_ref(), self.ci_at(id, other).as_ref(), &mut changes);
        }
        for id in relations {
            let (before, after) = (self.relation_at(id, one), self.relation_at(id, other));
            relation_changes(b, before.as_ref(), after.as_ref(), &mut changes);
        }
        changes.sort();
        changes
    }

    /// What was believed about an attribute, with the time it was, oldest first; times without a value are left out.
    pub(super) fn field(&self, id: CiId, name: &AttrName) -> Vec<(Interval, Value)> {
        let mut times = vec![self.since];
        let steps = self.cis.steps_of(id);
        times.extend(steps.into_iter().map(|step| self.steps.time(step)).filter(|at| *at > self.since));
        let mut spans: Vec<(Interval, Value)> = Vec::new();
        for at in times {
            let value = self.ci(id, at).and_then(|ci| ci.value(name).cloned());
            let open = spans.last_mut().filter(|(span, _)| span.to() == Timestamp::MAX);
            if open.as_ref().map(|(_, own)| own) == value.as_ref() {
                continue;
            }
            if let Some((span, _)) = open {
                *span = Interval::new(span.from(), at);
            }
            if let Some(value) = value {
                spans.push((Interval::since(at), value));
            }
        }
        spans.retain(|(span, _)| !span.is_empty());
        spans
    }

    /// Forgets the states before a time.
    pub(super) fn forget(&mut self, before: Timestamp) {
        let before = before.min(self.until);
        if before <= self.since {
            return;
        }
        self.since = before;
        let step = self.steps.until(before);
        self.cis.forget(step, self.now.items());
        self.relations.forget(step, self.now.links());
        self.leads.forget(step, self.now.leads());
        self.claims.forget(step, self.now.claims());
        self.touched.forget(step);
        self.counts.forget(step);
        Arc::make_mut(&mut self.steps).forget(step);
    }

    pub(super) fn size(&self) -> LineSize {
        let leads = self.leads.versions + self.claims.versions;
        LineSize {
            versions: self.cis.versions + self.relations.versions + leads,
            bytes: self.cis.bytes()
                + self.relations.bytes()
                + self.leads.bytes()
                + self.claims.bytes()
                + self.steps.bytes()
                + self.touched.bytes()
                + self.counts.0.capacity() * size_of::<(Step, Sizes)>()
                + self.books.bytes(),
        }
    }
}
