//! Expressions that are planned together give what each gives alone.

use itom_metrics::eval::{Engine, EngineOptions, Plan};
use itom_metrics::{
    LabelMatcher, LabelSet, MemorySeries, Queryable, QueryableError, SelectHints, SelectedSeries, TimeRange,
    promql,
};
use proptest::prelude::*;

/// A store whose series cannot be followed.
#[derive(Debug)]
struct Plain<'a>(&'a MemorySeries);

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

/// Expressions that share selectors and parts in many ways, some of them failing or remarked upon.
fn vector() -> impl Strategy<Value = String> {
    let selector = prop_oneof![
        Just("a_total"),
        Just("b_total"),
        Just("a_total{x=\"1\"}"),
        Just("{__name__=~\"[ab]_total\"}"),
        Just("b_total{x=~\"1|2\"}"),
        Just("c"),
    ];
    let leaf = (selector, 0..14_usize).prop_map(|(s, form)| match form {
        0 => format!("rate({s}[1m])"),
        1 => format!("increase({s}[2m] offset 30s)"),
        2 => format!("avg_over_time({s}[45s])"),
        3 => format!("{s} @ 60"),
        4 => format!("max_over_time(rate({s}[1m])[2m:20s])"),
        5 => format!("predict_linear({s}[2m], 60)"),
        6 => format!("quantile_over_time(0.7, {s}[1m])"),
        7 => format!("absent({s})"),
        8 => format!("timestamp({s})"),
        9 => format!("stddev_over_time({s}[90s])"),
        10 => format!("{s} offset -15s"),
        11 => format!("histogram_quantile(2, {s})"),
        _ => s.to_owned(),
    });
    leaf.prop_recursive(3, 12, 2, |inner| {
        (inner.clone(), inner, 0..10_usize).prop_map(|(a, b, form)| match form {
            0 => format!("sum by (x) ({a})"),
            1 => format!("({a}) + on (x) group_left () ({b})"),
            2 => format!("({a}) > 1"),
            3 => format!("({a}) or ({b})"),
            4 => format!("({a}) / ignoring (y) ({b})"),
            5 => format!("topk(1, {a})"),
            6 => format!("avg({a}) - avg({b})"),
            7 => format!("({a}) unless on (x) ({b})"),
            8 => format!("({a}) > bool ({b})"),
            _ => format!("abs({a})"),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
    ))]

    /// Over random rule sets and streams, with series that come, pause and end, at times that mostly go forward.
    #[test]
    fn l2_planned_equals_plain(
        rules in prop::collection::vec(vector(), 1..6),
        stream in prop::collection::vec((0..6_usize, -3_i32..20, 0..9_u8), 1..160),
        ticks in prop::collection::vec((1..6_usize, -1_i64..4), 1..24),
        delayed in any::<bool>(),
    ) {
        let names = ["a_total", "b_total", "c"];
        let labels: Vec<LabelSet> = (0..6)
            .map(|n| LabelSet::from_pairs([("__name__", names[n % 3]), ("x", ["1", "2"][n / 3])]))
            .collect();
        let engine = Engine::new(EngineOptions::default().delayed_name_removal(delayed));
        let exprs: Vec<_> = rules.iter().map(|rule| promql::parse(rule).expect(rule)).collect();
        let mut following = Plan::new(exprs.clone());
        let mut reading = Plan::new(exprs.clone());
        let mut series = MemorySeries::new();
        let mut stream = stream.iter().cycle().zip(1_i64..);
        for (appended, forward) in ticks {
            let mut now = 0;
            for ((which, value, stale), step) in stream.by_ref().take(appended * 6) {
                now = step * 5_000;
                let value = if *stale == 0 { f64::from_bits(0x7ff0_0000_0000_0002) } else { f64::from(*value) / 3.0 };
                series.append_float(&labels[*which], now, value, 0).expect("in order");
            }
            let at = now + forward * 7_000;
            let plain: Vec<_> = exprs.iter().map(|expr| format!("{:?}", engine.instant(expr, &series, at))).collect();
            let followed: Vec<_> =
                following.evaluate(&engine, &series, at).iter().map(|one| format!("{one:?}")).collect();
            prop_assert_eq!(&followed, &plain);
            let read: Vec<_> =
                reading.evaluate(&engine, &Plain(&series), at).iter().map(|one| format!("{one:?}")).collect();
            prop_assert_eq!(&read, &plain);
        }
    }
}
