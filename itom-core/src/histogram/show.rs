//! A histogram as one line of text, as Prometheus prints it.

use std::fmt;

use super::{Bucket, Histogram};

/// A float as Go's `%g` prints it: shortest digits, an exponent below 10^-4 and from 10^6 on.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_nan() {
            return f.write_str("NaN");
        }
        if value.is_infinite() {
            return f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        }
        // The shortest digits that read back: `d.ddde±x`.
        let scientific = format!("{value:e}");
        let Some((digits, exponent)) = scientific.split_once('e') else { return f.write_str(&scientific) };
        match exponent.parse::<i32>() {
            Ok(exponent) if !(-4..6).contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                write!(f, "{digits}e{sign}{:02}", exponent.unsigned_abs())
            }
            _ => write!(f, "{value}"),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        write!(f, "{open}{},{}{close}:{}", Number(self.lower), Number(self.upper), Number(self.count))
    }
}

impl fmt::Display for Histogram {
    /// `{count:…, sum:…, [-2,-1):…, (1,2]:…}` with the buckets that are not empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", Number(self.count), Number(self.sum))?;
        let zero = self.zero_bucket();
        let all = self.negative_buckets().rev().chain(zero).chain(self.positive_buckets());
        for bucket in all.filter(|bucket| bucket.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        f.write_str("}")
    }
}
