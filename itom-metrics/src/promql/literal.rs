//! The values of literals: numbers, durations and strings.

use super::RawText;

/// A number as written: Go's integers of any base, then Go's floats.
pub(crate) fn number(written: &str) -> Result<f64, String> {
    let wrong = || format!("error parsing number: {written:?} is not a number");
    if written.eq_ignore_ascii_case("inf") {
        return Ok(f64::INFINITY);
    }
    if written.eq_ignore_ascii_case("nan") {
        return Ok(f64::NAN);
    }
    let plain: String = written.chars().filter(|c| *c != '_').collect();
    if let Some(digits) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return i64::from_str_radix(digits, 16).map(|value| value as f64).map_err(|_| wrong());
    }
    let octal = plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|b| matches!(b, b'0'..=b'7'));
    if octal && let Ok(value) = i64::from_str_radix(&plain, 8) {
        return Ok(value as f64);
    }
    match plain.parse::<f64>() {
        Ok(value) if value.is_infinite() => {
            Err(format!("error parsing number: {written:?} is beyond the largest number, about 1.8e308"))
        }
        Ok(value) => Ok(value),
        Err(_) => Err(wrong()),
    }
}

/// The units of a duration in milliseconds, in the order they must be written.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest duration: 64 bits of nanoseconds, in milliseconds.
const LONGEST: i64 = i64::MAX / 1_000_000;

/// A duration as written, such as `1h30m`, in milliseconds; `0` needs no unit.
pub(crate) fn duration(written: &str) -> Result<i64, String> {
    let wrong = || format!("not a valid duration string: {written:?}");
    if written == "0" {
        return Ok(0);
    }
    if written.is_empty() {
        return Err("empty duration string".to_owned());
    }
    let mut rest = written;
    let mut units = UNITS.iter();
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, behind) = rest.split_at_checked(digits).ok_or_else(wrong)?;
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, left) = behind.split_at_checked(letters).ok_or_else(wrong)?;
        let (_, milliseconds) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        if count.is_empty() {
            return Err(wrong());
        }
        total = count
            .parse::<i64>()
            .ok()
            .and_then(|count| count.checked_mul(*milliseconds))
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= LONGEST)
            .ok_or_else(|| "duration out of range".to_owned())?;
        rest = left;
    }
    Ok(total)
}

/// Milliseconds as a duration: as Prometheus writes it, larger units only where they divide the whole.
pub(crate) fn show_duration(milliseconds: i64) -> String {
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    if milliseconds < 0 {
        out.push('-');
    }
    let mut left = milliseconds.unsigned_abs();
    for (index, (unit, size)) in UNITS.iter().enumerate() {
        let size = size.unsigned_abs();
        let whole_only = index < 3;
        if left == 0 || (whole_only && !left.is_multiple_of(size)) {
            continue;
        }
        let count = left / size;
        if count > 0 {
            out.push_str(&count.to_string());
            out.push_str(unit);
            left %= size;
        }
    }
    out
}

/// The bytes of a string literal with its quotes. The place within the literal comes with an error.
pub(crate) fn string(written: &str) -> Result<RawText, (usize, String)> {
    let quote = written.bytes().next().unwrap_or(b'"');
    let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or("");
    if quote == b'`' || !inner.contains('\\') {
        return Ok(RawText::from(inner));
    }
    let mut out = Vec::with_capacity(inner.len());
    let bytes = inner.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte != b'\\' {
            out.push(*byte);
            at += 1;
            continue;
        }
        let (length, digits, radix) = match bytes.get(at + 1) {
            Some(b'x') => (2, at + 2, 16),
            Some(b'u') => (4, at + 2, 16),
            Some(b'U') => (8, at + 2, 16),
            Some(b'0'..=b'7') => (3, at + 1, 8),
            other => {
                out.push(match other {
                    Some(b'a') => 7,
                    Some(b'b') => 8,
                    Some(b'f') => 12,
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    Some(b't') => b'\t',
                    Some(b'v') => 11,
                    Some(b'\\') => b'\\',
                    Some(found) if *found == quote => quote,
                    _ => {
                        let c = inner.get(at + 1..).and_then(|rest| rest.chars().next()).unwrap_or('\\');
                        return Err((
                            at + 1,
                            format!("unknown escape sequence {c:?}; write `\\\\` for a backslash"),
                        ));
                    }
                });
                at += 2;
                continue;
            }
        };
        let code = inner
            .get(digits..digits + length)
            .filter(|digits| digits.bytes().all(|byte| (byte as char).is_digit(radix)))
            .and_then(|digits| u32::from_str_radix(digits, radix).ok())
            .ok_or_else(|| (at + 1, format!("the escape sequence needs {length} digits of base {radix}")))?;
        let unicode = length == 4 || length == 8;
        match (u8::try_from(code), char::from_u32(code)) {
            (Ok(byte), _) if !unicode => out.push(byte),
            (_, Some(c)) if unicode => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => return Err((at + 1, "escape sequence is an invalid Unicode code point".to_owned())),
        }
        at = digits + length;
    }
    Ok(RawText::from(out))
}
