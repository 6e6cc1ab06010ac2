//! Samples in and out of the series store, beside a plain map of vectors.
//!
//! `cargo bench -p itom-benches --bench series`
#![expect(missing_docs, reason = "criterion's macros make the entry points")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use itom::core::{
    Interval, LabelName, Labels, MatchOp, MetricName, SampleKind, SampleSource as _, Selector, Timestamp,
};
use itom::metrics::{NewSample, Samples as _, SeriesStore, StoreConfig};

const METRIC: MetricName = MetricName::literal("node_cpu_seconds_total");
const SERIES: usize = 10_000;

fn round(at: Timestamp) -> Vec<NewSample> {
    let cpu = LabelName::literal("cpu");
    (0..SERIES)
        .map(|series| NewSample {
            metric: METRIC,
            labels: Labels::empty().to_builder().set(cpu.clone(), series.to_string()).build(),
            kind: SampleKind::Counter,
            subject: None,
            at,
            value: at.as_secs() as f64 * 0.25 + series as f64,
        })
        .collect()
}

fn at(round: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + 15 * round)
}

fn series(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("series");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(8))
        .throughput(Throughput::Elements(SERIES as u64));
    let prepared: Vec<NewSample> = round(at(0));
    let moved = |now: Timestamp| -> Vec<NewSample> {
        prepared
            .iter()
            .cloned()
            .map(|sample| NewSample { at: now, value: now.as_secs() as f64, ..sample })
            .collect()
    };
    group.bench_function("append a round", |bencher| {
        let store = SeriesStore::new(StoreConfig::default());
        let mut next = 0;
        bencher.iter_batched(
            || {
                next += 1;
                moved(at(next))
            },
            |samples| black_box(store.append(samples[0].at, &samples)),
            criterion::BatchSize::LargeInput,
        );
    });
    group.bench_function("append a round, map of vectors", |bencher| {
        let mut store: BTreeMap<(MetricName, Labels), Vec<(Timestamp, f64)>> = BTreeMap::new();
        let mut next = 0;
        bencher.iter_batched(
            || {
                next += 1;
                moved(at(next))
            },
            |samples| {
                for sample in samples {
                    store.entry((sample.metric, sample.labels)).or_default().push((sample.at, sample.value));
                }
            },
            criterion::BatchSize::LargeInput,
        );
    });
    group.finish();

    let store = SeriesStore::new(StoreConfig::default());
    for next in 0..240 {
        store.append(at(next), &moved(at(next)));
    }
    let now = at(240);
    let mut group = criterion.benchmark_group("series read");
    let one = Selector::new(METRIC).with(LabelName::literal("cpu"), MatchOp::Equal, "77");
    group.bench_function("one series, 1 h", |bencher| {
        let range = Interval::new(at(0), now);
        bencher.iter(|| black_box(store.select(&one, range)));
    });
    let hundred = Selector::new(METRIC).with(LabelName::literal("cpu"), MatchOp::Regex, "77..?");
    group.bench_function("110 series by expression, latest", |bencher| {
        bencher.iter(|| black_box(store.latest(&hundred, now, Duration::from_secs(300))));
    });
    group.bench_function("10,000 series, latest", |bencher| {
        let all = Selector::new(METRIC);
        bencher.iter(|| black_box(store.latest(&all, now, Duration::from_secs(300))));
    });
    group.finish();
}

criterion_group!(benches, series);
criterion_main!(benches);
