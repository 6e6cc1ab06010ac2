//! Plans over the embedded store: what is followed is what is read, whatever happens to the store between the ticks.

use std::time::Duration;

use itom_core::{
    Histogram, Interval, LabelName, Labels, MatchOp, Matcher, MetricName, SampleKind, Timestamp,
};
use itom_metrics::eval::{Engine, EngineOptions, Plan};
use itom_metrics::{LabelMatcher, NewHistogram, NewSample, Queryable, SeriesStore, StoreConfig, promql};
use proptest::prelude::*;

const STEP: i64 = 5_000;

/// What happens to a store.
#[derive(Debug, Clone)]
enum Event {
    /// Samples of this series, so many steps late.
    Append { series: u8, late: i64, value: i8 },
    /// A histogram, likewise.
    Histogram { series: u8, late: i64, count: u8 },
    /// Everything of this series in so many of the last steps is deleted.
    Delete { series: u8, steps: i64 },
    /// Retention is applied.
    Maintain,
    /// Time goes on by so many steps.
    Pass(i64),
    /// The rules are evaluated.
    Tick,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..6_u8, prop_oneof![6 => Just(0_i64), 1 => 1..12_i64], any::<i8>())
            .prop_map(|(series, late, value)| Event::Append { series, late, value }),
        1 => (0..6_u8, 0..3_i64, any::<u8>())
            .prop_map(|(series, late, count)| Event::Histogram { series, late, count }),
        1 => (0..6_u8, 1..30_i64).prop_map(|(series, steps)| Event::Delete { series, steps }),
        1 => Just(Event::Maintain),
        6 => prop_oneof![8 => Just(1_i64), 1 => 2..60_i64].prop_map(Event::Pass),
        5 => Just(Event::Tick),
    ]
}

const RULES: [&str; 6] = [
    "rate(a_total[1m])",
    "sum by (Zone) (increase({__name__=~\"a_total|b\"}[4m]))",
    "b offset 20s",
    "max_over_time(b{n=\"1\"}[2m]) - min_over_time(b{n=\"1\"}[1m])",
    "count_over_time({n=~\".+\"}[10m])",
    "histogram_count(b) or a_total > 3",
];

fn names(series: u8) -> (MetricName, Labels) {
    let metric = if series < 3 { "a_total" } else { "b" };
    // A name in upper case sorts before `__name__`.
    let labels = [("n", (series % 3).to_string()), ("Zone", (series % 2).to_string())];
    (MetricName::literal(metric), Labels::from_pairs(labels).expect("labels"))
}

fn matcher(series: u8) -> Vec<Matcher> {
    let (metric, labels) = names(series);
    let equal = |name: &str, value: &str| Matcher {
        name: LabelName::new(name).expect("a name"),
        op: MatchOp::Equal,
        value: value.into(),
    };
    let name = equal("__name__", metric.as_str());
    std::iter::once(name).chain(labels.iter().map(|(name, value)| equal(name.as_str(), value))).collect()
}

/// A store under test.
trait Changing {
    fn append(&self, now: Timestamp, sample: NewSample);
    fn histogram(&self, now: Timestamp, histogram: NewHistogram);
    fn delete(&self, matchers: &[Matcher], range: Interval);
    fn maintain(&self, now: Timestamp);
    fn read(&self) -> &dyn Queryable;
}

/// The same store, as one that cannot be followed.
#[derive(Debug)]
struct Plain<'a>(&'a dyn Queryable);

impl Queryable for Plain<'_> {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: itom_metrics::TimeRange,
        hints: &itom_metrics::SelectHints,
    ) -> Result<Vec<itom_metrics::SelectedSeries>, itom_metrics::QueryableError> {
        self.0.select(matchers, range, hints)
    }
}

fn check(store: &dyn Changing, events: &[Event]) -> Result<(), TestCaseError> {
    let engine = Engine::new(EngineOptions::default());
    let exprs: Vec<_> = RULES.iter().map(|rule| promql::parse(rule).expect(rule)).collect();
    let mut plan = Plan::new(exprs.clone());
    prop_assert!(store.read().as_followable().is_some());
    let mut now = 1_700_000_000_000;
    for event in events {
        let at = |late: i64| Timestamp::from_millis(now - late * STEP);
        match event {
            Event::Append { series, late, value } => {
                let (metric, labels) = names(*series);
                let kind = if *series < 3 { SampleKind::Counter } else { SampleKind::Gauge };
                let value =
                    if *value == 7 { f64::from_bits(0x7ff0_0000_0000_0002) } else { f64::from(*value) };
                let sample = NewSample { metric, labels, kind, subject: None, at: at(*late), value };
                store.append(at(0), sample);
            }
            Event::Histogram { series, late, count } => {
                let (metric, labels) = names(series % 3 + 3);
                let mut histogram = Histogram::default();
                histogram.count = f64::from(*count);
                histogram.zero_count = histogram.count;
                let (at, histogram) = (at(*late), histogram.into());
                let kind = SampleKind::Gauge;
                store.histogram(
                    Timestamp::from_millis(now),
                    NewHistogram { metric, labels, kind, subject: None, at, histogram },
                );
            }
            Event::Delete { series, steps } => {
                let range = Interval::new(at(*steps), at(-1));
                store.delete(&matcher(*series), range);
            }
            Event::Maintain => store.maintain(at(0)),
            Event::Pass(steps) => now += steps * STEP,
            Event::Tick => {
                let plain: Vec<_> = exprs
                    .iter()
                    .map(|expr| format!("{:?}", engine.instant(expr, &Plain(store.read()), now)))
                    .collect();
                let planned = plan.evaluate(&engine, store.read(), now);
                let planned: Vec<_> = planned.iter().map(|one| format!("{one:?}")).collect();
                prop_assert_eq!(planned, plain);
            }
        }
    }
    Ok(())
}

impl Changing for SeriesStore {
    fn append(&self, now: Timestamp, sample: NewSample) {
        itom_metrics::Samples::append(self, now, &[sample]);
    }
    fn histogram(&self, now: Timestamp, histogram: NewHistogram) {
        self.append_histograms(now, &[histogram]);
    }
    fn delete(&self, matchers: &[Matcher], range: Interval) {
        Self::delete(self, matchers, range).expect("no regular expression");
    }
    fn maintain(&self, now: Timestamp) {
        itom_metrics::Samples::maintain(self, now);
    }
    fn read(&self) -> &dyn Queryable {
        self
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn l2_followed_equals_read(
        events in prop::collection::vec(event(), 1..250),
        retention in prop_oneof![Just(60_u64), Just(300), Just(7_200)],
    ) {
        let mut config = StoreConfig::default();
        config.retention = Duration::from_secs(retention);
        config.out_of_order = Duration::from_secs(40);
        check(&SeriesStore::new(config), &events)?;
    }
}
