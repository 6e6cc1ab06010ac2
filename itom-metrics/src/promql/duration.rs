//! Lengths of time that are computed from the range and step of an evaluation.

use super::Span;
use super::ast::{BinaryOp, DurationExpr, DurationKind, Length};

/// What duration expressions may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evaluated {
    /// `step()` in milliseconds; 0 for an instant.
    pub step: i64,
    /// `range()` in milliseconds, from the first time to the last; 0 for an instant.
    pub range: i64,
}

/// Why a length cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LengthError {
    /// A division by a computed zero.
    #[error("{}:{}: division by zero", .0.start, .0.end)]
    DivisionByZero(Span),
    /// A modulo by a computed zero.
    #[error("{}:{}: modulo by zero", .0.start, .0.end)]
    ModuloByZero(Span),
    /// Zero or negative where only a positive length makes sense.
    #[error("{}:{}: duration must be greater than 0", .0.start, .0.end)]
    NotPositive(Span),
    /// More than 292 years.
    #[error("{}:{}: duration is out of range", .0.start, .0.end)]
    OutOfRange(Span),
}

/// Seconds that fit 64 bits of nanoseconds, as in Prometheus.
pub(super) const MAX_SECONDS: f64 = 9_223_372_036.854_776;

impl Length {
    /// The length in milliseconds of an offset, which may be negative.
    ///
    /// # Errors
    /// [`LengthError`] with the place of the part that cannot be computed.
    pub fn resolve(&self, evaluated: Evaluated) -> Result<i64, LengthError> {
        match self {
            Self::Fixed(milliseconds) => Ok(*milliseconds),
            Self::Computed(expr) => {
                let seconds = expr.seconds(evaluated)?;
                if !seconds.is_finite() || seconds.abs() > MAX_SECONDS {
                    return Err(LengthError::OutOfRange(expr.at.0));
                }
                Ok((seconds * 1_000.0) as i64)
            }
        }
    }

    /// The length in milliseconds of a range or step, which must be positive.
    ///
    /// # Errors
    /// [`LengthError`] with the place of the part that cannot be computed.
    pub fn resolve_positive(&self, evaluated: Evaluated) -> Result<i64, LengthError> {
        if let Self::Computed(expr) = self
            && expr.seconds(evaluated)? <= 0.0
        {
            return Err(LengthError::NotPositive(expr.at.0));
        }
        self.resolve(evaluated)
    }
}

impl DurationExpr {
    fn seconds(&self, evaluated: Evaluated) -> Result<f64, LengthError> {
        Ok(match &self.kind {
            DurationKind::Literal { seconds, .. } => seconds.0,
            DurationKind::Step => evaluated.step as f64 / 1_000.0,
            DurationKind::Range => evaluated.range as f64 / 1_000.0,
            DurationKind::Negate(of) => -of.seconds(evaluated)?,
            DurationKind::Paren(of) => of.seconds(evaluated)?,
            DurationKind::Min(a, b) => a.seconds(evaluated)?.min(b.seconds(evaluated)?),
            DurationKind::Max(a, b) => a.seconds(evaluated)?.max(b.seconds(evaluated)?),
            DurationKind::Binary(op, a, b) => {
                let (left, right) = (a.seconds(evaluated)?, b.seconds(evaluated)?);
                match op {
                    BinaryOp::Add => left + right,
                    BinaryOp::Sub => left - right,
                    BinaryOp::Mul => left * right,
                    BinaryOp::Div if right == 0.0 => return Err(LengthError::DivisionByZero(b.at.0)),
                    BinaryOp::Div => left / right,
                    BinaryOp::Mod if right == 0.0 => return Err(LengthError::ModuloByZero(b.at.0)),
                    BinaryOp::Mod => left % right,
                    // The parser makes no other operators than `^`.
                    _ => left.powf(right),
                }
            }
        })
    }
}
