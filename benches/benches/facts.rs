//! Batch → facts → view: what one observation costs, new and unchanged, in memory and durable.
//!
//! `cargo bench -p itom-benches --bench facts`
#![expect(missing_docs, reason = "criterion's macros make the entry points")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use itom::cmdb::store::{SqliteStore, Store as _};
use itom::cmdb::{Cmdb, CmdbConfig};
use itom::core::{Batch, Coverage, Key, Realm, Scope, SourceName, Timestamp, attr, kind, relation};

const ITEMS: usize = 1_000;

/// One run: `ITEMS` services on one host, each with a key, four attributes and a relation.
fn run(source: usize, minute: i64, changed: usize) -> Batch {
    let name = SourceName::new(format!("service@host-{source}")).expect("a plain name");
    let realm = Realm::new(format!("host-{source}")).expect("a plain name");
    let mut batch = Batch::new(name, Timestamp::from_secs(1_700_000_000 + 60 * minute));
    batch.ci("host", kind::HOST).key(Key::native(realm.clone(), "host")).attr(attr::HOST_NAME, "host");
    for item in 0..ITEMS {
        let native = format!("svc-{item}");
        let state = if item < changed { format!("changed in {minute}") } else { "running".to_owned() };
        batch
            .ci(native.as_str(), kind::SERVICE)
            .key(Key::native(realm.clone(), &native))
            .attr(attr::SERVICE_NAME, native.as_str())
            .attr(attr::SERVER_PORT, item as i64)
            .attr(attr::SERVICE_TYPE, "demo")
            .attr(attr::STATE, state);
        batch.relation(relation::RUNS_ON, native.as_str(), "host");
    }
    batch.finish(
        Coverage::new().complete(Scope::cis(kind::SERVICE)).complete(Scope::relations(relation::RUNS_ON)),
    );
    batch
}

fn facts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("facts");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(10))
        .throughput(Throughput::Elements(2 * ITEMS as u64));
    let now = |minute: i64| Timestamp::from_secs(1_700_000_001 + 60 * minute);
    group.bench_function("new items and relations", |bencher| {
        let mut cmdb = Cmdb::new(CmdbConfig::default());
        let mut source = 0;
        bencher.iter_batched(
            || {
                source += 1;
                run(source, 0, 0)
            },
            |batch| {
                let facts = cmdb.plan(&batch, now(0));
                black_box(cmdb.ingest(facts))
            },
            BatchSize::LargeInput,
        );
    });
    for (label, changed) in [("nothing changed", 0), ("1 % changed", ITEMS / 100)] {
        group.bench_function(label, |bencher| {
            let mut cmdb = Cmdb::new(CmdbConfig::default());
            let first = cmdb.plan(&run(0, 0, 0), now(0));
            cmdb.ingest(first);
            let mut minute = 0;
            bencher.iter_batched(
                || {
                    minute += 1;
                    (run(0, minute, changed), now(minute))
                },
                |(batch, now)| {
                    let facts = cmdb.plan(&batch, now);
                    black_box(cmdb.ingest(facts))
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.bench_function("new, durable in SQLite", |bencher| {
        let file = std::env::temp_dir().join(format!("itom-bench-{}.db", std::process::id()));
        let _ = std::fs::remove_file(&file);
        let store = SqliteStore::open(&file).expect("a fresh file");
        let mut cmdb = Cmdb::new(CmdbConfig::default());
        let mut source = 0;
        bencher.iter_batched(
            || {
                source += 1;
                run(source, 0, 0)
            },
            |batch| {
                let facts = cmdb.plan(&batch, now(0));
                futures::executor::block_on(store.append(&facts)).expect("stored");
                black_box(cmdb.ingest(facts))
            },
            BatchSize::LargeInput,
        );
        drop(store);
        let _ = std::fs::remove_file(&file);
    });
    group.finish();
}

criterion_group!(benches, facts);
criterion_main!(benches);
