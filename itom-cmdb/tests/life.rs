//! The life cycle of items: per-kind bounds, statements of people, and the laws of both against a naive model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use itom_cmdb::history::{FeedChange, events};
use itom_cmdb::ruleset::{Lease, RuleSet};
use itom_cmdb::temporal::Point;
use itom_cmdb::view::{LifeCycle, StatedLife};
use itom_cmdb::{Cmdb, CmdbConfig, Lock};
use itom_core::{
    AttrName, Batch, CiKind, Coverage, Key, Retraction, Scope, SourceName, Timestamp, attr, kind,
};
use proptest::prelude::*;

const STATE: AttrName = AttrName::literal("lifecycle.state");

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + minutes * 60)
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

fn feed(cmdb: &mut Cmdb, batch: &Batch) {
    let facts = cmdb.plan(batch, batch.taken_at());
    cmdb.ingest(facts);
}

fn serial(value: &str) -> Key {
    Key::serial(value).unwrap()
}

fn seen(source: &'static str, minute: i64) -> Batch {
    let mut batch = Batch::new(SourceName::literal(source), at(minute));
    batch.ci("h", kind::HOST).key(serial("S1"));
    batch
}

fn life(cmdb: &Cmdb) -> LifeCycle {
    let view = cmdb.view();
    let mut hosts = view.by_kind(&kind::HOST).into_iter();
    let life = hosts.next().expect("a host").life();
    assert!(hosts.next().is_none(), "one host");
    life
}

/// Hosts are stale after 10 minutes, gone after 30, purged an hour later.
fn config() -> CmdbConfig {
    CmdbConfig::default()
        .lease(kind::HOST, Some(minutes(30)))
        .stale_after(kind::HOST, Some(minutes(10)))
        .purge_after(kind::HOST, Some(minutes(60)))
}

#[test]
fn every_bound_is_half_open_and_a_deadline() {
    let mut cmdb = Cmdb::new(config());
    feed(&mut cmdb, &seen("scan", 0));
    assert_eq!(life(&cmdb), LifeCycle::Active);
    let bounds = [
        (10, LifeCycle::Stale { since: at(10) }),
        (30, LifeCycle::Retired { since: at(30) }),
        (90, LifeCycle::Purged { since: at(90) }),
    ];
    let mut last = LifeCycle::Active;
    for (minute, next) in bounds {
        assert_eq!(cmdb.next_deadline().map(|due| due.at), Some(at(minute)));
        let instant_before = Timestamp::from_micros(at(minute).as_micros() - 1);
        cmdb.expire(instant_before);
        assert_eq!(life(&cmdb), last, "just before");
        cmdb.expire(at(minute));
        assert_eq!(life(&cmdb), next);
        last = next;
    }
    assert_eq!(cmdb.next_deadline(), None);
    assert_eq!(
        (cmdb.view().len(), cmdb.view().listed().count()),
        (1, 0),
        "lists leave it out, history does not"
    );
    feed(&mut cmdb, &seen("scan", 100));
    assert_eq!((life(&cmdb), cmdb.view().listed().count()), (LifeCycle::Active, 1));
}

#[test]
fn what_is_seen_again_is_stale_no_longer_and_the_feed_tells_both() {
    let mut cmdb = Cmdb::new(config());
    feed(&mut cmdb, &seen("scan", 0));
    let fresh = cmdb.view();
    cmdb.expire(at(12));
    let stale = cmdb.view();
    feed(&mut cmdb, &seen("scan", 13));
    let told =
        |a, b| -> Vec<FeedChange> { events(a, b, at(13)).into_iter().map(|event| event.what).collect() };
    let since = LifeCycle::Stale { since: at(10) };
    assert_eq!(told(&fresh, &stale), [FeedChange::Life { before: LifeCycle::Active, after: since }]);
    assert_eq!(told(&stale, &cmdb.view()), [FeedChange::Life { before: since, after: LifeCycle::Active }]);
    cmdb.expire(at(24));
    assert_eq!(life(&cmdb), LifeCycle::Stale { since: at(23) }, "counted from when it was seen last");
    // A late run, from before the bound: it was seen later than was known.
    feed(&mut cmdb, &seen("other", 20));
    assert_eq!(life(&cmdb), LifeCycle::Active);
}

#[test]
fn documents_neither_age_an_item_nor_keep_it_fresh() {
    let mut cmdb = Cmdb::new(config());
    feed(&mut cmdb, &seen("netbox", 0));
    cmdb.expire(at(100_000));
    assert_eq!(life(&cmdb), LifeCycle::Active, "nothing looks again and again");
    feed(&mut cmdb, &seen("scan", 100_000));
    feed(&mut cmdb, &seen("netbox", 100_009));
    cmdb.expire(at(100_010));
    assert_eq!(life(&cmdb), LifeCycle::Stale { since: at(100_010) });
    cmdb.expire(at(100_030));
    assert_eq!(life(&cmdb), LifeCycle::Stale { since: at(100_010) }, "the document still holds it");
}

#[test]
fn people_state_a_part_of_a_life_for_a_while() {
    let mut cmdb = Cmdb::new(config());
    let lock = |name: &'static str| Lock::new("alice", name, kind::HOST, serial("S1"), "ticket 7");
    let planned = lock("plan").life(StatedLife::Planned);
    feed(&mut cmdb, &planned.batch(at(0)).unwrap());
    assert_eq!(life(&cmdb), LifeCycle::Planned);
    feed(&mut cmdb, &seen("scan", 5));
    assert_eq!(life(&cmdb), LifeCycle::Active, "what is seen is no longer only planned");
    let works = Lock::new("bob", "work", kind::HOST, serial("S1"), "new disks")
        .life(StatedLife::Maintenance)
        .until(at(25));
    feed(&mut cmdb, &works.batch(at(6)).unwrap());
    assert_eq!(life(&cmdb), LifeCycle::Maintenance);
    let view = cmdb.view();
    let winner = &view.by_kind(&kind::HOST)[0].attributes()[&STATE].winner;
    assert_eq!(winner.source.as_str(), "lock@bob", "whose word it is");
    cmdb.expire(at(20));
    assert_eq!(life(&cmdb), LifeCycle::Maintenance, "what is worked on may be silent");
    cmdb.expire(at(25));
    assert_eq!(life(&cmdb), LifeCycle::Stale { since: at(15) }, "the word has ended");
    let gone = Lock::new("carol", "end", kind::HOST, serial("S1"), "sold").life(StatedLife::Decommissioned);
    feed(&mut cmdb, &gone.batch(at(26)).unwrap());
    feed(&mut cmdb, &seen("scan", 27));
    assert_eq!(life(&cmdb), LifeCycle::Decommissioned, "though it still runs");
    cmdb.expire(at(57));
    assert_eq!(life(&cmdb), LifeCycle::Retired { since: at(57) }, "a lock does not hold what nobody sees");
    assert_eq!(cmdb.view_at(at(10), at(10)).by_kind(&kind::HOST)[0].life(), LifeCycle::Maintenance);
}

#[test]
fn any_source_may_state_it_and_words_that_are_none_state_nothing() {
    let mut cmdb = Cmdb::new(config());
    for (minute, word, expected) in
        [(0, "maintenance", LifeCycle::Maintenance), (1, "resting", LifeCycle::Active)]
    {
        let mut batch = Batch::new(SourceName::literal("desk"), at(minute));
        batch.ci("h", kind::HOST).key(serial("S1")).attr(STATE, word);
        feed(&mut cmdb, &batch);
        assert_eq!(life(&cmdb), expected);
    }
}

#[test]
fn the_default_pack_ages_and_a_rule_that_ages_backwards_is_refused() {
    let pack = RuleSet::default_pack();
    let config = CmdbConfig::from(&pack);
    let mut cmdb = Cmdb::new(config);
    let mut batch = seen("scan", 0);
    batch.ci("p", kind::PROCESS).attr(attr::PROCESS_PID, 1_i64);
    feed(&mut cmdb, &batch);
    cmdb.expire(at(15));
    let process = |cmdb: &Cmdb| cmdb.view().by_kind(&kind::PROCESS)[0].life();
    assert_eq!(process(&cmdb), LifeCycle::Stale { since: at(15) });
    cmdb.expire(at(60));
    assert_eq!(process(&cmdb), LifeCycle::Retired { since: at(60) });
    assert_eq!(life(&cmdb), LifeCycle::Active);
    cmdb.expire(at(24 * 60));
    assert_eq!(life(&cmdb), LifeCycle::Stale { since: at(24 * 60) });
    // A refinement inherits; one that is wrong says where.
    let wrong = |change: fn(itom_cmdb::ruleset::KindRule) -> itom_cmdb::ruleset::KindRule| {
        let rule = change(pack.kinds[&kind::PROCESS].clone());
        let error = pack.clone().kind(kind::PROCESS, rule).check().unwrap_err();
        (error.path, error.reason)
    };
    let (path, reason) = wrong(|rule| rule.stale_after(Lease::After(minutes(60))));
    assert_eq!(path, "kinds.process.stale_after");
    assert!(reason.contains("1h"), "{reason}");
    assert_eq!(wrong(|rule| rule.purge_after(Lease::After(Duration::ZERO))).0, "kinds.process.purge_after");
    let refined = itom_cmdb::ruleset::KindRule::new("A short one").lease(Lease::After(minutes(5)));
    let error = pack.clone().kind(CiKind::literal("process.short"), refined).check().unwrap_err();
    assert_eq!(error.path, "kinds.process.short.lease");
    let text = pack.to_json().replace("\"stale_after\": \"15m\"", "\"stale_after\": \"soon\"");
    assert!(RuleSet::from_json("x", text.as_bytes()).unwrap_err().path.starts_with("kinds."));
}

// The laws. Sources: two that look again and again, one document, one person.

#[derive(Debug, Clone)]
struct Run {
    source: usize,
    minute: i64,
    hosts: BTreeSet<u8>,
    stated: u8,
    complete: bool,
    retract: Option<u8>,
}

const NAMES: [&str; 4] = ["alpha", "beta", "netbox", "lock@ann"];

impl Run {
    fn word(&self) -> Option<&'static str> {
        [None, Some("planned"), Some("maintenance"), Some("decommissioned")][usize::from(self.stated % 4)]
    }

    fn batch(&self) -> Batch {
        let mut batch = Batch::new(SourceName::literal(NAMES[self.source]), at(self.minute));
        for host in &self.hosts {
            let ci = batch.ci(format!("n{host}"), kind::HOST).key(serial(&format!("SN-000{host}")));
            if let Some(word) = self.word() {
                ci.attr(STATE, word);
            }
        }
        if let Some(host) = self.retract.filter(|host| !self.hosts.contains(host)) {
            batch.retract(Retraction::Ci(format!("n{host}").into()));
        }
        if self.complete && self.source != 3 {
            batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
        }
        batch
    }
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let run = (
        0_usize..4,
        0_i64..200,
        proptest::collection::btree_set(0_u8..3, 0..3),
        any::<u8>(),
        proptest::bool::weighted(0.3),
        proptest::option::weighted(0.2, 0_u8..3),
    )
        .prop_map(|(source, minute, hosts, stated, complete, retract)| Run {
            source,
            minute,
            hosts,
            stated: if stated % 3 == 0 { stated } else { 0 },
            complete,
            retract,
        });
    // One run of a source at a time: what happens at equal times has a law of its own.
    proptest::collection::vec(run, 1..12).prop_map(|mut runs| {
        let mut taken = BTreeSet::new();
        runs.retain(|run| taken.insert((run.source, run.minute)));
        runs
    })
}

/// No breaker: the model knows none.
fn lawful() -> CmdbConfig {
    config().mass_retirement(100, 10)
}

/// A word of a source, and since when it says it.
type Word = Option<(&'static str, i64)>;

/// The life of each host at a minute, from the whole list of runs, with nested loops.
fn naive(runs: &[Run], now: i64) -> BTreeMap<u8, LifeCycle> {
    let mut lives = BTreeMap::new();
    for host in 0..3 {
        // Of each source: last seen, since when gone, the word and since when it says it.
        let mut of: Vec<(usize, i64, Option<i64>, Word)> = Vec::new();
        for source in 0..4 {
            let leased = source < 2;
            let mut own: Vec<&Run> =
                runs.iter().filter(|run| run.source == source && run.minute <= now).collect();
            own.sort_by_key(|run| run.minute);
            let mut state: Option<(i64, Option<i64>, Word)> = None;
            for run in own {
                if run.hosts.contains(&host) {
                    let kept =
                        state.and_then(|(_, _, word)| word).filter(|(word, _)| Some(*word) == run.word());
                    let word = run.word().map(|word| kept.unwrap_or((word, run.minute)));
                    state = Some((run.minute, None, word));
                } else if let Some((last, gone, _)) = &mut state {
                    let lapsed = leased && *last + 30 <= run.minute;
                    let covers = run.complete && source != 3 && !lapsed;
                    if run.retract == Some(host) || covers {
                        gone.get_or_insert(run.minute);
                    }
                }
            }
            if let Some((last, gone, word)) = state {
                let lapsed = (leased && last + 30 <= now).then_some(last + 30);
                of.push((source, last, gone.or(lapsed), word));
            }
        }
        if of.is_empty() {
            continue;
        }
        let only_locks = of.iter().all(|(source, ..)| *source == 3);
        let holders: Vec<_> = of.iter().filter(|(source, ..)| only_locks || *source != 3).collect();
        let life = if holders.iter().all(|(_, _, gone, _)| gone.is_some()) {
            let since = holders.iter().filter_map(|(_, _, gone, _)| *gone).max().unwrap();
            if since + 60 <= now {
                LifeCycle::Purged { since: at(since + 60) }
            } else {
                LifeCycle::Retired { since: at(since) }
            }
        } else {
            // A person beats all; else the word that was said last, among those who hold it before those who do not.
            // Equal times are decided by content, which is no matter of this model.
            let rank =
                |(source, _, gone, _): &(usize, i64, Option<i64>, Word)| (gone.is_none(), *source == 3);
            let words: Vec<_> =
                of.iter().filter_map(|own| own.3.map(|word| (rank(own), word.1, word.0))).collect();
            let best = words.iter().map(|(rank, since, _)| (*rank, *since)).max();
            let said: BTreeSet<&str> = words
                .iter()
                .filter(|(rank, since, _)| Some((*rank, *since)) == best)
                .map(|(_, _, word)| *word)
                .collect();
            let holds = best.is_some_and(|((holds, _), _)| holds);
            let watched: Vec<i64> =
                of.iter().filter(|(source, ..)| *source < 2).map(|(_, last, ..)| *last).collect();
            let word = said.first().copied().filter(|_| holds);
            if said.len() > 1 && holds {
                continue;
            }
            match word {
                Some("planned") if watched.is_empty() => LifeCycle::Planned,
                Some("maintenance") => LifeCycle::Maintenance,
                Some("decommissioned") => LifeCycle::Decommissioned,
                _ => match watched.into_iter().max() {
                    Some(last) if last + 10 <= now => LifeCycle::Stale { since: at(last + 10) },
                    _ => LifeCycle::Active,
                },
            }
        };
        lives.insert(host, life);
    }
    lives
}

fn lives(cmdb: &Cmdb) -> BTreeMap<u8, LifeCycle> {
    let view = cmdb.view();
    let host = |ci: &itom_cmdb::view::Ci| {
        let key = ci.keys().first().expect("each has a serial number");
        key.value().bytes().last().unwrap() - b'0'
    };
    view.cis().map(|ci| (host(ci), ci.life())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(192)
    ))]

    #[test]
    fn l2_a_life_is_that_of_the_naive_model(runs in runs(), steps in proptest::collection::vec(1_i64..40, 1..8)) {
        let mut cmdb = Cmdb::new(lawful());
        let mut now = 0;
        let mut known = Vec::new();
        for run in &runs {
            now = now.max(run.minute);
            known.push(run.clone());
            let facts = cmdb.plan(&run.batch(), at(now));
            cmdb.ingest(facts);
            let expected = naive(&known, now);
            let found = lives(&cmdb);
            for (host, life) in &expected {
                prop_assert_eq!(&found[host], life, "host {} at {}", host, now);
            }
        }
        for step in steps {
            now += step;
            cmdb.expire(at(now));
            let found = lives(&cmdb);
            for (host, life) in naive(&known, now) {
                prop_assert_eq!(found[&host], life, "host {} at {}", host, now);
            }
            let mut full = Cmdb::new(lawful());
            full.ingest(cmdb.facts().iter().cloned().collect());
            full.expire(at(now));
            prop_assert_eq!(full.state_hash(), cmdb.state_hash());
        }
    }

    #[test]
    fn l1_the_order_of_arrival_does_not_show_in_a_life(runs in runs(), seed in any::<u64>(), end in 200_i64..400) {
        let derive = |runs: &[Run]| {
            let mut cmdb = Cmdb::new(lawful());
            for run in runs {
                let facts = cmdb.plan(&run.batch(), at(200));
                cmdb.ingest(facts);
            }
            cmdb.expire(at(end));
            cmdb
        };
        let mut other = runs.clone();
        let mut seed = seed;
        for index in (1..other.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            other.swap(index, (seed >> 33) as usize % (index + 1));
        }
        let (one, other) = (derive(&runs), derive(&other));
        prop_assert_eq!(lives(&one), lives(&other));
        prop_assert_eq!(one.state_hash(), other.state_hash());
    }

    #[test]
    fn l4_no_bound_but_the_lease_retires_and_silence_alone_is_stale(minute in 0_i64..29, host in 0_u8..3) {
        let run = Run { source: 0, minute: 0, hosts: BTreeSet::from([host]), stated: 0, complete: true, retract: None };
        let mut cmdb = Cmdb::new(lawful());
        feed(&mut cmdb, &run.batch());
        // Runs that say nothing about hosts, complete or not about other things, age nothing away.
        let mut other = Batch::new(SourceName::literal("alpha"), at(minute.max(1)));
        other.finish(Coverage::new().complete(Scope::cis(kind::UNIT)));
        feed(&mut cmdb, &other);
        cmdb.expire(at(29));
        prop_assert!(cmdb.view().cis().all(|ci| ci.state().is_active()));
        prop_assert_eq!(lives(&cmdb)[&host], LifeCycle::Stale { since: at(10) });
    }

    #[test]
    fn l5_a_life_of_the_past_is_the_one_of_a_replay(runs in runs(), valid in 0_i64..300, recorded in 0_i64..300) {
        let mut cmdb = Cmdb::new(lawful());
        // Fed from the beginning.
        let _ = cmdb.past().view(Point::new(at(0), at(0)));
        let mut now = 0;
        for run in &runs {
            now = now.max(run.minute);
            let facts = cmdb.plan(&run.batch(), at(now));
            cmdb.ingest(facts);
        }
        cmdb.expire(at(300));
        let past = cmdb.past().view(Point::new(at(valid), at(recorded)));
        let replay = cmdb.at(at(valid), at(recorded)).view();
        let of = |view: &itom_cmdb::View| -> Vec<LifeCycle> { view.cis().map(|ci| ci.life()).collect() };
        prop_assert_eq!(of(&past), of(&replay));
        prop_assert_eq!(past.state_hash(), replay.state_hash());
    }
}
