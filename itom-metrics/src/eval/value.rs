//! Answers.

use itom_core::SampleValue;

use super::Annotations;
use crate::promql::RawText;
use crate::{LabelSet, Points};

/// One series of an instant vector.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VectorSample {
    /// Its labels.
    pub labels: LabelSet,
    /// When, in milliseconds since the epoch.
    pub t: i64,
    /// Its value.
    pub value: SampleValue,
}

/// One series of a matrix.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: LabelSet,
    /// Its samples.
    pub points: Points,
}

/// The value of an expression.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the four types of PromQL")]
pub enum QueryValue {
    /// A number at a time in milliseconds.
    Scalar(i64, f64),
    /// A string.
    String(RawText),
    /// A value for each of some series.
    Vector(Vec<VectorSample>),
    /// Values over time for each of some series, sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

/// The value of an expression and what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The value.
    pub value: QueryValue,
    /// Warnings and remarks.
    pub annotations: Annotations,
}
