//! Tiers of native histograms: what is answered from buckets is what the samples say.

use itom_core::{CounterReset, CustomBounds, SampleValue};
use proptest::prelude::*;

use super::tiers::{LENGTHS, STEP, at, opened, setting};
use super::*;
use crate::eval::{Answer, Engine, EngineOptions, QueryValue, TierUse};
use crate::histogram::{compact, copy_to_schema, reconcile_zero_buckets};
use crate::promql;

/// How each series behaves.
const KINDS: [&str; 7] = ["counter", "gauge", "schemas", "bounds", "mixed", "zero", "hints"];

/// Counts that only grow, until they begin again.
type Counts = [u32; 6];

fn exponential(schema: i32, counts: &Counts, zero_threshold: f64) -> Histogram {
    let mut h = Histogram::exponential(Schema::new(schema).unwrap());
    h.zero_threshold = zero_threshold;
    h.zero_count = f64::from(counts[0]);
    for (n, count) in counts.iter().enumerate().skip(1).filter(|(_, count)| **count > 0) {
        let side = if n == 5 { &mut h.negative } else { &mut h.positive };
        side.add(n as i32 * 3 - 4, f64::from(*count));
    }
    h
}

fn custom(bounds: &[f64], counts: &Counts) -> Histogram {
    let mut h = Histogram::custom(CustomBounds::new(bounds).unwrap());
    // The values of each count are about 1, 2, 3…
    for (n, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let place = bounds.iter().filter(|bound| **bound <= n as f64).count();
        let before = h.positive.get(place as i32).unwrap_or(0.0);
        let mut next = Buckets::new();
        h.positive.iter().filter(|one| one.0 != place as i32).for_each(|(i, c)| next.add(i, c));
        next.add(place as i32, before + f64::from(*count));
        h.positive = next;
    }
    h
}

/// The histogram of a series; a float for some samples of the mixed one.
fn value_of(series: usize, counts: &Counts, shape: u8) -> SampleValue {
    use CounterReset::{Gauge, NotReset, Reset};
    const BOUNDS: [&[f64]; 3] = [&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 4.0], &[0.5, 1.0, 3.0, 9.0]];
    let mut h = match (KINDS[series], shape % 6) {
        ("counter", _) => exponential(3, counts, 0.001),
        ("gauge", _) => {
            let mut h = exponential(3, counts, 0.001);
            h.reset = Gauge;
            crate::histogram::mul(&mut h, f64::from(shape) / 8.0);
            h
        }
        ("schemas", shape) => {
            let fine = exponential(3, counts, 0.001);
            copy_to_schema(&fine, Schema::new([3, 3, 3, 1, 0, 2][usize::from(shape)]).unwrap()).unwrap()
        }
        ("bounds", shape) => custom(BOUNDS[usize::from(shape.saturating_sub(3))], counts),
        ("zero", shape) => {
            // Wider, it has swallowed the buckets within it.
            let mut h = exponential(0, counts, 0.001);
            let wide = exponential(0, &[0; 6], [0.001, 0.001, 0.001, 0.5, 1.3, 4.0][usize::from(shape)]);
            reconcile_zero_buckets(&mut h, &wide, None);
            h
        }
        ("hints", 4) => custom(BOUNDS[0], counts),
        ("hints", shape) => {
            let fine = exponential(3, counts, 0.001);
            let mut h =
                copy_to_schema(&fine, Schema::new([1, 0, 3, 3, 0, 2][usize::from(shape)]).unwrap()).unwrap();
            h.reset = [NotReset, NotReset, CounterReset::Unknown, Reset, Reset, NotReset][usize::from(shape)];
            h
        }
        (_, 0) => return SampleValue::Float(f64::from(counts[0])),
        (_, 1) => custom(BOUNDS[0], counts),
        (_, other) => {
            let mut h = exponential(3, counts, 0.001);
            h.reset = [Reset, NotReset, Gauge, CounterReset::Unknown][usize::from(other - 2)];
            h
        }
    };
    h.count = h.zero_count + h.positive.iter().chain(h.negative.iter()).map(|one| one.1).sum::<f64>();
    h.sum = counts.iter().zip(1..).map(|(count, n)| f64::from(*count * n) / 3.0).sum();
    SampleValue::Histogram(Arc::new(h))
}

fn put(store: &DurableStore, now: i64, time: i64, series: usize, value: &SampleValue) -> u64 {
    let metric = MetricName::literal("h");
    let labels = Labels::from_pairs([("n", KINDS[series])]).unwrap();
    let (kind, subject) = (SampleKind::Counter, None);
    match value {
        SampleValue::Float(value) => {
            let one = NewSample { metric, labels, kind, subject, at: at(time), value: *value };
            store.append(at(now), &[one]).unwrap().stored
        }
        SampleValue::Histogram(histogram) => {
            let histogram = Arc::clone(histogram);
            let one = NewHistogram { metric, labels, kind, subject, at: at(time), histogram };
            store.append_histograms(at(now), &[one]).unwrap().stored
        }
        other => panic!("{other:?} is neither"),
    }
}

#[derive(Debug, Clone)]
enum Event {
    /// Series, how many steps late, by how much which count grows, shape.
    Append(usize, i64, u32, usize, u8),
    Restart(usize),
    Stale(usize),
    Delete(i64),
    Compact,
    Flush,
    Reopen,
    PowerLoss(usize),
    Pass(i64),
}

fn event() -> impl Strategy<Value = Event> {
    let late = prop_oneof![9 => Just(0_i64), 1 => 1..6_i64];
    // Most keep their shape.
    let shape = prop_oneof![4 => Just(2_u8), 1 => any::<u8>()];
    prop_oneof![
        24 => (0..KINDS.len(), late, 0..9_u32, 0..6_usize, shape)
            .prop_map(|(series, late, more, which, shape)| Event::Append(series, late, more, which, shape)),
        2 => (0..KINDS.len()).prop_map(Event::Restart),
        1 => (0..KINDS.len()).prop_map(Event::Stale),
        1 => (1..4_i64).prop_map(Event::Delete),
        3 => Just(Event::Compact),
        1 => Just(Event::Flush),
        1 => Just(Event::Reopen),
        1 => (0..5_usize).prop_map(Event::PowerLoss),
        8 => prop_oneof![8 => Just(1_i64), 1 => 2..30_i64].prop_map(Event::Pass),
    ]
}

const RULES: [&str; 14] = [
    "rate(h[R])",
    "increase(h[R])",
    "delta(h[R])",
    "avg_over_time(h[R])",
    "sum_over_time(h[R])",
    "count_over_time(h[R] offset 2m)",
    "min_over_time(h[R])",
    "first_over_time(h[R])",
    "last_over_time(h[R])",
    "present_over_time(h[R])",
    "absent_over_time(h{n=\"gauge\"}[R])",
    "histogram_quantile(0.9, rate(h[R]))",
    "sum(increase(h{n=~\"counter|schemas|zero|hints\"}[R]))",
    "histogram_fraction(0, 2, delta(h{n=\"gauge\"}[R]))",
];

fn values(answer: &Answer) -> Vec<(String, SampleValue)> {
    let QueryValue::Vector(samples) = &answer.value else { panic!("a vector") };
    let mut all: Vec<_> = samples.iter().map(|one| (one.labels.to_string(), one.value.clone())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The order of adding up may show in the last digits, and nowhere else.
fn near(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn alike(a: &SampleValue, b: &SampleValue) -> bool {
    match (a, b) {
        (SampleValue::Float(a), SampleValue::Float(b)) => near(*a, *b),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => {
            let [mut a, mut b] = [a, b].map(|h| (**h).clone());
            compact(&mut a);
            compact(&mut b);
            let sides = [(&a.positive, &b.positive), (&a.negative, &b.negative)];
            (&a.layout, a.reset, a.zero_threshold) == (&b.layout, b.reset, b.zero_threshold)
                && [(a.zero_count, b.zero_count), (a.count, b.count), (a.sum, b.sum)]
                    .into_iter()
                    .all(|(a, b)| near(a, b))
                && sides.iter().all(|(a, b)| {
                    a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.0 == b.0 && near(a.1, b.1))
                })
        }
        _ => false,
    }
}

fn all_alike(a: &[(String, SampleValue)], b: &[(String, SampleValue)]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && alike(&a.1, &b.1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(32), ..ProptestConfig::default() })]

    /// One store keeps all samples and has no tiers, the other keeps few and has two.
    #[test]
    fn l2_a_tier_answers_for_histograms_as_the_samples_do(events in prop::collection::vec(event(), 50..300)) {
        let (whole, thinned) = (setting(1_000_000, &[]), setting(200, &LENGTHS));
        let full = opened(&TestFolder::new(), &whole);
        let mut folder = TestFolder::new();
        let mut thin = opened(&folder, &thinned);
        let begin = 1_700_000_040_000;
        let mut now = begin;
        let mut counts = [[0; 6]; KINDS.len()];
        for event in events {
            match event {
                Event::Append(series, late, more, which, shape) => {
                    counts[series][which] += more;
                    let value = value_of(series, &counts[series], shape);
                    let time = now - late * STEP;
                    if put(&full, now, time, series, &value) == 1 {
                        put(&thin, now, time, series, &value);
                    }
                }
                Event::Restart(series) => counts[series] = [0; 6],
                Event::Stale(series) => {
                    let marker = SampleValue::Histogram(Arc::new(Histogram::stale()));
                    if put(&full, now, now, series, &marker) == 1 {
                        put(&thin, now, now, series, &marker);
                    }
                }
                Event::Delete(steps) => {
                    for store in [&full, &thin] {
                        store.delete(&[], range(now - steps * STEP, now + 1)).unwrap();
                    }
                }
                Event::Compact => drop(thin.compact(at(now)).unwrap()),
                Event::Flush => drop(thin.flush().unwrap()),
                Event::Reopen => {
                    drop(thin);
                    thin = opened(&folder, &thinned);
                }
                Event::PowerLoss(keep) => {
                    drop(thin);
                    folder = folder.after_power_loss(keep);
                    thin = opened(&folder, &thinned);
                }
                Event::Pass(steps) => now += steps * STEP,
            }
        }
        // What came late or was deleted shows after the next two steps: one moves it, one makes its buckets.
        now += 200_000;
        for _ in 0..2 {
            thin.compact(at(now)).unwrap();
        }
        let engine = |tiers| Engine::new(EngineOptions::default().tiers(tiers));
        for length in LENGTHS {
            let of_tier = engine(TierUse::Only(Duration::from_millis(length as u64)));
            let check = |text: &str, same: &str| {
                let parse = |text| promql::parse_with(text, &promql::ParseOptions::EXPERIMENTAL).expect(text);
                let (expr, other) = (parse(text), parse(same));
                for time in (begin..now + length).step_by(60_000) {
                    let expected = engine(TierUse::Never).instant(&other, &full, time).unwrap();
                    let found = of_tier.instant(&expr, &thin, time).unwrap();
                    let (wanted, have) = (values(&expected), values(&found));
                    prop_assert!(all_alike(&have, &wanted), "{text} at +{}: {have:?} is not {wanted:?}", time - begin);
                    // The same warnings, but that a window of which nothing can be made may be looked at further.
                    let (wanted, have) = (expected.annotations.warnings(""), found.annotations.warnings(""));
                    let more = wanted.iter().any(|text| text.contains("mix of"));
                    prop_assert!(wanted.iter().all(|text| have.contains(text)), "{text}: {have:?} lacks of {wanted:?}");
                    prop_assert!(more || have.len() == wanted.len(), "{text}: {have:?} is more than {wanted:?}");
                    let infos = found.annotations.infos(text);
                    prop_assert!(infos.iter().any(|info| info.contains("answered from the tier")), "{infos:?}");
                }
                Ok(())
            };
            for rule in RULES {
                for range in [1, 2, 7] {
                    let text = rule.replace('R', &format!("{}s", range * length / 1_000));
                    check(&text, &text)?;
                }
            }
            // A selector finds what it would find of samples, one stretch further back.
            check("h", &format!("last_over_time(h[{}s])", 300 + length / 1_000))?;
        }
    }
}

const BEGIN: i64 = 1_700_000_040_000;

/// A counter of histograms and one of floats, a sample every five seconds, 40 of each; the tier is made.
fn made(folder: &TestFolder, config: &DurableConfig) -> DurableStore {
    let store = opened(folder, config);
    for step in 1..=40_i64 {
        let time = BEGIN + step * STEP;
        let counts = [step as u32; 6];
        put(&store, time, time, 0, &value_of(0, &counts, 0));
        store.append(at(time), &[sample(1, time)]).unwrap();
    }
    store.compact(at(BEGIN + 300_000)).unwrap();
    store
}

fn answer(store: &DurableStore, text: &str, time: i64) -> Vec<(String, SampleValue)> {
    let engine = Engine::new(EngineOptions::default().tiers(TierUse::Only(Duration::from_secs(20))));
    values(&engine.instant(&promql::parse(text).unwrap(), store, time).unwrap())
}

fn bytes_of(folder: &TestFolder, name: &str) -> Vec<u8> {
    folder.files.lock().unwrap()[name].all.lock().unwrap().clone()
}

fn overwrite(folder: &TestFolder, name: &str, bytes: Vec<u8>) {
    *folder.files.lock().unwrap()[name].all.lock().unwrap() = bytes;
}

fn tier_files(folder: &TestFolder) -> Vec<String> {
    folder.names().into_iter().filter(|name| name.starts_with("tier-") && name.ends_with(".itom")).collect()
}

#[test]
fn a_tier_answers_for_histograms_whose_samples_are_gone() {
    let folder = TestFolder::new();
    let store = opened(&folder, &setting(100, &LENGTHS));
    for step in 1..=120_i64 {
        let time = BEGIN + step * STEP;
        put(&store, time, time, 0, &value_of(0, &[step as u32; 6], 0));
        store.compact(at(time)).unwrap();
    }
    let engine = Engine::new(EngineOptions::default());
    let value = |text: &str| {
        let found = engine.instant(&promql::parse(text).unwrap(), &store, BEGIN + 63_000).unwrap();
        let info = found.annotations.infos("");
        assert!(info.iter().any(|info| info.contains("answered from the tier of 20s")), "{text}: {info:?}");
        values(&found).pop().map(|(_, value)| value.as_float().unwrap())
    };
    // Until BEGIN + 60 s: twelve samples, of which the last counts 12 six times.
    assert_eq!(value("histogram_count(h)"), Some(72.0));
    assert_eq!(value("histogram_count(sum_over_time(h[1m]))"), Some(6.0 * 78.0));
    assert_eq!(value("histogram_count(increase(h[1m]))"), Some(72.0));
    assert_eq!(value("histogram_count(rate(h[40s])) * 40"), Some(6.0 * 8.0));
    // What buckets cannot tell is not made up.
    let resets = promql::parse("resets(h[1m])").unwrap();
    let found = engine.instant(&resets, &store, BEGIN + 63_000).unwrap();
    assert!(values(&found).is_empty());
    assert!(found.annotations.infos("")[0].contains("cannot be answered from a tier"));
}

#[test]
fn l10_any_damage_of_a_tier_is_set_aside() {
    let folder = TestFolder::new();
    let config = setting(1_000_000, &LENGTHS[..1]);
    let store = made(&folder, &config);
    // A file of deletes is there too.
    store.delete(&[matcher("n", MatchOp::Equal, "0")], range(BEGIN, BEGIN + 6_000)).unwrap();
    let queries = ["h", "b", "increase(h[20s])", "sum_over_time(h[20s])", "count_over_time(b[20s])"];
    let times: Vec<i64> = (1..=10).map(|n| BEGIN + n * 20_000).collect();
    let all = |store: &DurableStore| -> Vec<Vec<(String, SampleValue)>> {
        queries.iter().flat_map(|text| times.iter().map(|time| answer(store, text, *time))).collect()
    };
    let intact = all(&store);
    assert!(intact.iter().filter(|found| !found.is_empty()).count() > 40, "{intact:?}");
    drop(store);
    let names: Vec<String> = folder.names().into_iter().filter(|name| name.starts_with("tier")).collect();
    assert!(names.len() >= 3, "{names:?}");
    let mut set_aside = 0;
    for name in names {
        for place in 0..bytes_of(&folder, &name).len() {
            let copy = folder.after_power_loss(4);
            let mut bytes = bytes_of(&copy, &name);
            bytes[place] ^= 1 << (place % 8);
            overwrite(&copy, &name, bytes);
            let store = match DurableStore::open_in(Arc::new(copy.clone()), config.clone(), None) {
                Ok((store, _)) => store,
                Err(error) => {
                    // A damaged version cannot be told from a later one.
                    assert!(
                        place == 7 && matches!(error, DurableError::Newer { .. }),
                        "{name} {place}: {error}"
                    );
                    continue;
                }
            };
            let found = all(&store);
            let quarantined = store.stats().quarantined;
            set_aside += quarantined;
            if quarantined == 0 {
                assert_eq!(place, 7, "{name}: nothing was noticed");
                assert_eq!(found, intact, "{name} {place}");
            }
            if !name.ends_with("deleted") && name.starts_with("tier-") {
                let kept =
                    found.iter().zip(&intact).all(|(found, intact)| found.is_empty() || found == intact);
                assert!(kept, "{name} {place}: {found:?}");
            }
        }
    }
    assert!(set_aside > 300, "{set_aside}");
}

#[test]
fn an_older_tier_is_read_and_gets_its_histograms_and_a_later_one_is_refused() {
    use super::super::segment::SegmentWriter;
    use super::super::tier::row_of;
    let folder = TestFolder::new();
    let config = setting(1_000_000, &LENGTHS[..1]);
    let store = made(&folder, &config);
    let floats = answer(&store, "sum_over_time(b[20s])", BEGIN + 40_000);
    let histograms = answer(&store, "sum_over_time(h[20s])", BEGIN + 40_000);
    assert!(floats.len() == 1 && histograms.len() == 1);
    // The same tier as the version before wrote it: floats only, each file in format 2.
    let series = store.gather(&[], (i64::MIN, i64::MAX)).unwrap();
    drop(store);
    let name = tier_files(&folder).remove(0);
    let mut writer = SegmentWriter::of_tier(Arc::new(folder.clone()), &name).unwrap();
    for mut one in series.into_values() {
        one.histograms.clear();
        let buckets = crate::queryable::buckets_of(&one.samples, LENGTHS[0]);
        writer.add_rows(one, &buckets.iter().map(row_of).collect::<Vec<_>>()).unwrap();
    }
    assert!(writer.finish().unwrap());
    for (name, format) in [(name.as_str(), 2), ("tiers.itom", 1)] {
        let mut bytes = bytes_of(&folder, name);
        bytes[7] = format;
        overwrite(&folder, name, bytes);
    }
    let (store, report) = DurableStore::open_in(Arc::new(folder.clone()), config.clone(), None).unwrap();
    assert!(report.quarantined.is_empty(), "{report:?}");
    assert_eq!(answer(&store, "sum_over_time(b[20s])", BEGIN + 40_000), floats);
    assert!(answer(&store, "sum_over_time(h[20s])", BEGIN + 40_000).is_empty());
    store.compact(at(BEGIN + 300_000)).unwrap();
    assert_eq!(answer(&store, "sum_over_time(b[20s])", BEGIN + 40_000), floats);
    assert_eq!(answer(&store, "sum_over_time(h[20s])", BEGIN + 40_000), histograms);
    drop(store);
    // Once only: what it made stays as it is.
    let before = folder.names();
    let store = opened(&folder, &config);
    store.compact(at(BEGIN + 300_000)).unwrap();
    drop(store);
    let tiers =
        |names: Vec<String>| names.into_iter().filter(|name| name.starts_with("tier")).collect::<Vec<_>>();
    assert_eq!(tiers(folder.names()), tiers(before));
    for name in [tier_files(&folder).remove(0), "tiers.itom".to_owned()] {
        let copy = folder.after_power_loss(4);
        let mut bytes = bytes_of(&copy, &name);
        bytes[7] = 9;
        overwrite(&copy, &name, bytes);
        let error = DurableStore::open_in(Arc::new(copy.clone()), config.clone(), None).unwrap_err();
        assert!(matches!(error, DurableError::Newer { .. }) && copy.names().contains(&name), "{error}");
    }
}
