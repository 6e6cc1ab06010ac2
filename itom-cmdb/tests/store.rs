//! Stores: conformance, refusals, a full disk, a kill at any moment.

#[cfg(feature = "sqlite")]
mod room;

use futures::executor::block_on;
use itom_cmdb::store::{MemoryStore, StoreError};
use itom_cmdb::testing::{check_compaction, check_snapshots, check_store, some_facts};
use itom_core::{Classify as _, ErrorKind, Timestamp};

#[test]
fn memory_conforms() {
    block_on(check_store(&MemoryStore::new()));
}

#[test]
fn memory_compacts() {
    block_on(check_compaction(&MemoryStore::new()));
}

#[test]
fn memory_keeps_snapshots() {
    block_on(check_snapshots(&MemoryStore::new()));
}

#[test]
fn a_full_memory_store_refuses_whole_appends() {
    use itom_cmdb::store::Store as _;
    block_on(async {
        let store = MemoryStore::with_limit(10);
        let error = store.append(&some_facts(1, 10, Timestamp::EPOCH)).await.unwrap_err();
        assert!(matches!(error, StoreError::Exhausted { .. }));
        assert_eq!(error.kind(), ErrorKind::Exhausted);
        assert_eq!(store.describe().await.unwrap().facts, 0);
    });
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::io::{BufRead as _, BufReader};
    use std::path::Path;
    use std::process::{Command, Stdio};

    use itom_cmdb::store::{SnapshotUse, SqliteOptions, SqliteStore, Store as _, open};
    use itom_cmdb::testing::{read_all, some_past};
    use itom_cmdb::{Cmdb, CmdbConfig};
    use itom_core::{ChangeSource as _, Interval, StableHasher};

    use super::room::Room;
    use super::*;

    fn raw(path: &Path, sql: &str) {
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    }

    #[test]
    fn sqlite_conforms() {
        let room = Room::new("conforms");
        block_on(check_store(&SqliteStore::open(room.file()).unwrap()));
    }

    #[test]
    fn sqlite_compacts() {
        let room = Room::new("compacts");
        let store = SqliteStore::open(room.file()).unwrap();
        block_on(check_compaction(&store));
        let horizon = block_on(store.horizon()).unwrap();
        let end = block_on(store.end()).unwrap();
        drop(store);
        let store = SqliteStore::open(room.file()).unwrap();
        assert_eq!(block_on(store.horizon()).unwrap(), horizon, "it outlives the process");
        assert_eq!(block_on(store.end()).unwrap(), end);
    }

    #[test]
    fn sqlite_keeps_snapshots() {
        let room = Room::new("snapshots");
        let store = SqliteStore::open(room.file()).unwrap();
        block_on(check_snapshots(&store));
        let kept = block_on(store.snapshot()).unwrap();
        assert!(kept.is_some());
        let copy = room.0.join("backup.db");
        block_on(store.backup(&copy)).unwrap();
        drop(store);
        for path in [room.file(), copy] {
            let store = SqliteStore::open(path).unwrap();
            assert_eq!(block_on(store.snapshot()).unwrap(), kept, "it outlives the process");
        }
    }

    #[test]
    fn the_third_format_is_led_to_this_one() {
        let room = Room::new("third-format");
        let store = SqliteStore::open(room.file()).unwrap();
        block_on(check_compaction(&store));
        let (horizon, facts) = (block_on(store.horizon()).unwrap(), block_on(read_all(&store, 100)));
        drop(store);
        raw(&room.file(), "DROP TABLE snapshot; PRAGMA user_version = 3");
        let store = SqliteStore::open(room.file()).unwrap();
        assert_eq!(block_on(read_all(&store, 100)), facts);
        assert_eq!(block_on(store.horizon()).unwrap(), horizon);
        assert_eq!(block_on(store.snapshot()).unwrap(), None);
    }

    #[test]
    fn the_second_format_is_led_to_this_one() {
        let room = Room::new("second-format");
        let store = SqliteStore::open(room.file()).unwrap();
        let facts = some_facts(1, 30, Timestamp::from_secs(5));
        block_on(store.append(&facts)).unwrap();
        drop(store);
        raw(&room.file(), "DROP TABLE horizon; DROP TABLE snapshot; PRAGMA user_version = 2");
        let store = SqliteStore::open(room.file()).unwrap();
        assert_eq!(block_on(read_all(&store, 100)), facts.iter().cloned().collect());
        assert_eq!(block_on(store.horizon()).unwrap(), None);
    }

    #[test]
    fn facts_outlive_the_process_and_derive_the_same() {
        let room = Room::new("outlive");
        block_on(async {
            let mut cmdb = Cmdb::new(CmdbConfig::default());
            let store = SqliteStore::open(room.file()).unwrap();
            for run in 1..5 {
                let facts = some_facts(run, 20, Timestamp::from_secs(run));
                store.append(&facts).await.unwrap();
                cmdb.ingest(facts);
            }
            let copy = room.0.join("backup.db");
            store.backup(&copy).await.unwrap();
            drop(store);
            for path in [room.file(), copy] {
                let store = SqliteStore::open(path).unwrap();
                let mut again = Cmdb::new(CmdbConfig::default());
                again.ingest(read_all(&store, 7).await.iter().cloned().collect());
                assert_eq!(again.state_hash(), cmdb.state_hash());
            }
        });
    }

    #[test]
    fn a_second_engine_is_refused() {
        let room = Room::new("second");
        let first = SqliteStore::open(room.file()).unwrap();
        let error = SqliteStore::open(room.file()).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        drop(first);
        SqliteStore::open(room.file()).unwrap();
    }

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let room = Room::new("newer");
        drop(SqliteStore::open(room.file()).unwrap());
        raw(&room.file(), "PRAGMA user_version = 99");
        let before = std::fs::read(room.file()).unwrap();
        let error = SqliteStore::open(room.file()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, known: 4, .. }), "{error}");
        assert_eq!(std::fs::read(room.file()).unwrap(), before);
    }

    #[test]
    fn what_is_no_store_is_refused_and_left_alone() {
        let room = Room::new("foreign");
        raw(&room.file(), "CREATE TABLE other (x)");
        assert!(matches!(SqliteStore::open(room.file()).unwrap_err(), StoreError::Foreign { .. }));
        let text = room.0.join("notes.txt");
        std::fs::write(&text, "this is no database at all, only some notes that are long enough".repeat(40))
            .unwrap();
        let error = SqliteStore::open(&text).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert!(std::fs::read_to_string(&text).unwrap().starts_with("this is no database"));
        let nowhere = SqliteStore::open(room.0.join("no/such/dir/facts.db")).unwrap_err();
        assert!(matches!(nowhere, StoreError::Open { .. }), "{nowhere}");
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let room = Room::new("damaged");
        let store = SqliteStore::open(room.file()).unwrap();
        block_on(store.append(&some_facts(1, 500, Timestamp::EPOCH))).unwrap();
        drop(store);
        let mut bytes = std::fs::read(room.file()).unwrap();
        assert!(bytes.len() > 8 * 4096, "checkpointed on close");
        for page in 3..bytes.len() / 4096 {
            bytes[page * 4096..page * 4096 + 64].fill(0xa5);
        }
        std::fs::write(room.file(), &bytes).unwrap();
        let error = SqliteStore::open(room.file()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn a_changed_fact_is_noticed() {
        let room = Room::new("changed");
        let store = SqliteStore::open(room.file()).unwrap();
        block_on(store.append(&some_facts(1, 5, Timestamp::EPOCH))).unwrap();
        drop(store);
        raw(&room.file(), "UPDATE fact SET body = replace(body, 'web-3', 'web-X')");
        let store = SqliteStore::open(room.file()).unwrap();
        let error = block_on(store.load(None, 100)).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn a_changed_time_is_noticed() {
        let room = Room::new("time");
        let store = SqliteStore::open(room.file()).unwrap();
        block_on(store.append(&some_facts(1, 5, Timestamp::EPOCH))).unwrap();
        drop(store);
        raw(&room.file(), "UPDATE fact SET recorded = recorded + 1 WHERE seq = 3");
        let error = block_on(SqliteStore::open(room.file()).unwrap().load(None, 100)).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("fact 3"), "{error}");
    }

    /// A file as the first format had it.
    fn first_format(path: &Path, facts: &[itom_cmdb::fact::Fact]) {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection
            .execute_batch(
                "PRAGMA application_id = 0x69746f6d; PRAGMA user_version = 1;
                CREATE TABLE fact (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, source TEXT NOT NULL,
                run BLOB NOT NULL, observed INTEGER NOT NULL, recorded INTEGER NOT NULL, body TEXT NOT NULL) STRICT;",
            )
            .unwrap();
        for fact in facts {
            connection
                .execute(
                    "INSERT INTO fact (id, source, run, observed, recorded, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    rusqlite::params![
                        fact.id().as_bytes(),
                        fact.source().as_str(),
                        fact.run().as_bytes(),
                        fact.observed().as_micros(),
                        fact.recorded().as_micros(),
                        serde_json::to_string(fact.body()).unwrap()
                    ],
                )
                .unwrap();
        }
    }

    #[test]
    fn the_first_format_is_led_to_this_one() {
        let room = Room::new("migrate");
        let facts = some_facts(1, 300, Timestamp::from_secs(5));
        first_format(&room.file(), &facts);
        for _ in 0..2 {
            let store = SqliteStore::open(room.file()).unwrap();
            let there = block_on(read_all(&store, 100));
            assert_eq!(there, facts.iter().cloned().collect());
            // It still knows what it has.
            block_on(store.append(&facts)).unwrap();
            assert_eq!(block_on(store.describe()).unwrap().facts, 301);
        }
        // What cannot be read is refused and left as it was.
        let torn = room.0.join("torn.db");
        first_format(&torn, &facts);
        raw(&torn, "UPDATE fact SET id = x'00' WHERE seq = 7");
        SqliteStore::open(&torn).unwrap_err();
        let connection = rusqlite::Connection::open(&torn).unwrap();
        let count: i64 = connection.query_row("SELECT count(*) FROM fact", [], |row| row.get(0)).unwrap();
        let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!((count, format), (301, 1));
    }

    #[test]
    fn a_full_disk_loses_nothing_acknowledged() {
        let room = Room::new("full");
        block_on(async {
            let store =
                SqliteStore::open_with(room.file(), &SqliteOptions::default().max_bytes(256 * 1024)).unwrap();
            let mut acknowledged = 0;
            let error = loop {
                match store.append(&some_facts(acknowledged, 50, Timestamp::EPOCH)).await {
                    Ok(()) => acknowledged += 1,
                    Err(error) => break error,
                }
                assert!(acknowledged < 1000, "the limit is never reached");
            };
            assert!(matches!(error, StoreError::Exhausted { .. }), "{error}");
            assert!(acknowledged > 0);
            let there = read_all(&store, 100).await;
            assert_eq!(there.len() as i64, acknowledged * 51, "the refused append left nothing");
            drop(store);
            let store = SqliteStore::open(room.file()).unwrap();
            store.append(&some_facts(acknowledged, 50, Timestamp::EPOCH)).await.unwrap();
            assert_eq!(read_all(&store, 100).await.len() as i64, (acknowledged + 1) * 51);
        });
    }

    #[test]
    fn a_snapshot_that_does_not_fit_a_full_disk_costs_no_fact() {
        let room = Room::new("full-snapshot");
        block_on(async {
            let memory = MemoryStore::new();
            let mut cmdb = Cmdb::new(CmdbConfig::default());
            for run in 0..9 {
                let facts = some_facts(run, 500, learned(run));
                memory.append(&facts).await.unwrap();
                cmdb.ingest(facts);
            }
            let snapshot = cmdb.snapshot(memory.end().await.unwrap().unwrap(), None).unwrap();
            assert!(snapshot.encode().len() > 64 * 1024);
            let options = SqliteOptions::default().max_bytes(64 * 1024);
            let store = SqliteStore::open_with(room.file(), &options).unwrap();
            let facts = some_facts(1, 20, learned(1));
            store.append(&facts).await.unwrap();
            for _ in 0..2 {
                let error = store.keep_snapshot(&snapshot).await.unwrap_err();
                assert!(matches!(error, StoreError::Exhausted { .. }), "{error}");
                assert_eq!(store.snapshot().await.unwrap(), None);
                assert_eq!(read_all(&store, 100).await, facts.iter().cloned().collect());
                store.append(&some_facts(1, 20, learned(1))).await.unwrap();
            }
        });
    }

    #[test]
    fn appends_that_wait_together_are_all_answered() {
        let room = Room::new("group");
        let store = SqliteStore::open(room.file()).unwrap();
        let batches: Vec<_> = (0..100).map(|run| some_facts(run, 3, Timestamp::EPOCH)).collect();
        let appends = batches.iter().map(|facts| store.append(facts));
        let answers = block_on(futures::future::join_all(appends));
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(block_on(store.describe()).unwrap().facts, 400);
    }

    const CHILD: &str = "ITOM_CMDB_CRASH_STORE";

    /// Writes until it is killed; the test below runs it in a process of its own.
    #[test]
    fn crash_child() {
        let Ok(path) = std::env::var(CHILD) else { return };
        let store = SqliteStore::open(path).unwrap();
        let opened = block_on(open(&store, CmdbConfig::default(), Timestamp::EPOCH)).unwrap();
        assert!(!matches!(opened.snapshot, SnapshotUse::Refused(_)), "{:?}", opened.snapshot);
        let start = opened.facts as i64 * 1000;
        let (mut cmdb, mut run) = (opened.cmdb, start);
        loop {
            let facts = some_facts(run, 4, learned(run));
            block_on(store.append(&facts)).unwrap();
            println!("\nacknowledged {run}");
            cmdb.run_out(learned(run));
            cmdb.ingest(facts);
            let end = block_on(store.end()).unwrap().unwrap();
            let snapshot = cmdb.snapshot(end, None).unwrap();
            block_on(store.keep_snapshot(&snapshot)).unwrap();
            println!("\nkept {}", end.position());
            run += 1;
        }
    }

    /// Each run is learned at a time of its own.
    fn learned(run: i64) -> Timestamp {
        Timestamp::from_secs(run)
    }

    const COMPACTING: &str = "ITOM_CMDB_COMPACTING_STORE";

    /// Compacts, and says when it begins and when it is done; the test below kills it in between.
    #[test]
    fn compacting_child() {
        let Ok(path) = std::env::var(COMPACTING) else { return };
        let store = SqliteStore::open(path).unwrap();
        let (_, plan) = some_past();
        println!("\nbegins");
        block_on(store.compact(&plan)).unwrap();
        println!("\ndone");
    }

    /// A kill in the middle of a compaction leaves the one form or the other, never a part.
    #[test]
    fn l9_a_kill_while_compacting_leaves_either_form() {
        let rounds =
            std::env::var("ITOM_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6_u64);
        let room = Room::new("compacting");
        let (appends, plan) = some_past();
        let store = SqliteStore::open(room.file()).unwrap();
        for facts in &appends {
            block_on(store.append(facts)).unwrap();
        }
        let whole = block_on(read_all(&store, 1000));
        drop(store);
        let bytes = std::fs::read(room.file()).unwrap();
        let mut cut: itom_cmdb::fact::FactLog =
            whole.iter().filter(|fact| !plan.dropped().any(|id| id == fact.id())).cloned().collect();
        cut.extend(plan.checkpoints().cloned());
        for round in 0..rounds {
            let file = room.0.join(format!("round-{round}.db"));
            std::fs::write(&file, &bytes).unwrap();
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sqlite::compacting_child", "--nocapture"])
                .env(COMPACTING, &file)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            assert!(lines.by_ref().any(|line| line == "begins"), "the child never began");
            // Later in each round, by work and not by the clock.
            let mut hasher = StableHasher::new();
            for _ in 0..round * 20_000 {
                hasher.int(1);
            }
            std::hint::black_box(hasher.finish());
            child.kill().unwrap();
            let done = lines.any(|line| line == "done");
            child.wait().unwrap();
            let store = SqliteStore::open(&file).unwrap();
            let there = block_on(read_all(&store, 1000));
            let horizon = block_on(store.horizon()).unwrap();
            if horizon.is_some() {
                assert_eq!(there, cut, "round {round}: compacted as a whole");
            } else {
                assert!(!done, "round {round}: what was said to be done is not");
                assert_eq!(there, whole, "round {round}: nothing happened");
            }
            block_on(store.compact(&plan)).unwrap();
            assert_eq!(block_on(read_all(&store, 1000)), cut, "round {round}: it can be done again");
        }
    }

    #[test]
    fn l9_a_kill_at_any_moment_loses_nothing_acknowledged() {
        let rounds =
            std::env::var("ITOM_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_u64);
        let room = Room::new("crash");
        let mut acknowledged: Vec<i64> = Vec::new();
        for round in 0..rounds {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sqlite::crash_child", "--nocapture"])
                .env(CHILD, room.file())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut hasher = StableHasher::new();
            hasher.int(round as i64);
            let enough = 1 + hasher.finish() % 40;
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            let mut kept = 0;
            let mut told = lines.by_ref().filter_map(|line| {
                if let Some(position) = line.strip_prefix("kept ").and_then(|text| text.parse::<u64>().ok()) {
                    kept = position;
                }
                line.strip_prefix("acknowledged ")?.parse::<i64>().ok()
            });
            let before = acknowledged.len();
            acknowledged.extend(told.by_ref().take(enough as usize));
            // SIGKILL on Unix: in the middle of whatever it does next, an append or keeping a snapshot.
            child.kill().unwrap();
            acknowledged.extend(told);
            child.wait().unwrap();
            assert!(acknowledged.len() > before, "the child never wrote");
            let store = SqliteStore::open(room.file()).unwrap();
            let there = block_on(read_all(&store, 1000));
            // The snapshot is one that was kept or is being kept, as a whole, and opening by way of it is a replay.
            let opened = block_on(open(&store, CmdbConfig::default(), Timestamp::EPOCH)).unwrap();
            match opened.snapshot {
                SnapshotUse::Used { facts } => assert!(facts >= kept, "round {round}: {facts} of {kept}"),
                other => assert_eq!((kept, other), (0, SnapshotUse::None), "round {round}"),
            }
            let memory = MemoryStore::new();
            let all = block_on(store.load(None, usize::MAX)).unwrap().facts;
            block_on(memory.append(&all)).unwrap();
            let plain = block_on(open(&memory, CmdbConfig::default(), Timestamp::EPOCH)).unwrap();
            assert_eq!(opened.cmdb.state_hash(), plain.cmdb.state_hash(), "round {round}");
            let changes = |cmdb: &Cmdb| cmdb.feed().changes(Interval::ALWAYS);
            assert_eq!(changes(&opened.cmdb), changes(&plain.cmdb), "round {round}");
            for run in &acknowledged {
                for fact in some_facts(*run, 4, Timestamp::EPOCH) {
                    assert!(
                        there.contains(fact.id()),
                        "round {round}: run {run} was acknowledged and is lost"
                    );
                }
            }
        }
    }
}
