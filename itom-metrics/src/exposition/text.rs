//! Reading the two text formats, line by line, without copying.

use std::borrow::Cow;

use super::series::{SeriesText, closing_quote, unescape};
use super::{ExpositionError, FamilyKind, Format, Limits, number};

/// One line.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Line<'a> {
    /// `# TYPE`: what kind of metric a family is.
    Type {
        /// The family.
        family: Cow<'a, str>,
        /// Its kind.
        kind: FamilyKind,
    },
    /// `# HELP`: what a family means.
    Help {
        /// The family.
        family: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
    },
    /// `# UNIT`: what a family is measured in.
    Unit {
        /// The family.
        family: Cow<'a, str>,
        /// The unit.
        unit: Cow<'a, str>,
    },
    /// A sample.
    Sample {
        /// What it is a sample of.
        series: SeriesText<'a>,
        /// The rest of the line.
        value: ValueText<'a>,
    },
    /// A comment or an empty line.
    Comment,
    /// `# EOF`: the end of OpenMetrics.
    Eof,
}

/// What follows the series on a line.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ValueText<'a> {
    /// The value.
    pub value: f64,
    /// When it was measured, in milliseconds since the epoch, if that is said.
    pub at: Option<i64>,
    /// An exemplar, if there is one.
    pub exemplar: Option<ExemplarText<'a>>,
}

/// An exemplar of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ExemplarText<'a> {
    /// Its labels in braces; the name is empty.
    pub labels: SeriesText<'a>,
    /// The observed value.
    pub value: f64,
    /// When it was observed, in milliseconds since the epoch, if that is said.
    pub at: Option<i64>,
}

/// Reads a text, line by line.
#[derive(Debug, Clone)]
pub struct TextReader<'a> {
    text: &'a str,
    at: usize,
    line_start: usize,
    line: usize,
    open: bool,
    limits: Limits,
    ended: bool,
}

const fn is_blank(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b' ' | b'\t'))
}

const fn ends_line(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b'\n') | None)
}

impl<'a> TextReader<'a> {
    /// A reader of Prometheus's text format ([`Format::Text`], versions 0.0.4 and 1.0.0) or of OpenMetrics 1.0.
    ///
    /// # Errors
    /// [`ExpositionError::Limit`] when the text is too long, or when the format is none of text.
    pub fn new(text: &'a str, format: Format, limits: Limits) -> Result<Self, ExpositionError> {
        if text.len() > limits.bytes {
            return Err(ExpositionError::Limit { what: "bytes", limit: limits.bytes });
        }
        let reader = Self {
            text,
            at: 0,
            line_start: 0,
            line: 1,
            open: format == Format::OpenMetrics,
            limits,
            ended: false,
        };
        if format == Format::Protobuf { reader.fail("the format is not one of text") } else { Ok(reader) }
    }

    /// The same for bytes, which must be UTF-8.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`ExpositionError::Text`] with the place of the first byte that is not UTF-8.
    pub fn from_bytes(bytes: &'a [u8], format: Format, limits: Limits) -> Result<Self, ExpositionError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::new(text, format, limits),
            Err(error) => {
                let good = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
                let line = 1 + good.bytes().filter(|byte| *byte == b'\n').count();
                let column = 1 + good.rsplit('\n').next().map_or(0, |last| last.chars().count());
                Err(ExpositionError::Text { line, column, reason: "this is not UTF-8".to_owned() })
            }
        }
    }

    /// The number of the line that is read next, from 1.
    #[must_use]
    pub const fn line_number(&self) -> usize {
        self.line
    }

    /// The byte that is read next.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    pub(super) fn fail<T>(&self, reason: impl Into<String>) -> Result<T, ExpositionError> {
        let before = self.text.get(self.line_start..self.at).unwrap_or("");
        Err(ExpositionError::Text {
            line: self.line,
            column: before.chars().count() + 1,
            reason: reason.into(),
        })
    }

    fn fail_at<T>(&mut self, at: usize, reason: impl Into<String>) -> Result<T, ExpositionError> {
        self.at = at;
        self.fail(reason)
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn byte(&self) -> Option<&'a u8> {
        self.bytes().get(self.at)
    }

    fn skip_blanks(&mut self) {
        while is_blank(self.byte()) {
            self.at += 1;
        }
    }

    /// Steps over the end of a line.
    fn end_line(&mut self) -> Result<(), ExpositionError> {
        if !self.open {
            self.skip_blanks();
        }
        match self.byte() {
            Some(b'\n') => self.at += 1,
            None => {}
            Some(_) => return self.fail("expected the end of the line"),
        }
        if self.at - self.line_start > self.limits.line_bytes {
            return Err(ExpositionError::Limit { what: "bytes in a line", limit: self.limits.line_bytes });
        }
        self.line += 1;
        self.line_start = self.at;
        Ok(())
    }

    /// Steps over a whole line that is known, line feed included, if it is the next one.
    pub(super) fn skip_known(&mut self, line: &str) -> bool {
        let next = self.bytes().get(self.at..).is_some_and(|rest| rest.starts_with(line.as_bytes()));
        let next = next && !self.ended;
        if next {
            self.at += line.len();
            self.line += 1;
            self.line_start = self.at;
        }
        next
    }

    /// Reads the rest of the next line if it begins with a series that was found well formed before.
    pub(super) fn next_known(&mut self, series: &str) -> Option<Result<ValueText<'a>, ExpositionError>> {
        let rest = self.bytes().get(self.at..)?;
        if self.ended || !rest.starts_with(series.as_bytes()) || !is_blank(rest.get(series.len())) {
            return None;
        }
        // A name may be followed by blanks and labels: that is another series.
        if !self.open && !series.ends_with('}') {
            let after = rest.get(series.len()..)?.iter().find(|byte| !is_blank(Some(byte)));
            if after == Some(&b'{') {
                return None;
            }
        }
        self.at += series.len();
        Some(self.value())
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// [`ExpositionError`] with the place of what is wrong; nothing more can be read then.
    pub fn next_line(&mut self) -> Result<Option<Line<'a>>, ExpositionError> {
        if self.at >= self.text.len() {
            return if self.open && !self.ended {
                self.fail("the end is missing: the last line of OpenMetrics is `# EOF`")
            } else {
                Ok(None)
            };
        }
        if self.ended {
            return self.fail("there is more after `# EOF`");
        }
        if !self.open {
            self.skip_blanks();
        }
        match self.byte() {
            Some(b'#') => self.remark().map(Some),
            Some(b'\n') | None if !self.open => {
                self.end_line()?;
                Ok(Some(Line::Comment))
            }
            Some(b'\n') => self.fail("OpenMetrics has no empty lines"),
            _ => {
                let series = self.series(false)?;
                Ok(Some(Line::Sample { series, value: self.value()? }))
            }
        }
    }

    /// A line that begins with `#`.
    fn remark(&mut self) -> Result<Line<'a>, ExpositionError> {
        let end = self.bytes().get(self.at..).and_then(|rest| memchr::memchr(b'\n', rest));
        let end = end.map_or(self.text.len(), |length| self.at + length);
        let rest = self.text.get(self.at + 1..end).unwrap_or("");
        if self.open && rest == " EOF" {
            self.at = end;
            self.end_line()?;
            self.ended = true;
            return Ok(Line::Eof);
        }
        let blanks: &[char] = if self.open { &[' '] } else { &[' ', '\t'] };
        let words =
            if self.open { rest.strip_prefix(' ').unwrap_or(rest) } else { rest.trim_start_matches(blanks) };
        let keyword = words.split(blanks).next().unwrap_or("");
        let says = matches!(keyword, "HELP" | "TYPE") || (self.open && keyword == "UNIT");
        if !says {
            if self.open {
                return self.fail("OpenMetrics has no comments but `# HELP`, `# TYPE`, `# UNIT` and `# EOF`");
            }
            self.at = end;
            self.end_line()?;
            return Ok(Line::Comment);
        }
        self.at = end - words.len() + keyword.len();
        self.blank("the name of the metric")?;
        let family = self.family_name()?;
        if keyword == "HELP" && !self.open && ends_line(self.byte()) {
            self.end_line()?;
            return Ok(Line::Help { family, text: Cow::Borrowed("") });
        }
        self.blank("what is said about the metric")?;
        let said = self.text.get(self.at..end).unwrap_or("");
        let line = match keyword {
            "HELP" => Line::Help { family, text: unescape(said) },
            "UNIT"
                if said.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')) =>
            {
                Line::Unit { family, unit: Cow::Borrowed(said) }
            }
            "UNIT" => return self.fail("a unit consists of letters, digits and underscores"),
            _ => {
                let word = if self.open { said } else { said.trim_end_matches(blanks) };
                match FamilyKind::from_word(word, self.open) {
                    Some(kind) => Line::Type { family, kind },
                    None => return self.fail(format!("`{}` is no type of metric", cut(word))),
                }
            }
        };
        self.at = end;
        self.end_line()?;
        Ok(line)
    }

    /// One space in OpenMetrics, any blanks otherwise.
    fn blank(&mut self, expected: &str) -> Result<(), ExpositionError> {
        let fits = if self.open { self.byte() == Some(&b' ') } else { is_blank(self.byte()) };
        if !fits {
            return self.fail(format!("expected a space and {expected}"));
        }
        self.at += 1;
        if !self.open {
            self.skip_blanks();
        }
        Ok(())
    }

    fn family_name(&mut self) -> Result<Cow<'a, str>, ExpositionError> {
        let start = self.at;
        if self.byte() == Some(&b'"') {
            let inside = self.quoted("the name of a metric")?;
            if inside.is_empty() {
                return self.fail_at(start, "the name of the metric is empty");
            }
            return Ok(unescape(inside));
        }
        self.word(true)?;
        Ok(Cow::Borrowed(self.text.get(start..self.at).unwrap_or("")))
    }

    /// Steps over a name of the classic form.
    fn word(&mut self, of_metric: bool) -> Result<(), ExpositionError> {
        let start = self.at;
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || (of_metric && *byte == b':');
        while self.byte().is_some_and(fits) {
            self.at += 1;
        }
        let begins = self.bytes().get(start).is_some_and(|first| fits(first) && !first.is_ascii_digit());
        if !begins {
            let what = if of_metric { "metric" } else { "label" };
            return self.fail_at(
                start,
                format!("expected the name of a {what}: letters, digits and `_`, or quotes"),
            );
        }
        Ok(())
    }

    /// Steps over a quoted text and gives what is inside, escapes as they are.
    fn quoted(&mut self, what: &str) -> Result<&'a str, ExpositionError> {
        if self.byte() != Some(&b'"') {
            return self.fail(format!("expected a quote before {what}"));
        }
        let Some(end) = closing_quote(self.bytes(), self.at + 1) else {
            return self.fail(format!("the quote before {what} is never closed"));
        };
        let inside = self.text.get(self.at + 1..end).unwrap_or("");
        if inside.len() > self.limits.label_value_bytes {
            let limit = self.limits.label_value_bytes;
            return Err(ExpositionError::Limit { what: "bytes in a label value", limit });
        }
        self.at = end + 1;
        Ok(inside)
    }

    /// Steps over a name and labels, or over labels alone.
    fn series(&mut self, labels_only: bool) -> Result<SeriesText<'a>, ExpositionError> {
        let start = self.at;
        let mut named = labels_only;
        if self.byte() != Some(&b'{') {
            self.word(true)?;
            named = true;
        }
        let mut end = self.at;
        if !self.open {
            self.skip_blanks();
        }
        if self.byte() == Some(&b'{') {
            self.at += 1;
            self.labels(&mut named)?;
            end = self.at;
        } else {
            self.at = end;
        }
        if !named {
            return self
                .fail_at(start, "the labels have no metric: its quoted name comes first in the braces");
        }
        Ok(SeriesText(self.text.get(start..end).unwrap_or("")))
    }

    fn inner_blanks(&mut self) {
        if !self.open {
            self.skip_blanks();
        }
    }

    /// What follows an opening brace, closing brace included.
    fn labels(&mut self, named: &mut bool) -> Result<(), ExpositionError> {
        let mut names: Vec<&str> = Vec::new();
        let mut may_end = true;
        loop {
            self.inner_blanks();
            if self.byte() == Some(&b'}') && may_end {
                self.at += 1;
                break;
            }
            let start = self.at;
            let is_quoted = self.byte() == Some(&b'"');
            let name = if is_quoted {
                self.quoted("the name of a label")?
            } else {
                self.word(false)?;
                self.text.get(start..self.at).unwrap_or("")
            };
            self.inner_blanks();
            if is_quoted && self.byte() != Some(&b'=') && !*named && names.is_empty() {
                if name.is_empty() {
                    return self.fail_at(start, "the name of the metric is empty");
                }
                *named = true;
            } else {
                if self.byte() != Some(&b'=') {
                    return self.fail("expected `=` after the name of the label");
                }
                self.at += 1;
                self.inner_blanks();
                self.quoted("the value of the label")?;
                if name.is_empty() {
                    return self.fail_at(start, "the name of the label is empty");
                }
                if names.len() >= self.limits.labels {
                    return Err(ExpositionError::Limit {
                        what: "labels of a series",
                        limit: self.limits.labels,
                    });
                }
                names.push(name);
            }
            self.inner_blanks();
            match self.byte() {
                // OpenMetrics has no comma after the last label.
                Some(b',') => {
                    self.at += 1;
                    may_end = !self.open;
                }
                Some(b'}') => may_end = true,
                _ => return self.fail("expected `,` or `}` after the label"),
            }
        }
        // Escaped spellings of one name are told apart here and meet in the store, where the last one wins.
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            let name = pair.first().map_or("", |name| cut(name));
            return self.fail(format!("the label `{name}` is there twice"));
        }
        Ok(())
    }

    fn token(&mut self) -> &'a str {
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\n')).unwrap_or(rest.len());
        let token = self.text.get(self.at..self.at + length).unwrap_or("");
        self.at += length;
        token
    }

    fn number(&mut self) -> Result<f64, ExpositionError> {
        let start = self.at;
        let token = self.token();
        match number::value(token) {
            Some(value) => Ok(value),
            None => self.fail_at(start, format!("expected a number, found `{}`", cut(token))),
        }
    }

    fn time(&mut self) -> Result<i64, ExpositionError> {
        let start = self.at;
        let token = self.token();
        let at = if self.open { number::seconds(token) } else { number::milliseconds(token) };
        match at {
            Some(at) => Ok(at),
            None => {
                let unit = if self.open { "seconds" } else { "whole milliseconds" };
                self.fail_at(start, format!("expected a time in {unit}, found `{}`", cut(token)))
            }
        }
    }

    /// What follows a series: value, time, exemplar.
    fn value(&mut self) -> Result<ValueText<'a>, ExpositionError> {
        self.blank("a value")?;
        let value = self.number()?;
        let mut found = ValueText { value, at: None, exemplar: None };
        if self.open {
            if self.byte() == Some(&b' ') && self.bytes().get(self.at + 1) != Some(&b'#') {
                self.at += 1;
                found.at = Some(self.time()?);
            }
            if self.byte() == Some(&b' ') {
                found.exemplar = Some(self.exemplar()?);
            }
        } else {
            self.skip_blanks();
            if !ends_line(self.byte()) {
                found.at = Some(self.time()?);
            }
        }
        self.end_line()?;
        Ok(found)
    }

    fn exemplar(&mut self) -> Result<ExemplarText<'a>, ExpositionError> {
        if !self.bytes().get(self.at..).is_some_and(|rest| rest.starts_with(b" # {")) {
            return self.fail("expected an exemplar: ` # {labels} value`");
        }
        self.at += 3;
        let start = self.at;
        let labels = self.series(true)?;
        let length: usize =
            labels.labels().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if length > 128 {
            return self.fail_at(start, "the labels of an exemplar have more than 128 characters");
        }
        self.blank("the value of the exemplar")?;
        let value = self.number()?;
        let mut at = None;
        if self.byte() == Some(&b' ') {
            self.at += 1;
            at = Some(self.time()?);
        }
        Ok(ExemplarText { labels, value, at })
    }
}

/// The beginning of what was found, for an error.
fn cut(text: &str) -> &str {
    text.char_indices().nth(60).map_or(text, |(end, _)| text.get(..end).unwrap_or(""))
}
