//! What is expected of which kind of item.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use itom_core::{AttrName, CiKind, RelationKind, Text, attr, kind, relation};

use super::{Problem, Standing};
use crate::ruleset::{Need, RuleSet};
use crate::view::{Ci, View};

/// How much an attribute is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// Nothing works well without it.
    Required,
    /// It helps.
    Recommended,
}

/// What is expected of which kind of item. Rules for a kind hold for its refinements too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRules {
    /// `None`: a refinement that does not ask for it any more.
    attributes: BTreeMap<CiKind, BTreeMap<AttrName, Option<Requirement>>>,
    relations: BTreeMap<CiKind, BTreeSet<RelationKind>>,
    /// `None`: a refinement that may go unseen.
    stale_after: BTreeMap<CiKind, Option<Duration>>,
    unique_names: BTreeSet<CiKind>,
}

impl Default for HealthRules {
    fn default() -> Self {
        use Requirement::{Recommended, Required};
        let day = Duration::from_secs(86_400);
        Self::empty()
            .attribute(kind::HOST, attr::HOST_NAME, Required)
            .attribute(kind::HOST, attr::OS_TYPE, Required)
            .attribute(kind::HOST, attr::OS_VERSION, Recommended)
            .attribute(kind::HOST, attr::HOST_IP, Recommended)
            .attribute(kind::SERVICE, attr::SERVICE_NAME, Required)
            .attribute(kind::SERVICE, attr::SERVICE_VERSION, Recommended)
            .attribute(kind::SOFTWARE, attr::PACKAGE_NAME, Required)
            .attribute(kind::SOFTWARE, attr::PACKAGE_VERSION, Required)
            .attribute(kind::APPLICATION, attr::NAME, Required)
            .attribute(kind::APPLICATION, attr::DEPLOYMENT_ENVIRONMENT_NAME, Recommended)
            .attribute(kind::BUSINESS_SERVICE, attr::NAME, Required)
            .related(kind::SERVICE, [relation::PROVIDED_BY, relation::RUNS_ON, relation::DEPENDS_ON])
            .related(kind::APPLICATION, [relation::DEPENDS_ON, relation::MEMBER_OF, relation::CONTAINS])
            .related(kind::BUSINESS_SERVICE, [relation::DEPENDS_ON, relation::CONTAINS])
            .stale_after(kind::HOST, 7 * day)
            .stale_after(kind::DEVICE, 7 * day)
            .stale_after(kind::SERVICE, 7 * day)
            .stale_after(kind::APPLICATION, 60 * day)
            .unique_name(kind::HOST)
            .unique_name(kind::DEVICE)
            .unique_name(kind::APPLICATION)
            .unique_name(kind::BUSINESS_SERVICE)
            .unique_name(kind::TEAM)
    }
}

/// What a rule set asks of its kinds: attributes they need, relations they take part in, how often they are seen, names
/// that are unique.
impl From<&RuleSet> for HealthRules {
    fn from(rules: &RuleSet) -> Self {
        rules.kinds.keys().fold(Self::empty(), |health, kind| health.of_kind(rules, kind))
    }
}

impl HealthRules {
    /// Nothing is expected.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            attributes: BTreeMap::new(),
            relations: BTreeMap::new(),
            stale_after: BTreeMap::new(),
            unique_names: BTreeSet::new(),
        }
    }

    /// Items of this kind have this attribute.
    #[must_use]
    pub fn attribute(mut self, kind: CiKind, attribute: AttrName, requirement: Requirement) -> Self {
        self.attributes.entry(kind).or_default().insert(attribute, Some(requirement));
        self
    }

    /// Items of this kind take part in at least one active relation of these kinds, at either end; else they are
    /// orphans.
    #[must_use]
    pub fn related(mut self, kind: CiKind, relations: impl IntoIterator<Item = RelationKind>) -> Self {
        self.relations.entry(kind).or_default().extend(relations);
        self
    }

    /// Items of this kind are seen at least so often. The nearest kind's rule counts.
    #[must_use]
    pub fn stale_after(mut self, kind: CiKind, span: Duration) -> Self {
        self.stale_after.insert(kind, Some(span));
        self
    }

    /// No two items of this kind share a name, compared without case.
    #[must_use]
    pub fn unique_name(mut self, kind: CiKind) -> Self {
        self.unique_names.insert(kind);
        self
    }

    /// What is asked of a kind by a rule set takes the place of what is asked of the more general ones.
    fn of_kind(mut self, rules: &RuleSet, kind: &CiKind) -> Self {
        for (name, rule) in rules.attributes_of(kind) {
            let requirement = match rule.need {
                Need::Required => Some(Requirement::Required),
                Need::Recommended => Some(Requirement::Recommended),
                Need::Optional => None,
            };
            self.attributes.entry(kind.clone()).or_default().insert(name, requirement);
        }
        let line = rules.lineage(kind);
        if let Some(related) = line.iter().find_map(|(_, rule)| rule.related_by.clone()) {
            self.relations.insert(kind.clone(), related);
        }
        if let Some(span) = line.iter().find_map(|(_, rule)| rule.stale_after) {
            self.stale_after.insert(kind.clone(), span.span());
        }
        // The names of refinements are compared with those of the kind that asks for it.
        if rules.kinds.get(kind).is_some_and(|rule| rule.unique_name) {
            self = self.unique_name(kind.clone());
        }
        self
    }

    pub(super) fn look_at(&self, view: &View, ci: &Ci) -> Standing {
        let kinds: Vec<CiKind> = std::iter::successors(Some(ci.kind().clone()), CiKind::parent).collect();
        let mut wanted: BTreeMap<&AttrName, Option<Requirement>> = BTreeMap::new();
        // From the most general on, so that a refinement can ask for more or less.
        for kind in kinds.iter().rev() {
            wanted.extend(self.attributes.get(kind).into_iter().flatten().map(|(name, own)| (name, *own)));
        }
        let mut asked = [0_u32; 2];
        let mut problems = BTreeSet::new();
        for (name, requirement) in wanted {
            let Some(requirement) = requirement else { continue };
            asked[requirement as usize] += 1;
            // Not applicable is an answer; unknown and withheld are not.
            let answered = ci
                .value(name)
                .is_some_and(|value| value.is_known() || *value == itom_core::Value::NotApplicable);
            if !answered {
                problems.insert(match requirement {
                    Requirement::Required => Problem::Lacks { attribute: name.clone() },
                    Requirement::Recommended => Problem::CouldHave { attribute: name.clone() },
                });
            }
        }
        let relations =
            kinds.iter().find_map(|kind| self.relations.get(kind)).filter(|relations| !relations.is_empty());
        if let Some(relations) = relations {
            let related = view
                .relations_of(ci.id())
                .any(|relation| relation.state.is_active() && relations.contains(&relation.kind));
            if !related {
                problems.insert(Problem::Orphan);
            }
        }
        let span = kinds.iter().find_map(|kind| self.stale_after.get(kind)).copied().flatten();
        let unique = kinds.iter().find(|kind| self.unique_names.contains(*kind));
        Standing {
            asked,
            problems,
            stale_at: span.map(|span| ci.last_seen() + span),
            name: unique.map(|kind| (kind.clone(), Text::from(ci.name().to_lowercase()))),
            wants_relations: relations.is_some(),
        }
    }
}
