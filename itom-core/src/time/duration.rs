//! Durations as people write them in files: `2m30s`.

use std::fmt::Write as _;
use std::time::Duration;

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: {why}; write units from large to small, such as 1d, 2m30s or 150ms")]
pub struct DurationError {
    text: String,
    why: &'static str,
}

impl crate::Classify for DurationError {
    fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}

/// Units from large to small, in microseconds. `y` and `w` are read as Prometheus reads them (365 days, 7 days).
const UNITS: [(&str, u64); 8] = [
    ("y", 365 * 86_400_000_000),
    ("w", 7 * 86_400_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Reads `2m30s`, `1d`, `150ms`, `0`. Units stand from large to small, each at most once.
///
/// # Errors
/// [`DurationError`] says what is wrong: no number, no unit, unknown unit, units out of order, too long.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let refuse = |why| DurationError { text: text.chars().take(80).collect(), why };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(refuse("it is empty"));
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut smallest = None;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refuse("a number is missing or too large"))?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let index = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(|| refuse("a unit is missing or unknown (y, w, d, h, m, s, ms, us)"))?;
        if smallest.is_some_and(|before| index <= before) {
            return Err(refuse("units are repeated or out of order"));
        }
        smallest = Some(index);
        total = number
            .checked_mul(UNITS[index].1)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| refuse("it is too long"))?;
        rest = tail;
    }
    Ok(Duration::from_micros(total))
}

/// Writes the shortest exact form down to microseconds: `2m30s`, `1d`, `0`. Finer parts are cut.
#[must_use]
pub fn format_duration(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0".into();
    }
    let mut text = String::new();
    // Days are the largest unit written: `1y` would hide which year.
    for (name, size) in &UNITS[2..] {
        if rest >= *size {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{name}", rest / size);
            rest %= size;
        }
    }
    text
}

/// For `#[serde(with = "itom_core::time::serde_duration")]`: durations in files are `"2m30s"`.
pub mod serde_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the text form.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*span))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// Those of the deserializer, and a text that is not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}
