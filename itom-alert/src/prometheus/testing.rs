//! A small language and store for tests: `NAME`, `NAME > 3`, `NAME >= 3`, `count NAME`, `fail NAME`.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use itom_core::{
    EvaluateError, ExpressionError, Interval, LabelName, Labels, MatchOp, RefusedSample, RuleEvaluation,
    RuleExpression, RuleLanguage, RuleSample, RuleSink, SampleKind, SampleSource, SampleValue, Selector,
    SeriesData, Timestamp, WrittenSample,
};

/// Every sample that was ever written.
#[derive(Debug, Default)]
pub(crate) struct World {
    series: Mutex<BTreeMap<Labels, Vec<(Timestamp, f64)>>>,
}

#[derive(Debug)]
struct Toy {
    source: String,
    verb: &'static str,
    name: String,
    limit: f64,
}

impl RuleExpression for Toy {
    fn source(&self) -> &str {
        &self.source
    }
    fn normal_form(&self) -> String {
        self.source.clone()
    }
    fn may_read(&self, metric: &str, _: Option<&str>) -> bool {
        self.name == metric || self.name == "any"
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, *value))).unwrap()
}

impl World {
    pub(crate) fn set(&self, pairs: &[(&str, &str)], at: Timestamp, value: f64) {
        self.write(at, &[WrittenSample::new(labels(pairs), at, SampleValue::Float(value))]);
    }

    /// Everything as text, one line per series: `{…} 60=1 120=stale`.
    pub(crate) fn dump(&self, name: &str) -> Vec<String> {
        let series = self.series.lock().unwrap();
        let of = series.iter().filter(|(labels, _)| labels.get("__name__") == Some(name));
        of.map(|(labels, samples)| {
            let mut line = labels.to_builder().remove("__name__").build().to_string();
            for (at, value) in samples {
                let stale = SampleValue::Float(*value).is_stale();
                let value = if stale { "stale".to_owned() } else { value.to_string() };
                line.push_str(&format!(" {}={value}", at.as_secs()));
            }
            line
        })
        .collect()
    }
}

impl RuleLanguage for World {
    fn compile(&self, expression: &str) -> Result<Arc<dyn RuleExpression>, ExpressionError> {
        let words: Vec<&str> = expression.split_whitespace().collect();
        let number = |text: &str| {
            text.parse()
                .map_err(|_| ExpressionError::at(expression, expression.len() - text.len(), "not a number"))
        };
        let (verb, name, limit) = match words.as_slice() {
            [name] => ("", *name, 0.0),
            ["count", name] => ("count", *name, 0.0),
            ["fail", name] => ("fail", *name, 0.0),
            [name, ">", limit] => (">", *name, number(limit)?),
            [name, ">=", limit] => (">=", *name, number(limit)?),
            _ => return Err(ExpressionError::at(expression, 0, "not understood")),
        };
        Ok(Arc::new(Toy { source: expression.into(), verb, name: name.into(), limit }))
    }

    fn evaluate(
        &self,
        expressions: &[Arc<dyn RuleExpression>],
        at: Timestamp,
    ) -> Vec<Result<RuleEvaluation, EvaluateError>> {
        let series = self.series.lock().unwrap();
        let one = |expression: &Arc<dyn RuleExpression>| {
            let toy = expression.as_any().downcast_ref::<Toy>().unwrap();
            let current = series.iter().filter_map(|(labels, samples)| {
                let name = labels.get("__name__");
                let (when, value) = samples.iter().rfind(|(when, _)| *when <= at)?;
                let fresh =
                    at.since(*when) < Duration::from_secs(300) && !SampleValue::Float(*value).is_stale();
                (fresh && (toy.name == "any" || name == Some(toy.name.as_str()))).then_some((labels, *value))
            });
            let mut samples: Vec<_> = current
                .filter(|(_, value)| match toy.verb {
                    ">" => *value > toy.limit,
                    ">=" => *value >= toy.limit,
                    _ => true,
                })
                .map(|(labels, value)| RuleSample::new(labels.clone(), SampleValue::Float(value)))
                .collect();
            match toy.verb {
                "fail" => {
                    return Err(EvaluateError::Limit { what: "samples", limit: 1 });
                }
                "count" if !samples.is_empty() => {
                    let count = samples.len() as f64;
                    samples = vec![RuleSample::new(Labels::empty(), SampleValue::Float(count))];
                }
                _ => {}
            }
            Ok(RuleEvaluation::new(samples))
        };
        expressions.iter().map(one).collect()
    }
}

impl RuleSink for World {
    fn write(&self, _: Timestamp, samples: &[WrittenSample]) -> Vec<RefusedSample> {
        let mut series = self.series.lock().unwrap();
        let mut refused = Vec::new();
        for (index, sample) in samples.iter().enumerate() {
            let have = series.entry(sample.labels.clone()).or_default();
            if have.last().is_some_and(|(last, _)| *last >= sample.at) {
                refused.push(RefusedSample { index, reason: "out of order".into() });
                continue;
            }
            have.push((sample.at, sample.value.as_float().unwrap()));
        }
        refused
    }
}

impl SampleSource for World {
    fn select(&self, selector: &Selector, range: Interval) -> Result<Vec<SeriesData>, EvaluateError> {
        let series = self.series.lock().unwrap();
        let fits = |labels: &Labels| {
            labels.get("__name__") == Some(selector.metric().as_str())
                && selector.matchers().iter().all(|matcher| {
                    assert_eq!(matcher.op, MatchOp::Equal);
                    labels.get(LabelName::as_str(&matcher.name)) == Some(matcher.value.as_str())
                })
        };
        let found = series.iter().filter(|(labels, _)| fits(labels)).map(|(labels, samples)| {
            let samples = samples.iter().filter(|(at, _)| range.contains(*at)).copied().collect();
            let labels = labels.to_builder().remove("__name__").build();
            SeriesData::new(labels, SampleKind::Gauge, None, samples)
        });
        Ok(found.filter(|series| !series.samples.is_empty()).collect())
    }
}
