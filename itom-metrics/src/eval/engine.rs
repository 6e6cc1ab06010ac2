//! The engine: from an expression to an answer.

use std::sync::Arc;

use itom_core::SampleValue;

use super::block::{Block, Cell, Steps, Value};
use super::call;
use super::error::{EvalError, fail};
use super::evaluation::{Asked, Evaluation, Source, matchers_of};
use super::options::{EngineOptions, Patient, Watch};
use super::value::{Answer, MatrixSeries, QueryValue, VectorSample};
use super::{Annotations, select};
use crate::promql::ast::{Expr, VectorSelector};
use crate::{FloatPoint, LabelMatcher, Points, Queryable, SelectHints, SelectedSeries, TimeRange};

/// Evaluates expressions.
///
/// ```
/// use itom_metrics::eval::{Engine, EngineOptions, QueryValue};
/// use itom_metrics::{LabelSet, MemorySeries, promql};
/// let mut series = MemorySeries::new();
/// series.append_float(&LabelSet::from_pairs([("__name__", "up"), ("job", "web")]), 1_000, 1.0, 0)?;
/// let engine = Engine::new(EngineOptions::default());
/// let answer = engine.instant(&promql::parse("up + 1")?, &series, 2_000)?;
/// let QueryValue::Vector(samples) = answer.value else { panic!("a vector") };
/// assert_eq!(samples[0].labels.to_string(), r#"{job="web"}"#);
/// assert_eq!(samples[0].value.as_float(), Some(2.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Engine {
    options: EngineOptions,
}

/// Reads every selector from the store.
struct Store<'a> {
    queryable: &'a dyn Queryable,
    max_series: u64,
}

impl Source for Store<'_> {
    fn tiered(&self) -> Option<&dyn crate::Tiered> {
        self.queryable.as_tiered()
    }

    fn series(
        &self,
        selector: &VectorSelector,
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Arc<Vec<SelectedSeries>>, EvalError> {
        self.select(&matchers_of(selector)?, range, hints)
    }

    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Arc<Vec<SelectedSeries>>, EvalError> {
        let series = self.queryable.select(matchers, range, hints)?;
        let found = series.len() as u64;
        if found > self.max_series {
            return Err(EvalError::Series { found, limit: self.max_series });
        }
        Ok(Arc::new(series))
    }
}

impl Engine {
    /// An engine with these options.
    #[must_use]
    pub const fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// Its options.
    #[must_use]
    pub const fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates at a time, in milliseconds since the epoch.
    ///
    /// # Errors
    /// [`EvalError`].
    pub fn instant(&self, expr: &Expr, queryable: &dyn Queryable, t: i64) -> Result<Answer, EvalError> {
        self.instant_watched(expr, queryable, t, &Patient)
    }

    /// As [`instant`](Self::instant), until `watch` says to stop.
    ///
    /// # Errors
    /// [`EvalError`].
    pub fn instant_watched(
        &self,
        expr: &Expr,
        queryable: &dyn Queryable,
        t: i64,
        watch: &dyn Watch,
    ) -> Result<Answer, EvalError> {
        let store = Store { queryable, max_series: self.options.max_series };
        self.instant_from(expr, &store, t, watch)
    }

    pub(super) fn instant_from(
        &self,
        expr: &Expr,
        source: &dyn Source,
        t: i64,
        watch: &dyn Watch,
    ) -> Result<Answer, EvalError> {
        let mut evaluation = self.evaluation(expr, source, watch, Asked { start: t, end: t, step: 0 });
        let steps = Steps::single(t);
        let value = match expr.within_parens() {
            Expr::Matrix(_) | Expr::Subquery(_) => {
                let series = call::range_vector(&mut evaluation, expr, &steps)?;
                QueryValue::Matrix(
                    series
                        .into_iter()
                        .map(|one| MatrixSeries { labels: one.labels, points: one.samples })
                        .collect(),
                )
            }
            _ => match evaluation.eval(expr, &steps)? {
                Value::Scalar(values) => QueryValue::Scalar(t, values.first().copied().unwrap_or(f64::NAN)),
                Value::Text(text) => QueryValue::String(text),
                Value::Vector(block) => {
                    let block = cleaned(block)?;
                    let rows = block.heads.into_iter().zip(block.cells);
                    QueryValue::Vector(
                        rows.filter_map(|(head, cell)| {
                            let value = match cell {
                                Cell::Absent => return None,
                                Cell::Float(v) => SampleValue::Float(v),
                                Cell::Histogram(h) => SampleValue::Histogram(h),
                            };
                            Some(VectorSample { labels: head.labels, t, value })
                        })
                        .collect(),
                    )
                }
            },
        };
        Ok(Answer { value, annotations: evaluation.annotations })
    }

    /// Evaluates at every time from `start` to `end` by `step`, in milliseconds.
    ///
    /// # Errors
    /// [`EvalError`].
    pub fn range(
        &self,
        expr: &Expr,
        queryable: &dyn Queryable,
        start: i64,
        end: i64,
        step: i64,
    ) -> Result<Answer, EvalError> {
        self.range_watched(expr, queryable, (start, end, step), &Patient)
    }

    /// As [`range`](Self::range) with start, end and step, until `watch` says to stop.
    ///
    /// # Errors
    /// [`EvalError`].
    pub fn range_watched(
        &self,
        expr: &Expr,
        queryable: &dyn Queryable,
        (start, end, step): (i64, i64, i64),
        watch: &dyn Watch,
    ) -> Result<Answer, EvalError> {
        if step <= 0 || end < start {
            return Err(EvalError::Range { start, end, step });
        }
        let steps = Steps::new(start, end, step);
        if steps.count as u64 > self.options.max_samples {
            return Err(EvalError::Samples { limit: self.options.max_samples });
        }
        let store = Store { queryable, max_series: self.options.max_series };
        let mut evaluation = self.evaluation(expr, &store, watch, Asked { start, end, step });
        let series = match evaluation.eval(expr, &steps)? {
            Value::Text(_) => return fail("a range query of a string has no values over time"),
            Value::Scalar(values) => {
                let points = steps.times().zip(values).map(|(t, v)| FloatPoint { t, v }).collect();
                vec![MatrixSeries { labels: crate::LabelSet::empty(), points: Points::of_floats(points) }]
            }
            Value::Vector(block) => {
                let series = select::as_series_with_hints(&cleaned(block)?, &steps);
                let mut series: Vec<_> = series
                    .into_iter()
                    .map(|one| MatrixSeries { labels: one.labels, points: one.samples })
                    .collect();
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                series
            }
        };
        Ok(Answer { value: QueryValue::Matrix(series), annotations: evaluation.annotations })
    }

    fn evaluation<'a>(
        &'a self,
        expr: &Expr,
        source: &'a dyn Source,
        watch: &'a dyn Watch,
        asked: Asked,
    ) -> Evaluation<'a> {
        Evaluation {
            options: &self.options,
            source,
            watch,
            asked,
            annotations: Annotations::default(),
            decided: super::restarts::Decided::of(expr),
            held: 0,
        }
    }
}

/// Drops the names that are to be dropped at the end.
fn cleaned(mut block: Block) -> Result<Block, EvalError> {
    for head in &mut block.heads {
        if head.drop_name {
            head.labels = head.labels.without_metadata();
        }
    }
    block.drop_empty_rows();
    block.joined()
}
