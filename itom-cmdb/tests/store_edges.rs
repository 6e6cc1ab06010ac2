//! Stores at the edges: times far off, items without end, rows that are not what was stored, a store that is taken away.

#[cfg(feature = "sqlite")]
mod room;

use std::time::Duration;

use futures::executor::block_on;
use itom_cmdb::fact::Fact;
use itom_cmdb::store::{MemoryStore, Retention, Store, StoreError, compact};
use itom_cmdb::testing::{Fault, FaultyStore, check_store, read_all, some_facts};
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_core::{
    Batch, BatchLimits, Classify as _, Coverage, ErrorKind, Key, Realm, Scope, SourceName, Statement,
    Timestamp, attr, kind,
};
use proptest::prelude::*;

/// The years 1, 1970, 2024, 9999 and beyond, and both ends of time.
fn times() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::from_micros(i64::MIN + 1)),
        Just(Timestamp::from_secs(-62_135_596_800)),
        Just(Timestamp::EPOCH),
        Just(Timestamp::from_secs(1_714_867_200)),
        Just(Timestamp::from_secs(253_402_300_799)),
        Just(Timestamp::from_secs(253_402_300_800)),
        Just(Timestamp::from_micros(i64::MAX - 1)),
        Just(Timestamp::MAX),
        any::<i64>().prop_map(Timestamp::from_micros),
    ]
}

#[derive(Debug, Clone)]
struct Run {
    source: bool,
    at: Timestamp,
    learned: Timestamp,
    version: u8,
    until: Option<Timestamp>,
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let run = (any::<bool>(), times(), times(), 0..2_u8, prop::option::of(times()))
        .prop_map(|(source, at, learned, version, until)| Run { source, at, learned, version, until });
    prop::collection::vec(run, 1..8)
}

fn batch(run: &Run) -> Batch {
    let mut batch = Batch::new(SourceName::literal(if run.source { "one" } else { "two" }), run.at);
    batch
        .ci("unit", kind::UNIT)
        .key(Key::serial("SERIAL-1").unwrap())
        .attr(attr::STATE, i64::from(run.version))
        .attr(attr::HOST_NAME, run.at);
    if let Some(until) = run.until {
        let mut said = Statement::new("unit", "other", "asked");
        said.until = Some(until);
        batch.push(itom_core::Observation::SameAs(said));
    }
    batch.finish(Coverage::new().complete(Scope::cis(kind::UNIT)));
    batch
}

/// Every lease there is ends somewhere.
fn config() -> CmdbConfig {
    CmdbConfig::default().lease(kind::UNIT, Some(Duration::from_secs(90)))
}

proptest! {
    /// Times at the edges are kept as they are: by a store, through a compaction, in views of the past; and the order in
    /// which they came does not show.
    #[test]
    fn l1_times_at_the_edges_go_through_store_and_compaction(runs in runs(), asked in times(), now in times()) {
        block_on(async {
            let mut cmdb = Cmdb::new(config());
            let store = MemoryStore::new();
            for run in &runs {
                let facts = cmdb.plan(&batch(run), run.learned);
                store.append(&facts).await.unwrap();
                cmdb.ingest(facts);
            }
            let facts: Vec<Fact> = read_all(&store, 3).await.iter().cloned().collect();
            // As a store writes them.
            for fact in &facts {
                let text = serde_json::to_string(fact).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Fact>(&text).unwrap(), fact);
            }
            let end = runs.iter().map(|run| run.learned).max().unwrap().max(now);
            let mut again = Cmdb::new(config());
            again.ingest(facts.into_iter().rev().collect());
            for engine in [&mut cmdb, &mut again] {
                engine.expire(end);
            }
            prop_assert_eq!(cmdb.state_hash(), again.state_hash());
            prop_assert_eq!(cmdb.view_at(asked, now).state_hash(), again.view_at(asked, now).state_hash());
            let known = store.end().await.unwrap();
            let policy = Retention::new().sightings(Duration::from_secs(60)).history(Duration::from_secs(60));
            compact(&store, &mut cmdb, known, &policy, now, |_| {}).await.unwrap();
            let mut left = Cmdb::new(config());
            left.ingest(read_all(&store, 3).await.iter().cloned().collect());
            left.expire(end);
            prop_assert_eq!(left.state_hash(), again.state_hash());
            prop_assert_eq!(cmdb.state_hash(), again.state_hash());
            Ok(())
        })?;
    }
}

/// An item with a million keys is turned away where batches are made, and said to be; what is let through is stored once
/// and read back.
#[test]
fn an_item_with_a_million_keys_is_refused_with_its_place() {
    let flood = |keys: usize, limits: BatchLimits| {
        let mut batch = Batch::with_limits(SourceName::literal("flood"), Timestamp::EPOCH, limits);
        batch.ci("fine", kind::HOST);
        let ci = batch.ci("host-7", kind::HOST);
        for number in 0..keys {
            ci.key(Key::native(Realm::GLOBAL, &format!("id-{number}")));
        }
        batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
        batch
    };
    let refused = flood(1_000_000, BatchLimits::default());
    assert_eq!((refused.items().len(), refused.dropped()), (1, 1));
    let fault = &refused.faults()[0];
    assert_eq!((fault.what.as_str(), fault.kind), ("item `host-7`", ErrorKind::Exhausted));
    assert!(fault.message.contains("1000000 keys, at most 10000"), "{}", fault.message);
    assert!(refused.coverage().complete_scopes().is_empty(), "absence of what was dropped means nothing");

    let taken = flood(50_000, BatchLimits::default().keys(50_000));
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let facts = cmdb.plan(&taken, Timestamp::EPOCH);
    let store = MemoryStore::new();
    block_on(store.append(&facts)).unwrap();
    cmdb.ingest(facts);
    assert_eq!(cmdb.view().len(), 2);
    assert_eq!(block_on(read_all(&store, 10)), *cmdb.facts());
}

/// A store that fails says so and is whole once asked again; and around a good one it adds nothing.
#[test]
fn a_store_that_fails_says_so_and_is_whole_when_asked_again() {
    let facts = some_facts(1, 9, Timestamp::EPOCH);
    for (fault, there, kind) in [
        (Fault::Unavailable, 0, ErrorKind::Unavailable),
        (Fault::Timeout, 0, ErrorKind::Timeout),
        (Fault::LostAcknowledgement, 10, ErrorKind::Timeout),
        (Fault::Torn, 5, ErrorKind::Unavailable),
    ] {
        block_on(async {
            let store = FaultyStore::new(MemoryStore::new()).fail(0, fault);
            let error = store.append(&facts).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(store.describe().await.unwrap().facts, there, "{fault:?}");
            store.append(&facts).await.unwrap();
            assert_eq!(read_all(&store, 4).await, facts.iter().cloned().collect());
            assert_eq!(store.struck(), [(0, fault)]);
        });
    }
    block_on(check_store(&FaultyStore::new(MemoryStore::new())));
}

#[cfg(feature = "sqlite")]
mod sqlite {

    use itom_cmdb::store::SqliteStore;

    use super::room::Room;
    use super::*;

    /// A store of six facts in which somebody else changed a row.
    fn changed(name: &str, sql: &str) -> (Room, Result<StoreError, String>) {
        let room = Room::new(name);
        let store = SqliteStore::open(room.file()).unwrap();
        block_on(store.append(&some_facts(1, 5, Timestamp::EPOCH))).unwrap();
        drop(store);
        rusqlite::Connection::open(room.file()).unwrap().execute_batch(sql).unwrap();
        let read = SqliteStore::open(room.file()).and_then(|store| block_on(store.load(None, 100)));
        let error = read.map_or_else(Ok, |page| Err(format!("{page:?} was read")));
        (room, error)
    }

    #[test]
    fn a_row_that_is_not_what_was_stored_is_named() {
        for (name, sql, place, why) in [
            ("utf8", "UPDATE fact SET body = CAST(x'7b22ff' AS TEXT) WHERE seq = 3", "fact 3", "utf-8"),
            ("source", "UPDATE fact SET source = CAST(x'ff' AS TEXT) WHERE seq = 2", "fact 2", "utf-8"),
            ("id", "UPDATE fact SET id = x'00' WHERE seq = 4", "fact 4", ""),
            ("run", "UPDATE fact SET run = x'0011' WHERE seq = 5", "fact 5", ""),
            ("json", "UPDATE fact SET body = substr(body, 1, 20) WHERE seq = 1", "fact 1", "EOF"),
            ("number", "UPDATE fact SET observed = 9223372036854775807 WHERE seq = 1", "fact 1", "times"),
            (
                "kind",
                "UPDATE fact SET body = '{\"prophecy\":{\"of\":1}}' WHERE seq = 6",
                "fact 6",
                "it says `prophecy`, which this version does not know",
            ),
        ] {
            let (_room, error) = changed(name, sql);
            let error = error.unwrap();
            let text = error.to_string();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{name}: {error:?}");
            assert!(text.contains(place) && text.contains(why), "{name}: {text}");
            assert!(text.contains("facts.db"), "{name}: {text}");
        }
    }

    /// A statement of a megabyte and an item with very many keys go in and come back.
    #[test]
    fn large_facts_are_kept_whole() {
        let room = Room::new("large");
        let mut batch = Batch::new(SourceName::literal("large"), Timestamp::EPOCH);
        batch.ci("text", kind::HOST).attr(attr::HOST_NAME, "é".repeat(500_000));
        let ci = batch.ci("keys", kind::HOST);
        for number in 0..10_000 {
            ci.key(Key::native(Realm::GLOBAL, &format!("id-{number}")));
        }
        batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
        assert_eq!(batch.dropped(), 0);
        let facts = itom_cmdb::fact::facts_of(&batch, Timestamp::EPOCH);
        let store = SqliteStore::open(room.file()).unwrap();
        block_on(store.append(&facts)).unwrap();
        drop(store);
        let store = SqliteStore::open(room.file()).unwrap();
        assert_eq!(block_on(read_all(&store, 1)), facts.into_iter().collect());
    }

    /// Its directory is gone: nothing panics, what is told is true, and a backup is whole.
    #[test]
    fn a_file_taken_away_while_it_is_open_harms_no_other() {
        let (room, copy) = (Room::new("away"), Room::new("away-copy"));
        let store = SqliteStore::open(room.file()).unwrap();
        block_on(store.append(&some_facts(1, 5, Timestamp::EPOCH))).unwrap();
        block_on(store.backup(copy.file())).unwrap();
        std::fs::remove_dir_all(&room.0).unwrap();
        // The open file is still the engine's: appending works or is refused, and nothing panics.
        let after = block_on(store.append(&some_facts(2, 5, Timestamp::EPOCH)));
        let facts = block_on(store.describe()).unwrap().facts;
        assert_eq!(facts, if after.is_ok() { 12 } else { 6 });
        drop(store);
        let kept = SqliteStore::open(copy.file()).unwrap();
        assert_eq!(block_on(read_all(&kept, 10)), some_facts(1, 5, Timestamp::EPOCH).into_iter().collect());
    }
}
