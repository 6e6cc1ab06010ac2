//! Durations as Prometheus files write them.

use std::time::Duration;

use itom_core::time::parse_duration;

/// Reads a duration in the grammar of Prometheus files: `1y2w3d4h5m6s7ms`, from large to small, or `0`.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn model_duration(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Err("empty duration string".into());
    }
    if text.ends_with("us") {
        return Err(format!("not a valid duration string: {text:?} (the smallest unit is ms)"));
    }
    let span = parse_duration(text).map_err(|error| error.to_string())?;
    // Prometheus counts nanoseconds in 63 bits.
    if span.as_nanos() > i64::MAX as u128 {
        return Err(format!("duration out of range: {text:?} is longer than 292 years"));
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_that_of_prometheus() {
        for (text, seconds) in
            [("0", 0), ("5m", 300), ("1h30m", 5400), ("1d", 86_400), ("1w2d", 777_600), ("1y", 31_536_000)]
        {
            assert_eq!(model_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "1.5h", "-1m", "1m1h", "1h1h", "1us", "300y", "m", " 5m"] {
            assert!(model_duration(text).is_err(), "{text}");
        }
    }
}
