//! All that an exposition says, family by family.

use std::borrow::Cow;

use itom_core::{Labels, SampleValue, Text};

use super::protobuf::{self, Expanded};
use super::strict::{Said, Strict};
use super::{
    ExemplarText, ExpositionError, FamilyKind, Format, Limits, Line, SeriesText, TextReader, ValueText,
};

/// A metric family: metrics of one name.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Family {
    /// Its name. In OpenMetrics that is without the suffix of its samples (`_total` of a counter).
    pub name: Text,
    /// Its kind.
    pub kind: FamilyKind,
    /// What it means, for people.
    pub help: Text,
    /// What it is measured in; empty when that is not said.
    pub unit: Text,
    /// Its samples, in their order.
    pub samples: Vec<FamilySample>,
}

/// A sample of a family.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FamilySample {
    /// Its name: that of the family, often with a suffix.
    pub name: Text,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: SampleValue,
    /// When it was measured, in milliseconds since the epoch, if that is said.
    pub at: Option<i64>,
    /// When the counter began, in milliseconds since the epoch, where the sample itself says so (protobuf).
    pub created: Option<i64>,
    /// Its exemplars; more than one for native histograms only.
    pub exemplars: Vec<SampleExemplar>,
}

/// An exemplar of a sample.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampleExemplar {
    /// The reference, such as `trace_id`.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// When it was observed, in milliseconds since the epoch, if that is said.
    pub at: Option<i64>,
}

/// The families of an exposition, as lenient as Prometheus: OpenMetrics must be well formed line by line, and its
/// families need not keep all promises of their types.
///
/// # Errors
/// [`ExpositionError`] with the place of the first mistake.
pub fn families(bytes: &[u8], format: Format, limits: &Limits) -> Result<Vec<Family>, ExpositionError> {
    read(bytes, format, limits, None)
}

/// The families of an exposition that keeps all that [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/)
/// demands: no name twice, groups contiguous, buckets ascending and complete, counters neither negative nor NaN,
/// exemplars where they may be. For the other formats it is [`families`].
///
/// # Errors
/// [`ExpositionError`] with the place of the first mistake.
pub fn families_strict(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
) -> Result<Vec<Family>, ExpositionError> {
    read(bytes, format, limits, (format == Format::OpenMetrics).then(Strict::default))
}

fn read(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    mut strict: Option<Strict>,
) -> Result<Vec<Family>, ExpositionError> {
    if format == Format::Protobuf {
        return from_messages(bytes, limits);
    }
    let mut reader = TextReader::from_bytes(bytes, format, *limits)?;
    let mut found: Vec<Family> = Vec::new();
    loop {
        let line = reader.line_number();
        let refused = |reason| ExpositionError::Text { line, column: 1, reason };
        let Some(next) = reader.next_line()? else { break };
        if let Some(strict) = &mut strict {
            checked(strict, &next).map_err(refused)?;
        }
        match next {
            Line::Type { family, kind } => described(&mut found, &family).kind = kind,
            Line::Help { family, text } => described(&mut found, &family).help = text.as_ref().into(),
            Line::Unit { family, unit } => described(&mut found, &family).unit = unit.as_ref().into(),
            Line::Sample { series, value } => {
                let sample = sample(series, &value).map_err(refused)?;
                let family = match found.last_mut() {
                    Some(last) if belongs(&last.name, last.kind, &sample.name) => last,
                    _ => described(&mut found, &sample.name),
                };
                family.samples.push(sample);
            }
            Line::Comment | Line::Eof => {}
        }
    }
    Ok(found)
}

fn checked(strict: &mut Strict, line: &Line<'_>) -> Result<(), String> {
    match line {
        Line::Type { family, kind } => strict.metadata(family, Said::Type)?.kind(*kind),
        Line::Help { family, .. } => drop(strict.metadata(family, Said::Help)?),
        Line::Unit { family, unit } => strict.metadata(family, Said::Unit)?.unit(unit),
        Line::Sample { series, value } => strict.sample(*series, value)?,
        Line::Eof => strict.finish()?,
        Line::Comment => {}
    }
    Ok(())
}

/// Whether a sample is one of a family.
pub(super) fn belongs(family: &str, kind: FamilyKind, sample: &str) -> bool {
    let suffix = sample.strip_prefix(family);
    suffix.is_some_and(|suffix| suffix.is_empty() || kind.suffixes().contains(&suffix))
}

/// The last family if it has this name, or a new one.
fn described<'a>(found: &'a mut Vec<Family>, name: &str) -> &'a mut Family {
    if found.last().is_none_or(|last| last.name.as_str() != name) {
        found.push(Family { name: name.into(), ..Family::default() });
    }
    let last = found.len() - 1;
    &mut found[last]
}

/// Labels of names and values; the reason when a name is none.
pub(super) fn labels<'a>(
    pairs: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<Labels, String> {
    Labels::from_pairs(
        pairs.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned())),
    )
    .map_err(|error| error.to_string())
}

fn sample(series: SeriesText<'_>, found: &ValueText<'_>) -> Result<FamilySample, String> {
    Ok(FamilySample {
        name: series.name().as_ref().into(),
        labels: labels(series.labels())?,
        value: SampleValue::Float(found.value),
        at: found.at,
        created: None,
        exemplars: found.exemplar.iter().map(exemplar).collect::<Result<_, _>>()?,
    })
}

/// An exemplar with labels of its own.
pub(super) fn exemplar(text: &ExemplarText<'_>) -> Result<SampleExemplar, String> {
    Ok(SampleExemplar { labels: labels(text.labels.labels())?, value: text.value, at: text.at })
}

fn from_messages(bytes: &[u8], limits: &Limits) -> Result<Vec<Family>, ExpositionError> {
    let mut found = Vec::new();
    let mut messages = protobuf::Messages::new(bytes, *limits)?;
    while let Some(message) = messages.next_family()? {
        let mut family = Family {
            name: message.name.into(),
            kind: message.kind,
            help: message.help.into(),
            unit: message.unit.into(),
            samples: Vec::new(),
        };
        message.expand(true, &mut |one: Expanded<'_, '_>| {
            let pairs = one.labels.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)));
            let bound = one.bound.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)));
            let labels = labels(pairs.chain(bound))?;
            family.samples.push(FamilySample {
                name: one.name.into(),
                labels,
                value: one.value,
                at: one.at,
                created: one.created,
                exemplars: one
                    .exemplars
                    .iter()
                    .map(protobuf::ExemplarMessage::owned)
                    .collect::<Result<_, _>>()?,
            });
            Ok(())
        })?;
        found.push(family);
    }
    Ok(found)
}
