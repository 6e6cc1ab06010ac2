//! Measures the durable store: what a sample costs on disk and in memory, and how fast it comes and goes.
//!
//! `cargo run --release -p itom-metrics --features durable --example store_disk -- EXPOSITION [HOSTS [SCRAPES]]` makes
//! the series of a recorded exposition for many hosts and lets their values move: counters grow, a third of the gauges
//! wander, the others stand still. With `EXPORT=FILE` the same samples are written as OpenMetrics text for other stores.
//! `-- many [SERIES]` measures opening a folder with a million series instead.
#![expect(clippy::disallowed_methods, reason = "a measurement is about real time")]

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use itom_core::{Interval, Labels, MetricName, SampleKind, Timestamp};
use itom_metrics::NewSample;
use itom_metrics::durable::{DurableConfig, DurableStore};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// CPU seconds of this process, from `/proc/self/stat`.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

struct Measured {
    what: &'static str,
    since: Instant,
    cpu: f64,
}

impl Measured {
    fn start(what: &'static str) -> Self {
        Self { what, since: Instant::now(), cpu: cpu() }
    }

    fn done(&self, count: u64, unit: &str) {
        let (wall, cpu) = (self.since.elapsed().as_secs_f64(), cpu() - self.cpu);
        let rate = count as f64 / cpu.max(0.01) / 1e6;
        println!(
            "{}: {count} {unit}, {wall:.2} s, {cpu:.2} CPU s, {rate:.2} M {unit} a CPU second",
            self.what
        );
    }
}

/// A series of the exposition: its name, labels, kind and value.
struct Template {
    metric: MetricName,
    labels: Vec<(String, String)>,
    kind: SampleKind,
    value: f64,
}

/// Enough of the text format for recorded files without escapes in label values.
fn templates(text: &str) -> Vec<Template> {
    let mut kind = SampleKind::Gauge;
    let mut out = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            kind = if rest.ends_with(" counter") { SampleKind::Counter } else { SampleKind::Gauge };
            continue;
        }
        let Some((series, value)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let (Ok(metric), Ok(value)) = (MetricName::new(name), value.parse()) else { continue };
        let labels = labels.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once("=\""));
        let labels =
            labels.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned())).collect();
        out.push(Template { metric, labels, kind, value });
    }
    out
}

/// A fixed sequence: the same figures on every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn start() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

fn config() -> DurableConfig {
    let mut config = DurableConfig::default();
    config.memory.max_series = 2_000_000;
    config.memory.max_series_per_metric = 2_000_000;
    config.memory.max_memory_bytes = 3 << 30;
    config
}

fn scratch() -> Outcome<PathBuf> {
    let path = std::env::temp_dir().join(format!("itom-store-disk-{}", std::process::id()));
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

fn exposition(file: &str, hosts: usize, scrapes: u64) -> Outcome<()> {
    let templates = templates(&std::fs::read_to_string(file)?);
    let folder = scratch()?;
    let mut samples: Vec<NewSample> = Vec::new();
    for host in 0..hosts {
        for template in &templates {
            let instance = ("instance".to_owned(), format!("host-{host:05}.example.com:9100"));
            let labels = Labels::from_pairs(template.labels.iter().cloned().chain([instance]))?;
            samples.push(NewSample {
                metric: template.metric.clone(),
                labels,
                kind: template.kind,
                subject: None,
                at: start(),
                value: template.value,
            });
        }
    }
    println!("{} series: {hosts} hosts of {} each, {scrapes} scrapes", samples.len(), templates.len());
    let mut export = match std::env::var_os("EXPORT") {
        Some(path) => Some(std::io::BufWriter::new(std::fs::File::create(path)?)),
        None => None,
    };
    let before = resident_kb();
    let (store, _) = DurableStore::open(&folder, config())?;
    let mut state = 7;
    let measured = Measured::start("append, a batch and a sync for each host");
    let mut total = 0;
    for scrape in 0..scrapes {
        for (host, batch) in samples.chunks_mut(templates.len()).enumerate() {
            let at =
                start() + Duration::from_millis(scrape * 15_000 + host as u64 * 7 + next(&mut state) % 4);
            for (number, sample) in batch.iter_mut().enumerate() {
                sample.at = at;
                let whole = sample.value.fract() == 0.0;
                let step = next(&mut state);
                sample.value += match (sample.kind, number % 3) {
                    (SampleKind::Counter, 0) => 0.0,
                    (SampleKind::Counter, _) if whole => (step % 2_000) as f64,
                    (SampleKind::Counter, _) => (step % 1_400) as f64 / 100.0,
                    (_, 0) if whole => (step % 4_096) as f64 - 2_048.0,
                    (_, 0) => (step % 100) as f64 / 100.0 - 0.5,
                    _ => 0.0,
                };
            }
            if let Some(out) = &mut export {
                for sample in batch.iter() {
                    let labels: Vec<String> =
                        sample.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
                    let (labels, at) = (labels.join(","), sample.at.as_millis());
                    writeln!(out, "{}{{{labels}}} {} {:.3}", sample.metric, sample.value, at as f64 / 1e3)?;
                }
            }
            let report = store.append(at, batch)?;
            total += report.stored;
        }
    }
    measured.done(total, "samples");
    let stats = store.stats();
    println!(
        "in memory: {} B a series as counted, {} B a series resident beyond the start; log {:.2} B a sample",
        stats.memory.memory_bytes / stats.memory.series,
        (resident_kb() - before) * 1024 / stats.memory.series,
        stats.log_bytes as f64 / total as f64,
    );
    let measured = Measured::start("move all of it to a segment");
    store.flush()?;
    measured.done(total, "samples");
    let stats = store.stats();
    println!(
        "on disk: {} bytes, {:.3} B a sample, index included",
        stats.segment_bytes,
        stats.segment_bytes as f64 / stats.segment_samples as f64
    );
    drop(store);
    let measured = Measured::start("open");
    let (store, report) = DurableStore::open(&folder, config())?;
    measured.done(stats.segment_series, "series");
    println!("{report:?}");
    let measured = Measured::start("read all");
    let found = store.select_matching(&[], Interval::ALWAYS)?;
    measured.done(found.iter().map(|(_, series)| series.samples.len() as u64).sum(), "samples");
    drop(store);
    std::fs::remove_dir_all(&folder)?;
    if let Some(mut out) = export {
        writeln!(out, "# EOF")?;
    }
    Ok(())
}

fn many(series: u64) -> Outcome<()> {
    let folder = scratch()?;
    let (store, _) = DurableStore::open(&folder, config())?;
    let metrics: Vec<MetricName> =
        (0..40).map(|n| MetricName::new(format!("example_metric_{n}"))).collect::<Result<_, _>>()?;
    let batch = |from: u64, to: u64, at: Timestamp| -> Outcome<Vec<NewSample>> {
        (from..to)
            .map(|n| {
                let labels = Labels::from_pairs([
                    ("instance", format!("host-{:05}.example.com:9100", n / 40)),
                    ("job", "node".to_owned()),
                    ("mode", format!("mode-{}", n % 8)),
                ])?;
                let metric = metrics[(n % 40) as usize].clone();
                Ok(NewSample { metric, labels, kind: SampleKind::Gauge, subject: None, at, value: n as f64 })
            })
            .collect()
    };
    let measured = Measured::start("append to new series");
    for from in (0..series).step_by(10_000) {
        store.append(start(), &batch(from, (from + 10_000).min(series), start())?)?;
    }
    measured.done(series, "series");
    drop(store);
    let measured = Measured::start("open, all in the log");
    let (store, report) = DurableStore::open(&folder, config())?;
    measured.done(series, "series");
    println!("{report:?}");
    let measured = Measured::start("move all to a segment");
    store.flush()?;
    measured.done(series, "series");
    drop(store);
    let measured = Measured::start("open, all in a segment");
    let (store, _) = DurableStore::open(&folder, config())?;
    measured.done(series, "series");
    let measured = Measured::start("first read of one host, which makes the index");
    let one = itom_core::Matcher {
        name: itom_core::LabelName::new("instance")?,
        op: itom_core::MatchOp::Equal,
        value: "host-01234.example.com:9100".into(),
    };
    let found = store.select_matching(std::slice::from_ref(&one), Interval::ALWAYS)?.len();
    measured.done(found as u64, "series");
    let measured = Measured::start("second read of it");
    let found = store.select_matching(&[one], Interval::ALWAYS)?.len();
    measured.done(found as u64, "series");
    println!("segment: {:.1} B a series", store.stats().segment_bytes as f64 / series as f64);
    drop(store);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |place: usize, default: u64| arguments.get(place).and_then(|n| n.parse().ok()).unwrap_or(default);
    match arguments.first().map(String::as_str) {
        None => Err("give a recorded exposition, or `many`".into()),
        Some("many") => many(number(1, 1_000_000)),
        Some(file) => exposition(file, number(1, 50) as usize, number(2, 240)),
    }
}
