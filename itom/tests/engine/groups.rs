//! Prometheus rule groups in the engine: evaluated over its samples, stored back, told like all other alerts.

use std::any::Any;
use std::sync::Arc;

use itom::alert::notify::NoticeKind;
use itom::alert::prometheus::{AlertState, Health};
use itom::core::{
    EvaluateError, ExpressionError, LabelName, RuleEvaluation, RuleExpression, RuleLanguage, RuleSample,
    SampleValue, Selector, VirtualClock,
};
use itom::metrics::{Samples as _, SeriesStore};
use itom::prelude::*;
use itom::{BuildError, Simulation};

use crate::support::{START, TestJournal, TestNotifier, builder, host, secs, series};

/// `NAME > LIMIT` over the engine's samples.
#[derive(Debug)]
struct Above(Arc<SeriesStore>);

#[derive(Debug)]
struct AboveLimit(String, MetricName, f64);

impl RuleExpression for AboveLimit {
    fn source(&self) -> &str {
        &self.0
    }
    fn normal_form(&self) -> String {
        self.0.clone()
    }
    fn may_read(&self, metric: &str, _: Option<&str>) -> bool {
        self.1.as_str() == metric
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl RuleLanguage for Above {
    fn compile(&self, expression: &str) -> Result<Arc<dyn RuleExpression>, ExpressionError> {
        let wrong = || ExpressionError::at(expression, 0, "write NAME > LIMIT");
        let (name, limit) = expression.split_once(" > ").ok_or_else(wrong)?;
        let name = MetricName::new(name).map_err(|_| wrong())?;
        Ok(Arc::new(AboveLimit(expression.into(), name, limit.parse().map_err(|_| wrong())?)))
    }
    fn evaluate(
        &self,
        expressions: &[Arc<dyn RuleExpression>],
        at: Timestamp,
    ) -> Vec<Result<RuleEvaluation, EvaluateError>> {
        let one = |expression: &Arc<dyn RuleExpression>| {
            let AboveLimit(_, name, limit) = expression.as_any().downcast_ref().unwrap();
            let latest = self.0.latest(&Selector::new(name.clone()), at, secs(300))?;
            let above = latest.into_iter().filter(|sample| sample.value > *limit).map(|sample| {
                let named =
                    sample.labels.to_builder().set(LabelName::literal("__name__"), name.text().clone());
                RuleSample::new(named.build(), SampleValue::Float(sample.value)).about(sample.subject)
            });
            Ok(RuleEvaluation::new(above.collect()))
        };
        expressions.iter().map(one).collect()
    }
}

const FILE: &str = r#"
groups:
  - name: trouble
    interval: 15s
    rules:
      - record: test:trouble
        expr: test_trouble > -1
        labels: {kind: recorded}
      - alert: Trouble
        expr: test:trouble > 0
        for: 1m
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.instance }} has trouble {{ $value }}"}
"#;

fn language(samples: Arc<SeriesStore>) -> Arc<dyn RuleLanguage> {
    Arc::new(Above(samples))
}

#[test]
fn a_rule_file_records_and_tells_once() {
    let clock = VirtualClock::new(START);
    let notifier = TestNotifier::new();
    let engine = builder(&clock)
        .collector(host("db-1", 15, |second| f64::from(u8::from((120..600).contains(&second)))))
        .rule_groups("trouble.yml", FILE)
        .notifier("pager", notifier.clone())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(165));
    assert!(notifier.inner.notices().is_empty(), "`for` is not over");
    simulation.advance(secs(75));
    let notices = notifier.inner.notices();
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].summary.as_str(), "db-1 has trouble 1");
    assert_eq!((notices[0].kind, notices[0].severity), (NoticeKind::Open, Severity::Critical));
    let recorded = series(&simulation.handle().samples(), "test:trouble");
    assert_eq!(recorded.len(), 1);
    assert!(recorded[0].0.contains("kind=\"recorded\""), "{recorded:?}");
    assert_eq!(series(&simulation.handle().samples(), "ALERTS").len(), 2, "pending and firing");
    let groups = simulation.handle().rule_groups();
    assert_eq!((groups[0].steps, groups[0].missed), (2, 0));
    assert!(groups[0].rules.iter().all(|rule| rule.health == Health::Good), "{groups:?}");
    simulation.advance(secs(1200));
    assert_eq!(notifier.kinds(), [NoticeKind::Open, NoticeKind::Close]);
    let alerts = series(&simulation.handle().samples(), "ALERTS");
    assert!(
        alerts.iter().all(|(_, values)| values.last().is_some_and(|last| last.is_nan())),
        "markers end them"
    );
    simulation.stop().unwrap();
}

#[test]
fn an_open_alert_of_a_group_survives_a_restart_without_being_told_again() {
    let clock = VirtualClock::new(START);
    let (notifier, journal) = (TestNotifier::new(), TestJournal::new());
    let make = |value: fn(u64) -> f64| {
        builder(&clock)
            .collector(host("db-1", 15, value))
            .rule_language(language)
            .rule_groups("trouble.yml", FILE)
            .notifier("pager", notifier.clone())
            .journal(journal.clone())
            .build()
            .unwrap()
    };
    let mut simulation = Simulation::new(clock.clone(), make(|_| 1.0));
    simulation.advance(secs(180));
    assert_eq!(notifier.kinds(), [NoticeKind::Open]);
    simulation.stop().unwrap();
    let mut simulation = Simulation::new(clock.clone(), make(|_| 1.0));
    simulation.advance(secs(300));
    assert_eq!(notifier.kinds(), [NoticeKind::Open], "it is open and stays so");
    simulation.stop().unwrap();
    let mut simulation = Simulation::new(clock.clone(), make(|_| 0.0));
    simulation.advance(secs(120));
    assert_eq!(notifier.kinds(), [NoticeKind::Open, NoticeKind::Close], "over while nobody looked");
}

#[test]
fn a_bad_rule_file_is_refused_when_the_engine_is_built() {
    let clock = VirtualClock::new(START);
    let error = builder(&clock)
        .rule_groups("a.yml", "groups: [{name: g, rules: [{record: r, expr: 'up +'}]}]")
        .build()
        .expect_err("the expression is wrong");
    assert!(matches!(error, BuildError::RuleFiles(_)));
    assert!(error.to_string().contains("a.yml:1:"), "{error}");
}

/// Since when the alert is active and whether it fires, in seconds after [`START`].
fn active(simulation: &Simulation) -> Option<(u64, bool)> {
    let groups = simulation.handle().rule_groups();
    let alert = groups.first()?.rules.first()?.alerts.first()?.clone();
    Some((alert.active_at.since(START).as_secs(), alert.state == AlertState::Firing))
}

#[test]
fn a_pending_time_goes_on_after_a_crash() {
    const FILE: &str =
        "groups: [{name: g, interval: 1m, rules: [{alert: Trouble, expr: test_trouble > 0, for: 30m}]}]";
    // How long it was pending and how long nobody ran it, both in minutes; then how long it still waits.
    for (pending, outage, left) in [
        // As much as before: the outage does not count.
        (15, 5, 15),
        // Not less than the grace period of ten minutes.
        (26, 5, 10),
        // It fired before: it fires again as soon as that is known.
        (40, 5, 0),
        // An outage of more than an hour: it begins anew.
        (15, 70, 30),
    ] {
        let clock = VirtualClock::new(START);
        let journal = TestJournal::new();
        let make = || {
            builder(&clock)
                .collector(host("db-1", 15, |_| 1.0))
                .rule_groups("f.yml", FILE)
                .journal(journal.clone())
                .build()
                .unwrap()
        };
        let mut simulation = Simulation::new(clock.clone(), make());
        simulation.advance(secs(60 * pending + 150));
        let (since, firing) = active(&simulation).expect("it is active");
        assert!(since < 150, "{since}");
        assert_eq!(firing, pending >= 30);
        simulation.crash();
        clock.advance_to(clock.now() + secs(60 * outage));
        let back = clock.now().since(START).as_secs();
        let mut simulation = Simulation::new(clock.clone(), make());
        // It takes two evaluations until what was remembered is taken up.
        simulation.advance(secs(190));
        let waited = |simulation: &Simulation| active(simulation).expect("it is active").1;
        if left == 0 {
            assert_eq!(active(&simulation), Some((since, true)), "pending {pending} outage {outage}");
            simulation.crash();
            continue;
        }
        assert!(!waited(&simulation), "pending {pending} outage {outage}");
        while !waited(&simulation) {
            simulation.advance(secs(60));
        }
        let minutes = (clock.now().since(START).as_secs() - back) / 60;
        assert!((left..=left + 5).contains(&minutes), "pending {pending} outage {outage}: {minutes} minutes");
        // Once it is over nothing is remembered.
        simulation.crash();
        let calm = builder(&clock)
            .collector(host("db-1", 15, |_| 0.0))
            .rule_groups("f.yml", FILE)
            .journal(journal.clone())
            .build()
            .unwrap();
        let mut simulation = Simulation::new(clock.clone(), calm);
        simulation.advance(secs(300));
        simulation.stop().unwrap();
        assert!(journal.records().keys().all(|key| !key.starts_with("group/")), "{:?}", journal.records());
    }
}

#[test]
fn an_alert_of_promql_is_about_the_item_its_labels_tell_of() {
    let clock = VirtualClock::new(START);
    let engine = builder(&clock)
        .collector(host("db-1", 15, |_| 1.0))
        .rule_groups(
            "f.yml",
            "groups: [{name: g, interval: 15s, rules: [{alert: Same, expr: test_trouble > 0}, \
             {alert: Sum, expr: sum by (instance) (test_trouble) > 0}, \
             {alert: Made, expr: 'label_replace(test_trouble, \"to\", \"x\", \"\", \"\") > 0'}, {alert: All, expr: sum(test_trouble) > 0}]}]",
        )
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(60));
    let item = simulation.handle().view().by_kind(&kind::HOST)[0].id();
    let alerts = simulation.handle().alerts();
    let about: Vec<_> =
        alerts.iter().map(|view| (view.alert.rule.as_str(), view.alert.instance.ci)).collect();
    let about = |name: &str| about.iter().find(|(rule, _)| rule.ends_with(name)).expect("it fires").1;
    assert_eq!(about("Same"), Some(item));
    assert_eq!(about("Sum"), Some(item));
    assert_eq!(about("Made"), Some(item));
    assert_eq!(about("All"), None);
    simulation.stop().unwrap();
}

#[test]
fn a_group_made_in_rust_is_the_group_of_the_text() {
    use itom::alert::prometheus::{FileOptions, GroupRule, RuleFile, RuleGroup};
    use itom::metrics::promql::build::{Vector as _, max_over_time};
    use itom::promql::{PromQl, compiled};

    let expr = max_over_time("test_trouble").range(secs(60)).max_by(["instance"]).gt(0).build().unwrap();
    let rule = GroupRule::alert("Trouble", compiled(expr))
        .hold(secs(60))
        .label(LabelName::literal("severity"), "critical")
        .and_then(|rule| {
            rule.annotation(LabelName::literal("summary"), "{{ $labels.instance }}: {{ $value }}")
        })
        .unwrap();
    let made = RuleGroup::new("f.yml", "g").every(secs(15)).rule(rule);
    let text = "groups: [{name: g, interval: 15s, rules: [{alert: Trouble, for: 1m, labels: {severity: critical}, \
                expr: 'max by (instance) (max_over_time(test_trouble[1m])) > 0', \
                annotations: {summary: '{{ $labels.instance }}: {{ $value }}'}}]}]";
    let language = PromQl::over(Arc::new(itom::metrics::MemorySeries::new()));
    let written = RuleFile::parse(text, "f.yml", &language, FileOptions::default()).unwrap();
    assert_eq!(made.rules, written.groups[0].rules);
    assert_eq!(made.interval, written.groups[0].interval);

    let clock = VirtualClock::new(START);
    let notifier = TestNotifier::new();
    let engine = builder(&clock)
        .collector(host("db-1", 15, |_| 1.0))
        .rule_group(made)
        .notifier("pager", notifier.clone())
        .build()
        .unwrap();
    let mut simulation = Simulation::new(clock, engine);
    simulation.advance(secs(180));
    let notices = notifier.inner.notices();
    assert_eq!((notices.len(), notices[0].summary.as_str()), (1, "db-1: 1"));
    simulation.stop().unwrap();
}
