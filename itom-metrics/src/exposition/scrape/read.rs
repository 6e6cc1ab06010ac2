//! Reading one exposition against what is known of the last one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use itom_core::{Labels, SampleValue, Timestamp};

use super::created;
use super::known::{Known, KnownLine, What};
use super::naming::named;
use super::sink::Description;
use super::{ScrapeFailure, ScrapeOptions, ScrapeSink, ScrapedSample, histogram};
use crate::exposition::protobuf::{ExemplarMessage, Expanded, FamilyMessage, Messages};
use crate::exposition::{
    ExpositionError, FamilyKind, Format, Line, SampleExemplar, SeriesText, TextReader, ValueText, family,
};
use crate::{AppendReport, Exemplar, NewHistogram, Refusal};

/// What was read and is not yet stored.
#[derive(Debug, Default)]
pub(super) struct Reading {
    at: i64,
    pub(super) samples: Vec<ScrapedSample>,
    pub(super) histograms: Vec<NewHistogram>,
    pub(super) exemplars: Vec<(usize, Exemplar)>,
    /// Places of counters, with the time of the sample and when they began, in milliseconds since the epoch.
    pub(super) starts: Vec<(usize, i64, i64)>,
    /// The values of the `_created` lines that are taken as starts.
    created: Vec<f64>,
    pub(super) bad_starts: usize,
    pub(super) described: BTreeMap<String, Description>,
    pub(super) scraped: usize,
    pub(super) refused: AppendReport,
    lines: Vec<KnownLine>,
    /// The text and its lines, when they are not those of the last time.
    pub(super) changed: Option<(String, Vec<KnownLine>)>,
}

type Target<'a> = (&'a Labels, &'a ScrapeOptions);

impl Reading {
    pub(super) fn new(at: i64, mut samples: Vec<ScrapedSample>) -> Self {
        samples.clear();
        Self { at, samples, ..Self::default() }
    }

    pub(super) fn read<S: ScrapeSink>(
        &mut self,
        known: &mut Known<S::Series>,
        sink: &S,
        target: Target<'_>,
        format: Format,
        body: &[u8],
    ) -> Result<(), ScrapeFailure> {
        let limit = target.1.limits.bytes.min(u32::MAX as usize);
        if body.len() > limit {
            return Err(ExpositionError::Limit { what: "bytes", limit }.into());
        }
        if format == Format::Protobuf {
            return self.read_messages(known, sink, target, body);
        }
        let reader = TextReader::from_bytes(body, format, target.1.limits)?;
        let text = std::str::from_utf8(body).unwrap_or("");
        let last = (std::mem::take(&mut known.text), std::mem::take(&mut known.lines));
        // Taken out, so that series can be added while the texts of known ones are read.
        let created = target.1.created_timestamps && format == Format::OpenMetrics;
        let mut pass =
            Pass { reader, text, created, kind_line: None, last_lines: &last.1, next: 0, changed: false };
        let outcome = pass.run(self, known, sink, target, &last.0, format);
        let changed = pass.changed || pass.next != last.1.len();
        (known.text, known.lines) = last;
        outcome?;
        if !self.created.is_empty() {
            if changed {
                self.begin(&created::links(text, &self.lines));
            } else {
                let links = known.links.take().unwrap_or_else(|| created::links(&known.text, &known.lines));
                self.begin(&links);
                known.links = Some(links);
            }
        }
        if changed {
            self.changed = Some((text.to_owned(), std::mem::take(&mut self.lines)));
        }
        Ok(())
    }

    fn count(&mut self, options: &ScrapeOptions) -> Result<(), ScrapeFailure> {
        self.scraped += 1;
        match options.sample_limit {
            Some(limit) if self.scraped > limit => Err(ScrapeFailure::Limit { what: "samples", limit }),
            _ => Ok(()),
        }
    }

    fn float<S: Clone>(&mut self, known: &mut Known<S>, place: u32, at: Option<i64>, value: f64) {
        known.saw(place, at.is_some());
        self.samples.push(ScrapedSample { series: place as usize, at: at.unwrap_or(self.at), value });
    }

    /// Gives the samples the starts that `_created` lines say.
    fn begin(&mut self, links: &created::Links) {
        let starts: Vec<Option<i64>> = self.created.iter().map(|value| created::start_of(*value)).collect();
        let mut bad: Vec<bool> = starts.iter().map(Option::is_none).collect();
        for sample in &self.samples {
            let Some(number) = links.get(sample.series).copied().flatten() else { continue };
            let Some(start) = starts.get(number as usize).copied().flatten() else { continue };
            if start < sample.at {
                self.starts.push((sample.series, sample.at, start));
            } else if let Some(bad) = bad.get_mut(number as usize) {
                *bad = true;
            }
        }
        self.bad_starts = bad.into_iter().filter(|bad| *bad).count();
    }

    fn exemplar(&mut self, place: u32, exemplar: SampleExemplar) {
        let at = Timestamp::from_millis(exemplar.at.unwrap_or(self.at));
        let exemplar = Exemplar { labels: exemplar.labels, value: exemplar.value, at };
        self.exemplars.push((place as usize, exemplar));
    }

    fn refuse(&mut self, refusal: Refusal, name: &super::naming::Named) {
        self.refused.refuse(refusal, &name.metric, &name.labels);
    }

    fn describe(&mut self, family: &str) -> &mut Description {
        self.described.entry(family.to_owned()).or_default()
    }

    fn read_messages<S: ScrapeSink>(
        &mut self,
        known: &mut Known<S::Series>,
        sink: &S,
        target: Target<'_>,
        body: &[u8],
    ) -> Result<(), ScrapeFailure> {
        let last = std::mem::take(&mut known.text);
        let mut texts = String::with_capacity(last.len());
        let outcome = self.read_families(known, sink, target, (&last, &mut texts), body);
        known.text = last;
        outcome?;
        if texts != known.text {
            self.changed = Some((texts, std::mem::take(&mut self.lines)));
        }
        Ok(())
    }

    fn read_families<S: ScrapeSink>(
        &mut self,
        known: &mut Known<S::Series>,
        sink: &S,
        target: Target<'_>,
        (last, texts): (&str, &mut String),
        body: &[u8],
    ) -> Result<(), ScrapeFailure> {
        let mut messages = Messages::new(body, target.1.limits)?;
        let mut number = 0;
        let mut room = target.1.limits.written_out();
        while let Some(message) = messages.next_family()? {
            number += 1;
            let said = self.describe(message.name);
            said.kind = Some(message.kind.as_str().into());
            said.help = Some(message.help.into());
            said.unit = Some(message.unit.into());
            let mut failure = None;
            let expanded = message.expand(target.1.always_scrape_classic_histograms, &mut room, &mut |one| {
                self.message_sample(known, sink, target, (&message, number), (last, texts), one).map_err(
                    |error| {
                        failure = Some(error);
                        String::new()
                    },
                )
            });
            if let Some(failure) = failure {
                return Err(failure);
            }
            expanded?;
        }
        Ok(())
    }

    fn message_sample<S: ScrapeSink>(
        &mut self,
        known: &mut Known<S::Series>,
        sink: &S,
        target: Target<'_>,
        (message, number): (&FamilyMessage<'_>, usize),
        (last, texts): (&str, &mut String),
        one: Expanded<'_, '_>,
    ) -> Result<(), ScrapeFailure> {
        self.count(target.1)?;
        // Names of series as text, one after the other: what the lines are to the text formats.
        let start = texts.len() as u32;
        texts.push_str(one.name);
        for (name, value) in one.labels.iter().copied().chain(one.bound) {
            // Lengths keep two series apart whatever characters their names have.
            texts.push_str(&format!("\0{}\0{name}{value}", name.len()));
        }
        let mut line = KnownLine { start, end: texts.len() as u32, what: What::Other };
        let place = match known.find(line.of(texts), (last, texts)) {
            Some(place) => place,
            None => {
                let pairs = one.labels.iter().copied().chain(one.bound);
                let pairs = pairs.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)));
                let name = named(target, (message.name, message.kind), number, one.name, pairs)?;
                match sink.series(&name.metric, &name.labels, name.kind) {
                    Ok(series) => known.add(line, (last, texts), series),
                    Err(refusal) => {
                        self.refuse(refusal, &name);
                        return Ok(());
                    }
                }
            }
        };
        line.what = What::Series(place);
        self.lines.push(line);
        let at = one.at.filter(|at| target.1.honor_timestamps && *at != 0);
        match one.value {
            SampleValue::Float(value) => self.float(known, place, at, value),
            SampleValue::Histogram(value) => {
                known.saw(place, at.is_some());
                if let Some(series) = known.series.get(place as usize) {
                    let value = histogram(sink, series, at.unwrap_or(self.at), Arc::clone(&value));
                    self.histograms.push(value);
                }
            }
            _ => {}
        }
        if let Some(created) = one.created.filter(|created| *created > 0) {
            self.starts.push((place as usize, at.unwrap_or(self.at), created));
        }
        for found in one.exemplars.iter().map(ExemplarMessage::owned) {
            let found = found.map_err(|reason| ScrapeFailure::Name { line: number, reason })?;
            self.exemplar(place, found);
        }
        Ok(())
    }
}

/// One pass over a text.
struct Pass<'a> {
    reader: TextReader<'a>,
    text: &'a str,
    /// Whether `_created` lines are starts.
    created: bool,
    /// The last line that said a type.
    kind_line: Option<KnownLine>,
    last_lines: &'a [KnownLine],
    /// The line of the last exposition that is expected next.
    next: usize,
    changed: bool,
}

impl<'a> Pass<'a> {
    fn run<S: ScrapeSink>(
        &mut self,
        reading: &mut Reading,
        known: &mut Known<S::Series>,
        sink: &S,
        target: Target<'_>,
        last_text: &str,
        format: Format,
    ) -> Result<(), ScrapeFailure> {
        reading.lines.reserve(self.last_lines.len());
        loop {
            let start = self.reader.position() as u32;
            if let Some(expected) = self.last_lines.get(self.next).copied() {
                let text = expected.of(last_text);
                let end = start + text.len() as u32;
                let line = KnownLine { start, end, what: expected.what };
                if matches!(expected.what, What::Series(_) | What::Created) {
                    // What it was taken for before is right only if its family still is what it was.
                    if self.is_created(SeriesText(text)) == (expected.what == What::Created)
                        && let Some(value) = self.reader.next_known(text)
                    {
                        self.next += 1;
                        reading.lines.push(line);
                        match expected.what {
                            What::Series(place) => Self::value(reading, known, target, place, &value?)?,
                            _ => reading.created.push(value?.value),
                        }
                        continue;
                    }
                } else if self.reader.skip_known(text) {
                    self.next += 1;
                    reading.lines.push(line);
                    if expected.what == What::Type {
                        self.kind_line = Some(line);
                    }
                    continue;
                }
            }
            let number = self.reader.line_number();
            let Some(found) = self.reader.next_line()? else { return Ok(()) };
            let whole = KnownLine { start, end: self.reader.position() as u32, what: What::Other };
            if let Line::Sample { series, value } = found {
                self.sample(
                    reading,
                    known,
                    sink,
                    target,
                    (last_text, format, number, start),
                    series,
                    &value,
                )?;
                continue;
            }
            if found == Line::Eof {
                continue;
            }
            self.changed = true;
            let what = match found {
                Line::Type { family, kind } => {
                    reading.describe(&family).kind = Some(kind.as_str().into());
                    self.kind_line = Some(whole);
                    What::Type
                }
                Line::Help { family, text } => {
                    reading.describe(&family).help = Some(text.as_ref().into());
                    What::Other
                }
                Line::Unit { family, unit } => {
                    reading.describe(&family).unit = Some(unit.as_ref().into());
                    What::Other
                }
                _ => What::Other,
            };
            // A last line without its end could be the beginning of a longer one the next time.
            if whole.of(self.text).ends_with('\n') {
                reading.lines.push(KnownLine { what, ..whole });
            }
        }
    }

    fn value<T: Clone>(
        reading: &mut Reading,
        known: &mut Known<T>,
        target: Target<'_>,
        place: u32,
        value: &ValueText<'_>,
    ) -> Result<(), ScrapeFailure> {
        reading.count(target.1)?;
        let at = value.at.filter(|_| target.1.honor_timestamps);
        reading.float(known, place, at, value.value);
        if let Some(Ok(exemplar)) = value.exemplar.as_ref().map(family::exemplar) {
            reading.exemplar(place, exemplar);
        }
        Ok(())
    }

    /// A sample that was not expected here: of a known series, or of a new one.
    #[expect(clippy::too_many_arguments, reason = "the parts of one pass, split only to be borrowed apart")]
    fn sample<S: ScrapeSink>(
        &mut self,
        reading: &mut Reading,
        known: &mut Known<S::Series>,
        sink: &S,
        target: Target<'_>,
        (last_text, format, number, line_start): (&str, Format, usize, u32),
        series: SeriesText<'a>,
        value: &ValueText<'a>,
    ) -> Result<(), ScrapeFailure> {
        self.changed = true;
        let raw = series.as_str();
        let rest = self.text.get(line_start as usize..).unwrap_or("");
        let start = line_start + (rest.len() - rest.trim_start_matches([' ', '\t']).len()) as u32;
        let mut line = KnownLine { start, end: start + raw.len() as u32, what: What::Other };
        if self.is_created(series) {
            reading.lines.push(KnownLine { what: What::Created, ..line });
            reading.created.push(value.value);
            return Ok(());
        }
        let texts = (last_text, self.text);
        let place = match known.find(raw, texts) {
            Some(place) => {
                // Go on from where the last exposition had it.
                self.next = known.line_after(place).unwrap_or(self.next);
                place
            }
            None => {
                let (family, kind) = self.family(format);
                let name = named(target, (&family, kind), number, &series.name(), series.labels())?;
                match sink.series(&name.metric, &name.labels, name.kind) {
                    Ok(found) => known.add(line, texts, found),
                    Err(refusal) => {
                        reading.count(target.1)?;
                        reading.refuse(refusal, &name);
                        return Ok(());
                    }
                }
            }
        };
        line.what = What::Series(place);
        reading.lines.push(line);
        Self::value(reading, known, target, place, value)
    }

    /// The family whose type was said last.
    fn family(&self, format: Format) -> (Cow<'a, str>, FamilyKind) {
        let said = self.kind_line.and_then(|line| created::said(line.of(self.text), format));
        said.unwrap_or((Cow::Borrowed(""), FamilyKind::Unknown))
    }

    /// Whether a line says since when the family that it stands in counts, and is to be taken so.
    fn is_created(&self, series: SeriesText<'_>) -> bool {
        self.created && created::may_be(series.as_str()) && {
            let (family, kind) = self.family(Format::OpenMetrics);
            created::is_of(&family, kind, series)
        }
    }
}
