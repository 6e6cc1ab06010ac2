//! Expressions that are evaluated together, again and again.
//!
//! A [`Plan`] works out once what its expressions share: a part that stands in several of them, or twice in one, is
//! evaluated once a tick. Of a store whose series can be [followed](crate::Followable) it keeps the samples that its
//! selectors look at, and reads only what came since the tick before; which series a selector fits is asked again only
//! when series came or went. Results are those of plain evaluation to the bit: values are computed from the same
//! samples in the same order, nothing is added to and taken from a running sum.

mod derived;
mod window;

use std::cell::RefCell;
use std::sync::Arc;

use hashbrown::HashMap;

use super::block::{Head, Steps, Value};
use super::derive::Derivation;
use super::evaluation::{Source, matchers_of};
use super::options::{Patient, Watch};
use super::{Annotations, Answer, Engine, EvalError};
use crate::promql::ast::{Expr, VectorSelector};
use crate::{LabelMatcher, LabelSet, Queryable, SelectHints, SelectedSeries, TimeRange};
use derived::Derived;
use window::{Kept, Which};

/// Expressions that are evaluated together.
///
/// ```
/// use itom_metrics::eval::{Engine, EngineOptions, Plan};
/// use itom_metrics::{LabelSet, MemorySeries, promql};
/// let mut series = MemorySeries::new();
/// series.append_float(&LabelSet::from_pairs([("__name__", "up")]), 1_000, 1.0, 0)?;
/// let mut plan = Plan::new(vec![promql::parse("sum(up) > 0")?, promql::parse("sum(up) / 2")?]);
/// assert_eq!(plan.shared_parts(), 1); // `sum(up)`
/// let answers = plan.evaluate(&Engine::new(EngineOptions::default()), &series, 2_000);
/// assert!(answers.iter().all(Result::is_ok));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    expressions: Vec<Expr>,
    /// Parts that stand more than once. Only looked up, never iterated.
    shared: HashMap<Expr, ()>,
    /// Only looked up, never iterated but to be trimmed.
    kept: HashMap<Which, Kept>,
    derived: Derived,
}

impl Plan {
    /// Works out what the expressions share.
    #[must_use]
    pub fn new(expressions: Vec<Expr>) -> Self {
        let mut counts: HashMap<&Expr, usize> = HashMap::new();
        let mut shared = HashMap::new();
        for expression in &expressions {
            count(expression, &mut counts, &mut shared);
        }
        drop(counts);
        Self { expressions, shared, kept: HashMap::new(), derived: Derived::default() }
    }

    /// The expressions.
    #[must_use]
    pub fn expressions(&self) -> &[Expr] {
        &self.expressions
    }

    /// How many different parts are evaluated once for several uses; what is within a shared part is not counted again.
    #[must_use]
    pub fn shared_parts(&self) -> usize {
        self.shared.len()
    }

    /// Bytes of the samples that are kept between ticks, and of what is known about their series; the texts of labels,
    /// and the contents of histograms, are shared with others and left out.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.kept.values().map(Kept::bytes).sum::<usize>() + self.derived.bytes()
    }

    /// Evaluates all of them at a time, in milliseconds since the epoch. Ticks are cheapest when time goes forward. What is
    /// kept between them is of one store: a plan that was used over one must not be used over another.
    pub fn evaluate(
        &mut self,
        engine: &Engine,
        queryable: &dyn Queryable,
        t: i64,
    ) -> Vec<Result<Answer, EvalError>> {
        self.evaluate_watched(engine, queryable, t, &Patient)
    }

    /// As [`evaluate`](Self::evaluate), until `watch` says to stop.
    pub fn evaluate_watched(
        &mut self,
        engine: &Engine,
        queryable: &dyn Queryable,
        t: i64,
        watch: &dyn Watch,
    ) -> Vec<Result<Answer, EvalError>> {
        let tick = Tick {
            queryable,
            max_series: engine.options().max_series,
            steps: Steps::single(t),
            shared: &self.shared,
            values: RefCell::new(HashMap::new()),
            kept: RefCell::new(std::mem::take(&mut self.kept)),
            selected: RefCell::new(HashMap::new()),
            derived: RefCell::new(std::mem::take(&mut self.derived)),
        };
        let answers = self
            .expressions
            .iter()
            .map(|expression| engine.instant_from(expression, &tick, t, watch))
            .collect();
        self.kept = tick.kept.into_inner();
        self.derived = tick.derived.into_inner();
        self.derived.end_tick();
        self.kept.retain(|_, kept| kept.end_tick(t));
        answers
    }
}

/// Counts the parts of an expression; those seen before are shared, and what is within them is not looked at again.
fn count<'a>(expr: &'a Expr, counts: &mut HashMap<&'a Expr, usize>, shared: &mut HashMap<Expr, ()>) {
    if matches!(expr, Expr::Number(_) | Expr::String(_)) {
        return;
    }
    // Ranges are shared by their selectors.
    if !matches!(expr, Expr::Paren(_) | Expr::Matrix(_) | Expr::Subquery(_)) {
        let seen = counts.entry(expr).or_insert(0);
        *seen += 1;
        if *seen > 1 {
            shared.insert(expr.clone(), ());
            return;
        }
    }
    for child in expr.children() {
        count(child, counts, shared);
    }
}

type Selected = HashMap<(Which, TimeRange), Arc<Vec<SelectedSeries>>>;

/// One evaluation of all expressions.
struct Tick<'a> {
    queryable: &'a dyn Queryable,
    max_series: u64,
    steps: Steps,
    shared: &'a HashMap<Expr, ()>,
    values: RefCell<HashMap<Expr, Value>>,
    kept: RefCell<HashMap<Which, Kept>>,
    /// What was read from a store that cannot be followed.
    selected: RefCell<Selected>,
    derived: RefCell<Derived>,
}

impl Tick<'_> {
    fn limited(&self, series: Arc<Vec<SelectedSeries>>) -> Result<Arc<Vec<SelectedSeries>>, EvalError> {
        let found = series.len() as u64;
        if found > self.max_series {
            return Err(EvalError::Series { found, limit: self.max_series });
        }
        Ok(series)
    }
}

impl Source for Tick<'_> {
    fn series(
        &self,
        selector: &VectorSelector,
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Arc<Vec<SelectedSeries>>, EvalError> {
        let which = Which::of(selector);
        if let Some(followable) = self.queryable.as_followable() {
            let mut all = self.kept.borrow_mut();
            if !all.contains_key(&which) {
                all.insert(which.clone(), Kept::new(matchers_of(selector)?));
            }
            return match all.get_mut(&which) {
                Some(kept) => self.limited(kept.covering(followable, range, self.steps.start)?),
                None => Ok(Arc::new(Vec::new())),
            };
        }
        let key = (which, range);
        if let Some(series) = self.selected.borrow().get(&key) {
            return Ok(series.clone());
        }
        let series = self.select(&matchers_of(selector)?, range, hints)?;
        self.selected.borrow_mut().insert(key, series.clone());
        Ok(series)
    }

    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Arc<Vec<SelectedSeries>>, EvalError> {
        self.limited(Arc::new(self.queryable.select(matchers, range, hints)?))
    }

    fn derive(&self, how: &Derivation, heads: &[Head]) -> Vec<LabelSet> {
        self.derived.borrow_mut().all(how, heads.iter().map(|head| &head.labels))
    }

    /// What was made of labels is known from the tick before, so looking it up is less work than comparing labels.
    fn grouped(&self, how: &Derivation, heads: &[Head]) -> (Vec<LabelSet>, Vec<usize>) {
        // Only looked up, never iterated.
        let mut numbers: HashMap<LabelSet, usize> = HashMap::new();
        let mut groups = Vec::new();
        let rows = self.derive(how, heads).into_iter().map(|labels| {
            *numbers.entry(labels).or_insert_with_key(|labels| {
                groups.push(labels.clone());
                groups.len() - 1
            })
        });
        let rows = rows.collect();
        (groups, rows)
    }

    fn known(&self, expr: &Expr, steps: &Steps) -> Option<(Value, Annotations)> {
        if *steps != self.steps {
            return None;
        }
        self.values.borrow().get(expr).map(|value| (value.clone(), Annotations::default()))
    }

    fn wanted(&self, expr: &Expr, steps: &Steps) -> bool {
        *steps == self.steps && self.shared.contains_key(expr)
    }

    fn learn(&self, expr: &Expr, _: &Steps, value: &Value, annotations: &Annotations) {
        // Remarks name a place, which is another one in each expression.
        if annotations.is_empty() {
            self.values.borrow_mut().insert(expr.clone(), value.clone());
        }
    }
}
