//! How fast batches of 1,000 observations become durable facts and a current view, stage by stage:
//! `cargo run --release -p itom-cmdb --features sqlite --example ingest_rate -- [hosts]`. For one core, `taskset -c 1` it.
//!
//! Each host is described by two sources. Rounds: everything is new, nothing changed, one in a hundred changed, all
//! changed. A line gives wall time per stage and the CPU seconds of the whole process, the store's thread included.

use std::error::Error;
use std::time::Duration;

use futures::executor::block_on;
use itom_cmdb::store::{MemoryStore, SqliteStore, Store};
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_core::{Batch, Clock as _, Coverage, Key, Scope, SourceName, SystemClock, Timestamp, attr, kind};

/// Observations in a batch.
const BATCH: usize = 1000;

/// What `source` says about its share of the hosts; `release` gives what may change.
fn batch(
    source: &SourceName,
    at: i64,
    first: usize,
    release: impl Fn(usize) -> i64,
) -> Result<Batch, Box<dyn Error>> {
    let mut batch = Batch::new(source.clone(), Timestamp::from_secs(at));
    for host in first..first + BATCH {
        batch
            .ci(format!("host-{host}"), kind::HOST)
            .key(Key::serial(&format!("SN-{host:08}"))?)
            .key(Key::fqdn(&format!("host-{host}.example.com")))
            .attr(attr::HOST_NAME, format!("host-{host}"))
            .attr(attr::HOST_ARCH, "amd64")
            .attr(attr::OS_NAME, "Debian GNU/Linux")
            .attr(attr::OS_KERNEL_RELEASE, format!("6.1.{}", release(host)))
            .attr(attr::HOST_CPU_COUNT, 16_i64)
            .attr(attr::HOST_MEMORY_SIZE, 68_719_476_736_i64);
    }
    batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    Ok(batch)
}

/// One kind of round: what the hosts say in it.
struct Round {
    what: &'static str,
    at: i64,
    release: fn(usize) -> i64,
}

const ROUNDS: [Round; 5] = [
    Round { what: "new", at: 60, release: |_| 0 },
    Round { what: "unchanged", at: 120, release: |_| 0 },
    Round { what: "1 % changed", at: 180, release: |host| i64::from(host.is_multiple_of(100)) },
    Round { what: "unchanged", at: 240, release: |host| i64::from(host.is_multiple_of(100)) },
    Round { what: "all changed", at: 300, release: |_| 2 },
];

/// Time of each stage.
#[derive(Default)]
struct Stages {
    plan: Duration,
    store: Duration,
    ingest: Duration,
    view: Duration,
    facts: usize,
    changes: usize,
}

fn run(store: &dyn Store, name: &str, hosts: usize) -> Result<(), Box<dyn Error>> {
    let clock = SystemClock::new();
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    for round in ROUNDS {
        for family in ["inventory", "cloud"] {
            let sources: Result<Vec<SourceName>, _> =
                (0..hosts / BATCH).map(|part| SourceName::new(format!("{family}@{part}"))).collect();
            let batches: Result<Vec<Batch>, _> = sources?
                .iter()
                .enumerate()
                .map(|(part, source)| batch(source, round.at, part * BATCH, round.release))
                .collect();
            let batches = batches?;
            let mut stages = Stages::default();
            let cpu = cpu_seconds();
            for batch in &batches {
                let start = clock.now();
                let facts = cmdb.plan(batch, batch.taken_at());
                let planned = clock.now();
                stages.facts += facts.len();
                block_on(store.append(&facts))?;
                let stored = clock.now();
                let applied = cmdb.ingest(facts);
                let ingested = clock.now();
                let view = cmdb.view();
                stages.changes += applied.changes.len();
                drop((view, applied));
                stages.plan += planned.since(start);
                stages.store += stored.since(planned);
                stages.ingest += ingested.since(stored);
                stages.view += clock.now().since(ingested);
            }
            let cpu = cpu_seconds() - cpu;
            let observations = batches.len() * BATCH;
            let each = |span: Duration| span.as_secs_f64() * 1e6 / observations as f64;
            let all = stages.plan + stages.store + stages.ingest + stages.view;
            println!(
                "{name:7} {:12} {family:10} {:>8.0} obs/s  {:>5.1} µs each (plan {:>4.1}, store {:>4.1}, ingest {:>4.1}, view {:>4.1}), CPU {:>5.1} µs each; {} facts, {} changes, {} items",
                round.what,
                observations as f64 / all.as_secs_f64(),
                each(all),
                each(stages.plan),
                each(stages.store),
                each(stages.ingest),
                each(stages.view),
                cpu * 1e6 / observations as f64,
                stages.facts,
                stages.changes,
                cmdb.view().len(),
            );
        }
    }
    let held = block_on(store.describe())?;
    let bytes =
        held.bytes.map_or_else(String::new, |bytes| format!(", {} B a fact", bytes / held.facts.max(1)));
    println!("{}: {} facts{bytes}; resident {} MB", held.what, held.facts, resident_bytes() / 1_000_000);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let hosts: usize = std::env::args().nth(1).map_or(Ok(50_000), |text| text.parse())?;
    let sample = batch(&SourceName::literal("sample"), 0, 0, |_| 0)?;
    let size: usize = itom_cmdb::fact::facts_of(&sample, Timestamp::EPOCH)
        .iter()
        .filter(|fact| fact.is_statement())
        .map(|fact| serde_json::to_string(fact.body()).map_or(0, |text| text.len()))
        .sum();
    println!("{hosts} hosts twice, batches of {BATCH}, {} B an observation", size / BATCH);
    run(&MemoryStore::new(), "memory", hosts)?;
    let path = std::env::temp_dir().join(format!("itom-ingest-rate-{}.db", std::process::id()));
    let store = SqliteStore::open(&path)?;
    let result = run(&store, "sqlite", hosts);
    drop(store);
    std::fs::remove_file(&path)?;
    result
}

/// User and system time of this process (`/proc/self/stat`, in ticks of 10 ms); 0 where there is none.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Resident memory; 0 where `/proc` does not say.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
