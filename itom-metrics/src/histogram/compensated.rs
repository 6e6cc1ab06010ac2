//! Sums of many histograms without the rounding errors of adding one after the other.

use itom_core::Histogram;

use super::sum::{Incompatible, Merged, merge, scale};

/// A running sum whose every count carries what rounding has lost so far (Neumaier's variant of Kahan's summation), as
/// PromQL's `sum` and `avg` keep it.
///
/// ```
/// use itom_core::Histogram;
/// use itom_metrics::histogram::CompensatedHistogram;
/// let with_sum = |sum| { let mut one = Histogram::default(); one.sum = sum; one };
/// let mut total = CompensatedHistogram::new(with_sum(1e100));
/// for sum in [1.0, -1e100] {
///     total.add(&with_sum(sum))?;
/// }
/// assert_eq!(total.total().sum, 1.0);
/// # Ok::<(), itom_metrics::histogram::Incompatible>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct CompensatedHistogram {
    sum: Histogram,
    /// The same buckets, holding what is to be added to those of the sum.
    lost: Histogram,
}

impl CompensatedHistogram {
    /// A sum of one.
    #[must_use]
    pub fn new(first: Histogram) -> Self {
        let mut lost = first.clone();
        scale(&mut lost, |_| 0.0);
        Self { sum: first, lost }
    }

    /// Adds one more, as [`add`](super::add) does.
    ///
    /// # Errors
    /// [`Incompatible`]; the sum is unchanged then.
    pub fn add(&mut self, other: &Histogram) -> Result<Merged, Incompatible> {
        merge(&mut self.sum, Some(&mut self.lost), other, 1.0)
    }

    /// Subtracts one, as [`sub`](super::sub) does.
    ///
    /// # Errors
    /// [`Incompatible`]; the sum is unchanged then.
    pub fn sub(&mut self, other: &Histogram) -> Result<Merged, Incompatible> {
        merge(&mut self.sum, Some(&mut self.lost), other, -1.0)
    }

    /// Adds the two parts of another running sum, so that neither's losses are lost.
    ///
    /// # Errors
    /// [`Incompatible`]; the sum is unchanged then.
    pub fn add_compensated(&mut self, other: &Self) -> Result<Merged, Incompatible> {
        let merged = self.add(&other.sum)?;
        Ok(merged.and(self.add(&other.lost)?))
    }

    /// Multiplies both parts.
    pub fn mul(&mut self, factor: f64) {
        super::mul(&mut self.sum, factor);
        scale(&mut self.lost, |count| count * factor);
    }

    /// Divides both parts.
    pub fn div(&mut self, divisor: f64) {
        super::div(&mut self.sum, divisor);
        super::div(&mut self.lost, divisor);
    }

    /// The sum so far without what rounding lost: to look for overflow and at the hint.
    #[must_use]
    pub const fn sum(&self) -> &Histogram {
        &self.sum
    }

    /// The sum with what rounding lost.
    #[must_use]
    pub fn total(mut self) -> Histogram {
        let hint = self.sum.reset;
        // Losses of what became infinite are NaN or zero and say nothing.
        let lost = self.lost;
        self.sum.zero_count += lost.zero_count;
        self.sum.count += lost.count;
        self.sum.sum += lost.sum;
        for (side, lost) in
            [(&mut self.sum.positive, &lost.positive), (&mut self.sum.negative, &lost.negative)]
        {
            for (index, count) in lost.iter() {
                side.add(index, count);
            }
        }
        self.sum.reset = hint;
        self.sum
    }
}
