use itom_core::STALE_NAN_BITS;
use proptest::prelude::*;

use super::notation::SequenceValue;
use super::{Script, parse_series};

fn floats(text: &str) -> Vec<Option<f64>> {
    let line = parse_series(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    line.values
        .iter()
        .map(|value| match value {
            SequenceValue::Float(value) => Some(*value),
            SequenceValue::Omitted => None,
            SequenceValue::Histogram { .. } => panic!("a histogram in {text}"),
        })
        .collect()
}

#[test]
fn sequences_expand_by_repeated_addition() {
    assert_eq!(floats("m 1 -2 +3 .5 1e3"), [1.0, -2.0, 3.0, 0.5, 1000.0].map(Some));
    assert_eq!(floats("m 1x2 _x2 _"), [Some(1.0), Some(1.0), Some(1.0), None, None, None]);
    assert_eq!(floats("m 1+2x2"), [1.0, 3.0, 5.0].map(Some));
    assert_eq!(floats("m 0.1+0.1x2")[2], Some(0.1 + 0.1 + 0.1));
    assert_eq!(
        floats("m -2-1x1 Inf -inf"),
        [Some(-2.0), Some(-3.0), Some(f64::INFINITY), Some(f64::NEG_INFINITY)]
    );
    assert_eq!(floats("m stale")[0].map(f64::to_bits), Some(STALE_NAN_BITS));
    assert_eq!(floats("m"), []);
}

#[test]
fn labels_are_any_text() {
    let labels =
        |text: &str| parse_series(text).unwrap_or_else(|error| panic!("{text}: {error}")).labels.to_string();
    assert_eq!(labels(r#"up{job="a, b", zone=""} 1"#), r#"{__name__="up", job="a, b"}"#);
    assert_eq!(
        labels(r#"{"my.metric", 'the label'="\x41"} 1"#),
        r#"{__name__="my.metric", "the label"="A"}"#
    );
    assert_eq!(labels("{} 1"), "{}");
    assert_eq!(labels("up {{count:1}}"), r#"{__name__="up"}"#);
}

#[test]
fn histograms_have_their_fields_and_steps() {
    let line = parse_series("m {{schema:1 sum:2 count:3 buckets:[1 2] offset:-1 counter_reset_hint:gauge}}+{{schema:1 sum:1 count:1 buckets:[1] counter_reset_hint:gauge}}x2")
        .expect("a line");
    assert_eq!(line.values.len(), 3);
    let SequenceValue::Histogram { histogram, hinted } = &line.values[2] else { panic!("a histogram") };
    assert!(*hinted);
    assert_eq!((histogram.sum, histogram.count), (4.0, 5.0));
    assert_eq!(histogram.positive.iter().collect::<Vec<_>>(), [(-1, 1.0), (0, 4.0)]);
}

#[test]
fn bad_lines_are_refused_with_their_place() {
    for (text, at) in [
        ("", 0),
        ("m{a=1} 2", 4),
        ("m{a=\"b} 2", 4),
        ("m 1 2z", 5),
        ("m 1x", 4),
        ("m 1+2", 5),
        ("m {{schema:99}}", 2),
        ("m {{sum:x}}", 2),
        ("m {{sum:1", 2),
        ("m 1x99999999999", 15),
        ("m {{}}x3000000", 14),
    ] {
        match parse_series(text) {
            Err(error) => assert_eq!(error.at, at, "{text}: {error}"),
            Ok(line) => panic!("{text}: {line:?}"),
        }
    }
    let script =
        |text: &str| Script::parse("x.test", text).map(|script| script.cases()).map_err(|error| error.line);
    assert_eq!(script("clear\n\nnonsense"), Err(3));
    assert_eq!(script("load 5\n  m 1"), Err(1));
    assert_eq!(script("eval instant at 5m\n"), Err(1));
    assert_eq!(script("eval range from 0 to 1m stepp 1m up"), Err(1));
    assert_eq!(
        script("eval instant at 1m up\n  expect warn msg: a\n  {} 1\n# ends it\n\neval instant at 1m up"),
        Ok(2)
    );
}

#[test]
fn wrong_answers_are_found() {
    let failure = |text: &str| {
        let script = Script::parse("x.test", text).unwrap_or_else(|error| panic!("{error}"));
        let reports = script.run();
        assert_eq!(reports.len(), 1);
        reports[0].failure.clone()
    };
    let load = "load 1m\n  up{job=\"a\"} 0+1x10\n  up{job=\"b\"} 5x10\n\n";
    let with = |text: &str| failure(&format!("{load}{text}"));
    assert_eq!(with("eval instant at 5m sum(up)\n  {} 10"), None);
    assert!(with("eval instant at 5m sum(up)\n  {} 10.1").is_some());
    assert!(with("eval instant at 5m sum(up)\n").is_some(), "more than expected");
    assert!(with("eval instant at 5m up\n  up{job=\"a\"} 5").is_some(), "one too few expected");
    assert!(
        with("eval instant at 5m up == 5\n  up{job=\"a\"} 5\n  up{job=\"b\"} 5\n  up{job=\"c\"} 5").is_some()
    );
    assert!(
        with("eval instant at 5m sort(up)\n  expect ordered\n  up{job=\"b\"} 5\n  up{job=\"a\"} 5").is_some()
    );
    assert!(with("eval instant at 5m up\n  expect fail").is_some());
    assert_eq!(with("eval instant at 5m up{\n  expect fail"), None);
    assert!(with("eval instant at 5m up{\n  expect fail msg: something else").is_some());
    assert!(with("eval instant at 5m 1 + 1\n  3").is_some());
    assert_eq!(with("eval instant at 5m 1 + 1\n  2"), None);
    assert_eq!(with("eval instant at 5m \"a\"\n  expect string \"a\""), None);
    assert!(with("eval instant at 5m \"a\"\n  expect string \"b\"").is_some());
    assert_eq!(with("eval range from 0 to 2m step 1m up{job=\"a\"}\n  up{job=\"a\"} 0 1 2"), None);
    assert!(with("eval range from 0 to 2m step 1m up{job=\"a\"}\n  up{job=\"a\"} 0 1").is_some());
    assert!(with("eval range from 0 to 2m step 1m up{job=\"a\"}\n  up{job=\"a\"} 0 1 2 3").is_some());
    assert!(
        with("eval instant at 5m rate(up[5m])\n  expect no_info\n  {job=\"a\"} 0.0166666\n  {job=\"b\"} 0")
            .is_some()
    );
    assert!(
        failure("load 1m\n  m {{schema:0 count:1}}\n  m_bucket{le=\"x\"} 1\n\neval instant at 0 m\n  m 1")
            .is_some()
    );
}

proptest! {
    #[test]
    fn l10_any_text_is_a_script_or_an_error(text in "(.|\n){0,300}") {
        let _ = Script::parse("any", &text);
        let _ = parse_series(&text);
    }

    #[test]
    fn l10_almost_scripts(parts in proptest::collection::vec(proptest::sample::select(vec![
        "load 1m\n", "  m{a=\"b\"} ", "1", "+2", "x3", "_", " ", "{{", "}}", "schema:1 ", "buckets:[1 2] ", "stale", "\n",
        "clear\n", "eval instant at 1m ", "m", "eval range from 0 to 5m step 1m ", "sum(m)", "  expect ", "warn", "fail",
        " msg: x", "@st", "-1mx2", "-30s-1mx2", "\n\n", "  {} 1\n", "rate(m[5m])", "load_with_nhcb 1m\n",
        "  h_bucket{le=\"1\"} 1 2\n", "  h_count 2 3\n",
    ]), 0..24)) {
        if let Ok(script) = Script::parse("almost", &parts.concat()) {
            let _ = script.run();
        }
    }
}
