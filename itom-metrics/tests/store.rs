//! The store against a naive model, and its limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use itom_core::{
    CiId, Interval, LabelName, Labels, MatchOp, MetricName, SampleKind, SampleSource, Selector, Timestamp,
};
use itom_metrics::{Appended, NewSample, Refusal, Samples, SeriesStore, StoreConfig};
use proptest::prelude::*;

const RETENTION: i64 = 1_000_000;
const LATE: i64 = 300_000;
const AHEAD: i64 = 50_000;
const METRICS: [&str; 2] = ["node_load1", "node_cpu_seconds_total"];

fn config() -> StoreConfig {
    let mut config = StoreConfig::default();
    config.retention = Duration::from_millis(RETENTION as u64);
    config.out_of_order = Duration::from_millis(LATE as u64);
    config.ahead = Duration::from_millis(AHEAD as u64);
    config
}

fn ms(at: i64) -> Timestamp {
    Timestamp::from_millis(at)
}

#[derive(Debug, Default, Clone)]
struct ModelSeries {
    samples: BTreeMap<i64, u64>,
    subject: Option<CiId>,
}

/// One list of samples per series, nothing clever.
#[derive(Debug, Default)]
struct Model {
    kinds: BTreeMap<MetricName, SampleKind>,
    series: BTreeMap<(MetricName, Labels), ModelSeries>,
    floor: Option<i64>,
}

impl Model {
    fn append(&mut self, now: i64, sample: &NewSample) -> Result<Appended, Refusal> {
        let at = sample.at.as_micros().div_euclid(1000);
        if at < now - RETENTION || self.floor.is_some_and(|floor| at < floor) {
            return Err(Refusal::TooOld);
        }
        if at > now + AHEAD {
            return Err(Refusal::TooFarAhead);
        }
        if *self.kinds.entry(sample.metric.clone()).or_insert(sample.kind) != sample.kind {
            return Err(Refusal::KindMismatch);
        }
        let series = self.series.entry((sample.metric.clone(), sample.labels.clone())).or_default();
        if series.samples.last_key_value().is_some_and(|(newest, _)| at < newest - LATE) {
            return Err(Refusal::TooOld);
        }
        series.subject = sample.subject.or(series.subject);
        match series.samples.get(&at) {
            Some(have) if *have == sample.value.to_bits() => Ok(Appended::Duplicate),
            Some(_) => Err(Refusal::Conflict),
            None => {
                series.samples.insert(at, sample.value.to_bits());
                Ok(Appended::Stored)
            }
        }
    }

    fn maintain(&mut self, now: i64) {
        let floor = self.floor.unwrap_or(i64::MIN).max(now - RETENTION);
        self.floor = Some(floor);
        for series in self.series.values_mut() {
            series.samples.retain(|at, _| *at >= floor);
        }
        self.series.retain(|_, series| !series.samples.is_empty());
        let series = &self.series;
        self.kinds.retain(|metric, _| series.keys().any(|(have, _)| have == metric));
    }
}

type Matchers = Vec<(&'static str, MatchOp, &'static str)>;

fn holds(labels: &Labels, matchers: &Matchers) -> bool {
    matchers.iter().all(|(name, op, wanted)| {
        let value = labels.get(name).unwrap_or("");
        let whole = || regex::Regex::new(&format!("^(?:{wanted})$")).unwrap().is_match(value);
        match op {
            MatchOp::Equal => value == *wanted,
            MatchOp::NotEqual => value != *wanted,
            MatchOp::Regex => whole(),
            MatchOp::NotRegex => !whole(),
        }
    })
}

fn selector(metric: &MetricName, matchers: &Matchers) -> Selector {
    matchers.iter().fold(Selector::new(metric.clone()), |selector, (name, op, value)| {
        selector.with(LabelName::literal(name), *op, *value)
    })
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<NewSample>),
    /// Moves the time and appends a steady run that fills several chunks.
    Run {
        labels: Labels,
        count: i64,
        every: i64,
    },
    Advance(i64),
    Maintain,
    /// Reads between two sample times (by their place among all), a microsecond more or less.
    Read(Matchers, [(usize, i64); 2]),
}

fn labels() -> impl Strategy<Value = Labels> {
    let value = || prop_oneof![Just(""), Just("x"), Just("y"), Just("xy")];
    (value(), value()).prop_map(|(a, b)| Labels::from_pairs([("a", a), ("b", b)]).unwrap())
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0_i32..4).prop_map(f64::from),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(f64::NAN),
        1 => Just(-0.0),
    ]
}

/// Times relative to a `now` that starts at 10,000,000 ms, in microseconds.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => (9_500_000_000_i64..10_500_000_000).prop_map(|t| t - t % 5_000_000),
        4 => 8_900_000_000_i64..12_000_000_000,
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()],
    ]
}

fn sample() -> impl Strategy<Value = NewSample> {
    (0..2_usize, labels(), 0..10_u8, prop::option::of(0..3_u8), time(), value()).prop_map(
        |(metric, labels, odd, subject, at, value)| NewSample {
            metric: MetricName::literal(METRICS[metric]),
            labels,
            kind: if (metric == 1) == (odd > 0) { SampleKind::Counter } else { SampleKind::Gauge },
            subject: subject.map(|n| CiId::derive(&[&n.to_string()])),
            at: Timestamp::from_micros(at),
            value,
        },
    )
}

fn matchers() -> impl Strategy<Value = Matchers> {
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex)
    ];
    let value = prop_oneof![
        Just(""),
        Just("x"),
        Just("y"),
        Just("x|y"),
        Just("x|"),
        Just("x.*"),
        Just(".*"),
        Just(".+"),
        Just("[^x]")
    ];
    prop::collection::vec((prop_oneof![Just("a"), Just("b"), Just("c")], op, value), 0..4)
}

fn bound() -> impl Strategy<Value = (usize, i64)> {
    (any::<usize>(), -1..=1_i64)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(sample(), 1..40).prop_map(Step::Append),
        2 => (labels(), 1..300_i64, 1..3_000_i64)
            .prop_map(|(labels, count, every)| Step::Run { labels, count, every }),
        2 => (0..600_000_i64).prop_map(Step::Advance),
        2 => Just(Step::Maintain),
        4 => (matchers(), [bound(), bound()]).prop_map(|(matchers, bounds)| Step::Read(matchers, bounds)),
    ]
}

/// Two times around which samples lie, in microseconds; before and after everything when there are none.
fn edges(model: &Model, bounds: [(usize, i64); 2]) -> (i64, i64) {
    let times: Vec<i64> = model.series.values().flat_map(|series| series.samples.keys().copied()).collect();
    let [a, b] =
        bounds.map(|(place, off)| times.get(place % times.len().max(1)).map_or(0, |at| at * 1000 + off));
    (a.min(b), a.max(b))
}

/// Reads `[from, to)` and the latest in `(from, to]`, both in microseconds.
fn compare(store: &SeriesStore, model: &Model, matchers: &Matchers, from: i64, to: i64) {
    for metric in METRICS.map(MetricName::literal) {
        let selector = selector(&metric, matchers);
        let matching = || {
            model
                .series
                .iter()
                .filter(|((have, labels), _)| *have == metric && holds(labels, matchers))
                .map(|((_, labels), series)| (labels, series))
        };
        let range = Interval::new(Timestamp::from_micros(from), Timestamp::from_micros(to));
        let found: Vec<_> = store
            .select(&selector, range)
            .unwrap()
            .into_iter()
            .map(|s| {
                (
                    s.labels,
                    s.subject,
                    s.samples.iter().map(|(t, v)| (t.as_millis(), v.to_bits())).collect::<Vec<_>>(),
                )
            })
            .collect();
        let expected: Vec<_> = matching()
            .map(|(labels, series)| {
                let inside = series.samples.iter().filter(|(at, _)| range.contains(ms(**at)));
                (labels.clone(), series.subject, inside.map(|(at, bits)| (*at, *bits)).collect::<Vec<_>>())
            })
            .filter(|(_, _, samples)| !samples.is_empty())
            .collect();
        assert_eq!(found, expected, "{selector}");

        let latest: Vec<_> = store
            .latest(&selector, Timestamp::from_micros(to), Duration::from_micros((to - from) as u64))
            .unwrap()
            .into_iter()
            .map(|one| (one.labels, one.at.as_millis(), one.value.to_bits()))
            .collect();
        let expected: Vec<_> = matching()
            .filter_map(|(labels, series)| {
                let (at, bits) = series.samples.range(..=to.div_euclid(1000)).next_back()?;
                (*at * 1000 > from).then(|| (labels.clone(), *at, *bits))
            })
            .collect();
        assert_eq!(latest, expected, "latest of {selector}");
    }
}

fn run(steps: Vec<Step>) {
    let store = SeriesStore::new(config());
    let mut model = Model::default();
    let mut now = 10_000_000_i64;
    for step in steps {
        match step {
            Step::Append(samples) => {
                let report = store.append(ms(now), &samples);
                let mut expected = (0, 0, BTreeMap::new());
                for sample in &samples {
                    match model.append(now, sample) {
                        Ok(Appended::Stored) => expected.0 += 1,
                        Ok(Appended::Duplicate) => expected.1 += 1,
                        Err(reason) => *expected.2.entry(reason).or_insert(0_u64) += 1,
                    }
                }
                let refused =
                    report.refused.iter().map(|(reason, refused)| (*reason, refused.count)).collect();
                assert_eq!((report.stored, report.duplicates, refused), expected);
            }
            Step::Run { labels, count, every } => {
                let metric = MetricName::literal(METRICS[0]);
                let mut handle = match store.series(&metric, &labels, SampleKind::Gauge, None) {
                    Ok(handle) => handle,
                    Err(refusal) => {
                        assert_eq!(
                            (refusal, model.kinds[&metric]),
                            (Refusal::KindMismatch, SampleKind::Counter)
                        );
                        continue;
                    }
                };
                for n in 0..count {
                    now += every;
                    let value = (n * 7 % 90) as f64 / 4.0;
                    let (metric, labels, at) = (metric.clone(), labels.clone(), ms(now));
                    let sample =
                        NewSample { metric, labels, kind: SampleKind::Gauge, subject: None, at, value };
                    let expected = model.append(now, &sample);
                    assert_eq!(store.append_to(ms(now), &mut handle, at, value), expected);
                }
            }
            Step::Advance(by) => now += by,
            Step::Maintain => {
                store.maintain(ms(now));
                model.maintain(now);
                assert_eq!(store.stats().series, model.series.len() as u64);
            }
            Step::Read(matchers, bounds) => {
                let (from, to) = edges(&model, bounds);
                compare(&store, &model, &matchers, from, to);
            }
        }
    }
    compare(&store, &model, &Vec::new(), 0, 1_000_000_000_000_000);
    let (names, expected): (Vec<_>, Vec<_>) =
        (store.metrics().into_iter().map(|info| info.name).collect(), model.kinds.keys().cloned().collect());
    assert_eq!(names, expected);

    // All of it expires, and nothing stays behind.
    store.maintain(ms(now + 2 * RETENTION + AHEAD));
    let stats = store.stats();
    assert_eq!((stats.series, stats.samples, stats.memory_bytes), (0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(128), ..ProptestConfig::default() })]

    #[test]
    fn l2_store_is_the_naive_model(steps in prop::collection::vec(step(), 1..25)) {
        run(steps);
    }

    #[test]
    fn l1_order_of_arrival_does_not_matter(
        at in prop::collection::btree_map(9_750_000..10_000_000_i64, value(), 1..400),
        seed in any::<u64>(),
    ) {
        // Distinct times within the window: any order, each twice, gives the same samples.
        let metric = MetricName::literal(METRICS[0]);
        let new = |(at, value): (&i64, &f64)| NewSample {
            metric: metric.clone(), labels: Labels::empty(), kind: SampleKind::Gauge, subject: None, at: ms(*at), value: *value,
        };
        let mut shuffled: Vec<NewSample> = at.iter().chain(&at).map(new).collect();
        let mut state = seed;
        for index in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(index, (state >> 33) as usize % (index + 1));
        }
        let store = SeriesStore::new(config());
        let report = store.append(ms(10_000_000), &shuffled);
        prop_assert_eq!((report.stored, report.duplicates), (at.len() as u64, at.len() as u64));
        let found = store.select(&Selector::new(metric), Interval::ALWAYS).unwrap();
        let found: Vec<_> = found[0].samples.iter().map(|(t, v)| (t.as_millis(), v.to_bits())).collect();
        let expected: Vec<_> = at.iter().map(|(t, v)| (*t, v.to_bits())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn limits_hold_whatever_comes(samples in prop::collection::vec((0..200_u16, time(), value()), 1..600), memory in 1_000..60_000_u64) {
        let mut limited = config();
        limited.max_series = 50;
        limited.max_series_per_metric = 40;
        limited.max_samples = 300;
        limited.max_memory_bytes = memory;
        let store = SeriesStore::new(limited);
        let samples: Vec<_> = samples.into_iter().map(|(n, at, value)| NewSample {
            metric: MetricName::literal(METRICS[usize::from(n % 2)]),
            labels: Labels::from_pairs([("n", n.to_string())]).unwrap(),
            kind: SampleKind::Gauge, subject: None, at: Timestamp::from_micros(at), value,
        }).collect();
        let mut sum = 0;
        for chunk in samples.chunks(50) {
            let report = store.append(ms(10_000_000), chunk);
            sum += report.stored + report.duplicates + report.refused_total();
            let stats = store.stats();
            prop_assert!(stats.memory_bytes <= memory && stats.series <= 50 && stats.samples <= 300);
        }
        prop_assert_eq!(sum, samples.len() as u64);
        let stats = store.stats();
        let refused: u64 = stats.refused.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(stats.appended + stats.duplicates + refused, samples.len() as u64);
        store.maintain(ms(20_000_000));
        let stats = store.stats();
        prop_assert_eq!((stats.series, stats.samples, stats.memory_bytes), (0, 0, 0));
    }
}

fn gauge(name: &'static str, label: &str, at: i64, value: f64) -> NewSample {
    NewSample {
        metric: MetricName::literal(name),
        labels: Labels::from_pairs([("l", label)]).unwrap(),
        kind: SampleKind::Gauge,
        subject: None,
        at: ms(at),
        value,
    }
}

#[test]
fn a_refusal_names_the_first_sample_and_is_counted() {
    let mut small = config();
    small.max_series_per_metric = 1;
    small.max_label_value_bytes = 8;
    let store = SeriesStore::new(small);
    let now = 10_000_000;
    let report = store.append(
        ms(now),
        &[
            gauge("a", "one", now, 1.0),
            gauge("a", "two", now, 1.0),
            gauge("a", "three", now, 1.0),
            gauge("a", "one", now, 2.0),
            gauge("b", "far too long", now, 1.0),
        ],
    );
    assert_eq!(report.stored, 1);
    let refused = &report.refused[&Refusal::MetricSeriesLimit];
    assert_eq!((refused.count, refused.labels.get("l")), (2, Some("two")));
    assert_eq!(report.refused[&Refusal::Conflict].count, 1);
    assert_eq!(report.refused[&Refusal::LabelLimit].count, 1);
    let of_self = store.stats().samples_of_self();
    let conflicts =
        of_self.iter().find(|(_, _, labels, _)| labels.get("reason") == Some("conflict")).unwrap();
    assert_eq!((conflicts.0.as_str(), conflicts.3), ("itom_metrics_samples_refused_total", 1.0));
    // The refused metric left nothing behind.
    assert_eq!(store.metrics().len(), 1);
}

#[test]
fn a_handle_outlives_its_series() {
    let store = SeriesStore::new(config());
    let metric = MetricName::literal("a");
    let mut handle = store.series(&metric, &Labels::empty(), SampleKind::Gauge, None).unwrap();
    assert_eq!(store.append_to(ms(0), &mut handle, ms(0), 1.0), Ok(Appended::Stored));
    store.maintain(ms(5_000_000));
    assert_eq!(store.stats().series, 0);
    assert_eq!(store.append_to(ms(5_000_000), &mut handle, ms(5_000_000), 2.0), Ok(Appended::Stored));
    assert_eq!(store.select(&Selector::new(metric), Interval::ALWAYS).unwrap()[0].samples.len(), 1);
}

#[test]
fn a_read_that_is_too_large_says_so() {
    let mut small = config();
    small.max_samples_read = 3;
    let store = SeriesStore::new(small);
    for n in 0..5 {
        store.append(ms(n), &[gauge("a", "x", n, 1.0)]);
    }
    let error = store.select(&Selector::new(MetricName::literal("a")), Interval::ALWAYS).unwrap_err();
    assert!(matches!(error, itom_core::EvaluateError::Limit { what: "samples", limit: 3 }), "{error}");
}

#[test]
fn items_and_labels_can_be_listed() {
    let store = SeriesStore::new(config());
    let ci = CiId::derive(&["web"]);
    let mut sample = gauge("a", "x", 10, 1.5);
    sample.subject = Some(ci);
    store.append(ms(10), &[sample, gauge("a", "y", 10, 1.0)]);
    let series = store.series_of(ci);
    assert_eq!((series.len(), series[0].last), (1, Some((ms(10), 1.5))));
    let values = store.label_values(&MetricName::literal("a"), &LabelName::literal("l"));
    assert_eq!(values, ["x", "y"].map(itom_core::Text::from));
}

#[test]
fn threads_append_read_and_expire_at_once() {
    let store = Arc::new(SeriesStore::new(config()));
    let threads: Vec<_> = (0..4_i64)
        .map(|thread| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                for n in 0..400_i64 {
                    let now = n * 2_000;
                    store.append(ms(now), &[gauge("a", &(n % 7).to_string(), now + thread, n as f64)]);
                    if n % 50 == thread {
                        store.maintain(ms(now));
                        store.select(&Selector::new(MetricName::literal("a")), Interval::ALWAYS).unwrap();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let stats = store.stats();
    let read: usize = store
        .select(&Selector::new(MetricName::literal("a")), Interval::ALWAYS)
        .unwrap()
        .iter()
        .map(|series| series.samples.len())
        .sum();
    assert_eq!(read as u64, stats.samples);
    assert_eq!(stats.appended - stats.expired, stats.samples);
    store.maintain(ms(100_000_000));
    assert_eq!((store.stats().series, store.stats().memory_bytes), (0, 0));
}

#[test]
fn histograms_live_beside_floats_and_never_at_the_same_time() {
    use itom_core::{Buckets, CounterReset, Histogram, MatchOp, Matcher, Schema};
    use itom_metrics::NewHistogram;
    let store = SeriesStore::new(config());
    let histogram = |at: i64, count: f64| {
        let mut histogram = Histogram::exponential(Schema::new(2).unwrap());
        histogram.reset = CounterReset::NotReset;
        (histogram.count, histogram.sum) = (count, f64::from_bits(0x7ff8_0000_0000_0123));
        histogram.positive = Buckets::dense(-3, &[count, 0.0]).unwrap();
        NewHistogram {
            metric: MetricName::literal("h"),
            labels: Labels::from_pairs([("l", "x")]).unwrap(),
            kind: SampleKind::Gauge,
            subject: None,
            at: ms(at),
            histogram: Arc::new(histogram),
        }
    };
    let now = ms(1_000);
    let report = store.append_histograms(
        now,
        &[histogram(10, 1.0), histogram(30, 3.0), histogram(20, 2.0), histogram(20, 2.0), histogram(20, 9.0)],
    );
    assert_eq!((report.stored, report.duplicates, report.refused_total()), (3, 1, 1));
    let report = store.append(now, &[gauge("h", "x", 20, 1.0), gauge("h", "x", 40, 1.0)]);
    assert_eq!((report.stored, report.refused[&Refusal::Conflict].count), (1, 1));
    assert_eq!(store.append_histograms(now, &[histogram(40, 1.0)]).refused[&Refusal::Conflict].count, 1);
    assert_eq!(
        store.append_histograms(now, &[histogram(50, -1.0)]).refused[&Refusal::InvalidHistogram].count,
        1
    );
    assert_eq!(store.stats().samples, 4);

    let all = Matcher { name: LabelName::literal("__name__"), op: MatchOp::Regex, value: "h.*".into() };
    let found = store.select_histograms(std::slice::from_ref(&all), Interval::new(ms(10), ms(30))).unwrap();
    let times: Vec<i64> = found[0].histograms.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!((found.len(), times), (1, vec![10, 20]));
    assert!(found[0].histograms[0].1.same_bits(&histogram(10, 1.0).histogram));
    assert_eq!(store.delete(&[all], Interval::new(ms(0), ms(25))).unwrap(), 2);
    store.maintain(ms(40_000_000));
    let stats = store.stats();
    assert_eq!((stats.series, stats.samples, stats.memory_bytes), (0, 0, 0));
}

#[test]
fn metadata_and_exemplars_are_kept_within_bounds() {
    use itom_core::{MatchOp, Matcher};
    use itom_metrics::{Exemplar, MetricMetadata};
    let mut small = config();
    small.max_exemplars = 3;
    small.max_series = 2;
    let store = SeriesStore::new(small);
    let name = |name: &'static str| MetricName::literal(name);
    assert!(store.set_metadata(&name("b"), MetricMetadata::new("counter", "Bytes.", "bytes")));
    assert!(store.set_metadata(&name("a"), MetricMetadata::new("gauge", "", "")));
    assert!(store.set_metadata(&name("b"), MetricMetadata::new("counter", "Bytes sent.", "bytes")));
    assert!(!store.set_metadata(&name("c"), MetricMetadata::default()));
    assert!(!store.set_metadata(&name("a"), MetricMetadata::new("gauge", "x".repeat(1 << 20), "")));
    assert_eq!(store.metadata(None).len(), 2);
    assert_eq!(store.metadata(Some(&name("b")))[0].1.help.as_str(), "Bytes sent.");

    let of = |n: i64| Exemplar {
        labels: Labels::from_pairs([("trace_id", n.to_string())]).unwrap(),
        value: n as f64,
        at: ms(n),
    };
    let labels = Labels::from_pairs([("le", "1")]).unwrap();
    for n in [1, 3, 3, 2, 4] {
        let kept = store.append_exemplar(&name("b"), &labels, of(n));
        assert!(kept || n == 3);
    }
    let mut long = of(9);
    long.labels = Labels::from_pairs([("trace_id", "x".repeat(200))]).unwrap();
    assert!(!store.append_exemplar(&name("b"), &labels, long));
    let le = Matcher { name: LabelName::literal("le"), op: MatchOp::Equal, value: "1".into() };
    let found = store.exemplars(&[le], Interval::new(ms(0), ms(4))).unwrap();
    assert_eq!(found[0].exemplars.iter().map(|one| one.value).collect::<Vec<_>>(), [2.0, 3.0]);
}

#[test]
fn a_bomb_of_series_stays_within_the_limits() {
    let mut limited = config();
    limited.max_series = 1_000;
    limited.max_series_per_metric = 700;
    limited.max_memory_bytes = 1_000_000;
    let store = SeriesStore::new(limited);
    let mut refused = 0;
    let mut stored = 0;
    for chunk in 0..100_u64 {
        let bomb: Vec<NewSample> = (0..10_000_u64)
            .map(|n| {
                let mut sample = gauge(if n % 2 == 0 { "a" } else { "b" }, "", 1_000, f64::from_bits(!n));
                sample.labels = Labels::from_pairs([("user", (chunk * 10_000 + n).to_string())]).unwrap();
                sample
            })
            .collect();
        let report = store.append(ms(1_000), &bomb);
        stored += report.stored;
        refused += report.refused_total();
    }
    let mut long = gauge("a", "", 1_000, 1.0);
    long.labels = Labels::from_pairs([("l", "x".repeat(1 << 20))]).unwrap();
    assert_eq!(store.append(ms(1_000), &[long]).refused[&Refusal::LabelLimit].count, 1);
    let stats = store.stats();
    assert_eq!((stored, refused, stats.series), (1_000, 999_000, 1_000));
    assert!(stats.memory_bytes <= 1_000_000);
    // The series that were there go on.
    let mut again = gauge("a", "", 2_000, 1.0);
    again.labels = Labels::from_pairs([("user", "0")]).unwrap();
    assert_eq!(store.append(ms(2_000), &[again]).stored, 1);
}

#[test]
fn a_series_that_a_marker_ended_is_absent_at_once() {
    let store = SeriesStore::new(config());
    let metric = MetricName::literal("node_load1");
    let selector = Selector::new(metric.clone());
    let marker = f64::from_bits(0x7ff0_0000_0000_0002);
    for (at, value) in [(1_000, 0.5), (2_000, f64::NAN), (3_000, marker)] {
        let labels = Labels::empty();
        let sample = NewSample {
            metric: metric.clone(),
            labels,
            kind: SampleKind::Gauge,
            subject: None,
            at: ms(at),
            value,
        };
        assert_eq!(store.append(ms(at), &[sample]).stored, 1);
        let latest = store.latest(&selector, ms(at), Duration::from_secs(60)).expect("a good selector");
        // Another NaN is a value.
        let expected = (at < 3_000).then_some(ms(at));
        assert_eq!(latest.first().map(|sample| sample.at), expected);
    }
}
