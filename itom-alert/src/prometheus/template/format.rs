//! Numbers as Prometheus's template functions write them.

use std::fmt::Write as _;

/// `%.4g` as C and Go write it: four significant digits, no tail of zeros, an exponent of at least two digits when the
/// number is below 0.0001 or has more than four digits before the point.
pub(super) fn four_digits(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let text = format!("{value:.3e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if (-4..4).contains(&exponent) {
        let digits = usize::try_from(3 - exponent).unwrap_or(0);
        trim(&format!("{value:.digits$}"))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    }
}

/// `%v` as Go writes a number: the shortest digits that give it back, with an exponent of at least two digits below
/// 0.0001 and from 1,000,000 on.
pub(super) fn shortest(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return four_digits(value);
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn small(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        (prefix, value) = (next, value * 1000.0);
    }
    (value, prefix)
}

fn large(mut value: f64, base: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        (prefix, value) = (next, value / base);
    }
    (value, prefix)
}

/// Metric prefixes.
pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return four_digits(value);
    }
    let (value, prefix) = if value.abs() >= 1.0 {
        large(value, 1000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"])
    } else {
        small(value)
    };
    format!("{}{prefix}", four_digits(value))
}

/// Binary prefixes.
pub(super) fn humanize1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four_digits(value);
    }
    let (value, prefix) = large(value, 1024.0, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]);
    format!("{}{prefix}", four_digits(value))
}

/// Seconds as days, hours, minutes and seconds, or with a small prefix.
pub(super) fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return four_digits(seconds);
    }
    if seconds == 0.0 {
        return format!("{}s", four_digits(seconds));
    }
    if seconds.abs() < 1.0 {
        let (value, prefix) = small(seconds);
        return format!("{}{prefix}s", four_digits(value));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs() as i64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {rest}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {rest}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {rest}s")
    } else {
        format!("{sign}{}s", four_digits(seconds.abs()))
    }
}

/// A time in seconds since the epoch as Go prints it, to the millisecond.
pub(super) fn time(seconds: f64) -> Result<String, String> {
    let nanos = seconds * 1e9;
    if !nanos.is_finite() || nanos.abs() > i64::MAX as f64 {
        return Err(format!(
            "{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64"
        ));
    }
    let millis = nanos as i64 / 1_000_000;
    let time = itom_core::Timestamp::from_millis(millis).to_chrono();
    let time = time.ok_or_else(|| format!("{seconds} is not a time"))?;
    let mut text = time.format("%Y-%m-%d %H:%M:%S").to_string();
    let rest = millis.rem_euclid(1000);
    if rest != 0 {
        let digits = format!("{rest:03}");
        // Writing to a String cannot fail.
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
    text.push_str(" +0000 UTC");
    Ok(text)
}

/// Seconds as Go prints a duration: `1h2m3.5s`.
pub(super) fn go_duration(seconds: f64) -> Result<String, String> {
    let nanos = seconds * 1e9;
    if !nanos.is_finite() || nanos.abs() > i64::MAX as f64 {
        return Err(format!("{seconds} cannot be represented as a duration since it overflows int64"));
    }
    let sign = if nanos < 0.0 { "-" } else { "" };
    let nanos = (nanos as i64).unsigned_abs();
    let decimal = |value: u64, unit: u64, name: &str| {
        let (whole, rest) = (value / unit, value % unit);
        let width = unit.ilog10() as usize;
        let fraction = format!("{rest:0width$}");
        let fraction = fraction.trim_end_matches('0');
        if rest == 0 { format!("{whole}{name}") } else { format!("{whole}.{fraction}{name}") }
    };
    Ok(match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => format!("{sign}{}", decimal(nanos, 1_000, "µs")),
        1_000_000..1_000_000_000 => format!("{sign}{}", decimal(nanos, 1_000_000, "ms")),
        _ => {
            let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
            let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000, "s");
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}"),
                (0, _) => format!("{sign}{minutes}m{seconds}"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}"),
            }
        }
    })
}
