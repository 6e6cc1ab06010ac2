//! The engine goes by the rule set it is given.

use crate::support::{START, builder, secs};
use itom::BuildError;
use itom::cmdb::graph::{Flow, RelationSpec};
use itom::cmdb::ruleset::{AttributeRule, AttributeType, KindRule, Lease, Misfit, RelationRule, RuleSet};
use itom::cmdb::view::LifeCycle;
use itom::core::{CiKind, RelationKind, Subject, VirtualClock};
use itom::prelude::*;
use itom::{EngineHandle, Simulation};

const FEEDS: RelationKind = RelationKind::literal("feeds");

/// A power supply feeds a pump: failure travels along a relation that no default knows, and none along `depends_on`.
fn plant() -> RuleSet {
    let unit = |title| {
        KindRule::new(title)
            .attribute(AttrName::literal("plant.tag"), AttributeRule::required(AttributeType::Text))
            .stale_after(Lease::After(secs(60)))
            .related_by([FEEDS])
    };
    RuleSet::new("plant", "1")
        .kind(CiKind::literal("pump"), unit("A pump"))
        .kind(CiKind::literal("supply"), unit("A power supply"))
        .relation(
            FEEDS,
            RelationRule::new(RelationSpec::flowing(Flow::FromTo))
                .joining([CiKind::literal("supply")], [CiKind::literal("pump")])
                .one_per_source(),
        )
        .relation(relation::DEPENDS_ON, RelationRule::default())
}

fn estate() -> Batch {
    let mut batch = Batch::new(SourceName::literal("plan"), START);
    batch.ci("supply", CiKind::literal("supply")).attr(AttrName::literal("plant.tag"), "S1");
    batch.ci("pump", CiKind::literal("pump"));
    batch.relation(FEEDS, "supply", Subject::from("pump"));
    batch.relation(relation::DEPENDS_ON, "supply", Subject::from("pump"));
    batch
}

fn falls(handle: &EngineHandle, native: &'static str) -> usize {
    let id = handle.view().resolve(&SourceName::literal("plan"), &Subject::from(native)).unwrap();
    handle.graph().impact(&[id].into()).down().len()
}

#[test]
fn impact_health_misfits_and_ageing_are_those_of_the_rule_set() {
    let run = |rules: Option<RuleSet>| {
        let clock = VirtualClock::new(START);
        let mut parts = builder(&clock);
        if let Some(rules) = rules {
            parts = parts.rule_set(rules);
        }
        let engine = parts.build().unwrap();
        let handle = engine.handle();
        handle.submit(estate()).unwrap();
        let mut simulation = Simulation::new(clock, engine);
        simulation.advance(secs(30));
        (simulation, handle)
    };
    let (mut simulation, handle) = run(Some(plant()));
    assert_eq!((falls(&handle, "supply"), falls(&handle, "pump")), (1, 0));
    let report = handle.health(10);
    assert_eq!((report.completeness.good, report.completeness.of), (1, 2), "the pump has no tag");
    assert_eq!(handle.misfits().len(), 1);
    assert!(
        matches!(&handle.misfits()[0], Misfit::Missing { attribute, .. } if attribute.as_str() == "plant.tag")
    );
    let lives =
        |handle: &EngineHandle| -> Vec<LifeCycle> { handle.view().cis().map(|ci| ci.life()).collect() };
    assert_eq!(lives(&handle), [LifeCycle::Active; 2]);
    simulation.advance(secs(30));
    assert_eq!(lives(&handle), [LifeCycle::Stale { since: START + secs(60) }; 2]);
    assert_eq!(handle.rule_set().map(|rules| rules.hash()), Some(handle.view().rules()));
    // An end that may not be there, and one relation too many.
    let mut more = Batch::new(SourceName::literal("plan2"), START + secs(61));
    more.ci("pump2", CiKind::literal("pump")).attr(AttrName::literal("plant.tag"), "P2");
    more.ci("pump3", CiKind::literal("pump")).attr(AttrName::literal("plant.tag"), "P3");
    more.relation(FEEDS, "pump2", Subject::from("pump3"));
    handle.submit(more).unwrap();
    simulation.advance(secs(2));
    assert!(handle.misfits().iter().any(|misfit| matches!(misfit, Misfit::Endpoint(_))));
    // Without a rule set, the defaults.
    let (_simulation, handle) = run(None);
    assert_eq!((falls(&handle, "supply"), falls(&handle, "pump")), (0, 1));
    assert!(handle.rule_set().is_none() && handle.misfits().is_empty());
    assert_eq!(handle.health(10).completeness.of, 0, "the defaults ask nothing of pumps");
}

#[test]
fn a_rule_set_that_makes_no_sense_is_refused_with_its_place() {
    let rules = plant().kind(CiKind::literal("valve"), KindRule::new("x").extending(CiKind::literal("tap")));
    let error = builder(&VirtualClock::new(START)).rule_set(rules).build().err();
    assert!(matches!(error, Some(BuildError::RuleSet(error)) if error.path == "kinds.valve.extends"));
}
