//! Histograms: classic buckets and native ones.

use std::sync::Arc;

use itom_core::{Buckets, CounterReset, Histogram, Schema, Span};

use super::reader::{Fields, Value, Wrong, zigzag};
use super::{ExemplarMessage, exemplar, timestamp};

/// The most buckets of one histogram; what Prometheus exposes has a few hundred.
const MOST_BUCKETS: usize = 1 << 16;

/// A classic bucket.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct ClassicBucket<'a> {
    pub(super) bound: f64,
    pub(super) count: f64,
    pub(super) exemplar: Option<ExemplarMessage<'a>>,
}

/// The message `Histogram`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct HistogramMessage<'a> {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) classic: Vec<ClassicBucket<'a>>,
    pub(super) created: Option<i64>,
    pub(super) exemplars: Vec<ExemplarMessage<'a>>,
    pub(super) native: Option<Arc<Histogram>>,
}

/// One side of a native histogram.
#[derive(Debug, Default)]
struct Side {
    spans: Vec<Span>,
    deltas: Vec<u64>,
    counts: Vec<f64>,
}

impl Side {
    fn span(&mut self, mut fields: Fields<'_>) -> Result<(), Wrong> {
        let mut span = Span { offset: 0, length: 0 };
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => {
                    span.offset =
                        i32::try_from(zigzag(value.whole()?)).map_err(|_| "a span is too far away")?
                }
                2 => span.length = u32::try_from(value.whole()?).map_err(|_| "a span is too long")?,
                _ => {}
            }
        }
        if self.spans.len() >= MOST_BUCKETS {
            return Err("a histogram has too many spans");
        }
        self.spans.push(span);
        Ok(())
    }

    fn buckets(self) -> Result<Buckets, String> {
        let counts = if self.counts.is_empty() {
            let mut count = 0_i64;
            self.deltas
                .iter()
                .map(|delta| {
                    count = count.wrapping_add(zigzag(*delta));
                    count as f64
                })
                .collect()
        } else {
            self.counts
        };
        if counts.len() > MOST_BUCKETS {
            return Err("a histogram has too many buckets".to_owned());
        }
        Buckets::from_spans(&self.spans, &counts).map_err(|error| error.to_string())
    }
}

impl<'a> HistogramMessage<'a> {
    pub(super) fn read(mut fields: Fields<'a>, gauge: bool) -> Result<Self, String> {
        let mut found = Self::default();
        let (mut count, mut count_float) = (0_u64, 0.0_f64);
        let (mut zero_count, mut zero_float, mut zero_threshold) = (0_u64, 0.0_f64, 0.0_f64);
        let mut schema = 0_i64;
        let (mut negative, mut positive) = (Side::default(), Side::default());
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => count = value.whole()?,
                2 => found.sum = value.double()?,
                3 => {
                    if found.classic.len() >= MOST_BUCKETS {
                        return Err("a histogram has too many buckets".to_owned());
                    }
                    found.classic.push(classic(value)?);
                }
                4 => count_float = value.double()?,
                5 => schema = zigzag(value.whole()?),
                6 => zero_threshold = value.double()?,
                7 => zero_count = value.whole()?,
                8 => zero_float = value.double()?,
                9 => negative.span(value.message()?)?,
                10 => value.wholes(&mut negative.deltas)?,
                11 => value.doubles(&mut negative.counts)?,
                12 => positive.span(value.message()?)?,
                13 => value.wholes(&mut positive.deltas)?,
                14 => value.doubles(&mut positive.counts)?,
                15 => found.created = timestamp(value.message()?)?,
                16 => found.exemplars.push(exemplar(value.message()?)?),
                _ => {}
            }
        }
        found.count = if count_float > 0.0 { count_float } else { count as f64 };
        let native = !negative.spans.is_empty()
            || !positive.spans.is_empty()
            || zero_threshold > 0.0
            || zero_count > 0
            || zero_float > 0.0;
        if native {
            let schema = i32::try_from(schema).map_err(|_| "the schema of a histogram is beyond 32 bits")?;
            let schema = Schema::new(schema).map_err(|error| error.to_string())?;
            let mut histogram = Histogram::exponential(schema);
            histogram.reset = if gauge { CounterReset::Gauge } else { CounterReset::Unknown };
            histogram.count = found.count;
            histogram.sum = found.sum;
            histogram.zero_threshold = zero_threshold;
            histogram.zero_count = if zero_float > 0.0 { zero_float } else { zero_count as f64 };
            histogram.positive = positive.buckets()?;
            histogram.negative = negative.buckets()?;
            histogram.validate().map_err(|error| error.to_string())?;
            found.native = Some(Arc::new(histogram));
        }
        Ok(found)
    }
}

fn classic(value: Value<'_>) -> Result<ClassicBucket<'_>, Wrong> {
    let mut fields = value.message()?;
    let mut found = ClassicBucket { bound: 0.0, count: 0.0, exemplar: None };
    let mut whole = 0;
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => whole = value.whole()?,
            2 => found.bound = value.double()?,
            3 => found.exemplar = Some(exemplar(value.message()?)?),
            4 => found.count = value.double()?,
            _ => {}
        }
    }
    if found.count <= 0.0 {
        found.count = whole as f64;
    }
    Ok(found)
}
