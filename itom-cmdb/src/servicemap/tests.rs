use std::collections::BTreeSet;

use itom_core::{AttrName, Batch, CiId, Key, RelationKind, SourceName, Timestamp, attr, kind, relation};
use proptest::prelude::*;

use super::{About, Decision, Decisions, MapPlan, Reason, Role, ServiceMap, Traffic, Verdict};
use crate::graph::{RelationGraph, RelationModel};
use crate::view::View;
use crate::{Cmdb, CmdbConfig};

const GOLDEN: &str = include_str!("golden/decisions.json");
const TEAM: AttrName = AttrName::literal("team");

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + seconds)
}

fn decision(verdict: Verdict) -> Decision {
    Decision { verdict, owner: "ada".into(), reason: "asked the team".into(), at: at(0) }
}

fn estate(items: &[&str], relations: &[(RelationKind, &str, &str)]) -> (View, RelationGraph) {
    let mut batch = Batch::new(SourceName::literal("demo"), at(0));
    for item in items {
        batch.ci(*item, kind::SERVICE).attr(attr::NAME, *item);
    }
    for (kind, from, to) in relations {
        batch.relation(kind.clone(), *from, *to);
    }
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let facts = cmdb.plan(&batch, at(0));
    cmdb.ingest(facts);
    let view = cmdb.view().clone();
    let graph = view.graph(RelationModel::default()).unwrap();
    (view, graph)
}

fn id(view: &View, name: &str) -> CiId {
    view.cis().find(|ci| ci.name().as_str() == name).map(crate::view::Ci::id).unwrap()
}

fn names(view: &View, map: &ServiceMap) -> BTreeSet<String> {
    map.members.iter().filter_map(|member| view.ci(member.ci)).map(|ci| ci.name().to_string()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_map_has_what_its_entry_needs_and_stops_at_hubs() {
    let uses = relation::DEPENDS_ON;
    let (view, graph) = estate(
        &["shop", "web", "db", "dns", "rack", "a", "b", "c", "blog"],
        &[
            (uses.clone(), "shop", "web"),
            (uses.clone(), "web", "db"),
            (uses.clone(), "web", "dns"),
            (uses.clone(), "dns", "rack"),
            (uses.clone(), "a", "dns"),
            (uses.clone(), "b", "dns"),
            (uses.clone(), "c", "dns"),
            (uses, "blog", "db"),
        ],
    );
    let plan = MapPlan::new("shop").entry(id(&view, "shop")).hub_users(4);
    let mut decisions = Decisions::default();
    let map = plan.draw(&view, &graph, &decisions);
    assert_eq!(names(&view, &map), set(&["shop", "web", "db", "dns"]));
    let role = |map: &ServiceMap, name: &str| {
        map.members.iter().find(|member| member.ci == id(&view, name)).map(|member| member.role)
    };
    assert_eq!(role(&map, "dns"), Some(Role::Hub { users: 4 }));
    assert_eq!(
        map.members[1].reason,
        Reason::Needed { by: id(&view, "shop"), relation: relation::DEPENDS_ON }
    );
    assert_eq!(map.relations.len(), 3);
    assert_eq!(map.completeness.share(), 1.0);
    let document = map.to_document(&view, &graph);
    assert_eq!(document.nodes.iter().filter(|node| node.hub).count(), 1);
    // A person may say that the hub is part of it, and that the database is not.
    decisions.decide(About::Item(id(&view, "dns")), decision(Verdict::Include));
    decisions.decide(About::Item(id(&view, "db")), decision(Verdict::Exclude));
    let map = plan.draw(&view, &graph, &decisions);
    assert_eq!(names(&view, &map), set(&["shop", "web", "dns", "rack"]));
    assert_eq!(map.excluded, [id(&view, "db")]);
    // Or only that the relation is not.
    decisions.revoke(&About::Item(id(&view, "db")));
    let about = About::Relation(relation::DEPENDS_ON, id(&view, "web"), id(&view, "db"));
    decisions.decide(about, decision(Verdict::Exclude));
    assert!(!names(&view, &plan.draw(&view, &graph, &decisions)).contains("db"));
    let limited =
        MapPlan::new("shop").entry(id(&view, "shop")).depth(1).draw(&view, &graph, &Decisions::default());
    assert_eq!((limited.members.len(), limited.completeness.cut), (2, 2));
}

#[test]
fn traffic_is_evidence_until_somebody_decides() {
    let talks = relation::CONNECTS_TO;
    let (view, graph) = estate(
        &["shop", "cache", "shared", "x", "y", "z"],
        &[
            (talks.clone(), "shop", "cache"),
            (talks.clone(), "shop", "shared"),
            (talks.clone(), "x", "shared"),
            (talks.clone(), "y", "shared"),
            (talks, "z", "shared"),
        ],
    );
    let plan = MapPlan::new("shop").entry(id(&view, "shop"));
    let mut decisions = Decisions::default();
    let map = plan.draw(&view, &graph, &decisions);
    assert_eq!(names(&view, &map), set(&["shop"]));
    let suggested: Vec<(CiId, f64)> = map.suggestions.iter().map(|one| (one.ci, one.confidence)).collect();
    assert_eq!(suggested, [(id(&view, "cache"), 1.0), (id(&view, "shared"), 0.25)]);
    assert_eq!(map.completeness.share(), 1.0 / 3.0);
    let followed = plan.clone().traffic(Traffic::Follow(0.5)).draw(&view, &graph, &decisions);
    assert_eq!(names(&view, &followed), set(&["shop", "cache"]));
    decisions.decide(About::Item(id(&view, "shared")), decision(Verdict::Undecided));
    assert!(plan.draw(&view, &graph, &decisions).suggestions[1].undecided);
    decisions.decide(About::Item(id(&view, "cache")), decision(Verdict::Exclude));
    decisions.decide(About::Item(id(&view, "shared")), decision(Verdict::Include));
    let map = plan.draw(&view, &graph, &decisions);
    assert_eq!((names(&view, &map), map.suggestions.len()), (set(&["shop", "shared"]), 0));
    assert_eq!(plan.traffic(Traffic::Ignore).draw(&view, &graph, &Decisions::default()).suggestions, []);
}

#[test]
fn decisions_survive_discovery_and_merges() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut take = |batch: &Batch, time: Timestamp| {
        let facts = cmdb.plan(batch, time);
        cmdb.ingest(facts);
        cmdb.view().clone()
    };
    let mut first = Batch::new(SourceName::literal("one"), at(0));
    first.ci("shop", kind::SERVICE).attr(attr::NAME, "shop").attr(TEAM, "red");
    first.ci("db", kind::HOST).attr(attr::NAME, "db");
    first.relation(relation::DEPENDS_ON, "shop", "db");
    let view = take(&first, at(0));
    let (shop, db) = (id(&view, "shop"), id(&view, "db"));
    let mut decisions = Decisions::default();
    decisions.decide(About::Item(db), decision(Verdict::Exclude));
    let plan = MapPlan::new("red").tag(TEAM, "red");
    let draw = |view: &View, decisions: &Decisions| {
        let graph = view.graph(RelationModel::default()).unwrap();
        plan.draw(view, &graph, decisions)
    };
    let map = draw(&view, &decisions);
    assert_eq!((map.members.len(), map.members[0].ci), (1, shop));
    assert_eq!(map.members[0].reason, Reason::Tagged(TEAM));
    // The host is discovered again, with a key, by another source: the item may get another id, the decision holds.
    let key = || Key::machine_id("0123456789abcdef0123456789abcdef").unwrap();
    let mut again = Batch::new(SourceName::literal("one"), at(10));
    again.ci("shop", kind::SERVICE).attr(attr::NAME, "shop").attr(TEAM, "red");
    again.ci("db", kind::HOST).key(key()).attr(attr::NAME, "db");
    again.relation(relation::DEPENDS_ON, "shop", "db");
    take(&again, at(10));
    let mut other = Batch::new(SourceName::literal("two"), at(20));
    other.ci("i-7", kind::HOST).key(key());
    let view = take(&other, at(20));
    let now = view.current(db).unwrap();
    let map = draw(&view, &decisions);
    assert_eq!((map.members.len(), map.excluded), (1, vec![now]));
    // What is about nothing now stays, and says so.
    let gone = CiId::derive(&["gone"]);
    decisions.decide(About::Item(gone), decision(Verdict::Include));
    let map = draw(&view, &decisions);
    assert_eq!(map.dormant, [About::Item(gone)]);
}

proptest! {
    #[test]
    fn what_is_decided_holds_whatever_is_discovered(
        relations in proptest::collection::btree_set((any::<bool>(), 0..7_usize, 0..7_usize), 0..20),
        verdicts in proptest::collection::btree_map(0..7_usize, 0..3_u8, 0..4),
        hub in 1..6_usize,
        follow in any::<bool>(),
    ) {
        let items = ["i0", "i1", "i2", "i3", "i4", "i5", "i6"];
        let relations: Vec<_> = relations
            .iter()
            .filter(|(_, from, to)| from != to)
            .map(|(needs, from, to)| {
                let kind = if *needs { relation::DEPENDS_ON } else { relation::CONNECTS_TO };
                (kind, items[*from], items[*to])
            })
            .collect();
        let (view, graph) = estate(&items, &relations);
        let mut decisions = Decisions::default();
        for (item, verdict) in &verdicts {
            let verdict = [Verdict::Include, Verdict::Exclude, Verdict::Undecided][usize::from(*verdict)];
            decisions.decide(About::Item(id(&view, items[*item])), decision(verdict));
        }
        let traffic = if follow { Traffic::Follow(0.0) } else { Traffic::Suggest };
        let plan = MapPlan::new("x").entry(id(&view, "i0")).hub_users(hub).traffic(traffic);
        let map = plan.draw(&view, &graph, &decisions);
        let members: BTreeSet<CiId> = map.members.iter().map(|member| member.ci).collect();
        prop_assert_eq!(members.len(), map.members.len());
        for (about, decision) in decisions.iter() {
            let About::Item(ci) = about else { continue };
            match decision.verdict {
                Verdict::Include => prop_assert!(members.contains(ci)),
                Verdict::Exclude => prop_assert!(!members.contains(ci) && map.suggestions.iter().all(|one| one.ci != *ci)),
                Verdict::Undecided => {}
            }
        }
        // Whoever is followed has everything it needs in the map, but for what was excluded.
        for member in map.members.iter().filter(|member| !matches!(member.role, Role::Hub { .. })) {
            for (kind, from, to) in &relations {
                let needs = *kind == relation::DEPENDS_ON || follow;
                if needs && id(&view, from) == member.ci {
                    let to = id(&view, to);
                    prop_assert!(members.contains(&to) || map.excluded.contains(&to));
                }
            }
        }
        prop_assert!(map.suggestions.iter().all(|one| !members.contains(&one.ci)));
        prop_assert!((0.0..=1.0).contains(&map.completeness.share()));
        let json = serde_json::to_string(&decisions).unwrap();
        prop_assert_eq!(serde_json::from_str::<Decisions>(&json).unwrap(), decisions);
    }

    #[test]
    fn l10_any_text_is_decisions_or_refused(text in any::<String>()) {
        let _ = serde_json::from_str::<Decisions>(&text);
    }
}

#[test]
fn the_format_is_the_golden_one() {
    let [one, two] = ["one", "two"].map(|name| CiId::derive(&[name]));
    let mut decisions = Decisions::default();
    decisions.decide(About::Item(one), decision(Verdict::Include));
    decisions.decide(About::Item(two), decision(Verdict::Undecided));
    decisions.decide(About::Relation(relation::CONNECTS_TO, one, two), decision(Verdict::Exclude));
    let json = serde_json::to_string_pretty(&decisions).unwrap() + "\n";
    assert_eq!(json, GOLDEN);
    assert_eq!(serde_json::from_str::<Decisions>(GOLDEN).unwrap(), decisions);
}
