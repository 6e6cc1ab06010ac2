//! Why items are what they are, why two are two, and what would settle what is open.

use std::collections::BTreeSet;

use itom_core::{CiId, KeyKind, Question, SourceName};

use super::{Cmdb, Explanation, PairExplanation};
use crate::config::CmdbConfig;
use crate::identity::{Ambiguous, Comparison, OpenObject, Proof, Verdict, WhyNot};
use crate::lock::{self, ContestedLock};

impl Cmdb {
    /// Why an item is what it is. Follows merges.
    #[must_use]
    pub fn explain(&self, ci: CiId) -> Option<Explanation> {
        let id = self.view.current(ci)?;
        let item = self.view.ci(id)?;
        Some(Explanation {
            ci: id,
            merges: self.objects_of(id).first().map_or_else(Vec::new, |object| self.proofs(*object)),
            attributes: item.attributes().iter().map(|(name, attr)| (name.clone(), attr.clone())).collect(),
        })
    }

    /// Why two items are two: what forbids to join them, how every value compares, and which keys would show that they
    /// are one. Or, after a merge, why they are one. `None` when either is not known, or only by reference.
    #[must_use]
    pub fn explain_pair(&self, a: CiId, b: CiId) -> Option<PairExplanation> {
        let (a, b) = (self.view.current(a)?, self.view.current(b)?);
        let (ours, theirs) = (self.objects_of(a), self.objects_of(b));
        let first = *ours.first()?;
        theirs.first()?;
        let together = a == b;
        let (compared, apart) = if together {
            (Vec::new(), Vec::new())
        } else {
            let parts = |object| self.parts_of(object);
            (self.resolver.compare(ours, theirs), self.resolver.apart(ours, theirs, &parts))
        };
        // What is inherited beside is no key that somebody could go and read.
        let one_sided =
            |own: &&Comparison| !own.inherited && own.verdict == Verdict::NotApplicable(WhyNot::OneSided);
        let one_sided = compared.iter().filter(one_sided);
        let missing: BTreeSet<KeyKind> =
            if apart.is_empty() { one_sided.map(|own| own.kind.clone()).collect() } else { BTreeSet::new() };
        Some(PairExplanation {
            together,
            merges: if together { self.proofs(first) } else { Vec::new() },
            apart,
            compared,
            missing: missing.into_iter().collect(),
        })
    }

    /// The locks that present sources contradict, by item and attribute.
    #[must_use]
    pub fn contested_locks(&self) -> Vec<ContestedLock> {
        lock::contested(&self.view)
    }

    /// The same facts at the same time under other rules.
    pub(crate) fn rederived(&self, rules: CmdbConfig) -> Self {
        let mut other = Self::new(rules);
        other.catch_up(self);
        other
    }

    /// Learns what `other` knows and it does not, and the time.
    pub(crate) fn catch_up(&mut self, other: &Self) {
        let facts = other.log.iter().filter(|fact| !self.log.contains(fact.id())).cloned().collect();
        self.ingest(facts);
        self.expire(other.now);
    }

    /// Every object that fits several items, with what would settle it, ascending.
    #[must_use]
    pub fn ambiguities(&self) -> Vec<Ambiguous> {
        let mut all: Vec<Ambiguous> =
            self.open.values().flatten().filter_map(|open| self.ambiguous(open)).collect();
        all.sort();
        // A value may be open as a thing states it and as it inherits it.
        all.dedup();
        all
    }

    /// What this source could settle by a look at things that it described.
    #[must_use]
    pub fn questions(&self, source: &SourceName) -> Vec<Question> {
        let mut questions: Vec<Question> = self
            .open
            .values()
            .flatten()
            .filter(|open| self.resolver.names.source_of(self.resolver.row(open.object).source) == source)
            .filter_map(|open| {
                let ambiguous = self.ambiguous(open)?;
                let object = ambiguous.object?;
                let kind = self.resolver.names.kind_of(self.resolver.row(open.object).kind).clone();
                let words = format!("`{}` fits {} items", ambiguous.key, ambiguous.candidates.len());
                Some(Question::new(object.source, object.native, kind, ambiguous.wanted, words))
            })
            .collect();
        questions.sort();
        questions.dedup();
        questions
    }

    pub(super) fn ambiguous(&self, open: &OpenObject) -> Option<Ambiguous> {
        let item = |object: u32| self.cis.get(object as usize).copied().flatten();
        let own = item(open.object)?;
        let mut candidates: Vec<CiId> = open.candidates.iter().filter_map(|object| item(*object)).collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|candidate| *candidate != own);
        if candidates.len() < 2 {
            return None;
        }
        let rings: Vec<&[u32]> = candidates.iter().map(|candidate| self.objects_of(*candidate)).collect();
        Some(Ambiguous {
            key: self.resolver.names.ident_name(open.ident),
            object: Some(self.resolver.names.object_name(open.object)),
            wanted: self.resolver.telling(self.objects_of(own), &rings),
            candidates,
        })
    }

    /// Why the objects of this one's item are one.
    pub(super) fn proofs(&self, object: u32) -> Vec<Proof> {
        self.resolver.proofs(object, |object| self.parts_of(object))
    }

    fn objects_of(&self, id: CiId) -> &[u32] {
        self.clusters.get(&id).map_or(&[], |record| record.objects.as_slice())
    }
}
