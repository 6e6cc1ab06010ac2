//! Why objects are one item: a component joined once more, with its steps.

use std::collections::BTreeSet;

use super::agglomerate::{Outcome, StepBy, agglomerate};
use super::resolver::Resolver;
use super::{Part, Proof, Rule, Whole};

impl Resolver {
    /// Why the objects of this one's item are one, in the order in which they were joined. `parts` tells through what an
    /// object inherits.
    pub(crate) fn proofs(&self, object: u32, parts: impl Fn(u32) -> Vec<Part>) -> Vec<Proof> {
        if self.rows[object as usize].next == object {
            return Vec::new();
        }
        let (members, outcome) = self.retrace(object);
        let own = members.iter().position(|member| *member == object).map(|at| outcome.group[at]);
        let steps = outcome.steps.iter();
        steps
            .filter(|step| Some(outcome.group[step.left as usize]) == own)
            .map(|step| {
                let cited = |at: u32| self.cite(members[at as usize], &parts);
                let rule = match step.by {
                    StepBy::Word(fact) => Rule::Stated { fact },
                    StepBy::Key { ident, tier, sources } if self.is_inherited(ident) => Rule::Inherited {
                        ident: self.names.ident_name(ident),
                        strength: tier,
                        corroboration: sources as usize,
                    },
                    StepBy::Key { ident, tier, sources } => Rule::Key {
                        ident: self.names.ident_name(ident),
                        strength: tier,
                        corroboration: sources as usize,
                    },
                };
                Proof::new(cited(step.left), cited(step.right), rule)
            })
            .collect()
    }

    pub(crate) fn cite(&self, object: u32, parts: &impl Fn(u32) -> Vec<Part>) -> Whole {
        let parts = parts(object);
        Whole { object: self.names.object_name(object), statement: self.row(object).statement, parts }
    }

    /// The whole component of an object, ascending by content, and how it was joined.
    pub(crate) fn retrace(&self, object: u32) -> (Vec<u32>, Outcome) {
        let mut seen = BTreeSet::from([object]);
        let mut todo = vec![object];
        let mut idents = BTreeSet::new();
        while let Some(object) = todo.pop() {
            let mut reach = |other: u32| {
                if self.row(other).known && seen.insert(other) {
                    todo.push(other);
                }
            };
            self.words_of(object).iter().filter(|word| word.same).for_each(|word| reach(word.other));
            for claim in self.joining(object) {
                if idents.insert(claim.number()) {
                    let others =
                        self.values[claim.number() as usize].claimants.iter().filter(|own| own.joins());
                    others.for_each(|other| reach(other.number()));
                }
            }
        }
        let mut members: Vec<u32> = seen.into_iter().collect();
        members.sort_unstable_by(|a, b| self.names.compare_objects(*a, *b));
        let outcome = agglomerate(self, &members);
        (members, outcome)
    }
}
