//! The series store and its rules beside Prometheus and VictoriaMetrics, on the same samples in one run.
//!
//! `cargo run --release -p itom-benches --bin metrics_peers [INSTANCES [ROUNDS]]` makes 100 series for each instance
//! (default 1,000: 100,000 series) with an hour at 15 s, gives them to all, and lets each evaluate ten typical rules.
//! Every figure is CPU seconds of the process that does the work, from `/proc`, and the median of interleaved rounds.
//! Peers that are not installed are left out. The answers of all are compared; where VictoriaMetrics answers otherwise
//! the reason is said, if what it does instead, asked in PromQL, gives its answer.

#![expect(
    clippy::disallowed_methods,
    reason = "peers take samples of the last hour only, so the hour ends now"
)]

use std::error::Error;

use itom::core::{MetricName, Timestamp};
use itom::metrics::eval::{Engine, EngineOptions, Plan};
use itom::metrics::promql;
use itom::metrics::{SeriesRef, SeriesStore, StoreConfig};
use itom_benches::fleet::Fleet;
use itom_benches::peer::{Peer, Sort};
use itom_benches::process::{own_cpu, resident_bytes};

type Outcome<T> = Result<T, Box<dyn Error>>;

const STEP: i64 = 15_000;
const SAMPLES: i64 = 240;

/// Ten rules as a fleet has them: ratios, quantiles, sums, a forecast, plain thresholds.
const RULES: [&str; 10] = [
    "sum by (instance) (rate(http_requests_total[5m]))",
    r#"sum by (job) (rate(http_requests_total{code="500"}[5m])) / sum by (job) (rate(http_requests_total[5m])) > 0.001"#,
    "histogram_quantile(0.99, sum by (job, le) (rate(http_request_duration_seconds_bucket[5m])))",
    "histogram_quantile(0.5, sum by (instance, le) (rate(http_request_duration_seconds_bucket[5m])))",
    r#"1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) > 0.1"#,
    "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.5",
    "predict_linear(node_filesystem_avail_bytes[1h], 4 * 3600) < 0",
    // A Prometheus has an `up` of its own for whoever gave it the samples.
    r#"up{job!="load"} == 0"#,
    "max_over_time(node_load1[10m]) > 1",
    "sum by (job) (increase(http_requests_total[1h]))",
];

/// Of a rule by its number: what VictoriaMetrics does instead, and the same in PromQL over these samples, which never
/// fall. The last sample no later than five minutes ago is the last one before the window.
const IN_VICTORIA_METRICS: [(usize, &str, &str); 6] = [
    (
        1,
        FROM_BEFORE,
        "sum by (instance) ((http_requests_total - http_requests_total offset 5m) / 300)",
    ),
    (
        2,
        FROM_BEFORE,
        r#"sum by (job) ((http_requests_total{code="500"} - http_requests_total{code="500"} offset 5m) / 300)
            / sum by (job) ((http_requests_total - http_requests_total offset 5m) / 300) > 0.001"#,
    ),
    (
        3,
        FROM_BEFORE,
        "histogram_quantile(0.99, sum by (job, le) (
            (http_request_duration_seconds_bucket - http_request_duration_seconds_bucket offset 5m) / 300))",
    ),
    (
        4,
        FROM_BEFORE,
        "histogram_quantile(0.5, sum by (instance, le) (
            (http_request_duration_seconds_bucket - http_request_duration_seconds_bucket offset 5m) / 300))",
    ),
    (
        5,
        FROM_BEFORE,
        r#"1 - avg by (instance) (
            (node_cpu_seconds_total{mode="idle"} - node_cpu_seconds_total{mode="idle"} offset 5m) / 300) > 0.1"#,
    ),
    (
        10,
        "increase(m[d]) without a sample before the window is the last value less the first one, and the whole last value \
         where the first is less than ten times (its first step + 1): no extrapolation",
        "sum by (job) (http_requests_total - (http_requests_total offset 3585s) * (http_requests_total offset 3585s
            >= bool 10 * (http_requests_total offset 3570s - http_requests_total offset 3585s + 1)))",
    ),
];

const FROM_BEFORE: &str = "rate(m[d]) is the growth since the last sample before the window by the time since it: no \
    extrapolation";

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many samples an answer has, and their sum: enough to see that all computed the same.
type Sums = Vec<(usize, f64)>;

fn same(a: (usize, f64), b: (usize, f64)) -> bool {
    a.0 == b.0 && (a.1 - b.1).abs() <= 1e-9 * a.1.abs().max(b.1.abs())
}

/// The numbers of the rules, from 1.
fn differ(ours: &Sums, theirs: &Sums) -> Vec<usize> {
    let all = ours.iter().zip(theirs).enumerate();
    all.filter(|(_, (a, b))| !same(**a, **b)).map(|(rule, _)| rule + 1).collect()
}

/// Why VictoriaMetrics gives another answer to a rule, if that is proved: what it does instead gives its answer.
fn reason(
    rule: usize,
    theirs: &Sums,
    (engine, store, at): (&Engine, &SeriesStore, i64),
) -> Outcome<Option<&'static str>> {
    let Some((_, reason, instead)) = IN_VICTORIA_METRICS.iter().find(|one| one.0 == rule) else {
        return Ok(None);
    };
    let found = sums(&[engine.instant(&promql::parse(instead)?, store, at)])?;
    let proved = found.first().zip(theirs.get(rule - 1)).is_some_and(|(found, theirs)| same(*found, *theirs));
    Ok(proved.then_some(*reason))
}

fn sums(answers: &[Result<itom::metrics::eval::Answer, itom::metrics::eval::EvalError>]) -> Outcome<Sums> {
    let mut out = Vec::new();
    for answer in answers {
        let answer = answer.as_ref().map_err(ToString::to_string)?;
        let itom::metrics::eval::QueryValue::Vector(samples) = &answer.value else {
            return Err("a rule gave no vector".into());
        };
        let values = samples.iter().filter_map(|sample| sample.value.as_float());
        out.push((samples.len(), values.filter(|value| value.is_finite()).sum()));
    }
    Ok(out)
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let instances: usize = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let rounds: i64 = arguments.next().map_or(Ok(11), |text| text.parse())?;
    // Peers take samples of the last hour only, so the hour ends now.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let end = i64::try_from(now)? / STEP * STEP - 60_000;
    let start = end - (SAMPLES - 1) * STEP;
    let fleet = Fleet::new(instances);
    println!("{} series, {SAMPLES} samples each", fleet.len());

    let mut config = StoreConfig::default();
    config.max_memory_bytes = 4 << 30;
    config.max_series = 4_000_000;
    config.max_series_per_metric = 2_000_000;
    let before = resident_bytes(std::process::id())?;
    let store = SeriesStore::new(config);
    let mut handles = Vec::with_capacity(fleet.len());
    for (metric, labels, kind) in fleet.series() {
        handles.push(store.series(&MetricName::new(metric)?, &labels, kind, None)?);
    }
    let append = |handles: &mut [SeriesRef], tick: i64| -> Outcome<()> {
        let at = Timestamp::from_millis(start + tick * STEP);
        for (number, handle) in handles.iter_mut().enumerate() {
            store.append_to(at, handle, at, fleet.value(number, tick))?;
        }
        Ok(())
    };
    let used = own_cpu().as_secs_f64();
    for tick in 0..SAMPLES - rounds {
        append(&mut handles, tick)?;
    }
    let used = own_cpu().as_secs_f64() - used;
    let per_million = used / (handles.len() as f64 * (SAMPLES - rounds) as f64 / 1e6);
    let resident = (resident_bytes(std::process::id())? - before) / fleet.len() as u64;
    println!("itom: append by handle {per_million:.3} CPU s per M samples; {resident} B resident a series");

    let mut peers = Vec::new();
    for sort in [Sort::Prometheus, Sort::VictoriaMetrics] {
        match Peer::start(sort)? {
            Some(mut peer) => {
                let (used, resident) = peer.load(&fleet, start, STEP, SAMPLES)?;
                let samples = fleet.len() as f64 * SAMPLES as f64 / 1e6;
                println!(
                    "{}: text to stored {:.3} CPU s per M samples; {} B resident a series",
                    peer.name(),
                    used / samples,
                    resident / fleet.len() as u64
                );
                peers.push(peer);
            }
            None => println!("{sort:?}: not installed, left out"),
        }
    }

    let expressions = RULES.iter().map(|rule| promql::parse(rule)).collect::<Result<Vec<_>, _>>()?;
    let engine = Engine::new(EngineOptions::default());
    let mut plan = Plan::new(expressions.clone());
    let mut resident_with_plan = 0;
    let (mut steady, mut cold) = (Vec::new(), Vec::new());
    let mut theirs = vec![Vec::new(); peers.len()];
    for tick in SAMPLES - rounds..SAMPLES {
        append(&mut handles, tick)?;
        let at = start + tick * STEP + 1_000;
        let used = own_cpu().as_secs_f64();
        let planned = plan.evaluate(&engine, &store, at);
        let planned_used = own_cpu().as_secs_f64() - used;
        // The first evaluation has to read everything once.
        if tick > SAMPLES - rounds {
            steady.push(planned_used);
        } else {
            println!("itom: first planned evaluation {planned_used:.3} CPU s");
            resident_with_plan = resident_bytes(std::process::id())? - before;
        }
        let used = own_cpu().as_secs_f64();
        let plain: Vec<_> = expressions.iter().map(|expr| engine.instant(expr, &store, at)).collect();
        cold.push(own_cpu().as_secs_f64() - used);
        let ours = sums(&planned)?;
        let alone = sums(&plain)?;
        if ours.iter().zip(&alone).any(|(a, b)| a.0 != b.0 || a.1.to_bits() != b.1.to_bits()) {
            return Err(format!("planned {ours:?} is not plain {alone:?}").into());
        }
        for (peer, figures) in peers.iter_mut().zip(&mut theirs) {
            let (used, answer) = peer.evaluate(&RULES, at)?;
            figures.push(used);
            let wrong = differ(&ours, &answer);
            if tick == SAMPLES - 1 && !wrong.is_empty() {
                println!("{} differs in rules {wrong:?}: ours {ours:?}, theirs {answer:?}", peer.name());
                for rule in wrong.iter().filter(|_| peer.sort() == Sort::VictoriaMetrics) {
                    if let Some(why) = reason(*rule, &answer, (&engine, &store, at))? {
                        println!("  rule {rule}: {why}");
                    }
                }
            }
        }
    }
    let (steady, cold) = (median(&mut steady), median(&mut cold));
    println!("itom: planned rules, steady {steady:.4} CPU s an evaluation; cold {cold:.4}");
    for (peer, figures) in peers.iter().zip(&mut theirs) {
        let figure = median(figures);
        println!(
            "{}: {figure:.4} CPU s an evaluation; itom takes 1/{:.1} of it steady, 1/{:.1} cold",
            peer.name(),
            figure / steady,
            figure / cold
        );
    }
    if std::env::var_os("ITOM_EACH_RULE").is_some() {
        let at = end + 1_000;
        for (rule, expr) in RULES.iter().zip(&expressions) {
            let mut alone = Plan::new(vec![expr.clone()]);
            let _ = alone.evaluate(&engine, &store, at - STEP);
            let used = own_cpu().as_secs_f64();
            for round in 0..5 {
                let _ = alone.evaluate(&engine, &store, at + round);
            }
            let planned = (own_cpu().as_secs_f64() - used) / 5.0;
            let used = own_cpu().as_secs_f64();
            let _ = engine.instant(expr, &store, at);
            println!("{planned:.4} steady, {:.4} cold: {rule}", own_cpu().as_secs_f64() - used);
        }
    }
    let series = fleet.len() as u64;
    println!(
        "itom: the windows of the plan take {} B a series; resident {} B after the first planned evaluation, {} B after all, \
         plain ones among them",
        plan.kept_bytes() as u64 / series,
        resident_with_plan / series,
        (resident_bytes(std::process::id())? - before) / series
    );
    drop(peers);
    Ok(())
}
