//! One round of every collector on this machine.
//!
//! `cargo bench -p itom-benches --bench collection`
#![expect(missing_docs, reason = "criterion's macros make the entry points")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use futures::executor::block_on;
use itom::collect::linux::{HostCollector, PackageCollector, ServiceCollector};
use itom::collect::{Collector, RunSpec, run_collector};
use itom::core::{Clock as _, SourceName, SystemClock};

fn collection(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("collection");
    group.sample_size(20).measurement_time(Duration::from_secs(8));
    let collectors: [(&str, Box<dyn Collector>); 4] = [
        ("metrics", Box::new(HostCollector::metrics_only())),
        ("inventory", Box::new(HostCollector::inventory_only())),
        ("services", Box::new(ServiceCollector::new())),
        ("packages", Box::new(PackageCollector::new())),
    ];
    let clock = Arc::new(SystemClock::new());
    for (name, collector) in &collectors {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let deadline = clock.now() + Duration::from_secs(60);
                let source = SourceName::literal("bench");
                black_box(block_on(run_collector(
                    collector.as_ref(),
                    RunSpec::new(source, clock.clone(), deadline),
                )))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, collection);
criterion_main!(benches);
