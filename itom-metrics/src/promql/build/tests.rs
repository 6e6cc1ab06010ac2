use std::time::Duration;

use itom_core::Timestamp;
use proptest::prelude::*;

use super::*;

fn built(query: impl Vector) -> String {
    let query: Query = query.into();
    let expr = query.clone().build().unwrap_or_else(|error| panic!("{query}: {error}"));
    assert_eq!(&expr, query.expr(), "{query}");
    expr.to_string()
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn builders_give_the_tree_of_the_text() {
    for (query, text) in [
        (metric("up").into(), "up"),
        (
            rate("http_requests_total").range(5 * MINUTE).by(["job"]).gt(3),
            "sum by (job) (rate(http_requests_total[5m])) > 3",
        ),
        (metric("up").with("job", "web").equal_to(0), r#"up{job="web"} == 0"#),
        (
            1.0 - rate(metric("cpu").with("mode", "idle")).avg_by(["instance"]),
            r#"1 - avg by (instance) (rate(cpu{mode="idle"}[5m]))"#,
        ),
        ((metric("a") + metric("b")) * 2.0, "(a + b) * 2"),
        (metric("a") - (metric("b") - metric("c")), "a - (b - c)"),
        (metric("a") - metric("b") - metric("c"), "a - b - c"),
        (metric("a").ago(MINUTE).or(metric("b")).and(metric("c")), "(a offset 1m or b) and c"),
        (metric("a").at(Timestamp::from_secs(60)).into(), "a @ 60"),
        (
            metric("a").join(BinaryOp::Div, metric("b")).on(["x"]).group_left(["y"]).into(),
            "a / on (x) group_left (y) b",
        ),
        (metric("a").join(BinaryOp::Greater, 1).as_bool().into(), "a > bool 1"),
        (metric("a").join(BinaryOp::Pow, metric("b").join(BinaryOp::Pow, -1)).into(), "a ^ b ^ -1"),
        (
            predict_linear(metric("free").range(60 * MINUTE), 240 * MINUTE).lt(0),
            "predict_linear(free[1h], 14400) < 0",
        ),
        (quantile_over_time(0.9, "lag").range(MINUTE).max(), "max(quantile_over_time(0.9, lag[1m]))"),
        (
            max_over_time(rate("x").over(60 * MINUTE, Some(MINUTE))).into(),
            "max_over_time(rate(x[5m])[1h:1m])",
        ),
        (max_over_time((metric("a") + 1.0).over(60 * MINUTE, None)).into(), "max_over_time((a + 1)[1h:])"),
        (
            rate("b").by(["le"]).histogram_quantile(0.99),
            "histogram_quantile(0.99, sum by (le) (rate(b[5m])))",
        ),
        (metric("up").topk(3), "topk(3, up)"),
        (series().matches("__name__", "a|b").count(), r#"count({__name__=~"a|b"})"#),
        (metric("up").absent(), "absent(up)"),
    ] {
        let query: Query = query;
        assert_eq!(query.clone().build().as_ref(), parse(text).as_ref(), "{text}");
        assert_eq!(built(query), parse(text).expect(text).to_string());
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (query, wanted) in [
        (Query::from(metric("up").matches("job", "(")), "regexp"),
        (series().with("job", "").into(), "at least one non-empty matcher"),
        (
            metric("a").join(BinaryOp::Div, metric("b")).on(["x"]).group_left(["x"]).into(),
            "must not occur in ON and GROUP",
        ),
        (metric("a").join(BinaryOp::Add, 1).as_bool().into(), "bool modifier"),
    ] {
        let error = query.clone().build().expect_err("it is wrong");
        assert!(error.to_string().contains(wanted), "{query}: {error}");
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z_][a-z0-9_:]{0,8}",
        1 => "[a-zé.\" \\\\-]{1,8}",
        1 => prop::sample::select(vec!["sum", "by", "offset", "and", "bool", "inf", "nan", "on", "rate", "start"]).prop_map(str::to_owned),
    ]
}

fn selector() -> impl Strategy<Value = Series> {
    let conditions = prop::collection::vec((name(), "[a-z\"\\\\\n]{0,5}", any::<bool>()), 0..3);
    (name(), conditions, prop::option::of(1u64..10_000_000)).prop_map(|(name, conditions, ago)| {
        let mut series = metric(name);
        for (label, value, equal) in conditions {
            // A name twice is a mistake of its own.
            let label = if label == "__name__" { "job".to_owned() } else { label };
            series = if equal { series.with(label, value) } else { series.without(label, value) };
        }
        match ago {
            Some(ago) => series.ago(Duration::from_millis(ago)),
            None => series,
        }
    })
}

fn query() -> impl Strategy<Value = Query> {
    let leaf = prop_oneof![
        selector().prop_map(Query::from),
        (selector(), 1u64..1_000_000)
            .prop_map(|(series, range)| rate(series.range(Duration::from_millis(range))).into()),
    ];
    leaf.prop_recursive(5, 40, 2, |inner| {
        let number = prop_oneof![any::<f64>(), (-9i32..9).prop_map(f64::from)];
        let ops = prop::sample::select(vec![
            BinaryOp::Add,
            BinaryOp::Sub,
            BinaryOp::Mul,
            BinaryOp::Div,
            BinaryOp::Mod,
            BinaryOp::Pow,
            BinaryOp::Atan2,
            BinaryOp::Greater,
            BinaryOp::Equal,
            BinaryOp::LessEqual,
            BinaryOp::And,
            BinaryOp::Or,
            BinaryOp::Unless,
        ]);
        let arithmetic = prop::sample::select(vec![
            BinaryOp::Add,
            BinaryOp::Sub,
            BinaryOp::Pow,
            BinaryOp::Less,
            BinaryOp::Div,
        ]);
        prop_oneof![
            (inner.clone(), ops, inner.clone(), name(), any::<bool>()).prop_map(|(a, op, b, label, on)| {
                let joined = a.join(op, b);
                if on { joined.on([label]).into() } else { joined.into() }
            }),
            (inner.clone(), arithmetic, number.clone(), any::<bool>()).prop_map(|(a, op, b, swap)| {
                if swap { Joined::new(op, b.into(), a).into() } else { a.join(op, b).into() }
            }),
            (inner.clone(), prop::collection::vec(name(), 0..3)).prop_map(|(a, by)| a.max_by(by)),
            (inner.clone(), number).prop_map(|(a, q)| a.quantile(q)),
            (inner.clone(), 1u64..100_000, prop::option::of(1u64..100_000)).prop_map(|(a, range, step)| {
                let millis = Duration::from_millis;
                increase(a.over(millis(range), step.map(millis))).into()
            }),
            inner.prop_map(|a| a.abs()),
        ]
    })
}

proptest! {
    #[test]
    fn l10_what_is_built_prints_and_parses_back_equal(query in query()) {
        let text = query.to_string();
        match query.clone().build() {
            Ok(expr) => prop_assert_eq!(&expr, query.expr(), "{}", text),
            // Depth and the like; never because the text reads otherwise.
            Err(error) => prop_assert!(error.to_string().contains("nested deeper"), "{}: {}", text, error),
        }
    }
}
