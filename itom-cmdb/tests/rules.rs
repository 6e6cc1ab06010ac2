//! Rules at work: locks, reducers, statements that end, and the laboratory.

use itom_cmdb::identity::IdentityRules;
use itom_cmdb::laboratory::Trial;
use itom_cmdb::ruleset::{Reducer, RuleSet};
use itom_cmdb::view::{ClaimReason, LifeState};
use itom_cmdb::{Applied, Cmdb, CmdbConfig, Lock};
use itom_core::{
    Batch, Key, Observation, Retraction, SourceName, Statement, Strength, Subject, Timestamp, Value, attr,
    kind, relation,
};
use proptest::prelude::*;

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

fn serial(value: &str) -> Key {
    Key::serial(value).unwrap()
}

fn says(source: &'static str, minutes: i64, version: &str) -> Batch {
    let mut batch = batch(source, minutes);
    batch.ci("h", kind::HOST).key(serial("S1")).attr(attr::OS_VERSION, version);
    batch
}

fn version(cmdb: &Cmdb) -> String {
    let view = cmdb.view();
    let mut said = view.by_kind(&kind::HOST).into_iter().filter_map(|host| host.value(&attr::OS_VERSION));
    said.next().unwrap().to_string()
}

#[test]
fn a_lock_holds_until_it_ends_and_reality_is_told() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    feed(&mut cmdb, &says("scan", 1, "11"));
    let lock = Lock::new("alice", "version", kind::HOST, serial("S1"), "the scan is wrong")
        .attr(attr::OS_VERSION, "12")
        .until(at(100));
    feed(&mut cmdb, &lock.batch(at(2)).unwrap());
    assert_eq!(cmdb.view().len(), 1);
    assert_eq!(version(&cmdb), "12");
    feed(&mut cmdb, &says("scan", 3, "11.1"));
    assert_eq!(version(&cmdb), "12", "whatever changes meanwhile");
    let contested = cmdb.contested_locks();
    assert_eq!(contested.len(), 1);
    assert_eq!(
        (contested[0].held.source.as_str(), contested[0].reality.source.as_str()),
        ("lock@alice", "scan")
    );
    let view = cmdb.view();
    let host = view.by_kind(&kind::HOST)[0];
    assert!(host.attributes().keys().all(|name| !name.as_str().starts_with("lock.")));
    // Another owner's lock is no other item.
    let other = Lock::new("alice", "name", kind::HOST, serial("S1"), "so we call it").attr(attr::NAME, "web");
    feed(&mut cmdb, &other.batch(at(4)).unwrap());
    assert_eq!((cmdb.view().len(), cmdb.view().by_kind(&kind::HOST)[0].name().as_str()), (1, "web"));
    let due = cmdb.next_deadline().unwrap().at;
    assert_eq!(due, at(100));
    cmdb.expire(due);
    assert_eq!(version(&cmdb), "11.1");
    assert!(cmdb.contested_locks().is_empty());
    let view = cmdb.view_at(at(50), at(50));
    assert_eq!(
        view.by_kind(&kind::HOST)[0].value(&attr::OS_VERSION).unwrap().to_string(),
        "12",
        "then it held"
    );
}

/// Whether a reference by a key means this item, as far as anybody told.
fn is_meant(cmdb: &Cmdb, key: Key) -> bool {
    let meant = cmdb.view().resolve(&SourceName::literal("flows"), &Subject::Key(key));
    meant.is_some_and(|id| cmdb.view().by_kind(&kind::HOST).iter().any(|host| host.id() == id))
}

#[test]
fn a_lock_keeps_no_retired_item_meant_by_its_keys() {
    let retired = |locked: bool| {
        let mut cmdb = Cmdb::new(CmdbConfig::default());
        feed(&mut cmdb, &says("scan", 1, "11"));
        if locked {
            let lock = Lock::new("alice", "version", kind::HOST, serial("S1"), "the scan is wrong");
            feed(&mut cmdb, &lock.attr(attr::OS_VERSION, "12").batch(at(2)).unwrap());
        }
        assert!(is_meant(&cmdb, serial("S1")));
        let mut gone = batch("scan", 3);
        gone.retract(Retraction::Ci("h".into()));
        feed(&mut cmdb, &gone);
        cmdb
    };
    let (plain, mut locked) = (retired(false), retired(true));
    for cmdb in [&plain, &locked] {
        assert!(!cmdb.view().by_kind(&kind::HOST)[0].state().is_active());
        assert!(
            !is_meant(cmdb, serial("S1")),
            "what is gone is meant by no reference, whatever is held of it"
        );
    }
    // It comes back, and everything with it.
    feed(&mut locked, &says("scan", 4, "11"));
    assert!(is_meant(&locked, serial("S1")));
    assert_eq!((locked.view().len(), version(&locked).as_str()), (1, "12"));
    // Also when the last that was there never said the key itself.
    let name = Key::fqdn("h.example.com");
    let mut chain = Cmdb::new(CmdbConfig::default());
    let mut scan = batch("scan", 1);
    scan.ci("h", kind::HOST).key(serial("S1")).key(name.clone());
    let mut agent = batch("agent", 1);
    agent.ci("h", kind::HOST).key(name);
    let lock = Lock::new("alice", "version", kind::HOST, serial("S1"), "held").batch(at(1)).unwrap();
    for said in [scan, agent, lock] {
        feed(&mut chain, &said);
    }
    for (source, meant) in [("scan", true), ("agent", false)] {
        let mut gone = batch(source, 2);
        gone.retract(Retraction::Ci("h".into()));
        feed(&mut chain, &gone);
        assert_eq!(chain.view().len(), 1);
        assert_eq!(is_meant(&chain, serial("S1")), meant, "after {source} let it go");
    }
    // What only a lock speaks of is there as long as the lock says so.
    let mut alone = Cmdb::new(CmdbConfig::default());
    let lock = Lock::new("alice", "new", kind::HOST, serial("S2"), "it is ordered");
    feed(&mut alone, &lock.batch(at(1)).unwrap());
    assert!(is_meant(&alone, serial("S2")));
    let mut replayed = Cmdb::new(CmdbConfig::default());
    replayed.ingest(locked.facts().iter().cloned().collect());
    assert_eq!(replayed.state_hash(), locked.state_hash());
}

#[test]
fn many_locks_on_one_item_do_not_make_its_keys_hot() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    feed(&mut cmdb, &says("scan", 1, "11"));
    feed(&mut cmdb, &says("agent", 1, "11"));
    for (number, owner) in ["alice", "bob", "carol", "dave", "erin", "frank"].into_iter().enumerate() {
        let name = itom_core::AttrName::new(format!("note.{number}")).unwrap();
        let lock = Lock::new(owner, "note", kind::HOST, serial("S1"), "a note").attr(name, "x");
        feed(&mut cmdb, &lock.batch(at(2)).unwrap());
    }
    let view = cmdb.view();
    assert_eq!(view.len(), 1, "a value that many hold something about is no value that many things have");
    let merges = cmdb.explain(view.by_kind(&kind::HOST)[0].id()).unwrap().merges;
    assert_eq!(merges.len(), 7);
    assert_eq!(itom_cmdb::identity::verify_item(&merges, cmdb.facts(), cmdb.config().identity()), Ok(()));
}

#[test]
fn a_lock_that_ended_holds_nothing_even_where_nobody_else_speaks() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    feed(&mut cmdb, &says("scan", 1, "11"));
    let owner = itom_core::AttrName::literal("owner");
    let lock = Lock::new("alice", "owner", kind::HOST, serial("S1"), "while bob is away")
        .attr(owner.clone(), "alice")
        .attr(attr::OS_VERSION, "12")
        .until(at(100));
    feed(&mut cmdb, &lock.batch(at(2)).unwrap());
    assert!(cmdb.view().by_kind(&kind::HOST)[0].value(&owner).is_some());
    // Not even against a source that does not know.
    let mut unsure = batch("scan", 3);
    unsure.ci("h", kind::HOST).key(serial("S1")).attr(attr::OS_VERSION, Value::Unknown);
    feed(&mut cmdb, &unsure);
    assert_eq!(version(&cmdb), "12");

    cmdb.expire(at(100));
    let view = cmdb.view();
    let host = view.by_kind(&kind::HOST)[0];
    assert_eq!(host.value(&owner), None, "{:?}", host.attributes());
    let version = &host.attributes()[&attr::OS_VERSION];
    assert_eq!(version.value(), &Value::Unknown);
    assert_eq!(version.others[0].reason, ClaimReason::Stale, "it is told of");
    let before = cmdb.view_at(at(50), at(50));
    assert!(before.by_kind(&kind::HOST)[0].value(&owner).is_some(), "then it held");
}

#[test]
fn lists_are_reduced_as_their_attribute_says() {
    let list = |values: &[&str]| Value::List(values.iter().map(|value| Value::from(*value)).collect());
    let reported = |reducer| {
        let config = CmdbConfig::default().reducer(kind::HOST, attr::HOST_IP, reducer);
        let mut cmdb = Cmdb::new(config);
        for (source, minutes, values) in [("a", 1, &["2", "1", "2"][..]), ("b", 2, &["3", "1"][..])] {
            let mut batch = batch(source, minutes);
            batch.ci("h", kind::HOST_LINUX).key(serial("S1")).attr(attr::HOST_IP, list(values));
            feed(&mut cmdb, &batch);
        }
        cmdb
    };
    let believed = |cmdb: &Cmdb| {
        let view = cmdb.view();
        let attribute = view.by_kind(&kind::HOST)[0].attributes()[&attr::HOST_IP].clone();
        (attribute.value().clone(), attribute.winner.reason, attribute.others[0].reason)
    };
    assert_eq!(
        believed(&reported(Reducer::Ordered)),
        (list(&["3", "1"]), ClaimReason::Best, ClaimReason::Older)
    );
    assert_eq!(
        believed(&reported(Reducer::Replace)),
        (list(&["1", "3"]), ClaimReason::Best, ClaimReason::Older)
    );
    let mut cmdb = reported(Reducer::Union);
    let all = list(&["1", "2", "3"]);
    assert_eq!(believed(&cmdb), (all, ClaimReason::United, ClaimReason::United));
    // An element leaves with the last source that lists it.
    let mut again = batch("a", 3);
    again.ci("h", kind::HOST_LINUX).key(serial("S1")).attr(attr::HOST_IP, list(&["2"]));
    feed(&mut cmdb, &again);
    assert_eq!(believed(&cmdb).0, list(&["1", "2", "3"]));
    let mut gone = batch("b", 4);
    gone.retract(itom_core::Retraction::Ci("h".into()));
    feed(&mut cmdb, &gone);
    assert_eq!(believed(&cmdb).0, list(&["2"]));
}

#[test]
fn what_is_not_known_kept_back_or_not_applicable_loses_to_a_value_and_stays_visible() {
    for silent in [Value::Unknown, Value::NotApplicable, Value::Withheld] {
        let mut cmdb = Cmdb::new(CmdbConfig::default());
        feed(&mut cmdb, &says("scan", 1, "11"));
        let mut batch = batch("agent", 2);
        batch.ci("h", kind::HOST).key(serial("S1")).attr(attr::OS_VERSION, silent.clone());
        feed(&mut cmdb, &batch);
        assert_eq!(version(&cmdb), "11");
        let view = cmdb.view();
        let others = &view.by_kind(&kind::HOST)[0].attributes()[&attr::OS_VERSION].others;
        assert_eq!((&others[0].value, others[0].reason), (&silent, ClaimReason::Unknown));
    }
}

#[test]
fn a_statement_about_sameness_ends() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut two = batch("a", 1);
    two.ci("x", kind::HOST);
    two.ci("y", kind::HOST);
    feed(&mut cmdb, &two);
    let mut word = batch("a", 2);
    word.push(Observation::SameAs(Statement::new("x", "y", "while it moves").until(at(60))));
    feed(&mut cmdb, &word);
    assert_eq!(cmdb.view().len(), 1);
    assert_eq!(cmdb.next_deadline().map(|deadline| deadline.at), Some(at(60)));
    let applied = cmdb.expire(at(60));
    assert_eq!((cmdb.view().len(), applied.splits.len()), (2, 1));
    assert_eq!(cmdb.next_deadline(), None);
    let mut replayed = Cmdb::new(CmdbConfig::default());
    replayed.ingest(cmdb.facts().iter().cloned().collect());
    replayed.expire(at(60));
    assert_eq!(replayed.state_hash(), cmdb.state_hash());
}

#[test]
fn the_laboratory_says_what_other_rules_would_change_and_hands_over() {
    let now = RuleSet::default_pack();
    let mut running = Cmdb::new(CmdbConfig::from(&now));
    for (source, minutes) in [("a", 1), ("b", 2)] {
        let mut batch = says(source, minutes, source);
        batch.ci("n", kind::HOST).key(Key::fqdn("n.example.com"));
        feed(&mut running, &batch);
    }
    assert_eq!(running.view().len(), 2);
    let before = running.state_hash();
    // Names identify no host any more, and `a` is believed.
    let trusted = itom_cmdb::Precedence::new(SourceName::literal("a"), 5);
    let candidate = now
        .clone()
        .kind(kind::HOST, now.kinds[&kind::HOST].clone().identified_by([itom_core::key_kind::SERIAL]))
        .precedence(trusted);
    let trial = Trial::of_rule_sets(&running, &now, &candidate);
    let delta = trial.delta();
    assert_eq!(running.state_hash(), before, "nothing happened to what runs");
    assert_eq!(delta.items, (2, 3));
    assert_eq!((delta.merges_gained.count, delta.merges_lost.count), (0, 1));
    assert_eq!(delta.merges_lost.samples[0].a.native.as_str(), "n");
    assert_eq!((delta.flips.count, delta.flips.samples[0].attribute.clone()), (1, attr::OS_VERSION));
    assert_eq!(delta.flips.samples[0].after, Some(Value::from("a")));
    assert!(delta.misfits.is_some_and(|(was, is)| is > was), "one host more lacks what hosts should have");
    assert_ne!(trial.candidate().view().rules(), running.view().rules());
    // What was learned meanwhile comes along.
    feed(&mut running, &says("c", 3, "c"));
    let promoted = trial.promote(&running);
    let mut fresh = Cmdb::new(CmdbConfig::from(&candidate));
    fresh.ingest(running.facts().iter().cloned().collect());
    assert_eq!(promoted.state_hash(), fresh.state_hash());
    assert_eq!(version(&promoted), "a");
}

#[test]
fn what_may_not_make_an_item_waits_for_one_that_may() {
    let rules = RuleSet::default_pack();
    let host = rules.kinds[&kind::HOST].clone().mints_at(Strength::Issued);
    let mut cmdb = Cmdb::new(CmdbConfig::from(&rules.kind(kind::HOST, host)));
    let mut sweep = batch("sweep", 1);
    sweep.ci("10.0.0.7", kind::HOST).key(Key::fqdn("x.example.com"));
    feed(&mut cmdb, &sweep);
    let view = cmdb.view();
    assert!(view.cis().all(|ci| ci.is_loose_end()), "a name alone makes no host");
    let mut agent = batch("agent", 2);
    agent.ci("h", kind::HOST).key(Key::fqdn("x.example.com")).key(serial("S1"));
    feed(&mut cmdb, &agent);
    let view = cmdb.view();
    assert_eq!((view.len(), view.cis().filter(|ci| ci.is_loose_end()).count()), (1, 0), "and it matches one");
    assert_eq!(view.cis().next().unwrap().state(), LifeState::Active);
    assert!(IdentityRules::default().mints(&kind::HOST, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(96)
    ))]

    /// With locks on what comes and goes, and references by the same keys.
    #[test]
    fn l2_what_is_locked_is_derived_as_anew(
        steps in proptest::collection::vec(
            (0_usize..6, 0_u8..2, proptest::collection::btree_set(0_u8..4, 0..4), any::<bool>()), 1..24
        ),
    ) {
        let key = |number: u8| match number {
            0 => serial("S1"),
            1 => serial("S2"),
            2 => Key::fqdn("one.example.com"),
            _ => Key::fqdn("two.example.com"),
        };
        let mut cmdb = Cmdb::new(CmdbConfig::default().default_lease(None));
        for (minutes, (source, native, keys, there)) in (1..).zip(steps) {
            let name = ["scan", "agent", "lock@ann", "lock@bob", "lock@eve", "flows"][source];
            let mut said = batch(name, minutes);
            let native = format!("n{native}");
            match (name, there) {
                ("flows", _) => {
                    said.ci(native.as_str(), kind::SERVICE);
                    for number in keys {
                        said.relation(relation::DEPENDS_ON, native.as_str(), key(number));
                    }
                }
                (_, false) => said.retract(Retraction::Ci(native.into())),
                (_, true) => {
                    let ci = said.ci(native, kind::HOST).attr(attr::OS_VERSION, i64::from(minutes as u8));
                    for number in keys {
                        ci.key(key(number));
                    }
                }
            }
            feed(&mut cmdb, &said);
            let mut anew = Cmdb::new(cmdb.config().clone());
            anew.ingest(cmdb.facts().iter().cloned().collect());
            anew.expire(at(minutes));
            prop_assert_eq!(anew.state_hash(), cmdb.state_hash());
        }
    }
}
