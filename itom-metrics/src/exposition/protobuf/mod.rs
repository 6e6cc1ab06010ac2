//! Delimited messages `io.prometheus.client.MetricFamily`
//! ([definition](https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto)).

mod histogram;
mod reader;

use itom_core::{Labels, SampleValue};

use self::histogram::HistogramMessage;
use self::reader::{Fields, Value, Wrong};
use super::family::SampleExemplar;
use super::{ExpositionError, FamilyKind, Limits};
use crate::eval::format::open_metrics;

type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// The messages of an exposition.
#[derive(Debug)]
pub(super) struct Messages<'a> {
    total: usize,
    fields: Fields<'a>,
    limits: Limits,
}

/// The message `MetricFamily`.
#[derive(Debug)]
pub(super) struct FamilyMessage<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) unit: &'a str,
    pub(super) kind: FamilyKind,
    metrics: Vec<Fields<'a>>,
    limits: Limits,
    /// Where it began.
    at: usize,
}

/// The message `Exemplar`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExemplarMessage<'a> {
    labels: Pairs<'a>,
    value: f64,
    at: Option<i64>,
}

impl ExemplarMessage<'_> {
    pub(super) fn owned(&self) -> Result<SampleExemplar, String> {
        let labels = Labels::from_pairs(self.labels.iter().copied()).map_err(|error| error.to_string())?;
        Ok(SampleExemplar { labels, value: self.value, at: self.at })
    }
}

/// One sample out of a metric.
#[derive(Debug)]
pub(super) struct Expanded<'s, 'a> {
    pub(super) name: &'s str,
    pub(super) labels: &'s [(&'a str, &'a str)],
    /// `le` or `quantile`, in the spelling of OpenMetrics.
    pub(super) bound: Option<(&'static str, &'s str)>,
    pub(super) value: SampleValue,
    pub(super) at: Option<i64>,
    pub(super) created: Option<i64>,
    pub(super) exemplars: &'s [ExemplarMessage<'a>],
}

impl<'a> Messages<'a> {
    pub(super) const fn new(bytes: &'a [u8], limits: Limits) -> Result<Self, ExpositionError> {
        if bytes.len() > limits.bytes {
            return Err(ExpositionError::Limit { what: "bytes", limit: limits.bytes });
        }
        Ok(Self { total: bytes.len(), fields: Fields::new(bytes), limits })
    }

    pub(super) fn next_family(&mut self) -> Result<Option<FamilyMessage<'a>>, ExpositionError> {
        if self.fields.left() == 0 {
            return Ok(None);
        }
        let at = self.total - self.fields.left();
        let mut name = "";
        let mut read = || {
            let length = self.fields.varint()?;
            if length > self.limits.line_bytes as u64 {
                return Ok(Err(ExpositionError::Limit {
                    what: "bytes in a metric family",
                    limit: self.limits.line_bytes,
                }));
            }
            let mut fields = Fields::new(self.fields.bytes(length)?);
            let mut found = FamilyMessage {
                name: "",
                help: "",
                unit: "",
                kind: FamilyKind::Counter,
                metrics: Vec::new(),
                limits: self.limits,
                at,
            };
            while let Some((number, value)) = fields.next()? {
                match number {
                    1 => {
                        found.name = value.text()?;
                        name = found.name;
                    }
                    2 => found.help = value.text()?,
                    3 => found.kind = kind(value.whole()?)?,
                    4 => found.metrics.push(value.message()?),
                    5 => found.unit = value.text()?,
                    _ => {}
                }
            }
            if found.name.is_empty() { Err("the family has no name") } else { Ok(Ok(found)) }
        };
        match read() {
            Ok(found) => found.map(Some),
            Err(reason) => Err(wrong(at, name, reason)),
        }
    }
}

fn wrong(at: usize, family: &str, reason: impl Into<String>) -> ExpositionError {
    ExpositionError::Message { at, family: family.chars().take(200).collect(), reason: reason.into() }
}

const fn kind(number: u64) -> Result<FamilyKind, Wrong> {
    Ok(match number {
        0 => FamilyKind::Counter,
        1 => FamilyKind::Gauge,
        2 => FamilyKind::Summary,
        3 => FamilyKind::Unknown,
        4 => FamilyKind::Histogram,
        5 => FamilyKind::GaugeHistogram,
        _ => return Err("the family has a type that there is not"),
    })
}

fn pair<'a>(value: Value<'a>) -> Result<(&'a str, &'a str), Wrong> {
    let mut fields = value.message()?;
    let (mut name, mut text) = ("", "");
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => name = value.text()?,
            2 => text = value.text()?,
            _ => {}
        }
    }
    if name.is_empty() { Err("a label has no name") } else { Ok((name, text)) }
}

fn exemplar<'a>(mut fields: Fields<'a>) -> Result<ExemplarMessage<'a>, Wrong> {
    let mut found = ExemplarMessage { labels: Vec::new(), value: 0.0, at: None };
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => found.labels.push(pair(value)?),
            2 => found.value = value.double()?,
            3 => found.at = timestamp(value.message()?)?,
            _ => {}
        }
    }
    Ok(found)
}

/// The message `google.protobuf.Timestamp`, as milliseconds.
fn timestamp(mut fields: Fields<'_>) -> Result<Option<i64>, Wrong> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => seconds = value.whole()?.cast_signed(),
            2 => nanos = value.whole()?.cast_signed(),
            _ => {}
        }
    }
    Ok(Some(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)))
}

/// A float and what may come with it: the messages `Gauge`, `Counter`, `Untyped`.
fn single<'a>(mut fields: Fields<'a>) -> Result<(f64, Option<ExemplarMessage<'a>>, Option<i64>), Wrong> {
    let (mut found, mut with, mut created) = (0.0, None, None);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => found = value.double()?,
            2 => with = Some(exemplar(value.message()?)?),
            3 => created = timestamp(value.message()?)?,
            _ => {}
        }
    }
    Ok((found, with, created))
}

#[derive(Debug, Default)]
struct SummaryMessage {
    count: u64,
    sum: f64,
    quantiles: Vec<(f64, f64)>,
    created: Option<i64>,
}

fn summary(mut fields: Fields<'_>) -> Result<SummaryMessage, Wrong> {
    let mut found = SummaryMessage::default();
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => found.count = value.whole()?,
            2 => found.sum = value.double()?,
            3 => {
                let (mut quantile, mut at) = (0.0, 0.0);
                let mut fields = value.message()?;
                while let Some((number, value)) = fields.next()? {
                    match number {
                        1 => quantile = value.double()?,
                        2 => at = value.double()?,
                        _ => {}
                    }
                }
                found.quantiles.push((quantile, at));
            }
            4 => found.created = timestamp(value.message()?)?,
            _ => {}
        }
    }
    Ok(found)
}

/// The message `Metric`, its value still as it came.
#[derive(Debug)]
struct Metric<'a> {
    labels: Pairs<'a>,
    at: Option<i64>,
    value: Option<(u64, Fields<'a>)>,
}

impl<'a> FamilyMessage<'a> {
    fn metric(&self, mut fields: Fields<'a>) -> Result<Metric<'a>, String> {
        let mut found = Metric { labels: Vec::new(), at: None, value: None };
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => {
                    let (name, text) = pair(value)?;
                    if found.labels.len() >= self.limits.labels {
                        return Err(format!("a series has more than {} labels", self.limits.labels));
                    }
                    if text.len() > self.limits.label_value_bytes {
                        let most = self.limits.label_value_bytes;
                        return Err(format!(
                            "the value of the label `{name:.60}` has more than {most} bytes"
                        ));
                    }
                    found.labels.push((name, text));
                }
                2..=5 | 7 => found.value = Some((number, value.message()?)),
                6 => found.at = Some(value.whole()?.cast_signed()),
                _ => {}
            }
        }
        Ok(found)
    }

    /// The samples of all metrics. Native histograms hide the classic buckets beside them unless `classic` says
    /// otherwise.
    ///
    /// # Errors
    /// What is wrong with the family, and what `each` says.
    pub(super) fn expand(
        &self,
        classic: bool,
        each: &mut dyn FnMut(Expanded<'_, 'a>) -> Result<(), String>,
    ) -> Result<(), ExpositionError> {
        for fields in &self.metrics {
            let expanded = self.metric(*fields).and_then(|metric| self.expand_metric(&metric, classic, each));
            expanded.map_err(|reason| wrong(self.at, self.name, reason))?;
        }
        Ok(())
    }

    fn expand_metric(
        &self,
        metric: &Metric<'a>,
        classic: bool,
        each: &mut dyn FnMut(Expanded<'_, 'a>) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some((number, fields)) = metric.value else {
            return Err("a metric has no value".to_owned());
        };
        let mut give = |suffix: &str,
                        bound: Option<(&'static str, &str)>,
                        value: SampleValue,
                        created: Option<i64>,
                        exemplars: &[ExemplarMessage<'a>]| {
            let joined;
            let name = if suffix.is_empty() {
                self.name
            } else {
                joined = format!("{}{suffix}", self.name);
                &joined
            };
            each(Expanded { name, labels: &metric.labels, bound, value, at: metric.at, created, exemplars })
        };
        let float = SampleValue::Float;
        match number {
            4 => {
                let found = summary(fields)?;
                for (quantile, value) in &found.quantiles {
                    let quantile = open_metrics(*quantile);
                    give("", Some(("quantile", &quantile)), float(*value), found.created, &[])?;
                }
                give("_sum", None, float(found.sum), found.created, &[])?;
                give("_count", None, float(found.count as f64), found.created, &[])
            }
            7 => {
                let gauge = self.kind == FamilyKind::GaugeHistogram;
                let found = HistogramMessage::read(fields, gauge)?;
                if let Some(native) = &found.native {
                    let value = SampleValue::Histogram(std::sync::Arc::clone(native));
                    give("", None, value, found.created, &found.exemplars)?;
                    if !classic || found.classic.is_empty() {
                        return Ok(());
                    }
                }
                let mut complete = false;
                for bucket in &found.classic {
                    complete |= bucket.bound == f64::INFINITY;
                    let bound = open_metrics(bucket.bound);
                    let with = bucket.exemplar.as_slice();
                    give("_bucket", Some(("le", &bound)), float(bucket.count), found.created, with)?;
                }
                if !complete {
                    give("_bucket", Some(("le", "+Inf")), float(found.count), found.created, &[])?;
                }
                give("_sum", None, float(found.sum), found.created, &[])?;
                give("_count", None, float(found.count), found.created, &[])
            }
            _ => {
                let (value, with, created) = single(fields)?;
                give("", None, float(value), created, with.as_slice())
            }
        }
    }
}
