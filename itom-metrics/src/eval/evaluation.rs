//! One evaluation: the walk over an expression.

use std::sync::Arc;

use itom_core::MatchOp;

use super::block::{Block, Head, Steps, Value};
use super::derive::Derivation;
use super::error::{EvalError, fail};
use super::options::{EngineOptions, Watch};
use super::{Annotations, aggregate, binary, call, select};
use crate::promql::ast::{Expr, Length, Matcher, Moment, Shift, Subquery, VectorSelector};
use crate::promql::{Evaluated, Function, LengthError};
use crate::{LabelMatcher, LabelSet, METRIC_NAME, SelectHints, SelectedSeries, TimeRange};

/// Where an evaluation finds series and, perhaps, parts that were evaluated before.
pub(super) trait Source {
    /// The series of a selector with at least their samples in the range, sorted by labels.
    fn series(
        &self,
        selector: &VectorSelector,
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Arc<Vec<SelectedSeries>>, EvalError>;

    /// Series that no selector of the expression names.
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Arc<Vec<SelectedSeries>>, EvalError>;

    /// The store's tiers, if it has any.
    fn tiered(&self) -> Option<&dyn crate::Tiered> {
        None
    }

    /// Labels made of those of each row.
    fn derive(&self, how: &Derivation, heads: &[Head]) -> Vec<LabelSet> {
        heads.iter().map(|head| how.of(&head.labels)).collect()
    }

    /// The different labels made of those of the rows, in the order in which they first come, and which each row has.
    fn grouped(&self, how: &Derivation, heads: &[Head]) -> (Vec<LabelSet>, Vec<usize>) {
        how.grouped(heads)
    }

    /// The value of a part, if it is known for these steps.
    fn known(&self, _expr: &Expr, _steps: &Steps) -> Option<(Value, Annotations)> {
        None
    }

    /// Whether the value of a part is worth keeping.
    fn wanted(&self, _expr: &Expr, _steps: &Steps) -> bool {
        false
    }

    /// Takes the value of a part that is wanted.
    fn learn(&self, _expr: &Expr, _steps: &Steps, _value: &Value, _annotations: &Annotations) {}
}

/// The times that a query names: what `start()`, `end()`, `range()` and `step()` mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) start: i64,
    pub(super) end: i64,
    /// 0 for an instant.
    pub(super) step: i64,
}

pub(super) struct Evaluation<'a> {
    pub(super) options: &'a EngineOptions,
    pub(super) source: &'a dyn Source,
    pub(super) watch: &'a dyn Watch,
    pub(super) asked: Asked,
    pub(super) annotations: Annotations,
    pub(super) decided: super::restarts::Decided,
    /// Samples that are held.
    pub(super) held: u64,
}

impl Evaluation<'_> {
    pub(super) fn check(&self) -> Result<(), EvalError> {
        self.watch.interrupted().map_or(Ok(()), |why| Err(EvalError::Interrupted(why)))
    }

    /// Fails when so many samples more than are held would be too many.
    pub(super) fn afford(&self, more: u64) -> Result<(), EvalError> {
        let limit = self.options.max_samples;
        if self.held.saturating_add(more) > limit { Err(EvalError::Samples { limit }) } else { Ok(()) }
    }

    pub(super) fn length(&self, length: &Length) -> Result<i64, EvalError> {
        length.resolve(self.evaluated()).map_err(length_error)
    }

    pub(super) fn positive_length(&self, length: &Length) -> Result<i64, EvalError> {
        length.resolve_positive(self.evaluated()).map_err(length_error)
    }

    const fn evaluated(&self) -> Evaluated {
        Evaluated { step: self.asked.step, range: self.asked.end - self.asked.start }
    }

    /// How far back a selector looks, and from which fixed time if from one.
    pub(super) fn shift(&self, shift: &Shift) -> Result<(i64, Option<i64>), EvalError> {
        let offset = shift.offset.as_ref().map_or(Ok(0), |offset| self.length(offset))?;
        let fixed = shift.at.map(|moment| match moment {
            Moment::At(at) => at,
            Moment::Start => self.asked.start,
            Moment::End => self.asked.end,
        });
        Ok((offset, fixed))
    }

    /// The value of an expression at every step.
    pub(super) fn eval(&mut self, expr: &Expr, steps: &Steps) -> Result<Value, EvalError> {
        self.check()?;
        if steps.count == 0 {
            return Ok(Value::Vector(Block::new(0)));
        }
        if let Some((value, annotations)) = self.source.known(expr, steps) {
            self.annotations.merge(&annotations);
            self.held = self.held.saturating_add(value.weight());
            self.afford(0)?;
            return Ok(value);
        }
        let before = self.held;
        let wanted = self.source.wanted(expr, steps);
        // What is said about a part that is kept is kept with it.
        let outer = wanted.then(|| std::mem::take(&mut self.annotations));
        let value = if steps.count > 1 && costs_something(expr) && self.never_changes(expr) {
            let once = self.node(expr, &Steps { count: 1, ..*steps })?;
            repeated(once, steps.count)
        } else {
            self.node(expr, steps)?
        };
        if let Some(mut outer) = outer {
            self.source.learn(expr, steps, &value, &self.annotations);
            outer.merge(&self.annotations);
            self.annotations = outer;
        }
        self.held = before;
        let weight = value.weight();
        self.afford(weight)?;
        self.held += weight;
        Ok(value)
    }

    fn node(&mut self, expr: &Expr, steps: &Steps) -> Result<Value, EvalError> {
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(vec![number.value.0; steps.count])),
            Expr::String(text) => Ok(Value::Text(text.value.clone())),
            Expr::Vector(selector) => select::instant(self, selector, steps).map(Value::Vector),
            Expr::Paren(paren) => self.eval(&paren.expr, steps),
            Expr::Unary(unary) => {
                let value = self.eval(&unary.expr, steps)?;
                if unary.negative { binary::negated(self, value) } else { Ok(value) }
            }
            Expr::Binary(node) => binary::eval(self, node, steps),
            Expr::Aggregate(node) => aggregate::eval(self, node, steps).map(Value::Vector),
            Expr::Call(node) => call::eval(self, node, steps),
            // The parser lets ranges stand only where a function takes them, or alone in an instant query.
            Expr::Matrix(_) | Expr::Subquery(_) => {
                fail("a range vector cannot be evaluated over a range of times")
            }
        }
    }

    /// A vector where the parser has seen to it that there is one.
    pub(super) fn vector(&mut self, expr: &Expr, steps: &Steps) -> Result<Block, EvalError> {
        match self.eval(expr, steps)? {
            Value::Vector(block) => Ok(block),
            _ => fail("expected an instant vector"),
        }
    }

    /// A number for each step, likewise.
    pub(super) fn scalar(&mut self, expr: &Expr, steps: &Steps) -> Result<Vec<f64>, EvalError> {
        match self.eval(expr, steps)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) if steps.count == 0 => Ok(Vec::new()),
            _ => fail("expected a scalar"),
        }
    }

    /// Evaluates the expression of a subquery at its own steps. Returns its series, and its range, offset and fixed
    /// time.
    pub(super) fn subquery(
        &mut self,
        node: &Subquery,
        steps: &Steps,
    ) -> Result<(Vec<SelectedSeries>, i64, i64, Option<i64>), EvalError> {
        let range = self.positive_length(&node.range)?;
        let (offset, fixed) = self.shift(&node.shift)?;
        let step = match &node.step {
            Some(step) => self.positive_length(step)?.max(1),
            None => self.options.subquery_millis(),
        };
        let first = fixed.unwrap_or(steps.start).saturating_sub(offset);
        let last = fixed.unwrap_or(steps.end()).saturating_sub(offset);
        let earliest = first.saturating_sub(range);
        // The first multiple of the step after the window's open start.
        let mut start = earliest / step * step;
        if start <= earliest {
            start += step;
        }
        let inner = Steps::new(start, last, step);
        let value = self.eval(&node.expr, &inner)?;
        let block = match value {
            Value::Vector(block) => block,
            Value::Scalar(values) => {
                let mut block = Block::new(inner.count);
                let head = Head { labels: LabelSet::empty(), drop_name: false };
                block.push_row(head, values.into_iter().map(super::block::Cell::Float));
                block
            }
            Value::Text(_) => return fail("a subquery of a string"),
        };
        Ok((select::as_series(&block, &inner), range, offset, fixed))
    }

    /// Whether the value is the same at every step: all its selectors are fixed in time, and no function of it looks at
    /// the time of evaluation.
    pub(super) fn never_changes(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Vector(selector) => selector.shift.at.is_some(),
            Expr::Matrix(matrix) => matrix.selector.shift.at.is_some(),
            Expr::Subquery(subquery) => subquery.shift.at.is_some(),
            Expr::Call(node) if looks_at_time(node.function) => false,
            // What a missing argument stands for.
            Expr::Call(node) if node.args.is_empty() => !matches!(node.function, Function::Time),
            other => other.children().all(|child| self.never_changes(child)),
        }
    }
}

const fn looks_at_time(function: Function) -> bool {
    matches!(
        function,
        Function::DaysInMonth
            | Function::DayOfMonth
            | Function::DayOfWeek
            | Function::DayOfYear
            | Function::Hour
            | Function::Minute
            | Function::Month
            | Function::Year
            | Function::PredictLinear
            | Function::Time
            | Function::Timestamp
    )
}

const fn costs_something(expr: &Expr) -> bool {
    !matches!(expr, Expr::Number(_) | Expr::String(_) | Expr::Paren(_) | Expr::Matrix(_) | Expr::Subquery(_))
}

fn repeated(value: Value, count: usize) -> Value {
    match value {
        Value::Scalar(values) => Value::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); count]),
        Value::Text(text) => Value::Text(text),
        Value::Vector(block) => {
            let mut out = Block::with_capacity(count, block.heads.len());
            for (head, cells) in block.rows() {
                let cell = cells.first().cloned().unwrap_or_default();
                out.push_row(head.clone(), std::iter::repeat_n(cell, count));
            }
            Value::Vector(out)
        }
    }
}

fn length_error(error: LengthError) -> EvalError {
    EvalError::Query(error.to_string())
}

/// The compiled conditions of a selector, the one on the metric's name among them.
pub(crate) fn matchers_of(selector: &VectorSelector) -> Result<Vec<LabelMatcher>, EvalError> {
    let named = selector.name.iter().map(|name| Ok(LabelMatcher::equal(METRIC_NAME, name.clone())));
    named.chain(selector.matchers.iter().map(compiled)).collect()
}

pub(super) fn compiled(matcher: &Matcher) -> Result<LabelMatcher, EvalError> {
    LabelMatcher::new(matcher.name.clone(), matcher.op, matcher.value.clone())
        .map_err(|error| EvalError::Query(error.to_string()))
}

/// The labels that an absent result of a selector has: those that the selector says exactly.
pub(super) fn labels_of_absent(expr: &Expr) -> LabelSet {
    let selector = match expr {
        Expr::Vector(selector) => selector,
        Expr::Matrix(matrix) => &matrix.selector,
        _ => return LabelSet::empty(),
    };
    let mut labels = LabelSet::empty();
    let mut said: Vec<&str> = Vec::new();
    for matcher in selector.matchers.iter().filter(|matcher| matcher.name.as_str() != METRIC_NAME) {
        let name = matcher.name.as_str();
        if matcher.op == MatchOp::Equal && !said.contains(&name) {
            labels = labels.with(name, matcher.value.clone());
            said.push(name);
        } else {
            labels = labels.with(name, "");
        }
    }
    labels
}
