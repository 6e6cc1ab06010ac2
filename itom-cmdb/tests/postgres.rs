//! The PostgreSQL store against a real server, started for the test. Skipped with a reason where there is none.

#[expect(dead_code, reason = "another test starts encrypted ones")]
#[path = "postgres/server.rs"]
mod server;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use futures::StreamExt as _;
use itom_cmdb::fact::Fact;
use itom_cmdb::store::{PostgresStore, Store as _, StoreError};
use itom_cmdb::testing::{check_compaction, check_store, read_all, some_facts};
use itom_core::{Classify as _, ErrorKind, Secret, Timestamp};
use server::Server;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn connect(server: &Server) -> PostgresStore {
    PostgresStore::connect(&server.url()).await.unwrap()
}

#[test]
fn conformance_postgres_keeps_the_contract_of_stores() {
    let Some(server) = Server::start("contract") else { return };
    block_on(async {
        check_store(&connect(&server).await).await;
        // Another connection, as after a restart: the same facts at the same positions.
        let (one, two) = (connect(&server).await, connect(&server).await);
        assert_eq!(read_all(&one, 3).await, read_all(&two, 1000).await);
        assert_eq!(one.end().await.unwrap(), two.end().await.unwrap());
    });
}

#[test]
fn conformance_postgres_compacts() {
    let Some(server) = Server::start("compacts") else { return };
    block_on(async {
        let store = connect(&server).await;
        check_compaction(&store).await;
        let horizon = store.horizon().await.unwrap();
        assert!(horizon.is_some());
        assert_eq!(connect(&server).await.horizon().await.unwrap(), horizon);
    });
}

#[test]
fn conformance_postgres_refuses_a_newer_format_and_tells_no_secret() {
    let Some(server) = Server::start("newer") else { return };
    block_on(async {
        drop(connect(&server).await);
        server.sql("UPDATE itom_store SET format = 99");
        let error = PostgresStore::connect(&server.url()).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, known: 2, .. }), "{error}");
        for url in
            ["host=127.0.0.1 port=1 user=u password=hunter2", "postgres://u:hunter2@[::1", "hunter2 = = '"]
        {
            let error = PostgresStore::connect(&Secret::new(url.into())).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    });
}

#[test]
fn conformance_postgres_notices_a_changed_fact() {
    let Some(server) = Server::start("changed") else { return };
    block_on(async {
        let store = connect(&server).await;
        store.append(&some_facts(1, 5, Timestamp::EPOCH)).await.unwrap();
        server.sql("UPDATE itom_fact SET body = replace(body, 'web-3', 'web-X')");
        let error = store.load(None, 100).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    });
}

const CHILD: &str = "ITOM_CMDB_POSTGRES_CHILD";

/// Appends until it has done its share or is killed; other tests run it in processes of their own.
#[test]
fn writing_child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (first, rest) = order.split_once(' ').unwrap();
    let (count, url) = rest.split_once(' ').unwrap();
    let (first, count): (i64, i64) = (first.parse().unwrap(), count.parse().unwrap());
    block_on(async {
        let store = PostgresStore::connect(&Secret::new(url.to_owned())).await.unwrap();
        for run in first..first + count {
            // Some facts are common to all writers.
            let mut facts = some_facts(run, 4, Timestamp::from_secs(run));
            facts.extend(some_facts(run % 3, 2, Timestamp::from_secs(run)));
            store.append(&facts).await.unwrap();
            println!("\nacknowledged {run}");
        }
    });
}

fn writer(server: &Server, first: i64, count: i64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writing_child", "--nocapture"])
        .env(CHILD, format!("{first} {count} {}", server.url().expose()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Two processes append at once while a third follows: it sees every fact once, in the order of positions, none skipped.
#[test]
fn conformance_postgres_writers_at_once_and_a_reader_that_skips_nothing() {
    let Some(server) = Server::start("writers") else { return };
    block_on(async {
        let store = connect(&server).await;
        store.append(&some_facts(0, 1, Timestamp::EPOCH)).await.unwrap();
        let mut tail = store.tail(None, 7).await.unwrap();
        let writers: Vec<_> = [1000, 2000].map(|first| writer(&server, first, 60)).into_iter().collect();
        let wanted: std::collections::BTreeSet<_> = [1000, 2000]
            .iter()
            .flat_map(|first| (*first..first + 60).flat_map(|run| some_facts(run, 4, Timestamp::EPOCH)))
            .map(|fact| fact.id())
            .collect();
        let mut seen: Vec<Fact> = Vec::new();
        let mut last = None;
        while !wanted.iter().all(|id| seen.iter().any(|fact| fact.id() == *id)) {
            let page = tail.next().await.unwrap().unwrap();
            assert!(page.last > last, "positions go on");
            last = page.last;
            seen.extend(page.facts);
        }
        for mut writer in writers {
            assert!(writer.wait().unwrap().success());
        }
        let all = read_all(&store, 50).await;
        let ids: std::collections::BTreeSet<_> = seen.iter().map(Fact::id).collect();
        assert_eq!(ids.len(), seen.len(), "each once");
        assert_eq!(ids.len(), all.len(), "none skipped");
        // What several processes said keeps its earliest time.
        let common = some_facts(1, 2, Timestamp::from_secs(1000));
        assert_eq!(all.get(common[0].id()).unwrap().recorded(), Timestamp::from_secs(1000));
    });
}

/// A writer that is killed, and a server that is killed, lose nothing acknowledged and leave nothing in part.
#[test]
fn conformance_postgres_l9_kills_lose_nothing_acknowledged() {
    let Some(mut server) = Server::start("kills") else { return };
    let rounds = std::env::var("ITOM_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_i64);
    let mut acknowledged: Vec<i64> = Vec::new();
    for round in 0..rounds {
        let first = 10_000 * (round + 1);
        let mut child = writer(&server, first, 10_000);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut told = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<i64>().ok());
        acknowledged.extend(told.by_ref().take(3 + round as usize * 5));
        if round % 2 == 0 {
            child.kill().unwrap();
            acknowledged.extend(told);
            child.wait().unwrap();
        } else {
            server.kill();
            acknowledged.extend(told);
            assert!(!child.wait().unwrap().success(), "the writer noticed");
            server.restart();
        }
        block_on(async {
            let there = read_all(&connect(&server).await, 1000).await;
            for run in &acknowledged {
                let facts = some_facts(*run, 4, Timestamp::EPOCH);
                assert!(facts.iter().all(|fact| there.contains(fact.id())), "run {run} is lost");
            }
            for run in first..first + acknowledged.len() as i64 + 2 {
                let facts = some_facts(run, 4, Timestamp::EPOCH);
                let count = facts.iter().filter(|fact| there.contains(fact.id())).count();
                assert!(count == 0 || count == facts.len(), "run {run} is there in part");
            }
        });
    }
}

/// The same store object: refused while the server is away, served when it is back.
#[test]
fn conformance_postgres_comes_back_with_its_server() {
    let Some(mut server) = Server::start("back") else { return };
    block_on(async {
        let store = connect(&server).await;
        store.append(&some_facts(1, 3, Timestamp::EPOCH)).await.unwrap();
        server.kill();
        let error = store.append(&some_facts(2, 3, Timestamp::EPOCH)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        server.restart();
        store.append(&some_facts(2, 3, Timestamp::EPOCH)).await.unwrap();
        assert_eq!(store.describe().await.unwrap().facts, 8);
    });
}

/// While somebody else holds the lock of appends: one that waits too long is told so, one whose connection is cut is told
/// that; neither left anything, and the same store object goes on.
#[test]
fn conformance_postgres_gives_up_in_time_and_survives_a_cut_in_the_middle_of_an_append() {
    let Some(server) = Server::start("cut") else { return };
    block_on(async {
        let url = |more: &str| Secret::new(format!("{} {more}", server.url().expose()));
        let impatient = PostgresStore::connect(&url("options='-c lock_timeout=50'")).await.unwrap();
        let cut = PostgresStore::connect(&url("application_name=cut")).await.unwrap();
        let (holder, connection) =
            tokio_postgres::connect(server.url().expose(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        holder.execute("SELECT pg_advisory_lock(x'69746f6d66616374'::bigint)", &[]).await.unwrap();
        let facts = some_facts(1, 3, Timestamp::EPOCH);
        let error = impatient.append(&facts).await.unwrap_err();
        assert!(matches!(error, StoreError::TimedOut { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let cutting = async {
            // As soon as it waits for the lock.
            let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = 'cut' AND wait_event_type = 'Lock'";
            while holder.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
        };
        let (appended, ()) = futures::join!(cut.append(&facts), cutting);
        let error = appended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        holder.execute("SELECT pg_advisory_unlock_all()", &[]).await.unwrap();
        // The one request that finds the connection closed is refused too; the next makes a new one.
        let there = match cut.describe().await {
            Err(error) if error.kind() == ErrorKind::Unavailable => cut.describe().await,
            other => other,
        };
        assert_eq!(there.unwrap().facts, 0, "nothing in part");
        for store in [&impatient, &cut] {
            store.append(&facts).await.unwrap();
            assert_eq!(store.describe().await.unwrap().facts, 4);
        }
    });
}
