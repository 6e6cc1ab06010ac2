//! Numbers and times as Go prints them.

/// `%g`: the shortest digits that read back, with an exponent below 10^-4 and from 10^6 on.
pub(super) fn go_g(value: f64) -> String {
    exponential(value)
}

/// `strconv.FormatFloat(value, 'f', -1, 64)`: the shortest digits, never an exponent.
pub(crate) fn go_f(value: f64) -> String {
    special(value).map_or_else(|| format!("{value}"), str::to_owned)
}

/// A float as OpenMetrics writes it in a label: whole numbers with `.0`.
pub(crate) fn open_metrics(value: f64) -> String {
    let text = exponential(value);
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// A float as Prometheus's API writes it: an exponent only far from one.
#[cfg(feature = "api")]
pub(crate) fn go_api(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !value.is_finite() || (1e-6..1e21).contains(&size) {
        return go_f(value);
    }
    exponential(value)
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        return Some("NaN");
    }
    value.is_infinite().then_some(if value > 0.0 { "+Inf" } else { "-Inf" })
}

fn exponential(value: f64) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let scientific = format!("{value:e}");
    if let Some((digits, exponent)) = scientific.split_once('e')
        && let Ok(exponent) = exponent.parse::<i32>()
        && !(-4..6).contains(&exponent)
    {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    format!("{value}")
}

/// Milliseconds since the epoch as RFC 3339 in UTC, without a fraction of zero.
pub(super) fn rfc3339(at: i64) -> String {
    let civil = super::calendar::Civil::of(at.div_euclid(1_000));
    let millis = at.rem_euclid(1_000);
    let fraction =
        if millis == 0 { String::new() } else { format!(".{millis:03}").trim_end_matches('0').to_owned() };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}Z",
        civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
    )
}

#[cfg(test)]
mod tests {
    use super::{go_g, open_metrics, rfc3339};

    #[test]
    fn as_go_prints() {
        assert_eq!(
            [1e5, 1e6, 0.0001, 0.00001, -1.5].map(go_g),
            ["100000", "1e+06", "0.0001", "1e-05", "-1.5"]
        );
        assert_eq!([1.0, 0.5, f64::INFINITY].map(open_metrics), ["1.0", "0.5", "+Inf"]);
        assert_eq!(rfc3339(1_500), "1970-01-01T00:00:01.5Z");
    }
}
