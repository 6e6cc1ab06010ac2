//! The serialized form: what is zero or empty is left out, buckets are runs `[first index, [counts…]]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Buckets, CUSTOM_SCHEMA, CounterReset, CustomBounds, Histogram, Layout, Schema, Span};
use crate::observation::float;

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Number(#[serde(with = "float")] f64);

impl Number {
    fn is_zero(&self) -> bool {
        self.0.to_bits() == 0
    }
}

type Runs = Vec<(i32, Vec<Number>)>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    schema: i32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bounds: Vec<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reset: Option<String>,
    #[serde(default, skip_serializing_if = "Number::is_zero")]
    zero_threshold: Number,
    #[serde(default, skip_serializing_if = "Number::is_zero")]
    zero_count: Number,
    count: Number,
    sum: Number,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    positive: Runs,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    negative: Runs,
}

fn runs(buckets: &Buckets) -> Runs {
    let mut runs: Runs = Vec::new();
    let mut next = None;
    for (index, count) in buckets.iter() {
        match runs.last_mut() {
            Some((_, counts)) if next == Some(index) => counts.push(Number(count)),
            _ => runs.push((index, vec![Number(count)])),
        }
        next = index.checked_add(1);
    }
    runs
}

fn buckets<E: serde::de::Error>(runs: Runs) -> Result<Buckets, E> {
    let mut spans = Vec::with_capacity(runs.len());
    let mut counts = Vec::new();
    let mut next = 0_i64;
    for (number, (index, run)) in runs.into_iter().enumerate() {
        let length = u32::try_from(run.len()).map_err(E::custom)?;
        let gap = i64::from(index) - next;
        if number > 0 && gap < 0 {
            return Err(E::custom(format!(
                "the run of buckets at {index} begins before the one before it ends"
            )));
        }
        // Two spans where one offset does not reach.
        let first = gap.min(i64::from(i32::MAX));
        for (gap, length) in [(first, 0), (gap - first, length)] {
            spans.push(Span { offset: i32::try_from(gap).map_err(E::custom)?, length });
        }
        next = i64::from(index) + i64::from(length);
        counts.extend(run.into_iter().map(|count| count.0));
    }
    Buckets::from_spans(&spans, &counts).map_err(E::custom)
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bounds = self.custom_bounds().map_or(&[][..], CustomBounds::as_slice);
        Wire {
            schema: self.schema(),
            bounds: bounds.iter().copied().map(Number).collect(),
            reset: (self.reset != CounterReset::Unknown).then(|| self.reset.as_str().to_owned()),
            zero_threshold: Number(self.zero_threshold),
            zero_count: Number(self.zero_count),
            count: Number(self.count),
            sum: Number(self.sum),
            positive: runs(&self.positive),
            negative: runs(&self.negative),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let wire = Wire::deserialize(deserializer)?;
        let layout = if wire.schema == CUSTOM_SCHEMA {
            let bounds: Vec<f64> = wire.bounds.iter().map(|bound| bound.0).collect();
            Layout::Custom(CustomBounds::new(&bounds).map_err(D::Error::custom)?)
        } else if wire.bounds.is_empty() {
            Layout::Exponential(Schema::new(wire.schema).map_err(D::Error::custom)?)
        } else {
            return Err(D::Error::custom("only schema -53 has bounds"));
        };
        let reset = match wire.reset {
            None => CounterReset::Unknown,
            Some(name) => CounterReset::from_name(&name).ok_or_else(|| {
                D::Error::custom(format!("`{name}` is not one of unknown, reset, not_reset, gauge"))
            })?,
        };
        Ok(Self {
            layout,
            reset,
            zero_threshold: wire.zero_threshold.0,
            zero_count: wire.zero_count.0,
            count: wire.count.0,
            sum: wire.sum.0,
            positive: buckets(wire.positive)?,
            negative: buckets(wire.negative)?,
        })
    }
}
