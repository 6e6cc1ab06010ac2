//! `load_with_nhcb`: classic histograms of a block as native ones with custom bounds, beside themselves.

use std::collections::BTreeMap;

use itom_core::Histogram;

use crate::histogram::ClassicHistogram;
use crate::promql::literal;
use crate::{LabelSet, METRIC_NAME};

/// The parts of one histogram, by time.
type Moments = BTreeMap<i64, ClassicHistogram>;

/// A series of histograms.
type Native = (LabelSet, Vec<(i64, Histogram)>);

/// Native histograms made of the classic ones among these series.
pub(super) fn native<'a>(
    series: impl Iterator<Item = (&'a LabelSet, &'a [(i64, f64)])>,
) -> Result<Vec<Native>, String> {
    let mut found: BTreeMap<LabelSet, Moments> = BTreeMap::new();
    for (labels, samples) in series {
        let name = labels.metric();
        let Some((base, part)) =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| Some((name.strip_suffix(end)?, *end)))
        else {
            continue;
        };
        let le = if part == "_bucket" {
            match bound(labels.get("le")) {
                Some(le) => le,
                None => continue,
            }
        } else {
            0.0
        };
        let own = labels.filtered(|name| name != "le" && name != METRIC_NAME).with(METRIC_NAME, base);
        let moments = found.entry(own).or_default();
        for (t, value) in samples {
            let parts = moments.entry(*t).or_default();
            match part {
                "_bucket" => drop(parts.bucket(le, *value).map_err(|error| error.to_string())?),
                "_count" => drop(parts.count(*value)),
                _ => drop(parts.sum(*value)),
            }
        }
    }
    found
        .into_iter()
        .map(|(labels, moments)| {
            let converted = moments
                .into_iter()
                .map(|(t, parts)| Ok((t, parts.convert().map_err(|error| error.to_string())?)))
                .collect::<Result<_, String>>()?;
            Ok((labels, converted))
        })
        .collect()
}

fn bound(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = literal::number(digits).ok().filter(|value| !value.is_nan())?;
    Some(if negative { -value } else { value })
}
