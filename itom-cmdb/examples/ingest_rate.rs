//! How fast batches become facts and facts become a view: `cargo run --release -p itom-cmdb --features sqlite --example
//! ingest_rate -- [hosts]`.

use std::error::Error;

use futures::executor::block_on;
use itom_cmdb::store::{SqliteStore, Store as _};
use itom_cmdb::{Cmdb, CmdbConfig};
use itom_core::{
    Batch, Clock as _, Coverage, Key, KeyError, Scope, SourceName, SystemClock, Timestamp, attr, kind,
};

fn batch(source: &SourceName, at: i64, hosts: usize, changed: usize) -> Result<Batch, KeyError> {
    let mut batch = Batch::new(source.clone(), Timestamp::from_secs(at));
    for host in 0..hosts {
        let release = if host < changed { at } else { 0 };
        batch
            .ci(format!("host-{host}"), kind::HOST)
            .key(Key::serial(&format!("SN-{host:08}"))?)
            .key(Key::fqdn(&format!("host-{host}.example.com")))
            .attr(attr::HOST_NAME, format!("host-{host}"))
            .attr(attr::HOST_ARCH, "amd64")
            .attr(attr::OS_NAME, "Debian GNU/Linux")
            .attr(attr::OS_KERNEL_RELEASE, format!("6.1.{release}"))
            .attr(attr::HOST_CPU_COUNT, 16_i64)
            .attr(attr::HOST_MEMORY_SIZE, 68_719_476_736_i64);
    }
    batch.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
    Ok(batch)
}

fn main() -> Result<(), Box<dyn Error>> {
    let hosts: usize = std::env::args().nth(1).map_or(Ok(50_000), |text| text.parse())?;
    let clock = SystemClock::new();
    let sources = [SourceName::literal("inventory"), SourceName::literal("cloud")];
    for durable in [false, true] {
        let path = std::env::temp_dir().join(format!("itom-ingest-rate-{}.db", std::process::id()));
        let store = if durable { Some(SqliteStore::open(&path)?) } else { None };
        let mut cmdb = Cmdb::new(CmdbConfig::default());
        let rounds = [
            ("new", 1, 0),
            ("unchanged", 60, 0),
            ("1 % changed", 120, hosts / 100),
            ("unchanged", 180, hosts / 100),
        ];
        for (what, at, changed) in rounds {
            for source in &sources {
                // The changed round's values stay for the round after it.
                let batch = batch(source, if at == 180 { 120 } else { at }, hosts, changed)?;
                let batch = if at == 180 { retimed(&batch, at) } else { batch };
                let start = clock.now();
                let facts = cmdb.plan(&batch, batch.taken_at());
                let planned = clock.now();
                let written = facts.len();
                if let Some(store) = &store {
                    block_on(async {
                        for chunk in facts.chunks(1000) {
                            store.append(chunk).await?;
                        }
                        Ok::<_, itom_cmdb::store::StoreError>(())
                    })?;
                }
                let stored = clock.now();
                let applied = cmdb.ingest(facts);
                let snapshot = cmdb.view();
                let done = clock.now();
                let seconds = done.since(start).as_secs_f64();
                println!(
                    "{:9} {what:12} {source:10} {:>9.0} obs/s  plan {:>6.1} ms  store {:>7.1} ms  ingest {:>7.1} ms  {written} facts, {} changes, {} items",
                    if durable { "sqlite" } else { "memory" },
                    hosts as f64 / seconds,
                    planned.since(start).as_secs_f64() * 1e3,
                    stored.since(planned).as_secs_f64() * 1e3,
                    done.since(stored).as_secs_f64() * 1e3,
                    applied.changes.len(),
                    snapshot.len(),
                );
            }
        }
        if let Some(store) = store {
            let held = block_on(store.describe())?;
            println!("{}: {} facts, {:?} bytes", held.what, held.facts, held.bytes);
            drop(store);
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The same observations at another time.
fn retimed(batch: &Batch, at: i64) -> Batch {
    let mut again = Batch::new(batch.source().clone(), Timestamp::from_secs(at));
    batch.items().iter().for_each(|item| {
        again.push(item.clone());
    });
    again.finish(batch.coverage().clone());
    again
}
