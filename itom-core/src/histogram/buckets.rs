//! The populated buckets of one side of a histogram.

use super::HistogramError;

/// A run of neighbouring buckets, as Prometheus writes sparse histograms: `offset` from the end of the run before it
/// (from index 0 for the first), then `length` buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the two numbers of Prometheus's definition; nothing can join them"
)]
pub struct Span {
    /// The gap before the run, in buckets; for the first run the index of its first bucket.
    pub offset: i32,
    /// How many buckets follow each other.
    pub length: u32,
}

/// Bucket indexes with their counts, in ascending order of the index, each index once. A bucket that is not listed is
/// empty; a listed one may be empty too.
///
/// ```
/// use itom_core::Buckets;
/// let mut buckets = Buckets::dense(-1, &[2.0, 4.0])?;
/// buckets.add(5, 1.0);
/// assert_eq!(buckets.iter().collect::<Vec<_>>(), [(-1, 2.0), (0, 4.0), (5, 1.0)]);
/// assert_eq!(buckets.spans().len(), 2);
/// # Ok::<(), itom_core::HistogramError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets(Vec<(i32, f64)>);

impl Buckets {
    /// No buckets.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Neighbouring buckets, the first one at `offset`.
    ///
    /// # Errors
    /// [`HistogramError::IndexRange`] when an index does not fit 32 bits.
    pub fn dense(offset: i32, counts: &[f64]) -> Result<Self, HistogramError> {
        let length = u32::try_from(counts.len()).map_err(|_| HistogramError::IndexRange)?;
        Self::from_spans(&[Span { offset, length }], counts)
    }

    /// From Prometheus's spans and the absolute counts of all their buckets.
    ///
    /// # Errors
    /// [`HistogramError::SpanOffset`] for a negative offset after the first span, [`HistogramError::SpanCounts`] when
    /// the spans do not name as many buckets as there are counts, [`HistogramError::IndexRange`] when an index does
    /// not fit 32 bits.
    pub fn from_spans(spans: &[Span], counts: &[f64]) -> Result<Self, HistogramError> {
        // Compared before anything is reserved: a length of four billion costs nothing.
        let named: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        if named != counts.len() as u64 {
            return Err(HistogramError::SpanCounts { named, counts: counts.len() });
        }
        let mut entries = Vec::with_capacity(counts.len());
        let mut counts = counts.iter();
        let mut index = 0_i64;
        for (number, span) in spans.iter().enumerate() {
            if number > 0 && span.offset < 0 {
                return Err(HistogramError::SpanOffset { span: number, offset: span.offset });
            }
            // At most 2^32 spans of 33 bits each: no overflow of 64 bits.
            index += i64::from(span.offset);
            for count in counts.by_ref().take(span.length as usize) {
                entries.push((i32::try_from(index).map_err(|_| HistogramError::IndexRange)?, *count));
                index += 1;
            }
        }
        Ok(Self(entries))
    }

    /// Adds to the count of a bucket, which is made when it is not there. Fast in ascending order.
    pub fn add(&mut self, index: i32, count: f64) {
        match self.0.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            Some(last) if last.0 > index => match self.0.binary_search_by_key(&index, |entry| entry.0) {
                Ok(found) => self.0[found].1 += count,
                Err(place) => self.0.insert(place, (index, count)),
            },
            _ => self.0.push((index, count)),
        }
    }

    /// The count of a bucket; `None` when it is not listed.
    #[must_use]
    pub fn get(&self, index: i32) -> Option<f64> {
        self.0.binary_search_by_key(&index, |entry| entry.0).ok().map(|found| self.0[found].1)
    }

    /// Indexes and counts in ascending order of the index.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (i32, f64)> + ExactSizeIterator + Clone + '_ {
        self.0.iter().copied()
    }

    /// The counts in ascending order of the index.
    pub fn counts(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator + '_ {
        self.0.iter().map(|entry| entry.1)
    }

    /// How many buckets are listed.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is listed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The runs of neighbouring buckets, as Prometheus writes them.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut next = 0_i64;
        for (number, (index, _)) in self.iter().enumerate() {
            let gap = i64::from(index) - next;
            match spans.last_mut() {
                Some(last) if gap == 0 && number > 0 => last.length += 1,
                // A gap wider than 31 bits takes two spans, the first one empty.
                _ => match i32::try_from(gap) {
                    Ok(offset) => spans.push(Span { offset, length: 1 }),
                    Err(_) => {
                        spans.push(Span { offset: i32::MAX, length: 0 });
                        // The gap is at most 2^32 - 1, so what is left fits.
                        let rest = (gap - i64::from(i32::MAX)).min(i64::from(i32::MAX)) as i32;
                        spans.push(Span { offset: rest, length: 1 });
                    }
                },
            }
            next = i64::from(index) + 1;
        }
        spans
    }

    /// Changes every count.
    pub fn map(&mut self, mut change: impl FnMut(f64) -> f64) {
        for entry in &mut self.0 {
            entry.1 = change(entry.1);
        }
    }

    /// Keeps the buckets that `keep` says, by index and count.
    pub fn retain(&mut self, mut keep: impl FnMut(i32, f64) -> bool) {
        self.0.retain(|entry| keep(entry.0, entry.1));
    }

    /// Bytes on the heap.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(i32, f64)>()
    }

    /// Whether indexes are equal and counts equal in every bit.
    #[must_use]
    pub fn same_bits(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a.0 == b.0 && a.1.to_bits() == b.1.to_bits())
    }
}
