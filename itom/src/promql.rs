//! PromQL as the language of rule groups.

use std::any::Any;
use std::sync::Arc;

use itom_core::{
    Annotations, EvaluateError, ExpressionError, Labels, RuleEvaluation, RuleExpression, RuleLanguage,
    RuleSample, SampleValue, Text, Timestamp,
};
use itom_metrics::eval::{Engine, EngineOptions, EvalError, QueryValue};
use itom_metrics::promql::{Expr, ParseOptions, parse_with};
use itom_metrics::{LabelMatcher, LabelSet, METRIC_NAME, Queryable, QueryableError};

/// PromQL over a store of series.
///
/// ```
/// use std::sync::Arc;
/// use itom::core::{RuleLanguage, Timestamp};
/// use itom::metrics::MemorySeries;
/// use itom::promql::PromQl;
///
/// let language = PromQl::over(Arc::new(MemorySeries::new()));
/// let vector = language.compile("vector(1) + 1")?;
/// let result = language.evaluate(&[vector], Timestamp::EPOCH).remove(0)?;
/// assert_eq!(result.samples[0].value.as_float(), Some(2.0));
/// assert_eq!(language.compile("rate(up)").unwrap_err().line, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PromQl {
    series: Arc<dyn Queryable>,
    engine: Engine,
    parse: ParseOptions,
}

impl PromQl {
    /// The stable language over these series.
    #[must_use]
    pub fn over(series: Arc<dyn Queryable>) -> Self {
        Self::with(series, EngineOptions::default(), ParseOptions::STABLE)
    }

    /// With options.
    #[must_use]
    pub const fn with(series: Arc<dyn Queryable>, options: EngineOptions, parse: ParseOptions) -> Self {
        Self { series, engine: Engine::new(options), parse }
    }
}

/// A compiled expression.
#[derive(Debug)]
struct Compiled {
    source: String,
    expr: Expr,
    reads: Vec<Reads>,
}

/// What one selector says of metric names and of alert names.
#[derive(Debug)]
struct Reads {
    name: Vec<LabelMatcher>,
    alertname: Vec<LabelMatcher>,
}

impl RuleExpression for Compiled {
    fn source(&self) -> &str {
        &self.source
    }

    fn normal_form(&self) -> String {
        self.expr.to_string()
    }

    fn may_read(&self, metric: &str, alertname: Option<&str>) -> bool {
        self.reads.iter().any(|reads| {
            reads.name.iter().all(|matcher| matcher.matches(metric))
                && alertname.is_none_or(|name| reads.alertname.iter().all(|matcher| matcher.matches(name)))
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn reads(expr: &Expr, found: &mut Vec<Reads>) {
    let selector = match expr {
        Expr::Vector(selector) => Some(selector),
        Expr::Matrix(matrix) => Some(&matrix.selector),
        // It reads series that no selector names.
        Expr::Call(_) if expr.to_string().starts_with("info(") => {
            found.push(Reads { name: Vec::new(), alertname: Vec::new() });
            None
        }
        _ => None,
    };
    if let Some(selector) = selector {
        let of = |label: &str| {
            let matchers = selector.matchers.iter().filter(|matcher| matcher.name.as_str() == label);
            // One that does not compile fails when it is evaluated; until then it may read anything.
            matchers
                .filter_map(|one| LabelMatcher::new(one.name.clone(), one.op, one.value.clone()).ok())
                .collect::<Vec<_>>()
        };
        let mut name = of(METRIC_NAME);
        name.extend(selector.name.iter().map(|name| LabelMatcher::equal(METRIC_NAME, name.clone())));
        found.push(Reads { name, alertname: of("alertname") });
    }
    for child in expr.children() {
        reads(child, found);
    }
}

impl RuleLanguage for PromQl {
    fn compile(&self, expression: &str) -> Result<Arc<dyn RuleExpression>, ExpressionError> {
        let expr = parse_with(expression, &self.parse).map_err(|error| {
            let hint = error.suggestion.as_ref().map(|other| format!("; did you mean `{other}`?"));
            let reason = format!("{}{}", error.message, hint.unwrap_or_default());
            ExpressionError::at(expression, error.span.start, reason)
        })?;
        let mut found = Vec::new();
        reads(&expr, &mut found);
        Ok(Arc::new(Compiled { source: expression.to_owned(), expr, reads: found }))
    }

    fn evaluate(
        &self,
        expressions: &[Arc<dyn RuleExpression>],
        at: Timestamp,
    ) -> Vec<Result<RuleEvaluation, EvaluateError>> {
        expressions.iter().map(|expression| self.one(expression.as_ref(), at)).collect()
    }
}

impl PromQl {
    fn one(&self, expression: &dyn RuleExpression, at: Timestamp) -> Result<RuleEvaluation, EvaluateError> {
        let source = expression.source();
        let refuse = |reason: String| EvaluateError::Invalid {
            expression: source.chars().take(200).collect(),
            at: 0,
            reason,
        };
        let Some(compiled) = expression.as_any().downcast_ref::<Compiled>() else {
            return Err(refuse("another language compiled it".into()));
        };
        let answer = self.engine.instant(&compiled.expr, self.series.as_ref(), at.as_millis());
        let answer = answer.map_err(|error| match error {
            EvalError::Samples { limit } => EvaluateError::Limit { what: "samples", limit },
            EvalError::Series { limit, .. } => EvaluateError::Limit { what: "series", limit },
            EvalError::Storage(QueryableError::Limit { what, limit }) => EvaluateError::Limit { what, limit },
            EvalError::Storage(error) => EvaluateError::Unavailable(error.into()),
            other => refuse(other.to_string()),
        })?;
        let samples = match answer.value {
            QueryValue::Scalar(_, value) => vec![RuleSample::new(Labels::empty(), SampleValue::Float(value))],
            QueryValue::Vector(samples) => {
                let one = |sample: itom_metrics::eval::VectorSample| {
                    let labels = labels(&sample.labels).map_err(|error| refuse(error.to_string()))?;
                    Ok(RuleSample::new(labels, sample.value))
                };
                samples.into_iter().map(one).collect::<Result<_, EvaluateError>>()?
            }
            QueryValue::String(_) | QueryValue::Matrix(_) => {
                return Err(refuse("rule result is not a vector or scalar".into()));
            }
        };
        let texts = |texts: Vec<String>| texts.into_iter().map(Text::from).collect();
        let (warnings, infos) = (answer.annotations.warnings(source), answer.annotations.infos(source));
        let mut evaluation = RuleEvaluation::new(samples);
        evaluation.annotations = Annotations { warnings: texts(warnings), infos: texts(infos) };
        Ok(evaluation)
    }
}

/// The labels of a series, the metric's name among them.
fn labels(set: &LabelSet) -> Result<Labels, itom_core::NameError> {
    Labels::from_pairs(set.iter().map(|(name, value)| (name.clone(), value.clone())))
}
