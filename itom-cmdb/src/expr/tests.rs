use itom_core::{Batch, CiKind, SourceName, Timestamp, Value, attr, kind, relation};
use proptest::prelude::*;

use super::scope::older_for_tests as older;
use super::{Expression, ExpressionError, Reach, Scope, Truth};
use crate::graph::{RelationGraph, RelationModel};
use crate::view::View;
use crate::{Cmdb, CmdbConfig};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn estate() -> (View, RelationGraph) {
    let mut batch = Batch::new(SourceName::literal("demo"), NOW);
    batch
        .ci("web-1", kind::HOST_LINUX)
        .attr(attr::HOST_NAME, "web-1")
        .attr(attr::OS_VERSION, "12")
        .attr(attr::HOST_CPU_COUNT, 4_i64)
        .attr(attr::HOST_BOOT_TIME, NOW)
        .attr(attr::HOST_TYPE, Value::NotApplicable)
        .attr(attr::HOST_ID, Value::Withheld)
        .attr(attr::HOST_ARCH, Value::Unknown);
    batch.ci("shop", kind::SERVICE).attr(attr::SERVICE_NAME, "shop");
    batch.ci("team-a", kind::TEAM).attr(attr::NAME, "Team A");
    batch.relation(relation::RUNS_ON, "shop", "web-1");
    batch.relation(relation::OWNED_BY, "shop", "team-a");
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let facts = cmdb.plan(&batch, NOW);
    cmdb.ingest(facts);
    let view = cmdb.view();
    let graph = view.graph(RelationModel::default()).expect("a graph of the view");
    (view, graph)
}

fn judge(kind: &itom_core::CiKind, text: &str) -> super::Answer {
    let (view, graph) = estate();
    let ci = view.by_kind(kind)[0];
    Expression::compile(text).expect("an expression").judge(&Scope::new(&view, ci, NOW).with_graph(&graph))
}

#[test]
fn three_answers() {
    let truth = |text: &str| judge(&kind::HOST, text).truth;
    for (text, expected) in [
        (r#"attr["os.version"] == "12""#, Truth::True),
        (r#"attr["os.version"] == "11""#, Truth::False),
        (r#"attr["host.cpu.count"] >= 4 && ci.name == "web-1""#, Truth::True),
        (r#"attr["nobody.says"] == 1"#, Truth::Unknown),
        (r#"attr["host.arch"] == "amd64""#, Truth::Unknown),
        (r#"attr["host.id"] == "x""#, Truth::Unknown),
        (r#"attr["host.type"] == null"#, Truth::True),
        (r#""host.id" in attr"#, Truth::False),
        (r#""os.version" in attr"#, Truth::True),
        (r#"attr["nobody.says"] == 1 || true"#, Truth::True),
        (r#"false && attr["nobody.says"] == 1"#, Truth::False),
        (r#"now - attr["host.boot.time"] < days(1)"#, Truth::True),
        (r#"now + hours(1) - minutes(60) == now"#, Truth::True),
        (r#"is_a(ci.kind, "host") && !is_a(ci.kind, "service")"#, Truth::True),
        (r#"incoming["runs_on"].exists(s, s.name == "shop")"#, Truth::True),
        (r#"size(outgoing["owned_by"]) == 0"#, Truth::True),
        (r#""runs_on" in incoming && !("owned_by" in incoming)"#, Truth::True),
        (r#""runs_on" in outgoing"#, Truth::False),
        (r#"breaks.exists(b, is_a(b.kind, "service"))"#, Truth::True),
        ("1 + 1", Truth::Unknown),
        (r#"ci.active && size(ci.sources) == 1 && ci.sources[0] == "demo""#, Truth::True),
        ("1 / 0 == 1", Truth::Unknown),
    ] {
        assert_eq!(truth(text), expected, "{text}");
    }
    let of_service = judge(&kind::SERVICE, r#"spofs.exists(s, s.attr["host.name"] == "web-1")"#);
    assert_eq!(of_service.truth, Truth::True, "{of_service:?}");
}

#[test]
fn answers_say_what_was_read_and_why_not_known() {
    let answer = judge(&kind::HOST, r#"attr["os.version"] == "12" && attr["host.id"] == "x""#);
    assert_eq!(answer.unknown_because.as_deref(), Some("`host.id` is withheld by its source"));
    let read: Vec<(String, bool)> =
        answer.read.iter().map(|why| (why.read.to_string(), why.source.is_some())).collect();
    assert_eq!(read, [("host.id".to_owned(), true), ("os.version".to_owned(), true)]);
    let answer = judge(&kind::HOST, "size(spofs) == 0 && attr[1] == 2");
    assert_eq!(answer.truth, Truth::Unknown);
    let (view, _) = estate();
    let without = Expression::compile("size(spofs) == 0").expect("an expression");
    let answer = without.judge(&Scope::new(&view, view.by_kind(&kind::HOST)[0], NOW));
    assert_eq!(answer.truth, Truth::Unknown, "no graph was given");
}

#[test]
fn answers_name_the_items_that_were_looked_at() {
    let read = |kind: &CiKind, text: &str| -> Vec<String> {
        let answer = judge(kind, text);
        answer.read.iter().map(|why| format!("{} = {}", why.read, why.value)).collect()
    };
    assert_eq!(read(&kind::SERVICE, "size(spofs) == 0"), ["spofs = web-1"]);
    assert_eq!(read(&kind::HOST, r#""owned_by" in outgoing"#), ["outgoing owned_by = "]);
    let of_host =
        read(&kind::HOST, r#"size(incoming["runs_on"]) > 0 && ci.kind == "host.linux" && ci.nothing == 1"#);
    assert_eq!(of_host.len(), 2, "{of_host:?}");
    assert_eq!(of_host[0], "ci.kind = host.linux");
    assert!(of_host[1].starts_with("incoming runs_on = "), "{of_host:?}");
    assert_eq!(read(&kind::HOST, r#"size(outgoing["no kind!"]) > 0"#), [""; 0]);
}

#[test]
fn reach_follows_the_names() {
    let of = |text: &str| Expression::compile(text).map(|own| (own.reach(), own.reads_time()));
    assert_eq!(of("ci.active"), Ok((Reach::Item, false)));
    assert_eq!(of("now > 0"), Ok((Reach::Item, true)));
    assert_eq!(of(r#"size(incoming["x"]) > 0"#), Ok((Reach::Neighbours, false)));
    assert_eq!(of("size(spofs) == 0 && ci.active"), Ok((Reach::Graph, false)));
    assert_eq!(of("[1, 2].exists(x, x == 2)"), Ok((Reach::Item, false)));
}

#[test]
fn bad_texts_are_refused_with_their_place() {
    match Expression::compile("ci.active &&\n  && true") {
        Err(ExpressionError::Syntax { line: 2, column, .. }) => assert!(column >= 3, "{column}"),
        other => panic!("{other:?}"),
    }
    for (text, name) in [("atrr['x'] == 1", "atrr"), ("dayz(3) > 1", "dayz"), ("ci.active.foo(1)", "foo")] {
        match Expression::compile(text) {
            Err(ExpressionError::UnknownName { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{text}: {other:?}"),
        }
    }
    let huge = "1 + ".repeat(2000);
    assert!(matches!(Expression::compile(&huge), Err(ExpressionError::TooLarge { .. })));
    for deep in ["(".repeat(3000), "!".repeat(3000), "[".repeat(40), "true ? ".repeat(300)] {
        assert!(matches!(Expression::compile(&deep), Err(ExpressionError::TooLarge { .. })), "{deep:.9}");
    }
    let loops = "[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))";
    assert!(
        matches!(Expression::compile(loops), Err(ExpressionError::TooLarge { what, .. }) if what.contains("loops"))
    );
    let chain = format!("{} true", "true && ".repeat(450));
    let _ = Expression::compile(&chain); // whichever way: it returns
}

#[test]
fn versions_are_ordered_as_debian_orders_them() {
    for (low, high) in [
        ("1.2", "1.10"),
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0a"),
        ("9", "10"),
        ("1.0a", "1.0+"),
        ("2.36-9", "2.36-9+deb12u4"),
        ("", "0.1"),
    ] {
        assert!(older(low, high), "{low} < {high}");
        assert!(!older(high, low), "{high} > {low}");
    }
    assert!(!older("1.02", "1.2") && !older("1.2", "1.02"), "leading zeros say nothing");
}

proptest! {
    #[test]
    fn l10_any_text_is_an_expression_or_an_error(text in ".{0,200}") {
        if let Ok(expression) = Expression::compile(&text) {
            let (view, graph) = estate();
            let ci = view.by_kind(&kind::HOST)[0];
            let _ = expression.judge(&Scope::new(&view, ci, NOW).with_graph(&graph));
        }
    }

    #[test]
    fn l10_almost_expressions(parts in proptest::collection::vec(proptest::sample::select(vec![
        "ci", ".name", "attr", "[\"os.version\"]", "(", ")", "[", "]", "{", "}", "&&", "||", "!", "-", "?", ":", "==",
        "1", "0.5", "\"x\"", "now", "days", ".all(x, ", "in", "<", "+", "%", "/", " ", "null", "size", ",", "9223372036854775807",
    ]), 0..40)) {
        if let Ok(expression) = Expression::compile(&parts.concat()) {
            let (view, graph) = estate();
            let ci = view.by_kind(&kind::HOST)[0];
            let _ = expression.judge(&Scope::new(&view, ci, NOW).with_graph(&graph));
        }
    }

    #[test]
    fn versions_have_an_order(a in "[0-9a-z.~+-]{0,8}", b in "[0-9a-z.~+-]{0,8}", c in "[0-9a-z.~+-]{0,8}") {
        prop_assert!(!(older(&a, &b) && older(&b, &a)));
        prop_assert!(!older(&a, &a));
        if older(&a, &b) && older(&b, &c) {
            prop_assert!(older(&a, &c));
        }
    }
}
