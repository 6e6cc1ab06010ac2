//! Tiers: what is answered from buckets is what the samples say.

use proptest::prelude::*;

use super::super::tier::Tier;
use super::*;
use crate::eval::{Answer, Engine, EngineOptions, QueryValue, TierUse};
use crate::promql;

pub(super) const STEP: i64 = 5_000;
pub(super) const LENGTHS: [i64; 2] = [20_000, 60_000];

#[derive(Debug, Clone)]
enum Event {
    Append(u8, i64, u8),
    Delete(Vec<Matcher>, i64),
    Compact,
    Flush,
    Reopen,
    PowerLoss(usize),
    Pass(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (0..4_u8, prop_oneof![6 => Just(0_i64), 1 => 1..6_i64], any::<u8>())
            .prop_map(|(series, late, value)| Event::Append(series, late, value)),
        1 => (matchers(), 1..4_i64).prop_map(|(matchers, steps)| Event::Delete(matchers, steps)),
        3 => Just(Event::Compact),
        1 => Just(Event::Flush),
        1 => Just(Event::Reopen),
        1 => (0..5_usize).prop_map(Event::PowerLoss),
        8 => prop_oneof![8 => Just(1_i64), 1 => 2..30_i64].prop_map(Event::Pass),
    ]
}

const RULES: [&str; 12] = [
    "rate(a_total[R])",
    "increase(a_total[R])",
    "delta(b[R])",
    "avg_over_time(b[R])",
    "sum_over_time({__name__=~\"a.*\",n=~\".+\"}[R])",
    "count_over_time({n=\"1\",__name__!=\"a_total\"}[R] offset 2m)",
    "min_over_time(b[R])",
    "max_over_time(b[R])",
    "present_over_time(b[R])",
    "last_over_time(b[R])",
    "sum by (n) (rate(a_total[R])) / 2",
    "absent_over_time(a_total{n=\"0\"}[R])",
];

pub(super) fn setting(retention: u64, tiers: &[i64]) -> DurableConfig {
    let mut config = config();
    config.retention = Duration::from_secs(retention);
    config.memory.out_of_order = Duration::from_secs(1_000_000);
    config.keep_in_memory = Duration::from_secs(50);
    config.segment_after = Duration::from_secs(90);
    config.max_segment = Duration::from_secs(400);
    let keep = Duration::from_secs(1_000_000);
    config.tiers =
        tiers.iter().map(|length| Tier { every: Duration::from_millis(*length as u64), keep }).collect();
    config
}

pub(super) fn opened(folder: &TestFolder, config: &DurableConfig) -> DurableStore {
    DurableStore::open_in(Arc::new(folder.clone()), config.clone(), None).unwrap().0
}

/// Labels and value of each sample of an answer.
fn values(answer: &Answer) -> Vec<(String, f64)> {
    let QueryValue::Vector(samples) = &answer.value else { panic!("a vector") };
    let mut all: Vec<_> =
        samples.iter().map(|one| (one.labels.to_string(), one.value.as_float().unwrap())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Sums are added up in another order: that is all they may differ by.
fn alike(a: &[(String, f64)], b: &[(String, f64)]) -> bool {
    let near =
        |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && near(a.1, b.1))
}

pub(super) fn at(now: i64) -> Timestamp {
    Timestamp::from_millis(now)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48), ..ProptestConfig::default() })]

    /// One store keeps all samples and has no tiers, the other keeps few and has two.
    #[test]
    fn l2_a_tier_answers_as_the_samples_do(events in prop::collection::vec(event(), 50..300)) {
        let (whole, thinned) = (setting(1_000_000, &[]), setting(200, &LENGTHS));
        let full = opened(&TestFolder::new(), &whole);
        let mut folder = TestFolder::new();
        let mut thin = opened(&folder, &thinned);
        let begin = 1_700_000_040_000;
        let mut now = begin;
        for event in events {
            match event {
                Event::Append(series, late, value) => {
                    let mut sample = sample(series, now - late * STEP);
                    sample.value = match value {
                        0 => f64::NAN,
                        1 => f64::from_bits(0x7ff0_0000_0000_0002),
                        other => f64::from(other) / 3.0,
                    };
                    let kept = full.append(at(now), std::slice::from_ref(&sample)).unwrap().stored;
                    // What one refuses as a conflict the other may take, and hide.
                    if kept == 1 {
                        thin.append(at(now), &[sample]).unwrap();
                    }
                }
                Event::Delete(matchers, steps) => {
                    for store in [&full, &thin] {
                        store.delete(&matchers, range(now - steps * STEP, now + 1)).unwrap();
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
            for rule in RULES {
                for range in [1, 2, 7] {
                    let text = rule.replace('R', &format!("{}s", range * length / 1_000));
                    let expr = promql::parse(&text).expect(rule);
                    for time in (begin..now + length).step_by(60_000) {
                        let expected = engine(TierUse::Never).instant(&expr, &full, time).unwrap();
                        let found = of_tier.instant(&expr, &thin, time).unwrap();
                        let (expected, same) = (values(&expected), values(&found));
                        prop_assert!(alike(&same, &expected), "{text} at +{}: {same:?} is not {expected:?}", time - begin);
                        let infos = found.annotations.infos(&text);
                        prop_assert!(infos.iter().any(|info| info.contains("answered from the tier")), "{infos:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_tier_answers_where_samples_are_gone_and_says_so() {
    let folder = TestFolder::new();
    let config = setting(100, &LENGTHS);
    let store = opened(&folder, &config);
    let begin = 1_700_000_040_000;
    for step in 1..=120 {
        let mut one = sample(0, begin + step * STEP);
        one.value = step as f64;
        store.append(one.at, &[one]).unwrap();
        store.compact(at(begin + step * STEP)).unwrap();
    }
    let engine = Engine::new(EngineOptions::default());
    let answer = |text: &str, time: i64| engine.instant(&promql::parse(text).unwrap(), &store, time).unwrap();
    // Everything there: samples.
    let recent = answer("last_over_time(a_total[20s])", begin + 600_000);
    assert!(recent.annotations.infos("").is_empty() && values(&recent)[0].1 == 120.0);
    // Gone: the finest tier. The window is moved back to whole buckets, and a plain selector finds the last sample.
    let early = answer("last_over_time(a_total[60s])", begin + 63_000);
    assert_eq!(values(&early)[0].1, 12.0);
    let info = early.annotations.infos("");
    assert!(info.len() == 1 && info[0].contains("answered from the tier of 20s"), "{info:?}");
    let plain = answer("a_total", begin + 63_000);
    assert_eq!((values(&plain)[0].1, plain.annotations.infos("").len()), (12.0, 1));
    // What buckets cannot tell is not made up.
    let quantile = answer("quantile_over_time(0.5, a_total[60s])", begin + 63_000);
    assert!(values(&quantile).is_empty());
    assert!(quantile.annotations.infos("")[0].contains("cannot be answered from a tier"));
    let never = Engine::new(EngineOptions::default().tiers(TierUse::Never));
    let none = never.instant(&promql::parse("a_total").unwrap(), &store, begin + 63_000).unwrap();
    assert!(values(&none).is_empty() && none.annotations.is_empty());
    // Files of a tier are merged, and go when they are older than it keeps.
    let files = |length: i64| {
        let prefix = format!("tier-{length:013}");
        folder.names().iter().filter(|name| name.starts_with(&prefix)).count()
    };
    assert!((1..6).contains(&files(20_000)) && files(60_000) >= 1, "{:?}", folder.names());
    drop(store);
    let mut short = config;
    short.tiers[0].keep = Duration::from_secs(1);
    let store = opened(&folder, &short);
    store.compact(at(begin + 2_000_000)).unwrap();
    assert_eq!(files(20_000), 0);
    assert!(files(60_000) > 0);
}

#[test]
fn the_steps_of_a_range_choose_a_tier_when_it_is_preferred() {
    let store = opened(&TestFolder::new(), &setting(1_000_000, &LENGTHS));
    let begin = 1_700_000_040_000;
    for step in 1..=120 {
        store.append(at(begin + step * STEP), &[sample(1, begin + step * STEP)]).unwrap();
    }
    let engine = Engine::new(EngineOptions::default().tiers(TierUse::Preferred));
    let said = |text: &str, step: i64| {
        let expr = promql::parse(text).unwrap();
        let answer = engine.range(&expr, &store, begin + 300_000, begin + 600_000, step).unwrap();
        answer.annotations.infos("").join("")
    };
    assert!(said("max_over_time(b[2m])", 120_000).contains("the tier of 60s"));
    assert!(said("max_over_time(b[2m])", 30_000).contains("the tier of 20s"));
    assert_eq!(said("max_over_time(b[2m])", 5_000), "");
    assert_eq!(said("quantile_over_time(0.5, b[2m])", 120_000), "");
}

#[test]
fn a_damaged_file_of_a_tier_is_set_aside() {
    let folder = TestFolder::new();
    let config = setting(1_000_000, &LENGTHS[..1]);
    let store = opened(&folder, &config);
    let begin = 1_700_000_040_000;
    for step in 1..=40 {
        store.append(at(begin + step * STEP), &[sample(1, begin + step * STEP)]).unwrap();
    }
    store.compact(at(begin + 300_000)).unwrap();
    let name = folder.names().into_iter().find(|name| name.starts_with("tier-")).unwrap();
    folder.damage(&name, 12);
    let engine = Engine::new(EngineOptions::default().tiers(TierUse::Only(Duration::from_secs(20))));
    let expr = promql::parse("count_over_time(b[1m])").unwrap();
    assert!(values(&engine.instant(&expr, &store, begin + 60_000).unwrap()).is_empty());
    assert_eq!(store.stats().quarantined, 1);
    assert!(folder.names().contains(&format!("{name}.quarantined")));
}
