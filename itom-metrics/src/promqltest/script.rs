//! A script: its commands.

use itom_core::{Classify, ErrorKind};
use regex::Regex;

use super::notation::{SeriesLine, parse_series};
use crate::promql::literal;

/// Why a script cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {reason}")]
#[non_exhaustive]
pub struct ScriptError {
    /// What the file is called.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl Classify for ScriptError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// A script that was read.
#[derive(Debug, Clone)]
pub struct Script {
    pub(super) file: String,
    pub(super) commands: Vec<Command>,
}

#[derive(Debug, Clone)]
pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Case>),
}

/// Series to be stored.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) line: usize,
    pub(super) step: i64,
    pub(super) native: bool,
    /// With the start of each sample relative to its time, where given.
    pub(super) series: Vec<(SeriesLine, Vec<Option<i64>>)>,
}

/// When an expression is evaluated, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Instant(i64),
    Range(i64, i64, i64),
}

/// What a message must be.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Any,
    Exactly(String),
    Matching(Regex),
}

impl Message {
    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => wanted == text,
            Self::Matching(pattern) => pattern.is_match(text),
        }
    }
}

/// What is expected beside values.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    pub(super) fail: Vec<Message>,
    pub(super) warn: Vec<Message>,
    pub(super) info: Vec<Message>,
    pub(super) no_warn: bool,
    pub(super) no_info: bool,
    pub(super) ordered: bool,
    pub(super) string: Option<String>,
    pub(super) scalar: Option<f64>,
    /// An instant query whose answer is a matrix over these times.
    pub(super) matrix: Option<(i64, i64, i64)>,
    pub(super) rows: Vec<SeriesLine>,
}

/// One `eval`.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) when: When,
    pub(super) expected: Expected,
}

struct Lines<'a> {
    file: &'a str,
    /// Trimmed; comments are empty lines, which end blocks.
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Lines<'a> {
    fn fail(&self, reason: impl Into<String>) -> ScriptError {
        ScriptError { file: self.file.to_owned(), line: self.at, reason: reason.into() }
    }

    /// The next line of the block.
    fn next(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at).copied().filter(|line| !line.is_empty())?;
        self.at += 1;
        Some(line)
    }

    fn duration(&self, text: &str) -> Result<i64, ScriptError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let value = literal::duration(digits).map_err(|reason| self.fail(reason))?;
        Ok(if negative { -value } else { value })
    }

    fn series(&self, text: &str) -> Result<SeriesLine, ScriptError> {
        parse_series(text).map_err(|error| self.fail(error.to_string()))
    }
}

/// The first word and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (first, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    (first, rest.trim_start())
}

impl Script {
    /// Reads a script. `file` is what it is called in errors.
    ///
    /// # Errors
    /// [`ScriptError`] with the line.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScriptError> {
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.trim())
            .map(|line| if line.starts_with('#') { "" } else { line })
            .collect();
        let mut lines = Lines { file, lines, at: 0 };
        let mut commands = Vec::new();
        while lines.at < lines.lines.len() {
            let Some(line) = lines.next() else {
                lines.at += 1;
                continue;
            };
            let (first, rest) = word(line);
            let first = first.to_lowercase();
            commands.push(match first.as_str() {
                "clear" => Command::Clear,
                "load" | "load_with_nhcb" => load(&mut lines, rest, first == "load_with_nhcb")?,
                _ if first.starts_with("eval") => eval(&mut lines, &first, rest)?,
                _ => return Err(lines.fail(format!("there is no command `{first}`"))),
            });
        }
        Ok(Self { file: file.to_owned(), commands })
    }

    /// What it is called.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// How many cases it has.
    #[must_use]
    pub fn cases(&self) -> usize {
        self.commands.iter().filter(|command| matches!(command, Command::Eval(_))).count()
    }
}

fn load(lines: &mut Lines<'_>, step: &str, native: bool) -> Result<Command, ScriptError> {
    let line = lines.at;
    let step = lines.duration(step)?;
    let mut series: Vec<(SeriesLine, Vec<Option<i64>>)> = Vec::new();
    let mut starts: Option<(String, Vec<Option<i64>>)> = None;
    while let Some(text) = lines.next() {
        let head = text.split([' ', '\t']).next().unwrap_or("");
        if head.ends_with("@st") {
            let Some((name, sequence)) = text.split_once("@st") else { continue };
            starts = Some((name.to_owned(), start_times(lines, sequence)?));
            continue;
        }
        let parsed = lines.series(text)?;
        let own = match starts.take() {
            None => Vec::new(),
            Some((name, own)) => {
                let same = lines.series(&name).is_ok_and(|named| named.labels == parsed.labels);
                if !same {
                    return Err(lines.fail(format!("start times of `{name}` are followed by another series")));
                }
                if own.len() != parsed.values.len() {
                    let (have, of) = (own.len(), parsed.values.len());
                    return Err(lines.fail(format!("{have} start times for {of} values")));
                }
                own
            }
        };
        // A series that is written twice in one block is what was written last.
        series.retain(|(have, _)| have.labels != parsed.labels);
        series.push((parsed, own));
    }
    if starts.is_some() {
        return Err(lines.fail("start times without a series"));
    }
    Ok(Command::Load(Load { line, step, native, series }))
}

/// `_ _x2 -1m -1mx3 -30s-1mx2`: offsets of starts from the times of samples.
fn start_times(lines: &Lines<'_>, sequence: &str) -> Result<Vec<Option<i64>>, ScriptError> {
    const MOST: usize = 2_000_000;
    let mut starts = Vec::new();
    for item in sequence.split_whitespace() {
        let wrong = || lines.fail(format!("`{item}` is no start time such as `-1m`, `-1mx3` or `-30s-1mx2`"));
        let (values, count) = match item.rsplit_once('x') {
            Some((values, count)) => (values, Some(count.parse::<usize>().map_err(|_| wrong())?)),
            None => (item, None),
        };
        if count.unwrap_or(0).saturating_add(starts.len()) > MOST {
            return Err(lines.fail(format!("more than {MOST} start times")));
        }
        if values == "_" {
            starts.extend(std::iter::repeat_n(None, count.unwrap_or(1)));
            continue;
        }
        let signs = values.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-'));
        let (first, step) = match signs {
            Some((at, _)) => values.split_at(at),
            None => (values, ""),
        };
        let mut value = lines.duration(first.strip_prefix('+').unwrap_or(first))?;
        let step = match step.strip_prefix('+').unwrap_or(step) {
            "" => 0,
            // `1m--1m`: a sign of its own after the operator.
            text => match text.strip_prefix("--") {
                Some(twice) => lines.duration(twice)?,
                None => lines.duration(text)?,
            },
        };
        for _ in 0..=count.unwrap_or(0) {
            starts.push(Some(value));
            value = value.saturating_add(step);
        }
    }
    Ok(starts)
}

fn eval(lines: &mut Lines<'_>, command: &str, rest: &str) -> Result<Command, ScriptError> {
    let line = lines.at;
    let mut expected = Expected::default();
    match command.strip_prefix("eval").unwrap_or("") {
        "" => {}
        "_fail" => expected.fail.push(Message::Any),
        "_warn" => expected.warn.push(Message::Any),
        "_info" => expected.info.push(Message::Any),
        "_ordered" => expected.ordered = true,
        _ => return Err(lines.fail(format!("there is no command `{command}`"))),
    }
    let (form, rest) = word(rest);
    let (when, query) = match form.to_lowercase().as_str() {
        "instant" => match word(rest) {
            (at, rest) if at.eq_ignore_ascii_case("at") => {
                let (time, query) = word(rest);
                (When::Instant(lines.duration(time)?), query)
            }
            _ => (When::Instant(0), rest),
        },
        "range" => {
            let mut rest = rest;
            let mut times = [0_i64; 3];
            for (name, slot) in ["from", "to", "step"].iter().zip(&mut times) {
                let (key, after) = word(rest);
                if !key.eq_ignore_ascii_case(name) {
                    return Err(lines.fail(format!("expected `{name}` instead of `{key}`")));
                }
                let (time, after) = word(after);
                *slot = lines.duration(time)?;
                rest = after;
            }
            (When::Range(times[0], times[1], times[2]), rest)
        }
        _ => return Err(lines.fail(format!("expected `instant` or `range` instead of `{form}`"))),
    };
    if query.is_empty() {
        return Err(lines.fail("there is no expression"));
    }
    while let Some(text) = lines.next() {
        if !expectation(lines, text, &mut expected)? {
            break;
        }
    }
    Ok(Command::Eval(Box::new(Case { line, query: query.to_owned(), when, expected })))
}

/// Takes in one line below an `eval`. Returns whether more may follow.
fn expectation(lines: &Lines<'_>, text: &str, expected: &mut Expected) -> Result<bool, ScriptError> {
    if let Some(rest) = text.strip_prefix("expected_fail_message") {
        expected.fail = vec![Message::Exactly(rest.trim().to_owned())];
        return Ok(true);
    }
    if let Some(rest) = text.strip_prefix("expected_fail_regexp") {
        expected.fail = vec![matching(lines, rest.trim())?];
        return Ok(true);
    }
    let (first, rest) = word(text);
    if first == "expect" {
        let (what, detail) = word(rest);
        let message = || match detail.split_once(':') {
            None if detail.is_empty() => Ok(Message::Any),
            Some(("msg", text)) => Ok(Message::Exactly(text.trim().to_owned())),
            Some(("regex", text)) => matching(lines, text.trim()),
            _ => Err(lines.fail(format!("expected `msg:` or `regex:` instead of `{detail}`"))),
        };
        match what {
            "fail" => expected.fail.push(message()?),
            "warn" => expected.warn.push(message()?),
            "info" => expected.info.push(message()?),
            "no_warn" => expected.no_warn = true,
            "no_info" => expected.no_info = true,
            "ordered" => expected.ordered = true,
            "string" => {
                let value = literal::string(detail).map_err(|(_, reason)| lines.fail(reason))?;
                expected.string = Some(String::from_utf8_lossy(value.as_bytes()).into_owned());
            }
            "range" => expected.matrix = Some(matrix(lines, detail)?),
            _ => return Err(lines.fail(format!("there is no `expect {what}`"))),
        }
        return Ok(true);
    }
    if let Some(value) = bare_number(text) {
        expected.scalar = Some(value);
        return Ok(false);
    }
    expected.rows.push(lines.series(text)?);
    Ok(true)
}

fn matching(lines: &Lines<'_>, pattern: &str) -> Result<Message, ScriptError> {
    Regex::new(pattern).map(Message::Matching).map_err(|error| lines.fail(error.to_string()))
}

/// `vector from A to B step S`.
fn matrix(lines: &Lines<'_>, text: &str) -> Result<(i64, i64, i64), ScriptError> {
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["vector", "from", from, "to", to, "step", step] => {
            Ok((lines.duration(from)?, lines.duration(to)?, lines.duration(step)?))
        }
        _ => Err(lines.fail("expected `expect range vector from A to B step S`")),
    }
}

fn bare_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value =
        if digits.eq_ignore_ascii_case("infinity") { f64::INFINITY } else { literal::number(digits).ok()? };
    Some(if text.starts_with('-') { -value } else { value })
}
