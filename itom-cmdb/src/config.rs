//! What can be set about deriving. Data, so that a changed rule set can be tried on recorded facts.

use std::collections::BTreeMap;
use std::time::Duration;

use itom_core::{AttrName, CiKind, SourceName, StableHasher, Timestamp, kind};
use serde::{Deserialize, Serialize};

use crate::identity::IdentityRules;
use crate::ruleset::Reducer;

/// How far a source is trusted about some attributes of some kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Precedence {
    /// Only items of this kind (or a refinement); every kind if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CiKind>,
    /// Only this attribute; every attribute if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<AttrName>,
    /// The source, or the part of its name before `@` for a family of sources (`linux` for `linux@web-1`).
    pub source: SourceName,
    /// Higher wins; a source without a rule has 0.
    pub rank: i32,
    /// A value not seen again for this long yields to any fresh one; never if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub fresh_for: Option<Duration>,
}

/// A span in a file is `"2m30s"`.
mod optional_duration {
    use std::time::Duration;

    use itom_core::time::serde_duration;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => serde_duration::serialize(span, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Span(#[serde(with = "serde_duration")] Duration);
        Ok(Option::<Span>::deserialize(deserializer)?.map(|span| span.0))
    }
}

impl Precedence {
    /// This source ranks so about everything.
    #[must_use]
    pub const fn new(source: SourceName, rank: i32) -> Self {
        Self { kind: None, attribute: None, source, rank, fresh_for: None }
    }

    /// Only for items of this kind.
    #[must_use]
    pub fn for_kind(self, kind: CiKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Only for this attribute.
    #[must_use]
    pub fn for_attribute(self, attribute: AttrName) -> Self {
        Self { attribute: Some(attribute), ..self }
    }

    /// Only while it was seen within this span.
    #[must_use]
    pub const fn fresh_for(mut self, span: Duration) -> Self {
        self.fresh_for = Some(span);
        self
    }

    fn fits(&self, kind: &CiKind, attribute: &AttrName, source: &SourceName) -> bool {
        let family = source.as_str().split_once('@').map_or(source.as_str(), |(family, _)| family);
        (self.source == *source || self.source.as_str() == family)
            && self.kind.as_ref().is_none_or(|own| kind.is_a(own))
            && self.attribute.as_ref().is_none_or(|own| own == attribute)
    }

    /// More specific rules beat general ones: attribute, then length of the kind, then the full source name.
    fn specificity(&self) -> (bool, usize, usize) {
        let kind = self.kind.as_ref().map_or(0, |kind| kind.as_str().len());
        (self.attribute.is_some(), kind, self.source.as_str().len())
    }
}

/// How items of a kind age beside their lease.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ageing {
    pub(crate) stale_after: Option<Duration>,
    pub(crate) purge_after: Option<Duration>,
}

/// What is said of a kind and of those that it refines, the nearest first.
fn nearest<'a, T>(said: &'a BTreeMap<CiKind, T>, kind: &'a CiKind) -> impl Iterator<Item = &'a T> {
    // Most often nothing is said of any kind.
    let first = (!said.is_empty()).then(|| kind.as_str());
    let general = |name: &&'a str| name.rsplit_once('.').map(|(general, _)| general);
    std::iter::successors(first, general).filter_map(|name| said.get(name))
}

/// Rules of deriving. Two engines with the same facts and the same configuration agree on everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmdbConfig {
    identity: IdentityRules,
    leases: BTreeMap<CiKind, Option<Duration>>,
    ageing: BTreeMap<CiKind, Ageing>,
    default_lease: Option<Duration>,
    relation_lease: Option<Duration>,
    source_leases: BTreeMap<SourceName, Option<Duration>>,
    /// The shortest lease of any kind or source: most questions about leases need no other.
    shortest_lease: Option<Duration>,
    mass_percent: u8,
    mass_floor: usize,
    precedence: Vec<Precedence>,
    reducers: BTreeMap<CiKind, BTreeMap<AttrName, Reducer>>,
    remembered_changes: usize,
}

const DAY: Duration = Duration::from_secs(86_400);

/// The families of sources that are documents. A file that nobody reads again says nothing about its age: what it names
/// stays until a later one lacks it.
pub(crate) fn documents() -> impl Iterator<Item = SourceName> {
    ["backstage", "csv", "cyclonedx", "netbox", "spdx"].into_iter().map(SourceName::literal)
}

impl Default for CmdbConfig {
    fn default() -> Self {
        let lasting =
            [kind::HOST, kind::DEVICE, kind::APPLICATION, kind::BUSINESS_SERVICE, kind::LOCATION, kind::TEAM];
        Self {
            identity: IdentityRules::default(),
            leases: lasting.into_iter().map(|kind| (kind, None)).collect(),
            ageing: BTreeMap::new(),
            default_lease: Some(DAY),
            relation_lease: Some(DAY),
            source_leases: documents().map(|source| (source, None)).collect(),
            shortest_lease: None,
            mass_percent: 50,
            mass_floor: 10,
            precedence: Vec::new(),
            reducers: BTreeMap::new(),
            remembered_changes: 65_536,
        }
    }
}

impl CmdbConfig {
    /// Without the leases of well-known kinds: those of a rule set take their place.
    pub(crate) fn bare() -> Self {
        Self { leases: BTreeMap::new(), source_leases: BTreeMap::new(), ..Self::default() }.weighed()
    }

    /// What becomes of several lists for this attribute of items of this kind (and its refinements that say nothing
    /// else).
    #[must_use]
    pub fn reducer(mut self, kind: CiKind, attribute: AttrName, reducer: Reducer) -> Self {
        if reducer == Reducer::Ordered {
            self.reducers.get_mut(&kind).and_then(|own| own.remove(&attribute));
            self.reducers.retain(|_, own| !own.is_empty());
        } else {
            self.reducers.entry(kind).or_default().insert(attribute, reducer);
        }
        self
    }

    /// The hash of all that deriving depends on: part of every view derived with it.
    #[must_use]
    pub fn rules_hash(&self) -> u64 {
        let span = |span: &Option<Duration>| span.map(|span| span.as_micros() as u64);
        let leases: Vec<_> = self.leases.iter().map(|(kind, own)| (kind, span(own))).collect();
        let ageing: Vec<_> = self
            .ageing
            .iter()
            .map(|(kind, own)| (kind, span(&own.stale_after), span(&own.purge_after)))
            .collect();
        let rest =
            (span(&self.default_lease), span(&self.relation_lease), self.mass_percent, self.mass_floor);
        let sources: Vec<_> = self.source_leases.iter().map(|(source, own)| (source, span(own))).collect();
        let all = (&self.identity, leases, ageing, rest, sources, &self.precedence, &self.reducers);
        let mut hasher = StableHasher::new();
        // Ordered maps with names as keys: one form for one content, and nothing that could fail.
        hasher.text(&serde_json::to_string(&all).unwrap_or_default());
        hasher.finish()
    }

    /// Other rules of identity.
    #[must_use]
    pub fn identity_rules(self, identity: IdentityRules) -> Self {
        Self { identity, ..self }
    }

    /// Items of this kind (and its refinements) leave a source that did not renew them for `lease`; `None`: never.
    #[must_use]
    pub fn lease(mut self, kind: CiKind, lease: Option<Duration>) -> Self {
        self.leases.insert(kind, lease);
        self.weighed()
    }

    /// Items of this kind (and its refinements) are [stale](crate::view::LifeCycle::Stale) when nothing saw them for so
    /// long; `None`: never, as all are by default. Half-open: at the bound they are.
    #[must_use]
    pub fn stale_after(mut self, kind: CiKind, span: Option<Duration>) -> Self {
        self.ageing.entry(kind).or_default().stale_after = span;
        self
    }

    /// Items of this kind (and its refinements) are [purged](crate::view::LifeCycle::Purged) when they were retired for
    /// so long; `None`: never, as all are by default. Half-open: at the bound they are.
    #[must_use]
    pub fn purge_after(mut self, kind: CiKind, span: Option<Duration>) -> Self {
        self.ageing.entry(kind).or_default().purge_after = span;
        self
    }

    /// The lease of kinds that have none of their own. 24 hours by default.
    #[must_use]
    pub const fn default_lease(mut self, lease: Option<Duration>) -> Self {
        self.default_lease = lease;
        self
    }

    /// The lease of relations. 24 hours by default.
    #[must_use]
    pub const fn relations_lease(mut self, lease: Option<Duration>) -> Self {
        self.relation_lease = lease;
        self
    }

    /// What this source (or family of them: the part of its name before `@`) says leaves it when it is not renewed for
    /// `lease`, whatever the kind of item says; `None`: never. Documents that are imported are so by default.
    #[must_use]
    pub fn source_lease(mut self, source: SourceName, lease: Option<Duration>) -> Self {
        self.source_leases.insert(source, lease);
        self.weighed()
    }

    /// A run that would let go more than `percent` of a scope with at least `floor` items is held. 50 and 10 by default;
    /// 100 holds nothing.
    #[must_use]
    pub const fn mass_retirement(mut self, percent: u8, floor: usize) -> Self {
        self.mass_percent = percent;
        self.mass_floor = floor;
        self
    }

    /// Adds a rule of precedence.
    #[must_use]
    pub fn precedence(mut self, rule: Precedence) -> Self {
        self.precedence.push(rule);
        self
    }

    /// How many changes the feed remembers in memory. 65,536 by default.
    #[must_use]
    pub const fn remembered_changes(mut self, count: usize) -> Self {
        self.remembered_changes = count;
        self
    }

    /// The rules of identity.
    #[must_use]
    pub const fn identity(&self) -> &IdentityRules {
        &self.identity
    }

    pub(crate) const fn relation_lease(&self) -> Option<Duration> {
        self.relation_lease
    }

    /// The shortest span in which anything must be seen again.
    pub(crate) fn shortest_span(&self) -> Option<Duration> {
        let leases = self.leases.values().chain(self.source_leases.values()).copied();
        let leases = leases.chain([self.default_lease, self.relation_lease]);
        let ageing = self.ageing.values().flat_map(|own| [own.stale_after, own.purge_after]).flatten();
        leases.flatten().chain(ageing).chain(self.precedence.iter().filter_map(|rule| rule.fresh_for)).min()
    }

    pub(crate) const fn ring_size(&self) -> usize {
        self.remembered_changes
    }

    fn weighed(mut self) -> Self {
        let leases = self.leases.values().chain(self.source_leases.values());
        self.shortest_lease = leases.copied().flatten().min();
        self
    }

    /// Whether no lease, whose ever it is, can have run out after so long.
    pub(crate) fn is_within_leases(&self, since: Timestamp, now: Timestamp) -> bool {
        [self.shortest_lease, self.default_lease, self.relation_lease]
            .into_iter()
            .flatten()
            .all(|lease| now < since + lease)
    }

    /// The lease of a source that has one of its own.
    pub(crate) fn lease_of_source(&self, source: &SourceName) -> Option<Option<Duration>> {
        if self.source_leases.is_empty() {
            return None;
        }
        let family = source.as_str().split_once('@').map_or(source.as_str(), |(family, _)| family);
        self.source_leases.get(source).or_else(|| self.source_leases.get(family)).copied()
    }

    /// The lease of the nearest general kind that has one.
    pub(crate) fn lease_of(&self, kind: &CiKind) -> Option<Duration> {
        nearest(&self.leases, kind).next().map_or(self.default_lease, |lease| *lease)
    }

    pub(crate) fn is_ageing(&self) -> bool {
        !self.ageing.is_empty()
    }

    /// How the nearest general kind with a rule of its own ages.
    pub(crate) fn ageing_of(&self, kind: &CiKind) -> Option<Ageing> {
        nearest(&self.ageing, kind).next().copied()
    }

    pub(crate) fn reducer_of(&self, kind: &CiKind, attribute: &AttrName) -> Reducer {
        let own = nearest(&self.reducers, kind).find_map(|own| own.get(attribute));
        own.copied().unwrap_or(Reducer::Ordered)
    }

    pub(crate) const fn is_mass(&self, missing: usize, of: usize) -> bool {
        of >= self.mass_floor && missing * 100 > of * self.mass_percent as usize
    }

    /// Rank and freshness of a source about an attribute of a kind.
    pub(crate) fn trust(
        &self,
        kind: &CiKind,
        attribute: &AttrName,
        source: &SourceName,
    ) -> (i32, Option<Duration>) {
        if crate::lock::is_lock(source) {
            return (i32::MAX, None);
        }
        self.precedence
            .iter()
            .filter(|rule| rule.fits(kind, attribute, source))
            .max_by_key(|rule| (rule.specificity(), rule.rank))
            .map_or((0, None), |rule| (rule.rank, rule.fresh_for))
    }

    /// The shortest freshness that any rule gives this source: when its claims may turn stale.
    pub(crate) fn freshness_of(&self, source: &SourceName) -> Option<Duration> {
        let family = source.as_str().split_once('@').map_or(source.as_str(), |(family, _)| family);
        self.precedence
            .iter()
            .filter(|rule| rule.source == *source || rule.source.as_str() == family)
            .filter_map(|rule| rule.fresh_for)
            .min()
    }
}
