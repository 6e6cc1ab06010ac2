//! From one component to its items: objects that any usable key or statement connects, joined by evidence in one total
//! order, as far as nothing forbids it and nothing is open.

use std::collections::BTreeSet;

use itom_core::{CiKind, Strength};

use super::TIERS;
use super::claimants::Claim;
use super::resolver::Resolver;
use crate::fact::FactId;

/// A value that more separate groups than this claim settles nothing between them: it bounds the comparison of pairs.
const CONTENDERS: usize = 256;

/// What joined two groups. Members are places in the component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) by: StepBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepBy {
    Key { ident: u32, tier: Strength, sources: u32 },
    Word(FactId),
}

/// A member whose value fits groups that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) ident: u32,
    pub(crate) member: u32,
    pub(crate) candidates: Vec<u32>,
}

/// What became of a component.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The group of each member; a group is named by its smallest place.
    pub(crate) group: Vec<u32>,
    pub(crate) steps: Vec<Step>,
    pub(crate) open: Vec<Open>,
    /// Values that realms rest on and several members claim: whether these are several things.
    pub(crate) bases: Vec<(u32, bool)>,
}

struct Group {
    members: Vec<u32>,
    /// Sources of which it can hold one object, ascending.
    sources: Vec<u32>,
    kind: CiKind,
    /// Per slot that has one value: what each member says, without repetition. What two members say is compared, not what
    /// they say together: who claims two serials must not bridge those who claim one each.
    singles: Vec<Single>,
    /// Per slot of which a share must be common: the values.
    parts: Vec<(u32, Vec<u32>)>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Single {
    slot: u32,
    /// The weakest claim.
    strength: Strength,
    values: Vec<u32>,
}

struct Evidence {
    ident: u32,
    sources: u32,
    /// Live, older, smaller first.
    claimants: Vec<u32>,
}

struct Forest<'a> {
    resolver: &'a Resolver,
    members: &'a [u32],
    parent: Vec<u32>,
    groups: Vec<Option<Group>>,
    apart: Vec<(u32, u32)>,
    outcome: Outcome,
    asked: BTreeSet<(u32, u32)>,
}

/// Joins the members of a component, which are ascending by content.
pub(crate) fn agglomerate(resolver: &Resolver, members: &[u32]) -> Outcome {
    let place = |object: u32| {
        members.binary_search_by(|own| resolver.names.compare_objects(*own, object)).ok().map(|at| at as u32)
    };
    let mut forest = Forest {
        resolver,
        members,
        parent: (0..members.len() as u32).collect(),
        groups: (0..members.len() as u32).map(|at| Some(Group::of(resolver, members, at))).collect(),
        apart: Vec::new(),
        outcome: Outcome::default(),
        asked: BTreeSet::new(),
    };
    let mut same: Vec<(u32, u32, FactId)> = Vec::new();
    for (at, object) in (0..).zip(members) {
        for word in resolver.words_of(*object) {
            let Some(other) = place(word.other).filter(|other| *other > at) else { continue };
            if word.same {
                same.push((at, other, word.fact));
            } else {
                forest.apart.push((at, other));
            }
        }
    }
    same.sort_unstable();
    for (left, right, fact) in same {
        forest.join(left, right, None, StepBy::Word(fact));
    }
    let claims = Claims::of(resolver, members);
    let weigh = |forest: &mut Forest<'_>, within: bool| {
        for live_only in [true, false] {
            for tier in TIERS {
                for evidence in claims.evidence(resolver, members, (tier, live_only, within)) {
                    forest.weigh(&claims, &evidence, tier, live_only);
                }
            }
        }
    };
    weigh(&mut forest, false);
    // Whether a realm means something must not follow from what is said in a realm: that comes last.
    for (ident, claimants) in claims.0.iter().filter(|(ident, _)| resolver.is_base(*ident)) {
        let mut roots = claimants.iter().map(|(at, _)| forest.root(*at));
        let first = roots.next();
        let split = roots.any(|root| Some(root) != first);
        forest.outcome.bases.push((*ident, split));
    }
    if claims.0.iter().any(|(ident, _)| resolver.is_within(*ident)) {
        weigh(&mut forest, true);
    }
    forest.finish()
}

/// The claims of a component by value, values in the order of their content.
struct Claims(Vec<(u32, Vec<(u32, Strength)>)>);

impl Claims {
    fn of(resolver: &Resolver, members: &[u32]) -> Self {
        let mut claims: Vec<(u32, u32, Strength)> = Vec::with_capacity(members.len() * 4);
        for (at, object) in (0..).zip(members) {
            for claim in resolver.joining(*object) {
                claims.push((claim.number(), at, claim.strength()));
            }
        }
        claims.sort_unstable();
        let shared = claims.chunk_by(|a, b| a.0 == b.0).filter(|chunk| chunk.len() > 1);
        let mut by_ident: Vec<(u32, Vec<(u32, Strength)>)> = shared
            .map(|chunk| (chunk[0].0, chunk.iter().map(|(_, at, strength)| (*at, *strength)).collect()))
            .collect();
        by_ident.sort_by(|a, b| resolver.names.compare_idents(a.0, b.0));
        Self(by_ident)
    }

    /// The evidence of one tier in its total order: rank, then more sources, then content.
    fn evidence(
        &self,
        resolver: &Resolver,
        members: &[u32],
        (tier, live_only, within): (Strength, bool, bool),
    ) -> Vec<Evidence> {
        let row = |at: u32| resolver.row(members[at as usize]);
        let mut found = Vec::new();
        for (ident, claims) in self.0.iter().filter(|(ident, _)| resolver.is_within(*ident) == within) {
            let fits = |(at, strength): &&(u32, Strength)| *strength >= tier && (!live_only || row(*at).live);
            let mut claimants: Vec<u32> = claims.iter().filter(fits).map(|(at, _)| *at).collect();
            if claimants.len() < 2 {
                continue;
            }
            let mut sources: Vec<u32> = claimants.iter().map(|at| row(*at).source).collect();
            sources.sort_unstable();
            sources.dedup();
            claimants.sort_by_key(|at| (!row(*at).live, row(*at).first_seen, *at));
            found.push(Evidence { ident: *ident, sources: sources.len() as u32, claimants });
        }
        let rank = |evidence: &Evidence| resolver.slot(resolver.slot_of(evidence.ident)).rank;
        found.sort_by(|a, b| rank(b).cmp(&rank(a)).then(b.sources.cmp(&a.sources)));
        found
    }

    /// The members that claim a value at least so strongly.
    fn claimants(&self, resolver: &Resolver, ident: u32, tier: Strength) -> impl Iterator<Item = u32> {
        let found = self.0.binary_search_by(|own| resolver.names.compare_idents(own.0, ident));
        let claims = found.ok().and_then(|at| self.0.get(at)).map_or(&[][..], |own| own.1.as_slice());
        claims.iter().filter(move |(_, strength)| *strength >= tier).map(|(at, _)| *at)
    }
}

impl Group {
    fn of(resolver: &Resolver, members: &[u32], at: u32) -> Self {
        let object = members[at as usize];
        let row = resolver.row(object);
        let mut singles: Vec<Single> = Vec::new();
        let mut parts: Vec<(u32, Vec<u32>)> = Vec::new();
        for claim in resolver.joining(object) {
            let number = resolver.slot_of(claim.number());
            let slot = resolver.slot(number);
            if slot.single {
                match singles.iter_mut().find(|own| own.slot == number) {
                    Some(own) => {
                        own.strength = own.strength.min(claim.strength());
                        own.values.push(claim.number());
                    }
                    None => singles.push(Single {
                        slot: number,
                        strength: claim.strength(),
                        values: vec![claim.number()],
                    }),
                }
            }
            if slot.overlap.is_some() || slot.apart_below.is_some() {
                match parts.iter_mut().find(|own| own.0 == number) {
                    Some(own) => own.1.push(claim.number()),
                    None => parts.push((number, vec![claim.number()])),
                }
            }
        }
        Self {
            members: vec![at],
            sources: if resolver.is_unique(row.source) { vec![row.source] } else { Vec::new() },
            kind: resolver.names.kind_of(row.kind).clone(),
            singles,
            parts,
        }
    }

    fn absorb(&mut self, other: Self, kind: CiKind) {
        self.members.extend(other.members);
        self.sources.extend(other.sources);
        self.sources.sort_unstable();
        self.sources.dedup();
        self.kind = kind;
        self.singles.extend(other.singles);
        self.singles.sort_unstable();
        self.singles.dedup();
        for (slot, values) in other.parts {
            match self.parts.iter_mut().find(|own| own.0 == slot) {
                Some(own) => unite(&mut own.1, values),
                None => self.parts.push((slot, values)),
            }
        }
    }
}

fn unite(own: &mut Vec<u32>, others: Vec<u32>) {
    own.extend(others);
    own.sort_unstable();
    own.dedup();
}

/// How many elements two ascending lists share.
fn common(a: &[u32], b: &[u32]) -> usize {
    let (mut at, mut other, mut count) = (0, 0, 0);
    while let (Some(x), Some(y)) = (a.get(at), b.get(other)) {
        match x.cmp(y) {
            std::cmp::Ordering::Less => at += 1,
            std::cmp::Ordering::Greater => other += 1,
            std::cmp::Ordering::Equal => {
                (at, other, count) = (at + 1, other + 1, count + 1);
            }
        }
    }
    count
}

impl Forest<'_> {
    fn root(&self, mut at: u32) -> u32 {
        while self.parent[at as usize] != at {
            at = self.parent[at as usize];
        }
        at
    }

    /// What two groups have in common as a kind, if nothing forbids to join them by `ident` at `tier`; `None` for a
    /// person's word, which only another word can forbid.
    fn allowed(&self, a: u32, b: u32, by: Option<(u32, Strength)>) -> Option<CiKind> {
        self.allowed_but_for(a, b, by, Strength::Ambient)
    }

    /// As [`allowed`](Self::allowed), but for contradictions of weaker claims than `least`.
    fn allowed_but_for(
        &self,
        a: u32,
        b: u32,
        by: Option<(u32, Strength)>,
        least: Strength,
    ) -> Option<CiKind> {
        let (one, other) = (self.groups[a as usize].as_ref()?, self.groups[b as usize].as_ref()?);
        let rules = self.resolver.rules();
        let kind = rules.common_kind(&one.kind, &other.kind)?;
        let split = |(x, y): &(u32, u32)| {
            let ends = (self.root(*x), self.root(*y));
            ends == (a, b) || ends == (b, a)
        };
        if self.apart.iter().any(split) {
            return None;
        }
        let Some((ident, tier)) = by else { return Some(kind) };
        if common(&one.sources, &other.sources) > 0 {
            return None;
        }
        let number = self.resolver.slot_of(ident);
        let by = (tier, self.resolver.slot(number).rank);
        for ours in &one.singles {
            for theirs in other.singles.iter().filter(|theirs| theirs.slot == ours.slot) {
                let weaker = ours.strength.min(theirs.strength);
                let rule = self.resolver.slot(ours.slot);
                if weaker >= least
                    && (rule.decisive || super::rules::outweighs((weaker, rule.rank), by))
                    && common(&ours.values, &theirs.values) == 0
                {
                    return None;
                }
            }
        }
        for (slot, ours) in &one.parts {
            let rule = self.resolver.slot(*slot);
            let Some(least) = rule.apart_below else { continue };
            for (_, theirs) in other.parts.iter().filter(|theirs| theirs.0 == *slot) {
                let smaller = ours.len().min(theirs.len());
                if smaller >= rule.at_least && !least.holds(common(ours, theirs), smaller) {
                    return None;
                }
            }
        }
        let rule = self.resolver.slot(number);
        let values = |group: &'_ Group| group.parts.iter().position(|own| own.0 == number);
        // Who has no such value is no claimant, and nothing speaks against it here.
        if let (Some(share), Some(ours), Some(theirs)) = (rule.overlap, values(one), values(other)) {
            let (ours, theirs) = (&one.parts[ours].1, &other.parts[theirs].1);
            let both = common(ours, theirs);
            if both < rule.at_least || !share.holds(both, ours.len().min(theirs.len())) {
                return None;
            }
        }
        Some(kind)
    }

    /// Joins the groups of two members if nothing forbids it.
    fn join(&mut self, left: u32, right: u32, by: Option<(u32, Strength)>, step: StepBy) {
        let (a, b) = (self.root(left), self.root(right));
        if a == b {
            return;
        }
        let Some(kind) = self.allowed(a, b, by) else { return };
        let size = |at: u32| self.groups[at as usize].as_ref().map_or(0, |group| group.members.len());
        // The larger group takes the smaller in, so that each member moves at most log n times.
        let (keep, take) = if size(a) >= size(b) { (a, b) } else { (b, a) };
        let Some(taken) = self.groups[take as usize].take() else { return };
        self.parent[take as usize] = keep;
        if let Some(group) = &mut self.groups[keep as usize] {
            group.absorb(taken, kind);
        }
        self.outcome.steps.push(Step { left, right, by: step });
    }

    /// Joins what one value joins: among the groups that claim it, those that fit nothing that does not fit together.
    fn weigh(&mut self, claims: &Claims, evidence: &Evidence, tier: Strength, live_only: bool) {
        let mut contenders: Vec<(u32, u32)> = Vec::new();
        for claimant in &evidence.claimants {
            let root = self.root(*claimant);
            if !contenders.iter().any(|own| own.0 == root) {
                contenders.push((root, *claimant));
            }
        }
        let count = contenders.len();
        if !(2..=CONTENDERS).contains(&count) {
            return;
        }
        let by = Some((evidence.ident, tier));
        let step = StepBy::Key { ident: evidence.ident, tier, sources: evidence.sources };
        let mut fits = vec![false; count * count];
        for a in 0..count {
            for b in 0..a {
                let fit = self.allowed(contenders[a].0, contenders[b].0, by).is_some();
                fits[a * count + b] = fit;
                fits[b * count + a] = fit;
            }
        }
        // Who fits two that do not fit each other has a choice; nobody tosses a coin for it.
        let chosen: Vec<Option<Vec<u32>>> = (0..count)
            .map(|at| {
                let near = (0..count).filter(|other| fits[at * count + other]);
                let near: Vec<u32> = near.map(|other| contenders[other].0).collect();
                if near.is_empty() {
                    Some(near)
                } else {
                    self.choose(claims, contenders[at].0, near, by, live_only)
                }
            })
            .collect();
        for at in 0..count {
            let Some(own) = &chosen[at] else {
                if live_only && self.asked.insert((evidence.ident, contenders[at].1)) {
                    let near = (0..count).filter(|other| fits[at * count + other]);
                    self.outcome.open.push(Open {
                        ident: evidence.ident,
                        member: contenders[at].1,
                        candidates: near.map(|other| contenders[other].1).collect(),
                    });
                }
                continue;
            };
            for other in at + 1..count {
                let theirs = chosen[other].as_ref();
                if own.contains(&contenders[other].0)
                    && theirs.is_some_and(|theirs| theirs.contains(&contenders[at].0))
                {
                    self.join(contenders[at].1, contenders[other].1, by, step);
                }
            }
        }
    }

    /// Which of the groups that a group fits it may join: all of them if they fit each other. Of two that do not, the one
    /// with which it shares all that it shares with the other, and more, circumstances included. `None` when that settles
    /// nothing. Weak evidence is held against what other weak evidence says, even when they contradict each other: a row
    /// with the name of one machine and the serial number of another is neither's.
    fn choose(
        &self,
        claims: &Claims,
        root: u32,
        near: Vec<u32>,
        by: Option<(u32, Strength)>,
        live_only: bool,
    ) -> Option<Vec<u32>> {
        let mut candidates = near;
        let mut apart: Vec<(usize, usize)> = Vec::new();
        let members =
            |root: u32| self.groups[root as usize].iter().flat_map(|group| group.members.iter().copied());
        let object = |at: u32| self.members[at as usize];
        let counts = |at: u32| !live_only || self.resolver.row(object(at)).live;
        if let Some((by, tier @ Strength::Administrative)) = by {
            for at in members(root).filter(|at| counts(*at)) {
                let others = |claim: &Claim| claim.number() != by && !self.resolver.is_within(claim.number());
                for claim in self.resolver.joining(object(at)).filter(others) {
                    for other in
                        claims.claimants(self.resolver, claim.number(), tier).filter(|at| counts(*at))
                    {
                        let rival = self.root(other);
                        let by = Some((claim.number(), tier));
                        if rival != root
                            && !candidates.contains(&rival)
                            && self.allowed_but_for(root, rival, by, Strength::Issued).is_some()
                        {
                            candidates.push(rival);
                        }
                    }
                }
            }
        }
        for a in 0..candidates.len() {
            for b in 0..a {
                if self.allowed(candidates[a], candidates[b], by).is_none() {
                    apart.push((b, a));
                }
            }
        }
        if apart.is_empty() {
            return Some(candidates);
        }
        let said = |root: u32| -> Vec<u32> {
            let mut said: Vec<u32> = members(root)
                .flat_map(|at| {
                    let kind = self.resolver.row(object(at)).kind;
                    let own = self.resolver.own_claims(object(at)).iter().map(|claim| claim.number());
                    own.filter(move |ident| {
                        self.resolver.identifies(*ident, kind) && !self.resolver.is_within(*ident)
                    })
                })
                .collect();
            said.sort_unstable();
            said.dedup();
            said
        };
        let own = said(root);
        let shared: Vec<Vec<u32>> = candidates
            .iter()
            .map(|other| said(*other).into_iter().filter(|ident| own.binary_search(ident).is_ok()).collect())
            .collect();
        let less = |a: &[u32], b: &[u32]| a.len() < b.len() && common(a, b) == a.len();
        let mut beaten = vec![false; candidates.len()];
        for (a, b) in &apart {
            beaten[*a] |= less(&shared[*a], &shared[*b]);
            beaten[*b] |= less(&shared[*b], &shared[*a]);
        }
        if apart.iter().any(|(a, b)| !beaten[*a] && !beaten[*b]) {
            return None;
        }
        Some(candidates.into_iter().zip(beaten).filter(|(_, beaten)| !beaten).map(|(root, _)| root).collect())
    }

    fn finish(mut self) -> Outcome {
        let roots: Vec<u32> = (0..self.members.len() as u32).map(|at| self.root(at)).collect();
        let mut smallest: Vec<u32> = vec![u32::MAX; roots.len()];
        for (at, root) in (0..).zip(&roots) {
            let own = &mut smallest[*root as usize];
            *own = at.min(*own);
        }
        self.outcome.group = roots.iter().map(|root| smallest[*root as usize]).collect();
        let group = &self.outcome.group;
        self.outcome.open.retain_mut(|open| {
            let own = group[open.member as usize];
            let joined = open.candidates.iter().any(|at| group[*at as usize] == own);
            let mut seen = BTreeSet::new();
            open.candidates.retain(|at| seen.insert(group[*at as usize]));
            open.candidates.sort_unstable();
            !joined && open.candidates.len() > 1
        });
        self.outcome
    }
}
