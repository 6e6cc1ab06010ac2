//! Identity as users meet it: what is open and what would settle it, why two are two, splits, and bad input.

use itom_cmdb::fact::FactLog;
use itom_cmdb::identity::{
    Apart, IdentityRules, KindIdentity, SourceRule, Verdict, WhyNot, verify_apart, verify_item,
};
use itom_cmdb::view::LifeState;
use itom_cmdb::{Applied, Cmdb, CmdbConfig};
use itom_core::{
    Batch, ChangeKind, CiId, Coverage, Key, Scope, SourceName, Subject, Timestamp, attr, key_kind, kind,
    relation,
};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + minutes * 60)
}

fn batch(source: &'static str, minutes: i64) -> Batch {
    Batch::new(SourceName::literal(source), at(minutes))
}

fn feed(cmdb: &mut Cmdb, batch: &Batch) -> Applied {
    let facts = cmdb.plan(batch, batch.taken_at());
    cmdb.ingest(facts)
}

fn host(cmdb: &mut Cmdb, source: &'static str, keys: &[Key]) -> Applied {
    let mut batch = batch(source, 1);
    let ci = batch.ci("host", kind::HOST);
    keys.iter().for_each(|key| {
        ci.key(key.clone());
    });
    feed(cmdb, &batch)
}

fn item(cmdb: &Cmdb, source: &'static str) -> CiId {
    cmdb.view().resolve(&SourceName::literal(source), &Subject::from("host")).unwrap()
}

fn serial(value: &str) -> Key {
    Key::serial(value).unwrap()
}

fn machine() -> Key {
    Key::machine_id("0123456789abcdef0123456789abcdef").unwrap()
}

#[test]
fn what_fits_two_joins_neither_until_somebody_looks() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    host(&mut cmdb, "a", &[machine(), serial("S1")]);
    host(&mut cmdb, "b", &[machine(), serial("S2")]);
    let applied = host(&mut cmdb, "agent", &[machine()]);
    assert_eq!(cmdb.view().len(), 3, "a cloned machine-id tells nobody whose it is");
    assert_eq!(applied.ambiguous.len(), 1);
    assert_eq!(cmdb.ambiguities()[0].candidates.len(), 2);
    let questions = cmdb.questions(&SourceName::literal("agent"));
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].wanted, [key_kind::SERIAL]);
    assert!(cmdb.questions(&SourceName::literal("a")).is_empty());
    // The agent reads what was asked for.
    host(&mut cmdb, "agent", &[machine(), serial("S2")]);
    assert_eq!(item(&cmdb, "agent"), item(&cmdb, "b"));
    assert!(cmdb.ambiguities().is_empty() && cmdb.questions(&SourceName::literal("agent")).is_empty());
}

#[test]
fn why_two_are_two_is_said_with_facts_that_can_be_checked() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let ip = Key::ip([192, 0, 2, 1].into());
    host(&mut cmdb, "a", &[machine(), serial("S1"), ip.clone(), Key::fqdn("a.example.com")]);
    host(&mut cmdb, "b", &[machine(), serial("S2"), ip]);
    let why = cmdb.explain_pair(item(&cmdb, "a"), item(&cmdb, "b")).unwrap();
    assert!(!why.together && why.merges.is_empty() && why.missing.is_empty());
    let [differs @ Apart::Differs { kind: differing, .. }] = why.apart.as_slice() else {
        panic!("{:?}", why.apart);
    };
    assert_eq!(*differing, key_kind::SERIAL);
    let rules = &IdentityRules::default();
    assert_eq!(verify_apart(differs, cmdb.facts(), rules), Ok(()));
    for cited in differs.facts() {
        let without: FactLog = cmdb.facts().iter().filter(|fact| fact.id() != cited).cloned().collect();
        assert!(verify_apart(differs, &without, rules).is_err());
    }
    let verdict = |kind| why.compared.iter().find(|own| own.kind == kind).map(|own| own.verdict.clone());
    assert_eq!(verdict(key_kind::SERIAL), Some(Verdict::False));
    assert_eq!(verdict(key_kind::MACHINE_ID), Some(Verdict::True(machine().text().clone())));
    assert_eq!(verdict(key_kind::IP), Some(Verdict::NotApplicable(WhyNot::Ambient)));
    assert_eq!(verdict(key_kind::FQDN), Some(Verdict::NotApplicable(WhyNot::OneSided)));
    // Nothing forbids, nothing joins: what is missing is said.
    host(&mut cmdb, "c", &[Key::fqdn("c.example.com")]);
    let why = cmdb.explain_pair(item(&cmdb, "a"), item(&cmdb, "c")).unwrap();
    assert!(why.apart.is_empty());
    assert_eq!(why.missing, [key_kind::MACHINE_ID, key_kind::SERIAL]);
    // Together: the proof of the whole item.
    host(&mut cmdb, "c", &[serial("S1")]);
    let why = cmdb.explain_pair(item(&cmdb, "a"), item(&cmdb, "c")).unwrap();
    assert!(why.together);
    assert_eq!(verify_item(&why.merges, cmdb.facts(), rules), Ok(()));
}

#[test]
fn a_dock_joins_nobody_who_has_more_addresses() {
    let mac = |value: &str| Key::mac(value).unwrap();
    let (dock, one, two) = (mac("00:1b:44:11:3a:b7"), mac("00:1b:44:11:3a:01"), mac("00:1b:44:11:3a:02"));
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    host(&mut cmdb, "a", &[dock.clone(), one.clone()]);
    host(&mut cmdb, "b", &[dock.clone(), two.clone()]);
    assert_ne!(item(&cmdb, "a"), item(&cmdb, "b"), "one of two is no two thirds");
    let why = cmdb.explain_pair(item(&cmdb, "a"), item(&cmdb, "b")).unwrap();
    assert_eq!(why.compared[0].verdict, Verdict::NotApplicable(WhyNot::TooFewShared));
    host(&mut cmdb, "c", &[one, mac("00:1b:44:11:3a:03"), dock]);
    assert_eq!(item(&cmdb, "a"), item(&cmdb, "c"), "both of two are enough");
    assert_ne!(item(&cmdb, "b"), item(&cmdb, "c"));
    host(&mut cmdb, "d", &[two]);
    assert_eq!(item(&cmdb, "b"), item(&cmdb, "d"));
}

#[test]
fn a_spreadsheet_may_have_two_rows_for_one_thing() {
    let rules =
        IdentityRules::default().source(SourceRule::with_double_entries(SourceName::literal("sheet")));
    for (config, items) in [(CmdbConfig::default(), 2), (CmdbConfig::default().identity_rules(rules), 1)] {
        let mut cmdb = Cmdb::new(config);
        let mut rows = batch("sheet@finance", 1);
        rows.ci("row-7", kind::HOST).key(serial("S1"));
        rows.ci("row-9", kind::HOST).key(serial("S1"));
        feed(&mut cmdb, &rows);
        assert_eq!(cmdb.view().len(), items);
    }
}

#[test]
fn a_kind_says_what_identifies_it() {
    let mut identity = KindIdentity::default();
    identity.keys = Some([key_kind::SERIAL].into());
    let rules = IdentityRules::default().kind_identity(kind::DEVICE, identity);
    let mut cmdb = Cmdb::new(CmdbConfig::default().identity_rules(rules));
    for source in ["a", "b"] {
        let mut batch = batch(source, 1);
        batch.ci("switch", kind::DEVICE).key(Key::fqdn("switch.example.com"));
        batch.ci("host", kind::HOST).key(Key::fqdn("host.example.com"));
        feed(&mut cmdb, &batch);
    }
    assert_eq!(cmdb.view().by_kind(&kind::DEVICE).len(), 2);
    assert_eq!(cmdb.view().by_kind(&kind::HOST).len(), 1);
}

#[test]
fn a_split_says_where_it_came_from() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    host(&mut cmdb, "a", &[serial("S1"), Key::fqdn("x.example.com")]);
    host(&mut cmdb, "b", &[Key::fqdn("x.example.com")]);
    let one = item(&cmdb, "a");
    assert_eq!(item(&cmdb, "b"), one);
    let mut other = batch("b", 2);
    other.ci("host", kind::HOST).key(serial("S2")).key(Key::fqdn("x.example.com"));
    let applied = feed(&mut cmdb, &other);
    let new = item(&cmdb, "b");
    assert_eq!((item(&cmdb, "a"), cmdb.view().len()), (one, 2), "who was there first keeps the id");
    assert_eq!(applied.splits.iter().map(|split| (split.from, split.into)).collect::<Vec<_>>(), [(one, new)]);
    let told = |ci, kind: &ChangeKind| {
        applied.changes.iter().any(|change| change.ci == ci && change.change == *kind)
    };
    assert!(told(new, &ChangeKind::SplitFrom { from: one }));
    // And together again: the younger id leads on.
    let mut word = batch("b", 3);
    word.same_as("host", serial("S1"), "the second serial is of the chassis");
    let applied = feed(&mut cmdb, &word);
    assert_eq!(cmdb.view().current(new), Some(one));
    assert!(applied.changes.iter().any(|change| change.change == ChangeKind::MergedInto { into: one }));
}

#[test]
fn contradictory_identities_stay_apart_and_open() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    host(&mut cmdb, "a", &[serial("S1")]);
    host(&mut cmdb, "b", &[serial("S2")]);
    // One description with both serials: it fits both, and they cannot be one.
    host(&mut cmdb, "c", &[serial("S1"), serial("S2")]);
    let items = [item(&cmdb, "a"), item(&cmdb, "b"), item(&cmdb, "c")];
    assert!(items[0] != items[1], "two serials, two things");
    for minutes in 2..5 {
        let mut again = batch("c", minutes);
        again.ci("host", kind::HOST).key(serial("S2")).key(serial("S1"));
        feed(&mut cmdb, &again);
        assert_eq!([item(&cmdb, "a"), item(&cmdb, "b"), item(&cmdb, "c")], items, "and the answer stays");
    }
}

#[test]
fn an_observation_with_a_million_keys_costs_little_and_breaks_nothing() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    host(&mut cmdb, "a", &[serial("S1")]);
    let mut flood = batch("flood", 1);
    let ci = flood.ci("host", kind::HOST).key(serial("S1"));
    for number in 0..1_000_000 {
        ci.key(Key::native(itom_core::Realm::GLOBAL, &format!("id-{number}")));
    }
    feed(&mut cmdb, &flood);
    assert_eq!(item(&cmdb, "flood"), item(&cmdb, "a"), "the strongest keys count");
    assert_eq!(cmdb.view().len(), 1);
}

#[test]
fn containment_in_a_circle_is_kept_and_harmless() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut circle = batch("a", 1);
    for (from, to) in [("x", "y"), ("y", "z"), ("z", "x"), ("x", "x")] {
        circle.ci(from, kind::DEVICE);
        circle.relation(relation::CONTAINS, from, to);
    }
    feed(&mut cmdb, &circle);
    assert_eq!(cmdb.view().len(), 3);
    assert_eq!(cmdb.view().relations().count(), 3, "nothing contains itself");
}

#[test]
fn a_relation_to_nothing_waits_without_an_item() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut early = batch("a", 1);
    early.ci("x", kind::SERVICE);
    early.relation(relation::DEPENDS_ON, "x", "never-described");
    feed(&mut cmdb, &early);
    assert_eq!((cmdb.view().len(), cmdb.view().relations().count()), (1, 0));
    let mut late = batch("a", 2);
    late.ci("x", kind::SERVICE);
    late.ci("never-described", kind::SERVICE);
    late.relation(relation::DEPENDS_ON, "x", "never-described");
    feed(&mut cmdb, &late);
    assert_eq!((cmdb.view().len(), cmdb.view().relations().count()), (2, 1));
}

#[test]
fn times_far_off_are_taken_as_they_are() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    for time in
        [Timestamp::MIN, Timestamp::from_secs(-1), Timestamp::from_secs(253_402_300_800), Timestamp::MAX]
    {
        let mut odd = Batch::new(SourceName::new(format!("s{}", time.as_micros())).unwrap(), time);
        odd.ci("u", kind::UNIT).key(serial("S1")).attr(attr::STATE, "running");
        odd.finish(Coverage::new().complete(Scope::cis(kind::UNIT)));
        let facts = cmdb.plan(&odd, at(1));
        cmdb.ingest(facts);
    }
    cmdb.expire(at(2));
    let view = cmdb.view();
    assert_eq!(view.len(), 1);
    assert_eq!(view.cis().next().unwrap().state(), LifeState::Active, "what is seen in the future is there");
    let mut replayed = Cmdb::new(CmdbConfig::default());
    replayed.ingest(cmdb.facts().iter().cloned().collect());
    replayed.expire(at(2));
    assert_eq!(replayed.state_hash(), cmdb.state_hash());
}

#[test]
fn text_that_is_no_utf8_is_refused_at_the_boundary_with_its_place() {
    let mut bytes = br#"{"subject":"h","kind":"host","attributes":{"name":"caf"#.to_vec();
    bytes.extend([0xe9, b'"', b'}', b'}']);
    let error = serde_json::from_slice::<itom_core::CiObservation>(&bytes).unwrap_err();
    assert_eq!(error.line(), 1);
    assert!(error.column() > 50, "{error}");
}
