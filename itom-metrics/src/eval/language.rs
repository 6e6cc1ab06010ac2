//! PromQL as the language of rules.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use itom_core::{
    Annotations as RuleAnnotations, EvaluateError, ExpressionError, Labels, RuleEvaluation, RuleExpression,
    RuleLanguage, RuleSample, SampleValue, Text, Timestamp,
};

use super::evaluation::matchers_of;
use super::{Answer, Engine, EvalError, Plan, QueryValue};
use crate::promql::{Expr, Function, ParseOptions, parse_with};
use crate::{METRIC_NAME, Queryable, QueryableError};

/// How many sets of expressions are kept planned: as many rule groups find theirs again at the next tick.
const PLANS: usize = 1_024;

/// PromQL over a store, as rule groups use it. Expressions that are evaluated together are [planned](Plan) together,
/// and the plan is kept for the next tick.
#[derive(Debug)]
pub struct PromqlRules {
    engine: Engine,
    queryable: Arc<dyn Queryable>,
    options: ParseOptions,
    /// By the texts of the expressions. Only looked up, never iterated.
    plans: Mutex<HashMap<Vec<Text>, Plan>>,
}

impl PromqlRules {
    /// Rules over this store, in the language that `options` allow.
    #[must_use]
    pub fn new(engine: Engine, queryable: Arc<dyn Queryable>, options: ParseOptions) -> Self {
        Self { engine, queryable, options, plans: Mutex::new(HashMap::new()) }
    }

    /// An expression that was [built](crate::promql::build) and not written, as [`compile`](RuleLanguage::compile) would
    /// give it of its text.
    #[must_use]
    pub fn compiled(expr: Expr) -> Arc<dyn RuleExpression> {
        Arc::new(Compiled { source: expr.to_string().into(), expr })
    }
}

#[derive(Debug)]
struct Compiled {
    source: Text,
    expr: Expr,
}

impl RuleExpression for Compiled {
    fn source(&self) -> &str {
        self.source.as_str()
    }

    fn normal_form(&self) -> String {
        self.expr.to_string()
    }

    fn may_read(&self, metric: &str, alertname: Option<&str>) -> bool {
        // `info()` reads series that no selector names.
        let mut may = calls_info(&self.expr);
        self.expr.for_each_selector(&mut |selector| {
            let Ok(matchers) = matchers_of(selector) else {
                may = true;
                return;
            };
            may |= matchers.iter().all(|matcher| match (matcher.name().as_str(), alertname) {
                (METRIC_NAME, _) => matcher.matches(metric),
                ("alertname", Some(alert)) => matcher.matches(alert),
                _ => true,
            });
        });
        may
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl RuleLanguage for PromqlRules {
    fn compile(&self, expression: &str) -> Result<Arc<dyn RuleExpression>, ExpressionError> {
        let expr = parse_with(expression, &self.options).map_err(|error| {
            let hint = error.suggestion.as_ref().map(|other| format!("; did you mean `{other}`?"));
            let reason = format!("{}{}", error.message, hint.unwrap_or_default());
            ExpressionError::at(expression, error.span.start, reason)
        })?;
        Ok(Arc::new(Compiled { source: expression.into(), expr }))
    }

    fn evaluate(
        &self,
        expressions: &[Arc<dyn RuleExpression>],
        at: Timestamp,
    ) -> Vec<Result<RuleEvaluation, EvaluateError>> {
        let compiled: Option<Vec<&Compiled>> =
            expressions.iter().map(|one| one.as_any().downcast_ref::<Compiled>()).collect();
        let Some(compiled) = compiled else {
            let foreign =
                |one: &Arc<dyn RuleExpression>| Err(invalid(one.source(), "another language compiled it"));
            return expressions.iter().map(foreign).collect();
        };
        let key: Vec<Text> = compiled.iter().map(|one| one.source.clone()).collect();
        // The plan is taken out, so that other groups are evaluated meanwhile.
        let known = self.plans.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let mut plan =
            known.unwrap_or_else(|| Plan::new(compiled.iter().map(|one| one.expr.clone()).collect()));
        let answers = plan.evaluate(&self.engine, &*self.queryable, at.as_millis());
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() < PLANS {
            plans.insert(key, plan);
        }
        drop(plans);
        answers
            .into_iter()
            .zip(compiled)
            .map(|(answer, one)| converted(answer, one.source.as_str()))
            .collect()
    }
}

fn calls_info(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(call) if call.function == Function::Info) || expr.children().any(calls_info)
}

fn invalid(expression: &str, reason: impl Into<String>) -> EvaluateError {
    EvaluateError::Invalid {
        expression: expression.chars().take(200).collect(),
        at: 0,
        reason: reason.into(),
    }
}

fn converted(answer: Result<Answer, EvalError>, source: &str) -> Result<RuleEvaluation, EvaluateError> {
    let answer = answer.map_err(|error| match error {
        EvalError::Samples { limit } => EvaluateError::Limit { what: "samples", limit },
        EvalError::Series { limit, .. } => EvaluateError::Limit { what: "series", limit },
        EvalError::Storage(QueryableError::Limit { what, limit }) => EvaluateError::Limit { what, limit },
        EvalError::Storage(error) => EvaluateError::Unavailable(error.into()),
        EvalError::Interrupted(_) => EvaluateError::Unavailable(error.into()),
        other => invalid(source, other.to_string()),
    })?;
    let samples = match answer.value {
        QueryValue::Scalar(_, value) => vec![RuleSample::new(Labels::empty(), SampleValue::Float(value))],
        QueryValue::Vector(samples) => samples
            .into_iter()
            .map(|sample| {
                let pairs = sample.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
                let labels = Labels::from_pairs(pairs).map_err(|error| invalid(source, error.to_string()))?;
                Ok(RuleSample::new(labels, sample.value))
            })
            .collect::<Result<Vec<_>, EvaluateError>>()?,
        QueryValue::String(_) | QueryValue::Matrix(_) => {
            return Err(invalid(source, "rule result is not a vector or scalar"));
        }
    };
    let mut evaluation = RuleEvaluation::new(samples);
    let texts = |found: Vec<String>| found.into_iter().map(Text::from).collect();
    evaluation.annotations = RuleAnnotations {
        warnings: texts(answer.annotations.warnings(source)),
        infos: texts(answer.annotations.infos(source)),
    };
    Ok(evaluation)
}
