use super::*;

const RULES: &str = "groups:
- name: g
  rules:
  - {record: 'job:up:sum', expr: 'sum by (job) (up)'}
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.job }} is down in {{ $externalLabels.site }} since {{ $value }}'}
";

fn run(tests: &str) -> Vec<TestReport> {
    RuleTests::parse("t.yml", tests, [("r.yml", RULES)], RuleTestOptions::default())
        .unwrap_or_else(|errors| panic!("{errors:?}"))
        .run()
}

fn failures(tests: &str) -> Vec<String> {
    let failure = |failure: &TestFailure| format!("{}: {failure}", failure.place.line);
    run(tests).iter().flat_map(|test| &test.failures).map(failure).collect()
}

const INPUT: &str = "rule_files: [r.yml]
tests:
- name: down
  external_labels: {site: ber}
  input_series: [{series: 'up{job=\"web\"}', values: '1 0x10'}]
";

#[test]
fn alerts_fire_with_their_labels_and_annotations() {
    let good = format!(
        "{INPUT}  alert_rule_test:
  - {{eval_time: 2m, alertname: Down}}
  - {{eval_time: 3m30s, alertname: Down, exp_alerts: [{{exp_labels: {{severity: page, job: web}}, exp_annotations: {{summary: \
         web is down in ber since 0}}}}]}}
"
    );
    assert_eq!(failures(&good), Vec::<String>::new());
    let wrong = good.replace("since 0", "since 1");
    let [failure] = failures(&wrong).try_into().expect("one failure");
    assert!(
        failure.starts_with("8: alert \"Down\" at 3m30s\n  expected:\n    labels {alertname"),
        "{failure}"
    );
    let none = good.replace("2m, alertname: Down", "3m, alertname: Down");
    assert_eq!(failures(&none).len(), 1);
    assert!(failures(&none)[0].contains("expected: nothing\n  got:\n    labels {"), "{:?}", failures(&none));
}

#[test]
fn expressions_see_what_the_last_evaluation_saw() {
    let case = |expr: &str, at: &str, samples: &str| {
        format!("{INPUT}  promql_expr_test: [{{expr: '{expr}', eval_time: {at}, exp_samples: {samples}}}]\n")
    };
    assert!(
        failures(&case("job:up:sum", "1m", "[{labels: 'job:up:sum{job=\"web\"}', value: 0}]")).is_empty()
    );
    // The sample of 1m comes with the evaluation of 1m, which is not made for a test that ends before.
    assert!(failures(&case("up", "59s", "[{labels: 'up{job=\"web\"}', value: 1}]")).is_empty());
    let failure = &failures(&case("up", "1m", "[{labels: up, value: 0}]"))[0];
    assert!(failure.contains("got:\n    {__name__=\"up\", job=\"web\"} 0"), "{failure}");
    let failure = &failures(&case("up +", "1m", "[]"))[0];
    assert!(failure.starts_with("6: \"up +\" at 1m: 1:5: "), "{failure}");
    let failure = &failures(&case("up", "1m", "[{labels: 'up{'}]"))[0];
    assert!(failure.contains("labels \"up{\": column 4"), "{failure}");
    assert!(!failures(&case("vector(NaN)", "1m", "[{value: .nan}]")).is_empty(), "as in promtool");
}

#[test]
fn fuzzy_floats_are_next_to_each_other() {
    let file = |fuzzy: bool, value: &str| {
        format!(
            "fuzzy_compare: {fuzzy}\ntests: [{{input_series: [{{series: a, values: {value}}}], \
             promql_expr_test: [{{expr: a, exp_samples: [{{labels: a, value: 3}}]}}]}}]"
        )
    };
    assert_eq!(failures(&file(true, "2.9999999999999996")).len(), 0);
    assert_eq!(failures(&file(false, "2.9999999999999996")).len(), 1);
    assert_eq!(failures(&file(true, "2.9999999999999987")).len(), 1);
}

#[test]
fn a_rule_that_cannot_be_evaluated_ends_the_test() {
    let rules = "groups: [{name: g, rules: [{record: r, expr: 'a + on(x) b'}]}]";
    let tests = "rule_files: [r]\ntests: [{input_series: [{series: 'a{x=\"1\"}', values: 1}, {series: 'b{x=\"1\",y=\"1\"}', values: 1}, \
                 {series: 'b{x=\"1\",y=\"2\"}', values: 1}], promql_expr_test: [{expr: a, eval_time: 9m}]}]";
    let tests = RuleTests::parse("t", tests, [("r", rules)], RuleTestOptions::default()).expect("it is good");
    let report = &tests.run()[0];
    assert_eq!(report.failures.len(), 1, "{report:?}");
    assert!(report.failures[0].what.contains("rule \"r\" at 0"), "{report:?}");
}

#[test]
fn bad_series_bad_rules_and_endless_tests_are_refused() {
    assert!(
        failures("tests: [{input_series: [{series: 'up{a=\"b\"', values: 1}]}]")[0]
            .contains("expected a label")
    );
    let endless = "tests: [{interval: 1ms}]\nevaluation_interval: 1ms";
    assert_eq!(failures(endless), Vec::<String>::new());
    let endless = "evaluation_interval: 1ms\ntests: [{promql_expr_test: [{expr: up, eval_time: 100y}]}]";
    assert!(failures(endless)[0].contains("make evaluation_interval longer"));
    let bad = RuleTests::parse(
        "t.yml",
        "rule_files: [r.yml]\ntests: [{}]",
        [("r.yml", "groups: [{name: g, rules: [{alert: a, expr: up, annotations: {a: '{{ $x }}'}}]}]")],
        RuleTestOptions::default(),
    );
    assert!(bad.expect_err("the template is wrong")[0].to_string().contains("undefined variable"));
}
