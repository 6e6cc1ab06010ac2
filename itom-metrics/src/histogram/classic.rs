//! Classic histograms (one series for each `le`) as native ones with custom bounds.

use itom_core::{Buckets, CustomBounds, Histogram, HistogramError};

/// Why classic buckets do not make a histogram.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassicError {
    /// A bucket's bound is NaN or −Inf, or two buckets have the same bound and different counts.
    #[error("there cannot be a bucket with le=\"{le}\" and count {count}")]
    Bound {
        /// The bound.
        le: f64,
        /// Its count.
        count: f64,
    },
    /// A count is less than zero or NaN.
    #[error("the bucket le=\"{le}\" has count {count}")]
    Count {
        /// The bound.
        le: f64,
        /// Its count.
        count: f64,
    },
    /// A wider bucket holds less than a narrower one, or the count less than the widest.
    #[error(
        "the count of le=\"{le}\" is {count}, less than the {below} of the bucket below; they must not fall"
    )]
    NotCumulative {
        /// The bound; +Inf for the count of all.
        le: f64,
        /// Its count.
        count: f64,
        /// The count below.
        below: f64,
    },
    /// The bounds cannot be used.
    #[error(transparent)]
    Bounds(#[from] HistogramError),
}

impl itom_core::Classify for ClassicError {
    fn kind(&self) -> itom_core::ErrorKind {
        itom_core::ErrorKind::Invalid
    }
}

/// The parts of a classic histogram of one moment, in any order; [`convert`](Self::convert) makes it native.
///
/// ```
/// use itom_metrics::histogram::ClassicHistogram;
/// let mut parts = ClassicHistogram::default();
/// for (le, count) in [(1.0, 2.0), (5.0, 5.0), (f64::INFINITY, 6.0)] {
///     parts.bucket(le, count)?;
/// }
/// parts.sum(20.0);
/// assert_eq!(parts.convert()?.to_string(), "{count:6, sum:20, [-Inf,1]:2, (1,5]:3, (5,+Inf]:1}");
/// # Ok::<(), itom_metrics::histogram::ClassicError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ClassicHistogram {
    /// Ascending by bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl ClassicHistogram {
    /// Adds the cumulative count of values at or below `le`.
    ///
    /// # Errors
    /// [`ClassicError::Bound`] or [`ClassicError::Count`]; the bucket is not added then.
    pub fn bucket(&mut self, le: f64, count: f64) -> Result<&mut Self, ClassicError> {
        if le.is_nan() || le == f64::NEG_INFINITY {
            return Err(ClassicError::Bound { le, count });
        }
        if count.is_nan() || count < 0.0 {
            return Err(ClassicError::Count { le, count });
        }
        let place = self.buckets.partition_point(|bucket| bucket.0 < le);
        match self.buckets.get(place) {
            Some(there) if there.0 == le && there.1 == count => {}
            Some(there) if there.0 == le => return Err(ClassicError::Bound { le, count }),
            _ => self.buckets.insert(place, (le, count)),
        }
        Ok(self)
    }

    /// Sets how many values there were; without it the widest bucket says so.
    pub const fn count(&mut self, count: f64) -> &mut Self {
        self.count = Some(count);
        self
    }

    /// Sets the sum of the values.
    pub const fn sum(&mut self, sum: f64) -> &mut Self {
        self.sum = sum;
        self
    }

    /// Makes a histogram with custom bounds of it; empty buckets are not listed.
    ///
    /// # Errors
    /// [`ClassicError::NotCumulative`] when counts fall.
    pub fn convert(&self) -> Result<Histogram, ClassicError> {
        let count = self.count.or(self.buckets.last().map(|bucket| bucket.1)).unwrap_or(0.0);
        let mut buckets = Buckets::new();
        let mut bounds = Vec::with_capacity(self.buckets.len());
        let mut below = 0.0;
        let finite = self.buckets.iter().copied().filter(|bucket| bucket.0.is_finite());
        let rest =
            self.buckets.last().filter(|bucket| bucket.0 == f64::INFINITY).map_or(count, |bucket| bucket.1);
        for (index, (le, cumulative)) in (0..).zip(finite.chain([(f64::INFINITY, rest)])) {
            if cumulative < below {
                return Err(ClassicError::NotCumulative { le, count: cumulative, below });
            }
            if cumulative > below {
                buckets.add(index, cumulative - below);
            }
            if le.is_finite() {
                bounds.push(le);
            }
            below = cumulative;
        }
        if count < below {
            return Err(ClassicError::NotCumulative { le: f64::INFINITY, count, below });
        }
        let mut histogram = Histogram::custom(CustomBounds::new(&bounds)?);
        (histogram.count, histogram.sum, histogram.positive) = (count, self.sum, buckets);
        Ok(histogram)
    }
}
