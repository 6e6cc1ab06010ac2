//! Measures the store: 100,000 series with 240 samples each. Run with `--release`.
#![expect(clippy::disallowed_methods, reason = "a measurement is about real time")]

use std::time::{Duration, Instant};

use itom_core::{
    Interval, LabelName, Labels, MatchOp, MetricName, SampleKind, SampleSource, Selector, Timestamp,
};
use itom_metrics::{NewSample, Samples, SeriesStore, StoreConfig};

const SERIES: u64 = 100_000;
const SAMPLES: u64 = 240;

/// Resident kilobytes of this process, from `/proc/self/status`; zero where there is none.
fn resident_kb() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?.to_owned();
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(0)
}

/// A fixed sequence: the same figures on every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Four sorts of series in equal parts, as a fleet of hosts has them.
fn value(series: u64, n: u64, state: &mut u64) -> f64 {
    match series % 4 {
        // A counter with uneven growth, such as bytes received.
        0 => (series * 1_000 + n * 15_000 + next(state) % 4_000) as f64,
        // CPU seconds in hundredths.
        1 => (series * 100 + n * 1_400 + next(state) % 90) as f64 / 100.0,
        // A gauge that hardly moves, such as a size.
        2 => (series * 4_096 + n / 60) as f64,
        // A full-precision ratio.
        _ => (next(state) % 1_000_000_007) as f64 / 1_000_000_007.0,
    }
}

/// Bytes a sample of sealed runs, for each sort alone.
fn bytes_by_sort(start: Timestamp) -> Result<(), Box<dyn std::error::Error>> {
    for (sort, what) in
        ["uneven counter", "hundredths", "almost constant", "full precision"].iter().enumerate()
    {
        let store = SeriesStore::new(StoreConfig::default());
        let metric = MetricName::new("example_metric")?;
        let mut state = 7;
        let mut bare = 0;
        for series in 0..500_u64 {
            let labels = Labels::from_pairs([("n", series.to_string())])?;
            let before = store.stats().memory_bytes;
            let mut handle = store.series(&metric, &labels, SampleKind::Gauge, None)?;
            bare += store.stats().memory_bytes - before;
            for n in 0..=SAMPLES {
                let at = start + Duration::from_millis(n * 15_000 + next(&mut state) % 6);
                store.append_to(at, &mut handle, at, value(series * 4 + sort as u64, n, &mut state))?;
            }
        }
        let stats = store.stats();
        println!("{what}: {:.2} B a sample", (stats.memory_bytes - bare) as f64 / stats.samples as f64);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = Timestamp::from_secs(1_700_000_000);
    let metrics: Vec<MetricName> =
        (0..40).map(|n| MetricName::new(format!("example_metric_{n}"))).collect::<Result<_, _>>()?;
    let labels: Vec<Labels> = (0..SERIES)
        .map(|n| {
            Labels::from_pairs([
                ("instance", format!("host-{:05}.example.com:9100", n / 40)),
                ("job", "node".to_owned()),
                ("mode", format!("mode-{}", n % 8)),
            ])
        })
        .collect::<Result<_, _>>()?;
    let name = |n: u64| &metrics[(n % 40) as usize];
    let kind = |n: u64| if n % 4 < 2 { SampleKind::Counter } else { SampleKind::Gauge };

    let before = resident_kb();
    let store = SeriesStore::new(StoreConfig::default());
    let clock = Instant::now();
    let mut handles = (0..SERIES)
        .map(|n| store.series(name(n), &labels[n as usize], kind(n), None))
        .collect::<Result<Vec<_>, _>>()?;
    println!(
        "make series: {:.0}/s, {} B each",
        SERIES as f64 / clock.elapsed().as_secs_f64(),
        store.stats().memory_bytes / SERIES
    );

    let mut state = 7;
    let empty = store.stats().memory_bytes;
    let clock = Instant::now();
    let mut now = start;
    for n in 0..SAMPLES {
        // Scrapes come a few milliseconds early or late.
        now = start + Duration::from_millis(n * 15_000 + next(&mut state) % 6);
        for (series, handle) in handles.iter_mut().enumerate() {
            store.append_to(now, handle, now, value(series as u64, n, &mut state))?;
        }
    }
    let rate = (SERIES * SAMPLES) as f64 / clock.elapsed().as_secs_f64();
    let stats = store.stats();
    println!("append by handle: {:.2} M samples/s", rate / 1e6);
    println!(
        "{:.2} B a sample beyond the bare series; {} B a series in all (resident: {} B)",
        (stats.memory_bytes - empty) as f64 / stats.samples as f64,
        stats.memory_bytes / SERIES,
        (resident_kb() - before) * 1024 / SERIES,
    );

    // The first of these batches finds every run full and seals it, the second is the ordinary case.
    for (what, n) in [("sealing every run", SAMPLES), ("ordinary", SAMPLES + 1)] {
        now = now + Duration::from_secs(15);
        let batch: Vec<NewSample> = (0..SERIES)
            .map(|series| NewSample {
                metric: name(series).clone(),
                labels: labels[series as usize].clone(),
                kind: kind(series),
                subject: None,
                at: now,
                value: value(series, n, &mut state),
            })
            .collect();
        let clock = Instant::now();
        let report = store.append(now, &batch);
        let rate = report.stored as f64 / clock.elapsed().as_secs_f64();
        println!("append by labels ({what}): {:.2} M samples/s", rate / 1e6);
    }
    let stats = store.stats();
    println!(
        "with all runs sealed: {:.2} B a sample, {} B a series in all",
        (stats.memory_bytes - empty) as f64 / stats.samples as f64,
        stats.memory_bytes / SERIES,
    );

    let clock = Instant::now();
    let mut read = 0;
    for metric in &metrics {
        let all = store.select(&Selector::new(metric.clone()), Interval::since(start))?;
        read += all.iter().map(|series| series.samples.len()).sum::<usize>();
    }
    println!("read all: {:.1} M samples/s", read as f64 / clock.elapsed().as_secs_f64() / 1e6);

    let clock = Instant::now();
    let mut instant = 0;
    for metric in &metrics {
        instant += store.latest(&Selector::new(metric.clone()), now, Duration::from_secs(300))?.len();
    }
    println!("instant read: {:.2} M series/s", instant as f64 / clock.elapsed().as_secs_f64() / 1e6);

    let one = Selector::new(metrics[1].clone()).with(
        LabelName::new("instance")?,
        MatchOp::Equal,
        "host-01234.example.com:9100",
    );
    let many =
        Selector::new(metrics[1].clone()).with(LabelName::new("instance")?, MatchOp::Regex, "host-012.*");
    for (what, selector) in [("one by label", one), ("a hundred by expression", many)] {
        let clock = Instant::now();
        let found = store.select(&selector, Interval::since(now - Duration::from_secs(300)))?.len();
        println!("{what}: {found} series in {:?}", clock.elapsed());
    }
    let clock = Instant::now();
    store.maintain(now + Duration::from_secs(3600));
    println!("retention: {:?}, {} samples left", clock.elapsed(), store.stats().samples);
    bytes_by_sort(start)
}
