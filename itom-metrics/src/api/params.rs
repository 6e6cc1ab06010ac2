//! Parameters of a request.

use std::time::Duration;

use itom_core::Timestamp;

use super::Failure;
use crate::eval::matchers_of;
use crate::promql::{Expr, ParseError, ParseOptions, parse_selector, parse_with};
use crate::{LabelMatcher, TimeRange};

/// Names and values from the query string and the form; those of the form come first.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn new(form: &[u8], query: &str) -> Self {
        let all = form_urlencoded::parse(form).chain(form_urlencoded::parse(query.as_bytes()));
        Self(all.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    pub(super) fn push(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    /// The first value that is not empty.
    pub(super) fn get<'a>(&'a self, name: &str) -> Option<&'a str> {
        let named = self.0.iter().filter(|(have, _)| have == name);
        named.map(|(_, value)| value.as_str()).find(|value| !value.is_empty())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// A time in milliseconds: RFC 3339, or seconds since the epoch with a fraction.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        let at = match seconds {
            Some(seconds) => {
                let millis = (seconds * 1_000.0).round();
                // Times are kept within what can be calculated with.
                Some(millis.clamp(MIN_TIME as f64, MAX_TIME as f64) as i64)
            }
            None => text.parse::<Timestamp>().ok().map(Timestamp::as_millis),
        };
        match at {
            Some(at) => Ok(Some(at)),
            None => Err(Failure::parameter(name, &format!("cannot parse {text:?} to a valid timestamp"))),
        }
    }

    pub(super) fn needed_time(&self, name: &str) -> Result<i64, Failure> {
        let missing = || Failure::parameter(name, "cannot parse \"\" to a valid timestamp");
        self.time(name)?.ok_or_else(missing)
    }

    /// A length in milliseconds: as PromQL writes it, or seconds with a fraction.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let bad = || Failure::parameter(name, &format!("cannot parse {text:?} to a valid duration"));
        let millis = match text.parse::<f64>() {
            Ok(seconds) => seconds * 1_000.0,
            Err(_) => words(text).ok_or_else(bad)?,
        };
        if millis.is_finite() && millis.abs() < 9e15 { Ok(Some(millis as i64)) } else { Err(bad()) }
    }

    pub(super) fn range(&self) -> Result<TimeRange, Failure> {
        let from = self.time("start")?.unwrap_or(MIN_TIME);
        let to = self.time("end")?.unwrap_or(MAX_TIME);
        if to < from {
            return Err(Failure::parameter("end", "end timestamp must not be before start timestamp"));
        }
        Ok(TimeRange { from, to })
    }

    /// The most items of an answer; none is any number.
    pub(super) fn limit(&self) -> Result<usize, Failure> {
        let Some(text) = self.get("limit") else { return Ok(usize::MAX) };
        match text.parse::<usize>() {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(limit),
            Err(_) if text.starts_with('-') => Err(Failure::parameter("limit", "limit must be non-negative")),
            Err(_) => {
                Err(Failure::parameter("limit", &format!("strconv.Atoi: parsing {text:?}: invalid syntax")))
            }
        }
    }

    pub(super) fn timeout(&self, most: Duration) -> Result<Duration, Failure> {
        let asked =
            self.duration("timeout")?.map(|millis| Duration::from_millis(millis.max(0).unsigned_abs()));
        Ok(asked.map_or(most, |asked| asked.min(most)))
    }

    pub(super) fn expression(&self, options: &ParseOptions) -> Result<(String, Expr), Failure> {
        let text = self.get("query").unwrap_or_default().to_owned();
        let expr = parse_with(&text, options).map_err(|error| mistake("query", &error))?;
        Ok((text, expr))
    }

    /// Each `match[]`, compiled.
    pub(super) fn selectors(&self) -> Result<Vec<Vec<LabelMatcher>>, Failure> {
        self.all("match[]")
            .map(|text| {
                let selector = parse_selector(text).map_err(|error| mistake("match[]", &error))?;
                let matchers = matchers_of(&selector);
                let matchers = matchers.map_err(|error| Failure::parameter("match[]", &error.to_string()))?;
                if matchers.iter().all(|matcher| matcher.matches("")) {
                    return Err(Failure::parameter(
                        "match[]",
                        "match[] must contain at least one non-empty matcher",
                    ));
                }
                Ok(matchers)
            })
            .collect()
    }
}

/// The earliest and the latest time that can be asked for: far enough from the ends of 64 bits to be calculated with.
pub(super) const MIN_TIME: i64 = i64::MIN / 1_000 + 62_135_596_801;
pub(super) const MAX_TIME: i64 = i64::MAX / 1_000 - 62_135_596_801;

fn mistake(name: &str, error: &ParseError) -> Failure {
    Failure::parameter(name, &error.to_string())
}

/// `1h30m` as milliseconds.
fn words(text: &str) -> Option<f64> {
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(letters)?;
        let length = match unit {
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 6e4,
            "h" => 36e5,
            "d" => 864e5,
            "w" => 6048e5,
            "y" => 31_536e6,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * length;
        rest = after;
    }
    Some(if negative { -total } else { total })
}
