//! Plans over the durable store: what is followed is what is read, whatever is late, deleted, moved, merged or expired
//! between the ticks.

use proptest::prelude::*;

use super::*;
use crate::eval::{Engine, EngineOptions, Plan};
use crate::{LabelMatcher, Queryable, QueryableError, SelectHints, SelectedSeries, TimeRange, promql};

const STEP: i64 = 5_000;

/// What happens to a store.
#[derive(Debug, Clone)]
enum Event {
    /// A sample of this series, so many steps late.
    Append(u8, i64),
    Histogram(u8, i64),
    /// Everything of the series that fit in so many of the last steps is deleted.
    Delete(Vec<Matcher>, i64),
    Compact,
    Flush,
    /// A compaction that the disk refuses after so many effects.
    Refused(u64),
    Reopen,
    /// A segment is found damaged.
    Damage,
    Pass(i64),
    Tick,
}

fn event() -> impl Strategy<Value = Event> {
    let late = || prop_oneof![6 => Just(0_i64), 2 => 1..12_i64, 1 => 12..40_i64];
    prop_oneof![
        16 => (0..6_u8, late()).prop_map(|(series, late)| Event::Append(series, late)),
        2 => (0..6_u8, late()).prop_map(|(series, late)| Event::Histogram(series, late)),
        1 => (matchers(), 1..30_i64).prop_map(|(matchers, steps)| Event::Delete(matchers, steps)),
        3 => Just(Event::Compact),
        2 => Just(Event::Flush),
        1 => (0..12_u64).prop_map(Event::Refused),
        1 => Just(Event::Reopen),
        1 => Just(Event::Damage),
        8 => prop_oneof![8 => Just(1_i64), 1 => 2..40_i64].prop_map(Event::Pass),
        8 => Just(Event::Tick),
    ]
}

const RULES: [&str; 9] = [
    "rate(a_total[1m])",
    "sum by (n) (increase({__name__=~\"a_total|b\"}[4m]))",
    "b offset 20s",
    "max_over_time(b{n=\"1\"}[2m]) - min_over_time(b{n=\"1\"}[1m])",
    "count_over_time({n=~\".+\"}[10m])",
    "histogram_count(b) or a_total > 3",
    "b - b offset 1m",
    "a_total - a_total @ 1700000000",
    "sum_over_time(a_total[3m] offset 5m)",
];

/// The same store, as one that cannot be followed.
#[derive(Debug)]
struct Plain<'a>(&'a DurableStore);

impl Queryable for Plain<'_> {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        self.0.select(matchers, range, hints)
    }
}

fn small(retention: u64) -> DurableConfig {
    let mut config = config();
    config.retention = Duration::from_secs(retention);
    config.memory.out_of_order = Duration::from_secs(150);
    config.keep_in_memory = Duration::from_secs(50);
    config.segment_after = Duration::from_secs(90);
    config.max_segment = Duration::from_secs(400);
    config
}

fn opened(folder: &TestFolder, retention: u64) -> DurableStore {
    DurableStore::open_in(Arc::new(folder.clone()), small(retention), None).unwrap().0
}

fn check(events: &[Event], retention: u64) -> Result<(), TestCaseError> {
    let engine = Engine::new(EngineOptions::default());
    let exprs: Vec<_> = RULES.iter().map(|rule| promql::parse(rule).expect(rule)).collect();
    let folder = TestFolder::new();
    let mut store = opened(&folder, retention);
    let mut plan = Plan::new(exprs.clone());
    let mut now = 1_700_000_000_000;
    for (number, event) in events.iter().enumerate() {
        let told = Timestamp::from_millis(now);
        // Another value each time: of two for one time the same one must be seen by all.
        let named = |series: u8, late: i64| {
            let mut sample = sample(series, now - late * STEP);
            sample.value =
                if number % 11 == 5 { f64::from_bits(0x7ff0_0000_0000_0002) } else { number as f64 };
            sample
        };
        match event {
            Event::Append(series, late) => drop(store.append(told, &[named(*series, *late)]).unwrap()),
            Event::Histogram(series, late) => {
                let NewSample { metric, labels, kind, subject, at, value } = named(*series, *late);
                let mut histogram = Histogram::exponential(Schema::MAX);
                (histogram.sum, histogram.count, histogram.zero_count) = (value, 3.0, 3.0);
                let histogram = Arc::new(histogram);
                let one = NewHistogram { metric, labels, kind, subject, at, histogram };
                store.append_histograms(told, &[one]).unwrap();
            }
            Event::Delete(matchers, steps) => {
                store.delete(matchers, range(now - steps * STEP, now + 1)).unwrap();
            }
            Event::Compact => drop(store.compact(told).unwrap()),
            Event::Flush => drop(store.flush().unwrap()),
            Event::Refused(after) => {
                folder.fails_at.store(folder.effects.load(Ordering::Relaxed) + after, Ordering::Relaxed);
                let _ =
                    if after % 2 == 0 { store.flush() } else { store.compact(told).map(|done| done.moved) };
                folder.heal();
            }
            Event::Reopen => {
                drop(store);
                store = opened(&folder, retention);
                // A plan is of one store.
                plan = Plan::new(exprs.clone());
            }
            Event::Damage => {
                let segment = folder.names().into_iter().find(|name| name.starts_with("segment-"));
                if let Some(name) = segment.filter(|name| name.ends_with(".itom")) {
                    folder.damage(&name, 12);
                    store.select_matching(&[], Interval::ALWAYS).unwrap();
                }
            }
            Event::Pass(steps) => now += steps * STEP,
            Event::Tick => {
                let plain = Plain(&store);
                let plain: Vec<_> =
                    exprs.iter().map(|expr| format!("{:?}", engine.instant(expr, &plain, now))).collect();
                let planned = plan.evaluate(&engine, &store, now);
                let planned: Vec<_> = planned.iter().map(|one| format!("{one:?}")).collect();
                prop_assert_eq!(planned, plain, "after event {}", number);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(96), ..ProptestConfig::default() })]

    #[test]
    fn l2_followed_equals_read_of_the_durable_store(
        events in prop::collection::vec(event(), 1..200),
        retention in prop_oneof![Just(120_u64), Just(300), Just(7_200)],
    ) {
        check(&events, retention)?;
    }
}
