use itom_core::{Batch, CiKind, Coverage, Scope, SourceName, Timestamp, Value, attr, kind, relation};
use proptest::prelude::*;

use super::{Health, HealthRules, Problem};
use crate::view::View;
use crate::{Cmdb, CmdbConfig};

const DAY: i64 = 86_400;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + secs)
}

fn fresh(view: &View) -> Health {
    let mut health = Health::new(HealthRules::default());
    health.update(view);
    health
}

#[test]
fn each_measure_counts_and_lists_what_mends_it() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut batch = Batch::new(SourceName::literal("demo"), at(0));
    batch.ci("a", kind::HOST_LINUX).attr(attr::HOST_NAME, "Web").attr(attr::OS_TYPE, "linux");
    batch.ci("b", kind::HOST).attr(attr::HOST_NAME, "web").attr(attr::OS_TYPE, Value::Unknown);
    batch.ci("c", kind::HOST).attr(attr::HOST_NAME, "db").attr(attr::OS_TYPE, Value::NotApplicable);
    batch.ci("s", kind::SERVICE).attr(attr::SERVICE_NAME, "shop");
    batch.ci("t", kind::SERVICE).attr(attr::SERVICE_NAME, "alone");
    batch.relation(relation::RUNS_ON, "s", "a");
    cmdb.ingest(cmdb.plan(&batch, at(0)));
    let view = cmdb.view();
    let health = fresh(&view);
    let named = |name: &str| view.cis().find(|ci| ci.name().as_str() == name).expect(name).id();

    let report = health.report(at(DAY), 10);
    assert_eq!((report.completeness.good, report.completeness.of), (7, 8), "not applicable is an answer");
    assert_eq!(report.completeness.items, [(named("web"), Problem::Lacks { attribute: attr::OS_TYPE })]);
    assert_eq!((report.relations.good, report.relations.of), (1, 2));
    assert_eq!(report.relations.items, [(named("alone"), Problem::Orphan)]);
    assert_eq!((report.uniqueness.good, report.uniqueness.of), (1, 3), "names are compared without case");
    assert!(health.of(named("Web"), at(0)).contains(&Problem::Duplicate { of: vec![named("web")] }));
    assert_eq!((report.freshness.good, report.freshness.of), (5, 5));
    assert_eq!(report.freshness.ratio(), Some(1.0));

    let late = health.report(at(7 * DAY), 2);
    assert_eq!(
        (late.freshness.good, late.freshness.of, late.freshness.items.len()),
        (0, 5, 2),
        "the list is bounded"
    );
    assert!(health.of(named("db"), at(7 * DAY)).contains(&Problem::Stale { since: at(7 * DAY) }));
    assert!(!health.of(named("db"), at(7 * DAY - 1)).iter().any(|own| matches!(own, Problem::Stale { .. })));
    assert_eq!(HealthRules::empty().clone(), HealthRules::empty());
    assert!(fresh(&View::default()).report(at(0), 5).completeness.ratio().is_none());
}

proptest! {
    #[test]
    fn l2_health_kept_current_is_health_looked_at_anew(
        steps in proptest::collection::vec(
            (proptest::collection::vec((0_u8..4, 0_u8..3, any::<bool>()), 0..5), 1_i64..9),
            1..6,
        )
    ) {
        let mut cmdb = Cmdb::new(CmdbConfig::default().mass_retirement(100, usize::MAX));
        let mut health = Health::new(HealthRules::default());
        let mut now = 0;
        for (items, days) in steps {
            now += days * DAY;
            let mut batch = Batch::new(SourceName::literal("demo"), at(now));
            for (id, name, whole) in &items {
                let host = batch.ci(format!("h{id}"), kind::HOST);
                host.attr(attr::HOST_NAME, format!("n{name}"));
                host.attr_opt(attr::OS_TYPE, whole.then_some("linux"));
                batch.ci(format!("s{id}"), kind::SERVICE).attr(attr::SERVICE_NAME, format!("n{name}"));
                if *whole {
                    batch.relation(relation::RUNS_ON, format!("s{id}"), format!("h{id}"));
                }
            }
            batch.finish(
                Coverage::new()
                    .complete(Scope::cis(kind::HOST))
                    .complete(Scope::cis(kind::SERVICE))
                    .complete(Scope::relations(relation::RUNS_ON)),
            );
            cmdb.ingest(cmdb.plan(&batch, at(now)));
            let view = cmdb.view();
            health.update(&view);
            let anew = fresh(&view);
            prop_assert_eq!(&health.items, &anew.items);
            prop_assert_eq!(&health.names, &anew.names);
            prop_assert_eq!(&health.stale, &anew.stale);
            prop_assert_eq!(health.report(at(now), 100), anew.report(at(now), 100));
            for ci in view.cis() {
                let own = health.of(ci.id(), at(now));
                let listed = health.report(at(now), 1000);
                let measures =
                    [&listed.completeness, &listed.richness, &listed.relations, &listed.freshness, &listed.uniqueness];
                let told: std::collections::BTreeSet<Problem> = measures
                    .iter()
                    .flat_map(|measure| measure.items.iter())
                    .filter(|(id, _)| *id == ci.id())
                    .map(|(_, problem)| problem.clone())
                    .collect();
                prop_assert_eq!(own, told, "the list of each measure is what the items say");
            }
        }
    }
}

#[test]
fn a_rule_set_says_what_is_asked() {
    use std::time::Duration;

    use crate::ruleset::{AttributeRule, AttributeType, KindRule, Lease, RuleSet};

    let span = Duration::from_secs(60);
    let linux = CiKind::literal("host.linux");
    let rules = RuleSet::default_pack()
        .kind(
            kind::HOST,
            KindRule::new("A machine")
                .attribute(attr::OS_VERSION, AttributeRule::required(AttributeType::Text))
                .related_by([relation::RUNS_ON])
                .stale_after(Lease::After(span))
                .uniquely_named(),
        )
        .kind(
            linux.clone(),
            KindRule::new("Of which the version does not matter")
                .attribute(attr::OS_VERSION, AttributeRule::optional(AttributeType::Text).overriding())
                .stale_after(Lease::Never),
        );
    rules.check().unwrap();
    let mut batch = Batch::new(SourceName::literal("scan"), Timestamp::from_secs(0));
    for (name, kind) in [("a", kind::HOST), ("b", kind::HOST), ("c", linux)] {
        batch.ci(name, kind).attr(attr::NAME, if name == "c" { "other" } else { "same" });
    }
    let mut cmdb = crate::Cmdb::new(crate::CmdbConfig::from(&rules));
    let facts = cmdb.plan(&batch, batch.taken_at());
    cmdb.ingest(facts);
    let view = cmdb.view();
    let mut health = Health::new(HealthRules::from(&rules));
    health.update(&view);
    let problems = |name: &str, seconds| -> Vec<String> {
        let id = view.resolve(&SourceName::literal("scan"), &itom_core::Subject::from(name)).unwrap();
        health.of(id, Timestamp::from_secs(seconds)).iter().map(ToString::to_string).collect()
    };
    let usual = ["lacks os.version", "is related to nothing", "has the name of 1 other(s)"];
    assert_eq!(problems("a", 59), usual);
    assert_eq!(problems("b", 60).len(), 4, "stale at the bound");
    assert_eq!(problems("c", 1_000_000), ["is related to nothing"], "a refinement may ask for less");
}
