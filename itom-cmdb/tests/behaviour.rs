//! What users see: identity in known bad cases, precedence, freshness, history, ids that stay.

use std::time::Duration;

use itom_cmdb::history::diff;
use itom_cmdb::view::{ClaimReason, Departure, LifeState};
use itom_cmdb::{Applied, Cmdb, CmdbConfig, Precedence};
use itom_core::{
    Batch, ChangeKind, ChangeSource as _, Coverage, Interval, Key, Realm, Scope, SourceName, Strength,
    Subject, Timestamp, Value, attr, key_kind, kind, relation,
};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(minutes * 60)
}

fn batch(source: &'static str, minutes: i64) -> Batch {
    Batch::new(SourceName::literal(source), at(minutes))
}

fn feed(cmdb: &mut Cmdb, batch: &Batch) -> Applied {
    let facts = cmdb.plan(batch, batch.taken_at());
    cmdb.ingest(facts)
}

fn fresh() -> Cmdb {
    Cmdb::new(CmdbConfig::default())
}

/// One host per source, each with these keys; how many items they become.
fn items_of(hosts: &[(&'static str, &[Key])]) -> usize {
    let mut cmdb = fresh();
    for (source, keys) in hosts {
        let mut batch = batch(source, 1);
        let host = batch.ci("host", kind::HOST);
        keys.iter().for_each(|key| {
            host.key(key.clone());
        });
        feed(&mut cmdb, &batch);
    }
    cmdb.view().len()
}

fn serial(value: &str) -> Key {
    Key::serial(value).unwrap()
}
fn mac(value: &str) -> Key {
    Key::mac(value).unwrap()
}
fn machine(digit: char) -> Key {
    Key::machine_id(&format!("{digit}123456789abcdef0123456789abcdef")).unwrap()
}

#[test]
fn a_strong_key_joins_and_an_ambient_one_does_not() {
    assert_eq!(items_of(&[("a", &[serial("S1")]), ("b", &[serial("S1")])]), 1);
    let ip = || Key::ip([192, 0, 2, 7].into());
    assert_eq!(items_of(&[("a", &[ip(), Key::host_name("web")]), ("b", &[ip(), Key::host_name("web")])]), 2);
    let elsewhere = ip().in_realm(Realm::literal("vrf-2"));
    assert_eq!(items_of(&[("a", &[ip()]), ("b", &[elsewhere])]), 2);
}

#[test]
fn a_name_joins_only_while_nothing_stronger_differs() {
    let name = || Key::fqdn("web-1.example.com");
    assert_eq!(items_of(&[("a", &[name(), serial("S1")]), ("b", &[name()])]), 1);
    assert_eq!(items_of(&[("a", &[name(), serial("S1")]), ("b", &[name(), serial("S2")])]), 2);
    assert_eq!(items_of(&[("a", &[name(), machine('a')]), ("b", &[name(), machine('b')])]), 2);
}

#[test]
fn cloned_images_docks_and_virtual_routers_do_not_fuse() {
    // A cloned machine-id on two chassis.
    assert_eq!(items_of(&[("a", &[machine('a'), serial("S1")]), ("b", &[machine('a'), serial("S2")])]), 2);
    // A dock's address seen on two laptops.
    let dock = || mac("00:1b:44:11:3a:b7");
    assert_eq!(items_of(&[("a", &[dock(), serial("S1")]), ("b", &[dock(), serial("S2")])]), 2);
    assert_eq!(items_of(&[("a", &[dock()]), ("b", &[dock(), serial("S2")])]), 1);
    for shared in ["00:00:5e:00:01:0a", "00:00:00:00:00:00", "01:00:5e:00:00:01"] {
        assert_eq!(items_of(&[("a", &[mac(shared)]), ("b", &[mac(shared)])]), 2, "{shared}");
    }
    for junk in ["To be filled by O.E.M.", "Default string", "00000000"] {
        assert_eq!(items_of(&[("a", &[serial(junk)]), ("b", &[serial(junk)])]), 2, "{junk}");
    }
    let localhost = || Key::fqdn("localhost");
    assert_eq!(items_of(&[("a", &[localhost()]), ("b", &[localhost()])]), 2);
}

#[test]
fn a_value_that_becomes_hot_takes_a_merge_apart_again() {
    let mut cmdb = fresh();
    let report = |hosts: usize, minutes| {
        let mut batch = batch("a", minutes);
        for host in 0..hosts {
            batch.ci(format!("h{host}"), kind::HOST).key(serial("VENDOR"));
        }
        batch
    };
    let mut other = batch("b", 1);
    other.ci("x", kind::HOST).key(serial("VENDOR"));
    feed(&mut cmdb, &other);
    feed(&mut cmdb, &report(1, 1));
    assert_eq!(cmdb.view().len(), 1);
    feed(&mut cmdb, &report(4, 2));
    assert_eq!(cmdb.view().len(), 5, "four of one source share it: it identifies nothing");
}

#[test]
fn two_natives_of_one_source_are_two_things_unless_somebody_says_otherwise() {
    let mut cmdb = fresh();
    let mut twins = batch("a", 1);
    twins.ci("one", kind::HOST).key(serial("S1"));
    twins.ci("two", kind::HOST).key(serial("S1"));
    feed(&mut cmdb, &twins);
    assert_eq!(cmdb.view().len(), 2);
    let mut word = batch("a", 2);
    word.same_as("one", "two", "double entry");
    let applied = feed(&mut cmdb, &word);
    assert_eq!((cmdb.view().len(), applied.redirects.len()), (1, 1));
    let mut back = batch("a", 3);
    back.not_same("one", "two", "they are two after all");
    feed(&mut cmdb, &back);
    assert_eq!(cmdb.view().len(), 2);
}

#[test]
fn an_id_stays_when_others_join_and_leads_on_when_it_moves() {
    let mut cmdb = fresh();
    let mut first = batch("b", 1);
    first.ci("x", kind::HOST).key(Key::fqdn("web.example.com"));
    feed(&mut cmdb, &first);
    let id = cmdb.view().cis().next().unwrap().id();
    let mut second = batch("a", 2);
    second.ci("y", kind::HOST_LINUX).key(Key::fqdn("web.example.com")).key(serial("A-1"));
    feed(&mut cmdb, &second);
    let view = cmdb.view();
    assert_eq!((view.len(), view.cis().next().unwrap().id()), (1, id), "a newcomer does not rename it");
    assert_eq!(view.cis().next().unwrap().kind(), &kind::HOST_LINUX);
    // The oldest object learns a strong key: the id moves, and the old one leads on.
    let mut third = batch("b", 3);
    third.ci("x", kind::HOST).key(Key::fqdn("web.example.com")).key(serial("A-1"));
    let applied = feed(&mut cmdb, &third);
    let view = cmdb.view();
    let now = view.cis().next().unwrap().id();
    assert_ne!(now, id);
    assert_eq!(view.current(id), Some(now));
    assert_eq!((applied.redirects[0].from, applied.redirects[0].to), (id, now));
    assert_eq!(view.resolve(&SourceName::literal("a"), &Subject::from("y")), Some(now));
    assert_eq!(view.resolve(&SourceName::literal("z"), &Subject::Key(serial("A-1"))), Some(now));
}

#[test]
fn kinds_that_disagree_meet_at_what_they_share() {
    let mut cmdb = fresh();
    for (source, kind) in [("a", "host.linux"), ("b", "host.windows")] {
        let mut batch = batch(source, 1);
        batch.ci("x", itom_core::CiKind::new(kind).unwrap()).key(serial("S1"));
        feed(&mut cmdb, &batch);
    }
    assert_eq!(cmdb.view().cis().next().unwrap().kind(), &kind::HOST);
    let mut other = batch("c", 1);
    other.ci("x", kind::LOCATION).key(serial("S1"));
    feed(&mut cmdb, &other);
    assert_eq!(cmdb.view().len(), 2, "a host is no location");
}

#[test]
fn rank_freshness_and_recency_decide_and_losers_say_why() {
    let cmdb_source = SourceName::literal("import");
    let config = CmdbConfig::default().precedence(
        Precedence::new(cmdb_source, 10).for_kind(kind::HOST).fresh_for(Duration::from_secs(3600)),
    );
    let mut cmdb = Cmdb::new(config);
    let says = |source, minutes, version: Option<&str>| {
        let mut batch = batch(source, minutes);
        batch.ci("x", kind::HOST).key(serial("S1")).attr(attr::OS_VERSION, Value::from(version));
        batch
    };
    let believed = |cmdb: &Cmdb| {
        let view = cmdb.view();
        let attribute = view.cis().next().unwrap().attributes()[&attr::OS_VERSION].clone();
        let others: Vec<ClaimReason> = attribute.others.iter().map(|claim| claim.reason).collect();
        (attribute.value().to_string(), others)
    };
    feed(&mut cmdb, &says("import", 1, Some("11")));
    feed(&mut cmdb, &says("agent", 2, Some("12")));
    assert_eq!(believed(&cmdb), ("11".into(), vec![ClaimReason::Outranked]));
    // The import is not repeated: after an hour it yields, at the deadline that was announced.
    let due = cmdb.next_deadline().unwrap().at;
    assert_eq!(due, at(61));
    let applied = cmdb.expire(due);
    assert_eq!(believed(&cmdb), ("12".into(), vec![ClaimReason::Stale]));
    assert!(applied.changes.iter().any(|change| change.change == ChangeKind::Attribute(attr::OS_VERSION)));
    // Repeated, it leads again; saying that it does not know, it loses to anybody.
    feed(&mut cmdb, &says("import", 70, Some("11")));
    assert_eq!(believed(&cmdb).0, "11");
    feed(&mut cmdb, &says("import", 71, None));
    assert_eq!(believed(&cmdb), ("12".into(), vec![ClaimReason::Unknown]));
    // Equal rank: who changed last wins, however often the other repeats itself.
    feed(&mut cmdb, &says("scan", 80, Some("13")));
    feed(&mut cmdb, &says("agent", 81, Some("12")));
    assert_eq!(believed(&cmdb).0, "13");
}

#[test]
fn leases_end_and_absence_is_told_with_its_reason() {
    let mut cmdb = fresh();
    let mut first = batch("a", 1);
    first.ci("h", kind::HOST);
    first.ci("u", kind::UNIT);
    first.relation(relation::RUNS_ON, "u", "h");
    feed(&mut cmdb, &first);
    cmdb.expire(at(1 + 24 * 60 - 1));
    assert!(cmdb.view().cis().all(|ci| ci.state().is_active()));
    let applied = cmdb.expire(at(1 + 24 * 60));
    let unit = cmdb.view().by_kind(&kind::UNIT)[0].state();
    assert_eq!(unit, LifeState::Retired { since: at(1 + 24 * 60), why: Departure::LeaseExpired });
    assert!(cmdb.view().by_kind(&kind::HOST)[0].state().is_active(), "hosts have no lease");
    assert_eq!(applied.graph.len(), 2, "a relation and an item go: {:?}", applied.graph);
    assert_eq!(cmdb.next_deadline(), None);
    let mut empty = batch("a", 2000);
    empty.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    feed(&mut cmdb, &empty);
    let host = cmdb.view().by_kind(&kind::HOST)[0].state();
    assert_eq!(host, LifeState::Retired { since: at(2000), why: Departure::Absent });
    let mut back = batch("a", 2001);
    back.ci("h", kind::HOST);
    let applied = feed(&mut cmdb, &back);
    assert_eq!(applied.changes[0].change, ChangeKind::Returned);
}

#[test]
fn history_has_two_times_and_a_late_fact_changes_only_the_past() {
    let mut cmdb = fresh();
    let says = |minutes, version: &str| {
        let mut batch = batch("a", minutes);
        batch.ci("x", kind::HOST).attr(attr::OS_VERSION, version);
        batch
    };
    feed(&mut cmdb, &says(10, "1"));
    feed(&mut cmdb, &says(30, "3"));
    // Learned at 40, about 20.
    let late = cmdb.plan(&says(20, "2"), at(40));
    cmdb.ingest(late);
    let id = cmdb.view().cis().next().unwrap().id();
    let value = |view: &itom_cmdb::View| view.ci(id).unwrap().value(&attr::OS_VERSION).unwrap().to_string();
    assert_eq!(value(&cmdb.view()), "3");
    assert_eq!(value(&cmdb.view_at(at(25), at(40))), "2", "what we know now about then");
    assert_eq!(value(&cmdb.view_at(at(25), at(35))), "1", "what we knew then about then");
    let history: Vec<_> = cmdb
        .field_history(id, &attr::OS_VERSION)
        .into_iter()
        .map(|version| (version.observed, version.recorded, version.value.map(|value| value.to_string())))
        .collect();
    let expected = [(10, 10, "1"), (20, 40, "2"), (30, 30, "3")];
    let expected: Vec<_> = expected.iter().map(|(o, r, v)| (at(*o), at(*r), Some((*v).to_owned()))).collect();
    assert_eq!(history, expected);
    let changes = diff(&cmdb.view_at(at(15), at(40)), &cmdb.view(), at(40));
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].before.clone(), changes[0].after.clone()), (Some("1".into()), Some("3".into())));
}

#[test]
fn the_feed_is_bounded_and_says_so() {
    let mut cmdb = Cmdb::new(CmdbConfig::default().remembered_changes(2_000));
    for minutes in 1..=10 {
        let mut batch = batch("a", minutes);
        for host in 0..1_000 {
            batch.ci(format!("h{host}"), kind::HOST).attr(attr::STATE, minutes);
        }
        feed(&mut cmdb, &batch);
    }
    let told = cmdb.changes(Interval::ALWAYS);
    assert!((2_000..=2_000 + 1_024).contains(&told.len()), "{}", told.len());
    assert!(cmdb.feed().forgotten_until().is_some_and(|until| until <= told[0].at));
    assert_eq!(cmdb.changes(Interval::new(at(10), at(11))).len(), 1_000);
}

#[test]
fn a_person_may_join_by_key_and_the_asset_tag_is_a_name() {
    let tag =
        |value: &str| Key::new(key_kind::ASSET_TAG, Realm::GLOBAL, value, Strength::Administrative).unwrap();
    assert_eq!(items_of(&[("a", &[tag("T-1")]), ("b", &[tag("T-1")])]), 1);
    let mut cmdb = fresh();
    for (source, key) in [("a", serial("S1")), ("b", tag("T-9"))] {
        let mut batch = batch(source, 1);
        batch.ci("x", kind::HOST).key(key);
        feed(&mut cmdb, &batch);
    }
    let mut word = batch("ops", 2);
    word.same_as(serial("S1"), tag("T-9"), "sticker checked in the rack");
    feed(&mut cmdb, &word);
    assert_eq!(cmdb.view().len(), 1);
}
