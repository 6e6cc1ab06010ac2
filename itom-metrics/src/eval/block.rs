//! What evaluating a part of an expression gives: series with a value, or none, at every step.

use std::sync::Arc;

use hashbrown::HashMap;
use itom_core::Histogram;

use super::derive::Derivation;
use super::error::{EvalError, same_labels};
use super::evaluation::{Evaluation, Source};
use crate::LabelSet;
use crate::promql::RawText;

/// The times of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Steps {
    pub(super) start: i64,
    /// Positive.
    pub(super) step: i64,
    pub(super) count: usize,
}

impl Steps {
    pub(super) const fn single(at: i64) -> Self {
        Self { start: at, step: 1, count: 1 }
    }

    /// From `start` by `step` as long as `end` is not passed.
    pub(super) fn new(start: i64, end: i64, step: i64) -> Self {
        let count = if end < start { 0 } else { end.saturating_sub(start) / step + 1 };
        Self { start, step, count: usize::try_from(count).unwrap_or(usize::MAX) }
    }

    pub(super) const fn at(&self, index: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(index as i64))
    }

    pub(super) const fn end(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    pub(super) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |index| self.at(index))
    }
}

/// The value of a series at a step.
#[derive(Debug, Clone, Default)]
pub(super) enum Cell {
    #[default]
    Absent,
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Cell {
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) fn histogram(value: Histogram) -> Self {
        Self::Histogram(Arc::new(value))
    }

    /// What it weighs in the limit on samples, as Prometheus counts: a histogram is as many as its bytes hold.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Float(_) => 1,
            Self::Histogram(histogram) => weight(histogram),
        }
    }
}

pub(super) fn weight(histogram: &Histogram) -> u64 {
    (crate::histogram::size(histogram) as u64 + 8) / 16
}

/// Whose values a row holds.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) labels: LabelSet,
    /// The metric's name is dropped when the query is done.
    pub(super) drop_name: bool,
}

/// Rows of values, one after the other: the value of row `r` at step `s` is at `r * steps + s`.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) heads: Vec<Head>,
    pub(super) cells: Vec<Cell>,
    pub(super) steps: usize,
}

impl Block {
    pub(super) fn new(steps: usize) -> Self {
        Self { heads: Vec::new(), cells: Vec::new(), steps }
    }

    pub(super) fn with_capacity(steps: usize, rows: usize) -> Self {
        Self { heads: Vec::with_capacity(rows), cells: Vec::with_capacity(rows.saturating_mul(steps)), steps }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&Head, &[Cell])> {
        self.heads.iter().zip(self.cells.chunks_exact(self.steps.max(1)))
    }

    pub(super) fn cell(&self, row: usize, step: usize) -> &Cell {
        self.cells.get(row * self.steps + step).unwrap_or(&Cell::Absent)
    }

    pub(super) fn set(&mut self, row: usize, step: usize, value: Cell) {
        if let Some(cell) = self.cells.get_mut(row * self.steps + step) {
            *cell = value;
        }
    }

    /// Adds a row without values.
    pub(super) fn add_row(&mut self, head: Head) -> usize {
        self.heads.push(head);
        self.cells.resize(self.heads.len() * self.steps, Cell::Absent);
        self.heads.len() - 1
    }

    /// Adds a row by the values of its steps, unless all are absent.
    pub(super) fn push_row(&mut self, head: Head, cells: impl Iterator<Item = Cell>) {
        let before = self.cells.len();
        self.cells.extend(cells);
        if self.cells[before..].iter().all(Cell::is_absent) {
            self.cells.truncate(before);
        } else {
            self.heads.push(head);
        }
    }

    pub(super) fn weight(&self) -> u64 {
        self.cells.iter().map(Cell::weight).sum()
    }

    /// Changes every value; a row of which nothing is left goes. The metric's name goes, at once or at the end.
    pub(super) fn map_values(&mut self, mut change: impl FnMut(&Head, &Cell, usize) -> Cell) {
        let steps = self.steps.max(1);
        for (head, cells) in self.heads.iter().zip(self.cells.chunks_exact_mut(steps)) {
            for (step, cell) in cells.iter_mut().enumerate() {
                if !cell.is_absent() {
                    *cell = change(head, cell, step);
                }
            }
        }
        self.drop_empty_rows();
    }

    /// Removes the rows without values.
    pub(super) fn drop_empty_rows(&mut self) {
        let steps = self.steps.max(1);
        let mut kept = 0;
        for row in 0..self.heads.len() {
            let cells = row * steps..(row + 1) * steps;
            if self.cells[cells.clone()].iter().all(Cell::is_absent) {
                continue;
            }
            if kept != row {
                self.heads.swap(kept, row);
                for (offset, cell) in cells.enumerate() {
                    self.cells.swap(kept * steps + offset, cell);
                }
            }
            kept += 1;
        }
        self.heads.truncate(kept);
        self.cells.truncate(kept * steps);
    }

    /// Drops the metric's name: a mark with delayed removal, else at once, and series that become the same are joined.
    pub(super) fn drop_names(self, evaluation: &Evaluation<'_>) -> Result<Self, EvalError> {
        let mut block = self;
        for head in &mut block.heads {
            head.drop_name = true;
        }
        if evaluation.options.delayed_name_removal {
            return Ok(block);
        }
        block.without_names(evaluation.source)
    }

    /// Rows without the metric's name; those that become the same are joined.
    ///
    /// Fails when two of them have a value at the same step.
    pub(super) fn without_names(mut self, source: &dyn Source) -> Result<Self, EvalError> {
        let bare = source.derive(&Derivation::Bare, &self.heads);
        // Rows of one metric that lose its name only are as different as before.
        let metric = self.heads.first().map_or("", |head| head.labels.metric()).to_owned();
        let mut distinct = true;
        for (head, labels) in self.heads.iter_mut().zip(bare) {
            distinct &= head.labels.len() == labels.len() + usize::from(!metric.is_empty())
                && head.labels.metric() == metric;
            head.labels = labels;
        }
        if distinct { Ok(self) } else { self.joined() }
    }

    /// Series with the same labels become one.
    ///
    /// Fails when two of them have a value at the same step.
    pub(super) fn joined(self) -> Result<Self, EvalError> {
        // Only looked up, never iterated.
        let mut places: HashMap<LabelSet, usize> = HashMap::with_capacity(self.heads.len());
        let mut twice = false;
        for (row, head) in self.heads.iter().enumerate() {
            twice |= places.insert(head.labels.clone(), row).is_some();
        }
        if !twice {
            return Ok(self);
        }
        places.clear();
        let steps = self.steps;
        let mut joined = Self::new(steps);
        let mut cells = self.cells.into_iter();
        for head in self.heads {
            let row = *places.entry(head.labels.clone()).or_insert(joined.heads.len());
            if row == joined.heads.len() {
                joined.add_row(head);
            }
            for step in 0..steps {
                let value = cells.next().unwrap_or_default();
                if value.is_absent() {
                    continue;
                }
                if !joined.cell(row, step).is_absent() {
                    return same_labels();
                }
                joined.set(row, step, value);
            }
        }
        Ok(joined)
    }
}

/// What a part of an expression gives.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A number for each step.
    Scalar(Vec<f64>),
    Text(RawText),
    Vector(Block),
}

impl Value {
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Scalar(values) => values.len() as u64,
            Self::Text(_) => 0,
            Self::Vector(block) => block.weight(),
        }
    }
}
