//! Numbers as expositions write them.

/// A value: decimal, or an infinity, or NaN. Neither hexadecimal nor with underscores, as in Prometheus; too large a
/// number is none.
pub(super) fn value(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    // Most values are short whole numbers.
    if bytes.len() <= 15 && !bytes.is_empty() {
        let mut whole = 0_u64;
        if bytes.iter().all(|byte| {
            whole = whole.wrapping_mul(10).wrapping_add(u64::from(byte.wrapping_sub(b'0')));
            byte.is_ascii_digit()
        }) {
            return Some(whole as f64);
        }
    }
    let number: f64 = text.parse().ok()?;
    if number.is_finite() {
        return Some(number);
    }
    if number.is_nan() {
        // One NaN for all spellings: another may be the marker of staleness. A signed one is none in Prometheus.
        return text.starts_with(['n', 'N']).then_some(f64::NAN);
    }
    // Digits that overflow are an error, not an infinity.
    (!bytes.iter().any(u8::is_ascii_digit)).then_some(number)
}

/// Whole milliseconds.
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Seconds with a fraction, as milliseconds rounded to the nearest; far away times stay far away.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let written = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    let seconds: f64 = text.parse().ok()?;
    // A float beyond 64 bits becomes the nearest whole number that fits.
    (written && seconds.is_finite()).then_some((seconds * 1_000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_prometheus() {
        for (text, expected) in [
            ("1", 1.0),
            ("0012", 12.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-2.5e-3", -0.0025),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
            ("123456789012345", 123_456_789_012_345.0),
            ("1234567890123456789", 1_234_567_890_123_456_789.0),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        assert_eq!(value("NaN").map(f64::to_bits), Some(f64::NAN.to_bits()));
        for bad in ["", "a", "1_2", "0x1", "0x1p-3", "0b1", "1e999", "-NaN", "+nan", "1 ", "--1", "."] {
            assert_eq!(value(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times_far_away_stay_far_away() {
        assert_eq!(seconds("1.5e3"), Some(1_500_000));
        assert_eq!(seconds("12345678901234567890.123"), Some(i64::MAX));
        assert_eq!(seconds("0.0000000001"), Some(0));
        for bad in ["NaN", "Inf", "-Inf", "1_2", "0x1p-3", "1.1.1", "z", ""] {
            assert_eq!(seconds(bad), None, "{bad:?}");
        }
        assert_eq!(milliseconds("1395066363000"), Some(1_395_066_363_000));
        assert_eq!(milliseconds("1.5"), None);
    }
}
