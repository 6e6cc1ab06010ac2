//! The notation of series: `metric{label="value"} 1 2+3x4 _ stale {{schema:0 count:1}}x2`.

use itom_core::{Buckets, CounterReset, CustomBounds, Histogram, STALE_NAN_BITS, Schema};

use crate::promql::literal;
use crate::{LabelSet, METRIC_NAME, histogram};

/// Most values of one line: `1x999999999` is refused instead of filling the memory.
const MAX_VALUES: usize = 2_000_000;

/// One value of a sequence.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SequenceValue {
    /// No sample (`_`).
    Omitted,
    /// A float; the staleness marker for `stale`.
    Float(f64),
    /// A histogram.
    Histogram {
        /// It.
        histogram: Box<Histogram>,
        /// Whether its counter-reset hint was written, so that it counts in a comparison.
        hinted: bool,
    },
}

/// A series and its values.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SeriesLine {
    /// Its labels; empty ones are dropped.
    pub labels: LabelSet,
    /// Its values.
    pub values: Vec<SequenceValue>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {}: {reason}", at + 1)]
#[non_exhaustive]
pub struct NotationError {
    /// The byte in the line.
    pub at: usize,
    /// What is wrong.
    pub reason: String,
}

/// A place in a line.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    fn take(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or("")
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, NotationError> {
        Err(NotationError { at: self.at, reason: reason.into() })
    }

    /// A literal in quotes.
    fn quoted(&mut self) -> Result<String, NotationError> {
        let (start, rest) = (self.at, self.rest());
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) else {
            return self.fail("expected a text in quotes");
        };
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, c)| {
            let closes = !escaped && *c == quote;
            escaped = !escaped && *c == '\\' && quote != '`';
            closes
        });
        let Some((end, _)) = end else { return self.fail("the quotes are not closed") };
        let written = rest.get(..=end).unwrap_or("");
        self.at += end + 1;
        let value =
            literal::string(written).map_err(|(at, reason)| NotationError { at: start + at, reason })?;
        match value.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(NotationError { at: start, reason: "a label is not valid UTF-8".to_owned() }),
        }
    }
}

/// Reads a series: its labels, then its values.
///
/// # Errors
/// [`NotationError`] with the place.
pub fn parse_series(text: &str) -> Result<SeriesLine, NotationError> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.skip_blanks();
    let labels = labels(&mut cursor)?;
    if cursor.peek().is_some_and(|c| !matches!(c, ' ' | '\t')) {
        return cursor.fail("expected a blank after the series");
    }
    Ok(SeriesLine { labels, values: values(&mut cursor)? })
}

fn labels(cursor: &mut Cursor<'_>) -> Result<LabelSet, NotationError> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
    if cursor.peek().is_some_and(first) {
        let name = cursor.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
        pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
        let behind = cursor.at;
        cursor.skip_blanks();
        if !cursor.rest().starts_with('{') || cursor.rest().starts_with("{{") {
            cursor.at = behind;
        }
    }
    let braces = cursor.rest().starts_with('{') && !cursor.rest().starts_with("{{");
    if !braces {
        if pairs.is_empty() {
            return cursor.fail("expected a metric's name or `{`");
        }
        return Ok(LabelSet::from_pairs(pairs));
    }
    cursor.at += 1;
    loop {
        cursor.skip_blanks();
        if cursor.take("}") {
            return Ok(LabelSet::from_pairs(pairs));
        }
        if cursor.take(",") {
            continue;
        }
        let name = if cursor.peek().is_some_and(|c| matches!(c, '"' | '\'' | '`')) {
            let name = cursor.quoted()?;
            cursor.skip_blanks();
            if !cursor.rest().starts_with('=') {
                pairs.push((METRIC_NAME.to_owned(), name));
                continue;
            }
            name
        } else {
            cursor.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned()
        };
        cursor.skip_blanks();
        if name.is_empty() || !cursor.take("=") {
            return cursor.fail("expected a label such as `job=\"web\"`, or `}`");
        }
        cursor.skip_blanks();
        pairs.push((name, cursor.quoted()?));
    }
}

fn values(cursor: &mut Cursor<'_>) -> Result<Vec<SequenceValue>, NotationError> {
    let mut values = Vec::new();
    loop {
        cursor.skip_blanks();
        let Some(first) = cursor.peek() else { return Ok(values) };
        if first == '_' {
            cursor.at += 1;
            let count = times(cursor, values.len())?.unwrap_or(1);
            values.extend(std::iter::repeat_n(SequenceValue::Omitted, count));
        } else if cursor.rest().starts_with("{{") {
            histograms(cursor, &mut values)?;
        } else {
            floats(cursor, &mut values)?;
        }
        if cursor.peek().is_some_and(|c| !matches!(c, ' ' | '\t')) {
            return cursor.fail("expected a blank between values");
        }
    }
}

/// `xN`, if it is there.
fn times(cursor: &mut Cursor<'_>, have: usize) -> Result<Option<usize>, NotationError> {
    if !cursor.take("x") {
        return Ok(None);
    }
    let digits = cursor.take_while(|c| c.is_ascii_digit());
    match digits.parse::<usize>() {
        Ok(count) if count.saturating_add(have) <= MAX_VALUES => Ok(Some(count)),
        Ok(_) => cursor.fail(format!("more than {MAX_VALUES} values in one line")),
        Err(_) => cursor.fail("expected how many times after `x`"),
    }
}

/// A number with its sign, `Inf`, `NaN` or `stale`.
fn number(cursor: &mut Cursor<'_>) -> Result<f64, NotationError> {
    let start = cursor.at;
    let negative = cursor.take("-");
    let signed = negative || cursor.take("+");
    let rest = cursor.rest();
    let value = if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        let bytes = rest.as_bytes();
        let mut end = bytes.iter().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_')).count();
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let digits = bytes.iter().skip(end + 1 + sign).take_while(|b| b.is_ascii_digit()).count();
            if digits > 0 {
                end += 1 + sign + digits;
            }
        }
        cursor.at += end;
        literal::number(rest.get(..end).unwrap_or(""))
            .map_err(|reason| NotationError { at: start, reason })?
    } else {
        let lower = rest.get(..8.min(rest.len())).unwrap_or(rest).to_lowercase();
        let (length, value) = if lower.starts_with("infinity") {
            (8, f64::INFINITY)
        } else if lower.starts_with("inf") {
            (3, f64::INFINITY)
        } else if lower.starts_with("nan") {
            (3, f64::NAN)
        } else if rest.starts_with("stale") && !signed {
            (5, f64::from_bits(STALE_NAN_BITS))
        } else {
            return cursor.fail("expected a number, `_`, `stale` or `{{…}}`");
        };
        cursor.at += length;
        value
    };
    Ok(if negative { -value } else { value })
}

fn floats(cursor: &mut Cursor<'_>, values: &mut Vec<SequenceValue>) -> Result<(), NotationError> {
    let mut value = number(cursor)?;
    if cursor.peek().is_some_and(|c| matches!(c, '+' | '-')) {
        let step = number(cursor)?;
        let Some(count) = times(cursor, values.len())? else {
            return cursor.fail("expected `x` after the step");
        };
        // Added again and again, as the scripts mean it: it is not the same as multiplied.
        for _ in 0..=count {
            values.push(SequenceValue::Float(value));
            value += step;
        }
    } else {
        let count = times(cursor, values.len())?.map_or(1, |count| count + 1);
        values.extend(std::iter::repeat_n(SequenceValue::Float(value), count));
    }
    Ok(())
}

fn histograms(cursor: &mut Cursor<'_>, values: &mut Vec<SequenceValue>) -> Result<(), NotationError> {
    let (first, hinted) = histogram(cursor)?;
    let value = |histogram: &Histogram, hinted| SequenceValue::Histogram {
        histogram: Box::new(histogram.clone()),
        hinted,
    };
    let minus = cursor.rest().starts_with("-{{");
    if !minus && !cursor.rest().starts_with("+{{") {
        let count = times(cursor, values.len())?.map_or(1, |count| count + 1);
        values.extend(std::iter::repeat_n(value(&first, hinted), count));
        return Ok(());
    }
    cursor.at += 1;
    let (step, hinted) = histogram(cursor)?;
    let Some(count) = times(cursor, values.len())? else { return cursor.fail("expected `x` after the step") };
    let mut current = first;
    values.push(value(&current, hinted));
    for _ in 0..count {
        let added =
            if minus { histogram::sub(&mut current, &step) } else { histogram::add(&mut current, &step) };
        if let Err(error) = added {
            return cursor.fail(error.to_string());
        }
        values.push(value(&current, hinted));
    }
    Ok(())
}

/// `{{schema:0 sum:1 count:2 buckets:[1 1]}}`.
fn histogram(cursor: &mut Cursor<'_>) -> Result<(Histogram, bool), NotationError> {
    let start = cursor.at;
    let wrong = |reason: String| NotationError { at: start, reason };
    let Some(end) = cursor.rest().find("}}") else { return cursor.fail("`{{` is not closed by `}}`") };
    let body = cursor.rest().get(2..end).unwrap_or("");
    cursor.at += end + 2;
    let mut schema = 0_i32;
    let (mut offset, mut negative_offset) = (0_i32, 0_i32);
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    let mut bounds: Vec<f64> = Vec::new();
    let mut hint = None;
    let (mut sum, mut count, mut zero_count, mut zero_threshold) = (0.0, 0.0, 0.0, 0.0);
    let mut rest = body.trim_start();
    while !rest.is_empty() {
        let Some((key, after)) = rest.split_once(':') else {
            return Err(wrong(format!("expected `name:value` at {rest:?}")));
        };
        let after = after.trim_start();
        let (value, behind) = match after.strip_prefix('[') {
            Some(list) => {
                list.split_once(']').ok_or_else(|| wrong(format!("the list of `{key}` is not closed")))?
            }
            None => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
        };
        let one = || {
            let mut number_at = Cursor { text: value.trim(), at: 0 };
            let parsed = number(&mut number_at)?;
            if number_at.rest().is_empty() { Ok(parsed) } else { number_at.fail("junk after the number") }
        };
        let real = || one().map_err(|error| wrong(format!("`{key}`: {}", error.reason)));
        let whole = || {
            value.trim().parse::<i32>().map_err(|_| wrong(format!("`{key}`: {value:?} is no whole number")))
        };
        let list = || -> Result<Vec<f64>, NotationError> {
            value
                .split_whitespace()
                .map(|text| {
                    let mut number_at = Cursor { text, at: 0 };
                    number(&mut number_at).map_err(|error| wrong(format!("`{key}`: {}", error.reason)))
                })
                .collect()
        };
        match key.trim() {
            "schema" => schema = whole()?,
            "sum" => sum = real()?,
            "count" => count = real()?,
            "z_bucket" => zero_count = real()?,
            "z_bucket_w" => zero_threshold = real()?,
            "offset" => offset = whole()?,
            "n_offset" => negative_offset = whole()?,
            "buckets" => positive = list()?,
            "n_buckets" => negative = list()?,
            "custom_values" => bounds = list()?,
            "counter_reset_hint" => {
                let named = CounterReset::from_name(value.trim());
                hint = Some(named.ok_or_else(|| wrong(format!("there is no counter_reset_hint {value:?}")))?);
            }
            other => return Err(wrong(format!("there is no `{other}` in a histogram"))),
        }
        rest = behind.trim_start();
    }
    let refused = |error: itom_core::HistogramError| wrong(error.to_string());
    let mut histogram = if schema == -53 {
        Histogram::custom(CustomBounds::new(&bounds).map_err(refused)?)
    } else {
        Histogram::exponential(Schema::new(schema).map_err(refused)?)
    };
    (histogram.sum, histogram.count) = (sum, count);
    (histogram.zero_count, histogram.zero_threshold) = (zero_count, zero_threshold);
    histogram.positive = Buckets::dense(offset, &positive).map_err(refused)?;
    histogram.negative = Buckets::dense(negative_offset, &negative).map_err(refused)?;
    histogram.reset = hint.unwrap_or_default();
    Ok((histogram, hint.is_some()))
}

/// A histogram as [`parse_series`] reads it, in one form: empty buckets at the ends and what is zero are left out.
#[must_use]
pub fn histogram_notation(histogram: &Histogram) -> String {
    let mut parts = Vec::new();
    let mut number = |name: &str, value: f64| {
        if value != 0.0 {
            parts.push(format!("{name}:{value}"));
        }
    };
    number("schema", f64::from(histogram.schema()));
    number("count", histogram.count);
    number("sum", histogram.sum);
    number("z_bucket", histogram.zero_count);
    number("z_bucket_w", histogram.zero_threshold);
    let list = |counts: &[f64]| counts.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    if let Some(bounds) = histogram.custom_bounds() {
        parts.push(format!("custom_values:[{}]", list(bounds.as_slice())));
    }
    if histogram.reset != CounterReset::Unknown {
        parts.push(format!("counter_reset_hint:{}", histogram.reset.as_str()));
    }
    for (prefix, buckets) in [("", &histogram.positive), ("n_", &histogram.negative)] {
        let mut filled = buckets.iter().filter(|(_, count)| *count != 0.0).map(|(index, _)| index);
        let Some(first) = filled.next() else { continue };
        let last = filled.next_back().unwrap_or(first);
        if first != 0 {
            parts.push(format!("{prefix}offset:{first}"));
        }
        // Spans that are far apart are not filled up with zeros.
        let counts: Vec<String> = if i64::from(last) - i64::from(first) < 10_000 {
            (first..=last).map(|index| buckets.get(index).unwrap_or(0.0).to_string()).collect()
        } else {
            buckets.iter().map(|(index, count)| format!("{index}={count}")).collect()
        };
        parts.push(format!("{prefix}buckets:[{}]", counts.join(" ")));
    }
    format!("{{{{{}}}}}", parts.join(" "))
}
