//! Bytes to words and numbers, without allocation.

use std::borrow::Cow;

/// A line that is not in the format the kernel documents. The rest of the file still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Garbled;

/// The non-empty lines.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// Each non-empty line through `parse`; `None` from it is a garbled line.
pub(crate) fn each<'a, T>(
    bytes: &'a [u8],
    mut parse: impl FnMut(&'a [u8]) -> Option<T>,
) -> impl Iterator<Item = Result<T, Garbled>> {
    lines(bytes).map(move |line| parse(line).ok_or(Garbled))
}

/// The words between blanks.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | 0)).filter(|word| !word.is_empty())
}

/// A decimal number without sign.
pub(crate) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A decimal number that may be negative.
pub(crate) fn signed(word: &[u8]) -> Option<f64> {
    match word.strip_prefix(b"-") {
        Some(rest) => number(rest).map(|value| -(value as f64)),
        None => number(word).map(|value| value as f64),
    }
}

/// A hexadecimal number, with or without `0x`.
pub(crate) fn hex(word: &[u8]) -> Option<u64> {
    let word = word.strip_prefix(b"0x").unwrap_or(word);
    if word.is_empty() || word.len() > 16 {
        return None;
    }
    word.iter().try_fold(0_u64, |value, byte| Some(value << 4 | u64::from(char::from(*byte).to_digit(16)?)))
}

/// A finite decimal fraction.
pub(crate) fn fraction(word: &[u8]) -> Option<f64> {
    std::str::from_utf8(word).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The bytes as text; what is not UTF-8 is replaced.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Whether a word can stand in a path as one component: names in `/proc` become paths in `/sys`.
pub(crate) fn is_component(word: &[u8]) -> bool {
    !word.is_empty() && word != b"." && word != b".." && !word.iter().any(|byte| matches!(byte, b'/' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_checked() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), None);
        assert_eq!(number(b""), None);
        assert_eq!(number(b"1x"), None);
        assert_eq!(signed(b"-1"), Some(-1.0));
        assert_eq!(hex(b"0x1003"), Some(0x1003));
        assert_eq!(hex(b"11112222333344445"), None);
        assert_eq!(fraction(b"0.25"), Some(0.25));
        assert_eq!(fraction(b"inf"), None);
    }
}
