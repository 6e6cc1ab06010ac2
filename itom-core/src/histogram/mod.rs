//! Native histograms: how often values fell into which bucket.

mod buckets;
mod layout;
mod show;
mod wire;

pub use buckets::{Buckets, Span};
pub use layout::{CustomBounds, Layout, Schema};

/// Prometheus's schema number of custom bounds.
const CUSTOM_SCHEMA: i32 = -53;

/// The bits of the value that says "this series ended here" in Prometheus. It is one NaN among many: compare bits.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether a value is Prometheus's staleness marker.
#[must_use]
pub const fn is_stale_nan(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// Why numbers do not make a histogram.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// No such resolution.
    #[error("{number} is no histogram schema; -4 to 8 are, and -53 with custom bounds")]
    Schema {
        /// What was given.
        number: i32,
    },
    /// Bounds are not ascending or not finite.
    #[error(
        "custom bound number {position} ({bound}) must be finite and greater than the one before it; the last bucket ends at +Inf by itself"
    )]
    Bounds {
        /// Counted from 0.
        position: usize,
        /// What was given.
        bound: f64,
    },
    /// A span overlaps the one before it.
    #[error("span number {span} has offset {offset}; only the first may have a negative one")]
    SpanOffset {
        /// Counted from 0.
        span: usize,
        /// What was given.
        offset: i32,
    },
    /// Spans and counts do not belong together.
    #[error("the spans name {named} buckets and there are {counts} counts")]
    SpanCounts {
        /// The sum of the spans' lengths.
        named: u64,
        /// How many counts there are.
        counts: usize,
    },
    /// A bucket index does not fit 32 bits.
    #[error("a bucket index is beyond 32 bits")]
    IndexRange,
    /// A bucket beyond the last custom bound's.
    #[error("there is a bucket with index {index}; {bounds} custom bounds make the indexes 0 to {bounds}")]
    CustomIndex {
        /// The bucket.
        index: i32,
        /// How many bounds there are.
        bounds: usize,
    },
    /// Custom bounds have no zero bucket and no negative side.
    #[error("a histogram with custom bounds has neither a zero bucket nor negative buckets")]
    CustomSides,
    /// Something was counted less than zero times.
    #[error("the count of {what} is {count}, less than zero")]
    NegativeCount {
        /// Which count.
        what: &'static str,
        /// What was given.
        count: f64,
    },
    /// The zero bucket has no width that makes sense.
    #[error("the zero threshold is {threshold}; it must be zero or a positive finite number")]
    ZeroThreshold {
        /// What was given.
        threshold: f64,
    },
}

impl crate::Classify for HistogramError {
    fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}

/// What is known about a counter's restart between the histogram before this one and this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "the four of Prometheus; merging them matches all")]
pub enum CounterReset {
    /// Nothing: compare the two to find out.
    #[default]
    Unknown,
    /// It began again.
    Reset,
    /// It did not.
    NotReset,
    /// It is no counter.
    Gauge,
}

impl CounterReset {
    /// The name that Prometheus's test language and this SDK's files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Reset => "reset",
            Self::NotReset => "not_reset",
            Self::Gauge => "gauge",
        }
    }

    /// The reverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Unknown, Self::Reset, Self::NotReset, Self::Gauge].into_iter().find(|one| one.as_str() == name)
    }
}

/// One bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bucket {
    /// Where it begins.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// Whether a value equal to `lower` falls into it.
    pub lower_inclusive: bool,
    /// Whether a value equal to `upper` falls into it.
    pub upper_inclusive: bool,
    /// How many values fell into it; a fraction after calculations.
    pub count: f64,
    /// Its index on its side; 0 for the zero bucket.
    pub index: i32,
}

/// A [native histogram of Prometheus](https://prometheus.io/docs/specs/native_histograms/) with counts as floats.
///
/// Every combination of numbers is allowed here, for calculations make negative counts and NaN; what comes from
/// outside is checked by [`validate`](Self::validate). Two are equal when all their parts are; NaN equals nothing.
///
/// ```
/// use itom_core::{Buckets, Histogram, Schema};
/// let mut sizes = Histogram::exponential(Schema::new(0)?);
/// (sizes.count, sizes.sum) = (6.0, 9.0);
/// sizes.positive = Buckets::dense(0, &[2.0, 4.0])?;
/// let bounds: Vec<_> = sizes.buckets().map(|bucket| (bucket.lower, bucket.upper)).collect();
/// assert_eq!(bounds, [(0.5, 1.0), (1.0, 2.0)]);
/// assert_eq!(sizes.to_string(), "{count:6, sum:9, (0.5,1]:2, (1,2]:4}");
/// # Ok::<(), itom_core::HistogramError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Where its buckets begin and end.
    pub layout: Layout,
    /// What is known about a restart before it.
    pub reset: CounterReset,
    /// The zero bucket reaches from minus this to this.
    pub zero_threshold: f64,
    /// How many values fell into the zero bucket.
    pub zero_count: f64,
    /// How many values there were; NaN was counted here and in no bucket.
    pub count: f64,
    /// The sum of all values; Prometheus's staleness marker is one value of it.
    pub sum: f64,
    /// Buckets of values above zero, and all buckets of custom bounds.
    pub positive: Buckets,
    /// Buckets of values below zero; index `i` mirrors the positive bucket `i`.
    pub negative: Buckets,
}

impl Histogram {
    /// An empty histogram with exponential buckets.
    #[must_use]
    pub fn exponential(schema: Schema) -> Self {
        Self { layout: Layout::Exponential(schema), ..Self::default() }
    }

    /// An empty histogram with custom bounds.
    #[must_use]
    pub fn custom(bounds: CustomBounds) -> Self {
        Self { layout: Layout::Custom(bounds), ..Self::default() }
    }

    /// The marker that a series of histograms ended.
    #[must_use]
    pub fn stale() -> Self {
        Self { sum: f64::from_bits(STALE_NAN_BITS), ..Self::default() }
    }

    /// Whether it is the marker that its series ended.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// Prometheus's schema number; −53 with custom bounds.
    #[must_use]
    pub const fn schema(&self) -> i32 {
        self.layout.schema()
    }

    /// The custom bounds, if it has such.
    #[must_use]
    pub const fn custom_bounds(&self) -> Option<&CustomBounds> {
        match &self.layout {
            Layout::Custom(bounds) => Some(bounds),
            Layout::Exponential(_) => None,
        }
    }

    /// The zero bucket; `None` with custom bounds.
    #[must_use]
    pub fn zero_bucket(&self) -> Option<Bucket> {
        matches!(self.layout, Layout::Exponential(_)).then_some(Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        })
    }

    /// The positive bucket with this index.
    #[must_use]
    pub fn positive_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = (self.layout.bound(index.saturating_sub(1)), self.layout.bound(index));
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count, index }
    }

    /// The negative bucket with this index.
    #[must_use]
    pub fn negative_bucket(&self, index: i32, count: f64) -> Bucket {
        let (lower, upper) = (-self.layout.bound(index), -self.layout.bound(index.saturating_sub(1)));
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count, index }
    }

    /// The listed positive buckets, ascending.
    pub fn positive_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.positive.iter().map(|(index, count)| self.positive_bucket(index, count))
    }

    /// The listed negative buckets, descending: away from zero.
    pub fn negative_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.negative.iter().map(|(index, count)| self.negative_bucket(index, count))
    }

    /// The listed negative buckets, the zero bucket if it has counts, and the listed positive buckets, ascending.
    /// A bucket that overlaps the zero bucket begins (or ends) where that one ends (or begins).
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let zero = self.zero_threshold;
        let clip = move |mut bucket: Bucket| {
            if bucket.upper < 0.0 && bucket.upper > -zero {
                bucket.upper = -zero;
            } else if bucket.lower > 0.0 && bucket.lower < zero {
                bucket.lower = zero;
            }
            bucket
        };
        let middle = self.zero_bucket().filter(|bucket| bucket.count > 0.0);
        self.negative_buckets().rev().map(clip).chain(middle).chain(self.positive_buckets().map(clip))
    }

    /// Checks what a measured histogram must be, as Prometheus does before it stores one.
    ///
    /// The sum of the buckets is not compared with the count: rounding makes them differ.
    ///
    /// # Errors
    /// What is wrong.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let negative = |what, count: f64| {
            if count < 0.0 { Err(HistogramError::NegativeCount { what, count }) } else { Ok(()) }
        };
        if let Layout::Custom(bounds) = &self.layout {
            if self.zero_count != 0.0 || self.zero_threshold != 0.0 || !self.negative.is_empty() {
                return Err(HistogramError::CustomSides);
            }
            let bounds = bounds.as_slice().len();
            let outside = |index: i32| usize::try_from(index).map_or(true, |index| index > bounds);
            if let Some((index, _)) = self.positive.iter().find(|(index, _)| outside(*index)) {
                return Err(HistogramError::CustomIndex { index, bounds });
            }
        }
        if !self.zero_threshold.is_finite() || self.zero_threshold < 0.0 {
            return Err(HistogramError::ZeroThreshold { threshold: self.zero_threshold });
        }
        negative("all values", self.count)?;
        negative("the zero bucket", self.zero_count)?;
        self.positive.counts().try_for_each(|count| negative("a positive bucket", count))?;
        self.negative.counts().try_for_each(|count| negative("a negative bucket", count))
    }

    /// Whether all parts are equal, numbers bit for bit; what is known about a restart does not count.
    #[must_use]
    pub fn same_bits(&self, other: &Self) -> bool {
        self.layout == other.layout
            && self.zero_threshold == other.zero_threshold
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.positive.same_bits(&other.positive)
            && self.negative.same_bits(&other.negative)
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let bounds = self.custom_bounds().map_or(0, |bounds| size_of_val(bounds.as_slice()));
        self.positive.heap_bytes() + self.negative.heap_bytes() + bounds
    }
}
