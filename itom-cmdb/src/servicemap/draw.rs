//! Drawing: nearest first, by what is needed, talked to, and decided.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use itom_core::{AttrName, CiId, RelationKind, Value, relation};

use super::{
    About, Completeness, Decisions, MapPlan, MapRelation, Member, Reason, Role, ServiceMap, Suggestion,
    Traffic, Verdict,
};
use crate::export::{MapDocument, MapEdge, MapNode};
use crate::graph::{RelationGraph, View as _};
use crate::view::{Ci, View};

/// Says in exported maps what an item is to the map.
const NOTE: AttrName = AttrName::literal("map.note");

struct Drawing<'a> {
    plan: &'a MapPlan,
    view: &'a View,
    graph: &'a RelationGraph,
    decisions: Decisions,
    members: BTreeMap<CiId, Member>,
    suggestions: BTreeMap<CiId, Suggestion>,
    excluded: BTreeSet<CiId>,
    cut: BTreeSet<CiId>,
    queue: VecDeque<CiId>,
}

pub(super) fn draw(plan: &MapPlan, view: &View, graph: &RelationGraph, decisions: &Decisions) -> ServiceMap {
    let mut drawing = Drawing {
        plan,
        view,
        graph,
        decisions: decisions.follow(view),
        members: BTreeMap::new(),
        suggestions: BTreeMap::new(),
        excluded: BTreeSet::new(),
        cut: BTreeSet::new(),
        queue: VecDeque::new(),
    };
    drawing.start();
    while let Some(ci) = drawing.queue.pop_front() {
        drawing.follow(ci);
    }
    drawing.finish()
}

impl Drawing<'_> {
    fn start(&mut self) {
        let mut seeds: BTreeMap<CiId, Reason> = BTreeMap::new();
        for ci in &self.plan.entries {
            if let Some(ci) = self.view.current(*ci) {
                seeds.insert(ci, Reason::Named);
            }
        }
        if !self.plan.tags.is_empty() {
            for ci in self.view.cis() {
                let tag = self.plan.tags.iter().find(|(name, value)| ci.value(name) == Some(value));
                if let Some((name, _)) = tag {
                    seeds.entry(ci.id()).or_insert_with(|| Reason::Tagged(name.clone()));
                }
            }
        }
        for (ci, reason) in seeds {
            self.add(ci, 0, reason, Role::Entry);
        }
        let included: Vec<CiId> = self
            .decisions
            .iter()
            .filter(|(_, decision)| decision.verdict == Verdict::Include)
            .filter_map(|(about, _)| match about {
                About::Item(ci) => Some(*ci),
                About::Relation(..) => None,
            })
            .collect();
        for ci in included {
            self.add(ci, 0, Reason::Decided, Role::Member);
        }
    }

    fn described(&self, ci: CiId) -> Option<&Ci> {
        self.view.ci(ci).filter(|ci| ci.state().is_active())
    }

    fn verdict(&self, ci: CiId) -> Option<Verdict> {
        self.decisions.verdict(&About::Item(ci))
    }

    fn add(&mut self, ci: CiId, distance: u32, reason: Reason, role: Role) {
        if self.members.contains_key(&ci) || self.described(ci).is_none() {
            return;
        }
        if self.verdict(ci) == Some(Verdict::Exclude) {
            self.excluded.insert(ci);
            return;
        }
        if distance > self.plan.depth || self.members.len() >= self.plan.most {
            self.cut.insert(ci);
            return;
        }
        let users = self.users(ci);
        let role = match role {
            Role::Entry => Role::Entry,
            _ if self.described(ci).is_some_and(Ci::is_loose_end) => Role::LooseEnd,
            // A person may say that it belongs here nevertheless.
            _ if users >= self.plan.hub_users && self.verdict(ci) != Some(Verdict::Include) => {
                Role::Hub { users }
            }
            role => role,
        };
        if !matches!(role, Role::Hub { .. }) {
            self.queue.push_back(ci);
        }
        self.suggestions.remove(&ci);
        self.members.insert(ci, Member { distance, ci, role, reason });
    }

    /// How many need an item or talk to it directly.
    fn users(&self, ci: CiId) -> usize {
        let Some(node) = self.graph.node(ci) else { return 0 };
        let needs: BTreeSet<u32> = self.graph.outward_links(node).iter().map(|link| link.node).collect();
        needs.len().max(self.talkers(ci))
    }

    fn talkers(&self, ci: CiId) -> usize {
        self.view
            .relations_of(ci)
            .filter(|talk| talk.kind == relation::CONNECTS_TO && talk.to == ci && talk.state.is_active())
            .count()
    }

    /// Adds what a member needs, then looks at what it talks to.
    fn follow(&mut self, ci: CiId) {
        let Some(distance) = self.members.get(&ci).map(|member| member.distance + 1) else { return };
        for (kind, supplier, from, to) in self.needs(ci) {
            match self.decisions.verdict(&About::Relation(kind.clone(), from, to)) {
                Some(Verdict::Exclude) => {}
                _ => self.add(supplier, distance, Reason::Needed { by: ci, relation: kind }, Role::Member),
            }
        }
        if self.plan.traffic == Traffic::Ignore {
            return;
        }
        let talks: BTreeSet<CiId> = self
            .view
            .relations_of(ci)
            .filter(|talk| talk.kind == relation::CONNECTS_TO && talk.from == ci && talk.state.is_active())
            .map(|talk| talk.to)
            .collect();
        for other in talks {
            self.consider(ci, other, distance);
        }
    }

    fn consider(&mut self, by: CiId, other: CiId, distance: u32) {
        let about = About::Relation(relation::CONNECTS_TO, by, other);
        let verdict = self.verdict(other).or_else(|| self.decisions.verdict(&about));
        if self.members.contains_key(&other) || self.described(other).is_none() {
            return;
        }
        if verdict == Some(Verdict::Exclude) || self.decisions.verdict(&about) == Some(Verdict::Exclude) {
            self.excluded.insert(other);
            return;
        }
        let confidence = 1.0 / self.talkers(other).max(1) as f64;
        let follows = match self.plan.traffic {
            Traffic::Follow(least) => confidence >= least,
            _ => false,
        };
        if follows || verdict == Some(Verdict::Include) {
            self.add(other, distance, Reason::Traffic { by }, Role::Member);
            return;
        }
        let suggestion =
            Suggestion { ci: other, by, confidence, undecided: verdict == Some(Verdict::Undecided) };
        self.suggestions.entry(other).or_insert(suggestion);
    }

    /// What an item needs: kind, supplier, and the relation as it reads; sorted.
    fn needs(&self, ci: CiId) -> Vec<(RelationKind, CiId, CiId, CiId)> {
        let Some(node) = self.graph.node(ci) else { return Vec::new() };
        let mut needs: Vec<_> = self
            .graph
            .inward_links(node)
            .iter()
            .map(|link| {
                let supplier = self.graph.id(link.node);
                let (from, to) = if link.tag.is_reversed() { (ci, supplier) } else { (supplier, ci) };
                (self.graph.kind_name(link.tag.kind()).clone(), supplier, from, to)
            })
            .collect();
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    fn finish(self) -> ServiceMap {
        let mut relations = BTreeSet::new();
        for ci in self.members.keys() {
            for known in
                self.view.relations_of(*ci).filter(|known| known.from == *ci && known.state.is_active())
            {
                let about = About::Relation(known.kind.clone(), known.from, known.to);
                let kept = self.decisions.verdict(&about) != Some(Verdict::Exclude);
                if kept && self.members.contains_key(&known.to) {
                    let (kind, from, to) = (known.kind.clone(), known.from, known.to);
                    relations.insert(MapRelation { kind, from, to });
                }
            }
        }
        let dormant = self
            .decisions
            .iter()
            .filter(|(about, _)| match about {
                About::Item(ci) => self.described(*ci).is_none(),
                About::Relation(kind, from, to) => {
                    let id = crate::view::RelationId::derive(kind, *from, *to);
                    !self.view.relation(id).is_some_and(|known| known.state.is_active())
                }
            })
            .map(|(about, _)| about.clone())
            .collect();
        let mut members: Vec<Member> = self.members.into_values().collect();
        members.sort_unstable();
        let mut suggestions: Vec<Suggestion> = self.suggestions.into_values().collect();
        suggestions.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.ci.cmp(&b.ci)));
        let loose_ends = members.iter().filter(|member| member.role == Role::LooseEnd).count();
        let completeness = Completeness {
            known: members.len() - loose_ends,
            loose_ends,
            undecided: suggestions.len(),
            cut: self.cut.len(),
        };
        ServiceMap {
            name: self.plan.name.clone(),
            members,
            relations: relations.into_iter().collect(),
            suggestions,
            excluded: self.excluded.into_iter().collect(),
            dormant,
            completeness,
        }
    }
}

impl ServiceMap {
    /// The map as a document to export or draw: hubs and loose ends say so in an attribute.
    #[must_use]
    pub fn to_document(&self, view: &View, graph: &RelationGraph) -> MapDocument {
        let nodes = self.members.iter().filter_map(|member| {
            let ci = view.ci(member.ci)?;
            let mut node = MapNode::new(ci.id().to_string(), ci.kind().clone()).named(ci.name().clone());
            node.hub = matches!(member.role, Role::Hub { .. });
            node.attributes = ci
                .attributes()
                .iter()
                .filter(|(_, value)| !matches!(value.value(), Value::Unknown | Value::Withheld))
                .map(|(name, value)| (name.clone(), value.value().clone()))
                .collect();
            let note = match member.role {
                Role::Hub { users } => Some(format!("used by {users}; what it needs is not shown")),
                Role::LooseEnd => Some("no source describes it".to_owned()),
                _ => None,
            };
            if let Some(note) = note {
                node.attributes.insert(NOTE, note.into());
            }
            Some(node)
        });
        let edges = self.relations.iter().map(|relation| {
            MapEdge::new(relation.kind.clone(), relation.from.to_string(), relation.to.to_string())
        });
        let mut document = MapDocument::new(self.name.clone(), nodes, edges);
        document.model = graph.model().clone();
        document
    }
}
