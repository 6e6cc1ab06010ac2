//! Every state of a view along one axis of time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use itom_core::{AttrName, CiChange, CiId, Interval, Timestamp, Value};

use super::packed::Books;
use super::strand::{Change, Strand};
use crate::history::{ci_changes, relation_changes};
use crate::view::{Ci, Relation, RelationId, View};

/// What an id led to until a time, oldest first.
type Led<V> = BTreeMap<CiId, Vec<(Timestamp, Option<V>)>>;

/// What was different from one state to the next.
#[derive(Debug, Clone)]
struct Step {
    at: Timestamp,
    cis: Box<[CiId]>,
    relations: Box<[RelationId]>,
}

/// How much a line keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LineSize {
    /// Old values of fields (and births, deaths) that are kept.
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
    books: Books,
    cis: Strand<Ci>,
    relations: Strand<Relation>,
    aliases: Led<CiId>,
    claims: Led<Arc<[CiId]>>,
    steps: Vec<Step>,
}

impl Line {
    /// A line that begins with this state at `since`.
    pub(super) fn new(since: Timestamp, now: View) -> Self {
        Self {
            since,
            until: since,
            now,
            books: Books::default(),
            cis: Strand::default(),
            relations: Strand::default(),
            aliases: Led::new(),
            claims: Led::new(),
            steps: Vec::new(),
        }
    }

    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    pub(super) const fn until(&self) -> Timestamp {
        self.until
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
        let step = Step {
            at,
            cis: cis.iter().filter(|(_, old, new)| rewritten(*old, *new)).map(|(id, ..)| *id).collect(),
            relations: relations
                .iter()
                .filter(|(_, old, new)| reshaped(*old, *new))
                .map(|(id, ..)| *id)
                .collect(),
        };
        if !step.cis.is_empty() || !step.relations.is_empty() {
            self.steps.push(step);
        }
        self.cis.push(at, &cis, &mut self.books);
        self.relations.push(at, &relations, &mut self.books);
        let (now, strand) = (&self.now, &self.cis);
        before.changed_aliases(now, |id, old, new| {
            let implied = |to: &CiId| strand.born(*to) == Some(at);
            led(&mut self.aliases, id, at, old, new.is_some_and(implied));
        });
        before.changed_claimants(now, |id, old, new| {
            let implied = |to: &Arc<[CiId]>| matches!(to.as_ref(), [one] if strand.born(*one) == Some(at));
            led(&mut self.claims, id, at, old, new.is_some_and(implied));
        });
    }

    /// An item at a time.
    pub(super) fn ci(&self, id: CiId, at: Timestamp) -> Option<Ci> {
        self.cis.at(id, self.now.ci(id), at, &self.books)
    }

    fn relation(&self, id: RelationId, at: Timestamp) -> Option<Relation> {
        self.relations.at(id, self.now.relation(id), at, &self.books)
    }

    /// Whether an id that leads to an item since the item is there led nowhere yet.
    fn unborn(&self, to: CiId, at: Timestamp) -> bool {
        self.cis.born(to).is_some_and(|born| born > at)
    }

    fn alias(&self, id: CiId, at: Timestamp) -> Option<CiId> {
        was(&self.aliases, id, at, self.now.alias(id), |to| self.unborn(*to, at))
    }

    /// The id under which an item was known at a time.
    pub(super) fn current(&self, id: CiId, at: Timestamp) -> Option<CiId> {
        if self.ci(id, at).is_some() { Some(id) } else { self.alias(id, at) }
    }

    /// The whole view at a time.
    pub(super) fn view(&self, at: Timestamp) -> View {
        let mut view = self.now.clone();
        if at >= self.until {
            return view;
        }
        for (id, ci) in self.cis.past(at, |id| self.now.ci(id), &self.books) {
            match ci {
                Some(ci) => view.put_ci(&ci),
                None => view.remove_ci(id),
            };
        }
        for (id, relation) in self.relations.past(at, |id| self.now.relation(id), &self.books) {
            match relation {
                Some(relation) => view.put_relation(id, relation),
                None => view.remove_relation(id),
            };
        }
        let mut aliases: BTreeSet<CiId> = self.aliases.keys().copied().collect();
        aliases.extend(self.now.aliases().filter(|(_, to)| self.unborn(*to, at)).map(|(id, _)| id));
        for id in aliases {
            match self.alias(id, at) {
                Some(to) => view.set_alias(id, to),
                None => view.remove_alias(id),
            }
        }
        let unborn = |to: &Arc<[CiId]>| matches!(to.as_ref(), [one] if self.unborn(*one, at));
        let mut claims: BTreeSet<CiId> = self.claims.keys().copied().collect();
        claims.extend(self.now.claims().filter(|(_, to)| unborn(to)).map(|(id, _)| id));
        for id in claims {
            view.set_claims(id, was(&self.claims, id, at, self.now.claims_of(id).cloned(), unborn));
        }
        view.as_of = Some(at);
        view
    }

    /// What is different at `b` against `a`, at the cost of what changed between them.
    pub(super) fn diff(&self, a: Timestamp, b: Timestamp) -> Vec<CiChange> {
        let (first, last) = (a.min(b), a.max(b));
        let from = self.steps.partition_point(|step| step.at <= first);
        let to = self.steps.partition_point(|step| step.at <= last);
        let steps = self.steps.get(from..to).unwrap_or(&[]);
        let cis: BTreeSet<CiId> = steps.iter().flat_map(|step| step.cis.iter().copied()).collect();
        let relations: BTreeSet<RelationId> =
            steps.iter().flat_map(|step| step.relations.iter().copied()).collect();
        let mut changes = Vec::new();
        for id in cis {
            ci_changes(b, self.ci(id, a).as_ref(), self.ci(id, b).as_ref(), &mut changes);
        }
        for id in relations {
            let (before, after) = (self.relation(id, a), self.relation(id, b));
            relation_changes(b, before.as_ref(), after.as_ref(), &mut changes);
        }
        changes.sort();
        changes
    }

    /// What was believed about an attribute, with the time it was, oldest first; times without a value are left out.
    pub(super) fn field(&self, id: CiId, name: &AttrName) -> Vec<(Interval, Value)> {
        let mut times = vec![self.since];
        times
            .extend(self.steps.iter().filter(|step| step.cis.binary_search(&id).is_ok()).map(|step| step.at));
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
        self.cis.forget(before);
        self.relations.forget(before);
        self.steps.retain(|step| step.at > before);
        forget(&mut self.aliases, before);
        forget(&mut self.claims, before);
    }

    pub(super) fn size(&self) -> LineSize {
        let steps = self.steps.iter().map(|step| 16 * (step.cis.len() + step.relations.len()) + 40);
        let led = |count: usize, entries: usize| count * 64 + entries * 40;
        let aliases = led(self.aliases.len(), self.aliases.values().map(Vec::len).sum());
        let claims = led(self.claims.len(), self.claims.values().map(Vec::len).sum());
        LineSize {
            versions: self.cis.versions + self.relations.versions,
            bytes: self.cis.bytes()
                + self.relations.bytes()
                + self.books.bytes()
                + steps.sum::<usize>()
                + aliases
                + claims,
        }
    }
}

/// Keeps where an id led until now. What leads to an item since the item is there needs no word.
fn led<V: Clone>(all: &mut Led<V>, id: CiId, at: Timestamp, old: Option<&V>, implied: bool) {
    if old.is_none() && implied && !all.contains_key(&id) {
        return;
    }
    let past = all.entry(id).or_default();
    if past.last().is_none_or(|(until, _)| *until < at) {
        past.push((at, old.cloned()));
    }
}

fn was<V: Clone>(
    all: &Led<V>,
    id: CiId,
    at: Timestamp,
    now: Option<V>,
    unborn: impl Fn(&V) -> bool,
) -> Option<V> {
    let past = all.get(&id).map_or(&[][..], Vec::as_slice);
    let index = past.partition_point(|(until, _)| *until <= at);
    let value = match past.get(index) {
        Some((_, value)) => value.clone(),
        None => now,
    };
    value.filter(|value| index > 0 || !unborn(value))
}

fn forget<V>(all: &mut Led<V>, before: Timestamp) {
    all.retain(|_, past| {
        // The newest of what goes stays: it says that the id led somewhere before.
        let gone = past.partition_point(|(until, _)| *until <= before);
        past.drain(..gone.saturating_sub(1));
        !past.is_empty()
    });
}
