//! What breaks: the graph beside a frozen search over hand-written rows, on one seeded estate.
//!
//! `cargo bench -p itom-benches --bench impact`; `ITOM_BENCH_CIS` (default 1,000,000) and `ITOM_BENCH_RELATIONS`
//! (default 5,000,000) set the size.
#![expect(missing_docs, reason = "criterion's macros make the entry points")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use itom::cmdb::graph::RelationGraph;
use itom::cmdb::impact::ImpactScratch;
use itom::cmdb::testing::estate::{Dice, EstateSize, generate};
use itom::core::{CiId, relation};
use itom_benches::{Rows, size, ungated};

fn impact(criterion: &mut Criterion) {
    let cis = size("ITOM_BENCH_CIS", 1_000_000);
    let relations = size("ITOM_BENCH_RELATIONS", 5_000_000);
    let estate = generate(7, EstateSize { cis, relations });
    let mut graph = estate.graph().expect("a graph holds an estate of this size");
    // The same question as the rows answer: every relation passes failure on.
    let open =
        RelationGraph::from_parts(ungated(), estate.cis.iter().cloned(), estate.relations.iter().cloned())
            .expect("a graph holds an estate of this size");
    let (mut rows, numbers) = Rows::new(&estate);
    let mut dice = Dice::new(11);
    let seeds: Vec<CiId> = (0..1_000).map(|_| estate.cis[dice.below(estate.cis.len())].0).collect();

    let mut group = criterion.benchmark_group("impact");
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    let seed_numbers: Vec<u32> = seeds.iter().map(|seed| numbers[seed]).collect();
    group.bench_function("rows by hand, 1 failure, count", |bencher| {
        let mut seeds = seed_numbers.iter().cycle();
        bencher.iter(|| seeds.next().map(|seed| black_box(rows.search(*seed))));
    });
    group.bench_function("graph without gates, 1 failure, count", |bencher| {
        let (mut seeds, mut scratch) = (seeds.iter().cycle(), ImpactScratch::default());
        bencher.iter(|| {
            seeds.next().map(|seed| black_box(open.brings_down_count(&BTreeSet::from([*seed]), &mut scratch)))
        });
    });
    group.bench_function("graph, 1 failure, count", |bencher| {
        let (mut seeds, mut scratch) = (seeds.iter().cycle(), ImpactScratch::default());
        bencher.iter(|| {
            seeds
                .next()
                .map(|seed| black_box(graph.brings_down_count(&BTreeSet::from([*seed]), &mut scratch)))
        });
    });
    group.bench_function("graph, 1 failure, ids in order", |bencher| {
        let (mut seeds, mut scratch) = (seeds.iter().cycle(), ImpactScratch::default());
        bencher.iter(|| {
            seeds.next().map(|seed| black_box(graph.brings_down(&BTreeSet::from([*seed]), &mut scratch)))
        });
    });
    let pairs: Vec<(CiId, CiId)> = (0..10_000)
        .map(|_| (estate.cis[dice.below(estate.cis.len())].0, estate.cis[dice.below(estate.cis.len())].0))
        .collect();
    group.bench_function("graph, relate and unrelate", |bencher| {
        let mut pairs = pairs.iter().cycle();
        bencher.iter(|| {
            if let Some((from, to)) = pairs.next() {
                let added = graph.relate(relation::DEPENDS_ON, *from, *to);
                if matches!(added, Ok(true)) {
                    graph.unrelate(&relation::DEPENDS_ON, *from, *to);
                }
            }
        });
    });
    group.bench_function("graph, snapshot", |bencher| bencher.iter(|| black_box(graph.clone())));
    group.finish();
}

criterion_group!(benches, impact);
criterion_main!(benches);
