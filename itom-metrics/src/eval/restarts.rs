//! Which histograms began again, decided where only their counts and sums are asked for.
//!
//! Below `histogram_count`, `histogram_sum` and `histogram_avg`, Prometheus reads histograms without their buckets and
//! decides on the way whether each one is a restart; its remarks about conflicting restarts rest on that.

use std::sync::Arc;

use itom_core::{CounterReset, Histogram};

use crate::histogram::detect_reset;
use crate::promql::ast::{BinaryOp, Expr, VectorSelector};
use crate::promql::{Function, Span};
use crate::{HistogramPoint, SelectedSeries};

/// The selectors of an expression whose restarts are decided, by their place.
#[derive(Debug, Clone, Default)]
pub(super) struct Decided(Vec<Span>);

impl Decided {
    pub(super) fn of(expr: &Expr) -> Self {
        let mut found = Self::default();
        found.collect(expr, false);
        found
    }

    /// The nearest function above a selector that wants counts or buckets says which.
    fn collect(&mut self, expr: &Expr, counts: bool) {
        let below = match expr {
            Expr::Call(call) => match call.function {
                Function::HistogramCount | Function::HistogramSum | Function::HistogramAvg => true,
                Function::HistogramQuantile | Function::HistogramQuantiles | Function::HistogramFraction => {
                    false
                }
                _ => counts,
            },
            Expr::Binary(binary) if matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower) => false,
            Expr::Vector(selector) if counts => return self.0.push(selector.at.0),
            Expr::Matrix(matrix) if counts => return self.0.push(matrix.selector.at.0),
            _ => counts,
        };
        expr.children().for_each(|child| self.collect(child, below));
    }

    /// The series of a selector, each histogram marked where its restarts are decided.
    pub(super) fn mark(
        &self,
        selector: &VectorSelector,
        series: Arc<Vec<SelectedSeries>>,
    ) -> Arc<Vec<SelectedSeries>> {
        let wanted = self.0.contains(&selector.at.0);
        if !wanted || series.iter().all(|one| one.samples.histograms.is_empty()) {
            return series;
        }
        Arc::new(series.iter().map(marked).collect())
    }
}

fn marked(series: &SelectedSeries) -> SelectedSeries {
    let mut marked = series.clone();
    let mut before: Option<Arc<Histogram>> = None;
    for HistogramPoint { h, .. } in &mut marked.samples.histograms {
        if h.is_stale() {
            continue;
        }
        let own = Arc::clone(h);
        if let (CounterReset::Unknown, Some(before)) = (h.reset, &before) {
            let reset = if detect_reset(h, before) { CounterReset::Reset } else { CounterReset::NotReset };
            Arc::make_mut(h).reset = reset;
        }
        before = Some(own);
    }
    marked
}
