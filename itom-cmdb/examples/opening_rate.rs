//! How long opening a store of facts takes, moment by moment and by way of a snapshot, and what the snapshot costs:
//! `cargo run --release -p itom-cmdb --features sqlite --example opening_rate -- [items] [rounds]`. CPU seconds of this
//! process, the store's thread included, and wall time. By default 20,000 items and about 90,000 facts, with a full change
//! feed.

use std::error::Error;
use std::time::Duration;

use futures::executor::block_on;
use itom_cmdb::fact::Fact;
use itom_cmdb::store::{Cursor, Opened, SnapshotUse, SqliteStore, Store, open};
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_core::{Batch, Clock as _, Coverage, Key, Scope, SourceName, SystemClock, Timestamp, attr, kind};

/// Items of a source.
const SHARE: usize = 1000;

/// One item in so many says something new in a round.
const CHANGES: usize = 50;

/// Seconds between rounds.
const ROUND: i64 = 300;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn batch(source: usize, round: usize, at: Timestamp) -> Outcome<Batch> {
    let mut batch = Batch::new(SourceName::new(format!("inventory@{source}"))?, at);
    for host in source * SHARE..(source + 1) * SHARE {
        // How often it has changed until now.
        let release = (round + host) / CHANGES;
        batch
            .ci(format!("host-{host}"), kind::HOST)
            .key(Key::serial(&format!("SN-{host:08}"))?)
            .key(Key::fqdn(&format!("host-{host}.example.com")))
            .attr(attr::HOST_NAME, format!("host-{host}"))
            .attr(attr::HOST_ARCH, "amd64")
            .attr(attr::OS_NAME, "Debian GNU/Linux")
            .attr(attr::OS_KERNEL_RELEASE, format!("6.1.{release}"))
            .attr(attr::HOST_CPU_COUNT, 16_i64);
    }
    batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    Ok(batch)
}

fn fill(store: &dyn Store, items: usize, rounds: usize) -> Outcome<Timestamp> {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut now = Timestamp::from_secs(1_700_000_000);
    for round in 0..rounds {
        for source in 0..items / SHARE {
            // Each append is a moment of its own.
            now = now + Duration::from_secs(ROUND as u64) / (items / SHARE) as u32;
            let facts = cmdb.plan(&batch(source, round, now)?, now);
            block_on(store.append(&facts))?;
            cmdb.ingest(facts);
        }
    }
    Ok(now)
}

fn read(store: &dyn Store) -> Outcome<Vec<Fact>> {
    let mut facts = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = block_on(store.load(after, 16_384))?;
        facts.extend(page.facts);
        after = page.next;
        if after.is_none() {
            return Ok(facts);
        }
    }
}

/// What came out, and what it took.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (clock, cpu) = (SystemClock::new(), cpu_seconds());
    let start = clock.now();
    let answer = work();
    let wall = clock.now().since(start).as_secs_f64();
    println!("{what:54} CPU {:>6.2} s, wall {wall:>8.4} s", cpu_seconds() - cpu);
    answer
}

/// User and system time of this process (`/proc/self/stat`, in ticks of 10 ms); 0 where there is none.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn main() -> Outcome<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let items = numbers.next().transpose()?.unwrap_or(20_000);
    let rounds = numbers.next().transpose()?.unwrap_or(176);
    let path = std::env::temp_dir().join(format!("itom-opening-rate-{}.db", std::process::id()));
    let outcome = run(&path, items, rounds);
    std::fs::remove_file(&path)?;
    outcome
}

fn run(path: &std::path::Path, items: usize, rounds: usize) -> Outcome<()> {
    let now = fill(&SqliteStore::open(path)?, items, rounds)?;
    let store = SqliteStore::open(path)?;
    let facts = timed("reading and checking the facts", || read(&store))?;
    println!("{items} items, {} facts", facts.len());
    let mut at_once = Cmdb::new(CmdbConfig::default());
    timed("deriving all of them at once", || at_once.ingest(facts));
    drop(at_once);

    let opening = || -> Outcome<Opened> { Ok(block_on(open(&store, CmdbConfig::default(), now))?) };
    let plain = timed("opening moment by moment", opening)?;
    assert_eq!(plain.snapshot, SnapshotUse::None);

    let end = plain.end.ok_or("there is no fact")?;
    let snapshot = timed("making a snapshot (in the loop of an engine)", || plain.cmdb.snapshot(end, None));
    let snapshot = snapshot.ok_or("it was just opened")?;
    let bytes = timed("encoding it", || snapshot.encode());
    println!("{} changes, {} bytes", plain.cmdb.feed().len(), bytes.len());
    timed("encoding and keeping it (in the thread of the store)", || {
        block_on(store.keep_snapshot(&snapshot))
    })?;

    let by_way = timed("opening by way of it", opening)?;
    assert_eq!(by_way.snapshot, SnapshotUse::Used { facts: plain.facts });
    assert_eq!(by_way.cmdb.state_hash(), plain.cmdb.state_hash());
    Ok(())
}
