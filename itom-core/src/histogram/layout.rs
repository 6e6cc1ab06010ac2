//! Where the buckets of a histogram begin and end.

use std::sync::{Arc, LazyLock};

use super::HistogramError;

/// The resolution of exponential buckets: 2^n buckets for each doubling, n from −4 to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Schema(i8);

impl Schema {
    /// The coarsest: each bucket spans a factor of 65,536.
    pub const MIN: Self = Self(-4);
    /// The finest: 256 buckets for each doubling.
    pub const MAX: Self = Self(8);

    /// Checks the range.
    ///
    /// # Errors
    /// [`HistogramError::Schema`] outside −4..=8.
    pub fn new(number: i32) -> Result<Self, HistogramError> {
        match i8::try_from(number) {
            Ok(small) if (-4..=8).contains(&small) => Ok(Self(small)),
            _ => Err(HistogramError::Schema { number }),
        }
    }

    /// Prometheus's number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// The upper bound of the positive bucket with this index; the bucket below it ends where this one begins.
    ///
    /// What is beyond the largest float is [`f64::MAX`] for the bucket that reaches it and infinite above.
    #[must_use]
    pub fn bound(self, index: i32) -> f64 {
        let index = i64::from(index);
        if self.0 <= 0 {
            return power_of_two(index << self.0.unsigned_abs(), 1.0);
        }
        let within = index & ((1 << self.0) - 1);
        // Less than 256 by the mask, and widened to the steps of schema 8.
        let step = (within << (8 - self.0)) as usize;
        power_of_two(index >> self.0, STEPS.get(step).copied().unwrap_or(1.0))
    }

    /// The index that a bucket of this schema has in a coarser (or the same) one, into which it fits as a whole.
    #[must_use]
    pub fn index_in(self, coarser: Self, index: i32) -> i32 {
        let by = (self.0 - coarser.0).max(0);
        // Within 32 bits again: the shift only brings it nearer to zero.
        (((i64::from(index) - 1) >> by) + 1) as i32
    }
}

/// 2^(k/256) for k from 0 to 255.
static STEPS: LazyLock<[f64; 256]> = LazyLock::new(|| std::array::from_fn(|k| (k as f64 / 256.0).exp2()));

/// `factor * 2^exponent`, factor within [1, 2).
fn power_of_two(exponent: i64, factor: f64) -> f64 {
    match exponent {
        1024 if factor == 1.0 => f64::MAX,
        1024.. => f64::INFINITY,
        // The exponent of a float is stored with 1023 added.
        -1022..1024 => factor * f64::from_bits(((exponent + 1023) as u64) << 52),
        -1075..-1022 => factor * f64::from_bits(1 << 52) * (0.5_f64).powi((-1022 - exponent) as i32),
        _ => 0.0,
    }
}

/// Upper bounds of buckets chosen by hand, strictly ascending and finite; one more bucket ends at +Inf. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomBounds(Arc<[f64]>);

impl CustomBounds {
    /// Checks and keeps the bounds. None at all is allowed: then there is one bucket for everything.
    ///
    /// # Errors
    /// [`HistogramError::Bounds`] naming the first bound that is not finite or not greater than the one before it.
    pub fn new(bounds: &[f64]) -> Result<Self, HistogramError> {
        for (position, bound) in bounds.iter().enumerate() {
            let before = position.checked_sub(1).and_then(|before| bounds.get(before));
            if !bound.is_finite() || before.is_some_and(|before| before >= bound) {
                return Err(HistogramError::Bounds { position, bound: *bound });
            }
        }
        Ok(Self(bounds.into()))
    }

    /// The bounds, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The upper bound of the bucket with this index: −Inf before the first, +Inf from the last on.
    #[must_use]
    pub fn bound(&self, index: i32) -> f64 {
        match usize::try_from(index) {
            Ok(index) => self.0.get(index).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        }
    }
}

/// Which buckets a histogram has.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "both are matched wherever histograms are calculated with")]
pub enum Layout {
    /// Buckets grow by a constant factor on both sides of a zero bucket.
    Exponential(Schema),
    /// Buckets have bounds chosen by hand (Prometheus's schema −53); all are on the positive side, whatever their sign.
    Custom(CustomBounds),
}

impl Layout {
    /// Prometheus's schema number; −53 for custom bounds.
    #[must_use]
    pub const fn schema(&self) -> i32 {
        match self {
            Self::Exponential(schema) => schema.number(),
            Self::Custom(_) => super::CUSTOM_SCHEMA,
        }
    }

    /// The upper bound of the positive bucket with this index.
    #[must_use]
    pub fn bound(&self, index: i32) -> f64 {
        match self {
            Self::Exponential(schema) => schema.bound(index),
            Self::Custom(bounds) => bounds.bound(index),
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self::Exponential(Schema::default())
    }
}
