//! Rules evaluated by a service.

use std::any::Any;
use std::sync::Arc;

use itom_core::{
    Annotations, EvaluateError, ExpressionError, Labels, RuleEvaluation, RuleExpression, RuleLanguage,
    RuleSample, Text, Timestamp,
};

use super::{ApiError, PromApi, RemoteAnswer};
use crate::METRIC_NAME;
use crate::eval::{QueryValue, matchers_of};
use crate::promql::{Expr, ParseOptions, parse_with};

/// Rules whose expressions a service evaluates: the same groups run over Prometheus, Mimir, Thanos or VictoriaMetrics.
///
/// Expressions are checked here before they are sent. With [`unchecked`](Self::unchecked) they are not, so that what a
/// service adds to PromQL can be used.
#[derive(Debug)]
pub struct PromApiRules {
    api: Arc<PromApi>,
    options: Option<ParseOptions>,
}

impl PromApiRules {
    /// Rules in the language that `options` allow.
    #[must_use]
    pub const fn new(api: Arc<PromApi>, options: ParseOptions) -> Self {
        Self { api, options: Some(options) }
    }

    /// Rules in whatever language the service understands: mistakes are found when a rule is evaluated.
    #[must_use]
    pub const fn unchecked(api: Arc<PromApi>) -> Self {
        Self { api, options: None }
    }
}

#[derive(Debug)]
struct Remote {
    source: Text,
    expr: Option<Expr>,
}

impl RuleExpression for Remote {
    fn source(&self) -> &str {
        self.source.as_str()
    }

    fn normal_form(&self) -> String {
        self.expr.as_ref().map_or_else(|| self.source.to_string(), ToString::to_string)
    }

    fn may_read(&self, metric: &str, alertname: Option<&str>) -> bool {
        let Some(expr) = &self.expr else { return true };
        let mut may = false;
        expr.for_each_selector(&mut |selector| {
            may |= matchers_of(selector).map_or(true, |matchers| {
                matchers.iter().all(|matcher| match (matcher.name().as_str(), alertname) {
                    (METRIC_NAME, _) => matcher.matches(metric),
                    ("alertname", Some(alert)) => matcher.matches(alert),
                    _ => true,
                })
            });
        });
        may
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl RuleLanguage for PromApiRules {
    fn compile(&self, expression: &str) -> Result<Arc<dyn RuleExpression>, ExpressionError> {
        let parsed = self.options.as_ref().map(|options| parse_with(expression, options)).transpose();
        let expr =
            parsed.map_err(|error| ExpressionError::at(expression, error.span.start, error.message))?;
        Ok(Arc::new(Remote { source: expression.into(), expr }))
    }

    fn evaluate(
        &self,
        expressions: &[Arc<dyn RuleExpression>],
        at: Timestamp,
    ) -> Vec<Result<RuleEvaluation, EvaluateError>> {
        let sources: Vec<&str> = expressions.iter().map(|one| one.source()).collect();
        let answers = self.api.instants(&sources, at.as_millis());
        let answers = answers.into_iter().zip(sources);
        answers.map(|(answer, source)| converted(answer, source)).collect()
    }
}

fn converted(answer: Result<RemoteAnswer, ApiError>, source: &str) -> Result<RuleEvaluation, EvaluateError> {
    let invalid = |reason: String| EvaluateError::Invalid {
        expression: source.chars().take(200).collect(),
        at: 0,
        reason,
    };
    let answer = answer.map_err(|error| match error {
        ApiError::Refused { status: 400 | 422, error, .. } => invalid(error),
        other => EvaluateError::Unavailable(other.into()),
    })?;
    let samples = match answer.value {
        QueryValue::Scalar(_, value) => {
            vec![RuleSample::new(Labels::empty(), itom_core::SampleValue::Float(value))]
        }
        QueryValue::Vector(samples) => samples
            .into_iter()
            .map(|sample| {
                let pairs = sample.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
                let labels = Labels::from_pairs(pairs).map_err(|error| invalid(error.to_string()))?;
                Ok(RuleSample::new(labels, sample.value))
            })
            .collect::<Result<Vec<_>, EvaluateError>>()?,
        QueryValue::String(_) | QueryValue::Matrix(_) => {
            return Err(invalid("rule result is not a vector or scalar".to_owned()));
        }
    };
    let mut warnings: Vec<Text> = answer.warnings.into_iter().map(Text::from).collect();
    if answer.histograms > 0 {
        let count = answer.histograms;
        warnings.push(
            format!("{count} native histograms are left out: the API does not show their schema").into(),
        );
    }
    let mut evaluation = RuleEvaluation::new(samples);
    evaluation.annotations =
        Annotations { warnings, infos: answer.infos.into_iter().map(Text::from).collect() };
    Ok(evaluation)
}
