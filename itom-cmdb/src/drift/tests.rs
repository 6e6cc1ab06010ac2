use itom_core::{Batch, Coverage, Interval, Scope, SourceName, Timestamp, attr, kind, relation};

use super::{Cause, ChangeWindow, Drift, DriftRules, drift};
use crate::history::FeedChange;
use crate::view::{Departure, View};
use crate::{Cmdb, CmdbConfig};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + secs)
}

fn say(cmdb: &mut Cmdb, source: &'static str, secs: i64, fill: impl FnOnce(&mut Batch)) -> View {
    let mut batch = Batch::new(SourceName::literal(source), at(secs));
    fill(&mut batch);
    let facts = cmdb.plan(&batch, at(secs));
    cmdb.ingest(facts);
    cmdb.view()
}

fn estate() -> (Cmdb, View) {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let view = say(&mut cmdb, "agent", 0, |batch| {
        batch.ci("web", kind::HOST).attr(attr::HOST_NAME, "web").attr(attr::OS_VERSION, "11");
        batch.ci("db", kind::HOST).attr(attr::HOST_NAME, "db");
        batch.ci("shop", kind::SERVICE).attr(attr::SERVICE_NAME, "shop");
        batch.ci("team", kind::TEAM).attr(attr::NAME, "Team A");
        batch.relation(relation::OWNED_BY, "web", "team");
        batch.relation(relation::RUNS_ON, "shop", "web");
        batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    });
    (cmdb, view)
}

fn find<'a>(found: &'a [Drift], name: &str, fits: impl Fn(&FeedChange) -> bool) -> &'a Drift {
    found.iter().find(|drift| drift.name.as_str() == name && fits(&drift.what)).expect("such a drift")
}

#[test]
fn each_difference_has_its_owner_time_and_cause() {
    let (mut cmdb, before) = estate();
    let now = say(&mut cmdb, "agent", 600, |batch| {
        batch.ci("web", kind::HOST).attr(attr::HOST_NAME, "web").attr(attr::OS_VERSION, "12");
        batch.ci("shop", kind::SERVICE).attr(attr::SERVICE_NAME, "shop").attr(attr::SERVICE_VERSION, "2");
        batch.ci("new", kind::HOST).attr(attr::HOST_NAME, "new");
        batch.ci("p", kind::PROCESS).attr(attr::PROCESS_PID, 7_i64);
        batch.relation(relation::RUNS_ON, "shop", "web");
        batch.relation(relation::DEPENDS_ON, "shop", "new");
        batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    });
    let found = drift(&before, &now, &DriftRules::default());
    assert!(found.iter().all(|drift| drift.kind != kind::PROCESS), "processes come and go");
    let source = SourceName::literal("agent");

    let version = find(&found, "web", |what| matches!(what, FeedChange::Attribute { .. }));
    assert_eq!(version.cause, Cause::Changed { source: source.clone() });
    assert_eq!((version.since, version.expected.clone()), (at(600), None));
    assert_eq!(version.owner.as_ref().map(|owner| owner.name.as_str()), Some("Team A"));
    assert_eq!(version.owner.as_ref().and_then(|owner| owner.through), None);

    let service = find(&found, "shop", |what| matches!(what, FeedChange::Attribute { .. }));
    assert_eq!(service.cause, Cause::Found { source: source.clone() });
    assert!(service.owner.as_ref().is_some_and(|owner| owner.through.is_some()), "owned through its host");

    let gone = find(&found, "db", |what| matches!(what, FeedChange::Retired { .. }));
    assert_eq!(gone.cause, Cause::Left { how: Departure::Absent });
    assert_eq!(gone.since, at(600));

    let edge = find(&found, "shop", |what| matches!(what, FeedChange::Related { .. }));
    assert_eq!((edge.since, edge.source.clone()), (at(600), Some(source)));
    find(&found, "new", |what| matches!(what, FeedChange::Appeared { .. }));
    assert_eq!(found.iter().filter(|drift| drift.name.as_str() == "new").count(), 1, "new is said once");
    assert!(drift(&now, &now, &DriftRules::everything()).is_empty());
}

#[test]
fn another_source_is_not_a_change_of_the_world() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let host = |version: &'static str| {
        move |batch: &mut Batch| {
            let key = itom_core::Key::fqdn("web.example");
            batch.ci("web", kind::HOST).key(key).attr(attr::HOST_NAME, "web").attr(attr::OS_VERSION, version);
        }
    };
    let before = say(&mut cmdb, "agent", 0, host("11"));
    let now = say(&mut cmdb, "scanner", 300, host("11.7"));
    let found = drift(&before, &now, &DriftRules::default());
    let version = find(
        &found,
        "web",
        |what| matches!(what, FeedChange::Attribute { name, .. } if *name == attr::OS_VERSION),
    );
    let (agent, scanner) = (SourceName::literal("agent"), SourceName::literal("scanner"));
    assert_eq!(version.cause, Cause::OtherSource { before: agent, after: scanner });
    assert_eq!(version.since, at(300));
}

#[test]
fn planned_changes_are_marked_and_not_left_out() {
    let (mut cmdb, before) = estate();
    let now = say(&mut cmdb, "agent", 600, |batch| {
        batch.ci("web", kind::HOST).attr(attr::HOST_NAME, "web").attr(attr::OS_VERSION, "12");
        batch.ci("db", kind::HOST).attr(attr::HOST_NAME, "db");
    });
    let window = |from, to| ChangeWindow::new("CHG-7", Interval::new(at(from), at(to)));
    let expected = |window: ChangeWindow| {
        let found = drift(&before, &now, &DriftRules::default().window(window));
        assert_eq!(found.len(), 1, "{found:#?}");
        found[0].expected.clone()
    };
    assert_eq!(expected(window(590, 700)), Some("CHG-7".into()));
    assert_eq!(expected(window(590, 700).for_kind(kind::HOST)), Some("CHG-7".into()));
    assert_eq!(expected(window(590, 700).for_kind(kind::SERVICE)), None);
    assert_eq!(expected(window(601, 700)), None, "it began before the window");
    assert_eq!(expected(window(500, 600)), None, "an interval ends before its end");
}

#[test]
fn what_appeared_was_found_by_whoever_said_it_first() {
    let (mut cmdb, before) = estate();
    let host = |batch: &mut Batch| {
        batch
            .ci("n", kind::HOST)
            .key(itom_core::Key::serial("SN-9").expect("a serial"))
            .attr(attr::HOST_NAME, "new");
    };
    say(&mut cmdb, "scanner", 300, host);
    let now = say(&mut cmdb, "agent", 600, host);
    let found = drift(&before, &now, &DriftRules::default());
    let new = find(&found, "new", |what| matches!(what, FeedChange::Appeared { .. }));
    let scanner = SourceName::literal("scanner");
    assert_eq!(new.cause, Cause::Found { source: scanner.clone() });
    assert_eq!((new.since, new.source.clone()), (at(300), Some(scanner)));
}

#[test]
fn a_relation_was_found_by_whoever_said_it_first() {
    let (mut cmdb, before) = estate();
    let hosts = |batch: &mut Batch| {
        for (name, serial) in [("one", "SN-8"), ("two", "SN-9")] {
            let serial = itom_core::Key::serial(serial).expect("a serial");
            batch.ci(name, kind::HOST).key(serial).attr(attr::HOST_NAME, name);
        }
        batch.relation(relation::DEPENDS_ON, "one", "two");
    };
    let first = say(&mut cmdb, "scanner", 300, hosts);
    let now = say(&mut cmdb, "agent", 600, hosts);
    let scanner = SourceName::literal("scanner");
    for view in [&first, &now] {
        let found = drift(&before, view, &DriftRules::default());
        let related = find(&found, "one", |what| matches!(what, FeedChange::Related { .. }));
        assert_eq!(related.cause, Cause::Found { source: scanner.clone() });
        assert_eq!((related.since, related.source.as_ref()), (at(300), Some(&scanner)));
    }
    let relation = now.relations().find(|own| own.kind == relation::DEPENDS_ON).expect("both say it");
    assert_eq!((relation.sources.len(), relation.found_by()), (2, Some(&scanner)));
    // What was believed then is told as it was then.
    let then = cmdb.view_at(at(300), at(300));
    assert_eq!(then.relation(relation.id()).and_then(|own| own.found_by()), Some(&scanner));
    assert_eq!(cmdb.view_at(at(600), at(600)).relation(relation.id()), Some(relation));
}
