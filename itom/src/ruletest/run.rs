//! One test, from its beginning to the last time that is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use itom_alert::prometheus::{
    AlertState, GroupConfig, GroupInput, GroupKey, GroupPorts, Health, RuleGroup, RuleGroups, UnitTest,
    carry_out,
};
use itom_core::time::format_duration;
use itom_core::{ErrorChain, Labels, Machine as _, RuleLanguage, Text, Timestamp};
use itom_metrics::Queryable;
use itom_metrics::eval::EngineOptions;

use super::compare::{FiringAlert, alerts_differ, samples_differ};
use super::series::{Input, TestSeries};
use super::{RuleTests, TestFailure, TestReport};
use crate::promql::PromQl;

/// So many evaluations a test makes at most.
const MAX_EVALUATIONS: u128 = 5_000_000;
/// What promtool allows an expression to read.
const MAX_SAMPLES: u64 = 10_000;

pub(super) fn run(tests: &RuleTests, test: &UnitTest) -> TestReport {
    let mut failures = Vec::new();
    if let Err(failure) = Run::new(tests, test).and_then(|mut run| run.all(&mut failures)) {
        failures.push(failure);
    }
    let cases = test.alert_cases.len() + test.expr_cases.len();
    TestReport { name: test.name.clone(), place: test.place, cases, failures }
}

struct Run<'a> {
    tests: &'a RuleTests,
    test: &'a UnitTest,
    series: Arc<TestSeries>,
    input: Input,
    language: Arc<dyn RuleLanguage>,
    groups: RuleGroups,
    order: Vec<GroupKey>,
    external_labels: Labels,
}

impl<'a> Run<'a> {
    fn new(tests: &'a RuleTests, test: &'a UnitTest) -> Result<Self, TestFailure> {
        let input = Input::of(test)?;
        let every = tests.unit.evaluation_interval;
        if test.longest().as_nanos() / every.as_nanos().max(1) > MAX_EVALUATIONS {
            let reason = format!("more than {MAX_EVALUATIONS} evaluations; make evaluation_interval longer");
            return Err(TestFailure::of(test.place, "the whole test", reason));
        }
        let external = test.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let external_labels = Labels::from_pairs(external).map_err(|error| {
            TestFailure::of(test.place, "external_labels", ErrorChain(&error).to_string())
        })?;
        let series = Arc::new(TestSeries::default());
        let options = EngineOptions::default().max_samples(MAX_SAMPLES).subquery_step(every);
        let queryable = Arc::clone(&series) as Arc<dyn Queryable>;
        let language: Arc<dyn RuleLanguage> =
            Arc::new(PromQl::with(queryable, options, tests.options.parse.clone()));
        let mut config = GroupConfig::default();
        config.restore = false;
        config.interval = test.interval;
        let mut groups = RuleGroups::new(config);
        let mut sources: Vec<RuleGroup> = tests.rules.iter().flat_map(|file| file.groups.clone()).collect();
        groups.handle(test.start, GroupInput::Load(sources.clone()));
        let named = &tests.unit.group_eval_order;
        sources.sort_by_key(|group| named.iter().position(|name| name == group.name.as_str()).unwrap_or(0));
        let mut order: Vec<GroupKey> = Vec::new();
        for group in &sources {
            let key = GroupKey { file: group.file.clone(), name: group.name.clone() };
            if !order.contains(&key) {
                order.push(key);
            }
        }
        Ok(Self { tests, test, series, input, language, groups, order, external_labels })
    }

    fn all(&mut self, failures: &mut Vec<TestFailure>) -> Result<(), TestFailure> {
        let every = self.tests.unit.evaluation_interval;
        let mut alert_times: BTreeSet<Duration> =
            self.test.alert_cases.iter().map(|case| case.eval_time).collect();
        let mut since = Duration::ZERO;
        while since <= self.test.longest() {
            self.evaluate(since)?;
            // An alert is as the last evaluation at or before the time left it.
            while let Some(time) = alert_times.first().copied().filter(|time| *time < since + every) {
                alert_times.remove(&time);
                self.look_at_alerts(time, failures);
            }
            since += every;
        }
        for case in &self.test.expr_cases {
            let when = format!("{:?} at {}", case.expr, shown(case.eval_time));
            let wrong = |reason: String| TestFailure::of(case.place, &when, reason);
            let at = self.test.start + case.eval_time;
            let compared = self
                .language
                .compile(&case.expr)
                .map_err(|error| wrong(error.to_string()))
                .and_then(|compiled| {
                    let result = self.language.evaluate(&[compiled], at).pop();
                    let result = result.ok_or_else(|| wrong("there was no answer".into()))?;
                    result.map_err(|error| wrong(ErrorChain(&error).to_string()))
                })
                .and_then(|found| {
                    samples_differ(&case.expected, &found.samples, self.tests.unit.fuzzy_compare)
                        .map_err(wrong)
                });
            match compared {
                Ok(None) => {}
                Ok(Some((expected, got))) => {
                    failures.push(TestFailure { place: case.place, what: when, reason: None, expected, got });
                }
                Err(failure) => failures.push(failure),
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, since: Duration) -> Result<(), TestFailure> {
        let now: Timestamp = self.test.start + since;
        let failed =
            |what: String, reason: Text| Err(TestFailure::of(self.test.place, what, reason.as_str()));
        if let Err(reason) = self.input.arrive(now, &self.series) {
            return failed(format!("the samples up to {}", shown(since)), reason);
        }
        let mut ports = GroupPorts::new(Arc::clone(&self.language), self.series.as_ref());
        ports.external_labels = self.external_labels.clone();
        ports.external_url = self.test.external_url.clone();
        for key in &self.order {
            self.groups.evaluate_at(now, key);
            let _ = carry_out(&mut self.groups, now, &ports);
        }
        for group in self.groups.status() {
            for rule in group.rules {
                if let Health::Bad(reason) = rule.health {
                    return failed(format!("rule {:?} at {}", rule.name.as_str(), shown(since)), reason);
                }
            }
        }
        Ok(())
    }

    fn look_at_alerts(&self, time: Duration, failures: &mut Vec<TestFailure>) {
        let cases = self.test.alert_cases.iter().filter(|case| case.eval_time == time);
        let mut firing: BTreeMap<&str, Vec<FiringAlert>> = BTreeMap::new();
        let status = self.groups.status();
        for rule in status.iter().flat_map(|group| &group.rules).filter(|rule| rule.is_alerting) {
            let alerts = rule.alerts.iter().filter(|alert| alert.state == AlertState::Firing);
            firing.entry(rule.name.as_str()).or_default().extend(alerts.map(FiringAlert::of));
        }
        for case in cases {
            let got = firing.get(case.alertname.as_str()).cloned().unwrap_or_default();
            if let Some((expected, got)) = alerts_differ(&case.alertname, &case.expected, got) {
                let what = format!("alert {:?} at {}", case.alertname, shown(time));
                failures.push(TestFailure { place: case.place, what, reason: None, expected, got });
            }
        }
    }
}

fn shown(time: Duration) -> String {
    format_duration(time)
}
