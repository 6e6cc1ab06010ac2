//! PromQL as the language of rule groups.

use std::sync::Arc;

use itom_core::{EvaluateError, ExpressionError, RuleEvaluation, RuleExpression, RuleLanguage, Timestamp};
use itom_metrics::Queryable;
use itom_metrics::eval::{Engine, EngineOptions, PromqlRules};
use itom_metrics::promql::{Expr, ParseOptions};

/// PromQL over a store of series. What is evaluated together is planned together: what expressions share is evaluated
/// once, and of a store that can be followed each tick reads only what came since the one before.
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
#[derive(Debug)]
pub struct PromQl(PromqlRules);

impl PromQl {
    /// The stable language over these series.
    #[must_use]
    pub fn over(series: Arc<dyn Queryable>) -> Self {
        Self::with(series, EngineOptions::default(), ParseOptions::STABLE)
    }

    /// With options.
    #[must_use]
    pub fn with(series: Arc<dyn Queryable>, options: EngineOptions, parse: ParseOptions) -> Self {
        Self(PromqlRules::new(Engine::new(options), series, parse))
    }
}

/// An expression that was [built](itom_metrics::promql::build) in Rust, for a rule group that is.
///
/// ```
/// use std::time::Duration;
/// use itom::alert::prometheus::{GroupRule, RuleGroup};
/// use itom::core::LabelName;
/// use itom::metrics::promql::build::{Vector as _, rate};
/// use itom::prelude::*;
/// use itom::promql::compiled;
///
/// let busy = rate("http_requests_total").by(["job"]).gt(100).build()?;
/// let rule = GroupRule::alert("Busy", compiled(busy))
///     .hold(Duration::from_secs(300))
///     .label(LabelName::literal("severity"), "warning")?
///     .annotation(LabelName::literal("summary"), "{{ $labels.job }} answers {{ $value | humanize }} requests a second")?;
/// let engine = Engine::builder().rule_group(RuleGroup::new("mine", "load").rule(rule)).build()?;
/// # drop(engine);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn compiled(expr: Expr) -> Arc<dyn RuleExpression> {
    PromqlRules::compiled(expr)
}

impl RuleLanguage for PromQl {
    fn compile(&self, expression: &str) -> Result<Arc<dyn RuleExpression>, ExpressionError> {
        self.0.compile(expression)
    }

    fn evaluate(
        &self,
        expressions: &[Arc<dyn RuleExpression>],
        at: Timestamp,
    ) -> Vec<Result<RuleEvaluation, EvaluateError>> {
        self.0.evaluate(expressions, at)
    }
}
